"""One attempt at a job: what is recorded at each of its ends, with a real database and a manual clock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core import choices, texts
from bot.core.access import UserKind
from bot.core.caps import parse_caps
from bot.core.channel_settings import ChannelSettings, Length, prompt_version
from bot.core.conversation import File, ThreadKey
from bot.core.files import OpenedFile, unread_notice
from bot.core.job import Checkpoint, End, Job, Spent
from bot.core.outbox import OutboxKind
from bot.core.prompt import LENGTH_RULES, Marks
from bot.core.steps import MIN_CHARS
from bot.core.surfaces import Sign
from bot.errors import EndReason, ProviderError
from bot.models.events import (
    Citation,
    Completion,
    Feature,
    FinishReason,
    Retrying,
    Searching,
    StreamEvent,
    Thinking,
    ToolCall,
    Usage,
)
from bot.models.prices import ModelPrices
from bot.models.prompt import ASKERS, OTHERS, OURS, Effort, Media, Origins, ToolDefinition
from bot.reply.answer import HIDDEN_TOKENS_PER_S, Answer
from bot.reply.messages import Shown
from bot.services.answer_attempt import AnswerAttempt, BuiltPrompt, Phase
from bot.services.prompt_builder import PromptBuilder
from bot.services.steps import GO_ON_AFTER_S
from bot.store import Stores
from bot.store.rows import messages_of
from bot.store.schema import jobs
from bot.store.worker_queue import WorkerQueue
from tests.charged_turns import CHARGED_TURNS
from tests.clocks import WITHIN_S, InstantClock
from tests.core.conversations import recorded_pages
from tests.services.answering import (
    BEGAN_S,
    DONE,
    MESSAGES,
    MODEL,
    MODEL_NAME,
    QUESTION,
    AnsweringStage,
    MemoryReplies,
    MemoryReply,
)
from tests.services.parts import ME, having


@pytest.fixture
async def stage() -> AsyncIterator[AnsweringStage]:
    clock = InstantClock(BEGAN_S)
    stores = await Stores.open("sqlite://", "w1", clock)
    stage = AnsweringStage(stores, clock)
    await stores.question_queue.enqueue("Ev1", QUESTION)
    running = asyncio.create_task(stage.worker.run())
    yield stage
    stage.worker.stop()
    await stage.worker.hand_over()
    await asyncio.wait((running,))
    await stores.close()


async def turns_of(stage: AnsweringStage) -> Sequence[sa.Row[Any]]:
    async with stage.stores.database.engine.connect() as connection:
        return (await connection.execute(CHARGED_TURNS)).all()


async def rename_jobs(stage: AnsweringStage, name: str, new_name: str) -> None:
    async with stage.stores.database.engine.begin() as connection:
        await connection.execute(sa.text(f"ALTER TABLE {name} RENAME TO {new_name}"))


# Stop.


async def test_stop_while_the_end_is_being_shown_leaves_the_answer_whole(stage: AnsweringStage) -> None:
    stage.replies.may_open.set()
    stage.model.may_end.set()
    await stage.until(lambda: any(reply.end for reply in stage.replies.opened), "the end is being shown")
    stage.worker.stop_answer(stage.attempts[0].job.id)
    await asyncio.sleep(0.02)
    stage.replies.may_finish.set()
    await stage.ended()
    row = await stage.row()
    assert (row.status, row.end_reason) == ("ended", EndReason.WHOLE)
    assert not stage.replies.opened[0].is_left, "the end was shown to its end"


async def test_stop_while_the_model_writes_ends_the_answer_with_its_text_so_far(stage: AnsweringStage) -> None:
    stage.replies.may_open.set()
    stage.replies.may_finish.set()
    await stage.model.speaks.wait()
    stage.worker.stop_answer(stage.attempts[0].job.id)
    await stage.ended()
    assert stage.model.hung_up, "the stream must be closed, so that the vendor stops billing"
    assert (await stage.row()).end_reason == EndReason.STOPPED
    assert seen(stage.replies.opened[0].end) == End(EndReason.STOPPED, footer=MODEL_NAME)
    [life] = stage.lives
    assert life.usage is not None, "what the model wrote counts by estimate"
    assert life.usage.output_tokens > 0


async def test_stop_while_the_model_thinks_in_silence_counts_its_thinking(stage: AnsweringStage) -> None:
    stage.model.events = (Thinking(),)
    stage.replies.may_open.set()
    stage.replies.may_finish.set()
    await stage.model.speaks.wait()
    stage.clock.now_s += 2.0
    stage.worker.stop_answer(stage.attempts[0].job.id)
    await stage.ended()
    [life] = stage.lives
    assert life.usage is not None
    assert life.usage.output_tokens >= 2.0 * HIDDEN_TOKENS_PER_S


async def test_model_that_only_thought_is_counted(alone: AnsweringStage) -> None:
    alone.model.events, alone.model.error = (Thinking(),), ProviderError(EndReason.ONLY_THOUGHT, MODEL)
    await attempt_at(alone)
    assert (await turn(alone)).input_tokens > 0


async def test_stop_before_the_model_is_asked_asks_no_model(stage: AnsweringStage) -> None:
    await stage.until(lambda: stage.replies.opening == 1, "the placeholder is being posted")
    stage.worker.stop_answer(stage.attempts[0].job.id)
    stage.open_all()
    await stage.ended()
    assert stage.model.prompts == []
    assert (await stage.row()).end_reason == EndReason.STOPPED
    assert seen(stage.replies.opened[0].end) == End(EndReason.STOPPED, texts.STOPPED)


# Attempts that end before their job.


async def test_hand_over_releases_the_job_with_the_text_so_far(stage: AnsweringStage) -> None:
    stage.replies.may_open.set()
    await stage.model.speaks.wait()
    stage.worker.stop()
    await stage.worker.hand_over()
    assert stage.replies.opened[0].is_left
    row = await stage.row()
    assert (row.status, row.worker, row.end_reason) == ("queued", None, None)
    assert messages_of(row) == MESSAGES
    [job] = await stage.stores.worker_queue.claim(1)
    assert job.checkpoint.text == "Because."
    assert stage.lives == []


async def test_lost_job_is_left_to_the_process_that_took_it_over(stage: AnsweringStage) -> None:
    stage.replies.may_open.set()
    await stage.model.speaks.wait()
    stage.worker.stop()
    async with stage.stores.database.engine.begin() as connection:
        await connection.execute(sa.update(jobs).values(attempts=2))
    beating = asyncio.create_task(stage.worker.stay_alive())
    await stage.ended()
    beating.cancel()
    assert stage.attempts[0].phase is Phase.LOST
    row = await stage.row()
    assert (row.status, row.attempts, row.end_reason) == ("running", 2, None)
    assert stage.replies.opened[0].is_left


# Jobs that end without a model.


async def test_a_question_stays_queued_if_the_token_is_refused_before_the_model_is_asked(stage: AnsweringStage) -> None:
    await stage.until(lambda: stage.replies.opening == 1, "the placeholder is being posted")
    stage.accounts.token_refused = True
    stage.open_all()
    await stage.ended()
    assert stage.replies.opened[0].is_left
    row = await stage.row()
    assert (stage.model.prompts, row.status, messages_of(row)) == ([], "queued", MESSAGES)
    stage.worker.wake()
    await asyncio.sleep(0.02)
    assert len(stage.attempts) == 1, "nothing is claimed while Slack refuses the token"
    stage.accounts.token_refused = False
    stage.worker.wake()
    await stage.until(lambda: len(stage.attempts) == 2, "the question is claimed again")
    await stage.ended()
    assert (await stage.row()).end_reason == EndReason.WHOLE
    assert len(stage.model.prompts) == 1


async def test_an_asker_whom_slack_does_not_name_because_of_the_token_is_not_denied(stage: AnsweringStage) -> None:
    stage.accounts.refuses_token = True
    await stage.ended()
    assert (await stage.row()).status == "queued"
    assert stage.accounts.sentences == []


async def test_an_answer_goes_on_if_the_token_is_refused_while_the_model_writes(stage: AnsweringStage) -> None:
    stage.replies.may_open.set()
    await stage.model.speaks.wait()
    stage.accounts.token_refused = True
    stage.open_all()
    await stage.ended()
    assert (await stage.row()).end_reason == EndReason.WHOLE


async def test_a_question_is_queued_again_however_long_the_database_is_away(stage: AnsweringStage) -> None:
    """The process runs on, so that no other one would take the job over."""
    await stage.until(lambda: stage.replies.opening == 1, "the placeholder is being posted")
    stage.accounts.token_refused = True
    await rename_jobs(stage, "jobs", "jobs_away")
    stage.open_all()
    await stage.until(lambda: len(stage.clock.sleeps) >= 6, "the job could not be released for a while")
    await rename_jobs(stage, "jobs_away", "jobs")
    await stage.ended()
    assert (await stage.row()).status == "queued"


DENIED_GUEST = texts.naming_admins(texts.DENIED_GUEST, ["<@UADMIN>"])


async def test_denied_asker_gets_an_explanation_and_no_reply(stage: AnsweringStage) -> None:
    stage.accounts.kind_of_all = UserKind.GUEST
    stage.open_all()
    await stage.ended()
    assert (stage.replies.opening, stage.model.prompts) == (0, [])
    assert (await stage.row()).end_reason == EndReason.DENIED
    await stage.until(lambda: stage.accounts.sentences == [DENIED_GUEST], "the asker reads why")


async def test_question_whose_reply_has_begun_is_not_denied(stage: AnsweringStage) -> None:
    stage.replies.may_open.set()
    await stage.model.speaks.wait()
    [attempt] = stage.attempts
    await stage.stores.worker_queue.record_messages(attempt.job, recorded_pages("999991.000000"))
    stage.worker._cancel(attempt.job.id, Phase.HANDOVER)
    stage.accounts.kind_of_all = UserKind.GUEST
    await stage.until(lambda: len(stage.attempts) == 2, "the job is claimed again")
    stage.open_all()
    await stage.ended()
    assert (await stage.row()).end_reason == EndReason.WHOLE


async def test_job_that_was_interrupted_too_often_asks_no_model() -> None:
    clock = InstantClock(BEGAN_S)
    stores = await Stores.open("sqlite://", "w1", clock)
    stage = AnsweringStage(stores, clock)
    stage.open_all()
    await stores.question_queue.enqueue("Ev1", QUESTION)
    [job] = await stores.worker_queue.claim(1)
    await stage.answering.answer(AnswerAttempt(Answer(replace(job, interruptions=3)), clock.monotonic()))
    assert stage.model.prompts == []
    assert (await stage.row()).end_reason == EndReason.INTERRUPTED_TOO_OFTEN
    assert seen(stage.replies.opened[0].end) == End(EndReason.INTERRUPTED_TOO_OFTEN, texts.interrupted())
    await stores.close()


# Failing replies and models.


async def test_deleted_reply_ends_the_stream(stage: AnsweringStage) -> None:
    stage.replies.gone = True
    stage.replies.may_open.set()
    stage.replies.may_finish.set()
    await stage.ended()
    assert stage.model.hung_up
    assert (await stage.row()).end_reason == EndReason.REPLY_GONE


@pytest.mark.parametrize(
    ("events", "failure", "is_charged"),
    [
        ((), EndReason.OVERLOADED, False),
        (("Because",), EndReason.REFUSED, True),
        ((Retrying(0.5, is_charged=True),), EndReason.OVERLOADED, True),
        ((Thinking(80), Retrying(0.5)), EndReason.OVERLOADED, False),
        ((), EndReason.STALLED, True),
    ],
)
async def test_failed_model_is_charged_for_the_text_that_it_began(
    stage: AnsweringStage, events: Sequence[StreamEvent], failure: EndReason, is_charged: bool
) -> None:
    stage.model.events, stage.model.error = events, ProviderError(failure, MODEL)
    stage.open_all()
    await stage.ended()
    assert (await stage.row()).end_reason == failure.value
    [life] = stage.lives
    assert (life.usage is not None) is is_charged


PART = "A sentence of an answer that is long enough to go on after it. " * 8 + "\n\n"
assert len(PART) > MIN_CHARS


async def test_failed_requests_that_are_charged_count_beside_the_one_that_answered(stage: AnsweringStage) -> None:
    lost = (Thinking(400), Retrying(0.5, is_charged=True), Thinking(4_000), Retrying(1.0))
    stage.model.events = (*lost, "Because.", Completion(MODEL, FinishReason.STOP, Usage(10, 2)))
    stage.open_all()
    await stage.ended()
    [life] = stage.lives
    assert life.usage is not None
    assert (life.usage.input_tokens > 10, life.usage.output_tokens) == (True, 100 + 2)
    assert stage.replies.opened[0].activities == [texts.TRYING_AGAIN, ""]


def interrupted_at(reason: EndReason, *parts: str) -> list[tuple[Sequence[StreamEvent], ProviderError | None]]:
    """Returns what the model does: after each part it fails, and then it completes the answer."""
    scripts: list[tuple[Sequence[StreamEvent], ProviderError | None]]
    scripts = [((part,), ProviderError(reason, MODEL)) for part in parts]
    return [*scripts, (("The end.", DONE), None)]


@pytest.mark.parametrize("reason", [reason for reason in EndReason if reason.may_pass])
async def test_answer_whose_model_fails_midway_goes_on_at_once_and_once_more_after_a_wait(
    stage: AnsweringStage, reason: EndReason
) -> None:
    stage.model.scripts = interrupted_at(reason, PART, "It goes on.\n\n")
    stage.open_all()
    await stage.until(lambda: bool(stage.lives), "the answer has ended")
    rows = await turns_of(stage)
    assert [row.end_reason for row in rows] == ["interrupted", "interrupted", "whole"]
    assert rows[-1].answer == f"{PART}It goes on.\n\nThe end."
    assert all(row.input_tokens and row.output_tokens for row in rows), "each request is charged, once"
    assert stage.clock.sleeps.count(GO_ON_AFTER_S[1]) == 1
    assert [bool(reply.activities) for reply in stage.replies.opened] == [False, True, False]
    [_, *others] = stage.model.prompts
    assert [PART.strip() in prompt.turns[-2].text for prompt in others] == [True, True]
    assert [reply.is_left for reply in stage.replies.opened] == [True, True, False]


async def test_third_failure_midway_ends_the_answer_with_its_text_and_continue(stage: AnsweringStage) -> None:
    stage.model.scripts = interrupted_at(EndReason.CUT, PART, "It goes on.\n\n", "And on.")
    stage.open_all()
    await stage.until(lambda: bool(stage.lives), "the answer has ended")
    assert [row.end_reason for row in await turns_of(stage)] == ["interrupted", "interrupted", "cut"]
    end = stage.replies.opened[-1].end
    assert end is not None
    assert end.notice == texts.model_failure(EndReason.CUT, MODEL_NAME, goes_on=True)
    assert "Continue" in end.notice
    assert end.reason.is_continuable
    assert (await turns_of(stage))[-1].answer == f"{PART}It goes on.\n\nAnd on."


async def test_interrupted_short_text_is_written_again(stage: AnsweringStage) -> None:
    stage.model.scripts = [(("Beca",), ProviderError(EndReason.CUT, MODEL)), (("Because.", DONE), None)]
    stage.open_all()
    await stage.until(lambda: bool(stage.lives), "the answer has ended")
    assert (await turns_of(stage))[-1].answer == "Because."
    assert stage.model.prompts[0] == stage.model.prompts[1]


async def stage_that_waits_to_go_on() -> tuple[AnsweringStage, asyncio.Event]:
    """Returns a stage on which the model has failed twice, and whose wait ends with the event."""
    waits, goes_on = asyncio.Event(), asyncio.Event()

    class Held(InstantClock):
        async def sleep(self, delay_s: float) -> None:
            if delay_s == GO_ON_AFTER_S[1]:
                waits.set()
                await goes_on.wait()
            else:
                await super().sleep(delay_s)

    clock = Held(BEGAN_S)
    stage = AnsweringStage(await Stores.open("sqlite://", "w1", clock), clock)
    stage.model.scripts = interrupted_at(EndReason.SERVER_ERROR, PART, "It goes on.\n\n")
    await stage.stores.question_queue.enqueue("Ev1", QUESTION)
    stage.open_all()
    return stage, waits


@pytest.mark.parametrize("is_edited", [False, True], ids=["stopped", "edited"])
async def test_stop_and_edit_end_the_wait_to_go_on(is_edited: bool) -> None:
    stage, waits = await stage_that_waits_to_go_on()
    running = asyncio.create_task(stage.worker.run())
    await asyncio.wait_for(waits.wait(), WITHIN_S)
    job_id = stage.attempts[0].job.id
    if is_edited:
        await stage.stores.question_queue.edit(replace(QUESTION, text="Why not?"), "999995.000000")
        stage.worker._cancel(job_id, Phase.RESTART)
    else:
        stage.worker.stop_answer(job_id)
    await stage.until(lambda: bool(stage.lives), "the answer has ended")
    last = (await turns_of(stage))[-1]
    if is_edited:
        assert (last.end_reason, last.answer) == ("whole", "The end.")
    else:
        assert (last.end_reason, last.answer) == ("stopped", f"{PART}It goes on.\n\n")
    stage.worker.stop()
    await asyncio.wait((running,))
    await stage.stores.close()


async def test_process_that_ends_hands_the_wait_over() -> None:
    stage, waits = await stage_that_waits_to_go_on()
    running = asyncio.create_task(stage.worker.run())
    await asyncio.wait_for(waits.wait(), WITHIN_S)
    stage.worker.stop()
    await asyncio.wait((running,))
    await stage.worker.hand_over()
    [job] = await stage.stores.worker_queue.claim(1)
    assert (job.checkpoint.text, job.interruptions) == (f"{PART}It goes on.\n\n", 1)
    await stage.stores.close()


async def test_end_that_slack_did_not_accept_goes_to_the_outbox(stage: AnsweringStage) -> None:
    stage.replies.for_outbox = OutboxKind.SHOW_END
    stage.open_all()
    await stage.ended()
    stage.clock.now_s += 60.0
    [entry] = await stage.stores.outbox.take(5)
    assert entry.kind is OutboxKind.SHOW_END
    job = await stage.stores.outbox.unshown_end(entry)
    assert job is not None
    assert job.checkpoint.end is not None
    assert (job.checkpoint.text, job.checkpoint.end.reason) == ("Because.", EndReason.WHOLE)


# The record.


async def test_end_is_recorded_once_an_unavailable_database_is_back(stage: AnsweringStage) -> None:
    stage.replies.may_open.set()
    stage.model.may_end.set()
    await stage.until(lambda: any(reply.end for reply in stage.replies.opened), "the end is being shown")
    await rename_jobs(stage, "jobs", "away")
    stage.clock.sleeps.clear()
    stage.replies.may_finish.set()
    await stage.until(lambda: len(stage.clock.sleeps) > 4, "its record was tried again")
    await rename_jobs(stage, "away", "jobs")
    await stage.ended()
    assert stage.clock.sleeps[:5] == [0.5, 1.0, 2.0, 4.0, 5.0]
    assert (await stage.row()).end_reason == EndReason.WHOLE
    assert len(stage.lives) == 1


async def test_end_is_recorded_after_an_unexpected_error_of_its_record(
    alone: AnsweringStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, errors = WorkerQueue.finish, [ValueError("unforeseen")]

    async def finish_later(queue: WorkerQueue, *args: Any, **more: Any) -> bool:
        if errors:
            raise errors.pop()
        return await finish(queue, *args, **more)

    monkeypatch.setattr(WorkerQueue, "finish", finish_later)
    await attempt_at(alone)
    assert (await turn(alone)).end_reason == EndReason.WHOLE


@pytest.mark.parametrize(("took_s", "kinds"), [(59.0, []), (61.0, [OutboxKind.MENTION_ASKERS])])
async def test_askers_are_mentioned_after_a_long_wait(
    stage: AnsweringStage, took_s: float, kinds: list[OutboxKind]
) -> None:
    stage.replies.may_open.set()
    stage.replies.may_finish.set()
    await stage.model.speaks.wait()
    stage.clock.now_s += took_s
    stage.model.may_end.set()
    await stage.ended()
    assert [entry.kind for entry in await stage.stores.outbox.take(5)] == kinds


async def test_metrics_of_an_answer_have_its_times(stage: AnsweringStage) -> None:
    await stage.until(lambda: stage.replies.opening == 1, "the placeholder is being posted")
    stage.clock.now_s += 2.0
    stage.replies.may_open.set()
    stage.replies.may_finish.set()
    await stage.model.speaks.wait()
    stage.clock.now_s += 3.0
    stage.model.may_end.set()
    await stage.ended()
    [life] = stage.lives
    assert (life.times.waited_s, life.times.first_token_s, life.times.total_s) == (10.0, 2.0, 5.0)
    assert (life.end_reason, life.usage, life.calls) == (EndReason.WHOLE, Usage(10, 2), 3)


# Ends, as readers see them and as they are recorded.


@pytest.fixture
async def alone() -> AsyncIterator[AnsweringStage]:
    """Yields a stage whose worker does not run, with one question. Slack and the model answer at once."""
    clock = InstantClock(BEGAN_S)
    stores = await Stores.open("sqlite://", "w1", clock)
    stage = AnsweringStage(stores, clock)
    stage.open_all()
    await stores.question_queue.enqueue("Ev1", QUESTION)
    yield stage
    await stores.close()


async def attempt_at(stage: AnsweringStage, change: Callable[[Job], Job] = lambda job: job) -> AnswerAttempt:
    """Claims the question's job and runs an attempt at it, as if the job were changed."""
    [job] = await stage.stores.worker_queue.claim(1)
    attempt = AnswerAttempt(Answer(change(job)), stage.clock.monotonic())
    await stage.answering.answer(attempt)
    return attempt


