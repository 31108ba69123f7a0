"""The worker's timers, lease and cancellations, in simulated time and with a queue in memory."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Concatenate, ParamSpec

import pytest

from bot.core import texts
from bot.core.conversation import Question, ThreadKey
from bot.core.job import Job, Piece, Pulse, Status, StepEstimate
from bot.core.lease import LEASE_S, Lease
from bot.errors import StoreError
from bot.reply.scheduler import ScheduledReply
from bot.services.answer_attempt import AnswerAttempt, Phase
from bot.services.pane import FIRST_DELAY_S, AssistantPane, ThreadStatuses
from bot.services.worker import (
    CLAIM_ELSEWHERE_S,
    HAND_OVER_S,
    HEARTBEAT_S,
    HEARTBEAT_TIMEOUT_S,
    Worker,
)
from bot.store.queue import QuestionQueue
from bot.store.worker_queue import WorkerQueue
from slack_pacing.tests.simulated_time import run_simulated
from tests.core.conversations import recorded_pages
from tests.services.answering import RecordedStatuses
from tests.services.parts import stores_of, workspace_of
from tests.simulated_time import SimulatedClock

DRAIN_S = 5.0
P = ParamSpec("P")
NO_PIECES: Mapping[Job, Piece] = {}


def job_of(number: int) -> Job:
    ts = f"{number}.000000"
    return Job(number, Question(ThreadKey("T1", "C1", ts), ts, "U1", "Why?"), attempts=1)


JOB = job_of(1)
FOLLOW_UP = Job(2, Question(JOB.question.thread, "2.000000", "U1", "And then?"), attempts=0)
REGENERATED = replace(JOB, messages=recorded_pages("5.0"), version=1)


@dataclass
class MemoryQueue(WorkerQueue):
    """Hands out the test's jobs; `available` is whether the database answers."""

    jobs: list[Job] = field(default_factory=list)
    available: bool = True
    claim_s: float = 0.0
    beat_s: float = 0.0
    lost: set[int] = field(default_factory=set)
    to_stop: set[int] = field(default_factory=set)
    to_restart: set[int] = field(default_factory=set)
    claims: list[float] = field(default_factory=list)
    beats: list[tuple[Mapping[Job, StepEstimate], Mapping[Job, Piece]]] = field(default_factory=list)

    async def claim(self, limit: int) -> list[Job]:
        self.claims.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.claim_s)
        if not self.available:
            raise StoreError("the database is away")
        claimed, self.jobs = self.jobs[:limit], self.jobs[limit:]
        return claimed

    async def heartbeat(self, claimed: Mapping[Job, StepEstimate], pieces: Mapping[Job, Piece] = NO_PIECES) -> Pulse:
        self.beats.append((dict(claimed), dict(pieces)))
        ours = frozenset(job.id for job in claimed) - self.lost
        await asyncio.sleep(self.beat_s)
        if not self.available:
            raise StoreError("the database is away")
        return Pulse(ours, ids_to_stop=ours & self.to_stop, ids_to_restart=ours & self.to_restart)

    async def wait(self, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s)


@dataclass
class Placeholders(QuestionQueue):
    may_post_from: float = 0.0
    """When the questions ahead have their placeholders."""
    posts_s: float = 0.0
    posted: list[int] = field(default_factory=list)
    checked: list[Question] = field(default_factory=list)
    """Questions that were checked for whether their placeholder may be posted."""
    stopped: list[int] = field(default_factory=list)
    abandoned: list[int] = field(default_factory=list)
    canceled: list[int] = field(default_factory=list)
    elsewhere: set[int] = field(default_factory=set)
    """Jobs that another process has claimed."""

    async def can_post_placeholder(self, question: Question) -> bool:
        self.checked.append(question)
        return asyncio.get_running_loop().time() >= self.may_post_from

    async def status(self, job_id: int) -> Status:
        return Status.RUNNING if job_id in self.elsewhere else Status.QUEUED

    async def request_stop(self, job_id: int) -> bool:
        self.stopped.append(job_id)
        return True

    async def post_placeholder(self, job: Job) -> None:
        try:
            await asyncio.sleep(self.posts_s)
            self.posted.append(job.id)
        except asyncio.CancelledError:
            self.canceled.append(job.id)
            raise

    async def open(self, *_: object, **more: object) -> ScheduledReply:
        raise AssertionError("nothing is answered")

    def allow_stream(self, job: Job) -> None:
        raise AssertionError(f"job {job.id} has no reply")

    def abandon(self, job_id: int) -> None:
        self.abandoned.append(job_id)


