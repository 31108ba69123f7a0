"""One MCP server: connects when first needed, reconnects after a loss, and calls its tools.

A call is sent once, and only once more if the server refuses it and states how long to wait. If the call fails before
it is sent, its state is FAILED. If it fails afterwards, only the server knows whether it ran, so its state is UNKNOWN
unless an admin has declared the tool read-only.

The SDK requires a connection to be closed by the task that opened it, and cancels that task when the server dies.
Therefore, each connection has a task (`ServerConnection.run`) that only opens it, waits, and closes it. Calls run in
other tasks, which fail on their own when the server dies.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from contextvars import Context
from dataclasses import replace
from http import HTTPStatus
from itertools import chain
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp.client import Transport
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import (
    CONNECTION_CLOSED,
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    UNSUPPORTED_PROTOCOL_VERSION,
    CallToolResult,
    Implementation,
)
from pydantic import ValidationError

from bot import __version__, network
from bot.clock import Clock, extend_timeout
from bot.core.calls import MAX_CALL_S, SCOPE_FIRST, SIGN_IN_FIRST, CallResult, CallState
from bot.errors import Backoff, trace_of
from bot.identity import fill_placeholders
from bot.mcp import sentences
from bot.mcp.config import MAX_MESSAGE_BYTES, TOO_LONG, HttpTransport, ServerConfig, StdioTransport
from bot.mcp.definitions import ListedTool
from bot.mcp.responses import error_text, readable_messages, result_text
from bot.mcp.stdio import stdio_transport
from bot.mcp.streamable_http import (
    HTTP_LIMITED,
    HTTP_REFUSED,
    RETRY_AFTER_S,
    SCOPE,
    SCOPE_WANTED,
    SIGN_IN_WANTED,
    ResponseTooLong,
    http_client,
)
from bot.text import object_in

log = logging.getLogger(__name__)

_TYPIST = Implementation(name="typist", title="Typist", version=__version__)
START_WITHIN_S = 60.0
"""Time limit from starting a server until its tools are listed. npx and uvx might have to download the server first."""
LIST_WITHIN_S = 4.0
MAX_LISTED_TOOLS = 1_000
"""Maximum number of tools that a server can list. It is limited because, for every question, all of a server's tools
are compared with those that an admin has approved."""
MAX_PAGES = 20


class TooManyTools(Exception):
    pass


class ServerDown(Exception):
    """A server currently can't be used. `str()` returns the reason, without secrets."""


