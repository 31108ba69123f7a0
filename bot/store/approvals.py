"""Approvals: decisions about calls that wait for a person, and the release of the job that waits with them.

Each function locks the job's row before it reads the calls. A worker that gives the job up does the same, so it either
sees the decision, or the decision sees that the job waits.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Question
from bot.core.job import Status
from bot.core.tool_steps import Decision, StepState
from bot.store.predicates import in_thread, is_running, is_waiting
from bot.store.schema import jobs, tool_steps

RELEASED: dict[str, Any] = {
    "status": sa.case((is_waiting(), Status.QUEUED.value), else_=jobs.c.status),
    "waits_until": None,
}
"""The columns of a job that waits no longer; any other job keeps its status."""


@dataclass(frozen=True, slots=True)
class CallKey:
    """A call that a person decides about, as the press of a button names it."""

    job_id: int
    version: int
    step_no: int
    index: int
    binding: str
    """The hash of what the person saw (core/tool_steps.py)."""


async def decide(connection: AsyncConnection, call: CallKey, decision: Decision, user_id: str, now: float) -> bool:
    """Records a decision; returns False if the call isn't the one that was shown, or waits no longer.

    A decision that comes too late has no effect, even if nobody has looked for expired approvals since.
    """
    in_time = sa.and_(is_waiting(), jobs.c.waits_until > now)
    job = sa.select(jobs.c.id).where(
        jobs.c.id == call.job_id,
        jobs.c.version == call.version,
        ~jobs.c.stop_requested,
        sa.or_(in_time, is_running()),
    )
    if (await connection.execute(job.with_for_update())).one_or_none() is None:
        return False
    this = (
        _is_asked(call.job_id, call.version),
        tool_steps.c.step_no == call.step_no,
        tool_steps.c.index == call.index,
        tool_steps.c.binding == call.binding,
    )
    decided = await connection.execute(sa.update(tool_steps).where(*this).values(_decided(decision, user_id)))
    await _release(connection, call.job_id, call.version, user_id, now)
    return decided.rowcount > 0


async def expire(connection: AsyncConnection, now: float) -> int:
    """Denies the calls of jobs that have waited too long, and releases these; returns how many jobs."""
    late = sa.select(jobs.c.id, jobs.c.version).where(is_waiting(), jobs.c.waits_until <= now).order_by(jobs.c.id)
    rows = (await connection.execute(late.with_for_update(skip_locked=True))).all()
    for row in rows:
        await _deny_all(connection, row.id, row.version, Decision.EXPIRED, "", now)
    return len(rows)


async def deny_by_reply(connection: AsyncConnection, questions: Iterable[Question], now: float) -> bool:
    """Denies the calls that wait in threads in which their asker has written instead; returns whether any did."""
    any_waits = sa.select(sa.exists().where(is_waiting()))
    if not await connection.scalar(any_waits):
        return False
    denied = False
    for question in questions:
        of_asker = in_thread(question.thread), jobs.c.user_id == question.user_id
        waiting = sa.select(jobs.c.id, jobs.c.version).where(*of_asker, is_waiting(), jobs.c.ts < question.ts)
        for row in (await connection.execute(waiting.with_for_update())).all():
            await _deny_all(connection, row.id, row.version, Decision.REPLIED, question.user_id, now)
            denied = True
    return denied


async def is_any_asked(connection: AsyncConnection, job_id: int, version: int) -> bool:
    """Returns whether a call of this version waits for a person."""
    return bool(await connection.scalar(sa.select(sa.exists().where(_is_asked(job_id, version)))))


async def _deny_all(
    connection: AsyncConnection, job_id: int, version: int, decision: Decision, user_id: str, now: float
) -> None:
    asked = sa.update(tool_steps).where(_is_asked(job_id, version))
    await connection.execute(asked.values(_decided(decision, user_id)))
    await _release(connection, job_id, version, user_id, now)


async def _release(connection: AsyncConnection, job_id: int, version: int, user_id: str, now: float) -> None:
    """Releases a waiting job if nobody has to decide anything more. An asker who decided waits from now on."""
    if not await is_any_asked(connection, job_id, version):
        asked_at = sa.case((jobs.c.user_id == user_id, now), else_=jobs.c.asked_at)
        released = sa.update(jobs).where(jobs.c.id == job_id, is_waiting())
        await connection.execute(released.values({**RELEASED, "asked_at": asked_at}))


def _is_asked(job_id: int, version: int) -> sa.ColumnElement[bool]:
    return sa.and_(
        tool_steps.c.job_id == job_id,
        tool_steps.c.version == version,
        tool_steps.c.state == StepState.ASKED.value,
    )


def _decided(decision: Decision, user_id: str) -> dict[str, Any]:
    state = StepState.READY if decision is Decision.APPROVED else StepState.DENIED
    return {"state": state.value, "decision": decision.value, "decided_by": user_id}
