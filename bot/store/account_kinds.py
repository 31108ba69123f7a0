"""Stores user types from recent Slack lookups, so that a restarted process doesn't look up everyone again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import monotonic_began_at
from bot.core.access import UserKind
from bot.store.database import Database, GroupCommit, Operations, reads, writes_unsynced
from bot.store.rows import insert_into
from bot.store.schema import KINDS_KEPT_S, account_kinds

_KINDS = frozenset(kind.value for kind in UserKind)


@dataclass(frozen=True, slots=True)
class AccountKind:
    team_id: str
    user_id: str
    kind: UserKind
    looked_up_at: float
    """When the lookup began, on this process's monotonic clock."""


class AccountKinds(Operations):
    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._epoch_s = monotonic_began_at(database.clock)
        self._writes = GroupCommit(self._record_all)
        self._reads = GroupCommit(self._read_all)

    async def record(self, found: AccountKind) -> None:
        """Stores a user type unless a newer lookup is stored."""
        await self._writes.add(found)

    @writes_unsynced
    async def _record_all(self, connection: AsyncConnection, found: Sequence[AccountKind]) -> list[None]:
        now = self._now()
        # If a person occurs twice, the second lookup is newer. One statement can write a row only once.
        people = {(one.team_id, one.user_id): one for one in found}
        rows = [
            {
                "team_id": one.team_id,
                "user_id": one.user_id,
                "kind": one.kind.value,
                "looked_up_at": self._epoch_s + one.looked_up_at,
            }
            for _, one in sorted(people.items())
        ]
        row = insert_into(connection, account_kinds).values(rows)
        at = account_kinds.c.looked_up_at
        newer = row.on_conflict_do_update(
            index_elements=list(account_kinds.primary_key),
            set_={"kind": row.excluded.kind, "looked_up_at": row.excluded.looked_up_at},
            # A future time was recorded by a wrong clock, so it isn't a later lookup.
            where=sa.or_(at < row.excluded.looked_up_at, at > now),
        )
        await connection.execute(newer)
        return [None] * len(found)

    async def read(self, team_id: str, user_id: str) -> AccountKind | None:
        """Returns a user type if it was looked up within the last KINDS_KEPT_S seconds, or None."""
        return await self._reads.add((team_id, user_id))

    @reads
    async def _read_all(
        self, connection: AsyncConnection, people: Sequence[tuple[str, str]]
    ) -> list[AccountKind | None]:
        now, person = self._now(), sa.tuple_(account_kinds.c.team_id, account_kinds.c.user_id)
        rows = await connection.execute(sa.select(account_kinds).where(person.in_(people)))
        found = {(row.team_id, row.user_id): self._kind_of(row, now) for row in rows}
        return [found.get(one) for one in people]

    def _kind_of(self, row: sa.Row[Any], now: float) -> AccountKind | None:
        # A later version might know more user types, and a wrong clock might have recorded a future time.
        if row.kind not in _KINDS or not 0 <= now - row.looked_up_at < KINDS_KEPT_S:
            return None
        return AccountKind(row.team_id, row.user_id, UserKind(row.kind), row.looked_up_at - self._epoch_s)
