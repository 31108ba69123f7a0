"""Turns of calls that aren't a live reply's, after rate limits and errors too, in simulated time."""

import asyncio

import pytest

from bot.core.job import Others
from bot.core.pacing import ASK_AGAIN_S, MARGIN_S, OTHERS_MARGIN_S, WINDOW_S, Urgency
from bot.errors import RateLimited
from bot.slack.rate_budget import AWAY_S, CALLS_PER_MINUTE, UNREPORTED_CALLS, RateBudget
from tests.simulated_time import SimulatedClock, run_simulated
from tests.slack.schedules import LoneLedger

METHOD = "chat.delete"
BUDGET = CALLS_PER_MINUTE[METHOD]


async def turns(budget: RateBudget, count: int, method: str = METHOD, error: Exception | None = None) -> list[float]:
    """Takes turns one after another; returns the time of each."""
    times = []
    for _ in range(count):
        try:
            async with budget.turn(method):
                times.append(asyncio.get_running_loop().time())
                if error is not None:
                    raise error
        except ValueError:
            pass
    return times


def turn_times(count: int, error: Exception | None = None, ledger: LoneLedger | None = None) -> list[float]:
    async def run() -> list[float]:
        async with asyncio.timeout(1_000):
            return await turns(RateBudget(ledger or LoneLedger(), SimulatedClock()), count, error=error)

    return run_simulated(run())


@pytest.mark.parametrize("error", [None, ValueError()], ids=["calls that succeed", "calls that raise"])
def test_calls_of_a_minute_go_at_once_and_come_back_after_it(error: Exception | None) -> None:
    times = turn_times(BUDGET + 2, error)
    assert times[:BUDGET] == [0] * BUDGET
    assert all(WINDOW_S + MARGIN_S <= at < WINDOW_S + 1 for at in times[BUDGET:])


def test_method_without_a_budget_goes_at_once() -> None:
    async def run() -> list[float]:
        return await turns(RateBudget(LoneLedger(), SimulatedClock()), 500, "conversations.info")

    assert run_simulated(run()) == [0] * 500


def test_turn_that_is_canceled_during_its_reservation_is_given_back() -> None:
    async def run() -> list[float]:
        ledger = LoneLedger(delay_s=5.0)
        budget = RateBudget(ledger, SimulatedClock())
        waiting = [asyncio.create_task(turns(budget, 1)) for _ in range(BUDGET)]
        await asyncio.sleep(1)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        ledger.delay_s = 0.0
        async with asyncio.timeout(500):
            return await turns(budget, BUDGET)

    assert run_simulated(run()) == [1] * BUDGET


def test_rate_limit_in_a_turn_delays_the_next_one() -> None:
    async def run() -> list[float]:
        budget = RateBudget(LoneLedger(), SimulatedClock())
        with pytest.raises(RateLimited):
            async with budget.turn(METHOD):
                raise RateLimited(METHOD, 90.0)
        return await turns(budget, 1)

    assert run_simulated(run()) == [90]


@pytest.mark.parametrize("waits", [(40.0, 2.0), (2.0, 40.0)])
def test_longer_one_of_two_rate_limits_applies(waits: tuple[float, float]) -> None:
    async def run() -> list[float]:
        budget = RateBudget(LoneLedger(), SimulatedClock())
        for retry_after_s in waits:
            budget.limited(METHOD, retry_after_s)
        return await turns(budget, 1)

    assert run_simulated(run()) == [40]


def test_denied_call_is_requested_again_later_and_leaves_nothing_in_flight() -> None:
    """Another process has used all calls, which come back when they are a minute old."""

    async def run() -> list[float]:
        ledger = LoneLedger(others=Others(call_ages_s=(10.0,) * BUDGET))
        budget = RateBudget(ledger, SimulatedClock())

        async def free() -> None:
            await asyncio.sleep(30)
            ledger.others = Others()

        freeing = asyncio.create_task(free())
        async with asyncio.timeout(500):
            times = await turns(budget, BUDGET)
        await freeing
        return times

    times = run_simulated(run())
    assert times == [pytest.approx(WINDOW_S + OTHERS_MARGIN_S - 10)] * BUDGET


def test_unavailable_ledger_delays_no_call_and_gets_a_report_later() -> None:
    async def run() -> tuple[list[float], int, int]:
        ledger = LoneLedger(is_away=True)
        budget = RateBudget(ledger, SimulatedClock())
        await asyncio.sleep(10)
        times = await turns(budget, 3)
        away = len(ledger.counted[METHOD])
        ledger.is_away = False
        await asyncio.sleep(AWAY_S)
        await turns(budget, 1)
        return times, away, len(ledger.counted[METHOD])

    assert run_simulated(run()) == ([10] * 3, 0, 3 + UNREPORTED_CALLS + 1)


def test_call_for_a_live_replys_final_is_held_back_until_the_reply_is_closed() -> None:
    async def run() -> list[bool]:
        budget, clock = RateBudget(LoneLedger(), SimulatedClock()), SimulatedClock()
        free = CALLS_PER_MINUTE["chat.update"]
        for number in range(free):
            budget.opened(number)

        def may_begin() -> bool:
            return budget.ready_at("chat.update", clock.monotonic(), Urgency.FIRST, "newcomer") <= clock.monotonic()

        before = may_begin()
        for number in range(free):
            budget.closed(number)
        await asyncio.sleep(120)
        return [before, may_begin()]

    assert run_simulated(run()) == [False, True]


def test_ledger_that_denied_a_call_gets_no_request_at_once() -> None:
    ledger = LoneLedger(denies_until=30.0)
    times = turn_times(1, ledger=ledger)
    assert times == [pytest.approx(30, abs=1)]
    assert ledger.requests <= 1 + 30 / ASK_AGAIN_S + 1


@pytest.mark.parametrize(("edit_budget", "at_once"), [(50, 50), (80, 80)])
def test_edit_budget_is_tried_after_minutes_without_a_rate_limit(edit_budget: int, at_once: int) -> None:
    async def run() -> tuple[list[float], list[float]]:
        budget = RateBudget(LoneLedger(), SimulatedClock(), edit_budget)
        first = await turns(budget, 51, "chat.update")
        await asyncio.sleep(600 - asyncio.get_running_loop().time())
        return first, await turns(budget, 81, "chat.update")

    first, later = run_simulated(run())
    assert first.count(0) == 50
    assert later.count(600) == at_once


def test_rate_limit_ends_the_trial_of_more_edits() -> None:
    async def run() -> list[float]:
        budget = RateBudget(LoneLedger(), SimulatedClock(), 100)
        await turns(budget, 1, "chat.update")
        await asyncio.sleep(600)
        budget.limited("chat.update", 30.0)
        await asyncio.sleep(61)
        return await turns(budget, 60, "chat.update")

    times = run_simulated(run())
    assert sum(at < times[0] + 1 for at in times) == 55
