"""Intake with all its real parts but Slack and the model."""

from copy import copy
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from bot.core.access import UserKind
from bot.core.conversation import Question
from bot.core.triage import TriageRules
from bot.services.engagement import Gate, MessageTriage, QuietThreads
from bot.services.intake import Intake, MessageEdits
from bot.services.notifications import Notifier
from bot.store import Stores
from bot.store.schema import jobs
from tests.clocks import InstantClock
from tests.services.answering import Accounts, AnsweringStage
from tests.services.parts import having
from tests.services.presses import MemorySurfaces, actions_on


@dataclass
class KnownAccounts(Accounts):
    """Accounts whose kind is known without asking Slack."""

    def known_kind(self, user_id: str, max_age_s: float = 0.0) -> UserKind | None:
        return self.kind_of_all


@dataclass
class Tokens:
    """Keeps the action tokens, with how many jobs there were before."""

    stores: Stores
    kept: list[tuple[str, int]] = field(default_factory=list)

    async def keep(self, question: Question, token: str) -> None:
        self.kept.append((token, await queued(self.stores)))


class SureGate(Gate):
    """Takes each message in doubt for a question."""

    def __init__(self) -> None:
        """Needs no model."""

    async def is_for_us(self, question: Question) -> bool:
        return True

    async def is_closing(self, question: Question) -> bool:
        return True


@dataclass
class IntakeStage:
    """The way of messages to the queue. `gate` decides in doubt."""

    stores: Stores
    gate: Gate | None = field(default_factory=SureGate)
    rules: TriageRules = field(default_factory=TriageRules)

    def __post_init__(self) -> None:
        stores, self.accounts, self.tokens = self.stores, KnownAccounts(), Tokens(self.stores)
        beside = AnsweringStage(stores, InstantClock(), accounts=self.accounts)
        tokens: Any = self.tokens
        worker: Any = copy(beside.worker)
        # It would wait for the answer ahead, which nobody writes here.
        worker.post_placeholder = lambda job: None
        self.access_control = beside.answering.access_control
        self.surfaces = MemorySurfaces()
        workspace = having(beside.workspace, surfaces=self.surfaces, ephemeral=self.accounts, can_react=True)
        notifier = Notifier(stores, workspace)
        self.quiet = QuietThreads(stores, workspace, notifier, self.access_control)
        triage = MessageTriage(stores, workspace, self.rules, self.quiet, self.gate)
        self.intake = Intake(
            stores,
            workspace,
            worker,
            self.access_control,
            actions_on(beside).stops,
            triage,
            notifier,
            action_tokens=tokens,
        )
        self.edits = MessageEdits(stores, workspace, worker, self.intake)


async def queued(stores: Stores) -> int:
    async with stores.database.engine.connect() as connection:
        return await connection.scalar(sa.select(sa.func.count()).select_from(jobs)) or 0


async def asked_ts(stores: Stores) -> set[str]:
    async with stores.database.engine.connect() as connection:
        return set(await connection.scalars(sa.select(jobs.c.ts)))