class ServerConnection:
    def __init__(self, config: ServerConfig, clock: Clock, on_end: Callable[["ServerConnection"], None]) -> None:
        """Doesn't open the connection; `run` does that. `on_end` is called once `reason` is known, before tasks that
        are waiting for the connection resume."""
        self._config = config
        self._clock = clock
        self._on_end = on_end
        self._client: Client | None = None
        self._status = 0
        self.needs_sign_in = False
        self.missing_scope = ""
        self._has_sign_in_url = False
        self._is_line_too_long = False
        self._calls_at_last_line = 0
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._retired = asyncio.Event()
        self._opened_or_failed = asyncio.Event()
        self.reason = ""
        """The reason the connection failed or ended, or "" if it is opening or open."""
        self._listing = asyncio.Lock()
        self._listed_at = 0.0
        self._tools: tuple[ListedTool, ...] = ()
        self.started_at = clock.monotonic()
        self.opened_at: float | None = None

    @property
    def is_usable(self) -> bool:
        return not (self._retired.is_set() or self.reason)

    def retire(self) -> None:
        self._retired.set()

    def end(self) -> None:
        """Closes the connection immediately. Calls in progress fail."""
        self._retired.set()
        self._idle.set()

    async def run(self) -> None:
        """Opens the connection, keeps it until it is lost or retired, and closes it. Never raises."""
        try:
            async with asyncio.timeout(START_WITHIN_S) as start, self._open() as client:
                self._tools = await _list_tools(client)
                start.reschedule(None)
                self._listed_at = self.opened_at = self._clock.monotonic()
                self._client = client
                self._opened_or_failed.set()
                await self._retired.wait()
                await self._idle.wait()
                self._client = None
        except (Exception, BaseExceptionGroup) as error:
            self.reason = self._failure_reason(error)
            if self.reason == sentences.DOWN_SIGN_IN:
                log.info("MCP server %s requires people to sign in", self._config.name)
            else:
                log.warning("MCP server %s is down: %s", self._config.name, self.reason)
        finally:
            self.reason = self.reason or sentences.DOWN_CLOSED
            self._client = None
            self._on_end(self)
            self._opened_or_failed.set()

    async def wait_until_open(self) -> None:
        await self._opened_or_failed.wait()
        if self.reason:
            raise ServerDown(self.reason)

    async def tools(self, max_age_s: float) -> tuple[ListedTool, ...]:
        await self.wait_until_open()
        async with self._listing:
            if self._clock.monotonic() - self._listed_at > max_age_s:
                with self.use_client() as client:
                    try:
                        async with asyncio.timeout(LIST_WITHIN_S):
                            self._tools = await _list_tools(client)
                    except Exception as error:
                        self.retire()
                        raise ServerDown(self._failure_reason(error)) from error
                self._listed_at = self._clock.monotonic()
        return self._tools

    @contextmanager
    def use_client(self) -> Iterator[Client]:
        """Yields the client for one request. Keeps the connection open until the request has ended, even if the
        connection is retired. Raises ServerDown."""
        if self._client is None:
            raise ServerDown(self.reason or sentences.DOWN_CLOSED)
        self._calls += 1
        self._idle.clear()
        try:
            yield self._client
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Client]:
        mode = "legacy" if self._config.is_legacy else "auto"
        async with AsyncExitStack() as stack:
            match self._config.transport:
                case StdioTransport() as server:
                    transport: Transport = stdio_transport(server, self._on_messages_end)
                case HttpTransport(url=url) as server:
                    web = await stack.enter_async_context(http_client(url, server.request_headers, self._on_response))
                    transport = streamable_http_client(url, http_client=web, max_sse_event_size=MAX_MESSAGE_BYTES)
            messages = readable_messages(transport)
            yield await stack.enter_async_context(Client(messages, client_info=_TYPIST, mode=mode, cache=None))

    def _on_response(self, status: int, has_session: bool, needs_sign_in: bool) -> None:
        self._status, self._has_sign_in_url = status, self._has_sign_in_url or needs_sign_in
        # The protocol doesn't require a server to state where people sign in: a well-known URL can do so.
        is_asked_for = needs_sign_in or status == HTTPStatus.UNAUTHORIZED
        self.needs_sign_in = self.needs_sign_in or (is_asked_for and self._config.transport.can_need_sign_in)
        if has_session and status in _FORGOTTEN_SESSION_STATUSES:
            self.retire()

    def _on_messages_end(self, is_too_long: bool) -> None:
        if is_too_long:
            self._is_line_too_long, self._calls_at_last_line = True, self._calls
        self.retire()

    def _is_message_too_long(self, error: MCPError) -> bool:
        return self._is_sdk_error(error) and (TOO_LONG in error.message or self._is_line_too_long)

    def failed_call_result(self, error: MCPError, *, read_only: bool) -> tuple[CallResult, bool]:
        """Returns the result of a failed call, and whether the server wrote its text. Retires the connection if it
        can't be used anymore."""
        if error.code == SIGN_IN_WANTED and self._config.transport.can_need_sign_in:
            return CallResult.failed(SIGN_IN_FIRST), False
        if error.code == SCOPE_WANTED and (scope := self._grantable_scope(error)):
            self.missing_scope = scope
            return CallResult.failed(SCOPE_FIRST), False
        if not self._is_sdk_error(error):
            outcome = CallState.FAILED if error.code in _REJECTION_CODES else CallState.DONE
            words = error.message if error.code == SCOPE_WANTED else error_text(error)
            return CallResult(outcome, words, is_error=True), True
        if error.code in (CONNECTION_CLOSED, INVALID_REQUEST):
            self.retire()
        if not self._is_message_too_long(error) and error.code != PARSE_ERROR:
            return _lost_call_result(sentences.CALL_LOST, read_only=read_only), False
        if self._calls_at_last_line > 1:
            # A process's line can be the result of any call in progress.
            return _lost_call_result(sentences.ANOTHER_TOO_LONG, read_only=read_only), False
        text = sentences.RESULT_TOO_LONG if self._is_message_too_long(error) else sentences.RESULT_UNREADABLE
        return CallResult(CallState.DONE, text, is_error=True), False

    def _grantable_scope(self, error: MCPError) -> str:
        """Returns the scope that a server asks a person to grant, or "" if the admin doesn't allow that scope."""
        transport, scope = self._config.transport, object_in(error.data).get(SCOPE)
        if not (isinstance(transport, HttpTransport) and transport.token and isinstance(scope, str)):
            return ""
        is_allowed = transport.sign_in.allowed_scopes(scope).split() == scope.split()
        return scope if scope.isprintable() and is_allowed else ""

    def _is_sdk_error(self, error: MCPError) -> bool:
        """Returns whether the SDK itself created an error because the server's response was lost or couldn't be
        read."""
        is_process = isinstance(self._config.transport, StdioTransport)
        if is_process and not (error.code == CONNECTION_CLOSED and self._retired.is_set()):
            return False
        return error.message.startswith(_SDK_ERRORS.get(error.code, ()))

    def _failure_reason(self, error: BaseException) -> str:
        """Returns the reason a connection failed, without quoting the server."""
        # The SDK reports failures in groups, of which the first counts.
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        for kind, why in _REASONS.items():
            if isinstance(error, kind):
                return why
        match error:
            case OSError(errno=int(number)):
                return os.strerror(number)
            case httpx2.TransportError():
                is_reached = isinstance(error, httpx2.RemoteProtocolError | httpx2.ReadError)
                return network.reason_of(error, self._config.transport.url) or (
                    sentences.DOWN_NO_HTTP if is_reached else "it can't be reached"
                )
            case MCPError() as answer:
                return self._error_reason(answer)
            case unforeseen:
                return trace_of(unforeseen)

    def _error_reason(self, error: MCPError) -> str:
        if self._is_message_too_long(error):
            return sentences.DOWN_TOO_LONG
        transport = self._config.transport
        # Older versions of the protocol don't have a separate code for that.
        if error.code == UNSUPPORTED_PROTOCOL_VERSION or "supported" in object_in(error.data):
            return sentences.DOWN_VERSION
        if isinstance(transport, HttpTransport) and self._status >= HTTPStatus.MULTIPLE_CHOICES:
            return network.refusal(self._status, transport.url) or self._status_reason
        if not self._is_sdk_error(error):
            return f"it answered with error {error.code}"
        if error.code == CONNECTION_CLOSED:
            return sentences.DOWN_CLOSED if isinstance(transport, HttpTransport) else "its process has ended"
        return (
            sentences.DOWN_UNREADABLE
            if error.code == PARSE_ERROR
            else sentences.DOWN_NOT_MCP.format(status=self._status)
        )

    @property
    def _status_reason(self) -> str:
        if self._status == HTTPStatus.UNAUTHORIZED:
            assert isinstance(self._config.transport, HttpTransport)
            if not self._config.transport.can_need_sign_in:
                return sentences.DOWN_HEADER_REFUSED
            if self._has_sign_in_url:
                return sentences.DOWN_SIGN_IN
            return (
                sentences.DOWN_HEADERS_REFUSED
                if self._config.transport.request_headers
                else sentences.DOWN_WITHOUT_HEADERS
            )
        if self._status < HTTPStatus.BAD_REQUEST:
            return sentences.DOWN_REDIRECTS.format(status=self._status)
        return _STATUS_REASONS.get(self._status, f"HTTP {self._status}")


