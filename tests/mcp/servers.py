"""Real MCP servers for tests: scripted ones on stdio, and one of the SDK on streamable HTTP."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.clock import Clock, SystemClock
from bot.core.calls import Pin
from bot.mcp.config import HttpTransport, McpSetup, ServerConfig, StdioTransport
from bot.mcp.definitions import offered_names
from bot.mcp.server import McpServer, open_servers
from bot.store import Stores
from slack_sandbox.testing.processes import WITHIN_S

TOKEN = "secret-of-the-test"
"""What the server on HTTP wants to see."""
PATIENCE_S = 30.0
"""How long answers wait for servers that start slowly, as they do beside other work."""
RAW_SERVER = Path(__file__).with_name("raw_server.py")
TIME = ServerConfig("time", StdioTransport(str(Path(sys.executable).with_name("mcp-server-time"))))

Json = dict[str, Any]


def tool(name: str, description: str = "Does it.", **more: Any) -> Json:
    """Returns a tool without parameters, as a server lists it."""
    return {"name": name, "description": description, "inputSchema": {"type": "object"}, **more}


async def agree(stores: Stores, setup: McpSetup) -> None:
    """Agrees to all tools that the servers list now, as `typist mcp agree` does."""
    async with open_servers(setup.servers, SystemClock()) as servers:
        for name, server in servers.by_name.items():
            for tool_name, listed in offered_names(name, await server.tools()).items():
                await stores.tool_pins.approve(tool_name, Pin(listed.hash, listed.canonical_json))


def text_result(text: str) -> Json:
    return {"content": [{"type": "text", "text": text}]}


@dataclass(frozen=True)
class RawServer:
    """A server on stdio that says what its file says."""

    file: Path

    def script(
        self,
        tools: list[Json] | None,
        results: Json | None = None,
        start: str = "",
        listed: Json | None = None,
        about: Json | None = None,
        pages: Json | None = None,
    ) -> None:
        """Sets what the server says: beside its tools (`listed`), of itself (`about`), and to cursors (`pages`)."""
        said = {"tools": tools, "results": results or {}, "start": start}
        said |= {"listed": listed or {}, "about": about or {}, "pages": pages or {}}
        # In one step: a server that is late reads the file again and again.
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(said))
        new.replace(self.file)

    def config(self, name: str = "raw") -> ServerConfig:
        """Returns the server's configuration: Python without site-packages, which starts in a moment."""
        return ServerConfig(name, StdioTransport(sys.executable, ("-I", "-S", str(RAW_SERVER), str(self.file))))

    def entry(self) -> Json:
        """Returns the same for a file of mcpServers."""
        return {"command": sys.executable, "args": ["-I", "-S", str(RAW_SERVER), str(self.file)]}

    @property
    def calls(self) -> list[list[Any]]:
        calls = self.file.with_suffix(".calls")
        return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    @property
    def pid(self) -> int:
        """The process that was started last."""
        return int(self.file.with_suffix(".pid").read_text())

    @property
    def has_started(self) -> bool:
        """Whether a process was started since `forget_start`."""
        file = self.file.with_suffix(".pid")
        return file.exists() and bool(file.read_text())

    def forget_start(self) -> None:
        self.file.with_suffix(".pid").unlink()

    @property
    def is_running(self) -> bool:
        """Whether the process started last runs. It may be no child of ours, and nobody may have waited for it."""
        with suppress(FileNotFoundError, ProcessLookupError):
            return ") Z " not in Path(f"/proc/{self.pid}/stat").read_text()
        return False

    @property
    def is_alive(self) -> bool:
        with suppress(ProcessLookupError):
            os.kill(self.pid, 0)
            return True
        return False


@asynccontextmanager
async def running(config: ServerConfig, clock: Clock | None = None) -> AsyncIterator[McpServer]:
    """Yields one server, which starts when it is needed."""
    async with open_servers([config], clock or SystemClock()) as servers:
        yield servers.by_name[config.name]


def be_patient() -> None:
    """Lets the answers of this process wait for servers that start slowly."""
    from bot.mcp import tools

    tools.OFFERED_WITHIN_S = PATIENCE_S


@asynccontextmanager
async def http_server(
    port: int = 0, *arguments: str, module: str = "tests.mcp.sample_server"
) -> AsyncIterator[tuple[ServerConfig, asyncio.subprocess.Process]]:
    """Yields a server on HTTP and its process. `module` is run with the port and the arguments, and prints the URL."""
    program = ("-m", module, str(port), *arguments)
    process = await asyncio.create_subprocess_exec(sys.executable, *program, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WITHIN_S):
            url = (await process.stdout.readline()).decode().strip()
        yield ServerConfig("web", HttpTransport(url, {"Authorization": f"Bearer {TOKEN}"})), process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
