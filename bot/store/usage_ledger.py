"""The usage ledger: reservations and usage, for the quota and the reports in Slack."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from bot.clock import Clock
from bot.core.conversation import Job
from bot.core.limits.caps import Amount, Cap, CapCheck, CapWindow, ScopeIds
from bot.store import usage_report, usage_totals
from bot.store.database import Database
from bot.store.liveness.workers import WorkerLiveness
from bot.store.queue.finish import Held


class UsageLedger:
    """Implements the ports UsageLedger and UsageByModel."""

    def __init__(self, database: Database, worker: WorkerLiveness, clock: Clock) -> None:
        self._database = database
        self._worker = worker
        self._clock = clock
        self._reserving = asyncio.Lock()

    async def reserve(self, job: Job, most: Amount, caps: Sequence[Cap]) -> CapCheck:
        """Reserves the most that an answer may use until its job ends, if the caps leave room for it.

        Reservations of a workspace are made one after another, over all processes.
        """
        return await self._database.complete(self._reserve(job, most, caps))

    async def used(self, scope_ids: ScopeIds, windows: Collection[CapWindow]) -> Mapping[CapWindow, Amount]:
        """Returns the usage in the current period of each window, without answers under way.

        An attempt's usage counts for the day on which the attempt ended.
        """
        return await self._database.read(usage_totals.spent_in, scope_ids, windows, self._clock.now())

    async def used_by_model(self, team_id: str, since: float) -> Mapping[str, Amount]:
        """Returns a workspace's usage by model, of answers that ended since then (seconds since the epoch)."""
        return await self._database.read(usage_report.by_model, team_id, since)

    async def _reserve(self, job: Job, most: Amount, caps: Sequence[Cap]) -> CapCheck:
        # The database takes one at a time anyway. Callers that wait for its lock must not hold all our connections.
        async with self._reserving, self._database.begin_write() as connection:
            check = await usage_totals.check_caps_of(connection, job, caps, self._clock.now())
            if check == CapCheck():
                reserved = {"reserved_tokens": most.tokens, "reserved_usd": most.cost_usd}
                await connection.execute(Held(job, self._worker.name, None).fenced.values(**reserved))
            return check
