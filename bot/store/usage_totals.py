"""Usage totals by day."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.limits.caps import (
    Amount,
    Scope,
    ScopeIds,
    day_of,
)
from bot.store.rows import insert_into
from bot.store.schema import usage_totals

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
