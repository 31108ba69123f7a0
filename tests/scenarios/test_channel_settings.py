"""Channel settings (model, system prompt, what is answered) apply from the next question on."""

from dataclasses import replace

import pytest

from bot.core.channel_settings import ChannelSettings
from bot.core.triage import Engagement
from bot.store import Stores
from slack_sandbox.workspace import TEAM_ID
from tests.scenarios.conftest import Stage

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True, models=("openai/test", "openai/other"))]


async def configure(stage: Stage, store: Stores, settings: ChannelSettings) -> None:
    general = stage.sandbox.workspace.channel("general").id
    await store.channel_settings.write(TEAM_ID, general, settings)


async def test_channel_has_its_own_model_and_system_prompt(stage: Stage, another_process: Stores) -> None:
    await configure(stage, another_process, ChannelSettings("openai/other", "Answer in rhymes."))
    for channel in ("general", "random"):
        asked = await stage.mention(channel=channel)
        await stage.answers(channel, asked)
    own, common = (request.body for request in stage.vendor.requests)
    assert own["model"] == "other"
    assert own["messages"][0]["content"].startswith("Answer in rhymes.\n\n")
    assert common["model"] == "test"
    assert "Typist" in common["messages"][0]["content"]


async def test_channel_setting_decides_whether_questions_need_a_mention(stage: Stage, another_process: Stores) -> None:
    asked = await stage.mention()
    await stage.answers("general", asked)
    await configure(stage, another_process, ChannelSettings(engagement=Engagement.MENTIONS))
    await stage.sandbox.say("ada", "general", "and this?", asked)
    await stage.delivered()
    await configure(stage, another_process, ChannelSettings(engagement=Engagement.FOLLOW_UPS))
    await stage.sandbox.say("ada", "general", "and that?", asked)
    await stage.answers("general", asked, count=2)
    assert len(stage.vendor.requests) == 2


async def test_new_posts_are_answered_in_their_threads_where_a_channel_chose_that(
    stage: Stage, another_process: Stores
) -> None:
    rules = ChannelSettings(engagement=Engagement.EVERYONE, new_posts=True)
    await configure(stage, another_process, rules)
    sandbox = stage.sandbox
    await sandbox.say("ada", "random", "not here?")
    posted = await sandbox.say("ada", "general", "how do I log in?")
    await stage.answers("general", posted)
    await sandbox.say("grace", "general", "and I?", posted)
    await stage.answers("general", posted, count=2)
    await configure(stage, another_process, replace(rules, engagement=Engagement.MENTIONS))
    await sandbox.say("grace", "general", "and tomorrow?", posted)
    await stage.delivered()
    asked = await stage.mention("last?", channel="random")
    await stage.answers("random", asked)
    assert len(stage.vendor.requests) == 3
