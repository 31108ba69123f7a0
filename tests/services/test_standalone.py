"""An answer without Slack and a database: the example of the docs, what it imports, and what resumes it."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

import pytest

from bot.core.calls import CallState, Decision
from bot.core.channel_settings import ChannelSettings
from bot.core.job import Checkpoint, Job
from bot.errors import EndReason, ProviderError
from bot.models.events import Retrying, StreamEvent, Thinking
from bot.services.standalone import CollectedText, InMemory, InMemoryConversation, NoRecords, StandaloneAnswer, answer
from tests.processes import REPOSITORY
from tests.services.answering import MODEL, QUESTION, MemoryModel
from tests.services.notes import ANSWER, LIST, MILK, READ, WRITE, NotesServer, StepModel, asking

PAGE = REPOSITORY / "docs/contributors/architecture.md"
HEAVY = (
    "sqlalchemy",
    "slack_sdk",
    "slack_bolt",
    "bot.store",
    "bot.slack",
    "bot.reply.scheduler",
    "slack_pacing.budget",
)


@pytest.fixture
def notes() -> NotesServer:
    return NotesServer()


async def answered(
    notes: NotesServer | None, *steps: tuple[StreamEvent, ...], asked: Any = QUESTION, **more: Any
) -> StandaloneAnswer:
    return await answer(asked, InMemoryConversation(), StepModel(steps), notes, **more)


async def test_example_of_the_docs_prints_an_answer_whose_model_has_called_a_tool(notes: NotesServer) -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(example.strip().splitlines()) <= 14
    names: dict[str, Any] = {"models": StepModel((asking(LIST), ANSWER)), "tools": notes}
    body = "".join(f"    {line}\n" for line in example.splitlines())
    exec(f"async def run():\n{body}", names)
    with redirect_stdout(StringIO()) as printed:
        await names["run"]()
    assert printed.getvalue() == "Let me see.\n\nAll done.whole\n"
    assert notes.calls == [(READ, {})]


def test_loop_imports_neither_slack_nor_sql() -> None:
    look = f"import sys, bot.services.standalone; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", look], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("decision", "calls", "state"),
    [(Decision.APPROVED, [(WRITE, {"text": "Milk"})], CallState.DONE), (Decision.DENIED, [], CallState.DENIED)],
)
async def test_answer_resumes_once_a_person_has_decided(
    notes: NotesServer, decision: Decision, calls: Sequence[Any], state: CallState
) -> None:
    records = InMemory()
    left = await answered(notes, asking(MILK), ANSWER, records=records)
    assert (left.end.reason, left.text, notes.calls) == (EndReason.STEP_LIMIT, "Let me see.", [])
    records.decide(decision, "U1")
    job = Job(1, QUESTION, 2, steps=records.steps, checkpoint=Checkpoint(left.text))
    whole = await answered(notes, asking(MILK), ANSWER, asked=job, records=records)
    assert (whole.end.reason, whole.text, notes.calls) == (EndReason.WHOLE, "Let me see.\n\nAll done.", calls)
    [step] = records.steps
    assert [(call.state, call.decision) for call in step.calls] == [(state, decision)]


async def test_call_is_made_once_however_often_an_answer_resumes(notes: NotesServer) -> None:
    records = InMemory()
    await answered(notes, asking(LIST), ANSWER, records=records)
    for _ in range(2):
        await answered(notes, asking(LIST), ANSWER, asked=Job(1, QUESTION, 2, steps=records.steps), records=records)
    assert notes.calls == [(READ, {})]


async def test_model_without_buttons_offers_no_choices(notes: NotesServer) -> None:
    model = StepModel((ANSWER,))
    await answer(QUESTION, InMemoryConversation(), model, notes)
    assert [tool.name for tool in model.prompts[0].tools] == [READ, WRITE]


async def test_step_that_is_not_recorded_ends_the_answer_with_its_words(notes: NotesServer) -> None:
    left = await answered(notes, asking(LIST), ANSWER, records=NoRecords())
    assert (left.text, left.end.reason, notes.calls) == ("Let me see.", EndReason.STEP_LIMIT, [])


@pytest.mark.parametrize(
    ("events", "reason", "text", "is_charged"),
    [
        ((), EndReason.UNREACHABLE, "", False),
        ((), EndReason.STALLED, "", True),
        ((), EndReason.CUT, "", True),
        (("Because.",), EndReason.CUT, "Because.", True),
        ((), EndReason.UNREADABLE, "", False),
        ((), EndReason.REFUSED, "", True),
        (("Because.",), EndReason.REFUSED, "", True),
        ((Retrying(0.5, is_charged=True),), EndReason.OVERLOADED, "", True),
        ((Thinking(80), Retrying(0.5)), EndReason.OVERLOADED, "", False),
        ((Thinking(),), EndReason.ONLY_THOUGHT, "", True),
    ],
)
async def test_failing_model_ends_the_answer_with_its_words_and_is_charged_for_what_it_began(
    events: Sequence[StreamEvent], reason: EndReason, text: str, is_charged: bool
) -> None:
    model = MemoryModel(events, ProviderError(reason, MODEL))
    model.may_end.set()
    failed = await answer(QUESTION, InMemoryConversation(), model)
    assert (failed.text, failed.end.reason) == (text, reason)
    assert (failed.end.usage is not None) is is_charged
    with pytest.raises(ProviderError):
        failed.raise_for_error()


REFUSALS = {
    "before any output": ((), "anthropic", False),
    "after a thought": ((Thinking(80),), "anthropic", True),
    "after a hidden thought": ((Thinking(), Thinking(ended=True)), "anthropic", True),
    "midway": (("Because.",), "anthropic", True),
    "of a vendor that says nothing about it": ((), "bedrock", True),
}


@pytest.mark.parametrize(("events", "vendor", "is_charged"), REFUSALS.values(), ids=REFUSALS)
async def test_refusal_by_claude_is_charged_once_there_is_output(
    events: Sequence[StreamEvent], vendor: str, is_charged: bool
) -> None:
    model = MemoryModel(events, ProviderError(EndReason.REFUSED, f"{vendor}/claude"))
    model.may_end.set()
    refused = await answer(QUESTION, InMemoryConversation(), model)
    assert refused.end.reason is EndReason.REFUSED
    assert (refused.end.usage is not None) is is_charged


async def test_channels_model_is_asked_first() -> None:
    model = MemoryModel()
    model.may_end.set()
    channel = ChannelSettings(model="anthropic/claude")
    await answer(QUESTION, InMemoryConversation(settings=channel), model)
    assert model.led == ["anthropic/claude"]


@dataclass
class Noted(CollectedText):
    """Notes the waits between requests, and ends the answer in the middle."""

    waits: tuple[float, ...] = ()

    def show(self, activity: object) -> None:
        if isinstance(activity, Retrying):
            self.waits += (activity.wait_s,)

    def append(self, text: str) -> None:
        super().append(text)
        raise asyncio.CancelledError


async def test_output_hears_of_each_wait_and_can_cancel_the_answer() -> None:
    shown = Noted()
    with pytest.raises(asyncio.CancelledError):
        await answered(None, (Retrying(0.1), Retrying(2.0), *ANSWER), shown=shown)
    assert shown.waits == (0.1, 2.0)
    assert shown.answer is not None
    assert shown.answer.text == "All"


async def test_prompt_includes_names_and_facts_of_the_conversation() -> None:
    model = StepModel((ANSWER,))
    conversation = InMemoryConversation(names={"U2": "Grace"}, facts=["The moon is full."])
    await answer(replace(QUESTION, text="Ask <@U2>"), conversation, model)
    [turn] = model.prompts[0].turns
    assert "\nAsk @Grace\n" in turn.text
    assert "The moon is full." in turn.text
