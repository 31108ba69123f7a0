"""Races between workers, held at a barrier: one connection keeps its transaction open until another waits for it."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from inspect import unwrap
from typing import TypeVar

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import SystemClock
from bot.core.calls import Decision
from bot.core.job import FollowUp, Job, Piece, State, Status, StepEstimate
from bot.store import Stores, claim, steps
from bot.store.calls import RecordedCalls, deny_by_reply
from bot.store.database import create_engine
from bot.store.erasure import QUESTION
from bot.store.outbox_entries import _claim_entries
from bot.store.queue import Arrival, QuestionQueue, write_arrivals
from bot.store.schema import charges, checkpoints, jobs, workers
from bot.store.workers import Observation
from tests.contracts.databases import Process
from tests.contracts.store_machine import states
from tests.contracts.stores import (
    CALL,
    DONE,
    METER,
    SAID,
    STEPPED,
    THREAD,
    YES,
    answered,
    apart,
    asked,
    asking_step,
    begun,
    enqueued,
    one,
)
from tests.recorded_calls import newest_calls

T = TypeVar("T")

WAITS_WITHIN_S = 30.0
"""The server ends a transaction that is idle for five seconds (bot/store/database.py)."""
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


async def observed(store: Stores) -> dict[str, Observation]:
    async with store.database.engine.connect() as connection:
        return {"w1": Observation(await connection.scalar(sa.select(workers.c.beat).where(workers.c.worker == "w1")))}


async def until_one_waits(connection: AsyncConnection, number: int = 1) -> None:
    try:
        async with asyncio.timeout(WAITS_WITHIN_S):
            while await connection.scalar(sa.text(WAITING)) < number:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(f"for {WAITS_WITHIN_S} s the second transaction did not wait for a lock of the first one")


async def behind(
    store: Stores,
    first: Callable[[AsyncConnection], Awaitable[object]],
    second: Callable[[AsyncConnection], Awaitable[T]],
) -> T:
    """Begins two transactions, and commits the first once the second one waits for it; returns the second's result."""
    engine = store.database.engine
    async with engine.connect() as one, engine.connect() as other, engine.connect() as watching:
        await first(one)
        waiting = asyncio.ensure_future(second(other))
        await until_one_waits(watching)
        await one.commit()
        result = await waiting
        await other.commit()
    return result


async def taken_over_behind(store: Stores, first: Callable[[AsyncConnection], Awaitable[object]]) -> list[Job]:
    """Returns the jobs of w1 that w2 takes over once a transaction of w1 is committed."""
    dead = await observed(store)
    return await behind(store, first, lambda second: claim.take_over(second, "w2", dead, 10, 0.0, METER))


@pytest.fixture
async def server_store(on_server: Process) -> Stores:
    return await on_server()


async def test_take_over_waits_for_a_heartbeat_that_is_being_written(server_store: Stores) -> None:
    job = await begun(server_store)
    beat = sa.update(workers).where(workers.c.worker == "w1").values(beat=workers.c.beat + 1)
    taken = await taken_over_behind(server_store, lambda beating: beating.execute(beat))
    assert taken == [], "the heartbeat was written first, so its worker lives"
    assert (await server_store.worker_queue.heartbeat({job: StepEstimate()})).owned_ids == {job.id}


async def test_simultaneous_claims_respect_the_persons_limit(server_store: Stores) -> None:
    ids = [await enqueued(server_store, apart(number)) for number in (1, 2)]
    claimed = await behind(
        server_store,
        lambda first: claim.claim_ready(first, "w1", 1, 1, 0.0),
        lambda second: claim.claim_ready(second, "w2", 1, 1, 0.0),
    )
    assert claimed == [], "the second claim sees the answer that the first one starts"
    assert [(await states(server_store))[job_id] for job_id in ids] == [State.RUNNING, State.QUEUED]


async def test_claim_skips_a_locked_job(server_store: Stores) -> None:
    job_id = await enqueued(server_store, apart(1))
    engine = server_store.database.engine
    async with engine.connect() as stopping, engine.connect() as claiming:
        row = await stopping.execute(sa.select(jobs.c.id).where(jobs.c.id == job_id).with_for_update())
        assert row.scalar_one() == job_id
        try:
            async with asyncio.timeout(WAITS_WITHIN_S):
                assert await claim.claim_ready(claiming, "w1", 1, 10, 0.0) == []
        except TimeoutError:
            pytest.fail("a claim waits for a locked job, instead of passing it by")
        await claiming.commit()
        await stopping.commit()


Act = Callable[[Stores], Awaitable[object]]


