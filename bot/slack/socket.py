"""Socket Mode: two connections to Slack, so that one's refresh leaves no gap, and a watch over both."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import SlackSetupError

CONNECTIONS = 2
PING_INTERVAL_S = 5
WATCH_S = 5
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
        self._watch: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connects; raises SlackSetupError where the app token does not let us."""
        await self._check()
        for handler in self._handlers:
            await handler.connect_async()
        self._watch = asyncio.create_task(self._watch_over())

    async def close(self) -> None:
        """Takes no more events; what was not acknowledged comes again elsewhere."""
        if self._watch is not None:
            self._watch.cancel()
        for handler in self._handlers:
            await _within(CLOSE_TIMEOUT_S, handler.close_async)

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

    async def _watch_over(self) -> None:
        """Without this a client can stick to a ticket that has expired, and try it for ever."""
        while True:
            await asyncio.sleep(WATCH_S)
            for handler in self._handlers:
                client: SocketModeClient = handler.client
                if not await client.is_connected():
                    log.warning("a connection to Slack is down; asking for a new one")
                    client.wss_uri = None


async def _within(timeout_s: float, close: Callable[[], Awaitable[None]]) -> None:
    try:
        await asyncio.wait_for(close(), timeout_s)
    except TimeoutError:
        log.warning("a connection to Slack did not close in time")
