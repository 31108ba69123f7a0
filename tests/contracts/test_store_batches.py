"""Batches: which queued questions share an answer, what becomes of their placeholders, and how a batch comes apart."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.core.conversation import File, FollowUp, Job, Question, ThreadKey
from bot.core.job import End
from bot.core.outbox import OutboxKind
from bot.errors import EndReason
from bot.store import Stores
from bot.store.queue.batch import LATE_POST_S
from bot.store.queue.claim import PLACEHOLDER_HOLD_S
from bot.store.schema import jobs, outbox_entries, turns
from tests.clocks import ManualClock
from tests.contracts.stores import DONE, OTHER_THREAD, YES, asked, enqueued, one, unclaimed
from tests.core.conversations import recorded_pages


async def delete(store: Stores, question: Question) -> bool:
    return await store.queue.delete(question.thread.team_id, question.thread.channel_id, question.ts)


async def again(store: Stores, job: Job) -> Job:
    """Releases a job and claims it again."""
    assert await store.worker_queue.release(job)
    return await one(store)


async def taken_along(store: Stores, job: Job, step_no: int, question: Question) -> None:
    await enqueued(store, question)
    assert await store.recorded_calls.take_follow_ups(job, step_no) == (FollowUp(question, step_no),)


class TestFollowUps:
    @pytest.mark.parametrize(
        ("follow_up", "is_taken"),
        [
            (asked(2), True),
            (asked(0), False),
            (asked(2, OTHER_THREAD), False),
            (replace(asked(2), files=(File("F1", "a.txt"),)), False),
            (replace(asked(2), from_bot=True), False),
        ],
        ids=["below", "above", "in another thread", "with a file", "by a bot"],
    )
    async def test_running_answer_takes_along_only_plain_questions_below_its_own(
        self, store: Stores, follow_up: Question, is_taken: bool
    ) -> None:
        await enqueued(store, asked(1))
        job = await one(store)
        await enqueued(store, follow_up)
        assert await store.recorded_calls.take_follow_ups(job, 1) == ((FollowUp(follow_up, 1),) if is_taken else ())
        assert await store.worker_queue.finish(job, DONE, YES)
        assert [left.question for left in await store.worker_queue.claim(9)] == ([] if is_taken else [follow_up])

    async def test_follow_ups_are_read_in_the_order_of_writing(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        job = await one(store)
        for number in (3, 2):
            await enqueued(store, asked(number))
        taken = await store.recorded_calls.take_follow_ups(job, 1)
        assert [follow_up.question for follow_up in taken] == [asked(2), asked(3)]

    async def test_question_keeps_the_step_that_read_it_until_its_answer_starts_over(self, store: Stores) -> None:
        for number in (1, 2):
            await enqueued(store, asked(number))
        job = await one(store)
        await enqueued(store, asked(5, OTHER_THREAD))
        other = await one(store)
        for step_no in (1, 2):
            await taken_along(store, job, step_no, asked(2 + step_no))
        await taken_along(store, other, 1, asked(6, OTHER_THREAD))
        job = await again(store, job)
        assert (job.earlier, job.follow_ups) == ((asked(1),), (FollowUp(asked(3), 1), FollowUp(asked(4), 2)))
        await store.queue.edit(edited := replace(asked(2), text="Why not?"), "1700000009.0")
        job = await again(store, job)
        assert (job.question, job.earlier) == (edited, (asked(1),))
        assert job.follow_ups == (FollowUp(asked(3), 0), FollowUp(asked(4), 0))
        assert (await again(store, other)).follow_ups == (FollowUp(asked(6, OTHER_THREAD), 1),)


PLACEHOLDERS = {"recorded": recorded_pages("5.1"), "being posted": None, "not needed": ()}
"""What a queued question's placeholder may be."""


async def queued(store: Stores, thread: ThreadKey, placeholder: str) -> int:
    taken = await store.queue.enqueue(f"Ev {thread}", asked(2, thread), full=True)
    assert taken is not None
    if (messages := PLACEHOLDERS[placeholder]) is not None:
        await store.worker_queue.record_placeholder(unclaimed(taken), messages)
    return taken.job_id


async def claim_with_a_later_one(store: Stores, clock: ManualClock, thread: ThreadKey, placeholder: str) -> int:
    ended = await queued(store, thread, placeholder)
    await enqueued(store, asked(3, thread))
    clock.now_s += PLACEHOLDER_HOLD_S
    assert (await one(store)).earlier == (asked(2, thread),)
    return ended


async def take_along(store: Stores, _clock: ManualClock, thread: ThreadKey, placeholder: str) -> int:
    await enqueued(store, asked(1, thread))
    job = await one(store)
    ended = await queued(store, thread, placeholder)
    assert len(await store.recorded_calls.take_follow_ups(job, 1)) == 1
    return ended


