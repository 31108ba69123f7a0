"""Usage totals by day. What is counted here may use up a cap, which Typist admins are told of."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.limits.caps import (
    Amount,
    Cap,
    CapOwner,
    CapWindow,
    Scope,
    ScopeIds,
    day_of,
    first_day,
    passed_marks,
)
from bot.core.outbox import OutboxKind
from bot.store import caps, notices, outbox
from bot.store.rows import insert_into
from bot.store.schema import jobs, usage_totals

DAYS_KEPT = 62
"""App Home shows this month and the last."""


Counted = tuple[ScopeIds, Mapping[str, Any]]
"""A turn's row, and whom it counts for."""


async def count(connection: AsyncConnection, turns: Sequence[Counted], now: float, defaults: Sequence[Cap]) -> None:
    """Adds the usage of turns to the totals, and has the outbox tell Typist admins of marks that it has passed.

    Answers that will be erased when they end are left out: the totals name their askers.
    `defaults`: the caps that hold where admins have set no others.
    """
    # A transcription is billed by its length, and may use no tokens.
    counted = [(scope_ids, turn) for scope_ids, turn in turns if _tokens(turn) or turn["cost_usd"]]
    erased = await _erased(connection, {turn["job_id"] for _, turn in counted})
    counted = [(scope_ids, turn) for scope_ids, turn in counted if turn["job_id"] not in erased]
    if not counted:
        return
    await _add(connection, counted, now)
    for scope_ids, job_id in {scope_ids: turn["job_id"] for scope_ids, turn in counted}.items():
        await _tell_admins(connection, scope_ids, job_id, now, defaults)


async def used(
    connection: AsyncConnection, scope_ids: ScopeIds, windows: Collection[CapWindow], now: float
) -> dict[CapWindow, Amount]:
    """Returns the usage in each window until now."""
    amounts = {}
    for window in windows:
        where = (
            usage_totals.c.team_id == scope_ids.team_id,
            usage_totals.c.scope == window.scope.value,
            usage_totals.c.scope_id == scope_ids.id_of(window.scope),
            usage_totals.c.day >= first_day(window.period, now),
        )
        amounts[window] = await added_up(connection, usage_totals.c.tokens, usage_totals.c.cost_usd, where)
    return amounts


async def by_day(connection: AsyncConnection, team_id: str, owner: CapOwner, first: int) -> dict[int, Amount]:
    """Returns what the owner of a cap used on each day since one."""
    totals = usage_totals.c
    of_owner = totals.team_id == team_id, totals.scope == owner.scope.value, totals.scope_id == owner.id
    days = sa.select(totals.day, totals.tokens, totals.cost_usd).where(*of_owner, totals.day >= first)
    return {row.day: Amount(row.tokens, row.cost_usd) for row in await connection.execute(days)}


async def added_up(
    connection: AsyncConnection,
    tokens: sa.Column[int],
    cost_usd: sa.Column[float],
    where: Sequence[sa.ColumnElement[bool]],
) -> Amount:
    """Returns the sum of two columns."""
    total = sa.select(sa.func.sum(tokens), sa.func.sum(cost_usd)).where(*where)
    summed = (await connection.execute(total)).one()
    return Amount(int(summed[0] or 0), float(summed[1] or 0.0))


def _tokens(turn: Mapping[str, Any]) -> int:
    return (turn["input_tokens"] or 0) + (turn["output_tokens"] or 0)


async def _erased(connection: AsyncConnection, job_ids: Collection[int]) -> set[int]:
    """Returns which of the jobs will be erased when they end."""
    these = sa.select(jobs.c.id).where(jobs.c.id.in_(job_ids), jobs.c.erase_requested)
    return set(await connection.scalars(these)) if job_ids else set()


async def _add(connection: AsyncConnection, turns: Iterable[Counted], now: float) -> None:
    """Adds to the totals, in the same order in all processes, which prevents deadlocks."""
    sums: dict[tuple[str, str, str], Amount] = {}
    for scope_ids, turn in turns:
        for scope in Scope:
            key = (scope_ids.team_id, scope.value, scope_ids.id_of(scope))
            sums[key] = sums.get(key, Amount()) + Amount(_tokens(turn), turn["cost_usd"] or 0.0)
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


async def _tell_admins(
    connection: AsyncConnection, scope_ids: ScopeIds, job_id: int, now: float, defaults: Sequence[Cap]
) -> None:
    """Adds an outbox entry for each cap whose usage has passed a mark, once over all processes.

    The totals that were just written stay locked until this transaction ends, so no other one passes the same mark.
    """
    in_force = await caps.in_force(connection, scope_ids, defaults)
    amounts = await used(connection, scope_ids, {cap.window for cap in in_force}, now)
    for cap in in_force:
        passed = passed_marks(cap, amounts[cap.window], scope_ids.id_of(cap.window.scope), now)
        new = [notice for notice in passed if await notices.claim(connection, scope_ids.team_id, "", str(notice), now)]
        if new:
            # At 100%, nobody needs to hear of 80%.
            await outbox.add(connection, OutboxKind.TELL_ADMINS, [job_id], now, str(new[-1]))
