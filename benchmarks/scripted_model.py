"""Simulates the model in a chaos run: an OpenAI-compatible server that answers and fails according to a plan.

The model's answers depend only on the prompt. For the same prompt, it makes the same tool calls, with the same tokens
in their arguments (tool_plan.py). An answer that used tools ends with the outcome of each call. If the model is asked
to continue a partial answer, it either continues exactly there or repeats the last words, as real models do.

Which requests fail is decided by `failures` (vendor_failures.py).
"""

import asyncio
import json
import math
import random
import re
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from aiohttp import web

from benchmarks.chat_server import END, ChatServer, event, usage_event
from benchmarks.question_plan import AskedText, answer, asked_in, continued, in_order, words_in
from benchmarks.tool_plan import (
    MADE_BEFORE,
    NOT_OFFERED,
    SERVER,
    TOKEN,
    PlannedCall,
    seen_words,
    steps_of,
    tokens_of,
    what_became_of,
    words_before,
)
from benchmarks.vendor_failures import Failure, PlannedFailure, VendorFailures
from bot.core.prompt import NOTHING_MISSING
from bot.core.steps import REPEATED_CHARS
from bot.reply.answer import CHARS_PER_TOKEN

FIRST_WORD_S = 0.3
REPEATED_WORDS = (0, 0, 3, 5)
"""How many of the last words a continuation repeats. Fewer may be a coincidence (bot/core/steps.py)."""
BROKEN_CALLS_FROM = 0.5
"""The places (PlannedFailure.place) from which on a step with calls breaks in these, or between these and its end."""
_PING_S = 1.0
_BEGINS = event({"role": "assistant", "content": ""})


class RequestEnd(StrEnum):
    """How one request ended, as the model saw it."""

    UNDER_WAY = "under way"
    WHOLE = "whole"
    FAILED = "failed"
    """As planned."""
    HUNG_UP = "hung up"
    """The bot closed the connection."""
    MISLED = "misled"
    """What it was asked to go on after is no part of the answer: a word of it is lost, doubled or foreign."""


@dataclass
class ModelRequest:
    """One request for the answer to a question."""

    at_s: float
    """Arrival in monotonic seconds."""
    words: int = 0
    """Words that it has sent."""
    end: RequestEnd = RequestEnd.UNDER_WAY
    question_numbers: frozenset[int] = frozenset()
    """Numbers of all questions in the prompt."""
    begun_words: int = 0
    """Words of the answer in the prompt, after which it goes on."""
    failure: Failure | None = None
    chars: int = 0
    """Characters that it has sent: text, and the names and arguments of calls."""

    @property
    def output_tokens(self) -> int:
        """What it charges: as many tokens as the bot estimates for so much text."""
        return int(self.chars / CHARS_PER_TOKEN)

    @property
    def described(self) -> str:
        """What became of it, such as "error event after 12 words"."""
        begun = f"went on after {self.begun_words} words, " if self.begun_words else ""
        return f"{begun}{self.failure or self.end} after {self.words} words"

    def fail(self, failure: Failure) -> None:
        """Notes that it fails now."""
        self.end, self.failure = RequestEnd.FAILED, failure


