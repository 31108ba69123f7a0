from dataclasses import asdict, fields

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.surfaces import AppContext
from bot.store.database import Operations, reads, writes
from bot.store.rows import upsert
from bot.store.schema import PANE_CONTEXT_KEPT_S, pane_contexts


class PaneContexts(Operations):
    @reads
    async def read(self, connection: AsyncConnection, team_id: str, user_id: str) -> AppContext:
        """Returns the channel and message that a person last had open next to the pane, within the last eight hours."""
        of_person = (
            pane_contexts.c.team_id == team_id,
            pane_contexts.c.user_id == user_id,
            pane_contexts.c.opened_at > self._now() - PANE_CONTEXT_KEPT_S,
        )
        columns = (pane_contexts.c[field.name] for field in fields(AppContext))
        row = (await connection.execute(sa.select(*columns).where(*of_person))).one_or_none()
        return AppContext(*row) if row else AppContext()

    @writes
    async def write(self, connection: AsyncConnection, team_id: str, user_id: str, context: AppContext) -> None:
        newest = {**asdict(context), "opened_at": self._now()}
        await upsert(connection, pane_contexts, {"team_id": team_id, "user_id": user_id}, newest)
