"""Lone surrogates (half an emoji) are shown as U+FFFD and block nothing, wherever they come from."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.settings import Settings
from sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, running, says
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer, refusal

pytestmark = pytest.mark.skips_waits

LONE = "\ud83d"


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


async def test_question_with_a_lone_surrogate_is_answered(stage: Stage) -> None:
    asked = await stage.mention(f"why {LONE} so?")
    assert await stage.answers("general", asked) == ["The whole answer."]
    await stage.sandbox.say("ada", "general", f"@typist {LONE} and then?", thread_ts=asked)
    assert len(await stage.answers("general", asked, count=2)) == 2
    assert [turn["content"] for turn in stage.prompts()[1]][::2] == ["why \ufffd so?", "\ufffd and then?"]


async def test_error_with_a_lone_surrogate_is_reported_in_its_notice(stage: Stage) -> None:
    stage.vendor.script(refusal(401, {"error": {"message": f"no {LONE}", "code": LONE}}), says("The next answer."))
    asked = await stage.mention()
    (text,) = await stage.answers("general", asked)
    assert "I don't have access" in text
    await stage.sandbox.say("ada", "general", "@typist and then?", thread_ts=asked)
    assert (await stage.answers("general", asked, count=2))[1] == "The next answer."
