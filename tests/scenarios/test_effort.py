"""Effort: a channel's, and that of one answer, from the button below it to the model and the footer."""

from dataclasses import replace

import pytest

from bot.core.actions import ReplyAction
from bot.settings import Settings
from slack_sandbox.server import Sandbox
from tests.contracts.vendors import unsupported
from tests.scenarios.answers import answered, on_record, press, reply
from tests.scenarios.conftest import Stage, buttons, footer, running, says
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorRequest, VendorResponse, VendorServer

THOROUGH = "test · thorough (xhigh effort)"
UNFINISHED = VendorResponse(speech.chat(speech.tokens("A long thought. " * 20))[:40], ending=ResponseEnd.HANG)

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]


def efforts(vendor: VendorServer) -> list[str | None]:
    """Returns the effort in each request."""
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


async def test_model_without_effort_is_offered_no_longer_thought_once_that_is_known(
    stage: Stage, settings: Settings
) -> None:
    def answer(request: VendorRequest) -> VendorResponse:
        message = "This model does not support reasoning_effort."
        return unsupported(message) if "reasoning_effort" in request.body else says("At first sight.")

    stage.vendor.script(answer)
    asked, message = await answered(stage, settings)
    assert ReplyAction.REGENERATE_WITH in buttons(message)
    assert await press(stage, message, ReplyAction.REGENERATE_WITH) is None
    await on_record(settings)
    await stage.sandbox.say("ada", "general", "and then?", asked)
    await stage.answers("general", asked, count=2)
    await on_record(settings)
    assert ReplyAction.REGENERATE_WITH not in buttons(stage.bots("general", asked)[1])


async def test_effort_of_an_answer_outlives_a_restart(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    stage = Stage(sandbox, vendor)
    vendor.script(says("At first sight."), UNFINISHED, says("On second thought."))
    async with running(replace(settings, drain_s=0)):
        asked, message = await answered(stage, settings)
        assert await press(stage, message, ReplyAction.REGENERATE_WITH) is None
        await reply(stage, asked, "A long thought.")
    async with running(settings):
        await reply(stage, asked, "On second thought.")
        await stage.answers("general", asked)
        assert footer(stage.bots("general", asked)[0]).startswith("test · thorough (xhigh effort)")
    assert efforts(vendor) == [None, "xhigh", "xhigh"]
