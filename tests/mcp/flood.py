"""MCP servers that send far more than anybody asked for, and count what they could send.

As a process, `python flood.py FILE` floods stdout at the first call of the tool "flood", and writes a dot to FILE.sent
for each chunk that it could write. `flooding_web` is the same on HTTP, in several forms.
"""

import asyncio
import gzip
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FLOOD_BYTES = 50_000_000
CHUNK = b"x" * 64_000
BEGIN = b'{"jsonrpc": "2.0", "id": %d, "result": {"content": [{"type": "text", "text": "'
ABOUT = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "flood", "version": "1"},
}


def answered(request: dict[str, Any], tools: tuple[str, ...]) -> dict[str, Any]:
    match request["method"]:
        case "initialize":
            answer: dict[str, Any] = {"result": ABOUT}
        case "tools/list":
            answer = {"result": {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in tools]}}
        case "tools/call":
            answer = {"result": {"content": [{"type": "text", "text": "Hi."}]}}
        case _:
            answer = {"error": {"code": -32601, "message": "Method not found"}}
    return {"jsonrpc": "2.0", "id": request["id"], **answer}


def main(file: Path) -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("params", {}).get("name") == "flood":
            flood(request["id"], file.with_suffix(".sent"))
        elif "id" in request:
            sys.stdout.write(json.dumps(answered(request, ("flood", "fine"))) + "\n")
            sys.stdout.flush()


def flood(request: int, sent: Path) -> None:
    sys.stdout.buffer.write(BEGIN % request)
    with sent.open("wb", buffering=0) as counted:
        for _ in range(FLOOD_BYTES // len(CHUNK)):
            sys.stdout.buffer.write(CHUNK)
            sys.stdout.buffer.flush()
            counted.write(b".")


WEB_TOOLS = ("body", "events", "one line of an event", "refusal", "redirect", "zipped", "fine")


@dataclass
class Web:
    """A server on HTTP. Each tool but "fine" floods in the form of its name."""

    url: str = ""
    sent_bytes: int = 0


@asynccontextmanager
async def served(handler: Any) -> AsyncIterator[str]:
    """Yields the URL at which a handler of aiohttp gets each request."""
    from aiohttp import web

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def refusing(status: int, challenge: str) -> Any:
    """Returns a handler that refuses each request, with this WWW-Authenticate."""
    from aiohttp import web

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"WWW-Authenticate": challenge} if challenge else {})

    return refuse


@asynccontextmanager
async def flooding_web() -> AsyncIterator[Web]:
    from aiohttp import web

    server = Web()

    async def post(request: web.Request) -> web.StreamResponse:
        message = await request.json()
        if "id" not in message:
            return web.Response(status=202)
        name = message["params"].get("name", "fine") if message["method"] == "tools/call" else "fine"
        if name == "fine":
            return web.json_response(answered(message, WEB_TOOLS))
        if name == "zipped":
            body = BEGIN % message["id"] + b"x" * FLOOD_BYTES + b'"}]}}'
            zipped = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
            return web.Response(body=await asyncio.to_thread(gzip.compress, body, 1), headers=zipped)
        return await send(request, name, message["id"])

    async def send(request: web.Request, name: str, number: int) -> web.StreamResponse:
        is_events = "event" in name
        response = web.StreamResponse(status={"refusal": 400, "redirect": 307}.get(name, 200))
        response.content_type = "text/event-stream" if is_events else "application/json"
        if name == "redirect":
            response.headers["Location"] = "/mcp"
        await response.prepare(request)
        begin = BEGIN % number
        await response.write(b"data: " + begin if is_events else begin)
        for _ in range(FLOOD_BYTES // len(CHUNK)):
            await response.write(CHUNK + b"\ndata: " if name == "events" else CHUNK)
            server.sent_bytes += len(CHUNK)
        return response

    async with served(post) as url:
        server.url = f"{url}/mcp"
        yield server


@dataclass
class Endless:
    """A server on HTTP, none of whose calls end by themselves, though their clients say that they are canceled."""

    url: str = ""
    open_calls: int = 0


ENDLESS = ("no headers", "half a body", "no events", "events without a result")
"""What each tool's response consists of."""


@asynccontextmanager
async def endless_web() -> AsyncIterator[Endless]:
    from aiohttp import web

    server = Endless()

    async def post(request: web.Request) -> web.StreamResponse:
        message = await request.json() if request.method == "POST" else {}
        if "id" not in message:
            return web.Response(status=202 if message else 405)
        name = message.get("params", {}).get("name")
        if message["method"] != "tools/call":
            return web.json_response(answered(message, ENDLESS))
        server.open_calls += 1
        response = web.StreamResponse()
        response.content_type = "text/event-stream" if "event" in name else "application/json"
        if name != "no headers":
            await response.prepare(request)
        if name == "half a body":
            await response.write(BEGIN % message["id"])
        if name == "events without a result":
            await response.write(b"id: 1\ndata:\n\n")
        try:
            await asyncio.Event().wait()
        finally:
            server.open_calls -= 1
        return response

    async with served(post) as url:
        server.url = f"{url}/mcp"
        yield server


if __name__ == "__main__":
    main(Path(sys.argv[1]))
