"""`python -m bot` without any settings: a person opens the page, asks, and a real model answers."""

import re
import signal
from pathlib import Path

import pytest
from playwright.async_api import expect

from sandbox import local_model
from tests.browser import Visit, browser, visit
from tests.processes import bot_process, wait_for_line

__all__ = ["browser", "visit"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.skipif(local_model.available() is not None, reason=f"no local model here: {local_model.available()}")
async def test_page_shows_a_real_models_answer_grow_and_end(tmp_path: Path, visit: Visit) -> None:
    async with bot_process(tmp_path) as process:
        line = await wait_for_line(process.stdout, "sandbox")
        for words in ("SmolLM2", "on this machine", "To connect your own Slack"):
            assert words in line
        address = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert address
        page = await visit(address[0])
        box = page.locator("#main-box")
        await box.fill("@typist Tell me about the sea in a few sentences.")
        await box.press("Enter")
        await page.get_by_role("button", name=re.compile(r"^\d+ repl")).click()
        answer = page.get_by_role("region", name="Thread").get_by_role("listitem").last
        await expect(answer).to_contain_text("Writing…", timeout=30_000)
        first = await answer.inner_text()
        await expect(answer).not_to_contain_text("Writing…", timeout=60_000)
        whole = await answer.inner_text()
        assert len(whole) > len(first)
        assert "Please ask again" not in whole
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
