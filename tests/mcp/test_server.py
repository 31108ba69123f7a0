"""MCP servers: started when needed, called once, reached again after they died, and ended with us."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.core.calls import CallState
from bot.mcp.config import HttpTransport, ServerConfig, StdioTransport, ToolRules
from bot.mcp.definitions import offered_names
from bot.mcp.sentences import CALL_LATE, CALL_LOST, RESULT_UNREADABLE, SERVER_BUSY, SERVER_DOWN
from bot.mcp.server import BACKOFF, MAX_CALLS, MAX_LISTED_TOOLS, STABLE_S, McpServer, ServerDown
from bot.mcp.tools import tools_of
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


async def started(raw: RawServer) -> None:
    await until(lambda: raw.has_started, "the server's start")


async def called(raw: RawServer) -> None:
    await until(lambda: raw.calls, "a call")


def part(**fields: object) -> Json:
    """Returns a result of one part."""
    return {"content": [fields]}


SCHEMA_OF_A = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
GOOD: Json = {"name": "good", "description": "Does it.", "inputSchema": SCHEMA_OF_A}
REPAIRED: dict[str, tuple[Json, Json]] = {
    "no inputSchema": ({"name": "it"}, {}),
    "null": ({"name": "it", "inputSchema": None}, {}),
    "an empty list": ({"name": "it", "inputSchema": []}, {}),
    "no type": ({"name": "it", "inputSchema": {"properties": {}}}, {"properties": {}}),
    "properties as a list": ({"name": "it", "inputSchema": {"type": "object", "properties": []}}, {"properties": {}}),
    "null as properties": ({"name": "it", "inputSchema": {"type": "object", "properties": None}}, {"properties": {}}),
    "properties as a list, deeper": (
        {"name": "it", "inputSchema": {"properties": {"a": {"type": "object", "properties": []}}}},
        {"properties": {"a": {"type": "object", "properties": {}}}},
    ),
    "required as a text": ({"name": "it", "inputSchema": {"required": "a"}}, {"required": ["a"]}),
    "required as a boolean": ({"name": "it", "inputSchema": {"required": True}}, {}),
    "two types": ({"name": "it", "inputSchema": {"type": ["object", "null"]}}, {}),
    "an empty list as data": (
        {"name": "it", "inputSchema": {"default": {"properties": []}}},
        {"default": {"properties": []}},
    ),
    "an annotation that is a word": ({**GOOD, "name": "it", "annotations": "read-only"}, SCHEMA_OF_A),
    "a hint that is a word": ({**GOOD, "name": "it", "annotations": {"readOnlyHint": "maybe"}}, SCHEMA_OF_A),
    "an icon without src": ({**GOOD, "name": "it", "icons": [{"mimeType": "image/png"}]}, SCHEMA_OF_A),
    "a description as a list": ({**GOOD, "name": "it", "description": ["a"]}, SCHEMA_OF_A),
    "a title as a number": ({**GOOD, "name": "it", "title": 5}, SCHEMA_OF_A),
    "_meta as a list": ({**GOOD, "name": "it", "_meta": []}, SCHEMA_OF_A),
    "_meta as ours": ({**GOOD, "name": "it", "_meta": {"typist/broken": True}}, SCHEMA_OF_A),
    "outputSchema as a text": ({**GOOD, "name": "it", "outputSchema": "x"}, SCHEMA_OF_A),
}
BROKEN: dict[str, tuple[object, str]] = {
    "a number as a name": ({**GOOD, "name": 5}, "tool-2-of-its-list"),
    "no name": ({"inputSchema": {"type": "object"}}, "tool-2-of-its-list"),
    "a text as a schema": ({"name": "it", "inputSchema": "x"}, "it"),
    "a schema of a text": ({"name": "it", "inputSchema": {"type": "string"}}, "it"),
    "properties as a list of something": ({"name": "it", "inputSchema": {"properties": ["a"]}}, "it"),
    "no object": ("it", "tool-2-of-its-list"),
    "null": (None, "tool-2-of-its-list"),
}


@dataclass(frozen=True)
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


@pytest.mark.wide
class TestRealServers:
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
            (text_result("Hi."), DONE, "Hi."),
            ({**text_result("No."), "isError": True}, DONE, "No."),
            ({**text_result("Hi."), "tools": ["a"], "protocolVersion": 1}, DONE, "Hi."),
            ({"content": []}, DONE, "(The tool returned nothing.)"),
            (
                part(type="image", data="AAAA", mimeType="image/png"),
                DONE,
                "[left out: image (image/png, 3 bytes), which Typist doesn't pass on]",
            ),
            (
                part(type="audio", data="AAAA", mimeType="audio/wav"),
                DONE,
                "[left out: audio (audio/wav, 3 bytes), which Typist doesn't pass on]",
            ),
            (
                part(type="resource_link", uri="https://evil.example/?q=1", name="more"),
                DONE,
                "[link to more: https://evil.example/?q=1]",
            ),
            (
                part(type="resource_link", uri="a:b", name="q3.pdf", title="Third quarter", description="12 pages."),
                DONE,
                "[link to q3.pdf (Third quarter): a:b]\n12 pages.",
            ),
            (part(type="resource", resource={"uri": "file:///a", "text": "A."}), DONE, "[contents of file:///a]\nA."),
            (
                part(type="resource", resource={"uri": "file:///a", "blob": "AAAA"}),
                DONE,
                "[left out: file file:///a (of an unknown type, 3 bytes), which Typist doesn't pass on]",
            ),
            # LibreChat#15601: a text that comes in base64.
            (
                part(type="resource", resource={"uri": "file:///a", "blob": "w6QK", "mimeType": "text/plain"}),
                DONE,
                "[contents of file:///a]\nä\n",
            ),
            (
                part(type="resource", resource={"uri": "a:b", "blob": "/wD/", "mimeType": "application/json"}),
                DONE,
                "[left out: file a:b (application/json, 3 bytes), which Typist doesn't pass on]",
            ),
            ({"content": [], "structuredContent": {"a": 1}}, DONE, '{"a": 1}'),
            ({**text_result("Two."), "structuredContent": {"n": 2}}, DONE, 'Two.\n\n{"n": 2}'),
            ({**text_result('{ "n": 2 }'), "structuredContent": {"n": 2}}, DONE, '{ "n": 2 }'),
            ({**text_result("[1, 2]"), "structuredContent": [1, 2]}, DONE, "[1, 2]\n\n[1, 2]"),
            ({**text_result("Hi."), "structuredContent": {"result": "Hi."}}, DONE, "Hi."),
            ({**text_result("5"), "structuredContent": {"result": 5}}, DONE, "5"),
            ({**text_result("5"), "structuredContent": {"result": 6}}, DONE, '5\n\n{"result": 6}'),
            ({"structuredContent": {"n": 2}}, DONE, '{"n": 2}'),
            ({"content": "no list"}, DONE, "no list"),
            ({**text_result("Hi."), "_meta": [], "isError": "no"}, DONE, "Hi."),
            ({"content": None}, DONE, "(The tool returned nothing.)"),
            # Of what is of an unknown kind, the model reads the JSON.
            ({"content": [{"type": "json", "json": {"é": 1}}]}, DONE, '{"type": "json", "json": {"é": 1}}'),
            (
                {"content": [{"type": "json", "json": ["é 1"] * 900}]},
                DONE,
                json.dumps({"type": "json", "json": ["é 1"] * 900}, ensure_ascii=False),
            ),
            # Each part has what can be read of it.
            (part(type="markdown", text="M" * 3_000), DONE, "M" * 3_000),
            (part(type="resource", resource={"text": "T" * 3_000}), DONE, "T" * 3_000),
            (part(type="resource_link", uri="a:b"), DONE, "[link to a:b: a:b]"),
            (
                part(type="image", data="A" * 4_000, annotations={"priority": 5}),
                DONE,
                "[left out: image (of an unknown type, 3,000 bytes), which Typist doesn't pass on]",
            ),
            (
                part(type="resource", resource={"uri": "a:b", "blob": "w7_Dvw", "mimeType": "Text/Plain"}),
                DONE,
                "[contents of a:b]\nÿÿ",
            ),
            ({**text_result(" \n"), "isError": True}, DONE, "(The tool failed, and gave no reason.)"),
            ({"content": [], "isError": True}, DONE, "(The tool failed, and gave no reason.)"),
            ({"output": "Found."}, DONE, '{"output": "Found."}'),
            ({"content": [], "output": "Found."}, DONE, "(The tool returned nothing.)"),
            ({"_meta": {"a": 1}}, DONE, "(The tool returned nothing.)"),
            ({"resultType": "unheard_of"}, DONE, RESULT_UNREADABLE),
            ({"die": True}, UNKNOWN, CALL_LOST),
        ],
    )
    async def test_result_of_each_kind(
        self, raw: RawServer, server: McpServer, result: Json, expected: CallState, text: str
    ) -> None:
        raw.script([tool("it")], {"it": result})
        await server.tools()
        call_result, _ = await server.call("it", {"x": 1}, timeout_s=30, read_only=False)
        assert (call_result.outcome, call_result.text) == (expected, text)
        assert raw.calls == [["it", {"x": 1}]]

    @pytest.mark.parametrize(("definition", "schema"), REPAIRED.values(), ids=REPAIRED.keys())
    async def test_odd_definition_is_repaired_and_costs_no_other(
        self, raw: RawServer, server: McpServer, definition: Json, schema: Json
    ) -> None:
        raw.script([GOOD, definition, {**GOOD, "name": "last"}])
        tools = await server.tools()
        assert [(tool.name, tool.is_broken) for tool in tools] == [("good", False), ("it", False), ("last", False)]
        assert tools[1].parameters == {"type": "object", **schema}

    @pytest.mark.parametrize(("definition", "name"), BROKEN.values(), ids=BROKEN.keys())
    async def test_broken_definition_is_left_out_and_costs_no_other(
        self, raw: RawServer, server: McpServer, definition: Json, name: str
    ) -> None:
        raw.script([GOOD, definition, {**GOOD, "name": "last"}])
        tools = await server.tools()
        assert [(tool.name, tool.is_broken) for tool in tools] == [("good", False), (name, True), ("last", False)]
        known = [(f"raw__{tool.name}", tool, False) for tool in tools]
        offered = tools_of(known, ToolRules(), 30)
        assert [tool.name for tool in offered.definitions] == ["raw__good", "raw__last"]
        assert offered.left_out == (f"raw__{name}",)

    @pytest.mark.parametrize("error", ERRORS, ids=str)
    async def test_error_of_a_server_is_its_own_words(self, raw: RawServer, server: McpServer, error: Told) -> None:
        raw.script([tool("it")], {"it": {"error": error.sent}})
        await server.tools()
        first = raw.pid
        result, by_server = await server.call("it", {}, timeout_s=5, read_only=False)
        assert (result.outcome, result.text, result.is_error, by_server) == (error.outcome, error.text, True, True)
        await server.tools()
        assert (raw.pid, len(raw.calls)) == (first, 1)

    async def test_last_words_of_a_server_that_ends_are_the_result(self, raw: RawServer, server: McpServer) -> None:
        raw.script([tool("it")], {"it": {"error, and an end": {"code": -32000, "message": "No database."}}})
        await server.tools()
        result, by_server = await server.call("it", {}, timeout_s=5, read_only=False)
        assert (result.outcome, result.text, by_server) == (DONE, "No database.", True)

    @pytest.mark.parametrize(
        ("tools", "listed", "names"),
        [
            ([GOOD], {"nextCursor": 2}, ["good", "tools-after-1-of-its-list"]),
            ([GOOD], {"nextCursor": {"page": 2}}, ["good", "tools-after-1-of-its-list"]),
            ([GOOD], {"nextCursor": ""}, ["good"]),
            ([GOOD], {"nextCursor": None}, ["good"]),
            ([GOOD], {"ttlMs": "soon", "_meta": "x"}, ["good"]),
            (None, {}, []),
            ([], {"tools": {"good": GOOD}}, ["tools-after-0-of-its-list"]),
            ([], {"tools": "good"}, ["tools-after-0-of-its-list"]),
        ],
    )
    async def test_odd_list_holds_the_tools_that_can_be_read_and_names_what_is_missing(
        self, raw: RawServer, server: McpServer, tools: list[Json] | None, listed: Json, names: list[str]
    ) -> None:
        raw.script(tools, listed=listed)
        found = await server.tools()
        assert [tool.name for tool in found] == names
        assert [tool.name for tool in found if tool.is_broken] == [name for name in names if name != "good"]

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

    @pytest.mark.parametrize("version", ["2026-07-28", "2024-10-07", "DRAFT-2025-v2", "", 1, None])
    async def test_server_that_begins_as_older_versions_do_is_used_whichever_version_it_names(
        self, raw: RawServer, server: McpServer, version: object
    ) -> None:
        """rust-sdk#1209, mcp-k8s-go#40: the newest version, which has no such beginning, and one that isn't any."""
        raw.script([GOOD], about={"protocolVersion": version})
        assert [listed.name for listed in await server.tools()] == ["good"]

    @pytest.mark.parametrize(
        "about",
        [
            {"capabilities": []},
            {"capabilities": {"tools": True, "prompts": None}},
            {"capabilities": {"tools": []}, "serverInfo": None},
            {"serverInfo": {"name": "raw"}},
            {"serverInfo": {"name": "raw", "version": 1}, "instructions": 5},
            {"serverInfo": None, "capabilities": None},
        ],
        ids=str,
    )
    async def test_what_a_server_says_of_itself_costs_no_tools(
        self, raw: RawServer, server: McpServer, about: Json
    ) -> None:
        raw.script([GOOD], about=about)
        assert [tool.name for tool in await server.tools()] == ["good"]

    @pytest.mark.parametrize(
        "twice",
        [
            ({**GOOD, "description": "One."}, {**GOOD, "description": "Two."}),
            ({**GOOD, "description": "One."}, {"name": "good", "inputSchema": "x"}),
            ({"name": "good", "inputSchema": "x"}, {**GOOD, "description": "One."}),
        ],
        ids=["two that work", "then a broken one", "first a broken one"],
    )
    async def test_of_tools_with_one_name_the_first_that_can_be_called_counts(
        self, raw: RawServer, server: McpServer, twice: tuple[Json, Json]
    ) -> None:
        raw.script([*twice, {**GOOD, "name": "last"}])
        named = offered_names("raw", await server.tools())
        assert [(name, tool.description, tool.is_broken) for name, tool in named.items()] == [
            ("raw__good", "One.", False),
            ("raw__last", "Does it.", False),
        ]

    @pytest.mark.parametrize("schema", [SCHEMA_OF_A, [], "x", {"type": 5}, {"$ref": "#/none"}], ids=str)
    async def test_result_is_read_whatever_its_schema_says(
        self, raw: RawServer, server: McpServer, schema: object
    ) -> None:
        raw.script([tool("it", outputSchema=schema)], {"it": {"content": [], "structuredContent": {"a": "x"}}})
        await server.tools()
        result, by_server = await server.call("it", {}, timeout_s=30, read_only=False)
        assert (result.outcome, result.text, by_server) == (DONE, '{"a": "x"}', True)

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
            result, _ = await server.call("it", {}, timeout_s=0.6, read_only=False, goes_on=lambda: heard.append(None))
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
            await until(lambda: not server._keepers, "the process's end")

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
    async def test_process_that_hangs_at_its_start_ends_with_its_children(
        self, raw: RawServer, clock: HurriedClock
    ) -> None:
        raw.script([], start="hung")
        child = RawServer(raw.file.with_name("child.json"))
        async with running(raw.config(), clock) as server:
            listing = asyncio.create_task(server.tools())
            await started(raw)
            await started(child)
            begun = time.monotonic()
            # As the bot ends: it waits a second, gives that up, and closes again.
            closing = asyncio.create_task(server.close())
            await turns()
            closing.cancel()
        assert not raw.is_alive
        assert not child.is_running
        assert time.monotonic() - begun < 30
        with pytest.raises(ServerDown):
            await listing

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
            await started(raw)
        assert not raw.is_alive
        with pytest.raises(ServerDown):
            await listing

    async def test_nothing_starts_after_the_end(self, raw: RawServer, clock: HurriedClock) -> None:
        raw.script([])
        async with running(raw.config(), clock) as server:
            pass
        assert await outcome(server, "it") is FAILED
        assert not raw.has_started
