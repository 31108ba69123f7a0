"""The queue, as seen by services that add jobs and request changes to them.

A queued job is changed on the spot. A begun job is changed by its worker, now or at the next attempt: the methods leave
the request and the new version for it (core/job.py). A job that has ended gets outbox entries instead. Each method
locks the job's row first, so that a claim or an end at the same moment comes before or after it.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.audit import Kind, question_entry
from bot.core.conversation import Question
from bot.core.job import Enqueued, State, Status, page_ts, state_of
from bot.core.outbox import EDITED, OutboxKind
from bot.errors import EndReason
from bot.models.prompt import Effort
from bot.store import audit, checkpoints, outbox, recorded_steps
from bot.store.approvals import RELEASED, deny_by_reply
from bot.store.database import Database, completes, reads, writes
from bot.store.group_commit import GroupCommit
from bot.store.liveness.workers import WorkerLiveness, WorkerOperations
from bot.store.queue import batch
from bot.store.queue.enqueue import Arrival, deletion_of, must_wait, write_arrivals
from bot.store.rows import (
    file_values,
    has_content,
    in_thread,
    insert_into,
    is_batched_with,
    is_begun,
    is_live,
    is_queued,
    may_be_regenerated,
    messages_of,
    question_of,
    same_thread,
)
from bot.store.schema import group_threads, jobs, seen_events, thread_lines


class QuestionQueue(WorkerOperations):
    """Takes questions, and changes their jobs on behalf of people."""

    def __init__(self, database: Database, worker: WorkerLiveness, max_per_user: int) -> None:
        """`max_per_user`: how many answers one person may have under way at once, over all processes."""
        super().__init__(database, worker)
        self._max_per_user = max_per_user
        self._arrivals = GroupCommit(self._write_arrivals)

    @completes(bounded=False)
    async def enqueue(
        self,
        event_id: str,
        question: Question,
        *,
        full: bool = False,
        offered: bool = False,
        job_id: int | None = None,
    ) -> Enqueued | None:
        """Stores a question durably as a job; returns None if the event or the message was stored before.

        With `offered`, the first version of its answer is an offer to answer it.

        It also returns None, and stores nothing, for a bot's question beyond the limits of core/access.py.

        `job_id`: the job of a question that the bot has posted for its asker (unposted.py).

        The job needs a placeholder if an earlier question of its thread is not answered yet, if the asker has as many
        answers under way as one person may have, or if this process is `full`. The caller posts it and records it;
        until it has, but for 10 s at most, no worker claims the job.
        """
        # Each batch is bounded, but not the wait for a question's own batch.
        return await self._arrivals.add(Arrival(event_id, question, full, offered, job_id))

    @reads
    async def may_post_placeholder(self, connection: AsyncConnection, question: Question) -> bool:
        """Returns whether every earlier question of the thread has its message, so that this one's appears below."""
        before = sa.select(jobs.c.messages).where(in_thread(question.thread), is_live(), jobs.c.ts < question.ts)
        return all(page_ts(messages_of(row)) for row in await connection.execute(before))

    @reads
    async def count_queued(self, connection: AsyncConnection) -> int:
        """Returns how many jobs wait for a worker, of all workspaces."""
        count = await connection.scalar(sa.select(sa.func.count()).select_from(jobs).where(is_queued()))
        return int(count or 0)

    @writes
    async def request_stop(self, connection: AsyncConnection, job_id: int) -> bool:
        """Asks the job's worker to stop; ends a job that was never begun. Returns False if the job has ended."""
        now = self._now()
        this = sa.update(jobs).where(jobs.c.id == job_id)
        queued = this.where(is_queued(), jobs.c.attempts == 0).values(_ended_unbegun(EndReason.STOPPED))
        live = this.where(is_live()).values(stop_requested=True, **RELEASED)
        stopped = (await connection.execute(queued.returning(*batch.ENDED_COLUMNS))).all()
        await batch.ended_in_queue(connection, stopped, EndReason.STOPPED, now)
        changed = bool(stopped) or (await connection.execute(live)).rowcount > 0
        if changed:
            await self._worker.wake_all(connection)
        return changed

    @writes
    async def regenerate(
        self,
        connection: AsyncConnection,
        job_id: int,
        *,
        continues: bool = False,
        full: bool = False,
        effort: Effort | None = None,
    ) -> Enqueued | None:
        """Queues an ended job once more, to be answered in the same messages; its answer is kept as an earlier turn.

        With `continues` the new answer starts where the old one reached its length limit, and the two become one.
        `effort` is for the new version; None is the channel's, or what the answer that is continued has.
        Returns None if the job has not ended, or if its question was deleted or has expired.
        A job that must wait needs a placeholder, as with `enqueue`.
        """
        row = await _to_regenerate(connection, job_id)
        if row is None:
            return None
        waits = await must_wait(connection, question_of(row), full, self._max_per_user)
        effort = row.effort if continues else effort
        await _requeue(connection, row, self._now(), waits=waits, continues=continues, effort=effort)
        if not waits:
            await self._worker.wake_all(connection)
        return Enqueued(job_id, waits, row.attempts)

    @writes
    async def edit(self, connection: AsyncConnection, question: Question, edited_ts: str) -> bool:
        """Stores a question's new text; returns False if the message is not a question, or was deleted.

        A queued question is answered with its new text. An answer under way starts over in its messages; its worker
        learns of the edit with a heartbeat. So does one that has ended, unless others have written in the thread since,
        or another question came: then the reply says that the question was edited. What the answer offers can't be
        chosen any more.
        """
        thread = question.thread
        row = await _at(connection, thread.team_id, thread.channel_id, question.ts)
        if row is None or _is_no_question(row):
            return False
        await self._worker.wake_all(connection)
        # Two edits within a second may have the same time.
        if edited_ts < (row.edited_ts or ""):
            return True
        values = {"text": question.text, "files": file_values(question), "attached_chars": question.attached_chars}
        await connection.execute(sa.update(jobs).where(jobs.c.id == row.id).values(**values, edited_ts=edited_ts))
        if (row.text, row.files) == (question.text, file_values(question)):
            return True
        now, answered_by = self._now(), row.answered_with or row.id
        await audit.append(connection, now, [question_entry(question, row.id, edited=True)])
        starts_over = await _start_over(connection, answered_by, now)
        if not starts_over and not _state(row).is_live:
            await _answer_edited(connection, answered_by, now)
        return True

    @writes
    async def delete(self, connection: AsyncConnection, team_id: str, channel_id: str, ts: str) -> bool:
        """Removes a question, so that it isn't answered. Returns False if the message is not a question.

        The reply is deleted, too, unless a person wrote after it. Slack may deliver a message after its deletion, so a
        message without a job is recorded as deleted, and becomes no question later.
        """
        row = await _at(connection, team_id, channel_id, ts)
        if row is None:
            values = {"event_id": deletion_of(team_id, channel_id, ts), "seen_at": self._now()}
            await connection.execute(insert_into(connection, seen_events).values(values).on_conflict_do_nothing())
            return False
        if _is_no_question(row):
            return False
        await self._worker.wake_all(connection)
        now = self._now()
        this = sa.update(jobs).where(jobs.c.id == row.id)
        await connection.execute(this.values(text="", files=[], transcripts={}))
        await audit.append(connection, now, [audit.entry_of(row, Kind.ERASURE, {"erased": "question"})])
        state = _state(row)
        if row.answered_with is not None:
            await connection.execute(this.values(end_reason=EndReason.QUESTION_DELETED.value))
            await _start_over(connection, row.answered_with, now)
        elif state is State.QUEUED:
            await connection.execute(this.values(_ended_unbegun(EndReason.QUESTION_DELETED)))
            await batch.ended_in_queue(connection, [row], EndReason.QUESTION_DELETED, now)
        elif state.is_live:
            await connection.execute(this.values(stop_requested=True, **RELEASED))
            await batch.unbatch(connection, row.id)
            await outbox.add(connection, OutboxKind.RETRACT_REPLY, [row.id], now)
        elif not await connection.scalar(sa.select(sa.exists().where(is_batched_with(row.id)))):
            await outbox.cancel(connection, OutboxKind.MENTION_ASKERS, [row.id])
            await outbox.add(connection, OutboxKind.RETRACT_REPLY, [row.id], now)
        return True

    async def _write_arrivals(self, arrivals: Sequence[Arrival]) -> Sequence[Enqueued | None]:
        async with self._database.bounded(), self._database.begin_write() as connection:
            now = self._now()
            taken = await write_arrivals(connection, arrivals, self._max_per_user, now)
            asked = [arrival.question for arrival, enqueued in zip(arrivals, taken, strict=True) if enqueued]
            replied = await deny_by_reply(connection, asked, now)
            if replied or any(enqueued and not enqueued.needs_placeholder for enqueued in taken):
                await self._worker.wake_others(connection)
            return taken


