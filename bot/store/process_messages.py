"""Messages between processes, by PostgreSQL's NOTIFY. A file has one process."""

import logging
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import StoreError
from bot.store.database import writes
from bot.store.liveness.workers import WorkerOperations
from bot.store.postgresql import channel, said_by

MAX_BYTES = 7_900
"""PostgreSQL takes payloads below 8,000 bytes."""

log = logging.getLogger(__name__)


class ProcessMessages(WorkerOperations):
    """Carries texts from each process to all others that run now. Nothing is stored."""

    async def send(self, text: str) -> None:
        """Sends a text to the other processes, as far as they can be reached; never raises."""
        payload = f"{said_by(self._worker.name)}{text}"
        if not self._database.on_server or len(payload.encode()) > MAX_BYTES:
            return
        try:
            await self._notify(payload)
        except StoreError as error:
            log.warning("other processes not notified: %s", error)

    def on_message(self, heard: Callable[[str], None]) -> None:
        """Has `heard` called with each text that another process sends from now on."""
        self._worker.heard = heard

    @writes
    async def _notify(self, connection: AsyncConnection, payload: str) -> None:
        await connection.execute(sa.select(sa.func.pg_notify(channel(), payload)))
