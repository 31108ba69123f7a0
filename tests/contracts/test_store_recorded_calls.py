"""Calls in the database: each begins once, by the attempt that holds the job; approvals work once."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.core.conversation import Job, QueuedThreads
from bot.core.job import End, Piece, Spent
from bot.core.outbox import OUTBOX_HOLD_S, OutboxKind
from bot.core.stream import Usage
from bot.core.tool_calls import APPROVAL_S, CallState, Decided, Decision, RecordedCall, Step
from bot.errors import EndReason
from bot.store import Stores
from bot.store.liveness.failure_detector import Observation
from bot.store.queue import claim
from bot.store.schema import allowed_tools, outbox_entries, steps, tool_calls, turns, workers
from tests.clocks import ManualClock
from tests.contracts.stores import CALL, DONE, STEPPED, THREAD, YES, Workers, asked, asking_step, count, enqueued, one
from tests.core.conversations import recorded_pages

pytest_plugins = ["tests.contracts.databases"]

READY = replace(CALL, state=CallState.READY)
LISTING = replace(READY, tool="notes__list", read_only=True)


async def recorded(store: Stores, *calls: RecordedCall) -> Job:
    """Returns a running job with a recorded step."""
    await enqueued(store, asked(1))
    job = await one(store)
    assert await store.recorded_calls.record(job, asking_step(*calls), STEPPED, Piece(0, "I'll note it. "))
    return job


async def state(store: Stores, job: Job) -> CallState:
    [call] = await store.recorded_calls.calls(job, 0)
    return call.state


async def again(store: Stores, job: Job) -> Job:
    """Releases a job and claims it again."""
    assert await store.worker_queue.release(job)
    return await one(store)


# Approvals in the queue.


async def test_thread_asks_for_an_approval_until_it_is_decided(store: Stores) -> None:
    job = await recorded(store, CALL)
    assert (await store.queue.queued_threads("T1")).asking == frozenset()
    assert await store.recorded_calls.wait(job, None, None)
    queued = await store.queue.queued_threads("T1")
    assert queued == QueuedThreads((), frozenset(), frozenset({THREAD}))
    assert await store.approvals.decide(job.id, job.version, CALL, Decision.APPROVED, "U1")
    queued = await store.queue.queued_threads("T1")
    assert queued == QueuedThreads((THREAD,), frozenset(), frozenset())


# Calls.


async def test_next_attempt_gets_the_recorded_steps_with_their_items(store: Stores) -> None:
    hostile = replace(CALL, arguments={"text": "nul \0 half \ud800 𝄞 \u202e", "deep": [{"a": None}]}, call_id="")
    job = await again(store, await recorded(store, hostile))
    [step] = job.steps
    assert (step.text, step.items, step.model) == (asking_step().text, asking_step().items, "scripted/echo")
    [call] = step.calls
    assert (call.arguments, call.binding) == (hostile.arguments, hostile.binding)
    assert job.fixed_text == job.checkpoint.text == "I'll note it. "


async def test_call_is_recorded_whatever_the_model_calls_it(store: Stores) -> None:
    job = await again(store, await recorded(store, replace(CALL, tool="nul \0 half \ud800", call_id="\0 \ud800")))
    [call] = job.steps[0].calls
    assert (call.tool, call.call_id) == ("nul \ufffd half \ufffd", "\ufffd \ufffd")


async def test_step_counts_its_usage_once_even_if_its_commit_was_not_heard_of(store: Stores) -> None:
    job = await recorded(store)
    assert await store.recorded_calls.record(job, asking_step(), STEPPED, None)
    assert [await count(store, table) for table in (steps, tool_calls, turns)] == [1, 1, 1]


async def used(store: Stores) -> list[tuple[str, int | None]]:
    """Returns the turns' ends and input tokens."""
    async with store.database.engine.begin() as connection:
        rows = await connection.execute(sa.select(turns).order_by(turns.c.id))
        return [(row.end_reason, row.input_tokens) for row in rows]


