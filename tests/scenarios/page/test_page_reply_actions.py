"""Reply actions in a direct message, in a real browser: by clicks and by keyboard."""

import logging
import sqlite3
from contextlib import closing
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from bot.core import texts
from bot.services import reply_actions
from bot.settings import Settings
from slack_sandbox.testing.browser import send
from slack_sandbox.testing.processes import WITHIN_S
from tests.scenarios.answers import on_record
from tests.scenarios.conftest import Stage, says
from tests.scenarios.outages import until
from tests.streams.server import VendorServer

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("without_double_presses"),
    pytest.mark.bot(on_disk=True),
]


@dataclass(frozen=True)
class ReplyPage:
    """A person's page, connected to a sandbox with the bot."""

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
    await page.locator("#directs").get_by_role("button", name="Typist", exact=True).click()
    await expect(page.locator("#main-box")).to_be_focused()
    return ReplyPage(page, stage.vendor, settings)


async def test_answer_is_stopped_by_keyboard_and_regenerated_by_click(view: ReplyPage) -> None:
    view.vendor.script(says("A long answer. " * 200, pause_s=0.02), says("A short answer."))
    await view.ask()
    await expect(view.reply).to_contain_text("A long answer.")
    await view.button("Stop").focus()
    await view.page.keyboard.press("Enter")
    await view.ended("test · stopped")
    await expect(view.reply).not_to_contain_text(texts.WRITING)
    await expect(view.button("Stop")).to_have_count(0)
    await view.button("Regenerate").click()
    await expect(view.reply).to_contain_text("A short answer.")
    await expect(view.reply).not_to_contain_text("A long answer.")
    await view.button("Previous").click()
    await expect(view.reply).to_contain_text("A long answer.")
    await view.ended("test · stopped")
    await view.button("Next").click()
    await expect(view.reply).to_contain_text("A short answer.")


async def test_stop_keeps_the_focus_and_a_begun_press_while_the_answer_is_edited(view: ReplyPage) -> None:
    view.vendor.script(says("A long answer. " * 200, pause_s=0.02))
    await view.ask()
    await expect(view.reply).to_contain_text("A long answer.")
    stop = view.button("Stop")
    await stop.focus()
    # The button has the focus and is pressed before the edits, and is released after them.
    await stop.hover()
    await view.page.mouse.down()
    text = await view.reply.inner_text()
    for _ in range(3):
        await expect(view.reply).not_to_have_text(text, use_inner_text=True)
        text = await view.reply.inner_text()
        await expect(stop).to_be_focused()
    await view.page.mouse.up()
    await view.ended("test · stopped")


async def test_second_press_on_what_takes_stops_place_neither_votes_nor_asks_again(
    view: ReplyPage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # As long as a busy machine needs from one press to the next.
    monkeypatch.setattr(reply_actions, "DOUBLE_PRESS_S", WITHIN_S)
    caplog.set_level(logging.INFO, "bot.services.reply_actions")
    view.vendor.script(says("A long answer. " * 200, pause_s=0.02), says("Another answer."))
    await view.ask()
    await expect(view.reply).to_contain_text("A long answer.")
    await view.button("Stop").click()
    taking_its_place = ("Good answer", "Continue", "Regenerate")
    for name in taking_its_place:
        await view.button(name).click()
    await view.ended("test · stopped")
    await until(lambda: caplog.text.count("action ") == 1 + len(taking_its_place), "the presses")
    assert caplog.text.count(" ignored: ") == len(taking_its_place)
    assert len(view.vendor.requests) == 1
    assert voted(view.settings) == 0
    notices = view.page.locator("#main .message").filter(has_text="Only visible to you")
    await expect(notices).to_have_count(0)


def voted(settings: Settings) -> int:
    """Returns how many votes are on record."""
    with closing(sqlite3.connect(settings.database_url.removeprefix("sqlite:///"))) as database:
        return int(database.execute("select count(*) from feedback").fetchone()[0])


@pytest.mark.long
async def test_answer_is_rated_and_deleted(view: ReplyPage) -> None:
    view.vendor.script(says("A good answer."))
    await view.ask()
    await view.ended("A good answer.")
    good = view.button("Good answer")
    await good.press("Enter")
    await expect(good).to_have_attribute("aria-pressed", "true")
    thanks = view.page.locator("#main .message").filter(has_text=texts.THANKS_HELPED)
    await expect(thanks).to_contain_text("Only visible to you")
    delete = view.page.locator("#main").get_by_title("Delete")
    await delete.press("Enter")
    dialog = view.page.get_by_role("dialog", name="Delete this answer?")
    await view.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(delete).to_be_focused()
    await delete.click()
    await dialog.get_by_role("button", name="Delete").click()
    await expect(view.page.locator("#main .message").filter(has_text="A good answer.")).to_have_count(0)
