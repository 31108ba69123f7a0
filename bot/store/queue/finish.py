"""How a worker parts with a job: it ends it, or hands it over."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Job
from bot.core.job import Outcome, Spent, Status
from bot.core.outbox import Leftover, OutboxKind, wait_s
from bot.errors import CapReached
from bot.store import checkpoints, outbox, recorded_answers, usage_totals
from bot.store.queue import batch
from bot.store.rows import DOING, TODO, in_thread, interrupted_values, spender_of, turn_values, wake_others
from bot.store.schema import jobs, turns


@dataclass(frozen=True, slots=True)
class Held:
    """A job as a worker claimed it."""

    job: Job
    worker: str

    @property
    def fenced(self) -> sa.Update:
        """A late worker writes nothing."""
        is_ours = (jobs.c.attempts == self.job.attempts, jobs.c.worker == self.worker, jobs.c.status == DOING)
        return sa.update(jobs).where(jobs.c.id == self.job.id, *is_ours)


@dataclass(frozen=True, slots=True)
class Left:
    """What is left to do in Slack when a job ends."""

    ping: bool = False
    leftover: Leftover | None = None


async def finish(connection: AsyncConnection, held: Held, outcome: Outcome, now: float, left: Left) -> bool:
    """As Store.finish."""
    job, leftover = held.job, left.leftover
    is_to_show = leftover is not None and leftover.kind is OutboxKind.SHOW_END
    if leftover and leftover.piece:
        await checkpoints.append(connection, held.worker, {job: leftover.piece})
    outdated = sa.and_(jobs.c.version != job.version, ~jobs.c.stop_asked)
    status = sa.case((outdated, Status.TODO.value), else_=outcome.status.value)
    ended = held.fenced.values(status=status, finished_at=sa.case((outdated, None), else_=now))
    kept = ended.returning(jobs.c.forget_asked, jobs.c.stop_asked, jobs.c.status, jobs.c.deleted)
    row = (await connection.execute(kept)).one_or_none()
    if row is None:
        return False
    is_outdated = row.status == Status.TODO
    if is_outdated or not is_to_show:
        await checkpoints.drop(connection, jobs.c.id == job.id)
    if job.version > 0:
        await outbox.cancel(connection, OutboxKind.SHOW_END, [job.id])
    if row.forget_asked:
        await connection.execute(sa.delete(jobs).where(jobs.c.id == job.id))
    else:
        if job.so_far and not is_outdated:
            await recorded_answers.join(connection, job)
        kept_outcome = replace(outcome, answer="") if row.deleted else outcome
        await _count(connection, job, turn_values(job.id, kept_outcome, now), now)
    if outcome.status is Status.REFUSED or outcome.finish_reason == CapReached.__name__:
        await batch.part(connection, job.id, but_of=job.question.user_id)
    if leftover and not is_outdated:
        await outbox.add(connection, leftover.kind, [job.id], now + wait_s(0))
    if left.ping and not leftover and not is_outdated and not row.stop_asked:
        await outbox.add(connection, OutboxKind.MENTION_ASKERS, [job.id], now)
    await wake_others(connection, held.worker, jobs.c.status == TODO, _waited_for(job))
    return not is_outdated


async def release(connection: AsyncConnection, held: Held, spent: Spent, now: float) -> bool:
    """As Store.release. What the attempt has used so far counts."""
    given_up = held.fenced.values(status=Status.TODO.value, worker=None, started_at=None, heartbeat_at=None)
    if (await connection.execute(given_up)).rowcount == 0:
        return False
    if spent != Spent():
        await _count(connection, held.job, interrupted_values(held.job.id, spent, now), now)
    await wake_others(connection, held.worker)
    return True


async def _count(connection: AsyncConnection, job: Job, turn: Mapping[str, Any], now: float) -> None:
    await connection.execute(sa.insert(turns), turn)
    await usage_totals.count(connection, [(spender_of(job.question), turn)], now)


def _waited_for(job: Job) -> sa.ColumnElement[bool]:
    """Jobs that a job held up: of its thread, or of its asker."""
    thread = job.question.thread
    theirs = sa.and_(jobs.c.team_id == thread.team_id, jobs.c.user_id == job.question.user_id)
    return sa.or_(in_thread(thread), theirs)
