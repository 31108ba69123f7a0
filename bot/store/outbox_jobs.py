"""The jobs whose replies the outbox shows: with an end that Slack did not accept, or waiting with a decided call.

An end stays on record as a checkpoint until it is shown.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Job
from bot.core.outbox import OutboxEntry, OutboxKind
from bot.store import checkpoints, outbox, recorded_answers, rounds
from bot.store.predicates import has_content, has_ended, is_waiting
from bot.store.rows import job_of
from bot.store.schema import jobs


async def unshown_end(connection: AsyncConnection, entry: OutboxEntry) -> Job | None:
    """Returns the job whose end an entry has to show, with its text and its end; None if it needs no showing."""
    ended = sa.select(jobs).where(jobs.c.id == entry.job_id, has_ended(), ~jobs.c.answer_deleted, has_content())
    row = (await connection.execute(ended)).one_or_none()
    if row is None:
        return None
    job = await _with_text(connection, row)
    return job if job.checkpoint.end else None


async def waiting_job(connection: AsyncConnection, entry: OutboxEntry) -> Job | None:
    """Returns the job that an entry is about, with its text and its steps; None if it waits no longer."""
    row = (await connection.execute(sa.select(jobs).where(jobs.c.id == entry.job_id, is_waiting()))).one_or_none()
    if row is None:
        return None
    [job] = await rounds.with_rounds(connection, [await _with_text(connection, row)])
    return job


async def _with_text(connection: AsyncConnection, row: sa.Row[Any]) -> Job:
    """Returns the job as the next attempt would get it, without the other questions: they are for its prompt only."""
    job = replace(job_of(row), attempts=row.attempts + 1, may_have_posts=True)
    [whole] = await checkpoints.with_checkpoints(connection, await recorded_answers.with_versions(connection, [job]))
    return whole


async def record_pages(connection: AsyncConnection, entry: OutboxEntry, page_ts: Sequence[str]) -> None:
    """Records which messages show the reply of a job that has ended or waits, while this process holds the entry."""
    is_idle = sa.or_(has_ended(), is_waiting())
    shown = sa.update(jobs).where(jobs.c.id == entry.job_id, is_idle, outbox.is_held(entry))
    await connection.execute(shown.values(page_ts=list(page_ts)))


async def done(connection: AsyncConnection, entry: OutboxEntry, posted_ts: str | None) -> None:
    """Removes an entry; once an end is shown, its checkpoints go. A process that is late removes neither."""
    is_removed = await outbox.done(connection, entry, posted_ts)
    if is_removed and entry.kind is OutboxKind.SHOW_END:
        await checkpoints.drop(connection, jobs.c.id == entry.job_id, has_ended())
