"""Recorded questions that can be asked again, and what the audit says of that."""

from dataclasses import replace

import pytest

from bot.core.calls import CallState
from bot.core.conversation import Note, Question, ThreadKey
from bot.core.job import End, FollowUp, Wish
from bot.core.usage import AnswerUsage
from bot.errors import EndReason
from bot.models.events import Usage
from bot.models.prompt import OTHERS
from bot.store import Stores
from bot.store.replays import Given, RecordedQuestion, Replays, replay_usages
from bot.store.usage import attempt_usages, thumbs
from tests.clocks import ManualClock
from tests.contracts.stores import (
    CALL,
    DIRECT,
    DONE,
    SAID,
    STEPPED,
    THREAD,
    YES,
    apart,
    asked,
    asking_step,
    enqueued,
    one,
)


async def ended(store: Stores, question: Question, end: End = DONE) -> int:
    job_id = await enqueued(store, question)
    assert await store.worker_queue.finish(await one(store), end, YES)
    return job_id


async def test_questions_that_a_model_was_asked_are_found_by_time_and_place(timed: Stores, clock: ManualClock) -> None:
    before = await ended(timed, apart(1))
    clock.now_s += 10
    since = clock.now_s
    here, direct, there = [await ended(timed, question) for question in (asked(2), asked(3, DIRECT), apart(4))]
    for unasked in (replace(apart(5), is_command=True), replace(apart(6), text="")):
        await ended(timed, unasked)
    await ended(timed, apart(7), replace(DONE, model=None))
    await timed.recorded_answers.delete(await ended(timed, apart(8)), "U1")
    await enqueued(timed, apart(9))
    ids = Replays(timed.database).question_ids
    places = {here: "C1", direct: "D1", there: apart(4).thread.channel_id}
    assert list((await ids(since)).items()) == list(places.items())
    assert list(await ids(since - 10)) == [before, *places]


async def test_question_is_read_as_it_was_asked_with_its_newest_answer(timed: Stores, clock: ManualClock) -> None:
    first, newest, later = asked(1), asked(2), asked(3)
    for question in (first, newest):
        await enqueued(timed, question)
    asked_at = clock.now_s
    clock.now_s += 5
    job = await one(timed)
    assert await timed.recorded_calls.record_step(job, asking_step(), STEPPED, SAID)
    await enqueued(timed, later)
    assert await timed.recorded_calls.take_follow_ups(job, 1) == (FollowUp(later, 1),)
    assert await timed.worker_queue.finish(job, End(EndReason.STEP_LIMIT, model="m", usage=Usage(5)), "Half")
    since = clock.now_s
    assert await timed.question_queue.regenerate(job.id, Wish(continues=True))
    clock.now_s += 7
    again = await one(timed)
    clock.now_s += 9
    assert await timed.worker_queue.finish(again, replace(DONE, note=Note("Noon.", OTHERS)), "Half. Whole.")
    about = await timed.recorded_answers.answer_of_job(THREAD, job.id)
    assert about is not None
    await timed.recorded_answers.record_feedback(about, "U7", -1)
    async with timed.database.begin_read() as connection:
        used, said = await attempt_usages(connection, since + 1), await thumbs(connection, 0.0)
    found = await Replays(timed.database).read(job.id, since + 1)
    assert found is not None
    assert found == RecordedQuestion(
        replace(job, follow_ups=(FollowUp(later, 0),), wish=Wish(continues=True)),
        Given("Half. Whole.", EndReason.WHOLE, 9.0, used),
        clock.now_s,
        Note("Noon.", OTHERS),
        said,
    )
    assert (len(used), len(said), found.job.asked_at, found.job.steps) == (1, 1, asked_at, ())
    await timed.erasure.erase(thread=THREAD)
    assert await Replays(timed.database).read(job.id, since) is None


@pytest.mark.parametrize("cost_usd", [0.25, None])
async def test_what_is_asked_again_is_in_the_audit_and_its_answers_use_counts(
    timed: Stores, clock: ManualClock, cost_usd: float | None
) -> None:
    question = replace(apart(1), user_id="U7", thread=ThreadKey("T1", "C9", "1.5"))
    replays = Replays(timed.database)
    job = await replays.read(await ended(timed, question), 0.0)
    assert job is not None
    clock.now_s += 5
    await replays.record_question(job.job, "openai/n")
    await replays.record_call(job.job, replace(CALL, step_no=2, index=1, state=CallState.BEGUN))
    use = AnswerUsage(0.0, job.job.id, "", "", "openai/n", EndReason.CUT, 11, 7, cost_usd, 1.5)
    await replays.record_usage(job.job, use)
    exported = [line for line in await timed.audit.page(1, 99) if line["kind"] == "replay"]
    facts = ("model", "state", "tool", "step", "index", "end", "input_tokens", "output_tokens", "user", "channel")
    assert [{name: line[name] for name in facts if name in line} for line in exported] == [
        {"model": "openai/n", "user": "U7", "channel": "C9"},
        {"state": "begun", "tool": CALL.tool, "step": 2, "index": 1, "user": "U7", "channel": "C9"},
        {"model": "openai/n", "end": "cut", "input_tokens": 11, "output_tokens": 7, "user": "U7", "channel": "C9"},
    ]
    async with timed.database.begin_read() as connection:
        assert await replay_usages(connection, clock.now_s) == [
            replace(use, at=clock.now_s, user_id="U7", channel_id="C9", first_token_s=None)
        ]
        assert await replay_usages(connection, clock.now_s + 1) == []
