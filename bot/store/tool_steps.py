"""Tool steps: each call is committed as begun before it is made, so that none is made twice (core/tool_steps.py)."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import Clock
from bot.core.conversation import FollowUp, Job, ThreadKey
from bot.core.job import End, Piece, Status
from bot.core.outbox import OutboxKind
from bot.core.tool_steps import APPROVAL_S, Decision, Round, StepState, ToolStep
from bot.core.trust import record_of
from bot.prices import ModelPrices
from bot.store import approvals, checkpoints, outbox
from bot.store.approvals import CallKey
from bot.store.database import Database
from bot.store.liveness.workers import WorkerLiveness
from bot.store.predicates import is_waiting
from bot.store.queue import batch
from bot.store.queue.finish import Held, record_turn
from bot.store.rounds import step_of
from bot.store.rows import insert_into, turn_values, wake_others
from bot.store.schema import allowed_tools, jobs, rounds, tool_steps


class ToolSteps:
    """Implements the ports ToolSteps and Approvals."""

    def __init__(self, database: Database, worker: WorkerLiveness, clock: Clock, prices: ModelPrices | None) -> None:
        self._database = database
        self._worker = worker
        self._clock = clock
        self._prices = prices

    async def record(self, job: Job, step: Round, end: End, piece: Piece | None) -> bool:
        """Records a step before any of its calls is made, with its usage and the answer's text up to its end.

        Returns False if the job is lost or outdated.
        """
        return await self._database.write(record, self._held(job), step, end, piece, self._now)

    async def begin(self, job: Job, step: ToolStep) -> bool:
        """Records that a READY call is about to be made; returns False if it must not be.

        A BEGUN call may begin again if its tool is declared read-only. Nothing begins once a stop is requested.
        """
        return await self._database.write(begin, self._held(job), step, self._now)

    async def end(self, job: Job, step: ToolStep) -> bool:
        """Records a call's end, with its state and result; returns False if it is over, or the job is lost."""
        return await self._database.write(end, self._held(job), step, self._now)

    async def steps(self, job: Job, step_no: int) -> tuple[ToolStep, ...]:
        """Returns the calls of a step as they are now."""
        return await self._database.read(read, job.id, job.version, tool_steps.c.step_no == step_no)

    async def take_follow_ups(self, job: Job, step_no: int) -> tuple[FollowUp, ...]:
        """Takes along what the job's asker has asked in its thread meanwhile; the step with this number reads it.

        Questions are taken in their order, up to the first that is somebody else's, has files, or was begun.
        """
        return await self._database.write(take_follow_ups, self._held(job), step_no, self._now)

    async def wait(self, job: Job, piece: Piece | None, mention_at: float | None) -> bool:
        """Gives the job up until its ASKED calls are decided, with the last piece of its text.

        The outbox mentions the asker at `mention_at` if the job still waits then; None: never. Returns False, and
        changes nothing, if none is left to decide, or if the job is lost, stopped or outdated.
        """
        return await self._database.write(wait, self._held(job), piece, mention_at, self._now)

    async def made_before(self, job: Job) -> tuple[ToolStep, ...]:
        """Returns the calls of earlier versions that may have changed something."""
        return await self._database.read(made_before, job) if job.version else ()

    async def always_allowed(self, thread: ThreadKey) -> Mapping[str, str]:
        """Returns the tools that an admin always allows in a thread's channel, with the definitions' hashes."""
        return await self._database.read(always_allowed, thread)

    async def shown(self, job_id: int) -> tuple[ToolStep, ...]:
        """Returns all calls of the newest version of a job's answer, in their order."""
        newest = sa.select(jobs.c.version).where(jobs.c.id == job_id).scalar_subquery()
        return await self._database.read(read, job_id, newest)

    async def decide(self, job_id: int, version: int, step: ToolStep, decision: Decision, user_id: str) -> bool:
        """Records a decision, which works once; returns False if the call waits no longer, or is another one now."""
        call = CallKey(job_id, version, step.step_no, step.index, step.binding)
        return await self._database.write(self._decide, call, decision, user_id)

    async def allow_always(self, thread: ThreadKey, step: ToolStep, user_id: str) -> None:
        """Records that a tool, as it is defined now, needs no approval in a thread's channel."""
        await self._database.write(allow_always, thread, step, user_id, self._now)

    async def expire(self) -> int:
        """Denies the calls that nobody decided about in time; returns how many jobs go on now."""
        return await self._database.write(self._expire)

    async def _decide(self, connection: AsyncConnection, call: CallKey, decision: Decision, user_id: str) -> bool:
        decided = await approvals.decide(connection, call, decision, user_id, self._now)
        if decided:
            await show_decision(connection, call.job_id, self._now)
            await wake_others(connection, self._worker.name)
            self._worker.wake()
        return decided

    async def _expire(self, connection: AsyncConnection) -> int:
        released = await approvals.expire(connection, self._clock.now())
        if released:
            await wake_others(connection, self._worker.name)
            self._worker.wake()
        return released

    @property
    def _now(self) -> float:
        return self._clock.now()

    def _held(self, job: Job) -> Held:
        return Held(job, self._worker.name, self._prices)


