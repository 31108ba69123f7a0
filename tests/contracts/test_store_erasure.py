"""What is removed for good, and what is kept when texts are not kept any longer."""

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.core.conversation import File, Question, ThreadKey
from bot.core.job import Pulse, Spent
from bot.ports.clock import SystemClock
from bot.store import Stores
from bot.store.erasure import SLACK_RETRIES_S
from bot.store.schema import jobs, seen_events, turns
from tests.contracts.clocks import ToldClock
from tests.contracts.stores import DIRECT, DONE, OTHER_THREAD, THREAD, asked, count, enqueued

pytest_plugins = ["tests.contracts.databases"]

DAY_S = 86_400.0


async def answered(store: Stores, question: Question) -> None:
    await enqueued(store, question)
    [job] = await store.worker_queue.claim(1)
    await store.worker_queue.record_pages(job.id, [f"5.{job.id}"])
    await store.worker_queue.finish(job, DONE)


@pytest.fixture
async def talked(store: Stores) -> Stores:
    """U1 asked in three threads, U2 in one of them."""
    for question in (asked(1), asked(2, OTHER_THREAD), asked(3, DIRECT), Question(THREAD, "1700000000.9", "U2", "So?")):
        await answered(store, question)
    return store


@pytest.mark.parametrize(
    ("user_id", "thread", "removed"),
    [("U1", None, 3), ("U2", None, 1), ("U3", None, 0), (None, THREAD, 2), (None, DIRECT, 1), ("U2", THREAD, 1)],
)
async def test_a_persons_and_a_threads_are_removed_and_no_others(
    talked: Stores, user_id: str | None, thread: ThreadKey | None, removed: int
) -> None:
    assert await talked.erasure.erase(user_id=user_id, thread=thread) == removed
    assert await count(talked, jobs) == await count(talked, turns) == 4 - removed
    assert await talked.erasure.erase(user_id=user_id, thread=thread) == 0


async def test_all_is_all(talked: Stores) -> None:
    await enqueued(talked, asked(7))
    assert await talked.erasure.erase() == 5
    assert [await count(talked, table) for table in (jobs, turns, seen_events)] == [0, 0, 0]
    assert not (await talked.participants.at_message(THREAD, "U1", "9")).takes_part


async def test_what_is_being_answered_is_stopped_and_removed_at_its_end(store: Stores) -> None:
    job_id = await enqueued(store, asked(1))
    [job] = await store.worker_queue.claim(1)
    assert await store.erasure.erase(thread=THREAD) == 1
    assert await store.worker_queue.heartbeat({job: Spent()}) == Pulse(frozenset({job_id}), frozenset({job_id}))
    assert await store.worker_queue.finish(job, DONE) is True
    assert await count(store, jobs) == await count(store, turns) == 0


@pytest.mark.parametrize("handed_over", [True, False])
async def test_other_peoples_questions_do_not_go_with_the_one_that_they_wait_for(
    store: Stores, handed_over: bool
) -> None:
    theirs = replace(asked(1), user_id="U2")
    for question in (theirs, asked(2)):
        await enqueued(store, question)
    [job] = await store.worker_queue.claim(1)
    if handed_over:
        await store.worker_queue.release(job)
    await store.erasure.erase(user_id="U1")
    if not handed_over:
        await store.worker_queue.finish(job, DONE)
    assert [each.question for each in await store.worker_queue.claim(1)] == [theirs]


async def test_a_job_that_is_handed_over_is_still_to_be_forgotten(store: Stores) -> None:
    await enqueued(store, asked(1))
    [job] = await store.worker_queue.claim(1)
    await store.erasure.erase(user_id="U1")
    await store.worker_queue.release(job)
    [again] = await store.worker_queue.claim(1)
    await store.worker_queue.finish(again, DONE)
    assert await count(store, jobs) == 0


async def test_no_word_of_it_stays_in_the_files(sqlite_url: str) -> None:
    store = await Stores.open(sqlite_url, "w1", SystemClock())
    for number in range(30):
        await answered(store, asked(number, text="a secret of mine " * 50))
    await enqueued(store, asked(99, OTHER_THREAD, "something else"))
    await store.erasure.erase(thread=THREAD)
    database = Path(sqlite_url.removeprefix("sqlite:///"))
    kept = b"".join(file.read_bytes() for file in sorted(database.parent.iterdir()))
    assert b"something else" in kept
    assert b"secret" not in kept
    assert DONE.answer.encode() not in kept
    await store.close()


async def test_texts_expire_and_usage_stays(database_url: str) -> None:
    clock = ToldClock()
    store = await Stores.open(database_url, "w1", clock)
    await answered(store, asked(1))
    clock.time_s += 10 * DAY_S
    await answered(store, asked(2))
    assert await store.erasure.expire(clock.time_s - 5 * DAY_S) == 2
    assert await store.erasure.expire(clock.time_s - 5 * DAY_S) == 0
    async with store.database.engine.begin() as connection:
        texts = (await connection.scalars(sa.select(jobs.c.text).order_by(jobs.c.id))).all()
        said = (await connection.execute(sa.select(turns).order_by(turns.c.id))).all()
    assert texts == ["", "Why?"]
    assert [(turn.answer, turn.output_tokens) for turn in said] == [("", 20), (DONE.answer, 20)]
    assert (await store.participants.at_message(THREAD, "U1", "9")).takes_part
    assert list((await store.recorded_answers.replies(THREAD)).values()) == [DONE.answer], (
        "the other is only in Slack now"
    )
    await store.close()


async def test_files_are_not_named_any_longer_either(database_url: str) -> None:
    clock = ToldClock()
    store = await Stores.open(database_url, "w1", clock)
    await answered(store, replace(asked(1), text="", files=(File("F1", "salaries.pdf"),)))
    await store.erasure.expire(clock.time_s + DAY_S)
    async with store.database.engine.begin() as connection:
        assert (await connection.scalars(sa.select(jobs.c.files))).all() == [[]]
    await store.close()


async def test_what_is_still_to_be_answered_does_not_expire(database_url: str) -> None:
    clock = ToldClock()
    store = await Stores.open(database_url, "w1", clock)
    for thread in (THREAD, OTHER_THREAD):
        await enqueued(store, asked(1, thread) if thread is THREAD else asked(2, thread))
    await store.worker_queue.claim(1)
    assert await store.erasure.expire(clock.time_s + DAY_S) == 0
    await store.close()


async def test_an_event_that_slack_may_send_again_is_remembered(database_url: str) -> None:
    clock = ToldClock()
    store = await Stores.open(database_url, "w1", clock)
    await enqueued(store, asked(1))
    clock.time_s += SLACK_RETRIES_S - 1
    await store.erasure.expire(clock.time_s)
    assert await count(store, seen_events) == 1
    clock.time_s += 2
    await store.erasure.expire(clock.time_s)
    assert await count(store, seen_events) == 0
    await store.close()
