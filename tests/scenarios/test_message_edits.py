"""Edited and deleted questions: what happens to their answers, and who gets a ping."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.settings import Settings
from slack_sandbox.blocks.elements import interactive
from slack_sandbox.server import Sandbox
from slack_sandbox.socket_mode import Delivery
from slack_sandbox.testing.processes import WITHIN_S
from slack_sandbox.workspace import Message, Session
from tests.scenarios import answers
from tests.scenarios.conftest import Stage, footer, growing, running, says, shown
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer

pytestmark = pytest.mark.skips_waits

LONG_S = 10
"""An answer that takes longer is a long one. A quick one takes two seconds on a loaded machine."""
UNFINISHED = VendorResponse(speech.chat(speech.tokens("The old answer. " * 30))[:60], ending=ResponseEnd.HANG)


def _is_acknowledged(delivery: Delivery) -> bool:
    return delivery.acked_at_s is not None


async def all_taken(stage: Stage) -> None:
    """Waits until all events so far are acknowledged and handled."""
    await stage.delivered()
    asked = await stage.mention("still there?", channel="random")
    await stage.answers("random", asked)
    await asyncio.sleep(1.2)


def offered(message: Message) -> list[str]:
    """Returns the actions of a message's buttons and, if it is an earlier answer, of its menu."""
    elements = [element for _, element in interactive(message.blocks)]
    in_menus = [option["value"] for element in elements for option in element.get("options", ())]
    return [*(element["action_id"] for element in elements), *in_menus]


async def test_edit_of_a_running_question_restarts_its_answer_in_the_same_reply(stage: Stage) -> None:
    stage.vendor.script(UNFINISHED, says("The new answer."))
    asked = await stage.mention("old words?")
    reply = await answers.reply(stage, asked, "The old")
    await stage.sandbox.edit("general", asked, "@typist new words?")
    await asyncio.wait_for(stage.vendor.requests[0].hung_up.wait(), WITHIN_S)
    await answers.reply(stage, asked, "The new answer.")
    assert await stage.answers("general", asked) == ["The new answer."]
    assert [message.ts for message in stage.bots("general", asked)] == [reply.ts]
    assert stage.prompts()[1] == [{"role": "user", "content": "new words?"}]
    seen = [str(revision.blocks) for revision in stage.sandbox.revisions("general", reply.ts)]
    assert any("The old" in earlier and "Thinking" in later for earlier, later in pairwise(seen)), (
        "the reply must restart with a placeholder"
    )


async def test_new_metadata_of_a_root_is_no_edit(stage: Stage) -> None:
    stage.vendor.script(says("First. " * 40, pause_s=0.06), says("Still here."))
    asked = await stage.mention("why?")
    await answers.reply(stage, asked, "First.")
    root = stage.sandbox.workspace.message("C0GENERAL", asked)
    stage.sandbox.workspace.change(replace(root, session=Session("processing")))
    event = stage.sandbox.deliveries[-1].payload["event"]
    assert (event["subtype"], event["message"]["agent_session"]["status"]) == ("message_changed", "processing")
    await stage.sandbox.wait_for(lambda: footer(stage.bots("general", asked)[0]))
    stage.sandbox.workspace.change(replace(root, session=Session("active")))
    (answer,) = await stage.answers("general", asked)
    await all_taken(stage)
    assert len(stage.vendor.requests) == 2, "a question for each of the two answers"
    assert await stage.answers("general", asked) == [answer]


async def test_broadcast_is_answered_once(stage: Stage) -> None:
    root = await stage.sandbox.say("grace", "general", "Here it is.")
    await stage.sandbox.say("ada", "general", "@typist what is it?", root, broadcast=True)
    assert stage.sandbox.deliveries[-1].payload["event"]["subtype"] == "message_changed"
    await all_taken(stage)
    assert await stage.answers("general", root) == ["The whole answer."]
    assert (len(stage.bots("general", root)), len(stage.vendor.requests)) == (1, 2)


async def test_edit_of_an_answered_question_starts_over_in_the_same_reply(stage: Stage) -> None:
    stage.vendor.script(says("The old answer."), says("The new answer."))
    asked = await stage.mention("what is it?")
    await stage.answers("general", asked)
    (reply,) = stage.bots("general", asked)
    await all_taken(stage)
    stage.vendor.script(says("The new answer."))
    await stage.sandbox.edit("general", asked, "@typist what was it?")
    assert (await answers.reply(stage, asked, "The new answer.")).ts == reply.ts
    assert stage.prompts()[-1] == [{"role": "user", "content": "what was it?"}]
    assert not stage.sandbox.workspace.ephemerals


