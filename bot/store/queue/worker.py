"""The queue, as seen by a worker: it claims jobs, keeps them alive, and ends or releases them."""

import asyncio
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import Clock
from bot.core.conversation import Job
from bot.core.job import End, Piece, Pulse, Spent, Status
from bot.core.outbox import OutboxKind
from bot.prices import ModelPrices
from bot.store import checkpoints
from bot.store.database import Database
from bot.store.liveness.workers import WorkerLiveness
from bot.store.predicates import is_queued
from bot.store.queue import batch, claim, finish
from bot.store.queue.finish import Held, Left
from bot.store.rows import wake_others
from bot.store.schema import jobs

HANDED_OUT_KEPT = 1_000
"""More than these are compared with the jobs that are still this worker's."""
NO_PIECES: Mapping[Job, Piece] = {}


class WorkerQueue:
    """Implements the ports WorkerQueue, ClaimedJobs and ReplyRecord.

    The answer to a commit may be lost, and with it the jobs that were claimed. Such jobs belong to this worker, but
    nobody works on them. So the class remembers which jobs it handed out. After a claim that failed, it first returns
    claimed jobs that it has not handed out.
    """

    def __init__(
        self, database: Database, worker: WorkerLiveness, clock: Clock, most_per_user: int, prices: ModelPrices | None
    ) -> None:
        """`most_per_user`: how many answers one person may have under way at once, over all processes."""
        self._database = database
        self._worker = worker
        self._clock = clock
        self._most_per_user = most_per_user
        self._prices = prices
        self._spent: Mapping[Job, Spent] = {}
        self._claiming = asyncio.Lock()
        self._handed_out: set[tuple[int, int]] = set()
        """The jobs and attempts that were handed out."""
        self._unsure = False
        """Whether a claim failed, so that claimed jobs may not have been handed out."""

    async def claim(self, limit: int) -> list[Job]:
        """Returns up to `limit` jobs, which are this worker's from now on.

        Jobs of dead workers come first, then one job for each thread in which no answer is under way. Threads go by
        their oldest job. Queued questions of a thread are answered together: the newest is claimed, and the earlier
        ones end with it. A job that was begun before is claimed first and alone. People who have as many answers
        under way as one person may have, over all processes, wait.

        Call it about once a second and after `wait`: dead workers are detected only by polling. Don't cancel it: jobs
        that were claimed for a canceled caller stay claimed.
        """
        return await self._database.complete(self._claim(limit)) if limit > 0 else []

    async def heartbeat(self, claimed: Mapping[Job, Spent], pieces: Mapping[Job, Piece] = NO_PIECES) -> Pulse:
        """Tells the other workers that these jobs are being worked on, and returns requests of others about them.

        Call it about once a second. `claimed` has the usage of each attempt so far; `pieces` is new text of the
        answers, which is recorded in the same transaction.
        """
        return await self._database.complete(self._heartbeat(claimed, pieces))

    async def wait(self, timeout_s: float) -> None:
        """Returns when another process changed something that may concern this one, or after the timeout.

        It is a hint: it may return early, and without PostgreSQL other processes can't be heard at all.
        """
        await self._worker.wait(timeout_s)

    async def checkpoint(self, pieces: Mapping[Job, Piece]) -> bool:
        """Records new text of answers under way.

        Returns False, and records nothing of that job, if one is no longer this worker's or has a newer version.
        """
        return await self._database.write(checkpoints.append, self._worker.name, pieces)

    async def record_pages(self, job_id: int, page_ts: Sequence[str]) -> None:
        """Records which messages show the job's reply, in order; does nothing if another worker has the job.

        A placeholder that is recorded after its job ended goes to the outbox, which deletes it.
        """
        await self._database.write(self._record_pages, job_id, page_ts)

    async def finish(
        self, job: Job, end: End, text: str, *, ping: bool = False, leftover: OutboxKind | None = None
    ) -> bool:
        """Ends the job and records its turn, with the answer's text; returns False if it was no longer this worker's.

        `ping` has the outbox mention the asker. `leftover` is work that Slack did not accept: it goes to the
        outbox, and an end that Slack doesn't show yet stays on record until then.
        If the question was edited meanwhile, the turn is recorded, and the job is released instead.
        """
        return await self._database.complete(self._finish(job, end, text, Left(ping, leftover)))

    async def release(self, job: Job, piece: Piece | None = None) -> bool:
        """Hands a claimed job over to any worker, with the last piece of its text.

        Returns False if the job was no longer this worker's.
        """
        return await self._database.complete(self._release(job, piece))

    async def _claim(self, limit: int) -> list[Job]:
        async with self._claiming:
            is_full = len(self._handed_out) > HANDED_OUT_KEPT
            claimed = await self._strays() if self._unsure or is_full else []
            if not claimed:
                self._unsure = True
                claimed = await self._take_over(limit)
                claimed += await self._claim_ready(limit - len(claimed))
                self._unsure = False
            self._handed_out |= {(job.id, job.attempts) for job in claimed[:limit]}
            return claimed[:limit]

    async def _strays(self) -> list[Job]:
        """Returns jobs that are this worker's and were never handed out."""
        async with self._database.begin_read() as connection:
            held = await claim.held_by(connection, self._worker.name)
        strays = [job for job in held if (job.id, job.attempts) not in self._handed_out]
        # Jobs that others took over, or that wait for an approval, are never finished here.
        self._handed_out &= {(job.id, job.attempts) for job in held}
        return strays

    async def _take_over(self, limit: int) -> list[Job]:
        dead = await self._worker.dead_workers()
        if not dead:
            return []
        async with self._database.begin_write() as connection:
            return await claim.take_over(connection, self._worker.name, dead, limit, self._clock.now(), self._prices)

    async def _claim_ready(self, limit: int) -> list[Job]:
        if limit <= 0:
            return []
        try:
            async with self._database.begin_write() as connection:
                ready = await claim.claim_ready(
                    connection, self._worker.name, limit, self._most_per_user, self._clock.now()
                )
                if ready:
                    # A worker whose jobs all end before it beats must not look silent.
                    await self._worker.beat(connection, claim.spent_values(self._spent))
                return ready
        except IntegrityError:
            # Another worker claimed a job of one of the threads at the same moment. The next claim finds the rest.
            return []

    async def _heartbeat(self, claimed: Mapping[Job, Spent], pieces: Mapping[Job, Piece]) -> Pulse:
        self._spent = dict(claimed)
        if not claimed:
            return Pulse()
        async with self._database.begin_write() as connection:
            await self._worker.beat(connection, claim.spent_values(claimed))
            await checkpoints.append(connection, self._worker.name, pieces)
            return await claim.pulse(connection, self._worker.name, claimed)

    async def _record_pages(self, connection: AsyncConnection, job_id: int, page_ts: Sequence[str]) -> None:
        # A job that was never claimed belongs to nobody: the process that enqueued it records the placeholder.
        ours = sa.or_(jobs.c.worker == self._worker.name, jobs.c.attempts == 0, is_queued())
        pages = (
            sa.update(jobs).where(jobs.c.id == job_id, ours).values(page_ts=list(page_ts), placeholder_due_since=None)
        )
        recorded = pages.returning(
            jobs.c.id, jobs.c.status, jobs.c.attempts, jobs.c.page_ts, jobs.c.placeholder_due_since
        )
        row = (await connection.execute(recorded)).one_or_none()
        if row is not None and row.status == Status.QUEUED:
            await wake_others(connection, self._worker.name)
        elif row is not None and row.attempts == 0:
            await batch.clear_placeholders(connection, [row], self._clock.now())

    async def _finish(self, job: Job, end: End, text: str, left: Left) -> bool:
        async with self._database.begin_write() as connection:
            finished = await finish.finish(connection, self._held(job), end, text, self._clock.now(), left)
        self._handed_out.discard((job.id, job.attempts))
        if finished.is_erased:
            await self._database.truncate_log()
        return finished.is_over

    async def _release(self, job: Job, piece: Piece | None) -> bool:
        spent = self._spent.get(job, Spent())
        async with self._database.begin_write() as connection:
            await checkpoints.append(connection, self._worker.name, {job: piece} if piece else NO_PIECES)
            released = await finish.release(connection, self._held(job), spent, self._clock.now())
        self._handed_out.discard((job.id, job.attempts))
        return released

    def _held(self, job: Job) -> Held:
        return Held(job, self._worker.name, self._prices)
