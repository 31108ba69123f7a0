"""Base class of the benchmarks' models: an OpenAI-compatible server on 127.0.0.1 that streams Chat Completions."""

import json
from abc import ABC, abstractmethod
from typing import Any, Self

from aiohttp import web

HOST = "127.0.0.1"
END = b"data: [DONE]\n\n"
_MAX_REQUEST_BYTES = 16 * 2**20


class ChatServer(ABC):
    """`async with` a subclass to serve on its `url`, which is a base URL of OpenAI's form."""

    url: str = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_MAX_REQUEST_BYTES)
        app.router.add_post("/v1/chat/completions", self._handle)
        app.router.add_post("/v1/responses", self._respond)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        self.url = f"http://{HOST}:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._runner.cleanup()

    @abstractmethod
    async def _handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request."""

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        """Answers one request in the form of the Responses API, which few of the benchmarks' bots ask for."""
        raise web.HTTPNotFound


def event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    """Returns one chunk of an answer as a server-sent event."""
    return _chunk(choices=[{"index": 0, "delta": delta, "finish_reason": finish_reason}])


def usage_event(input_tokens: int, output_tokens: int) -> bytes:
    """Returns the chunk with an answer's usage, which comes last if the request has `include_usage`."""
    usage = {"prompt_tokens": input_tokens, "completion_tokens": output_tokens}
    return _chunk(choices=[], usage=usage | {"total_tokens": input_tokens + output_tokens})


def _chunk(**fields: object) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
    return f"data: {json.dumps(chunk | fields)}\n\n".encode()
