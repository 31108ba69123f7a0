"""An MCP server of the SDK on streamable HTTP, in the place of a server on the web.

`python -m tests.mcp.sample_server PORT [DESCRIPTION]` serves on a port, 0 for a free one. DESCRIPTION is what the
server says about its tool `add`. It prints its URL. Requests without the header `Authorization: Bearer TOKEN` are
refused.
"""

import socket
import sys

import anyio
import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tests.mcp.servers import TOKEN

server = MCPServer("sample")


def add(a: int, b: int) -> int:
    return a + b


@server.tool()
async def wait(seconds: float) -> str:
    """Waits, and prints that it does."""
    sys.stdout.write("waiting\n")
    sys.stdout.flush()
    await anyio.sleep(seconds)
    return "waited"


class Guard(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return PlainTextResponse("No.", status_code=401)
        return await call_next(request)


def serve(served: MCPServer, port: int) -> None:
    """Serves until SIGTERM, and prints the URL first."""
    app = served.streamable_http_app()
    app.add_middleware(Guard)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        sys.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp\n")
        sys.stdout.flush()
        # A client that is killed in the middle of a call is an error to uvicorn.
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=0)
        uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    server.add_tool(add, description=" ".join(sys.argv[2:]) or "Adds two numbers.")
    serve(server, int(sys.argv[1]))
