"""Stores tool calls and people's decisions about them (core/calls.py).

Each call is recorded as begun, and the record is committed, before the call is made. Therefore, no call is made twice.
Both recording a decision and releasing the job lock the job's row first. Therefore, either the worker sees the
decision, or the decision finds the job waiting. `ToolPins` stores the tool definitions that admins have approved.
"""

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.audit import EntryKind, arguments_hash, call_entry, call_facts
from bot.core.calls import (
    APPROVAL_S,
    UNFINISHED_STATES,
    AllowedTool,
    CallState,
    Decision,
    Pin,
    RecordedCall,
    Step,
    card_types,
    full_tool_name,
    tool_owner,
)
from bot.core.conversation import Question, ThreadKey
from bot.core.job import End, FollowUp, Job, MessageRole, Piece, Status, ts_of
from bot.core.outbox import BACKOFF, OutboxKind
from bot.store import audit, claim, outbox, schema, side_messages, steps, usage
from bot.store.database import Operations, acquire_lock, reads, writes
from bot.store.rows import (
    IS_AWAITING_APPROVAL,
    IS_LIVE,
    has_row,
    in_thread,
    insert_into,
    is_queued,
    is_running,
    messages_of,
    question_of,
    thread_of,
    upsert,
)
from bot.store.schema import accounts, allowed_tools, jobs, tool_calls, tool_pins
from bot.store.usage import MeteredOperations
from bot.store.workers import WorkerOperations


