"""An answer goes on under the prompt that it began with, whatever has changed meanwhile.

The model binds what it thinks to all that stands before it, as Claude's newer models do, and refuses a request in which
something else does: https://platform.claude.com/docs/en/build-with-claude/preserved-thinking (read 2026-11-28).
"""

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core.calls import SIGN_IN_FIRST, Decision
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import File
from bot.core.files import OpenedFile
from bot.core.job import Job
from bot.core.memory import SentMemories
from bot.models.events import Opaque, StreamEvent
from bot.models.prompt import Media, Permission, Prompt, ToolRule, WebSearch
from bot.services.ports import People
from bot.services.standalone import InMemoryConversation
from bot.store import schema
from tests.clocks import InstantClock
from tests.services.answering import BEGAN_S, QUESTION, AnsweringStage
from tests.services.notes import (
    ANSWER,
    LIST,
    MILK,
    READ,
    RULES,
    WRITE,
    NotesServer,
    StepModel,
    alone,
    asking,
    decide,
    ended,
    prompts_of,
    resumed,
    staged,
    take_over,
    waiting,
)
from tests.services.parts import ME

pytestmark = pytest.mark.wide

THOUGHT = "thinking"


def stands_before(prompt: Prompt, turn: int) -> str:
    """Returns what identifies all that stands before a turn, for the vendor."""
    tools = [(tool.name, tool.description, dict(tool.parameters)) for tool in prompt.tools]
    turns = [(one.role, one.parts or one.text, one.media) for one in prompt.turns[:turn]]
    return hashlib.sha256(repr((prompt.system, tools, prompt.web_search, turns)).encode()).hexdigest()


@dataclass
class BoundModel(StepModel):
    """A model that notes which requests it would refuse: something else stands before a thought than when it came."""

    refused: list[int] = field(default_factory=list)
    thoughts: list[int] = field(default_factory=list)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        bound = [
            (part.item["signature"], stands_before(prompt, at))
            for at, turn in enumerate(prompt.turns)
            for part in turn.parts
            if isinstance(part, Opaque) and part.item["type"] == THOUGHT
        ]
        if any(signature != now for signature, now in bound):
            self.refused.append(len(self.prompts))
        self.thoughts.append(len(bound))
        signature = stands_before(prompt, len(prompt.turns))
        async for event in super().stream(prompt):
            is_own = isinstance(event, Opaque)
            yield Opaque("anthropic", {"type": THOUGHT, "signature": signature}) if is_own else event


@dataclass(frozen=True)
class MemoryCommands(InMemoryConversation):
    async def memories(self, *_: object) -> SentMemories:
        return SentMemories("We deploy on Tuesdays.", 1)


@dataclass(frozen=True)
class Unread(InMemoryConversation):
    async def people(self, *_: object) -> People:
        raise AssertionError("names were looked up")

    async def memories(self, *_: object) -> SentMemories:
        raise AssertionError("memories were read")


EARLIER = replace(QUESTION.as_message(), ts="0.5", user_id="UGRACE", text="Another word.")
MEANWHILE: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a minute": {"clock": InstantClock(BEGAN_S + 70)},
    "an hour": {"clock": InstantClock(BEGAN_S + 3_700)},
    "a memory": {"conversation": MemoryCommands(me=ME)},
    "the channel's instructions": {
        "conversation": InMemoryConversation(settings=ChannelSettings(system_prompt="Rhyme."), me=ME)
    },
    "another version of ours": {"system_prompt": "You are a new version."},
    "an earlier message was edited": {"conversation": InMemoryConversation([EARLIER], me=ME)},
    "nothing can be looked up": {"conversation": Unread(me=ME)},
    "a tool is away": {"rules": {WRITE: RULES[WRITE]}},
}


def assert_kept(model: StepModel) -> None:
    """Fails if an answer of three steps didn't go on under what its model had read."""
    assert isinstance(model, BoundModel)
    assert (model.refused, model.thoughts) == ([], [0, 1, 2])
    first, *later_ones = model.prompts
    for prompt in later_ones:
        assert (prompt.system, prompt.tools) == (first.system, first.tools)
        assert prompt.turns[: len(first.turns)] == first.turns
        assert prompt.origins >= first.origins, "whose words these are stays known"


@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE.keys())
async def test_approved_answer_goes_on_under_what_its_model_had_read(meanwhile: dict[str, Any]) -> None:
    notes = NotesServer()
    steps = asking(MILK), asking(LIST), ANSWER
    left = await alone(notes, *steps, model=BoundModel)
    notes.rules = meanwhile.get("rules", RULES)
    changed = {name: part for name, part in meanwhile.items() if name != "rules"}
    stage = await resumed(left, notes, *steps, model=lambda _: left.model, **changed)
    assert_kept(stage.model)


