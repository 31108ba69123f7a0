"""Errors by HTTP: the server's words are the result, and a session that the server forgot is opened again."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from bot import network
from bot.core.calls import SCOPE_FIRST, SIGN_IN_FIRST, CallState
from bot.mcp.config import HttpTransport, ServerConfig, SignInConfig
from bot.mcp.sentences import (
    CALL_LOST,
    DOWN_FORBIDDEN,
    DOWN_HEADER_REFUSED,
    DOWN_HEADERS_REFUSED,
    DOWN_NO_HTTP,
    DOWN_NO_POST,
    DOWN_NOT_FOUND,
    DOWN_NOT_MCP,
    DOWN_REDIRECTS,
    DOWN_SIGN_IN,
    DOWN_UNREADABLE,
    DOWN_VERSION,
    DOWN_WITHOUT_HEADERS,
    RESULT_UNREADABLE,
    SCOPE_LACKING,
)
from bot.mcp.server import McpServer, ServerDown
from slack_sandbox.testing.processes import WITHIN_S
from tests.clocks import until
from tests.mcp.flood import answered, refusing, served
from tests.mcp.servers import running

pytestmark = pytest.mark.wide

DONE, FAILED, UNKNOWN = CallState.DONE, CallState.FAILED, CallState.UNKNOWN
JSON, TEXT, HTML, EVENTS = "application/json", "text/plain", "text/html", "text/event-stream"
ERROR = {"jsonrpc": "2.0", "id": None, "error": {"code": -32603, "message": "no pg_hba.conf entry"}}
OTHER_VERSION = {
    "jsonrpc": "2.0",
    "id": None,
    "error": {"code": -32022, "message": "Unsupported protocol version", "data": {"supported": ["2027-03-01"]}},
}


@dataclass
class Web:
    """A server on HTTP that answers calls as it is told, and gives each connection a session."""

    config: ServerConfig
    status: int = 200
    kind: str = JSON
    body: str = ""
    challenge: str = ""
    limits: list[str] = field(default_factory=list)
    """The Retry-After of each HTTP 429 that comes before that."""
    to_stream: int = 405
    """How it answers the GET of a stream."""
    to_notification: int = 202
    streams: int = 0
    """How often it was asked for one."""
    sessions: list[str] = field(default_factory=list)
    callers: list[tuple[str, str]] = field(default_factory=list)
    """Who says to call, for each session: in HTTP and in MCP."""


@pytest.fixture
async def server_and_web() -> AsyncIterator[tuple[McpServer, Web]]:
    async def post(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            there.streams += 1
            return web.Response(status=there.to_stream)
        if request.method != "POST":
            return web.Response(status=405)
        message = await request.json()
        if message.get("method") == "server/discover":
            return web.Response(status=400)
        if "id" not in message:
            return web.Response(status=there.to_notification)
        if message["method"] == "tools/call" and there.limits:
            return web.Response(status=429, text="Too many.", headers={"Retry-After": there.limits.pop(0)})
        if message["method"] == "tools/call":
            body = there.body.replace('"id": null', f'"id": {message["id"]}')
            token = message["params"].get("_meta", {}).get("progressToken")
            body = body.replace('"progressToken": null', f'"progressToken": {json.dumps(token)}')
            told = {"WWW-Authenticate": there.challenge} if there.challenge else {}
            return web.Response(status=there.status, content_type=there.kind, text=body, headers=told)
        headers: dict[str, str] = {}
        if message["method"] == "initialize":
            there.callers.append((request.headers["user-agent"], message["params"]["clientInfo"]["name"]))
            there.sessions.append(headers.setdefault("mcp-session-id", f"s{len(there.sessions)}"))
        return web.json_response(answered(message, ("it",)), headers=headers)

    async with served(post) as url:
        there = Web(ServerConfig("web", HttpTransport(f"{url}/mcp")))
        async with running(there.config) as server:
            yield server, there


def event(message: Any) -> str:
    return f"event: message\ndata: {json.dumps(message)}\n\n"


@pytest.mark.parametrize(
    ("status", "kind", "body", "outcome", "text"),
    [
        (200, JSON, json.dumps(ERROR), DONE, "no pg_hba.conf entry"),
        (200, EVENTS, event(ERROR), DONE, "no pg_hba.conf entry"),
        (500, JSON, json.dumps(ERROR), DONE, "no pg_hba.conf entry"),
        (400, JSON, json.dumps(ERROR), DONE, "no pg_hba.conf entry"),
        (403, TEXT, json.dumps(ERROR), DONE, "no pg_hba.conf entry"),
        (503, JSON, json.dumps(ERROR), DONE, "no pg_hba.conf entry"),
        (401, JSON, '{"error": "invalid_token"}', FAILED, 'with HTTP 401.\n{"error": "invalid_token"}'),
        (429, TEXT, "Too many requests", FAILED, "with HTTP 429.\nToo many requests"),
        (404, HTML, "<h1>Not found</h1>", FAILED, "with HTTP 404."),
        (500, TEXT, "it broke", DONE, "with HTTP 500.\nit broke"),
        (500, TEXT, "", DONE, "with HTTP 500."),
        (501, TEXT, "not implemented", DONE, "with HTTP 501.\nnot implemented"),
        (502, HTML, "<h1>Bad gateway</h1>", UNKNOWN, CALL_LOST),
        (504, TEXT, "upstream timed out", UNKNOWN, CALL_LOST),
        (202, TEXT, "", UNKNOWN, CALL_LOST),
        (200, HTML, "<h1>Sign in</h1>", UNKNOWN, CALL_LOST),
        (200, EVENTS, ": nothing\n\n", UNKNOWN, CALL_LOST),
        (200, JSON, "{", DONE, RESULT_UNREADABLE),
        (200, JSON, '{"id": null, "error": "no such issue"}', DONE, "no such issue"),
        (200, JSON, '{"id": null, "error": {"code": "NOT_FOUND", "message": "no such issue"}}', DONE, "no such issue"),
        (200, JSON, '{"error": {"code": -32000, "data": "no such issue"}}', DONE, '"data": "no such issue"}'),
        (200, JSON, json.dumps(ERROR).replace('"id": ', '"id":'), DONE, "no pg_hba.conf entry"),
        (200, EVENTS, 'data: {"error": "Session not found"}\r\n\r\n', DONE, "Session not found"),
        (
            200,
            EVENTS,
            event({"id": None, "error": {"code": "GONE", "message": "no such issue"}}),
            DONE,
            "no such issue",
        ),
        (200, EVENTS, f": {'x' * 70_000}\n\n" + event(ERROR), DONE, "no pg_hba.conf entry"),
        (200, EVENTS, "data: {\n\n", DONE, RESULT_UNREADABLE),
    ],
)
async def test_error_by_http_is_the_servers_own_words(
    server_and_web: tuple[McpServer, Web], status: int, kind: str, body: str, outcome: CallState, text: str
) -> None:
    server, there = server_and_web
    await server.tools()
    there.status, there.kind, there.body = status, kind, body
    result, _ = await server.call("it", {}, timeout_s=10, read_only=False)
    assert (result.outcome, result.is_error) == (outcome, True)
    assert result.text.endswith(text)


@pytest.mark.parametrize(
    ("status", "kind", "body", "sessions"),
    [
        (200, HTML, "<h1>Sign in</h1>", ["s0", "s1"]),
        (202, TEXT, "", ["s0", "s1"]),
        (200, EVENTS, ": nothing\n\n", ["s0", "s1"]),
        (502, HTML, "<h1>Bad gateway</h1>", ["s0"]),
        (200, JSON, "{", ["s0"]),
    ],
)
async def test_answer_that_is_none_of_the_protocols_ends_the_connection(
    server_and_web: tuple[McpServer, Web], status: int, kind: str, body: str, sessions: list[str]
) -> None:
    server, there = server_and_web
    there.status, there.kind, there.body = status, kind, body
    for _ in range(2):
        await server.call("it", {}, timeout_s=10, read_only=False)
    assert there.sessions == sessions


HI = {"jsonrpc": "2.0", "id": 99, "result": {"content": [{"type": "text", "text": "Hi."}]}}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JSON, json.dumps(HI)),
        (JSON, json.dumps([HI])),
        (JSON, json.dumps(HI).replace('"jsonrpc": "2.0", ', "")),
        (EVENTS, event(HI)),
        # A server that shows that it lives by words, or calls its events something else.
        (EVENTS, "data: ping\n\n" + event(HI).replace("message", "response")),
        (EVENTS, event(HI).rstrip()),
        # python-sdk#1382, dify-plugin-agent-mcp_sse#79: a framework that isn't told a type writes its own.
        (TEXT, json.dumps(HI)),
        (HTML, json.dumps(HI)),
        ("application/octet-stream", json.dumps(HI)),
    ],
)
async def test_answer_that_is_not_quite_one_is_the_result(
    server_and_web: tuple[McpServer, Web], kind: str, body: str
) -> None:
    server, there = server_and_web
    await server.tools()
    there.kind, there.body = kind, body
    result, by_server = await server.call("it", {}, timeout_s=10, read_only=False)
    assert (result.outcome, result.text, by_server) == (DONE, "Hi.", True)


async def test_server_is_told_who_calls(server_and_web: tuple[McpServer, Web]) -> None:
    server, there = server_and_web
    await server.tools()
    assert there.callers == [(network.USER_AGENT, "typist")]


@pytest.mark.parametrize(
    ("limits", "outcome", "text"),
    [
        (["0"], DONE, "Hi."),
        (["1"], DONE, "Hi."),
        (["0", "0"], FAILED, 'refused the call with HTTP 429.\nToo many.\n{"retry_after_s": 0}'),
        (["3600"], FAILED, 'refused the call with HTTP 429.\nToo many.\n{"retry_after_s": 3600}'),
        # A date, of which the answer is later, or which is long after it.
        (["Wed, 21 Oct 2015 07:28:00 GMT"], DONE, "Hi."),
        (["Fri, 01 Jan 2100 00:00:00 GMT"], FAILED, "}"),
        (["soon"], FAILED, "refused the call with HTTP 429.\nToo many."),
    ],
)
async def test_call_is_made_once_more_after_the_wait_that_its_refusal_names(
    server_and_web: tuple[McpServer, Web], limits: list[str], outcome: CallState, text: str
) -> None:
    server, there = server_and_web
    await server.tools()
    there.body, there.limits = json.dumps(HI), limits
    result, _ = await server.call("it", {}, timeout_s=WITHIN_S, read_only=False)
    assert result.outcome is outcome
    assert result.text.endswith(text)
    assert there.limits == []


async def test_call_that_is_made_once_more_tells_of_its_progress(server_and_web: tuple[McpServer, Web]) -> None:
    server, there = server_and_web
    progress = {"progressToken": None, "progress": 1}
    told = event({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress})
    there.kind, there.body, there.limits = EVENTS, told + event({**HI, "id": None}), ["0"]
    heard = list[None]()
    await server.tools()
    result, _ = await server.call("it", {}, timeout_s=WITHIN_S, read_only=False, on_progress=lambda: heard.append(None))
    assert (result.text, len(heard)) == ("Hi.", 1)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, ""),
        (404, "Session not found"),
        (400, "Bad Request: Server not initialized"),
        (410, ""),
    ],
)
async def test_session_that_the_server_forgot_is_opened_again(
    server_and_web: tuple[McpServer, Web], status: int, message: str
) -> None:
    server, there = server_and_web
    there.status = status
    there.body = json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": message}})
    await server.tools()
    await server.call("it", {}, timeout_s=10, read_only=False)
    assert there.sessions == ["s0"]
    there.status = 200
    there.body = json.dumps({"jsonrpc": "2.0", "id": None, "result": {"content": [{"type": "text", "text": "Hi."}]}})
    result, _ = await server.call("it", {}, timeout_s=10, read_only=False)
    assert (result.text, there.sessions) == ("Hi.", ["s0", "s1"])


@pytest.mark.parametrize(
    ("to_stream", "to_notification"), [(404, 202), (400, 202), (410, 202), (401, 202), (405, 404), (405, 400)]
)
async def test_status_of_what_is_no_request_says_nothing_of_the_session(
    server_and_web: tuple[McpServer, Web], to_stream: int, to_notification: int
) -> None:
    """cap-js/mcp#36: Express answers the GET of a stream with 404."""
    server, there = server_and_web
    there.to_stream, there.to_notification = to_stream, to_notification
    there.body = json.dumps({"jsonrpc": "2.0", "id": None, "result": {"content": [{"type": "text", "text": "Hi."}]}})
    await server.tools()
    await until(lambda: there.streams, "a stream of the server")
    for _ in range(3):
        await server.tools(0.0)
        result, _ = await server.call("it", {}, timeout_s=10, read_only=False)
        assert (result.text, there.sessions) == ("Hi.", ["s0"])


