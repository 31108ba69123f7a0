"""Socket Mode: two connections to Slack, so that one's refresh leaves no gap, and a watch over both."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import aiohttp
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.surrogates import paired_json
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
        self._app = app
        self._app_token = app_token
        self._web = web
        self._clients = [
            SocketModeClient(app_token, logger=app.logger, web_client=web, ping_interval=PING_INTERVAL_S)
            for _ in range(CONNECTIONS)
        ]
        for client in self._clients:
            client.socket_mode_request_listeners.append(self._handle)
        self._watches: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Connects; raises SlackSetupError where the app token does not let us."""
        await self._check()
        for client in self._clients:
            await client.connect()  # type: ignore[no-untyped-call]
            self._watches.append(asyncio.create_task(_watch(client)))

    async def close(self) -> None:
        """Takes no more events; what was not acknowledged comes again elsewhere."""
        for watch in self._watches:
            watch.cancel()
        for client in self._clients:
            await _within(CLOSE_TIMEOUT_S, client.close)

    async def up(self) -> int:
        """How many connections are up."""
        return sum([await client.is_connected() for client in self._clients])

    async def _handle(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        """Acknowledges what the app has taken; what is not acknowledged, Slack sends again."""
        request.payload = paired_json(request.payload)
        response = await run_async_bolt_app(self._app, request)
        try:
            await send_async_response(client, request, response, time.time())
        except ConnectionError:
            log.info("an acknowledgement did not reach Slack: the event will come again")

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
            async with asyncio.timeout(RECONNECT_TIMEOUT_S):
                await client.connect_to_new_endpoint()
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            log.warning("no new connection to Slack yet: %s", type(error).__name__)
            await asyncio.sleep(BACK_OFF_S)


async def _within(timeout_s: float, close: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await close()
    except TimeoutError:
        log.warning("a connection to Slack did not close in time")