def _lost_call_result(reason: str, *, read_only: bool) -> CallResult:
    return CallResult.failed(reason) if read_only else CallResult(CallState.UNKNOWN, reason, is_error=True)


async def _list_tools(client: Client) -> tuple[ListedTool, ...]:
    """Returns all tools that a server lists, without duplicates. A repeated cursor ends the list."""
    tools: dict[str, ListedTool] = {}
    cursor: str | None = None
    cursors: set[str] = set()
    for _ in range(MAX_PAGES):
        try:
            # The protocol allows an empty cursor. But many servers end their lists with one, and respond to it with the
            # first page or an error.
            page = await client.list_tools(cursor=cursor)
        except MCPError:
            if cursor == "":
                break
            raise
        listed = map(ListedTool.from_sdk, page.tools[: MAX_LISTED_TOOLS + 1])
        tools |= {tool.canonical_json: tool for tool in listed}
        if len(tools) > MAX_LISTED_TOOLS:
            raise TooManyTools
        if sum(map(len, tools)) > MAX_MESSAGE_BYTES:
            raise ResponseTooLong
        cursor = page.next_cursor
        if cursor is None or cursor in cursors:
            break
        cursors.add(cursor)
    return tuple(tools.values())


MAX_ASKER_CONNECTIONS = 50
"""Maximum number of open connections with askers' identities, across all servers."""
MAX_CALLS = 8
"""Maximum number of simultaneous calls to a server. Additional calls wait, but only as long as their timeouts allow."""
LISTED_FOR_S = 60.0
CLOSE_WITHIN_S = 2.5
"""Time limit for closing connections. It is longer than killing a process takes: twice EXIT_WITHIN_S plus twice
KILLED_WITHIN_S."""
BACKOFF = Backoff(1.0, 60.0)
"""The delay before reconnecting after consecutive failures. There is no delay after the first failure."""
STABLE_S = 60.0
"""A connection that lasts this long resets the count of failures."""
_REFUSED_BY_HTTP = (HTTP_REFUSED, SIGN_IN_WANTED, SCOPE_WANTED, HTTP_LIMITED)
_REJECTION_CODES = (METHOD_NOT_FOUND, INVALID_PARAMS, HEADER_MISMATCH, *_REFUSED_BY_HTTP)
"""Error codes with which a server rejects a call before running it."""
_FORGOTTEN_SESSION_STATUSES = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.BAD_REQUEST)
"""HTTP statuses of servers that have forgotten a session, for example after a restart. The protocol specifies only the
first one."""
_STATUS_REASONS = {403: sentences.DOWN_FORBIDDEN, 404: sentences.DOWN_NOT_FOUND, 405: sentences.DOWN_NO_POST}
_SDK_ERRORS = {
    CONNECTION_CLOSED: ("Connection closed", "SSE stream "),
    INTERNAL_ERROR: ("Server returned an error response",),
    INVALID_REQUEST: ("Session terminated", "Unexpected content type: ", "server answered a request with ", "Redirect"),
    PARSE_ERROR: ("Failed to parse JSON response: ", "Failed to parse SSE message: "),
}
"""The texts with which the SDK's own errors begin, keyed by code. Servers use the same codes for errors of their
tools."""


