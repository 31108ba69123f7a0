"""The outbox, as seen by a process that works on its entries."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.calls import APPROVAL_S
from bot.core.job import Job, MessageRole, RecordedMessage, Status, page_ts, ts_of
from bot.core.outbox import ABOUT_NO_REPLY, BACKOFF, MAX_TRIES, OUTBOX_HOLD_S, OutboxEntry, OutboxKind, Shows, stale
from bot.errors import EndReason
from bot.store import answers, beside, outbox, steps
from bot.store.database import Operations, completes, reads, writes
from bot.store.rows import (
    has_come,
    has_content,
    has_ended,
    is_any,
    is_awaiting_approval,
    is_batched_with,
    is_live,
    is_queued,
    is_running,
    job_of,
    message_values,
    messages_of,
    question_of,
)
from bot.store.schema import jobs, outbox_entries

_BESIDE = (OutboxKind.BESIDE, OutboxKind.MAKE_CANVAS)


class OutboxEntries(Operations):
    """Hands out entries that are due, each to one process at a time."""

    @completes()
    async def claim_due(self, limit: int) -> list[OutboxEntry]:
        """Returns up to `limit` entries that are due.

        This process holds them for OUTBOX_HOLD_S; an entry that is not complete by then is due again.
        """
        now = self._now()
        # Usually nothing is due, and this check takes no lock.
        async with self._database.begin_read() as connection:
            if not await connection.scalar(_IS_ANY_DUE, {"now": now}):
                return []
        async with self._database.begin_write() as connection:
            return await _take(connection, limit, now)

    @writes
    async def complete(self, connection: AsyncConnection, entry: OutboxEntry) -> None:
        """Removes an entry, unless there was a new reason for it meanwhile, or another process has taken it."""
        # The job first: whoever changes one locks it before its entries.
        is_left = entry.kind in _BESIDE and await self._is_beside_left(connection, entry)
        done = sa.delete(outbox_entries).where(outbox.as_taken(entry), outbox_entries.c.changes == entry.changes)
        await connection.execute(done)
        await outbox.do_again(connection, entry, self._now())
        if is_left:
            await outbox.add_missing(connection, OutboxKind.BESIDE, entry.job_id, self._now())

    async def _is_beside_left(self, connection: AsyncConnection, entry: OutboxEntry) -> bool:
        """Records that the asker is mentioned; returns whether a message beside the reply is still to come or to go.

        One that asks for an approval goes once the job waits no longer.
        """
        this = jobs.c.id == entry.job_id
        if entry.kind is OutboxKind.BESIDE and entry.mention_at is not None:
            done = sa.update(jobs).where(this, jobs.c.mention_at == entry.mention_at)
            await connection.execute(done.values(mention_at=None))
        row = (await connection.execute(sa.select(jobs).where(this).with_for_update())).one_or_none()
        if row is None:
            return False
        is_asked = not row.question_deleted or await is_any(connection, is_batched_with(entry.job_id))
        shown = (await beside.of_jobs(connection, [entry.job_id]))[entry.job_id]
        asks = any(message.role is MessageRole.ASK for message in shown)
        return asks or row.mention_at is not None or bool(_stale(row, shown, is_asked=is_asked))

    @writes
    async def posting(self, connection: AsyncConnection, entry: OutboxEntry, message: RecordedMessage) -> bool:
        """Records that a message beside the reply is about to be posted.

        Returns False, and nothing may be posted, if another process has taken the entry.
        """
        if not await is_any(connection, outbox.as_taken(entry)):
            return False
        await beside.record(connection, entry.job_id, message)
        return True

    @writes
    async def posted(self, connection: AsyncConnection, entry: OutboxEntry, message: RecordedMessage) -> None:
        """Records a message that was posted beside the reply; does nothing if the job was erased meanwhile."""
        if await is_any(connection, jobs.c.id == entry.job_id):
            await beside.record(connection, entry.job_id, message)

    @writes
    async def gone(self, connection: AsyncConnection, entry: OutboxEntry, messages: Sequence[RecordedMessage]) -> None:
        """Removes messages beside the reply from record, which Slack shows no more."""
        await beside.remove(connection, entry.job_id, messages)

    @writes
    async def postpone(self, connection: AsyncConnection, entry: OutboxEntry, delay_s: float) -> None:
        """Makes an entry that failed due again after the delay, or at once if it was added again meanwhile."""
        failed = sa.update(outbox_entries).where(outbox.as_taken(entry), outbox_entries.c.changes == entry.changes)
        await connection.execute(failed.values(due_at=self._now() + delay_s, is_held=False))
        await outbox.do_again(connection, entry, self._now())

    @writes
    async def wake(self, connection: AsyncConnection, team_id: str, channel_id: str) -> None:
        """Has the entries that failed be tried again now, because a channel is open to us again."""
        await outbox.wake(connection, self._now(), jobs.c.team_id == team_id, jobs.c.channel_id == channel_id)

    @reads
    async def unshown_end(self, connection: AsyncConnection, entry: OutboxEntry) -> Job | None:
        """Returns an ended job with the version that readers are to see; None if there is nothing to show.

        While the entry is held, nobody claims the job, and no other entry about it is handed out.
        """
        ended = sa.select(jobs).where(jobs.c.id == entry.job_id, has_ended(), ~jobs.c.answer_deleted)
        # What somebody has written below keeps the reply to a deleted question.
        shown = ended if entry.shows is Shows.UNLESS_FOLLOWED else ended.where(has_content())
        row = (await connection.execute(shown)).one_or_none()
        return await answers.with_record(connection, row) if row else None

    @reads
    async def job_awaiting_approval(self, connection: AsyncConnection, entry: OutboxEntry) -> Job | None:
        """Returns the job that waits for approvals, with its text and its steps; None if it waits no longer.

        While the entry is held, nobody claims the job, and no other entry about it is handed out.
        """
        waiting = sa.select(jobs).where(jobs.c.id == entry.job_id, is_awaiting_approval())
        row = (await connection.execute(waiting)).one_or_none()
        if row is None:
            return None
        # As the next attempt would get it, without its batch's other questions.
        job = replace(job_of(row), attempts=row.attempts + 1)
        whole = await steps.with_checkpoints(connection, await answers.with_versions(connection, [job]))
        [job] = await steps.with_steps(connection, whole)
        return job

    @writes
    async def record_messages(
        self, connection: AsyncConnection, entry: OutboxEntry, messages: Sequence[RecordedMessage]
    ) -> None:
        """Records the messages of the reply to a job that no attempt is at, though one may be queued meanwhile.

        Does nothing if another process has taken the entry.
        """
        shown = sa.update(jobs).where(jobs.c.id == entry.job_id, ~is_running(), outbox.is_taken(entry))
        await connection.execute(shown.values(messages=message_values(messages)))


def _due(now: sa.ColumnElement[float]) -> sa.Select[tuple[int]]:
    """Selects the entries that are due and not set aside, of jobs whose reply nobody is editing.

    Those of a kind that only a newer version of Typist knows are left to it.
    """
    entry = outbox_entries.c
    job = sa.select(jobs).where(jobs.c.id == entry.job_id)
    is_being_written = sa.exists().where(jobs.c.id == entry.job_id, sa.or_(is_queued(), is_running()))
    in_state = sa.case(
        (entry.kind.in_(ABOUT_NO_REPLY), sa.true()),
        (entry.kind == OutboxKind.BESIDE.value, job.where(_is_beside_due(now)).exists()),
        (entry.kind == OutboxKind.REPLY.value, ~is_being_written),
        else_=~sa.exists().where(jobs.c.id == entry.job_id, is_live()),
    )
    is_due = has_come(entry.due_at, now, BACKOFF.max_s)
    is_known = entry.kind.in_([kind.value for kind in OutboxKind])
    is_tried = entry.tries < MAX_TRIES
    free = is_known, is_tried, is_due, in_state, ~outbox.is_reply_being_edited(now, entry.job_id)
    return sa.select(entry.id).where(*free).order_by(entry.due_at)


def _is_beside_due(now: sa.ColumnElement[float]) -> sa.ColumnElement[bool]:
    """Whether a job's messages beside its reply aren't what its record says.

    While it waits, the message that mentions the asker is the current one's, unless one is still to come. That the
    answer is ready is said once Slack shows its end.
    """
    waits, is_to_come = is_awaiting_approval(), jobs.c.mention_at.is_not(None)
    may_come = sa.case(
        (waits, has_come(jobs.c.mention_at, now, APPROVAL_S)),
        else_=sa.or_(~is_to_come, sa.and_(~is_live(), ~outbox.is_reply_to_be_shown())),
    )
    return sa.or_(beside.is_any_stale(sa.and_(waits, ~is_to_come)), may_come)


_DUE = _due(sa.bindparam("now", type_=sa.Double))
_IS_ANY_DUE = sa.select(_DUE.exists())
"""Asked each second, so it is built once."""


async def _take(connection: AsyncConnection, limit: int, now: float) -> list[OutboxEntry]:
    """Takes due entries, which this process holds for OUTBOX_HOLD_S."""
    free = _DUE.limit(limit).with_for_update(skip_locked=True).cte("free")
    taken = (
        sa.update(outbox_entries)
        .where(outbox_entries.c.id.in_(sa.select(free.c.id)))
        .values(due_at=now + OUTBOX_HOLD_S, tries=outbox_entries.c.tries + 1, is_held=True)
        .returning(outbox_entries.c.id)
    )
    ids = (await connection.scalars(taken, {"now": now})).all()
    if not ids:
        return []
    entries = sa.select(
        outbox_entries.c.id.label("entry_id"),
        outbox_entries.c.kind,
        outbox_entries.c.about,
        outbox_entries.c.due_at,
        outbox_entries.c.tries,
        outbox_entries.c.changes,
        has_come(jobs.c.mention_at, now, APPROVAL_S).label("may_mention"),
        jobs,
    ).join(jobs)
    rows = (await connection.execute(entries.where(outbox_entries.c.id.in_(ids)).order_by(outbox_entries.c.id))).all()
    found = await beside.of_jobs(connection, [row.id for row in rows])
    deleted = [row.id for row in rows if row.question_deleted]
    is_batched = jobs.c.answered_with.in_(deleted), jobs.c.end_reason == EndReason.BATCHED.value
    asked = set(await connection.scalars(sa.select(jobs.c.answered_with).where(*is_batched))) if deleted else set()
    return [_entry(row, found[row.id], is_asked=row.id in asked or not row.question_deleted) for row in rows]


def _entry(row: sa.Row[Any], shown: tuple[RecordedMessage, ...], *, is_asked: bool) -> OutboxEntry:
    waits, gone = row.status == Status.AWAITING_APPROVAL, _stale(row, shown, is_asked=is_asked)
    mentions_now = row.may_mention if waits else row.status == Status.ENDED and not gone
    return OutboxEntry(
        id=row.entry_id,
        kind=OutboxKind(row.kind),
        due_at=row.due_at,
        tries=row.tries,
        changes=row.changes,
        job_id=row.answered_with or row.id,
        version=row.version,
        question=question_of(row),
        page_ts=page_ts(messages_of(row)),
        shows=_shows(row, is_asked=is_asked),
        waits_until=row.waits_until if waits else None,
        beside=shown,
        stale=gone,
        mention_at=row.mention_at if mentions_now else None,
        about=row.about,
    )


def _stale(row: sa.Row[Any], shown: Sequence[RecordedMessage], *, is_asked: bool) -> tuple[RecordedMessage, ...]:
    """Returns the messages beside a job's reply that aren't true by its record. `is_asked`: as for `_shows`."""
    asks = row.status == Status.AWAITING_APPROVAL and row.mention_at is None
    is_ready = is_asked and not row.answer_deleted
    return stale(shown, row.version, asks=asks, is_ready=is_ready, is_deleted=row.answer_deleted)


def _shows(row: sa.Row[Any], *, is_asked: bool) -> Shows:
    """Returns what follows from a job's record. `is_asked`: not all of its questions were deleted."""
    if row.answer_deleted or ts_of(messages_of(row), MessageRole.STRAY):
        return Shows.NOTHING
    if row.status == Status.AWAITING_APPROVAL:
        return Shows.ASKS
    if row.attempts == 0:
        return Shows.NO_PLACEHOLDER
    return Shows.END if is_asked else Shows.UNLESS_FOLLOWED
