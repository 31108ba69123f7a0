"""Quiet threads: "stay quiet" ends follow-ups without a mention in a thread, and a mention begins them again.

Both are for the thread's starter and for Typist admins. The starter learns once how the bot goes on when somebody else
joins, with a button that quiets it. A press can be forged, so the database says who may.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass

from bot.core import texts
from bot.core.conversation import Message, Question, ThreadKey
from bot.core.inbound.engagement import Engagement, Participants, TriageRules
from bot.core.inbound.triage import Identity, asks_for_quiet
from bot.core.limits.access import admin_mentions
from bot.core.reply.actions import ActionResponse
from bot.errors import RateLimited, Refused, StoreError
from bot.services.private_notices import PrivateNotices
from bot.slack.format.reply_blocks import offer
from bot.slack.surfaces import Surfaces
from bot.store.participants import ThreadParticipants

STAY_QUIET = "stay_quiet"
"""The button's action_id."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QuietPress:
    """A press of the button that quiets the bot in a thread."""

    thread: ThreadKey
    user_id: str
    at_ts: str
    """When it was pressed, in the form of a message's ts."""
    response_url: str


@dataclass(frozen=True)
class QuietThreads:
    """Switches threads. `admins`: ids of the Typist admins."""

    participants: ThreadParticipants
    private_notices: PrivateNotices
    surfaces: Surfaces
    admins: Collection[str]
    me: Identity

    async def take(self, message: Message, participants: Participants) -> bool:
        """Applies "stay quiet" in a thread that we are in; returns whether the message was that. Raises StoreError."""
        if not participants.takes_part or not asks_for_quiet(message, self.me):
            return False
        as_question = _question(message)
        sentence = texts.ALREADY_QUIET if participants.quiet else texts.NOT_YOUR_THREAD
        if not participants.quiet and self._may_switch(message.user_id, participants.starter):
            sentence = texts.QUIET_NOW
            if await self.participants.switch(as_question.thread, quiet=True, ts=message.ts):
                log.info("user %s quieted a thread", message.user_id)
        sentence = self._naming_admins(sentence)
        self.private_notices.send(as_question, sentence, f"quiet {message.channel_id}/{message.ts}")
        return True

    async def mentioned(self, message: Message, participants: Participants) -> None:
        """Ends the quiet of a thread if its starter or an admin mentioned us. Raises StoreError."""
        if participants.quiet and self._may_switch(message.user_id, participants.starter):
            await self.participants.switch(_question(message).thread, quiet=False, ts=message.ts)

    def joined(self, message: Message, starter: str, rules: TriageRules) -> None:
        """Tells a thread's starter how the bot goes on, because a message is the first by somebody else."""
        if starter and rules.engagement is not Engagement.MENTIONS:
            has_doubts = rules.gate and rules.engagement is Engagement.FOLLOW_UPS
            sentence = texts.SOMEBODY_JOINED_IN_DOUBT if has_doubts else texts.SOMEBODY_JOINED[rules.engagement]
            name = f"joined {message.channel_id}/{message.thread_ts}"
            to = Question(_question(message).thread, message.ts, starter, "")
            self.private_notices.send(
                to, sentence, name, blocks=offer(sentence, texts.STAY_QUIET, action_id=STAY_QUIET)
            )

    async def pressed(self, press: QuietPress) -> None:
        """Quiets a thread by the button, and tells the presser."""
        try:
            sentence = await self._press(press)
        except StoreError as error:
            log.error("thread not quieted: %s", error)
            sentence = texts.ACTION_FAILED
        try:
            if sentence == texts.QUIET_NOW:
                await self.surfaces.delete_ephemeral(press.response_url)
            response = ActionResponse(self._naming_admins(sentence))
            await self.surfaces.respond_to_action(press.thread, press.user_id, press.response_url, response)
        except (RateLimited, Refused) as error:
            log.warning("outcome of a press not shown: %s", error)

    async def _press(self, press: QuietPress) -> str:
        if not self._may_switch(press.user_id, await self.participants.starter(press.thread)):
            return texts.NOT_YOUR_THREAD
        if await self.participants.switch(press.thread, quiet=True, ts=press.at_ts):
            log.info("user %s quieted a thread", press.user_id)
        return texts.QUIET_NOW

    def _naming_admins(self, sentence: str) -> str:
        return texts.naming_admins(sentence, admin_mentions(self.admins))

    def _may_switch(self, user_id: str | None, starter: str) -> bool:
        return user_id is not None and (user_id == starter or user_id in self.admins)


def _question(message: Message) -> Question:
    return Question(message.thread, message.ts, message.user_id or "", "")