async def _at(connection: AsyncConnection, team_id: str, channel_id: str, ts: str) -> sa.Row[Any] | None:
    """Locks and returns the job of a message."""
    of_message = sa.select(jobs).where(jobs.c.team_id == team_id, jobs.c.channel_id == channel_id, jobs.c.ts == ts)
    return (await connection.execute(of_message.with_for_update())).one_or_none()


def _state(row: sa.Row[Any]) -> State:
    return state_of(row.status, row.attempts, row.end_reason)


def _is_no_question(row: sa.Row[Any]) -> bool:
    """Whether the message is no longer a question: its asker was denied, or it was deleted or has expired."""
    state = _state(row)
    is_empty = row.text == "" and not row.files
    return state is State.DENIED or bool(is_empty and (row.stop_requested or not state.is_live))


def _ended_unbegun(reason: EndReason) -> dict[str, Any]:
    """Returns the columns of a job that ends in the queue."""
    return {"status": Status.ENDED.value, "end_reason": reason.value, "stop_requested": True}


async def _start_over(connection: AsyncConnection, job_id: int, now: float) -> bool:
    """Raises the version of a begun job, so that its answer starts over. A queued job has nothing to start over."""
    this = sa.update(jobs).where(jobs.c.id == job_id, is_begun(), ~jobs.c.stop_requested)
    next_version = {**_next_version(now), **RELEASED, "continues": False}
    starts_over = (await connection.execute(this.values(next_version))).rowcount > 0
    if starts_over:
        await checkpoints.drop(connection, jobs.c.id == job_id)
        await recorded_steps.drop(connection, jobs.c.id == job_id)
        await batch.rejoin(connection, job_id)
    return starts_over