async def turn(stage: AnsweringStage) -> sa.Row[tuple[object, ...]]:
    """Returns the row of the only recorded turn."""
    async with stage.stores.database.engine.connect() as connection:
        return (await connection.execute(CHARGED_TURNS)).one()


def end_of(stage: AnsweringStage) -> End | None:
    """Returns how readers see the end of the only reply."""
    [reply] = stage.replies.opened
    return seen(reply.end)


def seen(end: End | None) -> End | None:
    """Returns what readers see of an end."""
    if end is None:
        return None
    return End(end.reason, end.notice, end.footer, has_previous=end.has_previous, has_details=end.has_details)


async def unshown_end(stage: AnsweringStage) -> End | None:
    """Returns the end that the outbox is to show."""
    stage.clock.now_s += 60.0
    [entry] = await stage.stores.outbox.take(5)
    assert entry.kind is OutboxKind.SHOW_END
    job = await stage.stores.outbox.unshown_end(entry)
    assert job is not None
    return job.checkpoint.end


@pytest.mark.parametrize(
    ("finish_reason", "end_reason", "notice"),
    [
        (FinishReason.STOP, EndReason.WHOLE, ""),
        (FinishReason.LENGTH, EndReason.LENGTH_LIMIT, texts.LENGTH_LIMIT),
    ],
)
async def test_complete_answer_is_recorded_with_its_model_usage_and_prompt_version(
    alone: AnsweringStage, finish_reason: FinishReason, end_reason: EndReason, notice: str
) -> None:
    alone.model.events = ("Because.", Completion(MODEL, finish_reason, Usage(10, 2)))
    attempt = await attempt_at(alone)
    row = await turn(alone)
    assert (row.answer, row.end_reason, row.model) == ("Because.", end_reason, MODEL)
    assert (row.input_tokens, row.output_tokens, row.first_token_s) == (10, 2, 0.0)
    assert attempt.built is not None
    assert row.prompt_version == attempt.built.prompt_version
    assert end_of(alone) == End(end_reason, notice, MODEL_NAME)
    assert messages_of(await alone.row()) == MESSAGES
    [prompt] = alone.model.prompts
    assert [turn.text for turn in prompt.turns][-1].endswith("Why?")


