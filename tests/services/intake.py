"""Intake with all its real parts but Slack and the model."""

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from bot.core.conversation import Question
from bot.core.inbound.engagement import TriageRules
from bot.core.limits.access import UserKind
from bot.services.gate import Gate
from bot.services.intake import Intake
from bot.services.message_edits import MessageEdits
from bot.services.private_notices import PrivateNotices
from bot.services.quiet_threads import QuietThreads
from bot.store import Stores
from bot.store.schema import jobs
from tests.clocks import InstantClock
from tests.services.answering import ME, Accounts, AnsweringStage
from tests.services.presses import MemorySurfaces, actions_on


@dataclass
class KnownAccounts(Accounts):
    """Accounts whose kind is known without asking Slack."""

    def known(self, user_id: str) -> UserKind | None:
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
        self._deciding = set()

    async def _is_for_us(self, question: Question) -> bool:
        return True


@dataclass
class IntakeStage:
    """The way of messages to the queue. `gate` decides in doubt."""

    stores: Stores
    gate: Gate | None = field(default_factory=SureGate)

    def __post_init__(self) -> None:
        stores, self.accounts, self.tokens = self.stores, KnownAccounts(), Tokens(self.stores)
        beside = AnsweringStage(stores, InstantClock(), accounts=self.accounts)
        tokens: Any = self.tokens
        self.access_control = beside.answering.access_control
        self.surfaces = MemorySurfaces()
        private_notices = PrivateNotices(self.accounts, stores.notices)
        self.quiet = QuietThreads(stores.participants, private_notices, self.surfaces, ("UADMIN",), ME)
        self.intake = Intake(
            queue=stores.queue,
            participants=stores.participants,
            channel_settings=stores.channel_settings,
            worker=beside.worker,
            access_control=self.access_control,
            reply_actions=actions_on(beside),
            quiet_threads=self.quiet,
            me=ME,
            rules=TriageRules(),
            action_tokens=tokens,
            gate=self.gate,
        )
        self.edits = MessageEdits(stores.queue, beside.worker, self.intake, ME)


async def queued(stores: Stores) -> int:
    """Returns how many questions are in the database."""
    async with stores.database.engine.connect() as connection:
        return await connection.scalar(sa.select(sa.func.count()).select_from(jobs)) or 0


async def asked_ts(stores: Stores) -> set[str]:
    """Returns the ts of all questions."""
    async with stores.database.engine.connect() as connection:
        return set(await connection.scalars(sa.select(jobs.c.ts)))
