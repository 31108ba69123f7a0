"""The canvases of answers: one for each version, wanted once, and gone with their answer."""

import asyncio

import pytest

from bot.core.outbox import OutboxKind
from bot.store import Stores
from bot.store.answer_canvases import AnswerCanvas
from bot.store.schema import canvases, outbox_entries
from tests.contracts.stores import DONE, THREAD, YES, Workers, answered, asked, count, enqueued, one, texts_of

CANVAS = AnswerCanvas(0, "F0CANVAS", None)


async def test_wish_is_an_outbox_entry_for_the_person_who_has_it(store: Stores) -> None:
    job = await answered(store)
    assert await store.answer_canvases.request(job.id, 0, "U7")
    [entry] = await store.outbox.take(10)
    assert (entry.kind, entry.job_id, entry.about) == (OutboxKind.MAKE_CANVAS, job.id, "U7")


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_canvas_that_a_question_asks_for_is_due_once_the_answer_is_on_record(
    store: Stores, is_stopped: bool
) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    if is_stopped:
        await store.queue.request_stop(job.id)
    await store.worker_queue.finish(job, DONE, YES, canvas_for="U1")
    entries = [(entry.kind, entry.about) for entry in await store.outbox.take(10)]
    assert entries == ([] if is_stopped else [(OutboxKind.MAKE_CANVAS, "U1")])


async def test_wishes_of_several_processes_are_one(worker: Workers) -> None:
    store, other = await worker("w1"), await worker("w2")
    job = await answered(store)
    wishes = [each.answer_canvases.request(job.id, 0, user) for each in (store, other) for user in ("U7", "U8", "U9")]
    assert all(await asyncio.gather(*wishes))
    assert len(await store.outbox.take(10)) == 1


async def test_canvas_with_a_link_is_not_made_again_and_one_without_is_completed(store: Stores) -> None:
    job = await answered(store)
    assert await store.answer_canvases.record(job.id, CANVAS)
    assert not await store.answer_canvases.record(job.id, AnswerCanvas(0, "F0OTHER"))
    assert await store.answer_canvases.request(job.id, 0, "U7")
    await store.answer_canvases.posted(job.id, 0, "6.1")
    assert not await store.answer_canvases.request(job.id, 0, "U7")
    assert await store.answer_canvases.request(job.id, 1, "U7")
    assert await store.answer_canvases.of_job(job.id) == [AnswerCanvas(0, "F0CANVAS", "6.1")]
    await store.answer_canvases.forget(job.id, 0)
    assert await store.answer_canvases.of_job(job.id) == []


async def test_links_message_is_known_as_no_answer(store: Stores) -> None:
    job = await answered(store)
    await store.answer_canvases.record(job.id, CANVAS)
    await store.answer_canvases.posted(job.id, 0, "6.1")
    assert texts_of(await store.recorded_answers.replies(THREAD)) == {"5.1": "**Yes.**", "6.1": ""}


@pytest.mark.parametrize("is_erased", [True, False])
async def test_canvas_of_an_answer_that_was_deleted_or_erased_is_not_recorded(store: Stores, is_erased: bool) -> None:
    job = await answered(store)
    await (store.erasure.erase() if is_erased else store.recorded_answers.delete(job.id, "U1"))
    assert not await store.answer_canvases.record(job.id, CANVAS)
    assert not is_erased or not await store.answer_canvases.request(job.id, 0, "U7")


async def test_erasure_removes_the_asker_with_the_canvas_and_another_who_wants_it(store: Stores) -> None:
    job = await answered(store)
    await store.answer_canvases.record(job.id, CANVAS)
    await store.answer_canvases.request(job.id, 1, "U7")
    await store.erasure.erase(user_id="U7")
    assert (await count(store, canvases), await count(store, outbox_entries)) == (1, 0)
    await store.erasure.erase(user_id="U1")
    assert await count(store, canvases) == 0
