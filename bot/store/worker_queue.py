"""A worker's operations on the queue: claiming jobs, keeping them alive, and ending or releasing them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.audit import Entry, EntryKind, answer_facts
from bot.core.job import End, Job, MessageRole, Piece, Pulse, RecordedMessage, Status, StepEstimate, ts_of
from bot.core.notifications import Notification
from bot.core.outbox import OutboxKind, wait_s
from bot.store import answers, audit, claim, notifications, outbox, schedules, steps, usage
from bot.store.database import Database, completes, writes_unsynced
from bot.store.rows import (
    NO_ANSWER,
    in_thread,
    is_queued,
    is_running,
    messages_of,
    reply_values,
    turn_values,
)
from bot.store.schema import audit_entries, jobs
from bot.store.threads import delete_unused_facts, threads_of_jobs
from bot.store.usage import Meter, MeteredOperations
from bot.store.workers import WorkerLiveness

MAX_HANDED_OUT = 1_000
"""Maximum number of jobs that a worker remembers. If it remembers more, it forgets the jobs that it no longer has."""
_IS_ANY_QUEUED = sa.select(sa.exists().where(is_queued()))
NO_PIECES: Mapping[Job, Piece] = {}
NO_ESTIMATE = StepEstimate()


class WorkerQueue(MeteredOperations):
    """Claims jobs for a worker, reports which of them were stopped or edited, and records how they end.

    Every write is conditional on the worker and the attempt, so that a worker that has lost the job doesn't write
    anything. A queued job's placeholder is posted while no attempt is running, so its writes are conditional on the
    previous attempt.

    If a commit's response is lost, jobs can be claimed although nothing is working on them. Therefore, the first claim
    after a failed claim first returns claimed jobs that weren't handed out.
    """

    def __init__(self, database: Database, worker: WorkerLiveness, meter: Meter, max_per_user: int) -> None:
        super().__init__(database, worker, meter)
        self._max_per_user = max_per_user
        self._recorded_usage: Mapping[Job, StepEstimate] = {}
        self._claiming = asyncio.Lock()
        self._handed_out: set[tuple[int, int]] = set()
        self._is_unsure = False

    @completes()
    async def claim(self, limit: int) -> list[Job]:
        """Claims up to `limit` jobs for this worker, one per thread, oldest first.

        claim.py explains the order. Call it about once a second and after `wait`, because dead workers are detected
        only by polling. Don't cancel it, because jobs that were claimed for a canceled caller stay claimed.
        """
        if limit <= 0:
            return []
        async with self._claiming:
            is_full = len(self._handed_out) > MAX_HANDED_OUT
            claimed = await self._stray_jobs() if self._is_unsure or is_full else []
            if not claimed:
                self._is_unsure = True
                if dead := await self._worker.dead_workers():
                    us, now = self._worker.name, self._now()
                    async with self._database.begin_write() as connection:
                        claimed = await claim.take_over(connection, us, dead, limit, now, self._meter)
                claimed += await self._claim_ready(limit - len(claimed))
                self._is_unsure = False
            self._handed_out |= {(job.id, job.attempts) for job in claimed[:limit]}
            return claimed[:limit]

    @completes()
    async def heartbeat(self, estimates: Mapping[Job, StepEstimate], pieces: Mapping[Job, Piece] = NO_PIECES) -> Pulse:
        """Renews this worker's claim on its jobs, and returns which of them were stopped or edited. Call it about once
        a second.
        `estimates`: the usage of each attempt so far. `pieces`: new text of the answers, recorded in the same
        transaction."""
        if not estimates:
            return Pulse()
        news = {job: spent for job, spent in estimates.items() if self._recorded_usage.get(job, NO_ESTIMATE) != spent}
        held = sa.select(jobs.c.id, jobs.c.attempts, jobs.c.stop_requested, jobs.c.version)
        held = held.where(jobs.c.worker == self._worker.name, is_running())
        async with self._database.begin_write(synced=False) as connection:
            await self._worker.send_heartbeat(connection)
            # After the jobs' rows, because code that ends an attempt locks both in this order.
            await steps.append_text(connection, self._worker.name, pieces)
            await usage.update_open_charges(connection, self._worker.name, news)
            rows = {(row.id, row.attempts): row for row in await connection.execute(held)}
        self._recorded_usage = dict(estimates)
        ours = {job: rows[job.id, job.attempts] for job in estimates if (job.id, job.attempts) in rows}
        return Pulse(
            owned_ids=frozenset(row.id for row in ours.values()),
            ids_to_stop=frozenset(row.id for row in ours.values() if row.stop_requested),
            ids_to_restart=frozenset(
                job.id for job, row in ours.items() if row.version != job.version and not row.stop_requested
            ),
        )

    async def wait(self, timeout_s: float) -> None:
        """Waits until another process reports a change or the time runs out. With SQLite, no changes are reported. The
        wait can also end early."""
        await self._worker.wait(timeout_s)

    @writes_unsynced
    async def checkpoint(self, connection: AsyncConnection, pieces: Mapping[Job, Piece]) -> bool:
        """Records new text of running answers. Returns False if any job was skipped because it is lost or outdated."""
        return await steps.append_text(connection, self._worker.name, pieces)

    @writes_unsynced
    async def record_messages(self, connection: AsyncConnection, job: Job, messages: Sequence[RecordedMessage]) -> None:
        """Records the reply's messages, unless the attempt has lost the job."""
        await connection.execute(sa.update(jobs).where(self._is_held(job)).values(reply_values(messages)))

    @writes_unsynced
    async def begin_placeholder(self, connection: AsyncConnection, job: Job) -> bool:
        """Prevents a queued job from being claimed for PLACEHOLDER_HOLD_S, while its placeholder is being posted.
        Returns False if the placeholder must not be posted because the job was claimed or has ended. Can be called
        again unless it has returned False."""
        is_unclaimed = jobs.c.attempts == job.attempts, jobs.c.version == job.version, is_queued()
        begun = sa.update(jobs).where(jobs.c.id == job.id, *is_unclaimed).values(placeholder_due_since=self._now())
        return (await connection.execute(begun)).rowcount > 0

    @writes_unsynced
    async def record_placeholder(
        self, connection: AsyncConnection, job: Job, messages: Sequence[RecordedMessage]
    ) -> None:
        """Records the messages of a queued reply, unless the job was claimed since it was queued. The process that
        queued the job posts the placeholder. If the job ended in the meantime, the outbox deletes it."""
        is_unclaimed = jobs.c.attempts == job.attempts, sa.or_(is_queued(), jobs.c.attempts == 0)
        queued = sa.update(jobs).where(jobs.c.id == job.id, *is_unclaimed).values(reply_values(messages))
        row = (await connection.execute(queued.returning(jobs))).one_or_none()
        if row is not None and row.status == Status.QUEUED:
            await self._worker.wake_others(connection)
        elif row is not None:
            await claim.clear_placeholders(connection, [row], self._now())

    @completes()
    async def finish(
        self,
        job: Job,
        end: End,
        text: str,
        *,
        should_mention: bool = False,
        outbox_kind: OutboxKind | None = None,
        notification: Notification | None = None,
        canvas_for: str = "",
    ) -> bool:
        """Ends the job and records its turn with the answer's text. Returns False if this worker has lost the job.

        `should_mention`: whether the outbox should mention the asker. `canvas_for`: the person who requested a canvas,
        or "". `outbox_kind`: the kind of work that goes to the outbox because Slack rejected it, or None.
        `notification`: sent to the asker if the end can't be shown. If the question was edited in the meantime, the
        turn is recorded and the job is released

        instead.
        """
        now = self._now()
        async with self._database.begin_write() as connection:
            row = await self._end_job(connection, job, end, text, now)
            if row is not None:
                await self._clean_up(
                    connection, job, row, now, outbox_kind, notification, should_mention=should_mention
                )
            if canvas_for and row is not None and row.status == Status.ENDED and not row.stop_requested:
                await outbox.add(connection, OutboxKind.MAKE_CANVAS, [job.id], now, canvas_for)
        self._handed_out.discard((job.id, job.attempts))
        if row is not None and row.erase_requested:
            await self._database.truncate_log()
        return row is not None and row.status == Status.ENDED

    @completes()
    async def release(
        self,
        job: Job,
        piece: Piece | None = None,
        estimate: StepEstimate = NO_ESTIMATE,
        *,
        is_interrupted: bool = False,
        posts_answer: bool = False,
    ) -> bool:
        """Releases a claimed job so that any worker can claim it, and records the last piece of its text and the
        attempt's usage. Returns False if this worker has lost the job. `is_interrupted`: whether the model failed after
        its first word, which counts as an attempt, just like a worker's death. `posts_answer`: whether the answer of a
        held job will be shown after all. For a schedule's run, the outbox first makes a post, and the answer is shown
        below it."""
        async with self._database.begin_write() as connection:
            await steps.append_text(connection, self._worker.name, {job: piece} if piece else NO_PIECES)
            interruptions = jobs.c.interruptions + int(is_interrupted)
            released = (
                sa.update(jobs)
                .where(self._is_held(job))
                .values(status=Status.QUEUED.value, worker=None, interruptions=interruptions)
            )
            must_post = posts_answer and job.question.schedule_id is not None
            if must_post:
                released = released.values(status=Status.UNPOSTED.value, channel_id="", thread_ts="", ts=None)
            released = released.values(held=False) if posts_answer else released
            is_released = (await connection.execute(released)).rowcount > 0
            if is_released and must_post:
                await outbox.add_missing(connection, OutboxKind.POST_QUESTION, job.id, self._now())
            if is_released:
                await usage.update_open_charges(connection, self._worker.name, {job: estimate})
                await self._meter.charge_interrupted(connection, [job], self._now())
                await self._worker.wake_others(connection)
        self._handed_out.discard((job.id, job.attempts))
        return is_released

    async def _stray_jobs(self) -> list[Job]:
        async with self._database.begin_read() as connection:
            held = await claim.jobs_of_worker(connection, self._worker.name)
        strays = [job for job in held if (job.id, job.attempts) not in self._handed_out]
        # Jobs that others took over, or that are waiting for an approval, are never finished here.
        self._handed_out &= {(job.id, job.attempts) for job in held}
        return strays

    async def _claim_ready(self, limit: int) -> list[Job]:
        if limit <= 0:
            return []
        # Usually nothing is queued, and this check takes no lock.
        async with self._database.begin_read() as connection:
            if not await connection.scalar(_IS_ANY_QUEUED):
                return []
        try:
            async with self._database.begin_write() as connection:
                ready = await claim.claim_ready(connection, self._worker.name, limit, self._max_per_user, self._now())
                if ready:
                    # A worker whose jobs all end before its first heartbeat must not look silent.
                    await self._worker.send_heartbeat(connection)
                return ready
        except IntegrityError:
            # Another worker just claimed a job in one of the threads. The next claim finds the rest.
            return []

    async def _end_job(
        self, connection: AsyncConnection, job: Job, end: End, text: str, now: float
    ) -> sa.Row[Any] | None:
        """Ends the job, or requeues it if it is outdated, and records the turn. Returns None if the job was lost."""
        # A stop takes precedence over an edit.
        outdated = sa.and_(jobs.c.version != job.version, ~jobs.c.stop_requested)
        ended = (
            sa.update(jobs)
            .where(self._is_held(job))
            .values(
                status=sa.case((outdated, Status.QUEUED.value), else_=Status.ENDED.value),
                end_reason=sa.case((outdated, None), else_=end.reason.value),
                mention_at=None,
                unposted=None,
            )
        )
        row: sa.Row[Any] | None = (await connection.execute(ended.returning(jobs))).one_or_none()
        if row is None:
            return None
        turn = turn_values(job.id, job.version, end, text, now)
        charge = await self._meter.charge(connection, job, end, now)
        if row.erase_requested:
            threads = await threads_of_jobs(connection, jobs.c.id == job.id)
            await connection.execute(sa.delete(jobs).where(jobs.c.id == job.id))
            await delete_unused_facts(connection, threads)
            await _erase_from_audit(connection, job, {**turn, **(charge.used if charge else {})}, now)
        else:
            if job.continued_text and row.status == Status.ENDED:
                await answers.clear_continued_turn(connection, job)
            if row.answer_deleted:
                turn = {**turn, **NO_ANSWER}
                # A call might have ended after the answer was deleted.
                await answers.clear_calls(connection, job.question.thread, job.id)
            await self._meter.record_turns(connection, {job: (turn, charge)}, now)
            # Versions that people request later don't count for the schedule.
            if row.schedule_id is not None and row.status == Status.ENDED and not job.version:
                await schedules.on_run_end(connection, job.id, end.reason, now)
        return row

    async def _clean_up(
        self,
        connection: AsyncConnection,
        job: Job,
        row: sa.Row[Any],
        now: float,
        outbox_kind: OutboxKind | None,
        notification: Notification | None,
        *,
        should_mention: bool,
    ) -> None:
        """Deletes the attempt's data, adds outbox entries, and wakes workers that are waiting for the job."""
        is_outdated = row.status == Status.QUEUED
        await steps.drop_progress(connection, job.id)
        is_over = not (is_outdated or row.erase_requested)
        if outbox_kind is not OutboxKind.REPLY and (job.version > 0 or job.attempts > 1):
            await outbox.delete_shown_updates(connection, job.id)
        if is_over:
            await outbox.tidy(connection, job.question, job.id, now)
        if notification and is_over:
            await notifications.add(connection, now, job.question.thread.team_id, notification)
        elif outbox_kind and is_over:
            await outbox.add(connection, outbox_kind, [job.id], now + wait_s(0))
        elif is_over and (row.answer_deleted or row.question_deleted or row.version != job.version):
            # This attempt has shown something that must not stay, or lost the reply to an edit without another attempt
            # following.
            await outbox.queue_updates(connection, [job.id], now)
        is_to_be_shown = not notification and not ts_of(messages_of(row), MessageRole.STRAY)
        mentions = should_mention and is_to_be_shown and is_over and not (row.stop_requested or row.answer_deleted)
        if mentions:
            await connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(mention_at=now))
            await outbox.add(connection, OutboxKind.SIDE_MESSAGES, [job.id], now)
        # A job in the same thread or of the same asker might have been waiting for this one.
        thread = job.question.thread
        of_asker = sa.and_(jobs.c.team_id == thread.team_id, jobs.c.user_id == job.question.user_id)
        await self._worker.wake_others(connection, is_queued(), sa.or_(in_thread(thread), of_asker))


async def _erase_from_audit(connection: AsyncConnection, job: Job, turn: Mapping[str, Any], now: float) -> None:
    """Removes the asker of an erased question from the audit, and records the question's end without the asker."""
    end = Entry(EntryKind.ANSWER, answer_facts(turn), job.question.thread.team_id, job.id)
    await audit.append(connection, now, [end])
    of_job = in_thread(job.question.thread, audit_entries), audit_entries.c.job_id == job.id
    await audit.erase_subjects(connection, *of_job)
