"""Batches: a person's questions that are queued behind each other in a thread share the newest one's answer.

A batch has one asker, so that an answer has one person's rights: tools, approvals, Slack search and caps are theirs.

When a thread's turn comes, its oldest queued job leads. `followers` collects the jobs behind it that may join, up to
the first that may not: those of the same asker that never began, and whose placeholders nobody is editing. The newest
of them is claimed (claim.py). `end_batched` ends the jobs before it: each records `answered_with` and gets a turn that
says so. The outbox clears its placeholder, because the answer stands below the newest.

An answer under way takes questions along too, before each step of a model that uses tools (`join`). They are later than
the answer's own question, so its prompt can't have them from the start: `joined_step` says which step read them first.

A batch can come apart. If the claimed job gets no answer, `unbatch` returns the others to the queue, with their
placeholders where the outbox has not begun to clear them.

The leader is locked while this happens, so no other claim decides about its thread. A job may still come before the
leader: a question that arrives late, or an answer that is regenerated. Then that one leads, or the claim looks again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, takewhile
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.audit import Kind
from bot.core.job import End, FollowUp, Job, Status
from bot.core.outbox import OutboxKind
from bot.errors import EndReason
from bot.store import audit, outbox
from bot.store.rows import THREAD, in_thread, is_batched_with, is_queued, question_of, thread_columns, turn_values
from bot.store.schema import jobs, turns

LATE_POST_S = 20.0
"""How long an unrecorded placeholder may still appear in Slack: calls are given up by then."""

ENDED_COLUMNS = (*audit.ASKED, jobs.c.messages, jobs.c.placeholder_due_since)
"""What is needed of a job that ends in the queue."""


async def followers(
    connection: AsyncConnection,
    leaders: Sequence[sa.Row[Any]],
    is_free: sa.ColumnElement[bool],
    running_of_asker: sa.ScalarSelect[int],
) -> list[Sequence[sa.Row[Any]]]:
    """Returns for each leader the jobs that are answered together, oldest first and the leader included."""
    threads = [_thread_of(leader) for leader in leaders if leader.is_followed]
    if not threads:
        return [[leader] for leader in leaders]
    thread, may_join = thread_columns(), sa.and_(jobs.c.attempts == 0, is_free).label("may_join")
    queued: sa.Select[Any] = (
        sa.select(*thread, jobs.c.id, jobs.c.user_id, running_of_asker.label("running_of_asker"), may_join)
        .where(is_queued(), sa.tuple_(*thread).in_(threads))
        .order_by(*thread, jobs.c.ts)
    )
    rows = (await connection.execute(queued)).all()
    joining = {key: _of_one_asker(of_thread) for key, of_thread in groupby(rows, key=_thread_of)}
    groups = [joining[_thread_of(leader)] if leader.is_followed else [leader] for leader in leaders]
    # None may join behind an answer that was regenerated since the leaders were read: that one leads now.
    return [group for group in groups if group]


def _thread_of(row: sa.Row[Any]) -> tuple[str, ...]:
    return tuple(getattr(row, name) for name in THREAD)


def _of_one_asker(queued: Iterable[sa.Row[Any]]) -> Sequence[sa.Row[Any]]:
    """Returns the first of a thread's queued jobs, up to one that may not join or is somebody else's."""
    joining = list(takewhile(lambda row: row.may_join, queued))
    return list(takewhile(lambda row: row.user_id == joining[0].user_id, joining))


async def end_batched(connection: AsyncConnection, claimed: Mapping[int, Sequence[int]], now: float) -> None:
    """Ends the jobs that are answered with a claimed one, and has the outbox clear their placeholders.

    `claimed`: the ids of those jobs by the id of the claimed one.
    """
    ended: list[sa.Row[Any]] = []
    for job_id, earlier in claimed.items():
        if earlier:
            batched = {"status": Status.ENDED.value, "end_reason": EndReason.BATCHED.value}
            update = sa.update(jobs).where(jobs.c.id.in_(earlier), is_queued())
            update = update.values(**batched, answered_with=job_id)
            ended += (await connection.execute(update.returning(*ENDED_COLUMNS))).all()
    if ended:
        await connection.execute(
            sa.insert(turns), [turn_values(row.id, End(EndReason.BATCHED), "", now) for row in ended]
        )
        await ended_in_queue(connection, ended, EndReason.BATCHED, now)


async def unbatch(connection: AsyncConnection, job_id: int) -> None:
    """Returns the other questions of a job's batch to the queue."""
    ids = (await connection.scalars(sa.select(jobs.c.id).where(is_batched_with(job_id)))).all()
    if not ids:
        return
    queued: dict[str, Any] = {
        "status": Status.QUEUED.value,
        "end_reason": None,
        "answered_with": None,
        "joined_step": None,
    }
    await connection.execute(sa.update(jobs).where(jobs.c.id.in_(ids), is_batched_with(job_id)).values(**queued))
    await keep_placeholders(connection, ids)


