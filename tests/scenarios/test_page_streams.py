"""An answer that a native stream carries, in a real browser: its Stop button stands below the newest words."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import expect

from sandbox.server import Sandbox
from tests.browser import Visit, browser, visit
from tests.scenarios.conftest import grows, running, settings_of
from tests.streams.server import VendorServer

__all__ = ["browser", "visit"]
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

TEXT = "\n\n".join(f"Paragraph {number} of an answer." for number in range(5))


async def test_stop_button_stands_below_the_newest_words_until_the_answers_buttons_take_its_place(
    visit: Visit, tmp_path: Path
) -> None:
    done = asyncio.Event()
    async with Sandbox() as sandbox, VendorServer() as vendor:
        vendor.script(grows(TEXT, gates={TEXT.index("Paragraph 4"): done.wait}))
        settings = replace(settings_of(sandbox, vendor), database_url=f"sqlite:///{tmp_path}/typist.db")
        async with running(replace(settings, carrier="stream")):
            asked = await sandbox.say("ada", "general", "@typist why?")
            page = await visit(
                f"{sandbox.url}/?channel=C0GENERAL&thread={asked}", viewport={"width": 1280, "height": 900}
            )
            answer = page.locator("#thread .message").filter(has_text="Paragraph 1 ")
            stop = page.locator("#thread").get_by_role("button", name="Stop", exact=True)
            await expect(answer).to_contain_text("Paragraph 3")
            await expect(stop).to_be_visible()
            growing, button = await answer.bounding_box(), await stop.bounding_box()
            assert growing
            assert button
            assert button["y"] > growing["y"] + growing["height"]
            done.set()
            await expect(answer.get_by_role("button", name="Regenerate")).to_be_visible()
            await expect(stop).to_be_hidden()