@dataclass
class ScriptedModel(ChatServer):
    """`async with ScriptedModel() as model:` serves Chat Completions on model.url."""

    requests: dict[int, list[ModelRequest]] = field(default_factory=lambda: defaultdict(list))
    """Requests by question number, in order of arrival."""
    failures: VendorFailures | None = None
    """None: no request fails."""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        # The bot's own tool, which offers choices, has no server's name.
        has_tools = any("__" in tool["function"]["name"] for tool in body.get("tools") or ())
        prompt = ChatPrompt.of(body["messages"], has_tools=has_tools)
        number = prompt.asked.number
        record = ModelRequest(time.monotonic(), 0, RequestEnd.UNDER_WAY, prompt.question_numbers, prompt.begun_words)
        self.requests[number].append(record)
        try:
            deltas = prompt.deltas
        except ValueError as error:
            record.end = RequestEnd.MISLED
            raise web.HTTPBadRequest(text=str(error)) from None
        planned = self.failures.of_request(number, record.at_s) if self.failures else None
        try:
            if planned is not None and planned.failure.is_refusal:
                return _refuse(request, record, planned.failure)
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            if failure := await self._send(response, prompt, deltas, record, planned):
                record.fail(failure)
                await _break(request, response, failure, pings=not prompt.calls)
                return response
            if body.get("stream_options", {}).get("include_usage"):
                input_tokens = int(len(json.dumps(body["messages"])) / CHARS_PER_TOKEN)
                await response.write(usage_event(input_tokens, record.output_tokens))
            await response.write(END)
            await response.write_eof()
            record.end = RequestEnd.WHOLE
        except ConnectionError:
            # The bot was killed during the answer.
            return response
        finally:
            if record.end is RequestEnd.UNDER_WAY:
                record.end = RequestEnd.HUNG_UP
        return response

    async def _send(
        self,
        response: web.StreamResponse,
        prompt: "ChatPrompt",
        deltas: Sequence[str],
        record: ModelRequest,
        planned: PlannedFailure | None,
    ) -> Failure | None:
        """Sends a step up to its end, or up to the failure that is planned or comes meanwhile, which it returns."""
        await response.write(_BEGINS)
        if planned is not None and not planned.place:
            return planned.failure
        calls = prompt.calls
        breaks_calls = planned is not None and bool(calls) and planned.place >= BROKEN_CALLS_FROM
        sent = deltas if planned is None or breaks_calls else deltas[: math.ceil(planned.place * len(deltas))]
        for place, delta in enumerate(sent):
            due_s = record.at_s + FIRST_WORD_S + place / prompt.asked.words_per_s
            await asyncio.sleep(due_s - time.monotonic())
            if place and self.failures and self.failures.breaks(prompt.asked.number, record.at_s, time.monotonic()):
                return Failure.CUT
            # Noted before: what is written may be read.
            record.words += bool(delta.strip())
            record.chars += len(delta)
            await response.write(event({"content": delta}))
        if calls and (planned is None or breaks_calls):
            arguments = _arguments(calls, is_cut=planned is not None and planned.failure is Failure.CUT)
            record.chars += sum(
                len(_name(call)) + len(written) for call, written in zip(calls, arguments, strict=False)
            )
            await response.write(_asks_for(calls, arguments))
        if planned is None:
            await response.write(event({}, "tool_calls" if calls else "stop"))
        return planned.failure if planned else None


Message = Mapping[str, Any]


@dataclass(frozen=True)
class ChatPrompt:
    """What the model reads in the messages of a request."""

    asked: AskedText
    """The question to answer."""
    has_tools: bool
    question_numbers: frozenset[int]
    """The numbers of all questions."""
    written_before: str
    """What the model wrote before the calls of earlier steps."""
    begun: str
    """What an earlier attempt left in the middle of this step."""
    results: Mapping[str, str]
    """What became of the calls of earlier steps, by token."""
    made_before: frozenset[str]
    """The tokens of calls that were made for an earlier version of the answer."""

    @classmethod
    def of(cls, messages: Sequence[Message], *, has_tools: bool) -> "ChatPrompt":
        """Reads the messages of a request. Raises HTTPBadRequest if they make no sense."""
        # Questions after the first call were asked meanwhile. They are no questions to start with.
        first_call = next((at for at, message in enumerate(messages) if message.get("tool_calls")), len(messages))
        users = [(at, asked_in(turn["content"])) for at, turn in enumerate(messages) if turn["role"] == "user"]
        place, asked = next(((at, asked) for at, asked in reversed(users) if asked and at < first_call), (0, []))
        if not asked:
            raise web.HTTPBadRequest(text="no turn of the prompt has a question")
        steps = messages[place + 1 :]
        written = [message for message in steps if message["role"] == "assistant"]
        # A step that was resumed is two messages, of which the last one has its calls.
        last_calls = max((at for at, message in enumerate(written, start=1) if message.get("tool_calls")), default=0)
        written_before = " ".join(message["content"] or "" for message in written[:last_calls])
        if not in_order(words_in(written_before), asked[-1].number):
            raise web.HTTPBadRequest(text="the steps on record are not the beginning of the answer")
        tools = [message for message in steps if message["role"] == "tool"]
        return cls(
            asked=asked[-1],
            has_tools=has_tools and asked[-1].with_tools,
            question_numbers=frozenset(question.number for _, questions in users for question in questions),
            written_before=written_before,
            begun="".join(message["content"] for message in written[last_calls:]),
            results={
                result["tool_call_id"]: what_became_of(result["tool_call_id"], result["content"]) for result in tools
            },
            made_before=frozenset(match[0] for match in TOKEN.finditer(messages[place]["content"])),
        )

    @property
    def begun_words(self) -> int:
        """How many words of its answer the model has written."""
        return len(words_in(f"{self.written_before} {self.begun}"))

    @cached_property
    def calls(self) -> Sequence[PlannedCall]:
        """The calls that this step ends with; none if it completes the answer."""
        return next((calls for calls in self._calls_to_make if calls), ())

    @property
    def deltas(self) -> list[str]:
        """What this step says."""
        words = self.asked.words
        step_no = next((number for number, calls in enumerate(self._calls_to_make) if calls), None)
        until = len(self._whole) if step_no is None else words_before(step_no, words)
        of_step = self._whole[len(words_in(self.written_before)) : until]
        if len(self.begun.strip()) > len("".join(of_step)):
            # The earlier attempt was offered no tools, and went on.
            return []
        rest = continued(of_step, self.begun)
        if not self.begun.strip():
            return rest
        if not "".join(rest).strip():
            return [] if self.calls else [NOTHING_MISSING]
        return self._repeated + rest

    @property
    def _repeated(self) -> list[str]:
        """The last words of what was begun, if the continuation repeats them."""
        begun = self.begun.strip()
        count = random.Random(f"{self.asked.number} {len(begun)}").choice(REPEATED_WORDS)
        words = re.findall(r"\S+\s*", begun)[-count:] if count else []
        return words if len("".join(words)) >= REPEATED_CHARS else []

    @property
    def _calls_to_make(self) -> list[list[PlannedCall]]:
        """The calls of each step that are still to be made."""
        known = self.results.keys() | self.made_before
        steps = steps_of(self.asked.number) if self.has_tools else []
        return [[call for call in calls if call.token not in known] for calls in steps]

    @cached_property
    def _whole(self) -> list[str]:
        seen = [(token, self._seen(token)) for token in tokens_of(self.asked.number)] if self.asked.with_tools else []
        return [*answer(self.asked.number, self.asked.words), *seen_words(seen)]

    def _seen(self, token: str) -> str:
        return self.results.get(token) or (MADE_BEFORE if token in self.made_before else NOT_OFFERED)


