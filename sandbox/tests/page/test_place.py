"""The reader's position on the page, and what a pointer or a finger can do there."""

from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.bolt import connected, new_app, plain
from slack_sandbox.testing.browser import Visit, message, open_page, send, thread
from slack_sandbox.workspace import Json

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.long,
    pytest.mark.slack(manifest=manifests.classic()),
]

GENERAL = "C0GENERAL"
PHONE = {"viewport": {"width": 390, "height": 740}, "has_touch": True, "is_mobile": True}
WIDE = {"viewport": {"width": 1280, "height": 800}}


def heading(page: Page, name: str) -> Locator:
    return page.get_by_role("heading", name=name, exact=True)


def markdown(text: str) -> Json:
    return {"text": text[:100], "blocks": [{"type": "markdown", "text": text}]}


async def test_reload_in_mid_answer_keeps_person_conversation_and_thread(
    sandbox: Sandbox, web: AsyncWebClient, page: Page
) -> None:
    await page.get_by_role("radio", name="Grace").check()
    await page.get_by_role("button", name="random").click()
    asked = await sandbox.say("grace", "random", "@bot why?")
    answer = (await web.chat_postMessage(channel="C0RANDOM", thread_ts=asked, text="One"))["ts"]
    await page.get_by_role("button", name="1 reply").click()
    await page.reload()
    await expect(page.get_by_role("radio", name="Grace")).to_be_checked()
    await expect(heading(page, "random")).to_be_visible()
    await web.chat_update(channel="C0RANDOM", ts=answer, text="One two")
    await expect(thread(page)).to_contain_text("One two")


async def test_back_and_forward_go_through_the_places(sandbox: Sandbox, visit: Visit) -> None:
    await sandbox.say("ada", GENERAL, "the reply", await sandbox.say("ada", GENERAL, "the root"))
    page = await open_page(visit, sandbox)
    await page.get_by_role("button", name="1 reply").click()
    await page.get_by_role("button", name="random").click()
    await page.get_by_role("radio", name="Emmy").check()
    await expect(heading(page, "partners")).to_be_visible()
    await page.go_back()
    await expect(heading(page, "random")).to_be_visible()
    await expect(page.get_by_role("radio", name="Ada")).to_be_checked()
    await page.go_back()
    await expect(thread(page)).to_contain_text("the reply")
    await page.go_forward()
    await expect(heading(page, "random")).to_be_visible()
    await expect(thread(page)).to_be_hidden()


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("?person=U0NOBODY&channel=C0NOWHERE&thread=1.2", "general"),
        ("?person=U0KATHERINE", "general"),
        ("?person=U0EMMY&channel=C0GENERAL", "partners"),
        ("?person=U0EDITH&channel=C0RANDOM&thread=1.2", "random"),
    ],
)
async def test_address_that_names_nothing_leads_to_a_place_that_exists(
    sandbox: Sandbox, visit: Visit, address: str, place: str
) -> None:
    page = await visit(f"{sandbox.url}/{address}", **WIDE)
    await expect(heading(page, place)).to_be_visible()
    await expect(thread(page)).to_be_hidden()


async def test_thread_that_a_new_sandbox_does_not_have_is_closed(visit: Visit) -> None:
    async with Sandbox() as first:
        page = await visit(first.url, **WIDE)
        await first.say("ada", GENERAL, "the reply", await first.say("ada", GENERAL, "the root"))
        await page.get_by_role("button", name="1 reply").click()
    async with Sandbox(port=first.port) as second:
        await second.say("ada", GENERAL, "after")
        await expect(message(page, "after")).to_be_visible(timeout=10_000)
        await expect(thread(page)).to_be_hidden()


async def test_modal_is_shown_in_the_tab_in_which_it_was_opened(sandbox: Sandbox, visit: Visit) -> None:
    bolt = new_app(sandbox)

    @bolt.command("/bot")
    async def command(ack: Any, body: Json, client: AsyncWebClient) -> None:
        await ack()
        view = {"type": "modal", "title": plain("Settings"), "blocks": [{"type": "divider"}]}
        await client.views_open(trigger_id=body["trigger_id"], view=view)

    async with connected(bolt, sandbox):
        first, second = await visit(sandbox.url, **WIDE), await visit(sandbox.url, **WIDE)
        await send(first, "/bot settings")
        await expect(first.get_by_role("dialog", name="Settings")).to_be_visible()
        await sandbox.say("grace", GENERAL, "meanwhile")
        await expect(message(second, "meanwhile")).to_be_visible()
        await expect(second.get_by_role("dialog")).to_have_count(0)
        await first.reload()
        await expect(first.get_by_role("dialog", name="Settings")).to_be_visible()
        await first.keyboard.press("Escape")
        await expect(first.get_by_role("dialog")).to_have_count(0)


async def test_pointing_at_a_message_covers_no_message(sandbox: Sandbox, page: Page) -> None:
    for number in range(3):
        await sandbox.say("ada", GENERAL, f"message {number}: " + "words to the right edge " * 30)
    covered = """(button) => {
        const one = button.getBoundingClientRect();
        return [...document.querySelectorAll("#main .message .body, #main .message .line")].some((body) => {
            const range = document.createRange();
            range.selectNodeContents(body);
            return [...range.getClientRects()].some((other) => one.left < other.right && other.left < one.right
                && one.top < other.bottom && other.top < one.bottom);
        });
    }"""
    for number in range(3):
        await message(page, f"message {number}").hover()
        button = message(page, f"message {number}").get_by_role("button", name="Message actions")
        await expect(button).to_have_css("opacity", "1")
        assert not await button.evaluate(covered)


