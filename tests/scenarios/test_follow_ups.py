"""Whom the bot answers in a thread, and what becomes of questions that come while it answers."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.settings import Settings
from sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, running
from tests.streams.server import VendorServer


@pytest.fixture
async def mention_only(sandbox: Sandbox, vendor: VendorServer, settings: Settings) -> AsyncIterator[Stage]:
    async with running(replace(settings, mention_only=True)):
        yield Stage(sandbox, vendor)


async def unanswered(stage: Stage, user: str, text: str, thread: str) -> None:
    """Says something in general, which is taken from Slack, and no question."""
    before = len(stage.bots("general", thread))
    await stage.sandbox.say(user, "general", text, thread)
    await stage.sandbox.wait_for(lambda: all(delivery.acked_at_s for delivery in stage.sandbox.deliveries))
    asked = await stage.mention("still there?", channel="random")
    await stage.answers("random", asked)
    assert len(stage.bots("general", thread)) == before


async def test_once_somebody_else_writes_in_a_thread_each_question_needs_a_mention(stage: Stage) -> None:
    asked = await stage.mention("what is it?")
    await stage.answers("general", asked)
    await unanswered(stage, "grace", "I think so, too", asked)
    await unanswered(stage, "ada", "and why?", asked)
    await stage.sandbox.say("ada", "general", "@typist and why?", asked)
    await stage.answers("general", asked, count=2)
    await unanswered(stage, "ada", "thanks", asked)


async def test_two_who_ask_in_a_thread_mention_it(stage: Stage) -> None:
    asked = await stage.mention("what is it?")
    await stage.sandbox.say("grace", "general", "@typist and for me?", asked)
    await stage.answers("general", asked, count=2)
    for user in ("ada", "grace"):
        await unanswered(stage, user, "and why?", asked)


async def test_a_thread_that_others_began_needs_a_mention_for_each_question(stage: Stage) -> None:
    root = await stage.sandbox.say("grace", "general", "The build is red.")
    await stage.sandbox.say("ada", "general", "@typist any idea?", root)
    await stage.answers("general", root)
    await unanswered(stage, "ada", "so I thought", root)


async def test_a_thread_under_another_bots_message_is_between_the_bot_and_who_asks(stage: Stage) -> None:
    root = await stage.sandbox.say_as_bot("ci", "general", "The build is red.")
    await stage.sandbox.say("ada", "general", "@typist any idea?", root)
    await stage.answers("general", root)
    await stage.sandbox.say("ada", "general", "and now?", root)
    await stage.answers("general", root, count=2)


async def test_mention_only_holds_in_channels_and_not_in_dms(mention_only: Stage) -> None:
    stage = mention_only
    asked = await stage.mention("what is it?")
    await stage.answers("general", asked)
    await unanswered(stage, "ada", "and why?", asked)
    place = stage.sandbox.dm("ada")
    await stage.sandbox.say("ada", place, "why?")
    assert await stage.answers(place, None) == ["The whole answer."]