def _arguments(calls: Sequence[PlannedCall], *, is_cut: bool) -> list[str]:
    """Returns the arguments of a step's calls, or a part of those of the first one."""
    arguments = [json.dumps({"token": call.token, "takes_s": call.takes_s}) for call in calls]
    return [arguments[0][: len(arguments[0]) // 2]] if is_cut else arguments


def _name(call: PlannedCall) -> str:
    return f"{SERVER}__{call.tool}"


def _asks_for(calls: Sequence[PlannedCall], arguments: Sequence[str]) -> bytes:
    """Returns the calls of a step, as many as have arguments. Their ids are their tokens."""
    deltas = [
        {
            "index": index,
            "id": call.token,
            "type": "function",
            "function": {"name": _name(call), "arguments": written},
        }
        for index, (call, written) in enumerate(zip(calls, arguments, strict=False))
    ]
    return event({"tool_calls": deltas})


def _refuse(request: web.Request, record: ModelRequest, failure: Failure) -> web.StreamResponse:
    """Answers with an error status, or closes the connection before the response."""
    record.fail(failure)
    if failure is Failure.NO_RESPONSE:
        _close(request)
        return web.StreamResponse()
    return web.json_response(_error(failure), status=int(failure))


async def _break(request: web.Request, response: web.StreamResponse, failure: Failure, *, pings: bool) -> None:
    """Ends a stream that has begun without its marker. A stall lasts until the bot hangs up.

    With `pings`, the stream pings meanwhile. In a call, the bot takes those for work, for longer than a run lasts.
    """
    match failure:
        case Failure.CUT:
            _close(request)
        case Failure.ERROR_EVENT:
            await response.write(f"data: {json.dumps(_error(Failure.SERVER_ERROR))}\n\n".encode())
            await response.write_eof()
        case _:
            while True:
                await asyncio.sleep(_PING_S)
                if pings:
                    await response.write(b": ping\n\n")


def _close(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.close()


def _error(failure: Failure) -> dict[str, Any]:
    """Returns an error in OpenAI's form."""
    is_limit = failure is Failure.TOO_MANY_REQUESTS
    kind = "requests" if is_limit else "server_error"
    message = "Rate limit reached." if is_limit else "The server had an error while processing your request."
    return {"error": {"message": message, "type": kind, "code": "rate_limit_exceeded" if is_limit else None}}
