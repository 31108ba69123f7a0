"""Keeps two Socket Mode connections to Slack open, so that refreshing one leaves no gap.

Slack ends connections right after its hello message if there are too many processes or Socket Mode is off. A connection
therefore counts as successful only after STEADY_S. Until one is, Typist opens new connections at growing intervals, up
to STEADY_S, and /readyz reports the reason. If the network cuts a connection after twenty seconds, Typist is offline
for at most ten seconds.

The SDK takes up to ten seconds to notice a lost connection, and its own loop can retry an expired ticket forever.
Therefore, Typist watches the connections itself and requests a new ticket for each attempt.
"""

import asyncio
import logging
import math
import time
from typing import Any

import aiohttp
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from bot import network
from bot.clock import Clock
from bot.errors import RateLimited, Refusal, Refused, SlackSetupError, trace_of
from bot.retry import CONNECTION
from bot.slack.client import CLOSE_TIMEOUT_S, LOOK_AGAIN_S, Credential, SlackClient
from bot.text import with_joined_surrogates

CONNECTIONS = 2
PING_INTERVAL_S = 5
WATCH_S = 0.5
CONNECT_TIMEOUT_S = 10
STEADY_S = CONNECTION.backoff.max_s
"""The time after which a connection counts as successful."""
OPEN_METHOD = "apps.connections.open"
REFRESH_REASONS = frozenset({"warning", "refresh_requested"})
"""Slack's reasons for ending a connection that only ask Typist to open a new one."""
RECOUNT = "recount"
"""Our own reason for ending a connection: the hello message of the next one reports how many connections the app
has."""
SETTLE_S = 30.0
"""The time for which Slack's hello can still count a closed connection."""
ADVICE = {
    "too_many_websockets": "An app has 10 connections at most. Stop other processes that use this SLACK_APP_TOKEN.",
    "link_disabled": "Turn Socket Mode on: api.slack.com/apps → your app → Socket Mode.",
}
OTHER_ADVICE = "If this continues, check that a firewall or proxy lets WebSockets (wss) through."

log = logging.getLogger(__name__)


