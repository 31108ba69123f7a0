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
from bot.core.conversation import Effort, Question, QueuedThreads, page_ts
from bot.core.job import Enqueued, State, Status, state_of
from bot.core.outbox import OutboxKind
from bot.errors import EndReason
from bot.store import audit, checkpoints, outbox, recorded_answers, recorded_steps
from bot.store.approvals import RELEASED, deny_by_reply
from bot.store.database import Database, completes, reads, writes
from bot.store.group_commit import GroupCommit
from bot.store.liveness.workers import WorkerLiveness, WorkerOperations
from bot.store.predicates import (
    THREAD,
    has_content,
    in_thread,
    is_awaiting_approval,
    is_batched_with,
    is_begun,
    is_live,
    is_queued,
    is_running,
    may_be_regenerated,
    same_thread,
)
from bot.store.queue import batch
from bot.store.queue.enqueue import Arrival, must_wait, write_arrivals
from bot.store.rows import file_values, messages_of, question_of, thread_of
from bot.store.schema import jobs


class QuestionQueue(WorkerOperations):
    """Takes questions, and changes their jobs on behalf of people."""

    def __init__(self, database: Database, worker: WorkerLiveness, max_per_user: int) -> None:
        """`max_per_user`: how many answers one person may have under way at once, over all processes."""
        super().__init__(database, worker)
        self._max_per_user = max_per_user
        self._arrivals = GroupCommit(self._write_arrivals)

    @completes(bounded=False)
    async def enqueue(self, event_id: str, question: Question, *, full: bool = False) -> Enqueued | None:
        """Stores a question durably as a job; returns None if the event or the message was stored before.

        It also returns None, and stores nothing, for a bot's question beyond the limits of core/limits/access.py.

        The job needs a placeholder if an earlier question of its thread is not answered yet, if the asker has as many
        answers under way as one person may have, or if this process is `full`. The caller posts it and records it;
        until it has, but for 10 s at most, no worker claims the job.
        """
        # Each batch is bounded, but not the wait for a question's own batch.
        return await self._arrivals.add(Arrival(event_id, question, full))

    @reads
    async def may_post_placeholder(self, connection: AsyncConnection, question: Question) -> bool:
        """Returns whether every earlier question of the thread has its message, so that this one's appears below."""
        before = sa.select(jobs.c.messages).where(in_thread(question.thread), is_live(), jobs.c.ts < question.ts)
        return all(page_ts(messages_of(row)) for row in await connection.execute(before))

    @reads
    async def queued_threads(self, connection: AsyncConnection, team_id: str) -> QueuedThreads:
        """Returns a workspace's threads with live jobs. Limits per person may change the order of their claim."""
        columns = [jobs.c[name] for name in THREAD]
        first = sa.func.min(jobs.c.id).label("first_id")
        theirs = sa.select(*columns).where(jobs.c.team_id == team_id).group_by(*columns).order_by(first)
        queued, running, waiting = [
            [thread_of(row) for row in await connection.execute(statement)]
            for statement in (
                theirs.where(is_queued()),
                theirs.where(is_running()),
                theirs.where(is_awaiting_approval()),
            )
        ]
        places = tuple(thread for thread in queued if thread not in running)
        return QueuedThreads(places, frozenset(running), frozenset(waiting))

    @reads
    async def count_waiting(self, connection: AsyncConnection) -> int:
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
        now = self._now()
        this = sa.select(jobs).where(jobs.c.id == job_id, may_be_regenerated(), has_content())
        row = (await connection.execute(this.with_for_update())).one_or_none()
        if row is None:
            return None
        waits = await must_wait(connection, question_of(row), full, self._max_per_user)
        # The placeholder of a job that ended in the queue may not be on record yet.
        due_since = now if waits else None if row.attempts else row.placeholder_due_since
        values: dict[str, Any] = {
            "status": Status.QUEUED.value,
            "end_reason": None,
            "interruptions": 0,
            "placeholder_due_since": due_since,
            "continues": continues,
            "effort": row.effort if continues else effort,
            **_next_version(now),
        }
        await connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(values))
        for kind in (OutboxKind.OFFER_REGENERATE, OutboxKind.MENTION_ASKERS):
            await outbox.cancel(connection, kind, [job_id])
        await batch.keep_placeholders(connection, [job_id])
        await batch.rejoin(connection, job_id)
        if not waits:
            await self._worker.wake_all(connection)
        return Enqueued(job_id, waits, row.attempts)

    @writes
    async def edit(self, connection: AsyncConnection, question: Question, edited_ts: str) -> bool:
        """Stores a question's new text; returns False if the message is not a question, or was deleted.

        A queued question is answered with its new text. An answer under way starts over in its messages; its worker
        learns of the edit with a heartbeat. If the answer has ended and the question is the thread's last, the outbox
        offers its writer another answer. What the answer offers can't be chosen any more.
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
            await recorded_answers.close_choices(connection, answered_by, now)
            if await _is_last(connection, answered_by):
                await outbox.add(connection, OutboxKind.OFFER_REGENERATE, [row.id], now)
        return True

    @writes
    async def delete(self, connection: AsyncConnection, team_id: str, channel_id: str, ts: str) -> bool:
        """Removes a question, so that it isn't answered. Returns False if the message is not a question.

        The reply is deleted, too, unless a person wrote after it.
        """
        row = await _at(connection, team_id, channel_id, ts)
        if row is None or _is_no_question(row):
            return False
        await self._worker.wake_all(connection)
        now = self._now()
        this = sa.update(jobs).where(jobs.c.id == row.id)
        await connection.execute(this.values(text="", files=[], transcripts={}))
        await audit.append(connection, now, [audit.entry_of(row, Kind.ERASURE, {"erased": "question"})])
        await outbox.cancel(connection, OutboxKind.OFFER_REGENERATE, [row.id])
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
    return {"version": jobs.c.version + 1, "stop_requested": False, "asked_at": now}


async def _is_last(connection: AsyncConnection, job_id: int) -> bool:
    """Whether a job's question still stands, as the last one of its thread."""
    later = jobs.alias()
    after = sa.exists().where(same_thread(later, jobs), later.c.ts > jobs.c.ts)
    return bool(await connection.scalar(sa.select(sa.exists().where(jobs.c.id == job_id, has_content(), ~after))))
