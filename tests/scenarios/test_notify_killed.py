"""A process is killed around a press that notifies people: they get one message."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from bot.core.actions import ReplyAction
from bot.settings import Settings
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import wait_for_line
from tests.forked import forked_bot
from tests.scenarios.answers import press
from tests.scenarios.conftest import Stage, connected, running
from tests.scenarios.process_ends import Step, die_at
from tests.scenarios.test_notify import SCRIPT, notifications
from tests.scenarios.tools import asking, ended, value_of
from tests.streams.server import VendorServer

pytestmark = pytest.mark.usefixtures("with_frequent_looks")

MOMENTS: dict[str, Step] = {
    "between begun and queued": ("bot.services.notify", "NotifyTool", "_notify", False),
    "between queued and done": ("bot.services.notify", "NotifyTool", "_notify", True),
    "before the post": ("bot.slack.surfaces", "Surfaces", "notify", False),
    "between the post and its record": ("bot.slack.surfaces", "Surfaces", "notify", True),
}


@pytest.mark.parametrize("step", MOMENTS.values(), ids=MOMENTS.keys())
@pytest.mark.long(after_row=2)
async def test_press_notifies_once_whenever_the_process_is_killed(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, database_url: str, tmp_path: Path, step: Step
) -> None:
    vendor.script(SCRIPT)
    env = {**connected(sandbox, vendor), "DATABASE_URL": database_url, "BOT_NOTIFY": "on"}
    stage = Stage(sandbox, vendor)
    async with forked_bot(tmp_path, "run", env=env, before=partial(die_at, step)) as process:
        await wait_for_line(process.stdout, "is connected to Slack")
        asked = await stage.mention("ask Grace to take over")
        card = await asking(stage, asked)
        await press(stage, card, ReplyAction.APPROVE, value=value_of(card))
        await process.wait()
    async with running(replace(settings, database_url=database_url, notify=True)):
        await sandbox.wait_for(lambda: notifications(stage, asked), 60)
        await ended(stage, asked)
    assert len(notifications(stage, asked)) == 1