class RecordedCalls(MeteredOperations):
    """Records an attempt's steps. Writes nothing if the worker has lost the job or its version is outdated."""

    @writes
    async def record_step(self, connection: AsyncConnection, job: Job, step: Step, end: End, piece: Piece) -> bool:
        """Records a step with its usage and the text before its calls. Returns False if the job is lost or outdated."""
        now = self._now()
        if not await self._lock_if_held(connection, job):
            return False
        key = {"job_id": job.id, "version": job.version, "step_no": step.step_no}
        values = {**key, "chars": step.chars, "model": step.model, "items": json.dumps(step.items)}
        values["origins"] = sorted(step.origins)
        values |= {"beginning": step.beginning or None, "bound_to": step.prefix_hash}
        new = insert_into(connection, schema.steps).values(values).on_conflict_do_nothing()
        if await connection.scalar(new.returning(schema.steps.c.id)) is None:
            # Recorded earlier by a transaction whose commit wasn't confirmed.
            return True
        await steps.append_text(connection, self._worker.name, {job: piece})
        if step.calls:
            await connection.execute(sa.insert(tool_calls), [_call_values(job, call, now) for call in step.calls])
            await audit.append(connection, now, [call_entry(job, call) for call in step.calls])
        await self._meter.charge_step(connection, job, step.step_no, end, now)
        return True

    @writes
    async def begin_call(self, connection: AsyncConnection, job: Job, call: RecordedCall) -> bool:
        """Records that a READY call is about to be made. Returns False if the call must not be made. A BEGUN call can
        begin again if its tool is declared read-only. No call begins once a stop has been requested."""
        if not await self._lock_if_held(connection, job, ~jobs.c.stop_requested):
            return False
        this = (*_is_call(job, call, call.startable_states), tool_calls.c.binding == call.binding)
        now = self._now()
        begun = sa.update(tool_calls).where(*this).values(state=CallState.BEGUN.value, begun_at=now)
        if (await connection.execute(begun)).rowcount == 0:
            return False
        await audit.append(connection, now, [call_entry(job, replace(call, state=CallState.BEGUN))])
        return True

    @writes
    async def end_call(self, connection: AsyncConnection, job: Job, call: RecordedCall) -> bool:
        """Records a call's final state and result. Returns False if the call has already ended or the job is lost."""
        # A call's end counts in any version.
        if not await self._lock_if_held(connection, job, of_version=False):
            return False
        now = self._now()
        values = {
            "state": call.state.value,
            "result": call.result,
            "result_is_error": call.result_is_error,
            "made": call.item_no,
            "ended_at": now,
        }
        ended = sa.update(tool_calls).where(*_is_call(job, call, UNFINISHED_STATES)).values(values)
        if (await connection.execute(ended)).rowcount == 0:
            return False
        await audit.append(connection, now, [call_entry(job, call)])
        return True

    @reads
    async def calls(self, connection: AsyncConnection, job: Job, step_no: int) -> tuple[RecordedCall, ...]:
        return await steps.read_calls(connection, job.id, job.version, tool_calls.c.step_no == step_no)

    @writes
    async def take_follow_ups(self, connection: AsyncConnection, job: Job, step_no: int) -> tuple[FollowUp, ...]:
        """Adds the asker's new questions to a step. Stops at the first question that has files, has been begun, or was
        asked by someone else."""
        if not await self._lock_if_held(connection, job, ~jobs.c.stop_requested):
            return ()
        return await claim.join_follow_ups(connection, job, step_no, self._now())

    @writes
    async def wait_for_decisions(
        self, connection: AsyncConnection, job: Job, piece: Piece | None, mention_at: float | None, shown_at: float
    ) -> bool:
        """Releases the job until its ASKED calls are decided, and records the last piece of its text.

        The outbox will mention the asker at `mention_at`, unless that is None or the job has continued by then. A
        message from the asker since `shown_at`, when the calls were shown, denies them immediately. Returns False
        without a change if no call awaits a decision, or if the job is lost, stopped or outdated.
        """
        now, thread = self._now(), job.question.thread
        await _lock_threads(connection, [thread])
        if not await self._lock_if_held(connection, job, ~jobs.c.stop_requested):
            return False
        if not await has_row(connection, _awaits_decision(job.id, job.version)):
            return False
        if piece:
            await steps.append_text(connection, self._worker.name, {job: piece})
        if mention_at is not None and mention_at >= now + APPROVAL_S:
            mention_at = None
        waiting = {
            "status": Status.AWAITING_APPROVAL.value,
            "worker": None,
            "waits_until": now + APPROVAL_S,
            "mention_at": mention_at,
        }
        await connection.execute(sa.update(jobs).where(self._is_held(job)).values(waiting))
        await usage.delete_open_charge(connection, job.id)
        if mention_at is not None:
            await outbox.add(connection, OutboxKind.SIDE_MESSAGES, [job.id], min(mention_at, now + BACKOFF.max_s))
            await side_messages.queue_updates(connection, [job.id], now)
        since = sa.select(jobs).where(in_thread(thread), is_queued(), jobs.c.created_at > shown_at)
        await _deny_calls_before(connection, map(question_of, await connection.execute(since)), now)
        await self._worker.wake_others(connection)
        return True

    @reads
    async def earlier_calls(self, connection: AsyncConnection, job: Job) -> tuple[RecordedCall, ...]:
        begun = tool_calls.c.begun_at.is_not(None)
        earlier = sa.select(tool_calls).where(
            tool_calls.c.job_id == job.id, tool_calls.c.version < job.version, ~tool_calls.c.read_only, begun
        )
        return tuple(map(steps.call_of, (await connection.execute(earlier.order_by(tool_calls.c.id))).all()))

    @reads
    async def calls_denied_by_reply(self, connection: AsyncConnection, job: Job) -> tuple[RecordedCall, ...]:
        """Returns the calls of the asker's previous answer that were denied by this message or might have had an
        effect."""
        first = (*job.earlier_questions, job.question)[0]
        of_asker = in_thread(first.thread), jobs.c.user_id == first.user_id, jobs.c.ts < first.ts
        newest = sa.select(jobs.c.id, jobs.c.version).where(*of_asker).order_by(jobs.c.ts.desc()).limit(1)
        before = (await connection.execute(newest)).one_or_none()
        calls = await steps.read_calls(connection, before.id, before.version) if before else ()
        if not card_types(calls, Decision.REPLIED):
            return ()
        over = (CallState.DONE, CallState.UNKNOWN, CallState.BEGUN)
        return tuple(
            call for call in calls if call.decision is Decision.REPLIED or (call.state in over and not call.read_only)
        )

    @reads
    async def always_allowed(self, connection: AsyncConnection, thread: ThreadKey) -> Mapping[str, str]:
        of_channel = allowed_tools.c.team_id == thread.team_id, allowed_tools.c.channel_id == thread.channel_id
        rows = await connection.execute(sa.select(allowed_tools).where(*of_channel))
        return {row.tool: row.definition_hash for row in rows}

    @reads
    async def servers_allowed_in_thread(self, connection: AsyncConnection, question: Question) -> frozenset[str]:
        """Returns the servers where the asker allowed calls in this thread with their current sign-in."""
        thread, user_id = question.thread, question.user_id
        of_asker = in_thread(thread), jobs.c.user_id == user_id, tool_calls.c.decided_by == user_id
        decided = sa.select(tool_calls.c.tool, tool_calls.c.created_at).join(jobs, jobs.c.id == tool_calls.c.job_id)
        rows = await connection.execute(decided.where(*of_asker, tool_calls.c.decision == Decision.IN_THREAD.value))
        theirs = accounts.c.team_id == thread.team_id, accounts.c.user_id == user_id
        signed_in = await connection.execute(sa.select(accounts.c.server, accounts.c.since).where(*theirs))
        since = {row.server: row.since for row in signed_in}
        return frozenset(
            server for row in rows if row.created_at >= since.get(server := tool_owner(row.tool), math.inf)
        )

    async def _lock_if_held(
        self, connection: AsyncConnection, job: Job, *also: sa.ColumnElement[bool], of_version: bool = True
    ) -> bool:
        """Locks the job's row. Returns False if the worker has lost the job or the job's version is outdated."""
        version = [jobs.c.version == job.version] if of_version else []
        this = sa.select(jobs.c.id).where(self._is_held(job), *version, *also)
        return (await connection.execute(this.with_for_update())).one_or_none() is not None


