import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.database import Operations, reads, writes
from bot.store.rows import upsert
from bot.store.schema import PANE_CONTEXT_KEPT_S, pane_contexts


class PaneContexts(Operations):
    @reads
    async def read(self, connection: AsyncConnection, team_id: str, user_id: str) -> str:
        """Returns the channel that a person last had open, or "" if Slack reported none in the last eight hours."""
        of_person = (
            pane_contexts.c.team_id == team_id,
            pane_contexts.c.user_id == user_id,
            pane_contexts.c.opened_at > self._now() - PANE_CONTEXT_KEPT_S,
        )
        return await connection.scalar(sa.select(pane_contexts.c.channel_id).where(*of_person)) or ""

    @writes
    async def write(self, connection: AsyncConnection, team_id: str, user_id: str, channel_id: str) -> None:
        newest = {"channel_id": channel_id, "opened_at": self._now()}
        await upsert(connection, pane_contexts, {"team_id": team_id, "user_id": user_id}, newest)
