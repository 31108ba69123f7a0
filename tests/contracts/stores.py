"""Questions, jobs and answers for the tests of the stores."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import sqlalchemy as sa

from bot.core.calls import CallState, RecordedCall, Step
from bot.core.conversation import Question, RecordedReply, ThreadKey
from bot.core.job import End, EnqueueResult, Job, Piece
from bot.errors import EndReason
from bot.models.events import Usage
from bot.store import Stores, claim
from bot.store.schema import workers
from bot.store.usage import Meter
from bot.store.workers import Observation
from tests.core.conversations import recorded_pages

THREAD = ThreadKey("T1", "C1", "1700000000.000000")
OTHER_THREAD = ThreadKey("T1", "C1", "1700000001.000000")
DIRECT = ThreadKey("T1", "D1", None)
DONE = End(EndReason.WHOLE, model="scripted/echo", usage=Usage(10, 20, 5))
METER = Meter(None, ())
YES = "**Yes.**"

STEPPED = End(EndReason.STEPPED, model="scripted/echo", usage=Usage(10, 5))
SAID = Piece(0, "I'll note it. ")
"""The text of a step."""
CALL = RecordedCall(0, 0, "call_1", "notes__add", {"text": "Milk"}, "hash", CallState.ASKED)


def texts_of(replies: Mapping[str, RecordedReply]) -> dict[str, str]:
    return {ts: reply.text for ts, reply in replies.items()}


def asking_step(*calls: RecordedCall, step_no: int = 0) -> Step:
    """Returns a step of a model that asks for these calls; by default, one that a person must approve."""
    items = ({"type": "text", "text": SAID.text},)
    step = Step(step_no, SAID.chars, items, "scripted/echo", calls or (CALL,), prefix_hash=f"hash {step_no}")
    return replace(step, beginning="" if step_no else "a prompt")


def asked(number: int, thread: ThreadKey = THREAD, text: str = "Why?") -> Question:
    return Question(thread, f"1700000000.{number:06d}", "U1", text)


def apart(number: int) -> Question:
    return asked(number, ThreadKey("T1", f"C1{number:04}", None))


def unclaimed(taken: EnqueueResult, question: Question | None = None) -> Job:
    """Returns a job as it is while its placeholder is posted."""
    return Job(taken.job_id, question or asked(1), taken.attempts)


async def enqueued(store: Stores, question: Question) -> int:
    taken = await store.question_queue.enqueue(f"Ev {question.thread} {question.ts}", question)
    assert taken is not None
    return taken.job_id


async def delete_question(store: Stores, number: int) -> bool:
    return await store.question_queue.delete(THREAD.team_id, THREAD.channel_id, asked(number).ts)


def by(user_id: str, number: int) -> Question:
    return replace(apart(number), user_id=user_id)


async def one(store: Stores) -> Job:
    [job] = await store.worker_queue.claim(1)
    return job


async def begun(store: Stores, question: Question | None = None) -> Job:
    """Returns the running job of a question, by default the first one."""
    await enqueued(store, question or asked(1))
    return await one(store)


async def answered(store: Stores, number: int = 1) -> Job:
    job = await begun(store, asked(number))
    await store.worker_queue.record_messages(job, recorded_pages(f"5.{number}"))
    assert await store.worker_queue.finish(job, DONE, YES)
    return job


async def taken_over(store: Stores, limit: int) -> list[Job]:
    """Has worker w2 take over jobs of w1, as after w1's death."""
    async with store.database.engine.begin() as connection:
        beat = await connection.scalar(sa.select(workers.c.beat).where(workers.c.worker == "w1"))
        return await claim.take_over(connection, "w2", {"w1": Observation(beat)}, limit, 0.0, METER)


async def claimed_within(store: Stores, limit_s: float) -> Job:
    """Polls for a job to claim, as workers do, and returns the first."""
    try:
        async with asyncio.timeout(limit_s):
            while True:
                if jobs := await store.worker_queue.claim(100):
                    return jobs[0]
                await store.worker_queue.wait(1.0)
    except TimeoutError:
        raise AssertionError(f"waited {limit_s:g} s for a job to claim") from None


async def count(store: Stores, table: sa.Table) -> int:
    async with store.database.engine.begin() as connection:
        return await connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
