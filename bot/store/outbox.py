"""The outbox: calls to Slack that aren't part of running replies. Each call is made at least once.

An entry is written in the transaction that makes it necessary. A process claims an entry by moving its `due_at` into
the future; if the process dies, the entry becomes due again. `due_at` is also the fence: completing or postponing an
entry requires the `due_at` of the claim, so it has no effect after another process's claim. Adding an entry again
increments `changes` and makes the entry due again, but doesn't take it away from the process that has claimed it. Slack
can refuse a call for as long as a channel is archived or Slack is down. After MAX_TRIES attempts, an entry remains in
the outbox, but is tried again only if it is added again or woken.
"""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Question
from bot.core.outbox import OUTBOX_HOLD_S, REPLY_EDIT_KINDS, TIDY_AFTER_S, WOKEN_TRIES, OutboxEntry, OutboxKind
from bot.store.rows import HAS_ANSWER, HAS_ENDED, in_thread, insert_into
from bot.store.schema import jobs, outbox_entries

_EDIT_ENTRIES = outbox_entries.alias()
EDITS_REPLY, _IS_EDIT = (
    entry.c.kind.in_([kind.value for kind in REPLY_EDIT_KINDS]) for entry in (outbox_entries, _EDIT_ENTRIES)
)


async def add(
    connection: AsyncConnection, kind: OutboxKind, job_ids: Collection[int], due_at: float, about: str = ""
) -> None:
    """Adds an entry for each job, or makes an existing entry due again, even if a process has claimed it."""
    if not job_ids:
        return
    new, old = insert_into(connection, outbox_entries), outbox_entries.c
    is_held = is_held_now(due_at)
    again = new.on_conflict_do_update(
        index_elements=["job_id", "kind", "about"],
        set_={
            "changes": old.changes + 1,
            "due_at": sa.case((is_held, old.due_at), else_=due_at),
            "tries": sa.case((is_held, old.tries), else_=0),
        },
    )
    values = [{"job_id": job_id, "kind": kind.value, "about": about, "due_at": due_at} for job_id in sorted(job_ids)]
    await connection.execute(again, values)


async def add_missing(connection: AsyncConnection, kind: OutboxKind, job_id: int, due_at: float) -> None:
    """Adds an entry unless one exists. A process that has claimed the existing entry keeps it."""
    values = {"job_id": job_id, "kind": kind.value, "about": "", "due_at": due_at}
    await connection.execute(insert_into(connection, outbox_entries).values(values).on_conflict_do_nothing())


def is_current(entry: OutboxEntry) -> sa.ColumnElement[bool]:
    """Returns whether no other process has claimed the entry since this process did."""
    return sa.and_(outbox_entries.c.id == entry.id, outbox_entries.c.due_at == entry.due_at)


def is_taken(entry: OutboxEntry) -> sa.ColumnElement[bool]:
    """Returns whether an entry exists and no other process has claimed it since this process did."""
    return sa.exists().where(is_current(entry))


async def make_due_again(connection: AsyncConnection, entry: OutboxEntry, now: float) -> None:
    """Makes an entry due now if this process still holds it. Used for an entry that was added again in the meantime."""
    again = {"due_at": now, "tries": 0, "is_held": False}
    await connection.execute(sa.update(outbox_entries).where(is_current(entry)).values(again))


def is_held_now(now: float | sa.ColumnElement[float], table: sa.FromClause = outbox_entries) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.is_held, table.c.due_at > now, table.c.due_at <= now + OUTBOX_HOLD_S)


def is_reply_being_edited(
    now: float | sa.ColumnElement[float], job_id: sa.ColumnElement[int]
) -> sa.ColumnElement[bool]:
    """Returns whether a process might be editing a job's reply. During that time, other processes must not change the
    reply's messages."""
    return sa.exists().where(_EDIT_ENTRIES.c.job_id == job_id, _IS_EDIT, is_held_now(now, _EDIT_ENTRIES))


def is_reply_shown() -> sa.ColumnElement[bool]:
    return ~sa.exists().where(_EDIT_ENTRIES.c.job_id == jobs.c.id, _EDIT_ENTRIES.c.kind == OutboxKind.REPLY.value)


async def tidy(connection: AsyncConnection, question: Question, job_id: int, now: float) -> None:
    """Queues edits of answers that are no longer the last in their conversation. Given a job that has ended, this can
    be the answer above it or the job's own answer."""
    others = in_thread(question.thread), HAS_ANSWER
    above = sa.select(jobs.c.id).where(*others, HAS_ENDED, jobs.c.ts < question.ts).order_by(jobs.c.ts.desc()).limit(1)
    below = sa.select(sa.literal(job_id)).where(sa.exists().where(*others, jobs.c.ts > question.ts))
    earlier = (await connection.scalars(sa.union_all(above.subquery().select(), below))).all()
    await add(connection, OutboxKind.TIDY, earlier, now + TIDY_AFTER_S)


async def delete_redundant_entries(connection: AsyncConnection, job_ids: Collection[int], now: float) -> list[int]:
    """Deletes entries that the jobs' next attempts make redundant. Returns the jobs whose entries hadn't been tried
    yet. Keeps claimed entries, because no attempt begins while its reply is being edited."""
    of_replies = EDITS_REPLY, outbox_entries.c.job_id.in_(job_ids)
    free = sa.delete(outbox_entries).where(*of_replies, ~is_held_now(now))
    rows = await connection.execute(free.returning(outbox_entries.c.job_id, outbox_entries.c.tries))
    return [row.job_id for row in rows if row.tries == 0]


async def delete_shown_updates(connection: AsyncConnection, job_id: int) -> None:
    """Deletes a failed update once an attempt has shown the job's end. Keeps entries for later changes."""
    tried_before = EDITS_REPLY, outbox_entries.c.tries > 0
    await connection.execute(sa.delete(outbox_entries).where(outbox_entries.c.job_id == job_id, *tried_before))


async def wake(connection: AsyncConnection, now: float, *which: sa.ColumnElement[bool]) -> None:
    """Makes failed entries due now if their jobs meet the conditions. Excludes claimed entries."""
    entry = outbox_entries.c
    failed = sa.select(entry.id).join(jobs).where(entry.tries > 0, *which)
    # In a fixed order, because two processes might do this at once.
    these = failed.order_by(entry.id).with_for_update(of=outbox_entries).cte("failed")
    due_at = sa.case((is_held_now(now), entry.due_at), else_=now)
    tries = sa.case((entry.tries > WOKEN_TRIES, WOKEN_TRIES), else_=entry.tries)
    woken = sa.update(outbox_entries).where(entry.id.in_(sa.select(these.c.id))).values(due_at=due_at, tries=tries)
    await connection.execute(woken)


async def queue_updates_where(connection: AsyncConnection, now: float, *which: sa.ColumnElement[bool]) -> None:
    # Also unfinished answers, which might show outdated data and are shown again once they have ended.
    begun = sa.select(jobs.c.id).where(jobs.c.attempts > 0, ~jobs.c.answer_deleted, *which)
    await queue_updates(connection, (await connection.scalars(begun)).all(), now)


async def queue_updates(connection: AsyncConnection, job_ids: Collection[int], due_at: float) -> None:
    """Queues updates of replies after the records of their questions have changed."""
    await add(connection, OutboxKind.REPLY, job_ids, due_at)
