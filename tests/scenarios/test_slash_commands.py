"""/typist and the modal for channel settings: validated in place, effective from the next question on."""

import asyncio
from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.channel_settings import ChannelSettings
from bot.core.texts.access import Denial
from bot.core.triage import Engagement
from bot.settings import Settings
from bot.slack.manifest import app_manifest
from bot.slack.views.question import ASK_ABOUT
from bot.store import Stores
from slack_sandbox.client import Client
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S
from slack_sandbox.workspace import TEAM_ID
from tests.scenarios.conftest import Stage, running, shown
from tests.scenarios.surfaces import last_notice
from tests.streams.server import VendorServer

pytestmark = [
    pytest.mark.skips_waits,
    pytest.mark.bot(on_disk=True, models=("openai/test", "openai/other"), admins=frozenset({"U0GRACE"})),
]

GENERAL = "C0GENERAL"
"""The channel that Ada created."""
ALL = {"model": "openai/other", "system_prompt": "Answer in rhymes.", "engagement": "mentions"}


async def response_to(stage: Stage, user: str, typed: str) -> str:
    await stage.sandbox.client(user).command("general", typed)
    return last_notice(stage)


async def opened(stage: Stage, user: str, typed: str, channel: str = "general") -> Client:
    client = stage.sandbox.client(user)
    await client.command(channel, typed)
    assert client.modal is not None
    return client


async def test_help_lists_commands_and_settings_in_force(stage: Stage) -> None:
    for typed in ("/typist", "/typist help"):
        response = await response_to(stage, "alan", typed)
        assert "`/typist settings` opens this channel's settings" in response
        assert "/typist usage" in response
        assert "Settings here: I ask test first. I follow my default instructions. The person I'm talking" in response
    unknown = await response_to(stage, "alan", "/typist <!here>")
    assert unknown.startswith(
        "I don't know `/typist &lt;!here&gt;`. These are the commands I know:\n• `/typist schedules` lists"
    )


@pytest.mark.slack(manifest=app_manifest(name="Acme Answers", command="/ask-acme"))
async def test_command_has_the_name_that_the_manifest_gives_it(stage: Stage) -> None:
    assert "`/ask-acme usage` shows your usage" in await response_to(stage, "alan", "/ask-acme")
    assert "I don't know `/ask-acme tea`" in await response_to(stage, "alan", "/ask-acme tea")
    assert (await opened(stage, "ada", "/ask-acme model")).modal
    assert await stage.answers("general", await stage.mention()) == ["The whole answer."]


@pytest.mark.parametrize("subcommand", ["settings", "model", "prompt", "mentions"])
async def test_channel_creator_sets_everything_in_one_modal(
    stage: Stage, another_process: Stores, subcommand: str
) -> None:
    ada = await opened(stage, "ada", f"/typist {subcommand}")
    assert await ada.submit(ALL) == {}
    assert ada.modal is None
    assert await another_process.channel_settings.read(TEAM_ID, GENERAL) == ChannelSettings(
        "openai/other", "Answer in rhymes.", Engagement.MENTIONS
    )
    response = last_notice(stage)
    assert texts.commands.SETTINGS_SAVED in response
    assert "I ask other first. I follow this channel's own instructions. Every question needs a mention." in response
    assert "My instructions begin with: “Answer in rhymes.”" in response
    asked = await stage.mention()
    await stage.answers("general", asked)
    request = stage.vendor.requests[-1].body
    assert request["model"] == "other"
    assert request["messages"][0]["content"].startswith("Answer in rhymes.\n\n")


async def announced(stage: Stage, count: int = 1) -> str:
    """Waits until the channel was told so often of changes, and returns the last message."""
    await stage.sandbox.wait_for(lambda: len(stage.bots("general")) == count)
    told = stage.bots("general")
    assert shown(told[-1]) == ""
    return told[-1].text


async def test_channel_reads_in_one_line_who_changed_what(stage: Stage) -> None:
    ada = await opened(stage, "ada", "/typist mentions")
    assert await ada.submit({"new_posts": ["new_posts"], "reaction": "question", "effort": "normal"}) == {}
    assert await announced(stage) == (
        "Ada changed my settings here: I answer every new post. React with :question: to ask me about a message."
    )
    assert "Ada changed my settings here" in str(stage.bots("general")[0].sent_blocks)
    ada = await opened(stage, "ada", "/typist mentions")
    assert await ada.submit({"system_prompt": "Be secretive.", "new_posts": []}) == {}
    assert await announced(stage, 2) == (
        "Ada changed my settings here: I follow this channel's own instructions. New posts need a mention."
    )
    ada = await opened(stage, "ada", "/typist mentions")
    assert await ada.submit({}) == {}
    await stage.answers("random", await stage.mention(channel="random"))
    assert len(stage.bots("general")) == 2, "nothing has changed"


