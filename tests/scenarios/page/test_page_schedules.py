"""Schedules in a real browser: what a person reads of one, and where they find it again."""

import re

import pytest
from playwright.async_api import Page, expect

from bot.core import texts
from bot.core.calls import SCHEDULE
from slack_sandbox.testing.browser import message, send, thread
from tests.scenarios.conftest import Stage, manifest, says
from tests.scenarios.tools import calls

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.slack(manifest=manifest()),
    pytest.mark.bot(welcome=False),
]

WORDS = "Summarize what happened in this channel since your last summary."


async def test_person_creates_a_schedule_changes_and_runs_it_and_reads_its_answer(stage: Stage, page: Page) -> None:
    proposal = calls("", (SCHEDULE, {"words": WORDS, "cron": "0 9 * * 1-5"}))
    stage.vendor.script(proposal, says("Done."), says("All quiet."))
    await page.locator("#channels").get_by_role("button", name="general").click()
    await send(page, "@typist every weekday at 9, sum up what happened here")
    await message(page, "every weekday").get_by_role("button", name=re.compile("1 reply")).click()
    card = thread(page).locator(".message").filter(has=page.locator("blockquote"))
    await expect(card.locator("blockquote")).to_have_text(WORDS)
    await expect(card).to_contain_text("Weekdays at 09:00 (UTC). Next: ")
    await expect(card.get_by_role("button", name=texts.actions.STOP, exact=True)).to_have_count(0)
    await expect(card.locator(".button.primary")).to_have_text([texts.schedules.CREATE])
    await card.get_by_role("button", name=texts.schedules.CREATE, exact=True).click()
    await expect(thread(page)).to_contain_text("Created schedule 1: weekdays at 09:00 (UTC)")

    await send(page, "/typist schedules")
    listed = page.get_by_role("dialog", name=texts.schedules.SCHEDULES)
    await expect(listed).to_contain_text(WORDS)
    await listed.get_by_role("button", name=texts.schedules.CHANGE).click()
    await page.get_by_label(texts.schedules.SCHEDULE_LABELS["other"]).fill("*/5 * * * *")
    await page.get_by_role("button", name=texts.settings.SAVE).click()
    await expect(page.get_by_text(texts.schedules.rule_too_often(60))).to_be_visible()
    await page.get_by_label(texts.schedules.SCHEDULE_LABELS["other"]).fill("")
    for day in ("Monday", "Tuesday", "Wednesday", "Thursday"):
        await page.get_by_role("checkbox", name=day).uncheck()
    await page.get_by_label(texts.schedules.SCHEDULE_LABELS["time"]).fill("16:30")
    await page.get_by_role("button", name=texts.settings.SAVE).click()
    await expect(listed).to_contain_text("Fridays at 16:30 (UTC)")
    await listed.get_by_role("button", name=texts.schedules.RUN_NOW).click()
    await expect(listed).to_contain_text(texts.schedules.SCHEDULE_PRESSED["schedule_run"])
    await listed.get_by_role("button", name=texts.actions.CLOSE_DETAILS, exact=True).last.click()

    run = message(page, "Scheduled by Ada · Fridays at 16:30 (UTC)")
    await run.get_by_role("button", name=re.compile("1 reply")).click()
    await expect(thread(page)).to_contain_text("All quiet.")
    await run.get_by_role("button", name=texts.schedules.STOP_SCHEDULE, exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name=texts.actions.STOP, exact=True).click()
    await expect(page.locator("#main")).to_contain_text(texts.schedules.SCHEDULE_PRESSED["schedule_stop"])
    stop = run.get_by_role("button", name=texts.schedules.STOP_SCHEDULE, exact=True)
    await expect(run).to_contain_text("Scheduled by Ada · Fridays at 16:30 (UTC) · Stopped by Ada")
    await expect(stop).to_have_count(0)
    await page.locator("#main").get_by_role("button", name=texts.memory.UNDO, exact=True).click()
    await expect(page.locator("#main")).to_contain_text(texts.schedules.RESTORED)
    await expect(stop).to_be_visible()
    await expect(run).not_to_contain_text(texts.schedules.STOPPED_BY)