@pytest.mark.parametrize("restarts", [False, True], ids=["same version", "edited"])
@pytest.mark.parametrize(("step_no", "interrupted"), [(0, []), (1, [("interrupted", 900)])])
async def test_usage_of_a_recorded_step_does_not_count_again_if_the_attempt_ends_then(
    worker: Workers, step_no: int, interrupted: list[tuple[str, int]], restarts: bool
) -> None:
    store = await worker("w1")
    job = await recorded(store, READY)
    if restarts:
        await store.queue.edit(replace(asked(1), text="Why not?"), "1700000009.0")
    assert await store.worker_queue.release(job, spent=Spent(900, 30, "scripted/echo", job.version, step_no))
    assert await used(store) == [("stepped", 10), *interrupted]


@pytest.mark.parametrize(("step_no", "interrupted"), [(0, []), (1, [("interrupted", 900)])])
async def test_usage_of_a_recorded_step_does_not_count_again_if_its_process_dies_before_its_next_heartbeat(
    store: Stores, step_no: int, interrupted: list[tuple[str, int]]
) -> None:
    job = await recorded(store, READY)
    await store.worker_queue.heartbeat({job: Spent(900, 30, "scripted/echo", job.version, step_no)})
    async with store.database.engine.begin() as connection:
        beat = await connection.scalar(sa.select(workers.c.beat))
        [again] = await claim.take_over(connection, "w2", {"w1": Observation(beat)}, 1, 0.0, None)
    assert again.interruptions == 1
    assert await used(store) == [("stepped", 10), *interrupted]


@pytest.mark.parametrize(("step_no", "counted"), [(0, None), (1, 900)])
async def test_usage_of_a_recorded_step_does_not_count_again_if_its_answer_is_stopped_meanwhile(
    store: Stores, step_no: int, counted: int | None
) -> None:
    job = await recorded(store, READY)
    end = End(EndReason.STOPPED, model="scripted/echo", usage=Usage(900, 30), estimated_step=step_no)
    assert await store.worker_queue.finish(job, end, "")
    assert await used(store) == [("stepped", 10), ("stopped", counted)]


@pytest.mark.parametrize(
    ("call", "times"), [(READY, 1), (LISTING, 3), (CALL, 0)], ids=["ready", "read-only", "still asked"]
)
async def test_call_begins_once_unless_it_is_read_only(store: Stores, call: RecordedCall, times: int) -> None:
    job = await recorded(store, call)
    assert [await store.recorded_calls.begin(job, call) for _ in range(3)] == [number < times for number in range(3)]


async def test_call_that_is_over_stays_as_it_ended(store: Stores) -> None:
    job = await recorded(store, LISTING)
    assert await store.recorded_calls.begin(job, LISTING)
    assert await store.recorded_calls.end(job, replace(LISTING, state=CallState.DONE, result="3 notes"))
    assert not await store.recorded_calls.end(job, replace(LISTING, state=CallState.FAILED, result="late"))
    assert not await store.recorded_calls.begin(job, LISTING)
    [call] = await store.recorded_calls.calls(job, 0)
    assert (call.state, call.result) == (CallState.DONE, "3 notes")


async def test_call_with_other_arguments_than_recorded_does_not_begin(store: Stores) -> None:
    job = await recorded(store, READY)
    assert not await store.recorded_calls.begin(job, replace(READY, arguments={"text": "Bread"}))


async def test_attempt_that_lost_its_job_writes_nothing(worker: Workers) -> None:
    store, other = await worker("w1"), await worker("w2")
    late = await recorded(store, READY)
    assert await store.worker_queue.release(late)
    job = await one(other)
    assert not await store.recorded_calls.begin(late, READY)
    assert not await store.recorded_calls.record(late, asking_step(step_no=1), STEPPED, None)
    assert await other.recorded_calls.begin(job, READY)
    assert not await store.recorded_calls.end(late, replace(READY, state=CallState.DONE))
    assert not await store.recorded_calls.wait(late, None, None)
    assert await store.recorded_calls.take_follow_ups(late, 1) == ()
    assert await state(other, job) is CallState.BEGUN


async def test_nothing_begins_once_a_stop_is_requested_or_the_question_is_edited(store: Stores) -> None:
    job = await recorded(store, READY)
    await store.queue.edit(replace(asked(1), text="Why not?"), "1700000009.0")
    assert not await store.recorded_calls.begin(job, READY)
    assert await store.worker_queue.finish(job, DONE, YES) is False
    job = await one(store)
    assert (job.version, job.steps) == (1, ())
    assert await store.recorded_calls.record(job, asking_step(READY), STEPPED, None)
    await store.queue.request_stop(job.id)
    assert not await store.recorded_calls.begin(job, READY)


