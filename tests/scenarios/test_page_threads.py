"""Edited, deleted, queued and follow-up questions in a real browser: by clicks and by keyboard."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from bot.core import texts
from sandbox.server import Sandbox
from tests.browser import Visit, browser, visit
from tests.marked import unmarked
from tests.scenarios.conftest import manifest, running, says, settings_of
from tests.streams.server import VendorServer

__all__ = ["browser", "visit"]
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

SLOW = says("Slow words. " * 200, pause_s=0.02)


@dataclass(frozen=True)
class ThreadPage:
    """A person's page, connected to a sandbox with the bot."""

    page: Page
    vendor: VendorServer

    @property
    def thread(self) -> Locator:
        return self.page.get_by_role("region", name="Thread")

    def message(self, text: str, place: str = "#main") -> Locator:
        return self.page.locator(f"{place} .message").filter(has_text=text)

    async def write(self, text: str, box: str = "#main-box") -> None:
        await self.page.locator(box).fill(text)
        await self.page.keyboard.press("Enter")

    async def reply(self, text: str) -> None:
        await self.write(text, "#thread-box")


Start = Callable[..., Awaitable[Sandbox]]


@pytest_asyncio.fixture(loop_scope="module")
async def vendor() -> AsyncIterator[VendorServer]:
    async with VendorServer() as vendor:
        yield vendor


@pytest_asyncio.fixture(loop_scope="module")
async def start(vendor: VendorServer) -> AsyncIterator[Start]:
    """Yields a function that starts a sandbox with the bot."""
    async with AsyncExitStack() as stack:

        async def started(done_mention_s: int = 0) -> Sandbox:
            sandbox = await stack.enter_async_context(Sandbox(manifest=manifest()))
            settings = replace(settings_of(sandbox, vendor), done_mention_s=done_mention_s, welcome=False)
            await stack.enter_async_context(running(settings))
            return sandbox

        yield started


async def general(visit: Visit, sandbox: Sandbox, vendor: VendorServer, person: str = "Ada") -> ThreadPage:
    page = await visit(sandbox.url, viewport={"width": 1280, "height": 900})
    await page.get_by_role("radio", name=person).check()
    await page.get_by_role("button", name="general", exact=True).click()
    await expect(page.locator("#main-box")).to_be_focused()
    return ThreadPage(page, vendor)


async def direct(visit: Visit, sandbox: Sandbox, vendor: VendorServer) -> ThreadPage:
    opened = await general(visit, sandbox, vendor)
    await opened.page.get_by_role("button", name="Typist", exact=True).click()
    await expect(opened.page.locator("#main-box")).to_be_focused()
    return opened


async def test_question_is_edited_by_keyboard_and_deleted_by_click_with_its_reply(
    start: Start, visit: Visit, vendor: VendorServer
) -> None:
    vendor.script(SLOW, says("The new answer."))
    opened = await direct(visit, await start(), vendor)
    await opened.write("old words?")
    await expect(opened.message("Slow words.")).to_be_visible()
    await opened.page.keyboard.press("ArrowUp")
    await expect(opened.page.get_by_role("textbox", name="Edit message")).to_be_focused()
    await opened.page.keyboard.press("ControlOrMeta+a")
    await opened.page.keyboard.type("new words?")
    await opened.page.keyboard.press("Enter")
    reply = opened.message("The new answer.")
    await expect(reply.get_by_role("button", name="Regenerate", exact=True)).to_be_visible()
    await expect(opened.message("Slow words.")).to_have_count(0)
    await opened.message("new words?").hover()
    await opened.message("new words?").get_by_role("button", name="Message actions").click()
    await opened.page.get_by_role("menuitem", name="Delete").click()
    await opened.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(opened.page.locator("#main .message")).to_have_count(0)


async def test_question_edited_by_click_after_its_answer_is_answered_again(
    start: Start, visit: Visit, vendor: VendorServer
) -> None:
    vendor.script(says("The old answer."), says("The new answer."))
    opened = await direct(visit, await start(), vendor)
    await opened.write("old words?")
    await expect(opened.message("The old answer.").get_by_role("button", name="Regenerate")).to_be_visible()
    await opened.message("old words?").hover()
    await opened.message("old words?").get_by_role("button", name="Message actions").click()
    await opened.page.get_by_role("menuitem", name="Edit").click()
    await opened.page.get_by_role("textbox", name="Edit message").fill("new words?")
    await opened.page.keyboard.press("Enter")
    await opened.message("The new answer.").get_by_role("button", name="Previous").press("Enter")
    await opened.message("The old answer.").get_by_role("button", name="Next").press("Enter")
    await expect(opened.message("The new answer.").get_by_role("button", name="Previous")).to_be_visible()
    await expect(opened.page.locator("#main .message").filter(has_text="Only visible to you")).to_have_count(0)