@pytest.mark.parametrize(
    ("status", "kind", "body", "reason"),
    [
        (200, HTML, "<h1>Sign in</h1>", DOWN_NOT_MCP.format(status=200)),
        (202, TEXT, "", DOWN_NOT_MCP.format(status=202)),
        (200, JSON, "{", DOWN_UNREADABLE),
        (200, JSON, json.dumps(ERROR), "it answered with error -32603"),
        # The code that the SDK has for a lost connection.
        (200, JSON, json.dumps(ERROR).replace("-32603", "-32000"), "it answered with error -32000"),
        (400, JSON, json.dumps(OTHER_VERSION), DOWN_VERSION),
        # As versions before 2026-07-28 say it.
        (200, JSON, json.dumps(OTHER_VERSION).replace("-32022", "-32602"), DOWN_VERSION),
        (302, HTML, "", DOWN_REDIRECTS.format(status=302)),
        (405, TEXT, "", DOWN_NO_POST),
        (502, HTML, "<h1>Bad gateway</h1>", "HTTP 502"),
    ],
)
async def test_why_a_server_cannot_be_used_is_told_as_what_it_answers(
    status: int, kind: str, body: str, reason: str
) -> None:
    async def answer(request: web.Request) -> web.Response:
        told = {"Location": "https://login.example/?secret=x"} if status == 302 else {}
        return web.Response(status=status, content_type=kind, text=body, headers=told)

    async with served(answer) as url, running(ServerConfig("web", HttpTransport(f"{url}/mcp"))) as server:
        with pytest.raises(ServerDown) as raised:
            await server.tools()
        assert str(raised.value) == reason