class SocketConnection(SocketModeClient):
    """The SDK's client with our timeouts and errors. It reconnects only on request. Times are on the monotonic
    clock."""

    opened_at: float = 0.0
    heard_at: float | None = None
    """The time at which Slack last sent a message (including a hello), or None if it hasn't sent any."""
    app_connections: int = 0
    greeted_at: float = -math.inf
    end_reason: str = ""
    """Slack's reason for ending the connection, or "" if the connection is open or was lost without a reason."""
    problem: str = ""
    """The reason connections don't last, as a sentence, or "". It is set after two failures in a row, until a
    connection lasts."""

    def __init__(self, app: AsyncApp, web: SlackClient, app_token: str, clock: Clock) -> None:
        super().__init__(
            app_token,
            logger=app.logger,
            web_client=web.sdk_client,
            ping_interval=PING_INTERVAL_S,
            auto_reconnect_enabled=False,
        )
        self._web = web
        self._clock = clock
        self._ended = asyncio.Event()

    async def run_message_listeners(self, message: dict[str, Any], raw_message: str) -> None:
        """Handles a message from Slack. The SDK's own method would reconnect immediately after each `disconnect`."""
        if message.get("type") != "disconnect":
            self.heard_at = self._clock.monotonic()
            count = message.get("num_connections")
            if message.get("type") == "hello" and isinstance(count, int):
                self.app_connections, self.greeted_at = count, self.heard_at
            if "envelope_id" in message and not isinstance(message.get("payload"), dict | str):
                # The SDK would leave the message unacknowledged.
                message = {**message, "payload": {}}
            await super().run_message_listeners(message, raw_message)
            return
        self.end_with_reason(str(message.get("reason") or "")[:50])

    def end_with_reason(self, reason: str) -> None:
        self.end_reason = reason
        self.stale = True
        self._ended.set()

    async def wait_for_end(self) -> bool:
        """Waits for WATCH_S, or until Slack ends the connection. Returns whether the connection is up."""
        try:
            async with asyncio.timeout(WATCH_S):
                await self._ended.wait()
        except TimeoutError:
            pass
        return await self.is_connected()

    async def close_session(self) -> None:
        """Closes the connection within CLOSE_TIMEOUT_S, so that it no longer counts toward the app's limit."""
        if self.current_session is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.current_session.close()
        except TimeoutError:
            log.info("connection to Slack did not close in time")

    def age_s(self) -> float:
        return self._clock.monotonic() - self.opened_at

    async def issue_new_wss_url(self) -> str:
        """Requests a socket URL. Raises RateLimited and Refused, whereas the SDK's own method would wait out rate
        limits."""
        url = (await self._web.call(OPEN_METHOD)).get("url")
        if not isinstance(url, str):
            raise Refused(OPEN_METHOD, "no address in the answer", Refusal.TRANSIENT)
        return url

    async def connect(self) -> None:
        """Connects once. The SDK's own method would retry the same URL forever, although its ticket is valid only
        once."""
        await self.close_session()
        assert self.wss_uri is not None, "connect_to_new_endpoint asks for it"
        session = await self.aiohttp_client_session.ws_connect(
            self.wss_uri,
            autoping=False,
            heartbeat=self.ping_interval,
            proxy=network.proxy_of(self.wss_uri),
            ssl=network.tls(),
        )
        self.current_session = session
        self.stale = False
        self.end_reason = ""
        self.opened_at = self._clock.monotonic()
        self._ended.clear()
        await session.ping(f"sdk-ping-pong:{time.time()}".encode())
        for task in (self.current_session_monitor, self.message_receiver):
            if task is not None:
                task.cancel()
        self.current_session_monitor = asyncio.ensure_future(self.monitor_current_session())
        self.message_receiver = asyncio.ensure_future(self.receive_messages())

    async def renew(self) -> None:
        self.last_ping_pong_time = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self.connect_to_new_endpoint()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = network.reason_of(error, self.wss_uri or "") or type(error).__name__
            raise Refused("a connection", reason, Refusal.TRANSIENT) from error
        if not await self.is_connected():
            raise Refused("a connection", "another one is being made", Refusal.TRANSIENT)

    async def end(self) -> None:
        """Closes everything within CLOSE_TIMEOUT_S. The SDK's own close() waits for Slack at each step."""
        self.closed = True
        for task in (self.message_processor, self.current_session_monitor, self.message_receiver):
            if task is not None:
                task.cancel()
        try:
            await self.close_session()
        finally:
            await self.aiohttp_client_session.close()


