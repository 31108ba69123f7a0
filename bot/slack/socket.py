"""Socket Mode: keeps two connections to Slack open, so that refreshing one leaves no gap."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import aiohttp
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.core.surrogates import paired_json
from bot.errors import RateLimited, Refusal, Refused, SlackSetupError
from bot.slack.client import SlackClient
from bot.slack.credentials import LOOK_S, Credential

CONNECTIONS = 2
PING_INTERVAL_S = 5
WATCH_S = 0.5
CONNECT_TIMEOUT_S = 10
CLOSE_TIMEOUT_S = 1.0
"""A Slack that hangs doesn't answer a close, and a process that ends has little time."""
OPEN = "apps.connections.open"

log = logging.getLogger(__name__)


class SocketConnection(SocketModeClient):
    """The SDK's client, with our own timeouts and errors. It reconnects only on request."""

    def __init__(self, app: AsyncApp, web: SlackClient, app_token: str) -> None:
        super().__init__(
            app_token,
            logger=app.logger,
            web_client=web.sdk_client,
            ping_interval=PING_INTERVAL_S,
            auto_reconnect_enabled=False,
        )
        self._web = web

    async def issue_new_wss_url(self) -> str:
        """Raises RateLimited and Refused; the SDK's own waits for a rate limit inside of the call, again and again."""
        url = (await self._web.call(OPEN)).get("url")
        if not isinstance(url, str):
            raise Refused(OPEN, "no address in the answer", Refusal.TRANSIENT)
        return url

    async def connect(self) -> None:
        """Connects once. The SDK's own method retries the same address forever, though its ticket is valid once."""
        if self.current_session is not None:
            await _within(CLOSE_TIMEOUT_S, self.current_session.close)
        assert self.wss_uri is not None, "connect_to_new_endpoint asks for it"
        session = await self.aiohttp_client_session.ws_connect(
            self.wss_uri, autoping=False, heartbeat=self.ping_interval, proxy=self.proxy
        )
        self.current_session, self.stale = session, False
        await session.ping(f"sdk-ping-pong:{time.time()}".encode())
        for task in (self.current_session_monitor, self.message_receiver):
            if task is not None:
                task.cancel()
        self.current_session_monitor = asyncio.ensure_future(self.monitor_current_session())
        self.message_receiver = asyncio.ensure_future(self.receive_messages())

    async def renew(self) -> None:
        """Connects with a new ticket. Raises RateLimited and Refused."""
        self.last_ping_pong_time = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self.connect_to_new_endpoint()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Refused("a connection", type(error).__name__, Refusal.TRANSIENT) from error
        if not await self.is_connected():
            raise Refused("a connection", "another one is being made", Refusal.TRANSIENT)

    async def end(self) -> None:
        """Closes within CLOSE_TIMEOUT_S, and leaves nothing open. The SDK's own close waits for Slack, step by step."""
        self.closed = True
        for task in (self.message_processor, self.current_session_monitor, self.message_receiver):
            if task is not None:
                task.cancel()
        try:
            if self.current_session is not None:
                await _within(CLOSE_TIMEOUT_S, self.current_session.close)
        finally:
            await self.aiohttp_client_session.close()


class Sockets:
    """Receives Slack's events for a Bolt app. `web` calls with the app-level token, whose state is in `credential`."""

    def __init__(self, app: AsyncApp, web: SlackClient, app_token: str, credential: Credential) -> None:
        self._app = app
        self._credential = credential
        self._connections = [SocketConnection(app, web, app_token) for _ in range(CONNECTIONS)]
        for connection in self._connections:
            connection.socket_mode_request_listeners.append(self._handle)
        self._watches: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Connects; returns once one connection is up. Raises SlackSetupError for a bad token."""
        first, *others = self._connections
        await self._credential.insist(first.renew)
        await asyncio.gather(*(self._try_once(connection) for connection in others))
        self._watches = [asyncio.create_task(self._watch(connection)) for connection in self._connections]

    async def close(self) -> None:
        """Closes the connections. Slack sends unacknowledged events again, to another process."""
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*(connection.end() for connection in self._connections))

    async def up(self) -> int:
        """Returns how many connections are up."""
        return sum([await connection.is_connected() for connection in self._connections])

    async def _handle(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        """Hands an event to the app and acknowledges it. Slack sends unacknowledged events again."""
        request.payload = paired_json(request.payload)
        response = await run_async_bolt_app(self._app, request)
        try:
            await send_async_response(client, request, response, time.time())
        except ConnectionError:
            log.info("acknowledgment not sent, Slack will redeliver the event")

    async def _watch(self, connection: SocketConnection) -> None:
        """Reconnects until canceled, sooner than the SDK would, and waits longer after each failure."""
        while True:
            await asyncio.sleep(WATCH_S)
            if await connection.is_connected():
                continue
            log.warning("connection to Slack lost, opening a new one")
            try:
                await self._credential.insist(connection.renew)
            except SlackSetupError as error:
                # Only an admin can end this, so a try a minute is enough; /health says so, too.
                log.error("%s", error)
                await asyncio.sleep(LOOK_S)

    async def _try_once(self, connection: SocketConnection) -> None:
        """Connects once. After a failure, the watch tries again."""
        try:
            await self._credential.used(connection.renew)
        except (RateLimited, Refused, SlackSetupError) as error:
            log.warning("connection to Slack failed: %s", error)


async def _within(timeout_s: float, close: Callable[[], Awaitable[object]]) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await close()
    except TimeoutError:
        log.info("connection to Slack did not close in time")
