"""What is to be done in Slack about jobs that have ended: written with what makes it so, and done at least once."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.job import Status
from bot.core.outbox import OUTBOX_HOLD_S, OutboxEntry, OutboxKind
from bot.store.rows import DOING, TODO, insert_into, question_of
from bot.store.schema import errands, jobs

_SHOWN = errands.alias()


async def add(connection: AsyncConnection, kind: OutboxKind, job_ids: Collection[int], due_at: float) -> None:
    """One of a kind for each job; who runs the same one now leaves it on the list."""
    if not job_ids:
        return
    new = insert_into(connection, errands)
    again = new.on_conflict_do_update(index_elements=["job_id", "kind"], set_={"due_at": due_at, "tries": 0})
    values = [{"job_id": job_id, "kind": kind.value, "due_at": due_at} for job_id in sorted(job_ids)]
    await connection.execute(again, values)


def held(now: float, job_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Whether a process may be showing this job's end: nobody else is to write or delete its messages meanwhile.

    An entry that waits for its next try looks the same in its last seconds, and holds others up for no longer.
    """
    in_hand = (_SHOWN.c.tries > 0, _SHOWN.c.due_at > now, _SHOWN.c.due_at <= now + OUTBOX_HOLD_S)
    return sa.exists().where(_SHOWN.c.job_id == job_id, _SHOWN.c.kind == OutboxKind.SHOW_END.value, *in_hand)


def due(now: float) -> sa.Select[tuple[int]]:
    """Errands of jobs that have ended."""
    live = sa.exists().where(jobs.c.id == errands.c.job_id, sa.or_(jobs.c.status == TODO, jobs.c.status == DOING))
    free = errands.c.due_at <= now, ~live, ~held(now, errands.c.job_id)
    return sa.select(errands.c.id).where(*free).order_by(errands.c.due_at)


async def take(connection: AsyncConnection, limit: int, now: float) -> list[OutboxEntry]:
    """Theirs who take them, for OUTBOX_HOLD_S."""
    free = due(now).limit(limit).with_for_update(skip_locked=True).cte("free")
    taken = (
        sa.update(errands)
        .where(errands.c.id.in_(sa.select(free.c.id)))
        .values(due_at=now + OUTBOX_HOLD_S, tries=errands.c.tries + 1)
        .returning(errands.c.id)
    )
    ids = (await connection.scalars(taken)).all()
    if not ids:
        return []
    found = sa.select(errands.c.id.label("entry_id"), errands.c.kind, errands.c.due_at, errands.c.tries, jobs).join(
        jobs
    )
    rows = (await connection.execute(found.where(errands.c.id.in_(ids)).order_by(errands.c.id))).all()
    earlier = sa.select(jobs.c.answered_with, jobs.c.user_id).where(
        jobs.c.answered_with.in_([row.id for row in rows]), jobs.c.status == Status.DONE.value
    )
    with_it = (await connection.execute(earlier.order_by(jobs.c.ts))).all()
    return [_entry(row, [other.user_id for other in with_it if other.answered_with == row.id]) for row in rows]


def _entry(row: sa.Row[Any], others: Sequence[str]) -> OutboxEntry:
    return OutboxEntry(
        id=row.entry_id,
        kind=OutboxKind(row.kind),
        due_at=row.due_at,
        tries=row.tries,
        job_id=row.answered_with or row.id,
        version=row.version,
        question=question_of(row),
        page_ts=tuple(row.page_ts),
        askers=tuple(dict.fromkeys((*others, row.user_id))),
    )


async def done(connection: AsyncConnection, entry: OutboxEntry, posted_ts: str | None) -> None:
    """Off the list; a message that it left is known as no answer."""
    if posted_ts is not None:
        await connection.execute(sa.update(jobs).where(jobs.c.id == entry.job_id).values(ping_ts=posted_ts))
    await connection.execute(sa.delete(errands).where(*_as_taken(entry)))


async def later(connection: AsyncConnection, entry: OutboxEntry, due_at: float) -> None:
    """Failed for now: it is due then."""
    await connection.execute(sa.update(errands).where(*_as_taken(entry)).values(due_at=due_at))


def _as_taken(entry: OutboxEntry) -> tuple[sa.ColumnElement[bool], ...]:
    return errands.c.id == entry.id, errands.c.due_at == entry.due_at


async def cancel(connection: AsyncConnection, kind: OutboxKind, job_ids: Collection[int]) -> list[int]:
    """Takes them off the list; returns the jobs of those that nobody had taken."""
    this = sa.delete(errands).where(errands.c.kind == kind.value, errands.c.job_id.in_(job_ids))
    rows = await connection.execute(this.returning(errands.c.job_id, errands.c.tries))
    return [row.job_id for row in rows if row.tries == 0]
