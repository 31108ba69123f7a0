"""A channel's question emoji: who adds it to a message asks about it, once, in the message's thread."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest

from bot.core import texts
from bot.core.access import Denial
from bot.core.channel_settings import ChannelSettings
from bot.services.shortcut import MAX_REACTIONS
from bot.settings import Settings
from bot.store import Stores
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import TEAM_ID
from tests.marked import unmarked
from tests.scenarios.conftest import Stage, running
from tests.scenarios.surfaces import ephemerals
from tests.streams.server import VendorServer

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]

ASKED = "asks about this message:\n:eyes:"


@pytest.fixture
async def stage(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, another_process: Stores
) -> AsyncIterator[Stage]:
    """Yields a workspace where the channel *general* has the emoji 👀."""
    general = sandbox.workspace.channel("general").id
    await another_process.channel_settings.write(TEAM_ID, general, ChannelSettings(reaction="eyes"))
    async with running(settings):
        yield Stage(sandbox, vendor)


async def test_emoji_asks_about_the_message_in_its_thread_for_the_person_who_added_it(stage: Stage) -> None:
    ts = await stage.sandbox.say("alan", "general", "The <deploy> failed: disk full")
    await stage.sandbox.react("ada", "general", ts, "eyes")
    question, answer = await stage.answers("general", ts, count=2)
    assert (question, answer) == (f"<@U0ADA> {ASKED}", "The whole answer.")
    ((message,),) = stage.prompts()
    assert (
        unmarked(message["content"])
        == f"Alan: The <deploy> failed: disk full\n\nAda: {texts.settings.REACTION_QUESTION}"
    )


Again = Callable[[Stage, str], Awaitable[None]]


async def removed_and_added(stage: Stage, ts: str) -> None:
    await stage.sandbox.react("ada", "general", ts, "eyes", add=False)
    await stage.sandbox.react("ada", "general", ts, "eyes")


async def added_by_another(stage: Stage, ts: str) -> None:
    await stage.sandbox.react("alan", "general", ts, "eyes")


async def redelivered(stage: Stage, ts: str) -> None:
    [reaction] = [
        delivery for delivery in stage.sandbox.deliveries if delivery.payload["event"]["type"] == "reaction_added"
    ]
    stage.sandbox.redeliver(reaction.payload["event_id"])


@pytest.mark.parametrize("again", [removed_and_added, added_by_another, redelivered])
async def test_emoji_asks_about_a_message_once(stage: Stage, again: Again) -> None:
    ts = await stage.sandbox.say("alan", "general", "hello")
    await stage.sandbox.react("ada", "general", ts, "eyes")
    await stage.answers("general", ts, count=2)
    await again(stage, ts)
    await stage.delivered()
    # What is asked later is answered later.
    last = await stage.sandbox.say("alan", "general", "and this?")
    await stage.sandbox.react("ada", "general", last, "eyes")
    await stage.answers("general", last, count=2)
    assert len(stage.bots("general", ts)) == len(stage.prompts()) == 2


async def test_event_is_acknowledged_before_slack_is_asked_for_anything(stage: Stage) -> None:
    """Slack answers no call about the person and the message until the event is acknowledged."""
    ts = await stage.sandbox.say("alan", "general", "hello")
    for method in ("users.info", "conversations.replies"):
        stage.sandbox.faults.start("slow", method=method, times=1, delay_s=10.0)
    await stage.sandbox.react("ada", "general", ts, "eyes")
    added = stage.sandbox.deliveries[-1]
    assert await stage.sandbox.wait_for(lambda: added.acked_at_s)
    assert len(stage.calls("conversations.replies", "chat.postMessage")) == 0
    assert len(await stage.answers("general", ts, count=2)) == 2


BURST = 30


@pytest.mark.parametrize(("person", "asked"), [("gia", 0), ("grace", MAX_REACTIONS)], ids=["guest", "member"])
@pytest.mark.long(after_row=1)
async def test_many_reactions_of_a_person_leave_their_colleagues_the_calls(
    stage: Stage, person: str, asked: int
) -> None:
    """The messages under 30 emoji aren't read for a guest, and ten of them for a member."""
    stage.sandbox.people.arrive("gia", guest=True)
    posts = [await stage.sandbox.say("alan", "general", f"number {number}") for number in range(BURST)]
    root = await stage.sandbox.say("alan", "random", "hello")
    for ts in posts:
        await stage.sandbox.react(person, "general", ts, "eyes")
    await stage.sandbox.say("ada", "random", f"@{stage.sandbox.workspace.bot.name} why?", root)
    await stage.answers("random", root)
    await stage.delivered()
    await stage.sandbox.wait_for(lambda: sum(len(stage.bots("general", ts)) == 2 for ts in posts) == asked)
    for ts in filter(partial(stage.bots, "general"), posts):
        await stage.answers("general", ts, count=2)
    sentences = (
        {Denial.GUEST, texts.settings.TOO_MANY_REACTIONS} if person == "gia" else {texts.settings.TOO_MANY_REACTIONS}
    )
    await stage.sandbox.wait_for(lambda: len(ephemerals(stage)) == len(sentences))
    assert {sentence for _, sentence in ephemerals(stage)} == sentences
    # One call reads the colleague's thread. Each question that is asked costs one for its message, one for its thread,
    # and on a slow machine one to read its message again, for a post that took too long.
    reads = [call.arguments["ts"] for call in stage.calls("conversations.replies")]
    assert len(reads) <= 1 + 3 * asked
    assert len({*reads} - {root}) == asked
