"""Stores transcripts with their questions, so that no recording is transcribed twice."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import File, ThreadKey
from bot.core.job import End, Job
from bot.store.answers import REPLIES_READ
from bot.store.database import reads, writes
from bot.store.rows import in_thread, transcripts_of
from bot.store.schema import jobs
from bot.store.usage import MeteredOperations


class Transcripts(MeteredOperations):
    @writes
    async def record(
        self, connection: AsyncConnection, job: Job, files: Sequence[File], end: End | None = None
    ) -> bool:
        """Records new transcripts, and the usage in `end`. Returns False if this worker has lost the job."""
        is_held = self._is_held(job)
        ours = sa.select(jobs.c.transcripts, jobs.c.stop_requested).where(is_held).with_for_update()
        row = (await connection.execute(ours)).one_or_none()
        if row is None:
            return False
        new = {file.id: [file.user_id, file.transcript or ""] for file in files}
        if new and new.keys() <= row.transcripts.keys():
            # Recorded earlier by a transaction whose commit wasn't confirmed.
            return True
        if not row.stop_requested:
            # If the question was deleted, none of its content must be stored again.
            both = {**new, **row.transcripts}
            await connection.execute(sa.update(jobs).where(is_held).values(transcripts=both))
        if end is not None:
            await self._meter.charge_request(connection, job, end, self._now())
        return True

    @reads
    async def of_thread(self, connection: AsyncConnection, thread: ThreadKey) -> Mapping[str, str]:
        """Returns the transcripts of a thread's newest 500 questions, keyed by file ID."""
        newest = sa.select(jobs.c.transcripts).where(in_thread(thread)).order_by(jobs.c.ts.desc()).limit(REPLIES_READ)
        found: dict[str, str] = {}
        for row in await connection.execute(newest):
            found |= transcripts_of(row)
        return found
