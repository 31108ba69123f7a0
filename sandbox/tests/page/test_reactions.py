"""Reactions on the page: a person adds and removes them."""

import pytest
from playwright.async_api import Page, expect

from slack_sandbox.server import Sandbox
from slack_sandbox.testing.browser import choose_action, message

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]


async def test_reaction_is_added_and_removed_by_keyboard(sandbox: Sandbox, page: Page) -> None:
    ts = await sandbox.say("grace", "general", "lunch?")
    await choose_action(message(page, "lunch?"), "Add reaction…")
    await expect(page.get_by_role("textbox", name="Emoji name")).to_be_focused()
    await page.keyboard.type(":tada:")
    await page.keyboard.press("Enter")
    mine = message(page, "lunch?").get_by_role("button", name="tada, 1")
    await expect(mine).to_have_text("🎉 1")
    await expect(mine).to_have_attribute("aria-pressed", "true")
    await sandbox.react("grace", "general", ts, "tada")
    both = message(page, "lunch?").get_by_role("button", name="tada, 2")
    await expect(both).to_have_attribute("title", ":tada: Ada, Grace")
    await both.press("Enter")
    theirs = message(page, "lunch?").get_by_role("button", name="tada, 1")
    await expect(theirs).to_have_attribute("aria-pressed", "false")
    await expect(theirs).to_be_focused()
    await sandbox.react("grace", "general", ts, "tada", add=False)
    await expect(theirs).to_have_count(0)


async def test_nobody_reacts_to_a_deleted_message(sandbox: Sandbox, page: Page) -> None:
    root = await sandbox.say("grace", "general", "lunch?")
    await sandbox.say("ada", "general", "where?", root)
    await sandbox.delete("general", root)
    deleted = page.locator("#main .message.tombstone")
    await deleted.get_by_role("button", name="Message actions").press("Enter")
    await expect(page.get_by_role("menuitem", name="Reply in thread")).to_be_visible()
    await expect(page.get_by_role("menuitem", name="Add reaction…")).to_have_count(0)
