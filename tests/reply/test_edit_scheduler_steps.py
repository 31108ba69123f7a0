"""How many steps the edit scheduler takes, counted in simulated time."""

import asyncio

from slack_markdown.tests.costs import calls
from slack_pacing.tests.simulated_time import run_simulated
from tests.reply.schedules import scheduling


async def wait_for_edits(replies: int) -> None:
    """Has so many replies wait, because every edit is held back for a final."""
    async with scheduling() as schedule:
        for job_id in range(replies):
            reply = await schedule.open(job_id, [f"{job_id}.0"])
            reply.show_activity("Searching the web…")
        await asyncio.sleep(5)
        assert not schedule.calls()


def steps_of(replies: int) -> int:
    return calls(lambda: run_simulated(wait_for_edits(replies)))


def test_twice_as_many_waiting_replies_take_twice_the_steps() -> None:
    assert steps_of(100) < 2.2 * steps_of(50)
