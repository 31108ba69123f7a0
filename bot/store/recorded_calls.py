"""Calls: each is committed as begun before it is made, so that none is made twice (core/tool_calls.py)."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.audit import call_entry
from bot.core.conversation import ThreadKey
from bot.core.job import End, FollowUp, Job, Piece, Status
from bot.core.outbox import OutboxKind
from bot.core.step_turns import were_replied_to
from bot.core.tool_calls import APPROVAL_S, CallState, Decision, RecordedCall, Step
from bot.store import audit, checkpoints, outbox, recorded_steps, usage
from bot.store.approvals import is_any_asked
from bot.store.database import reads, writes
from bot.store.queue import batch
from bot.store.rows import Held, in_thread, insert_into
from bot.store.schema import allowed_tools, jobs, steps, tool_calls
from bot.store.usage import MeteredOperations


class RecordedCalls(MeteredOperations):
    """Records an attempt's steps. A worker that lost the job, or whose version is outdated, writes nothing."""

    @writes
    async def record(self, connection: AsyncConnection, job: Job, step: Step, end: End, piece: Piece | None) -> bool:
        """Records a step before any of its calls is made, with its usage and the answer's text up to its end.

        Returns False if the job is lost or outdated.
        """
        held = Held(job, self._worker.name)
        now = self._now()
        if not await _is_current(connection, held):
            return False
        key = {"job_id": job.id, "version": job.version, "step_no": step.step_no}
        values = {**key, "text": step.text, "model": step.model, "items": json.dumps(step.items)}
        values["origins"] = sorted(step.origins)
        new = insert_into(connection, steps).values(values).on_conflict_do_nothing()
        if await connection.scalar(new.returning(steps.c.id)) is None:
            # Recorded before, by a transaction whose commit was not heard of.
            return True
        if piece:
            await checkpoints.append(connection, held.worker, {job: piece})
        if step.calls:
            await connection.execute(sa.insert(tool_calls), [_values(job, call, now) for call in step.calls])
            await audit.append(connection, now, [call_entry(job, call) for call in step.calls])
        await self._meter.step(connection, job, step.step_no, end, now)
        return True

    @writes
    async def begin(self, connection: AsyncConnection, job: Job, call: RecordedCall) -> bool:
        """Records that a READY call is about to be made; returns False if it must not be.

        A BEGUN call may begin again if its tool is declared read-only. Nothing begins once a stop is requested.
        """
        if not await _is_current(connection, Held(job, self._worker.name), ~jobs.c.stop_requested):
            return False
        may_begin = tool_calls.c.state == CallState.READY.value
        again = sa.and_(tool_calls.c.state == CallState.BEGUN.value, tool_calls.c.read_only)
        this = (*_this(job, call), tool_calls.c.binding == call.binding, sa.or_(may_begin, again))
        now = self._now()
        begun = sa.update(tool_calls).where(*this).values(state=CallState.BEGUN.value, begun_at=now)
        if (await connection.execute(begun)).rowcount == 0:
            return False
        await audit.append(connection, now, [call_entry(job, replace(call, state=CallState.BEGUN))])
        return True

    @writes
    async def end(self, connection: AsyncConnection, job: Job, call: RecordedCall) -> bool:
        """Records a call's end, with its state and result; returns False if it is over, or the job is lost."""
        if not await _is_held(connection, Held(job, self._worker.name)):
            return False
        under_way = tool_calls.c.state.in_([CallState.READY.value, CallState.BEGUN.value])
        now = self._now()
        values = {
            "state": call.state.value,
            "result": call.result,
            "result_is_error": call.result_is_error,
            "ended_at": now,
        }
        ended = sa.update(tool_calls).where(*_this(job, call), under_way).values(values)
        if (await connection.execute(ended)).rowcount == 0:
            return False
        await audit.append(connection, now, [call_entry(job, call)])
        return True

    @reads
    async def calls(self, connection: AsyncConnection, job: Job, step_no: int) -> tuple[RecordedCall, ...]:
        """Returns the calls of a step as they are now."""
        return await recorded_steps.calls(connection, job.id, job.version, tool_calls.c.step_no == step_no)

    @writes
    async def take_follow_ups(self, connection: AsyncConnection, job: Job, step_no: int) -> tuple[FollowUp, ...]:
        """Takes along what the job's asker has asked in its thread meanwhile; the step with this number reads it.

        Questions are taken in their order, up to the first that is somebody else's, has files, or was begun.
        """
        if not await _is_current(connection, Held(job, self._worker.name), ~jobs.c.stop_requested):
            return ()
        return await batch.join(connection, job, step_no, self._now())

    @writes
    async def wait(self, connection: AsyncConnection, job: Job, piece: Piece | None, mention_at: float | None) -> bool:
        """Gives the job up until its ASKED calls are decided, with the last piece of its text.

        The outbox mentions the asker at `mention_at` if the job still waits then; None: never. Returns False, and
        changes nothing, if none is left to decide, or if the job is lost, stopped or outdated.
        """
        held = Held(job, self._worker.name)
        now = self._now()
        if not await _is_current(connection, held, ~jobs.c.stop_requested):
            return False
        if not await is_any_asked(connection, job.id, job.version):
            return False
        if piece:
            await checkpoints.append(connection, held.worker, {job: piece})
        waiting = {
            "status": Status.AWAITING_APPROVAL.value,
            "worker": None,
            "waits_until": now + APPROVAL_S,
        }
        await connection.execute(held.fenced.values(waiting))
        await usage.discard(connection, job.id)
        if mention_at is not None and mention_at < now + APPROVAL_S:
            await outbox.add(connection, OutboxKind.ASK_APPROVAL, [job.id], mention_at)
        await self._worker.wake_others(connection)
        return True

    @reads
    async def made_before(self, connection: AsyncConnection, job: Job) -> tuple[RecordedCall, ...]:
        """Returns the calls of earlier versions that may have changed something."""
        if not job.version:
            return ()
        begun = tool_calls.c.begun_at.is_not(None)
        earlier = sa.select(tool_calls).where(
            tool_calls.c.job_id == job.id, tool_calls.c.version < job.version, ~tool_calls.c.read_only, begun
        )
        return tuple(map(recorded_steps.call_of, (await connection.execute(earlier.order_by(tool_calls.c.id))).all()))

    @reads
    async def replied_to(self, connection: AsyncConnection, job: Job) -> tuple[RecordedCall, ...]:
        """Returns the calls of the asker's answer before, if the job's question was written instead of approving any.

        Of its other calls, those are included that may have changed something.
        """
        first = (*job.earlier, job.question)[0]
        of_asker = in_thread(first.thread), jobs.c.user_id == first.user_id, jobs.c.ts < first.ts
        newest = sa.select(jobs.c.id, jobs.c.version).where(*of_asker).order_by(jobs.c.ts.desc()).limit(1)
        before = (await connection.execute(newest)).one_or_none()
        calls = await recorded_steps.calls(connection, before.id, before.version) if before else ()
        if not were_replied_to(calls):
            return ()
        over = (CallState.DONE, CallState.UNKNOWN, CallState.BEGUN)
        return tuple(
            call for call in calls if call.decision is Decision.REPLIED or (call.state in over and not call.read_only)
        )

    @reads
    async def always_allowed(self, connection: AsyncConnection, thread: ThreadKey) -> Mapping[str, str]:
        """Returns the tools that an admin always allows in a thread's channel, with the definitions' hashes."""
        of_channel = allowed_tools.c.team_id == thread.team_id, allowed_tools.c.channel_id == thread.channel_id
        rows = await connection.execute(sa.select(allowed_tools).where(*of_channel))
        return {row.tool: row.definition_hash for row in rows}


