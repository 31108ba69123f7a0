"""The rate ledger: one budget for all processes, over a sliding minute."""

import asyncio
import math
from dataclasses import dataclass

import pytest

from bot.store import Stores
from bot.store.rate_ledger import WINDOW_S
from bot.store.rows import CLOCKS_DIFFER_S
from bot.store.schema import learned_budgets, slack_calls
from slack_pacing.ledger import OtherProcesses, Reservation
from slack_pacing.posts import PostRule
from slack_pacing.rates import LearnedLimit
from tests.clocks import ManualClock
from tests.contracts.databases import Process
from tests.contracts.stores import apart, count, enqueued


async def test_processes_share_one_budget(process: Process) -> None:
    stores = [await process(f"w{number}") for number in range(3)]
    asked = [store.rate_ledger.reserve("chat.update", 20) for store in stores for _ in range(15)]
    granted = [reservation.is_granted for reservation in await asyncio.gather(*asked)]
    assert sum(granted) == 20
    assert await count(stores[0], slack_calls) == 20


async def test_each_method_has_its_own_budget(store: Stores) -> None:
    assert (await store.rate_ledger.reserve("chat.update", 1)).is_granted
    assert not (await store.rate_ledger.reserve("chat.update", 1)).is_granted
    assert (await store.rate_ledger.reserve("chat.postMessage", 1)).is_granted


async def test_call_that_never_left_is_given_back(process: Process) -> None:
    ours, theirs = await process("w1"), await process("w2")
    assert (await ours.rate_ledger.reserve("chat.stopStream", 2)).is_granted
    assert (await theirs.rate_ledger.reserve("chat.stopStream", 2)).is_granted
    await ours.rate_ledger.give_back(["chat.stopStream"])
    assert (await theirs.rate_ledger.reserve("chat.stopStream", 2)).is_granted
    await ours.rate_ledger.give_back(["chat.stopStream"])
    assert not (await ours.rate_ledger.reserve("chat.stopStream", 2)).is_granted, "only calls of its own"


async def test_no_minute_exceeds_the_budget(timed: Stores, clock: ManualClock) -> None:
    sent = []
    for _ in range(200):
        clock.now_s += 0.7
        if (await timed.rate_ledger.reserve("chat.update", 10)).is_granted:
            sent.append(clock.now_s)
    assert len(sent) == 10 * round(200 * 0.7 / WINDOW_S + 0.5)
    assert all(later - earlier >= 60 for earlier, later in zip(sent, sent[10:], strict=False))
    assert await count(timed, slack_calls) < 20, "old calls are removed"


@pytest.mark.parametrize("wrong_by_s", [-86_400.0, 86_400.0])
async def test_calls_recorded_by_a_wrong_clock_do_not_count_forever(
    timed: Stores, clock: ManualClock, wrong_by_s: float
) -> None:
    clock.now_s += wrong_by_s
    assert (await timed.rate_ledger.reserve("chat.update", 1)).is_granted
    clock.now_s -= wrong_by_s
    assert (await timed.rate_ledger.reserve("chat.update", 1)).is_granted


async def test_others_calls_are_reported_without_own_calls(process: Process, clock: ManualClock) -> None:
    ours = await process("w1", clock)
    theirs = await process("w2", clock)
    for number in range(3):
        await enqueued(ours, apart(number))
    await ours.worker_queue.claim(1)
    await theirs.worker_queue.claim(2)
    await ours.rate_ledger.reserve("chat.update", 50)
    await theirs.rate_ledger.reserve("chat.update", 50)
    clock.now_s += 10
    await theirs.rate_ledger.reserve("chat.update", 50)
    clock.now_s += 5
    with_live = await ours.rate_ledger.reserve("chat.update", 50, with_live=True)
    assert with_live.other_processes == OtherProcesses(call_ages_s=(15.0, 5.0), live_ages_s=(15.0, 15.0))
    assert (await ours.rate_ledger.reserve("chat.update", 50)).other_processes == OtherProcesses(
        call_ages_s=(15.0, 5.0)
    )


async def test_calls_of_ended_processes_count_as_others(process: Process) -> None:
    before = await process("w1")
    for _ in range(3):
        await before.rate_ledger.reserve("chat.update", 50)
    await before.close()
    after = await process("w2")
    reservation = await after.rate_ledger.reserve("chat.update", 3)
    assert not reservation.is_granted
    assert len(reservation.other_processes.call_ages_s) == 3


