"""Questions stopped, edited, deleted, or to be answered again: in place, by whoever has them or takes them next."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Question
from bot.core.job import Enqueued, Status
from bot.core.outbox import OutboxKind
from bot.store import checkpoints, outbox
from bot.store.queue import batch
from bot.store.queue.enqueue import must_wait
from bot.store.rows import DOING, TODO, file_values, question_of
from bot.store.schema import jobs

WORDED = sa.or_(jobs.c.text != "", sa.cast(jobs.c.files, sa.Text) != "[]")
"""Neither deleted nor expired."""
ENDED = (Status.DONE.value, Status.FAILED.value, Status.STOPPED.value)


async def edit(connection: AsyncConnection, question: Question, edited_ts: str, now: float) -> bool:
    """As Store.edit."""
    thread = question.thread
    row = await _at(connection, thread.team_id, thread.channel_id, question.ts)
    if row is None or row.status == Status.REFUSED or _is_withdrawn(row):
        return False
    # Two edits within a second may bear the same time.
    if edited_ts < (row.edited_ts or ""):
        return True
    words = {"text": question.text, "files": file_values(question), "edited_ts": edited_ts}
    await connection.execute(sa.update(jobs).where(jobs.c.id == row.id).values(**words))
    if (row.text, row.files) == (question.text, file_values(question)):
        return True
    answered_by = row.answered_with or row.id
    starts_over = await _start_over(connection, answered_by, now)
    if not starts_over and row.status in ENDED and await _is_last(connection, answered_by):
        await outbox.add(connection, OutboxKind.OFFER_REGENERATE, [row.id], now)
    return True


async def stop(connection: AsyncConnection, job_id: int, now: float) -> bool:
    """As Store.request_stop."""
    this = sa.update(jobs).where(jobs.c.id == job_id)
    waiting = this.where(jobs.c.status == TODO, jobs.c.attempts == 0).values(
        status=Status.STOPPED.value, stop_asked=True, finished_at=now
    )
    live = this.where(sa.or_(jobs.c.status == DOING, jobs.c.status == TODO)).values(stop_asked=True)
    sign = (jobs.c.id, jobs.c.page_ts, jobs.c.announced_at)
    stopped = (await connection.execute(waiting.returning(*sign))).all()
    await batch.clear_signs(connection, stopped, now)
    return bool(stopped) or (await connection.execute(live)).rowcount > 0


async def delete_question(connection: AsyncConnection, team_id: str, channel_id: str, ts: str, now: float) -> bool:
    """As Store.withdraw."""
    row = await _at(connection, team_id, channel_id, ts)
    if row is None or row.status == Status.REFUSED or _is_withdrawn(row):
        return False
    this = sa.update(jobs).where(jobs.c.id == row.id)
    await connection.execute(this.values(text="", files=[]))
    await outbox.cancel(connection, OutboxKind.OFFER_REGENERATE, [row.id])
    if row.answered_with is not None:
        await connection.execute(this.values(status=Status.STOPPED.value))
        await _start_over(connection, row.answered_with, now)
    elif row.status == Status.TODO and row.attempts == 0:
        await connection.execute(this.values(status=Status.STOPPED.value, stop_asked=True, finished_at=now))
        await batch.clear_signs(connection, [row], now)
    elif row.status not in ENDED:
        await connection.execute(this.values(stop_asked=True))
        await batch.part(connection, row.id)
        await outbox.add(connection, OutboxKind.RETRACT_REPLY, [row.id], now)
    elif not await connection.scalar(sa.select(sa.exists().where(batch.standing(row.id)))):
        await outbox.cancel(connection, OutboxKind.MENTION_ASKERS, [row.id])
        await outbox.add(connection, OutboxKind.RETRACT_REPLY, [row.id], now)
    return True


@dataclass(frozen=True, slots=True)
class Anew:
    """What is to be answered again."""

    job_id: int
    continues: bool
    """From where it reached its length limit."""
    full: bool
    """The process has no room for it now."""


async def regenerate(connection: AsyncConnection, anew: Anew, most_per_user: int, now: float) -> Enqueued | None:
    """As Store.regenerate."""
    this = jobs.c.id == anew.job_id, jobs.c.status.in_(ENDED), jobs.c.answered_with.is_(None), ~jobs.c.deleted
    row = (await connection.execute(sa.select(jobs).where(*this, WORDED).with_for_update())).one_or_none()
    if row is None:
        return None
    waits = await must_wait(connection, question_of(row), anew.full, most_per_user)
    # The sign of one that ended while it waited may not be on record yet.
    unannounced_since = now if waits else None if row.attempts else row.announced_at
    values: dict[str, Any] = {
        "status": Status.TODO.value,
        "worker": None,
        "interruptions": 0,
        "announced_at": unannounced_since,
        "finished_at": None,
        "goes_on": anew.continues,
        **_version(now),
    }
    changed = sa.update(jobs).where(*this, jobs.c.version == row.version).values(values)
    if (await connection.execute(changed)).rowcount == 0:
        return None
    for kind in (OutboxKind.OFFER_REGENERATE, OutboxKind.MENTION_ASKERS):
        await outbox.cancel(connection, kind, [anew.job_id])
    await batch.keep_signs(connection, [anew.job_id])
    return Enqueued(anew.job_id, waits)


async def _at(connection: AsyncConnection, team_id: str, channel_id: str, ts: str) -> sa.Row[Any] | None:
    """Locked: what is claimed or ends in this moment does so before or after."""
    found = sa.select(jobs).where(jobs.c.team_id == team_id, jobs.c.channel_id == channel_id, jobs.c.ts == ts)
    return (await connection.execute(found.with_for_update())).one_or_none()


def _is_withdrawn(row: sa.Row[Any]) -> bool:
    return bool(row.text == "" and not row.files and (row.stop_asked or row.status in ENDED))


async def _start_over(connection: AsyncConnection, job_id: int, now: float) -> bool:
    """What was begun and has not ended is done again from its beginning; what waits needs nothing."""
    begun = sa.or_(jobs.c.status == DOING, sa.and_(jobs.c.status == TODO, jobs.c.attempts > 0))
    this = sa.update(jobs).where(jobs.c.id == job_id, begun, ~jobs.c.stop_asked)
    starts_over = (await connection.execute(this.values(**_version(now), goes_on=False))).rowcount > 0
    if starts_over:
        await checkpoints.drop(connection, jobs.c.id == job_id)
    return starts_over


def _version(now: float) -> dict[str, Any]:
    return {"version": jobs.c.version + 1, "stop_asked": False, "asked_at": now}


async def _is_last(connection: AsyncConnection, job_id: int) -> bool:
    """Whether no question of its thread was written after it, and it was not deleted."""
    later, this = jobs.alias(), jobs.c.id == job_id
    same_thread = (
        later.c.team_id == jobs.c.team_id,
        later.c.channel_id == jobs.c.channel_id,
        later.c.thread_ts == jobs.c.thread_ts,
    )
    after = sa.exists().where(*same_thread, later.c.ts > jobs.c.ts)
    return bool(await connection.scalar(sa.select(sa.exists().where(this, WORDED, ~after))))
