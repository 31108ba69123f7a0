"""How many runs of schedules begin while people may ask, and why one is skipped that can't be posted."""

from typing import Any

import pytest

from bot.core.schedules import PauseReason, Proposal, Rule
from bot.errors import Refusal
from bot.pacing.budget import RateBudget
from bot.services.scheduled_runs import ScheduledRuns
from bot.store import Stores
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


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (None, PauseReason.MISSED),
        (Refusal.TRANSIENT, PauseReason.MISSED),
        (Refusal.TOKEN_GONE, PauseReason.MISSED),
        (Refusal.FORBIDDEN, PauseReason.FORBIDDEN),
        (Refusal.CHANNEL_GONE, PauseReason.PLACE_GONE),
    ],
)
async def test_run_that_cannot_be_posted_is_skipped_for_what_hinders_it(
    stores: Stores, refusal: Refusal | None, reason: PauseReason
) -> None:
    schedule_id = await stores.schedules.create("T1", "C1", "U1", Proposal("Sum up.", Rule("UTC", "0 9 * * *")))
    assert await stores.schedules.run_now("T1", schedule_id, "U1")
    [entry] = await stores.outbox.claim_due(9)
    unused: Any = None
    await ScheduledRuns(stores, unused, unused, unused, unused).lost(entry, refusal)
    run = await stores.schedules.run(entry.job_id)
    assert run is not None
    assert run.skipped is reason
