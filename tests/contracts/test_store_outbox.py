"""Outbox entries that Slack refuses for longer than they are tried, on both databases."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.core.job import MessageRole, RecordedMessage
from bot.core.outbox import MAX_TRIES, OUTBOX_HOLD_S, TIDY_AFTER_S, WOKEN_TRIES, OutboxKind, wait_s
from bot.store import Stores
from bot.store.listening import GAP_S
from bot.store.schema import jobs, messages_beside, outbox_entries
from tests.clocks import ManualClock
from tests.contracts.stores import (
    DONE,
    OTHER_THREAD,
    SAID,
    STEPPED,
    THREAD,
    YES,
    answered,
    asked,
    asking_step,
    begun,
    delete_question,
)

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
    await store.listening.record_message_time("T1", clock.now_s)
    assert await store.worker_queue.finish(await begun(store), DONE, YES, outbox_kind=OutboxKind.REPLY)
    async with store.database.engine.begin() as connection:
        await connection.execute(sa.update(outbox_entries).values(tries=MAX_TRIES - 1))
    clock.now_s += HOUR_S
    assert await refused(store, clock) == [MAX_TRIES]


async def channel_is_back(store: Stores, clock: ManualClock) -> None:
    await store.outbox.wake("T1", "C1")


async def slack_is_heard_again(store: Stores, clock: ManualClock) -> None:
    await store.listening.record_message_time("T1", clock.now_s)


async def other_channels_are_back(store: Stores, clock: ManualClock) -> None:
    await store.outbox.wake("T1", "C2")
    await store.outbox.wake("T2", "C1")


async def slack_of_another_team_is_heard_again(store: Stores, clock: ManualClock) -> None:
    await store.listening.record_message_time("T2", clock.now_s - 2 * GAP_S)
    await store.listening.record_message_time("T2", clock.now_s)


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
    assert await timed.worker_queue.finish(await begun(timed), DONE, YES, outbox_kind=OutboxKind.REPLY)
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
    assert await timed.worker_queue.finish(await begun(timed), DONE, YES, outbox_kind=OutboxKind.REPLY)
    clock.now_s += wait_s(0)
    [entry] = await timed.outbox.claim_due(9)
    clock.now_s += OUTBOX_HOLD_S / 2
    await channel_is_back(timed, clock)
    assert await timed.outbox.claim_due(9) == []
    await timed.outbox.complete(entry)
    assert await refused(timed, clock) == []


async def test_message_of_a_role_to_come_is_left_to_the_version_that_knows_it(timed: Stores) -> None:
    job = await begun(timed)
    assert await timed.worker_queue.finish(job, DONE, YES)
    async with timed.database.engine.begin() as connection:
        to_come = {"job_id": job.id, "role": "a_role_to_come", "version": 0, "ts": "6.9"}
        await connection.execute(sa.insert(messages_beside).values(to_come))
    await timed.recorded_answers.delete(job.id, "U1")
    [entry] = await timed.outbox.claim_due(9)
    assert (entry.side_messages, entry.outdated_messages) == ((), ())


async def awaits_approval(store: Stores, clock: ManualClock) -> None:
    job = await begun(store)
    assert await store.recorded_calls.record_step(job, asking_step(), STEPPED, SAID)
    assert await store.recorded_calls.wait_for_decisions(job, None, clock.now_s + HOUR_S, clock.now_s)
    await done(store)


async def awaits_approval_after_the_mention(store: Stores, clock: ManualClock) -> None:
    await awaits_approval(store, clock)
    clock.now_s += HOUR_S
    [entry] = await store.outbox.claim_due(9)
    ask = RecordedMessage("6.1", MessageRole.ASK)
    assert await store.outbox.record_posting(entry, replace(ask, ts=""))
    await store.outbox.record_posted(entry, ask)
    await store.outbox.complete(entry)
    await done(store)


async def awaits_its_end(store: Stores, clock: ManualClock) -> None:
    assert await store.worker_queue.finish(
        await begun(store), DONE, YES, should_mention=True, outbox_kind=OutboxKind.REPLY
    )
    await done(store)


async def done(store: Stores) -> list[OutboxKind]:
    """Completes all entries that are due, up to a hundred; returns their kinds."""
    entries = await store.outbox.claim_due(100)
    for entry in entries:
        await store.outbox.complete(entry)
    return [entry.kind for entry in entries]


async def multiply(store: Stores, count: int) -> None:
    async with store.database.engine.begin() as connection:
        for table in (jobs, outbox_entries, messages_beside):
            for row in (await connection.execute(sa.select(table))).mappings().all():
                copies = [{**row, **_copied(row, number)} for number in range(1, count + 1)]
                await connection.execute(sa.insert(table), copies)


def _copied(row: sa.RowMapping, number: int) -> dict[str, object]:
    by_column = {"job_id": 10_000 + number, "channel_id": f"C{number:04}"}
    ids = {"id": 10_000 * row["id"] + number} if "id" in row else {}
    return {name: value for name, value in {**by_column, **ids}.items() if name in row}


@pytest.mark.parametrize("event", [awaits_approval, awaits_approval_after_the_mention, awaits_its_end])
async def test_entries_of_any_number_of_waiting_jobs_dont_hold_back_another(
    timed: Stores, clock: ManualClock, event: Event
) -> None:
    await event(timed, clock)
    await multiply(timed, 1_001)
    clock.now_s += 1.0
    other = await begun(timed, asked(2, OTHER_THREAD))
    assert await timed.worker_queue.finish(other, DONE, YES)
    await timed.recorded_answers.delete(other.id, "U1")
    assert await done(timed) == [OutboxKind.REPLY]
    assert await done(timed) == []


async def tidied(store: Stores, clock: ManualClock) -> list[str]:
    """Returns the questions whose answers get a menu now, by their number."""
    clock.now_s += TIDY_AFTER_S
    entries = await store.outbox.claim_due(99)
    for entry in entries:
        await store.outbox.complete(entry)
    assert {entry.kind for entry in entries} <= {OutboxKind.TIDY}
    return sorted(entry.question.ts[-1] for entry in entries)


async def test_answer_gets_a_menu_once_another_answer_of_its_conversation_has_ended(
    timed: Stores, clock: ManualClock
) -> None:
    await answered(timed, 1)
    assert await timed.worker_queue.finish(await begun(timed, asked(2, OTHER_THREAD)), DONE, YES)
    assert await tidied(timed, clock) == [], "the last of each conversation has all buttons"
    waiting = await begun(timed, asked(3))
    assert await tidied(timed, clock) == []
    assert await timed.recorded_calls.record_step(waiting, asking_step(), STEPPED, SAID)
    assert await timed.recorded_calls.wait_for_decisions(waiting, None, None, clock.now_s)
    by_another = replace(asked(4), user_id="U2")
    assert await timed.worker_queue.finish(await begun(timed, by_another), DONE, YES)
    assert await tidied(timed, clock) == ["1"]
    assert [await has_menu(timed, number) for number in (1, 3, 4)] == [True, True, False]
    await timed.recorded_answers.delete(4, "U1")
    assert await has_menu(timed, 1), "it stays, because its buttons are all in the menu"


async def has_menu(store: Stores, number: int) -> bool:
    record = await store.recorded_answers.answer_of_job(THREAD, number)
    assert record
    return record.is_followed
