"""The queue, as seen by services that add jobs and request changes to them."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import Clock
from bot.core.conversation import Question, QueuedThreads
from bot.core.job import Enqueued
from bot.store.approvals import deny_by_reply
from bot.store.database import Database
from bot.store.liveness.workers import WorkerLiveness
from bot.store.queue import edit
from bot.store.queue.edit import Regeneration
from bot.store.queue.enqueue import Arrival, Arrivals, may_post_placeholder, queued_threads, write_arrivals
from bot.store.rows import wake_others


class QuestionQueue:
    """Implements the ports QuestionQueue, JobRequests, WaitingJobs, ThreadQueue and QuestionEdits."""

    def __init__(self, database: Database, worker: WorkerLiveness, clock: Clock, most_per_user: int) -> None:
        """`most_per_user`: how many answers one person may have under way at once, over all processes."""
        self._database = database
        self._worker = worker
        self._clock = clock
        self._most_per_user = most_per_user
        self._arrivals = Arrivals(self._write_arrivals)

    async def enqueue(self, event_id: str, question: Question, *, full: bool = False) -> Enqueued | None:
        """Stores a question durably as a job; returns None if the event or the message was stored before.

        The job is queued (`Enqueued.waiting`) if an earlier question of its thread is not answered yet, if the asker
        has as many answers under way as one person may have, or if this process is `full`. The caller then posts a
        placeholder and records it; until it has, but for 10 s at most, no worker claims the job.
        """
        # Each batch is bounded, but not the wait for a question's own batch.
        return await self._database.complete(self._arrivals.add(Arrival(event_id, question, full)), bounded=False)

    async def may_post_placeholder(self, question: Question) -> bool:
        """Returns whether every earlier question of the thread has its message, so that this one's appears below."""
        return await self._database.read(may_post_placeholder, question)

    async def queued_threads(self, team_id: str) -> QueuedThreads:
        """Returns a workspace's threads with live jobs. Limits per person may change the order of their claim."""
        return await self._database.read(queued_threads, team_id)

    async def request_stop(self, job_id: int) -> bool:
        """Asks the job's worker to stop; ends a job that was never begun. Returns False if the job has ended."""
        return await self._database.write(self._request_stop, job_id)

    async def regenerate(self, job_id: int, *, continues: bool = False, full: bool = False) -> Enqueued | None:
        """Queues an ended job once more, to be answered in the same messages; its answer is kept as an earlier turn.

        With `continues` the new answer starts where the old one reached its length limit, and the two become one.
        Returns None if the job has not ended, or if its question was deleted or has expired.
        A job that must wait needs a placeholder, as with `QuestionQueue.enqueue`.
        """
        return await self._database.write(self._regenerate, Regeneration(job_id, continues, full))

    async def edit(self, question: Question, edited_ts: str) -> bool:
        """Stores a question's new text; returns False if the message is not a question, or was deleted.

        A queued question is answered with its new text. An answer under way starts over in its messages; its worker
        learns of the edit with a heartbeat. If the answer has ended and the question
        is the thread's last, the outbox offers its writer another answer.
        """
        return await self._database.write(self._edit, question, edited_ts)

    async def delete(self, team_id: str, channel_id: str, ts: str) -> bool:
        """Removes a question, so that it isn't answered. Returns False if the message is not a question.

        The reply is deleted, too, unless a person wrote after it.
        """
        return await self._database.write(self._delete, team_id, channel_id, ts)

    async def _write_arrivals(self, batch: Sequence[Arrival]) -> Sequence[Enqueued | None]:
        async with self._database.bounded(), self._database.begin_write() as connection:
            now = self._clock.now()
            taken = await write_arrivals(connection, batch, self._most_per_user, now)
            asked = [arrival.question for arrival, enqueued in zip(batch, taken, strict=True) if enqueued]
            replied = await deny_by_reply(connection, asked, now)
            if replied or any(enqueued and not enqueued.waiting for enqueued in taken):
                await wake_others(connection, self._worker.name)
            return taken

    async def _request_stop(self, connection: AsyncConnection, job_id: int) -> bool:
        return await self._wake_all(connection, await edit.stop(connection, job_id, self._clock.now()))

    async def _regenerate(self, connection: AsyncConnection, request: Regeneration) -> Enqueued | None:
        enqueued = await edit.regenerate(connection, request, self._most_per_user, self._clock.now())
        await self._wake_all(connection, enqueued is not None and not enqueued.waiting)
        return enqueued

    async def _edit(self, connection: AsyncConnection, question: Question, edited_ts: str) -> bool:
        return await self._wake_all(connection, await edit.edit(connection, question, edited_ts, self._clock.now()))

    async def _delete(self, connection: AsyncConnection, team_id: str, channel_id: str, ts: str) -> bool:
        known = await edit.delete_question(connection, team_id, channel_id, ts, self._clock.now())
        return await self._wake_all(connection, known)

    async def _wake_all(self, connection: AsyncConnection, changed: bool) -> bool:
        """Makes every process, this one included, send a heartbeat soon: one of them may have the job."""
        if changed:
            await wake_others(connection, self._worker.name)
            self._worker.wake()
        return changed