@dataclass
class Answers:
    """Writes answers until a test, or the worker, ends them."""

    streaming: bool = True
    closing_s: float = 0.0
    """How long a canceled attempt takes to end."""
    attempts: list[AnswerAttempt] = field(default_factory=list)
    canceled: list[AnswerAttempt] = field(default_factory=list)
    interrupted_closings: int = 0
    """How often an attempt was canceled a second time."""
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, attempt: AnswerAttempt) -> None:
        self.attempts.append(attempt)
        attempt.phase = Phase.STREAMING if self.streaming else Phase.OPENING
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.canceled.append(attempt)
            try:
                await asyncio.sleep(self.closing_s)
            except asyncio.CancelledError:
                self.interrupted_closings += 1


@dataclass
class WorkerStage:
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    placeholders: Placeholders = field(default_factory=Placeholders)
    answers: Answers = field(default_factory=Answers)
    lease: Lease = field(default_factory=Lease)
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    drain_s: float = DRAIN_S
    denied: bool = False
    allows_s: float = 0.0
    """How long it takes to find out whether an asker has access."""
    token_refused: bool = False
    pane: RecordedStatuses = field(default_factory=RecordedStatuses)
    checked: list[Question] = field(default_factory=list)
    running: asyncio.Task[None] = field(init=False)

    def __post_init__(self) -> None:
        async def allows(question: Question) -> bool:
            self.checked.append(question)
            await asyncio.sleep(self.allows_s)
            return not self.denied

        stores = stores_of(worker_queue=self.queue, question_queue=self.placeholders, clock=self.clock)
        workspace = workspace_of(
            lease=self.lease, scheduler=self.placeholders, is_token_refused=lambda: self.token_refused
        )
        pane = AssistantPane(stores, workspace, ThreadStatuses(self.pane, self.clock))
        self.worker = Worker(stores, workspace, self.drain_s, self.answers.answer, allows, pane)

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    @property
    def statuses(self) -> list[str]:
        """The statuses that were sent since the last look."""
        return [self.pane.sent.get_nowait() for _ in range(self.pane.sent.qsize())]

    @property
    def cancellations(self) -> list[Phase]:
        return [attempt.phase for attempt in self.answers.canceled]


def one_job() -> WorkerStage:
    return WorkerStage(MemoryQueue([JOB]))


def on_stage(
    stage_of: Callable[[], WorkerStage] = one_job, after_s: float = 0.1
) -> Callable[[Callable[Concatenate[WorkerStage, P], Coroutine[None, None, None]]], Callable[P, None]]:
    """Makes a test of a function that runs in simulated time, beside a worker that has claimed for `after_s`."""

    def as_test(work: Callable[Concatenate[WorkerStage, P], Coroutine[None, None, None]]) -> Callable[P, None]:
        def test(*args: P.args, **given: P.kwargs) -> None:
            async def run() -> None:
                stage = stage_of()
                stage.running = asyncio.create_task(stage.worker.run())
                try:
                    if after_s:
                        await asyncio.sleep(after_s)
                    await work(stage, *args, **given)
                finally:
                    stage.running.cancel()

            run_simulated(run())

        test.__name__, test.__doc__ = work.__name__, work.__doc__
        signature = inspect.signature(work)
        _, *fixtures = signature.parameters.values()
        # By it pytest knows the fixtures and parameters, which don't include the stage.
        test.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return test

    return as_test


async def beating(stage: WorkerStage, work: Awaitable[None]) -> None:
    """Runs `work` beside the worker's heartbeats."""
    heartbeats = asyncio.create_task(stage.worker.send_heartbeats())
    try:
        await work
        assert not heartbeats.done(), "heartbeats must go on"
    finally:
        heartbeats.cancel()


@on_stage(after_s=0.0)
async def test_worker_keeps_its_jobs_while_the_database_is_unavailable(stage: WorkerStage) -> None:
    """Nobody can take over while the database is unavailable."""

    async def database_goes_away() -> None:
        await asyncio.sleep(3)
        stage.queue.available = False
        await asyncio.sleep(10 * LEASE_S)
        assert stage.lease.is_valid(stage.now), "the lease lasts while heartbeats fail"

    await beating(stage, database_goes_away())


