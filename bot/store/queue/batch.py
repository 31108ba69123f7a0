"""Questions of a thread that wait are answered together: the newest is claimed, those before it end with it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby, takewhile
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Job, Question
from bot.core.job import Outcome, Status
from bot.core.outbox import OutboxKind
from bot.store import outbox
from bot.store.rows import TODO, TOGETHER, question_of, turn_values
from bot.store.schema import jobs, turns

LATE_POST_S = 20.0
"""A sign that is not on record may still come for so long: a call to Slack is given up by then."""

_THREAD = (jobs.c.team_id, jobs.c.channel_id, jobs.c.thread_ts)


async def followed(
    connection: AsyncConnection,
    leaders: Sequence[sa.Row[Any]],
    settled: sa.ColumnElement[bool],
    under_way: sa.ScalarSelect[int],
) -> list[Sequence[sa.Row[Any]]]:
    """Of each leader's thread what may be answered together, oldest first: what was never begun, and has its sign.

    A leader is the oldest to do of its thread, and locked: nobody else decides about the thread now.
    """
    groups: list[Sequence[sa.Row[Any]]] = [[leader] for leader in leaders if not leader.is_followed]
    threads = [(row.team_id, row.channel_id, row.thread_ts) for row in leaders if row.is_followed]
    if not threads:
        return groups
    ready = sa.and_(jobs.c.attempts == 0, settled).label("ready")
    waiting = (
        sa.select(*_THREAD, jobs.c.id, jobs.c.user_id, under_way.label("under_way"), ready)
        .where(jobs.c.status == TODO, sa.tuple_(*_THREAD).in_(threads))
        .order_by(*_THREAD, jobs.c.ts)
    )
    rows = (await connection.execute(waiting)).all()
    for _, of_thread in groupby(rows, key=lambda row: row[:3]):
        groups.append(list(takewhile(lambda row: row.ready, of_thread)))
    return groups


async def end_together(connection: AsyncConnection, picked: Mapping[int, Sequence[int]], now: float) -> None:
    """Those before each are done with it, and what says in Slack that they wait is to be cleared."""
    ended: list[sa.Row[Any]] = []
    for job_id, before in picked.items():
        if before:
            this = sa.update(jobs).where(jobs.c.id.in_(before), jobs.c.status == TODO)
            this = this.values(status=Status.DONE.value, answered_with=job_id, finished_at=now)
            sign = this.returning(jobs.c.id, jobs.c.page_ts, jobs.c.announced_at)
            ended += (await connection.execute(sign)).all()
    if ended:
        together = Outcome(Status.DONE, "", finish_reason=TOGETHER)
        await connection.execute(sa.insert(turns), [turn_values(row.id, together, now) for row in ended])
        await clear_signs(connection, ended, now)


async def part(connection: AsyncConnection, job_id: int, but_of: str | None = None) -> None:
    """Questions that would have ended with a job that gets no answer are answered all the same, `but_of` a person."""
    theirs = sa.select(jobs.c.id).where(standing(job_id))
    if but_of is not None:
        theirs = theirs.where(jobs.c.user_id != but_of)
    ids = (await connection.scalars(theirs)).all()
    if not ids:
        return
    again: dict[str, Any] = {"status": Status.TODO.value, "answered_with": None, "finished_at": None}
    await connection.execute(sa.update(jobs).where(jobs.c.id.in_(ids), standing(job_id)).values(**again))
    await keep_signs(connection, ids)


async def keep_signs(connection: AsyncConnection, job_ids: Sequence[int]) -> None:
    """Of jobs that are to be answered after all; one that is gone, or about to be, is no message to answer in."""
    kept = await outbox.cancel(connection, OutboxKind.CLEAR_PLACEHOLDER, job_ids)
    cleared = jobs.c.id.in_(set(job_ids) - set(kept)), jobs.c.attempts == 0
    await connection.execute(sa.update(jobs).where(*cleared).values(page_ts=[]))


def standing(job_id: int) -> sa.ColumnElement[bool]:
    """Questions that end with a job, and were not deleted."""
    return sa.and_(jobs.c.answered_with == job_id, jobs.c.status == Status.DONE.value)


async def clear_signs(connection: AsyncConnection, rows: Sequence[sa.Row[Any]], now: float) -> None:
    """Of jobs that ended while they waited: id, page_ts and announced_at."""
    await outbox.add(connection, OutboxKind.CLEAR_PLACEHOLDER, [row.id for row in rows if row.page_ts], now)
    lost = [row.id for row in rows if not row.page_ts and row.announced_at is not None]
    await outbox.add(connection, OutboxKind.CLEAR_PLACEHOLDER, lost, now + LATE_POST_S)


async def with_earlier(connection: AsyncConnection, claimed: Sequence[Job]) -> list[Job]:
    """The jobs, with the questions that they are the answer of as well."""
    if not claimed:
        return []
    ids = [job.id for job in claimed]
    found = sa.select(jobs).where(jobs.c.answered_with.in_(ids), jobs.c.status == Status.DONE.value).order_by(jobs.c.ts)
    earlier: dict[int, list[Question]] = {}
    for row in await connection.execute(found):
        earlier.setdefault(row.answered_with, []).append(question_of(row))
    return [replace(job, earlier=tuple(earlier.get(job.id, ()))) for job in claimed]