async def test_search_is_named_on_the_placeholder_and_its_sources_are_recorded(alone: AnsweringStage) -> None:
    source = Citation("https://example.com/typist", "Typist")
    searches = (Searching(), Searching("bots", done=True), "Because", Searching("more"), source, " it", " is.")
    alone.model.events = (
        *searches,
        Citation("javascript:alert(1)", "No"),
        Completion(MODEL, FinishReason.STOP, Usage(90_000, 2, web_searches=2)),
    )
    estimate = alone.answering.steps.prompt_builder.estimate
    before = estimate.tokens("word " * 100)
    await attempt_at(alone)
    row = await turn(alone)
    assert (row.sources, row.web_searches) == ([["https://example.com/typist", "Typist"]], 2)
    [reply] = alone.replies.opened
    assert reply.activities == [*map(texts.searching, ("", "bots")), "", texts.searching("more"), ""]
    assert reply.end is not None
    assert list(reply.end.sources) == [source]
    assert alone.answering.steps.prompt_builder.estimate.tokens("word " * 100) == before, (
        "what a search found is not in the prompt"
    )


async def test_model_that_took_over_is_recorded_and_named(alone: AnsweringStage) -> None:
    alone.model.events = ("Because.", Completion("anthropic/claude", FinishReason.STOP, Usage(10, 2)))
    await attempt_at(alone)
    assert (await turn(alone)).model == "anthropic/claude"
    assert end_of(alone) == End(EndReason.WHOLE, footer=texts.fell_back("claude"))


