"""The outbox, as seen by a process that works on its entries.

Two kinds of entries show a reply: one that has ended, as its record says (core/picture.py), or one that waits with a
decided call.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.calls import APPROVAL_S
from bot.core.job import Job, RecordedMessage, page_ts
from bot.core.outbox import (
    ABOUT_APPROVALS,
    ABOUT_NO_REPLY,
    BACKOFF,
    EDITS_END,
    MAX_TRIES,
    OUTBOX_HOLD_S,
    OutboxEntry,
    OutboxKind,
)
from bot.store import answers, outbox, steps
from bot.store.database import Operations, completes, reads, writes
from bot.store.rows import (
    has_come,
    has_content,
    has_ended,
    is_any,
    is_awaiting_approval,
    is_batched_with,
    is_live,
    job_of,
    message_values,
    messages_of,
    question_of,
)
from bot.store.schema import jobs, outbox_entries


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
    async def complete(self, connection: AsyncConnection, entry: OutboxEntry, posted_ts: str | None = None) -> None:
        """Removes an entry, unless there was a new reason for it meanwhile, or another process has taken it.

        `posted_ts` is the message that the entry's call posted. It is recorded as no answer, or for its deletion: once
        nobody has to approve the call that it asks about, or if the answer that it is about isn't there any more. Once
        an end is shown, and none of its choices stands, the checkpoints with its text go.
        """
        this = sa.update(jobs).where(jobs.c.id == entry.job_id)
        is_mention = entry.kind is OutboxKind.MENTION_ASKERS
        stays = is_mention and await is_any(connection, jobs.c.id == entry.job_id, _is_ready(entry))
        if posted_ts is not None and stays:
            await connection.execute(this.values(mention_ts=posted_ts))
        elif posted_ts is not None:
            if (await connection.execute(this.values(ask_ts=posted_ts))).rowcount > 0:
                await outbox.add(connection, OutboxKind.CLEAR_ASK, [entry.job_id], self._now())
        elif entry.kind is OutboxKind.CLEAR_ASK:
            await connection.execute(this.where(jobs.c.ask_ts == entry.ask_ts).values(ask_ts=None))
        removed = await connection.execute(sa.delete(outbox_entries).where(outbox.as_taken(entry)))
        if removed.rowcount == 0 or entry.kind not in EDITS_END:
            return
        row = (await connection.execute(sa.select(jobs).where(jobs.c.id == entry.job_id, has_ended()))).one_or_none()
        if row is not None and not await answers.standing_choices(connection, row):
            await steps.drop_text(connection, jobs.c.id == entry.job_id)

    @writes
    async def postpone(self, connection: AsyncConnection, entry: OutboxEntry, delay_s: float) -> None:
        """Makes an entry that failed due again after the delay."""
        later = sa.update(outbox_entries).where(outbox.as_taken(entry)).values(due_at=self._now() + delay_s)
        await connection.execute(later)

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
        # What somebody has written below keeps the reply to a deleted question (RETRACT_REPLY).
        shown = ended if entry.kind is OutboxKind.RETRACT_REPLY else ended.where(has_content())
        row = (await connection.execute(shown)).one_or_none()
        job = await answers.with_shown_version(connection, row) if row else None
        if job and entry.kind is OutboxKind.SHOW_VERSION and entry.about:
            # So a process of the version before says that the question was edited.
            return replace(job, record=replace(job.record, is_edited=True))
        return job

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
        """Records the messages of the reply to a job that has ended or awaits approval.

        Does nothing if another process has taken the entry.
        """
        is_idle = sa.or_(has_ended(), is_awaiting_approval())
        shown = sa.update(jobs).where(jobs.c.id == entry.job_id, is_idle, outbox.is_held(entry))
        await connection.execute(shown.values(messages=message_values(messages)))


def _is_ready(entry: OutboxEntry) -> sa.ColumnElement[bool]:
    """Whether the answer that an entry is about is still there, for a question that is."""
    asked = sa.or_(has_content(), sa.exists().where(is_batched_with(entry.job_id)))
    return sa.and_(has_ended(), ~jobs.c.answer_deleted, jobs.c.version == entry.version, asked)


def _due(now: sa.ColumnElement[float]) -> sa.Select[tuple[int]]:
    """Selects the entries that are due and not set aside, of jobs whose reply nobody is editing.

    An entry about approvals is due only while the job waits for them, CLEAR_ASK while it doesn't, and an entry that
    isn't about the reply at any time. All others are due once the job has ended. Those of a kind that only a newer
    version of Typist knows are left to it.
    """
    of_entry = jobs.c.id == outbox_entries.c.job_id
    is_about_approvals = outbox_entries.c.kind.in_(ABOUT_APPROVALS)
    is_waiting = sa.exists().where(of_entry, is_awaiting_approval())
    is_over = ~sa.exists().where(of_entry, is_live())
    in_state = sa.case(
        (is_about_approvals, is_waiting),
        (outbox_entries.c.kind == OutboxKind.CLEAR_ASK.value, ~is_waiting),
        (outbox_entries.c.kind.in_(ABOUT_NO_REPLY), sa.true()),
        # It says that the answer is there.
        (outbox_entries.c.kind == OutboxKind.MENTION_ASKERS.value, sa.and_(is_over, ~outbox.is_end_to_be_shown())),
        else_=is_over,
    )
    longest_s = sa.case((is_about_approvals, APPROVAL_S), else_=BACKOFF.max_s)
    is_due = has_come(outbox_entries.c.due_at, now, longest_s)
    is_known = outbox_entries.c.kind.in_([kind.value for kind in OutboxKind])
    is_tried = outbox_entries.c.tries < MAX_TRIES
    free = is_known, is_tried, is_due, in_state, ~outbox.is_reply_being_edited(now, outbox_entries.c.job_id)
    return sa.select(outbox_entries.c.id).where(*free).order_by(outbox_entries.c.due_at)


_DUE = _due(sa.bindparam("now", type_=sa.Double))
_IS_ANY_DUE = sa.select(_DUE.exists())
"""Asked each second, so it is built once."""


async def _take(connection: AsyncConnection, limit: int, now: float) -> list[OutboxEntry]:
    """Takes due entries, which this process holds for OUTBOX_HOLD_S."""
    free = _DUE.limit(limit).with_for_update(skip_locked=True).cte("free")
    taken = (
        sa.update(outbox_entries)
        .where(outbox_entries.c.id.in_(sa.select(free.c.id)))
        .values(due_at=now + OUTBOX_HOLD_S, tries=outbox_entries.c.tries + 1)
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
        jobs,
    ).join(jobs)
    rows = await connection.execute(entries.where(outbox_entries.c.id.in_(ids)).order_by(outbox_entries.c.id))
    return [_entry(row) for row in rows]


def _entry(row: sa.Row[Any]) -> OutboxEntry:
    return OutboxEntry(
        id=row.entry_id,
        kind=OutboxKind(row.kind),
        due_at=row.due_at,
        tries=row.tries,
        job_id=row.answered_with or row.id,
        version=row.version,
        question=question_of(row),
        page_ts=page_ts(messages_of(row)),
        waits_until=row.waits_until,
        ask_ts=row.ask_ts,
        mention_ts=row.mention_ts,
        about=row.about,
    )
