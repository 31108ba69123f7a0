"""Erasure removes texts for good; retention removes texts and keeps usage."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.core.conversation import File, Question, ThreadKey
from bot.core.job import Pulse, Spent
from bot.core.stream import Citation
from bot.store import Stores
from bot.store.retention import SLACK_RETRIES_S
from bot.store.schema import jobs, seen_events, turns, usage_totals
from tests.clocks import WITHIN_S, ManualClock
from tests.contracts.stores import DIRECT, DONE, OTHER_THREAD, THREAD, YES, asked, count, enqueued, texts_of
from tests.core.conversations import recorded_pages

DAY_S = 86_400.0


async def answered(store: Stores, question: Question) -> None:
    await enqueued(store, question)
    [job] = await store.worker_queue.claim(1)
    await store.worker_queue.record_messages(job, recorded_pages(f"5.{job.id}"))
    await store.worker_queue.finish(job, replace(DONE, sources=(Citation("https://a.example", "A"),)), YES)


@pytest.fixture
async def with_questions(store: Stores) -> Stores:
    """U1 asked in three threads, and U2 in one of them."""
    for question in (asked(1), asked(2, OTHER_THREAD), asked(3, DIRECT), Question(THREAD, "1700000000.9", "U2", "So?")):
        await answered(store, question)
    return store


@pytest.mark.parametrize(
    ("user_id", "thread", "removed"),
    [("U1", None, 3), ("U2", None, 1), ("U3", None, 0), (None, THREAD, 2), (None, DIRECT, 1), ("U2", THREAD, 1)],
)
async def test_erasure_removes_exactly_the_given_person_and_thread(
    with_questions: Stores, user_id: str | None, thread: ThreadKey | None, removed: int
) -> None:
    assert await with_questions.erasure.erase(user_id=user_id, thread=thread) == removed
    assert await count(with_questions, jobs) == await count(with_questions, turns) == 4 - removed
    assert await with_questions.erasure.erase(user_id=user_id, thread=thread) == 0


async def test_erasing_everything_leaves_nothing(with_questions: Stores) -> None:
    await enqueued(with_questions, asked(7))
    assert await with_questions.erasure.erase() == 5
    assert [await count(with_questions, table) for table in (jobs, turns, seen_events)] == [0, 0, 0]
    assert not (await with_questions.participants.at_message(THREAD, "U1", "9")).takes_part


async def test_running_job_is_stopped_and_removed_at_its_end(store: Stores) -> None:
    job_id = await enqueued(store, asked(1))
    [job] = await store.worker_queue.claim(1)
    assert await store.erasure.erase(thread=THREAD) == 1
    assert await store.worker_queue.heartbeat({job: Spent()}) == Pulse(frozenset({job_id}), frozenset({job_id}))
    assert await store.worker_queue.finish(job, DONE, YES) is True
    assert await count(store, jobs) == await count(store, turns) == 0


async def test_answer_that_ends_while_its_asker_is_erased_counts_no_usage_for_them(postgresql_url: str) -> None:
    store = await Stores.open(postgresql_url, "w1", SystemClock())
    await answered(store, asked(1))
    await enqueued(store, asked(2, OTHER_THREAD))
    [job] = await store.worker_queue.claim(1)
    of_asker = sa.select(usage_totals).where(usage_totals.c.scope_id == "U1")
    async with store.database.engine.begin() as holding:
        assert (await holding.execute(of_asker.with_for_update())).all()
        erasing = asyncio.create_task(store.erasure.erase(user_id="U1"))
        await waiting_for_locks(store, 1)
        finishing = asyncio.create_task(store.worker_queue.finish(job, DONE, YES))
        await waiting_for_locks(store, 2)
    assert await erasing == 2
    await finishing
    async with store.database.engine.begin() as connection:
        assert (await connection.execute(of_asker)).all() == []
    await store.close()


async def waiting_for_locks(store: Stores, number: int) -> None:
    """Waits until so many transactions wait for others."""
    async with asyncio.timeout(WITHIN_S), store.database.engine.connect() as connection:
        at_once = await connection.execution_options(isolation_level="AUTOCOMMIT")
        while await at_once.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")) != number:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_erasure_of_a_handed_over_job_happens_at_its_end(store: Stores) -> None:
    await enqueued(store, asked(1))
    [job] = await store.worker_queue.claim(1)
    await store.erasure.erase(user_id="U1")
    await store.worker_queue.release(job)
    [again] = await store.worker_queue.claim(1)
    await store.worker_queue.finish(again, DONE, YES)
    assert await count(store, jobs) == 0


async def test_erased_text_does_not_remain_in_the_files(sqlite_url: str) -> None:
    store = await Stores.open(sqlite_url, "w1", SystemClock())
    for number in range(30):
        await answered(store, asked(number, text="a secret of mine " * 50))
    await enqueued(store, asked(99, OTHER_THREAD, "something else"))
    await store.erasure.erase(thread=THREAD)
    database = Path(sqlite_url.removeprefix("sqlite:///"))
    contents = b"".join(file.read_bytes() for file in sorted(database.parent.iterdir()))
    assert b"something else" in contents
    assert b"secret" not in contents
    assert YES.encode() not in contents
    await store.close()


async def test_texts_expire_and_usage_stays(database_url: str) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    await answered(store, asked(1))
    clock.now_s += 10 * DAY_S
    await answered(store, asked(2))
    assert await store.erasure.expire(clock.now_s - 5 * DAY_S) == 2
    assert await store.erasure.expire(clock.now_s - 5 * DAY_S) == 0
    async with store.database.engine.begin() as connection:
        texts = (await connection.scalars(sa.select(jobs.c.text).order_by(jobs.c.id))).all()
        recorded = (await connection.execute(sa.select(turns).order_by(turns.c.id))).all()
    assert texts == ["", "Why?"]
    assert [(turn.answer, turn.output_tokens) for turn in recorded] == [("", 20), (YES, 20)]
    assert [turn.sources for turn in recorded] == [None, [["https://a.example", "A"]]]
    assert (await store.participants.at_message(THREAD, "U1", "9")).takes_part
    assert list((texts_of(await store.recorded_answers.replies(THREAD))).values()) == [YES], (
        "the other answer is in Slack only"
    )
    await store.close()


async def test_file_names_expire(database_url: str) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    await answered(store, replace(asked(1), text="", files=(File("F1", "salaries.pdf"),)))
    await store.erasure.expire(clock.now_s + DAY_S)
    async with store.database.engine.begin() as connection:
        assert (await connection.scalars(sa.select(jobs.c.files))).all() == [[]]
    await store.close()


async def test_live_jobs_do_not_expire(database_url: str) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    for thread in (THREAD, OTHER_THREAD):
        await enqueued(store, asked(1, thread) if thread is THREAD else asked(2, thread))
    await store.worker_queue.claim(1)
    assert await store.erasure.expire(clock.now_s + DAY_S) == 0
    await store.close()


async def test_events_are_remembered_while_slack_may_redeliver_them(database_url: str) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    await enqueued(store, asked(1))
    clock.now_s += SLACK_RETRIES_S - 1
    await store.erasure.expire(clock.now_s)
    assert await count(store, seen_events) == 1
    clock.now_s += 2
    await store.erasure.expire(clock.now_s)
    assert await count(store, seen_events) == 0
    await store.close()
