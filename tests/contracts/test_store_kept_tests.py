"""Kept tests: which there are, how long they keep their texts, and with what they go."""

import pytest
import sqlalchemy as sa

from bot.core.conversation import Question
from bot.core.kept_tests import MAX_TESTS, Check, CheckKind
from bot.store import Stores
from bot.store.schema import HALF_A_YEAR_S, audit_entries, jobs, kept_tests, turns
from tests.clocks import ManualClock
from tests.contracts.stores import DIRECT, DONE, YES, apart, asked, begun, count
from tests.contracts.test_store_erasure import answer_many

DAY_S = 86_400.0
CHECKS = Check(CheckKind.WORD, "Yes"), Check(CheckKind.MAX_WORDS, "10")


async def kept(store: Stores, question: Question, *checks: Check) -> int:
    job = await begun(store, question)
    await store.worker_queue.finish(job, DONE, YES)
    assert await store.kept_tests.keep(job.id, question, checks or CHECKS, "U1")
    return job.id


async def texts(store: Stores) -> list[tuple[str, str]]:
    async with store.database.begin_read() as connection:
        both = sa.select(jobs.c.text, turns.c.answer).join_from(jobs, turns).order_by(jobs.c.id)
        return [(row.text, row.answer) for row in await connection.execute(both)]


async def test_checks_are_replaced_and_removed(store: Stores) -> None:
    job_id = await kept(store, asked(1))
    assert await store.kept_tests.checks(job_id) == CHECKS
    for checks in (CHECKS[:1], ()):
        assert await store.kept_tests.keep(job_id, asked(1), checks, "U2")
        assert await store.kept_tests.checks(job_id) == checks
    assert not await count(store, kept_tests)
    async with store.database.begin_read() as connection:
        facts = sa.select(audit_entries.c.facts).where(audit_entries.c.facts.contains("kept_test"))
        assert len((await connection.scalars(facts)).all()) == 3


async def test_workspace_has_a_limited_number(store: Stores) -> None:
    await answer_many(store, MAX_TESTS + 1)
    kept_all = [await store.kept_tests.keep(number, asked(1), CHECKS, "U1") for number in range(1, MAX_TESTS + 2)]
    assert kept_all == [*[True] * MAX_TESTS, False]
    assert await store.kept_tests.keep(1, asked(1), CHECKS[:1], "U1"), "its checks can change"
    assert await store.kept_tests.keep(1, asked(1), (), "U1")
    assert await store.kept_tests.keep(MAX_TESTS + 1, asked(1), CHECKS, "U1")


async def test_answer_that_is_gone_is_not_kept(store: Stores) -> None:
    assert await store.kept_tests.keep(7, asked(1), CHECKS, "U1")
    assert not await count(store, kept_tests)


async def test_texts_stay_as_long_as_the_test(timed: Stores, clock: ManualClock) -> None:
    await kept(timed, asked(1))
    await timed.worker_queue.finish(await begun(timed, asked(2)), DONE, YES)
    clock.now_s += 31 * DAY_S
    await timed.erasure.expire(clock.now_s - 30 * DAY_S)
    assert await texts(timed) == [("Why?", YES), ("", "")]
    clock.now_s += HALF_A_YEAR_S - 31 * DAY_S
    for _ in range(2):
        await timed.erasure.expire(clock.now_s - 30 * DAY_S)
    assert await texts(timed) == [("", ""), ("", "")]
    assert not await count(timed, kept_tests)


async def test_keeping_an_answer_again_renews_the_test(timed: Stores, clock: ManualClock) -> None:
    job_id = await kept(timed, asked(1))
    clock.now_s += HALF_A_YEAR_S - DAY_S
    assert await timed.kept_tests.keep(job_id, asked(1), CHECKS, "U1")
    clock.now_s += 2 * DAY_S
    await timed.erasure.expire(clock.now_s - 30 * DAY_S)
    assert await texts(timed) == [("Why?", YES)]


@pytest.mark.parametrize("gone", ["question", "answer", "thread"])
async def test_test_goes_with_its_question_answer_or_thread(timed: Stores, gone: str) -> None:
    job_id, other = await kept(timed, asked(1)), await kept(timed, apart(2), Check(CheckKind.ASKS))
    match gone:
        case "question":
            assert await timed.question_queue.delete("T1", "C1", asked(1).ts)
        case "answer":
            await timed.recorded_answers.delete(job_id, "U1")
        case "thread":
            await timed.erasure.erase(thread=asked(1).thread)
    await timed.erasure.expire(0.0)
    assert not await timed.kept_tests.checks(job_id)
    assert await timed.kept_tests.checks(other)


async def test_erased_person_has_no_tests(store: Stores) -> None:
    await kept(store, asked(1, DIRECT))
    await store.erasure.erase(user_id="U1")
    assert not await count(store, kept_tests)
