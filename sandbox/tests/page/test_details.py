"""Details of the page: menus, times, links to canvases and messages, the list of people."""

from typing import Any

import pytest
from playwright.async_api import Page, expect
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.page.guide import Guide
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.browser import Visit, open_page, thread

NOTES = {"owner": "The app lets owners choose its settings.", "guest": "The app answers no guests. " * 3}
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.long,
    pytest.mark.slack(guide=Guide(people_notes=NOTES)),
]

WINDOW = {"width": 1280, "height": 800}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
UNCUT = """(menu) => {
    const { left, right, top, bottom } = menu.getBoundingClientRect();
    const edges = [[left + 20, top + 1], [left + 20, bottom - 1], [left + 1, top + 20], [right - 1, top + 20]];
    return edges.every(([x, y]) => menu.contains(document.elementFromPoint(x, y)));
}"""
"""Returns whether a menu is completely visible: nothing covers its edges."""


@pytest.mark.parametrize("buttons", [0, 3], ids=["left", "at the edge"])
async def test_menu_of_a_message_is_not_cut(sandbox: Sandbox, web: AsyncWebClient, visit: Visit, buttons: int) -> None:
    root = await sandbox.say("ada", "general", "@bot hi")
    named = [{"type": "plain_text", "text": f"A button {number}"} for number in range(buttons)]
    options = [
        {"text": {"type": "plain_text", "text": text}, "value": text} for text in ("Think longer", "Answer faster")
    ]
    elements = [
        *({"type": "button", "text": text, "action_id": f"b{at}"} for at, text in enumerate(named)),
        {"type": "overflow", "options": options, "action_id": "more"},
    ]
    await web.chat_postMessage(
        channel="C0GENERAL", thread_ts=root, text="hi", blocks=[{"type": "actions", "elements": elements}]
    )
    page = await visit(f"{sandbox.url}/?channel=C0GENERAL&thread={root}", viewport=WINDOW)
    menu = thread(page).get_by_role("button", name="More actions")
    before = await menu.bounding_box()
    await menu.press("Enter")
    assert await thread(page).get_by_role("menu").evaluate(UNCUT)
    assert await menu.bounding_box() == before, "nothing scrolls for the menu"
    await expect(thread(page).get_by_role("menuitem", name="Think longer")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Escape")
    await expect(thread(page).get_by_role("menuitem")).to_have_count(0)
    await expect(menu).to_be_focused()


@pytest.mark.parametrize(
    ("timezone", "shown"), [("Asia/Tokyo", "Feb 19, 2014 at 1:39 AM"), ("America/New_York", "Feb 18, 2014 at 11:39 AM")]
)
async def test_times_are_the_readers_own(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit, timezone: str, shown: str
) -> None:
    moment = {"type": "date", "timestamp": 1392741582, "format": "{date_short_pretty} at {time}", "fallback": "in UTC"}
    block = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [moment]}]}
    await web.chat_postMessage(channel="C0GENERAL", text="until then", blocks=[block])
    await web.chat_postMessage(
        channel="C0GENERAL", text="Or <!date^1392741582^{date_long}|Feb 18>, <!date^1^{odd}|so>."
    )
    page = await visit(sandbox.url, viewport=WINDOW, timezone_id=timezone, locale="en-US")
    await expect(page.locator("#main .message .body").first).to_have_text(shown)
    day = {"Asia/Tokyo": "Wednesday, February 19, 2014", "America/New_York": "Tuesday, February 18, 2014"}[timezone]
    await expect(page.locator("#main .message .body").last).to_have_text(f"Or {day}, so.")
    assert sandbox.workspace.users["U0ADA"].tz == timezone, "people live where the visitor does"


