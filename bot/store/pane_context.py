"""Pane context: the channel that a person has open beside the assistant pane."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.database import Operations, reads, writes
from bot.store.rows import put
from bot.store.schema import pane_contexts

KEPT_S = 8 * 3600.0
"""How long a context is valid without news: after that, the person has probably left."""


class PaneContexts(Operations):
    """Reads and records the context of the pane."""

    @reads
    async def read(self, connection: AsyncConnection, team_id: str, user_id: str) -> str:
        """Returns the channel that a person had open last, "" if Slack named none in the last eight hours."""
        of_person = (
            pane_contexts.c.team_id == team_id,
            pane_contexts.c.user_id == user_id,
            pane_contexts.c.opened_at > self._now() - KEPT_S,
        )
        return await connection.scalar(sa.select(pane_contexts.c.channel_id).where(*of_person)) or ""

    @writes
    async def write(self, connection: AsyncConnection, team_id: str, user_id: str, channel_id: str) -> None:
        """Records which channel a person has open; "" is none."""
        newest = {"channel_id": channel_id, "opened_at": self._now()}
        await put(connection, pane_contexts, {"team_id": team_id, "user_id": user_id}, newest)