def _call_values(job: Job, call: RecordedCall, now: float) -> dict[str, Any]:
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
        "own_account": call.uses_own_account,
        "because": list(call.approval_reasons),
        "state": call.state.value,
        "result": call.result,
        "result_is_error": False,
        "created_at": now,
    }


def _is_call(job: Job, call: RecordedCall, allowed_states: Iterable[CallState]) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        tool_calls.c.job_id == job.id,
        tool_calls.c.version == job.version,
        tool_calls.c.step_no == call.step_no,
        tool_calls.c.index == call.index,
        tool_calls.c.state.in_([state.value for state in allowed_states]),
    )


async def release(connection: AsyncConnection, job_id: int, now: float, **values: Any) -> bool:
    """Returns a job that is awaiting approval to the queue, and updates its mentions. Returns False if the job isn't
    live."""
    status = sa.case((IS_AWAITING_APPROVAL, Status.QUEUED.value), else_=jobs.c.status)
    released = sa.update(jobs).where(jobs.c.id == job_id, IS_LIVE)
    values = {"status": status, "waits_until": None, "mention_at": None, **values}
    if (await connection.execute(released.values(values))).rowcount == 0:
        return False
    await side_messages.queue_updates(connection, [job_id], now)
    return True


class Approvals(WorkerOperations):
    @reads
    async def answers_awaiting(
        self, connection: AsyncConnection, team_id: str, user_id: str, limit: int
    ) -> list[tuple[ThreadKey, str, float]]:
        """Returns the thread, last page and deadline of each of a person's answers that await approval, newest
        first."""
        of_person = jobs.c.team_id == team_id, jobs.c.user_id == user_id, ~jobs.c.stop_requested
        waiting = sa.select(jobs).where(IS_AWAITING_APPROVAL, jobs.c.waits_until > self._now(), *of_person)
        rows = await connection.execute(waiting.order_by(jobs.c.id.desc()).limit(limit))
        found = [(thread_of(row), ts_of(messages_of(row), MessageRole.PAGE), row.waits_until) for row in rows]
        return [(thread, pages[-1], until) for thread, pages, until in found if pages]

    @writes
    async def decide(
        self,
        connection: AsyncConnection,
        job_id: int,
        version: int,
        call: RecordedCall,
        decision: Decision,
        user_id: str,
        arguments: Mapping[str, Any] | None = None,
    ) -> bool:
        """Records a decision. Returns False if the call isn't awaiting one or has changed. `arguments`: for EDITED
        calls."""
        now = self._now()
        # A late decision has no effect, even if nobody has checked for expired approvals yet.
        in_time = sa.and_(IS_AWAITING_APPROVAL, jobs.c.waits_until > now)
        of_version = jobs.c.id == job_id, jobs.c.version == version
        job = sa.select(jobs).where(*of_version, ~jobs.c.stop_requested, sa.or_(in_time, is_running()))
        asked = (await connection.execute(job.with_for_update())).one_or_none()
        if asked is None:
            return False
        this = (
            tool_calls.c.step_no == call.step_no,
            tool_calls.c.index == call.index,
            tool_calls.c.binding == call.binding,
        )
        edited = {}
        if arguments:
            edited = {"arguments": json.dumps(arguments), "binding": replace(call, arguments=arguments).binding}
        if not await _decide(connection, asked, decision, user_id, now, *this, **edited):
            return False
        # Shows the decision if the job is waiting for others too. A process that is showing an earlier one checks for
        # this one.
        is_to_show = jobs.c.id == job_id, IS_AWAITING_APPROVAL, ~outbox.is_reply_being_edited(now, jobs.c.id)
        if await has_row(connection, *is_to_show):
            await outbox.queue_updates(connection, [job_id], now)
        await self._worker.wake_all(connection)
        return True

    @writes
    async def allow_always(
        self, connection: AsyncConnection, thread: ThreadKey, call: RecordedCall, user_id: str
    ) -> None:
        now = self._now()
        values = {"definition_hash": call.definition_hash, "allowed_by": user_id, "allowed_at": now}
        channel = {"team_id": thread.team_id, "channel_id": thread.channel_id}
        await upsert(connection, allowed_tools, {**channel, "tool": call.tool}, values)
        facts = {"tool": call.tool, "definition": call.definition_hash}
        await audit.record_setting(connection, now, "always_allowed", facts, by=user_id, **channel)

    @reads
    async def allowed_tools(
        self, connection: AsyncConnection, team_id: str | None = None, channel_id: str | None = None
    ) -> tuple[AllowedTool, ...]:
        in_order = sa.select(allowed_tools).order_by(*allowed_tools.primary_key)
        rows = await connection.execute(in_order.where(*_in_channel(team_id, channel_id)))
        return tuple(AllowedTool(*row) for row in rows)

    @writes
    async def revoke(
        self,
        connection: AsyncConnection,
        tools: Collection[str],
        by: str = "",
        team_id: str | None = None,
        channel_id: str | None = None,
    ) -> int:
        """Makes tools require approval again. Returns the number of deleted permissions."""
        revoked = sa.delete(allowed_tools).where(allowed_tools.c.tool.in_(tools), *_in_channel(team_id, channel_id))
        rows = (await connection.execute(revoked.returning(*allowed_tools.primary_key))).all()
        for row in rows:
            facts = {"tool": row.tool, "definition": ""}
            channel = {"team_id": row.team_id, "channel_id": row.channel_id}
            await audit.record_setting(connection, self._now(), "always_allowed", facts, by=by, **channel)
        return len(rows)

    @writes
    async def expire(self, connection: AsyncConnection) -> int:
        """Denies calls that weren't approved in time. Returns the number of jobs that can continue."""
        now = self._now()
        late = sa.select(jobs).where(IS_AWAITING_APPROVAL, jobs.c.waits_until <= now).order_by(jobs.c.id)
        rows = (await connection.execute(late.with_for_update(skip_locked=True))).all()
        for row in rows:
            await _decide(connection, row, Decision.EXPIRED, "", now)
        if rows:
            await self._worker.wake_all(connection)
        return len(rows)