class McpServer:
    def __init__(self, config: ServerConfig, clock: Clock) -> None:
        self.name = config.name
        self.timeout_s = config.timeout_s
        self._config = config
        self._clock = clock
        self._connection: ServerConnection | None = None
        self._connection_tasks: dict[asyncio.Task[None], ServerConnection] = {}
        self._failures = 0
        self._next_try_at = 0.0
        self._last_reason = ""
        self._failed_start_s = 0.0
        self._call_slots = asyncio.Semaphore(MAX_CALLS)
        self._is_closed = False

    @property
    def needs_sign_in(self) -> bool:
        """Whether the server has reported, on this connection, that people must or might have to sign in."""
        return self._connection is not None and self._connection.needs_sign_in

    @property
    def missing_scope(self) -> str:
        return self._connection.missing_scope if self._connection is not None else ""

    @property
    def start_failure(self) -> str:
        """The reason the last start failed, or "" if it didn't. It is kept until the next start has ended."""
        return self._last_reason if self._failed_start_s else ""

    @property
    def problem(self) -> str | None:
        """The reason the server is down, or "" if it isn't. None if this is unknown because nobody has used the server
        yet, or because people must sign in to it."""
        if self._connection is not None and self._connection.opened_at is not None:
            return ""
        return None if self.start_failure in ("", sentences.DOWN_SIGN_IN) else self.start_failure

    def retry(self, min_interval_s: float) -> None:
        """Starts to reconnect, unless the last attempt was less than `min_interval_s` ago."""
        if self._connection and self._clock.monotonic() - self._connection.started_at >= min_interval_s:
            with suppress(ServerDown):
                self._current_connection()

    async def wait_until_ready(self, within_s: float) -> None:
        """Waits until the server can be used, but no longer than `within_s` after its start. Raises ServerDown."""
        # A server whose last start failed after a longer time isn't waited for.
        hung = self._failed_start_s >= within_s
        connection = self._current_connection()
        left_s = 0.0 if hung else within_s - (self._clock.monotonic() - connection.started_at)
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                await connection.wait_until_open()
        except TimeoutError:
            raise ServerDown(self.start_failure or sentences.DOWN_STARTING) from None

    async def tools(self, max_age_s: float = LISTED_FOR_S) -> tuple[ListedTool, ...]:
        connection = self._current_connection()
        try:
            return await connection.tools(max_age_s)
        except ServerDown:
            if connection.opened_at is None:
                raise
        # The connection was lost since its last use, which can happen to any connection.
        return await self._current_connection().tools(max_age_s)

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float,
        read_only: bool,
        on_progress: Callable[[], None] = lambda: None,
    ) -> tuple[CallResult, bool]:
        """Calls a tool by the name that its server uses. Returns the result, and whether the server wrote the result's
        text. `on_progress`: called whenever the server reports progress, which also restarts the call's timeout."""
        until = self._clock.monotonic() + timeout_s
        try:
            async with self._timeout_at(until):
                await self._call_slots.acquire()
        except TimeoutError:
            return CallResult.failed(sentences.SERVER_BUSY), False
        try:
            return await self._call(tool, arguments, until, read_only, on_progress)
        finally:
            self._call_slots.release()

    def _timeout_at(self, until: float) -> asyncio.Timeout:
        return asyncio.timeout(max(0.0, until - self._clock.monotonic()))

    async def close(self) -> None:
        self._is_closed = True
        for keeper, connection in self._connection_tasks.items():
            if connection.opened_at is not None:
                connection.end()
            elif not keeper.cancelling():
                # Only once, because a second cancellation would interrupt ending the process.
                keeper.cancel()
        if self._connection_tasks:
            _, late = await asyncio.wait(list(self._connection_tasks), timeout=CLOSE_WITHIN_S)
            for keeper in late:
                log.warning("MCP server %s did not close in time", self.name)
                keeper.cancel()

    async def retire(self) -> None:
        self._is_closed = True
        for connection in self._connection_tasks.values():
            connection.retire()
        if self._connection_tasks:
            await asyncio.wait(list(self._connection_tasks))

    async def _call(
        self, tool: str, arguments: Mapping[str, Any], until: float, read_only: bool, on_progress: Callable[[], None]
    ) -> tuple[CallResult, bool]:
        try:
            async with self._timeout_at(until):
                connection = self._current_connection()
                await connection.wait_until_open()
        except (ServerDown, TimeoutError):
            return CallResult.failed(sentences.SERVER_DOWN), False
        try:
            with connection.use_client() as client:
                longest = asyncio.get_running_loop().time() + MAX_CALL_S
                async with self._timeout_at(until) as limit:

                    async def on_notification(progress: float, total: float | None, message: str | None) -> None:
                        extend_timeout(limit, self.timeout_s, longest)
                        on_progress()

                    result = await self._call_with_retry(client, tool, arguments, until, on_notification)
        except ServerDown:
            return CallResult.failed(sentences.SERVER_DOWN), False
        except TimeoutError:
            return _lost_call_result(sentences.CALL_LATE.format(limit_s=self.timeout_s), read_only=read_only), False
        except MCPError as error:
            return connection.failed_call_result(error, read_only=read_only)
        except (RuntimeError, ValidationError):
            # The SDK validates a result after the call.
            return CallResult(CallState.DONE, sentences.RESULT_UNREADABLE, is_error=True), False
        except Exception as error:
            log.warning("MCP server %s: call failed: %s", self.name, type(error).__name__)
            connection.retire()
            return _lost_call_result(sentences.CALL_LOST, read_only=read_only), False
        # The text can have megabytes, so a thread converts it to keep the event loop free.
        text = await asyncio.to_thread(result_text, result)
        return CallResult(CallState.DONE, text, is_error=bool(result.is_error)), True

    async def _call_with_retry(
        self, client: Client, tool: str, arguments: Mapping[str, Any], until: float, on_notification: ProgressFnT
    ) -> CallToolResult:
        """Calls a tool and returns its result. If the server asks for a delay, tries once more after it if there is
        enough time."""
        try:
            return await client.call_tool(tool, dict(arguments), progress_callback=on_notification)
        except MCPError as error:
            wait_s = object_in(error.data).get(RETRY_AFTER_S) if error.code == HTTP_LIMITED else None
            if type(wait_s) is not int or self._clock.monotonic() + wait_s >= until:
                raise
        await self._clock.sleep(wait_s)
        return await client.call_tool(tool, dict(arguments), progress_callback=on_notification)

    def _current_connection(self) -> ServerConnection:
        """Returns the connection, or opens a new one if it was lost. Raises ServerDown if it's too early to
        reconnect."""
        if self._connection is not None and self._connection.is_usable:
            return self._connection
        if self._is_closed or self._clock.monotonic() < self._next_try_at:
            raise ServerDown(self._last_reason)
        connection = self._connection = ServerConnection(self._config, self._clock, self._on_connection_end)
        # In a separate context, because it also serves later jobs.
        keeper = asyncio.create_task(connection.run(), context=Context())
        self._connection_tasks[keeper] = connection
        keeper.add_done_callback(self._connection_tasks.pop)
        return connection

    def _on_connection_end(self, connection: ServerConnection) -> None:
        now = self._clock.monotonic()
        if connection.opened_at is not None and now - connection.opened_at >= STABLE_S:
            self._failures = 0
        self._next_try_at = now + BACKOFF.wait_s(self._failures)
        self._failures += 1
        self._last_reason = connection.reason
        self._failed_start_s = now - connection.started_at if connection.opened_at is None else 0.0