@contextmanager
def meanwhile(store: Stores, url: str, statement: str, act: Act) -> Iterator[list[object]]:
    """Has another process act before this store's first statement that begins like this; sends the statement once the
    other process is done or waits for a lock. Yields a list that gets its result."""
    results: list[object] = []

    async def run() -> None:
        other = Stores(create_engine(url), "w2", SystemClock())
        results.append(await act(other))
        await other.database.dispose()

    process = threading.Thread(target=lambda: asyncio.run(run()))

    def before(_connection: object, _cursor: object, sql: str, *_rest: object) -> None:
        if process.ident is None and sql.startswith(statement):
            process.start()
            with psycopg.connect(url, autocommit=True) as watching:
                while process.is_alive() and watching.execute(WAITING).fetchone() == (0,):
                    time.sleep(0.005)

    engine = store.database.engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", before)
    yield results
    sa.event.remove(engine, "before_cursor_execute", before)
    process.join()


async def delete(store: Stores, number: int) -> bool:
    return await store.question_queue.delete(THREAD.team_id, THREAD.channel_id, asked(number).ts)


async def test_question_stopped_while_its_batch_is_claimed_stays_stopped(
    server_store: Stores, postgresql_url: str
) -> None:
    ids = [await enqueued(server_store, asked(number)) for number in (1, 2, 3)]
    with meanwhile(
        server_store, postgresql_url, "UPDATE jobs", lambda other: other.question_queue.request_stop(ids[1])
    ) as done:
        [job] = await server_store.worker_queue.claim(9)
    assert done == [True]
    assert (job.question, job.earlier_questions) == (asked(3), (asked(1),))
    assert (await states(server_store))[ids[1]] is State.UNBEGUN


async def test_answer_regenerated_while_later_questions_are_claimed_goes_first(
    server_store: Stores, postgresql_url: str
) -> None:
    first = await answered(server_store)
    for number in (2, 3):
        await enqueued(server_store, asked(number))
    with meanwhile(
        server_store, postgresql_url, "SELECT jobs.team_id", lambda other: other.question_queue.regenerate(first.id)
    ) as done:
        claimed = await server_store.worker_queue.claim(9)
    assert done != [None]
    assert [(job.id, job.earlier_questions) for job in claimed] == [(first.id, ())]
    assert await server_store.worker_queue.finish(claimed[0], DONE, YES)
    assert [job.earlier_questions for job in await server_store.worker_queue.claim(9)] == [(asked(2),)]


async def test_question_deleted_while_its_batch_comes_apart_stays_deleted(
    server_store: Stores, postgresql_url: str
) -> None:
    ids = [await enqueued(server_store, asked(number)) for number in (1, 2)]
    job = await one(server_store)
    assert await server_store.question_queue.request_stop(job.id)
    with meanwhile(server_store, postgresql_url, "UPDATE jobs SET status", lambda other: delete(other, 1)) as done:
        assert await delete(server_store, 2)
    assert done == [True]
    assert (await states(server_store))[ids[0]] is State.UNBEGUN


async def test_question_that_is_being_deleted_is_not_claimed(server_store: Stores, postgresql_url: str) -> None:
    job_id = await enqueued(server_store, asked(1))
    with meanwhile(server_store, postgresql_url, "UPDATE jobs", lambda other: other.worker_queue.claim(9)) as done:
        assert await delete(server_store, 1)
    assert done == [[]]
    assert await states(server_store) == {job_id: State.UNBEGUN}


async def test_question_deleted_while_it_is_taken_along_is_left_out_of_the_answer(
    server_store: Stores, postgresql_url: str
) -> None:
    job = await begun(server_store)
    await enqueued(server_store, asked(2))
    with meanwhile(server_store, postgresql_url, "UPDATE jobs", lambda other: delete(other, 2)) as done:
        assert await server_store.recorded_calls.take_follow_ups(job, 1) == (FollowUp(asked(2), 1),)
    assert done == [True]
    assert (await server_store.worker_queue.heartbeat({job: StepEstimate()})).ids_to_restart == {job.id}


async def test_answer_is_regenerated_once_by_two_processes_at_once(server_store: Stores, postgresql_url: str) -> None:
    job = await answered(server_store)
    with meanwhile(
        server_store, postgresql_url, "UPDATE jobs", lambda other: other.question_queue.regenerate(job.id)
    ) as done:
        assert await server_store.question_queue.regenerate(job.id)
    assert done == [None]
    assert (await one(server_store)).version == 1


async def test_job_that_ends_while_it_is_taken_over_stays_ended(server_store: Stores) -> None:
    job = await begun(server_store)
    end = sa.update(jobs).where(jobs.c.id == job.id).values(status=Status.ENDED.value)
    assert await taken_over_behind(server_store, lambda ending: ending.execute(end)) == []


async def test_take_over_waits_for_a_piece_that_is_being_written(server_store: Stores) -> None:
    job = await begun(server_store)
    pieces = {job: Piece(0, "One ")}
    [taken] = await taken_over_behind(server_store, lambda writing: steps.append_text(writing, "w1", pieces))
    assert taken.checkpoint.text == "One "


