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
    pytest.mark.long,
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
    await expect(card.locator("li").first).to_have_text("At 09:00 on Monday through Friday (Etc/UTC)")
    await expect(card.locator("li .date")).to_have_count(3)
    assert await card.locator(".button.primary").all_inner_texts() == [texts.CREATE]
    await card.get_by_role("button", name=texts.CREATE, exact=True).click()
    await expect(thread(page)).to_contain_text("Approved by Ada")

    await send(page, "/typist schedules")
    listed = page.get_by_role("dialog", name=texts.SCHEDULES)
    await expect(listed).to_contain_text(WORDS)
    await listed.get_by_role("button", name=texts.CHANGE).click()
    await page.get_by_label(texts.SCHEDULE_LABELS["when"]).fill("*/5 * * * *")
    await page.get_by_role("button", name=texts.SAVE).click()
    await expect(page.get_by_text(texts.rule_too_often(60))).to_be_visible()
    await page.get_by_label(texts.SCHEDULE_LABELS["when"]).fill("30 16 * * 5")
    await page.get_by_role("button", name=texts.SAVE).click()
    await expect(listed).to_contain_text("At 16:30 on Friday")
    await listed.get_by_role("button", name=texts.RUN_NOW).click()
    await expect(listed).to_contain_text(texts.SCHEDULE_PRESSED["schedule_run"])
    await listed.get_by_role("button", name=texts.CLOSE_DETAILS, exact=True).last.click()

    run = message(page, "Scheduled by Ada · At 16:30 on Friday (Etc/UTC)")
    await run.get_by_role("button", name=re.compile("1 reply")).click()
    await expect(thread(page)).to_contain_text("All quiet.")
    await run.get_by_role("button", name=texts.STOP, exact=True).click()
    sure = page.get_by_role("dialog", name=texts.STOP_SCHEDULE_TITLE)
    await sure.get_by_role("button", name=texts.STOP, exact=True).click()
    await expect(page.locator("#main")).to_contain_text(texts.SCHEDULE_PRESSED["schedule_stop"])
