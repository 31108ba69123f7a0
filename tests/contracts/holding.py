"""A process that claims all jobs it can and holds them: `python -m tests.contracts.holding URL NAME`.

Writes "open", then "claimed ID" for each job, and "lost ID" or "stop ID" as its heartbeat reports them.
It ends when its stdin is closed.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from bot.clock import SystemClock
from bot.core.job import Job, Pulse, StepEstimate
from bot.errors import StoreError
from bot.store import Stores
from slack_sandbox.testing.processes import WITHIN_S

REPOSITORY = Path(__file__).parent.parent.parent


def say(what: str) -> None:
    sys.stdout.write(what + "\n")
    sys.stdout.flush()


async def hold(url: str, name: str) -> None:
    """Sends a heartbeat once a second and claims four times as often."""
    store = await Stores.open(url, name, SystemClock())
    say("open")
    held: dict[Job, StepEstimate] = {}
    beat_at = 0.0
    while True:
        with contextlib.suppress(StoreError):
            claimed = await store.worker_queue.claim(100)
            held |= {job: StepEstimate(100 * job.attempts, job.attempts) for job in claimed}
            if claimed or time.monotonic() >= beat_at + 1:
                beat_at = time.monotonic()
                tell(claimed, held, await store.worker_queue.heartbeat(held))
        await store.worker_queue.wait(0.25)


def tell(claimed: list[Job], held: dict[Job, StepEstimate], pulse: Pulse) -> None:
    for job in claimed:
        say(f"claimed {job.id}")
    for job in [job for job in held if job.id not in pulse.owned_ids]:
        del held[job]
        say(f"lost {job.id}")
    for job_id in sorted(pulse.ids_to_stop):
        say(f"stop {job_id}")


async def main(url: str, name: str) -> None:
    holding = asyncio.create_task(hold(url, name))
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait((holding, ended), return_when=asyncio.FIRST_COMPLETED)
    os._exit(0)


@contextlib.asynccontextmanager
async def holder(url: str, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Starts such a process and yields it once it is open. Kills it at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.contracts.holding",
        url,
        name,
        cwd=REPOSITORY,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await wait_for_output(process, "open")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def wait_for_output(process: asyncio.subprocess.Process, what: str, timeout_s: float = WITHIN_S) -> None:
    assert process.stdout is not None
    lines: list[str] = []
    reason = "the process ended"
    try:
        async with asyncio.timeout(timeout_s):
            while line := (await process.stdout.readline()).decode().strip():
                lines.append(line)
                if line == what:
                    return
    except TimeoutError:
        reason = f"waited {timeout_s:g} s"
    raise AssertionError(f"{reason} without the line {what!r}; lines so far: {lines}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
