"""axe-core finds no problems on the page, in each state, on a desktop and a phone, light and dark."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.page.guide import Badge, Card, Guide
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.browser import Visit, message, thread
from tests.other_bots.running import NODE_FOLDER

AXE = NODE_FOLDER / "node_modules" / "axe-core" / "axe.min.js"
CARDS = tuple(Card(f"Card {at}", "What it shows.", "A note. " * 40, (f"Question {at}?",)) for at in range(3))
GUIDE = Guide(CARDS, "Nobody answers.", badge_of=lambda message, question: Badge("toy model", "It is often wrong."))
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.long,
    pytest.mark.node,
    pytest.mark.slack(guide=GUIDE),
    pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: make node"),
]
FOUND = """axe.run().then(({ violations }) => violations.map(({ id, nodes }) =>
  [id, ...nodes.map(({ html, failureSummary }) => `${html.slice(0, 120)} ${failureSummary}`)]))"""
SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1180, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}
WIDE = "| " + " | ".join("abcdefgh") + " |\n" + "|---" * 8 + "|\n| " + " | ".join(["some words"] * 8) + " |"
ANSWER = f"## Heading\n\nText, `code` and [a link](https://example.com).\n\n```python\nx = 1  # one\n```\n\n{WIDE}"


async def answered(page: Page) -> None:
    await page.locator(".replies").first.click()
    await expect(thread(page).get_by_role("table")).to_be_visible()


async def with_failures(page: Page) -> None:
    await answered(page)
    await page.locator("#failures-toggle").evaluate("button => button.click()")


async def with_all_cards(page: Page) -> None:
    await as_it_is(page)
    await page.get_by_role("button", name="All cards").click()
    await expect(page.get_by_role("dialog")).to_be_visible()


async def lost(page: Page) -> None:
    await as_it_is(page)
    await page.evaluate("document.querySelectorAll('.lost-note').forEach((note) => { note.hidden = false; })")


async def in_a_direct_message(page: Page) -> None:
    await as_it_is(page)
    if await page.locator("#menu").is_visible():
        await page.locator("#menu").click()
    await page.locator("#directs button").last.click()
    await expect(page.locator("#members")).to_have_text("Direct message")


async def as_it_is(page: Page) -> None:
    await expect(message(page, "Question 0?")).to_be_visible()


STATES: list[Callable[[Page], Awaitable[None]]] = [
    as_it_is,
    answered,
    with_failures,
    with_all_cards,
    lost,
    in_a_direct_message,
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
async def test_nothing_keeps_people_from_using_the_page(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit, screen: str, scheme: str
) -> None:
    root = await sandbox.say("ada", "general", "@bot Question 0?")
    button = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}, "style": "primary"}
    blocks: list[dict[str, Any]] = [{"type": "markdown", "text": ANSWER}, {"type": "actions", "elements": [button]}]
    await web.chat_postMessage(channel="general", thread_ts=root, text="Answer.", blocks=blocks)
    found: dict[str, Any] = {}
    for state in STATES:
        page = await visit(f"{sandbox.url}/?channel=C0GENERAL", color_scheme=scheme, **SCREENS[screen])
        await state(page)
        await page.evaluate(AXE.read_text())
        found[state.__name__] = await page.evaluate(FOUND)
    assert {state: violations for state, violations in found.items() if violations} == {}