async def test_on_a_phone_no_tap_edits_or_deletes(sandbox: Sandbox, visit: Visit) -> None:
    page = await visit(sandbox.url, **PHONE)
    for number in range(2):
        await sandbox.say("ada", GENERAL, f"message {number}")
    mine = message(page, "message 1")
    bounds = await mine.bounding_box()
    assert bounds is not None
    for x in range(5, int(bounds["width"]), 40):
        for y in (4, bounds["height"] / 2, bounds["height"] - 4):
            await page.touchscreen.tap(bounds["x"] + x, bounds["y"] + y)
    await expect(page.locator(".editor")).to_have_count(0)
    await page.keyboard.press("Escape")

    more = mine.get_by_role("button", name="Message actions")
    size = await more.bounding_box()
    assert size is not None
    assert min(size["width"], size["height"]) >= 24
    await more.tap()
    await page.get_by_role("menuitem", name="Delete").tap()
    dialog = page.get_by_role("dialog", name="Delete this message?")
    await dialog.get_by_role("button", name="Cancel").tap()
    await expect(mine).to_be_visible()
    await more.tap()
    await page.get_by_role("menuitem", name="Delete").tap()
    await dialog.get_by_role("button", name="Delete").tap()
    await expect(mine).to_have_count(0)
    await expect(message(page, "message 0")).to_be_visible()


@pytest.mark.parametrize("size", [(720, 450), (640, 400)])
async def test_at_200_percent_zoom_all_conversations_can_be_reached(
    sandbox: Sandbox, visit: Visit, size: tuple[int, int]
) -> None:
    """Zoom halves the page's window size."""
    page = await visit(sandbox.url, viewport=dict(zip(("width", "height"), size, strict=True)))
    if size[0] < 700:
        await page.get_by_role("button", name="Conversations").click()
    reachable = """() => [...document.querySelectorAll("#conversations button")].filter((node) => {
        const at = node.getBoundingClientRect();
        return document.elementFromPoint(at.left + 20, at.bottom - 3)?.closest("button") === node;
    }).length >= 5"""
    await page.wait_for_function(reachable)
    await page.get_by_role("button", name="Bot", exact=True).click()
    await expect(heading(page, "Bot")).to_be_visible()


async def test_thread_follows_its_end_after_an_answer_became_shorter(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit
) -> None:
    """This happens when edits are rejected: a notice replaces the text, and the whole answer follows later."""
    page = await open_page(visit, sandbox)
    asked = await sandbox.say("ada", GENERAL, "@bot why?")
    answer = (await web.chat_postMessage(channel=GENERAL, thread_ts=asked, **markdown("line\n\n" * 60)))["ts"]
    await page.get_by_role("button", name="1 reply").click()
    last = thread(page).locator(".message").last
    await expect(last).to_contain_text("line")
    for lines, end in ((40, "shorter"), (3, "a notice"), (80, "the whole answer")):
        await web.chat_update(channel=GENERAL, ts=answer, **markdown("line\n\n" * lines + end))
        await expect(thread(page).get_by_text(end)).to_be_in_viewport()
    await expect(page.get_by_role("button", name="Newest")).to_be_hidden()


async def test_switches_keep_their_places_while_meters_and_answers_come(
    sandbox: Sandbox, web: AsyncWebClient, page: Page
) -> None:
    await expect(page.get_by_role("region", name="Simulate Slack failures")).to_be_hidden()
    await page.get_by_role("button", name="Simulate Slack failures").click()
    switch = page.get_by_role("switch", name="Request lost")
    before = await switch.bounding_box()
    for person in ("ada", "grace", "alan"):
        asked = await sandbox.say(person, GENERAL, f"@bot {person} asks")
        await web.chat_postMessage(channel=GENERAL, thread_ts=asked, text="…")
        await web.conversations_replies(channel=GENERAL, ts=asked)
        await web.users_info(user="U0ADA")
        await web.assistant_threads_setStatus(channel_id=GENERAL, thread_ts=asked, status="")
    await expect(page.get_by_role("meter")).to_have_count(5)
    calls = page.get_by_role("group", name="Slack calls for each answer")
    await expect(calls.get_by_text("3 calls")).to_have_count(3)
    await expect(calls).to_contain_text("Alan @Bot alan asks")
    assert await switch.bounding_box() == before
    await switch.click()
    await expect(page.get_by_role("button", name="Simulate Slack failures 1 on")).to_be_visible()
    await page.get_by_role("button", name="Reset all").click()
    await expect(switch).not_to_be_checked()


async def test_page_says_what_each_person_may_do(sandbox: Sandbox, page: Page) -> None:
    about = page.locator("#person-about")
    await expect(about).to_have_text("Owns the workspace: manages its members, channels and apps.")
    await expect(page.get_by_role("radio", name="Katherine deactivated")).to_be_disabled()
    await expect(page.get_by_role("radio", name="Katherine")).to_have_accessible_description(
        "Can't sign in or write. Apps still see the account."
    )
    for name, text in (("Mary", "Sees one channel"), ("Emmy", "another organization"), ("Deploys", "Another app")):
        await page.get_by_role("radio", name=name).check()
        await expect(about).to_contain_text(text)
    await expect(page.locator("#main")).to_contain_text("You're writing as Deploys.")