async def deny_by_reply(connection: AsyncConnection, questions: Iterable[Question], now: float) -> bool:
    """Denies calls that await approval in threads where the asker has written a message instead of deciding. Returns
    whether any call was denied. If a job starts to wait at the same time, either `wait_for_decisions` finds these
    questions or this function finds the waiting job."""
    follow_ups = [question for question in questions if not question.begins_thread]
    await _lock_threads(connection, {question.thread for question in follow_ups})
    return await has_row(connection, IS_AWAITING_APPROVAL) and await _deny_calls_before(connection, follow_ups, now)


async def _lock_threads(connection: AsyncConnection, threads: Collection[ThreadKey]) -> None:
    for name in sorted(f"approvals {thread}" for thread in threads):
        await acquire_lock(connection, name)


async def _deny_calls_before(connection: AsyncConnection, questions: Iterable[Question], now: float) -> bool:
    denied = False
    for question in questions:
        of_asker = in_thread(question.thread), jobs.c.user_id == question.user_id, jobs.c.ts < question.ts
        waiting = sa.select(jobs).where(*of_asker, IS_AWAITING_APPROVAL)
        for row in (await connection.execute(waiting.with_for_update())).all():
            # A message above the page with the calls was written before them, however late Slack delivers it.
            if max(ts_of(messages_of(row), MessageRole.PAGE), default="") > question.ts:
                continue
            await _decide(connection, row, Decision.REPLIED, question.user_id, now)
            denied = True
    return denied


