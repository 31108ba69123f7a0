from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.calls import APPROVAL_S
from bot.core.job import ANSWER_ROLES, Job, RecordedMessage, Status, ts_of
from bot.core.outbox import BACKOFF, MAX_TRIES, OUTBOX_HOLD_S, OutboxEntry, OutboxKind, QuestionRecord, ReplyTarget
from bot.store import answers, outbox, side_messages, steps
from bot.store.database import Operations, completes, reads, writes
from bot.store.rows import (
    HAS_CONTENT,
    HAS_ENDED,
    IS_AWAITING_APPROVAL,
    IS_LIVE,
    has_row,
    is_batched_with,
    is_past,
    is_queued,
    is_running,
    job_of,
    messages_of,
    question_of,
)
from bot.store.schema import jobs, messages_beside, outbox_entries


class OutboxEntries(Operations):
    @completes()
    async def claim_due(self, limit: int) -> list[OutboxEntry]:
        """Claims up to `limit` due entries for OUTBOX_HOLD_S. Entries that haven't been completed by then become due
        again."""
        now = self._now()
        # Usually nothing is due, and this check takes no lock.
        async with self._database.begin_read() as connection:
            if (await connection.execute(_DUE.limit(1), {"now": now})).first() is None:
                return []
        async with self._database.begin_write() as connection:
            return await _claim_entries(connection, limit, now)

    @writes
    async def complete(self, connection: AsyncConnection, entry: OutboxEntry) -> None:
        """Deletes an entry, unless it was added again in the meantime or another process has claimed it."""
        now, this = self._now(), jobs.c.id == entry.job_id
        # The job first, because code that changes a job locks it before its entries.
        await connection.execute(sa.select(jobs.c.id).where(this).with_for_update())
        if entry.kind is OutboxKind.SIDE_MESSAGES and entry.mention_due_at is not None:
            mentioned = sa.update(jobs).where(this, jobs.c.mention_at == entry.mention_due_at)
            await connection.execute(mentioned.values(mention_at=None))
        done = sa.delete(outbox_entries).where(outbox.is_current(entry), outbox_entries.c.changes == entry.times_added)
        await connection.execute(done)
        await outbox.make_due_again(connection, entry, now)
        rows = (await connection.execute(_JOBS.where(this), {"now": now})).all()
        for job_id, record in (await _question_records(connection, rows)).items():
            if (due_at := record.side_messages_due_at(now)) is not None:
                await outbox.add_missing(connection, OutboxKind.SIDE_MESSAGES, job_id, due_at)

    @writes
    async def record_posting(self, connection: AsyncConnection, entry: OutboxEntry, message: RecordedMessage) -> bool:
        """Records that a separate message will be posted. Returns False if another process has claimed the entry."""
        if not await has_row(connection, outbox.is_current(entry)):
            return False
        await side_messages.record_message(connection, entry.job_id, message)
        return True

    @writes
    async def record_posted(self, connection: AsyncConnection, entry: OutboxEntry, message: RecordedMessage) -> None:
        if await has_row(connection, jobs.c.id == entry.job_id):
            await side_messages.record_message(connection, entry.job_id, message)

    @writes
    async def record_deleted(
        self, connection: AsyncConnection, entry: OutboxEntry, messages: Sequence[RecordedMessage]
    ) -> None:
        of_job, ids = messages_beside.c.job_id == entry.job_id, messages_beside.c
        these = [(message.role.value, message.version, message.ts) for message in messages]
        deleted = sa.tuple_(ids.role, ids.version, ids.ts).in_(these)
        await connection.execute(sa.delete(messages_beside).where(of_job, deleted))

    @writes
    async def postpone(self, connection: AsyncConnection, entry: OutboxEntry, delay_s: float) -> None:
        """Makes a failed entry due after the delay, or at once if it was added again in the meantime."""
        failed = sa.update(outbox_entries).where(
            outbox.is_current(entry), outbox_entries.c.changes == entry.times_added
        )
        await connection.execute(failed.values(due_at=self._now() + delay_s, is_held=False))
        await outbox.make_due_again(connection, entry, self._now())

    @writes
    async def wake(self, connection: AsyncConnection, team_id: str, channel_id: str) -> None:
        """Retries a channel's failed entries because the bot can access the channel again."""
        await outbox.wake(connection, self._now(), jobs.c.team_id == team_id, jobs.c.channel_id == channel_id)

    @reads
    async def unshown_end(self, connection: AsyncConnection, entry: OutboxEntry) -> Job | None:
        """Returns a finished job with the version to show, or None if there is nothing to show. No process can claim
        the job while this process holds the entry."""
        ended = sa.select(jobs).where(jobs.c.id == entry.job_id, HAS_ENDED, ~jobs.c.answer_deleted)
        # If someone has written below it, the reply to a deleted question is kept.
        shown = ended if entry.target is ReplyTarget.UNLESS_FOLLOWED else ended.where(HAS_CONTENT)
        row = (await connection.execute(shown)).one_or_none()
        return await answers.finished_job(connection, row) if row else None

    @reads
    async def job_awaiting_approval(self, connection: AsyncConnection, entry: OutboxEntry) -> Job | None:
        """Returns the entry's job with its text and steps if the job is awaiting approval, or None. No process can
        claim the job while this process holds the entry."""
        waiting = sa.select(jobs).where(jobs.c.id == entry.job_id, IS_AWAITING_APPROVAL)
        row = (await connection.execute(waiting)).one_or_none()
        if row is None:
            return None
        # As the next attempt would get it, without its batch's other questions.
        job = replace(job_of(row), attempts=row.attempts + 1)
        [job] = await steps.jobs_with_progress(connection, await answers.jobs_with_versions(connection, [job]))
        return job

    @writes
    async def record_messages(
        self, connection: AsyncConnection, entry: OutboxEntry, messages: Sequence[RecordedMessage]
    ) -> None:
        """Records a reply's messages, unless its job is running or another process has claimed the entry."""
        shown = sa.update(jobs).where(jobs.c.id == entry.job_id, ~is_running(), outbox.is_taken(entry))
        await connection.execute(shown.values(messages=[asdict(message) for message in messages]))