async def test_footer_says_what_the_model_refused(alone: AnsweringStage) -> None:
    refused = (Feature.TOOLS, Feature.WEB_SEARCH)
    alone.model.events = ("Because.", Completion(MODEL, FinishReason.STOP, Usage(10, 2), refused=refused))
    await attempt_at(alone)
    footer = f"{MODEL_NAME} · answered without tools and web search, which this model refuses"
    assert end_of(alone) == End(EndReason.WHOLE, footer=footer)


async def test_answer_without_reported_usage_counts_text_and_thinking_by_estimate(alone: AnsweringStage) -> None:
    alone.model.events = (
        *(Thinking(30), Thinking(20), "Because", " it is."),
        Completion(MODEL, FinishReason.STOP, None),
    )
    attempt = await attempt_at(alone)
    row = await turn(alone)
    assert (row.answer, row.output_tokens) == ("Because it is.", (30 + 20 + 14) // 4)
    assert attempt.step is not None
    assert row.input_tokens == attempt.step.input_tokens > 0


@pytest.mark.parametrize(
    ("kind", "attempts", "expected"),
    [
        (UserKind.GUEST, 1, EndReason.DENIED),
        (None, 1, EndReason.WHOLE),
        (UserKind.GUEST, 2, EndReason.WHOLE),
    ],
    ids=["lost it while the question was queued", "Slack is silent", "lost it while the answer grew"],
)
async def test_asker_whose_placeholder_is_shown_is_denied_only_if_slack_says_so_first(
    alone: AnsweringStage, kind: UserKind | None, attempts: int, expected: EndReason
) -> None:
    alone.accounts.kind_at_calls = lambda: kind
    await attempt_at(alone, lambda job: replace(job, messages=recorded_pages("999991.000000"), attempts=attempts))
    shown = end_of(alone)
    assert shown is not None
    assert (shown.reason, len(alone.model.prompts)) == (expected, expected is EndReason.WHOLE)
    assert shown.notice == (texts.DENIED_GUEST if expected is EndReason.DENIED else "")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"question": replace(QUESTION, text=""), "stop_requested": True}, EndReason.STOPPED),
        (
            {
                "question": replace(QUESTION, text=f"<@{ME.user_id}>"),
                "earlier": (replace(QUESTION, ts="999989.000000"),),
            },
            EndReason.WHOLE,
        ),
        ({"question": replace(QUESTION, text="", files=(File("F1", "chart.png", "image/png"),))}, EndReason.WHOLE),
    ],
    ids=["a deleted question", "a mention after a question", "a file"],
)
async def test_model_is_asked_only_about_words_and_files(
    alone: AnsweringStage, change: dict[str, Any], expected: EndReason
) -> None:
    await attempt_at(alone, lambda job: replace(job, **change))
    shown = end_of(alone)
    assert shown is not None
    assert (shown.reason, len(alone.model.prompts)) == (expected, expected is EndReason.WHOLE)