async def test_new_version_knows_what_an_earlier_one_may_have_changed(store: Stores) -> None:
    job = await recorded(store, READY, replace(LISTING, index=1), replace(READY, index=2))
    for call in (READY, replace(LISTING, index=1)):
        assert await store.recorded_calls.begin(job, call)
    await store.queue.edit(replace(asked(1), text="Why not?"), "1700000009.0")
    assert await store.recorded_calls.end(job, replace(READY, state=CallState.DONE, result="Noted"))
    await store.worker_queue.finish(job, DONE, YES)
    [made] = await store.recorded_calls.made_before(await one(store))
    assert (made.tool, made.state) == (READY.tool, CallState.DONE)


async def test_calls_of_the_same_version_were_made_for_no_earlier_one(store: Stores) -> None:
    job = await recorded(store, READY)
    assert await store.recorded_calls.begin(job, READY)
    await store.worker_queue.finish(job, DONE, YES)
    await store.queue.regenerate(job.id)
    job = await one(store)
    other = replace(READY, arguments={"text": "Bread"})
    assert await store.recorded_calls.record(job, asking_step(other), STEPPED, None)
    assert await store.recorded_calls.begin(job, other)
    made = await store.recorded_calls.made_before(await again(store, job))
    assert [call.arguments for call in made] == [READY.arguments]


@pytest.mark.parametrize(
    ("was_begun", "arguments", "repeats"),
    [(True, CALL.arguments, True), (False, CALL.arguments, False), (True, {"text": "Bread"}, False)],
    ids=["begun", "not begun", "other arguments"],
)
async def test_call_repeats_one_that_was_begun_for_an_earlier_version(
    store: Stores, was_begun: bool, arguments: dict[str, object], repeats: bool
) -> None:
    job = await recorded(store, READY)
    if was_begun:
        assert await store.recorded_calls.begin(job, READY)
    await store.worker_queue.finish(job, DONE, YES)
    await store.queue.regenerate(job.id)
    call = replace(CALL, arguments=arguments)
    assert await store.recorded_calls.record(await one(store), asking_step(call), STEPPED, None)
    [shown] = await store.approvals.shown(job.id)
    assert shown.repeats is repeats


# Approvals.


async def test_job_waits_only_while_a_call_is_to_be_decided(store: Stores) -> None:
    job = await recorded(store)
    assert await store.approvals.decide(job.id, 0, CALL, Decision.APPROVED, "U1")
    assert not await store.recorded_calls.wait(job, None, None), "the decision was faster"
    assert await state(store, job) is CallState.READY


async def test_waiting_job_goes_on_once_all_calls_are_decided(store: Stores) -> None:
    second = replace(CALL, index=1)
    job = await recorded(store, CALL, second)
    assert await store.recorded_calls.wait(job, None, None)
    assert await store.approvals.decide(job.id, 0, CALL, Decision.APPROVED, "U1")
    assert await store.worker_queue.claim(1) == []
    assert await store.approvals.decide(job.id, 0, second, Decision.DENIED, "U2")
    job = await one(store)
    calls = job.steps[0].calls
    assert [(call.state, call.decision, call.decided_by) for call in calls] == [
        (CallState.READY, Decision.APPROVED, "U1"),
        (CallState.DENIED, Decision.DENIED, "U2"),
    ]


@pytest.mark.parametrize(
    "other",
    [{"version": 1}, {"binding": "tool"}, {"binding": "arguments"}, {"binding": "definition_hash"}, {"index": 1}],
    ids=str,
)
async def test_decision_about_another_call_has_no_effect(store: Stores, other: dict[str, object]) -> None:
    job = await recorded(store)
    assert await store.recorded_calls.wait(job, None, None)
    changes = {"tool": {"tool": "x__y"}, "arguments": {"arguments": {}}, "definition_hash": {"definition_hash": "new"}}
    call = replace(CALL, **changes.get(str(other.get("binding")), {}), index=int(str(other.get("index", 0))))  # type: ignore[arg-type]
    assert not await store.approvals.decide(job.id, int(str(other.get("version", 0))), call, Decision.APPROVED, "U1")
    assert await store.worker_queue.claim(1) == []


