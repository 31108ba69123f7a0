"""The table of core/job.py, row by row: each transition happens on a real database, and no other does."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest

from bot.core import texts
from bot.core.conversation import Job
from bot.core.job import TRANSITIONS, End, Event, Spent, State
from bot.core.tool_calls import APPROVAL_S, Decision
from bot.errors import EndReason
from bot.store import Stores
from bot.store.liveness.failure_detector import LEASE_S
from tests.clocks import ManualClock
from tests.contracts.databases import ON_FILES
from tests.contracts.stores import DONE, STEPPED, THREAD, YES, asked, asking_step, enqueued
from tests.contracts.transitions import states


@dataclass
class JobWithWorkers:
    """A database with one job and two workers."""

    clock: ManualClock
    worker: Stores
    other: Stores
    job: Job = field(default_factory=lambda: Job(1, asked(1), attempts=1))
    """The job as it was last claimed, or as an unrelated worker would have it."""

    async def state(self) -> State:
        return (await states(self.worker)).get(self.job.id, State.ABSENT)

    async def claim(self) -> None:
        for job in await self.worker.worker_queue.claim(10):
            if job.id == self.job.id:
                self.job = job


@pytest.fixture
async def setup(database_url: str) -> AsyncIterator[JobWithWorkers]:
    clock = ManualClock()
    worker = await Stores.open(database_url, "w1", clock)
    # Without a lock, so that only its missing heartbeat shows its death.
    other = Stores(worker.database.engine, "w2", clock)
    yield JobWithWorkers(clock, worker, other)
    await worker.close()


async def enqueue(setup: JobWithWorkers) -> None:
    assert await enqueued(setup.worker, asked(1)) == setup.job.id


async def enqueue_later(setup: JobWithWorkers) -> None:
    await enqueued(setup.worker, asked(2))


async def claim(setup: JobWithWorkers) -> None:
    await setup.claim()


async def batch(setup: JobWithWorkers) -> None:
    await enqueue_later(setup)
    await setup.claim()


async def unbatch(setup: JobWithWorkers) -> None:
    await setup.worker.queue.delete(THREAD.team_id, THREAD.channel_id, asked(2).ts)


async def take_over(setup: JobWithWorkers) -> None:
    """Another worker polls each second, without ever seeing the first one's heartbeat change."""
    for _ in range(int(LEASE_S) + 2):
        setup.clock.now_s += 1
        for job in await setup.other.worker_queue.claim(10):
            setup.job = job


async def release(setup: JobWithWorkers) -> None:
    await setup.worker.worker_queue.release(setup.job)


async def finish(setup: JobWithWorkers) -> None:
    await setup.worker.worker_queue.finish(setup.job, DONE, YES)


async def deny(setup: JobWithWorkers) -> None:
    await setup.worker.worker_queue.finish(setup.job, End(EndReason.DENIED), "")


async def erase(setup: JobWithWorkers) -> None:
    await setup.worker.erasure.erase(thread=THREAD)


async def remove(setup: JobWithWorkers) -> None:
    await erase(setup)
    await finish(setup)


async def wait(setup: JobWithWorkers) -> None:
    await setup.worker.recorded_calls.record(setup.job, asking_step(), STEPPED, None)
    await setup.worker.recorded_calls.wait(setup.job, None, None)


async def decide(setup: JobWithWorkers) -> None:
    [call] = asking_step().calls
    await setup.other.approvals.decide(setup.job.id, setup.job.version, call, Decision.APPROVED, "U1")


async def expire(setup: JobWithWorkers) -> None:
    setup.clock.now_s += APPROVAL_S
    await setup.other.approvals.expire()


async def stop(setup: JobWithWorkers) -> None:
    await setup.worker.queue.request_stop(setup.job.id)


async def edit(setup: JobWithWorkers) -> None:
    await setup.worker.queue.edit(replace(asked(1), text="Why not?"), "1700000009.000000")


async def finish_outdated(setup: JobWithWorkers) -> None:
    await edit(setup)
    await finish(setup)


async def delete_question(setup: JobWithWorkers) -> None:
    await setup.worker.queue.delete(THREAD.team_id, THREAD.channel_id, asked(1).ts)


async def regenerate(setup: JobWithWorkers) -> None:
    await setup.worker.queue.regenerate(setup.job.id)


Act = Callable[[JobWithWorkers], Awaitable[None]]