@on_stage()
async def test_heartbeats_are_sent_each_second(stage: WorkerStage) -> None:
    await beating(stage, asyncio.sleep(20 * HEARTBEAT_S - 0.05))
    assert len(stage.queue.beats) == 20


@on_stage()
async def test_failed_heartbeat_does_not_renew_an_expired_lease(stage: WorkerStage) -> None:
    stage.queue.available = False
    await beating(stage, asyncio.sleep(3))
    assert stage.queue.beats, "heartbeats were sent"
    assert not stage.lease.is_valid(stage.now), "others may have taken the jobs over"


@on_stage()
async def test_lease_counts_from_when_a_heartbeat_was_sent_not_from_its_answer(stage: WorkerStage) -> None:
    """Others count the worker's silence from the moment at which it sent the heartbeat."""
    stage.queue.beat_s = HEARTBEAT_TIMEOUT_S - 0.1
    sent_at = stage.now
    await beating(stage, asyncio.sleep(HEARTBEAT_TIMEOUT_S))
    assert stage.lease.is_valid(sent_at + LEASE_S - 0.01), "a heartbeat renews the lease for LEASE_S"
    assert not stage.lease.is_valid(sent_at + LEASE_S)


@pytest.mark.parametrize("fails", ["refused", "late"])
@on_stage()
async def test_text_of_a_failed_heartbeat_is_recorded_with_the_next(stage: WorkerStage, fails: str) -> None:
    stage.answers.attempts[0].answer.append("Because")
    stage.queue.available = fails != "refused"
    stage.queue.beat_s = HEARTBEAT_TIMEOUT_S * 2 if fails == "late" else 0.0

    async def database_comes_back() -> None:
        await asyncio.sleep(HEARTBEAT_TIMEOUT_S + 0.05)
        stage.queue.available, stage.queue.beat_s = True, 0.0
        await asyncio.sleep(5)

    await beating(stage, database_comes_back())
    pieces = [piece.text for _, sent in stage.queue.beats for piece in sent.values()]
    assert pieces[-1] == "Because"
    assert len(pieces) > 1, "text counts as recorded only once a heartbeat was answered"
    assert len(pieces) < len(stage.queue.beats), "and is sent no more then"


@on_stage(after_s=0.0)
async def test_unanswered_heartbeat_is_given_up_and_the_next_one_sent(stage: WorkerStage) -> None:
    stage.queue.beat_s = 1_000.0
    await asyncio.sleep(0.1)
    await beating(stage, asyncio.sleep(10))
    assert len(stage.queue.beats) == 4, "one every HEARTBEAT_TIMEOUT_S and a pause"


@on_stage()
async def test_heartbeats_answer_about_an_earlier_attempt_does_not_end_the_newer_one(stage: WorkerStage) -> None:
    """While the heartbeat is in flight, its attempt ends, and the job is claimed again."""
    stage.queue.beat_s, stage.queue.lost = 1.0, {JOB.id}

    async def claimed_again() -> None:
        await asyncio.sleep(0.5)
        stage.answers.may_end.set()
        await asyncio.sleep(0)
        stage.answers.may_end.clear()
        stage.queue.jobs, stage.queue.lost = [replace(JOB, attempts=2)], set()
        stage.worker.wake()
        await asyncio.sleep(2)

    await beating(stage, claimed_again())
    assert [attempt.job.attempts for attempt in stage.answers.attempts] == [1, 2]
    assert (stage.cancellations, stage.placeholders.abandoned) == ([], []), "the second attempt goes on"
    assert stage.worker.live == 1


@pytest.mark.parametrize(
    ("lists", "cancellation"),
    [(("lost", "to_stop"), Phase.LOST), (("to_restart",), Phase.RESTART), (("to_stop",), Phase.STOPPED)],
    ids=["lost", "edited", "stopped"],
)
@on_stage()
async def test_heartbeats_answer_cancels_an_attempt(
    stage: WorkerStage, lists: tuple[str, ...], cancellation: Phase
) -> None:
    for name in lists:
        setattr(stage.queue, name, {JOB.id})
    await beating(stage, asyncio.sleep(0.5))
    assert stage.cancellations == [cancellation]
    is_lost = cancellation is Phase.LOST
    assert stage.placeholders.abandoned == ([JOB.id] if is_lost else []), "another process has the reply"


