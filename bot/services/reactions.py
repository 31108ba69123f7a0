"""Reactions: the emoji that a channel chose asks about the message under it, and the person who adds it is the asker.

The question is posted and answered in the message's thread as one of the message shortcut is. Its id names the emoji
and the message, so there is one answer for both, whoever adds the emoji, however often, and whatever Slack delivers
again. The bot's own messages are never asked about: no emoji on them does anything, least of all approve a call.

Slack's event has no text, so the message is read before the envelope is acknowledged. If that fails, or takes too long,
Slack delivers the event again.
"""

import logging
from dataclasses import dataclass, replace

from bot.core import texts
from bot.core.conversation import Question, ThreadKey
from bot.core.inbound.triage import SLACKS_OWN, Identity
from bot.core.limits.access import UserKind
from bot.services.access_control import AccessControl
from bot.services.message_shortcut import MessageShortcut
from bot.slack.format.modals import shortened_quote
from bot.slack.format.shortcut_question import quoted
from bot.slack.history import History
from bot.slack.users import Users
from bot.store.channel_settings import ChannelSettingsStore

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

    @property
    def question_id(self) -> str:
        """The same for everybody who adds this emoji to this message."""
        return f"reaction:{self.emoji}:{self.channel_id}:{self.ts}"


@dataclass(frozen=True)
class Reactions:
    """Asks about messages under a channel's emoji."""

    channel_settings: ChannelSettingsStore
    history: History
    users: Users
    access_control: AccessControl
    shortcut: MessageShortcut
    me: Identity

    async def added(self, reaction: Reaction) -> None:
        """Asks, if the channel chose the emoji and its person may ask. Raises RateLimited, Refused and StoreError."""
        if reaction.user_id in SLACKS_OWN or reaction.user_id == self.me.user_id:
            return
        settings = await self.channel_settings.read(self.me.team_id, reaction.channel_id)
        if not settings.reaction or settings.reaction != reaction.emoji:
            return
        message = await self.history.message(self.me.team_id, reaction.channel_id, reaction.ts)
        if message is None:
            log.debug("reaction to message %s ignored: it can't be asked about", reaction.ts)
            return
        about = quoted(message, "")
        if await self._may_ask(reaction, about.thread_ts):
            about = replace(about, quote=shortened_quote(about.quote))
            text = texts.REACTION_QUESTION
            await self.shortcut.ask_once(reaction.user_id, reaction.question_id, about, text)

    async def _may_ask(self, reaction: Reaction, thread_ts: str) -> bool:
        """Returns whether a person may ask, and tells them if not. Bots ask by mentions only, which are counted."""
        if await self.users.kind(reaction.user_id) is UserKind.BOT:
            log.debug("reaction to message %s ignored: a bot's", reaction.ts)
            return False
        thread = ThreadKey(self.me.team_id, reaction.channel_id, thread_ts)
        return await self.access_control.allows(Question(thread, reaction.ts, reaction.user_id, ""))
