"""The worker's lease and attempts, with a real queue and a manual clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest

from bot.clock import SystemClock
from bot.core.conversation import Question, ThreadKey
from bot.core.job import LEASE_S, Job, Lease, Piece, Pulse, Spent
from bot.services.answer_attempt import AnswerAttempt
from bot.services.worker import Worker
from bot.store import Stores
from bot.store.worker_queue import WorkerQueue
from tests.clocks import ManualClock
from tests.services.parts import NoReplies, having, until, workspace_of

BEGAN_S = 1_000.0
NO_PIECES: Mapping[Job, Piece] = {}
QUESTION = Question(ThreadKey("T1", "C1", "1.000000"), "1.000000", "U1", "Why?")


@dataclass
class LateQueue(WorkerQueue):
    """The queue of a slow database, which answers only the first `answers` heartbeats."""

    queue: WorkerQueue
    clock: ManualClock
    answer_s: float = 0.0
    answers: int = 1_000
    beats: list[float] = field(default_factory=list)
    """When each heartbeat was sent."""

    async def claim(self, limit: int) -> list[Job]:
        return await self.queue.claim(limit)

    async def wait(self, timeout_s: float) -> None:
        await asyncio.sleep(0.01)

    async def heartbeat(self, claimed: Mapping[Job, Spent], pieces: Mapping[Job, Piece] = NO_PIECES) -> Pulse:
        self.beats.append(self.clock.now_s)
        if len(self.beats) > self.answers:
            await asyncio.Event().wait()
        pulse = await self.queue.heartbeat(claimed, pieces)
        self.clock.now_s += self.answer_s
        return pulse


@pytest.fixture
async def stores() -> AsyncIterator[Stores]:
    opened = await Stores.open("sqlite://", "w1", SystemClock())
    yield opened
    await opened.close()


def worker_of(
    stores: Stores, queue: LateQueue, lease: Lease, answer: Callable[[AnswerAttempt], Awaitable[None]]
) -> Worker:
    async def allows(question: Question) -> bool:
        return True

    workspace = workspace_of(lease=lease, scheduler=NoReplies())
    return Worker(having(stores, worker_queue=queue, clock=queue.clock), workspace, 5.0, answer, allows)


async def test_lease_counts_from_when_a_heartbeat_was_sent_not_from_its_answer(stores: Stores) -> None:
    clock, lease = ManualClock(BEGAN_S), Lease()
    queue = LateQueue(stores.worker_queue, clock, answer_s=3.0, answers=1)
    may_end = asyncio.Event()

    async def answer(attempt: AnswerAttempt) -> None:
        await may_end.wait()

    worker = worker_of(stores, queue, lease, answer)
    await stores.question_queue.enqueue("Ev1", QUESTION)
    running, beating = asyncio.create_task(worker.run()), None
    try:
        await until(lambda: worker.live == 1, "the job is claimed")
        beating = asyncio.create_task(worker.stay_alive())
        await until(lambda: len(queue.beats) == 2, "a heartbeat was answered and the next one is sent")
        assert queue.beats == [BEGAN_S, BEGAN_S + 3.0]
        assert lease.is_valid(BEGAN_S + LEASE_S - 0.1), "a heartbeat renews the lease for LEASE_S"
        assert not lease.is_valid(BEGAN_S + LEASE_S), (
            "others count the worker's silence from the moment it sent the heartbeat"
        )
    finally:
        may_end.set()
        for task in filter(None, (running, beating)):
            task.cancel()


async def test_attempt_that_ends_late_does_not_affect_a_newer_one_at_its_job(stores: Stores) -> None:
    """The worker releases a job and claims it again before its own first attempt has ended."""
    attempts: list[AnswerAttempt] = []
    first_may_end, second_may_end = asyncio.Event(), asyncio.Event()

    async def answer(attempt: AnswerAttempt) -> None:
        attempts.append(attempt)
        if len(attempts) == 1:
            await stores.worker_queue.release(attempt.job)
            await first_may_end.wait()
        else:
            await second_may_end.wait()

    worker = worker_of(stores, LateQueue(stores.worker_queue, ManualClock(BEGAN_S)), Lease(), answer)
    await stores.question_queue.enqueue("Ev1", QUESTION)
    running = asyncio.create_task(worker.run())
    try:
        await until(lambda: len(attempts) == 1, "the first attempt begins")
        await until(lambda: _claimed_again(worker, attempts[0]), "the job is claimed again")
        first_may_end.set()
        await until(lambda: len(attempts) == 2, "the second attempt begins once the first has ended")
        assert (attempts[1].job.id, attempts[1].job.attempts) == (attempts[0].job.id, 2)
        assert worker.live == 1, "heartbeats and Stop must find the second attempt, which is under way"
        second_may_end.set()
        await until(lambda: worker.live == 0, "the second attempt has ended")
    finally:
        running.cancel()


def _claimed_again(worker: Worker, first: AnswerAttempt) -> bool:
    worker.wake()
    [(newest, _)] = worker._live.values()
    return newest is not first
