"""Edits and deletions of queued, running and answered questions."""

import asyncio
from dataclasses import replace
from inspect import unwrap
from typing import Any

import pytest
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.core.conversation import File
from bot.core.job import End, Piece, Pulse, Spent
from bot.core.outbox import OutboxKind
from bot.errors import EndReason
from bot.store import Stores
from bot.store.queue.claim import RESTART_PAUSE_S, RESTARTS_AT_ONCE
from bot.store.queue.producers import QuestionQueue
from bot.store.schema import checkpoints, steps
from tests.clocks import WITHIN_S, ManualClock
from tests.contracts.stores import (
    DONE,
    OTHER_THREAD,
    STEPPED,
    THREAD,
    YES,
    Workers,
    answered,
    asked,
    asking_step,
    count,
    enqueued,
    one,
    outbox_kinds,
    texts_of,
    unclaimed,
)
from tests.core.conversations import recorded_pages

EDITED = replace(asked(1), text="Why not?")


async def delete_question(store: Stores, number: int) -> bool:
    return await store.queue.delete(THREAD.team_id, THREAD.channel_id, asked(number).ts)


async def wait_for_lock(store: Stores) -> None:
    waiting = sa.text("SELECT count(*) FROM pg_locks, pg_sleep(0.01) WHERE NOT granted")
    async with asyncio.timeout(WITHIN_S), store.database.engine.connect() as connection:
        while not await connection.scalar(waiting):
            pass


async def test_edit_or_deletion_of_a_message_that_is_no_question_does_nothing(store: Stores) -> None:
    assert not await store.queue.edit(EDITED, "2.0")
    assert not await delete_question(store, 1)
    assert not await store.queue.regenerate(12345)


async def test_queued_question_is_answered_in_its_newest_text_and_late_edits_are_ignored(store: Stores) -> None:
    await enqueued(store, asked(1))
    assert await store.queue.edit(EDITED, "3.0")
    assert await store.queue.edit(asked(1), "2.0")
    job = await one(store)
    assert (job.question, job.version) == (EDITED, 0)


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_edit_of_a_question_whose_answer_is_not_shown_offers_no_other(store: Stores, is_stopped: bool) -> None:
    await enqueued(store, asked(1))
    if is_stopped:
        job = await one(store)
        await store.queue.request_stop(job.id)
        await store.queue.edit(EDITED, "2.0")
    else:
        await store.queue.edit(EDITED, "2.0")
        job = await one(store)
    assert await store.worker_queue.finish(job, DONE, "")
    assert await outbox_kinds(store) == []


async def test_deleted_question_leaves_no_file_to_answer_about(store: Stores) -> None:
    job_id = await enqueued(store, replace(asked(1), text="", files=(File("F1", "plan.png"),)))
    assert await store.worker_queue.finish(await one(store), DONE, YES)
    assert await delete_question(store, 1)
    assert await store.queue.regenerate(job_id) is None


async def test_edit_of_a_running_question_restarts_its_answer(worker: Workers) -> None:
    store, other = await worker("w1"), await worker("w2")
    await enqueued(store, asked(1))
    job = await one(store)
    await store.worker_queue.record_messages(job, recorded_pages("5.1"))
    assert await other.queue.edit(EDITED, "2.0")
    ours = frozenset({job.id})
    assert await store.worker_queue.heartbeat({job: Spent()}) == Pulse(ours, to_restart=ours)
    assert await store.worker_queue.release(job)
    again = await one(other)
    assert (again.question, again.version, again.page_ts, again.interruptions) == (EDITED, 1, ("5.1",), 0)
    assert await other.worker_queue.heartbeat({again: Spent()}) == Pulse(ours)


async def test_outdated_answer_does_not_end_the_job_and_is_kept(store: Stores) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    await store.worker_queue.record_messages(job, recorded_pages("5.1"))
    await store.queue.edit(EDITED, "2.0")
    assert not await store.worker_queue.finish(job, DONE, YES)
    again = await one(store)
    assert again.version == 1
    assert texts_of(await store.recorded_answers.replies(THREAD)) == {"5.1": YES}
    assert await store.worker_queue.finish(again, End(EndReason.WHOLE), "No.")
    assert texts_of(await store.recorded_answers.replies(THREAD)) == {"5.1": "No."}


