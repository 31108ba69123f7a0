"""The outbox: calls to Slack beside a reply's own, each made at least once.

An entry is written in the transaction that makes it necessary. A process takes an entry by moving its `due_at` into the
future; if the process dies, the entry is due again then. `due_at` is also the fence: a process that completes or
postpones an entry names the `due_at` that it took. So it has no effect on an entry that another process has taken
since, or that was added again.
"""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.outbox import ABOUT_APPROVALS, EDITS_REPLY, LONGEST_WAIT_S, OUTBOX_HOLD_S, OutboxEntry, OutboxKind
from bot.core.tool_steps import APPROVAL_S
from bot.store.predicates import has_come, is_live, is_waiting
from bot.store.rows import insert_into, question_of
from bot.store.schema import jobs, outbox_entries

_EDITING = outbox_entries.alias()


async def add(connection: AsyncConnection, kind: OutboxKind, job_ids: Collection[int], due_at: float) -> None:
    """Adds an entry for each job, or renews one of its kind, so that a process that holds it leaves it there."""
    if not job_ids:
        return
    new = insert_into(connection, outbox_entries)
    again = new.on_conflict_do_update(index_elements=["job_id", "kind"], set_={"due_at": due_at, "tries": 0})
    values = [{"job_id": job_id, "kind": kind.value, "due_at": due_at} for job_id in sorted(job_ids)]
    await connection.execute(again, values)


def is_reply_being_edited(now: float, job_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Whether a process may be editing a job's reply: nobody else may write or delete its messages meanwhile.

    An entry that waits for its next try looks the same in its last seconds, and delays others for no longer.
    """
    in_hand = (_EDITING.c.tries > 0, _EDITING.c.due_at > now, _EDITING.c.due_at <= now + OUTBOX_HOLD_S)
    return sa.exists().where(_EDITING.c.job_id == job_id, _EDITING.c.kind.in_(EDITS_REPLY), *in_hand)


def due(now: float) -> sa.Select[tuple[int]]:
    """Selects the entries that are due: of jobs that have ended, and whose reply nobody is editing.

    An entry about approvals is due only while the job waits for them.
    """
    of_entry = jobs.c.id == outbox_entries.c.job_id
    is_about_approvals = outbox_entries.c.kind.in_(ABOUT_APPROVALS)
    in_state = sa.or_(
        sa.and_(is_about_approvals, sa.exists().where(of_entry, is_waiting())),
        sa.and_(~is_about_approvals, ~sa.exists().where(of_entry, is_live())),
    )
    longest_s = sa.case((is_about_approvals, APPROVAL_S), else_=LONGEST_WAIT_S)
    is_due = has_come(outbox_entries.c.due_at, now, longest_s)
    free = is_due, in_state, ~is_reply_being_edited(now, outbox_entries.c.job_id)
    return sa.select(outbox_entries.c.id).where(*free).order_by(outbox_entries.c.due_at)


async def take(connection: AsyncConnection, limit: int, now: float) -> list[OutboxEntry]:
    """Takes due entries, which this process holds for OUTBOX_HOLD_S."""
    free = due(now).limit(limit).with_for_update(skip_locked=True).cte("free")
    taken = (
        sa.update(outbox_entries)
        .where(outbox_entries.c.id.in_(sa.select(free.c.id)))
        .values(due_at=now + OUTBOX_HOLD_S, tries=outbox_entries.c.tries + 1)
        .returning(outbox_entries.c.id)
    )
    ids = (await connection.scalars(taken)).all()
    if not ids:
        return []
    entries = sa.select(
        outbox_entries.c.id.label("entry_id"),
        outbox_entries.c.kind,
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
        page_ts=tuple(row.page_ts),
        waits_until=row.waits_until,
    )


async def done(connection: AsyncConnection, entry: OutboxEntry, posted_ts: str | None) -> bool:
    """Removes an entry; returns False if another process has taken it since, or if it was added again.

    The message that it posted is remembered, because it is no answer.
    """
    if posted_ts is not None:
        await connection.execute(sa.update(jobs).where(jobs.c.id == entry.job_id).values(mention_ts=posted_ts))
    return (await connection.execute(sa.delete(outbox_entries).where(*_as_taken(entry)))).rowcount > 0


async def later(connection: AsyncConnection, entry: OutboxEntry, due_at: float) -> None:
    """Makes an entry due again later."""
    await connection.execute(sa.update(outbox_entries).where(*_as_taken(entry)).values(due_at=due_at))


def is_held(entry: OutboxEntry) -> sa.ColumnElement[bool]:
    """Whether no other process has taken an entry since, and it wasn't added again."""
    return sa.exists().where(*_as_taken(entry))


def _as_taken(entry: OutboxEntry) -> tuple[sa.ColumnElement[bool], ...]:
    return outbox_entries.c.id == entry.id, outbox_entries.c.due_at == entry.due_at


async def cancel(connection: AsyncConnection, kind: OutboxKind, job_ids: Collection[int]) -> list[int]:
    """Removes entries; returns the jobs of those that no process had taken yet."""
    this = sa.delete(outbox_entries).where(outbox_entries.c.kind == kind.value, outbox_entries.c.job_id.in_(job_ids))
    rows = await connection.execute(this.returning(outbox_entries.c.job_id, outbox_entries.c.tries))
    return [row.job_id for row in rows if row.tries == 0]
