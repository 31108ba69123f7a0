"""Tools that write and list notes, models that call them, and the steps of an answer with them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from bot.core.calls import CallResult, CallState, Decision, RecordedCall, ToolUse
from bot.core.conversation import Question
from bot.core.job import Checkpoint, Job
from bot.models.events import Completion, FinishReason, Opaque, StreamEvent, TextPart, ToolCall, Usage
from bot.models.prompt import OURS, OfferedTools, Origins, Permission, Prompt, TokenEstimate, ToolDefinition, ToolRule
from bot.services.ports import Ports
from bot.services.prompt_builder import PromptSettings
from bot.services.standalone import (
    CollectedText,
    InMemory,
    InMemoryConversation,
    StandaloneAnswer,
    UnlimitedSpending,
    new_attempt,
    run_to_end,
)
from bot.services.steps import Steps
from bot.store import Stores
from bot.store.schema import jobs
from tests.clocks import InstantClock, until_read
from tests.recorded_calls import newest_calls
from tests.services.answering import BEGAN_S, MODEL, QUESTION, AnsweringStage
from tests.services.parts import ME

READ, WRITE = "notes__list", "notes__add"
NOBODY_ELSE = InMemoryConversation(me=ME)
RULES = {READ: ToolRule(Permission.ALLOW, read_only=True), WRITE: ToolRule(Permission.ASK)}
MILK = ToolCall(0, "call_1", WRITE, {"text": "Milk"})
LIST = ToolCall(0, "call_1", READ, {})
ANSWER = ("All", " done.", Completion(MODEL, FinishReason.STOP, Usage(30, 3)))


def asking(*calls: ToolCall, text: str = "Let me see.") -> tuple[StreamEvent, ...]:
    opaque = Opaque("openai", {"type": "reasoning", "encrypted_content": "secret"})
    return (text, TextPart(text), opaque, *calls, Completion(MODEL, FinishReason.TOOLS, Usage(20, 2)))


@dataclass
class StepModel:
    """Streams the events of each step. The prompt says which step it is for."""

    steps: tuple[tuple[StreamEvent, ...], ...]
    model: str = MODEL
    names: tuple[str, ...] = (MODEL,)
    prompts: list[Prompt] = field(default_factory=list)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    meanwhile: Callable[[], Awaitable[object]] | None = None
    """Happens before the first request ends."""

    def starting_with(self, model: str | None, prompt: Prompt) -> "StepModel":
        return self

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        self.prompts.append(prompt)
        step_no = sum(turn.role == "assistant" and bool(turn.parts) for turn in prompt.turns)
        for event in self.steps[min(step_no, len(self.steps) - 1)]:
            if isinstance(event, Completion) and self.meanwhile and len(self.prompts) == 1:
                await self.meanwhile()
            yield event


@dataclass
class NotesServer:
    """A server with two tools, which counts its calls. A call waits for `may_end` if the server is held."""

    rules: Mapping[str, ToolRule] = field(default_factory=lambda: RULES)
    description: str = ""
    definition_hash: str = "first"
    origins: Origins = OURS
    calls: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    outcome: CallState = CallState.DONE
    result: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    missing: str = ""
    asked_by: set[tuple[str, str]] = field(default_factory=set)
    """Who asked for definitions and calls, with the definition's hash; "" for definitions."""
    held: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        if not self.held:
            self.may_end.set()

    async def definitions(self, question: Question) -> OfferedTools:
        self.asked_by.add((question.user_id, ""))
        described = self.description, {"type": "object"}, self.definition_hash, self.origins
        return OfferedTools(
            tuple(ToolDefinition(name, *described, rule) for name, rule in self.rules.items()), self.missing
        )

    async def call(self, use: ToolUse) -> CallResult:
        self.asked_by.add((use.question.user_id, use.definition_hash))
        self.calls.append((use.tool, use.arguments))
        self.begun.set()
        await self.may_end.wait()
        return CallResult(self.outcome, self.result or f"{use.tool} returned.", **self.more)


@asynccontextmanager
async def staged(
    tools: NotesServer,
    *steps: tuple[StreamEvent, ...],
    model: Callable[..., StepModel] = StepModel,
    question: Question = QUESTION,
    **more: Any,
) -> AsyncIterator[AnsweringStage]:
    clock = InstantClock(BEGAN_S)
    stores = await Stores.open("sqlite://", "w1", clock)
    stage = AnsweringStage(stores, clock, model(steps), tools=tools, **more)  # type: ignore[arg-type]
    stage.open_all()
    await stores.question_queue.enqueue("Ev1", question)
    running = asyncio.create_task(stage.worker.run())
    try:
        yield stage
    finally:
        stage.worker.stop()
        await stage.worker.hand_over()
        await asyncio.wait((running,))
        await stores.close()


