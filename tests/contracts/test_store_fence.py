"""The fence: an attempt that no longer has its job writes nothing, by whatever operation of the store.

The test walks the operations themselves: one that takes a job, or that a worker's classes gain, has to be listed here.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core.calls import CallState
from bot.core.caps import Amount, Cap, CapWindow, Period, Scope
from bot.core.conversation import File
from bot.core.job import End, Job, Piece, StepEstimate
from bot.core.outbox import OutboxKind
from bot.errors import EndReason
from bot.models.events import Usage
from bot.store import Stores
from bot.store.database import Operations
from bot.store.schema import metadata, workers
from tests.contracts.databases import Process
from tests.contracts.stores import CALL, DONE, SAID, STEPPED, YES, asked, asking_step, begun, enqueued, one
from tests.core.conversations import recorded_pages

pytestmark = pytest.mark.is_postgresql

pytest_plugins = ["tests.contracts.databases"]

ASKED = CALL
READY = replace(CALL, index=1, state=CallState.READY)
BEGUN = replace(CALL, index=2, state=CallState.READY)
LATE = recorded_pages("5.9")
CLIP = File("F1", "clip.m4a", user_id="U1", transcript="Late.")
HEARD = End(EndReason.TRANSCRIBED, model="openai/gpt-transcribe", usage=Usage(audio_s=60.0))
CAP = Cap(CapWindow(Scope.USER, Period.DAY), 1_000_000, in_dollars=False)
OFFERS = replace(DONE, choices=("Yes", "No"))

Write = Callable[[Stores, Job], Awaitable[object]]

WRITES: Mapping[str, Write] = {
    "worker_queue.heartbeat": lambda store, job: store.worker_queue.heartbeat(
        {job: StepEstimate(9, 9)}, {job: Piece(0, "L")}
    ),
    "worker_queue.checkpoint": lambda store, job: store.worker_queue.checkpoint({job: Piece(0, "Late.")}),
    "worker_queue.record_messages": lambda store, job: store.worker_queue.record_messages(job, LATE),
    "worker_queue.finish": lambda store, job: store.worker_queue.finish(
        job, OFFERS, YES, should_mention=True, outbox_kind=OutboxKind.REPLY, canvas_for="U1"
    ),
    "worker_queue.release": lambda store, job: store.worker_queue.release(job, Piece(0, "Late.")),
    "recorded_calls.record_step": lambda store, job: store.recorded_calls.record_step(
        job, asking_step(replace(READY, step_no=1), step_no=1), STEPPED, Piece(0, "Late.")
    ),
    "recorded_calls.begin_call": lambda store, job: store.recorded_calls.begin_call(job, READY),
    "recorded_calls.end_call": lambda store, job: store.recorded_calls.end_call(
        job, replace(BEGUN, state=CallState.DONE)
    ),
    "recorded_calls.take_follow_ups": lambda store, job: store.recorded_calls.take_follow_ups(job, 1),
    "recorded_calls.wait_for_decisions": lambda store, job: store.recorded_calls.wait_for_decisions(
        job, Piece(0, "Late."), 1.0, 0.0
    ),
    "transcripts.record": lambda store, job: store.transcripts.record(job, [CLIP], HEARD),
    "usage.reserve": lambda store, job: store.usage.reserve(job, Amount(7, 0.0), [CAP]),
}
"""Each write of an attempt, as it holds its job or too late."""
PLACEHOLDERS = {"worker_queue.begin_placeholder", "worker_queue.record_placeholder"}
"""They come before an attempt, and name the one before that."""
OTHERS = {
    "audit.record_identity",
    "question_queue.enqueue",
    "worker_queue.claim",
    "worker_queue.wait",
    "question_queue.request_stop",
    "question_queue.regenerate",
    "recorded_answers.delete",
    "recorded_answers.record_reason",
    "recorded_answers.on_schedule_stopped",
    "recorded_answers.switch_version",
    "approvals.decide",
    "answer_canvases.request",
    "kept_tests.keep",
    "answer_canvases.record",
    "answer_canvases.forget",
    "memories.restore",
    "schedules.restore",
    "schedules.skip",
}
"""What begins an attempt, and what people and the outbox do to a job whoever has it."""


def _operations() -> set[str]:
    """Returns the store's writes that are about a job, and all writes of the classes that only workers use."""
    source = inspect.getsource(Stores.__init__)
    classes = dict(re.findall(r"self\.(\w+) = (\w+)\(database", source))
    assert len(classes) > 15, "how Stores makes its classes has changed"
    namespace = inspect.getmodule(Stores).__dict__
    found = set()
    for name, class_name in classes.items():
        cls = namespace[class_name]
        if not issubclass(cls, Operations):
            continue
        for method_name, method in inspect.getmembers(cls, inspect.isfunction):
            written = inspect.getsource(inspect.unwrap(method)).lstrip()
            parameters = inspect.signature(inspect.unwrap(method)).parameters.values()
            is_about_job = any(p.name == "job_id" or re.search(r"\bJob\b", str(p.annotation)) for p in parameters)
            is_workers = name in ("worker_queue", "recorded_calls", "transcripts")
            if not method_name.startswith("_") and not written.startswith("@reads") and (is_about_job or is_workers):
                found.add(f"{name}.{method_name}")
    return found


