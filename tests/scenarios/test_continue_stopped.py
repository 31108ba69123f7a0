"""Continue on a stopped answer: it goes on in the same messages, as one answer, wherever and whenever it is pressed."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.prompt import GO_ON
from bot.errors import EndReason
from bot.settings import Settings
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S
from slack_sandbox.workspace import Message
from tests.charged_turns import CHARGED_TURNS
from tests.pictures import buttons_below
from tests.scenarios.answers import press, reply
from tests.scenarios.conftest import Stage, buttons, footer, says, shown
from tests.scenarios.fleet import fleet_of
from tests.scenarios.recorded_turns import ended, recorded
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer

STOPPED = buttons_below(EndReason.STOPPED)
FIRST, REST = "The Earth is round.", "The moon is round, too."
BOTH = f"{FIRST}\n\n{REST}"


@pytest.fixture
def settings(settings: Settings, database_url: str) -> Settings:
    return replace(settings, database_url=database_url, admins=frozenset({"U0GRACE"}))


async def stopped(stage: Stage, settings: Settings) -> tuple[str, Message]:
    """Returns a question, and its reply that was stopped after the first paragraph. The rest of it never comes."""
    tokens = speech.tokens(f"{FIRST}\n\n")
    begun = VendorResponse(speech.chat(tokens)[: len(tokens) + 1], ending=ResponseEnd.HANG)
    stage.vendor.script(begun, says(REST))
    asked = await stage.mention()
    message = await reply(stage, asked, FIRST)
    assert await press(stage, message, ReplyAction.STOP) is None
    await stage.answers("general", asked)
    await ended(settings, 1)
    return asked, stage.bots("general", asked)[0]


async def test_stopped_answer_goes_on_as_one_answer(stage: Stage, settings: Settings) -> None:
    asked, message = await stopped(stage, settings)
    assert (shown(message), footer(message), buttons(message)) == (FIRST, "test · stopped", STOPPED)
    revisions = len(stage.sandbox.revisions("general", message.ts))
    assert await press(stage, message, ReplyAction.CONTINUE) is None
    await stage.sandbox.wait_for(lambda: footer(stage.bots("general", asked)[0]) == "test")
    (message,) = stage.bots("general", asked)
    assert (shown(message), buttons(message)) == (BOTH, buttons_below())
    assert all(FIRST in str(revision.blocks) for revision in stage.sandbox.revisions("general", message.ts)[revisions:])
    assert stage.prompts()[1] == [
        {"role": "user", "content": "why?"},
        {"role": "assistant", "content": FIRST},
        {"role": "user", "content": GO_ON},
    ]
    assert await ended(settings, 2) == [("", EndReason.STOPPED), (BOTH, EndReason.WHOLE)]
    assert all(row.output_tokens for row in await recorded(settings, CHARGED_TURNS, bool))
    assert await press(stage, message, ReplyAction.CONTINUE, value="") == texts.actions.BUTTON_OUTDATED
    assert await press(stage, message, ReplyAction.PREVIOUS, value="") == texts.actions.BUTTON_OUTDATED
    await stage.sandbox.say("ada", "general", "and then?", asked)
    await stage.answers("general", asked, count=2)
    assert stage.prompts()[2][1] == {"role": "assistant", "content": BOTH}


async def test_continuation_that_is_stopped_before_its_first_word_leaves_the_answer_as_it_was(
    stage: Stage, settings: Settings
) -> None:
    asked, message = await stopped(stage, settings)
    stage.vendor.script(VendorResponse(speech.chat(["x"])[:1], ending=ResponseEnd.HANG), says(REST))
    assert await press(stage, message, ReplyAction.CONTINUE) is None
    await stage.vendor.request(1)
    await stage.sandbox.wait_for(lambda: buttons(stage.bots("general", asked)[0]) == [ReplyAction.STOP])
    assert await press(stage, message, ReplyAction.STOP) is None
    await stage.answers("general", asked)
    assert (await ended(settings, 2))[-1] == (f"{FIRST}\n\n", EndReason.STOPPED)
    assert await press(stage, stage.bots("general", asked)[0], ReplyAction.CONTINUE) is None
    await stage.sandbox.wait_for(lambda: shown(stage.bots("general", asked)[0]) == BOTH)


async def test_another_process_continues_what_was_stopped_before_a_restart(
    tmp_path: Path, sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    stage = Stage(sandbox, vendor)
    async with fleet_of(stage, tmp_path, settings.database_url) as fleet:
        await fleet.start()
        asked, message = await stopped(stage, settings)
    async with fleet_of(stage, tmp_path, settings.database_url) as fleet, asyncio.timeout(WITHIN_S):
        await fleet.start()
        # As fast as a process restarts, a press right after the stop does nothing.
        while buttons(stage.bots("general", asked)[0]) == STOPPED:
            await press(stage, message, ReplyAction.CONTINUE)
            await asyncio.sleep(0.1)
        await stage.sandbox.wait_for(lambda: shown(stage.bots("general", asked)[0]) == BOTH)
        assert (await ended(settings, 2))[-1] == (BOTH, EndReason.WHOLE)
