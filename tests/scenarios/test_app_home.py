"""App Home: published when a person opens it; the setup and the workspace's usage are for admins."""

from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.access import UserKind
from bot.core.caps import parse_caps
from bot.settings import Settings
from slack_sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, running
from tests.scenarios.surfaces import home, home_with, text_of
from tests.streams.server import VendorServer

pytestmark = [
    pytest.mark.skips_waits,
    pytest.mark.bot(
        caps=parse_caps("user/day=200000tokens,workspace/month=500000tokens"),
        admins=frozenset({"U0GRACE"}),
        system_prompt="Be <kind>.",
    ),
]


async def test_member_sees_their_quota_and_nothing_of_the_setup(stage: Stage) -> None:
    asked = await stage.mention(user="alan")
    await stage.answers("general", asked)
    text = await home_with(stage, "alan", "% of your quota of 200,000 tokens per day is used. It resets <!date^")
    assert texts.welcome.STOP_OR_QUIET in text
    for word in ("Be &lt;kind&gt;", "*Model*", "This workspace", "UTC)"):
        assert word not in text


@pytest.mark.bot(caps=())
async def test_usage_is_not_shown_where_no_quota_applies(stage: Stage) -> None:
    await stage.answers("general", await stage.mention(user="alan"))
    assert "token" not in await home_with(stage, "alan", "<#C0GENERAL>")


@pytest.mark.bot(allow_also=frozenset({UserKind.GUEST}))
@pytest.mark.long
async def test_home_lists_the_channels_of_a_person_in_which_they_have_asked(stage: Stage) -> None:
    await stage.answers("random", await stage.mention(channel="random", user="edith"))
    for channel in ("general", "project-x"):
        await stage.answers(channel, await stage.mention(channel=channel, user="alan"))
    await home_with(stage, "alan", f"*{texts.home.WHERE_YOU_ASK}*\n<#C0PROJECTX> · <#C0GENERAL>")
    assert "GENERAL" not in await home_with(stage, "edith", f"*{texts.home.WHERE_YOU_ASK}*\n<#C0RANDOM>")
    assert texts.home.WHERE_YOU_ASK not in await home(stage, "grace")
    stage.sandbox.workspace.leave("project-x", "U0ALAN")
    await home_with(stage, "alan", f"*{texts.home.WHERE_YOU_ASK}*\n<#C0GENERAL>")


@pytest.mark.bot(on_disk=True)
async def test_home_lists_no_channel_that_the_access_rules_close(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    stage = Stage(sandbox, vendor)
    async with running(settings):
        for channel in ("general", "random"):
            await stage.answers(channel, await stage.mention(channel=channel, user="alan"))
        await home_with(stage, "alan", "<#C0RANDOM> · <#C0GENERAL>")
    async with running(replace(settings, allow_channels=frozenset({"C0GENERAL"}))):
        await home_with(stage, "alan", f"*{texts.home.WHERE_YOU_ASK}*\n<#C0GENERAL>")


async def test_home_is_shown_although_slack_does_not_name_a_persons_channels(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.sandbox.granted.remove("groups:read")
    await stage.answers("general", await stage.mention(user="alan"))
    alan = stage.sandbox.client("alan")

    def opened_again() -> bool:
        alan.open_tab("home")
        return "App Home of user U0ALAN lists no channels" in caplog.text

    await stage.sandbox.wait_for(opened_again)
    await stage.sandbox.wait_for(lambda: alan.home)
    assert texts.welcome.STOP_OR_QUIET in text_of(alan)
    assert texts.home.WHERE_YOU_ASK not in text_of(alan)


async def test_admin_sees_usage_by_model_and_the_workspaces_settings(stage: Stage) -> None:
    asked = await stage.mention(user="alan")
    await stage.answers("general", asked)
    text = await home_with(stage, "grace", " test: ")
    assert "This workspace" in text
    assert "The workspace's quota of 500,000 tokens per month: 0% used" in text
    assert "Each person's quota of 200,000 tokens per day" in text
    assert "*Access*: members" in text
    assert "openai" not in text
    assert "*System prompt*: Be &lt;kind&gt;." in text


async def test_admin_sees_which_channels_have_settings_of_their_own(stage: Stage) -> None:
    assert texts.home.NO_CHANNEL_SETTINGS in await home(stage, "grace")
    ada = stage.sandbox.client("ada")
    for channel, fields in (
        ("general", {"new_posts": ["new_posts"], "reaction": "question"}),
        (stage.sandbox.dm("ada"), {}),
    ):
        await ada.command(channel, "/typist mentions")
        assert await ada.submit({"system_prompt": "Rhyme.", **fields}) == {}
    line = (
        "<#C0GENERAL>: I follow instructions of this channel's own. I answer every new post. React with :question: to"
    )
    assert stage.sandbox.dm("ada") not in await home_with(stage, "grace", line)
    assert "Channels with their own settings" not in await home(stage, "alan")


async def test_app_home_is_published_only_when_opened(stage: Stage) -> None:
    await home(stage, "alan")
    stage.sandbox.client("alan").open_tab("messages")
    asked = await stage.mention(user="alan")
    await stage.answers("general", asked)
    assert [call.method for call in stage.sandbox.calls].count("views.publish") == 1


async def test_rejected_app_home_is_logged_and_published_at_the_next_opening(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.sandbox.faults.start("refuse", method="views.publish", error="not_enabled", times=1)
    await home_with(stage, "alan", texts.welcome.STOP_OR_QUIET)
    assert "App Home of user U0ALAN not updated" in caplog.text