async def record(
    connection: AsyncConnection, held: Held, step: Round, end: End, piece: Piece | None, now: float
) -> bool:
    """Records a step, its calls and its usage, in one transaction (ToolSteps.record)."""
    job = held.job
    if not await _is_current(connection, held):
        return False
    key = {"job_id": job.id, "version": job.version, "step_no": step.step_no}
    values = {**key, "text": step.text, "model": step.model, "items": json.dumps(step.items)}
    values["origins"] = record_of(step.origins)
    new = insert_into(connection, rounds).values(values).on_conflict_do_nothing()
    if await connection.scalar(new.returning(rounds.c.id)) is None:
        # Recorded before, by a transaction whose commit was not heard of.
        return True
    if piece:
        await checkpoints.append(connection, held.worker, {job: piece})
    if step.steps:
        await connection.execute(sa.insert(tool_steps), [_values(job, call, now) for call in step.steps])
    await record_turn(connection, job, turn_values(job.id, end, "", now, held.prices), now)
    return True


def _values(job: Job, step: ToolStep, now: float) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "version": job.version,
        "step_no": step.step_no,
        "index": step.index,
        "call_id": step.call_id,
        "tool": step.tool,
        "arguments": json.dumps(step.arguments),
        "definition_hash": step.definition_hash,
        "binding": step.binding,
        "read_only": step.read_only,
        "state": step.state.value,
        "result": step.result,
        "result_is_error": False,
        "created_at": now,
    }


async def begin(connection: AsyncConnection, held: Held, step: ToolStep, now: float) -> bool:
    """Moves a call to BEGUN (ToolSteps.begin)."""
    if not await _is_current(connection, held, ~jobs.c.stop_requested):
        return False
    may_begin = tool_steps.c.state == StepState.READY.value
    again = sa.and_(tool_steps.c.state == StepState.BEGUN.value, tool_steps.c.read_only)
    this = (*_this(held.job, step), tool_steps.c.binding == step.binding, sa.or_(may_begin, again))
    begun = sa.update(tool_steps).where(*this).values(state=StepState.BEGUN.value, begun_at=now)
    return (await connection.execute(begun)).rowcount > 0


async def end(connection: AsyncConnection, held: Held, step: ToolStep, now: float) -> bool:
    """Moves a call to the state that ends it (ToolSteps.end). An outdated version's calls end as well."""
    is_ours = (jobs.c.worker == held.worker, jobs.c.attempts == held.job.attempts)
    ours = sa.exists().where(jobs.c.id == held.job.id, *is_ours)
    under_way = tool_steps.c.state.in_([StepState.READY.value, StepState.BEGUN.value])
    values = {
        "state": step.state.value,
        "result": step.result,
        "result_is_error": step.result_is_error,
        "ended_at": now,
    }
    ended = sa.update(tool_steps).where(*_this(held.job, step), under_way, ours).values(values)
    return (await connection.execute(ended)).rowcount > 0


def _this(job: Job, step: ToolStep) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        tool_steps.c.job_id == job.id,
        tool_steps.c.version == job.version,
        tool_steps.c.step_no == step.step_no,
        tool_steps.c.index == step.index,
    )


