"""The scripted model: a server on the loopback interface with OpenAI's Chat Completions API.

Its answers come from script.py. It streams word by word and never fails. Its reported usage includes the tokens that a
vendor would have read from its cache: the longest beginning that a request shares with an earlier one, in units of 128
tokens starting at 1,024 (OpenAI's guide to prompt caching, read on 2026-11-28). A token is a word.
"""

import asyncio
import json
import re
import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from operator import eq
from types import MappingProxyType
from typing import Any, Final, Self

from aiohttp import web

from demo.marks import without_our_text
from demo.newcomers import first_answer
from demo.script import Conversation, Step, next_step, words

HOST: Final = "127.0.0.1"
TOKENS_PER_S = 30.0
"""Slow enough to watch."""
_MAX_REQUEST_BYTES: Final = 64 * 2**20
"""The limit is high because questions can include images."""
_CLOSE_TIMEOUT_S: Final = 0.1
_MIN_CACHED, _UNIT, _MAX_CACHED_REQUESTS = 1_024, 128, 100
_CODE: Final = re.compile(r"\[([0-9a-f]{8}) is the code ")
"""Matches the first line of a conversation, which has a code of its own."""


class ScriptedModel:
    """Serves the model to any number of clients, in an `async with` block."""

    model: Final = "scripted"

    def __init__(self, requests_to_go_on: Collection[str], tokens_per_s: float = TOKENS_PER_S) -> None:
        """`requests_to_go_on`: texts that the client adds after an unfinished answer so that the model continues it."""
        self.base_url = ""
        """The base URL for an OpenAI client."""
        self.tokens_per_s = tokens_per_s
        self._requests_to_go_on = requests_to_go_on
        self._answers: Counter[tuple[str, ...]] = Counter()
        """Number of answers to each question in its conversation, so that Regenerate visibly produces a new answer."""
        self._cached: deque[list[str]] = deque(maxlen=_MAX_CACHED_REQUESTS)
        """Tokens of the latest requests."""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_MAX_REQUEST_BYTES)
        app.add_routes([web.post("/v1/chat/completions", self._complete), web.get("/v1/models", self._list_models)])
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=_CLOSE_TIMEOUT_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        self.base_url = f"http://{HOST}:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()

    def knows(self, turns: Sequence[str]) -> bool:
        """Returns whether a conversation ends with a scene's question. `turns`: the user's and the model's turns."""
        return self._conversation(turns).scene is not None

    def greets(self, turns: Sequence[str]) -> bool:
        """Returns whether a conversation ends with a message that newcomers typically write first."""
        return first_answer(self._conversation(turns).turns[-1], {}) is not None

    def _conversation(
        self,
        turns: Sequence[str],
        result: str | None = None,
        called: str = "",
        tools: Mapping[str, str] = MappingProxyType({}),
    ) -> Conversation:
        *before, last = own = tuple(map(without_our_text, turns))
        if len(before) > 1 and last in self._requests_to_go_on:
            return Conversation(tuple(before[:-1]), before[-1], result, called, tools)
        return Conversation(own, "", result, called, tools)

    async def _list_models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self.model, "object": "model"}]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        asked = self._parse_request(body)
        said = next_step(asked, self._count_answers(asked))
        usage = self._usage(body, said)
        if not body.get("stream"):
            choice = {"index": 0, "message": _message(said), "finish_reason": _finish_reason(said)}
            return web.json_response(self._object("chat.completion", choices=[choice], usage=usage))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        began = time.monotonic()
        for count, delta in enumerate(_deltas(said), start=1):
            # Measured from the beginning, so that late wake-ups don't add up.
            await asyncio.sleep(began + count / self.tokens_per_s - time.monotonic())
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            await response.write(_event(self._object("chat.completion.chunk", choices=[choice])))
        choice = {"index": 0, "delta": {}, "finish_reason": _finish_reason(said)}
        await response.write(_event(self._object("chat.completion.chunk", choices=[choice], usage=usage)))
        await response.write(b"data: [DONE]\n\n")
        return response

    def _usage(self, body: Mapping[str, Any], said: Step) -> dict[str, Any]:
        tools = [json.dumps(tool) for tool in body.get("tools") or ()]
        tokens = [word for text in (*tools, *map(_text_of, body["messages"])) for word in words(text)]
        shared = max((sum(takewhile(bool, map(eq, tokens, earlier))) for earlier in self._cached), default=0)
        self._cached.append(tokens)
        return {
            "prompt_tokens": len(tokens),
            "completion_tokens": len(said.tokens),
            "prompt_tokens_details": {"cached_tokens": shared // _UNIT * _UNIT if shared >= _MIN_CACHED else 0},
        }

    def _parse_request(self, body: Mapping[str, Any]) -> Conversation:
        """Returns the conversation in a request. The answer's steps begin with its first tool call."""
        messages = [message for message in body["messages"] if message["role"] != "system"]
        first_call = next((at for at, message in enumerate(messages) if message.get("tool_calls")), len(messages))
        called = [call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()]
        results = [_text_of(message) for message in messages[first_call:] if message["role"] == "tool"]
        functions = [tool["function"] for tool in body.get("tools") or ()]
        tools = {function["name"]: function.get("description", "") for function in functions}
        turns = [*map(_text_of, messages[:first_call])]
        mark = _CODE.search("".join(map(_text_of, messages[:1])))
        asked = self._conversation(turns, results[-1] if results else None, called[-1] if called else "", tools)
        return replace(asked, mark=mark[1] if mark else "")

    def _count_answers(self, asked: Conversation) -> int:
        if asked.so_far or asked.result is not None:
            return 1
        question = asked.scene[1] if asked.scene else asked.turns[-1]
        place = (asked.mark, *asked.turns[:-1], question)
        self._answers[place] += 1
        return self._answers[place]

    def _object(self, kind: str, **fields: Any) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": kind, "created": int(time.time()), "model": self.model, **fields}


def _deltas(said: Step) -> Iterator[dict[str, Any]]:
    for token in said.tokens:
        yield {"role": "assistant", "content": token}
    if said.call:
        yield {"tool_calls": _calls(said)}


def _message(said: Step) -> dict[str, Any]:
    message = {"role": "assistant", "content": "".join(said.tokens)}
    return message | ({"tool_calls": _calls(said)} if said.call else {})


def _calls(said: Step) -> list[dict[str, Any]]:
    if said.call is None:
        return []
    function = {"name": said.call.tool, "arguments": json.dumps(said.call.arguments)}
    return [{"index": 0, "id": "call_1", "type": "function", "function": function}]


def _finish_reason(said: Step) -> str:
    if said.call:
        return "tool_calls"
    return "length" if said.is_cut else "stop"


def _text_of(message: Mapping[str, Any]) -> str:
    """Returns a message's text. If the content has several parts, some of them can be images, which are ignored."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n\n".join(part["text"] for part in content if part["type"] == "text")


def _event(chunk: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(chunk)}\n\n".encode()
