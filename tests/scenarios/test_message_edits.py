"""What becomes of an answer when its question is edited or deleted, and who is told that it is whole."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise

import pytest

from bot.core import texts
from bot.settings import Settings
from sandbox.server import Sandbox
from sandbox.workspace import Message
from tests.scenarios.conftest import Stage, growing, running, says, shown
from tests.scenarios.test_follow_ups import in_line
from tests.streams import speech
from tests.streams.server import Answer, Ending, VendorServer

HALF = Answer(speech.chat(speech.tokens("The old answer. " * 30))[:60], ending=Ending.HANG)


async def growing_reply(stage: Stage, asked: str, words: str = "The old") -> Message:
    """The reply once it shows these words."""
    found = await stage.sandbox.wait_for(
        lambda: [message for message in stage.bots("general", asked) if words in shown(message)], 15
    )
    return found[0]


def offers(stage: Stage) -> list[Message]:
    return [message for message in stage.sandbox.workspace.ephemerals if texts.QUESTION_EDITED in message.text]


async def all_taken(stage: Stage) -> None:
    """All events so far were acknowledged, and what follows from them is done."""
    await stage.sandbox.wait_for(lambda: all(delivery.acked_at_s for delivery in stage.sandbox.deliveries))
    asked = await stage.mention("still there?", channel="random")
    await stage.answers("random", asked)
    await asyncio.sleep(1.2)


async def test_a_question_edited_while_it_is_answered_starts_over_in_the_same_reply(stage: Stage) -> None:
    stage.vendor.script(HALF, says("The new answer."))
    asked = await stage.mention("old words?")
    reply = await growing_reply(stage, asked)
    await stage.sandbox.edit("general", asked, "@typist new words?")
    await asyncio.wait_for(stage.vendor.requests[0].hung_up.wait(), 40)
    await growing_reply(stage, asked, "The new answer.")
    assert await stage.answers("general", asked) == ["The new answer."]
    assert [message.ts for message in stage.bots("general", asked)] == [reply.ts]
    assert stage.prompts()[1] == [{"role": "user", "content": "new words?"}]
    seen = [str(each.blocks) for each in stage.sandbox.revisions("general", reply.ts)]
    assert any("The old" in earlier and "Thinking" in later for earlier, later in pairwise(seen)), "at once"


async def test_a_question_edited_while_it_waits_is_answered_as_it_is_then(stage: Stage) -> None:
    stage.vendor.script(says("First. " * 40, pause_s=0.02), says("Second."))
    asked = await stage.mention("first?")
    await stage.sandbox.wait_for(lambda: stage.bots("general", asked))
    second = await stage.sandbox.say("ada", "general", "@typist secnod?", asked)
    await in_line(stage, 1, "general", asked)
    await stage.sandbox.edit("general", second, "@typist second?")
    await stage.answers("general", asked, count=2)
    assert stage.prompts()[1][-1]["content"] == "second?"


async def test_edited_after_its_answer_the_threads_last_question_is_offered_another(stage: Stage) -> None:
    asked = await stage.mention("what is it?")
    await stage.answers("general", asked)
    await all_taken(stage)
    await stage.sandbox.edit("general", asked, "@typist what was it?")
    (offer,) = await stage.sandbox.wait_for(lambda: offers(stage))
    assert offer.ephemeral_to == stage.sandbox.workspace.user("ada").id
    assert "regenerate" in str(offer.blocks)
    await stage.sandbox.say("ada", "general", "@typist and why?", asked)
    await stage.answers("general", asked, count=2)
    assert stage.prompts()[-1][0]["content"] == "what was it?", "an edited message is so in the next prompt"
    await stage.sandbox.edit("general", asked, "@typist what is it not?")
    await all_taken(stage)
    assert len(offers(stage)) == 1


async def test_an_edit_of_no_word_and_one_that_takes_the_mention_away_change_nothing(stage: Stage) -> None:
    asked = await stage.mention("what is it?")
    await stage.answers("general", asked)
    for text in ("@typist  what is it?", "what is it?"):
        await stage.sandbox.edit("general", asked, text)
    await all_taken(stage)
    assert not offers(stage)
    assert [shown(message) for message in stage.bots("general", asked)] == ["The whole answer."]


async def test_a_mention_that_is_added_asks(stage: Stage) -> None:
    said = await stage.sandbox.say("ada", "general", "what is it?")
    await stage.sandbox.edit("general", said, "@typist what is it?")
    assert await stage.answers("general", said) == ["The whole answer."]


async def test_a_question_deleted_while_it_is_answered_takes_its_reply_along(stage: Stage) -> None:
    stage.vendor.script(HALF, says("Next."))
    root = await stage.sandbox.say("ada", "general", "The build is red.")
    asked = await stage.sandbox.say("ada", "general", "@typist why?", root)
    await growing_reply(stage, root)
    await stage.sandbox.delete("general", asked)
    await asyncio.wait_for(stage.vendor.requests[0].hung_up.wait(), 40)
    await stage.sandbox.wait_for(lambda: not stage.bots("general", root))
    await stage.sandbox.say("ada", "general", "@typist never mind", root)
    await stage.answers("general", root)
    assert "why?" not in str(stage.prompts()[-1]), "a deleted message is in no later prompt"


async def test_the_sign_of_a_question_deleted_while_it_waits_goes(stage: Stage) -> None:
    stage.vendor.script(says("First. " * 40, pause_s=0.02))
    asked = await stage.mention("first?")
    await stage.sandbox.wait_for(lambda: stage.bots("general", asked))
    second = await stage.sandbox.say("ada", "general", "@typist second?", asked)
    await in_line(stage, 1, "general", asked)
    await stage.sandbox.delete("general", second)
    await stage.sandbox.wait_for(lambda: len(stage.bots("general", asked)) == 1)
    await stage.answers("general", asked)
    assert len(stage.vendor.requests) == 1


@pytest.mark.parametrize("after", [True, False])
async def test_deleted_after_its_answer_the_reply_goes_if_nobody_wrote_after_it(stage: Stage, after: bool) -> None:
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
    async with running(replace(settings, done_ping_s=1)):
        yield Stage(sandbox, vendor)


@pytest.mark.parametrize("channel", ["general", "dm"])
async def test_who_waited_long_is_told_once_when_the_answer_is_whole(pinging: Stage, channel: str) -> None:
    stage = pinging
    place = stage.sandbox.dm("ada") if channel == "dm" else channel
    stage.vendor.script(says("word " * 60, pause_s=0.02), says("Quick."))
    asked = await stage.sandbox.say("ada", place, "@typist why?")
    thread = None if channel == "dm" else asked
    answer, ping = await stage.answers(place, thread, count=2)
    assert answer == ("word " * 60).rstrip()
    assert ping == f"<@{stage.sandbox.workspace.user('ada').id}> {texts.ANSWER_READY}"
    await stage.sandbox.say("ada", place, "and then?", thread)
    await stage.answers(place, thread, count=3)
    assert texts.ANSWER_READY not in str(stage.prompts()[-1])
    await all_taken(stage)
    assert len(stage.bots(place, thread)) == 3


async def test_who_asked_for_a_stop_by_deleting_is_told_nothing(pinging: Stage) -> None:
    stage = pinging
    stage.vendor.script(HALF, says("Quick."))
    asked = await stage.mention("why?")
    await growing_reply(stage, asked)
    await asyncio.sleep(1.0)
    await stage.sandbox.delete("general", asked)
    await stage.sandbox.wait_for(lambda: not bots_left(stage))
    await all_taken(stage)
    assert not any(map(growing, bots_left(stage)))
    assert texts.ANSWER_READY not in str(bots_left(stage))