WAYS: dict[State, tuple[Act, ...]] = {
    State.ABSENT: (),
    State.QUEUED: (enqueue,),
    State.RUNNING: (enqueue, claim),
    State.RELEASED: (enqueue, claim, release),
    State.AWAITING_APPROVAL: (enqueue, claim, wait),
    State.ENDED: (enqueue, claim, finish),
    State.DENIED: (enqueue, claim, deny),
    State.UNBEGUN: (enqueue, stop),
    State.BATCHED: (enqueue, batch),
}
"""How a job gets into each state."""
ACTS: dict[Event, Act] = {
    Event.ENQUEUE: enqueue,
    Event.CLAIM: claim,
    Event.BATCH: batch,
    Event.UNBATCH: unbatch,
    Event.TAKE_OVER: take_over,
    Event.RELEASE: release,
    Event.FINISH: finish,
    Event.DENY: deny,
    Event.WAIT: wait,
    Event.DECIDE: decide,
    Event.EXPIRE: expire,
    Event.REMOVE: remove,
    Event.STOP: stop,
    Event.EDIT: edit,
    Event.DELETE_QUESTION: delete_question,
    Event.REGENERATE: regenerate,
    Event.ERASE: erase,
}
"""How each event happens to a job."""
COMPOUND = {Event.ENQUEUE, Event.BATCH, Event.UNBATCH, Event.TAKE_OVER, Event.REMOVE}
"""Events that exist in some states only. In any other state, the same call is another event."""
NO_EFFECT = [
    (state, event)
    for state in State
    for event in Event
    if (state, event) not in TRANSITIONS and event not in COMPOUND and state is not State.ABSENT
]


async def bring(setup: JobWithWorkers, state: State) -> None:
    for act in WAYS[state]:
        await act(setup)
    assert await setup.state() is state


@pytest.mark.parametrize(("state", "event"), TRANSITIONS, ids=str)
async def test_each_transition_leads_to_the_state_in_the_table(
    setup: JobWithWorkers, state: State, event: Event
) -> None:
    await bring(setup, state)
    await ACTS[event](setup)
    assert await setup.state() is TRANSITIONS[state, event]


ON_A_SERVER = pytest.param("postgresql", marks=pytest.mark.long)
"""The statements are those of SQLite, and the transitions above run on both."""


@pytest.mark.parametrize("database_url", ["memory", ON_FILES, ON_A_SERVER], indirect=True)
@pytest.mark.parametrize(("state", "event"), NO_EFFECT, ids=str)
async def test_event_missing_from_the_table_changes_nothing(setup: JobWithWorkers, state: State, event: Event) -> None:
    await bring(setup, state)
    await ACTS[event](setup)
    assert await setup.state() is state


async def test_attempt_at_an_outdated_version_releases_its_job(setup: JobWithWorkers) -> None:
    await bring(setup, State.RUNNING)
    await finish_outdated(setup)
    assert await setup.state() is State.RELEASED


def test_each_state_can_be_reached_and_left() -> None:
    assert set(WAYS) == set(State) == {state for state, _ in TRANSITIONS} == set(TRANSITIONS.values())
    assert set(ACTS) == set(Event) == {event for _, event in TRANSITIONS}


def test_each_end_reason_is_of_one_kind() -> None:
    """Each end reason is an answer, a stop or a failure. Denials and what the answer goes on after are none."""
    kinds = {reason: (reason.is_answer, reason.is_stop, reason.is_failure) for reason in EndReason}
    none = {reason for reason, kind in kinds.items() if sum(kind) == 0}
    assert none == {EndReason.DENIED, EndReason.INTERRUPTED, EndReason.STEPPED, EndReason.TRANSCRIBED}
    assert all(sum(kind) <= 1 for kind in kinds.values())
    assert all(reason.is_failure for reason in texts.MODEL_FAILURES)


async def test_worker_that_sends_heartbeats_keeps_its_job(setup: JobWithWorkers) -> None:
    """It has no lock, so that only its heartbeats show that it lives."""
    await enqueue(setup)
    await claim(setup)
    for _ in range(3 * int(LEASE_S)):
        setup.clock.now_s += 1
        assert (await setup.worker.worker_queue.heartbeat({setup.job: Spent()})).ours == {setup.job.id}
        assert await setup.other.worker_queue.claim(10) == []