async def stop(store: Stores, _clock: ManualClock, thread: ThreadKey, placeholder: str) -> int:
    ended = await queued(store, thread, placeholder)
    assert await store.queue.request_stop(ended)
    return ended


async def withdraw(store: Stores, _clock: ManualClock, thread: ThreadKey, placeholder: str) -> int:
    ended = await queued(store, thread, placeholder)
    assert await delete(store, asked(2, thread))
    return ended


EndInQueue = Callable[[Stores, ManualClock, ThreadKey, str], Awaitable[int]]
"""Enqueues a question and ends it in the queue. Returns its job's ID."""


class TestPlaceholders:
    @pytest.mark.parametrize("end", [claim_with_a_later_one, take_along, stop, withdraw])
    async def test_placeholder_of_a_question_that_ended_in_the_queue_is_cleared_once_it_must_be_there(
        self, database_url: str, end: EndInQueue
    ) -> None:
        clock = ManualClock()
        store = await Stores.open(database_url, "w1", clock)
        waits = {}
        for number, placeholder in enumerate(PLACEHOLDERS):
            ended = await end(store, clock, ThreadKey("T1", f"C{number}", None), placeholder)
            waits[placeholder] = await self._cleared_in_s(store, ended)
        assert waits == {"recorded": 0.0, "being posted": LATE_POST_S, "not needed": None}
        await store.close()

    async def _cleared_in_s(self, store: Stores, ended: int) -> float | None:
        entry = sa.select(outbox_entries.c.due_at).where(
            outbox_entries.c.job_id == ended, outbox_entries.c.kind == OutboxKind.CLEAR_PLACEHOLDER.value
        )
        async with store.database.engine.begin() as connection:
            due_at = await connection.scalar(entry)
        return None if due_at is None else due_at - store.clock.now()

    async def test_placeholder_of_a_regenerated_question_that_is_stopped_again_is_cleared_at_once(
        self, store: Stores
    ) -> None:
        stopped = await queued(store, OTHER_THREAD, "recorded")
        assert await store.queue.request_stop(stopped)
        assert await store.queue.regenerate(stopped, full=True)
        assert await store.queue.request_stop(stopped)
        assert [entry.page_ts for entry in await store.outbox.take(9)] == [("5.1",)]

    async def test_question_whose_placeholder_is_being_posted_joins_no_batch(self, store: Stores) -> None:
        await enqueued(store, asked(1))
        await store.queue.enqueue("Ev2", asked(2))
        job = await one(store)
        assert (job.question, job.earlier) == (asked(1), ())


class TestUnbatch:
    async def test_other_questions_are_queued_again_as_they_were_if_the_newest_is_deleted(self, store: Stores) -> None:
        for number in (1, 2, 3):
            await enqueued(store, asked(number))
        job = await one(store)
        await taken_along(store, job, 1, asked(4))
        assert await delete(store, asked(1))
        assert await delete(store, asked(3))
        columns = (jobs.c.status, jobs.c.end_reason, jobs.c.answered_with, jobs.c.joined_step)
        async with store.database.engine.begin() as connection:
            rows = (await connection.execute(sa.select(*columns).where(jobs.c.text != ""))).all()
        assert [tuple(row) for row in rows] == [("queued", None, None, None)] * 2
        assert await store.worker_queue.finish(job, End(EndReason.STOPPED), "")
        job = await one(store)
        assert (job.question, job.earlier, job.follow_ups) == (asked(4), (asked(2),), ())

    @pytest.mark.parametrize("is_clearing", [False, True], ids=["not begun", "begun"])
    async def test_placeholder_is_kept_unless_its_clearing_has_begun(self, store: Stores, is_clearing: bool) -> None:
        first = await queued(store, OTHER_THREAD, "recorded")
        await enqueued(store, asked(3, OTHER_THREAD))
        job = await one(store)
        if is_clearing:
            assert [entry.job_id for entry in await store.outbox.take(9)] == [job.id]
        assert await delete(store, asked(3, OTHER_THREAD))
        assert await store.worker_queue.finish(job, End(EndReason.STOPPED), "")
        unbatched = await one(store)
        assert (unbatched.id, unbatched.page_ts) == (first, () if is_clearing else ("5.1",))
        assert OutboxKind.CLEAR_PLACEHOLDER not in [entry.kind for entry in await store.outbox.take(9)]


async def test_batched_question_has_a_turn_without_usage(store: Stores) -> None:
    first = await enqueued(store, asked(1))
    await enqueued(store, asked(2))
    await one(store)
    async with store.database.engine.begin() as connection:
        [turn] = (await connection.execute(sa.select(turns))).all()
    assert (turn.job_id, turn.end_reason, turn.answer, turn.input_tokens) == (first, "batched", "", None)
