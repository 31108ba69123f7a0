"""The usage ledger: reservations of answers under way and usage of past ones, for the quota and reports in Slack."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Job
from bot.core.limits.caps import Amount, Cap, CapCheck, CapWindow, Scope, ScopeIds, check_caps, first_day
from bot.store.database import Database, completes, reads
from bot.store.liveness.workers import WorkerLiveness, WorkerOperations
from bot.store.postgresql import one_at_a_time
from bot.store.predicates import is_running
from bot.store.queue.held import Held
from bot.store.rows import scope_ids_of
from bot.store.schema import jobs, turns, usage_totals


class UsageLedger(WorkerOperations):
    """Keeps answers under way within the caps, and reports usage."""

    def __init__(self, database: Database, worker: WorkerLiveness) -> None:
        super().__init__(database, worker)
        self._reserving = asyncio.Lock()

    @completes()
    async def reserve(self, job: Job, most: Amount, caps: Sequence[Cap]) -> CapCheck:
        """Reserves the most that an answer may use until its job ends, if the caps leave room for it.

        Reservations of a workspace are made one after another, over all processes.
        """
        scope_ids = scope_ids_of(job.question)
        windows = {cap.window for cap in caps}
        # The database takes one at a time anyway. Callers that wait for its lock must not hold all our connections.
        async with self._reserving, self._database.begin_write() as connection:
            await one_at_a_time(connection, f"caps {scope_ids.team_id}")
            # In this order, an answer that ends in between counts twice for a moment, and is never missed.
            reserved = {scope: await _reserved(connection, job, scope) for scope in {cap.window.scope for cap in caps}}
            check = check_caps(caps, await _used(connection, scope_ids, windows, self._now()), reserved)
            if check == CapCheck():
                values = {"reserved_tokens": most.tokens, "reserved_usd": most.cost_usd}
                await connection.execute(Held(job, self._worker.name).fenced.values(**values))
            return check

    @reads
    async def used(
        self, connection: AsyncConnection, scope_ids: ScopeIds, windows: Collection[CapWindow]
    ) -> Mapping[CapWindow, Amount]:
        """Returns the usage in the current period of each window, without answers under way.

        An attempt's usage counts for the day on which the attempt ended.
        """
        return await _used(connection, scope_ids, windows, self._now())

    @reads
    async def used_by_model(self, connection: AsyncConnection, team_id: str, since: float) -> Mapping[str, Amount]:
        """Returns a workspace's usage by model, of answers that ended since then (seconds since the epoch)."""
        # Added up in the database, because App Home is opened more often than a report is run.
        tokens = sa.func.sum(sa.func.coalesce(turns.c.input_tokens, 0) + sa.func.coalesce(turns.c.output_tokens, 0))
        summed = (
            sa.select(turns.c.model, tokens.label("tokens"), sa.func.sum(turns.c.cost_usd).label("cost_usd"))
            .join_from(turns, jobs, turns.c.job_id == jobs.c.id)
            .where(jobs.c.team_id == team_id, turns.c.created_at >= since, turns.c.model.is_not(None))
            .group_by(turns.c.model)
        )
        rows = await connection.execute(summed)
        return {row.model: Amount(int(row.tokens or 0), float(row.cost_usd or 0.0)) for row in rows}


async def _used(
    connection: AsyncConnection, scope_ids: ScopeIds, windows: Collection[CapWindow], now: float
) -> dict[CapWindow, Amount]:
    """Returns the usage in each window until now."""
    used = {}
    for window in windows:
        where = (
            usage_totals.c.team_id == scope_ids.team_id,
            usage_totals.c.scope == window.scope.value,
            usage_totals.c.scope_id == scope_ids.id_of(window.scope),
            usage_totals.c.day >= first_day(window.period, now),
        )
        used[window] = await _sum(connection, usage_totals.c.tokens, usage_totals.c.cost_usd, where)
    return used


async def _reserved(connection: AsyncConnection, job: Job, scope: Scope) -> Amount:
    """Returns the reservations of the other answers under way."""
    thread = job.question.thread
    within: dict[Scope, sa.ColumnElement[bool]] = {
        Scope.USER: jobs.c.user_id == job.question.user_id,
        Scope.CHANNEL: jobs.c.channel_id == thread.channel_id,
        Scope.WORKSPACE: sa.true(),
    }
    others = is_running(), jobs.c.team_id == thread.team_id, jobs.c.id != job.id, within[scope]
    return await _sum(connection, jobs.c.reserved_tokens, jobs.c.reserved_usd, others)


async def _sum(
    connection: AsyncConnection,
    tokens: sa.Column[int],
    cost_usd: sa.Column[float],
    where: Sequence[sa.ColumnElement[bool]],
) -> Amount:
    total = sa.select(sa.func.sum(tokens), sa.func.sum(cost_usd)).where(*where)
    summed = (await connection.execute(total)).one()
    return Amount(int(summed[0] or 0), float(summed[1] or 0.0))
