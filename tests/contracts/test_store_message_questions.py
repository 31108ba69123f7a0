"""Recorded questions about a message: one process at a time handles each, and none is kept for good."""

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.core.message_question import QUESTION_HOLD_S, MessageQuestion, QuotedMessage
from bot.store import Stores
from bot.store.database import Database
from bot.store.message_questions import MessageQuestions
from bot.store.retention import MESSAGE_QUESTIONS_KEPT_S
from bot.store.schema import message_questions
from tests.clocks import LateClock
from tests.contracts.stores import count

ABOUT = QuotedMessage("C1", "1.1", "1.1", "It failed", "https://slack.example/r")


@pytest.fixture
def clock() -> LateClock:
    return LateClock()


@pytest.fixture
def records(store: Stores, clock: LateClock) -> MessageQuestions:
    return MessageQuestions(Database(store.database.engine, clock))


async def begun(records: MessageQuestions, text: str = "Why?") -> MessageQuestion | None:
    return await records.begin("T1", "V1", "U1", ABOUT, text)


async def test_simultaneous_submissions_begin_one_question(records: MessageQuestions) -> None:
    results = await asyncio.gather(*(begun(records) for _ in range(5)))
    [ask] = [result for result in results if result]
    assert (ask.about, ask.text, ask.tries, ask.done) == (ABOUT, "Why?", 1, False)


async def test_draft_keeps_the_whole_message_until_its_modal_is_submitted(
    store: Stores, records: MessageQuestions, clock: LateClock
) -> None:
    whole = replace(ABOUT, quote="It failed " * 800)
    for _ in range(2):
        await records.draft("T1", "V1", "U1", whole)
    clock.ahead_s = 9 * QUESTION_HOLD_S
    assert await records.take(9) == [], "nobody has asked yet"
    ask = await begun(records)
    assert ask
    assert (ask.about, ask.text, ask.tries) == (whole, "Why?", 1)
    await records.complete(ask)
    await records.draft("T1", "V1", "U1", whole)
    assert (await begun(records) or ask).done


async def test_draft_of_a_modal_that_is_closed_expires_after_a_day(database_url: str, clock: LateClock) -> None:
    store = await Stores.open(database_url, "w1", clock)
    await store.message_questions.draft("T1", "V1", "U1", ABOUT)
    clock.ahead_s = MESSAGE_QUESTIONS_KEPT_S + 1
    await store.erasure.expire(0.0)
    assert await count(store, message_questions) == 0
    await store.close()


async def test_abandoned_question_is_taken_once_by_any_process(records: MessageQuestions, clock: LateClock) -> None:
    await begun(records)
    assert await records.take(9) == []
    clock.ahead_s = QUESTION_HOLD_S + 1
    taken = await asyncio.gather(*(records.take(9) for _ in range(3)))
    assert [ask.tries for some in taken for ask in some] == [2]


async def test_abandoned_question_stays_that_of_its_first_asker(records: MessageQuestions, clock: LateClock) -> None:
    await begun(records)
    clock.ahead_s = QUESTION_HOLD_S + 1
    again = await records.begin("T1", "V1", "U2", ABOUT, "Why not?")
    assert again
    assert (again.user_id, again.text) == ("U1", "Why?")


async def test_first_text_stays_unless_its_asker_was_notified(records: MessageQuestions, clock: LateClock) -> None:
    ask = await begun(records)
    assert ask
    clock.ahead_s = QUESTION_HOLD_S + 1
    again = await begun(records, "Why not?")
    assert again
    assert again.text == "Why?"
    await records.postpone(ask, None)
    assert await begun(records, "Why not?") is None, "an earlier holder can't postpone it"
    await records.postpone(again, None)
    clock.ahead_s *= 9
    assert await records.take(9) == [], "a question whose asker was notified is not retried"
    resubmitted = await begun(records, "Why not?")
    assert resubmitted
    assert resubmitted.text == "Why not?"


async def test_question_that_was_given_up_is_taken_once_its_post_is_known(records: MessageQuestions) -> None:
    ask = await begun(records)
    assert ask
    assert await records.record_direct_post(ask, begun=True)
    await records.postpone(ask, None)
    await records.record_post("T1", "V1", "D1", "2.2")
    [taken] = await records.take(9)
    assert (taken.posted, taken.elsewhere) == (("D1", "2.2"), True)


async def test_done_question_is_known_for_a_day_without_its_texts(
    store: Stores, records: MessageQuestions, clock: LateClock
) -> None:
    ask = await begun(records)
    assert ask
    await records.complete(ask)
    await records.record_post("T1", "V1", "C1", "2.2")
    clock.ahead_s = 2 * QUESTION_HOLD_S
    assert await records.take(9) == []
    again = await begun(records)
    assert again
    assert again.done
    async with store.database.engine.begin() as connection:
        [row] = (await connection.execute(sa.select(message_questions.c.about, message_questions.c.text))).all()
    assert tuple(row) == ({}, "")


async def test_erasure_removes_the_persons_message_questions(store: Stores, records: MessageQuestions) -> None:
    await begun(records)
    await store.erasure.erase(user_id="U2")
    assert await count(store, message_questions) == 1
    await store.erasure.erase(user_id="U1")
    assert await count(store, message_questions) == 0


async def test_question_that_is_a_job_is_known_as_long_as_texts_are_kept(database_url: str, clock: LateClock) -> None:
    store = await Stores.open(database_url, "w1", clock)
    ask = await begun(store.message_questions)
    assert ask
    await store.message_questions.complete(ask)
    clock.ahead_s = MESSAGE_QUESTIONS_KEPT_S + 1
    for before, left in ((ask.created_at, 1), (ask.created_at + 1, 0)):
        await store.erasure.expire(before)
        assert await count(store, message_questions) == left
    await store.close()


async def test_question_that_was_given_up_is_asked_for_the_person_who_asks_again(records: MessageQuestions) -> None:
    ask = await begun(records)
    assert ask
    again = ("T1", "V1", "U2", ABOUT, "Why not?")
    assert await records.begin(*again) is None
    await records.postpone(ask, None)
    taken = await records.begin(*again)
    assert taken
    assert (taken.user_id, taken.text) == ("U2", "Why not?")


async def test_message_questions_expire_after_a_day(database_url: str, clock: LateClock) -> None:
    store = await Stores.open(database_url, "w1", clock)
    await begun(store.message_questions)
    clock.ahead_s = MESSAGE_QUESTIONS_KEPT_S + 1
    await store.erasure.expire(0.0)
    assert await count(store, message_questions) == 0
    await store.close()
