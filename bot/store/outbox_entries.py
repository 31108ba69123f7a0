"""The outbox, as seen by a process that works on its entries."""

from collections.abc import Sequence

import sqlalchemy as sa

from bot.clock import Clock
from bot.core.conversation import Job
from bot.core.outbox import OutboxEntry
from bot.store import outbox, outbox_jobs
from bot.store.database import Database


class OutboxEntries:
    """Implements the port OutboxEntries."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def take(self, limit: int) -> list[OutboxEntry]:
        """Returns up to `limit` entries that are due.

        This process holds them for OUTBOX_HOLD_S; an entry that is not complete by then is due again.
        """
        return await self._database.complete(self._take(limit))

    async def complete(self, entry: OutboxEntry, posted_ts: str | None = None) -> None:
        """Removes an entry, unless there was a new reason for it meanwhile; `posted_ts` is a message that it posted."""
        await self._database.write(outbox_jobs.done, entry, posted_ts)

    async def postpone(self, entry: OutboxEntry, delay_s: float) -> None:
        """Makes an entry that failed due again after the delay."""
        await self._database.write(outbox.later, entry, self._clock.now() + delay_s)

    async def unshown_end(self, entry: OutboxEntry) -> Job | None:
        """Returns the ended job whose end Slack did not accept, with its checkpoint; None if it needs no showing.

        The job comes without the other questions that it answered: showing an end takes no prompt.
        While the entry is held, nobody claims the job, and no other entry about it is handed out.
        """
        return await self._database.read(outbox_jobs.unshown_end, entry)

    async def waiting_job(self, entry: OutboxEntry) -> Job | None:
        """Returns the job that waits for approvals, with its text and its steps; None if it waits no longer.

        While the entry is held, nobody claims the job, and no other entry about it is handed out.
        """
        return await self._database.read(outbox_jobs.waiting_job, entry)

    async def record_pages(self, entry: OutboxEntry, page_ts: Sequence[str]) -> None:
        """Records which messages show the reply of a job that has ended or waits.

        Does nothing if another process has taken the entry.
        """
        await self._database.write(outbox_jobs.record_pages, entry, page_ts)

    async def _take(self, limit: int) -> list[OutboxEntry]:
        now = self._clock.now()
        # Usually nothing is due, and this check takes no lock.
        async with self._database.begin_read() as connection:
            if not await connection.scalar(sa.select(outbox.due(now).exists())):
                return []
        async with self._database.begin_write() as connection:
            return await outbox.take(connection, limit, now)