async def statuses(stage: AnsweringStage) -> list[str]:
    async with stage.stores.database.engine.connect() as connection:
        return list(await connection.scalars(sa.select(jobs.c.status).order_by(jobs.c.id)))


async def ended(stage: AnsweringStage, *other: str) -> None:
    """Waits until all jobs have ended, or have one of these other statuses."""

    async def are() -> bool:
        return {"ended", *other}.issuperset(await statuses(stage))

    await until_read(are, "the end of all jobs", look_s=0.002)
    await stage.ended()


async def answered(tools: NotesServer, *steps: tuple[StreamEvent, ...], **more: Any) -> AnsweringStage:
    """Returns a stage whose question was answered, with the job's row and calls as they were on record then."""
    async with staged(tools, *steps, **more) as stage:
        await ended(stage)
        stage.last_row, stage.calls = await stage.row(), await newest_calls(stage.stores, 1)
    return stage


async def hand_over(stage: AnsweringStage) -> None:
    stage.worker.stop()
    await stage.worker.hand_over()


async def take_over(stage: AnsweringStage, *decisions: Decision) -> None:
    """Has the process that starts next go on, with these decisions, until the job has ended."""
    await hand_over(stage)
    stage.worker = replace(stage.worker)
    running = asyncio.create_task(stage.worker.run())
    for decision in decisions:
        assert await decide(stage, await waiting(stage), decision)
    await ended(stage)
    running.cancel()


async def waiting(stage: AnsweringStage) -> RecordedCall:
    """Waits until the job waits for a person; returns the call that it asks about."""

    async def is_asked() -> bool:
        return await statuses(stage) == ["awaiting_approval"]

    await until_read(is_asked, "a job that awaits an approval", look_s=0.002)
    await stage.ended()
    [asked] = [call for call in await newest_calls(stage.stores, 1) if call.state is CallState.ASKED]
    return asked


async def decide(stage: AnsweringStage, call: RecordedCall, decision: Decision) -> bool:
    decided = await stage.stores.approvals.decide(1, 0, call, decision, "U1")
    stage.worker.wake()
    return decided


@dataclass
class Alone:
    """An answer without Slack and a database, and what another attempt resumes."""

    model: StepModel
    answered: StandaloneAnswer
    records: InMemory

    @property
    def calls(self) -> list[RecordedCall]:
        return [call for step in self.records.steps for call in step.calls]


async def alone(
    tools: NotesServer,
    *steps: tuple[StreamEvent, ...],
    asked: Question | Job = QUESTION,
    model: Callable[..., StepModel] = StepModel,
    conversation: InMemoryConversation = NOBODY_ELSE,
    records: InMemory | None = None,
    clock: InstantClock | None = None,
    **settings: Any,
) -> Alone:
    """Returns an answer of a model with these steps. `settings`: the prompt's."""
    records, clock, streams = records or InMemory(), clock or InstantClock(BEGAN_S), model(steps)
    of_prompt = PromptSettings(**{"system_prompt": "You are a colleague.", "history_tokens": 8_000, **settings})
    ports = Ports(records, conversation, tools, UnlimitedSpending(), clock)
    runs = Steps(ports, streams, of_prompt, TokenEstimate((MODEL,)))
    job = asked if isinstance(asked, Job) else Job(1, asked, 1, asked_at=float(asked.ts))
    attempt = new_attempt(job, clock.monotonic())
    return Alone(streams, await run_to_end(runs, attempt, runs.ask(attempt, CollectedText())), records)


async def resumed(
    left: Alone, tools: NotesServer, *steps: tuple[StreamEvent, ...], question: Question = QUESTION, **more: Any
) -> Alone:
    left.records.decide(Decision.APPROVED, "U1")
    checkpoint = Checkpoint(left.answered.text)
    job = Job(1, question, 2, asked_at=float(question.ts), checkpoint=checkpoint, steps=left.records.steps)
    return await alone(tools, *steps, asked=job, records=left.records, **more)


def prompts_of(stage: AnsweringStage | Alone) -> list[Prompt]:
    assert isinstance(stage.model, StepModel)
    return stage.model.prompts
