"""Ends of answers that Slack did not take: they stay on record as checkpoints until the outbox has shown them."""

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Job
from bot.core.job import Status
from bot.core.outbox import OutboxEntry, OutboxKind
from bot.store import checkpoints, outbox, recorded_answers
from bot.store.rows import job_of
from bot.store.schema import jobs


async def unshown_end(connection: AsyncConnection, entry: OutboxEntry) -> Job | None:
    """The job whose end is to be shown, with its text and its closing; None where nothing is to be shown any more."""
    found = sa.select(jobs).where(jobs.c.id == entry.job_id, _has_ended(), ~jobs.c.deleted)
    row = (await connection.execute(found)).one_or_none()
    if row is None or not (row.text or row.files):
        return None
    # As whoever would take the job over next.
    job = replace(job_of(row), attempts=row.attempts + 1, begun=True)
    [whole] = await checkpoints.with_checkpoints(connection, await recorded_answers.with_so_far(connection, [job]))
    return whole if whole.checkpoint.closing else None


async def done(connection: AsyncConnection, entry: OutboxEntry, posted_ts: str | None) -> None:
    """Takes an entry off the list; of an end that is shown nothing has to stay on record."""
    await outbox.done(connection, entry, posted_ts)
    if entry.kind is OutboxKind.SHOW_END:
        await checkpoints.drop(connection, jobs.c.id == entry.job_id, _has_ended())


def _has_ended() -> sa.ColumnElement[bool]:
    return jobs.c.status.not_in([Status.TODO.value, Status.DOING.value])
