"""The outbox: calls to Slack beside a reply's own, each made at least once.

An entry is written in the transaction that makes it necessary. A process takes an entry by moving its `due_at` into the
future; if the process dies, the entry is due again then. `due_at` is also the fence: a process that completes or
postpones an entry names the `due_at` that it took. So it has no effect on an entry that another process has taken
since, or that was added again. Slack may refuse a call for as long as a channel is archived, or while it is down: an
entry that was tried MAX_TRIES times stays, and is taken again once it is added again or woken.
"""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.outbox import EDITS_END, EDITS_REPLY, OUTBOX_HOLD_S, WOKEN_TRIES, OutboxEntry, OutboxKind
from bot.store.rows import insert_into
from bot.store.schema import jobs, outbox_entries

_EDITING = outbox_entries.alias()


async def add(
    connection: AsyncConnection, kind: OutboxKind, job_ids: Collection[int], due_at: float, about: str = ""
) -> None:
    """Adds an entry for each job. If there is one of its kind, it is renewed, so that its holder can't complete it."""
    if not job_ids:
        return
    new = insert_into(connection, outbox_entries)
    again = new.on_conflict_do_update(index_elements=["job_id", "kind", "about"], set_={"due_at": due_at, "tries": 0})
    values = [{"job_id": job_id, "kind": kind.value, "about": about, "due_at": due_at} for job_id in sorted(job_ids)]
    await connection.execute(again, values)


async def add_missing(connection: AsyncConnection, kind: OutboxKind, job_id: int, due_at: float) -> None:
    """Adds an entry, unless there is one, which stays with the process that holds it."""
    values = {"job_id": job_id, "kind": kind.value, "about": "", "due_at": due_at}
    await connection.execute(insert_into(connection, outbox_entries).values(values).on_conflict_do_nothing())


def as_taken(entry: OutboxEntry) -> sa.ColumnElement[bool]:
    """Whether no other process has taken an entry since, and it was not added again."""
    return sa.and_(outbox_entries.c.id == entry.id, outbox_entries.c.due_at == entry.due_at)


def is_held(entry: OutboxEntry) -> sa.ColumnElement[bool]:
    """Whether an entry is on record as this process took it."""
    return sa.exists().where(as_taken(entry))


def is_reply_being_edited(
    now: float | sa.ColumnElement[float], job_id: sa.ColumnElement[int]
) -> sa.ColumnElement[bool]:
    """Whether a process may be editing a job's reply: nobody else may write or delete its messages meanwhile.

    An entry that waits for its next try looks like one that is held in the last OUTBOX_HOLD_S before it is due. That
    only delays others.
    """
    in_hand = (_EDITING.c.tries > 0, _EDITING.c.due_at > now, _EDITING.c.due_at <= now + OUTBOX_HOLD_S)
    return sa.exists().where(_EDITING.c.job_id == job_id, _EDITING.c.kind.in_(EDITS_REPLY), *in_hand)


def is_end_to_be_shown() -> sa.ColumnElement[bool]:
    """Whether Slack doesn't show yet how the answer that an entry is about has ended."""
    return sa.exists().where(_EDITING.c.job_id == outbox_entries.c.job_id, _EDITING.c.kind.in_(EDITS_END))


async def cancel(connection: AsyncConnection, kind: OutboxKind, job_ids: Collection[int]) -> list[int]:
    """Removes entries; returns the jobs of those that no process had taken yet."""
    this = sa.delete(outbox_entries).where(outbox_entries.c.kind == kind.value, outbox_entries.c.job_id.in_(job_ids))
    rows = await connection.execute(this.returning(outbox_entries.c.job_id, outbox_entries.c.tries))
    return [row.job_id for row in rows if row.tries == 0]


async def wake(connection: AsyncConnection, now: float, *which: sa.ColumnElement[bool]) -> None:
    """Has the entries that failed be tried again now, of the jobs that meet the conditions.

    What has just come back may have been what they failed for. An entry in the hands of a process stays with it.
    """
    entry = outbox_entries.c
    failed = sa.select(entry.id).join(jobs).where(entry.tries > 0, *which)
    # In one order: two processes may hear of it at once.
    these = failed.order_by(entry.id).with_for_update(of=outbox_entries).cte("failed")
    is_held = sa.and_(entry.due_at > now, entry.due_at <= now + OUTBOX_HOLD_S)
    due_at = sa.case((is_held, entry.due_at), else_=now)
    tries = sa.case((entry.tries > WOKEN_TRIES, WOKEN_TRIES), else_=entry.tries)
    woken = sa.update(outbox_entries).where(entry.id.in_(sa.select(these.c.id))).values(due_at=due_at, tries=tries)
    await connection.execute(woken)


async def changed_where(connection: AsyncConnection, now: float, *which: sa.ColumnElement[bool]) -> None:
    """Says so of the answers whose jobs meet the conditions.

    One that still grows may show what it has read of its record: it is shown again once it has ended.
    """
    begun = sa.select(jobs.c.id).where(jobs.c.attempts > 0, ~jobs.c.answer_deleted, *which)
    await changed(connection, (await connection.scalars(begun)).all(), now)


async def changed(connection: AsyncConnection, job_ids: Collection[int], now: float) -> None:
    """Says that the record of answers has changed: Slack is to show what follows from it (core/picture.py)."""
    await cancel(connection, OutboxKind.SHOW_END, job_ids)
    await add(connection, OutboxKind.SHOW_VERSION, job_ids, now)
