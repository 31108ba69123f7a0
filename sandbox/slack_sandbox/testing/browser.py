"""Fixtures that open pages in a real Chromium, started once per module.

A module that tests a page imports the fixtures `browser` and `visit`, and runs in the browser's loop: `pytestmark =
pytest.mark.asyncio(loop_scope="module")`.
"""

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, async_playwright, expect

from slack_sandbox.server import Sandbox

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The headless Chromium comes first, because it needs half the CPU time to open and draw a page."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Tests serve other sites on this machine.
    "--host-resolver-rules=MAP *.example 127.0.0.1",
]
Visit = Callable[..., Awaitable[Page]]

# Playwright's default is five seconds, in which a busy machine may not show an answer.
expect.set_options(timeout=30_000)


def find_chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


async def open_page(visit: Visit, sandbox: Sandbox, width: int = 1280, height: int = 800) -> Page:
    """Opens a sandbox's page and returns it once a person can type."""
    page = await visit(sandbox.url, viewport={"width": width, "height": height})
    await expect(page.locator("#main-box")).to_be_focused()
    return page


def message(page: Page, text: str) -> Locator:
    return page.locator("#main .message").filter(has_text=text)


def thread(page: Page) -> Locator:
    return page.get_by_role("region", name="Thread")


async def send(page: Page, text: str) -> None:
    box = page.locator("#main-box")
    await expect(box).to_have_attribute("aria-label", re.compile("."))  # A conversation is open.
    await box.fill(text)
    await box.press("Enter")


async def choose_action(message: Locator, name: str) -> None:
    await message.get_by_role("button", name="Message actions").press("Enter")
    await message.page.get_by_role("menuitem", name=name).press("Enter")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = find_chromium()
    if path is None:
        pytest.skip("No Chromium here; to run the browser's tests: apt-get install chromium-headless-shell")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    """Yields a function that opens a URL in a new browser context. Script errors and CSP violations fail the test."""
    problems: list[str] = []
    contexts: list[BrowserContext] = []

    def on_console(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            problems.append(message.text)

    async def open_page(url: str, **options: Any) -> Page:
        contexts.append(await browser.new_context(**options))
        page = await contexts[-1].new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", on_console)
        await page.goto(url)
        return page

    yield open_page
    for context in contexts:
        await context.close()
    assert not problems, problems