class Sockets:
    """Receives Slack's events for a Bolt app. `web` uses the app-level token, whose state `credential` tracks."""

    def __init__(self, app: AsyncApp, web: SlackClient, app_token: str, credential: Credential, clock: Clock) -> None:
        self._app = app
        self._credential = credential
        self._clock = clock
        self._connections = [SocketConnection(app, web, app_token, clock) for _ in range(CONNECTIONS)]
        for connection in self._connections:
            connection.socket_mode_request_listeners.append(self._on_request)
        self._watches: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        first, *others = self._connections
        await self._credential.keep_trying(first.renew)
        await asyncio.gather(*(self._connect_once(connection) for connection in others))
        self._watches = [asyncio.create_task(self._keep_connected(connection)) for connection in self._connections]

    async def close(self) -> None:
        """Closes the connections. Slack redelivers unacknowledged events to another process."""
        for watch in self._watches:
            watch.cancel()
        if self._watches:
            # A watch that is connecting needs the session until the watch ends.
            await asyncio.wait(self._watches, timeout=CLOSE_TIMEOUT_S)
        await asyncio.gather(*(connection.end() for connection in self._connections))

    async def up(self) -> int:
        """Returns the number of open connections. After a failure, a new connection counts only after STEADY_S."""
        return sum([await connection.is_connected() and not connection.problem for connection in self._connections])

    def heard_at(self) -> float | None:
        """Returns the time of Slack's last message, or None if there was none. Excludes pings, because Slack responds
        to pings even while it isn't delivering events."""
        heard = [connection.heard_at for connection in self._connections if connection.heard_at is not None]
        return max(heard, default=None)

    def app_connections(self) -> tuple[int, float]:
        """Returns the number of the app's connections that Slack's last hello reported, and the time of that hello on
        the monotonic clock."""
        last = max(self._connections, key=lambda connection: connection.greeted_at)
        return last.app_connections, last.greeted_at

    def recount(self) -> None:
        """Renews one connection, so that Slack reports the number of the app's connections. Other connections remain
        open."""
        min(self._connections, key=lambda connection: connection.opened_at).end_with_reason(RECOUNT)

    def problem(self) -> str:
        return next((connection.problem for connection in self._connections if connection.problem), "")

    async def _on_request(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        try:
            request.payload = with_joined_surrogates(request.payload)
            response = await run_async_bolt_app(self._app, request)
        except Exception as error:
            log.warning("payload ignored: Bolt can't read it: %s", type(error).__name__)
            response = BoltResponse(status=200)
        try:
            await send_async_response(client, request, response, time.time())
        except ConnectionError:
            log.info("acknowledgment not sent, Slack will redeliver the event")

    async def _keep_connected(self, connection: SocketConnection) -> None:
        failures, refused = 0, ""
        while True:
            is_up = await connection.wait_for_end()
            if connection.age_s() >= STEADY_S:
                failures = 0
                self._set_problem(connection, "")
            if is_up:
                continue
            if connection.end_reason in REFRESH_REASONS:
                log.info("connection to Slack ended for a refresh, opening a new one")
            elif connection.end_reason == RECOUNT:
                await connection.close_session()
                await self._clock.sleep(SETTLE_S)
            elif not failures:
                log.warning("connection to Slack lost, opening a new one")
            if connection.age_s() < STEADY_S:
                failures += 1
                if failures > 1:
                    reason = connection.end_reason
                    why = f"({reason})" if reason else "without a reason"
                    advice = ADVICE.get(reason, OTHER_ADVICE)
                    self._set_problem(connection, f"Connections to Slack end right after they open {why}. {advice}")
                await connection.close_session()
                await self._clock.sleep(max(0.0, CONNECTION.backoff.wait_s(failures) - connection.age_s()))
            refused = await self._renew_connection(connection, refused)

    async def _renew_connection(self, connection: SocketConnection, refused: str) -> str:
        """Opens a new connection. Returns the reason Slack refuses the token, or "" if Slack accepts it. `refused`: the
        last refusal that was logged."""
        try:
            await self._credential.keep_trying(connection.renew)
        except SlackSetupError as error:
            # Only an admin can replace a rejected token; /readyz reports it, too.
            if str(error) != refused:
                log.error("%s", error)
            await asyncio.sleep(LOOK_AGAIN_S)
            return str(error)
        except Exception as error:
            # The watch must continue after any error, because the next attempt might succeed.
            log.warning("connection to Slack failed: %s", trace_of(error))
            await asyncio.sleep(LOOK_AGAIN_S)
        return ""

    def _set_problem(self, connection: SocketConnection, problem: str) -> None:
        before = self.problem()
        connection.problem = problem
        if problem and problem != before:
            log.warning("%s", problem)
        elif before and not self.problem():
            log.info("connections to Slack are stable again")

    async def _connect_once(self, connection: SocketConnection) -> None:
        try:
            await self._credential.attempt(connection.renew)
        except (RateLimited, Refused, SlackSetupError) as error:
            log.warning("connection to Slack failed: %s", error)