@pytest.mark.parametrize("status", [307, 308])
async def test_redirect_at_the_same_address_is_followed(status: int) -> None:
    """As web frameworks lead from an address to the same one with a slash at its end."""
    led: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/mcp":
            return web.Response(status=status, headers={"Location": "/mcp/"})
        message = await request.json() if request.method == "POST" else {}
        led.append(request.headers["x-api-key"])
        return web.json_response(answered(message, ("it",))) if "id" in message else web.Response(status=202)

    async with served(answer) as url:
        config = ServerConfig("web", HttpTransport(f"{url}/mcp", {"x-api-key": "key"}))
        async with running(config) as server:
            result, _ = await server.call("it", {}, timeout_s=WITHIN_S, read_only=False)
    assert (result.outcome, result.text, set(led)) == (DONE, "Hi.", {"key"})


@pytest.mark.parametrize("sent", [b"", b"SSH-2.0-OpenSSH_9.6\r\n"], ids=["nothing", "another protocol"])
async def test_address_at_which_no_http_is_spoken_is_told(sent: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(sent)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with running(ServerConfig("web", HttpTransport(f"http://127.0.0.1:{port}/mcp"))) as server:
            with pytest.raises(ServerDown, match=DOWN_NO_HTTP):
                await server.tools()


METADATA = 'resource_metadata="https://mcp.example/.well-known/oauth-protected-resource"'
KEY = {"Authorization": "Bearer wrong"}
LACKS_SCOPE, TOLD_SCOPE = (
    f'Bearer error="insufficient_scope", scope="events:read events:write", {METADATA}',
    SCOPE_LACKING.format(scope="events:read events:write"),
)
OWN_WORDS = json.dumps({**ERROR, "id": "x"})


@pytest.mark.parametrize(
    ("status", "challenge", "headers", "reason"),
    [
        (401, f"Bearer {METADATA}", {}, DOWN_SIGN_IN),
        (401, f'Bearer realm="mcp", error="invalid_token", {METADATA.capitalize()}', {}, DOWN_SIGN_IN),
        (401, f"Bearer {METADATA}", {"x-api-key": "wrong"}, DOWN_SIGN_IN),
        (401, f"Bearer {METADATA}", KEY, DOWN_HEADER_REFUSED),
        (401, f"Bearer {METADATA}", {"authorization": "Bearer wrong"}, DOWN_HEADER_REFUSED),
        # qwen-code#5343.
        (401, f"Basic realm=mcp, Bearer {METADATA.replace('=', ' = ')}", {}, DOWN_SIGN_IN),
        (401, f"Bearer {METADATA}".replace('"', "'"), {}, DOWN_SIGN_IN),
        (401, 'Bearer realm="resource_metadata"', {}, DOWN_WITHOUT_HEADERS),
        (401, 'Bearer error_description="It has no \\"resource_metadata=\\" yet"', {}, DOWN_WITHOUT_HEADERS),
        (401, "", KEY, DOWN_HEADER_REFUSED),
        (401, "", {"x-api-key": "wrong"}, DOWN_HEADERS_REFUSED),
        (403, f"Bearer {METADATA}", {}, DOWN_FORBIDDEN),
        (404, "", {}, DOWN_NOT_FOUND),
        (502, f"Bearer {METADATA}", {}, "HTTP 502"),
    ],
)
async def test_server_that_wants_people_to_sign_in_is_told_as_what_it_is(
    status: int, challenge: str, headers: dict[str, str], reason: str
) -> None:
    async with (
        served(refusing(status, challenge)) as url,
        running(ServerConfig("web", HttpTransport(url, headers))) as one,
    ):
        for _ in range(2):
            with pytest.raises(ServerDown) as raised:
                await one.tools()
            assert str(raised.value) == reason


@pytest.mark.parametrize(
    ("scopes", "text", "wanted"),
    [
        ("", SCOPE_FIRST, "events:read events:write"),
        ("events:write events:read other", SCOPE_FIRST, "events:read events:write"),
        # An admin's list is all that people are asked for.
        ("events:read", f"The tool's server refused the call with HTTP 403. {TOLD_SCOPE}", ""),
    ],
)
async def test_call_with_an_own_account_that_lacks_a_scope_leads_to_a_sign_in_if_the_admins_list_has_it(
    server_and_web: tuple[McpServer, Web], scopes: str, text: str, wanted: str
) -> None:
    there = server_and_web[1]
    there.status, there.challenge, there.body = 403, LACKS_SCOPE, ""
    assert isinstance(there.config.transport, HttpTransport)
    transport = replace(there.config.transport, token="theirs", sign_in=SignInConfig(scopes=scopes))
    async with running(replace(there.config, transport=transport)) as server:
        result, _ = await server.call("it", {}, timeout_s=10, read_only=False)
        assert (result.outcome, result.text, server.missing_scope) == (FAILED, text, wanted)


@pytest.mark.parametrize(
    ("status", "challenge", "body", "headers", "text"),
    [
        (401, f"Bearer {METADATA}", '{"error": "invalid_token"}', {}, SIGN_IN_FIRST),
        (401, f"Bearer {METADATA}", json.dumps(ERROR), {}, SIGN_IN_FIRST),
        (401, f"Bearer {METADATA}", "", {"x-api-key": "wrong"}, SIGN_IN_FIRST),
        (401, f"Bearer {METADATA}", "", KEY, "The tool's server refused the call with HTTP 401."),
        # A server that quotes the key.
        (401, "Bearer", '{"error": "wrong is no key"}', KEY, "The tool's server refused the call with HTTP 401."),
        (401, "Bearer", "", {}, "The tool's server refused the call with HTTP 401."),
        (403, f"Bearer {METADATA}", "", {}, "The tool's server refused the call with HTTP 403."),
        # claude-code#92518: a sign-in that was not granted enough.
        (403, LACKS_SCOPE, "", {}, f"The tool's server refused the call with HTTP 403. {TOLD_SCOPE}"),
        (
            403,
            LACKS_SCOPE,
            OWN_WORDS,
            {},
            f"The tool's server refused the call with HTTP 403. {TOLD_SCOPE}\n{OWN_WORDS}",
        ),
    ],
)
async def test_call_that_needs_a_sign_in_is_told_as_that_and_the_server_stays_in_use(
    server_and_web: tuple[McpServer, Web], status: int, challenge: str, body: str, headers: dict[str, str], text: str
) -> None:
    there = server_and_web[1]
    there.status, there.challenge, there.body = status, challenge, body
    transport = there.config.transport
    assert isinstance(transport, HttpTransport)
    async with running(replace(there.config, transport=replace(transport, headers=headers))) as server:
        await server.tools()
        assert not server.needs_sign_in
        result, by_server = await server.call("it", {}, timeout_s=10, read_only=False)
        assert (result.outcome, result.text, by_server) == (FAILED, text, text != SIGN_IN_FIRST)
        # The list that follows is open, and says nothing against that.
        assert [tool.name for tool in await server.tools(0.0)] == ["it"]
        # Where people sign in may be found at a known address.
        assert server.needs_sign_in == (status == 401 and headers != KEY)
