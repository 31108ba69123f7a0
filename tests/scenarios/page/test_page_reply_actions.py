from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from bot.core import texts
from bot.settings import Settings
from slack_sandbox.testing.browser import send
from tests.scenarios.answers import on_record
from tests.scenarios.conftest import Stage, says
from tests.streams.server import VendorServer

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.bot(on_disk=True),
]


@dataclass(frozen=True)
class ReplyPage:
    page: Page
    vendor: VendorServer
    settings: Settings

    @property
    def reply(self) -> Locator:
        return self.page.locator("#main .message").filter(has_text="answer")

    def button(self, name: str) -> Locator:
        return self.page.locator("#main").get_by_role("button", name=name, exact=True)

    async def ended(self, notice: str) -> None:
        """Waits until the reply shows this text and the job has ended in the database."""
        await expect(self.reply).to_contain_text(notice)
        await on_record(self.settings)

    async def ask(self) -> None:
        await send(self.page, "a question for you")


@pytest_asyncio.fixture(loop_scope="module")
async def view(stage: Stage, settings: Settings, page: Page) -> ReplyPage:
    await page.locator("#directs").get_by_role("button", name="Bot", exact=True).click()
    await expect(page.locator("#main-box")).to_be_focused()
    return ReplyPage(page, stage.vendor, settings)


async def test_answer_is_stopped_by_keyboard_and_regenerated_by_click(view: ReplyPage) -> None:
    view.vendor.script(says("A long answer. " * 200, pause_s=0.02), says("A short answer."))
    await view.ask()
    await expect(view.reply).to_contain_text("A long answer.")
    await view.button("Stop").focus()
    await view.page.keyboard.press("Enter")
    await view.ended("test · stopped")
    await expect(view.reply).not_to_contain_text(texts.answers.WRITING)
    await expect(view.button("Stop")).to_have_count(0)
    await expect(view.reply.locator("button[data-action]:focus")).to_have_count(1)
    await view.button("Regenerate").click()
    await expect(view.reply).to_contain_text("A short answer.")
    await expect(view.reply).not_to_contain_text("A long answer.")
    await view.button("Previous").click()
    await expect(view.reply).to_contain_text("A long answer.")
    await view.ended("test · stopped")
    await view.button("Next").click()
    await expect(view.reply).to_contain_text("A short answer.")
