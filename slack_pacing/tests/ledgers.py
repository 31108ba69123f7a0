"""A ledger for tests, in simulated time."""

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from slack_pacing.budget import RateBudget
from slack_pacing.ledger import LedgerUnavailable, OtherProcesses, Reservation
from slack_pacing.posts import PostRule
from slack_pacing.rates import LearnedLimit
from slack_pacing.tests.simulated_time import SimulatedClock

NO_OTHERS = OtherProcesses()


@dataclass
class LoneLedger:
    """The ledger of a single process, which counts: grants calls within the budget. It can be slow or away."""

    delay_s: float = 0.0
    is_away: bool = False
    denies_until: float = -math.inf
    """Until then, calls are denied without others' calls being reported."""
    requests: int = 0
    others: OtherProcesses = NO_OTHERS
    counted: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    learned: dict[str, LearnedLimit] = field(default_factory=dict)

    async def reserve_post(self, channel_id: str, rule: PostRule) -> Reservation:
        await asyncio.sleep(self.delay_s)
        now = asyncio.get_running_loop().time()
        if self.is_away:
            raise LedgerUnavailable("The ledger is away.")
        granted = rule.free_at(self.counted[channel_id], now) <= now
        if granted:
            self.counted[channel_id].append(now)
        return Reservation(granted, OtherProcesses(), dict(self.learned))

    async def reserve(self, method: str, calls_per_minute: int, *, with_live: bool = False) -> Reservation:
        await asyncio.sleep(self.delay_s)
        now = asyncio.get_running_loop().time()
        self.requests += 1
        if self.is_away:
            raise LedgerUnavailable("The ledger is away.")
        used = sum(at > now - 60 for at in self.counted[method]) + len(self.others.call_ages_s)
        granted = used < calls_per_minute and now >= self.denies_until
        if granted:
            self.counted[method].append(now)
        others = self.others if with_live else replace(self.others, live_ages_s=())
        return Reservation(granted, others, dict(self.learned))

    async def give_back(self, counted: Sequence[str]) -> None:
        """Changes nothing: no other process waits for these calls."""

    async def record_learned(self, budget: str, learned: LearnedLimit) -> None:
        await asyncio.sleep(self.delay_s)
        if self.is_away:
            raise LedgerUnavailable("The ledger is away.")
        self.learned[budget] = learned


@asynccontextmanager
async def watching(ledger: LoneLedger) -> AsyncIterator[RateBudget]:
    budget = RateBudget(ledger, SimulatedClock())
    task = asyncio.create_task(budget.watch())
    yield budget
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
