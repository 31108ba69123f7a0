"""Races between workers, held at a barrier: one connection keeps its transaction open until another waits for it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import SystemClock
from bot.core.conversation import Job
from bot.core.job import Spent
from bot.store import Stores
from bot.store.liveness.failure_detector import Observation
from bot.store.queue import claim
from bot.store.schema import jobs, workers
from tests.contracts.stores import apart, enqueued

WAITS_WITHIN_S = 30.0
"""The server ends a transaction that is idle for five seconds (bot/store/engine.py)."""


async def claimed(store: Stores) -> Job:
    await enqueued(store, apart(1))
    [job] = await store.worker_queue.claim(1)
    return job


async def observed(store: Stores) -> dict[str, Observation]:
    """Returns how another worker's failure detector sees worker w1 now."""
    async with store.database.engine.connect() as connection:
        return {"w1": Observation(await connection.scalar(sa.select(workers.c.beat).where(workers.c.worker == "w1")))}


async def until_one_waits(connection: AsyncConnection) -> None:
    """Waits until a transaction waits for a lock that another one holds."""
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    try:
        async with asyncio.timeout(WAITS_WITHIN_S):
            while not await connection.scalar(waiting):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(f"for {WAITS_WITHIN_S} s the second transaction did not wait for a lock of the first one")


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Stores]:
    opened = await Stores.open(database_url, "w1", SystemClock())
    yield opened
    await opened.close()


@pytest.fixture
async def server_store(postgresql_url: str) -> AsyncIterator[Stores]:
    opened = await Stores.open(postgresql_url, "w1", SystemClock())
    yield opened
    await opened.close()


async def test_worker_that_sends_a_heartbeat_before_the_take_over_keeps_its_jobs(store: Stores) -> None:
    job = await claimed(store)
    dead = await observed(store)
    await store.worker_queue.heartbeat({job: Spent()})
    async with store.database.engine.begin() as connection:
        assert await claim.take_over(connection, "w2", dead, 10, 0.0, None) == []
    assert (await store.worker_queue.heartbeat({job: Spent()})).ours == {job.id}


async def test_worker_without_heartbeat_loses_its_jobs(store: Stores) -> None:
    job = await claimed(store)
    dead = await observed(store)
    async with store.database.engine.begin() as connection:
        [taken] = await claim.take_over(connection, "w2", dead, 10, 0.0, None)
    assert (taken.id, taken.attempts, taken.interruptions) == (job.id, 2, 1)
    assert (await store.worker_queue.heartbeat({job: Spent()})).ours == frozenset()


async def test_take_over_waits_for_a_heartbeat_that_is_being_written(server_store: Stores) -> None:
    job = await claimed(server_store)
    dead = await observed(server_store)
    engine = server_store.database.engine
    async with engine.connect() as beating, engine.connect() as taking, engine.connect() as watching:
        await beating.execute(sa.update(workers).where(workers.c.worker == "w1").values(beat=workers.c.beat + 1))
        take_over = asyncio.create_task(claim.take_over(taking, "w2", dead, 10, 0.0, None))
        await until_one_waits(watching)
        await beating.commit()
        assert await take_over == [], "the heartbeat was written first, so its worker lives"
        await taking.commit()
    assert (await server_store.worker_queue.heartbeat({job: Spent()})).ours == {job.id}


async def test_simultaneous_claims_respect_the_persons_limit(server_store: Stores) -> None:
    for number in (1, 2):
        await enqueued(server_store, apart(number))
    engine = server_store.database.engine
    async with engine.connect() as first, engine.connect() as second, engine.connect() as watching:
        assert len(await claim.claim_ready(first, "w1", 1, 1, 0.0)) == 1
        claiming = asyncio.create_task(claim.claim_ready(second, "w2", 1, 1, 0.0))
        await until_one_waits(watching)
        await first.commit()
        assert await claiming == [], "the second claim sees the answer that the first one starts"
        await second.commit()


async def test_claim_skips_a_locked_job(server_store: Stores) -> None:
    job_id = await enqueued(server_store, apart(1))
    engine = server_store.database.engine
    async with engine.connect() as stopping, engine.connect() as claiming:
        row = await stopping.execute(sa.select(jobs.c.id).where(jobs.c.id == job_id).with_for_update())
        assert row.scalar_one() == job_id
        try:
            async with asyncio.timeout(WAITS_WITHIN_S):
                assert await claim.claim_ready(claiming, "w1", 1, 10, 0.0) == []
        except TimeoutError:
            pytest.fail("a claim waits for a locked job, instead of passing it by")
        await claiming.commit()
        await stopping.commit()
