"""The rate ledger: the Slack calls of all processes, so that together they stay within a minute's budget.

It also has what Slack's answers have taught any of them about the budgets. Each reservation brings that along.
"""

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.job import Others, Reservation
from bot.core.pacing import Learned, PostRule
from bot.store.database import Database, writes_unsynced
from bot.store.liveness.workers import WorkerLiveness, WorkerOperations
from bot.store.postgresql import one_at_a_time
from bot.store.predicates import CLOCKS_DIFFER_S, is_running
from bot.store.rows import insert_into
from bot.store.schema import jobs, learned_budgets, slack_calls

WINDOW_S = 61.0
"""Slack's minute, and a second for the way to Slack and for differing clocks."""
OWN_WINDOW_S = 60.0
"""For a worker's own calls: its pacer knows when each was answered."""
POSTS = "posts "
"""Before a channel's ID: what its posts are counted as."""
Allows = Callable[[Sequence[float], float], bool]
"""Whether calls at these times, in order, allow another one now."""


class RateLedger(WorkerOperations):
    """Counts the calls to Slack of all processes that share the database, those of ended processes included."""

    def __init__(self, database: Database, worker: WorkerLiveness) -> None:
        super().__init__(database, worker)
        self._epoch_s = database.clock.now() - database.clock.monotonic()
        """The stored time at which this process's monotonic clock began."""

    @property
    def failed_at(self) -> float:
        """When the database last failed this process, in any operation, by the monotonic clock."""
        return self._database.failed_at

    async def reserve(self, method: str, calls_per_minute: int, *, with_live: bool = False) -> Reservation:
        """Takes one call from the method's budget, if one is left. Raises StoreError.

        `with_live`: the reservation also reports the other processes' live replies, which takes one more query.
        """
        return await self._reserve(method, lambda calls, now: len(calls) < calls_per_minute, with_live)

    async def reserve_post(self, channel_id: str, rule: PostRule) -> Reservation:
        """Takes one post from a channel's budget, if the rule allows one. Raises StoreError."""
        return await self._reserve(POSTS + channel_id, lambda posts, now: rule.free_at(posts, now) <= now, False)

    @writes_unsynced
    async def _reserve(self, connection: AsyncConnection, counted: str, allows: Allows, with_live: bool) -> Reservation:
        # The time when the transaction began, not when it was requested, so that calls are in order.
        worker, now = self._worker.name, self._now()
        granted, call_ages_s = await _take_call(connection, worker, counted, allows, now)
        live_ages_s = await _live_ages_s(connection, worker, now) if with_live else ()
        learned = await _learned(connection, now, self._epoch_s)
        return Reservation(granted, Others(call_ages_s, live_ages_s), learned)

    @writes_unsynced
    async def record_learned(self, connection: AsyncConnection, budget: str, learned: Learned) -> None:
        """Records what this process has learned about a budget, unless what is on record is newer. Raises StoreError.

        `budget`: a method, or any other name. Times are by the monotonic clock.
        """
        learned_at, held_until = (self._epoch_s + at for at in (learned.at, learned.held_until))
        values = {"calls": learned.calls, "learned_at": learned_at, "held_until": held_until}
        recorded_at = learned_budgets.c.learned_at
        is_older = sa.or_(recorded_at < learned_at, recorded_at > self._now() + CLOCKS_DIFFER_S)
        row = insert_into(connection, learned_budgets).values(budget=budget, **values)
        await connection.execute(row.on_conflict_do_update(index_elements=["budget"], set_=values, where=is_older))


async def _take_call(
    connection: AsyncConnection, worker: str, counted: str, allows: Allows, now: float
) -> tuple[bool, tuple[float, ...]]:
    """Takes one call, if the calls of the last minute allow it; returns whether it did, and the ages of others' calls.

    Processes take turns: SQLite has one writer, and PostgreSQL a lock for each method and each channel.
    """
    await one_at_a_time(connection, f"calls {counted}")
    of_method = (
        sa.select(slack_calls.c.worker, slack_calls.c.sent_at)
        .where(slack_calls.c.method == counted)
        .order_by(slack_calls.c.sent_at)
    )
    rows = (await connection.execute(of_method)).all()
    # A clock that was wrong for a while must not leave calls that count for years.
    counting = [row for row in rows if abs(now - row.sent_at) < (OWN_WINDOW_S if row.worker == worker else WINDOW_S)]
    # Others' calls count for longer, so they are taken for later.
    times = sorted(row.sent_at + (0 if row.worker == worker else WINDOW_S - OWN_WINDOW_S) for row in counting)
    granted = allows(times, now)
    if granted:
        if len(counting) < len(rows):
            await connection.execute(sa.delete(slack_calls).where(slack_calls.c.method == counted, _is_old(now)))
        await connection.execute(sa.insert(slack_calls).values(method=counted, worker=worker, sent_at=now))
    return granted, tuple(max(0.0, now - row.sent_at) for row in counting if row.worker != worker)


def _is_old(now: float) -> sa.ColumnElement[bool]:
    return sa.or_(slack_calls.c.sent_at <= now - WINDOW_S, slack_calls.c.sent_at >= now + WINDOW_S)


async def _learned(connection: AsyncConnection, now: float, epoch_s: float) -> dict[str, Learned]:
    # What a clock that was wrong recorded for the future would count as the newest for years.
    credible = sa.select(learned_budgets).where(learned_budgets.c.learned_at <= now + CLOCKS_DIFFER_S)
    return {
        row.budget: Learned(row.calls, row.learned_at - epoch_s, row.held_until - epoch_s)
        for row in await connection.execute(credible)
    }


async def _live_ages_s(connection: AsyncConnection, worker: str, now: float) -> tuple[float, ...]:
    live = sa.select(jobs.c.started_at).where(is_running(), jobs.c.worker != worker)
    return tuple(max(0.0, now - started_at) for started_at in await connection.scalars(live.order_by(jobs.c.id)))