async def test_answer_is_thought_about_longer_by_keyboard(start: Start, visit: Visit, vendor: VendorServer) -> None:
    vendor.script(says("At first sight."), says("On second thought."))
    opened = await direct(visit, await start(), vendor)
    await opened.write("why?")
    menu = opened.message("At first sight.").get_by_role("button", name="More actions")
    await menu.press("Enter")
    item = opened.page.get_by_role("menuitem", name="Think longer")
    await expect(item).to_be_focused()
    await expect(opened.page.get_by_role("menuitem", name="Answer faster")).to_be_in_viewport(ratio=1)
    await opened.page.keyboard.press("Enter")
    await expect(opened.message("On second thought.")).to_contain_text("thorough (high effort)")


async def test_follow_ups_need_no_mention_until_someone_else_joins(
    start: Start, visit: Visit, vendor: VendorServer
) -> None:
    sandbox = await start()
    vendor.script(says("The first answer."), says("The second answer."), says("The third answer."))
    ada, grace = await general(visit, sandbox, vendor), await general(visit, sandbox, vendor, "Grace")
    await ada.write("@typist what is it?")
    await expect(ada.message("The first answer.", "#thread")).to_be_visible()
    await ada.reply("and why?")
    await expect(ada.message("The second answer.", "#thread")).to_be_visible()
    await grace.page.get_by_role("button", name="3 replies").press("Enter")
    await grace.reply("I wonder, too")
    await expect(ada.message("I wonder, too", "#thread")).to_be_visible()
    # A person is never this quick, but a test is.
    await sandbox.wait_for(lambda: all(delivery.acked_at_s is not None for delivery in sandbox.deliveries))
    for text in ("so do I", "@typist what do you say?"):
        await ada.reply(text)
    await expect(ada.message("The third answer.", "#thread")).to_be_visible()
    await expect(grace.thread.get_by_role("listitem")).to_have_count(8)
    assert len(vendor.requests) == 3


async def test_questions_of_two_people_are_queued_and_answered_in_turn(
    start: Start, visit: Visit, vendor: VendorServer
) -> None:
    sandbox = await start()
    vendor.script(SLOW, says("To you, Grace."), says("To you, Ada."))
    ada, grace = await general(visit, sandbox, vendor), await general(visit, sandbox, vendor, "Grace")
    await ada.write("@typist first?")
    await expect(ada.message("Slow words.", "#thread")).to_be_visible()
    await grace.page.get_by_role("button", name="1 reply").click()
    await grace.thread.get_by_role("button", name="Stop").click()
    refused = grace.message(texts.ONLY_ASKER["stop"], "#thread")
    await expect(refused).to_contain_text("Only visible to you")
    await expect(grace.page.get_by_role("button", name="1 reply")).to_be_visible()
    await grace.reply("@typist and for me?")
    await expect(ada.message(texts.QUEUED, "#thread")).to_have_count(1)
    await ada.reply("@typist and then?")
    await expect(ada.message(texts.QUEUED, "#thread")).to_have_count(2)
    await ada.thread.get_by_role("button", name="Stop").first.press("Enter")
    for answer in ("To you, Grace.", "To you, Ada."):
        of_one = ada.message(answer, "#thread")
        await expect(of_one.get_by_role("button", name="Regenerate")).to_be_visible()
    await expect(ada.message(texts.QUEUED, "#thread")).to_have_count(0)
    assert unmarked(vendor.requests[1].body["messages"][-1]["content"]) == "Grace: and for me?"


async def test_asker_of_a_long_answer_reads_that_it_is_ready(start: Start, visit: Visit, vendor: VendorServer) -> None:
    vendor.script(says("word " * 60, pause_s=0.02))
    opened = await general(visit, await start(done_mention_s=1), vendor)
    await opened.write("@typist why?")
    ping = opened.message(texts.ANSWER_READY, "#thread")
    await expect(ping.locator(".mention")).to_have_text("@Ada")
    await expect(opened.page.get_by_role("button", name="2 replies")).to_be_visible()
