"""A process is killed during a silent run: the next one ends the run, which stays silent and is recorded once."""

from functools import partial
from pathlib import Path

import pytest

from bot.settings import Settings
from bot.store import Stores
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import wait_for_line
from tests.forked import forked_bot
from tests.scenarios.conftest import Stage, connected, running
from tests.scenarios.process_ends import Step, die_at
from tests.scenarios.test_read_channel import reads
from tests.scenarios.test_schedule_runs import created, posts, run
from tests.scenarios.test_silence import REASON, RULED, SILENT, over
from tests.scenarios.test_tools_killed import killed
from tests.scenarios.tools import by_results
from tests.streams.server import VendorServer

pytestmark = [pytest.mark.usefixtures("with_frequent_looks"), pytest.mark.bot(on_disk=True)]

MOMENTS: dict[str, Step] = {
    "before its work": ("bot.store.calls", "RecordedCalls", "record_step", False),
    "between its work and its end": ("bot.store.worker_queue", "WorkerQueue", "finish", False),
    "after its end": ("bot.store.worker_queue", "WorkerQueue", "finish", True),
}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_process_leaves_a_silent_run_silent_and_recorded_once(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, tmp_path: Path, another_process: Stores, moment: str
) -> None:
    vendor.script(by_results(reads(), SILENT))
    schedule = await created(another_process, RULED)
    env = {**connected(sandbox, vendor), "DATABASE_URL": settings.database_url}
    async with forked_bot(tmp_path, "run", env=env, before=partial(die_at, MOMENTS[moment])) as process:
        await wait_for_line(process.stdout, "is connected to Slack")
        await run(another_process, schedule)
        await killed(process, None)
    stage = Stage(sandbox, vendor)
    async with running(settings):
        await over(another_process, schedule.id, 1)
        await stage.settled()
    assert posts(stage) == []
    assert [reason for _, reason in await another_process.schedules.silent_runs(schedule.id, 10)] == [REASON]
