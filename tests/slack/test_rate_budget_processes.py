"""The budget beside other processes: their calls and live replies, with and without the ledger, in simulated time."""

import asyncio
import math

import pytest

from bot.core.job import Others
from bot.core.pacing import OWN_GAP_S, Urgency
from bot.slack.rate_budget import AWAY_S, CALLS_PER_MINUTE, CHARGE_AGAIN_S, UNREPORTED_CALLS, RateBudget
from tests.simulated_time import SimulatedClock, run_simulated
from tests.slack.schedules import LoneLedger, watching

UPDATE, POST = "chat.update", "chat.postMessage"


async def take(budget: RateBudget, method: str) -> bool:
    """Takes a call and returns whether it was granted."""
    budget.sent(method, asyncio.get_running_loop().time(), None)
    granted = await budget.take(method)
    if granted:
        budget.answered(method)
    else:
        budget.withdrawn(method)
    return granted


def may_go(budget: RateBudget, method: str, urgency: Urgency, key: str = "a") -> bool:
    now = asyncio.get_running_loop().time()
    return budget.ready_at(method, now, urgency, key) <= now


def test_ledger_is_followed_each_second_while_any_reply_is_live() -> None:
    async def run() -> list[int]:
        ledger = LoneLedger()
        requests = []

        async def requests_in_10_s() -> None:
            before = ledger.requests
            await asyncio.sleep(10)
            requests.append(ledger.requests - before)

        async with watching(ledger) as budget:
            await asyncio.sleep(0.5)
            await requests_in_10_s()
            budget.opened("a")
            budget.opened("b")
            await requests_in_10_s()
            budget.closed("a")
            await requests_in_10_s()
            budget.closed("b")
            await requests_in_10_s()
        assert not ledger.counted[UPDATE], "asking is no call"
        return requests

    assert run_simulated(run()) == [0, 10, 10, 0]


def test_other_processes_live_replies_hold_back_calls_for_their_finals() -> None:
    async def run() -> list[bool]:
        ledger = LoneLedger(others=Others(live_ages_s=(5.0,) * CALLS_PER_MINUTE[UPDATE]))
        async with watching(ledger) as budget:
            budget.opened("a")
            before = may_go(budget, UPDATE, Urgency.FIRST)
            await asyncio.sleep(1.5)
            return [before, may_go(budget, UPDATE, Urgency.FIRST)]

    assert run_simulated(run()) == [True, False]


def test_other_processes_live_replies_hold_back_no_posts() -> None:
    async def run() -> bool:
        budget = RateBudget(LoneLedger(others=Others(live_ages_s=(5.0,) * CALLS_PER_MINUTE[POST])), SimulatedClock())
        assert await take(budget, POST)
        return may_go(budget, POST, Urgency.FIRST)

    assert run_simulated(run())


def test_each_reply_has_its_own_time_for_its_next_edit() -> None:
    async def run() -> list[bool]:
        budget = RateBudget(LoneLedger(), SimulatedClock())
        budget.opened("a")
        budget.opened("b")
        await asyncio.sleep(5)
        budget.sent(UPDATE, asyncio.get_running_loop().time(), "a")
        budget.answered(UPDATE)
        await asyncio.sleep(OWN_GAP_S / 2)
        return [may_go(budget, UPDATE, Urgency.PROGRESS, key) for key in ("a", "b")]

    assert run_simulated(run()) == [False, True]


def test_ledger_that_is_just_back_does_not_know_all_calls_yet() -> None:
    """Other processes used 49 of 50 calls, and report them again only some seconds after the database is back."""

    async def run() -> list[list[bool]]:
        ledger = LoneLedger(others=Others(call_ages_s=(1.0,) * 49, live_ages_s=(5.0,)))
        budget = RateBudget(ledger, SimulatedClock())
        assert await take(budget, UPDATE)
        ledger.counted.clear()
        ledger.is_away = True
        assert not await take(budget, UPDATE)
        ledger.is_away, ledger.others, ledger.failed_at = False, Others(), -math.inf
        just_back = [await take(budget, UPDATE) for _ in range(2)]
        ledger.counted.clear()
        await asyncio.sleep(AWAY_S)
        return [just_back, [await take(budget, UPDATE) for _ in range(2)]]

    assert run_simulated(run()) == [[False, False], [True, True]]


def test_ledger_that_is_just_back_may_still_deny_a_call() -> None:
    async def run() -> bool:
        ledger = LoneLedger(is_away=True)
        budget = RateBudget(ledger, SimulatedClock())
        assert await take(budget, UPDATE)
        ledger.is_away, ledger.denies_until = False, 10.0
        return await take(budget, UPDATE)

    assert run_simulated(run()) is False


def test_only_calls_that_left_without_the_ledger_are_reported() -> None:
    """Denied calls and the second's questions about other processes are no calls."""

    async def run() -> int:
        ledger = LoneLedger(is_away=True)
        async with watching(ledger) as budget:
            budget.opened("a")
            granted = [await take(budget, UPDATE) for _ in range(CALLS_PER_MINUTE[UPDATE] + 10)]
            assert sum(granted) == CALLS_PER_MINUTE[UPDATE]
            await asyncio.sleep(5)
            budget.closed("a")
            ledger.is_away, ledger.failed_at = False, -math.inf
            await asyncio.sleep(5)
        return len(ledger.counted[UPDATE])

    assert run_simulated(run()) == CALLS_PER_MINUTE[UPDATE]


@pytest.mark.parametrize(("between_s", "charges"), [(CHARGE_AGAIN_S / 2, 1), (CHARGE_AGAIN_S + 5, 2)])
def test_outages_close_to_each_other_are_charged_as_one(between_s: float, charges: int) -> None:
    async def run() -> int:
        ledger = LoneLedger()
        budget = RateBudget(ledger, SimulatedClock())
        await asyncio.sleep(100)
        for _ in range(2):
            await asyncio.sleep(between_s)
            ledger.failed_at = asyncio.get_running_loop().time()
            await asyncio.sleep(1)
            assert await take(budget, POST)
        return len(ledger.counted[POST])

    assert run_simulated(run()) == 2 + charges * UNREPORTED_CALLS