async def test_decision_after_a_stop_has_no_effect(store: Stores) -> None:
    job = await recorded(store)
    assert await store.recorded_calls.wait(job, None, None)
    assert await store.queue.request_stop(job.id)
    assert not await store.approvals.decide(job.id, 0, CALL, Decision.APPROVED, "U1")
    assert [waiting.id for waiting in await store.worker_queue.claim(1)] == [job.id], "a worker ends it"


async def test_calls_expire_when_their_time_is_over(database_url: str) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    job = await recorded(store)
    assert await store.recorded_calls.wait(job, None, None)
    clock.now_s += APPROVAL_S - 1
    assert await store.approvals.expire() == 0
    clock.now_s += 1
    assert not await store.approvals.decide(job.id, 0, CALL, Decision.APPROVED, "U1"), "too late"
    assert await store.approvals.expire() == 1
    [call] = (await one(store)).steps[0].calls
    assert (call.state, call.decision) == (CallState.DENIED, Decision.EXPIRED)
    await store.close()


async def test_mention_is_due_only_while_the_job_waits_and_once_for_each_approval(database_url: str) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    job = await recorded(store, CALL, replace(CALL, index=1))
    assert await store.recorded_calls.wait(job, None, clock.now_s + 60)
    assert await store.outbox.take(9) == [], "too early"
    clock.now_s += 60
    [entry] = await store.outbox.take(9)
    assert (entry.kind, entry.question.user_id) == (OutboxKind.ASK_APPROVAL, "U1")
    assert await store.approvals.decide(job.id, 0, CALL, Decision.APPROVED, "U1")
    clock.now_s += OUTBOX_HOLD_S
    late, decision = await store.outbox.take(9)
    await store.outbox.complete(decision)
    assert (late.tries, late.waits_until) == (2, entry.waits_until), "its process has died"
    assert await store.approvals.decide(job.id, 0, replace(CALL, index=1), Decision.DENIED, "U1")
    clock.now_s += OUTBOX_HOLD_S + 1
    assert await store.outbox.take(9) == [], "nothing waits any more"
    job = await one(store)
    assert await store.recorded_calls.record(job, asking_step(replace(CALL, step_no=1), step_no=1), STEPPED, None)
    assert await store.recorded_calls.wait(job, None, clock.now_s)
    await store.outbox.complete(late)
    [again] = await store.outbox.take(9)
    assert (again.tries, again.waits_until) == (1, clock.now_s + APPROVAL_S)
    await store.close()


async def test_mention_is_to_be_cleared_once_the_job_waits_no_longer(store: Stores) -> None:
    job = await recorded(store, CALL)
    assert await store.recorded_calls.wait(job, None, 0.0)
    [entry] = await store.outbox.take(9)
    await store.outbox.complete(entry, "7.1")
    assert await store.outbox.take(9) == [], "the call still waits"
    assert await store.approvals.decide(job.id, 0, CALL, Decision.APPROVED, "U1")
    [clear] = await store.outbox.take(9)
    assert (clear.kind, clear.ask_ts) == (OutboxKind.CLEAR_ASK, "7.1")
    await store.outbox.complete(clear)
    assert await count(store, outbox_entries) == 0


async def test_mention_that_is_posted_after_the_decision_is_cleared_too(store: Stores) -> None:
    job = await recorded(store, CALL)
    assert await store.recorded_calls.wait(job, None, 0.0)
    [entry] = await store.outbox.take(9)
    assert await store.approvals.decide(job.id, 0, CALL, Decision.APPROVED, "U1")
    assert await store.worker_queue.finish(await one(store), DONE, YES)
    await store.outbox.complete(entry, "7.1")
    assert [(clear.kind, clear.ask_ts) for clear in await store.outbox.take(9)] == [(OutboxKind.CLEAR_ASK, "7.1")]


async def test_mention_of_an_erased_job_leaves_nothing_to_clear(store: Stores) -> None:
    job = await recorded(store, CALL)
    assert await store.recorded_calls.wait(job, None, 0.0)
    [entry] = await store.outbox.take(9)
    await store.erasure.erase(user_id="U1")
    await store.outbox.complete(entry, "7.1")
    assert await count(store, outbox_entries) == 0


BOTH = CALL, replace(CALL, index=1)


