"""App Home: published when a person opens it; the setup and the workspace's usage are for admins."""

from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.caps import parse_caps
from bot.settings import Settings
from slack_sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, running
from tests.scenarios.surfaces import home, home_with
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
