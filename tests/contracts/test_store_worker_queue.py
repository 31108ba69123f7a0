"""How workers claim jobs, keep them, and end or release them."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.core.conversation import Question, ThreadKey
from bot.core.job import End, Job, Pulse, Spent, Status
from bot.errors import EndReason
from bot.store import Stores
from bot.store.schema import jobs
from bot.store.schema import workers as workers_table
from bot.store.workers import SILENCE_S
from tests.charged_turns import CHARGED_TURNS
from tests.clocks import WITHIN_S
from tests.contracts.stores import (
    DIRECT,
    DONE,
    OTHER_THREAD,
    THREAD,
    YES,
    Workers,
    apart,
    asked,
    by,
    claimed_within,
    enqueued,
    one,
    texts_of,
    unclaimed,
)
from tests.core.conversations import recorded_pages


async def take_over(store: Stores, job: Job) -> None:
    """Lets another worker take over the job, as after a missing heartbeat."""
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
    async def test_claim_without_jobs_returns_nothing(self, store: Stores) -> None:
        assert await store.worker_queue.claim(10) == []

    async def test_queued_questions_of_a_thread_are_claimed_as_a_batch_below_the_newest(self, store: Stores) -> None:
        for number in (2, 1, 3):
            await enqueued(store, asked(number))
        [job] = await store.worker_queue.claim(10)
        assert (job.question, job.earlier) == (asked(3), (asked(1), asked(2)))
        assert await store.worker_queue.claim(10) == []

    @pytest.mark.parametrize(
        ("askers", "batches"),
        [
            (["U1", "U2"], [[0], [1]]),
            (["U1", "U1", "U2", "U2", "U1"], [[0, 1], [2, 3], [4]]),
            (["U2", "U1", "U2"], [[0], [1], [2]]),
        ],
    )
    async def test_batch_has_one_asker(self, store: Stores, askers: list[str], batches: list[list[int]]) -> None:
        for number, user_id in enumerate(askers):
            await enqueued(store, replace(asked(number), user_id=user_id))
        claimed = []
        for _ in batches:
            job = await one(store)
            claimed.append([*job.earlier, job.question])
            await store.worker_queue.finish(job, DONE, YES)
        assert claimed == [[replace(asked(number), user_id=askers[number]) for number in batch] for batch in batches]

    async def test_thread_has_one_running_job_at_a_time(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        [first] = await store.worker_queue.claim(10)
        for number in (3, 2):
            await enqueued(store, asked(number))
        assert await store.worker_queue.claim(10) == []
        assert await store.worker_queue.finish(first, DONE, YES)
        [job] = await store.worker_queue.claim(10)
        assert (job.question, job.earlier) == (asked(3), (asked(2),))

    async def test_questions_behind_a_running_one_stay_while_others_are_answered_together(self, store: Stores) -> None:
        await enqueued(store, asked(0))
        running = await one(store)
        await enqueued(store, asked(1))
        for number in (2, 3):
            await enqueued(store, asked(number, OTHER_THREAD))
        batch = await one(store)
        assert (batch.question.ts, [question.ts for question in batch.earlier]) == (asked(3).ts, [asked(2).ts])
        await store.worker_queue.finish(running, DONE, YES)
        assert (await one(store)).question.ts == asked(1).ts

    async def test_released_job_is_claimed_first_and_alone(self, store: Stores) -> None:
        await enqueued(store, asked(2))
        await store.worker_queue.release((await store.worker_queue.claim(1))[0])
        for number in (3, 1):
            await enqueued(store, asked(number))
        [job] = await store.worker_queue.claim(10)
        assert (job.question, job.earlier) == (asked(2), ())

    async def test_root_of_a_direct_message_is_one_thread(self, store: Stores) -> None:
        await enqueued(store, asked(1, DIRECT))
        await enqueued(store, asked(2, DIRECT))
        [job] = await store.worker_queue.claim(10)
        assert (job.question, job.earlier) == (asked(2, DIRECT), (asked(1, DIRECT),))
        assert await store.worker_queue.claim(10) == []

    async def test_jobs_of_many_threads_are_claimed_together_oldest_first(self, store: Stores) -> None:
        ids = [await enqueued(store, asked(n, ThreadKey("T1", f"C{n}", None))) for n in range(30)]
        assert [job.id for job in await store.worker_queue.claim(100)] == ids

    async def test_limited_claim_takes_the_oldest_jobs(self, store: Stores) -> None:
        ids = [await enqueued(store, asked(n, ThreadKey("T1", f"C{n}", None))) for n in range(5)]
        assert [job.id for job in await store.worker_queue.claim(2)] == ids[:2]
        assert await store.worker_queue.claim(0) == []
        assert [job.id for job in await store.worker_queue.claim(2)] == ids[2:4]

    async def test_two_workers_never_claim_the_same_job_or_thread(self, worker: Workers) -> None:
        workers = [await worker("w1"), await worker("w2")]
        threads = [ThreadKey("T1", f"C{n}", None) for n in range(8)]
        for number in range(24):
            await enqueued(workers[0], asked(number, threads[number % 8]))
        done: list[Question] = []

        async def work(store: Stores) -> None:
            while len(done) < 24:
                for job in await store.worker_queue.claim(3):
                    assert await store.worker_queue.finish(job, DONE, YES)
                    done.extend((*job.earlier, job.question))

        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*(work(store) for store in workers))
        assert len(set(done)) == 24
        for thread in threads:
            of_thread = [question.ts for question in done if question.thread == thread]
            assert of_thread == sorted(of_thread)

    async def test_lost_race_claims_nothing(self, postgresql_url: str) -> None:
        store = await Stores.open(postgresql_url, "w1", SystemClock())
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
        await store.close()


class TestFence:
    async def test_heartbeat_returns_the_jobs_that_are_still_ours(self, worker: Workers) -> None:
        store, other = await worker("w1"), await worker("w2")
        for number in range(4):
            await enqueued(store, asked(number, ThreadKey("T1", f"C{number}", None)))
        ours, lost, done = await store.worker_queue.claim(3)
        [theirs] = await other.worker_queue.claim(3)
        await take_over(store, lost)
        await store.worker_queue.finish(done, DONE, YES)
        claimed = dict.fromkeys([ours, lost, done, theirs], Spent())
        assert await store.worker_queue.heartbeat(claimed) == Pulse(frozenset({ours.id}))
        assert await store.worker_queue.heartbeat({}) == Pulse()

    async def test_late_worker_writes_nothing(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        [job] = await store.worker_queue.claim(1)
        await store.worker_queue.record_messages(job, recorded_pages("5.1"))
        await take_over(store, job)
        await store.worker_queue.record_messages(job, recorded_pages("5.1", "5.2"))
        assert await store.worker_queue.finish(job, DONE, YES) is False
        assert texts_of(await store.recorded_answers.replies(THREAD)) == {"5.1": ""}
        await enqueued(store, asked(2))
        assert await store.worker_queue.claim(1) == [], "the thread is still busy"

    async def test_job_ends_once(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        [job] = await store.worker_queue.claim(1)
        await store.worker_queue.record_messages(job, recorded_pages("5.1"))
        assert await store.worker_queue.finish(job, DONE, YES) is True
        assert await store.worker_queue.finish(job, End(EndReason.CUT), "No.") is False
        assert texts_of(await store.recorded_answers.replies(THREAD)) == {"5.1": YES}

    @pytest.mark.parametrize("reason", [EndReason.WHOLE, EndReason.CUT, EndReason.STOPPED])
    async def test_thread_continues_however_its_job_ends(self, store: Stores, reason: EndReason) -> None:
        await enqueued(store, asked(1))
        [job] = await store.worker_queue.claim(1)
        second = await enqueued(store, asked(2))
        assert await store.worker_queue.finish(job, End(reason), "")
        assert [job.id for job in await store.worker_queue.claim(1)] == [second]


class TestRelease:
    async def test_released_job_is_claimed_in_its_place_by_any_worker(self, worker: Workers) -> None:
        store, other = await worker("w1"), await worker("w2")
        await enqueued(store, asked(1))
        job = await one(store)
        await enqueued(store, asked(2))
        await store.worker_queue.record_messages(job, recorded_pages("5.1"))
        assert await store.worker_queue.release(job) is True
        again = Job(job.id, asked(1), attempts=2, messages=recorded_pages("5.1"), interruptions=0)
        assert await one(other) == again

    async def test_worker_that_released_a_job_can_no_longer_change_it(self, worker: Workers) -> None:
        store, other = await worker("w1"), await worker("w2")
        await enqueued(store, asked(1))
        job = await one(store)
        await store.worker_queue.release(job)
        assert await store.worker_queue.release(job) is False
        assert await store.worker_queue.finish(job, DONE, YES) is False
        again = await one(other)
        assert await store.worker_queue.heartbeat({job: Spent()}) == Pulse()
        assert await other.worker_queue.finish(again, DONE, YES) is True

    async def test_interruption_by_the_model_counts_like_the_death_of_a_worker(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        for interruptions in (0, 1, 2):
            job = await one(store)
            assert job.interruptions == interruptions
            assert await store.worker_queue.release(job, is_interrupted=True)
            assert not await store.worker_queue.release(job, is_interrupted=True), "a late one counts nothing"

    async def test_usage_of_the_attempt_is_recorded(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        job = await one(store)
        await store.worker_queue.record_messages(job, recorded_pages("5.1"))
        await store.worker_queue.release(job, spent=Spent(900, 30))
        assert texts_of(await store.recorded_answers.replies(THREAD)) == {"5.1": ""}
        await store.worker_queue.finish(await one(store), DONE, YES)
        async with store.database.engine.begin() as connection:
            rows = (await connection.execute(CHARGED_TURNS)).all()
        used = [(row.end_reason, row.input_tokens, row.output_tokens) for row in rows]
        assert used == [("interrupted", 900, 30), ("whole", 10, 20)]
        assert texts_of(await store.recorded_answers.replies(THREAD)) == {"5.1": YES}


class TestWait:
    async def test_wait_ends_after_its_timeout(self, store: Stores) -> None:
        await store.worker_queue.wait(0)
        began = time.monotonic()
        await store.worker_queue.wait(0.2)
        assert 0.15 < time.monotonic() - began < 10

    @pytest.mark.parametrize(
        "what", ["enqueue", "sign", "stop", "edit", "delete", "regenerate", "release", "finish", "forget"]
    )
    async def test_wait_ends_when_another_process_changes_a_job(self, postgresql_url: str, what: str) -> None:
        store = await Stores.open(postgresql_url, "w1", SystemClock())
        other = await Stores.open(postgresql_url, "w2", SystemClock())
        ended = await enqueued(other, apart(0))
        assert await other.worker_queue.finish(await one(other), DONE, YES)
        job_id = await enqueued(other, asked(1))
        job = await one(other)
        waiting = await other.question_queue.enqueue("Ev2", asked(2))
        assert waiting
        changes: dict[str, Callable[[], Awaitable[object]]] = {
            "enqueue": lambda: other.question_queue.enqueue("Ev3", asked(3, OTHER_THREAD)),
            "sign": lambda: other.worker_queue.record_placeholder(unclaimed(waiting), recorded_pages("5.2")),
            "stop": lambda: other.question_queue.request_stop(job_id),
            "edit": lambda: other.question_queue.edit(replace(asked(1), text="Why not?"), "1700000009.0"),
            "delete": lambda: other.question_queue.delete(THREAD.team_id, THREAD.channel_id, asked(1).ts),
            "regenerate": lambda: other.question_queue.regenerate(ended),
            "release": lambda: other.worker_queue.release(job),
            "finish": lambda: other.worker_queue.finish(job, DONE, YES),
            "forget": lambda: other.erasure.erase(user_id="U1"),
        }
        while await was_notified(store):
            pass
        woken = asyncio.create_task(store.worker_queue.wait(2 * WITHIN_S))
        await changes[what]()
        async with asyncio.timeout(WITHIN_S):
            await woken
        await store.close()
        await other.close()

    async def test_wait_ignores_own_changes(self, postgresql_url: str) -> None:
        store = await Stores.open(postgresql_url, "w1", SystemClock())
        await store.worker_queue.wait(0)
        await enqueued(store, asked(1))
        assert not await was_notified(store)
        await store.close()


class TestPresence:
    async def test_jobs_of_a_closed_process_are_taken_over(self, shared_url: str) -> None:
        store = await Stores.open(shared_url, "w1", SystemClock())
        job_id = await enqueued(store, asked(1))
        await one(store)
        await store.close()
        after = await Stores.open(shared_url, "w2", SystemClock())
        # Sooner than by a missing heartbeat alone.
        assert (await claimed_within(after, SILENCE_S - 2)).id == job_id
        await after.close()

    async def test_jobs_of_dead_workers_are_claimed_before_queued_ones_up_to_the_limit(self, sqlite_url: str) -> None:
        store = await Stores.open(sqlite_url, "w1", SystemClock())
        ids = [await enqueued(store, apart(number)) for number in range(5)]
        await store.worker_queue.claim(4)
        await store.close()
        after = await Stores.open(sqlite_url, "w2", SystemClock())
        claimed = [job.id for job in await after.worker_queue.claim(3)]
        assert claimed == ids[:3]
        async with asyncio.timeout(WITHIN_S):
            while len(claimed) < 5:
                claimed += [job.id for job in await after.worker_queue.claim(3)]
                await after.worker_queue.wait(0.3)
        assert sorted(claimed) == ids
        await after.close()

    async def test_ending_worker_removes_its_row_and_those_of_workers_that_died_a_day_ago(
        self, sqlite_url: str
    ) -> None:
        store = await Stores.open(sqlite_url, "w1", SystemClock())
        other = await Stores.open(sqlite_url, "w2", SystemClock())
        async with other.database.engine.begin() as connection:
            for name, hours in (("long dead", 25), ("dead", 23)):
                seen_at = time.time() - hours * 3600
                row = {"worker": name, "beat": 1, "has_lock": False, "seen_at": seen_at}
                await connection.execute(sa.insert(workers_table).values(row))
        await store.close()
        async with other.database.engine.begin() as connection:
            left = set(await connection.scalars(sa.select(workers_table.c.worker)))
        assert left == {"w2", "dead"}
        await other.close()

    async def test_idle_worker_writes_nothing(self, sqlite_url: str) -> None:
        store = await Stores.open(sqlite_url, "w1", SystemClock())
        other = await Stores.open(sqlite_url, "w2", SystemClock())
        folder = Path(sqlite_url.removeprefix("sqlite:///")).parent
        before = written(folder)
        for _ in range(3):
            assert await store.worker_queue.claim(10) == []
            assert await store.worker_queue.heartbeat({}) == Pulse()
            await store.database.ping()
            await store.worker_queue.wait(0.3)
        assert written(folder) == before
        await store.close()
        await other.close()


class TestPerson:
    @pytest.fixture
    async def stores(self, shared_url: str) -> Sequence[Stores]:
        return [await Stores.open(shared_url, f"w{n}", SystemClock(), max_per_user=2) for n in range(3)]

    async def test_persons_limit_holds_and_delays_nobody_else(self, stores: Sequence[Stores]) -> None:
        for number in range(8):
            await enqueued(stores[0], by("U1", number))
        for number in range(8, 10):
            await enqueued(stores[0], by("U2", number))
        first = await stores[0].worker_queue.claim(3)
        rest = await stores[1].worker_queue.claim(9)
        assert sorted(job.question.user_id for job in first + rest) == ["U1", "U1", "U2", "U2"]
        assert [job.question.ts for job in first[:2]] == [apart(0).ts, apart(1).ts]
        assert await stores[2].worker_queue.claim(9) == []
        await stores[0].worker_queue.finish(first[0], DONE, YES)
        assert [job.question.ts for job in await stores[2].worker_queue.claim(9)] == [apart(2).ts]
        for store in stores:
            await store.close()

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
        for store in stores:
            await store.close()

    async def test_question_beyond_the_persons_limit_is_queued(self, stores: Sequence[Stores]) -> None:
        taken = [await stores[0].question_queue.enqueue(f"Ev{n}", by("U1", n)) for n in range(3)]
        other = await stores[1].question_queue.enqueue("Ev3", by("U2", 3))
        assert [bool(result and result.needs_placeholder) for result in (*taken, other)] == [False, False, True, False]
        at_once = await asyncio.gather(
            *(stores[2].question_queue.enqueue(f"Ev3{n}", by("U3", 30 + n)) for n in range(4))
        )
        assert [bool(result and result.needs_placeholder) for result in at_once] == [False, False, True, True]
        for store in stores:
            await store.close()
