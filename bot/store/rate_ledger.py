"""The rate ledger, which counts the Slack calls of all processes, because processes share each minute's budget.

The ledger also stores the budgets that processes have learned from Slack's responses, and returns them with each
reservation. Every call is counted before it is sent, so requests come in bursts: fifty questions make two hundred calls
in a second. Requests that arrive during one transaction share the next one (`GroupCommit`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import monotonic_began_at
from bot.store.database import Database, GroupCommit, acquire_lock, writes_unsynced
from bot.store.rows import CLOCKS_DIFFER_S, insert_into, is_running
from bot.store.schema import jobs, learned_budgets, slack_calls
from bot.store.workers import WorkerLiveness, WorkerOperations
from slack_pacing.ledger import POSTS_PREFIX, OtherProcesses, Reservation
from slack_pacing.posts import PostRule
from slack_pacing.rates import LearnedLimit

WINDOW_S = 61.0
"""Slack's minute, plus a second for network delays and differing clocks."""
OWN_WINDOW_S = 60.0
"""The same period for the worker's own calls. It needs no margin, because the worker's pacer knows when Slack
responded."""
AllowsCall = Callable[[Sequence[float], float], bool]
"""Given the times of earlier calls, in order, returns whether another call is allowed."""


@dataclass(frozen=True, slots=True)
class _Request:
    budget: str
    allows: AllowsCall
    with_live: bool = False


class RateLedger(WorkerOperations):
    def __init__(self, database: Database, worker: WorkerLiveness) -> None:
        super().__init__(database, worker)
        self._epoch_s = monotonic_began_at(database.clock)
        self._requests = GroupCommit(self._reserve_all)

    async def reserve(self, method: str, calls_per_minute: int, *, with_live: bool = False) -> Reservation:
        """Reserves a call from the method's budget if one is available. `with_live`: whether to report other processes'
        live replies."""
        return await self._requests.add(_Request(method, lambda calls, now: len(calls) < calls_per_minute, with_live))

    async def reserve_post(self, channel_id: str, rule: PostRule) -> Reservation:
        """Reserves a post from a channel's budget if the rule allows another post. Raises StoreError."""
        return await self._requests.add(
            _Request(POSTS_PREFIX + channel_id, lambda posts, now: rule.free_at(posts, now) <= now)
        )

    @writes_unsynced
    async def give_back(self, connection: AsyncConnection, budgets: Sequence[str]) -> None:
        """Returns unused reservations of this process to their budgets, one for each name in `budgets`. Raises
        StoreError."""
        for name in budgets:
            newest = sa.select(sa.func.max(slack_calls.c.id)).where(
                slack_calls.c.method == name, slack_calls.c.worker == self._worker.name
            )
            await connection.execute(sa.delete(slack_calls).where(slack_calls.c.id == newest.scalar_subquery()))

    @writes_unsynced
    async def _reserve_all(self, connection: AsyncConnection, requests: Sequence[_Request]) -> list[Reservation]:
        # The time when the transaction began, not when the call was requested, so that calls are in order.
        worker, now = self._worker.name, self._now()
        calls = await _recent_calls(connection, worker, {request.budget for request in requests}, now)
        granted = [calls[request.budget].take(request.allows, now) for request in requests]
        taken = [request.budget for request, is_granted in zip(requests, granted, strict=True) if is_granted]
        if taken:
            rows = [{"method": method, "worker": worker, "sent_at": now} for method in taken]
            await connection.execute(sa.insert(slack_calls), rows)
        if old := [name for name, of_method in calls.items() if of_method.has_old]:
            is_old = sa.or_(slack_calls.c.sent_at <= now - WINDOW_S, slack_calls.c.sent_at >= now + WINDOW_S)
            await connection.execute(sa.delete(slack_calls).where(slack_calls.c.method.in_(old), is_old))
        with_live = any(request.with_live for request in requests)
        live_ages_s: tuple[float, ...] = ()
        if with_live:
            live = sa.select(jobs.c.started_at).where(is_running(), jobs.c.worker != worker).order_by(jobs.c.id)
            live_ages_s = tuple(max(0.0, now - started_at) for started_at in await connection.scalars(live))
        # A future time recorded by a wrong clock would count as the newest for years.
        credible = sa.select(learned_budgets).where(learned_budgets.c.learned_at <= now + CLOCKS_DIFFER_S)
        learned = {
            row.budget: LearnedLimit(row.calls, row.learned_at - self._epoch_s, row.held_until - self._epoch_s)
            for row in await connection.execute(credible)
        }
        return [
            Reservation(
                is_granted,
                OtherProcesses(calls[request.budget].others_ages_s, live_ages_s if request.with_live else ()),
                learned,
            )
            for request, is_granted in zip(requests, granted, strict=True)
        ]

    @writes_unsynced
    async def record_learned(self, connection: AsyncConnection, budget: str, learned: LearnedLimit) -> None:
        learned_at, held_until = (self._epoch_s + at for at in (learned.learned_at, learned.held_until))
        values = {"calls": learned.calls, "learned_at": learned_at, "held_until": held_until}
        recorded_at = learned_budgets.c.learned_at
        is_older = sa.or_(recorded_at < learned_at, recorded_at > self._now() + CLOCKS_DIFFER_S)
        row = insert_into(connection, learned_budgets).values(budget=budget, **values)
        await connection.execute(row.on_conflict_do_update(index_elements=["budget"], set_=values, where=is_older))


@dataclass(slots=True)
class _Calls:
    times: list[float] = field(default_factory=list)
    """Times of the calls, in order. The times of other processes' calls are shifted later, because their calls count
    for longer."""
    others_ages_s: tuple[float, ...] = ()
    has_old: bool = False

    def take(self, allows: AllowsCall, now: float) -> bool:
        """Adds a call if the existing calls allow another one. Returns whether the call was added."""
        granted = allows(self.times, now)
        if granted:
            self.times.append(now)
        return granted


async def _recent_calls(connection: AsyncConnection, worker: str, budgets: set[str], now: float) -> dict[str, _Calls]:
    """Returns the calls made within the last minute, keyed by name. Locks the names until the transaction ends."""
    # In order, so that no two processes deadlock.
    for name in sorted(budgets):
        await acquire_lock(connection, f"calls {name}")
    rows = await connection.execute(
        sa.select(slack_calls.c.method, slack_calls.c.worker, slack_calls.c.sent_at)
        .where(slack_calls.c.method.in_(budgets))
        .order_by(slack_calls.c.sent_at)
    )
    calls = {name: _Calls() for name in budgets}
    for method, caller, sent_at in rows:
        is_own = caller == worker
        # Calls recorded while a clock was wrong must not count for years.
        if abs(now - sent_at) < (OWN_WINDOW_S if is_own else WINDOW_S):
            of_method = calls[method]
            of_method.times.append(sent_at if is_own else sent_at + WINDOW_S - OWN_WINDOW_S)
            of_method.others_ages_s += () if is_own else (max(0.0, now - sent_at),)
        else:
            calls[method].has_old = True
    for of_method in calls.values():
        of_method.times.sort()
    return calls
