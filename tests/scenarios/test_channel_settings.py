"""Channel settings (model, system prompt, what is answered) apply from the next question on."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core.channel_settings import ChannelSettings
from bot.core.triage import Engagement
from bot.settings import Settings
from bot.store import Stores
from sandbox.server import Sandbox
from sandbox.workspace import TEAM_ID
from tests.scenarios.conftest import Stage, running
from tests.streams.server import VendorServer


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/typist.db"


@pytest.fixture
async def two_models(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, database_url: str
) -> AsyncIterator[Stage]:
    async with running(replace(settings, models=("openai/test", "openai/other"), database_url=database_url)):
        yield Stage(sandbox, vendor)


async def configure(stage: Stage, store: Stores, settings: ChannelSettings) -> None:
    general = stage.sandbox.workspace.channel("general").id
    await store.channel_settings.write(TEAM_ID, general, settings)


async def test_channel_has_its_own_model_and_system_prompt(two_models: Stage, another_process: Stores) -> None:
    await configure(two_models, another_process, ChannelSettings("openai/other", "Answer in rhymes."))
    for channel in ("general", "random"):
        asked = await two_models.mention(channel=channel)
        await two_models.answers(channel, asked)
    own, common = (request.body for request in two_models.vendor.requests)
    assert own["model"] == "other"
    assert own["messages"][0]["content"].startswith("Answer in rhymes.\n\n")
    assert common["model"] == "test"
    assert "Typist" in common["messages"][0]["content"]


async def test_channel_setting_decides_whether_questions_need_a_mention(
    two_models: Stage, another_process: Stores
) -> None:
    asked = await two_models.mention()
    await two_models.answers("general", asked)
    await configure(two_models, another_process, ChannelSettings(engagement=Engagement.MENTIONS))
    await two_models.sandbox.say("ada", "general", "and this?", asked)
    await two_models.sandbox.wait_for(lambda: all(delivery.acked_at_s for delivery in two_models.sandbox.deliveries))
    await configure(two_models, another_process, ChannelSettings(engagement=Engagement.FOLLOW_UPS))
    await two_models.sandbox.say("ada", "general", "and that?", asked)
    await two_models.answers("general", asked, count=2)
    assert len(two_models.vendor.requests) == 2


async def test_new_posts_are_answered_in_their_threads_where_a_channel_chose_that(
    two_models: Stage, another_process: Stores
) -> None:
    rules = ChannelSettings(engagement=Engagement.EVERYONE, new_posts=True)
    await configure(two_models, another_process, rules)
    sandbox = two_models.sandbox
    await sandbox.say("ada", "random", "not here?")
    posted = await sandbox.say("ada", "general", "how do I log in?")
    await two_models.answers("general", posted)
    await sandbox.say("grace", "general", "and I?", posted)
    await two_models.answers("general", posted, count=2)
    await configure(two_models, another_process, replace(rules, engagement=Engagement.MENTIONS))
    await sandbox.say("grace", "general", "and tomorrow?", posted)
    await sandbox.wait_for(lambda: all(delivery.acked_at_s for delivery in sandbox.deliveries))
    asked = await two_models.mention("last?", channel="random")
    await two_models.answers("random", asked)
    assert len(two_models.vendor.requests) == 3