async def test_piece_that_waits_for_a_take_over_is_not_written(server_store: Stores) -> None:
    job, dead = await begun(server_store), await observed(server_store)
    are_written = await behind(
        server_store,
        lambda taking: claim.take_over(taking, "w2", dead, 10, 0.0, METER),
        lambda writing: steps.append_text(writing, "w1", {job: Piece(0, "One ")}),
    )
    async with server_store.database.engine.connect() as reading:
        assert (are_written, (await reading.execute(sa.select(checkpoints))).all()) == (False, [])


async def test_question_deleted_during_its_claim_takes_no_other_question_along(server_store: Stores) -> None:
    for number in (1, 2):
        await enqueued(server_store, asked(number))
    engine = server_store.database.engine
    async with engine.connect() as deleting, engine.connect() as watching:
        place = THREAD.team_id, THREAD.channel_id, asked(2).ts
        assert await unwrap(QuestionQueue.delete)(server_store.question_queue, deleting, *place)
        claiming = asyncio.create_task(server_store.worker_queue.claim(1))
        await until_one_waits(watching)
        await deleting.commit()
    assert [job.question for job in (*await claiming, *await server_store.worker_queue.claim(1))] == [asked(1)]


async def test_answer_that_ends_while_its_asker_is_erased_counts_no_usage_for_them(server_store: Stores) -> None:
    await answered(server_store)
    job = await begun(server_store, asked(2))
    of_asker = sa.select(charges).where(charges.c.user_id == "U1")
    engine = server_store.database.engine
    async with engine.connect() as holding, engine.connect() as watching:
        assert (await holding.execute(of_asker.with_for_update())).all()
        erasing = asyncio.create_task(server_store.erasure.erase(user_id="U1"))
        await until_one_waits(watching)
        finishing = asyncio.create_task(server_store.worker_queue.finish(job, DONE, YES))
        await until_one_waits(watching, 2)
        await holding.commit()
        assert (await erasing)[QUESTION] == 2
        await finishing
        assert (await watching.execute(of_asker)).all() == []


async def test_heartbeat_and_an_end_lock_an_attempt_in_the_same_order(server_store: Stores) -> None:
    job = await begun(server_store)
    engine = server_store.database.engine
    async with engine.connect() as ending, engine.connect() as watching:
        await ending.execute(sa.select(jobs.c.id).with_for_update())
        beating = asyncio.create_task(
            server_store.worker_queue.heartbeat({job: StepEstimate(9, 9)}, {job: Piece(0, "One ")})
        )
        await until_one_waits(watching)
        await ending.execute(sa.text("SET LOCAL lock_timeout = 1000"))
        await ending.execute(sa.update(charges).values(input_tokens=5))
        await ending.commit()
        await beating


@pytest.mark.parametrize("limit", [1, 2])
async def test_two_processes_never_take_the_same_entry(server_store: Stores, limit: int) -> None:
    for number in (1, 2):
        assert await server_store.worker_queue.finish(
            await begun(server_store, apart(number)), DONE, YES, should_mention=True
        )
    engine = server_store.database.engine
    async with engine.connect() as first, engine.connect() as second:
        now = SystemClock().now() + 1
        taken = [await _claim_entries(connection, limit, now) for connection in (first, second)]
        assert [len(entries) for entries in taken] == ([1, 1] if limit == 1 else [2, 0])
    assert len({entry.id for entries in taken for entry in entries}) == 2


# A reply while an answer is about to wait for an approval.


async def ask_again(connection: AsyncConnection) -> bool:
    """Enqueues the asker's next question as QuestionQueue does."""
    question, now = asked(2), SystemClock().now()
    assert await write_arrivals(connection, [Arrival("Ev2", question, is_queue_full=False)], 9, now) != [None]
    return await deny_by_reply(connection, [question], now)


@pytest.mark.parametrize("is_asked_first", [True, False])
async def test_reply_that_comes_while_the_wait_is_recorded_denies_the_calls(
    server_store: Stores, is_asked_first: bool
) -> None:
    job, records = await begun(server_store), server_store.recorded_calls
    assert await records.record_step(job, asking_step(CALL), STEPPED, SAID)
    shown_at = server_store.clock.now()

    async def wait(connection: AsyncConnection) -> bool:
        return bool(await unwrap(RecordedCalls.wait_for_decisions)(records, connection, job, None, None, shown_at))

    first, second = (ask_again, wait) if is_asked_first else (wait, ask_again)
    assert await behind(server_store, first, second)
    [call] = await newest_calls(server_store, job.id)
    assert call.decision is Decision.REPLIED
    assert (await states(server_store))[job.id] is State.RELEASED
