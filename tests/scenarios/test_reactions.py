"""A channel's question emoji: who adds it to a message asks about it, once, in the message's thread."""

from collections.abc import AsyncIterator

import pytest

from bot.core import texts
from bot.core.channel_settings import ChannelSettings
from bot.settings import Settings
from bot.store import Stores
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import TEAM_ID
from tests.marked import unmarked
from tests.scenarios.conftest import Stage, running
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
