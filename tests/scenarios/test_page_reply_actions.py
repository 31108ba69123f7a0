"""The buttons below a reply in a real browser: by clicking and by keyboard, in a direct message."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from bot.core import texts
from bot.settings import Settings
from sandbox.server import Sandbox
from tests.browser import Visit, browser, visit
from tests.scenarios.conftest import running, says, settings_of
from tests.scenarios.test_reply_actions import cut, on_record
from tests.streams.server import VendorServer

__all__ = ["browser", "visit"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Seen:
    """A person's page, with the bot on the other end."""

    page: Page
    vendor: VendorServer
    settings: Settings

    @property
    def reply(self) -> Locator:
        return self.page.locator("#main .message").filter(has_text="answer")

    def button(self, name: str) -> Locator:
        return self.page.locator("#main").get_by_role("button", name=name, exact=True)

    async def ended(self, sign: str) -> None:
        """Once the reply says how it ended, and the database does."""
        await expect(self.reply).to_contain_text(sign)
        await on_record(self.settings)

    async def ask(self) -> None:
        box = self.page.locator("#main-box")
        await box.fill("a question for you")
        await box.press("Enter")


@pytest_asyncio.fixture(loop_scope="module")
async def seen(visit: Visit, tmp_path: Path) -> AsyncIterator[Seen]:
    async with Sandbox() as sandbox, VendorServer() as vendor:
        settings = replace(settings_of(sandbox, vendor), database_url=f"sqlite:///{tmp_path}/typist.db")
        async with running(settings):
            page = await visit(sandbox.url, viewport={"width": 1280, "height": 800})
            await page.locator("#directs").get_by_role("button", name="typist", exact=True).click()
            await expect(page.locator("#main-box")).to_be_focused()
            yield Seen(page, vendor, settings)


async def test_stopped_by_keyboard_and_had_again_by_a_click(seen: Seen) -> None:
    seen.vendor.script(says("A long answer. " * 200, pause_s=0.02), says("A short answer."))
    await seen.ask()
    await expect(seen.reply).to_contain_text("A long answer.")
    await seen.button("Stop").focus()
    await seen.page.keyboard.press("Enter")
    await seen.ended("openai/test · stopped")
    await expect(seen.reply).not_to_contain_text(texts.WRITING)
    await expect(seen.button("Stop")).to_have_count(0)
    await seen.button("Regenerate").click()
    await expect(seen.reply).to_contain_text("A short answer.")
    await expect(seen.reply).not_to_contain_text("A long answer.")
    await seen.button("Previous").click()
    aside = seen.page.locator("#main .message").filter(has_text="Only visible to you")
    await expect(aside).to_contain_text("A long answer.")


async def test_rated_and_deleted(seen: Seen) -> None:
    seen.vendor.script(says("A good answer."))
    await seen.ask()
    await seen.ended("A good answer.")
    good = seen.button("Good answer")
    await good.press("Enter")
    await expect(good).to_have_attribute("aria-pressed", "true")
    thanks = seen.page.locator("#main .message").filter(has_text=texts.THANKS_HELPED)
    await expect(thanks).to_contain_text("Only visible to you")
    delete = seen.page.locator("#main").get_by_title("Delete")
    await delete.press("Enter")
    dialog = seen.page.get_by_role("dialog", name="Delete this answer?")
    await seen.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(delete).to_be_focused()
    await delete.click()
    await dialog.get_by_role("button", name="Delete").click()
    await expect(seen.page.locator("#main .message").filter(has_text="A good answer.")).to_have_count(0)


async def test_stopped_by_a_click_and_had_again_by_keyboard(seen: Seen) -> None:
    seen.vendor.script(says("A long answer. " * 200, pause_s=0.02), says("A short answer."))
    await seen.ask()
    await expect(seen.reply).to_contain_text("A long answer.")
    await seen.button("Stop").click()
    await seen.ended("openai/test · stopped")
    await seen.button("Regenerate").press("Enter")
    await expect(seen.reply).to_contain_text("A short answer.")
    await seen.button("Previous").press("Enter")
    aside = seen.page.locator("#main .message").filter(has_text="Only visible to you")
    await expect(aside).to_contain_text("A long answer.")


async def test_cut_for_length_it_goes_on_by_a_click_and_by_keyboard(seen: Seen) -> None:
    seen.vendor.script(cut("An answer: one, t"), cut("wo, thr"), says("ee."))
    await seen.ask()
    await seen.ended("openai/test · incomplete")
    await seen.button("Continue").click()
    await expect(seen.reply).to_contain_text("An answer: one, two, thr")
    await seen.ended("openai/test · incomplete")
    await seen.button("Continue").press("Enter")
    await expect(seen.reply).to_contain_text("An answer: one, two, three.")
    await expect(seen.button("Regenerate")).to_be_visible()
    await expect(seen.button("Continue")).to_have_count(0)
