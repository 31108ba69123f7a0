"""What is kept beside answers: a canvas for each version, and the transcripts of recordings in questions."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.core.caps import CapWindow, Period, Scope, ScopeIds
from bot.core.conversation import File, ThreadKey
from bot.core.job import End
from bot.core.outbox import OutboxKind
from bot.errors import EndReason
from bot.models.prices import ModelPrices
from bot.models.stream import Usage
from bot.store import Stores
from bot.store.answers import AnswerCanvas
from bot.store.schema import canvases, jobs, outbox_entries
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
        await store.question_queue.request_stop(job.id)
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


HEARD = End(EndReason.TRANSCRIBED, model="openai/gpt-transcribe", usage=Usage(audio_s=60.0))
CLIP = File("F1", "clip.m4a", user_id="U1", transcript="nul \0 half \ud800 𝄞")
WORDS = {CLIP.id: CLIP.transcript}


async def used_usd(opened: Stores, *records: Sequence[File]) -> float:
    """Records transcripts, each with a minute's usage, and returns what they cost."""
    store = Stores(opened.database.engine, "w1", opened.clock, prices=ModelPrices())
    await enqueued(store, asked(1))
    job = await one(store)
    for record in records:
        assert await store.transcripts.record(job, record, HEARD)
    month = CapWindow(Scope.USER, Period.MONTH)
    used = await store.usage.used(ScopeIds("T1", job.question.user_id, "C1"), [month])
    return used[month].cost_usd


async def test_next_attempt_and_later_questions_have_the_transcripts(store: Stores) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    assert job.transcripts == {}
    assert await store.transcripts.record(job, [CLIP])
    assert await store.transcripts.record(
        job, [replace(CLIP, transcript="other words"), replace(CLIP, id="F2", transcript="")]
    )
    assert await store.worker_queue.release(job)
    assert (await one(store)).transcripts == {**WORDS, "F2": ""}
    assert await store.transcripts.of_thread(THREAD) == {**WORDS, "F2": ""}
    assert await store.transcripts.of_thread(ThreadKey("T1", "C9", "1.0")) == {}


async def test_worker_that_lost_the_job_records_none(store: Stores) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    await store.worker_queue.release(job)
    assert not await store.transcripts.record(job, [CLIP], HEARD)
    assert await store.transcripts.of_thread(THREAD) == {}


async def test_transcription_counts_once_even_if_its_commit_was_not_heard_of(store: Stores) -> None:
    assert await used_usd(store, [CLIP], [CLIP]) == pytest.approx(0.0045)


async def test_transcription_that_failed_counts_as_well(store: Stores) -> None:
    assert await used_usd(store, [], [CLIP]) == pytest.approx(0.009)


@pytest.mark.parametrize("is_deleted", [True, False], ids=["deletion", "retention"])
async def test_transcripts_go_with_the_questions_words(store: Stores, is_deleted: bool) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    await store.transcripts.record(job, [CLIP])
    await store.worker_queue.finish(job, DONE, "Friday.")
    if is_deleted:
        assert await store.question_queue.delete("T1", "C1", job.question.ts)
    else:
        await store.erasure.expire(before=4e9)
    async with store.database.begin_read() as connection:
        assert (await connection.execute(sa.select(jobs.c.transcripts))).scalars().all() == [{}]


async def test_nothing_is_kept_of_a_question_that_was_deleted_meanwhile(store: Stores) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    assert await store.question_queue.delete("T1", "C1", job.question.ts)
    assert await store.transcripts.record(job, [CLIP], HEARD)
    assert await store.transcripts.of_thread(THREAD) == {}


async def test_erased_persons_words_go_from_others_questions(store: Stores) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    assert await store.transcripts.record(job, [replace(CLIP, user_id="U9")])
    await store.erasure.erase(user_id="U99")
    assert await store.transcripts.of_thread(THREAD) == WORDS
    await store.erasure.erase(user_id="U9")
    assert await store.transcripts.of_thread(THREAD) == {}
