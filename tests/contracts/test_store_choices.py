"""Choices on record: they stand as long as their answer does, for any process, and until one of them is asked."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from bot.core.choices import question_id
from bot.core.conversation import Job
from bot.core.job import End
from bot.core.message_question import QuotedMessage
from bot.core.outbox import OUTBOX_HOLD_S, OutboxEntry, OutboxKind
from bot.store import Stores
from bot.store.schema import checkpoints
from tests.clocks import LateClock
from tests.contracts.stores import DONE, THREAD, YES, asked, count, enqueued, one
from tests.core.conversations import recorded_pages

OFFERED = ("Staging", "Production")
ASKING = replace(DONE, choices=OFFERED)
PAGE = "5.1"


@pytest.fixture
def clock() -> LateClock:
    return LateClock()


async def offering(store: Stores, end: End = ASKING, **options: OutboxKind) -> Job:
    """Returns the job of an answer that offers choices."""
    await enqueued(store, asked(1))
    job = await one(store)
    await store.worker_queue.record_messages(job, recorded_pages(PAGE))
    assert await store.worker_queue.finish(job, end, YES, for_outbox=options.get("for_outbox"))
    return job


async def standing(store: Stores) -> tuple[str, ...]:
    answer = await store.recorded_answers.shown_by(THREAD, PAGE)
    return answer.choices if answer else ()


async def closing(store: Stores) -> list[OutboxEntry]:
    return [entry for entry in await store.outbox.take(10) if entry.kind is OutboxKind.CLOSE_CHOICES]


async def test_choices_wait_for_any_process_and_are_closed_once_one_is_asked(shared_url: str, clock: LateClock) -> None:
    store, other = [await Stores.open(shared_url, worker, clock) for worker in ("w1", "w2")]
    job = await offering(store)
    assert await standing(other) == OFFERED
    about = QuotedMessage("C1", PAGE, "1.0", "", "", offered_by=job.id)
    question = await other.message_questions.begin("T1", question_id(job.id, 0), "U2", about, "Staging")
    assert question is not None
    assert question.about == about
    assert await store.message_questions.begin("T1", question_id(job.id, 0), "U3", about, "Production") is None
    assert await standing(store) == OFFERED, "nothing is asked yet"
    await other.message_questions.complete(question)
    assert await standing(store) == ()
    [entry] = await closing(store)
    to_show = await store.outbox.unshown_end(entry)
    assert to_show is not None
    assert (to_show.checkpoint.text, to_show.checkpoint.end) == (YES, replace(ASKING, usage=None))
    await store.outbox.complete(entry)
    assert (await standing(store), await count(store, checkpoints)) == ((), 0)
    for each in (store, other):
        await each.close()


async def edited(store: Stores, job: Job) -> None:
    await store.queue.edit(replace(job.question, text="Why not?"), "6.0")


async def erased(store: Stores, job: Job) -> None:
    await store.erasure.erase(user_id="U1")


async def deleted(store: Stores, job: Job) -> None:
    await store.recorded_answers.delete(job.id, "U1")


async def expired(store: Stores, job: Job) -> None:
    await store.erasure.expire(store.clock.now() + 1)


async def regenerated(store: Stores, job: Job) -> None:
    await store.queue.regenerate(job.id)
    again = await one(store)
    assert again.checkpoint.end is None, "the new version starts over"
    await store.worker_queue.finish(again, DONE, YES)


@pytest.mark.parametrize("taken_away", [edited, erased, deleted, expired, regenerated])
async def test_choices_and_their_texts_go_with_their_answer(
    database_url: str, clock: LateClock, taken_away: Callable[[Stores, Job], Awaitable[None]]
) -> None:
    store = await Stores.open(database_url, "w1", clock)
    job = await offering(store)
    await taken_away(store, job)
    assert await standing(store) == ()
    for entry in await closing(store):
        await store.outbox.complete(entry)
    assert await count(store, checkpoints) == 0
    await store.close()


async def test_choice_of_an_earlier_version_takes_none_of_the_newest_away(database_url: str, clock: LateClock) -> None:
    """Its post may take minutes, and the asker may have pressed Regenerate meanwhile."""
    store = await Stores.open(database_url, "w1", clock)
    job = await offering(store)
    about = QuotedMessage("C1", PAGE, "1.0", "", "", offered_by=job.id)
    question = await store.message_questions.begin("T1", question_id(job.id, 0), "U2", about, "Staging")
    assert question is not None
    await store.queue.regenerate(job.id)
    assert await store.worker_queue.finish(await one(store), ASKING, YES)
    await store.message_questions.complete(question)
    assert (await standing(store), await closing(store)) == (OFFERED, [])
    await store.close()


async def test_choices_of_an_end_that_is_shown_later_stand(database_url: str, clock: LateClock) -> None:
    store = await Stores.open(database_url, "w1", clock)
    await offering(store, for_outbox=OutboxKind.SHOW_END)
    clock.ahead_s += OUTBOX_HOLD_S * 2
    [entry] = await store.outbox.take(10)
    await store.outbox.complete(entry)
    assert await standing(store) == OFFERED
    await store.close()


async def test_answer_that_offers_nothing_leaves_nothing_to_close(database_url: str, clock: LateClock) -> None:
    store = await Stores.open(database_url, "w1", clock)
    job = await offering(store, DONE)
    await edited(store, job)
    assert (await closing(store), await count(store, checkpoints)) == ([], 0)
    await store.close()
