"""Which jobs a worker may take: those to do, and those of workers that are gone."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Job
from bot.ports import Spent, Status
from bot.store.rows import DOING, TODO, interrupted_values, job_of
from bot.store.schema import jobs, turns, workers
from bot.store.watch import Sight

SIGN_S = 10.0
"""A job whose asker is to be told first that it waits is left alone for so long."""


async def claim_ready(connection: AsyncConnection, worker: str, limit: int, now: float) -> list[Job]:
    """Raises IntegrityError where another worker took a job of one of the threads in the same moment."""
    taken = (
        sa.update(jobs)
        .where(jobs.c.id.in_(_ready(limit, now)))
        .values(status=Status.DOING.value, worker=worker, attempts=jobs.c.attempts + 1, started_at=now)
        .returning(jobs)
    )
    return _oldest_first((await connection.execute(taken)).all())


def _ready(limit: int, now: float) -> sa.Select[tuple[int]]:
    """The oldest job of each thread in which none is being done; two workers never wait for the same rows."""
    other = jobs.alias()
    before = sa.exists().where(
        other.c.team_id == jobs.c.team_id,
        other.c.channel_id == jobs.c.channel_id,
        other.c.thread_ts == jobs.c.thread_ts,
        sa.or_(other.c.status == DOING, sa.and_(other.c.status == TODO, other.c.ts < jobs.c.ts)),
    )
    announced = sa.or_(jobs.c.announced_at.is_(None), jobs.c.announced_at <= now - SIGN_S)
    # In a CTE, for PostgreSQL may run a plain subquery more than once, and then lock more than the limit.
    ready = (
        sa.select(jobs.c.id)
        .where(jobs.c.status == TODO, announced, ~before)
        .order_by(jobs.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("ready")
    )
    return sa.select(ready.c.id)


async def held_by(connection: AsyncConnection, worker: str) -> list[Job]:
    """All that a worker has claimed and not ended."""
    held = sa.select(jobs).where(jobs.c.worker == worker, jobs.c.status == DOING)
    return _oldest_first((await connection.execute(held)).all())


async def take_over(
    connection: AsyncConnection, worker: str, gone: Mapping[str, Sight], limit: int, now: float
) -> list[Job]:
    """The oldest jobs of those who are gone, unless they were heard of in this moment."""
    spent = await _spent_by(connection, gone)
    left_behind = (
        sa.select(jobs.c.id)
        .where(sa.or_(*(_left_by(name, gone[name]) for name in spent)), jobs.c.status == DOING)
        .order_by(jobs.c.id)
        .limit(limit)
        .with_for_update()
        .cte("left_behind")
    )
    taken = (
        sa.update(jobs)
        .where(jobs.c.id.in_(sa.select(left_behind.c.id)))
        .values(
            worker=worker,
            attempts=jobs.c.attempts + 1,
            interruptions=jobs.c.interruptions + 1,
            started_at=now,
            heartbeat_at=None,
        )
        .returning(jobs)
    )
    if not spent:
        return []
    claimed = _oldest_first((await connection.execute(taken)).all())
    await _keep_spent(connection, claimed, spent, now)
    await _strike_off(connection, list(spent))
    return claimed


Tokens = dict[str, dict[str, list[int]]]
"""Of each worker, what spent_values gave."""


async def _spent_by(connection: AsyncConnection, gone: Mapping[str, Sight]) -> Tokens:
    """Of those who are still gone; their rows are locked, so that none of them beats any more."""
    rows = sa.select(workers).where(workers.c.worker.in_(list(gone))).order_by(workers.c.worker).with_for_update()
    found = {row.worker: row for row in await connection.execute(rows)}
    spent: Tokens = {}
    for name, sight in gone.items():
        row = found.get(name)
        if (row and row.beat) == sight.beat:
            spent[name] = row.spent if row else {}
    return spent


def _left_by(worker: str, sight: Sight) -> sa.ColumnElement[bool]:
    unheard: sa.ColumnElement[bool] = jobs.c.heartbeat_at.is_(None)
    if sight.heartbeat_at is not None:
        unheard = sa.or_(unheard, jobs.c.heartbeat_at <= sight.heartbeat_at)
    return sa.and_(jobs.c.worker == worker, unheard)


async def _keep_spent(connection: AsyncConnection, claimed: Sequence[Job], spent: Tokens, now: float) -> None:
    """What each attempt that broke off had used becomes a turn."""
    used = {
        (int(job_id), attempt): Spent(*tokens)
        for of_worker in spent.values()
        for job_id, (attempt, *tokens) in of_worker.items()
    }
    before = {job.id: used.get((job.id, job.attempts - 1), Spent()) for job in claimed}
    broken_off = [interrupted_values(job_id, each, now) for job_id, each in before.items() if each != Spent()]
    if broken_off:
        await connection.execute(sa.insert(turns), broken_off)


def spent_values(claimed: Mapping[Job, Spent]) -> dict[str, Any]:
    """As `workers` keeps it."""
    return {str(job.id): [job.attempts, spent.input_tokens, spent.output_tokens] for job, spent in claimed.items()}


async def _strike_off(connection: AsyncConnection, gone: Sequence[str]) -> None:
    at_work = sa.exists().where(jobs.c.worker == workers.c.worker, jobs.c.status == DOING)
    await connection.execute(sa.delete(workers).where(workers.c.worker.in_(gone), ~at_work))


def _oldest_first(rows: Sequence[sa.Row[Any]]) -> list[Job]:
    return sorted((job_of(row) for row in rows), key=lambda job: job.id)