async def test_decision_is_shown_while_the_job_waits_for_others_and_the_job_is_not_claimed_meanwhile(
    database_url: str,
) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    job = await recorded(store, *BOTH)
    await store.worker_queue.record_messages(job, recorded_pages("5.1"))
    assert await store.recorded_calls.wait(job, None, None)
    assert await store.approvals.decide(job.id, 0, BOTH[0], Decision.DENIED, "U1")
    [entry] = await store.outbox.take(9)
    assert (entry.kind, entry.page_ts) == (OutboxKind.SHOW_DECISION, ("5.1",))
    waiting = await store.outbox.job_awaiting_approval(entry)
    assert waiting is not None
    assert [call.state for call in waiting.steps[0].calls] == [CallState.DENIED, CallState.ASKED]
    assert (waiting.attempts, waiting.fixed_text) == (2, "I'll note it. ")
    await store.outbox.record_messages(entry, recorded_pages("6.1"))
    assert waiting.page_ts == ("5.1",)
    assert await store.approvals.decide(job.id, 0, BOTH[1], Decision.APPROVED, "U1")
    assert await store.outbox.job_awaiting_approval(entry) is None
    assert await store.worker_queue.claim(1) == [], "its reply is being edited"
    await store.outbox.complete(entry)
    assert (await one(store)).page_ts == ("6.1",)
    assert await store.outbox.take(9) == []
    await store.close()


async def test_decision_is_not_shown_once_all_are_made_and_leaves_nothing_behind(store: Stores) -> None:
    job = await recorded(store, *BOTH)
    assert await store.recorded_calls.wait(job, None, None)
    for call in BOTH:
        assert await store.approvals.decide(job.id, 0, call, Decision.DENIED, "U1")
    assert await store.outbox.take(9) == []
    assert await store.worker_queue.finish(await one(store), DONE, YES)
    assert await count(store, outbox_entries) == 0


async def test_process_that_shows_a_decision_keeps_its_entry_when_another_one_is_made(database_url: str) -> None:
    clock, calls = ManualClock(), (*BOTH, replace(CALL, index=2))
    store = await Stores.open(database_url, "w1", clock)
    job = await recorded(store, *calls)
    assert await store.recorded_calls.wait(job, None, None)
    assert await store.approvals.decide(job.id, 0, calls[0], Decision.APPROVED, "U1")
    [entry] = await store.outbox.take(9)
    assert await store.approvals.decide(job.id, 0, calls[1], Decision.APPROVED, "U1")
    assert await store.outbox.take(9) == []
    clock.now_s += OUTBOX_HOLD_S
    [again] = await store.outbox.take(9)
    assert (again.id, again.tries) == (entry.id, 2), "its process has died"
    await store.close()


async def test_job_that_ends_leaves_no_mention_behind(store: Stores) -> None:
    job = await recorded(store)
    assert await store.recorded_calls.wait(job, None, 0.0)
    assert await store.queue.request_stop(job.id)
    assert await store.worker_queue.finish(await one(store), DONE, YES)
    assert await count(store, outbox_entries) == 0


@pytest.mark.parametrize(("user_id", "waits_again"), [("U1", True), ("U2", False)], ids=["the asker", "an admin"])
async def test_asker_who_decides_waits_again(database_url: str, user_id: str, waits_again: bool) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    job = await recorded(store)
    assert await store.recorded_calls.wait(job, None, None)
    clock.now_s += 600
    assert await store.approvals.decide(job.id, 0, CALL, Decision.APPROVED, user_id)
    assert (await one(store)).asked_at == (clock.now_s if waits_again else job.asked_at)
    await store.close()


async def test_question_of_the_asker_denies_and_of_another_person_does_not(store: Stores) -> None:
    job = await recorded(store)
    assert await store.recorded_calls.wait(job, None, None)
    await enqueued(store, replace(asked(2), user_id="U2"))
    theirs = await one(store)
    assert theirs.question.user_id == "U2", "a waiting job holds up nobody"
    await enqueued(store, asked(3, text="Bread"))
    assert await store.worker_queue.finish(theirs, DONE, YES)
    again = await one(store)
    assert (again.id, again.steps[0].calls[0].decision) == (job.id, Decision.REPLIED)
    assert await store.worker_queue.finish(again, DONE, YES)
    [denied] = await store.recorded_calls.replied_to(await one(store))
    assert (denied.tool, denied.arguments, denied.state) == (CALL.tool, CALL.arguments, CallState.DENIED)


