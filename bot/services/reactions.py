"""Reactions: the emoji that a channel chose asks about the message under it, and the person who adds it is the asker.

The question is posted and answered in the message's thread as one of the message shortcut is (message_shortcut.py). Its
id names the emoji and the message, so there is one answer for both, whoever adds the emoji, however often, and whatever
Slack delivers again. The bot's own messages are never asked about: no emoji on them does anything, least of all approve
a call.

An emoji costs one click, so a person can add dozens in a minute. The question is on record before the event is
acknowledged, and Slack is asked for nothing until then. What follows costs calls of the workspace's budget, so each
person has a limit.
"""

import logging
from collections import deque
from dataclasses import dataclass, field

from bot.core import texts
from bot.core.access import UserKind
from bot.core.channel_settings import emoji_name
from bot.core.conversation import Question, ThreadKey
from bot.core.message_question import QuotedMessage, reaction_id
from bot.core.triage import SLACKS_OWN
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl, PrivateNotices
from bot.services.message_shortcut import MessageShortcut
from bot.store import Stores

MAX_REACTIONS = 10
"""How many messages a person can ask about by emoji within LIMITED_S, in one process."""
LIMITED_S = 600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reaction:
    """An emoji that somebody added to a message."""

    channel_id: str
    ts: str
    emoji: str
    """Its name, without colons and skin tone."""
    user_id: str
    """Who added it."""
    writer_id: str
    """Who wrote the message; "" if Slack doesn't say."""

    @property
    def question_id(self) -> str:
        """The same for everybody who adds this emoji to this message."""
        return reaction_id(self.emoji, self.channel_id, self.ts)


@dataclass(frozen=True)
class Reactions:
    """Asks about messages under a channel's emoji."""

    stores: Stores
    workspace: Workspace
    access_control: AccessControl
    private_notices: PrivateNotices
    shortcut: MessageShortcut
    _lately: deque[tuple[float, str, str]] = field(default_factory=deque, init=False)
    """When who asked which question, within the last LIMITED_S by the monotonic clock."""

    async def added(self, reaction: Reaction) -> None:
        """Asks, if the channel chose the emoji and its person may ask. Makes no call to Slack. Raises StoreError."""
        if reaction.user_id in SLACKS_OWN or self.workspace.me.user_id in (reaction.user_id, reaction.writer_id):
            return
        settings = await self.stores.channel_settings.read(self.workspace.me.team_id, reaction.channel_id)
        # Settings of an earlier version may have another name of the emoji.
        if not settings.reaction or emoji_name(settings.reaction) != reaction.emoji:
            return
        if not self._may_ask(reaction):
            return
        about = QuotedMessage(reaction.channel_id, reaction.ts, "", None, "")
        await self.shortcut.ask_once(reaction.user_id, reaction.question_id, about, texts.REACTION_QUESTION)

    def _may_ask(self, reaction: Reaction) -> bool:
        """Returns whether a person may ask, as far as it is known without Slack, and tells them if not."""
        if self.workspace.users.known(reaction.user_id) is UserKind.BOT:
            return False
        in_channel = ThreadKey(self.workspace.me.team_id, reaction.channel_id, None)
        asked = Question(in_channel, reaction.ts, reaction.user_id, "")
        if denial := self.access_control.denial_at_once(asked):
            self.access_control.tell(asked, denial)
            return False
        if not self._is_within_limit(reaction):
            log.info("reaction of user %s ignored: too many", reaction.user_id)
            self.private_notices.send(asked, texts.TOO_MANY_REACTIONS, "too_many_reactions", LIMITED_S)
            return False
        return True

    def _is_within_limit(self, reaction: Reaction) -> bool:
        """Counts a reaction, unless its person has too many; the same one counts once."""
        now = self.stores.clock.monotonic()
        while self._lately and self._lately[0][0] <= now - LIMITED_S:
            self._lately.popleft()
        asked = {question_id for _, user_id, question_id in self._lately if user_id == reaction.user_id}
        if reaction.question_id not in asked:
            if len(asked) >= MAX_REACTIONS:
                return False
            self._lately.append((now, reaction.user_id, reaction.question_id))
        return True
