"""A guide's cards on the page, without an app: their positions, where they are asked, and on a phone."""

import pytest
from playwright.async_api import Locator, Page, expect
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.page.guide import Card, Guide
from slack_sandbox.sample_workspace import Post, Room
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.browser import Visit, message, open_page, thread

HARBOR = Room("harbor", (Post("grace", 90, "The ferry leaves at nine."), Post("alan", 12, "At ten, they say now.")))
LONGEST = "What this card shows, in as many words as the longest of the cards."
CARDS = (
    *(
        Card(
            f"Card number {at}",
            LONGEST,
            "A note.",
            (f"Question {at}?",),
        )
        for at in range(8)
    ),
    Card("In the harbor", LONGEST, "A note.", ("When does it leave?",), place=HARBOR),
)
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.long,
    pytest.mark.slack(guide=Guide(CARDS, "Nobody answers.")),
]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
ESCAPED = """() => [...document.querySelectorAll("body *")].filter((node) => {
    if (getComputedStyle(node).position !== "absolute" || !node.checkVisibility()) return false;
    let scroller = node.parentElement;
    while (scroller && getComputedStyle(scroller).overflow === "visible") scroller = scroller.parentElement;
    return scroller && scroller !== document.body && !scroller.contains(node.offsetParent);
}).map((node) => node.parentElement.outerHTML.slice(0, 100))"""
"""Returns the nodes that don't scroll with their container, and so can widen the whole page."""


def offers(page: Page) -> Locator:
    return page.get_by_role("group", name="Showcase")


async def answer(sandbox: Sandbox, web: AsyncWebClient, channel: str, question: str) -> None:
    """Answers a question in its thread, once it is asked."""

    def found() -> str:
        return next((asked.ts for asked in sandbox.messages(channel) if question in asked.text), "")

    await web.chat_postMessage(channel=channel, thread_ts=await sandbox.wait_for(found), text="An answer.")


async def test_nine_cards_are_seen_without_scrolling(sandbox: Sandbox, visit: Visit) -> None:
    page = await open_page(visit, sandbox)
    await expect(page.locator(".card")).to_have_count(9)
    for card in await page.locator(".card").all():
        await expect(card).to_be_in_viewport(ratio=1)


async def test_on_a_phone_threads_open_on_the_screen_however_many_cards_were_played(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit
) -> None:
    for at in range(7):
        await sandbox.say("ada", "general", f"@bot Question {at}?")
    page = await visit(f"{sandbox.url}/?channel=C0GENERAL", **PHONE)
    await expect(offers(page).locator(".tick")).to_have_count(7)
    assert await page.evaluate(ESCAPED) == []
    await expect(offers(page).get_by_role("button", name="Card number 7")).to_be_in_viewport(ratio=1)
    await offers(page).get_by_role("button", name="Card number 7").click()
    await answer(sandbox, web, "general", "Question 7?")
    await expect(thread(page)).to_be_visible()
    await expect(thread(page)).to_be_in_viewport(ratio=1)
    assert await page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [390, 390]
    await page.get_by_role("button", name="Close thread").click()
    await page.get_by_role("button", name="Conversations").click()
    assert await page.evaluate(ESCAPED) == []


async def test_all_cards_are_one_press_away_and_the_seen_ones_come_last(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit
) -> None:
    page = await open_page(visit, sandbox, width=1180)
    await page.locator(".card").first.click()
    await answer(sandbox, web, "general", "Question 0?")
    await expect(thread(page)).to_be_visible()
    await expect(offers(page).get_by_role("button", name="Card number 1")).to_be_in_viewport(ratio=1)
    await offers(page).get_by_role("button", name="All cards").press("Enter")
    dialog = page.get_by_role("dialog", name="All cards")
    await expect(dialog.locator(".card")).to_have_count(9)
    await expect(dialog.locator(".card").first).to_contain_text("Card number 1")
    await expect(dialog.locator(".card").last).to_contain_text("Card number 0")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(thread(page)).to_be_visible()
    await offers(page).get_by_role("button", name="All cards").press("Enter")
    await dialog.locator(".card").first.press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(message(page, "Question 1?")).to_be_visible()


async def test_on_a_phone_the_header_is_small_and_only_a_tap_on_a_box_focuses_it(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit
) -> None:
    root = await sandbox.say("ada", "general", "@bot Question 0?")
    await web.chat_postMessage(channel="general", thread_ts=root, text="An answer.")
    page = await visit(f"{sandbox.url}/?channel=C0GENERAL", **PHONE)
    await expect(page.locator("#members")).to_be_visible()
    header = await page.locator("#main header").bounding_box()
    assert header
    assert header["height"] <= 58
    focused = page.locator(":is(textarea, input):focus")
    await page.locator(".replies").tap()
    await expect(thread(page)).to_be_visible()
    await expect(focused).to_have_count(0)
    await page.get_by_role("button", name="Close thread").tap()
    for name in ("random", "general"):
        await page.get_by_role("button", name="Conversations").tap()
        await page.locator("#channels").get_by_role("button", name=name).tap()
        await expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        await expect(focused).to_have_count(0)
    await offers(page).get_by_role("button", name="All cards").tap()
    await page.get_by_role("dialog").get_by_role("button", name="Play all").tap()
    await page.get_by_role("button", name="Stop playing").tap()
    await expect(page.get_by_role("button", name="Stop playing")).to_be_hidden()
    await expect(focused).to_have_count(0)
    if await page.get_by_role("button", name="Close thread").is_visible():
        await page.get_by_role("button", name="Close thread").tap()
    await page.locator("#main-box").tap()
    await expect(page.locator("#main-box")).to_be_focused()


@pytest.mark.slack(
    guide=Guide(
        (
            Card("Sort it", LONGEST, "A note.", ("Sort it?",)),
            Card("Ask first", LONGEST, "A note.", ("Send it?",), place="direct message", waits=True),
            Card("Ask again", LONGEST, "A note.", ("Keep it?",), place="direct message", waits=True),
        )
    )
)
async def test_played_cards_leave_what_waits_for_the_person_to_them(sandbox: Sandbox, visit: Visit) -> None:
    page = await open_page(visit, sandbox)
    await page.get_by_role("button", name="Play all").press("Enter")
    said = page.get_by_role("group", name="Playing all cards").get_by_role("status")
    await expect(said).to_have_text("2 of 2: Ask first")
    await expect(said).to_have_text("Now it's your turn: the last answer is waiting for you. Left for you: Ask again.")
    await expect(message(page, "Send it?")).to_be_visible()
    await expect(page.locator("#main .message")).to_have_count(1)


async def test_card_with_a_channel_of_its_own_is_asked_below_what_was_written_there(
    sandbox: Sandbox, visit: Visit
) -> None:
    page = await open_page(visit, sandbox)
    await page.locator(".card").filter(has_text="In the harbor").click()
    await expect(page.get_by_role("heading", name="harbor")).to_be_visible()
    texts = page.locator("#main .message .body")
    await expect(texts).to_have_text(["The ferry leaves at nine.", "At ten, they say now.", "@Bot When does it leave?"])
    await expect(page.locator("#main-box")).to_have_attribute("placeholder", "Message #harbor")
    assert not any("ferry" in str(delivery.payload) for delivery in sandbox.deliveries), "that was long ago"
    await page.get_by_role("radio", name="Mary").check(force=True)
    await expect(message(page, "The ferry")).to_have_count(0)
    await expect(page.locator(".card, .prompt").filter(has_text="In the harbor")).to_have_count(0)