@pytest.mark.parametrize("who", ["ada", "grace"])
@pytest.mark.long(after_row=1)
async def test_answer_that_others_built_on_says_that_its_question_was_edited(stage: Stage, who: str) -> None:
    asked = await stage.mention("what is it?")
    await stage.answers("general", asked)
    words = "@typist and why?" if who == "ada" else "I see."
    await stage.sandbox.say(who, "general", words, asked)
    await all_taken(stage)
    made = len(stage.vendor.requests)
    await stage.sandbox.edit("general", asked, "@typist what was it?")
    told = await answers.reply(stage, asked, texts.answers.QUESTION_EDITED)
    assert told.ts == stage.bots("general", asked)[0].ts
    assert ReplyAction.REGENERATE in offered(told)
    assert shown(told).startswith("The whole answer.")
    assert len(stage.vendor.requests) == made
    await stage.sandbox.say("ada", "general", "@typist and then?", asked)
    await answers.reply(stage, asked, "The whole answer.")
    await all_taken(stage)
    (prompt,) = [prompt for prompt in stage.prompts() if "and then?" in str(prompt)]
    assert "what was it?" in str(prompt), "the next prompt must have the edited text"
    assert texts.answers.QUESTION_EDITED not in str(prompt)


async def test_deleting_a_running_question_deletes_its_reply(stage: Stage) -> None:
    stage.vendor.script(UNFINISHED, says("Next."))
    root = await stage.sandbox.say("ada", "general", "The build is red.")
    asked = await stage.sandbox.say("ada", "general", "@typist why?", root)
    await answers.reply(stage, root, "The old")
    await stage.sandbox.delete("general", asked)
    await asyncio.wait_for(stage.vendor.requests[0].hung_up.wait(), WITHIN_S)
    await stage.sandbox.wait_for(lambda: not stage.bots("general", root))
    await stage.sandbox.say("ada", "general", "@typist and now?", root)
    await stage.answers("general", root)
    assert "why?" not in str(stage.prompts()[-1]), "a deleted message is in no later prompt"


@pytest.mark.parametrize("after", [True, False])
async def test_deleting_an_answered_question_deletes_its_reply_unless_someone_wrote_after_it(
    stage: Stage, after: bool
) -> None:
    asked = await stage.mention("what is it?")
    await stage.answers("general", asked)
    if after:
        await stage.sandbox.say("grace", "general", "interesting", asked)
    await stage.sandbox.delete("general", asked)
    if after:
        await all_taken(stage)
        assert [shown(message) for message in stage.bots("general", asked)] == ["The whole answer."]
    else:
        await stage.sandbox.wait_for(lambda: not bots_left(stage))


def bots_left(stage: Stage) -> list[Message]:
    messages = stage.sandbox.workspace.messages(stage.sandbox.workspace.channel("general").id)
    return [message for message in messages if message.user_id == stage.sandbox.bot_user_id]


@pytest.fixture
async def pinging(sandbox: Sandbox, vendor: VendorServer, settings: Settings) -> AsyncIterator[Stage]:
    async with running(replace(settings, done_mention_s=LONG_S)):
        yield Stage(sandbox, vendor)


@pytest.mark.parametrize("channel", ["general", pytest.param("dm", marks=pytest.mark.long)])
@pytest.mark.long
async def test_asker_of_a_long_answer_is_mentioned_once(pinging: Stage, channel: str) -> None:
    stage = pinging
    place = stage.sandbox.dm("ada") if channel == "dm" else channel
    stage.vendor.script(says("word " * 60, pause_s=1.5 * LONG_S / 60), says("Quick."))
    asked = await stage.sandbox.say("ada", place, "@typist why?")
    thread = None if channel == "dm" else asked
    answer, ping = await stage.answers(place, thread, count=2)
    assert answer == ("word " * 60).rstrip()
    assert ping == f"<@{stage.sandbox.workspace.user('ada').id}> {texts.answers.ANSWER_READY}"
    await stage.sandbox.say("ada", place, "and then?", thread)
    await stage.answers(place, thread, count=3)
    assert texts.answers.ANSWER_READY not in str(stage.prompts()[-1])
    await all_taken(stage)
    assert len(stage.bots(place, thread)) == 3


async def test_asker_who_deletes_the_question_is_not_mentioned(pinging: Stage) -> None:
    stage = pinging
    stage.vendor.script(UNFINISHED, says("Quick."))
    asked = await stage.mention("why?")
    await answers.reply(stage, asked, "The old")
    await asyncio.sleep(LONG_S)
    await stage.sandbox.delete("general", asked)
    await stage.sandbox.wait_for(lambda: not bots_left(stage))
    await all_taken(stage)
    assert not any(map(growing, bots_left(stage)))
    assert texts.answers.ANSWER_READY not in str(bots_left(stage))


async def test_question_that_slack_delivers_after_its_deletion_is_not_answered(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    """Nobody heard of the question at first, and Slack's next try comes after that of the deletion."""
    stage = Stage(sandbox, vendor)
    asked = await stage.mention("what is it?")
    await sandbox.delete("general", asked)
    async with running(settings):
        *originals, deletion = sandbox.deliveries
        for delivery in (deletion, *originals):
            await sandbox.wait_for(lambda: sandbox.sockets.connections)
            sandbox.redeliver(delivery.event_id)
            await sandbox.wait_for(partial(_is_acknowledged, delivery))
        await all_taken(stage)
    assert len(vendor.requests) == 1, "only the later question is answered"
    assert not bots_left(stage)
