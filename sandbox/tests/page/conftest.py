"""Fixtures for tests of the page in a real browser, all in the event loop of the module's browser."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing.bolt import connected, new_app
from slack_sandbox.testing.browser import Visit, browser, open_page, visit
from slack_sandbox.testing.plugin import marked_options

__all__ = ["browser", "visit"]


@pytest_asyncio.fixture(loop_scope="module")
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    async with Sandbox(**marked_options(request)) as sandbox:
        yield sandbox


@pytest.fixture
def web(sandbox: Sandbox) -> AsyncWebClient:
    return AsyncWebClient(sandbox.bot_token, base_url=sandbox.api_url)


@pytest_asyncio.fixture(loop_scope="module")
async def page(sandbox: Sandbox, visit: Visit) -> Page:
    return await open_page(visit, sandbox)


@pytest_asyncio.fixture(loop_scope="module")
async def bolt(sandbox: Sandbox) -> AsyncIterator[AsyncApp]:
    bolt = new_app(sandbox)
    async with connected(bolt, sandbox):
        yield bolt
