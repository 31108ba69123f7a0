"""Stores copies of answers: canvases, and files that contain the answers' tables.

A request for a copy is an outbox entry, so any process can create the copy, but only once per version. Slack's method
that creates canvases isn't idempotent: if its response is lost, the next attempt creates another canvas, and nobody
will see the first one. Once a canvas is recorded, it isn't created again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.outbox import COPY_ROLES, OutboxKind
from bot.store import outbox, side_messages
from bot.store.database import Operations, reads, writes
from bot.store.rows import has_row, insert_into
from bot.store.schema import canvases, jobs, outbox_entries


@dataclass(frozen=True, slots=True)
class AnswerCanvas:
    version: int
    canvas_id: str


class AnswerCanvases(Operations):
    @writes
    async def request(
        self,
        connection: AsyncConnection,
        job_id: int,
        version: int,
        user_id: str,
        kind: OutboxKind = OutboxKind.MAKE_CANVAS,
    ) -> bool:
        """Queues a copy of an answer for a person. Returns False if the copy already exists or the job was deleted."""
        # Serializes clicks handled by several processes.
        if await connection.scalar(sa.select(jobs.c.id).where(jobs.c.id == job_id).with_for_update()) is None:
            return False
        found = (await side_messages.messages_of_jobs(connection, [job_id]))[job_id]
        if any(message.ts and (message.role, message.version) == (COPY_ROLES[kind], version) for message in found):
            return False
        is_wanted = outbox_entries.c.job_id == job_id, outbox_entries.c.kind == kind.value
        if not await has_row(connection, *is_wanted):
            await outbox.add(connection, kind, [job_id], self._now(), user_id)
        return True

    @reads
    async def of_job(self, connection: AsyncConnection, job_id: int) -> Sequence[AnswerCanvas]:
        of_job = sa.select(canvases).where(canvases.c.job_id == job_id).order_by(canvases.c.version)
        rows = await connection.execute(of_job)
        return [AnswerCanvas(row.version, row.canvas_id) for row in rows]

    @writes
    async def record(self, connection: AsyncConnection, job_id: int, canvas: AnswerCanvas) -> bool:
        """Records an answer's canvas. Returns False if the answer was deleted, or if a different canvas is already
        recorded."""
        this = sa.select(jobs.c.answer_deleted).where(jobs.c.id == job_id).with_for_update()
        if await connection.scalar(this) is not False:
            return False
        values = {"version": canvas.version, "canvas_id": canvas.canvas_id}
        new = insert_into(connection, canvases).values(job_id=job_id, **values).on_conflict_do_nothing()
        return await connection.scalar(new.returning(canvases.c.job_id)) is not None

    @writes
    async def forget(self, connection: AsyncConnection, job_id: int, version: int) -> None:
        await connection.execute(sa.delete(canvases).where(canvases.c.job_id == job_id, canvases.c.version == version))


async def erase_requests(connection: AsyncConnection, user_id: str | None) -> None:
    theirs = outbox_entries.c.about == user_id if user_id else sa.true()
    is_wanted = outbox_entries.c.kind.in_([kind.value for kind in COPY_ROLES])
    await connection.execute(sa.delete(outbox_entries).where(is_wanted, theirs))
