"""Ends that Slack did not accept stay recorded until one process has shown them. An outdated end is never shown."""

from dataclasses import replace

import pytest

from bot.core.conversation import Job
from bot.core.job import Checkpoint, End
from bot.core.outbox import MAX_IN_VAIN, MAX_TRIES, OUTBOX_HOLD_S, OutboxEntry, OutboxKind, wait_s
from bot.core.stream import Citation
from bot.errors import EndReason
from bot.store import Stores
from bot.store.schema import checkpoints, jobs, outbox_entries
from tests.clocks import LateClock
from tests.contracts.stores import asked, count, enqueued, one
from tests.core.conversations import recorded_pages

SOURCES = (Citation("https://a.example", "A"),)
END = End(EndReason.WHOLE, "A notice.", "openai/test", model="openai/test", sources=SOURCES, has_previous=True)
ANSWER = "The answer."
UNSHOWN = OutboxKind.SHOW_END


@pytest.fixture
def clock() -> LateClock:
    return LateClock()


async def unshown(store: Stores) -> Job:
    """Returns a job that has ended and whose end Slack did not accept."""
    await enqueued(store, asked(1))
    job = await one(store)
    await store.worker_queue.record_messages(job, recorded_pages("5.1"))
    assert await store.worker_queue.finish(job, END, ANSWER, for_outbox=UNSHOWN)
    return job


async def taken(store: Stores, clock: LateClock) -> OutboxEntry:
    clock.ahead_s += OUTBOX_HOLD_S + 1
    [entry] = await store.outbox.take(10)
    return entry


async def test_unshown_end_stays_recorded_until_it_is_shown(database_url: str, clock: LateClock) -> None:
    store = await Stores.open(database_url, "w1", clock)
    job = await unshown(store)
    assert await store.outbox.take(10) == [], "not at once, because Slack has just refused it"
    entry = await taken(store, clock)
    to_show = await store.outbox.unshown_end(entry)
    assert to_show is not None
    assert (to_show.id, to_show.page_ts) == (job.id, ("5.1",))
    assert to_show.checkpoint == Checkpoint(ANSWER, END, SOURCES)
    await store.outbox.complete(entry)
    clock.ahead_s += 10 * OUTBOX_HOLD_S
    assert await store.outbox.take(10) == []
    assert await store.outbox.unshown_end(entry) is None, "the record is removed"
    await store.close()


async def test_unshown_end_of_an_answer_to_several_questions_is_the_whole_answer_without_the_other_questions(
    database_url: str, clock: LateClock
) -> None:
    store = await Stores.open(database_url, "w1", clock)
    for number in (1, 2):
        await enqueued(store, asked(number))
    job = await one(store)
    await enqueued(store, asked(3))
    assert [follow_up.question for follow_up in await store.recorded_calls.take_follow_ups(job, 0)] == [asked(3)]
    assert (job.question, job.earlier) == (asked(2), (asked(1),))
    assert await store.worker_queue.finish(job, END, ANSWER, for_outbox=UNSHOWN)
    to_show = await store.outbox.unshown_end(await taken_end(store, clock))
    assert to_show is not None
    assert (to_show.id, to_show.checkpoint.text) == (job.id, "The answer.")
    assert (to_show.earlier, to_show.follow_ups) == ((), ())
    await store.close()


async def taken_end(store: Stores, clock: LateClock) -> OutboxEntry:
    """Takes the entry of an unshown end, among those that clear placeholders."""
    clock.ahead_s += OUTBOX_HOLD_S + 1
    [entry] = [entry for entry in await store.outbox.take(10) if entry.kind is OutboxKind.SHOW_END]
    return entry


async def test_messages_that_show_an_end_are_recorded_by_the_process_that_took_the_entry(
    database_url: str, clock: LateClock
) -> None:
    store = await Stores.open(database_url, "w1", clock)
    await unshown(store)
    late = await taken(store, clock)
    entry = await taken(store, clock)
    await store.outbox.record_messages(entry, recorded_pages("6.1", "6.2"))
    await store.outbox.record_messages(late, recorded_pages("7.1"))
    to_show = await store.outbox.unshown_end(entry)
    assert to_show is not None
    assert to_show.page_ts == ("6.1", "6.2")
    await store.close()


async def test_postponed_end_is_taken_again_after_its_wait(database_url: str, clock: LateClock) -> None:
    store = await Stores.open(database_url, "w1", clock)
    await unshown(store)
    entry = await taken(store, clock)
    await store.outbox.postpone(entry, wait_s(entry.tries))
    clock.ahead_s += wait_s(entry.tries) - 1
    assert await store.outbox.take(10) == []
    clock.ahead_s += 2
    [again] = await store.outbox.take(10)
    assert again.tries == 2
    await store.close()