async def test_link_to_a_canvas_opens_it_on_the_page(sandbox: Sandbox, web: AsyncWebClient, visit: Visit) -> None:
    lines = "\n\n".join(f"Line {number}" for number in range(30))
    made = await web.canvases_create(title="Plan", document_content={"type": "markdown", "markdown": lines})
    link = f"https://sandbox.slack.com/docs/T0SANDBOX/{made['canvas_id']}"
    await web.canvases_access_set(canvas_id=made["canvas_id"], access_level="read", channel_ids=["C0GENERAL"])
    await web.chat_postMessage(channel="C0GENERAL", text=link, blocks=[{"type": "markdown", "text": f"[Plan]({link})"}])
    page = await open_page(visit, sandbox)
    message = page.locator("#main .message")
    await expect(message).to_be_visible()
    address = page.url
    await message.get_by_role("link", name="Plan", exact=True).press("Enter")
    await expect(message.locator(".file .text")).to_contain_text("Line 29")
    await expect(message.locator(".file .text")).to_be_focused()
    assert page.url == address
    assert len(page.context.pages) == 1
    await web.canvases_delete(canvas_id=made["canvas_id"])
    await page.reload()
    await message.get_by_role("link", name="Plan", exact=True).press("Enter")
    await expect(page.locator("#toast")).to_contain_text("This canvas was deleted.")
    assert page.url == address


@pytest.mark.parametrize("screen", [{"viewport": WINDOW}, PHONE], ids=["desktop", "phone"])
async def test_links_to_messages_stay_on_the_page(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit, screen: dict[str, Any]
) -> None:
    far = await sandbox.say("grace", "random", "a far root")
    reply = await sandbox.say("alan", "random", "a far reply", far)
    for number in range(30):
        await sandbox.say("grace", "random", f"more {number}")
    secret = await sandbox.say("grace", "partners", "not for Mary")
    gone = await sandbox.say("grace", "random", "soon deleted")
    places = {"root": ("C0RANDOM", far), "reply": ("C0RANDOM", reply), "gone": ("C0RANDOM", gone)}
    places["secret"] = ("C0PARTNERS", secret)
    links = [
        f"[{name}]({(await web.chat_getPermalink(channel=channel, message_ts=ts))['permalink']})"
        for name, (channel, ts) in places.items()
    ]
    await sandbox.delete("random", gone)
    asked = await sandbox.say("mary", "random", "@bot where?")
    blocks = [{"type": "markdown", "text": " and ".join([*links, "<#C0GENERAL>", "<#C0RANDOM>"])}]
    await web.chat_postMessage(channel="C0RANDOM", thread_ts=asked, text="there", blocks=blocks)
    page = await visit(f"{sandbox.url}/?person=U0MARY&channel=C0RANDOM&thread={asked}", **screen)
    await thread(page).get_by_role("link", name="root").click()
    root = page.locator("#main .message").filter(has_text="a far root")
    await expect(root).to_be_in_viewport()
    await expect(root).to_be_focused()
    await page.goto(f"{sandbox.url}/?person=U0MARY&channel=C0RANDOM&thread={asked}")
    for name, said in (("gone", "This message was deleted."), ("secret", "Mary isn't a member of that conversation.")):
        await thread(page).get_by_role("link", name=name).click()
        await expect(page.locator("#toast")).to_contain_text(said)
    await thread(page).get_by_role("link", name="#general").click()
    await expect(page.locator("#toast")).to_contain_text("Mary isn't a member of that conversation.")
    await thread(page).get_by_role("link", name="reply").click()
    await expect(thread(page).locator(".message").filter(has_text="a far reply")).to_be_focused()
    await page.goto(f"{sandbox.url}/?person=U0MARY&channel=D0MARY")
    await web.chat_postMessage(channel="D0MARY", text="See <#C0RANDOM>.")
    await page.get_by_role("link", name="#random").click()
    await expect(page.locator("#title")).to_have_text("#random")
    assert len(page.context.pages) == 1


async def test_list_of_people_stays_where_it_is(sandbox: Sandbox, web: AsyncWebClient, page: Page) -> None:
    ada = page.get_by_text("Ada", exact=True).first
    before = await ada.bounding_box()
    for name in ("Mary", "Grace", "Deploys", "Emmy"):
        await page.locator("#people").get_by_text(name, exact=True).click()
        await expect(page.get_by_role("radio", name=name)).to_be_checked()
        assert await ada.bounding_box() == before
    await page.locator("#people").get_by_text("Ada", exact=True).click()
    await web.chat_postMessage(channel="C0GENERAL", text="<@U0ADA> look")
    await expect(page.locator("#person-about")).to_contain_text("Slack has notified you once.")
    assert await ada.bounding_box() == before
