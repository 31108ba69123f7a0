"""A server that sends 50 MB: it is read up to the limit, the call fails with a sentence, and the server goes on."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.core.calls import CallState
from bot.mcp.config import MAX_MESSAGE_BYTES, HttpTransport, ServerConfig, StdioTransport
from bot.mcp.sentences import RESULT_TOO_LONG, RESULT_UNREADABLE, SERVER_DOWN
from bot.mcp.server import McpServer, ServerDown, open_servers
from slack_sandbox.testing.processes import WITHIN_S
from tests.clocks import until
from tests.mcp import flood
from tests.mcp.flood import ENDLESS, WEB_TOOLS, Web, endless_web, flooding_web
from tests.mcp.servers import Json, RawServer, running, text_result, tool

IN_BUFFERS_BYTES = 16_000_000
"""What the kernel and two event loops may hold beside what is read."""
DONE, FAILED, UNKNOWN = CallState.DONE, CallState.FAILED, CallState.UNKNOWN


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with flooding_web() as web:
        yield web


@pytest.fixture
async def server(web: Web) -> AsyncIterator[McpServer]:
    """The server on HTTP, which has listed its tools."""
    async with running(ServerConfig("web", HttpTransport(web.url))) as server:
        assert {listed.name for listed in await server.tools()} == set(WEB_TOOLS)
        yield server


async def called(server: McpServer, name: str, *, read_only: bool = False) -> tuple[CallState, str]:
    result, _ = await server.call(name, {}, timeout_s=60, read_only=read_only)
    return result.outcome, result.text


async def test_line_of_a_process_is_read_up_to_the_limit_and_the_process_replaced(tmp_path: Path) -> None:
    file = tmp_path / "flood"
    config = ServerConfig("flood", StdioTransport(sys.executable, ("-I", "-S", flood.__file__, str(file))))
    other = RawServer(tmp_path / "other.json")
    other.script([tool("look")], {"look": text_result("Seen.")})
    async with open_servers([config, other.config("other")], SystemClock()) as servers:
        server = servers.by_name["flood"]
        await servers.by_name["other"].tools()
        assert {listed.name for listed in await server.tools()} == {"flood", "fine"}
        other_pid = other.pid
        assert await called(server, "flood") == (DONE, RESULT_TOO_LONG)
        sent_bytes = file.with_suffix(".sent").stat().st_size * len(flood.CHUNK)
        assert sent_bytes < MAX_MESSAGE_BYTES + IN_BUFFERS_BYTES < flood.FLOOD_BYTES
        assert await called(server, "fine") == (DONE, "Hi.")
        assert await called(servers.by_name["other"], "look") == (DONE, "Seen.")
        assert other.pid == other_pid


@pytest.mark.parametrize("form", ["body", "events", "one line of an event", "refusal"])
@pytest.mark.parametrize("read_only", [False, True])
async def test_response_is_read_up_to_the_limit(web: Web, server: McpServer, form: str, *, read_only: bool) -> None:
    outcome, text = await called(server, form, read_only=read_only)
    if form == "refusal":
        assert outcome is FAILED
        assert text.startswith("The tool's server refused the call with HTTP 400.")
    else:
        assert (outcome, text) == (DONE, RESULT_TOO_LONG)
    assert web.sent_bytes < MAX_MESSAGE_BYTES + IN_BUFFERS_BYTES < flood.FLOOD_BYTES
    assert await called(server, "fine") == (DONE, "Hi.")


@pytest.mark.parametrize("form", ENDLESS)
@pytest.mark.parametrize("ends", ["stopped", "too late"])
async def test_call_that_ends_before_its_response_leaves_no_connection_open(form: str, ends: str) -> None:
    async with endless_web() as web, running(ServerConfig("web", HttpTransport(web.url))) as server:
        await server.tools()
        before = len(os.listdir("/proc/self/fd"))
        timeout_s = 0.2 if ends == "too late" else 60.0
        for _ in range(15 if ends == "stopped" else 3):
            calls = [server.call(form, {}, timeout_s=timeout_s, read_only=False) for _ in range(4)]
            calling = [asyncio.create_task(call) for call in calls]
            await until(lambda: web.open_calls == 4, "the calls")
            for call in calling if ends == "stopped" else ():
                call.cancel()
            await asyncio.wait(calling)
            await until(lambda: web.open_calls == 0, "their end")
        # One connection stays for the next call.
        assert len(os.listdir("/proc/self/fd")) <= before + 2


async def test_redirect_is_read_up_to_the_limit(web: Web, server: McpServer) -> None:
    assert (await called(server, "redirect"))[0] is UNKNOWN
    assert web.sent_bytes < MAX_MESSAGE_BYTES + IN_BUFFERS_BYTES
    assert await called(server, "fine") == (DONE, "Hi.")


async def test_compressed_response_is_not_decompressed(server: McpServer) -> None:
    assert await called(server, "zipped", read_only=True) == (DONE, RESULT_UNREADABLE)
    assert await called(server, "fine") == (DONE, "Hi.")


@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        ([tool(f"tool{number}", "x" * 1_000_000) for number in range(9)], "it sent more than 8 MB at once"),
        ([tool(f"tool{number}") for number in range(1_001)], "it lists more than 1,000 tools"),
    ],
    ids=["too long", "too many"],
)
async def test_list_of_tools_beyond_the_limits_makes_the_server_down(
    raw: RawServer, tools: list[Json], reason: str
) -> None:
    raw.script(tools)
    async with running(raw.config()) as server:
        with pytest.raises(ServerDown, match=f"^{reason}$"):
            await server.tools()
        assert await called(server, "tool1") == (FAILED, SERVER_DOWN)


async def test_process_that_ended_between_two_calls_is_replaced_before_the_next(raw: RawServer) -> None:
    raw.script([tool("look")], {"look": text_result("Seen.")})
    async with running(raw.config()) as server:
        await server.tools()
        first = raw.pid
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(WITHIN_S):
            # The list is trusted for a minute: only a new process makes another one.
            while raw.pid == first:
                await server.tools()
                await asyncio.sleep(0.01)
        assert await called(server, "look") == (DONE, "Seen.")
