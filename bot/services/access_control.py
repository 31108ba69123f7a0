"""Access control: decides who may ask before a model is asked, and tells denied askers why.

The worker asks Slack for an asker's kind of account, because users.info takes 0.1 s, enqueueing 5 ms, and Slack waits
for the acknowledgment.
"""

import asyncio
import logging
import math
from collections.abc import Iterable

from bot.core import texts
from bot.core.conversation import Question
from bot.core.limits import access
from bot.core.limits.access import AccessRules, Denial, DenialNotice, UserKind
from bot.errors import StoreError
from bot.slack.ephemeral_messages import EphemeralMessages
from bot.slack.users import Users
from bot.store.notices import BotQuestionCounts, Notices

MAX_ADMINS_NAMED = 3

log = logging.getLogger(__name__)


class AccessControl:
    """Decides at intake if the kind of account is known, else in the worker: no acknowledgment waits for Slack."""

    def __init__(
        self,
        rules: AccessRules,
        users: Users,
        ephemeral: EphemeralMessages,
        notices: Notices,
        bot_questions: BotQuestionCounts,
        admins: Iterable[str] = (),
    ) -> None:
        """`admins`: the people whom a denied asker can turn to."""
        self._admins = [f"<@{admin}>" for admin in sorted(admins)[:MAX_ADMINS_NAMED]]
        self._rules = rules
        self._users = users
        self._ephemeral = ephemeral
        self._notices = notices
        self._bot_questions = bot_questions
        self._telling: set[asyncio.Task[None]] = set()

    @property
    def may_allow_bots(self) -> bool:
        """Whether triage may take a bot's mention for a question."""
        return UserKind.BOT in self._rules.also or bool(self._rules.allow_users)

    def denial_at_once(self, question: Question) -> Denial | None:
        """Returns why the asker is denied; None if they have access, or if Slack has to be asked first."""
        kind = UserKind.BOT if question.from_bot else self._users.known(question.user_id)
        return None if kind is None and self._must_ask(question) else access.denial(self._rules, question, kind)

    async def denial(
        self, question: Question, *, now_within_s: float | None = None, members_only: bool = False
    ) -> Denial | None:
        """Returns why the asker is denied, None if they have access.

        An asker of unknown kind is denied, so that no guest gets in when Slack fails. `now_within_s`: as in Users.kind.
        """
        kind = UserKind.BOT if question.from_bot else None
        if kind is None and (members_only or self._must_ask(question)):
            kind = await self._users.kind(question.user_id, now_within_s=now_within_s)
        if denial := access.denial(self._rules, question, kind):
            return denial
        return Denial.NO_MEMBER if members_only and kind is not UserKind.MEMBER else None

    async def allows(self, question: Question) -> bool:
        """Returns whether the asker has access, and tells an asker who hasn't."""
        denial = await self.denial(question)
        if denial is not None:
            self.tell(question, denial)
        return denial is None

    async def too_many(self, question: Question) -> bool:
        """Returns whether a bot asks so much that it may be answering our answers. Raises StoreError."""
        return question.from_bot and (await self._bot_questions.count(question)).too_many

    def tell(self, question: Question, denial: Denial) -> None:
        """Explains the denial to the asker in the background, unless they got an explanation lately."""
        log.info("user %s is denied: %s", question.user_id, denial.name.lower())
        if not question.from_bot:
            sentence = texts.naming_admins(denial, self._admins)
            self._tell_in_background(question, sentence, access.denial_notice(question, denial))

    def tell_mention_needed(self, follow_up: Question) -> None:
        """Says in the background, once in a thread, that questions need a mention since a second person joined it."""
        thread = follow_up.thread
        notice = DenialNotice(f"mention_needed {thread.channel_id}/{thread.thread_ts}", math.inf)
        self._tell_in_background(follow_up, texts.MENTION_NEEDED, notice)

    def _tell_in_background(self, question: Question, sentence: str, notice: DenialNotice) -> None:
        task = asyncio.create_task(self._tell(question, sentence, notice))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, question: Question, sentence: str, notice: DenialNotice) -> None:
        try:
            due = await self._notices.claim(question.thread.team_id, question.user_id, notice.name, notice.every_s)
        except StoreError as error:
            log.error("notice not sent: user=%s notice=%s: %s", question.user_id, notice.name, error)
            return
        if due:
            await self._ephemeral.tell(question, sentence)

    def _must_ask(self, question: Question) -> bool:
        return access.depends_on_kind(self._rules, question)
