"""What is to be caught up after a time without Slack, on both databases."""

import pytest

from bot.core.conversation import ThreadKey
from bot.core.job import LATE_S
from bot.store import Stores
from bot.store.listening import GAP_S, HOLD_S, MARGIN_S, MissedGap, Report, Tally, read_reports
from tests.clocks import ManualClock
from tests.contracts.databases import Process
from tests.contracts.stores import apart, asked, one

TEAM = "T1"
FOUND = Tally(looked_at=1, answered=2)


async def away(clock: ManualClock, store: Stores, gap_s: float) -> float:
    """Has Slack heard now, and once more after a gap; returns when the gap began."""
    await store.listening.record_message_time(TEAM, began := clock.now_s)
    clock.now_s += gap_s
    await store.listening.record_message_time(TEAM, clock.now_s)
    return began


async def test_only_a_gap_that_is_longer_than_slack_tries_is_to_be_caught_up(timed: Stores, clock: ManualClock) -> None:
    await timed.listening.record_message_time(TEAM, clock.now_s)
    assert await timed.listening.claim_gap(TEAM) is None, "the first start"
    await away(clock, timed, GAP_S)
    assert await timed.listening.claim_gap(TEAM) is None
    began = await away(clock, timed, GAP_S + 1)
    missed = await timed.listening.claim_gap(TEAM)
    assert missed == MissedGap(TEAM, began, clock.now_s)
    assert (missed.since, missed.away_s) == (began - MARGIN_S, GAP_S + 1)
    assert await timed.listening.claim_gap("T2") is None


async def test_one_process_at_a_time_catches_up(process: Process, clock: ManualClock) -> None:
    first, second = [await process(name, clock) for name in ("w1", "w2")]
    await away(clock, first, 2 * GAP_S)
    missed = await first.listening.claim_gap(TEAM)
    assert missed is not None
    clock.now_s += HOLD_S - 1
    assert await second.listening.claim_gap(TEAM) is None
    assert await first.listening.extend_hold(TEAM)
    clock.now_s += HOLD_S - 1
    assert await second.listening.claim_gap(TEAM) is None


async def test_another_process_goes_on_where_a_dead_one_was(process: Process, clock: ManualClock) -> None:
    first, second = [await process(name, clock) for name in ("w1", "w2")]
    await away(clock, first, 2 * GAP_S)
    missed = await first.listening.claim_gap(TEAM)
    assert missed is not None
    recorded = missed.after("C1", ["C1 1.0"], FOUND)
    assert await first.listening.record_progress(recorded)
    clock.now_s += HOLD_S
    assert await second.listening.claim_gap(TEAM) == recorded
    assert not await first.listening.extend_hold(TEAM)
    assert not await first.listening.record_progress(recorded.after("C2", (), FOUND))
    assert not await first.listening.end_catch_up(recorded)
    assert await second.listening.end_catch_up(recorded.after("C3", (), FOUND))
    assert await second.listening.claim_gap(TEAM) is None
    async with second.database.engine.connect() as connection:
        [report] = await read_reports(connection)
    assert report == Report(missed.begins_at, missed.ends_at, FOUND + FOUND)


async def test_another_gap_makes_everything_due_once_more(timed: Stores, clock: ManualClock) -> None:
    began = await away(clock, timed, 2 * GAP_S)
    missed = await timed.listening.claim_gap(TEAM)
    assert missed is not None
    await timed.listening.record_progress(missed.after("C1", (), FOUND))
    await away(clock, timed, 2 * GAP_S)
    assert not await timed.listening.extend_hold(TEAM)
    assert await timed.listening.claim_gap(TEAM) == MissedGap(TEAM, began, clock.now_s)


async def test_clock_that_was_wrong_hides_no_gap_for_long(timed: Stores, clock: ManualClock) -> None:
    await timed.listening.record_message_time(TEAM, clock.now_s + 1_000_000)
    await away(clock, timed, 2 * GAP_S)
    assert await timed.listening.claim_gap(TEAM) is not None


async def test_threads_come_with_the_newest_question_first(timed: Stores, clock: ManualClock) -> None:
    for number in (1, 3, 2):
        await timed.question_queue.enqueue(f"E{number}", apart(number))
    elsewhere = ThreadKey("T2", "C9", "1.5")
    await timed.question_queue.enqueue("E9", asked(9, elsewhere))
    assert await timed.listening.threads_since("T2", clock.now_s - 1, 10) == [elsewhere]
    threads = await timed.listening.threads_since(TEAM, clock.now_s - 1, 10)
    assert threads == [apart(number).thread for number in (3, 2, 1)]
    assert await timed.listening.threads_since(TEAM, clock.now_s - 1, 1) == [apart(3).thread]
    assert await timed.listening.threads_since(TEAM, clock.now_s, 10) == []


@pytest.mark.parametrize("offered", [True, False])
async def test_only_the_first_version_is_an_offer(store: Stores, offered: bool) -> None:
    enqueued = await store.question_queue.enqueue("E1", asked(1), offered=offered)
    assert enqueued is not None
    job = await one(store)
    assert job.is_offer is offered


@pytest.mark.parametrize(("after_s", "is_late"), [(LATE_S, False), (LATE_S + 1, True)])
async def test_answer_is_late_by_the_age_of_its_question_when_it_begins(
    timed: Stores, clock: ManualClock, after_s: float, is_late: bool
) -> None:
    await timed.question_queue.enqueue("E1", asked(1))
    clock.now_s = float(asked(1).ts) + after_s
    assert (await one(timed)).is_late is is_late
