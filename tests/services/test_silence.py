"""Runs with a rule in words: 300 labeled runs of scripted models, and none that failed or did no work is silent."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core.calls import CallState
from bot.core.silence import TOOL_NAME
from bot.errors import EndReason, ProviderError
from bot.models.events import Completion, FinishReason, StreamEvent, ToolCall, Usage
from bot.models.prompt import Prompt
from bot.store.schema import turns
from tests.services.answering import MODEL, QUESTION, AnsweringStage
from tests.services.notes import LIST, NotesServer, StepModel, asking, ended, staged

POST = replace(QUESTION, is_held=True)
REASON = "Nothing has changed since the last run."
DONE = Completion(MODEL, FinishReason.TOOLS, Usage(20, 2))
NEWS = ("Two orders", " are late.", Completion(MODEL, FinishReason.STOP, Usage(30, 3)))


def silent(reason: str = REASON, text: str = "", *others: ToolCall) -> tuple[StreamEvent, ...]:
    """Returns a step that asks for silence."""
    call = ToolCall(len(others), "call_s", TOOL_NAME, {"reason": reason})
    return (*((text,) if text else ()), *others, call, DONE)


@dataclass
class FailingModel(StepModel):
    """A model whose step fails with an error, if the step ends with one."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        async for event in super().stream(prompt):
            if isinstance(event, Exception):
                raise event
            yield event


READS = asking(LIST, text="")
FAILS = (ProviderError(EndReason.BAD_KEY, MODEL),)
CUT = ("Two ord", Completion(MODEL, FinishReason.LENGTH, Usage(20, 2)))
REFUSES = (ProviderError(EndReason.REFUSED, MODEL),)
BROKEN: Mapping[str, Any] = {"outcome": CallState.FAILED}
WRONG: Mapping[str, Any] = {"more": {"is_error": True}}


@dataclass(frozen=True)
class Label:
    steps: tuple[tuple[Any, ...], ...]
    """Events of a model's stream, or an error that ends it."""
    is_silent: bool = False
    server: Mapping[str, Any] = field(default_factory=dict)


LABELS = {
    "right silence": Label((READS, silent()), is_silent=True),
    "right silence after two readings": Label((READS, READS, silent()), is_silent=True),
    "right answer": Label((READS, NEWS)),
    "no work": Label((silent(), silent(), NEWS)),
    "no work, insisting": Label((silent(),)),
    "no work, by an answer": Label((NEWS,)),
    "wrong silence beside a finding": Label((READS, silent(REASON, "Two orders are late."), NEWS)),
    "wrong silence beside a call": Label((silent(REASON, "", LIST), NEWS)),
    "wrong silence without a reason": Label((READS, silent("  "), NEWS)),
    "wrong silence after a failed call": Label((READS, silent(), NEWS), server=BROKEN),
    "wrong silence after a call with an error": Label((READS, silent(), NEWS), server=WRONG),
    "error before work": Label((FAILS,)),
    "error after work": Label((READS, FAILS)),
    "refused after work": Label((READS, REFUSES)),
    "cut off after work": Label((READS, CUT)),
}
RUNS = 300


async def worked(label: Label) -> tuple[AnsweringStage, str]:
    """Returns a stage whose held question was handled with these steps, and the recorded end."""
    async with staged(NotesServer(**label.server), *label.steps, model=FailingModel, question=POST) as stage:
        await ended(stage)
        stage.last_row = await stage.row()
        async with stage.stores.database.engine.connect() as connection:
            ends = (await connection.scalars(sa.select(turns.c.end))).all()
    return stage, str(ends[-1])


@pytest.mark.parametrize("name", LABELS)
async def test_only_work_that_succeeded_can_be_silent(name: str) -> None:
    label = LABELS[name]
    stage, end = await worked(label)
    assert (stage.last_row.end_reason == EndReason.SILENT) is label.is_silent
    assert (len(stage.replies.opened) == 0) is label.is_silent, "a silent run shows nothing, any other its end"
    assert stage.last_row.held is label.is_silent
    if label.is_silent:
        assert REASON in end
    else:
        [reply] = stage.replies.opened
        assert reply.end is not None
        assert reply.activities == [], "the work isn't shown, only its end"


async def test_of_300_labeled_runs_no_failure_and_no_run_without_work_is_silent() -> None:
    dealt = Random(89)
    names = [name for name in LABELS for _ in range(RUNS // len(LABELS))]
    dealt.shuffle(names)
    assert len(names) == RUNS
    figures = Counter[tuple[str, str]]()
    for name in names:
        stage, _ = await worked(LABELS[name])
        figures[name, "silent" if stage.last_row.end_reason == EndReason.SILENT else "shown"] += 1
    wrong = [key for key in figures if (key[1] == "silent") is not LABELS[key[0]].is_silent]
    assert wrong == []