@pytest.mark.parametrize("last", [True, False])
async def test_edit_of_the_threads_last_question_offers_another_answer(store: Stores, last: bool) -> None:
    job = await answered(store)
    if not last:
        await answered(store, 2)
    assert await store.queue.edit(EDITED, "2.0")
    entries = await store.outbox.take(10)
    assert [(entry.kind, entry.job_id) for entry in entries] == (
        [(OutboxKind.OFFER_REGENERATE, job.id)] if last else []
    )


async def test_deleted_queued_question_is_not_answered(store: Stores) -> None:
    taken = await store.queue.enqueue("Ev1", asked(1), full=True)
    assert taken
    await store.worker_queue.record_placeholder(unclaimed(taken), recorded_pages("5.1"))
    assert await delete_question(store, 1)
    assert not await delete_question(store, 1)
    assert await store.worker_queue.claim(1) == []
    assert await outbox_kinds(store) == [OutboxKind.CLEAR_PLACEHOLDER]
    assert not await store.queue.regenerate(taken.job_id)


async def test_deleted_running_question_stops_and_its_batched_questions_do_not(store: Stores) -> None:
    await enqueued(store, asked(1))
    await enqueued(store, asked(2))
    job = await one(store)
    assert await delete_question(store, 2)
    assert (await store.worker_queue.heartbeat({job: Spent()})).to_stop == {job.id}
    assert await outbox_kinds(store) == [], "the reply can't be retracted while it grows"
    await store.worker_queue.finish(job, End(EndReason.STOPPED), "")
    assert OutboxKind.RETRACT_REPLY in await outbox_kinds(store)
    assert (await one(store)).question == asked(1)


async def test_deleting_a_batched_question_restarts_the_batch_without_it(store: Stores) -> None:
    await enqueued(store, asked(1))
    await enqueued(store, asked(2))
    job = await one(store)
    assert job.earlier == (asked(1),)
    assert await delete_question(store, 1)
    assert (await store.worker_queue.heartbeat({job: Spent()})).to_restart == {job.id}
    await store.worker_queue.release(job)
    assert (await one(store)).earlier == ()


async def test_asker_of_a_long_answer_is_mentioned_once(store: Stores) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    assert await store.worker_queue.finish(job, DONE, YES, ping=True)
    assert not await store.worker_queue.finish(job, DONE, YES, ping=True)
    [entry] = await store.outbox.take(10)
    assert (entry.kind, entry.question.user_id) == (OutboxKind.MENTION_ASKERS, "U1")
    await store.outbox.complete(entry, "6.1")
    assert texts_of(await store.recorded_answers.replies(THREAD)) == {"6.1": ""}


async def test_late_edit_does_not_undo_an_edit_back_to_the_first_text(store: Stores) -> None:
    await enqueued(store, asked(1))
    assert await store.queue.edit(asked(1), "3.0")
    assert await store.queue.edit(EDITED, "2.0")
    assert (await one(store)).question == asked(1)


async def test_edit_of_a_batched_question_restarts_the_answer_and_offers_no_other(store: Stores) -> None:
    for number in (1, 2):
        await enqueued(store, asked(number))
    job = await one(store)
    assert await store.queue.edit(EDITED, "2.0")
    assert (await store.worker_queue.heartbeat({job: Spent()})).to_restart == {job.id}
    assert await outbox_kinds(store) == []


async def test_second_edit_at_the_same_time_counts(store: Stores) -> None:
    await enqueued(store, asked(1))
    assert await store.queue.edit(replace(asked(1), text="Who?"), "2.0")
    assert await store.queue.edit(EDITED, "2.0")
    assert (await one(store)).question == EDITED


