"""Claims jobs and sees each to its end: one at a time in a thread, many threads at once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from bot.core.conversation import Job, Question
from bot.core.lease import Lease
from bot.errors import StoreError, trace_of
from bot.ports.clock import Clock
from bot.ports.queue import WaitingJobs, WorkerQueue
from bot.ports.replies import WorkerReplies
from bot.services.answering import AnswerAttempt, Cancellation

HEARTBEAT_S = 1.0
BEAT_TIMEOUT_S = 2.0
SHORTEST_BEAT_S = 0.1
CLAIM_AGAIN_S = 1.0
"""After the database did not answer."""
ANNOUNCE_AGAIN_S = 0.1
ANNOUNCE_WITHIN_S = 5.0
"""The Store keeps a job that waits from being claimed for 10 s at most, until its sign is on record."""
CLAIM_ENDS_S = 1.0
"""A claim that is under way at the stop gets at least this long, if the database is slow."""
FAREWELL_S = 1.2
"""What did not end in time gets this long to be handed over: all that follows BOT_DRAIN_S has 5 s."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Capacity:
    """What those who run the bot decide."""

    max_concurrent: int
    """Answers at once in this process."""
    drain_s: float
    """How long live answers get to end once the process is told to."""


@dataclass(eq=False)
class Worker:
    """`answer` sees one attempt at a job to its end; `admits` says whether a question's asker may ask."""

    queue: WorkerQueue
    waiting: WaitingJobs
    replies: WorkerReplies
    lease: Lease
    clock: Clock
    capacity: Capacity
    answer: Callable[[AnswerAttempt], Awaitable[None]]
    admits: Callable[[Question], Awaitable[bool]]
    _live: dict[int, tuple[AnswerAttempt, asyncio.Task[None]]] = field(default_factory=dict, init=False)
    _announcements: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _stopped_at: float | None = field(default=None, init=False)
    """By the monotonic clock."""

    @property
    def live(self) -> int:
        """Answers under way."""
        return len(self._live)

    @property
    def full(self) -> bool:
        """A question that comes now has to wait."""
        return self.live >= self.capacity.max_concurrent

    def wake(self) -> None:
        """There may be a job to claim."""
        self._wake.set()

    def stop_answer(self, job_id: int) -> None:
        """Its stop is on record: no need to hear of that with a heartbeat where the job is ours."""
        self._cancel(job_id, Cancellation.STOPPED)

    def post_placeholder(self, job: Job) -> None:
        """A job has to wait; its asker is to see so. It is claimed once that is on record."""
        task = asyncio.create_task(self._announce(job))
        self._announcements.add(task)
        task.add_done_callback(partial(self._announced, job.id))

    async def run(self) -> None:
        """Claims and answers until stopped; live answers go on then, for `drain` to wait for."""
        while self._stopped_at is None:
            self._wake.clear()
            await self._claim()
            await self._wake.wait()

    def stop(self) -> None:
        """Claims no more. A claim under way is let end: its jobs are ours."""
        self._stopped_at = self.clock.monotonic()
        self.wake()

    async def stay_alive(self) -> None:
        """Says that our jobs are alive, hears what became of them, and of jobs to claim. Until cancelled."""
        while True:
            await self._beat()
            await self.clock.sleep(SHORTEST_BEAT_S)
            await self.queue.wait(HEARTBEAT_S - SHORTEST_BEAT_S)
            self.wake()

    async def drain(self, working: asyncio.Task[None], at_once: asyncio.Event) -> None:
        """Returns when live answers have ended, their time is over, or `at_once` is set. `working` is our `run`.

        Their time is counted from the stop: a database that stands still may hold up the last claim.
        """
        hurried = asyncio.create_task(at_once.wait())
        try:
            await asyncio.wait(
                (working, hurried), timeout=max(CLAIM_ENDS_S, self.left_s), return_when=asyncio.FIRST_COMPLETED
            )
            live = [task for _, task in self._live.values()]
            if live and not at_once.is_set():
                log.info("shutdown: waiting up to %.0f s for %d live answers", self.left_s, len(live))
                ended = asyncio.gather(*live, return_exceptions=True)
                await asyncio.wait((ended, hurried), timeout=self.left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurried.cancel()

    async def hand_over(self) -> None:
        """Breaks off what is still live: another process, or the next start, goes on. Returns within FAREWELL_S."""
        for attempt, _ in list(self._live.values()):
            self._cancel(attempt.job.id, Cancellation.HANDOVER)
        for task in self._announcements:
            task.cancel()
        live = [task for _, task in self._live.values()]
        if live:
            await asyncio.wait(live, timeout=FAREWELL_S)

    @property
    def left_s(self) -> float:
        """Of the time that what is under way has to end, once stopped."""
        now = self.clock.monotonic()
        return max(0.0, self.capacity.drain_s - (now - (self._stopped_at or now)))

    async def _claim(self) -> None:
        free = self.capacity.max_concurrent - self.live
        if free <= 0:
            return
        try:
            jobs = await self.queue.claim(free)
        except StoreError as error:
            log.error("worker: jobs not claimed, retrying: %s", error)
            await self.clock.sleep(CLAIM_AGAIN_S)
            return
        for job in jobs:
            if job.earlier:
                log.info("job %d: also answers %d earlier questions", job.id, len(job.earlier))
            attempt = AnswerAttempt(job, self.clock.monotonic())
            _, before = self._live.get(job.id, (None, None))
            self._live[job.id] = (attempt, asyncio.create_task(self._see_to(attempt, before)))

    async def _see_to(self, attempt: AnswerAttempt, before: asyncio.Task[None] | None) -> None:
        """`before`: our own attempt at the same job, which gave it up and has not quite ended."""
        try:
            if before is not None:
                await asyncio.wait((before,))
            await self.answer(attempt)
        except Exception as error:
            log.error("job %d: attempt failed: %s", attempt.job.id, trace_of(error))
        finally:
            if self._live[attempt.job.id][0] is attempt:
                del self._live[attempt.job.id]
            self.wake()

    async def _beat(self) -> None:
        began = self.clock.monotonic()
        claimed = {attempt.job: attempt.spent for attempt, _ in self._live.values()}
        drafts = [attempt.draft for attempt, _ in self._live.values()]
        pieces = {draft.job: piece for draft in drafts if (piece := draft.piece())}
        if claimed:
            try:
                async with asyncio.timeout(BEAT_TIMEOUT_S):
                    pulse = await self.queue.heartbeat(claimed, pieces)
            except (StoreError, TimeoutError) as error:
                self.lease.heartbeat_failed(self.clock.monotonic())
                log.error("worker: heartbeat failed: %s", str(error) or "the database does not answer")
                return
            for draft in drafts:
                if piece := pieces.get(draft.job):
                    draft.recorded(piece)
            for job in claimed:
                if job.id not in self._live or self._live[job.id][0].job != job:
                    continue
                if job.id not in pulse.ours:
                    self.replies.abandon(job.id)
                    self._cancel(job.id, Cancellation.LOST)
                elif job.id in pulse.to_restart:
                    self._cancel(job.id, Cancellation.RESTART)
                elif job.id in pulse.to_stop:
                    self._cancel(job.id, Cancellation.STOPPED)
        self.lease.renew(began)

    def _cancel(self, job_id: int, why: Cancellation) -> None:
        attempt, task = self._live.get(job_id, (None, None))
        if attempt is None or task is None or attempt.cancellation is not None:
            return
        if why is Cancellation.STOPPED and not attempt.streaming:
            attempt.stop_asked = True
            return
        log.info("job %d: cancelled: %s", job_id, why.name.lower())
        attempt.cancellation = why
        task.cancel()

    async def _announce(self, job: Job) -> None:
        until = self.clock.monotonic() + ANNOUNCE_WITHIN_S
        if not await self.admits(job.question):
            # Else it might be answered together with somebody else's.
            await self.waiting.request_stop(job.id)
            return
        while self.clock.monotonic() < until:
            if await self.waiting.may_post_placeholder(job.question):
                await self.replies.post_placeholder(job, until)
                return
            await self.clock.sleep(ANNOUNCE_AGAIN_S)

    def _announced(self, job_id: int, task: asyncio.Task[None]) -> None:
        self._announcements.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("job %d: placeholder for queued question not posted: %s", job_id, task.exception())
        self.wake()
