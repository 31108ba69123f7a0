"""The model of a chaos run: an OpenAI-compatible server that answers by plan and fails on demand.

What it says depends on nothing but the prompt. Asked the same again, it makes the same calls of tools, with the same
tokens in their arguments (tool_plan.py). An answer that used tools ends with what became of each call.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

from aiohttp import web

from benchmarks.chat_server import END, ChatServer, event
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

FIRST_WORD_S = 0.3
_PING_S = 1.0

ModelFault = Literal["cut", "stall"]


class RequestEnd(StrEnum):
    """How one request ended, as the model saw it."""

    UNDER_WAY = "under way"
    WHOLE = "whole"
    CUT = "cut"
    STALLED = "stalled"
    HUNG_UP = "hung up"
    """The bot closed the connection."""


@dataclass
class ModelRequest:
    """One request for the answer to a question."""

    at_s: float
    """Arrival in monotonic seconds."""
    words: int = 0
    """Words of the answer so far: those in the prompt and those sent."""
    end: RequestEnd = RequestEnd.UNDER_WAY
    question_numbers: frozenset[int] = frozenset()
    """Numbers of all questions in the prompt."""


@dataclass
class ScriptedModel(ChatServer):
    """`async with ScriptedModel() as model:` serves Chat Completions on model.url."""

    requests: dict[int, list[ModelRequest]] = field(default_factory=lambda: defaultdict(list))
    """Requests by question number, in order of arrival."""
    _faults: list[tuple[ModelFault, int]] = field(default_factory=list)

    def fail_next(self, fault: ModelFault, after_words: int) -> None:
        """Makes the next request end without its marker ("cut") or go silent ("stall") after so many words."""
        self._faults.append((fault, after_words))

    def clear_faults(self) -> None:
        """Drops the faults that no request has met yet."""
        self._faults.clear()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        # The bot's own tool, which offers choices, has no server's name.
        has_tools = any("__" in tool["function"]["name"] for tool in body.get("tools") or ())
        prompt = ChatPrompt.of(body["messages"], has_tools=has_tools)
        words, calls = prompt.total_words, prompt.calls
        resumed_after = len(words_in(prompt.so_far))
        at_s, numbers = time.monotonic(), prompt.question_numbers
        record = ModelRequest(at_s, resumed_after, RequestEnd.UNDER_WAY, numbers)
        self.requests[prompt.asked.number].append(record)
        fault, after_words = self._faults.pop(0) if self._faults else (None, words)
        deltas = prompt.deltas
        sent = deltas[: max(0, after_words - resumed_after)]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            await response.prepare(request)
            await _send_words(response, sent, prompt.asked.words_per_s, record)
            if fault is None or after_words >= words or (calls and sent == deltas):
                await response.write((_asks_for(calls) if calls else event({}, "stop")) + END)
                await response.write_eof()
                record.end = RequestEnd.WHOLE
            elif fault == "cut":
                record.end = RequestEnd.CUT
                assert request.transport is not None
                request.transport.close()
            else:
                record.end = RequestEnd.STALLED
                await _ping_forever(response)
        except ConnectionError:
            # The bot was killed during the answer.
            return response
        finally:
            if record.end is RequestEnd.UNDER_WAY:
                record.end = RequestEnd.HUNG_UP
        return response


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
    def so_far(self) -> str:
        """What the model has written of its answer."""
        return f"{self.written_before} {self.begun}"

    @cached_property
    def calls(self) -> Sequence[PlannedCall]:
        """The calls that this step ends with; none if it completes the answer."""
        return next((calls for calls in self._calls_to_make if calls), ())

    @property
    def total_words(self) -> int:
        """The words of the whole answer."""
        return len(self._whole)

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
        return continued(of_step, self.begun)

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


def _asks_for(calls: Sequence[PlannedCall]) -> bytes:
    """Returns the end of a step that asks for calls. Their ids are their tokens."""
    deltas = [
        {
            "index": index,
            "id": call.token,
            "type": "function",
            "function": {
                "name": f"{SERVER}__{call.tool}",
                "arguments": json.dumps({"token": call.token, "takes_s": call.takes_s}),
            },
        }
        for index, call in enumerate(calls)
    ]
    return event({"tool_calls": deltas}) + event({}, "tool_calls")


async def _send_words(response: web.StreamResponse, deltas: list[str], words_per_s: int, record: ModelRequest) -> None:
    for place, delta in enumerate(deltas):
        await asyncio.sleep(record.at_s + FIRST_WORD_S + place / words_per_s - time.monotonic())
        await response.write(event({"content": delta}))
        record.words += 1


async def _ping_forever(response: web.StreamResponse) -> None:
    while True:
        await asyncio.sleep(_PING_S)
        await response.write(b": ping\n\n")
