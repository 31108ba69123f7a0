"""Checkpoints: the text of a growing answer is recorded for a take-over, and for no longer than that."""

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.core.conversation import Job
from bot.core.job import Checkpoint, End, Piece, Pulse, Spent
from bot.core.stream import Citation
from bot.errors import EndReason
from bot.store import Stores
from bot.store import checkpoints as texts
from bot.store.liveness.failure_detector import Observation
from bot.store.queue import claim
from bot.store.schema import checkpoints, jobs, workers
from tests.clocks import WITHIN_S
from tests.contracts.stores import DONE, OTHER_THREAD, THREAD, YES, Workers, apart, asked, count, enqueued, texts_of
from tests.core.conversations import recorded_pages

END = End(
    EndReason.LENGTH_LIMIT,
    "It is long.",
    "openai/test",
    model="openai/test",
    first_token_s=0.5,
    prompt_version="1",
    has_details=True,
    offers_canvas=True,
)

SOURCES = (Citation("https://a.example/?q='%s'", "A 👩‍👩‍👧"), Citation("https://b.example", ""))


async def begun(store: Stores, number: int = 1) -> Job:
    await enqueued(store, apart(number))
    [job] = await store.worker_queue.claim(1)
    return job


async def taken_on(store: Stores, job: Job) -> Job:
    """Returns the job after it was handed over and claimed again."""
    await store.worker_queue.release(job)
    [again] = await store.worker_queue.claim(1)
    return again


class TestText:
    async def test_next_attempt_gets_all_recorded_text(self, worker: Workers) -> None:
        first, second = await worker("w1"), await worker("w2")
        job = await begun(first)
        assert job.checkpoint == Checkpoint()
        await first.worker_queue.checkpoint({job: Piece(0, "One ")})
        await first.worker_queue.heartbeat({job: Spent()}, {job: Piece(4, "two ")})
        assert await first.worker_queue.release(job, Piece(8, "three."))
        [again] = await second.worker_queue.claim(1)
        assert again.checkpoint == Checkpoint("One two three.")

    async def test_heartbeat_records_all_answers_and_returns_its_pulse(self, store: Stores) -> None:
        two = [await begun(store, number) for number in (1, 2)]
        pulse = await store.worker_queue.heartbeat(
            dict.fromkeys(two, Spent()), {job: Piece(0, f"{job.id}") for job in two}
        )
        assert pulse == Pulse(frozenset(job.id for job in two))
        for job in two:
            await store.worker_queue.release(job)
        assert [job.checkpoint.text for job in await store.worker_queue.claim(2)] == [f"{job.id}" for job in two]

    async def test_end_is_recorded_with_the_last_piece(self, store: Stores) -> None:
        job = await begun(store)
        await store.worker_queue.checkpoint({job: Piece(0, "One.")})
        await store.worker_queue.checkpoint({job: Piece(4, "", END)})
        assert (await taken_on(store, job)).checkpoint == Checkpoint("One.", END)

    async def test_sources_are_those_of_the_newest_piece(self, store: Stores) -> None:
        job, (one, two) = await begun(store), SOURCES
        await store.worker_queue.checkpoint({job: Piece(0, "One ", sources=(one,))})
        await store.worker_queue.checkpoint({job: Piece(4, "two", sources=(one, two))})
        again = await taken_on(store, job)
        assert again.checkpoint == Checkpoint("One two", sources=(one, two))
        await store.worker_queue.checkpoint({again: Piece(4, "2", END, (one,))})
        assert (await taken_on(store, again)).checkpoint == Checkpoint("One 2", replace(END, sources=(one,)), (one,))

    async def test_late_piece_removes_no_text(self, store: Stores) -> None:
        job = await begun(store)
        for piece in (Piece(0, "One "), Piece(4, "two three."), Piece(4, "two "), Piece(0, "One ")):
            await store.worker_queue.checkpoint({job: piece})
        assert (await taken_on(store, job)).checkpoint == Checkpoint("One two three.")

    async def test_later_attempt_continues_at_its_own_position(self, store: Stores) -> None:
        job = await begun(store)
        await store.worker_queue.checkpoint({job: Piece(0, "One two thr")})
        again = await taken_on(store, job)
        await store.worker_queue.checkpoint({again: Piece(8, "three ")})
        await store.worker_queue.checkpoint({again: Piece(14, "four.")})
        assert (await taken_on(store, again)).checkpoint == Checkpoint("One two three four.")

    async def test_piece_after_a_gap_is_not_read(self, store: Stores) -> None:
        job = await begun(store)
        await store.worker_queue.checkpoint({job: Piece(0, "One ")})
        await store.worker_queue.checkpoint({job: Piece(9, "three.")})
        assert (await taken_on(store, job)).checkpoint == Checkpoint("One ")

    @pytest.mark.parametrize("text", ["👩‍👩‍👧 %s :id 'quoted' é", "a\0b", "\ud83d"])
    async def test_text_that_databases_refuse_keeps_its_length(self, store: Stores, text: str) -> None:
        job = await begun(store)
        await store.worker_queue.checkpoint({job: Piece(0, text)})
        await store.worker_queue.checkpoint({job: Piece(len(text), "end")})
        recorded = (await taken_on(store, job)).checkpoint.text
        assert len(recorded) == len(text) + 3
        assert recorded.endswith("end")

    async def test_continued_answer_begins_with_its_earlier_text(self, store: Stores) -> None:
        job = await begun(store)
        await store.worker_queue.finish(job, DONE, YES)
        await store.queue.regenerate(job.id, continues=True)
        [going_on] = await store.worker_queue.claim(1)
        await store.worker_queue.checkpoint({going_on: Piece(len(YES), " And no.")})
        again = await taken_on(store, going_on)
        assert (again.so_far, again.checkpoint.text) == (YES, f"{YES} And no.")
        # The part that an earlier attempt recorded appears once.
        await store.worker_queue.record_messages(again, recorded_pages("5.1"))
        await store.worker_queue.finish(again, DONE, again.checkpoint.text)
        assert texts_of(await store.recorded_answers.replies(again.question.thread)) == {"5.1": f"{YES} And no."}


