"""The caps that Typist admins have set, which replace those of BOT_CAPS for the workspace, a channel or a person."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.limits.cap_fields import CapField, Limits
from bot.core.limits.caps import (
    Amount,
    Cap,
    CapOwner,
    CapWindow,
    OwnCap,
    Period,
    Scope,
    ScopeIds,
    caps_in_force,
    first_day,
)
from bot.store import audit
from bot.store.database import Operations, reads, writes
from bot.store.postgresql import one_at_a_time
from bot.store.rows import put
from bot.store.schema import caps, usage_totals


class CapStore(Operations):
    """Reads and changes the caps that admins have set."""

    @reads
    async def own(self, connection: AsyncConnection, team_id: str, owner: CapOwner) -> tuple[Cap, ...]:
        """Returns the caps of the workspace, a channel or a person, without the defaults."""
        return await _own(connection, team_id, owner)

    @reads
    async def in_force(
        self, connection: AsyncConnection, scope_ids: ScopeIds, defaults: Sequence[Cap]
    ) -> tuple[Cap, ...]:
        """Returns the caps on a person's answers in a channel."""
        return await in_force(connection, scope_ids, defaults)

    @reads
    async def all(self, connection: AsyncConnection, team_id: str) -> list[OwnCap]:
        """Returns all caps that admins have set, with what is used of them."""
        now = self._now()
        used = [_used(column, now).label(f"used_{column.name}") for column in (_TOTALS.tokens, _TOTALS.cost_usd)]
        rows = await connection.execute(sa.select(caps, *used).where(caps.c.team_id == team_id))
        return [
            OwnCap(
                CapOwner(Scope(row.scope), row.scope_id),
                _cap(row),
                Amount(int(row.used_tokens or 0), float(row.used_cost_usd or 0.0)),
            )
            for row in rows
        ]

    @writes
    async def change(
        self, connection: AsyncConnection, team_id: str, owner: CapOwner, limits: Limits, *, by: str
    ) -> bool:
        """Sets and removes caps of one owner, from the next answer on and in all processes.

        `by` is the admin. Returns whether that changed anything.
        """
        # Neither a reservation nor another change comes between what is read here and what is written.
        await one_at_a_time(connection, f"caps {team_id}")
        before = {CapField.of(cap): cap.limit for cap in await _own(connection, team_id, owner)}
        changed = {field: limit for field, limit in limits.items() if before.get(field) != limit}
        for field, limit in changed.items():
            key = {
                "team_id": team_id,
                "scope": owner.scope.value,
                "scope_id": owner.id,
                "period": field.period.value,
                "in_dollars": field.in_dollars,
            }
            if limit is None:
                this = (caps.c[name] == value for name, value in key.items())
                await connection.execute(sa.delete(caps).where(*this))
            else:
                await put(connection, caps, key, {"amount": limit})
        if changed:
            about = {f"{owner.scope}_id": owner.id} if owner.scope is not Scope.WORKSPACE else {}
            facts = {"scope": owner.scope.value, **{field.value: _fact(field, to) for field, to in changed.items()}}
            await audit.setting_changed(connection, self._now(), "caps", facts, by=by, team_id=team_id, **about)
        return bool(changed)


def _fact(field: CapField, limit: float | None) -> float | str:
    """Returns a cap as the audit names it: tokens are whole."""
    return "default" if limit is None else limit if field.in_dollars else int(limit)


_TOTALS = usage_totals.c


async def in_force(connection: AsyncConnection, scope_ids: ScopeIds, defaults: Sequence[Cap]) -> tuple[Cap, ...]:
    """Returns the caps on a person's answers in a channel, as they are in this transaction."""
    owners = [CapOwner(scope, scope_ids.id_of(scope)) for scope in Scope]
    return caps_in_force(defaults, await _own(connection, scope_ids.team_id, *owners))


async def _own(connection: AsyncConnection, team_id: str, *owners: CapOwner) -> tuple[Cap, ...]:
    of_owners = sa.tuple_(caps.c.scope, caps.c.scope_id).in_([(owner.scope.value, owner.id) for owner in owners])
    rows = await connection.execute(sa.select(caps).where(caps.c.team_id == team_id, of_owners))
    return tuple(map(_cap, rows))


def _cap(row: sa.Row[Any]) -> Cap:
    return Cap(CapWindow(Scope(row.scope), Period(row.period)), row.amount, row.in_dollars)


def _used(column: sa.Column[Any], now: float) -> sa.ScalarSelect[Any]:
    """Sums what a cap's owner has used in its period."""
    since = sa.case((caps.c.period == Period.DAY.value, first_day(Period.DAY, now)), else_=first_day(Period.MONTH, now))
    of_owner = (_TOTALS[name] == caps.c[name] for name in ("team_id", "scope", "scope_id"))
    return sa.select(sa.func.sum(column)).where(*of_owner, _TOTALS.day >= since).correlate(caps).scalar_subquery()