async def test_processes_share_the_posts_of_each_channel(process: Process) -> None:
    stores = [await process(f"w{number}") for number in range(2)]
    rule = PostRule(certain_posts=5, can_try_more=False)
    asked = [store.rate_ledger.reserve_post(channel, rule) for store in stores for _ in range(4) for channel in "AB"]
    granted = [reservation.is_granted for reservation in await asyncio.gather(*asked)]
    assert (sum(granted[::2]), sum(granted[1::2])) == (5, 5)


async def test_channels_without_new_posts_are_forgotten(timed: Stores, clock: ManualClock) -> None:
    for number in range(10):
        assert (await timed.rate_ledger.reserve_post(f"C{number}", PostRule())).is_granted
    clock.now_s += 2 * 3600
    assert (await timed.rate_ledger.reserve_post("C11", PostRule())).is_granted
    await timed.erasure.expire(before=0.0)
    assert await count(timed, slack_calls) == 1


async def test_post_comes_back_after_its_seconds_and_another_process_learns_of_it(
    process: Process, clock: ManualClock
) -> None:
    ours, theirs = [await process(worker, clock) for worker in ("w1", "w2")]
    rule = PostRule(certain_posts=2, can_try_more=False)
    assert (await ours.rate_ledger.reserve_post("A", rule)).is_granted
    clock.now_s += 1
    assert (await theirs.rate_ledger.reserve_post("A", rule)) == Reservation(
        is_granted=True, other_processes=OtherProcesses((1.0,))
    )
    assert not (await ours.rate_ledger.reserve_post("A", rule)).is_granted
    clock.now_s += 3.1
    assert (await ours.rate_ledger.reserve_post("A", rule)).is_granted


@dataclass
class BootedClock(ManualClock):
    """The clock of a machine that was started at `booted_s`."""

    booted_s: float = 0.0

    def monotonic(self) -> float:
        return self.now_s - self.booted_s


async def recorded(store: Stores) -> dict[str, LearnedLimit]:
    return dict((await store.rate_ledger.reserve("chat.update", 0)).learned)


async def test_what_one_process_learned_has_the_same_age_in_another_one(process: Process) -> None:
    ours = await process("w1", BootedClock(booted_s=1_699_999_000.0))
    theirs = await process("w2", BootedClock(booted_s=1_699_000_000.0))
    await ours.rate_ledger.record_learned("chat.update", LearnedLimit(25.5, learned_at=990.0, held_until=1_020.0))
    assert await recorded(theirs) == {"chat.update": LearnedLimit(25.5, learned_at=999_990.0, held_until=1_000_020.0)}
    post = await theirs.rate_ledger.reserve_post("C1", PostRule())
    assert post.learned == await recorded(theirs), "each reservation brings it"


async def test_what_was_learned_before_any_429_is_recorded(store: Stores) -> None:
    now = store.clock.monotonic()
    await store.rate_ledger.record_learned("posts", LearnedLimit(8, now, held_until=-math.inf))
    assert [learned.held_until for learned in (await recorded(store)).values()] == [-math.inf]


@pytest.mark.parametrize("newest_first", [False, True])
async def test_newest_knowledge_of_a_budget_stays_on_record(
    timed: Stores, clock: ManualClock, newest_first: bool
) -> None:
    older, newer = (
        LearnedLimit(calls, clock.now_s - age_s, clock.now_s) for calls, age_s in ((40.0, 60.0), (20.0, 30.0))
    )
    for learned in (newer, older) if newest_first else (older, newer):
        await timed.rate_ledger.record_learned("chat.update", learned)
    other = LearnedLimit(100.0, clock.now_s, clock.now_s)
    await timed.rate_ledger.record_learned("chat.appendStream", other)
    assert await recorded(timed) == {"chat.update": newer, "chat.appendStream": other}
    assert await count(timed, learned_budgets) == 2


async def test_knowledge_that_a_wrong_clock_recorded_for_the_future_counts_for_nothing(
    timed: Stores, clock: ManualClock
) -> None:
    a_little, far = (
        LearnedLimit(5.0, clock.now_s + ahead_s, 0.0) for ahead_s in (CLOCKS_DIFFER_S, CLOCKS_DIFFER_S + 1)
    )
    now = LearnedLimit(25.0, clock.now_s, clock.now_s + 30)
    await timed.rate_ledger.record_learned("chat.update", far)
    await timed.rate_ledger.record_learned("chat.appendStream", a_little)
    assert await recorded(timed) == {"chat.appendStream": a_little}
    await timed.rate_ledger.record_learned("chat.update", now)
    await timed.rate_ledger.record_learned("chat.appendStream", now)
    assert await recorded(timed) == {"chat.update": now, "chat.appendStream": a_little}
