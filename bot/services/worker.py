"""Claims jobs, runs one attempt at each, and renews their leases.

A process has one worker, which does three things concurrently:

- `run` claims jobs while there is room, and starts a task for each job that calls `Answering.answer`. The database
  hands out one job per thread, so a process answers in many threads at once, and one question at a time per thread.
  `run` sleeps until `wake` is called for a new question, an attempt that ended, or a heartbeat.
- `send_heartbeats` sends a heartbeat about once a second, with the usage and new text of every answer. The response
  reports which jobs are still ours, were stopped by a person, or have an edited question. It also renews the lease,
  without which the edit scheduler sends nothing (core/lease.py).
- Separate tasks post the placeholders of queued questions, in order within each thread. Because answers have priority
  in Slack's budgets, a placeholder might be late, so a status tells the asker at once that their question is queued.
  Questions that no process has room to answer at once also get a status.

Canceling an attempt
--------------------
An attempt is canceled at most once, for the first reason (`Phase`), because a second cancellation would interrupt the
calls that abandon its reply and release its job. Clicking Stop cancels an attempt only while the model is working. An
earlier click is only noted, and a click while the end is being shown has no effect.

A heartbeat's response can be about an attempt that is over, if the job was claimed again while the heartbeat was in
flight. Each response is therefore compared with the live attempt. A newer attempt at a job waits until this process's
earlier attempt has ended, because both edit the same messages.

Failures
--------
A failed claim is retried after a pause. A heartbeat that fails, or gets no response within HEARTBEAT_TIMEOUT_S,
extends a lease that is still valid, because no other process can take over while the database is unavailable, but
doesn't renew an expired lease. The text of a failed heartbeat is sent again with the next one.

While Slack rejects the bot token, no jobs are claimed, because an answer would cost money and nobody could read it.
Questions stay queued without placeholders, and live attempts continue.

Shutdown
--------
`stop` ends claiming. `drain` waits for live answers, until BOT_DRAIN_S after the stop. `hand_over` cancels the
remaining attempts and waits at most HAND_OVER_S. The process therefore exits in time even if Slack, a model or the
database doesn't respond.
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
HEARTBEAT_TIMEOUT_S = 2.0
MIN_PAUSE_S = 0.1
"""Minimum pause between heartbeats, however often others wake this process, and between checks for placeholders."""
HAND_OVER_S = 1.2
"""Minimum time for a claim in progress at shutdown, even if BOT_DRAIN_S is shorter, and the time limit for canceled
attempts to release their jobs. Everything after BOT_DRAIN_S can take 5 s in total."""
CLAIM_ELSEWHERE_S = 0.3
"""Time for other processes to claim a question that this process has no room for, before the asker sees a status."""
MAX_LIVE = 200
"""Maximum live answers of a process, at which it uses a whole core (operate.md). Others are queued."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Worker:
    stores: Stores
    workspace: Workspace
    drain_s: float
    answer: Callable[[AnswerAttempt], Awaitable[None]]
    can_be_queued: Callable[[Question], Awaitable[bool]]
    pane: AssistantPane
    _live: dict[int, tuple[AnswerAttempt, asyncio.Task[None]]] = field(default_factory=dict, init=False)
    _placeholder_tasks: dict[int, asyncio.Task[None]] = field(default_factory=dict, init=False)
    """Tasks that post placeholders, by job ID."""
    _new_jobs: dict[int, Job] = field(default_factory=dict, init=False)
    """Questions received since the last claim, which need no placeholder if this process has room for them."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _stopped_at: float | None = field(default=None, init=False)
    """The time of `stop` on the monotonic clock, or None."""
    _is_paused: bool = field(default=False, init=False)
    """Whether Slack rejected the bot token at the last check, so that no jobs are claimed."""

    @property
    def live(self) -> int:
        return len(self._live)

    @property
    def is_full(self) -> bool:
        return len(self._live) >= MAX_LIVE

    def wake(self) -> None:
        self._wake.set()

    def on_question(self, job: Job) -> None:
        self._new_jobs[job.id] = job
        self.wake()

    def stop_answer(self, job_id: int) -> None:
        """Stops a job at once if this worker has it. Otherwise, a heartbeat tells the job's worker to stop it. A
        stopped queued job needs no placeholder anymore."""
        self._cancel_placeholder(job_id)
        self.cancel(job_id, Phase.STOPPED)

    def post_placeholder(self, job: Job) -> None:
        """Posts a queued job's placeholder in the background, unless the job is claimed or ends first, or is held."""
        if job.question.is_held:
            return

        def ended(task: asyncio.Task[None]) -> None:
            if self._placeholder_tasks.get(job.id) is task:
                del self._placeholder_tasks[job.id]
            if not task.cancelled() and (error := task.exception()) is not None:
                # When the process ends, the database can close while placeholders are waiting to be posted.
                level = logging.ERROR if self._stopped_at is None else logging.INFO
                log.log(level, "placeholder for queued question not posted: %s", error)
            self.wake()

        self._cancel_placeholder(job.id)
        with of_job(job.id):
            task = self._placeholder_tasks[job.id] = asyncio.create_task(self._post_placeholder(job))
            task.add_done_callback(ended)

    async def run(self) -> None:
        while self._stopped_at is None:
            self._wake.clear()
            await self._claim()
            await self._wake.wait()

    def stop(self) -> None:
        """Stops claiming jobs. A claim in progress completes, because its jobs already belong to this process."""
        self._stopped_at = self.stores.clock.monotonic()
        self.wake()

    async def send_heartbeats(self) -> None:
        """Sends heartbeats, acts on the responses, and wakes the worker to claim jobs, until canceled."""
        while True:
            await self._send_heartbeat()
            await self.stores.clock.sleep(MIN_PAUSE_S)
            await self.stores.worker_queue.wait(HEARTBEAT_S - MIN_PAUSE_S)
            self.wake()

    async def drain(self, working: asyncio.Task[None], at_once: asyncio.Event) -> None:
        """Waits until live answers have ended, BOT_DRAIN_S is over, or `at_once` is set. `working`: the task of `run`.
        The time is counted from the stop, because an unresponsive database can delay the last claim."""
        at_once_set = asyncio.create_task(at_once.wait())
        try:
            await asyncio.wait(
                (working, at_once_set), timeout=max(HAND_OVER_S, self.remaining_s), return_when=asyncio.FIRST_COMPLETED
            )
            live = [task for _, task in self._live.values()]
            if live and not at_once.is_set():
                log.info("shutdown: waiting for live answers: drain_s=%.0f live=%d", self.remaining_s, len(live))
                ended = asyncio.gather(*live, return_exceptions=True)
                await asyncio.wait((ended, at_once_set), timeout=self.remaining_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            at_once_set.cancel()

    async def hand_over(self) -> None:
        """Cancels live attempts, which another process or the next start will continue. Takes at most HAND_OVER_S."""
        for attempt, _ in list(self._live.values()):
            self.cancel(attempt.job.id, Phase.HANDOVER)
        for job_id in self._placeholder_tasks:
            self._cancel_placeholder(job_id)
        live = [task for _, task in self._live.values()]
        if live:
            await asyncio.wait(live, timeout=HAND_OVER_S)

    @property
    def remaining_s(self) -> float:
        if self._stopped_at is None:
            return self.drain_s
        return max(0.0, self.drain_s - (self.stores.clock.monotonic() - self._stopped_at))

    async def _claim(self) -> None:
        free = MAX_LIVE - len(self._live)
        if self._must_pause():
            return
        arrived, self._new_jobs = self._new_jobs, {}
        try:
            jobs = await self.stores.worker_queue.claim(free) if free > 0 else []
        except StoreError as error:
            log.error("worker: jobs not claimed, retrying: %s", error)
            self._new_jobs = arrived | self._new_jobs
            await self.stores.clock.sleep(HEARTBEAT_S)
            return
        for job in jobs:
            arrived.pop(job.id, None)
            self._cancel_placeholder(job.id)
            attempt = AnswerAttempt(Answer(job), self.stores.clock.monotonic())
            _, earlier = self._live.get(job.id, (None, None))
            with of_job(job.id):
                self._live[job.id] = (attempt, asyncio.create_task(self._run_attempt(attempt, earlier)))
                if job.earlier_questions:
                    log.info("also answers earlier questions: %d", len(job.earlier_questions))
        for job in arrived.values() if self.is_full else ():
            if job.id not in self._live:
                self.post_placeholder(job)

    def _must_pause(self) -> bool:
        was_paused = self._is_paused
        self._is_paused = self.workspace.is_token_refused()
        if self._is_paused and not was_paused:
            log.error(
                "worker: Slack refuses the bot token. Questions stay queued until Slack accepts it again, or until a "
                "restart with a new token."
            )
        elif was_paused and not self._is_paused:
            log.info("worker: Slack accepts the bot token again, answering queued questions")
        return self._is_paused

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

    async def _send_heartbeat(self) -> None:
        sent_at = self.stores.clock.monotonic()
        claimed = {attempt.job: attempt.spent for attempt, _ in self._live.values()}
        answers = [attempt.answer for attempt, _ in self._live.values()]
        pieces = {answer.job: piece for answer in answers if (piece := answer.piece_to_record())}
        if claimed:
            try:
                async with asyncio.timeout(HEARTBEAT_TIMEOUT_S):
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
                    # The attempt has ended meanwhile, and the response isn't about a newer attempt.
                    continue
                if job.id not in pulse.owned_ids:
                    self.workspace.scheduler.abandon(job.id)
                    self.cancel(job.id, Phase.LOST)
                elif job.id in pulse.ids_to_restart:
                    self.cancel(job.id, Phase.RESTART)
                elif job.id in pulse.ids_to_stop:
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

    def _cancel_placeholder(self, job_id: int) -> None:
        """Cancels the placeholder of a job that is no longer queued, unless it has already been sent to Slack."""
        if task := self._placeholder_tasks.get(job_id):
            task.cancel()

    async def _post_placeholder(self, job: Job) -> None:
        can_be_queued = not self.workspace.is_token_refused() and await self.can_be_queued(job.question)
        if self.workspace.is_token_refused():
            return
        if not can_be_queued:
            # Without this, the question would keep its place among the questions that are shown as queued.
            await self.stores.question_queue.request_stop(job.id)
            return
        queue = self.stores.question_queue
        await self.stores.clock.sleep(CLAIM_ELSEWHERE_S)
        if await queue.status(job.id) is not Status.QUEUED:
            return
        if job.id not in self._live and not job.page_ts:
            self.pane.on_queued(job.question)
        try:
            pause_s = MIN_PAUSE_S
            while not await queue.can_post_placeholder(job.question):
                await self.stores.clock.sleep(pause_s)
                pause_s = min(2 * pause_s, HEARTBEAT_S)
            await self.workspace.scheduler.post_placeholder(job)
            if job.id not in self._live and await queue.status(job.id) is Status.RUNNING:
                # The status now belongs to another process.
                await self.pane.statuses.make_room_for_stop_button(job.question.thread)
        finally:
            # An attempt that has begun still uses the status.
            if job.id not in self._live:
                self.pane.on_claimed(job.question)