@pytest.mark.parametrize("handed_over", [True, False])
async def test_edit_after_a_stop_does_not_restart_the_answer(store: Stores, handed_over: bool) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    assert await store.queue.request_stop(job.id)
    if handed_over:
        await store.worker_queue.release(job)
    assert await store.queue.edit(EDITED, "2.0")
    if handed_over:
        job = await one(store)
    assert job.version == 0
    ours = frozenset({job.id})
    assert await store.worker_queue.heartbeat({job: Spent()}) == Pulse(ours, to_stop=ours)
    assert await store.worker_queue.finish(job, End(EndReason.STOPPED), ""), "the job ends"
    assert await store.worker_queue.claim(5) == []


@pytest.mark.parametrize("handed_over", [True, False])
async def test_question_that_is_edited_and_then_deleted_stops(store: Stores, handed_over: bool) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    await store.queue.edit(EDITED, "2.0")
    assert await delete_question(store, 1)
    assert not await store.queue.edit(asked(1), "3.0")
    assert not await delete_question(store, 1)
    ours = frozenset({job.id})
    assert await store.worker_queue.heartbeat({job: Spent()}) == Pulse(ours, to_stop=ours)
    if handed_over:
        await store.worker_queue.release(job)
        job = await one(store)
        assert job.question.text == ""
    assert await store.worker_queue.finish(job, DONE, YES, ping=True), "the job ends, although it was edited"
    assert await outbox_kinds(store) == [OutboxKind.RETRACT_REPLY], "the asker gets no ping"


async def test_asker_who_deletes_the_question_gets_no_offer(store: Stores) -> None:
    await answered(store)
    await store.queue.edit(EDITED, "2.0")
    await delete_question(store, 1)
    assert await outbox_kinds(store) == [OutboxKind.RETRACT_REPLY]


async def test_question_deleted_during_its_claim_takes_no_other_question_along(postgresql_url: str) -> None:
    store = await Stores.open(postgresql_url, "w1", SystemClock())
    for number in (1, 2):
        await enqueued(store, asked(number))
    async with store.database.engine.begin() as other:
        place = (THREAD.team_id, THREAD.channel_id, asked(2).ts)
        assert await unwrap(QuestionQueue.delete)(store.queue, other, *place)
        claim = asyncio.create_task(store.worker_queue.claim(1))
        await wait_for_lock(store)
    assert [job.question for job in (*await claim, *await store.worker_queue.claim(1))] == [asked(1)]
    await store.close()


FILE = File("F1", "a.txt")


@pytest.mark.parametrize(
    ("changes", "restarts"),
    [({"text": "Why not?"}, True), ({"files": (FILE,)}, True), ({"attached_chars": 2}, False), ({}, False)],
    ids=["words", "files", "where the words end", "nothing"],
)
async def test_edit_of_words_or_files_restarts_the_answer_and_all_of_it_is_stored(
    store: Stores, changes: dict[str, Any], restarts: bool
) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    await store.worker_queue.checkpoint({job: Piece(0, "Because")})
    assert await store.recorded_calls.record(job, asking_step(), STEPPED, None)
    assert await store.queue.edit(replace(asked(1), **changes), "2.0")
    assert (await store.worker_queue.heartbeat({job: Spent()})).to_restart == ({job.id} if restarts else set())
    left = [await count(store, table) for table in (checkpoints, steps)]
    assert left == ([0, 0] if restarts else [1, 1])
    assert await store.worker_queue.release(job)
    assert (await one(store)).question == replace(asked(1), **changes)


async def test_asker_waits_for_a_new_version_since_the_edit(database_url: str) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    job = await answered(store)
    assert job.asked_at == clock.now_s
    clock.now_s += 60
    assert await store.queue.regenerate(job.id)
    job = await one(store)
    assert job.asked_at == clock.now_s
    clock.now_s += 60
    await store.queue.edit(EDITED, "2.0")
    assert await store.worker_queue.release(job)
    assert (await one(store)).asked_at == clock.now_s
    await store.close()