@pytest.mark.parametrize(
    ("below", "decision"), [((1,), Decision.REPLIED), ((1, 2), None)], ids=["written below", "written above"]
)
async def test_question_denies_only_calls_that_stand_above_it(
    store: Stores, below: tuple[int, ...], decision: Decision | None
) -> None:
    """`below`: the questions below which the reply's pages stand."""
    job = await recorded(store)
    await store.worker_queue.record_messages(job, recorded_pages(*(f"{asked(number).ts}5" for number in below)))
    assert await store.recorded_calls.wait(job, None, None)
    await enqueued(store, asked(2))
    [call] = await store.approvals.shown(job.id)
    assert call.decision is decision


async def test_only_the_reply_itself_follows_denied_calls_and_knows_what_else_was_done(store: Stores) -> None:
    job = await recorded(store, CALL, replace(READY, index=1), replace(LISTING, index=2), replace(READY, index=3))
    for made in (replace(READY, index=1), replace(LISTING, index=2)):
        assert await store.recorded_calls.begin(job, made)
        assert await store.recorded_calls.end(job, replace(made, state=CallState.DONE))
    assert await store.recorded_calls.wait(job, None, None)
    await enqueued(store, asked(2))
    assert await store.worker_queue.finish(await one(store), DONE, YES)
    reply = await one(store)
    assert [call.index for call in await store.recorded_calls.replied_to(reply)] == [0, 1]
    assert await store.worker_queue.finish(reply, DONE, YES)
    await enqueued(store, asked(3))
    assert await store.recorded_calls.replied_to(await one(store)) == ()


async def test_question_that_slack_delivers_again_denies_nothing(store: Stores) -> None:
    job = await recorded(store)
    await enqueued(store, asked(2))
    assert await store.recorded_calls.wait(job, None, None)
    assert await store.queue.enqueue("Ev2 again", asked(2)) is None
    assert await state(store, job) is CallState.ASKED


async def test_tool_is_allowed_always_as_it_is_defined_in_one_channel(store: Stores) -> None:
    await store.approvals.allow_always(THREAD, CALL, "U1")
    await store.approvals.allow_always(THREAD, replace(CALL, definition_hash="new"), "U1")
    assert await store.recorded_calls.always_allowed(THREAD) == {CALL.tool: "new"}
    assert await store.recorded_calls.always_allowed(replace(THREAD, channel_id="C2")) == {}
    assert await count(store, allowed_tools) == 1


# Questions while tools run.


async def test_follow_ups_are_taken_along_in_order_up_to_one_that_is_not(store: Stores) -> None:
    job = await recorded(store, LISTING)
    for number, user_id in [(2, "U1"), (3, "U1"), (4, "U2"), (5, "U1")]:
        await enqueued(store, replace(asked(number), user_id=user_id))
    assert [taken.question.ts for taken in await store.recorded_calls.take_follow_ups(job, 1)] == [
        asked(2).ts,
        asked(3).ts,
    ]
    assert await store.recorded_calls.take_follow_ups(job, 2) == ()
    job = await again(store, job)
    assert [(taken.question.ts, taken.step_no) for taken in job.follow_ups] == [(asked(2).ts, 1), (asked(3).ts, 1)]
    assert job.earlier == ()


async def test_regenerated_answer_is_not_taken_along(store: Stores) -> None:
    """Its own answer is on record, and its asker wants another one, not a follow-up to an earlier question."""
    await enqueued(store, asked(1))
    assert await store.worker_queue.finish(first := await one(store), DONE, YES)
    await enqueued(store, asked(2))
    assert await store.worker_queue.finish(second := await one(store), DONE, YES)
    assert await store.queue.regenerate(first.id)
    job = await one(store)
    assert await store.recorded_calls.record(job, asking_step(LISTING), STEPPED, Piece(0, ""))
    assert await store.queue.regenerate(second.id)
    assert await store.recorded_calls.take_follow_ups(job, 1) == ()


async def test_edit_of_a_follow_up_starts_over_with_it_known_from_the_start(store: Stores) -> None:
    job = await recorded(store, LISTING)
    await enqueued(store, asked(2))
    await store.recorded_calls.take_follow_ups(job, 1)
    await store.queue.edit(replace(asked(2), text="And why not?"), "1700000009.0")
    assert await store.worker_queue.finish(job, DONE, YES) is False
    job = await one(store)
    assert (job.version, [taken.step_no for taken in job.follow_ups]) == (1, [0])


