"""What an error of a call means: for the model that reads it, and for the connection."""

from dataclasses import replace

import pytest
from mcp import MCPError
from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR

from bot.clock import SystemClock
from bot.core.calls import SCOPE_FIRST, SIGN_IN_FIRST, CallResult, CallState
from bot.mcp.config import TOO_LONG, HttpTransport, ServerConfig, SignInConfig, StdioTransport
from bot.mcp.sentences import CALL_LOST, RESULT_TOO_LONG, RESULT_UNREADABLE
from bot.mcp.server import ServerConnection
from bot.mcp.streamable_http import HTTP_LIMITED, HTTP_REFUSED, SCOPE, SCOPE_WANTED, SIGN_IN_WANTED

DONE, FAILED, UNKNOWN = CallState.DONE, CallState.FAILED, CallState.UNKNOWN
WEB = HttpTransport("https://x.example/mcp")
SIGNED_IN = replace(WEB, token="t", sign_in=SignInConfig(scopes="read write"))
WITH_KEY = replace(WEB, headers={"Authorization": "Bearer k"})
PROCESS = StdioTransport("server")

# What the model reads, whether the server wrote it, and whether the connection is still used.
ERRORS: dict[str, tuple[HttpTransport | StdioTransport, MCPError, CallState, str, bool, bool]] = {
    "closed": (WEB, MCPError(CONNECTION_CLOSED, "Connection closed"), UNKNOWN, CALL_LOST, False, False),
    "a session that is gone": (WEB, MCPError(INVALID_REQUEST, "Session terminated"), UNKNOWN, CALL_LOST, False, False),
    "another page": (WEB, MCPError(INVALID_REQUEST, "Unexpected content type: a"), UNKNOWN, CALL_LOST, False, False),
    "of a tool, by that code": (WEB, MCPError(INVALID_REQUEST, "No such issue"), DONE, "No such issue", True, True),
    "of the server": (
        WEB,
        MCPError(INTERNAL_ERROR, "Server returned an error response"),
        UNKNOWN,
        CALL_LOST,
        False,
        True,
    ),
    "of a tool": (WEB, MCPError(INTERNAL_ERROR, "No row", {"id": 7}), DONE, 'No row\n{"id": 7}', True, True),
    "a result that can't be read": (
        WEB,
        MCPError(PARSE_ERROR, "Failed to parse JSON response: a"),
        DONE,
        RESULT_UNREADABLE,
        False,
        True,
    ),
    "a result that is too long": (
        WEB,
        MCPError(CONNECTION_CLOSED, f"SSE stream {TOO_LONG}"),
        DONE,
        RESULT_TOO_LONG,
        False,
        False,
    ),
    "of a process, in the SDK's words": (
        PROCESS,
        MCPError(CONNECTION_CLOSED, "Connection closed"),
        DONE,
        "Connection closed",
        True,
        True,
    ),
    **{
        f"refused before it ran: {code}": (WEB, MCPError(code, "No"), FAILED, "No", True, True)
        for code in (METHOD_NOT_FOUND, INVALID_PARAMS, HTTP_REFUSED, HTTP_LIMITED)
    },
    "a sign-in": (WEB, MCPError(SIGN_IN_WANTED, "No"), FAILED, SIGN_IN_FIRST, False, True),
    "a sign-in beside a key for all": (WITH_KEY, MCPError(SIGN_IN_WANTED, "No"), FAILED, "No", True, True),
    "a scope": (SIGNED_IN, MCPError(SCOPE_WANTED, "No", {SCOPE: "write"}), FAILED, SCOPE_FIRST, False, True),
    "a scope that the admin doesn't list": (
        SIGNED_IN,
        MCPError(SCOPE_WANTED, "No", {SCOPE: "write admin"}),
        FAILED,
        "No",
        True,
        True,
    ),
    "a scope of the key for all": (WITH_KEY, MCPError(SCOPE_WANTED, "No", {SCOPE: "write"}), FAILED, "No", True, True),
}


@pytest.mark.parametrize(
    ("transport", "error", "outcome", "text", "is_servers", "is_usable"), ERRORS.values(), ids=ERRORS
)
async def test_error_is_told_to_the_model_and_ends_a_connection_that_is_of_no_use(
    transport: HttpTransport | StdioTransport,
    error: MCPError,
    outcome: CallState,
    text: str,
    is_servers: bool,
    is_usable: bool,
) -> None:
    connection = ServerConnection(ServerConfig("x", transport), SystemClock(), lambda _: None)
    result = CallResult(outcome, text, is_error=True)
    assert connection.failed_call_result(error, read_only=False) == (result, is_servers)
    assert connection.is_usable is is_usable
    assert connection.missing_scope == ("write" if text == SCOPE_FIRST else "")
    if text == CALL_LOST:
        assert connection.failed_call_result(error, read_only=True) == (CallResult.failed(CALL_LOST), False)
