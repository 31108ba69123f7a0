"""Fixtures: the bot in a sandbox whose page is open in a real browser, all in the loop of the module's browser."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page

from bot.settings import Settings
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.browser import Visit, browser, open_page, visit
from slack_sandbox.testing.plugin import marked_options
from tests.scenarios.conftest import Stage, running, says
from tests.streams.server import VendorServer

__all__ = ["browser", "visit"]


@pytest_asyncio.fixture(loop_scope="module")
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    async with Sandbox(**marked_options(request)) as sandbox:
        yield sandbox


@pytest_asyncio.fixture(loop_scope="module")
async def page(sandbox: Sandbox, visit: Visit) -> Page:
    return await open_page(visit, sandbox)


@pytest_asyncio.fixture(loop_scope="module")
async def vendor() -> AsyncIterator[VendorServer]:
    async with VendorServer() as vendor:
        vendor.script(says("The whole answer."))
        yield vendor


@pytest_asyncio.fixture(loop_scope="module")
async def stage(sandbox: Sandbox, vendor: VendorServer, settings: Settings) -> AsyncIterator[Stage]:
    async with running(settings):
        yield Stage(sandbox, vendor)