class TestVersions:
    """`has_previous`: whether an earlier version is on record that the job's version does not continue."""

    @pytest.mark.parametrize(
        ("versions", "has_previous"),
        [
            ((), False),
            ((("", False),), False),
            ((("Because.", False),), True),
            ((("Because.", True),), False),
            ((("Because.", False), ("Why not?", True)), True),
            ((("Because.", True), ("Because. And so on.", False)), True),
        ],
        ids=["first", "again without text", "again", "continued", "again and continued", "continued and again"],
    )
    async def test_only_a_version_that_is_not_continued_is_an_earlier_one(
        self, store: Stores, versions: tuple[tuple[str, bool], ...], has_previous: bool
    ) -> None:
        job = await begun(store)
        for answer, continues in versions:
            await store.worker_queue.finish(job, DONE, answer)
            await store.queue.regenerate(job.id, continues=continues)
            [job] = await store.worker_queue.claim(1)
        assert job.has_previous is has_previous
        assert (await taken_on(store, job)).has_previous is has_previous


class TestFence:
    async def test_piece_of_another_workers_job_is_not_recorded(self, worker: Workers) -> None:
        store, other = await worker("w1"), await worker("w2")
        job = await begun(store)
        await store.worker_queue.release(job)
        [theirs] = await other.worker_queue.claim(1)
        for late in (job, theirs):
            assert await store.worker_queue.checkpoint({late: Piece(0, "late")}) is False
            await store.worker_queue.heartbeat({late: Spent()}, {late: Piece(0, "late")})
        assert await store.worker_queue.release(job, Piece(0, "late")) is False
        assert await count(store, checkpoints) == 0

    async def test_piece_of_an_ended_job_is_not_recorded(self, store: Stores) -> None:
        job = await begun(store)
        await store.worker_queue.finish(job, DONE, YES)
        assert await store.worker_queue.checkpoint({job: Piece(0, "late")}) is False
        assert await count(store, checkpoints) == 0

    async def test_piece_of_an_outdated_version_is_not_recorded(self, store: Stores) -> None:
        job = await begun(store)
        assert await store.worker_queue.checkpoint({job: Piece(0, "old")}) is True
        await store.queue.edit(replace(job.question, text="Why not?"), "1700000009.000000")
        assert await store.worker_queue.checkpoint({job: Piece(3, "late")}) is False
        assert await count(store, checkpoints) == 0
        assert (await taken_on(store, job)).checkpoint == Checkpoint()

    async def test_take_over_waits_for_a_piece_that_is_being_written(self, postgresql_url: str) -> None:
        store = await Stores.open(postgresql_url, "w1", SystemClock())
        job = await begun(store)
        async with store.database.engine.begin() as theirs, store.database.engine.begin() as ours:
            seen = Observation(await theirs.scalar(sa.select(workers.c.beat)), lock_is_free=True)
            await texts.append(ours, "w1", {job: Piece(0, "One ")})
            taking = asyncio.create_task(claim.take_over(theirs, "w2", {"w1": seen}, 1, 0.0, None))
            await self._until_one_waits(store)
            await ours.commit()
            [taken] = await taking
        assert taken.checkpoint == Checkpoint("One ")
        await store.close()

    async def _until_one_waits(self, store: Stores) -> None:
        waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        async with asyncio.timeout(WITHIN_S), store.database.engine.connect() as connection:
            while not await connection.scalar(waiting):
                pass


