"""Lone surrogates (half an emoji) are shown as U+FFFD and block nothing, wherever they come from."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.settings import Settings
from slack_sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, running, says
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer

pytestmark = pytest.mark.skips_waits


@pytest.fixture
async def stage(sandbox: Sandbox, vendor: VendorServer, settings: Settings, database_url: str) -> AsyncIterator[Stage]:
    async with running(replace(settings, database_url=database_url)):
        yield Stage(sandbox, vendor)


@pytest.mark.parametrize(
    ("name", "text"),
    [("gateway_chat_lone_half", "Hi \ufffd there \ufffd\ufffd"), ("gateway_chat_split_pair", "Hi 😀 there")],
)
async def test_answer_with_a_lone_surrogate_is_shown_and_its_thread_continues(
    stage: Stage, name: str, text: str
) -> None:
    stage.vendor.script(VendorResponse([speech.documented(name)]), says("The next answer."))
    asked = await stage.mention()
    assert await stage.answers("general", asked) == [text]
    await stage.sandbox.say("ada", "general", "@typist and then?", thread_ts=asked)
    assert await stage.answers("general", asked, count=2) == [text, "The next answer."]
    assert stage.prompts()[1][1]["content"] == text
