"""The steps of an answer: what is recorded of each, what its thread's status says, and who goes on with the job."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

import pytest

from bot.core import texts
from bot.core.answer import Answer
from bot.core.conversation import Job, Prompt, WebSearch
from bot.core.job import Checkpoint
from bot.core.outbox import OutboxKind
from bot.core.stream import Searching, StreamEvent
from bot.core.tool_calls import Decision
from bot.core.tools import Permission, ToolRule
from bot.core.trust import ASKERS, WEB
from bot.errors import EndReason
from bot.services.answer_attempt import AnswerAttempt
from bot.store import Stores
from bot.store.rows import messages_of
from tests.clocks import WITHIN_S, InstantClock
from tests.services.answering import BEGAN_S, MESSAGES, QUESTION, AnsweringStage, MemoryModel
from tests.services.notes import (
    ANSWER,
    LIST,
    MILK,
    RULES,
    WRITE,
    NotesServer,
    StepModel,
    asking,
    ended,
    staged,
)
from tests.services.test_tool_calls import decide, prompts_of, waiting

EDITED = replace(QUESTION, text="Why not?")


def notes(**more: ToolRule) -> NotesServer:
    """Returns tools that answer at once."""
    server = NotesServer({**RULES, **more})
    server.may_end.set()
    return server


async def claimed_again(stage: AnsweringStage) -> Job:
    """Approves the call that the job waits with; returns the job as the next attempt claims it."""
    call = await waiting(stage)
    stage.worker.stop()
    assert await stage.stores.approvals.decide(1, 0, call, Decision.APPROVED, "U1")
    [job] = await stage.stores.worker_queue.claim(1)
    return job


# The record of a step.


@pytest.mark.parametrize(
    ("written", "recorded"),
    [
        (("One.", "Two."), ["One.", "\n\nTwo."]),
        (("", "Two."), ["", "Two."]),
        (("One.", "", "Three."), ["One.", "", "\n\nThree."]),
    ],
)
async def test_text_of_each_step_begins_a_paragraph_below_the_text_before_it(
    written: Sequence[str], recorded: Sequence[str]
) -> None:
    *lists, last = written
    steps = [*(asking(LIST, text=text) for text in lists), asking(MILK, text=last)]
    async with staged(notes(), *steps, ANSWER) as stage:
        job = await claimed_again(stage)
    assert [step.text for step in job.steps] == recorded
    assert job.checkpoint.text == "".join(recorded)


async def test_step_of_a_continued_answer_is_recorded_without_the_answer_so_far() -> None:
    clock = InstantClock(BEGAN_S)
    stores = await Stores.open("sqlite://", "w1", clock)
    stage = AnsweringStage(stores, clock, StepModel((asking(LIST, text="More."), ANSWER)), tools=notes())  # type: ignore[arg-type]
    stage.open_all()
    await stores.queue.enqueue("Ev1", QUESTION)
    [job] = await stores.worker_queue.claim(1)
    so_far = "Begun, but not ended. "
    attempt = AnswerAttempt(Answer(replace(job, so_far=so_far, checkpoint=Checkpoint(so_far))), clock.monotonic())
    await stage.answering.answer(attempt)
    await stores.close()
    [step] = attempt.answer.steps
    assert attempt.answer.text == f"{so_far}{step.text}\n\nAll done."
    assert step.text == "More."


async def test_step_is_recorded_with_whose_words_the_model_had_read() -> None:
    async with staged(notes(), (Searching("milk"), *asking(MILK)), ANSWER) as stage:
        [step] = (await claimed_again(stage)).steps
    assert step.origins == ASKERS | WEB


async def test_write_that_a_rule_allows_is_asked_about_after_the_model_searched() -> None:
    server = notes(**{WRITE: ToolRule(Permission.ALLOW)})
    async with staged(server, (Searching("milk"), *asking(MILK)), ANSWER) as stage:
        await waiting(stage)
    assert server.calls == []


async def test_step_that_an_edit_outdates_is_not_gone_on_with() -> None:
    async with staged(notes(), asking(LIST), ANSWER) as stage:
        assert isinstance(stage.model, StepModel)
        stage.model.meanwhile = lambda: stage.stores.queue.edit(EDITED, "999991.000000")
        await ended(stage)
        row = await stage.row()
    outdated, answered = stage.replies.opened
    assert (outdated.end, outdated.is_left) == (None, True)
    assert (row.version, row.end_reason) == (1, EndReason.WHOLE)
    assert [prompt.turns[1:] == () for prompt in prompts_of(stage)] == [True, True, False]
    assert "Why not?" in prompts_of(stage)[1].turns[0].text
    assert answered.end is not None


# Approvals.


async def test_reply_that_asks_is_left_with_its_messages_on_record() -> None:
    async with staged(notes(), asking(MILK), ANSWER) as stage:
        await waiting(stage)
        assert stage.replies.opened[0].is_left
        assert messages_of(await stage.row()) == MESSAGES


async def test_job_whose_calls_are_decided_while_the_reply_asks_goes_on() -> None:
    async with staged(notes(), asking(MILK), ANSWER) as stage:

        async def approve() -> None:
            [call] = await stage.stores.approvals.shown(1)
            assert await decide(stage, call, Decision.APPROVED)

        stage.replies.when_asked = approve
        await ended(stage)
        row = await stage.row()
    assert (row.attempts, row.end_reason) == (2, EndReason.WHOLE)


@pytest.mark.parametrize(("done_ping_s", "kinds"), [(60, [OutboxKind.ASK_APPROVAL]), (0, [])])
async def test_asker_is_mentioned_once_a_call_has_waited_long_for_their_approval(
    done_ping_s: int, kinds: list[OutboxKind]
) -> None:
    async with staged(notes(), asking(MILK), ANSWER) as stage:
        stage.answering = replace(stage.answering, done_ping_s=done_ping_s)
        await waiting(stage)
        stage.clock.now_s = BEGAN_S + 59.0
        assert await stage.stores.outbox.take(5) == []
        stage.clock.now_s = BEGAN_S + 61.0
        assert [entry.kind for entry in await stage.stores.outbox.take(5)] == kinds


# Streams.


@pytest.mark.parametrize(
    ("has_tools", "web_search", "streamed"),
    [(False, None, [1]), (True, None, []), (False, WebSearch(), [])],
    ids=["neither", "tools", "search"],
)
async def test_answer_is_streamed_only_without_tools_and_search(
    has_tools: bool, web_search: WebSearch | None, streamed: list[int]
) -> None:
    async with staged(notes() if has_tools else NotesServer({}), ANSWER) as stage:
        builder = stage.answering.prompt_builder
        settings = replace(builder.settings, web_search=web_search)
        stage.answering = replace(stage.answering, prompt_builder=replace(builder, settings=settings))
        await ended(stage)
    assert stage.replies.streamed == streamed


# Statuses.


async def until_status(stage: AnsweringStage, status: str) -> list[str]:
    """Waits until a status is sent; returns those before it."""
    before = []
    async with asyncio.timeout(WITHIN_S):
        while (sent := await stage.pane.sent.get()) != status:
            before.append(sent)
    return before


@pytest.mark.skips_waits
@pytest.mark.parametrize(
    ("events", "status"),
    [
        ((), texts.STATUS_THINKING),
        ((Searching(),), texts.status_searching("")),
        ((Searching("bots"),), texts.status_searching("bots")),
        ((Searching("bots"), Searching(done=True)), texts.status_searching("bots")),
        ((Searching(), Searching("bots", done=True)), texts.status_searching("bots")),
        ((Searching("bots"), "Because"), texts.STATUS_WRITING),
        (("Because", Searching("bots")), texts.status_searching("bots")),
    ],
)
async def test_status_says_what_the_model_does(events: Sequence[StreamEvent], status: str) -> None:
    clock = InstantClock(BEGAN_S)
    stores = await Stores.open("sqlite://", "w1", clock)
    stage = AnsweringStage(stores, clock, MemoryModel((*events, *ANSWER[1:])))
    stage.replies.may_open.set()
    stage.replies.may_finish.set()
    await stores.queue.enqueue("Ev1", QUESTION)
    [job] = await stores.worker_queue.claim(1)
    answering = asyncio.create_task(stage.answering.answer(AnswerAttempt(Answer(job), clock.monotonic())))
    assert await until_status(stage, status) == []
    stage.model.may_end.set()
    await answering
    assert await until_status(stage, "") == []
    await stores.close()


@dataclass
class SlowStep(StepModel):
    """Streams the first step at once, and nothing of the second one before `may_end`."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        if self.prompts:
            self.prompts.append(prompt)
            await self.may_end.wait()
        async for event in super().stream(prompt):
            yield event


@pytest.mark.skips_waits
async def test_status_names_the_tool_that_runs_and_then_says_that_the_model_thinks() -> None:
    tools = NotesServer()
    async with staged(tools, asking(LIST), ANSWER, model=SlowStep) as stage:
        stage.model.may_end.clear()
        assert await until_status(stage, texts.status_running("notes.list")) == []
        tools.may_end.set()
        assert await until_status(stage, texts.STATUS_THINKING) == []
        stage.model.may_end.set()
        await ended(stage)
        assert await until_status(stage, "") == []


@pytest.mark.skips_waits
async def test_status_says_that_a_call_waits_for_approval() -> None:
    async with staged(notes(), asking(MILK), ANSWER) as stage:
        await until_status(stage, texts.STATUS_ASKING)
        assert (await stage.row()).status == "awaiting_approval"
