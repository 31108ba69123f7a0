"""The job queue: one job for each question, done by one worker at a time.

Producers (`QuestionQueue`, `JobRequests`) add jobs and ask for changes to them. Workers (`WorkerQueue`, `ClaimedJobs`,
`ReplyRecord`) claim jobs, keep them alive with heartbeats, and end them. bot/core/job.py explains the life of a job.

Every method raises StoreError if the database fails; nothing or everything may have been written then.
Canceling the caller cancels no write.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from bot.core.conversation import Job, Question, QueuedThreads
from bot.core.job import Enqueued, Outcome, Piece, Pulse, Spent
from bot.core.outbox import Leftover


class QuestionQueue(Protocol):
    """Takes questions from Slack."""

    async def enqueue(self, event_id: str, question: Question, *, full: bool = False) -> Enqueued | None:
        """Stores a question durably as a job; returns None if the event or the message was stored before.

        The job is queued (`Enqueued.waiting`) if an earlier question of its thread is not answered yet, if the asker
        has as many answers under way as one person may have, or if this process is `full`. The caller then posts a
        placeholder and records it; until it has, but for 10 s at most, no worker claims the job.
        """
        ...


class StopRequests(Protocol):
    """Stops answers."""

    async def request_stop(self, job_id: int) -> bool:
        """Asks the job's worker to stop; ends a job that was never begun. Returns False if the job has ended."""
        ...


class JobRequests(StopRequests, Protocol):
    """Changes jobs on behalf of people who press buttons."""

    async def regenerate(self, job_id: int, *, continues: bool = False, full: bool = False) -> Enqueued | None:
        """Queues an ended job once more, to be answered in the same messages; its answer is kept as an earlier turn.

        With `continues` the new answer starts where the old one reached its length limit, and the two become one.
        Returns None if the job has not ended, or if its question was deleted or has expired.
        A job that must wait needs a placeholder, as with `QuestionQueue.enqueue`.
        """
        ...


class WaitingJobs(StopRequests, Protocol):
    """Orders the placeholders of queued questions."""

    async def may_post_placeholder(self, question: Question) -> bool:
        """Returns whether every earlier question of the thread has its message, so that this one's appears below."""
        ...


class ThreadQueue(Protocol):
    """Tells the places of queued questions."""

    async def queued_threads(self, team_id: str) -> QueuedThreads:
        """Returns a workspace's threads with live jobs. Limits per person may change the order of their claim."""
        ...


class WorkerQueue(Protocol):
    """Gives jobs to a worker, and reports requests about them."""

    async def claim(self, limit: int) -> list[Job]:
        """Returns up to `limit` jobs, which are this worker's from now on.

        Jobs of dead workers come first, then one job for each thread in which no answer is under way. Threads go by
        their oldest job. Queued questions of a thread are answered together: the newest is claimed, and the earlier
        ones end with it. A job that was begun before is claimed first and alone. People who have as many answers
        under way as one person may have, over all processes, wait.

        Call it about once a second and after `wait`: dead workers are detected only by polling. Don't cancel it: jobs
        that were claimed for a canceled caller stay claimed.
        """
        ...

    async def heartbeat(self, claimed: Mapping[Job, Spent], pieces: Mapping[Job, Piece] = ...) -> Pulse:
        """Tells the other workers that these jobs are being worked on, and returns requests of others about them.

        Call it about once a second. `claimed` has the usage of each attempt so far; `pieces` is new text of the
        answers, which is recorded in the same transaction.
        """
        ...

    async def wait(self, timeout_s: float) -> None:
        """Returns when another process changed something that may concern this one, or after the timeout.

        It is a hint: it may return early, and without PostgreSQL other processes can't be heard at all.
        """
        ...


class ClaimedJobs(Protocol):
    """Ends jobs. Every write names the worker and the attempt, so that a worker that lost the job writes nothing."""

    async def record_pages(self, job_id: int, page_ts: Sequence[str]) -> None:
        """Records which messages show the job's reply, in order; does nothing if another worker has the job.

        A placeholder that is recorded after its job ended goes to the outbox, which deletes it.
        """
        ...

    async def release(self, job: Job, piece: Piece | None = None) -> bool:
        """Hands a claimed job over to any worker, with the last piece of its text.

        Returns False if the job was no longer this worker's.
        """
        ...

    async def finish(self, job: Job, outcome: Outcome, *, ping: bool = False, leftover: Leftover | None = None) -> bool:
        """Ends the job and records its turn; returns False if the job was no longer this worker's.

        `ping` has the outbox mention the asker. `leftover` is work that Slack did not accept: it goes to the
        outbox, and an end that Slack doesn't show yet stays on record until then.
        If the question was edited meanwhile, the turn is recorded, and the job is released instead.
        """
        ...


class ReplyRecord(Protocol):
    """Records the state of live replies, so that another process can continue them."""

    async def record_pages(self, job_id: int, page_ts: Sequence[str]) -> None:
        """Records which messages show the job's reply, in order; does nothing if another worker has the job."""
        ...

    async def checkpoint(self, pieces: Mapping[Job, Piece]) -> bool:
        """Records new text of answers under way.

        Returns False, and records nothing of that job, if one is no longer this worker's or has a newer version.
        """
        ...
