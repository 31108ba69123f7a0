"""How a worker gives up a job: it ends the job, or releases it for another attempt."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Job
from bot.core.job import End, Piece, Spent, Status
from bot.core.outbox import ABOUT_APPROVALS, OutboxKind, wait_s
from bot.prices import ModelPrices
from bot.store import checkpoints, outbox, recorded_answers, rounds, usage_totals
from bot.store.predicates import in_thread, is_queued, is_running
from bot.store.rows import interrupted_values, scope_ids_of, turn_values, wake_others
from bot.store.schema import jobs, turns


@dataclass(frozen=True, slots=True)
class Held:
    """A job as a worker claimed it."""

    job: Job
    worker: str
    prices: ModelPrices | None
    """For the usage of its attempt."""

    @property
    def is_ours(self) -> tuple[sa.ColumnElement[bool], ...]:
        """Whether a row is the job's, and no other attempt has it."""
        return (
            jobs.c.id == self.job.id,
            jobs.c.attempts == self.job.attempts,
            jobs.c.worker == self.worker,
            is_running(),
        )

    @property
    def fenced(self) -> sa.Update:
        """An update of the job that has no effect once the job has ended or another attempt has it."""
        return sa.update(jobs).where(*self.is_ours)


@dataclass(frozen=True, slots=True)
class Left:
    """The work in Slack that remains when a job ends."""

    ping: bool = False
    leftover: OutboxKind | None = None
    """What Slack did not accept."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a job that its worker gave up."""

    is_over: bool
    """Whether the job has ended; False if it has a newer version, or another worker."""
    is_erased: bool = False


async def finish(connection: AsyncConnection, held: Held, end: End, text: str, now: float, left: Left) -> Finished:
    """Ends a job and records its turn; a job with a newer version is released instead (ClaimedJobs.finish)."""
    job, leftover = held.job, left.leftover
    end = await _counted_once(connection, job, end)
    is_to_show = leftover is OutboxKind.SHOW_END
    if is_to_show:
        await checkpoints.append(connection, held.worker, {job: Piece(0, text, end, end.sources)})
    # A stop counts more than an edit.
    outdated = sa.and_(jobs.c.version != job.version, ~jobs.c.stop_requested)
    ended = held.fenced.values(
        status=sa.case((outdated, Status.QUEUED.value), else_=Status.ENDED.value),
        end_reason=sa.case((outdated, None), else_=end.reason.value),
        ended_at=sa.case((outdated, None), else_=now),
    )
    returning = ended.returning(jobs.c.erase_requested, jobs.c.stop_requested, jobs.c.status, jobs.c.answer_deleted)
    row = (await connection.execute(returning)).one_or_none()
    if row is None:
        return Finished(is_over=False)
    is_outdated = row.status == Status.QUEUED
    if is_outdated or not is_to_show:
        await checkpoints.drop(connection, jobs.c.id == job.id)
    await rounds.drop(connection, jobs.c.id == job.id)
    await _cancel_entries(connection, job)
    if row.erase_requested:
        await connection.execute(sa.delete(jobs).where(jobs.c.id == job.id))
    else:
        if job.so_far and not is_outdated:
            await recorded_answers.join(connection, job)
        if row.answer_deleted:
            end, text = replace(end, sources=()), ""
        await record_turn(connection, job, turn_values(job.id, end, text, now, held.prices), now)
    if leftover and not is_outdated and not row.erase_requested:
        await outbox.add(connection, leftover, [job.id], now + wait_s(0))
    if left.ping and not leftover and not is_outdated and not row.stop_requested:
        await outbox.add(connection, OutboxKind.MENTION_ASKERS, [job.id], now)
    await wake_others(connection, held.worker, is_queued(), _held_up_by(job))
    return Finished(not is_outdated, row.erase_requested)


async def _counted_once(connection: AsyncConnection, job: Job, end: End) -> End:
    """Returns the end without an estimate for a step that is on record: a stop may come while it is recorded."""
    if end.usage is None or end.estimated_step is None:
        return end
    spent = Spent(version=job.version, step_no=end.estimated_step)
    return replace(end, usage=None) if await rounds.counted(connection, {job.id: spent}) else end


async def release(connection: AsyncConnection, held: Held, spent: Spent, now: float) -> bool:
    """Returns a job to the queue, and records the attempt's usage so far (ClaimedJobs.release)."""
    released = held.fenced.values(status=Status.QUEUED.value, worker=None, started_at=None)
    if (await connection.execute(released)).rowcount == 0:
        return False
    if spent != Spent() and not await rounds.counted(connection, {held.job.id: spent}):
        await record_turn(connection, held.job, interrupted_values(held.job.id, spent, now, held.prices), now)
    await wake_others(connection, held.worker)
    return True


async def record_turn(connection: AsyncConnection, job: Job, turn: Mapping[str, Any], now: float) -> None:
    """Adds an attempt's or a step's turn, and counts its usage."""
    await connection.execute(sa.insert(turns), turn)
    await usage_totals.count(connection, [(scope_ids_of(job.question), turn)], now)


async def _cancel_entries(connection: AsyncConnection, job: Job) -> None:
    """Cancels what was left to do for an earlier version's end, and for approvals that an earlier attempt asked."""
    if job.version > 0:
        await outbox.cancel(connection, OutboxKind.SHOW_END, [job.id])
    if job.attempts > 1:
        for kind in ABOUT_APPROVALS:
            await outbox.cancel(connection, kind, [job.id])


def _held_up_by(job: Job) -> sa.ColumnElement[bool]:
    """Whether a job may have waited for this one: it is of the same thread, or of the same asker."""
    thread = job.question.thread
    same_asker = sa.and_(jobs.c.team_id == thread.team_id, jobs.c.user_id == job.question.user_id)
    return sa.or_(in_thread(thread), same_asker)
