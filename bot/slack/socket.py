"""Socket Mode: two connections to Slack, so that one's refresh leaves no gap, and a watch over both."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import aiohttp
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import SlackSetupError

CONNECTIONS = 2
PING_INTERVAL_S = 5
WATCH_S = 0.5
RECONNECT_TIMEOUT_S = 10
BACK_OFF_S = 2
CLOSE_TIMEOUT_S = 3

log = logging.getLogger(__name__)


class Sockets:
    """Slack's events for a Bolt app, while the context lasts."""

    def __init__(self, app: AsyncApp, app_token: str, web: AsyncWebClient) -> None:
        self._app_token = app_token
        self._web = web
        self._handlers = [
            AsyncSocketModeHandler(app, app_token, web_client=web, ping_interval=PING_INTERVAL_S)
            for _ in range(CONNECTIONS)
        ]
        self._watches: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Connects; raises SlackSetupError where the app token does not let us."""
        await self._check()
        for handler in self._handlers:
            await handler.client.connect()  # type: ignore[no-untyped-call]
            self._watches.append(asyncio.create_task(_watch(handler.client)))

    async def close(self) -> None:
        """Takes no more events; what was not acknowledged comes again elsewhere."""
        for watch in self._watches:
            watch.cancel()
        for handler in self._handlers:
            await _within(CLOSE_TIMEOUT_S, handler.close_async)

    async def up(self) -> int:
        """How many connections are up."""
        return sum([await handler.client.is_connected() for handler in self._handlers])

    async def _check(self) -> None:
        """The SDK would try a token that is not accepted again for ever."""
        try:
            await self._web.apps_connections_open(app_token=self._app_token)
        except SlackApiError as error:
            raise SlackSetupError(
                f"Slack does not accept SLACK_APP_TOKEN ({error.response['error']}). It must be an "
                "app-level token with the scope connections:write, from api.slack.com/apps → your app → "
                "Basic Information, and Socket Mode must be on."
            ) from error


async def _watch(client: SocketModeClient) -> None:
    """Reconnects sooner than the SDK does, and never with a ticket that has expired, to which it can stick."""
    while True:
        await asyncio.sleep(WATCH_S)
        if await client.is_connected():
            continue
        log.warning("a connection to Slack is down; asking for a new one")
        client.wss_uri = None
        try:
            await asyncio.wait_for(client.connect_to_new_endpoint(), RECONNECT_TIMEOUT_S)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            log.warning("no new connection to Slack yet: %s", type(error).__name__)
            await asyncio.sleep(BACK_OFF_S)


async def _within(timeout_s: float, close: Callable[[], Awaitable[None]]) -> None:
    try:
        await asyncio.wait_for(close(), timeout_s)
    except TimeoutError:
        log.warning("a connection to Slack did not close in time")
