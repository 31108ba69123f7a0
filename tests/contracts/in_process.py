"""A vendor in this process: the responses of a test as bytes, for the readers and the rules of bot/models.

Everything above `Api.post` is production's: the requests, what follows a refused one, and how a response is read. What
lies below, the SDKs and HTTP, takes nine tenths of a request's time. Tests of connections, headers, and requests as
they are sent use a VendorServer.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import Any

import httpx2
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from bot.models.anthropic import MessagesApi
from bot.models.api import Api
from bot.models.openai import ChatApi, ResponsesApi
from tests.contracts.vendors import ANTHROPIC, CHAT, RESPONSES
from tests.streams.server import ResponseEnd, Script, VendorRequest, VendorResponse, VendorServer

PING_S = 0.02
_PATHS: Mapping[type[Api], str] = {MessagesApi: ANTHROPIC.path, ResponsesApi: RESPONSES.path, ChatApi: CHAT.path}


class InProcessVendor:
    """Gives scripted responses to what `Api.post` sends, and records the requests."""

    url = "http://127.0.0.1:9"
    """Nobody answers there."""

    def __init__(self) -> None:
        self.requests: list[VendorRequest] = []
        self._scripts: list[Script] = []

    def script(self, *scripts: Script) -> None:
        """Sets the answers to the next requests, one each; the last one answers all later requests."""
        self._scripts = list(scripts)

    def post(self, api: Api, body: Mapping[str, Any]) -> httpx2.Response:
        path = _PATHS[type(api)]
        content = json.dumps(body).encode()
        request = VendorRequest(path, {}, json.loads(content), ("127.0.0.1", 9), "POST", path, content)
        self.requests.append(request)
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        answer = script(request) if callable(script) else script
        response = _response(answer, httpx2.Request("POST", f"{self.url}{path}"))
        if not response.is_success:
            raise _sdk(type(api))._make_status_error_from_response(response)
        return response


AnyVendor = VendorServer | InProcessVendor


def _response(answer: VendorResponse, request: httpx2.Request) -> httpx2.Response:
    assert (answer.delay_s, answer.gates) == (0.0, {}), "a wait before the response needs a server"
    assert answer.ending in (ResponseEnd.END, ResponseEnd.HANG), "a broken connection needs a server"
    headers = {"Content-Type": answer.content_type, **answer.headers}
    if answer.status >= 300:
        return httpx2.Response(answer.status, headers=headers, content=b"".join(answer.chunks), request=request)
    return httpx2.Response(answer.status, headers=headers, stream=_Chunks(answer), request=request)


class _Chunks(httpx2.AsyncByteStream):
    def __init__(self, answer: VendorResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._answer.chunks:
            yield chunk
            await asyncio.sleep(self._answer.pause_s)
        while self._answer.ending is ResponseEnd.HANG:
            yield self._answer.ping
            await asyncio.sleep(PING_S)


@cache
def _sdk(api: type[Api]) -> AsyncAnthropic | AsyncOpenAI:
    return (AsyncAnthropic if issubclass(api, MessagesApi) else AsyncOpenAI)(api_key="none")
