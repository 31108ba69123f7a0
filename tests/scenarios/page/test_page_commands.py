"""The bot's commands, modals, App Home and pane on the sandbox's page, in a real browser: by clicks and by keyboard."""

import pytest
from playwright.async_api import Locator, Page, expect
from slack_sdk.web.async_client import AsyncWebClient

from bot.core import texts
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.browser import Visit, choose_action, message, open_page, send, thread
from tests.scenarios.conftest import manifest

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.long,
    pytest.mark.slack(manifest=manifest()),
    pytest.mark.bot(models=("openai/test", "openai/other"), admins=frozenset({"U0ADA"})),
    pytest.mark.usefixtures("stage"),
]


async def tab_to(button: Locator) -> None:
    """Presses Tab until a button has the focus. How many fields come before it depends on the person."""
    for _ in range(20):
        if await button.evaluate("node => node === document.activeElement"):
            return
        await button.page.keyboard.press("Tab")
    raise AssertionError("not reached by Tab")


async def test_settings_are_changed_by_keyboard_alone(page: Page) -> None:
    keyboard = page.keyboard
    await keyboard.type("/typist prompt")
    await keyboard.press("Enter")
    modal = page.get_by_role("dialog", name="Settings")
    prompt = modal.get_by_role("textbox", name="System prompt")
    await expect(prompt).to_be_focused()
    await keyboard.insert_text("x" * 2_001)
    # Past the menus for length and effort.
    for _ in range(3):
        await keyboard.press("Tab")
    await keyboard.press("ArrowDown")
    await tab_to(modal.get_by_role("button", name="Save"))
    await keyboard.press("Enter")
    await expect(modal.get_by_role("alert").filter(has_text="Please use at most 2,000 characters.")).to_be_visible()
    await expect(prompt).to_be_focused()
    await keyboard.press("ControlOrMeta+a")
    await keyboard.type("Answer in rhymes.")
    await tab_to(modal.get_by_role("button", name="Save"))
    await keyboard.press("Enter")
    await expect(modal).to_be_hidden()
    confirmation = message(page, texts.SETTINGS_SAVED)
    await expect(confirmation).to_contain_text("custom prompt (“Answer in rhymes.”) · every question needs a mention")
    await expect(confirmation).to_contain_text("Only visible to you")


async def open_home(page: Page) -> None:
    await page.get_by_role("button", name="Typist", exact=True).press("Enter")
    await page.get_by_role("tab", name="Messages").focus()
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("Enter")


async def test_quotas_are_set_in_app_home_by_keyboard_alone(sandbox: Sandbox, page: Page) -> None:
    await open_home(page)
    home = page.get_by_role("tabpanel", name="Home")
    await expect(home).to_contain_text(texts.NO_QUOTAS_SET)
    person = home.get_by_role("combobox", name=texts.SET_PERSON_QUOTAS)
    modal = page.get_by_role("dialog", name=texts.QUOTAS_TITLE)
    tokens = modal.get_by_label("Tokens per day")
    await person.focus()
    await page.keyboard.press("g")
    await expect(modal).to_contain_text("Quotas of @Grace, from the next answer on.")
    await tokens.focus()
    await page.keyboard.type("0")
    await page.keyboard.press("Enter")
    sentence = texts.quota_not_a_number(in_dollars=False)
    await expect(modal.get_by_role("alert").filter(has_text=sentence)).to_be_visible()
    await expect(tokens).to_be_focused()
    # A Home that changes meanwhile says nothing about what is wrong in the modal.
    view = {"type": "home", "blocks": [{"type": "section", "text": {"type": "plain_text", "text": "A new Home."}}]}
    await AsyncWebClient(sandbox.bot_token, sandbox.api_url).views_publish(user_id="U0ADA", view=view)
    await expect(home).to_contain_text("A new Home.")
    await expect(modal.get_by_role("alert").filter(has_text=sentence)).to_be_visible()
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.type("700")
    await page.keyboard.press("Enter")
    await expect(modal).to_be_hidden()
    await expect(home).to_contain_text("@Grace's quota of 700 tokens per day: 0% used")
    # The same person can be chosen again, because a new Home has forgotten the choice.
    await expect(person).to_have_value("")
    await person.focus()
    await page.keyboard.press("g")
    await expect(tokens).to_have_value("700")


@pytest.mark.parametrize("width", [360, 1024])
async def test_home_and_quotas_fit_any_window(sandbox: Sandbox, visit: Visit, width: int) -> None:
    page = await open_page(visit, sandbox, width, 640)
    if width < 700:
        await page.get_by_role("button", name="Conversations").click()
    await open_home(page)
    home = page.get_by_role("tabpanel", name="Home")
    await home.get_by_role("button", name=texts.SET_WORKSPACE_QUOTAS).click()
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    modal = page.get_by_role("dialog", name=texts.QUOTAS_TITLE)
    await expect(modal.get_by_role("button", name="Save")).to_be_in_viewport()
    assert await modal.evaluate("node => node.scrollWidth <= node.clientWidth")


@pytest.mark.parametrize("width", [360, 1024])
async def test_error_below_a_channels_quota_is_in_view(sandbox: Sandbox, visit: Visit, width: int) -> None:
    page = await open_page(visit, sandbox, width, 640)
    await send(page, "/typist model")
    modal = page.get_by_role("dialog", name="Settings")
    await modal.get_by_label("Dollars per month").fill("0")
    await modal.get_by_role("button", name="Save").click()
    sentence = texts.quota_not_a_number(in_dollars=True)
    await expect(modal.get_by_role("alert").filter(has_text=sentence)).to_be_in_viewport(ratio=0.9)
    await modal.get_by_label("Dollars per month").fill("")
    await modal.get_by_label("Tokens per day").fill("900")
    await modal.get_by_role("button", name="Save").click()
    await expect(modal).to_be_hidden()
    await send(page, "/typist model")
    await expect(modal.get_by_label("Tokens per day")).to_have_value("900")


async def test_any_message_is_asked_about_by_keyboard_alone(sandbox: Sandbox, page: Page) -> None:
    await sandbox.say("grace", "general", "a puzzling thing")
    await message(page, "a puzzling thing").focus()
    await choose_action(message(page, "a puzzling thing"), "Ask Typist about this")
    modal = page.get_by_role("dialog", name=texts.ASK_TITLE)
    await expect(modal.get_by_role("textbox", name="Your question")).to_be_focused()
    await page.keyboard.type("What is it?")
    await modal.get_by_role("button", name="Ask").press("Enter")
    await page.get_by_role("button", name="2 replies").press("Enter")
    await expect(thread(page)).to_contain_text("The whole answer.")