def _values(job: Job, call: RecordedCall, now: float) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "version": job.version,
        "step_no": call.step_no,
        "index": call.index,
        "call_id": call.call_id,
        "tool": call.tool,
        "arguments": json.dumps(call.arguments),
        "definition_hash": call.definition_hash,
        "binding": call.binding,
        "read_only": call.read_only,
        "state": call.state.value,
        "result": call.result,
        "result_is_error": False,
        "created_at": now,
    }


def _this(job: Job, call: RecordedCall) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        tool_calls.c.job_id == job.id,
        tool_calls.c.version == job.version,
        tool_calls.c.step_no == call.step_no,
        tool_calls.c.index == call.index,
    )


async def _is_current(connection: AsyncConnection, held: Held, *also: sa.ColumnElement[bool]) -> bool:
    """Locks the job's row; returns whether the worker still holds the job, in the version that it answers."""
    return await _is_held(connection, held, jobs.c.version == held.job.version, *also)


async def _is_held(connection: AsyncConnection, held: Held, *also: sa.ColumnElement[bool]) -> bool:
    """Locks the job's row; returns whether the worker still holds the job. A call's end counts in any version."""
    this = sa.select(jobs.c.id).where(*held.is_ours, *also)
    return (await connection.execute(this.with_for_update())).one_or_none() is not None
