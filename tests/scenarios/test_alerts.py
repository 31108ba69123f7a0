"""Alerts that apps post in a channel whose settings list the apps."""

import pytest

from bot.core.channel_settings import ChannelSettings
from bot.store import Stores
from slack_sandbox.wire import app_id_of
from slack_sandbox.workspace import TEAM_ID
from tests.scenarios.conftest import Stage, says
from tests.scenarios.tools import GENERAL

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True, alert_runs=20)]


async def test_alert_is_looked_into_in_its_thread_once_for_a_burst(stage: Stage, another_process: Stores) -> None:
    stage.vendor.script(says("The disk of web-1 is full."))
    unlisted = await stage.sandbox.say_as_bot("deploys", "general", "FIRING: disk full on web-1")
    await stage.delivered()
    app_id = app_id_of(stage.sandbox.workspace, stage.sandbox.workspace.user("deploys"))
    await another_process.channel_settings.write(TEAM_ID, GENERAL, ChannelSettings(alert_apps=app_id))
    alert = await stage.sandbox.say_as_bot("deploys", "general", "FIRING: disk full on web-2")
    [answer] = await stage.answers("general", alert)
    assert answer.startswith("The disk of web-1 is full.")
    assert "An app posted this alert" in str(stage.vendor.requests[0].body["messages"])
    later = await stage.sandbox.say_as_bot("deploys", "general", "FIRING: disk full on web-3")
    in_thread = await stage.sandbox.say_as_bot("deploys", "general", "Thanks!", alert)
    stage.vendor.script(says("Because."))
    assert await stage.answers("general", await stage.mention()) == ["Because."]
    assert [stage.bots("general", ts) for ts in (unlisted, later)] == [[], []]
    assert len(stage.bots("general", alert)) == 1, f"{in_thread} might answer us, so it gets no answer"