class McpServers:
    def __init__(self, configs: Sequence[ServerConfig], clock: Clock) -> None:
        self.clock = clock
        self.by_name = {config.name: McpServer(config, clock) for config in configs}
        self._identity = {config.name: config for config in configs if config.identity_headers}
        self._asker_servers: dict[tuple[str, ...], McpServer] = {}
        """Servers connected with an asker's identity. The most recently used one is last."""
        self._retiring = set[asyncio.Task[None]]()

    async def connected_as_asker(self, name: str) -> McpServer:
        """Returns the server, connected with the asker's identity if its headers contain placeholders."""
        config = self._identity.get(name)
        if config is None:
            return self.by_name[name]
        assert isinstance(config.transport, HttpTransport)
        identity = await fill_placeholders(config.identity_headers, f"MCP server {name}")
        key = name, *chain.from_iterable(identity.items())
        transport = replace(config.transport, headers={**config.transport.request_headers, **identity})
        held = (
            self._asker_servers.pop(key)
            if key in self._asker_servers
            else McpServer(replace(config, transport=transport), self.clock)
        )
        self._asker_servers[key] = held
        if len(self._asker_servers) > MAX_ASKER_CONNECTIONS:
            oldest = self._asker_servers.pop(next(iter(self._asker_servers)))
            self._retiring.add(task := asyncio.create_task(oldest.retire()))
            task.add_done_callback(self._retiring.discard)
        return held

    async def aclose(self) -> None:
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*(server.close() for server in (*self.by_name.values(), *self._asker_servers.values())))


def open_servers(configs: Sequence[ServerConfig], clock: Clock) -> aclosing[McpServers]:
    return aclosing(McpServers(configs, clock))


_REASONS: Mapping[type[Exception], str] = {
    TimeoutError: sentences.DOWN_NO_ANSWER,
    FileNotFoundError: "its command was not found",
    ResponseTooLong: sentences.DOWN_TOO_LONG,
    TooManyTools: "it lists more than 1,000 tools",
    ValidationError: sentences.DOWN_UNREADABLE,
}
