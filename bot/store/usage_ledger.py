"""The usage ledger: reservations of answers under way and usage of past ones, for the quota and reports in Slack."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.caps import Amount, Cap, CapCheck, CapOwner, CapWindow, Period, Scope, ScopeIds, check_caps
from bot.core.conversation import Question
from bot.core.job import Job
from bot.core.surfaces import MonthUsage
from bot.store import usage
from bot.store.database import Database, completes, reads, writes
from bot.store.engine import one_at_a_time
from bot.store.liveness.workers import WorkerLiveness, WorkerOperations
from bot.store.queue.held import Held
from bot.store.recorded_answers import is_midway
from bot.store.rows import in_thread, is_running, scope_ids_of
from bot.store.schema import jobs, turns


class UsageLedger(WorkerOperations):
    """Keeps answers under way within the caps, and reports usage."""

    def __init__(self, database: Database, worker: WorkerLiveness) -> None:
        super().__init__(database, worker)
        self._reserving = asyncio.Lock()

    @completes()
    async def reserve(self, job: Job, most: Amount, defaults: Sequence[Cap]) -> CapCheck:
        """Reserves the most that an answer may use until its job ends, if the caps leave room for it.

        The caps are `defaults`, and those that admins have set in their place. Reservations of a workspace are made
        one after another, over all processes.
        """
        scope_ids = scope_ids_of(job.question)
        if not defaults:
            # Without caps, an answer waits for no lock.
            async with self._database.begin_read() as connection:
                if not await usage.in_force(connection, scope_ids, defaults):
                    return CapCheck()
        # The database takes one at a time anyway. Callers that wait for its lock must not hold all our connections.
        async with self._reserving, self._database.begin_write() as connection:
            await one_at_a_time(connection, f"caps {scope_ids.team_id}")
            in_force = await usage.in_force(connection, scope_ids, defaults)
            scopes = {cap.window.scope for cap in in_force}
            # In this order, an answer that ends in between counts twice for a moment, and is never missed.
            reserved = {scope: await _reserved(connection, job, scope) for scope in scopes}
            windows = {cap.window for cap in in_force}
            used = await usage.used(connection, scope_ids, windows, self._now())
            check = check_caps(in_force, used, reserved)
            if check == CapCheck():
                values = {"reserved_tokens": most.tokens, "reserved_usd": most.cost_usd}
                await connection.execute(Held(job, self._worker.name).fenced.values(**values))
            return check

    @reads
    async def cost_so_far(self, connection: AsyncConnection, job_id: int) -> float | None:
        """Returns what attempts at an answer under way have cost in dollars since its last end; None if unknown."""
        of_job = sa.select(turns.c.cost_usd).where(turns.c.job_id == job_id)
        ended = sa.select(sa.func.max(turns.c.id)).where(turns.c.job_id == job_id, ~is_midway()).scalar_subquery()
        costs = (await connection.scalars(of_job.where(turns.c.id > sa.func.coalesce(ended, 0)))).all()
        return None if None in costs else float(sum(costs))

    @reads
    async def used(
        self, connection: AsyncConnection, scope_ids: ScopeIds, windows: Collection[CapWindow]
    ) -> Mapping[CapWindow, Amount]:
        """Returns the usage in the current period of each window, without answers under way.

        An attempt's usage counts for the day on which the attempt ended.
        """
        return await usage.used(connection, scope_ids, windows, self._now())

    async def used_by_period(self, scope_ids: ScopeIds, scope: Scope) -> dict[Period, Amount]:
        """Returns what one scope has used in each current period, as `used` does."""
        windows = {period: CapWindow(scope, period) for period in Period}
        used = await self.used(scope_ids, windows.values())
        return {period: used[window] for period, window in windows.items()}

    @writes
    async def count(
        self, connection: AsyncConnection, question: Question, used: Amount, defaults: Sequence[Cap]
    ) -> None:
        """Counts usage for a message of a thread that is no question yet. `defaults`: as in usage.count.

        Admins are told of a cap by the outbox, which knows jobs only, so this counts for the thread's newest job.
        """
        newest = sa.select(jobs.c.id).where(in_thread(question.thread)).order_by(jobs.c.ts.desc()).limit(1)
        if (job_id := await connection.scalar(newest)) is not None:
            turn = {"job_id": job_id, "input_tokens": used.tokens, "output_tokens": 0, "cost_usd": used.cost_usd}
            await usage.count(connection, [(scope_ids_of(question), turn)], self._now(), defaults)

    @reads
    async def by_day(
        self, connection: AsyncConnection, team_id: str, owner: CapOwner, first: int
    ) -> Mapping[int, Amount]:
        """Returns what the owner of a cap used on each day since one, counted from 1970-01-01."""
        return await usage.by_day(connection, team_id, owner, first)

    @reads
    async def month(self, connection: AsyncConnection, team_id: str, first: int, end: int) -> MonthUsage:
        """Returns what a workspace used from one day until before another, counted from 1970-01-01."""
        return await usage.month(connection, team_id, first, end)


async def _reserved(connection: AsyncConnection, job: Job, scope: Scope) -> Amount:
    """Returns the reservations of the other answers under way."""
    thread = job.question.thread
    within: dict[Scope, sa.ColumnElement[bool]] = {
        Scope.USER: jobs.c.user_id == job.question.user_id,
        Scope.CHANNEL: jobs.c.channel_id == thread.channel_id,
        Scope.WORKSPACE: sa.true(),
    }
    others = is_running(), jobs.c.team_id == thread.team_id, jobs.c.id != job.id, within[scope]
    return await usage.added_up(connection, jobs.c.reserved_tokens, jobs.c.reserved_usd, others)
