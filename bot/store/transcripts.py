"""Transcripts: what is said in recordings, kept with the question that they came with, so that none is heard twice."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import File, Job, ThreadKey
from bot.core.job import End
from bot.store.database import reads, writes
from bot.store.predicates import in_thread
from bot.store.queue.held import Held, MeteredOperations
from bot.store.recorded_answers import REPLIES_READ
from bot.store.rows import transcripts_of, turn_values
from bot.store.schema import jobs


class Transcripts(MeteredOperations):
    """Records transcripts, and the usage of models that wrote them."""

    @writes
    async def record(
        self, connection: AsyncConnection, job: Job, files: Sequence[File], end: End | None = None
    ) -> bool:
        """Records the transcripts of files, and the usage of the model that wrote them, if one did.

        Those that are on record stay. Returns False, and records nothing, if the job is no longer this worker's.
        """
        held = Held(job, self._worker.name)
        ours = sa.select(jobs.c.transcripts, jobs.c.stop_requested).where(*held.is_ours).with_for_update()
        row = (await connection.execute(ours)).one_or_none()
        if row is None:
            return False
        new = {file.id: [file.user_id, file.transcript or ""] for file in files}
        if new and new.keys() <= row.transcripts.keys():
            # Recorded before, by a transaction whose commit was not heard of.
            return True
        if not row.stop_requested:
            # If the question was deleted, nothing of it may come back.
            await connection.execute(held.fenced.values(transcripts={**new, **row.transcripts}))
        if end is not None:
            now = self._now()
            turn = turn_values(job.id, end, "", now, self._prices)
            await self._record_turn(connection, job, turn, now)
        return True

    @reads
    async def of_thread(self, connection: AsyncConnection, thread: ThreadKey) -> Mapping[str, str]:
        """Returns the transcripts of a thread's newest 500 questions, by the files' ids."""
        newest = sa.select(jobs.c.transcripts).where(in_thread(thread)).order_by(jobs.c.ts.desc()).limit(REPLIES_READ)
        found: dict[str, str] = {}
        for row in await connection.execute(newest):
            found |= transcripts_of(row)
        return found