async def test_mention_without_a_question_gets_help_and_asks_no_model(alone: AnsweringStage) -> None:
    await attempt_at(alone, lambda job: replace(job, question=replace(QUESTION, text=f"<@{ME.user_id}>")))
    assert alone.model.prompts == []
    assert end_of(alone) == End(EndReason.NOTHING_ASKED, texts.HELP)
    row = await turn(alone)
    assert (row.end_reason, row.answer, row.model) == (EndReason.NOTHING_ASKED, "", None)


@pytest.mark.parametrize("has_previous", [True, False])
async def test_answer_offers_its_previous_version_if_one_is_on_record(
    alone: AnsweringStage, has_previous: bool
) -> None:
    await attempt_at(alone, lambda job: replace(job, version=1, has_previous=has_previous))
    shown = end_of(alone)
    assert shown is not None
    assert shown.has_previous is has_previous


async def test_files_that_were_not_read_are_named_below_the_answer(alone: AnsweringStage) -> None:
    picture = Media("chart.png", "image/png", "")
    opened = (OpenedFile(File("F1", "chart.png", "image/png"), picture),)
    completion = Completion(MODEL, FinishReason.LENGTH, Usage(10, 2), left_out=("chart.png",))
    alone.model.events = ("Because.", completion)

    class WithPicture(PromptBuilder):
        async def build(
            self,
            answer: Answer,
            memory: AsyncExitStack,
            tools: tuple[ToolDefinition, ...],
            listening: Callable[[bool], None],
        ) -> BuiltPrompt:
            return replace(await super().build(answer, memory, tools, listening), opened=opened)

    builder = WithPicture(**vars(alone.answering.steps.prompt_builder))
    alone.change(prompt_builder=builder)
    await attempt_at(alone)
    shown = end_of(alone)
    assert shown is not None
    assert shown.notice == f"{texts.LENGTH_LIMIT} {unread_notice(opened, ('chart.png',))}"