# Erasure and retention.


async def test_texts_of_steps_go_with_the_answer(database_url: str) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    job = await recorded(store, LISTING)
    await store.recorded_calls.begin(job, LISTING)
    await store.recorded_calls.end(job, replace(LISTING, state=CallState.DONE, result="a secret"))
    assert await store.erasure.expire(clock.now_s + 1) == 0, "live jobs keep their texts"
    await store.worker_queue.finish(job, DONE, YES)
    assert await count(store, steps) == 0
    clock.now_s += 10
    await store.erasure.expire(clock.now_s)
    [call] = await store.approvals.shown(job.id)
    assert (call.arguments, call.result, call.tool) == ({}, "", LISTING.tool)
    await store.erasure.erase(thread=THREAD)
    assert await count(store, tool_calls) == 0
    await store.close()


async def test_deleted_answer_keeps_no_text_of_its_steps(store: Stores) -> None:
    job = await recorded(store, replace(LISTING, state=CallState.DONE, result="a secret"))
    await store.worker_queue.finish(job, DONE, YES)
    await store.recorded_answers.delete(job.id, "U1")
    async with store.database.engine.connect() as connection:
        rows = (await connection.execute(sa.select(tool_calls.c.arguments, tool_calls.c.result))).all()
    assert [tuple(row) for row in rows] == [("", "")]


async def test_call_that_ends_after_its_answer_was_deleted_keeps_no_text(store: Stores) -> None:
    job = await recorded(store, READY)
    assert await store.recorded_calls.begin(job, READY)
    await store.recorded_answers.delete(job.id, "U1")
    assert await store.recorded_calls.end(job, replace(READY, state=CallState.DONE, result="a secret"))
    await store.worker_queue.finish(job, DONE, YES)
    await store.audit.seal()
    async with store.database.engine.connect() as connection:
        rows = (await connection.execute(sa.select(tool_calls.c.arguments, tool_calls.c.result))).all()
    assert [tuple(row) for row in rows] == [("", "")]
    assert not [line for line in await store.audit.page(1, 100) if "arguments_sha256" in line]


def test_reprs_show_no_arguments_and_no_results() -> None:
    call = replace(CALL, arguments={"text": "a secret"}, result="a secret")
    assert "secret" not in repr(Step(0, "a secret", ({"text": "a secret"},), "m", (call,)))


async def test_revoked_tool_asks_again_where_it_was_revoked(store: Stores) -> None:
    here, there = THREAD, replace(THREAD, channel_id="C2")
    for thread in (here, there):
        for tool in ("notes__add", "notes__drop"):
            await store.approvals.allow_always(thread, replace(CALL, tool=tool), "U1")
    assert await store.approvals.revoke(["notes__add", "notes__other"], "U1", "T1", here.channel_id) == 1
    assert set(await store.recorded_calls.always_allowed(here)) == {"notes__drop"}
    assert [allowed.tool for allowed in await store.approvals.allowed("T1", "C2")] == ["notes__add", "notes__drop"]
    assert await store.approvals.revoke(["notes__drop"]) == 2
    assert [(allowed.channel_id, allowed.tool, allowed.by) for allowed in await store.approvals.allowed()] == [
        ("C2", "notes__add", "U1")
    ]


async def test_end_that_slack_did_not_accept_says_who_decided_until_they_are_erased(database_url: str) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    job = await recorded(store, *BOTH)
    assert await store.recorded_calls.wait(job, None, None)
    assert await store.approvals.decide(job.id, 0, BOTH[0], Decision.APPROVED, "U1")
    assert await store.approvals.decide(job.id, 0, BOTH[1], Decision.DENIED, "UADMIN")
    assert await store.worker_queue.finish(await one(store), DONE, YES, for_outbox=OutboxKind.SHOW_END)
    clock.now_s += OUTBOX_HOLD_S + 1
    [entry] = await store.outbox.take(9)
    for admin in ("UADMIN", ""):
        unshown = await store.outbox.unshown_end(entry)
        assert unshown is not None
        assert unshown.checkpoint.end is not None
        decided = (Decided(Decision.APPROVED, "U1", 1), Decided(Decision.DENIED, admin, 1))
        assert unshown.checkpoint.end.decided == decided
        await store.erasure.erase(user_id="UADMIN")
    await store.close()
