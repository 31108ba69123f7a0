"""The table of core/job.py, row by row: each transition happens on a real database, and no other does."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest

from bot.core.conversation import Job
from bot.core.job import TRANSITIONS, EndReason, Event, Outcome, State, reason_of
from bot.core.stream import FinishReason
from bot.errors import Failure
from bot.ports.clock import SystemClock
from bot.store import Stores
from bot.store.liveness.failure_detector import LEASE_S
from tests.contracts.stores import DONE, THREAD, asked, enqueued
from tests.contracts.transitions import states

pytest_plugins = ["tests.contracts.databases"]


class ToldClock(SystemClock):
    """Goes on when it is told to."""

    time_s = 1_700_000_000.0

    def now(self) -> float:
        return self.time_s

    def monotonic(self) -> float:
        return self.time_s


@dataclass
class Stage:
    """One job in a database, and two workers."""

    clock: ToldClock
    worker: Stores
    other: Stores
    job: Job = field(default_factory=lambda: Job(1, asked(1), attempts=1))
    """As it was claimed last, or as a worker would have it that never claimed it."""

    async def state(self) -> State:
        return (await states(self.worker)).get(self.job.id, State.ABSENT)

    async def claim(self) -> None:
        for job in await self.worker.worker_queue.claim(10):
            if job.id == self.job.id:
                self.job = job


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    clock = ToldClock()
    worker = await Stores.open(database_url, "w1", clock)
    # Without a lock, so that only its silence tells of its death.
    other = Stores(worker.database.engine, "w2", clock)
    yield Stage(clock, worker, other)
    await worker.close()


async def enqueue(stage: Stage) -> None:
    assert await enqueued(stage.worker, asked(1)) == stage.job.id


async def enqueue_later(stage: Stage) -> None:
    await enqueued(stage.worker, asked(2))


async def claim(stage: Stage) -> None:
    await stage.claim()


async def batch(stage: Stage) -> None:
    await enqueue_later(stage)
    await stage.claim()


async def unbatch(stage: Stage) -> None:
    await stage.worker.queue.delete(THREAD.team_id, THREAD.channel_id, asked(2).ts)


async def take_over(stage: Stage) -> None:
    """A worker that never saw the first one's heartbeat change looks each second."""
    for _ in range(int(LEASE_S) + 2):
        stage.clock.time_s += 1
        for job in await stage.other.worker_queue.claim(10):
            stage.job = job


async def release(stage: Stage) -> None:
    await stage.worker.worker_queue.release(stage.job)


async def finish(stage: Stage) -> None:
    await stage.worker.worker_queue.finish(stage.job, DONE)


async def deny(stage: Stage) -> None:
    await stage.worker.worker_queue.finish(stage.job, Outcome(EndReason.DENIED, ""))


async def erase(stage: Stage) -> None:
    await stage.worker.erasure.erase(thread=THREAD)


async def remove(stage: Stage) -> None:
    await erase(stage)
    await finish(stage)


async def stop(stage: Stage) -> None:
    await stage.worker.queue.request_stop(stage.job.id)


async def edit(stage: Stage) -> None:
    await stage.worker.queue.edit(replace(asked(1), text="Why not?"), "1700000009.000000")


async def finish_outdated(stage: Stage) -> None:
    await edit(stage)
    await finish(stage)


async def delete_question(stage: Stage) -> None:
    await stage.worker.queue.delete(THREAD.team_id, THREAD.channel_id, asked(1).ts)


async def regenerate(stage: Stage) -> None:
    await stage.worker.queue.regenerate(stage.job.id)


Act = Callable[[Stage], Awaitable[None]]

WAYS: dict[State, tuple[Act, ...]] = {
    State.ABSENT: (),
    State.QUEUED: (enqueue,),
    State.RUNNING: (enqueue, claim),
    State.RELEASED: (enqueue, claim, release),
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
    Event.REMOVE: remove,
    Event.STOP: stop,
    Event.EDIT: edit,
    Event.DELETE_QUESTION: delete_question,
    Event.REGENERATE: regenerate,
    Event.ERASE: erase,
}
"""How each event happens to a job."""
COMPOUND = {Event.ENQUEUE, Event.BATCH, Event.UNBATCH, Event.TAKE_OVER, Event.REMOVE}
"""Events that need a state to happen in at all: anywhere else, the act would be another event."""
NO_EFFECT = [
    (state, event)
    for state in State
    for event in Event
    if (state, event) not in TRANSITIONS and event not in COMPOUND and state is not State.ABSENT
]


async def bring(stage: Stage, state: State) -> None:
    for act in WAYS[state]:
        await act(stage)
    assert await stage.state() is state


@pytest.mark.parametrize(("state", "event"), TRANSITIONS, ids=str)
async def test_each_transition_leads_where_the_table_says(stage: Stage, state: State, event: Event) -> None:
    await bring(stage, state)
    await ACTS[event](stage)
    assert await stage.state() is TRANSITIONS[state, event]


@pytest.mark.parametrize(("state", "event"), NO_EFFECT, ids=str)
async def test_an_event_that_the_table_lacks_moves_nothing(stage: Stage, state: State, event: Event) -> None:
    await bring(stage, state)
    await ACTS[event](stage)
    assert await stage.state() is state


async def test_an_attempt_at_an_outdated_version_releases_its_job(stage: Stage) -> None:
    await bring(stage, State.RUNNING)
    await finish_outdated(stage)
    assert await stage.state() is State.RELEASED


def test_each_state_can_be_left_and_reached() -> None:
    assert set(WAYS) == set(State) == {state for state, _ in TRANSITIONS} == set(TRANSITIONS.values())
    assert set(ACTS) == set(Event) == {event for _, event in TRANSITIONS}


def test_each_failure_of_a_provider_is_an_end_reason() -> None:
    assert all(reason_of(failure).is_failure for failure in Failure)
    assert [reason_of(reason) for reason in FinishReason] == [EndReason.WHOLE, EndReason.LENGTH_LIMIT]


def test_each_end_reason_is_of_one_kind() -> None:
    """An answer, a stop or a failure; a denial is none of them, nor is the end of an attempt alone."""
    kinds = {reason: (reason.is_answer, reason.is_stop, reason.is_failure) for reason in EndReason}
    none = {reason for reason, kind in kinds.items() if sum(kind) == 0}
    assert none == {EndReason.DENIED, EndReason.INTERRUPTED}
    assert all(sum(kind) <= 1 for kind in kinds.values())