END = End(
    EndReason.LENGTH_LIMIT,
    "A notice.",
    "a footer",
    model="openai/gpt-6",
    first_token_s=2.5,
    prompt_version="v7",
    has_previous=True,
)


def closed(job: Job) -> Job:
    return replace(job, version=1, checkpoint=Checkpoint("Because.", END))


async def test_end_on_record_is_shown_and_recorded_without_asking_a_model(alone: AnsweringStage) -> None:
    async with alone.stores.database.engine.begin() as connection:
        await connection.execute(sa.update(jobs).values(version=1))
    await attempt_at(alone, closed)
    assert alone.model.prompts == []
    assert end_of(alone) == End(EndReason.LENGTH_LIMIT, "A notice.", "a footer", has_previous=True)
    row = await turn(alone)
    assert (row.end_reason, row.answer, row.model) == (EndReason.LENGTH_LIMIT, "Because.", "openai/gpt-6")
    assert (row.first_token_s, row.prompt_version) == (2.5, "v7")


async def test_end_that_is_on_record_and_shown_is_only_recorded(alone: AnsweringStage) -> None:
    async with alone.stores.database.engine.begin() as connection:
        await connection.execute(sa.update(jobs).values(version=1))
    alone.replies.shown = Shown(("999991.000000",), shows_end=True)
    await attempt_at(alone, closed)
    [reply] = alone.replies.opened
    assert (reply.end, reply.is_left) == (None, True)
    assert (await turn(alone)).end_reason == EndReason.LENGTH_LIMIT


async def test_end_that_is_shown_beside_a_message_that_it_replaced_is_shown_to_its_end(alone: AnsweringStage) -> None:
    alone.replies.shown = Shown(("999991.000002",), shows_end=True, replaced_ts=("999991.000001",))
    await attempt_at(alone, closed)
    [reply] = alone.replies.opened
    assert reply.end is not None


TEXT = "\n".join(f"Fact {number} is true." for number in range(60))


@pytest.mark.parametrize(
    ("left", "end_reason"), [(TEXT, EndReason.WHOLE), ("Be", "empty")], ids=["enough", "too short"]
)
async def test_model_that_has_nothing_to_add_completes_the_text_on_record(
    alone: AnsweringStage, left: str, end_reason: EndReason
) -> None:
    assert len(TEXT) > MIN_CHARS
    alone.model.events, alone.model.error = (), ProviderError(EndReason.EMPTY, MODEL)
    await attempt_at(alone, lambda job: replace(job, checkpoint=Checkpoint(left)))
    row = await turn(alone)
    assert row.end_reason == end_reason
    assert row.model == MODEL
    assert row.answer == left


def left(job: Job) -> Job:
    """Returns a job with the text of an earlier attempt."""
    return replace(job, checkpoint=Checkpoint("Because it is."))


async def test_failed_answer_keeps_the_longer_text_of_an_earlier_attempt(alone: AnsweringStage) -> None:
    alone.model.events, alone.model.error = ("Bec",), ProviderError(EndReason.REFUSED, MODEL)
    await attempt_at(alone, left)
    assert (await turn(alone)).answer == "Because it is."


async def test_whole_answer_takes_the_place_of_a_longer_text_of_an_earlier_attempt(alone: AnsweringStage) -> None:
    await attempt_at(alone, left)
    assert (await turn(alone)).answer == "Because."


async def test_stopped_answer_needs_no_sentence_below_the_text_of_an_earlier_attempt(alone: AnsweringStage) -> None:
    await attempt_at(alone, lambda job: replace(left(job), stop_requested=True))
    assert end_of(alone) == End(EndReason.STOPPED)
    assert (await turn(alone)).answer == "Because it is."


async def test_channels_own_model_is_asked_first(alone: AnsweringStage) -> None:
    settings = ChannelSettings(model="anthropic/claude")
    await alone.stores.channel_settings.write("T1", "C1", settings)
    await attempt_at(alone)
    assert alone.model.led == ["anthropic/claude"]


@pytest.mark.parametrize(
    ("channels", "own", "sent"),
    [
        (Effort.NORMAL, None, Effort.NORMAL),
        (Effort.THOROUGH, None, Effort.THOROUGH),
        (Effort.THOROUGH, Effort.FAST, Effort.FAST),
        (Effort.FAST, Effort.THOROUGH, Effort.THOROUGH),
    ],
)
async def test_effort_of_an_answer_counts_before_its_channels(
    alone: AnsweringStage, channels: Effort, own: Effort | None, sent: Effort
) -> None:
    await alone.stores.channel_settings.write("T1", "C1", ChannelSettings(effort=channels))
    await attempt_at(alone, lambda job: replace(job, effort=own))
    assert [prompt.effort for prompt in alone.model.prompts] == [sent]