@on_stage(lambda: WorkerStage(MemoryQueue([JOB, job_of(2)])))
async def test_heartbeats_answer_counts_for_the_other_attempts_if_one_has_ended_meanwhile(stage: WorkerStage) -> None:
    first, second = stage.answers.attempts
    stage.queue.beat_s, stage.queue.lost = 1.0, {2}

    async def first_ends() -> None:
        await asyncio.sleep(0.5)
        stage.worker.stop_answer(first.job.id)
        await asyncio.sleep(0.6)
        assert stage.answers.canceled == [first, second]

    await beating(stage, first_ends())


@on_stage(lambda: WorkerStage(MemoryQueue([job_of(number) for number in range(1, 10)])), after_s=0.0)
async def test_all_places_are_filled_and_no_more(stage: WorkerStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.services.worker.MAX_LIVE", 10)
    await asyncio.sleep(1)
    assert [attempt.job.id for attempt in stage.answers.attempts] == list(range(1, 10))
    stage.queue.jobs += [job_of(10), job_of(11)]
    stage.worker.wake()
    await asyncio.sleep(1)
    assert (stage.worker.live, stage.worker.is_full) == (10, True)
    assert [attempt.claimed_at for attempt in stage.answers.attempts] == [0.0] * 9 + [1.0]


@on_stage(lambda: WorkerStage(MemoryQueue([JOB]), answers=Answers(streaming=False)))
async def test_stop_before_or_after_the_stream_is_noted_and_cancels_nothing(stage: WorkerStage) -> None:
    stage.worker.stop_answer(JOB.id)
    stage.worker.stop_answer(99)
    await asyncio.sleep(1)
    assert stage.cancellations == []
    assert stage.answers.attempts[0].phase is Phase.STOP_ASKED


@on_stage(lambda: WorkerStage(MemoryQueue([JOB]), answers=Answers(closing_s=0.5)))
async def test_attempt_that_is_being_canceled_is_not_canceled_again(stage: WorkerStage) -> None:
    """A second cancellation would end the calls that leave its reply and release its job."""
    stage.worker.stop_answer(JOB.id)
    await asyncio.sleep(0.1)
    stage.worker.stop_answer(JOB.id)
    await stage.worker.hand_over()
    assert stage.cancellations == [Phase.STOPPED], "the first reason holds"
    assert stage.answers.interrupted_closings == 0


@on_stage(lambda: WorkerStage(MemoryQueue([JOB], available=False)), after_s=0.0)
async def test_failed_claim_is_retried_after_a_pause(stage: WorkerStage) -> None:
    for _ in range(9):
        stage.worker.wake()
        await asyncio.sleep(0.1)
    assert stage.queue.claims == [0.0], "however often the worker is woken, it waits"
    stage.queue.available = True
    await asyncio.sleep(HEARTBEAT_S)
    assert stage.queue.claims == [0.0, HEARTBEAT_S], "a wake-up during the pause is not lost"
    assert stage.worker.live == 1
    assert not stage.running.done()


@on_stage(lambda: WorkerStage(MemoryQueue(claim_s=1.0)), after_s=0.0)
async def test_wake_up_during_a_claim_leads_to_another_claim(stage: WorkerStage) -> None:
    await asyncio.sleep(0.5)
    stage.worker.wake()
    await asyncio.sleep(1)
    assert stage.queue.claims == [0.0, 1.0]


@on_stage(lambda: WorkerStage(MemoryQueue([job_of(number) for number in range(12)])), after_s=0.0)
async def test_full_worker_claims_nothing_until_an_answer_ends(
    stage: WorkerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.services.worker.MAX_LIVE", 10)
    await asyncio.sleep(0.1)
    assert (stage.worker.live, stage.worker.is_full) == (10, True)
    stage.worker.wake()
    await asyncio.sleep(1)
    assert len(stage.queue.claims) == 1
    stage.answers.may_end.set()
    await asyncio.sleep(0.1)
    assert len(stage.answers.attempts) == 12, "the end of an answer wakes the worker"


@on_stage(lambda: WorkerStage(MemoryQueue([JOB]), answers=Answers(closing_s=3.0)))
async def test_job_claimed_again_waits_for_the_end_of_its_earlier_attempt_here(stage: WorkerStage) -> None:
    """Two attempts in one process would edit the same messages."""
    stage.queue.to_restart = {JOB.id}
    await beating(stage, asyncio.sleep(0.5))
    stage.queue.jobs = [replace(JOB, attempts=2, version=1)]
    stage.worker.wake()
    await asyncio.sleep(0.5)
    assert len(stage.queue.claims) > 1
    assert [attempt.job.attempts for attempt in stage.answers.attempts] == [1]
    await asyncio.sleep(3)
    assert [attempt.job.attempts for attempt in stage.answers.attempts] == [1, 2]
    assert stage.worker.live == 1, "heartbeats and Stop find the second attempt, which is under way"
    stage.answers.may_end.set()
    await asyncio.sleep(0.1)
    assert stage.worker.live == 0


@on_stage(lambda: WorkerStage(MemoryQueue([JOB]), token_refused=True))
async def test_while_slack_refuses_the_token_nothing_is_claimed_and_the_log_says_so_once(
    stage: WorkerStage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def token_works_again() -> None:
        await asyncio.sleep(600)
        assert (stage.queue.claims, stage.worker.live) == ([], 0)
        stage.token_refused = False
        await asyncio.sleep(HEARTBEAT_S)
        assert stage.worker.live == 1

    await beating(stage, token_works_again())
    begins, ends = (record.getMessage() for record in caplog.records if "queued" in record.getMessage())
    assert "until a restart with a new token" in begins
    assert ends == "worker: Slack accepts the bot token again, answering queued questions"


@on_stage()
async def test_answers_that_are_live_go_on_while_slack_refuses_the_token(stage: WorkerStage) -> None:
    stage.token_refused = True
    await beating(stage, asyncio.sleep(60))
    assert (stage.worker.live, stage.cancellations) == (1, [])
    stage.worker.stop()
    await asyncio.wait_for(stage.running, 1)


@pytest.mark.parametrize("refused_after_s", [0.0, 1.0], ids=["before access is checked", "meanwhile"])
@on_stage(lambda: WorkerStage(denied=True, allows_s=2.0))
async def test_a_queued_question_is_neither_denied_nor_shown_while_slack_refuses_the_token(
    stage: WorkerStage, refused_after_s: float
) -> None:
    """Slack does not say who the asker is: a person who has access would lose the question."""
    stage.token_refused = refused_after_s == 0
    stage.worker.post_placeholder(JOB)
    await asyncio.sleep(refused_after_s)
    stage.token_refused = True
    await asyncio.sleep(10)
    assert (stage.placeholders.stopped, stage.placeholders.posted) == ([], [])


@pytest.mark.parametrize("stopped_after_s", [0.1, 3.0])
@on_stage()
async def test_drain_time_is_counted_from_the_stop(stage: WorkerStage, stopped_after_s: float) -> None:
    stage.worker.stop()
    await asyncio.sleep(stopped_after_s)
    await stage.worker.drain(stage.running, asyncio.Event())
    assert stage.now == pytest.approx(0.1 + DRAIN_S)
    assert (stage.worker.live, stage.worker.remaining_s) == (1, 0.0)


@pytest.mark.parametrize("ends", ["last answer", "second signal"])
@on_stage()
async def test_drain_ends_with_the_last_answer_or_a_second_signal(stage: WorkerStage, ends: str) -> None:
    at_once = asyncio.Event()
    stage.worker.stop()
    draining = asyncio.create_task(stage.worker.drain(stage.running, at_once))
    await asyncio.sleep(1)
    (at_once if ends == "second signal" else stage.answers.may_end).set()
    await draining
    assert stage.now == pytest.approx(1.1)


@on_stage(lambda: WorkerStage(MemoryQueue([JOB], claim_s=3.0)))
async def test_second_signal_does_not_wait_for_a_claim(stage: WorkerStage) -> None:
    at_once = asyncio.Event()
    at_once.set()
    stage.worker.stop()
    await stage.worker.drain(stage.running, at_once)
    assert stage.now == pytest.approx(0.1)


@on_stage(lambda: WorkerStage(MemoryQueue([JOB], claim_s=1_000.0)))
async def test_drain_does_not_wait_for_a_claim_that_hangs(stage: WorkerStage) -> None:
    stage.worker.stop()
    await stage.worker.drain(stage.running, asyncio.Event())
    assert stage.now == pytest.approx(0.1 + DRAIN_S)


@on_stage(lambda: WorkerStage(MemoryQueue([JOB], claim_s=0.9), drain_s=0.0))
async def test_jobs_of_a_claim_under_way_at_the_stop_are_handed_over(stage: WorkerStage) -> None:
    """Even without time to drain: nobody else would learn of them while the process seems alive."""
    stage.worker.stop()
    await stage.worker.drain(stage.running, asyncio.Event())
    await asyncio.sleep(0)
    await stage.worker.hand_over()
    assert stage.cancellations == [Phase.HANDOVER]
    assert stage.now < 0.1 + HAND_OVER_S
    assert len(stage.queue.claims) == 1, "nothing is claimed after the stop"


@pytest.mark.parametrize(
    ("closing_s", "took_s", "live"), [(HAND_OVER_S / 2, HAND_OVER_S / 2, 0), (1_000.0, HAND_OVER_S, 2)]
)
@on_stage(lambda: WorkerStage(MemoryQueue([JOB, job_of(2)])))
async def test_hand_over_waits_for_attempts_to_end_up_to_its_bound(
    stage: WorkerStage, closing_s: float, took_s: float, live: int
) -> None:
    stage.answers.closing_s = closing_s
    stage.worker.stop()
    await stage.worker.hand_over()
    assert stage.now == pytest.approx(0.1 + took_s)
    assert (stage.worker.live, stage.cancellations) == (live, [Phase.HANDOVER] * 2)


@on_stage(lambda: WorkerStage(placeholders=Placeholders(posts_s=2.0)), after_s=0.0)
async def test_hand_over_ends_placeholders_that_are_being_posted(stage: WorkerStage) -> None:
    stage.worker.post_placeholder(JOB)
    await asyncio.sleep(0.1)
    await stage.worker.hand_over()
    await asyncio.sleep(3)
    assert stage.placeholders.posted == []


@on_stage(lambda: WorkerStage(placeholders=Placeholders(may_post_from=2.0)), after_s=0.0)
async def test_placeholder_of_a_queued_question_waits_for_those_above_it(stage: WorkerStage) -> None:
    stage.worker.post_placeholder(JOB)
    await asyncio.sleep(1.9)
    assert stage.placeholders.posted == []
    claims = len(stage.queue.claims)
    await asyncio.sleep(0.1 + HEARTBEAT_S)
    assert stage.placeholders.posted == [JOB.id]
    assert len(stage.queue.claims) == claims + 1, "the job may be claimed now"
    assert (stage.checked, set(stage.placeholders.checked)) == ([JOB.question], {JOB.question})


@on_stage(lambda: WorkerStage(placeholders=Placeholders(may_post_from=300.0)), after_s=0.0)
async def test_placeholder_is_posted_however_late_its_turn_comes(stage: WorkerStage) -> None:
    """Half of the queued people saw nothing for a minute and a half when 400 new people asked at once."""
    stage.worker.post_placeholder(JOB)
    await asyncio.sleep(301)
    assert stage.placeholders.posted == [JOB.id]
    assert len(stage.placeholders.checked) < 320, "about one read of the database a second"


@pytest.mark.parametrize("ends", ["claimed", "stopped", "queued again"])
@on_stage(lambda: WorkerStage(placeholders=Placeholders(posts_s=60.0)), after_s=0.0)
async def test_placeholder_that_waits_for_the_budget_ends_with_the_wait_of_its_job(
    stage: WorkerStage, ends: str
) -> None:
    stage.worker.post_placeholder(JOB)
    await asyncio.sleep(5)
    match ends:
        case "claimed":
            stage.queue.jobs = [JOB]
            stage.worker.wake()
        case "stopped":
            stage.worker.stop_answer(JOB.id)
        case _:
            stage.worker.post_placeholder(REGENERATED)
    await asyncio.sleep(70)
    assert stage.placeholders.canceled == [JOB.id]
    assert stage.placeholders.posted == [JOB.id] * (ends == "queued again")


@pytest.mark.parametrize(
    ("job", "ends", "sent"),
    [
        (JOB, "posted", [texts.statuses.STATUS_QUEUED]),
        (JOB, "stopped", [texts.statuses.STATUS_QUEUED, ""]),
        (JOB, "claimed", [texts.statuses.STATUS_QUEUED]),
        (FOLLOW_UP, "posted", []),
        (REGENERATED, "posted", []),
    ],
    ids=["first of its thread", "stopped", "its answer takes the status over", "below another answer", "has a message"],
)
@on_stage(lambda: WorkerStage(placeholders=Placeholders(posts_s=60.0)), after_s=0.0)
async def test_status_says_that_a_question_is_queued_until_its_placeholder_does(
    stage: WorkerStage, job: Job, ends: str, sent: list[str]
) -> None:
    stage.worker.post_placeholder(job)
    await asyncio.sleep(1)
    if ends == "stopped":
        stage.worker.stop_answer(job.id)
    elif ends == "claimed":
        stage.queue.jobs = [job]
        stage.worker.wake()
    else:
        await asyncio.sleep(57)
        stage.worker.pane.statuses.on_posted("C1", job.question.thread.thread_ts or "", is_stream=False)
    await asyncio.sleep(5)
    assert stage.statuses == sent


@on_stage(
    lambda: WorkerStage(
        MemoryQueue([job_of(number) for number in range(10, 20)]), placeholders=Placeholders(posts_s=60.0)
    ),
    after_s=0.0,
)
async def test_question_that_finds_no_place_has_a_status_at_once(
    stage: WorkerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came while a place was free, but others got there first."""
    monkeypatch.setattr("bot.services.worker.MAX_LIVE", 10)
    stage.worker.on_question(job_of(10))
    stage.worker.on_question(JOB)
    await asyncio.sleep(1)
    assert stage.worker.is_full
    assert stage.statuses == [texts.statuses.STATUS_QUEUED], "the other one is answered"


@on_stage(lambda: WorkerStage(), after_s=0.0)
async def test_new_question_that_is_not_claimed_has_no_status_while_there_is_room(stage: WorkerStage) -> None:
    """Another process has it, or will show it."""
    stage.worker.on_question(JOB)
    await asyncio.sleep(1)
    assert (stage.statuses, stage.placeholders.posted) == ([], [])


@pytest.mark.parametrize(
    ("claimed_at_s", "sent"),
    [(0.0, []), (1.0, [texts.statuses.STATUS_QUEUED])],
    ids=["at once", "before its placeholder"],
)
@on_stage(lambda: WorkerStage(placeholders=Placeholders(posts_s=2.0)), after_s=0.0)
async def test_question_that_another_process_claims_has_one_sign_which_that_process_keeps(
    stage: WorkerStage, claimed_at_s: float, sent: list[str]
) -> None:
    stage.worker.post_placeholder(JOB)
    await asyncio.sleep(claimed_at_s)
    stage.placeholders.elsewhere.add(JOB.id)
    await asyncio.sleep(CLAIM_ELSEWHERE_S + 5)
    assert stage.statuses == sent, "it isn't removed"


@on_stage(lambda: WorkerStage(denied=True), after_s=0.0)
async def test_queued_question_of_a_denied_asker_is_stopped_and_gets_no_placeholder(stage: WorkerStage) -> None:
    stage.worker.post_placeholder(JOB)
    await asyncio.sleep(1)
    assert (stage.placeholders.stopped, stage.placeholders.posted) == ([JOB.id], [])


@pytest.mark.parametrize(("after_s", "ends_s", "sent"), [(0.0, 0.0, []), (1.0, 3.0, ["is thinking…"])])
def test_slacks_own_stop_waits_for_the_status_that_is_being_sent_and_no_other_follows(
    after_s: float, ends_s: float, sent: list[str]
) -> None:
    """A status that came later would take the button's place."""

    class SlowPane(RecordedStatuses):
        async def set_status(self, thread: ThreadKey, status: str) -> None:
            await asyncio.sleep(3.0 - FIRST_DELAY_S)
            await super().set_status(thread, status)

    async def gives_way() -> None:
        pane, thread = SlowPane(), JOB.question.thread
        statuses = ThreadStatuses(pane, SimulatedClock())
        assert statuses.show(thread, "is thinking…")
        await asyncio.sleep(after_s)
        await statuses.make_room_for_stop_button(thread)
        assert SimulatedClock().monotonic() == pytest.approx(ends_s)
        await asyncio.sleep(60.0)
        assert [pane.sent.get_nowait() for _ in range(pane.sent.qsize())] == sent

    run_simulated(gives_way())
