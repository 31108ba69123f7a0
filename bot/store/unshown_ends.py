"""Ends of answers that Slack did not accept: they stay on record as checkpoints until the outbox has shown them."""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Job
from bot.core.outbox import OutboxEntry, OutboxKind
from bot.store import checkpoints, outbox, recorded_answers
from bot.store.predicates import has_content, has_ended
from bot.store.rows import job_of
from bot.store.schema import jobs


async def unshown_end(connection: AsyncConnection, entry: OutboxEntry) -> Job | None:
    """Returns the job whose end an entry has to show, with its text and its closing; None if it needs no showing."""
    ended = sa.select(jobs).where(jobs.c.id == entry.job_id, has_ended(), ~jobs.c.answer_deleted, has_content())
    row = (await connection.execute(ended)).one_or_none()
    if row is None:
        return None
    # The job, as the next attempt would get it.
    job = replace(job_of(row), attempts=row.attempts + 1, may_have_posts=True)
    [whole] = await checkpoints.with_checkpoints(connection, await recorded_answers.with_versions(connection, [job]))
    return whole if whole.checkpoint.closing else None


async def record_pages(connection: AsyncConnection, entry: OutboxEntry, page_ts: Sequence[str]) -> None:
    """Records which messages show an ended job's reply, while this process holds the entry."""
    shown = sa.update(jobs).where(jobs.c.id == entry.job_id, has_ended(), outbox.is_held(entry))
    await connection.execute(shown.values(page_ts=list(page_ts)))


async def done(connection: AsyncConnection, entry: OutboxEntry, posted_ts: str | None) -> None:
    """Removes an entry; once an end is shown, its checkpoints go. A process that is late removes neither."""
    is_removed = await outbox.done(connection, entry, posted_ts)
    if is_removed and entry.kind is OutboxKind.SHOW_END:
        await checkpoints.drop(connection, jobs.c.id == entry.job_id, has_ended())
