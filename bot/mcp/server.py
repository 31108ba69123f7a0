"""One MCP server: connects when it is first needed, and again when it was lost, and calls its tools.

A call is sent once. What is known about its end depends on where it broke: before it was sent, it failed; after that,
only the server knows, and it is UNKNOWN unless an admin declared the tool read-only.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import replace
from typing import Any

from mcp import MCPError
from mcp_types import CONNECTION_CLOSED, HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND
from pydantic import ValidationError

from bot.backoff import Backoff
from bot.clock import Clock
from bot.core.calls import CallResult, CallState
from bot.mcp.config import ServerConfig
from bot.mcp.connection import ServerConnection, ServerDown, is_too_long
from bot.mcp.definitions import (
    CALL_LOST,
    CALL_LOST_READ_ONLY,
    RESULT_TOO_LONG,
    RESULT_UNREADABLE,
    SERVER_BUSY,
    SERVER_DOWN,
    ListedTool,
    text_of,
)

MAX_CALLS = 8
"""Calls at once. Others wait, within their time."""
LISTED_FOR_S = 60.0
"""How long a list of tools is trusted."""
CLOSE_WITHIN_S = 2.5
"""More than a process has that must be killed (bot/mcp/connection.py)."""
BACKOFF = Backoff(1.0, 60.0)
"""How long nobody tries to connect after failures in a row. One failure is followed by a try at once."""
STABLE_S = 60.0
"""A connection that lasted so long ends a row of failures."""

_NOT_RUN = (METHOD_NOT_FOUND, INVALID_PARAMS, HEADER_MISMATCH)
"""Errors by which a server refuses a call before it runs."""
_LOST = (CONNECTION_CLOSED, INVALID_REQUEST)
"""Errors after which a connection is of no use: INVALID_REQUEST comes for a session that the server forgot."""

log = logging.getLogger(__name__)


class McpServer:
    """One server. Its methods may be called from any task."""

    def __init__(self, config: ServerConfig, clock: Clock) -> None:
        self.name = config.name
        self._config = config
        self._clock = clock
        self._connection: ServerConnection | None = None
        self._keepers: dict[asyncio.Task[None], ServerConnection] = {}
        self._failures = 0
        self._next_try_at = 0.0
        self._last_reason = ""
        self._room = asyncio.Semaphore(MAX_CALLS)
        self._closed = False

    async def tools(self, max_age_s: float = LISTED_FOR_S) -> tuple[ListedTool, ...]:
        """Returns the server's tools as it listed them in the last so many seconds; starts or reaches it if need be.

        Raises ServerDown.
        """
        connection = self._current()
        try:
            return await connection.tools(max_age_s)
        except ServerDown:
            if connection.opened_at is None:
                raise
        # It was lost since it was last used, as any connection may be.
        return await self._current().tools(max_age_s)

    async def call(
        self, tool: str, arguments: Mapping[str, Any], *, timeout_s: float, read_only: bool
    ) -> tuple[CallResult, bool]:
        """Calls a tool by the server's own name for it; returns the result, and whether the server wrote its text."""
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                await self._room.acquire()
        except TimeoutError:
            return CallResult.failed(SERVER_BUSY), False
        try:
            left_s = max(0.0, timeout_s - (self._clock.monotonic() - started))
            return await self._call(tool, arguments, left_s, read_only)
        finally:
            self._room.release()

    async def close(self) -> None:
        """Ends the server's process or session, within CLOSE_WITHIN_S."""
        self._closed = True
        for keeper, connection in self._keepers.items():
            if connection.opened_at is None:
                keeper.cancel()
            else:
                connection.end()
        if self._keepers:
            _, late = await asyncio.wait(list(self._keepers), timeout=CLOSE_WITHIN_S)
            for keeper in late:
                log.warning("MCP server %s did not close in time", self.name)
                keeper.cancel()

    async def _call(
        self, tool: str, arguments: Mapping[str, Any], left_s: float, read_only: bool
    ) -> tuple[CallResult, bool]:
        lost = CallResult(CallState.UNKNOWN, CALL_LOST, is_error=True)
        if read_only:
            lost = CallResult.failed(CALL_LOST_READ_ONLY)
        try:
            async with asyncio.timeout(left_s):
                connection = self._current()
                await connection.ready()
        except (ServerDown, TimeoutError):
            return CallResult.failed(SERVER_DOWN), False
        try:
            with connection.in_use() as client:
                async with asyncio.timeout(left_s):
                    result = await client.call_tool(tool, dict(arguments))
        except ServerDown:
            return CallResult.failed(SERVER_DOWN), False
        except TimeoutError:
            return lost, False
        except MCPError as error:
            if error.code in _LOST:
                connection.retire()
            if is_too_long(error):
                return replace(lost, text=RESULT_TOO_LONG), False
            return (CallResult.failed(error.message), True) if error.code in _NOT_RUN else (lost, False)
        except (RuntimeError, ValidationError):
            # The SDK checks a result after the call.
            return CallResult(CallState.DONE, RESULT_UNREADABLE, is_error=True), False
        except Exception as error:
            log.warning("MCP server %s: call failed: %s", self.name, type(error).__name__)
            connection.retire()
            return lost, False
        return CallResult(CallState.DONE, text_of(result), is_error=bool(result.is_error)), True

    def _current(self) -> ServerConnection:
        """Returns the connection, a new one if the last was lost. Raises ServerDown while it is too early for that."""
        if self._connection is not None and self._connection.is_usable:
            return self._connection
        if self._closed or self._clock.monotonic() < self._next_try_at:
            raise ServerDown(self._last_reason)
        connection = self._connection = ServerConnection(self._config, self._clock, self._plan_next_try)
        # In a context of its own: it serves later jobs, too.
        keeper = asyncio.create_task(connection.keep(), context=Context())
        self._keepers[keeper] = connection
        keeper.add_done_callback(self._keepers.pop)
        return connection

    def _plan_next_try(self, lost: ServerConnection) -> None:
        now = self._clock.monotonic()
        if lost.opened_at is not None and now - lost.opened_at >= STABLE_S:
            self._failures = 0
        self._next_try_at = now + BACKOFF.wait_s(self._failures)
        self._failures += 1
        self._last_reason = lost.reason


class McpServers:
    """All configured servers."""

    def __init__(self, configs: Sequence[ServerConfig], clock: Clock) -> None:
        self.by_name = {config.name: McpServer(config, clock) for config in configs}

    async def close(self) -> None:
        """Ends all servers at once, within CLOSE_WITHIN_S. It may be called again, to wait."""
        await asyncio.gather(*(server.close() for server in self.by_name.values()))


@asynccontextmanager
async def open_servers(configs: Sequence[ServerConfig], clock: Clock) -> AsyncIterator[McpServers]:
    """Yields the servers, none of which runs before it is needed. They end with it."""
    servers = McpServers(configs, clock)
    try:
        yield servers
    finally:
        await servers.close()
