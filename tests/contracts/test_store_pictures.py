"""What stands below an answer follows from the database, whichever way the answer came to be shown."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core.actions import ReplyAction
from bot.core.job import Checkpoint, End, Job, Notice, NoticeKind, Piece
from bot.core.outbox import OutboxKind, wait_s
from bot.core.picture import Picture, picture
from bot.core.schedules import Proposal, Rule
from bot.core.texts.memory import UNDONE
from bot.errors import EndReason
from bot.store import Stores
from bot.store.schema import tool_calls
from tests.clocks import ManualClock
from tests.contracts.stores import DONE, SAID, STEPPED, asked, asking_step, begun, one
from tests.pictures import CALLS, END, FACTS, TEXT, seen

USUAL = set(FACTS) - {"that the question was edited"}


async def nothing() -> None:
    """Happens between an approval and the answer's end."""


async def with_all(
    store: Stores, job: Job, *, before_the_end: Callable[[], Awaitable[None]] = nothing, **options: Any
) -> None:
    """Ends a job with an answer below which all stands that may stand there."""
    schedule_id = await store.schedules.create("T1", "C1", "U1", Proposal("Sum up.", Rule("UTC", "0 9 * * *")))
    assert schedule_id == CALLS[-1].item_no, "it is the third"
    assert await store.recorded_calls.record_step(job, asking_step(*CALLS), STEPPED, SAID)
    async with store.database.engine.begin() as connection:
        for call in CALLS:
            of_call = tool_calls.c.tool == call.tool
            made = {"state": call.state.value, "decision": str(call.decision), "decided_by": "U1", "made": call.item_no}
            await connection.execute(sa.update(tool_calls).where(of_call).values(**made))
    await store.memories.remember(job.question, "We deploy on Tuesdays.", is_private=False, is_proposed=True)
    await before_the_end()
    assert await store.worker_queue.finish(job, END, TEXT, **options)


async def below(store: Stores) -> Picture:
    [entry] = [one for one in await store.outbox.claim_due(9) if one.kind is not OutboxKind.SIDE_MESSAGES]
    job = await store.outbox.unshown_end(entry)
    assert job
    assert job.record
    await store.outbox.complete(entry)
    return picture(job.record, optional=[ReplyAction.CANVAS])


async def shown_later(store: Stores, clock: ManualClock, job: Job) -> None:
    await with_all(store, job, outbox_kind=OutboxKind.REPLY)
    clock.now_s += wait_s(0)


async def by_previous(store: Stores, clock: ManualClock, job: Job) -> None:
    await with_all(store, job)
    assert await store.question_queue.regenerate(job.id)
    assert await store.worker_queue.finish(await one(store), DONE, "Second.")
    await store.recorded_answers.switch_version(job.id, to_next=False)


async def by_previous_and_next(store: Stores, clock: ManualClock, job: Job) -> None:
    assert await store.worker_queue.finish(job, DONE, "First.")
    assert await store.question_queue.regenerate(job.id)
    await with_all(store, await one(store))
    await store.recorded_answers.switch_version(job.id, to_next=False)
    await store.recorded_answers.switch_version(job.id, to_next=True)


async def after_undo(store: Stores, clock: ManualClock, job: Job) -> None:
    await with_all(store, job)
    assert await store.memories.undo(job.question, "U1")


async def undone_before_the_end(store: Stores, clock: ManualClock, job: Job) -> None:
    async def undo() -> None:
        assert await store.memories.undo(job.question, "U1")
        assert await store.schedules.stop("T1", CALLS[-1].item_no, "U1")

    await with_all(store, job, before_the_end=undo)


async def undone_before_the_end_of_another_version(store: Stores, clock: ManualClock, job: Job) -> None:
    assert await store.worker_queue.finish(job, DONE, "First.")
    assert await store.question_queue.regenerate(job.id)
    await undone_before_the_end(store, clock, await one(store))


async def after_its_schedule_was_stopped(store: Stores, clock: ManualClock, job: Job) -> None:
    await with_all(store, job)
    assert await store.schedules.stop("T1", CALLS[-1].item_no, "U1")


async def after_an_edit(store: Stores, clock: ManualClock, job: Job) -> None:
    await with_all(store, job)
    await store.participants.record_line(job.question.thread, "U2", "1700000000.000009")
    assert await store.question_queue.edit(replace(job.question, text="Why not?"), "9.0")


WAYS: dict[Callable[[Stores, ManualClock, Job], Awaitable[None]], set[str]] = {
    shown_later: USUAL,
    by_previous: USUAL - {"Save as canvas", "choices"},
    by_previous_and_next: USUAL,
    after_undo: USUAL - {"what was remembered"},
    undone_before_the_end: USUAL - {"what was remembered", "what was scheduled"},
    undone_before_the_end_of_another_version: USUAL - {"what was remembered", "what was scheduled"},
    after_its_schedule_was_stopped: USUAL - {"what was scheduled"},
    after_an_edit: set(FACTS) - {"choices"},
}


@pytest.fixture
async def two_schedules(timed: Stores) -> None:
    """The schedule of the answer gets the number that its record has."""
    for number in range(CALLS[-1].item_no - 1):
        await timed.schedules.create("T1", "C2", "U9", Proposal(f"Do {number}.", Rule("UTC", "0 9 * * *")))


@pytest.mark.usefixtures("two_schedules")
@pytest.mark.parametrize("way", WAYS)
async def test_each_fact_is_seen_whichever_way_the_answer_came_to_be_shown(
    timed: Stores, clock: ManualClock, way: Callable[[Stores, ManualClock, Job], Awaitable[None]]
) -> None:
    await way(timed, clock, await begun(timed))
    assert seen(await below(timed)) == WAYS[way]


async def test_end_names_what_it_was_about_until_it_is_undone_in_a_take_over(timed: Stores) -> None:
    job = await begun(timed)
    end = End(EndReason.COMMAND, (Notice(NoticeKind.REMEMBERED, "Remembered."),))
    await timed.worker_queue.checkpoint({job: Piece(0, "", end)})
    await timed.worker_queue.release(job)
    again = await one(timed)
    assert again.checkpoint == Checkpoint("", end)
    assert await timed.worker_queue.finish(again, end, "")
    await timed.memories.remember(asked(1), "Tea", is_private=False)
    assert await timed.memories.undo(asked(1), "U1")
    assert (await below(timed)).notice == UNDONE


async def test_answer_that_is_stopped_after_an_edit_is_shown_though_the_edit_took_its_reply_away(store: Stores) -> None:
    job = await begun(store)
    assert await store.question_queue.edit(replace(job.question, text="Why not?"), "9.0")
    assert await store.question_queue.request_stop(job.id)
    assert not await store.worker_queue.checkpoint({job: Piece(0, "Half.")}), "its text goes nowhere"
    assert await store.worker_queue.finish(job, End(EndReason.STOPPED), "Half.")
    assert (await below(store)).reason is EndReason.STOPPED
