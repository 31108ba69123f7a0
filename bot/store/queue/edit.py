"""Changes that people request for a job: stop it, edit or delete its question, regenerate its answer.

A queued job is changed on the spot. A begun job is changed by its worker, now or at the next attempt: these functions
leave the request and the new version for it (core/job.py). A job that has ended gets outbox entries instead. Each
function locks the job's row first, so that a claim or an end at the same moment comes before or after it.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Question
from bot.core.job import EndReason, Enqueued, State, Status, state_of
from bot.core.outbox import OutboxKind
from bot.store import checkpoints, outbox, rounds
from bot.store.approvals import RELEASED
from bot.store.predicates import (
    has_content,
    is_batched_with,
    is_begun,
    is_live,
    is_queued,
    may_be_regenerated,
    same_thread,
)
from bot.store.queue import batch
from bot.store.queue.enqueue import must_wait
from bot.store.rows import file_values, question_of
from bot.store.schema import jobs


async def edit(connection: AsyncConnection, question: Question, edited_ts: str, now: float) -> bool:
    """Records a question's new text, and starts or offers a new answer (QuestionEdits.edit)."""
    thread = question.thread
    row = await _at(connection, thread.team_id, thread.channel_id, question.ts)
    if row is None or _is_no_question(row):
        return False
    # Two edits within a second may have the same time.
    if edited_ts < (row.edited_ts or ""):
        return True
    values = {"text": question.text, "files": file_values(question), "attached_chars": question.attached_chars}
    await connection.execute(sa.update(jobs).where(jobs.c.id == row.id).values(**values, edited_ts=edited_ts))
    if (row.text, row.files) == (question.text, file_values(question)):
        return True
    answered_by = row.answered_with or row.id
    starts_over = await _start_over(connection, answered_by, now)
    if not starts_over and not _state(row).is_live and await _is_last(connection, answered_by):
        await outbox.add(connection, OutboxKind.OFFER_REGENERATE, [row.id], now)
    return True


async def stop(connection: AsyncConnection, job_id: int, now: float) -> bool:
    """Ends a queued job, or asks the job's worker to stop it (StopRequests.request_stop)."""
    this = sa.update(jobs).where(jobs.c.id == job_id)
    queued = this.where(is_queued(), jobs.c.attempts == 0).values(_ended_unbegun(EndReason.STOPPED, now))
    live = this.where(is_live()).values(stop_requested=True, **RELEASED)
    placeholder = (jobs.c.id, jobs.c.page_ts, jobs.c.placeholder_due_since)
    stopped = (await connection.execute(queued.returning(*placeholder))).all()
    await batch.clear_placeholders(connection, stopped, now)
    return bool(stopped) or (await connection.execute(live)).rowcount > 0


async def delete_question(connection: AsyncConnection, team_id: str, channel_id: str, ts: str, now: float) -> bool:
    """Removes a deleted question, and has its reply deleted (QuestionEdits.delete)."""
    row = await _at(connection, team_id, channel_id, ts)
    if row is None or _is_no_question(row):
        return False
    this = sa.update(jobs).where(jobs.c.id == row.id)
    await connection.execute(this.values(text="", files=[]))
    await outbox.cancel(connection, OutboxKind.OFFER_REGENERATE, [row.id])
    state = _state(row)
    if row.answered_with is not None:
        await connection.execute(this.values(end_reason=EndReason.QUESTION_DELETED.value))
        await _start_over(connection, row.answered_with, now)
    elif state is State.QUEUED:
        await connection.execute(this.values(_ended_unbegun(EndReason.QUESTION_DELETED, now)))
        await batch.clear_placeholders(connection, [row], now)
    elif state.is_live:
        await connection.execute(this.values(stop_requested=True, **RELEASED))
        await batch.unbatch(connection, row.id)
        await outbox.add(connection, OutboxKind.RETRACT_REPLY, [row.id], now)
    elif not await connection.scalar(sa.select(sa.exists().where(is_batched_with(row.id)))):
        await outbox.cancel(connection, OutboxKind.MENTION_ASKERS, [row.id])
        await outbox.add(connection, OutboxKind.RETRACT_REPLY, [row.id], now)
    return True


@dataclass(frozen=True, slots=True)
class Regeneration:
    """A request for a new version of an answer."""

    job_id: int
    continues: bool
    """Whether the new version continues the answer's text."""
    full: bool
    """Whether the process has no room for another answer."""


async def regenerate(
    connection: AsyncConnection, request: Regeneration, most_per_user: int, now: float
) -> Enqueued | None:
    """Returns an ended job to the queue for a new version (JobRequests.regenerate)."""
    this = jobs.c.id == request.job_id, may_be_regenerated()
    row = (await connection.execute(sa.select(jobs).where(*this, has_content()).with_for_update())).one_or_none()
    if row is None:
        return None
    waits = await must_wait(connection, question_of(row), request.full, most_per_user)
    # The placeholder of a job that ended in the queue may not be on record yet.
    due_since = now if waits else None if row.attempts else row.placeholder_due_since
    values: dict[str, Any] = {
        "status": Status.QUEUED.value,
        "end_reason": None,
        "worker": None,
        "interruptions": 0,
        "placeholder_due_since": due_since,
        "ended_at": None,
        "continues": request.continues,
        **_next_version(now),
    }
    changed = sa.update(jobs).where(*this, jobs.c.version == row.version).values(values)
    if (await connection.execute(changed)).rowcount == 0:
        return None
    for kind in (OutboxKind.OFFER_REGENERATE, OutboxKind.MENTION_ASKERS):
        await outbox.cancel(connection, kind, [request.job_id])
    await batch.keep_placeholders(connection, [request.job_id])
    await batch.rejoin(connection, request.job_id)
    return Enqueued(request.job_id, waits)


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


def _ended_unbegun(reason: EndReason, now: float) -> dict[str, Any]:
    """Returns the columns of a job that ends in the queue."""
    return {"status": Status.ENDED.value, "end_reason": reason.value, "stop_requested": True, "ended_at": now}


async def _start_over(connection: AsyncConnection, job_id: int, now: float) -> bool:
    """Raises the version of a begun job, so that its answer starts over. A queued job has nothing to start over."""
    this = sa.update(jobs).where(jobs.c.id == job_id, is_begun(), ~jobs.c.stop_requested)
    next_version = {**_next_version(now), **RELEASED, "continues": False}
    starts_over = (await connection.execute(this.values(next_version))).rowcount > 0
    if starts_over:
        await checkpoints.drop(connection, jobs.c.id == job_id)
        await rounds.drop(connection, jobs.c.id == job_id)
        await batch.rejoin(connection, job_id)
    return starts_over


def _next_version(now: float) -> dict[str, Any]:
    return {"version": jobs.c.version + 1, "stop_requested": False, "asked_at": now}


async def _is_last(connection: AsyncConnection, job_id: int) -> bool:
    """Whether a job's question still stands, as the last one of its thread."""
    later = jobs.alias()
    after = sa.exists().where(same_thread(later, jobs), later.c.ts > jobs.c.ts)
    return bool(await connection.scalar(sa.select(sa.exists().where(jobs.c.id == job_id, has_content(), ~after))))
