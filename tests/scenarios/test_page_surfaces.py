"""An app's surfaces on the sandbox's page, in a real browser, with a Bolt app on the other end."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.server import Sandbox
from sandbox.workspace import Json
from tests.browser import Visit, browser, visit
from tests.sandbox.bolt import actions, button, connected, new_app, option, plain

__all__ = ["browser", "visit"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

GENERAL = "C0GENERAL"


@pytest_asyncio.fixture(loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(note="an app of buttons") as sandbox:
        yield sandbox


@pytest_asyncio.fixture(loop_scope="module")
async def bolt(sandbox: Sandbox) -> AsyncIterator[AsyncApp]:
    bolt = new_app(sandbox)
    async with connected(bolt, sandbox):
        yield bolt


@pytest.fixture
def web(sandbox: Sandbox) -> AsyncWebClient:
    return AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)


@pytest_asyncio.fixture(loop_scope="module")
async def page(sandbox: Sandbox, visit: Visit) -> Page:
    page = await visit(sandbox.url, viewport={"width": 1280, "height": 800})
    await expect(page.locator("#main-box")).to_be_focused()
    return page


def message(page: Page, text: str) -> Locator:
    return page.locator("#main .message").filter(has_text=text)


def growing(text: str, *elements: Json) -> Json:
    """A message's text and its buttons."""
    return {"text": text, "blocks": [{"type": "markdown", "text": text}, actions(*elements)]}


async def test_a_button_works_while_the_text_above_it_grows(page: Page, bolt: AsyncApp, web: AsyncWebClient) -> None:
    @bolt.action("stop")
    async def stop(ack: Any, body: Json, client: AsyncWebClient) -> None:
        await ack()
        where = body["container"]
        await client.chat_update(channel=where["channel_id"], ts=where["message_ts"], text="Stopped by a press.")

    ts = (await web.chat_postMessage(channel=GENERAL, **growing("One", button())))["ts"]
    pressed = page.get_by_role("button", name="Stop")
    await pressed.focus()
    for text in ("One two", "One two three", "One two three\n\nfour"):
        await web.chat_update(channel=GENERAL, ts=ts, **growing(text, button()))
        await expect(message(page, text.split("\n")[-1])).to_be_visible()
    await expect(pressed).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(message(page, "Stopped by a press.")).to_be_visible()
    await expect(pressed).to_have_count(0)


async def test_a_press_that_nobody_answers_is_warned_of(page: Page, sandbox: Sandbox, web: AsyncWebClient) -> None:
    await web.chat_postMessage(channel=GENERAL, **growing("Nobody is there.", button()))
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("img", name="This app did not respond in time.")).to_be_visible()


async def test_a_dialog_asks_before_it_is_done(page: Page, bolt: AsyncApp, web: AsyncWebClient) -> None:
    @bolt.action("delete")
    async def delete(ack: Any, respond: Any) -> None:
        await ack()
        await respond(delete_original=True)

    confirm = {
        "title": plain("Delete this answer?"),
        "text": plain("It cannot be brought back."),
        "confirm": plain("Delete"),
        "deny": plain("Keep"),
        "style": "danger",
    }
    await web.chat_postMessage(channel=GENERAL, **growing("To be deleted", button("delete", confirm=confirm)))
    await page.get_by_role("button", name="Stop").click()
    dialog = page.get_by_role("dialog", name="Delete this answer?")
    await expect(dialog).to_contain_text("It cannot be brought back.")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_role("button", name="Stop")).to_be_focused()
    await page.keyboard.press("Enter")
    await dialog.get_by_role("button", name="Delete").press("Enter")
    await expect(message(page, "To be deleted")).to_have_count(0)


async def test_menus_thumbs_and_what_one_person_sees(page: Page, bolt: AsyncApp, web: AsyncWebClient) -> None:
    chosen: list[Any] = []

    async def keep(ack: Any, action: Json, respond: Any) -> None:
        await ack()
        chosen.append(action)
        await respond(f"You chose {action['action_id']}.")

    for name in ("more", "model", "rate", "trash"):
        bolt.action(name)(keep)
    more = {"type": "overflow", "action_id": "more", "options": [option("again"), option("previous")]}
    model = {"type": "static_select", "action_id": "model", "options": [option("small"), option("large")]}
    good, bad = ({"text": plain(f"{word} answer"), "value": word} for word in ("good", "bad"))
    rate = {"type": "feedback_buttons", "action_id": "rate", "positive_button": good, "negative_button": bad}
    trash = {"type": "icon_button", "action_id": "trash", "icon": "trash", "text": plain("Delete")}
    said = growing("An answer", more, model)
    thumbs = {"type": "context_actions", "elements": [rate, {**trash, "visible_to_user_ids": ["U0GRACE"]}]}
    await web.chat_postMessage(channel=GENERAL, **(said | {"blocks": [*said["blocks"], thumbs]}))

    await page.get_by_role("button", name="More actions").press("Enter")
    await expect(page.get_by_role("menuitem", name="Again")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(message(page, "You chose more.")).to_contain_text("Only visible to you")
    await expect(page.get_by_role("menu")).to_be_hidden()
    await page.get_by_role("combobox", name="Choose").select_option("Large")
    await expect(message(page, "You chose model.")).to_be_visible()
    thumb = page.get_by_role("button", name="good answer")
    await thumb.click()
    await expect(thumb).to_have_attribute("aria-pressed", "true")
    assert [c.get("value") or c["selected_option"]["value"] for c in chosen] == ["previous", "large", "good"]

    await expect(page.get_by_role("button", name="Delete", exact=True)).to_have_count(0)
    await page.get_by_role("radio", name="Grace").check()
    await expect(page.get_by_role("button", name="Delete", exact=True)).to_be_visible()
    await expect(message(page, "You chose more.")).to_have_count(0)
