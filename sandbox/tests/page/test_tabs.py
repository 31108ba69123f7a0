"""A channel's tabs on the page: its canvases and its pins."""

import pytest
from playwright.async_api import Page, expect

from slack_sandbox.files import UploadedFile
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.browser import message

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

PLAN = b"## Launch\n\nWe ship by balloon."


async def test_canvas_and_pins_of_a_channel_are_opened_from_its_tabs(page: Page, sandbox: Sandbox) -> None:
    row = page.get_by_role("tablist")
    await expect(row).to_be_hidden()
    await sandbox.add_tab("ada", "general", UploadedFile("Plan.canvas", PLAN))
    older = await sandbox.share("grace", "general", "Deploy on *Tuesdays*", [UploadedFile("deploy.md", b"# Steps")])
    newer = await sandbox.say("ada", "general", "Ask before you merge")
    for ts in (older, newer):
        await sandbox.pin("grace", "general", ts)
    await expect(row.get_by_role("tab")).to_have_text(["Messages", "Plan", "Pins"])

    await row.get_by_role("tab", name="Messages").focus()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Enter")
    canvas = page.get_by_role("tabpanel", name="Plan")
    await expect(canvas.get_by_role("heading")).to_have_text(["Plan", "Launch"])
    await expect(page.locator("#main-box")).to_be_hidden()

    await row.get_by_role("tab", name="Pins").click()
    pins = page.get_by_role("tabpanel", name="Pins").get_by_role("listitem")
    await expect(pins.locator(".body")).to_have_text(["Ask before you merge", "Deploy on Tuesdays"])
    await expect(pins.last.locator(".file .name")).to_have_text("deploy.md")
    await expect(pins.last).to_contain_text("Pinned by Grace")
    await pins.last.get_by_role("link", name="View message").click()
    await expect(message(page, "Deploy on Tuesdays")).to_be_focused()
    await expect(row.get_by_role("tab", name="Messages")).to_have_attribute("aria-selected", "true")


async def test_tab_of_a_deleted_canvas_stays_and_deleted_messages_are_not_pinned(page: Page, sandbox: Sandbox) -> None:
    row = page.get_by_role("tablist")
    canvas_id = await sandbox.add_tab("ada", "general", UploadedFile("Plan.canvas", PLAN))
    pinned = await sandbox.say("ada", "general", "Ask before you merge")
    await sandbox.say("grace", "general", "Whom?", pinned)
    await sandbox.pin("ada", "general", pinned)
    await row.get_by_role("tab", name="Pins").click()
    await expect(page.get_by_role("tabpanel", name="Pins")).to_contain_text("Ask before you merge")
    sandbox.files.delete(sandbox.files.get(canvas_id))
    await sandbox.delete("general", pinned)
    await expect(row.get_by_role("tab")).to_have_text(["Messages", "Deleted canvas"])
    await expect(page.locator("#main-box")).to_be_visible()
    await row.get_by_role("tab", name="Deleted canvas").click()
    await expect(page.get_by_role("tabpanel")).to_contain_text("This canvas was deleted.")
