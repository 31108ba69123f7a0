"""What a worker keeps beside an answer: the canvas that it was written into, and transcripts of recordings.

A person's wish for a canvas is an outbox entry, so any process makes it. Slack's method isn't idempotent: if its
response is lost, the next try makes another canvas, and the first one stays where nobody sees it. A canvas on record
isn't made again. Transcripts are kept with the question that they came with, so that no recording is heard twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import File, ThreadKey
from bot.core.job import End, Job
from bot.core.outbox import OutboxKind
from bot.store import outbox
from bot.store.database import Operations, reads, writes
from bot.store.recorded_answers import REPLIES_READ
from bot.store.rows import Held, in_thread, insert_into, transcripts_of
from bot.store.schema import canvases, jobs, outbox_entries
from bot.store.usage import MeteredOperations


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
            await self._meter.beside(connection, job, end, self._now())
        return True

    @reads
    async def of_thread(self, connection: AsyncConnection, thread: ThreadKey) -> Mapping[str, str]:
        """Returns the transcripts of a thread's newest 500 questions, by the files' ids."""
        newest = sa.select(jobs.c.transcripts).where(in_thread(thread)).order_by(jobs.c.ts.desc()).limit(REPLIES_READ)
        found: dict[str, str] = {}
        for row in await connection.execute(newest):
            found |= transcripts_of(row)
        return found


@dataclass(frozen=True, slots=True)
class AnswerCanvas:
    """The canvas of a version of an answer."""

    version: int
    canvas_id: str
    message_ts: str | None = None
    """The message with its link; None until it is posted."""


class AnswerCanvases(Operations):
    """Records the canvases of answers, and who wants one."""

    @writes
    async def request(self, connection: AsyncConnection, job_id: int, version: int, user_id: str) -> bool:
        """Has the outbox make a canvas for a person, unless one is on record; returns whether it will be made.

        A second wish doesn't add to the first one.
        """
        # Presses in several processes come one after the other.
        if await connection.scalar(sa.select(jobs.c.id).where(jobs.c.id == job_id).with_for_update()) is None:
            return False
        shown = sa.exists().where(*_is(job_id, version), canvases.c.message_ts.is_not(None))
        if await connection.scalar(sa.select(shown)):
            return False
        wanted = sa.exists().where(outbox_entries.c.job_id == job_id, outbox_entries.c.kind == OutboxKind.MAKE_CANVAS)
        if not await connection.scalar(sa.select(wanted)):
            await outbox.add(connection, OutboxKind.MAKE_CANVAS, [job_id], self._now(), user_id)
        return True

    @reads
    async def of_job(self, connection: AsyncConnection, job_id: int) -> Sequence[AnswerCanvas]:
        """Returns the canvases of all versions of an answer."""
        of_job = sa.select(canvases).where(canvases.c.job_id == job_id).order_by(canvases.c.version)
        rows = await connection.execute(of_job)
        return [AnswerCanvas(row.version, row.canvas_id, row.message_ts) for row in rows]

    @writes
    async def record(self, connection: AsyncConnection, job_id: int, canvas: AnswerCanvas) -> bool:
        """Records a canvas; returns False if its answer was deleted meanwhile, or the canvas is another one's copy."""
        this = sa.select(jobs.c.answer_deleted).where(jobs.c.id == job_id).with_for_update()
        if await connection.scalar(this) is not False:
            return False
        values = {"version": canvas.version, "canvas_id": canvas.canvas_id, "message_ts": canvas.message_ts}
        new = insert_into(connection, canvases).values(job_id=job_id, **values).on_conflict_do_nothing()
        return await connection.scalar(new.returning(canvases.c.job_id)) is not None

    @writes
    async def posted(self, connection: AsyncConnection, job_id: int, version: int, message_ts: str) -> None:
        """Records the message with a canvas's link."""
        await connection.execute(sa.update(canvases).where(*_is(job_id, version)).values(message_ts=message_ts))

    @writes
    async def forget(self, connection: AsyncConnection, job_id: int, version: int) -> None:
        """Removes the record of a canvas that was deleted."""
        await connection.execute(sa.delete(canvases).where(*_is(job_id, version)))


def _is(job_id: int, version: int) -> tuple[sa.ColumnElement[bool], ...]:
    return canvases.c.job_id == job_id, canvases.c.version == version
