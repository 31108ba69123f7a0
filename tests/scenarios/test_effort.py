"""Effort: a channel's, and that of one answer, from the button below it to the model and the footer."""

import pytest

from bot.core.actions import ReplyAction
from bot.settings import Settings
from tests.scenarios.answers import answered, on_record, press, reply
from tests.scenarios.conftest import Stage, footer, says
from tests.streams.server import VendorServer

THOROUGH = "test · thorough (xhigh effort)"

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]


def efforts(vendor: VendorServer) -> list[str | None]:
    return [request.body.get("reasoning_effort") for request in vendor.requests]


async def test_answer_is_thought_about_longer_and_the_next_one_is_not(stage: Stage, settings: Settings) -> None:
    stage.vendor.script(says("At first sight."), says("On second thought."), says("And then this."))
    asked, message = await answered(stage, settings)
    assert await press(stage, message, ReplyAction.REGENERATE_WITH) is None
    message = await reply(stage, asked, "On second thought.")
    await stage.answers("general", asked)
    await on_record(settings)
    assert footer(stage.bots("general", asked)[0]) == THOROUGH
    await stage.sandbox.say("ada", "general", "and then?", asked)
    await stage.answers("general", asked, count=2)
    assert efforts(stage.vendor) == [None, "xhigh", None]
