"""The sandbox's cards, in a real browser, with the real bot: each one sends at a press, and a script answers."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from bot import app
from bot.cli.sandbox import ModelChoice, guide_of
from bot.core import texts
from bot.providers import showcase
from bot.providers.showcase import Showcase
from sandbox.server import Sandbox
from tests.browser import Visit, browser, visit
from tests.scenarios.conftest import manifest, running, says, settings_of
from tests.streams.server import VendorServer

__all__ = ["browser", "visit"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    """Each test has a channel of its own."""
    async with VendorServer() as vendor:
        vendor.script(says("The model's own words."))
        guide = guide_of(ModelChoice(settings_of(Sandbox(), vendor), "a small model"))
        async with Sandbox(guide=guide, manifest=manifest()) as sandbox:
            settings = replace(settings_of(sandbox, vendor), drain_s=0)
            async with running(settings, wrap_models=lambda models: Showcase(models, app.MACHINES_CLOCK)):
                yield sandbox


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script says three times as many words a second."""
    monkeypatch.setattr(showcase, "TOKENS_PER_S", 3 * showcase.TOKENS_PER_S)


async def opened(visit: Visit, sandbox: Sandbox, channel: str) -> Page:
    return await visit(f"{sandbox.url}/?channel={channel}", viewport={"width": 1280, "height": 800})


def answer(page: Page) -> Locator:
    return page.get_by_role("region", name="Thread").locator(".message").last


@pytest.mark.long
async def test_answer_with_headings_table_and_code_streams_and_is_regenerated(
    sandbox: Sandbox, visit: Visit, hurried: None
) -> None:
    page = await opened(visit, sandbox, "C0GENERAL")
    cards = page.locator(".card")
    await expect(cards).to_have_count(4)
    await expect(page.locator("#main")).to_contain_text("Your own questions go to a small model.")
    await cards.filter(has_text="Watch an answer stream").press("Enter")
    await expect(answer(page)).to_contain_text("Scripted answer: shows how streaming looks.")
    await expect(answer(page)).to_contain_text(texts.WRITING)
    await expect(answer(page).get_by_role("table")).to_contain_text("16 at most")
    await expect(answer(page).locator("figure.code, .code")).to_contain_text("next_call")
    await answer(page).get_by_role("button", name="Regenerate").click()
    await expect(answer(page)).to_contain_text("Scripted answer, attempt 2: shows how streaming looks.")
    await expect(answer(page).get_by_role("button", name="Previous")).to_be_visible()
    await expect(answer(page)).to_contain_text("scripted/showcase")

    await page.locator("#main-box").fill("@typist and what do you say?")
    await page.locator("#main-box").press("Enter")
    await expect(answer(page)).to_contain_text("The model's own words.")


@pytest.mark.long
async def test_long_answer_is_stopped_and_another_one_is_continued(
    sandbox: Sandbox, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await opened(visit, sandbox, "C0RANDOM")
    await page.locator(".card", has_text="Stop or continue").click()
    await expect(answer(page)).to_contain_text("A question arrives")
    await answer(page).get_by_role("button", name="Stop").click()
    await expect(answer(page)).to_contain_text("stopped")
    monkeypatch.setattr(showcase, "TOKENS_PER_S", 600)
    await page.get_by_role("group", name="Showcase").get_by_role("button", name="Stop or continue").click()
    await expect(answer(page)).to_contain_text(texts.LENGTH_LIMIT)
    await answer(page).get_by_role("button", name="Continue").click()
    await expect(answer(page)).to_contain_text("The last edit")
    await expect(answer(page)).to_contain_text("mentions you when the answer is ready.")
    await expect(answer(page)).not_to_contain_text(texts.LENGTH_LIMIT)


async def test_shared_file_is_read(sandbox: Sandbox, visit: Visit, hurried: None) -> None:
    page = await opened(visit, sandbox, "C0PARTNERS")
    await page.locator(".card", has_text="Share a file").click()
    await expect(page.locator("#main .file")).to_contain_text("questions.csv")
    await expect(answer(page).get_by_role("row", name="Total")).to_contain_text("1946")


@pytest.mark.long
async def test_three_people_ask_at_once_and_the_edit_meter_moves(sandbox: Sandbox, visit: Visit) -> None:
    page = await opened(visit, sandbox, "C0PROJECTX")
    await page.locator(".card", has_text="Three people").click()
    await expect(page.locator("#main .message")).to_have_count(3)
    meter = page.get_by_role("meter", name="chat.update")
    await expect(meter).to_be_visible()
    before = int(await meter.get_attribute("aria-valuenow") or 0)
    calls = page.get_by_role("group", name="Slack calls for each answer").locator("#answers > li")
    await expect(calls.first).to_contain_text("What if Slack says slow down?")
    assert [await calls.nth(row).locator("b").inner_text() for row in range(3)] == ["Alan", "Grace", "Ada"]
    await expect(calls.first).to_contain_text(re.compile(r"[3-9] × chat\.update"))
    assert int(await meter.get_attribute("aria-valuenow") or 0) > before


@pytest.mark.long
async def test_card_for_several_people_is_not_offered_where_there_are_too_few(sandbox: Sandbox, visit: Visit) -> None:
    page = await opened(visit, sandbox, "C0MPDM")
    await expect(page.locator(".card")).to_have_count(3)


@pytest.mark.long
async def test_showcase_stays_above_the_box_until_it_is_hidden(sandbox: Sandbox, visit: Visit, hurried: None) -> None:
    page = await opened(visit, sandbox, sandbox.dm("ada"))
    row = page.get_by_role("group", name="Showcase")
    await expect(page.locator(".card")).to_have_count(3)
    await expect(row).to_be_hidden()
    await page.locator(".card", has_text="Share a file").click()
    await expect(row.get_by_role("button")).to_have_count(4)
    await row.get_by_role("button", name="Hide showcase").click()
    await page.reload()
    await expect(page.locator("#main .file")).to_be_visible()
    await expect(row).to_be_hidden()