def _next_version(now: float) -> dict[str, Any]:
    return {"version": jobs.c.version + 1, "stop_requested": False, "asked_at": now, "shown_turn": None}


async def _to_regenerate(connection: AsyncConnection, job_id: int) -> sa.Row[Any] | None:
    """Locks and returns an ended job that may be answered once more."""
    this = sa.select(jobs).where(jobs.c.id == job_id, may_be_regenerated(), has_content())
    return (await connection.execute(this.with_for_update())).one_or_none()


async def _requeue(
    connection: AsyncConnection,
    row: sa.Row[Any],
    now: float,
    *,
    waits: bool = False,
    continues: bool = False,
    effort: Effort | None = None,
) -> None:
    """Queues an ended job for a new version of its answer."""
    values: dict[str, Any] = {
        "status": Status.QUEUED.value,
        "end_reason": None,
        "interruptions": 0,
        # The placeholder of a job that ended in the queue may not be on record yet.
        "placeholder_due_since": now if waits else None if row.attempts else row.placeholder_due_since,
        "continues": continues,
        "effort": effort,
        **_next_version(now),
    }
    await connection.execute(sa.update(jobs).where(jobs.c.id == row.id).values(values))
    await checkpoints.drop(connection, jobs.c.id == row.id)
    for kind in (OutboxKind.SHOW_VERSION, OutboxKind.MENTION_ASKERS):
        await outbox.cancel(connection, kind, [row.id])
    await batch.keep_placeholders(connection, [row.id])
    await batch.rejoin(connection, row.id)


async def _answer_edited(connection: AsyncConnection, job_id: int, now: float) -> None:
    """Queues an ended job whose question was edited, or has its reply say so if others have written since."""
    row = await _to_regenerate(connection, job_id)
    if row is None:
        return
    if await _stands_alone(connection, job_id):
        await _requeue(connection, row, now)
    elif row.attempts:
        await checkpoints.drop(connection, jobs.c.id == job_id)
        await outbox.add(connection, OutboxKind.SHOW_VERSION, [job_id], now, EDITED)


async def _stands_alone(connection: AsyncConnection, job_id: int) -> bool:
    """Whether a job's question is the thread's last, and nobody else has written there since."""
    later = jobs.alias()
    lines = thread_lines
    after = sa.or_(
        sa.exists().where(same_thread(later, jobs), later.c.ts > jobs.c.ts),
        sa.exists().where(same_thread(lines, jobs), lines.c.ts > jobs.c.ts, lines.c.user_id != jobs.c.user_id),
        sa.exists().where(same_thread(group_threads, jobs), group_threads.c.since_ts > jobs.c.ts),
    )
    return bool(await connection.scalar(sa.select(sa.exists().where(jobs.c.id == job_id, ~after))))
