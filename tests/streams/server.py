"""A vendor on this machine: serves scripted answers over real HTTP, and records the requests."""

import asyncio
import json
import re
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Self

from aiohttp import web

ARRIVES_WITHIN_S = 40.0
"""The longest wait for a request."""


class ResponseEnd(Enum):
    """How the response ends after its last chunk."""

    END = auto()
    """The response ends as HTTP defines."""
    CUT = auto()
    """The connection is closed in the middle of the body."""
    RESET = auto()
    """The connection is reset in the middle of the body."""
    HANG = auto()
    """The response never ends: pings are sent while the client stays."""
    NOTHING = auto()
    """The connection is closed before the first byte, as a vendor does with an idle one."""


@dataclass(frozen=True, slots=True)
class VendorResponse:
    """One response: each chunk is sent by itself."""

    chunks: Sequence[bytes] = ()
    status: int = 200
    content_type: str = "text/event-stream; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    """The wait before the response."""
    pause_s: float = 0.0
    """The pause after each chunk."""
    gates: Mapping[int, Callable[[], Awaitable[object]]] = field(default_factory=dict)
    """What is awaited before a chunk, by the chunk's number from 0."""
    ending: ResponseEnd = ResponseEnd.END
    ping: bytes = b": ping\n\n"
    """The bytes that are sent while the response hangs."""


def refusal(status: int, error: object, **headers: str) -> VendorResponse:
    """Returns a vendor's error response with a JSON body; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return VendorResponse([json.dumps(error).encode()], status, "application/json", named)


@dataclass(eq=False, slots=True)
class VendorRequest:
    """A request that the server received."""

    path: str
    headers: Mapping[str, str]
    body: Any
    """JSON; None for a form or a Protocol Buffer, which is in `content`."""
    connection: tuple[str, int]
    """The client's address, which requests of one connection share."""
    method: str
    target: str
    """The path and the query, as they were sent."""
    content: bytes
    """The body, as it was sent."""
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set if the client went away before the end of the response."""


Script = VendorResponse | Callable[[VendorRequest], VendorResponse]


class VendorServer:
    """`async with VendorServer() as vendor:` serves the answers of vendor.script(...) at vendor.url."""

    def __init__(self) -> None:
        self.url = ""
        """The server's URL without a path. OpenAI's base URL adds /v1."""
        self.requests: list[VendorRequest] = []
        self.has_all_models = False
        """Whether a look-up of a model finds it, without a script and without a record."""
        self._scripts: list[Script] = []
        self._arrival = asyncio.Condition()
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)

    def script(self, *scripts: Script) -> None:
        """Sets the answers to the next requests, one each; the last one answers all later requests."""
        self._scripts = list(scripts)

    async def request(self, number: int) -> VendorRequest:
        """Returns the request of this number, counted from 0, once it has arrived. Raises TimeoutError."""
        async with asyncio.timeout(ARRIVES_WITHIN_S), self._arrival:
            await self._arrival.wait_for(lambda: len(self.requests) > number)
        return self.requests[number]

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        if self.has_all_models and request.method == "GET":
            return web.json_response({"id": request.path.rpartition("/")[2], "object": "model", "created": 1})
        client = request.transport.get_extra_info("peername")
        is_other = request.content_type.startswith(("multipart/", "application/x-protobuf"))
        body = await request.json() if request.can_read_body and not is_other else None
        content = await request.read()
        received = VendorRequest(
            request.path, request.headers.copy(), body, client, request.method, request.raw_path, content
        )
        self.requests.append(received)
        async with self._arrival:
            self._arrival.notify_all()
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        try:
            return await _send(request, script(received) if callable(script) else script)
        except (asyncio.CancelledError, ConnectionError):
            received.hung_up.set()
            raise


async def _send(request: web.Request, answer: VendorResponse) -> web.StreamResponse:
    await asyncio.sleep(answer.delay_s)
    headers = {"Content-Type": answer.content_type, **answer.headers}
    response = web.StreamResponse(status=answer.status, headers=headers)
    if answer.ending is ResponseEnd.NOTHING:
        _break(request, reset=False)
        return response
    await response.prepare(request)
    began = asyncio.get_running_loop().time()
    # Vendors name the model that was asked.
    asked = str((await request.json()).get("model", "m")) if request.content_type == "application/json" else ""
    for number, chunk in enumerate(answer.chunks):
        if gate := answer.gates.get(number):
            await gate()
            began = asyncio.get_running_loop().time() - number * answer.pause_s
        await response.write(naming(asked, chunk))
        # Measured from the beginning, so that the pace is exact.
        await asyncio.sleep(began + (number + 1) * answer.pause_s - asyncio.get_running_loop().time())
    while answer.ending is ResponseEnd.HANG:
        await response.write(answer.ping)
        await asyncio.sleep(0.02)
    if answer.ending is ResponseEnd.END:
        await response.write_eof()
    else:
        _break(request, reset=answer.ending is ResponseEnd.RESET)
    return response


def naming(model: str, chunk: bytes) -> bytes:
    """Returns a chunk of a script, which names the model `m`, with the name of the model that answers."""
    return re.sub(rb'"model": ?"m"', f'"model": {json.dumps(model)}'.encode(), chunk)


def _break(request: web.Request, reset: bool) -> None:
    assert request.transport is not None
    if reset:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    else:
        request.transport.close()