async def test_approved_answer_has_the_files_that_its_model_had_read() -> None:
    notes = NotesServer()
    notes.may_end.set()
    photo = File("F1", "photo.png", "image/png")
    question = replace(QUESTION, files=(photo,))
    opened = {"F1": OpenedFile(photo, Media("photo.png", "image/png", "aGk="))}
    conversation = InMemoryConversation(opened=opened, me=ME)
    steps = asking(MILK), asking(LIST), ANSWER
    asked = Job(1, question, 1, asked_at=float(question.ts))
    left = await alone(notes, *steps, asked=asked, model=BoundModel, conversation=conversation)
    stage = await resumed(left, notes, *steps, question=question, model=lambda _: left.model, conversation=conversation)
    assert_kept(stage.model)
    assert [media.name for media in prompts_of(stage)[-1].turns[0].media] == ["photo.png"]


@pytest.mark.parametrize("is_new_process", [False, True], ids=["same process", "next process"])
async def test_record_of_what_an_answer_began_with_serves_each_process(*, is_new_process: bool) -> None:
    notes = NotesServer()
    async with staged(notes, asking(MILK), asking(LIST), ANSWER, model=BoundModel) as stage:
        call = await waiting(stage)
        stage.clock.now_s += 3_700
        await stage.stores.channel_settings.write("T1", "C1", ChannelSettings(system_prompt="Rhyme."))
        await stage.stores.memories.remember(QUESTION, "We deploy on Tuesdays.", is_private=False)
        if is_new_process:
            await take_over(stage, Decision.APPROVED)
        else:
            assert await decide(stage, call, Decision.APPROVED)
            await ended(stage)
    assert isinstance(stage.model, StepModel)
    assert_kept(stage.model)


def notes_of(stage: AnsweringStage) -> NotesServer:
    assert isinstance(stage.tools, NotesServer)
    return stage.tools


async def search_the_web(stage: AnsweringStage) -> None:
    stage.change(prompt_settings=replace(stage.answering.steps.prompt_settings, web_search=WebSearch()))


async def come_back(stage: AnsweringStage) -> None:
    notes_of(stage).rules = {**RULES, "notes__new": ToolRule(Permission.ASK)}


async def lose_the_record(stage: AnsweringStage) -> None:
    """As `typist forget` does, while the asker waits an hour."""
    stage.clock.now_s += 3_700
    await stage.stores.erasure.erase(user_id="UELSE")


UNKEPT = {"the web": search_the_web, "a new tool": come_back, "an erasure": lose_the_record}


@pytest.mark.parametrize("meanwhile", UNKEPT.values(), ids=UNKEPT.keys())
async def test_what_can_not_stay_costs_the_thoughts_before_it_and_no_later_ones(
    meanwhile: Callable[[AnsweringStage], Awaitable[None]],
) -> None:
    notes = NotesServer()
    async with staged(notes, asking(MILK), asking(LIST), asking(MILK), ANSWER, model=BoundModel) as stage:
        assert await decide(stage, await waiting(stage), Decision.APPROVED)
        await waiting(stage)
        await meanwhile(stage)
        await take_over(stage, Decision.APPROVED)
    model = stage.model
    assert isinstance(model, BoundModel)
    assert (model.refused, model.thoughts) == ([], [0, 1, 2, 0])
    names = [tool.name for tool in prompts_of(stage)[-1].tools]
    assert names[:2] == [READ, WRITE], "new tools come last"


async def test_tools_that_a_sign_in_brings_come_last() -> None:
    notes = NotesServer(RULES, result=SIGN_IN_FIRST)
    async with staged(notes, asking(LIST), asking(LIST), ANSWER, model=BoundModel) as stage:
        await notes.begun.wait()
        notes.rules = {"notes__a": ToolRule(Permission.ASK), **RULES}
        await ended(stage)
    model = stage.model
    assert isinstance(model, BoundModel)
    assert model.refused == []
    assert [tool.name for tool in prompts_of(stage)[-1].tools][:2] == [READ, WRITE]


async def test_result_that_is_dropped_to_save_room_costs_the_thoughts_that_had_read_it() -> None:
    notes = NotesServer(RULES, result="x" * 20_000)
    steps = [asking(replace(LIST, call_id=f"call_{number}"), text="") for number in range(14)]
    model = (await alone(notes, *steps, ANSWER, model=BoundModel, history_tokens=10_000)).model
    assert isinstance(model, BoundModel)
    assert model.refused == []
    assert len(model.prompts) == 15
    assert sum(model.thoughts) > 30, "most are sent"


async def test_what_a_prompt_began_with_goes_with_the_end() -> None:
    notes = NotesServer()
    rows = sa.select(schema.steps.c.beginning, schema.steps.c.bound_to)
    async with staged(notes, asking(LIST), asking(MILK), ANSWER, model=BoundModel) as stage:
        call = await waiting(stage)
        async with stage.stores.database.engine.connect() as connection:
            first, second = (await connection.execute(rows)).all()
        assert (bool(first.beginning), second.beginning) == (True, None), "it is on record once"
        assert first.bound_to != second.bound_to
        assert await decide(stage, call, Decision.APPROVED)
        await ended(stage)
        async with stage.stores.database.engine.connect() as connection:
            assert (await connection.execute(rows)).all() == []