def test_each_write_about_a_job_is_listed() -> None:
    assert _operations() == {*WRITES, *PLACEHOLDERS, *OTHERS}


async def held(store: Stores) -> Job:
    """Returns a running job with a recorded step, a call that is under way, and another question behind it."""
    job = await begun(store)
    assert await store.recorded_calls.record_step(job, asking_step(ASKED, READY, BEGUN), STEPPED, SAID)
    assert await store.recorded_calls.begin_call(job, BEGUN)
    await store.worker_queue.record_messages(job, recorded_pages("5.1"))
    await enqueued(store, asked(2))
    return job


async def release(store: Stores, other: Stores, job: Job) -> None:
    assert await store.worker_queue.release(job)


async def hand_over(store: Stores, other: Stores, job: Job) -> None:
    await release(store, other, job)
    again = await one(other)
    await other.worker_queue.record_messages(again, recorded_pages("5.1", "5.2", "5.3"))


async def hand_over_twice(store: Stores, other: Stores, job: Job) -> None:
    await release(store, other, job)
    again = await one(other)
    await other.worker_queue.record_messages(again, recorded_pages("5.1", "5.2", "5.3"))
    assert await other.worker_queue.release(again)


async def claim_again(store: Stores, other: Stores, job: Job) -> None:
    await release(store, other, job)
    assert (await one(store)).id == job.id


async def await_approval(store: Stores, other: Stores, job: Job) -> None:
    assert await store.recorded_calls.wait_for_decisions(job, None, None, store.clock.now())


async def end(store: Stores, other: Stores, job: Job) -> None:
    assert await store.worker_queue.finish(job, DONE, YES)


async def end_elsewhere(store: Stores, other: Stores, job: Job) -> None:
    await release(store, other, job)
    assert await other.worker_queue.finish(await one(other), DONE, YES)


LOSSES = [release, hand_over, hand_over_twice, claim_again, await_approval, end, end_elsewhere]
"""How an attempt comes to have its job no longer."""


async def contents(store: Stores) -> dict[str, list[dict[str, Any]]]:
    """Returns all rows of the database but the workers' own, whose heartbeats go on."""
    async with store.database.engine.begin() as connection:
        return {
            table.name: [
                dict(row._mapping)
                for row in await connection.execute(sa.select(table).order_by(*table.primary_key.columns))
            ]
            for table in metadata.sorted_tables
            if table is not workers
        }


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
@pytest.mark.long(after_row=5)
async def test_attempt_that_lost_its_job_writes_nothing(
    worker: Process, loss: Callable[[Stores, Stores, Job], Awaitable[None]]
) -> None:
    store, other = await worker("w1"), await worker("w2")
    job = await held(store)
    await loss(store, other, job)
    before = await contents(store)
    for name, write in WRITES.items():
        await write(store, job)
        assert await contents(store) == before, f"{name} wrote"
    await store.worker_queue.record_placeholder(replace(job, attempts=job.attempts - 1), LATE)
    assert not await store.worker_queue.begin_placeholder(replace(job, attempts=job.attempts - 1))
    assert await contents(store) == before, "a placeholder was written"


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.long(after_row=5)
async def test_attempt_that_has_its_job_writes(store: Stores, name: str) -> None:
    job = await held(store)
    before = await contents(store)
    await WRITES[name](store, job)
    assert await contents(store) != before
