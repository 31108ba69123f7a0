"""Notices that people received."""

import math

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.database import Operations, reads, writes
from bot.store.predicates import has_come
from bot.store.rows import insert_into
from bot.store.schema import notices

NOTICES_KEPT_S = 62 * 24 * 3600.0
"""A notice that is sent once may be sent again after this time."""


class Notices(Operations):
    """Notices that are sent at most once in a period, over all processes."""

    @writes
    async def claim(
        self, connection: AsyncConnection, team_id: str, user_id: str, notice: str, every_s: float = math.inf
    ) -> bool:
        """Returns True once within `every_s` for a person and a notice: then the caller sends it.

        An empty `user_id` stands for everybody in the workspace.
        """
        return await claim(connection, team_id, user_id, notice, self._now(), every_s)

    @reads
    async def is_given(self, connection: AsyncConnection, team_id: str, user_id: str, notice: str) -> bool:
        """Returns whether a notice that is sent once was claimed for a person."""
        key = notices.c.team_id == team_id, notices.c.user_id == user_id, notices.c.notice == notice
        return bool(await connection.scalar(sa.select(sa.exists().where(*key))))


async def claim(
    connection: AsyncConnection, team_id: str, user_id: str, notice: str, now: float, every_s: float = math.inf
) -> bool:
    """Claims a notice as Notices.claim does, in the caller's transaction."""
    wait_s = min(every_s, NOTICES_KEPT_S)
    row = insert_into(connection, notices).values(team_id=team_id, user_id=user_id, notice=notice, given_at=now)
    again = row.on_conflict_do_update(
        index_elements=list(notices.primary_key),
        set_={"given_at": now},
        where=has_come(notices.c.given_at + wait_s, now, wait_s),
    )
    return await connection.scalar(again.returning(notices.c.given_at)) is not None
