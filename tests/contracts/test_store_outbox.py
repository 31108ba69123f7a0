"""Outbox entries that Slack refuses for longer than they are tried, on both databases."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.core.job import MessageRole, RecordedMessage
from bot.core.outbox import MAX_TRIES, OUTBOX_HOLD_S, WOKEN_TRIES, OutboxEntry, OutboxKind, Shows, wait_s
from bot.store import Stores
from bot.store.listening import GAP_S
from bot.store.schema import jobs, outbox_entries
from tests.clocks import ManualClock
from tests.contracts.stores import DONE, YES, asked, begun, delete_question

HOUR_S = 3_600.0
LAST_TRIES = [*range(WOKEN_TRIES + 1, MAX_TRIES + 1)]
LOOKS = len(LAST_TRIES) + 1

Event = Callable[[Stores, ManualClock], Awaitable[object]]


async def refused(store: Stores, clock: ManualClock) -> list[int]:
    """Has Slack refuse all entries for some hours; returns the numbers of their tries."""
    tries = []
    for _ in range(LOOKS):
        for entry in await store.outbox.claim_due(9):
            tries.append(entry.tries)
            await store.outbox.postpone(entry, wait_s(entry.tries))
        clock.now_s += HOUR_S
    return tries


async def set_aside(store: Stores, clock: ManualClock) -> None:
    """Ends an answer whose end Slack doesn't take for days."""
    await store.listening.hear("T1", clock.now_s)
    assert await store.worker_queue.finish(await begun(store), DONE, YES, for_outbox=OutboxKind.REPLY)
    async with store.database.engine.begin() as connection:
        await connection.execute(sa.update(outbox_entries).values(tries=MAX_TRIES - 1))
    clock.now_s += HOUR_S
    assert await refused(store, clock) == [MAX_TRIES]


async def channel_is_back(store: Stores, clock: ManualClock) -> None:
    await store.outbox.wake("T1", "C1")


async def slack_is_heard_again(store: Stores, clock: ManualClock) -> None:
    await store.listening.hear("T1", clock.now_s)


async def other_channels_are_back(store: Stores, clock: ManualClock) -> None:
    await store.outbox.wake("T1", "C2")
    await store.outbox.wake("T2", "C1")


async def slack_of_another_team_is_heard_again(store: Stores, clock: ManualClock) -> None:
    await store.listening.hear("T2", clock.now_s - 2 * GAP_S)
    await store.listening.hear("T2", clock.now_s)


async def question_is_edited(store: Stores, clock: ManualClock) -> None:
    await store.participants.record_line(asked(1).thread, "U2", asked(9).ts)
    assert await store.question_queue.edit(replace(asked(1), text="Why not?"), "9.0")


async def question_is_deleted(store: Stores, clock: ManualClock) -> None:
    assert await delete_question(store, 1)


@pytest.mark.parametrize(
    ("event", "tries"),
    [
        (channel_is_back, LAST_TRIES),
        (slack_is_heard_again, LAST_TRIES),
        (question_is_edited, [*range(1, LOOKS + 1)]),
        (question_is_deleted, [*range(1, LOOKS + 1)]),
        (other_channels_are_back, []),
        (slack_of_another_team_is_heard_again, []),
    ],
)
async def test_entry_that_was_set_aside_is_tried_again_once_slack_may_take_it_or_the_record_has_changed(
    timed: Stores, clock: ManualClock, event: Event, tries: list[int]
) -> None:
    await set_aside(timed, clock)
    await event(timed, clock)
    assert await refused(timed, clock) == tries


async def test_entry_that_waits_for_its_next_try_is_tried_at_once_when_its_channel_is_back(
    timed: Stores, clock: ManualClock
) -> None:
    assert await timed.worker_queue.finish(await begun(timed), DONE, YES, for_outbox=OutboxKind.REPLY)
    await channel_is_back(timed, clock)
    assert await timed.outbox.claim_due(9) == [], "one that nobody has tried has its time"
    clock.now_s += wait_s(0)
    [entry] = await timed.outbox.claim_due(9)
    await timed.outbox.postpone(entry, HOUR_S)
    await channel_is_back(timed, clock)
    [again] = await timed.outbox.claim_due(9)
    assert (again.id, again.tries) == (entry.id, 2)


