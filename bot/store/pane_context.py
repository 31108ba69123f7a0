"""Pane context: the channel that a person has open beside the assistant pane."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import Clock
from bot.store.database import Database
from bot.store.rows import insert_into
from bot.store.schema import pane_contexts

KEPT_S = 8 * 3600.0
"""How long a context is valid without news: after that, the person has probably left."""


class PaneContexts:
    """Implements the ports PaneContextReader and PaneContextWriter."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def read(self, team_id: str, user_id: str) -> str:
        """Returns the channel that a person had open last, "" if Slack named none in the last eight hours."""
        return await self._database.read(read, (team_id, user_id), self._clock.now())

    async def write(self, team_id: str, user_id: str, channel_id: str) -> None:
        """Records which channel a person has open; "" is none."""
        await self._database.write(write, (team_id, user_id), channel_id, self._clock.now())


async def write(connection: AsyncConnection, person: tuple[str, str], channel_id: str, now: float) -> None:
    """Records the channel in place of the one before. `person`: team and user."""
    team_id, user_id = person
    row = insert_into(connection, pane_contexts).values(
        team_id=team_id, user_id=user_id, channel_id=channel_id, opened_at=now
    )
    newest = {"channel_id": channel_id, "opened_at": now}
    await connection.execute(row.on_conflict_do_update(index_elements=list(pane_contexts.primary_key), set_=newest))


async def read(connection: AsyncConnection, person: tuple[str, str], now: float) -> str:
    """Returns the channel, "" where none is known."""
    team_id, user_id = person
    of_person = (
        pane_contexts.c.team_id == team_id,
        pane_contexts.c.user_id == user_id,
        pane_contexts.c.opened_at > now - KEPT_S,
    )
    return await connection.scalar(sa.select(pane_contexts.c.channel_id).where(*of_person)) or ""