async def keep_placeholders(connection: AsyncConnection, job_ids: Sequence[int]) -> None:
    """Cancels the clearing of placeholders of jobs that will be answered after all.

    A job whose placeholder is gone, or may be going now, gets a new message: its recorded one is forgotten.
    """
    untouched = await outbox.cancel(connection, OutboxKind.CLEAR_PLACEHOLDER, job_ids)
    cleared = jobs.c.id.in_(set(job_ids) - set(untouched)), jobs.c.attempts == 0
    await connection.execute(sa.update(jobs).where(*cleared).values(messages=[]))


async def ended_in_queue(
    connection: AsyncConnection, rows: Sequence[sa.Row[Any]], reason: EndReason, now: float
) -> None:
    """Records why jobs ended in the queue, and has their placeholders cleared. `rows` have ENDED_COLUMNS."""
    ended = {"end": reason.value}
    await audit.append(connection, now, [audit.entry_of(row, Kind.ANSWER, ended) for row in rows])
    await clear_placeholders(connection, rows, now)


async def clear_placeholders(connection: AsyncConnection, rows: Sequence[sa.Row[Any]], now: float) -> None:
    """Has the outbox clear the placeholders of jobs that ended in the queue.

    `rows` have id, messages and placeholder_due_since. An unrecorded placeholder is looked for once it can't come any
    more.
    """
    await outbox.add(connection, OutboxKind.CLEAR_PLACEHOLDER, [row.id for row in rows if row.messages], now)
    unrecorded = [row.id for row in rows if not row.messages and row.placeholder_due_since is not None]
    await outbox.add(connection, OutboxKind.CLEAR_PLACEHOLDER, unrecorded, now + LATE_POST_S)


async def with_earlier(connection: AsyncConnection, claimed: Sequence[Job]) -> list[Job]:
    """Returns the jobs with the other questions that each of them answers."""
    if not claimed:
        return []
    batched = sa.select(jobs).where(
        jobs.c.answered_with.in_([job.id for job in claimed]), jobs.c.end_reason == EndReason.BATCHED.value
    )
    rows: dict[int, list[sa.Row[Any]]] = {}
    for row in await connection.execute(batched.order_by(jobs.c.ts)):
        rows.setdefault(row.answered_with, []).append(row)
    with_others = []
    for job in claimed:
        asked = [(question_of(row), row.joined_step) for row in rows.get(job.id, ())]
        earlier = tuple(question for question, step_no in asked if step_no is None)
        follow_ups = tuple(FollowUp(question, step_no) for question, step_no in asked if step_no is not None)
        with_others.append(replace(job, earlier=earlier, follow_ups=follow_ups))
    return with_others


async def join(connection: AsyncConnection, job: Job, step_no: int, now: float) -> tuple[FollowUp, ...]:
    """Takes along the questions that a running job's asker has queued behind it (RecordedCalls.take_follow_ups)."""
    queued = sa.select(jobs).where(in_thread(job.question.thread), is_queued(), jobs.c.ts > job.question.ts)
    rows = (await connection.execute(queued.order_by(jobs.c.ts).with_for_update())).all()

    def may_join(row: sa.Row[Any]) -> bool:
        return row.attempts == 0 and row.user_id == job.question.user_id and not row.files and not row.from_bot

    joined = list(takewhile(may_join, rows))
    if joined:
        # They are locked, so nothing keeps any of them from being ended.
        ids = [row.id for row in joined]
        await end_batched(connection, {job.id: ids}, now)
        await connection.execute(sa.update(jobs).where(jobs.c.id.in_(ids)).values(joined_step=step_no))
    return tuple(FollowUp(question_of(row), step_no) for row in joined)


async def rejoin(connection: AsyncConnection, job_id: int) -> None:
    """Makes the questions that earlier versions of an answer took along part of the new version's first prompt."""
    joined = jobs.c.answered_with == job_id, jobs.c.joined_step.is_not(None)
    await connection.execute(sa.update(jobs).where(*joined).values(joined_step=0))
