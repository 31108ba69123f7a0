"""Whose words an answer had read stays on record: another process reads the same, whatever happens to the answer."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from bot.core.conversation import Job
from bot.core.job import End, Piece
from bot.core.trust import ASKERS, FILE, OTHERS, OURS, TOOL, UNKNOWN, WEB, Origins
from bot.errors import EndReason
from bot.store import Stores
from tests.contracts.stores import STEPPED, Workers, apart, asking_step, enqueued, one
from tests.core.conversations import recorded_pages

pytest_plugins = ["tests.contracts.databases"]

EACH = [OURS, ASKERS, ASKERS | OTHERS, ASKERS | FILE, ASKERS | TOOL, ASKERS | WEB, UNKNOWN]


async def claimed(store: Stores, number: int) -> Job:
    """Returns the running job of a question with a thread of its own and one shown message."""
    await enqueued(store, apart(number))
    job = await one(store)
    await store.worker_queue.record_messages(job, recorded_pages("5.1"))
    return job


def with_end(reason: EndReason, origins: Origins) -> End:
    return End(reason, model="scripted/echo", origins=origins)


async def read_by_a_later_question(store: Stores, number: int) -> Origins:
    return (await store.recorded_answers.replies(apart(number).thread))["5.1"].origins


async def earlier_answer(first: Stores, second: Stores, number: int, origins: Origins) -> Origins:
    job = await claimed(first, number)
    assert await first.worker_queue.finish(job, with_end(EndReason.WHOLE, origins), "Seen.")
    return await read_by_a_later_question(second, number)


async def regenerated_answer(first: Stores, second: Stores, number: int, origins: Origins) -> Origins:
    job = await claimed(first, number)
    assert await first.worker_queue.finish(job, with_end(EndReason.WHOLE, OURS), "By heart.")
    assert await second.queue.regenerate(job.id)
    assert await second.worker_queue.finish(await one(second), with_end(EndReason.WHOLE, origins), "Seen.")
    return await read_by_a_later_question(first, number)


async def continued_answer(first: Stores, second: Stores, number: int, origins: Origins) -> Origins:
    job = await claimed(first, number)
    assert await first.worker_queue.finish(job, with_end(EndReason.STEP_LIMIT, origins), "Seen.")
    assert await second.queue.regenerate(job.id, continues=True)
    return (await one(second)).so_far_origins


async def continued_answer_taken_over(first: Stores, second: Stores, number: int, origins: Origins) -> Origins:
    job = await claimed(first, number)
    assert await first.worker_queue.finish(job, with_end(EndReason.STEP_LIMIT, origins), "Seen.")
    assert await first.queue.regenerate(job.id, continues=True)
    assert await first.worker_queue.release(await one(first))
    return (await one(second)).so_far_origins


async def step_taken_over(first: Stores, second: Stores, number: int, origins: Origins) -> Origins:
    job, step = await claimed(first, number), replace(asking_step(), origins=origins)
    assert await first.recorded_calls.record(job, step, STEPPED, Piece(0, step.text))
    assert await first.worker_queue.release(job)
    [recorded] = (await one(second)).steps
    return recorded.origins


async def end_that_is_shown_after_a_restart(first: Stores, second: Stores, number: int, origins: Origins) -> Origins:
    job = await claimed(first, number)
    assert await first.worker_queue.release(job, Piece(0, "Seen.", with_end(EndReason.WHOLE, origins)))
    end = (await one(second)).checkpoint.end
    return UNKNOWN if end is None else end.origins


Way = Callable[[Stores, Stores, int, Origins], Awaitable[Origins]]
WAYS: list[Way] = [
    earlier_answer,
    regenerated_answer,
    continued_answer,
    continued_answer_taken_over,
    step_taken_over,
    end_that_is_shown_after_a_restart,
]


@pytest.mark.parametrize("way", WAYS)
async def test_origins_of_an_answer_are_on_record_for_other_processes(worker: Workers, way: Way) -> None:
    first, second = await worker("w1"), await worker("w2")
    assert [await way(first, second, number, origins) for number, origins in enumerate(EACH, 1)] == EACH
