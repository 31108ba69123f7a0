"""A stream whose start was lost and that Slack doesn't let go: the outbox removes it later, while waits are skipped."""

import asyncio
from dataclasses import replace

from bot import app
from slack_sandbox.server import Sandbox
from tests.fast import FastClock, run_fast
from tests.scenarios.conftest import Stage, footer, says, settings_of, shown
from tests.scenarios.outages import until
from tests.streams.server import VendorServer

START, STOP = "chat.startStream", "chat.stopStream"
TEXT = " ".join(f"word{number}" for number in range(40))


def test_lost_stream_is_removed_although_slack_fails_until_after_the_answers_end() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        async with Sandbox(ack_timeout_s=120.0, monotonic=loop.time) as sandbox, VendorServer() as vendor:
            vendor.script(says(TEXT, 0.05))
            settings = replace(settings_of(sandbox, vendor), carrier="stream")
            shutdown, ready = app.Shutdown(), loop.create_future()
            running = asyncio.create_task(app.run(settings, shutdown, ready.set_result, FastClock()))
            await ready
            stage = Stage(sandbox, vendor)
            sandbox.faults.start("lose_response", method=START, times=1)
            sandbox.faults.start("internal_error", method=STOP)
            asked = await stage.mention()
            await until(lambda: any(footer(message) for message in stage.bots("general", asked)), "the answer's end")
            assert len(stage.bots("general", asked)) == 2, "the lost stream stands there as well"
            sandbox.faults.stop("internal_error")
            await until(lambda: len(stage.bots("general", asked)) == 1, "the removal of the lost stream")
            [message] = stage.bots("general", asked)
            assert shown(message) == TEXT
            assert footer(message)
            shutdown.requested.set()
            await running

    run_fast(run())
