"""The page shows how each message got its text, and all meters of the workspace."""

import pytest
from playwright.async_api import Locator, Page, expect
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.browser import Visit
from slack_sandbox.web_api.budgets import FLOORS, WINDOW_S
from tests.conftest import ManualTime

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.long,
    pytest.mark.slack(manifest=manifests.classic()),
]

GENERAL = "C0GENERAL"
LATER = ManualTime()


async def opened(sandbox: Sandbox, visit: Visit, asked: str) -> Page:
    return await visit(f"{sandbox.url}/?channel={GENERAL}&thread={asked}", viewport={"width": 1440, "height": 900})


def carrier(page: Page, text: str) -> Locator:
    """Returns the line that tells how the thread's message got this text."""
    return page.locator("#thread .message").filter(has_text=text).locator(".carrier")


async def open_panel(page: Page) -> None:
    await page.get_by_role("button", name="Simulate Slack failures").click()


async def streamed(sandbox: Sandbox, web: AsyncWebClient, asked: str, words: list[str]) -> None:
    started = await web.chat_startStream(
        channel=GENERAL, thread_ts=asked, recipient_user_id="U0ADA", recipient_team_id=sandbox.team_id
    )
    ts = started["ts"]
    for word in words:
        await web.chat_appendStream(channel=GENERAL, ts=ts, markdown_text=word)
    await web.chat_stopStream(channel=GENERAL, ts=ts)


async def test_message_tells_its_carrier_while_the_meters_are_shown(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit
) -> None:
    asked = await sandbox.say("ada", "general", "@bot why?")
    edited = (await web.chat_postMessage(channel=GENERAL, thread_ts=asked, text="…"))["ts"]
    await streamed(sandbox, web, asked, ["It grows ", "by ", "appends."])
    await web.chat_postMessage(channel=GENERAL, thread_ts=asked, text="Posted once.")
    page = await opened(sandbox, visit, asked)
    await expect(carrier(page, "It grows by appends.")).to_be_hidden()
    await open_panel(page)
    await expect(carrier(page, "It grows by appends.")).to_have_text("streamed, 3 appends")
    for text in ("It grows", "It grows by", "It grows by edits."):
        await web.chat_update(channel=GENERAL, ts=edited, text=text)
    await expect(carrier(page, "It grows by edits.")).to_have_text("3 edits")
    await expect(carrier(page, "Posted once.")).to_have_text("")
    await page.reload()
    await open_panel(page)
    await expect(carrier(page, "It grows by edits.")).to_have_text("3 edits")


async def test_message_that_takes_the_place_of_a_deleted_one_says_so(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit
) -> None:
    asked = await sandbox.say("ada", "general", "@bot why?")
    before = (await web.chat_postMessage(channel=GENERAL, thread_ts=asked, text="As far as edits went"))["ts"]
    page = await opened(sandbox, visit, asked)
    await open_panel(page)
    await web.chat_postMessage(channel=GENERAL, thread_ts=asked, text="The whole answer.")
    await expect(carrier(page, "The whole answer.")).to_have_text("")
    await web.chat_delete(channel=GENERAL, ts=before)
    await expect(carrier(page, "The whole answer.")).to_have_text("replaces a deleted message")
    await sandbox.say("ada", "general", "@bot and then?", asked)
    await web.chat_postMessage(channel=GENERAL, thread_ts=asked, text="Another answer.")
    await expect(carrier(page, "Another answer.")).to_have_text("")


async def test_all_methods_have_meters_and_those_without_a_call_are_folded_away(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit
) -> None:
    asked = await sandbox.say("ada", "general", "@bot why?")
    page = await opened(sandbox, visit, asked)
    await open_panel(page)
    meters = page.get_by_role("meter")
    await expect(meters).to_have_count(2)
    await streamed(sandbox, web, asked, ["One ", "two."])
    for method, used, limit in (("chat.startStream", 1, 20), ("chat.appendStream", 2, 100), ("chat.stopStream", 1, 20)):
        meter = page.get_by_role("meter", name=method)
        await expect(meter).to_have_attribute("aria-valuenow", str(used))
        await expect(meter).to_have_attribute("aria-valuemax", str(limit))
    await page.get_by_text(f"{len(FLOORS) - 5} other methods, not called yet").click()
    await expect(meters).to_have_count(len(FLOORS))
    for _ in range(8):
        await web.chat_postMessage(channel=GENERAL, thread_ts=asked, text="One of many.")
    burst = page.get_by_role("meter", name="posts in #general")
    await expect(burst).to_have_attribute("aria-valuemax", "10")
    await expect(page.get_by_role("meter", name="chat.postMessage")).to_have_attribute("aria-valuenow", "8")


@pytest.mark.slack(monotonic=LATER)
async def test_method_that_was_called_a_while_ago_stays_listed_after_a_reload(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit
) -> None:
    asked = await sandbox.say("ada", GENERAL, "@bot why?")
    await streamed(sandbox, web, asked, ["One ", "two."])
    LATER.now_s += WINDOW_S + 1
    page = await opened(sandbox, visit, asked)
    await open_panel(page)
    await expect(page.get_by_role("meter", name="chat.startStream")).to_have_attribute("aria-valuenow", "0")
    await expect(page.get_by_text(f"{len(FLOORS) - 5} other methods, not called yet")).to_be_visible()
    await expect(page.get_by_role("meter")).to_have_count(5)
