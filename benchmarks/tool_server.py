"""The MCP server of a chaos run, which counts its calls: python -m benchmarks.tool_server PORT FILE.

It serves streamable HTTP as a process of its own. Each call is a line of the file as soon as it arrives, before it
takes its time: a call whose caller is gone has been made all the same.
"""

import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from mcp.server.mcpserver import MCPServer

from benchmarks.tool_plan import ASKED_WRITE, READ, SERVER, WRITE, result_text
from bot.clock import SystemClock
from bot.mcp.config import HttpTransport, read_setup
from bot.store import Stores
from tests.mcp.sample_server import serve
from tests.mcp.servers import TOKEN, agree, http_server


@dataclass(frozen=True)
class ToolServer:
    """The running server."""

    config: Path
    """The file for BOT_MCP_CONFIG."""
    calls: Path
    """The file with the calls that arrived."""
    secret: str = TOKEN
    """What clients must send."""

    def counts(self) -> Counter[str]:
        """Returns how often a call with each token arrived."""
        return Counter(self.calls.read_text().split())


@asynccontextmanager
async def tool_server(folder: Path) -> AsyncIterator[ToolServer]:
    """Starts the server, with files in the folder."""
    calls, config = folder / "calls.txt", folder / "mcp.json"
    calls.touch()
    async with http_server(0, str(calls), module="benchmarks.tool_server") as (web, _):
        assert isinstance(web.transport, HttpTransport)
        server = {"type": "http", "url": web.transport.url, "headers": dict(web.transport.headers)}
        names = {tool: f"{SERVER}__{tool}" for tool in (READ, WRITE, ASKED_WRITE)}
        rules = {"ask": [names[ASKED_WRITE]], "allow": [names[READ], names[WRITE]], "readOnly": [names[READ]]}
        config.write_text(json.dumps({"mcpServers": {SERVER: server}, **rules, "directMessages": [SERVER]}))
        yield ToolServer(config, calls)


async def agree_to_tools(database_url: str, config: Path) -> None:
    """Agrees to the tools of the server."""
    stores = await Stores.open(database_url, "admin", SystemClock())
    try:
        await agree(stores, read_setup(config, {}))
    finally:
        await stores.close()


def main(port: int, calls: Path) -> None:
    """Serves until SIGTERM."""
    server = MCPServer(SERVER)

    async def made(token: str, takes_s: float) -> str:
        with calls.open("a") as file:
            file.write(f"{token}\n")
        await anyio.sleep(takes_s)
        return result_text(token)

    for name in (READ, WRITE, ASKED_WRITE):
        server.add_tool(made, name=name, description=f"Counts a {name}.")
    serve(server, port)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