_NOW = sa.bindparam("now", type_=sa.Double)
_JOBS = sa.select(
    jobs,
    is_past(jobs.c.mention_at, _NOW, APPROVAL_S).label("can_mention"),
    outbox.is_reply_shown().label("is_shown"),
)


def _due_query() -> sa.Select[tuple[int]]:
    entry = outbox_entries.c
    is_being_written = sa.exists().where(jobs.c.id == entry.job_id, sa.or_(is_queued(), is_running()))
    in_state = sa.case(
        (entry.kind.in_((OutboxKind.POST_QUESTION, OutboxKind.SIDE_MESSAGES, OutboxKind.RESTATE_RUN)), sa.true()),
        (outbox.EDITS_REPLY, ~is_being_written),
        else_=~sa.exists().where(jobs.c.id == entry.job_id, IS_LIVE),
    )
    is_due = is_past(entry.due_at, _NOW, BACKOFF.max_s)
    # Kinds that only a newer version of Typist knows are left to that version.
    is_known = entry.kind.in_([kind.value for kind in OutboxKind])
    is_tried = entry.tries < MAX_TRIES
    free = is_known, is_tried, is_due, in_state, ~outbox.is_reply_being_edited(_NOW, entry.job_id)
    return sa.select(entry.id).where(*free).order_by(entry.due_at)


_DUE = _due_query()
"""Built once, because it runs every second."""


async def _claim_entries(connection: AsyncConnection, limit: int, now: float) -> list[OutboxEntry]:
    entry = outbox_entries.c
    free = _DUE.limit(limit).with_for_update(of=outbox_entries, skip_locked=True).cte("free")
    taken = sa.update(outbox_entries).where(entry.id.in_(sa.select(free.c.id)))
    held = taken.values(due_at=now + OUTBOX_HOLD_S, tries=entry.tries + 1, is_held=True)
    taken_ids = (await connection.scalars(held.returning(entry.id), {"now": now})).all()
    columns = entry.id.label("entry_id"), entry.kind, entry.about, entry.due_at, entry.tries, entry.changes
    entries = _JOBS.add_columns(*columns).join_from(jobs, outbox_entries).where(entry.id.in_(taken_ids))
    rows = (await connection.execute(entries.order_by(entry.id), {"now": now})).all()
    records = await _question_records(connection, rows)
    return [_entry_of(row, records[row.id]) for row in rows]


async def _question_records(connection: AsyncConnection, rows: Sequence[sa.Row[Any]]) -> dict[int, QuestionRecord]:
    found = await side_messages.messages_of_jobs(connection, [row.id for row in rows])
    deleted = [row.id for row in rows if row.question_deleted]
    batched = sa.select(jobs.c.answered_with).where(is_batched_with(*deleted))
    asked = set(await connection.scalars(batched)) if deleted else set()
    return {
        row.id: QuestionRecord(
            Status(row.status),
            row.attempts,
            row.version,
            messages=messages_of(row),
            side_messages=found[row.id],
            answer_deleted=row.answer_deleted,
            is_asked=row.id in asked or not row.question_deleted,
            is_shown=row.is_shown,
            mention_due_at=row.mention_at,
            can_mention=bool(row.can_mention),
        )
        for row in rows
    }


def _entry_of(row: sa.Row[Any], record: QuestionRecord) -> OutboxEntry:
    return OutboxEntry(
        id=row.entry_id,
        kind=OutboxKind(row.kind),
        due_at=row.due_at,
        tries=row.tries,
        times_added=row.changes,
        job_id=row.answered_with or row.id,
        version=row.version,
        question=question_of(row),
        page_ts=ts_of(record.messages, *ANSWER_ROLES),
        target=record.target,
        waits_until=row.waits_until if record.is_waiting else None,
        side_messages=record.side_messages,
        outdated_messages=record.outdated_messages,
        mention_due_at=row.mention_at if record.should_mention else None,
        about=row.about,
    )
