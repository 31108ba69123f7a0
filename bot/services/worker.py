"""The worker: claims jobs, runs one attempt at each, and keeps the jobs alive while it does.

One process has one worker. It runs three things side by side:

- `run` claims jobs while there is room and starts a task for each, which calls `Answering.answer`. The database hands
  out one job per thread, so many threads are answered at once and each thread one question at a time. `run` sleeps
  until `wake`: a new question, an attempt that ended, a heartbeat.
- `stay_alive` sends a heartbeat about once a second. It carries what each attempt has used and the new text of each
  answer, and brings back which jobs are still ours, which a person stopped, and whose question was edited. It also
  renews the lease: without it the edit scheduler sends nothing more (core/lease.py).
- Placeholders of queued questions are posted by tasks of their own, in the order of their thread. Answers go first in
  Slack's budgets, so a placeholder may come late; a status tells the asker at once that their question is queued. So it
  does for a question that was to be answered at once and found no place, unless another process has one for it.

Canceling an attempt
--------------------
An attempt is canceled at most once, for the first reason (`Phase`): a second cancellation would end the calls
with which the attempt leaves its reply and releases its job. A stop cancels an attempt only while the model is asked
(`Phase`). Before that it is noted, and while the end is being shown it has no effect.

A heartbeat's answer may be about an attempt that is over: the job was released or ended, and claimed again while the
heartbeat was on its way. So each answer is compared with the attempt that is live now. A newer attempt at a job waits
until our own earlier one has ended, because both edit the same messages.

Failures
--------
A claim that fails is tried again after a pause. A heartbeat that fails, or gets no answer within BEAT_TIMEOUT_S,
extends a lease that still holds, because nobody else can take over through a database that is away. It does not renew a
lease that is over. Its text is sent again with the next heartbeat.

While Slack refuses the bot token, nothing is claimed: an answer would be paid for, and nobody could read it. Questions
stay queued, and live attempts go on. Placeholders can't be posted then; their jobs are claimed without them.

Shutdown
--------
`stop` ends claiming. `drain` gives live answers BOT_DRAIN_S, counted from the stop. `hand_over` cancels what is still
live and waits at most HAND_OVER_S. Each step is bounded, so that the process ends in time even if Slack, a model or the
database does not answer.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bot.core.conversation import Question
from bot.core.job import Job, Status
from bot.errors import StoreError, trace_of
from bot.logs import of_job
from bot.reply.answer import Answer
from bot.reply.workspace import Workspace
from bot.services.answer_attempt import AnswerAttempt, Phase
from bot.services.pane import AssistantPane
from bot.store import Stores

HEARTBEAT_S = 1.0
BEAT_TIMEOUT_S = 2.0
MIN_PAUSE_S = 0.1
"""Between two heartbeats, however often other processes wake this one, and between two looks for a queue's turn."""
HAND_OVER_S = 1.2
"""How long a claim that is under way at the stop gets, even if BOT_DRAIN_S is shorter, and later canceled attempts to
release their jobs. All that follows BOT_DRAIN_S has 5 s together."""
ELSEWHERE_S = 0.3
"""How long another process gets to claim a question for which this one has no place, before its asker sees a status."""
MAX_LIVE = 200
"""Live answers of one process, which may fill a core (docs/admins/operate.md). Further questions are queued."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Worker:
    """Claims jobs and runs their attempts.

    `answer` runs one attempt at a job to its end. `may_be_queued` returns whether a question may be shown as queued,
    and tells an asker who is denied.
    """

    stores: Stores
    workspace: Workspace
    drain_s: float
    """How long live answers get to end after the stop."""
    answer: Callable[[AnswerAttempt], Awaitable[None]]
    may_be_queued: Callable[[Question], Awaitable[bool]]
    pane: AssistantPane
    _live: dict[int, tuple[AnswerAttempt, asyncio.Task[None]]] = field(default_factory=dict, init=False)
    _placeholders: dict[int, asyncio.Task[None]] = field(default_factory=dict, init=False)
    """By job."""
    _arrived: dict[int, Job] = field(default_factory=dict, init=False)
    """Questions that came here since the last claim, and need no placeholder if a place is free for them."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _stopped_at: float | None = field(default=None, init=False)
    """When `stop` was called, by the monotonic clock."""
    _paused: bool = field(default=False, init=False)
    """Nothing is claimed, because Slack refused the bot token at the last look."""

    @property
    def live(self) -> int:
        """How many attempts are under way."""
        return len(self._live)

    @property
    def full(self) -> bool:
        """Whether a question that comes now has to wait for a free place."""
        return len(self._live) >= MAX_LIVE

    def wake(self) -> None:
        """Has the worker look for a job to claim."""
        self._wake.set()

    def on_question(self, job: Job) -> None:
        """Has a new question claimed, or shown as queued if this process has no place for it."""
        self._arrived[job.id] = job
        self.wake()

    def stop_answer(self, job_id: int) -> None:
        """Stops a job at once if this worker has it; else its worker learns of the recorded stop with a heartbeat.

        A queued job is over by then, and needs no placeholder.
        """
        self._end_placeholder(job_id)
        self.cancel(job_id, Phase.STOPPED)

    def post_placeholder(self, job: Job) -> None:
        """Posts a queued job's placeholder in the background, unless the job is claimed or ends before."""

        def ended(task: asyncio.Task[None]) -> None:
            if self._placeholders.get(job.id) is task:
                del self._placeholders[job.id]
            if not task.cancelled() and (error := task.exception()) is not None:
                # The database closes under placeholders that are still to be posted when the process ends.
                level = logging.ERROR if self._stopped_at is None else logging.INFO
                log.log(level, "placeholder for queued question not posted: %s", error)
            self.wake()

        self._end_placeholder(job.id)
        with of_job(job.id):
            task = self._placeholders[job.id] = asyncio.create_task(self._post_placeholder(job))
            task.add_done_callback(ended)

    async def run(self) -> None:
        """Claims jobs and starts their attempts until `stop`; live attempts go on, and `drain` waits for them."""
        while self._stopped_at is None:
            self._wake.clear()
            await self._claim()
            await self._wake.wait()

    def stop(self) -> None:
        """Ends claiming. A claim that is under way ends by itself, because its jobs are ours."""
        self._stopped_at = self.stores.clock.monotonic()
        self.wake()

    async def stay_alive(self) -> None:
        """Sends heartbeats, acts on their answers, and wakes the worker to claim, until canceled."""
        while True:
            await self._beat()
            await self.stores.clock.sleep(MIN_PAUSE_S)
            await self.stores.worker_queue.wait(HEARTBEAT_S - MIN_PAUSE_S)
            self.wake()

    async def drain(self, working: asyncio.Task[None], at_once: asyncio.Event) -> None:
        """Returns when live answers have ended, their time is over, or `at_once` is set.

        `working` is the task of `run`. The time is counted from the stop, because a database that does not answer may
        hold up the last claim.
        """
        at_once_set = asyncio.create_task(at_once.wait())
        try:
            await asyncio.wait(
                (working, at_once_set), timeout=max(HAND_OVER_S, self.left_s), return_when=asyncio.FIRST_COMPLETED
            )
            live = [task for _, task in self._live.values()]
            if live and not at_once.is_set():
                log.info("shutdown: waiting for live answers: drain_s=%.0f live=%d", self.left_s, len(live))
                ended = asyncio.gather(*live, return_exceptions=True)
                await asyncio.wait((ended, at_once_set), timeout=self.left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            at_once_set.cancel()

    async def hand_over(self) -> None:
        """Cancels live attempts: another process or the next start continues them; takes at most HAND_OVER_S."""
        for attempt, _ in list(self._live.values()):
            self.cancel(attempt.job.id, Phase.HANDOVER)
        for job_id in self._placeholders:
            self._end_placeholder(job_id)
        live = [task for _, task in self._live.values()]
        if live:
            await asyncio.wait(live, timeout=HAND_OVER_S)

    @property
    def left_s(self) -> float:
        """How many seconds of BOT_DRAIN_S are left."""
        if self._stopped_at is None:
            return self.drain_s
        return max(0.0, self.drain_s - (self.stores.clock.monotonic() - self._stopped_at))

    async def _claim(self) -> None:
        free = MAX_LIVE - len(self._live)
        if self._must_pause():
            return
        arrived, self._arrived = self._arrived, {}
        try:
            jobs = await self.stores.worker_queue.claim(free) if free > 0 else []
        except StoreError as error:
            log.error("worker: jobs not claimed, retrying: %s", error)
            self._arrived = arrived | self._arrived
            await self.stores.clock.sleep(HEARTBEAT_S)
            return
        for job in jobs:
            arrived.pop(job.id, None)
            self._end_placeholder(job.id)
            attempt = AnswerAttempt(Answer(job), self.stores.clock.monotonic())
            _, earlier = self._live.get(job.id, (None, None))
            with of_job(job.id):
                self._live[job.id] = (attempt, asyncio.create_task(self._run_attempt(attempt, earlier)))
                if job.earlier:
                    log.info("also answers earlier questions: %d", len(job.earlier))
        for job in arrived.values() if self.full else ():
            if job.id not in self._live:
                self.post_placeholder(job)

    def _must_pause(self) -> bool:
        """Returns whether Slack refuses the bot token; the log says when that begins and ends."""
        was_paused = self._paused
        self._paused = self.workspace.token_refused()
        if self._paused and not was_paused:
            log.error(
                "worker: Slack refuses the bot token. Questions stay queued until Slack accepts it again, or until a "
                "restart with a new token."
            )
        elif was_paused and not self._paused:
            log.info("worker: Slack accepts the bot token again, answering queued questions")
        return self._paused

    async def _run_attempt(self, attempt: AnswerAttempt, earlier: asyncio.Task[None] | None) -> None:
        """Runs an attempt once `earlier`, our own attempt at the same job, has ended."""
        try:
            if earlier is not None:
                await asyncio.wait((earlier,))
            with self.workspace.telemetry.attempt(attempt.job.id, attempt.job.attempts, attempt.job.version):
                await self.answer(attempt)
        except Exception as error:
            log.error("attempt failed: %s", trace_of(error))
        finally:
            if self._live[attempt.job.id][0] is attempt:
                del self._live[attempt.job.id]
            self.wake()

    async def _beat(self) -> None:
        sent_at = self.stores.clock.monotonic()
        claimed = {attempt.job: attempt.spent for attempt, _ in self._live.values()}
        answers = [attempt.answer for attempt, _ in self._live.values()]
        pieces = {answer.job: piece for answer in answers if (piece := answer.piece())}
        if claimed:
            try:
                async with asyncio.timeout(BEAT_TIMEOUT_S):
                    pulse = await self.stores.worker_queue.heartbeat(claimed, pieces)
            except (StoreError, TimeoutError) as error:
                self.workspace.lease.heartbeat_failed(self.stores.clock.monotonic())
                log.error("worker: heartbeat failed: %s", str(error) or "the database does not answer")
                return
            for answer in answers:
                if piece := pieces.get(answer.job):
                    answer.on_recorded(piece)
            for job in claimed:
                if job.id not in self._live or self._live[job.id][0].job != job:
                    # This attempt ended meanwhile. The answer says nothing about a newer one.
                    continue
                if job.id not in pulse.ours:
                    self.workspace.scheduler.abandon(job.id)
                    self.cancel(job.id, Phase.LOST)
                elif job.id in pulse.to_restart:
                    self.cancel(job.id, Phase.RESTART)
                elif job.id in pulse.to_stop:
                    self.cancel(job.id, Phase.STOPPED)
        self.workspace.lease.renew(sent_at)

    def cancel(self, job_id: int, reason: Phase) -> None:
        attempt, task = self._live.get(job_id, (None, None))
        if attempt is None or task is None or attempt.phase.is_given_up:
            return
        if reason is Phase.STOPPED and attempt.phase is not Phase.STREAMING:
            if attempt.phase is Phase.OPENING:
                attempt.phase = Phase.STOP_ASKED
            return
        with of_job(job_id):
            log.info("attempt canceled: %s", reason.name.lower())
        attempt.phase = reason
        task.cancel()

    def _end_placeholder(self, job_id: int) -> None:
        """Posts no placeholder for a job that is no longer queued, as far as it hasn't left for Slack."""
        if task := self._placeholders.get(job_id):
            task.cancel()

    async def _post_placeholder(self, job: Job) -> None:
        may_be_queued = not self.workspace.token_refused() and await self.may_be_queued(job.question)
        if self.workspace.token_refused():
            return
        if not may_be_queued:
            # Else the question would keep its place among those that are shown as queued.
            await self.stores.question_queue.request_stop(job.id)
            return
        queue = self.stores.question_queue
        await self.stores.clock.sleep(ELSEWHERE_S)
        if await queue.status(job.id) is not Status.QUEUED:
            return
        if job.id not in self._live and not job.page_ts:
            self.pane.on_queued(job.question)
        try:
            pause_s = MIN_PAUSE_S
            while not await queue.may_post_placeholder(job.question):
                await self.stores.clock.sleep(pause_s)
                pause_s = min(2 * pause_s, HEARTBEAT_S)
            await self.workspace.scheduler.post_placeholder(job)
            if job.id not in self._live and await queue.status(job.id) is Status.RUNNING:
                # The status is another process's now.
                await self.pane.statuses.give_way(job.question.thread)
        finally:
            # An attempt that has begun goes on with the status.
            if job.id not in self._live:
                self.pane.on_claimed(job.question)
