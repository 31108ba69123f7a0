"""An OpenAI or Anthropic key in the sandbox's page, in a real browser: the process is the one that people start."""

import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from slack_sandbox.testing.browser import Visit, send, thread
from slack_sandbox.testing.processes import wait_for_line
from tests.processes import bot_process
from tests.streams import speech
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

pytestmark = [pytest.mark.asyncio(loop_scope="module")]

OPENAI_KEY, ANTHROPIC_KEY, WRONG_KEY = "sk-proj-0penA1", "sk-ant-api03-4nthr0p1c", "sk-wr0ng"
OPENAIS_ANSWER = "Tides follow the moon."
ANTHROPICS_ANSWER = "Hello there!"
"""The answer in tests/streams/anthropic.sse."""


def as_vendor(request: VendorRequest) -> VendorResponse:
    """OpenAI and Anthropic in one server, each with one key."""
    if request.headers["Authorization"] not in (f"Bearer {OPENAI_KEY}", f"Bearer {ANTHROPIC_KEY}"):
        return VendorResponse([b'{"error": {"type": "authentication_error"}}'], 401, "application/json")
    if request.path.endswith("/chat/completions"):
        return VendorResponse(speech.chat(speech.tokens(OPENAIS_ANSWER)))
    if request.path.endswith("/messages"):
        return VendorResponse([speech.documented("anthropic")])
    name = request.path.rpartition("/")[2]
    model = {"id": name, "object": "model", "type": "model", "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
    return VendorResponse([json.dumps(model).encode()], 200, "application/json")


@dataclass
class Started:
    """The sandbox as a process."""

    url: str
    vendor: VendorServer
    folder: Path
    written: Callable[[], str]
    """Returns what it has written to stdout and stderr so far."""


@asynccontextmanager
async def running_process(folder: Path) -> AsyncIterator[Started]:
    log = folder.parent / "output"
    async with VendorServer() as vendor:
        vendor.script(as_vendor)
        env = {
            "OPENAI_BASE_URL": "http://api.openai.com/v1",
            "HTTP_PROXY": vendor.url,
            "ANTHROPIC_BASE_URL": vendor.url,
            "BOT_OPENAI_API": "chat",
            "BOT_LOG_LEVEL": "debug",
        }
        with log.open("wb") as stderr:
            async with bot_process(
                folder, "sandbox", "--model", "scripted", env=env, stderr=stderr.fileno(), python=sys.executable
            ) as process:
                url = re.search(r"http://127\.0\.0\.1:\d+", await wait_for_line(process.stdout, "sandbox is at"))
                assert url
                await wait_for_line(process.stdout, "To connect your own Slack")
                yield Started(url[0], vendor, folder, log.read_text)


@pytest_asyncio.fixture(loop_scope="module")
async def own(tmp_path: Path) -> AsyncIterator[Started]:
    (tmp_path / "folder").mkdir()
    async with running_process(tmp_path / "folder") as own:
        yield own


async def opened(visit: Visit, own: Started) -> Page:
    return await visit(own.url, viewport={"width": 1280, "height": 800})


def note(page: Page) -> Locator:
    return page.locator("#main .answers-note")


async def paste(page: Page, key: str) -> Locator:
    """Opens the dialog by keyboard, pastes a key and sends it. Returns the dialog."""
    dialog = page.get_by_role("dialog", name="Use your own key")
    if not await dialog.is_visible():
        await page.get_by_role("button", name="Use your own key").press("Enter")
    box = dialog.get_by_role("textbox", name="OpenAI or Anthropic key")
    await expect(box).to_be_focused()
    await box.fill(key)
    await box.press("Enter")
    return dialog


async def ask(page: Page, words: str) -> Locator:
    """Asks in the channel. Returns the newest message of the thread that opens."""
    await send(page, f"@typist {words}")
    await expect(thread(page).locator(".message").first).to_contain_text(words)
    return thread(page).locator(".message").last


@pytest.mark.long
async def test_pasted_keys_give_real_answers_until_they_are_removed_and_are_nowhere_written(
    own: Started, visit: Visit
) -> None:
    page = await opened(visit, own)
    await expect(note(page)).to_contain_text("Your own questions go to a script, because no model is connected.")
    dialog = await paste(page, f"  {OPENAI_KEY} ")
    await expect(dialog).to_be_hidden()
    await expect(note(page)).to_contain_text(
        "Your own questions go to openai/gpt-6-luna, with the key that you pasted."
    )
    answer = await ask(page, "What moves the sea?")
    await expect(answer).to_contain_text(OPENAIS_ANSWER)
    await expect(answer).to_contain_text("gpt-6-luna")
    await expect(answer.get_by_text("scripted", exact=True)).to_be_hidden()

    remove = page.get_by_role("button", name="Remove the key")
    await remove.press("Enter")
    await expect(note(page)).to_contain_text("go to a script")
    asked = len(own.vendor.requests)
    await expect(await ask(page, "And what moves the moon?")).to_contain_text("This is a scripted answer")
    assert len(own.vendor.requests) == asked

    await expect(await paste(page, ANTHROPIC_KEY)).to_be_hidden()
    await expect(note(page)).to_contain_text("anthropic/claude-haiku-5-5, with the key that you pasted")
    await expect(await ask(page, "Who are you?")).to_contain_text(ANTHROPICS_ANSWER)

    state = await page.evaluate("fetch('/sandbox/state').then((response) => response.text())")
    stored = await page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    for key in (OPENAI_KEY, ANTHROPIC_KEY):
        assert key not in own.written()
        assert key not in state + stored + await page.content()
    assert not list(own.folder.iterdir())
    assert "started:" in own.written(), "the log is what was looked at"


@pytest.mark.long
async def test_key_that_the_vendor_refuses_is_named_and_the_answers_stay_as_they_are(
    own: Started, visit: Visit
) -> None:
    page = await opened(visit, own)
    dialog = await paste(page, WRONG_KEY)
    problem = dialog.get_by_role("alert")
    await expect(problem).to_have_text(
        "OpenAI does not accept this key (HTTP 401). Your keys are at platform.openai.com/api-keys."
    )
    await expect(dialog.get_by_role("textbox")).to_be_focused()
    for pasted, said in (
        ("xoxb-1234-abcd", "This is a bot token of Slack, not a model's key."),
        ("hello", "This isn't an OpenAI or Anthropic key. Theirs begin with sk-."),
        ("", "This isn't an OpenAI or Anthropic key."),
        ("sk-ünicode", "This isn't an OpenAI or Anthropic key."),
        ("sk-ant-wr0ng", "Anthropic does not accept this key"),
    ):
        await paste(page, pasted)
        await expect(problem).to_contain_text(said)
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(note(page)).to_contain_text("go to a script")

    await expect(await paste(page, OPENAI_KEY)).to_be_hidden()
    await expect(note(page)).to_contain_text("openai/gpt-6-luna")
    async with aiohttp.ClientSession() as session:
        for body in ({"key": ""}, {"key": "", "token": "guessed"}, {"key": OPENAI_KEY, "token": None}):
            async with session.post(f"{own.url}/sandbox/key", json=body) as response:
                assert (response.status, (await response.json())["error"]) == (400, "invalid_token")
    await expect(await ask(page, "What moves the sea?")).to_contain_text(OPENAIS_ANSWER)
    assert WRONG_KEY not in own.written()


@pytest.mark.long
async def test_key_of_a_vendor_that_is_away_is_not_used(own: Started, visit: Visit) -> None:
    page = await opened(visit, own)
    own.vendor.script(VendorResponse([b"{}"], 503, "application/json"))
    dialog = await paste(page, OPENAI_KEY)
    await expect(dialog.get_by_role("alert")).to_contain_text("OpenAI can't be asked about this key now")
    own.vendor.script(as_vendor)
    await paste(page, OPENAI_KEY)
    await expect(dialog).to_be_hidden()
    await expect(note(page)).to_contain_text("openai/gpt-6-luna")
