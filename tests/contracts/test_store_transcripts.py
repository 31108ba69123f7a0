"""Transcripts in the database: with their question, counted once, and gone with its words."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.core.conversation import File, ThreadKey
from bot.core.job import End
from bot.core.limits.caps import CapWindow, Period, Scope, ScopeIds
from bot.core.stream import Usage
from bot.errors import EndReason
from bot.prices import ModelPrices
from bot.store import Stores
from bot.store.schema import jobs
from tests.contracts.stores import DONE, THREAD, asked, enqueued, one

pytest_plugins = ["tests.contracts.databases"]

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
        assert await store.queue.delete("T1", "C1", job.question.ts)
    else:
        await store.erasure.expire(before=4e9)
    async with store.database.begin_read() as connection:
        assert (await connection.execute(sa.select(jobs.c.transcripts))).scalars().all() == [{}]


async def test_nothing_is_kept_of_a_question_that_was_deleted_meanwhile(store: Stores) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    assert await store.queue.delete("T1", "C1", job.question.ts)
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
