"""Questions that the bot has to post: each is asked once, one process at a time posts it, and none is kept for good."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
import sqlalchemy as sa

from bot.core.conversation import Question, ThreadKey
from bot.core.job import TRANSITIONS, Event, QuotedMessage, State
from bot.core.outbox import OUTBOX_HOLD_S, OutboxEntry, OutboxKind
from bot.store import Stores
from bot.store.erasure import UNPOSTED_KEPT_S
from bot.store.schema import jobs, outbox_entries
from tests.clocks import LateClock
from tests.contracts.store_machine import states
from tests.contracts.stores import asked, count, enqueued

ABOUT = QuotedMessage("C1", "1.1", "1.1", "It failed", "https://slack.example/r")
POSTED = Question(ThreadKey("T1", "C1", "1.1"), "2.2", "U1", "Why?\n\n> It failed", attached_chars=11)


@dataclass
class Stage:
    """A database with a clock that tests move."""

    store: Stores
    clock: LateClock

    async def ask(self, text: str = "Why?", user_id: str = "U1", about: QuotedMessage = ABOUT) -> bool:
        return await self.store.unposted_questions.ask("T1", "V1", user_id, about, text)

    async def entries(self) -> list[OutboxEntry]:
        return await self.store.outbox.take(9)

    async def taken(self) -> OutboxEntry:
        """Takes the entry that has the question posted."""
        [entry] = await self.entries()
        assert entry.kind is OutboxKind.POST_QUESTION
        return entry

    async def post(self, entry: OutboxEntry, question: Question = POSTED) -> bool:
        return await self.store.question_queue.enqueue("view V1", question, job_id=entry.job_id) is not None


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    clock = LateClock()
    store = await Stores.open(database_url, "w1", clock)
    yield Stage(store, clock)
    await store.close()


async def test_question_is_asked_posted_given_up_and_erased_as_in_the_table(stage: Stage) -> None:
    happen: dict[Event, Callable[[], Awaitable[object]]] = {
        Event.ASK: stage.ask,
        Event.POST: lambda: stage.post(entries[0]),
        Event.GIVE_UP: lambda: stage.store.unposted_questions.give_up(entries[0]),
        Event.ERASE: lambda: stage.store.erasure.erase(user_id="U1"),
    }
    rows = {row: after for row, after in TRANSITIONS.items() if State.UNPOSTED in (row[0], after)}
    for (state, event), after in rows.items():
        if state is State.UNPOSTED:
            await stage.ask()
        entries = await stage.entries()
        await happen[event]()
        assert list((await states(stage.store)).values()) == [after] * (after is not State.ABSENT)
        await stage.store.erasure.erase()


async def test_simultaneous_submissions_ask_one_question(stage: Stage) -> None:
    assert sorted(await asyncio.gather(*(stage.ask() for _ in range(5)))) == [False] * 4 + [True]
    entry = await stage.taken()
    question = await stage.store.unposted_questions.read(entry)
    assert question
    assert (question.about, question.text, question.user_id, question.view_id) == (ABOUT, "Why?", "U1", "V1")
    assert (question.elsewhere, question.posted) == (False, None)


async def test_first_asker_and_first_text_stay(stage: Stage) -> None:
    await stage.ask()
    assert not await stage.ask("Why not?", "U2")
    question = await stage.store.unposted_questions.read(await stage.taken())
    assert question
    assert (question.user_id, question.text) == ("U1", "Why?")


async def test_draft_keeps_the_whole_message_until_its_modal_is_submitted(stage: Stage) -> None:
    whole = replace(ABOUT, quote="It failed " * 800)
    for _ in range(2):
        await stage.store.unposted_questions.draft("T1", "V1", "U1", whole)
    assert await stage.entries() == [], "nobody has asked yet"
    assert await stage.ask()
    question = await stage.store.unposted_questions.read(await stage.taken())
    assert question
    assert (question.about, question.text) == (whole, "Why?")
    await stage.store.unposted_questions.draft("T1", "V1", "U1", ABOUT)
    assert not await stage.ask()


async def test_unposted_question_is_posted_by_one_process_at_a_time(stage: Stage) -> None:
    await stage.ask()
    first = await stage.taken()
    assert await stage.entries() == []
    stage.clock.ahead_s = OUTBOX_HOLD_S + 1
    taken = [entry for some in await asyncio.gather(*(stage.entries() for _ in range(3))) for entry in some]
    assert [entry.tries for entry in taken] == [2]
    records = stage.store.unposted_questions
    assert not await records.record_direct_post(first, begun=True), "an earlier holder records nothing"
    await records.give_up(first)
    assert await records.record_direct_post(taken[0], begun=True)
    assert (await records.read(taken[0]) or stage).elsewhere  # type: ignore[union-attr]


async def test_posted_question_is_queued_once_as_its_askers_words(stage: Stage) -> None:
    await stage.ask()
    entry = await stage.taken()
    assert sorted(await asyncio.gather(*(stage.post(entry) for _ in range(3)))) == [False, False, True]
    assert await stage.store.unposted_questions.read(entry) is None
    [job] = await stage.store.worker_queue.claim(9)
    assert (job.id, job.question) == (entry.job_id, POSTED)
    assert not await stage.ask("Why not?"), "it is asked once, also after its post"


async def test_posted_question_waits_behind_earlier_ones_of_its_thread(stage: Stage) -> None:
    await stage.ask()
    entry = await stage.taken()
    await enqueued(stage.store, replace(asked(1), thread=POSTED.thread, ts="2.0"))
    taken = await stage.store.question_queue.enqueue("view V1", POSTED, job_id=entry.job_id)
    assert taken
    assert taken.needs_placeholder


async def test_unposted_question_holds_up_nobody(stage: Stage) -> None:
    await stage.ask(about=replace(ABOUT, thread_ts="1.1"))
    taken = await stage.store.question_queue.enqueue("Ev1", replace(POSTED, ts="1.5"))
    assert taken
    assert not taken.needs_placeholder
    assert [job.id for job in await stage.store.worker_queue.claim(9)] == [taken.job_id]
    assert await stage.store.question_queue.count_queued() == 0


async def test_question_that_is_given_up_can_be_asked_again_by_anybody(stage: Stage) -> None:
    await stage.ask()
    entry = await stage.taken()
    await stage.store.unposted_questions.give_up(entry)
    assert await count(stage.store, outbox_entries) == 0
    assert not await stage.post(entry)
    assert await stage.ask("Why not?", "U2")
    question = await stage.store.unposted_questions.read(await stage.taken())
    assert question
    assert (question.user_id, question.text) == ("U2", "Why not?")


async def test_question_that_was_left_unsure_is_taken_once_its_post_is_known(stage: Stage) -> None:
    await stage.ask()
    entry = await stage.taken()
    await stage.store.outbox.complete(entry)
    assert not await stage.ask(), "it may have been posted"
    await stage.store.unposted_questions.record_post("T1", "V1", "D1", "2.2")
    question = await stage.store.unposted_questions.read(await stage.taken())
    assert question
    assert question.posted == ("D1", "2.2")


async def test_event_about_a_post_leaves_it_to_the_process_that_has_the_question(stage: Stage) -> None:
    await stage.ask()
    entry = await stage.taken()
    await stage.store.unposted_questions.record_post("T1", "V1", "C1", "2.2")
    assert await stage.entries() == []
    assert await stage.post(entry)
    await stage.store.unposted_questions.record_post("T1", "V1", "C1", "2.2")
    assert (await states(stage.store))[entry.job_id] is State.QUEUED


async def test_no_text_about_a_posted_question_is_kept_beside_it(stage: Stage) -> None:
    await stage.ask()
    await stage.post(await stage.taken())
    async with stage.store.database.engine.begin() as connection:
        assert await connection.scalar(sa.select(jobs.c.unposted)) is None


@pytest.mark.parametrize("text", ["Why?", ""], ids=["never posted", "draft of a closed modal"])
async def test_unposted_question_expires_after_a_day(stage: Stage, text: str) -> None:
    if text:
        await stage.ask(text)
    else:
        await stage.store.unposted_questions.draft("T1", "V1", "U1", ABOUT)
    for ahead_s, left in ((UNPOSTED_KEPT_S - 1, 1), (UNPOSTED_KEPT_S + 1, 0)):
        stage.clock.ahead_s = ahead_s
        await stage.store.erasure.expire(0.0)
        assert await count(stage.store, jobs) == left


@pytest.mark.parametrize(
    ("of", "is_left"),
    [
        ({"user_id": "U1"}, False),
        ({"user_id": "U2"}, True),
        ({"thread": POSTED.thread}, False),
        ({"thread": ThreadKey("T1", "C1", "9.9")}, True),
        ({"thread": ThreadKey("T2", "C1", "1.1")}, True),
        ({"thread": POSTED.thread, "user_id": "U2"}, True),
        ({}, False),
    ],
    ids=str,
)
async def test_erasure_removes_unposted_questions(stage: Stage, of: dict[str, str], is_left: bool) -> None:
    await stage.ask()
    await stage.store.erasure.erase(**of)  # type: ignore[arg-type]
    assert await count(stage.store, jobs) == await count(stage.store, outbox_entries) == int(is_left)
