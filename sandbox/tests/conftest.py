"""Fixtures: a running sandbox, and an app that uses Slack's SDK."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing.plugin import marked_options
from slack_sandbox.testing.processes import WITHIN_S
from slack_sandbox.workspace import Json

pytest_plugins = ["slack_sandbox.testing.gate"]


@dataclass
class ManualTime:
    """A monotonic clock that only moves when a test sets it, for Sandbox(monotonic=…)."""

    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class SdkApp:
    """An app that uses slack_sdk's Socket Mode client. Records requests and, with `acknowledge`, acknowledges them."""

    sandbox: Sandbox
    web: AsyncWebClient
    acknowledge: bool = True
    requests: list[SocketModeRequest] = field(default_factory=list)
    clients: list[SocketModeClient] = field(default_factory=list)
    _received: asyncio.Event = field(default_factory=asyncio.Event)

    async def connect(self) -> SocketModeClient:
        client = SocketModeClient(self.sandbox.app_token, web_client=self.web)
        client.socket_mode_request_listeners.append(self._on_request)
        before = len(self.sandbox.sockets.connections)
        self.clients.append(client)
        await client.connect()  # type: ignore[no-untyped-call]
        await self.sandbox.wait_for(lambda: len(self.sandbox.sockets.connections) > before)
        return client

    async def events(self, count: int) -> list[Json]:
        """Waits for at least `count` events and returns all of them."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.requests) < count:
                await self._received.wait()
                self._received.clear()
        return [request.payload["event"] for request in self.requests]

    async def close(self) -> None:
        for client in self.clients:
            await client.close()  # type: ignore[no-untyped-call]

    async def _on_request(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        self.requests.append(request)
        self._received.set()
        if self.acknowledge:
            await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))


@pytest.fixture
def clock() -> ManualTime:
    return ManualTime()


@pytest.fixture
async def sandbox(request: pytest.FixtureRequest, clock: ManualTime) -> AsyncIterator[Sandbox]:
    options = marked_options(
        request, monotonic=clock, ack_timeout_s=30.0, redelivery_delays_s=(0, 0.05, 0.05), twin_order="mention_first"
    )
    async with Sandbox(**options) as sandbox:
        yield sandbox


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def web(sandbox: Sandbox, session: aiohttp.ClientSession) -> AsyncWebClient:
    return AsyncWebClient(sandbox.bot_token, base_url=sandbox.api_url, session=session)


def sent_events(sandbox: Sandbox) -> list[Json]:
    """Returns the events that the sandbox has sent or tried to send."""
    return [delivery.payload["event"] for delivery in sandbox.deliveries]


@pytest.fixture
async def app(sandbox: Sandbox, web: AsyncWebClient) -> AsyncIterator[SdkApp]:
    app = SdkApp(sandbox, web)
    yield app
    await app.close()
