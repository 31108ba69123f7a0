"""The welcome, an announced change and App Home's prompts on the sandbox's page, in a real browser."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from bot.core import texts
from bot.settings import Settings
from sandbox.server import Sandbox
from sandbox.workspace import Channel
from tests.browser import Visit, browser, visit
from tests.scenarios.conftest import manifest, running, says, settings_of
from tests.streams.server import VendorServer

__all__ = ["browser", "visit"]
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]


@pytest_asyncio.fixture(loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(manifest=manifest()) as sandbox:
        yield sandbox


@pytest_asyncio.fixture(loop_scope="module")
async def settings(sandbox: Sandbox) -> AsyncIterator[Settings]:
    async with VendorServer() as vendor:
        vendor.script(says("The whole answer."))
        yield settings_of(sandbox, vendor)


async def test_prompts_are_pressed_in_a_channel_and_in_app_home(
    sandbox: Sandbox, settings: Settings, visit: Visit
) -> None:
    new = Channel("C0NEW", "new", "channel", ["U0ADA"], creator="U0ADA")
    sandbox.workspace.channels[new.id] = new
    async with running(settings):
        sandbox.workspace.join("new", sandbox.bot_user_id, "U0ADA")
        await sandbox.wait_for(lambda: sandbox.messages("new"))
        page = await visit(sandbox.url, viewport={"width": 1280, "height": 800})
        await page.get_by_role("button", name="new").first.click()
        welcome = page.locator("#main .message").filter(has_text="Or try one of these")
        await expect(welcome).to_contain_text("Everyone in this channel sees my answers.")
        await expect(welcome.get_by_role("button", name="Weigh options")).to_be_visible()
        await welcome.get_by_role("button", name="Draft a message").click()
        await expect(welcome).to_contain_text("2 replies")
        ada = sandbox.client("ada")
        await ada.command("new", "/typist mentions")
        await ada.submit({"new_posts": ["new_posts"], "reaction": "question"})
        told = page.locator("#main .message").filter(has_text="changed my settings here: I answer every new post.")
        await expect(told).to_contain_text("\u2753 on a message asks about it.")
        await page.get_by_role("button", name="Typist", exact=True).click()
        await page.get_by_role("tab", name="Home").click()
        await page.locator("#home").get_by_role("button", name="Explain something").click()
        await expect(page.get_by_role("dialog")).to_contain_text(texts.ASKED_FROM_HOME)
        await page.get_by_role("button", name="Close").last.click()
        await page.get_by_role("tab", name="Messages").click()
        await expect(page.locator("#main")).to_contain_text("The whole answer.")
