"""The bot's start and shutdown: what it refuses to start with, and how it stops."""

import pytest

from bot.core import texts
from bot.settings import Settings
from slack_sandbox.server import Sandbox
from tests.clocks import LateClock
from tests.scenarios.conftest import Stage, running, says, shown
from tests.streams.server import VendorServer

pytestmark = pytest.mark.skips_waits


async def test_shutdown_lets_a_live_answer_end(sandbox: Sandbox, vendor: VendorServer, settings: Settings) -> None:
    vendor.script(says("word " * 60, pause_s=0.02))
    stage = Stage(sandbox, vendor)
    async with running(settings):
        asked = await stage.mention()
        await sandbox.wait_for(lambda: stage.bots("general", asked))
    assert await stage.answers("general", asked, timeout_s=1) == [("word " * 60).rstrip()]
    assert sandbox.sockets.connections == []


async def test_answer_after_an_outage_begins_with_when_its_question_was_asked(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    vendor.script(says("Because."))
    stage, clock = Stage(sandbox, vendor), LateClock()
    clock.ahead_s = 3_600.0
    async with running(settings, clock):
        asked = await stage.mention()
        await stage.answers("general", asked)
    [message] = stage.bots("general", asked)
    assert shown(message) == f"{texts.answers.asked_on(asked)}\nBecause."
