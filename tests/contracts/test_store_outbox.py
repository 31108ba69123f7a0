"""Outbox entries: written with their cause, taken by one process at a time, done at least once."""

from dataclasses import replace

import pytest

from bot.clock import SystemClock
from bot.core.outbox import OUTBOX_HOLD_S, OutboxEntry, OutboxKind
from bot.store import Stores
from bot.store.queue.batch import LATE_POST_S
from tests.clocks import LateClock
from tests.contracts.stores import DONE, THREAD, YES, asked, enqueued, one, texts_of, unclaimed
from tests.core.conversations import recorded_pages


async def answer_then_claim_batch(store: Stores, placeholder: list[str]) -> None:
    """Answers a question while two more are queued in its thread, and then claims those as a batch."""
    await enqueued(store, asked(1))
    job = await one(store)
    waiting = await store.queue.enqueue("Ev2", asked(2))
    assert waiting
    await store.worker_queue.record_placeholder(unclaimed(waiting), recorded_pages(*placeholder))
    await enqueued(store, asked(3))
    await store.worker_queue.finish(job, DONE, YES)
    assert (await one(store)).earlier == (asked(2),)


def seen(taken: list[OutboxEntry]) -> list[tuple[OutboxKind, str, tuple[str, ...], int]]:
    return [(entry.kind, entry.question.ts, entry.page_ts, entry.tries) for entry in taken]


async def test_placeholder_of_a_batched_question_is_cleared(store: Stores) -> None:
    await answer_then_claim_batch(store, ["5.1"])
    [entry] = await store.outbox.take(10)
    assert seen([entry]) == [(OutboxKind.CLEAR_PLACEHOLDER, asked(2).ts, ("5.1",), 1)]
    await store.outbox.complete(entry)
    assert texts_of(await store.recorded_answers.replies(THREAD)) == {"5.1": ""}


async def test_unfinished_entry_is_taken_again_by_any_process(database_url: str) -> None:
    clock = LateClock()
    store = await Stores.open(database_url, "w1", clock)
    await answer_then_claim_batch(store, ["5.1"])
    assert len(await store.outbox.take(10)) == 1
    assert await store.outbox.take(10) == []
    clock.ahead_s = OUTBOX_HOLD_S + 1
    [again] = await store.outbox.take(10)
    assert again.tries == 2
    await store.outbox.complete(again)
    clock.ahead_s = 3 * OUTBOX_HOLD_S
    assert await store.outbox.take(10) == []
    await store.close()


async def test_unrecorded_placeholder_is_cleared_once_it_can_no_longer_arrive(
    database_url: str,
) -> None:
    clock = LateClock()
    store = await Stores.open(database_url, "w1", clock)
    for number in (1, 2):
        await store.queue.enqueue(f"Ev{number}", asked(number), full=True)
    clock.ahead_s = 11
    assert (await one(store)).earlier == (asked(1),)
    assert await store.outbox.take(10) == []
    clock.ahead_s += LATE_POST_S + 1
    assert seen(await store.outbox.take(10)) == [(OutboxKind.CLEAR_PLACEHOLDER, asked(1).ts, (), 1)]
    await store.close()


async def test_placeholder_recorded_late_is_cleared(database_url: str) -> None:
    clock = LateClock()
    store = await Stores.open(database_url, "w1", clock)
    first = await store.queue.enqueue("Ev1", asked(1), full=True)
    await store.queue.enqueue("Ev2", asked(2), full=True)
    clock.ahead_s = 11
    await one(store)
    assert first
    await store.worker_queue.record_placeholder(unclaimed(first), recorded_pages("5.1"))
    assert seen(await store.outbox.take(10)) == [(OutboxKind.CLEAR_PLACEHOLDER, asked(1).ts, ("5.1",), 1)]
    await store.close()


async def test_placeholder_of_a_stopped_queued_question_is_cleared(store: Stores) -> None:
    taken = await store.queue.enqueue("Ev1", asked(1), full=True)
    assert taken
    await store.worker_queue.record_placeholder(unclaimed(taken), recorded_pages("5.1"))
    assert await store.queue.request_stop(taken.job_id)
    assert seen(await store.outbox.take(10)) == [(OutboxKind.CLEAR_PLACEHOLDER, asked(1).ts, ("5.1",), 1)]


async def test_erased_jobs_have_no_outbox_entries(store: Stores) -> None:
    await answer_then_claim_batch(store, ["5.1"])
    await store.erasure.erase()
    assert await store.outbox.take(10) == []


@pytest.mark.parametrize("limit", [1, 2])
async def test_two_processes_never_take_the_same_entry(postgresql_url: str, limit: int) -> None:
    stores = [await Stores.open(postgresql_url, name, SystemClock()) for name in ("w1", "w2")]
    await enqueued(stores[0], asked(1))
    job = await one(stores[0])
    for number in (2, 3, 4):
        taken = await stores[0].queue.enqueue(f"Ev{number}", asked(number))
        assert taken
        await stores[0].worker_queue.record_placeholder(unclaimed(taken), recorded_pages(f"5.{number}"))
    await stores[0].worker_queue.finish(job, DONE, YES)
    await one(stores[0])
    taken_entries = [entry.id for store in stores for entry in await store.outbox.take(limit)]
    assert len(taken_entries) == len(set(taken_entries)) == 2
    for store in stores:
        await store.close()


class TestFence:
    """A process that is late with an entry must not settle it for the process that has taken it since."""

    async def test_completing_an_entry_that_was_taken_again_leaves_it(self, database_url: str) -> None:
        clock = LateClock()
        store = await Stores.open(database_url, "w1", clock)
        late, current = await taken_twice(store, clock)
        await store.outbox.complete(late)
        await store.outbox.postpone(current, 0.0)
        assert [entry.id for entry in await store.outbox.take(10)] == [current.id], "the entry must stay in the outbox"
        await store.close()

    async def test_postponing_an_entry_that_was_taken_again_does_not_move_it(self, database_url: str) -> None:
        clock = LateClock()
        store = await Stores.open(database_url, "w1", clock)
        late, current = await taken_twice(store, clock)
        await store.outbox.postpone(late, -1.0)
        assert await store.outbox.take(10) == [], "the process that took it last holds it"
        await store.outbox.complete(current)
        clock.ahead_s += 2 * OUTBOX_HOLD_S
        assert await store.outbox.take(10) == [], "and its completion counts"
        await store.close()

    async def test_completing_an_entry_that_was_renewed_leaves_the_new_one(self, database_url: str) -> None:
        clock = LateClock()
        store = await Stores.open(database_url, "w1", clock)
        await enqueued(store, asked(1))
        job = await one(store)
        await store.worker_queue.finish(job, DONE, YES)
        for number in (1, 2):
            edited = replace(job.question, text=f"Why not {number}?")
            await store.queue.edit(edited, f"170000000{number}.000000")
            if number == 1:
                [entry] = await store.outbox.take(10)
            clock.ahead_s += 1
        await store.outbox.complete(entry)
        assert [again.kind for again in await store.outbox.take(10)] == [OutboxKind.OFFER_REGENERATE]
        await store.close()


async def taken_twice(store: Stores, clock: LateClock) -> tuple[OutboxEntry, OutboxEntry]:
    """Returns an entry as two processes have it. The first was too late with it."""
    await answer_then_claim_batch(store, ["5.1"])
    [late] = await store.outbox.take(10)
    clock.ahead_s += OUTBOX_HOLD_S + 1
    [current] = await store.outbox.take(10)
    assert (current.id, current.tries) == (late.id, 2)
    return late, current
