"""Access control: a denied asker gets private notices at a bounded rate, and no model is asked."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.access import MAX_BOT_QUESTIONS_IN_A_ROW, UserKind
from bot.core.texts.access import Denial
from bot.settings import Settings
from slack_sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, growing, running, says, shown
from tests.scenarios.surfaces import ephemerals
from tests.streams.server import VendorServer

pytestmark = pytest.mark.skips_waits


@pytest.fixture
async def others(sandbox: Sandbox, vendor: VendorServer) -> Stage:
    """Returns a workspace with another member, a guest and a person of another organization. The bot isn't running."""
    sandbox.people.add_person("gus")
    sandbox.people.add_person("gia", guest=True)
    sandbox.people.add_person("stan", team_id="T0ELSEWHERE")
    return Stage(sandbox, vendor)


async def delivered(sandbox: Sandbox) -> None:
    """Waits until the messages so far are acknowledged. Arrivals may be given up before the bot is connected."""
    sent = [one for one in sandbox.deliveries if one.payload["event"]["type"] != "member_joined_channel"]
    await sandbox.wait_for(lambda: all(delivery.acked_at_s for delivery in sent))


async def check_unanswered(stage: Stage, asked: Iterable[str]) -> None:
    """Waits until all events are acknowledged and another question is answered, then checks that these got no reply."""
    await delivered(stage.sandbox)
    await stage.answers("random", await stage.mention("and now?", "random", "grace"))
    assert [stage.bots("general", ts) for ts in asked] == [[] for _ in asked]


@pytest.mark.parametrize(("name", "denial"), [("gia", Denial.GUEST), ("stan", Denial.EXTERNAL)])
async def test_guests_and_external_people_get_a_private_denial_where_they_ask_and_no_answer(
    others: Stage, settings: Settings, name: str, denial: Denial
) -> None:
    async with running(settings):
        first = await others.mention(user=name)
        await others.sandbox.wait_for(lambda: ephemerals(others))
        again = await others.mention(user=name)
        direct = await others.sandbox.say(name, others.sandbox.dm(name), "why?")
        await check_unanswered(others, [first, again])
        await others.sandbox.wait_for(lambda: len(ephemerals(others)) == 2)
    assert ephemerals(others) == [(f"U0{name.upper()}", denial)] * 2
    channels = {message.channel for message in others.sandbox.workspace.ephemerals}
    assert channels == {"C0GENERAL", others.sandbox.dm(name)}
    assert others.bots(others.sandbox.dm(name), direct) == []
    assert len(others.vendor.requests) == 1
    assert all(len(delivery.sent_at_s) <= 1 for delivery in others.sandbox.deliveries)


async def test_question_that_another_bot_streams_is_answered_once_when_it_is_complete(
    others: Stage, settings: Settings
) -> None:
    sandbox = others.sandbox
    root = await sandbox.say("ada", "general", "a thread")
    async with running(replace(settings, allow_also=frozenset([UserKind.BOT]))):
        streamed = await sandbox.stream_as_bot("hal", "general", root)
        await delivered(sandbox)
        assert others.vendor.requests == []
        await sandbox.end_stream_as_bot("general", streamed, "@typist why?")
        assert await others.answers("general", root) == ["The whole answer."]
        for delivery in list(sandbox.deliveries):
            sandbox.sockets.redeliver(delivery)
        await delivered(sandbox)
    assert len(others.vendor.requests) == 1


async def test_two_bots_that_answer_each_other_stop_after_some_rounds(others: Stage, settings: Settings) -> None:
    async with running(replace(settings, allow_also=frozenset([UserKind.BOT]))):
        root = await others.mention("talk to hal")
        await others.answers("general", root)
        for number in range(MAX_BOT_QUESTIONS_IN_A_ROW):
            await others.sandbox.say_as_bot("hal", "general", "@typist is that so?", root)
            await others.answers("general", root, count=number + 2)
        await others.sandbox.say_as_bot("hal", "general", "@typist is that so?", root)
        await delivered(others.sandbox)
        await others.sandbox.say("ada", "general", "@typist go on", root)
        await others.answers("general", root, count=MAX_BOT_QUESTIONS_IN_A_ROW + 2)
        await others.sandbox.say_as_bot("hal", "general", "@typist is that so?", root)
        await others.answers("general", root, count=MAX_BOT_QUESTIONS_IN_A_ROW + 3)
    assert len(others.vendor.requests) == MAX_BOT_QUESTIONS_IN_A_ROW + 3


async def test_question_beyond_the_persons_limit_is_queued_behind_a_placeholder(
    others: Stage, settings: Settings
) -> None:
    others.vendor.script(says("word " * 60, pause_s=0.06))
    async with running(replace(settings, max_concurrent_per_user=1)):
        first = await others.mention("first?")
        await others.sandbox.wait_for(lambda: others.bots("general", first))
        second = await others.mention("second?")
        other = await others.mention("mine?", user="grace")
        (waiting,) = await others.sandbox.wait_for(lambda: others.bots("general", second))
        assert growing(waiting)
        assert texts.answers.QUEUED in shown(waiting)
        await others.vendor.request(1)
        assert [prompt[-1]["content"] for prompt in others.prompts()] == ["first?", "mine?"]
        for asked in (first, second, other):
            assert await others.answers("general", asked) == [("word " * 60).rstrip()]
