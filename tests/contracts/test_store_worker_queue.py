"""How workers claim jobs, keep them, and end or release them."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.core.conversation import Question, ThreadKey
from bot.core.job import Job, Pulse, Status
from bot.store import Stores
from bot.store.schema import jobs
from bot.store.schema import workers as workers_table
from bot.store.workers import SILENCE_S
from slack_sandbox.testing.processes import WITHIN_S
from tests.contracts.databases import Process
from tests.contracts.stores import (
    DONE,
    YES,
    apart,
    asked,
    by,
    claimed_within,
    enqueued,
    one,
)

pytestmark = pytest.mark.is_postgresql


async def take_over(store: Stores, job: Job) -> None:
    async with store.database.engine.begin() as connection:
        await connection.execute(
            sa.update(jobs).where(jobs.c.id == job.id).values(worker="other", attempts=job.attempts + 1)
        )


async def was_notified(store: Stores) -> bool:
    """Returns whether there was a notification to hear, and drops it."""
    began = time.monotonic()
    await store.worker_queue.wait(0.5)
    return time.monotonic() - began < 0.4


def written(folder: Path) -> dict[str, tuple[int, int]]:
    """Returns sizes and times of the database's files, except the shared memory."""
    files = [entry for entry in os.scandir(folder) if not entry.name.endswith("-shm")]
    return {entry.name: (entry.stat().st_size, entry.stat().st_mtime_ns) for entry in files}


class TestClaim:
    async def test_two_workers_never_claim_the_same_job_or_thread(self, worker: Process) -> None:
        workers = [await worker("w1"), await worker("w2")]
        threads = [ThreadKey("T1", f"C{n}", None) for n in range(8)]
        for number in range(24):
            await enqueued(workers[0], asked(number, threads[number % 8]))
        done: list[Question] = []

        async def work(store: Stores) -> None:
            while len(done) < 24:
                for job in await store.worker_queue.claim(3):
                    assert await store.worker_queue.finish(job, DONE, YES)
                    done.extend((*job.earlier_questions, job.question))

        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*(work(store) for store in workers))
        assert len(set(done)) == 24
        for thread in threads:
            of_thread = [question.ts for question in done if question.thread == thread]
            assert of_thread == sorted(of_thread)

    async def test_lost_race_claims_nothing(self, on_server: Process) -> None:
        store = await on_server("w1")
        later = await enqueued(store, replace(asked(2), user_id="U2"))
        async with store.database.engine.begin() as other:
            await other.execute(sa.update(jobs).where(jobs.c.id == later).values(status=Status.RUNNING.value))
            await enqueued(store, asked(1))
            claim = asyncio.create_task(store.worker_queue.claim(1))
            blocked = sa.text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            async with asyncio.timeout(WITHIN_S):
                while not await other.scalar(blocked):
                    pass
        assert await claim == []


class TestWait:
    async def test_wait_ends_after_its_timeout(self, store: Stores) -> None:
        await store.worker_queue.wait(0)
        began = time.monotonic()
        await store.worker_queue.wait(0.2)
        assert 0.15 < time.monotonic() - began < 10

    async def test_wait_ignores_own_changes(self, on_server: Process) -> None:
        store = await on_server("w1")
        await store.worker_queue.wait(0)
        await enqueued(store, asked(1))
        assert not await was_notified(store)


class TestPresence:
    async def test_jobs_of_a_closed_process_are_taken_over(self, process: Process) -> None:
        store = await process("w1")
        job_id = await enqueued(store, asked(1))
        await one(store)
        await store.close()
        after = await process("w2")
        # Sooner than by a missing heartbeat alone.
        assert (await claimed_within(after, SILENCE_S - 2)).id == job_id

    async def test_jobs_of_dead_workers_are_claimed_before_queued_ones_up_to_the_limit(self, on_file: Process) -> None:
        store = await on_file("w1")
        ids = [await enqueued(store, apart(number)) for number in range(5)]
        await store.worker_queue.claim(4)
        await store.close()
        after = await on_file("w2")
        claimed = [job.id for job in await after.worker_queue.claim(3)]
        assert claimed == ids[:3]
        async with asyncio.timeout(WITHIN_S):
            while len(claimed) < 5:
                claimed += [job.id for job in await after.worker_queue.claim(3)]
                await after.worker_queue.wait(0.3)
        assert sorted(claimed) == ids

    async def test_ending_worker_removes_its_row_and_those_of_workers_that_died_a_day_ago(
        self, on_file: Process
    ) -> None:
        store = await on_file("w1")
        other = await on_file("w2")
        async with other.database.engine.begin() as connection:
            for name, hours in (("long dead", 25), ("dead", 23)):
                seen_at = time.time() - hours * 3600
                row = {"worker": name, "beat": 1, "has_lock": False, "seen_at": seen_at}
                await connection.execute(sa.insert(workers_table).values(row))
        await store.close()
        async with other.database.engine.begin() as connection:
            left = set(await connection.scalars(sa.select(workers_table.c.worker)))
        assert left == {"w2", "dead"}

    async def test_idle_worker_writes_nothing(self, on_file: Process, sqlite_url: str) -> None:
        store = await on_file("w1")
        await on_file("w2")
        folder = Path(sqlite_url.removeprefix("sqlite:///")).parent
        before = written(folder)
        for _ in range(3):
            assert await store.worker_queue.claim(10) == []
            assert await store.worker_queue.heartbeat({}) == Pulse()
            await store.worker_queue.wait(0.3)
        assert written(folder) == before


class TestPerson:
    @pytest.fixture
    async def stores(self, process: Process) -> Sequence[Stores]:
        return [await process(f"w{n}", max_per_user=2) for n in range(3)]

    async def test_persons_limit_holds_when_several_processes_claim_at_once(self, stores: Sequence[Stores]) -> None:
        for number in range(12):
            await enqueued(stores[0], by(f"U{number % 2}", number))
        claimed: list[Job] = []
        for _ in range(6):
            claims = await asyncio.gather(*(store.worker_queue.claim(9) for store in stores))
            assert sum(len(taken) for taken in claims) <= 4
            async with stores[0].database.engine.begin() as connection:
                live = sa.select(jobs.c.user_id, sa.func.count()).where(jobs.c.status == "running")
                assert all(number <= 2 for _, number in await connection.execute(live.group_by(jobs.c.user_id)))
            for store, taken in zip(stores, claims, strict=True):
                claimed += taken
                await asyncio.gather(*(store.worker_queue.finish(job, DONE, YES) for job in taken))
        assert len(claimed) == 12