async def _decide(
    connection: AsyncConnection,
    job: sa.Row[Any],
    decision: Decision,
    user_id: str,
    now: float,
    *which: sa.ColumnElement[bool],
    **edited: str,
) -> bool:
    """Records a decision about a job's calls. Returns whether any calls matched. Returns the job to the queue if no
    other call is waiting. `which`: conditions for the calls. `edited`: columns that a person has changed."""
    asked = _awaits_decision(job.id, job.version)
    is_approved = decision in (Decision.APPROVED, Decision.EDITED, Decision.IN_THREAD)
    state = CallState.READY if is_approved else CallState.DENIED
    values = {"state": state.value, "decision": decision.value, "decided_by": user_id, **edited}
    decided = sa.update(tool_calls).where(asked, *which).values(values).returning(tool_calls)
    calls = [(row.version, steps.call_of(row)) for row in await connection.execute(decided)]
    entries = [
        audit.job_entry(
            job,
            EntryKind.DECISION,
            {"decision": decision.value, **call_facts(call, version)},
            arguments_hash(call.arguments),
            by=user_id,
        )
        for version, call in calls
    ]
    await audit.append(connection, now, entries)
    if not await has_row(connection, asked):
        # An asker who decided is waiting from now on.
        asked_at = sa.case((jobs.c.user_id == user_id, now), else_=jobs.c.asked_at)
        if await has_row(connection, jobs.c.id == job.id, IS_AWAITING_APPROVAL):
            await release(connection, job.id, now, asked_at=asked_at)
            await outbox.delete_redundant_entries(connection, [job.id], now)
    return bool(calls)


def _in_channel(team_id: str | None, channel_id: str | None) -> list[sa.ColumnElement[bool]]:
    wanted = ((allowed_tools.c.team_id, team_id), (allowed_tools.c.channel_id, channel_id))
    return [column == value for column, value in wanted if value is not None]


def _awaits_decision(job_id: int, version: int) -> sa.ColumnElement[bool]:
    return sa.and_(
        tool_calls.c.job_id == job_id,
        tool_calls.c.version == version,
        tool_calls.c.state == CallState.ASKED.value,
    )


class ToolPins(Operations):
    async def pin(self, server: str, pins: Mapping[str, Pin]) -> Mapping[str, Pin]:
        """Records the tools that a server lists first. Returns the accepted definitions of the tools in `pins`.
        Excludes tools that were added later and that no admin has approved. If several processes list a server's tools
        at the same time, only the first process's list is recorded."""
        marker = full_tool_name(server, "*")
        pinned = await self.read((*pins, marker))
        if marker not in pinned:
            await self._record_first_list(marker, pins)
            pinned = await self.read(pins)
        return {tool: pin for tool, pin in pinned.items() if tool != marker}

    @reads
    async def listed_servers(self, connection: AsyncConnection, servers: Iterable[str]) -> frozenset[str]:
        tools = (await connection.scalars(sa.select(tool_pins.c.tool))).all()
        return frozenset(servers) & {tool_owner(tool) for tool in tools}

    @reads
    async def read(self, connection: AsyncConnection, tools: Iterable[str]) -> Mapping[str, Pin]:
        columns = sa.select(tool_pins.c.tool, tool_pins.c.definition_hash, tool_pins.c.definition, tool_pins.c.by_admin)
        rows = await connection.execute(columns.where(tool_pins.c.tool.in_(list(tools))))
        return {row.tool: Pin(row.definition_hash, row.definition, row.by_admin) for row in rows}

    @writes
    async def approve(self, connection: AsyncConnection, tool: str, definition: Pin) -> None:
        await upsert(connection, tool_pins, {"tool": tool}, {**_pin_values(definition), "by_admin": True})
        facts = {"tool": tool, "definition": definition.definition_hash}
        await audit.record_setting(connection, self._now(), "definition", facts, by="")

    @writes
    async def _record_first_list(self, connection: AsyncConnection, marker: str, pins: Mapping[str, Pin]) -> None:
        # The first to insert the marker wins: on PostgreSQL, others wait here until the insert is committed.
        insert = insert_into(connection, tool_pins).on_conflict_do_nothing()
        marked = insert.values(tool=marker, **_pin_values(Pin("", ""))).returning(tool_pins.c.tool)
        is_first = (await connection.execute(marked)).first() is not None
        # An admin might have agreed to a tool before the first list. That doesn't vouch for any other tool.
        of_server = tool_pins.c.tool.startswith(marker.removesuffix("*"), autoescape=True)
        is_known = sa.exists().where(of_server, tool_pins.c.tool != marker)
        if is_first and pins and not await connection.scalar(sa.select(is_known)):
            rows = [{"tool": tool, **_pin_values(definition)} for tool, definition in sorted(pins.items())]
            await connection.execute(insert, rows)


def _pin_values(definition: Pin) -> dict[str, object]:
    return {"definition_hash": definition.definition_hash, "definition": definition.definition}