async def _is_current(connection: AsyncConnection, held: Held, *also: sa.ColumnElement[bool]) -> bool:
    """Locks the job's row; returns whether the worker still holds the job, in the version that it answers."""
    this = sa.select(jobs.c.id).where(*held.is_ours, jobs.c.version == held.job.version, *also)
    return (await connection.execute(this.with_for_update())).one_or_none() is not None


async def take_follow_ups(connection: AsyncConnection, held: Held, step_no: int, now: float) -> tuple[FollowUp, ...]:
    """Batches the askers' queued questions with a job that is under way (ToolSteps.take_follow_ups)."""
    if not await _is_current(connection, held, ~jobs.c.stop_requested):
        return ()
    return await batch.join(connection, held.job, step_no, now)


async def wait(
    connection: AsyncConnection, held: Held, piece: Piece | None, mention_at: float | None, now: float
) -> bool:
    """Moves a job to WAITING (ToolSteps.wait)."""
    job = held.job
    if not await _is_current(connection, held, ~jobs.c.stop_requested):
        return False
    if not await approvals.is_any_asked(connection, job.id, job.version):
        return False
    if piece:
        await checkpoints.append(connection, held.worker, {job: piece})
    waiting = {"status": Status.WAITING.value, "worker": None, "started_at": None, "waits_until": now + APPROVAL_S}
    await connection.execute(held.fenced.values(waiting))
    if mention_at is not None and mention_at < now + APPROVAL_S:
        await outbox.add(connection, OutboxKind.ASK_APPROVAL, [job.id], mention_at)
    await wake_others(connection, held.worker)
    return True


async def show_decision(connection: AsyncConnection, job_id: int, now: float) -> None:
    """Has the outbox show a decision in the reply of a job that waits for other decisions, too.

    A process that is showing an earlier decision looks for this one.
    """
    is_to_show = jobs.c.id == job_id, is_waiting(), ~outbox.is_reply_being_edited(now, jobs.c.id)
    if await connection.scalar(sa.select(sa.exists().where(*is_to_show))):
        await outbox.add(connection, OutboxKind.SHOW_DECISION, [job_id], now)


async def read(
    connection: AsyncConnection, job_id: int, version: Any, *which: sa.ColumnElement[bool]
) -> tuple[ToolStep, ...]:
    """Returns calls of a version of an answer, in their order."""
    of_version = sa.select(tool_steps).where(tool_steps.c.job_id == job_id, tool_steps.c.version == version, *which)
    in_order = of_version.order_by(tool_steps.c.step_no, tool_steps.c.index)
    return tuple(map(step_of, (await connection.execute(in_order)).all()))


async def made_before(connection: AsyncConnection, job: Job) -> tuple[ToolStep, ...]:
    """Returns the calls of earlier versions that may have changed something (ToolSteps.made_before)."""
    begun = tool_steps.c.begun_at.is_not(None)
    earlier = sa.select(tool_steps).where(
        tool_steps.c.job_id == job.id, tool_steps.c.version < job.version, ~tool_steps.c.read_only, begun
    )
    return tuple(map(step_of, (await connection.execute(earlier.order_by(tool_steps.c.id))).all()))


async def always_allowed(connection: AsyncConnection, thread: ThreadKey) -> dict[str, str]:
    """Returns the tools that are always allowed in a channel, with the hashes of their definitions."""
    of_channel = allowed_tools.c.team_id == thread.team_id, allowed_tools.c.channel_id == thread.channel_id
    rows = await connection.execute(sa.select(allowed_tools).where(*of_channel))
    return {row.tool: row.definition_hash for row in rows}


async def allow_always(
    connection: AsyncConnection, thread: ThreadKey, step: ToolStep, user_id: str, now: float
) -> None:
    """Allows a tool in a channel, as it is defined now."""
    values = {"definition_hash": step.definition_hash, "allowed_by": user_id, "allowed_at": now}
    key = {"team_id": thread.team_id, "channel_id": thread.channel_id, "tool": step.tool}
    new = insert_into(connection, allowed_tools).values(**key, **values)
    await connection.execute(new.on_conflict_do_update(index_elements=list(key), set_=values))
