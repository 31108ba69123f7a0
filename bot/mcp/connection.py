"""One connection to an MCP server, from its start to its end.

The SDK wants the task that opened a connection to close it, and breaks that task off when the server dies. So each
connection has a task of its own (`ServerConnection.keep`), which does nothing but open, wait and close. Calls come from
other tasks: when the server dies, they fail and nothing else does.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from http import HTTPStatus

import httpx2
from mcp import Client, MCPError
from mcp.client import Transport
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CONNECTION_CLOSED, Tool

from bot.clock import Clock
from bot.core import check_texts
from bot.errors import trace_of
from bot.mcp.config import MAX_MESSAGE_BYTES, TOO_LONG, HttpTransport, ServerConfig, StdioTransport
from bot.mcp.definitions import ListedTool
from bot.mcp.http import ResponseTooLong, http_client
from bot.mcp.stdio import stdio_transport

START_WITHIN_S = 20.0
"""From the start of a server to the list of its tools. A server that ignores the newest protocol takes half of it."""
LIST_WITHIN_S = 4.0
MAX_LISTED_TOOLS = 1_000
"""Each question compares all of a server's tools with those that an admin agreed to."""
MAX_PAGES = 20
"""A list of tools has at most so many pages, so that it ends."""

log = logging.getLogger(__name__)


class TooManyTools(Exception):
    """A server lists more than MAX_LISTED_TOOLS."""


class ServerDown(Exception):
    """A server can't be used now. `str()` says why, without a secret."""


class ServerConnection:
    """A connection that is used until it is lost or retired."""

    def __init__(self, config: ServerConfig, clock: Clock, over: Callable[["ServerConnection"], None]) -> None:
        """Builds a connection that nobody keeps yet. `over` is called once `reason` is known, before anybody else."""
        self._config = config
        self._clock = clock
        self._over = over
        self._client: Client | None = None
        self._status = 0
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._retired = asyncio.Event()
        self._opened_or_failed = asyncio.Event()
        self._reason = ""
        self._listing = asyncio.Lock()
        self._listed_at = 0.0
        self._tools: tuple[ListedTool, ...] = ()
        self.opened_at: float | None = None

    @property
    def is_usable(self) -> bool:
        """Whether a call may use it, or wait until it may."""
        return not (self._retired.is_set() or self._reason)

    @property
    def reason(self) -> str:
        """Why the connection is over, "" until then."""
        return self._reason

    def retire(self) -> None:
        """Lets calls under way end, and then closes the connection."""
        self._retired.set()

    def end(self) -> None:
        """Closes the connection at once; calls under way fail."""
        self._retired.set()
        self._idle.set()

    async def keep(self) -> None:
        """Opens the connection, keeps it until it is lost or retired, and closes it. Raises nothing."""
        try:
            async with asyncio.timeout(START_WITHIN_S) as start, self._open() as client:
                self._tools = await _list(client)
                start.reschedule(None)
                self._listed_at = self.opened_at = self._clock.monotonic()
                self._client = client
                self._opened_or_failed.set()
                await self._retired.wait()
                await self._idle.wait()
                self._client = None
        except (Exception, BaseExceptionGroup) as error:
            self._reason = self._reason_of(error)
            log.warning("MCP server %s is down: %s", self._config.name, self._reason)
        finally:
            self._reason = self._reason or check_texts.MCP_CLOSED
            self._client = None
            self._over(self)
            self._opened_or_failed.set()

    async def ready(self) -> None:
        """Waits until the connection is open. Raises ServerDown."""
        await self._opened_or_failed.wait()
        if self._reason:
            raise ServerDown(self._reason)

    async def tools(self, max_age_s: float) -> tuple[ListedTool, ...]:
        """Returns the server's tools as it listed them in the last so many seconds. Raises ServerDown."""
        await self.ready()
        async with self._listing:
            if self._clock.monotonic() - self._listed_at > max_age_s:
                with self.in_use() as client:
                    try:
                        async with asyncio.timeout(LIST_WITHIN_S):
                            self._tools = await _list(client)
                    except Exception as error:
                        self.retire()
                        raise ServerDown(self._reason_of(error)) from error
                self._listed_at = self._clock.monotonic()
        return self._tools

    @contextmanager
    def in_use(self) -> Iterator[Client]:
        """Gives the client for one request, during which a retired connection stays open. Raises ServerDown."""
        if self._client is None:
            raise ServerDown(self._reason or check_texts.MCP_CLOSED)
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
        mode = "legacy" if self._config.legacy else "auto"
        async with AsyncExitStack() as stack:
            match self._config.transport:
                case StdioTransport() as server:
                    transport: Transport = stdio_transport(server, self.retire)
                case HttpTransport(url=url, headers=headers):
                    web = await stack.enter_async_context(http_client(headers, self._note_status))
                    transport = streamable_http_client(url, http_client=web, max_sse_event_size=MAX_MESSAGE_BYTES)
            yield await stack.enter_async_context(Client(transport, mode=mode, cache=None))

    def _note_status(self, status: int) -> None:
        self._status = status

    def _reason_of(self, error: BaseException) -> str:
        """Returns why a connection failed, without anything that the server said."""
        match _first_of(error):
            case TimeoutError():
                return check_texts.MCP_NO_ANSWER
            case FileNotFoundError():
                return check_texts.MCP_NO_COMMAND
            case OSError(errno=int(number)):
                return os.strerror(number)
            case ResponseTooLong():
                return check_texts.MCP_TOO_LONG
            case TooManyTools():
                return check_texts.MCP_TOO_MANY_TOOLS
            case httpx2.TransportError():
                return check_texts.MCP_UNREACHABLE
            case MCPError() as answer:
                return self._reason_of_answer(answer)
            case unforeseen:
                return trace_of(unforeseen)

    def _reason_of_answer(self, error: MCPError) -> str:
        is_http = isinstance(self._config.transport, HttpTransport)
        if is_too_long(error):
            return check_texts.MCP_TOO_LONG
        if is_http and self._status >= HTTPStatus.BAD_REQUEST:
            return f"HTTP {self._status}"
        if error.code == CONNECTION_CLOSED:
            return check_texts.MCP_CLOSED if is_http else check_texts.MCP_ENDED
        return check_texts.mcp_error(error.code)


def is_too_long(error: MCPError) -> bool:
    """Returns whether an error tells that a message of the server is too long to be read."""
    return TOO_LONG in error.message


async def _list(client: Client) -> tuple[ListedTool, ...]:
    """Returns all tools that a server lists."""
    tools: list[ListedTool] = []
    cursor, chars = None, 0
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        if len(tools) + len(page.tools) > MAX_LISTED_TOOLS:
            raise TooManyTools
        listed = [ListedTool(tool.name, tool.description or "", tool.input_schema, _title(tool)) for tool in page.tools]
        tools += listed
        chars += sum(len(tool.canonical) for tool in listed)
        if chars > MAX_MESSAGE_BYTES:
            raise ResponseTooLong
        cursor = page.next_cursor
        if cursor is None:
            break
    return tuple(tools)


def _title(tool: Tool) -> str:
    return tool.title or (tool.annotations.title if tool.annotations else None) or ""


def _first_of(error: BaseException) -> BaseException:
    """Returns what failed first, of the groups in which the SDK reports it."""
    while isinstance(error, BaseExceptionGroup):
        others = [inner for inner in error.exceptions if not isinstance(inner, asyncio.CancelledError)]
        error = (others or error.exceptions)[0]
    return error