async def test_thorough_answer_shows_what_its_earlier_attempts_have_cost(alone: AnsweringStage) -> None:
    await alone.stores.channel_settings.write("T1", "C1", ChannelSettings(effort=Effort.THOROUGH))
    with_prices = Stores(alone.stores.database.engine, "w1", alone.clock, prices=ModelPrices())
    [job] = await with_prices.worker_queue.claim(1)
    await with_prices.worker_queue.release(job, spent=Spent(250_000, 50_000, MODEL))
    alone.model.events = ("Because.", Completion(MODEL, FinishReason.STOP, Usage(50_000, 10_000), effort="high"))
    await attempt_at(alone)
    [reply] = alone.replies.opened
    assert reply.end is not None
    assert reply.end.footer == f"{MODEL_NAME} · thorough (high effort), $0.06"


@pytest.mark.parametrize(
    ("own_prompt", "length", "rule"),
    [
        ("", Length.NORMAL, ""),
        ("Rhyme.", Length.NORMAL, ""),
        ("", Length.BRIEF, LENGTH_RULES[Length.BRIEF]),
        ("Rhyme.", Length.FULL, LENGTH_RULES[Length.FULL]),
    ],
)
async def test_length_that_a_channel_chose_is_the_last_thing_that_the_instructions_say(
    alone: AnsweringStage, own_prompt: str, length: Length, rule: str
) -> None:
    await alone.stores.channel_settings.write("T1", "C1", ChannelSettings(system_prompt=own_prompt, length=length))
    await attempt_at(alone)
    [prompt] = alone.model.prompts
    assert prompt.system.startswith(own_prompt or "You are a colleague.")
    assert prompt.system.endswith(rule or Marks.of(QUESTION.thread).explained)
    version = prompt_version("\n\n".join(filter(None, (own_prompt or "You are a colleague.", rule))))
    assert (await turn(alone)).prompt_version == version


@pytest.mark.parametrize(
    ("channel_id", "own_prompt", "origins"),
    [("C1", "", OURS), ("C1", "Rhyme.", OTHERS), ("D1", "Rhyme.", OURS)],
)
async def test_instructions_of_a_channel_may_be_somebody_elses_words(
    alone: AnsweringStage, channel_id: str, own_prompt: str, origins: Origins
) -> None:
    await alone.stores.channel_settings.write("T1", channel_id, ChannelSettings(system_prompt=own_prompt))
    question = replace(QUESTION, thread=ThreadKey("T1", channel_id, None))
    await attempt_at(alone, lambda job: replace(job, question=question))
    assert [prompt.system_origins for prompt in alone.model.prompts] == [origins]


async def test_other_failure_of_a_resumed_answer_is_its_end(alone: AnsweringStage) -> None:
    alone.model.events, alone.model.error = (), ProviderError(EndReason.OVERLOADED, MODEL)
    await attempt_at(alone, lambda job: replace(job, checkpoint=Checkpoint(TEXT)))
    assert (await turn(alone)).end_reason == EndReason.OVERLOADED.value


async def test_resumed_answer_repeats_nothing_and_loses_nothing(alone: AnsweringStage) -> None:
    """A model may begin with the last words again. A delta that might be such words is held back until the end."""
    attempt = await attempt_at(alone, lambda job: replace(job, checkpoint=Checkpoint(TEXT)))
    start = Answer(attempt.job).text
    assert (await turn(alone)).answer == f"{start}Because."
    resumed = AnswerAttempt(Answer(replace(attempt.job, attempts=2)), 0.0)
    alone.model.events = (f"{start[-40:]}It", " is.", Completion(MODEL, FinishReason.STOP, None))
    await alone.answering.answer(resumed)
    assert resumed.answer.text == f"{start}It is."
    held = AnswerAttempt(Answer(replace(attempt.job, attempts=3)), 0.0)
    alone.model.events = ("is true", Completion(MODEL, FinishReason.STOP, None))
    await alone.answering.answer(held)
    assert held.answer.text == f"{start}is true"


OFFERED = ToolCall(0, "call_1", choices.NAME, {"question": "For which month?", "choices": ["May", "June"]})


@pytest.mark.parametrize(
    ("events", "kinds"),
    [
        (("The plan.", DONE), [OutboxKind.MAKE_CANVAS]),
        (("The plan.", replace(DONE, finish_reason=FinishReason.LENGTH)), []),
        (("A plan.", OFFERED, replace(DONE, finish_reason=FinishReason.TOOLS)), []),
    ],
    ids=["whole", "incomplete", "asks back"],
)
async def test_canvas_that_was_asked_for_is_made_of_a_whole_answer(
    alone: AnsweringStage, events: tuple[StreamEvent, ...], kinds: list[OutboxKind]
) -> None:
    alone.model.events = events
    alone.change(tool_calls=replace(alone.answering.steps.tool_calls, offers_choices=True))
    wish = replace(QUESTION, text="Write a plan as a canvas")
    await attempt_at(alone, lambda job: replace(job, question=wish))
    assert [entry.kind for entry in await alone.stores.outbox.take(5)] == kinds


async def test_failed_models_text_and_name_are_recorded(alone: AnsweringStage) -> None:
    alone.model.events, alone.model.error = ("Because",), ProviderError(EndReason.REFUSED, "openai/other")
    await attempt_at(alone)
    row = await turn(alone)
    assert (row.answer, row.model, row.end_reason) == ("Because", "openai/other", EndReason.REFUSED.value)
    assert end_of(alone) == End(EndReason.REFUSED, texts.model_failure(EndReason.REFUSED, "other"), MODEL_NAME)


def showing(stage: AnsweringStage, replies: MemoryReplies) -> None:
    """Has the stage's answers shown by other replies."""
    stage.change(workspace=having(stage.workspace, scheduler=replies))


