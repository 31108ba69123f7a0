"""Several workers on one database: signs, stops, handing over, waking each other, and arriving all at once."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.core.conversation import Job, Question
from bot.core.job import Enqueued, Pulse, Spent
from bot.ports.clock import SystemClock
from bot.store import Stores
from bot.store.liveness.failure_detector import LEASE_S
from bot.store.queue.claim import PLACEHOLDER_HOLD_S
from bot.store.schema import jobs, turns
from tests.contracts.stores import DONE, OTHER_THREAD, THREAD, Workers, apart, asked, claimed_within, enqueued

pytest_plugins = ["tests.contracts.databases"]


class LateClock(SystemClock):
    """A clock that can be put forward."""

    ahead_s = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_s


async def one(store: Stores) -> Job:
    [job] = await store.worker_queue.claim(1)
    return job


class TestSign:
    async def test_who_waits_is_left_alone_until_its_sign_is_on_record(self, worker: Workers) -> None:
        store, other = await worker("w1"), await worker("w2")
        taken = await store.queue.enqueue("Ev1", asked(1), full=True)
        assert taken
        assert taken.waiting
        assert await store.worker_queue.claim(1) == []
        assert await other.worker_queue.claim(1) == []
        await store.worker_queue.record_pages(taken.job_id, ["5.1"])
        assert await other.worker_queue.claim(1) == [Job(taken.job_id, asked(1), attempts=1, page_ts=("5.1",))]

    async def test_a_sign_that_is_never_recorded_keeps_nobody_waiting_for_long(self, database_url: str) -> None:
        clock = LateClock()
        store = await Stores.open(database_url, "w1", clock)
        await store.queue.enqueue("Ev1", asked(1), full=True)
        clock.ahead_s = PLACEHOLDER_HOLD_S - 1
        assert await store.worker_queue.claim(1) == []
        clock.ahead_s = PLACEHOLDER_HOLD_S + 1
        job = await one(store)
        assert job.may_have_posts, "it may have been posted all the same"
        await store.close()

    async def test_a_sign_is_in_line_once_all_before_it_in_the_thread_have_their_messages(self, store: Stores) -> None:
        first = await store.queue.enqueue("Ev1", asked(1))
        await store.queue.enqueue("Ev2", asked(2))
        await store.queue.enqueue("Ev3", asked(1, OTHER_THREAD))
        assert first
        assert await store.queue.may_post_placeholder(asked(1))
        assert not await store.queue.may_post_placeholder(asked(2))
        await store.worker_queue.record_pages(first.job_id, ["5.1"])
        assert await store.queue.may_post_placeholder(asked(2))
        assert not await store.queue.may_post_placeholder(asked(3))

    async def test_who_comes_later_does_not_overtake_who_waits_for_its_sign(self, store: Stores) -> None:
        await store.queue.enqueue("Ev1", asked(1), full=True)
        later = await store.queue.enqueue("Ev2", asked(2))
        assert later
        assert later.waiting
        await store.worker_queue.record_pages(later.job_id, ["5.2"])
        assert await store.worker_queue.claim(2) == []


class TestStop:
    async def test_the_owner_learns_of_it_with_its_heartbeat(self, worker: Workers) -> None:
        store, other = await worker("w1"), await worker("w2")
        ids = [await enqueued(store, apart(number)) for number in range(3)]
        claimed = dict.fromkeys(await store.worker_queue.claim(3), Spent())
        assert await other.queue.request_stop(ids[1]) is True
        assert await store.worker_queue.heartbeat(claimed) == Pulse(frozenset(ids), frozenset(ids[1:2]))

    async def test_a_job_that_was_not_begun_ends_at_once_and_its_thread_goes_on(self, store: Stores) -> None:
        first, second = [await enqueued(store, asked(number)) for number in (1, 2)]
        assert await store.queue.request_stop(first) is True
        assert (await one(store)).id == second

    async def test_a_job_that_has_ended_can_not_be_stopped(self, store: Stores) -> None:
        job_id = await enqueued(store, asked(1))
        await store.worker_queue.finish(await one(store), DONE)
        assert await store.queue.request_stop(job_id) is False
        assert await store.queue.request_stop(12345) is False

    async def test_it_is_not_lost_when_the_job_is_handed_over(self, worker: Workers) -> None:
        store, other = await worker("w1"), await worker("w2")
        job_id = await enqueued(store, asked(1))
        job = await one(store)
        await other.queue.request_stop(job_id)
        await store.worker_queue.release(job)
        assert (await other.worker_queue.heartbeat({await one(other): Spent()})).to_stop == {job_id}


class TestRelease:
    async def test_it_is_done_again_at_its_place_by_anybody(self, worker: Workers) -> None:
        store, other = await worker("w1"), await worker("w2")
        await enqueued(store, asked(1))
        job = await one(store)
        await enqueued(store, asked(2))
        await store.worker_queue.record_pages(job.id, ["5.1"])
        assert await store.worker_queue.release(job) is True
        again = Job(job.id, asked(1), attempts=2, page_ts=("5.1",), may_have_posts=True, interruptions=0)
        assert await one(other) == again

    async def test_who_released_it_has_nothing_to_say_any_more(self, worker: Workers) -> None:
        store, other = await worker("w1"), await worker("w2")
        await enqueued(store, asked(1))
        job = await one(store)
        await store.worker_queue.release(job)
        assert await store.worker_queue.release(job) is False
        assert await store.worker_queue.finish(job, DONE) is False
        again = await one(other)
        assert await store.worker_queue.heartbeat({job: Spent()}) == Pulse()
        assert await other.worker_queue.finish(again, DONE) is True

    async def test_what_it_used_by_its_last_heartbeat_is_counted(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        job = await one(store)
        await store.worker_queue.record_pages(job.id, ["5.1"])
        await store.worker_queue.heartbeat({job: Spent(900, 30)})
        await store.worker_queue.release(job)
        assert await store.recorded_answers.replies(THREAD) == {"5.1": ""}
        await store.worker_queue.finish(await one(store), DONE)
        async with store.database.engine.begin() as connection:
            rows = (await connection.execute(sa.select(turns).order_by(turns.c.id))).all()
        used = [(row.end_reason, row.input_tokens, row.output_tokens) for row in rows]
        assert used == [("interrupted", 900, 30), ("whole", 10, 20)]
        assert await store.recorded_answers.replies(THREAD) == {"5.1": DONE.answer}


class TestWait:
    async def test_it_ends_with_its_time(self, store: Stores) -> None:
        await store.worker_queue.wait(0)
        began = time.monotonic()
        await store.worker_queue.wait(0.2)
        assert 0.15 < time.monotonic() - began < 10

    @pytest.mark.parametrize("what", ["enqueue", "sign", "stop", "release", "finish", "forget"])
    async def test_another_processs_doings_end_it(self, postgresql_url: str, what: str) -> None:
        store = await Stores.open(postgresql_url, "w1", SystemClock())
        other = await Stores.open(postgresql_url, "w2", SystemClock())
        job_id = await enqueued(other, asked(1))
        job = await one(other)
        waiting = await other.queue.enqueue("Ev2", asked(2))
        assert waiting
        doings: dict[str, Callable[[], Awaitable[object]]] = {
            "enqueue": lambda: other.queue.enqueue("Ev3", asked(3, OTHER_THREAD)),
            "sign": lambda: other.worker_queue.record_pages(waiting.job_id, ["5.2"]),
            "stop": lambda: other.queue.request_stop(job_id),
            "release": lambda: other.worker_queue.release(job),
            "finish": lambda: other.worker_queue.finish(job, DONE),
            "forget": lambda: other.erasure.erase(user_id="U1"),
        }
        while await quiet(store):
            pass
        woken = asyncio.create_task(store.worker_queue.wait(10))
        await doings[what]()
        async with asyncio.timeout(5):
            await woken
        await store.close()
        await other.close()

    async def test_ones_own_doings_do_not(self, postgresql_url: str) -> None:
        store = await Stores.open(postgresql_url, "w1", SystemClock())
        await store.worker_queue.wait(0)
        await enqueued(store, asked(1))
        assert not await quiet(store)
        await store.close()


async def quiet(store: Stores) -> bool:
    """Whether something was there to be heard; after it, nothing is."""
    began = time.monotonic()
    await store.worker_queue.wait(0.5)
    return time.monotonic() - began < 0.4


class TestManyAtOnce:
    async def test_each_is_told_what_it_would_be_alone(self, store: Stores) -> None:
        """More than one batch: twins, events seen twice, threads with an order, a process that is full."""
        arrivals: list[tuple[str, Question]] = []
        for number in range(150):
            arrivals += [(f"EvA{number}", apart(number)), (f"EvB{number}", apart(number))]
        arrivals += [("EvA0", asked(1, OTHER_THREAD)), ("Ev1", asked(2)), ("Ev2", asked(1)), ("Ev3", asked(3))]
        taken = await asyncio.gather(*(store.queue.enqueue(*arrival) for arrival in arrivals))
        assert [each is not None for each in taken[:300]] == [True, False] * 150
        assert not any(each.waiting for each in taken[:300] if each)
        assert taken[300] is None
        assert [each and each.waiting for each in taken[301:]] == [False, False, True]
        ids = await in_order_of_writing(store)
        assert ids == sorted(each.job_id for each in taken if each)

    async def test_a_thousand_at_once_are_all_taken(self, shared_url: str) -> None:
        store = await Stores.open(shared_url, "w1", SystemClock())
        taken = await asyncio.gather(*(store.queue.enqueue(f"Ev{number}", apart(number)) for number in range(1000)))
        assert len({each.job_id for each in taken if each}) == 1000
        await store.close()

    async def test_processes_that_get_the_same_events_in_any_order_do_not_block_each_other(
        self, postgresql_url: str
    ) -> None:
        stores = [await Stores.open(postgresql_url, name, SystemClock()) for name in ("w1", "w2", "w3")]
        numbers = list(range(300))
        orders = (numbers, numbers[::-1], numbers[150:] + numbers[:150])

        async def enqueue_all(store: Stores, order: Sequence[int]) -> list[Enqueued | None]:
            return await asyncio.gather(*(store.queue.enqueue(f"Ev{number}", apart(number)) for number in order))

        async with asyncio.timeout(20):
            taken = await asyncio.gather(*map(enqueue_all, stores, orders))
        ids = [each.job_id for results in taken for each in results if each]
        assert len(ids) == len(set(ids)) == 300
        for store in stores:
            await store.close()


async def in_order_of_writing(store: Stores) -> list[int]:
    async with store.database.engine.begin() as connection:
        return list((await connection.scalars(sa.select(jobs.c.id).order_by(jobs.c.id))).all())


class TestPresence:
    async def test_what_a_process_leaves_behind_when_it_closes_is_taken_over(self, shared_url: str) -> None:
        store = await Stores.open(shared_url, "w1", SystemClock())
        job_id = await enqueued(store, asked(1))
        await one(store)
        await store.close()
        after = await Stores.open(shared_url, "w2", SystemClock())
        # Sooner than by its silence.
        assert (await claimed_within(after, LEASE_S - 2)).id == job_id
        await after.close()

    async def test_the_dead_are_taken_over_up_to_the_limit_and_before_what_is_to_do(self, sqlite_url: str) -> None:
        store = await Stores.open(sqlite_url, "w1", SystemClock())
        ids = [await enqueued(store, apart(number)) for number in range(5)]
        await store.worker_queue.claim(4)
        await store.close()
        after = await Stores.open(sqlite_url, "w2", SystemClock())
        claimed = [job.id for job in await after.worker_queue.claim(3)]
        assert claimed == ids[:3]
        async with asyncio.timeout(5):
            while len(claimed) < 5:
                claimed += [job.id for job in await after.worker_queue.claim(3)]
                await after.worker_queue.wait(0.3)
        assert sorted(claimed) == ids
        await after.close()

    async def test_who_has_nothing_to_do_writes_nothing(self, sqlite_url: str) -> None:
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


def written(folder: Path) -> dict[str, tuple[int, int]]:
    """Sizes and times of the files, but of the shared memory."""
    files = [entry for entry in os.scandir(folder) if not entry.name.endswith("-shm")]
    return {entry.name: (entry.stat().st_size, entry.stat().st_mtime_ns) for entry in files}
