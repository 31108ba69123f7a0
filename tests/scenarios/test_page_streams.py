"""An answer that a native stream carries, in a real browser: its Stop button stands below the newest words."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import expect

from bot.core import texts
from sandbox.server import Sandbox
from tests.browser import Visit, browser, visit
from tests.scenarios.conftest import grows, running, settings_of
from tests.streams.server import VendorServer

__all__ = ["browser", "visit"]
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

TEXT = "\n\n".join(f"Paragraph {number} of an answer." for number in range(5))


async def test_stream_is_one_message_and_its_thread_says_how_to_stop_it(visit: Visit, tmp_path: Path) -> None:
    done = asyncio.Event()
    async with Sandbox() as sandbox, VendorServer() as vendor:
        vendor.script(grows(TEXT, gates={TEXT.index("Paragraph 4"): done.wait}))
        settings = replace(settings_of(sandbox, vendor), database_url=f"sqlite:///{tmp_path}/typist.db")
        async with running(replace(settings, carrier="stream")):
            asked = await sandbox.say("ada", "general", "@typist why?")
            page = await visit(
                f"{sandbox.url}/?channel=C0GENERAL&thread={asked}", viewport={"width": 1280, "height": 900}
            )
            thread = page.locator("#thread")
            answer = thread.locator(".message").filter(has_text="Paragraph 1 ")
            await expect(answer).to_contain_text("Paragraph 3")
            await expect(thread.get_by_text(texts.STATUS_WRITING)).to_be_visible()
            await expect(thread.locator(".message")).to_have_count(2)
            done.set()
            await expect(answer.get_by_role("button", name="Regenerate")).to_be_visible()
            await expect(thread.get_by_text(texts.STATUS_WRITING)).to_be_hidden()
            await expect(thread.locator(".message")).to_have_count(2)
