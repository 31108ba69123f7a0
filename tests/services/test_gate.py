"""The gate: which doubtful messages a model is asked about, and how many at once, with a real ledger."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.core.conversation import Message, Question
from bot.errors import StoreError
from bot.models.openai import Decider
from bot.models.prompt import Estimate, TokenEstimate
from bot.services.access_control import AccessControl
from bot.services.engagement import Gate
from bot.services.intake import MAX_PENDING_DECISIONS
from bot.slack.history import History
from bot.store import Stores
from tests.clocks import InstantClock, idle
from tests.services.answering import MODEL, QUESTION, AnsweringStage
from tests.services.intake import IntakeStage, queued
from tests.services.parts import workspace_of

DOUBTFUL = replace(QUESTION, ts="999995.000000", text="And why?")


@dataclass
class Thread(History):
    has: Sequence[Message]

    async def messages(self, question: Question, before_ts: str | None = None) -> list[Message]:
        return list(self.has)

    async def message(self, team_id: str, channel_id: str, ts: str) -> Message | None:
        return next((message for message in self.has if message.ts == ts), None)


@dataclass
class SureModel(Decider):
    asked: list[str] = field(default_factory=list)

    async def decide(self, text: str, statement: str) -> Estimate:
        self.asked.append(text)
        return Estimate(1.0, 10)


class Rights(AccessControl):
    """Says who may ask, once `may_say` is set."""

    error: Exception | None
    may_say: asyncio.Event

    def __init__(self, error: Exception | None) -> None:
        """`error`: why nobody can say whether the writer may ask."""
        vars(self).update(error=error, may_say=asyncio.Event())

    async def denial(self, question: Question, **more: Any) -> None:
        await self.may_say.wait()
        if self.error:
            raise self.error


@dataclass
class GateStage:
    """An intake with a gate, and what becomes of the doubtful messages."""

    stores: Stores
    has: Sequence[Message] = (QUESTION.as_message(), DOUBTFUL.as_message())
    error: Exception | None = None
    """Why nobody can say whether the writer may ask."""

    def __post_init__(self) -> None:
        quota = AnsweringStage(self.stores, InstantClock()).answering.quota
        self.model, self.rights = SureModel(), Rights(self.error)
        gate = Gate(self.model, workspace_of(history=Thread(self.has)), quota, TokenEstimate((MODEL,)))
        self.intake = IntakeStage(self.stores, gate).intake
        self.intake.access_control = self.rights

    def decide(self) -> None:
        self.intake.ask_gate("Ev1", DOUBTFUL)


async def test_doubtful_messages_beyond_the_most_at_once_stay_unanswered(stores: Stores) -> None:
    stage = GateStage(stores)
    for _ in range(MAX_PENDING_DECISIONS + 1):
        stage.decide()
    stage.rights.may_say.set()
    await idle()
    assert (len(stage.model.asked), await queued(stores)) == (MAX_PENDING_DECISIONS, 1)
    stage.decide()
    await idle()
    assert len(stage.model.asked) == MAX_PENDING_DECISIONS + 1


@pytest.mark.parametrize(
    ("has", "error"),
    [((QUESTION.as_message(),), None), (GateStage.has, StoreError("away")), (GateStage.has, ValueError("a bug"))],
    ids=["it was deleted", "the database is away", "a bug"],
)
async def test_no_model_reads_a_doubtful_message_without_need(
    stores: Stores, caplog: pytest.LogCaptureFixture, has: Sequence[Message], error: Exception | None
) -> None:
    caplog.set_level("INFO")
    stage = GateStage(stores, has, error)
    stage.rights.may_say.set()
    stage.decide()
    await idle()
    assert (stage.model.asked, await queued(stores)) == ([], 0)
    assert f"doubtful message {DOUBTFUL.ts} ignored" in caplog.text
