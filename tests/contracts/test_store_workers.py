"""Worker processes that die, freeze or are cut off, as another process sees them: with real processes and signals."""

import os
import signal

import pytest
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.core.job import POSTING, Job
from bot.store import Stores
from bot.store.workers import SILENCE_S
from tests.charged_turns import CHARGED_TURNS
from tests.contracts.holding import holder, wait_for_output
from tests.contracts.pooler import pooler
from tests.contracts.stores import DONE, YES, apart, claimed_within, enqueued

pytestmark = pytest.mark.long


async def test_jobs_of_a_killed_process_are_taken_over(shared_url: str) -> None:
    store = await Stores.open(shared_url, "w1", SystemClock())
    async with holder(shared_url, "w2") as process:
        job_id = await enqueued(store, apart(1))
        await wait_for_output(process, f"claimed {job_id}")
        assert await store.worker_queue.claim(1) == []
        os.kill(process.pid, signal.SIGKILL)
        job = await claimed_within(store, SILENCE_S - 2)
    assert job == Job(job_id, apart(1), attempts=2, messages=(POSTING,), interruptions=1)
    async with store.database.engine.begin() as connection:
        [turn] = (await connection.execute(CHARGED_TURNS)).all()
    assert (turn.answer, turn.end_reason, turn.input_tokens, turn.output_tokens) == ("", "interrupted", 100, 1)
    await store.close()


async def test_paused_process_loses_its_jobs_and_learns_it_when_resumed(postgresql_url: str) -> None:
    store = await Stores.open(postgresql_url, "w1", SystemClock())
    async with holder(postgresql_url, "w2") as process:
        job_id = await enqueued(store, apart(1))
        await wait_for_output(process, f"claimed {job_id}")
        os.kill(process.pid, signal.SIGSTOP)
        job = await claimed_within(store, SILENCE_S + 40)
        assert job.interruptions == 1
        os.kill(process.pid, signal.SIGCONT)
        await wait_for_output(process, f"lost {job_id}")
    await store.close()


async def test_pooler_in_transaction_mode_works_with_take_over_after_the_lease(postgresql_url: str) -> None:
    async with pooler(postgresql_url) as pooled_url:
        store = await Stores.open(pooled_url, "w1", SystemClock())
        async with holder(pooled_url, "w2") as process:
            job_id = await enqueued(store, apart(1))
            await wait_for_output(process, f"claimed {job_id}")
            assert await store.question_queue.request_stop(job_id)
            await wait_for_output(process, f"stop {job_id}")
            assert (await store.rate_ledger.reserve("chat.update", 1)).granted
            assert await session_locks(store) == 0, "the pooler would keep it"
            os.kill(process.pid, signal.SIGKILL)
            job = await claimed_within(store, SILENCE_S + 40)
        assert job.interruptions == 1
        assert await store.worker_queue.finish(job, DONE, YES)
        await store.close()


async def session_locks(store: Stores) -> int:
    async with store.database.engine.begin() as connection:
        return await connection.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")) or 0