@pytest.mark.parametrize(
    ("text", "files", "ended", "is_question"),
    [
        ("Why?", (), True, True),
        ("", (FILE,), True, True),
        ("", (), False, True),
        ("", (), True, False),
    ],
    ids=["words", "a file", "empty and queued", "empty and ended"],
)
async def test_message_with_words_or_files_is_a_question_and_an_empty_one_only_until_it_ends(
    store: Stores, text: str, files: tuple[File, ...], ended: bool, is_question: bool
) -> None:
    await enqueued(store, replace(asked(1), text=text, files=files))
    if ended:
        assert await store.worker_queue.finish(await one(store), DONE, YES)
    assert await store.queue.edit(EDITED, "2.0") is is_question
    assert await delete_question(store, 1) is is_question
    assert not await store.queue.edit(EDITED, "3.0"), "it is deleted"
    assert not await delete_question(store, 1)


async def test_message_of_a_person_without_access_is_no_question_any_more(store: Stores) -> None:
    await enqueued(store, asked(1))
    assert await store.worker_queue.finish(await one(store), End(EndReason.DENIED), "")
    assert not await store.queue.edit(EDITED, "2.0")
    assert not await delete_question(store, 1)
    assert await outbox_kinds(store) == []


async def test_same_message_in_another_channel_or_workspace_is_left_alone(store: Stores) -> None:
    places = [THREAD, replace(THREAD, channel_id="C2"), replace(THREAD, team_id="T2")]
    for number, place in enumerate(places):
        assert await store.queue.enqueue(f"Ev{number}", asked(1, place))
    assert await delete_question(store, 1)
    assert [job.question.thread for job in await store.worker_queue.claim(9)] == places[1:]


async def test_edited_answer_that_was_continued_starts_again_from_nothing(store: Stores) -> None:
    job = await answered(store)
    assert await store.queue.regenerate(job.id, continues=True)
    job = await one(store)
    assert job.so_far == YES
    assert await store.queue.edit(EDITED, "2.0")
    assert await store.worker_queue.release(job)
    assert (await one(store)).so_far == ""


async def ended_batch(store: Stores) -> list[int]:
    """Returns the jobs of two questions that were answered together; a question of another thread is later."""
    ids = [await enqueued(store, asked(number)) for number in (1, 2)]
    assert await store.worker_queue.finish(await one(store), DONE, YES, ping=True)
    await enqueued(store, asked(3, OTHER_THREAD))
    return ids


@pytest.mark.parametrize("newest_stands", [True, False])
async def test_edit_of_a_batched_question_offers_another_answer_if_the_newest_one_stands(
    store: Stores, newest_stands: bool
) -> None:
    first, second = await ended_batch(store)
    if not newest_stands:
        assert await delete_question(store, 2)
    assert await store.queue.edit(EDITED, "2.0")
    offers = [entry for entry in await store.outbox.take(9) if entry.kind is OutboxKind.OFFER_REGENERATE]
    assert [(entry.question.ts, entry.job_id) for entry in offers] == ([(asked(1).ts, second)] if newest_stands else [])
    assert first != second


async def test_reply_to_a_batch_stays_while_another_of_its_questions_stands(store: Stores) -> None:
    await ended_batch(store)
    assert await delete_question(store, 2)
    assert await outbox_kinds(store) == [OutboxKind.MENTION_ASKERS]
    assert not await delete_question(store, 2)


async def test_nobody_is_mentioned_about_a_deleted_question(store: Stores) -> None:
    await enqueued(store, asked(1))
    assert await store.worker_queue.finish(await one(store), DONE, YES, ping=True)
    assert await delete_question(store, 1)
    assert await outbox_kinds(store) == [OutboxKind.RETRACT_REPLY]


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_question_that_is_edited_again_and_again_starts_over_with_a_pause(
    database_url: str, is_stopped: bool
) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    job_id = await enqueued(store, asked(1))
    starts = 0
    for number in range(80):
        for job in await store.worker_queue.claim(1):
            starts += 1
            assert await store.queue.edit(replace(asked(1), text=f"Why {number}?"), f"1700000100.{number:06d}")
            assert not await store.worker_queue.finish(job, DONE, YES)
        clock.now_s += 0.1
    assert starts == RESTARTS_AT_ONCE + 1
    if is_stopped:
        assert await store.queue.request_stop(job_id)
    else:
        clock.now_s += RESTART_PAUSE_S
    [job] = await store.worker_queue.claim(1)
    assert (job.version, job.stop_requested) == (starts, is_stopped)
    await store.close()
