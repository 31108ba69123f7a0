"""Provides the asker's identity to servers that receive it in headers (bot/identity.py)."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from bot.clock import keep_trying
from bot.core.conversation import Question
from bot.core.job import Job
from bot.core.prompt import asker_key
from bot.errors import RateLimited, Refused
from bot.identity import ASKER, EMAIL, Asker
from bot.reply.workspace import Workspace
from bot.services.answer_attempt import AnswerAttempt
from bot.slack.users import email_of
from bot.store import Stores

EMAIL_CACHE_S = 600.0
MAX_CACHED_EMAILS = 1_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AskerIdentities:
    """Adds the asker's identity to the requests of `answer_attempt`."""

    answer_attempt: Callable[[AnswerAttempt], Awaitable[None]]
    stores: Stores
    workspace: Workspace
    placeholders: Collection[str]
    """The placeholders in use."""
    identifies_creators: bool
    """Whether a scheduled run, which has no asker, identifies its creator."""
    _emails: dict[str, tuple[float, str]] = field(default_factory=dict, init=False, repr=False)

    async def answer(self, attempt: AnswerAttempt) -> None:
        ASKER.set(self._asker(attempt.job))
        await self.answer_attempt(attempt)

    def _asker(self, job: Job) -> Asker:
        recorded = set[str]()

        async def record(receiver: str, sent: Sequence[str]) -> None:
            if receiver not in recorded:
                writing = self.stores.audit.record_identity
                await keep_trying(lambda: writing(job.question, job.id, receiver, sent), self.stores.clock, "identity")
                recorded.add(receiver)

        return Asker(lambda: self._values(job.question), record)

    async def _values(self, question: Question) -> Mapping[str, str]:
        place = {"channel.id": question.thread.channel_id}
        if question.schedule_id is not None and not self.identifies_creators:
            return place
        key = asker_key(question.thread.team_id, question.user_id)
        email = await self._email(question.user_id) if EMAIL in self.placeholders else ""
        return {**place, "asker.id": question.user_id, "asker.hash": key, EMAIL: email}

    async def _email(self, user_id: str) -> str:
        now = self.stores.clock.monotonic()
        at, email = self._emails.get(user_id, (now - EMAIL_CACHE_S, ""))
        if now - at < EMAIL_CACHE_S:
            return email
        try:
            email = await email_of(self.workspace.paced, user_id, self.workspace.me.team_id)
        except (RateLimited, Refused) as error:
            log.warning("email address of user %s unknown, headers with it are left out: %s", user_id, error)
            return email
        if len(self._emails) >= MAX_CACHED_EMAILS:
            self._emails.clear()
        self._emails[user_id] = now, email
        return email
