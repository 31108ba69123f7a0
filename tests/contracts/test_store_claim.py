"""Claims: which jobs a worker gets, how many of a person, and what it takes over from dead workers."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.core.caps import Amount, Cap, CapCheck, CapWindow, Period, Scope
from bot.core.job import Job, StepEstimate
from bot.core.outbox import OutboxKind, wait_s
from bot.store import Stores
from bot.store.schema import jobs, turns, workers
from tests.charged_turns import CHARGED_TURNS
from tests.clocks import ManualClock
from tests.contracts.databases import Process
from tests.contracts.stores import DONE, THREAD, YES, apart, asked, begun, enqueued, one, taken_over
from tests.core.conversations import recorded_pages

pytestmark = pytest.mark.is_postgresql


@pytest.fixture
async def single(worker: Process, clock: ManualClock) -> Stores:
    """A store where one person may have one answer under way."""
    return await worker("w1", clock, max_per_user=1)


class TestPersonsLimit:
    @pytest.mark.parametrize("at_once", [True, False])
    async def test_person_of_another_workspace_has_a_limit_of_their_own(self, single: Stores, at_once: bool) -> None:
        claimed: list[Job] = []
        for team_id in ("T1", "T2"):
            taken = await single.question_queue.enqueue(team_id, asked(1, replace(THREAD, team_id=team_id)))
            assert taken
            assert not taken.needs_placeholder
            claimed += [] if at_once else await single.worker_queue.claim(9)
        claimed += await single.worker_queue.claim(9)
        assert [job.question.thread.team_id for job in claimed] == ["T1", "T2"]

    async def test_thread_with_several_questions_takes_one_place(self, worker: Process) -> None:
        store = await worker("w1", ManualClock(), max_per_user=2)
        await begun(store, asked(1))
        for number in (2, 3):
            await enqueued(store, asked(number))
        taken = [await store.question_queue.enqueue(f"Ev{number}", apart(number)) for number in (4, 5)]
        assert [result and result.needs_placeholder for result in taken] == [False, True]

    async def test_asker_of_a_batch_has_room_again_once_its_answer_has_ended(self, single: Stores) -> None:
        for number in (1, 2):
            await enqueued(single, asked(number))
        await enqueued(single, apart(3))
        batch = await one(single)
        assert batch.earlier_questions == (asked(1),)
        assert await single.worker_queue.claim(9) == []
        assert await single.worker_queue.finish(batch, DONE, YES)
        assert (await one(single)).question == apart(3)

    async def test_place_of_a_question_that_has_to_wait_goes_to_the_next_persons(self, single: Stores) -> None:
        for number, user_id in enumerate(("U1", "U1", "U2", "U3")):
            await enqueued(single, replace(apart(number), user_id=user_id))
        await enqueued(single, newest := asked(9, apart(0).thread))
        claimed = await single.worker_queue.claim(2)
        assert [job.question for job in claimed] == [replace(apart(2), user_id="U2"), newest], "oldest jobs first"
        assert [job.question.user_id for job in await single.worker_queue.claim(2)] == ["U3"]

    async def test_asker_has_room_while_an_end_is_unshown(self, single: Stores, clock: ManualClock) -> None:
        assert await single.worker_queue.finish(await begun(single, apart(1)), DONE, YES, outbox_kind=OutboxKind.REPLY)
        clock.now_s += wait_s(0)
        assert len(await single.outbox.claim_due(10)) == 1
        assert (await begun(single, apart(2))).question == apart(2)


class TestAttempt:
    async def test_claim_is_a_heartbeat(self, store: Stores) -> None:
        """Else a worker whose jobs all end within a second would look silent."""
        beats: list[int] = []
        for number in (1, 2):
            await begun(store, apart(number))
            async with store.database.engine.connect() as connection:
                beats += (await connection.scalars(sa.select(workers.c.beat))).all()
        assert beats[0] < beats[1]

    async def test_attempt_frees_what_the_one_before_had_reserved(self, store: Stores) -> None:
        caps = [Cap(CapWindow(Scope.USER, Period.DAY), limit, in_dollars=limit < 10) for limit in (5_000, 5)]
        for number in (1, 2):
            await enqueued(store, apart(number))
        first, second = await store.worker_queue.claim(2)
        assert await store.usage.reserve(first, Amount(5_000, 5.0), caps) == CapCheck()
        assert await store.worker_queue.release(first)
        await one(store)
        for cap in caps:
            assert await store.usage.reserve(second, Amount(1, 0.1), [cap]) == CapCheck()


async def interrupted(store: Stores) -> list[tuple[int, int | None]]:
    of_attempts = CHARGED_TURNS.where(turns.c.end_reason == "interrupted")
    async with store.database.engine.begin() as connection:
        return [(row.job_id, row.input_tokens) for row in await connection.execute(of_attempts)]


class TestTakeOver:
    async def test_jobs_under_way_are_taken_over_oldest_first_with_what_their_attempts_used(
        self, store: Stores
    ) -> None:
        ids = [await enqueued(store, apart(number)) for number in range(5)]
        ended, released, *held = await store.worker_queue.claim(5)
        await store.worker_queue.heartbeat({job: StepEstimate(100 + job.id, 1) for job in held})
        # On PostgreSQL a row that was written again is read last, unless an order is asked for.
        await store.worker_queue.record_messages(held[0], recorded_pages("5.1"))
        assert await store.worker_queue.finish(ended, DONE, YES)
        assert await store.worker_queue.release(released)
        taken = await taken_over(store, 2)
        assert [(job.id, job.attempts, job.interruptions) for job in taken] == [(job_id, 2, 1) for job_id in ids[2:4]]
        assert [job.id for job in await taken_over(store, 2)] == ids[4:]
        assert await interrupted(store) == [(job_id, 100 + job_id) for job_id in ids[2:]]
        assert await self._known(store) == set(), "nobody has to watch it any more"
        assert await taken_over(store, 2) == []
        assert [job.id for job in await store.worker_queue.claim(9)] == [released.id]

    async def _known(self, store: Stores) -> set[str]:
        async with store.database.engine.begin() as connection:
            return set(await connection.scalars(sa.select(workers.c.worker)))

    async def test_usage_of_an_earlier_attempt_does_not_count_again(self, store: Stores) -> None:
        job = await begun(store, apart(1))
        await store.worker_queue.heartbeat({job: StepEstimate(800, 20)})
        assert await store.worker_queue.release(job, estimate=StepEstimate(900, 30))
        await one(store)
        [taken] = await taken_over(store, 9)
        assert taken.attempts == 3
        assert await interrupted(store) == [(job.id, 900)]

    async def test_attempt_that_used_nothing_leaves_no_turn(self, store: Stores) -> None:
        job = await begun(store, apart(1))
        await store.worker_queue.heartbeat({job: StepEstimate()})
        assert len(await taken_over(store, 9)) == 1
        assert await interrupted(store) == []


class TestRelease:
    @pytest.mark.parametrize("used", [0, 900])
    async def test_attempt_is_counted_once_and_only_if_it_used_something(self, store: Stores, used: int) -> None:
        job = await begun(store, apart(1))
        assert await store.worker_queue.release(job, estimate=StepEstimate(used))
        assert not await store.worker_queue.release(job, estimate=StepEstimate(used))
        assert await interrupted(store) == ([(job.id, used)] if used else [])


async def test_jobs_that_were_lost_are_forgotten(store: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.store.worker_queue.MAX_HANDED_OUT", 5)
    for number in range(12):
        job = await begun(store, apart(number))
        async with store.database.begin_write() as connection:
            await connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(worker="w2"))
    assert len(store.worker_queue._handed_out) <= 6