def test_waits_grow_and_all_tries_take_about_a_day() -> None:
    waits = [wait_s(tries) for tries in range(MAX_TRIES)]
    assert waits == sorted(waits)
    assert min(waits[1:]) > OUTBOX_HOLD_S, "a postponed entry differs from one that a process holds"
    assert 20 * 3600 < sum(waits) < 28 * 3600


def test_tries_without_a_turn_are_repeated_each_minute_at_first_and_then_like_others() -> None:
    waits = [wait_s(tries, had_no_turn=True) for tries in range(1, MAX_TRIES)]
    assert waits[:MAX_IN_VAIN] == [60.0] * MAX_IN_VAIN
    assert waits[MAX_IN_VAIN:] == [wait_s(tries) for tries in range(MAX_IN_VAIN + 1, MAX_TRIES)]


async def test_thread_and_asker_are_free_while_an_end_is_unshown(database_url: str, clock: LateClock) -> None:
    store = await Stores.open(database_url, "w1", clock, 1)
    await unshown(store)
    await taken(store, clock)
    await enqueued(store, asked(2))
    assert (await one(store)).question == asked(2)
    await store.close()


async def test_regenerated_job_is_not_claimed_while_its_end_is_being_shown(database_url: str, clock: LateClock) -> None:
    store = await Stores.open(database_url, "w1", clock)
    job = await unshown(store)
    entry = await taken(store, clock)
    assert await store.queue.regenerate(job.id)
    assert await store.worker_queue.claim(1) == []
    clock.ahead_s += OUTBOX_HOLD_S + 1
    assert await store.outbox.take(10) == [], "a new version is about to be answered"
    [again] = await store.worker_queue.claim(1)
    assert again.version == 1
    assert again.checkpoint.end is None
    assert await store.outbox.unshown_end(entry) is None
    await store.worker_queue.finish(again, END, ANSWER)
    clock.ahead_s += 2 * OUTBOX_HOLD_S
    assert await store.outbox.take(10) == [], "the new version is shown"
    await store.close()


async def test_deleted_answer_is_not_shown_and_its_reply_is_deleted_later(database_url: str, clock: LateClock) -> None:
    store = await Stores.open(database_url, "w1", clock)
    job = await unshown(store)
    entry = await taken(store, clock)
    await store.recorded_answers.delete(job.id, "U1")
    assert await store.outbox.unshown_end(entry) is None
    assert await store.outbox.take(10) == [], "another process may be showing it at this moment"
    await store.outbox.complete(entry)
    [deletion] = await store.outbox.take(10)
    assert deletion.kind is OutboxKind.DELETE_REPLY
    await store.close()


async def test_end_of_a_deleted_question_is_not_shown(database_url: str, clock: LateClock) -> None:
    store = await Stores.open(database_url, "w1", clock)
    await unshown(store)
    entry = await taken(store, clock)
    thread = asked(1).thread
    await store.queue.delete(thread.team_id, thread.channel_id, asked(1).ts)
    assert await store.outbox.unshown_end(entry) is None
    await store.close()


async def test_outdated_end_is_not_left_to_the_outbox(database_url: str, clock: LateClock) -> None:
    store = await Stores.open(database_url, "w1", clock)
    await enqueued(store, asked(1))
    job = await one(store)
    await store.queue.edit(replace(asked(1), text="other words"), "9.9")
    assert not await store.worker_queue.finish(job, END, ANSWER, for_outbox=UNSHOWN)
    again = await one(store)
    assert (again.version, again.checkpoint.end) == (1, None)
    await store.worker_queue.finish(again, END, ANSWER)
    clock.ahead_s += 2 * OUTBOX_HOLD_S
    assert await store.outbox.take(10) == []
    await store.close()


async def test_one_whose_question_is_erased_meanwhile_is_not_left_to_the_outbox(store: Stores) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    await store.erasure.erase(thread=asked(1).thread)
    assert await store.worker_queue.finish(job, END, ANSWER, for_outbox=UNSHOWN)
    assert [await count(store, table) for table in (jobs, checkpoints, outbox_entries)] == [0, 0, 0]


async def test_a_process_that_is_late_leaves_the_text_to_the_one_that_took_the_entry_since(
    database_url: str, clock: LateClock
) -> None:
    store = await Stores.open(database_url, "w1", clock)
    await unshown(store)
    late = await taken(store, clock)
    entry = await taken(store, clock)
    await store.outbox.complete(late)
    to_show = await store.outbox.unshown_end(entry)
    assert to_show is not None
    assert to_show.checkpoint.text == "The answer."
    await store.close()
