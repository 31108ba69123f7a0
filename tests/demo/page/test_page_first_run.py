"""`python -m bot sandbox` without settings: a person opens the page, presses a card, asks, and is answered."""

import os
import re
import signal
from pathlib import Path

import pytest
from playwright.async_api import expect

from demo import local_model
from slack_sandbox.testing.browser import Visit
from slack_sandbox.testing.processes import wait_for_line
from tests.processes import REPOSITORY, bot_process

pytestmark = [pytest.mark.wide, pytest.mark.asyncio(loop_scope="module")]

# Keeps what the thread's messages show each time the page changes: a short answer may end between two looks.
_RECORD_BODIES = """() => {
    window.bodies = new Set();
    const record = () => {
        for (const body of document.querySelectorAll('#thread .body')) window.bodies.add(body.innerText);
    };
    new MutationObserver(record).observe(document.body, {childList: true, subtree: true, characterData: true});
}"""


@pytest.mark.long
@pytest.mark.skipif(
    local_model.unavailable_reason() is not None, reason=f"no local model here: {local_model.unavailable_reason()}"
)
async def test_page_shows_a_card_and_a_real_models_answer_grow_and_end(tmp_path: Path, visit: Visit) -> None:
    # Without --model it would be the same, unless a model server runs on this machine.
    async with bot_process(tmp_path, "sandbox", "--model", "local") as process:
        address = re.search(r"http://127\.0\.0\.1:\d+", await wait_for_line(process.stdout, "sandbox"))
        assert address
        assert "SmolLM2-135M-Instruct, a toy model" in await wait_for_line(process.stdout, "own questions")
        await wait_for_line(process.stdout, "For real answers, paste an OpenAI")
        await wait_for_line(process.stdout, "To connect your own Slack")
        page = await visit(address[0], viewport={"width": 1280, "height": 800})
        await page.locator(".card").first.click()
        answer = page.get_by_role("region", name="Thread").get_by_role("listitem").last
        await expect(answer).to_contain_text("Finding slow queries", timeout=30_000)
        await expect(answer.get_by_text("scripted", exact=True)).to_be_visible()
        await page.evaluate(_RECORD_BODIES)
        box = page.locator("#main-box")
        await box.fill("@typist Tell me about the sea in a few sentences.")
        await box.press("Enter")
        await expect(answer).not_to_contain_text("Finding slow queries", timeout=30_000)
        stop = page.get_by_role("region", name="Thread").get_by_role("button", name="Stop", exact=True)
        await expect(stop).to_be_visible(timeout=30_000)
        await expect(answer.get_by_role("button", name="Regenerate")).to_be_visible(timeout=60_000)
        await expect(stop).to_have_count(0)
        whole = await answer.locator(".body").inner_text()
        shown = await page.evaluate("[...bodies]")
        begun = [body.partition("\n")[0] for body in shown]
        assert any(words and whole.startswith(words) and len(words) < len(whole.partition("\n")[0]) for words in begun)
        assert "Please ask again" not in whole
        assert len(whole.split()) < 130, "the toy model's answers are one paragraph"
        await expect(answer.get_by_text("scripted", exact=True)).to_be_hidden()
        await expect(answer.locator(".badge", has_text="toy model")).to_be_visible()
        await box.fill("@typist hi")
        await box.press("Enter")
        await expect(answer).to_contain_text("No real model is connected in this sandbox", timeout=30_000)
        await expect(answer.locator(".badge", has_text="scripted")).to_be_visible()
        # In a direct message, other models are offered the tools of the sandbox's server.
        await page.locator("#directs").get_by_role("button", name="Typist", exact=True).click()
        await box.fill("What is the moon?")
        await box.press("Enter")
        direct = page.locator("#main .message").last
        await expect(direct.get_by_role("button", name="Regenerate")).to_be_visible(timeout=60_000)
        await expect(direct).to_contain_text("SmolLM2-135M-Instruct")
        await expect(direct).not_to_contain_text("this model doesn't support")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.long
async def test_newcomer_reads_why_nothing_answers_and_then_that_a_script_does(tmp_path: Path, visit: Visit) -> None:
    async with bot_process(tmp_path, "sandbox") as process:
        address = re.search(r"http://127\.0\.0\.1:\d+", await wait_for_line(process.stdout, "sandbox"))
        assert address
        page = await visit(address[0], viewport={"width": 1280, "height": 800})
        await expect(page.locator("#main .hint")).to_contain_text("To try a toy model, which is often wrong")
        box = page.locator("#main-box")
        await box.fill("What is the capital of Peru?")
        await box.press("Enter")
        why = page.get_by_text("Typist answers when mentioned: ask again with @Typist.")
        await expect(why).to_be_visible()
        await box.fill("@Typist What is the capital of Peru?")
        await box.press("Enter")
        answer = page.get_by_role("region", name="Thread").get_by_role("listitem").last
        await expect(answer).to_contain_text("scripted answer: no model is connected")
        await expect(why).to_be_hidden()


@pytest.mark.long
async def test_with_a_copy_of_the_example_settings_it_stores_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text((REPOSITORY / ".env.example").read_text())
    async with bot_process(tmp_path, "sandbox", "--model", "scripted") as process:
        await wait_for_line(process.stdout, "To connect your own Slack")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert not set(os.listdir(tmp_path)) - {".env"}


@pytest.mark.long
async def test_app_has_the_scopes_that_the_settings_need(tmp_path: Path) -> None:
    env = {"BOT_SLACK_SEARCH": "on", "BOT_ALLOW_USERS": "@example.com, @support"}
    async with bot_process(tmp_path, "sandbox", "--model", "scripted", env=env) as process:
        await wait_for_line(process.stdout, "To connect your own Slack")
        process.send_signal(signal.SIGTERM)
        _, logged = await process.communicate()
    assert b"started: typist" in logged
    assert b"Missing scopes" not in logged


@pytest.mark.long
async def test_as_an_agent_it_suggests_prompts_and_answers_in_threads(tmp_path: Path, visit: Visit) -> None:
    async with bot_process(tmp_path, "sandbox", "--agent", "--model", "scripted") as process:
        address = re.search(r"http://127\.0\.0\.1:\d+", await wait_for_line(process.stdout, "sandbox"))
        assert address
        page = await visit(address[0], viewport={"width": 1280, "height": 800})
        await page.get_by_role("button", name="Typist", exact=True).click()
        await page.get_by_role("button", name="Explain something").click()
        thread = page.get_by_role("region", name="Explain something to me step by step.")
        await expect(thread.get_by_role("button", name="■ Stop")).to_be_visible(timeout=30_000)
        await expect(thread).to_contain_text("This is a scripted answer", timeout=30_000)
