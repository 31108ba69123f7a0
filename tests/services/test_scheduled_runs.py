"""How many runs of schedules begin while people may ask."""

from typing import Any

import pytest

from bot.pacing.budget import RateBudget
from bot.services.scheduled_runs import ScheduledRuns
from tests.clocks import ManualClock
from tests.reply.schedules import LoneLedger
from tests.services.parts import workspace_of


@pytest.mark.parametrize(
    ("method", "used", "runs"),
    [("users.info", 0, 1), ("users.info", 49, 1), ("users.info", 50, 0), ("chat.postMessage", 120, 0)],
)
def test_runs_leave_half_of_a_minutes_calls_to_people(method: str, used: int, runs: int) -> None:
    clock = ManualClock()
    budget = RateBudget(LoneLedger(), clock)
    unused: Any = None
    scheduled = ScheduledRuns(unused, workspace_of(budget=budget), unused, unused, unused)
    for number in range(used):
        budget.sent(method, clock.monotonic(), None, f"C{number}")
        budget.answered(method, f"C{number}")
    assert scheduled.may_begin() == runs
    clock.now_s += 61
    assert scheduled.may_begin() == 1
