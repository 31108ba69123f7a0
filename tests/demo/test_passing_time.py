"""Time passes in the sandbox: the next run of each schedule is posted or stays silent, and a sentence says which."""

import pytest

from bot.core.schedules import Proposal, Rule
from demo.passing_time import NOTHING_SCHEDULED, SILENT, STARTING, UNDER_WAY, PassingTime
from slack_sandbox.server import Sandbox
from tests.clocks import until_read
from tests.scenarios.conftest import manifest, running, says, settings_of
from tests.streams.server import VendorServer


async def said_at_last(passes: PassingTime) -> str:
    """Returns what it says once no earlier run is under way."""

    async def said() -> str:
        return "" if UNDER_WAY in (now := await passes()) else now

    return await until_read(said, "the end of the earlier run")


@pytest.mark.asyncio
async def test_what_has_happened_is_said_of_each_schedule() -> None:
    passes = PassingTime()
    assert await passes() == STARTING
    async with VendorServer() as vendor, Sandbox(manifest=manifest()) as sandbox:
        vendor.script(says("A summary."))
        async with running(settings_of(sandbox, vendor)) as bot:
            passes.bot, passes.sandbox = bot, sandbox
            assert await passes() == NOTHING_SCHEDULED
            schedules, team = bot.outbox.stores.schedules, bot.me.team_id
            news = Proposal("Sum up the day.", Rule("UTC", "0 9 * * *"), only_if_changed=True)
            await schedules.create(team, "C0GENERAL", "U0ADA", news)
            assert await passes() == SILENT
            await sandbox.say("grace", "general", "The ferry is late.")
            assert await said_at_last(passes) == "Its run is in #general."
            [run] = [message for message in sandbox.messages("general") if message.user_id == bot.me.user_id]
            await sandbox.wait_for(lambda: "A summary." in str(sandbox.messages("general", run.ts)[-1].blocks))
            await schedules.create(team, sandbox.dm("ada"), "U0ADA", Proposal("Greet me.", Rule("UTC", "0 9 * * *")))
            assert await said_at_last(passes) == f"Number 1: {SILENT} Number 2: Its run is in the direct message."
