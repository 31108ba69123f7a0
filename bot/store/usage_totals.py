"""Usage totals by day, and the reservations of answers that are being written."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Job
from bot.core.limits.caps import (
    Amount,
    Cap,
    CapCheck,
    CapWindow,
    Scope,
    ScopeIds,
    check_caps,
    day_of,
    first_day,
)
from bot.store.predicates import is_running
from bot.store.rows import insert_into, lock_key, on_postgresql, scope_ids_of
from bot.store.schema import jobs, usage_totals

DAYS_KEPT = 62
"""The longest period is a month."""


async def count(connection: AsyncConnection, turns: Iterable[tuple[ScopeIds, Mapping[str, Any]]], now: float) -> None:
    """Adds the usage of turns to the totals, in the same order in all processes, which prevents deadlocks."""
    sums: dict[tuple[str, str, str], Amount] = {}
    for scope_ids, turn in turns:
        tokens = (turn["input_tokens"] or 0) + (turn["output_tokens"] or 0)
        for scope in Scope if tokens else ():
            key = (scope_ids.team_id, scope.value, scope_ids.id_of(scope))
            before = sums.get(key, Amount())
            sums[key] = Amount(before.tokens + tokens, before.cost_usd + (turn["cost_usd"] or 0.0))
    if not sums:
        return
    names = ("team_id", "scope", "scope_id")
    rows = [
        {
            **dict(zip(names, key, strict=True)),
            "day": day_of(now),
            "tokens": sums[key].tokens,
            "cost_usd": sums[key].cost_usd,
        }
        for key in sorted(sums)
    ]
    add = insert_into(connection, usage_totals)
    more = {name: usage_totals.c[name] + add.excluded[name] for name in ("tokens", "cost_usd")}
    await connection.execute(add.on_conflict_do_update(index_elements=list(usage_totals.primary_key), set_=more), rows)


async def check_caps_of(connection: AsyncConnection, job: Job, caps: Sequence[Cap], now: float) -> CapCheck:
    """Checks whether the job's answer may begin. Other checks in the workspace wait until this transaction ends."""
    scope_ids = scope_ids_of(job.question)
    if on_postgresql(connection):
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock_key(f"caps {scope_ids.team_id}"))))
    # In this order, an answer that ends in between counts twice for a moment, and is never missed.
    reserved = {scope: await _reserved(connection, job, scope) for scope in {cap.window.scope for cap in caps}}
    return check_caps(caps, await spent_in(connection, scope_ids, {cap.window for cap in caps}, now), reserved)


async def spent_in(
    connection: AsyncConnection, scope_ids: ScopeIds, windows: Collection[CapWindow], now: float
) -> dict[CapWindow, Amount]:
    """Returns the usage in each window until now."""
    spent = {}
    for window in windows:
        where = (
            usage_totals.c.team_id == scope_ids.team_id,
            usage_totals.c.scope == window.scope.value,
            usage_totals.c.scope_id == scope_ids.id_of(window.scope),
            usage_totals.c.day >= first_day(window.period, now),
        )
        spent[window] = await _sum(connection, usage_totals.c.tokens, usage_totals.c.cost_usd, where)
    return spent


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