class TestEnd:
    @pytest.mark.parametrize("reason", [EndReason.WHOLE, EndReason.CUT, EndReason.STOPPED])
    async def test_checkpoint_is_removed_at_the_end(self, store: Stores, reason: EndReason) -> None:
        job, other = await begun(store), await begun(store, 2)
        await store.worker_queue.checkpoint({job: Piece(0, "One "), other: Piece(0, "Two ")})
        await store.worker_queue.finish(job, End(reason), "One ")
        assert await count(store, checkpoints) == 1
        assert (await taken_on(store, other)).checkpoint == Checkpoint("Two ")

    async def test_checkpoint_is_removed_at_the_end_of_an_outdated_version(self, store: Stores) -> None:
        job = await begun(store)
        await store.queue.edit(replace(job.question, text="Why not?"), "1700000009.000000")
        assert await store.worker_queue.finish(job, DONE, YES) is False
        assert await count(store, checkpoints) == 0

    @pytest.mark.parametrize("begun_by_now", ["handed over", "being answered"])
    async def test_checkpoint_is_erased_with_its_question(self, store: Stores, begun_by_now: str) -> None:
        await enqueued(store, asked(1))
        [job] = await store.worker_queue.claim(1)
        await store.worker_queue.checkpoint({job: Piece(0, "a secret")})
        if begun_by_now == "handed over":
            await store.worker_queue.release(job)
        await store.erasure.erase(thread=THREAD)
        if begun_by_now == "being answered":
            await store.worker_queue.finish(job, DONE, YES)
        assert await count(store, checkpoints) == 0

    async def test_checkpoint_expires_with_the_texts(self, store: Stores) -> None:
        await enqueued(store, asked(1, OTHER_THREAD))
        [job] = await store.worker_queue.claim(1)
        await store.worker_queue.release(job, Piece(0, "old"))
        await store.erasure.expire(0.0)
        assert await count(store, checkpoints) == 1
        async with store.database.engine.begin() as connection:
            await connection.execute(sa.update(jobs).values(created_at=1.0))
        await store.erasure.expire(2.0)
        assert await count(store, checkpoints) == 0