async def test_entry_that_a_process_holds_stays_with_it_when_its_channel_is_back(
    timed: Stores, clock: ManualClock
) -> None:
    assert await timed.worker_queue.finish(await begun(timed), DONE, YES, for_outbox=OutboxKind.REPLY)
    clock.now_s += wait_s(0)
    [entry] = await timed.outbox.claim_due(9)
    clock.now_s += OUTBOX_HOLD_S / 2
    await channel_is_back(timed, clock)
    assert await timed.outbox.claim_due(9) == []
    await timed.outbox.complete(entry)
    assert await refused(timed, clock) == []


@pytest.mark.parametrize(
    ("kind", "shows", "is_mentioned"),
    [
        ("show_end", Shows.END, False),
        ("show_version", Shows.END, False),
        ("close_choices", Shows.END, False),
        ("show_decision", Shows.END, False),
        ("retract_reply", Shows.UNLESS_FOLLOWED, False),
        ("delete_reply", Shows.NOTHING, False),
        ("mention_askers", Shows.END, True),
        ("ask_approval", Shows.END, True),
        ("clear_ask", Shows.END, False),
    ],
)
async def test_entry_of_the_version_before_is_a_change(
    timed: Stores, clock: ManualClock, kind: str, shows: Shows, is_mentioned: bool
) -> None:
    job = await begun(timed)
    assert await timed.worker_queue.finish(job, DONE, YES)
    async with timed.database.engine.begin() as connection:
        old = {"job_id": job.id, "kind": kind, "due_at": clock.now_s}
        await connection.execute(sa.insert(outbox_entries).values(old))
        # As such a process has recorded it.
        gone = {"answer_deleted": kind == "delete_reply", "ask_ts": "6.9" if kind == "clear_ask" else None}
        await connection.execute(sa.update(jobs).values(gone))
    [entry] = await timed.outbox.claim_due(9)
    is_beside = kind in ("mention_askers", "ask_approval", "clear_ask")
    assert entry.kind is (OutboxKind.BESIDE if is_beside else OutboxKind.REPLY)
    assert (entry.shows, entry.mention_at is not None) == (shows, is_mentioned)
    assert [message.ts for message in entry.stale] == ([gone["ask_ts"]] if gone["ask_ts"] else [])
    await timed.outbox.gone(entry, entry.stale)
    await timed.outbox.complete(entry)
    assert await timed.outbox.claim_due(9) == []


async def test_entry_in_the_hands_of_the_version_before_stays_there(timed: Stores, clock: ManualClock) -> None:
    job = await begun(timed)
    assert await timed.worker_queue.finish(job, DONE, YES)
    async with timed.database.engine.begin() as connection:
        held = {"job_id": job.id, "kind": "show_end", "due_at": clock.now_s + OUTBOX_HOLD_S, "tries": 1}
        await connection.execute(sa.insert(outbox_entries).values(held))
    await timed.recorded_answers.delete(job.id, "U1")
    assert await timed.outbox.claim_due(9) == [], "two would edit the reply"
    clock.now_s += OUTBOX_HOLD_S
    [entry] = await timed.outbox.claim_due(9)
    assert entry.shows is Shows.NOTHING


@pytest.mark.parametrize(("role", "column"), [(MessageRole.MENTION, "mention_ts"), (MessageRole.ASK, "ask_ts")])
async def test_process_of_the_version_before_finds_what_is_beside_a_reply_in_its_columns(
    timed: Stores, role: MessageRole, column: str
) -> None:
    job = await begun(timed)
    assert await timed.worker_queue.finish(job, DONE, YES, for_outbox=OutboxKind.REPLY)
    entry = OutboxEntry(1, OutboxKind.BESIDE, 0.0, 1, job.id, 0, job.question, ())
    message = RecordedMessage("6.9", role)
    await timed.outbox.posted(entry, message)
    async with timed.database.engine.connect() as connection:
        assert await connection.scalar(sa.select(jobs.c[column])) == "6.9"
    await timed.outbox.gone(entry, [message])
    async with timed.database.engine.connect() as connection:
        assert await connection.scalar(sa.select(jobs.c[column])) is None
