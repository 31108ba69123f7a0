"""Which channel somebody looks at beside the pane."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.ports.clock import Clock
from bot.store.database import Database
from bot.store.rows import insert_into
from bot.store.schema import looks

LOOK_S = 8 * 3600.0
"""Who was not told of for so long has gone home."""


class SqlPaneContext:
    """Implements the ports PaneContextReader and PaneContextWriter."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def read(self, team_id: str, user_id: str) -> str:
        """Returns the channel that a person had open last, "" if there is none."""
        return await self._database.read(read, (team_id, user_id), self._clock.now())

    async def write(self, team_id: str, user_id: str, channel_id: str) -> None:
        """Records which channel a person has open."""
        await self._database.write(write, (team_id, user_id), channel_id, self._clock.now())


async def write(connection: AsyncConnection, person: tuple[str, str], channel_id: str, now: float) -> None:
    """In place of what they looked at before. `person`: team and user."""
    team_id, user_id = person
    row = insert_into(connection, looks).values(team_id=team_id, user_id=user_id, channel_id=channel_id, at=now)
    newest = {"channel_id": channel_id, "at": now}
    await connection.execute(row.on_conflict_do_update(index_elements=list(looks.primary_key), set_=newest))


async def read(connection: AsyncConnection, person: tuple[str, str], now: float) -> str:
    """ "" where nothing is known."""
    team_id, user_id = person
    of_person = (looks.c.team_id == team_id, looks.c.user_id == user_id, looks.c.at > now - LOOK_S)
    return await connection.scalar(sa.select(looks.c.channel_id).where(*of_person)) or ""


async def expire(connection: AsyncConnection, now: float) -> None:
    """Drops what is not read any more."""
    await connection.execute(sa.delete(looks).where(looks.c.at <= now - LOOK_S))