async def test_settings_are_saved_although_the_channel_cannot_be_told(stage: Stage, another_process: Stores) -> None:
    stage.sandbox.workspace.leave("general", stage.sandbox.bot_user_id)
    grace = await opened(stage, "grace", "/typist model")
    assert await grace.submit({"model": "openai/other"}) == {}
    assert texts.commands.SETTINGS_SAVED in last_notice(stage)
    assert (await another_process.channel_settings.read(TEAM_ID, GENERAL)).model == "openai/other"


async def test_settings_of_another_process_are_in_the_modal_and_in_force(stage: Stage, another_process: Stores) -> None:
    await another_process.channel_settings.write(TEAM_ID, GENERAL, ChannelSettings("openai/other", "Be brief."))
    assert "My instructions begin with: “Be brief.”" in await response_to(stage, "alan", "/typist help")
    ada = await opened(stage, "ada", "/typist prompt")
    assert await ada.submit({"engagement": "everyone"}) == {}
    stored = await another_process.channel_settings.read(TEAM_ID, GENERAL)
    assert stored == ChannelSettings("openai/other", "Be brief.", Engagement.EVERYONE)


async def test_open_modals_of_a_person_who_lost_access_change_and_ask_nothing(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, another_process: Stores
) -> None:
    stage, dm, asking = Stage(sandbox, vendor), sandbox.dm("alan"), sandbox.client("grace")
    ts = await sandbox.say("alan", "general", "hello")
    async with running(settings):
        in_channel = await opened(stage, "ada", "/typist prompt")
        in_dm = await opened(stage, "alan", "/typist prompt", dm)
        assert await asking.use_message_shortcut("general", ts, ASK_ABOUT)
    async with running(replace(settings, allow_users=frozenset({"U0EDITH"}))):
        # A modal shows no mentions.
        denied = texts.access.with_admins(Denial.PERSON, ["Grace"])
        for modal in (in_channel, in_dm):
            assert await modal.submit({"system_prompt": "Be rude."}) == {"model": denied}
        assert await asking.submit({"question": "why?"}) == {"question": denied}
        assert stage.bots("general", ts) == []
    for channel_id in (GENERAL, dm):
        assert await another_process.channel_settings.read(TEAM_ID, channel_id) == ChannelSettings()


async def test_person_sets_up_their_own_direct_message(stage: Stage, another_process: Stores) -> None:
    dm = stage.sandbox.dm("alan")
    alan = await opened(stage, "alan", "/typist prompt", dm)
    assert await alan.submit({"system_prompt": "Answer in Latin."}) == {}
    assert "mention" not in last_notice(stage)
    await stage.sandbox.say("alan", dm, "why?")
    assert await stage.answers(dm, None) == ["The whole answer."], "nobody but the person is to be told of the change"
    assert stage.vendor.requests[-1].body["messages"][0]["content"].startswith("Answer in Latin.\n\n")


async def test_usage_is_shown_with_its_quotas(stage: Stage) -> None:
    asked = await stage.mention()
    await stage.answers("general", asked)
    async with asyncio.timeout(WITHIN_S):
        # Usage is recorded a moment after the answer is shown.
        while "*Today (UTC)*: 0 tokens" in (response := await response_to(stage, "ada", "/typist usage")):
            continue
    assert "*Today (UTC)*: " in response
    assert texts.quotas.NO_QUOTAS in response


async def test_failure_to_open_the_modal_is_reported(stage: Stage) -> None:
    stage.sandbox.faults.start("rate_limit", method="views.open", times=1)
    response = await response_to(stage, "ada", "/typist model")
    assert "Please try again in a minute." in response
    assert (await opened(stage, "ada", "/typist model")).modal


async def test_modal_is_saved_long_after_its_command(stage: Stage) -> None:
    ada = await opened(stage, "ada", "/typist model")
    stage.sandbox.faults.start("error_500", method="conversations.info", times=1)
    errors = await ada.submit(ALL)
    assert "Please try again in a minute." in errors["model"]
    assert await ada.submit(ALL) == {}
