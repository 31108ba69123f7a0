"""MCP servers: started when needed, called once, reached again after they died, and ended with us."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bot.core.calls import CallState
from bot.mcp.config import HttpTransport, ServerConfig, StdioTransport
from bot.mcp.sentences import CALL_LATE, CALL_LOST, RESULT_UNREADABLE, SERVER_BUSY, SERVER_DOWN
from bot.mcp.server import BACKOFF, MAX_CALLS, MAX_LISTED_TOOLS, STABLE_S, McpServer, ServerDown
from slack_sandbox.testing.processes import WITHIN_S, wait_for_line
from tests.clocks import HurriedClock, ManualClock, turns, until
from tests.mcp.servers import TIME, Json, RawServer, http_server, running, text_result, tool

pytestmark = pytest.mark.wide


DONE, FAILED, UNKNOWN = CallState.DONE, CallState.FAILED, CallState.UNKNOWN


@pytest.fixture
async def server(raw: RawServer, clock: HurriedClock) -> AsyncIterator[McpServer]:
    async with running(raw.config(), clock) as server:
        yield server


async def outcome(server: McpServer, name: str, *, read_only: bool = False, timeout_s: float = 30) -> CallState:
    result, _ = await server.call(name, {}, timeout_s=timeout_s, read_only=read_only)
    return result.outcome


async def running_process(raw: RawServer) -> None:
    await until(lambda: raw.has_started, "the server's start")


async def called(raw: RawServer) -> None:
    await until(lambda: raw.calls, "a call")


GOOD: Json = tool("good", inputSchema={"type": "object"})


@dataclass(frozen=True, eq=False)
class Told:
    """An error that a server sends, and what the model reads."""

    sent: object
    text: str
    outcome: CallState = DONE

    def __str__(self) -> str:
        return self.text[:20]


ERRORS = (
    # Of crystaldba/postgres-mcp#57's kind: the tool failed, and its server says so with any code.
    Told({"code": -32603, "message": "no pg_hba.conf entry"}, "no pg_hba.conf entry"),
    Told({"code": -32602, "message": "a is missing"}, "a is missing", FAILED),
    Told({"code": -32601, "message": "No such tool"}, "No such tool", FAILED),
    Told({"code": -32600, "message": "Bad query"}, "Bad query"),
    Told({"code": -32000, "message": "Connection closed"}, "Connection closed"),
    Told({"code": -32001, "message": "Request timed out"}, "Request timed out"),
    Told({"code": -32700, "message": "Failed to parse JSON response: x"}, "Failed to parse JSON response: x"),
    Told({"code": -32042, "message": "Sign in first"}, "Sign in first"),
    Told({"code": 500, "message": "it broke"}, "it broke"),
    Told({"code": 1, "message": ""}, "The tool failed with error 1, and gave no reason."),
    Told({"code": 1, "message": "x", "data": "at line 3"}, "x\nat line 3"),
    Told({"code": 1, "message": "x", "data": {"hint": "ä"}}, 'x\n{"hint": "ä"}'),
    Told({"code": 1, "message": "x", "data": {}}, "x"),
    # Not quite JSON-RPC.
    Told({"code": "EPERM", "message": "not allowed"}, "not allowed"),
    Told({"message": "no code"}, "no code"),
    Told({"code": 5}, '{"code": 5}'),
    Told("just words", "just words"),
)


class TestRealServers:
    @pytest.mark.long
    async def test_time_server_on_stdio_lists_and_answers(self, clock: HurriedClock) -> None:
        async with running(TIME, clock) as server:
            assert {listed.name for listed in await server.tools()} == {"get_current_time", "convert_time"}
            berlin = {"timezone": "Europe/Berlin"}
            result, by_server = await server.call("get_current_time", berlin, timeout_s=30, read_only=True)
            assert (result.outcome, result.is_error, by_server) == (DONE, False, True)
            assert '"timezone": "Europe/Berlin"' in result.text
            nowhere = {"timezone": "Nowhere/None"}
            result, _ = await server.call("get_current_time", nowhere, timeout_s=30, read_only=True)
            assert (result.outcome, result.is_error) == (DONE, True)

    @pytest.mark.long
    async def test_http_server_gets_its_headers_and_is_reached_again_after_a_restart(self, clock: HurriedClock) -> None:
        async with http_server() as (config, process), running(config, clock) as server:
            assert {listed.name for listed in await server.tools()} == {"add", "wait"}
            result, _ = await server.call("add", {"a": 2, "b": 40}, timeout_s=30, read_only=False)
            assert (result.outcome, result.text) == (DONE, "42")
            calling = asyncio.create_task(server.call("wait", {"seconds": 60}, timeout_s=60, read_only=False))
            await wait_for_line(process.stdout, "waiting")
            process.kill()
            assert (await calling)[0].outcome is UNKNOWN
            await process.wait()
            assert isinstance(config.transport, HttpTransport)
            port = int(config.transport.url.split(":")[2].split("/")[0])
            async with http_server(port):
                clock.ahead_s += 120
                assert {listed.name for listed in await server.tools()} == {"add", "wait"}
                result, _ = await server.call("add", {"a": 1, "b": 1}, timeout_s=30, read_only=False)
                assert result.text == "2"

    @pytest.mark.long
    async def test_refused_header_is_told_by_its_status(self, clock: HurriedClock) -> None:
        async with http_server() as (config, _):
            assert isinstance(config.transport, HttpTransport)
            wrong = replace(config, transport=HttpTransport(config.transport.url, {"Authorization": "Bearer wrong"}))
            async with running(wrong, clock) as server:
                with pytest.raises(ServerDown, match="HTTP 401"):
                    await server.tools()


class TestStarts:
    async def test_nothing_runs_before_it_is_needed(self, raw: RawServer, server: McpServer) -> None:
        raw.script([])
        assert not raw.has_started
        assert await server.tools() == ()
        assert raw.is_alive

    async def test_what_a_server_prints_is_not_in_the_log(
        self, raw: RawServer, clock: HurriedClock, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """It would be a line that is no JSON, with arguments of a call."""
        raw.script([], start="loud")
        async with running(raw.config(), clock) as server:
            assert await server.tools() == ()
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize(
        ("config", "reason"),
        [
            (ServerConfig("raw", StdioTransport("/no/such/command")), "its command was not found"),
            (ServerConfig("raw", StdioTransport("/etc/passwd")), "Permission denied"),
            (
                ServerConfig("raw", StdioTransport(sys.executable, ("-c", "raise SystemExit(3)"))),
                "its process has ended",
            ),
            (ServerConfig("raw", HttpTransport("http://127.0.0.1:9/mcp")), "127.0.0.1:9: Connection refused"),
        ],
    )
    async def test_failed_start_is_told_without_details(
        self, config: ServerConfig, reason: str, clock: HurriedClock
    ) -> None:
        async with running(config, clock) as server:
            with pytest.raises(ServerDown, match=f"^{reason}$"):
                await server.tools()
            assert await outcome(server, "anything") is FAILED

    async def test_server_gets_no_variables_of_ours(
        self, raw: RawServer, clock: HurriedClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
        seen = tmp_path / "environ"
        code = f"import os; open({str(seen)!r}, 'w').write(repr(dict(os.environ)))"
        config = ServerConfig("raw", StdioTransport(sys.executable, ("-I", "-S", "-c", code), {"FOR_IT": "only"}))
        async with running(config, clock) as server:
            with pytest.raises(ServerDown):
                await server.tools()
        assert "SLACK_BOT_TOKEN" not in seen.read_text()
        assert "'FOR_IT': 'only'" in seen.read_text()

    async def test_tries_to_connect_grow_rarer(self, raw: RawServer) -> None:
        clock = ManualClock()
        raw.script([], start="die")
        async with running(raw.config(), clock) as server:
            for pause_s in map(BACKOFF.wait_s, range(4)):
                with pytest.raises(ServerDown):
                    await server.tools()
                raw.forget_start()
                if pause_s:
                    with pytest.raises(ServerDown, match="its process has ended"):
                        await server.tools()
                    assert not raw.has_started
                clock.now_s += pause_s
            raw.script([])
            assert await server.tools() == ()


class TestCalls:
    @pytest.mark.parametrize(
        ("result", "expected", "text"),
        [
            ({**text_result("Hi."), "structuredContent": {"n": 2}}, DONE, 'Hi.\n\n{"n": 2}'),
            ({"resultType": "unheard_of"}, DONE, RESULT_UNREADABLE),
            ({"die": True}, UNKNOWN, CALL_LOST),
        ],
    )
    async def test_call_reaches_the_server_once_and_has_its_result(
        self, raw: RawServer, server: McpServer, result: Json, expected: CallState, text: str
    ) -> None:
        schema = {"type": "object", "properties": {"n": {"type": "string"}}}
        raw.script([tool("it", outputSchema=schema)], {"it": result})
        await server.tools()
        call_result, _ = await server.call("it", {"x": 1}, timeout_s=30, read_only=False)
        assert (call_result.outcome, call_result.text) == (expected, text)
        assert raw.calls == [["it", {"x": 1}]]

    async def test_what_the_sdk_would_refuse_costs_no_other_tool(self, raw: RawServer, server: McpServer) -> None:
        """rust-sdk#1209: a server that begins as older versions do, and names the newest version."""
        about: Json = {"protocolVersion": "2026-07-28", "capabilities": [], "serverInfo": None}
        raw.script([GOOD, {"name": "it"}, {"inputSchema": {}}], listed={"ttlMs": "soon"}, about=about)
        tools = await server.tools()
        assert [(tool.name, tool.is_broken) for tool in tools] == [
            ("good", False),
            ("it", False),
            ("tool-3-of-its-list", True),
        ]

    async def test_error_of_a_server_is_its_own_words(self, raw: RawServer, server: McpServer) -> None:
        raw.script([tool("it")])
        await server.tools()
        first = raw.pid
        told = {}
        for error in ERRORS:
            raw.script([tool("it")], {"it": {"error": error.sent}})
            result, by_server = await server.call("it", {}, timeout_s=30, read_only=False)
            assert (result.is_error, by_server) == (True, True), error
            told[error] = (result.text, result.outcome)
        assert told == {error: (error.text, error.outcome) for error in ERRORS}
        await server.tools()
        assert (raw.pid, len(raw.calls)) == (first, len(ERRORS))

    async def test_last_words_of_a_server_that_ends_are_the_result(self, raw: RawServer, server: McpServer) -> None:
        raw.script([tool("it")], {"it": {"error, and an end": {"code": -32000, "message": "No database."}}})
        await server.tools()
        result, by_server = await server.call("it", {}, timeout_s=5, read_only=False)
        assert (result.outcome, result.text, by_server) == (DONE, "No database.", True)

    @pytest.mark.parametrize("cursor", ["8", ""])
    async def test_list_whose_cursor_stays_the_same_ends(self, raw: RawServer, server: McpServer, cursor: str) -> None:
        """codebase-memory-mcp#1247: the same page twice would be more tools than a server may have."""
        names = [f"t{number}" for number in range(MAX_LISTED_TOOLS)]
        raw.script([tool(name) for name in names], listed={"nextCursor": cursor})
        assert [listed.name for listed in await server.tools()] == names

    @pytest.mark.parametrize(
        ("cursor", "page", "names"),
        [
            # modelcontextprotocol#1942: an empty cursor is one. higress ends its list with it.
            ("", {"result": {"tools": [tool("second")]}}, ["good", "second"]),
            ("", {"error": {"code": -32602, "message": "Invalid cursor"}}, ["good"]),
            ("2", {"result": {"tools": [GOOD, tool("second")], "nextCursor": ""}}, ["good", "second"]),
            ("2", {"error": {"code": -32602, "message": "Invalid cursor"}}, None),
        ],
    )
    async def test_list_goes_on_after_an_empty_cursor_unless_the_server_refuses_that(
        self, raw: RawServer, server: McpServer, cursor: str, page: Json, names: list[str] | None
    ) -> None:
        raw.script([GOOD], listed={"nextCursor": cursor}, pages={cursor: page})
        if names is not None:
            assert [listed.name for listed in await server.tools()] == names
            return
        with pytest.raises(ServerDown, match="it answered with error -32602"):
            await server.tools()

    async def test_unknown_tool_fails(self, raw: RawServer, server: McpServer) -> None:
        raw.script([])
        assert await outcome(server, "gone") is FAILED

    async def test_lost_call_of_a_read_only_tool_failed(self, raw: RawServer, server: McpServer) -> None:
        raw.script([tool("it")], {"it": {"die": True}})
        await server.tools()
        result, _ = await server.call("it", {}, timeout_s=30, read_only=True)
        assert (result.outcome, result.text) == (FAILED, CALL_LOST)

    async def test_slow_call_ends_in_time_and_is_unknown(self, raw: RawServer, server: McpServer) -> None:
        raw.script([tool("it")], {"it": {"sleep_s": 60}})
        await server.tools()
        begun = time.monotonic()
        result, _ = await server.call("it", {}, timeout_s=0.5, read_only=False)
        assert (result.outcome, result.text) == (UNKNOWN, CALL_LATE.format(limit_s=60))
        assert time.monotonic() - begun < 30
        await called(raw)
        assert raw.calls == [["it", {}]]

    async def test_call_that_makes_progress_goes_on_behind_its_limit(self, raw: RawServer, clock: HurriedClock) -> None:
        raw.script([tool("it")], {"it": {"progress_s": 2.0}})
        heard: list[None] = []
        config = replace(raw.config(), timeout_s=0.6)
        async with running(config, clock) as server:
            await server.tools()
            result, _ = await server.call(
                "it", {}, timeout_s=0.6, read_only=False, on_progress=lambda: heard.append(None)
            )
        assert (result.outcome, result.text, len(heard) > 20) == (DONE, "Done.", True)

    async def test_progress_has_a_bound(
        self, raw: RawServer, server: McpServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bot.mcp.server.MAX_CALL_S", 0.5)
        raw.script([tool("it")], {"it": {"progress_s": 30.0}})
        await server.tools()
        assert await outcome(server, "it") is UNKNOWN

    async def test_calls_beyond_the_most_at_once_are_not_made_if_their_time_is_over_first(
        self, raw: RawServer, server: McpServer
    ) -> None:
        raw.script([tool("it")], {"it": {"sleep_s": 60}})
        await server.tools()
        calling = [asyncio.create_task(outcome(server, "it")) for _ in range(MAX_CALLS)]
        await called(raw)
        result, _ = await server.call("it", {}, timeout_s=0.01, read_only=False)
        assert (result.outcome, result.text) == (FAILED, SERVER_BUSY)
        for call in calling:
            call.cancel()
        await asyncio.wait(calling)

    async def test_call_that_waits_for_its_turn_spends_its_time(
        self, raw: RawServer, server: McpServer, clock: HurriedClock
    ) -> None:
        raw.script([tool("it")], {"it": {"sleep_s": 600}})
        await server.tools()
        calling = [asyncio.create_task(outcome(server, "it")) for _ in range(MAX_CALLS)]
        await called(raw)
        waiting = asyncio.create_task(outcome(server, "it", timeout_s=600))
        await asyncio.sleep(0)
        clock.ahead_s += 600
        calling[0].cancel()
        async with asyncio.timeout(WITHIN_S):
            assert await waiting is UNKNOWN
        for call in calling:
            call.cancel()
        await asyncio.wait(calling)

    async def test_response_that_is_no_json_is_lost_when_the_time_is_up(
        self, raw: RawServer, server: McpServer
    ) -> None:
        raw.script([tool("it")], {"it": {"line": '{"jsonrpc": "2.0", "id": ID, "result": {'}})
        await server.tools()
        assert await outcome(server, "it", timeout_s=0.5) is UNKNOWN

    async def test_response_that_is_not_quite_a_message_is_the_result(self, raw: RawServer, server: McpServer) -> None:
        raw.script([tool("it")], {"it": {"line": '{"id": ID, "result": "Gr\xfc\xdfe"}'}})
        await server.tools()
        result, by_server = await server.call("it", {}, timeout_s=30, read_only=False)
        assert (result.outcome, result.text, by_server) == (DONE, "Gr\ufffd\ufffde", True)

    async def test_server_that_died_is_started_again_for_the_next_call(self, raw: RawServer, server: McpServer) -> None:
        raw.script([tool("it"), tool("die")], {"it": text_result("Hi."), "die": {"die": True}})
        await server.tools()
        first = raw.pid
        assert await outcome(server, "die") is UNKNOWN
        assert await outcome(server, "it") is DONE
        assert raw.pid != first
        assert [name for name, _ in raw.calls] == ["die", "it"]

    async def test_call_that_fails_releases_the_connection_that_it_lost(
        self, raw: RawServer, server: McpServer, clock: HurriedClock
    ) -> None:
        raw.script([tool("it"), tool("close")], {"it": text_result("Hi."), "close": {"close_stdout": True}})
        for _ in range(3):
            # After two losses in a row, nobody tries to connect for a second.
            clock.ahead_s += STABLE_S
            assert await outcome(server, "it") is DONE
            assert await outcome(server, "close") is UNKNOWN
            await until(lambda: not raw.is_alive, "the process's end")

    async def test_server_that_dies_now_and_then_is_reached_again_at_once(
        self, raw: RawServer, server: McpServer, clock: HurriedClock
    ) -> None:
        raw.script([tool("die")], {"die": {"die": True}})
        for _ in range(3):
            assert [tool.name for tool in await server.tools()] == ["die"]
            clock.ahead_s += STABLE_S
            assert await outcome(server, "die") is UNKNOWN
            await until(lambda: not server._connection_tasks, "the process's end")

    async def test_server_that_is_found_dead_is_reached_again_for_its_list(
        self, raw: RawServer, server: McpServer
    ) -> None:
        raw.script([tool("it")])
        await server.tools()
        os.kill(raw.pid, signal.SIGKILL)
        assert [tool.name for tool in await server.tools(max_age_s=0)] == ["it"]

    async def test_no_call_is_made_while_the_server_is_down(self, raw: RawServer, server: McpServer) -> None:
        raw.script([], start="die")
        result, _ = await server.call("it", {}, timeout_s=30, read_only=False)
        assert (result.outcome, result.text) == (FAILED, SERVER_DOWN)

    async def test_canceled_call_leaves_the_server_usable(self, clock: HurriedClock) -> None:
        async with http_server() as (config, process), running(config, clock) as server:
            await server.tools()
            calling = asyncio.create_task(server.call("wait", {"seconds": 60}, timeout_s=60, read_only=False))
            await wait_for_line(process.stdout, "waiting")
            calling.cancel()
            await asyncio.wait([calling])
            assert calling.cancelled()
            assert await outcome(server, "gone") is not UNKNOWN


class TestEnds:
    @pytest.mark.parametrize("is_faster", [False, True], ids=["usual", "faster than we connect its pipes"])
    async def test_process_that_hangs_at_its_start_ends_with_its_children(
        self, raw: RawServer, clock: HurriedClock, is_faster: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        raw.script([], start="hung")
        child = RawServer(raw.file.with_name("child.json"))

        class FastProcess(subprocess.Popen[bytes]):
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                while not (raw.has_started and child.has_started):
                    os.sched_yield()

        if is_faster:
            monkeypatch.setattr("subprocess.Popen", FastProcess)
        async with running(raw.config(), clock) as server:
            listing = asyncio.create_task(server.tools())
            await running_process(raw)
            await running_process(child)
            begun = time.monotonic()
            # As the bot ends: it waits a second, gives that up, and closes again.
            closing = asyncio.create_task(server.close())
            await turns()
            closing.cancel()
        # Before the assertions: if one failed, the task's unread exception would fail another test of this process.
        with pytest.raises(ServerDown):
            await listing
        assert not raw.is_alive
        # It was killed with its parent, but isn't ours to wait for.
        await until(lambda: not child.is_running, "the child's end")
        assert time.monotonic() - begun < 30

    @pytest.mark.parametrize("start", ["", "stubborn"], ids=["usual", "nothing but a kill ends it"])
    async def test_process_ends_with_us_and_within_our_time(
        self, raw: RawServer, clock: HurriedClock, start: str
    ) -> None:
        raw.script([], start=start)
        async with running(raw.config(), clock) as server:
            await server.tools()
            begun = time.monotonic()
        assert not raw.is_alive
        assert time.monotonic() - begun < 30

    async def test_process_has_time_to_tidy_up_after_the_signal_to_end(
        self, raw: RawServer, clock: HurriedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bot.mcp.stdio.EXIT_WITHIN_S", 3.0)
        monkeypatch.setattr("bot.mcp.server.CLOSE_WITHIN_S", 30.0)
        raw.script([], start="tidy")
        async with running(raw.config(), clock) as server:
            await server.tools()
        assert raw.file.with_suffix(".tidy").exists()
        assert not raw.is_alive

    async def test_process_that_is_still_starting_ends_too(self, raw: RawServer, clock: HurriedClock) -> None:
        raw.script([], start="silent")
        async with running(raw.config(), clock) as server:
            listing = asyncio.create_task(server.tools())
            await running_process(raw)
        with pytest.raises(ServerDown):
            await listing
        assert not raw.is_alive

    async def test_nothing_starts_after_the_end(self, raw: RawServer, clock: HurriedClock) -> None:
        raw.script([])
        async with running(raw.config(), clock) as server:
            pass
        assert await outcome(server, "it") is FAILED
        assert not raw.has_started