async def test_reply_that_slack_no_longer_shows_ends_as_not_shown(alone: AnsweringStage) -> None:
    class Unshown(MemoryReplies):
        async def open(
            self, answer: Answer, *, sign: Sign = Sign.NONE, has_stop: bool = False, until: float = 0.0
        ) -> MemoryReply:
            reply = await super().open(answer)
            reply.unshown = True
            return reply

    replies = Unshown(may_open=alone.replies.may_open)
    showing(alone, replies)
    replies.may_finish.set()
    await attempt_at(alone)
    row = await turn(alone)
    assert (row.end_reason, row.answer) == (EndReason.NOT_SHOWN, "Because.")


async def test_deleted_replys_text_so_far_is_recorded_and_its_end_needs_no_words(alone: AnsweringStage) -> None:
    alone.replies.gone = True
    await attempt_at(alone)
    assert end_of(alone) == End(EndReason.REPLY_GONE, footer=MODEL_NAME)


def capped(stage: AnsweringStage, caps: str) -> None:
    stage.change(quota=replace(stage.answering.quota, caps=parse_caps(caps)))


async def test_asker_beyond_a_cap_is_told_and_no_model_is_asked(alone: AnsweringStage) -> None:
    capped(alone, "user/day=10000tokens")
    await attempt_at(alone)
    await alone.stores.question_queue.enqueue("Ev2", replace(QUESTION, ts="999991.000000"))
    alone.replies.opened.clear()
    capped(alone, "user/day=5tokens")
    await attempt_at(alone)
    assert len(alone.model.prompts) == 1
    shown = end_of(alone)
    assert shown is not None
    assert (shown.reason, shown.footer) == (EndReason.CAP_REACHED, "")
    assert "quota" in shown.notice


async def test_asker_is_warned_once_most_of_a_cap_is_used(alone: AnsweringStage) -> None:
    alone.model.events = ("Because.", Completion(MODEL, FinishReason.STOP, Usage(9_500, 2)))
    capped(alone, "user/day=10000tokens")
    await attempt_at(alone)
    async with asyncio.timeout(WITHIN_S):
        while not alone.accounts.sentences:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    [sentence] = alone.accounts.sentences
    assert "10,000" in sentence


async def test_reported_usage_corrects_the_estimate(alone: AnsweringStage) -> None:
    estimate, text = alone.answering.steps.prompt_builder.estimate, "word " * 1_000
    before = estimate.tokens(text)
    alone.model.events = ("Because.", Completion(MODEL, FinishReason.STOP, Usage(100_000, 2)))
    await attempt_at(alone, lambda job: replace(job, question=replace(QUESTION, text=text)))
    assert estimate.tokens(text) > before


async def test_nobody_is_mentioned_about_an_answer_that_failed(alone: AnsweringStage) -> None:
    alone.model.events, alone.model.error = (), ProviderError(EndReason.OVERLOADED, MODEL)
    await attempt_at(alone, lambda job: replace(job, asked_at=1.0))
    assert await alone.stores.outbox.take(5) == []


async def test_nobody_is_mentioned_if_mentions_are_switched_off(alone: AnsweringStage) -> None:
    settings = replace(alone.answering.settings, done_mention_s=0)
    alone.answering = replace(alone.answering, settings=settings)
    await attempt_at(alone, lambda job: replace(job, asked_at=1.0))
    assert await alone.stores.outbox.take(5) == []


# Unexpected errors.


class Broken(MemoryReplies):
    """Replies whose opening or whose finishing fails, for a reason that nobody expected."""

    opens = False

    async def open(
        self, answer: Answer, *, sign: Sign = Sign.NONE, has_stop: bool = False, until: float = 0.0
    ) -> MemoryReply:
        if not self.opens:
            raise ValueError("unforeseen")
        reply = await super().open(answer)
        self.opened[-1] = BrokenReply(answer, self.may_finish, reply.shown)
        return self.opened[-1]


class BrokenReply(MemoryReply):
    async def finish(self, end: End) -> None:
        raise ValueError("unforeseen")


async def test_unexpected_error_before_the_reply_is_open_ends_the_job_and_the_outbox_shows_it(
    alone: AnsweringStage,
) -> None:
    showing(alone, Broken())
    await attempt_at(alone)
    assert ((await alone.row()).status, (await turn(alone)).end_reason) == ("ended", EndReason.INTERNAL_ERROR)
    assert await unshown_end(alone) == End(EndReason.INTERNAL_ERROR, texts.INTERNAL_ERROR, origins=OURS)


async def test_unexpected_error_while_the_end_is_shown_keeps_the_text_and_the_reply(alone: AnsweringStage) -> None:
    replies = Broken(may_open=alone.replies.may_open)
    replies.opens = True
    showing(alone, replies)
    attempt = await attempt_at(alone)
    assert attempt.built is not None
    row = await turn(alone)
    assert (row.end_reason, row.answer, row.model) == (EndReason.INTERNAL_ERROR, "Because.", MODEL)
    assert messages_of(await alone.row()) == recorded_pages("999991.000000")
    assert replies.opened[0].is_left
    assert await unshown_end(alone) == End(
        EndReason.INTERNAL_ERROR,
        texts.INTERNAL_ERROR,
        MODEL_NAME,
        model=MODEL,
        first_token_s=0.0,
        prompt_version=attempt.built.prompt_version,
        origins=ASKERS,
    )


async def test_unexpected_error_of_a_model_is_shown_below_the_text_so_far(alone: AnsweringStage) -> None:
    alone.model.error = ValueError("unforeseen")  # type: ignore[assignment]
    alone.model.events = ("Because",)
    await attempt_at(alone)
    assert end_of(alone) == End(EndReason.INTERNAL_ERROR, texts.INTERNAL_ERROR, MODEL_NAME)
    assert (await turn(alone)).answer == "Because"


async def test_unexpected_error_keeps_the_longer_text_of_an_earlier_attempt(alone: AnsweringStage) -> None:
    replies = Broken(may_open=alone.replies.may_open)
    replies.opens = True
    showing(alone, replies)
    await attempt_at(alone, left)
    assert (await turn(alone)).answer == "Because it is."
