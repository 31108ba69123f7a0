"""Decides whether a message is a question, based on channel settings, quiet threads and, if in doubt, a model.

- **Quiet threads.** "Stay quiet" turns off follow-ups without a mention in a thread, and a mention turns them on again.
  Only the thread's starter and Typist admins can turn them off or on. When somebody else joins, the starter gets one
  message about how the bot will behave, with a button that quiets the bot. Clicks can be forged, so the database
  decides who can quiet the bot.
- **The gate.** In channels that have turned it on, a small model decides on doubtful messages. A doubtful message is
  acknowledged as unanswered, and becomes a question only if the model is sure. Nothing is shown before the decision. If
  anything goes wrong, such as a used-up cap or a crash, the message stays unanswered. The decision's usage counts
  toward the caps, even if the decision came too late. A deletion can't be recorded for a message that isn't a question
  yet, so Slack is asked before and after the decision whether the message still exists.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bot.core import texts
from bot.core.actions import ActionResponse
from bot.core.closings import Closing
from bot.core.conversation import ANSWERED_SUBTYPES, Message, Question, ThreadKey, addressed_user_ids
from bot.core.triage import (
    MIN_PROBABILITY,
    UNKNOWN_PARTICIPANTS,
    USD_PER_TOKEN,
    Engagement,
    Ignore,
    IgnoreReason,
    Participants,
    TriageRules,
    can_be_alert,
    closing_of_message,
    closing_statement,
    gate_statement,
    is_from_person,
    is_quiet_request,
    needs_no_answer,
    transcript,
    triage,
)
from bot.errors import StoreError, TypistError
from bot.models.prompt import TokenEstimate
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl
from bot.services.notifications import Notifier
from bot.services.quota import Quota
from bot.slack.notices import offer
from bot.store import Stores

if TYPE_CHECKING:
    from bot.models.openai import Decider

log = logging.getLogger(__name__)

STAY_QUIET = "stay_quiet"
DECISION_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class QuietPress:
    thread: ThreadKey
    user_id: str
    clicked_ts: str
    """The time of the click, as a ts."""
    response_url: str


@dataclass(frozen=True)
class QuietThreads:
    stores: Stores
    workspace: Workspace
    notifier: Notifier
    access_control: AccessControl

    async def keep_quiet(self, message: Message, participants: Participants) -> None:
        """Carries out "stay quiet" in a thread that the bot takes part in. Raises StoreError."""
        if participants.is_quiet:
            sentence = texts.access.ALREADY_QUIET
        elif await self._quiet_thread(message.thread, message.user_id, participants.starter_id, message.ts):
            sentence = texts.access.QUIET_NOW
        else:
            sentence = texts.access.NOT_YOUR_THREAD
        sentence = self.access_control.with_admin_mentions(sentence)
        self.notifier.show_in_background(
            message.as_question(message.thread_ts), sentence, f"quiet {message.channel_id}/{message.ts}"
        )

    async def on_mention(self, message: Message, participants: Participants) -> None:
        """Turns follow-ups on again if the thread's starter or an admin mentioned the bot. Raises StoreError."""
        if self._can_change_quiet(message.user_id, participants.starter_id):
            await self.stores.participants.set_quiet(message.thread, quiet=False, ts=message.ts)

    def on_joined(self, message: Message, starter: str, rules: TriageRules) -> None:
        """Explains to a thread's starter how the bot will behave, after somebody else's first message in the thread."""
        if starter and rules.engagement is not Engagement.MENTIONS:
            has_doubts = rules.gate and rules.engagement is Engagement.FOLLOW_UPS
            sentence = (
                texts.access.SOMEBODY_JOINED_IN_DOUBT if has_doubts else texts.access.SOMEBODY_JOINED[rules.engagement]
            )
            name = f"joined {message.channel_id}/{message.thread_ts}"
            to = Question(message.thread, message.ts, starter, "")
            self.notifier.show_in_background(
                to, sentence, name, blocks=offer(sentence, texts.access.STAY_QUIET, action_id=STAY_QUIET)
            )

    async def on_press(self, press: QuietPress) -> None:
        try:
            starter = await self.stores.participants.starter(press.thread)
            is_quiet = await self._quiet_thread(press.thread, press.user_id, starter, press.clicked_ts)
            sentence = texts.access.QUIET_NOW if is_quiet else texts.access.NOT_YOUR_THREAD
        except StoreError as error:
            log.error("thread not quieted: %s", error)
            is_quiet, sentence = False, texts.actions.ACTION_FAILED
        if is_quiet:
            await self.workspace.surfaces.delete_ephemeral(press.response_url)
        response = ActionResponse(self.access_control.with_admin_mentions(sentence))
        await self.workspace.surfaces.respond_to_action(press.thread, press.user_id, press.response_url, response)

    async def _quiet_thread(self, thread: ThreadKey, user_id: str | None, starter: str, ts: str) -> bool:
        if not self._can_change_quiet(user_id, starter):
            return False
        if await self.stores.participants.set_quiet(thread, quiet=True, ts=ts):
            log.info("user %s quieted a thread", user_id)
        return True

    def _can_change_quiet(self, user_id: str | None, starter: str) -> bool:
        return user_id is not None and (user_id == starter or user_id in self.access_control.admins)


@dataclass(frozen=True)
class Gate:
    """Asks a small model whether a doubtful message is for the bot. Records nothing but usage."""

    decider: "Decider"
    workspace: Workspace
    quota: Quota
    estimate: TokenEstimate

    async def is_for_us(self, question: Question) -> bool:
        return await self._is_likely(question, gate_statement(self.workspace.me))

    async def is_closing(self, question: Question) -> bool:
        return await self._is_likely(question, closing_statement(self.workspace.me))

    async def _is_likely(self, question: Question, statement: str) -> bool:
        """Returns whether a message still exists and the model is sure that a statement about it is true."""
        if not await self.quota.is_below_caps(question):
            log.info("doubtful message %s ignored: a cap is used up", question.ts)
            return False
        async with asyncio.timeout(READ_TIMEOUT_S):
            messages = await self.workspace.history.messages(question)
        if all(message.ts != question.ts for message in messages):
            log.info("doubtful message %s ignored: Slack doesn't have it", question.ts)
            return False
        text = transcript(messages, question.ts, self.workspace.me)
        try:
            async with asyncio.timeout(DECISION_TIMEOUT_S):
                decision = await self.decider.decide(text, statement)
        except TimeoutError:
            # The vendor bills the request anyway.
            await self._count_usage(question, self.estimate.tokens(text + statement))
            raise
        await self._count_usage(question, decision.input_tokens)
        log.info("doubtful message %s: probability %.2f", question.ts, decision.probability)
        if decision.probability < MIN_PROBABILITY:
            return False
        async with asyncio.timeout(READ_TIMEOUT_S):
            message = await self.workspace.history.message(*question.thread.place, question.ts)
        if message is None:
            log.info("doubtful message %s ignored: it was deleted meanwhile", question.ts)
        return message is not None

    async def _count_usage(self, question: Question, tokens: int) -> None:
        await self.quota.count_usage(question, tokens, tokens * USD_PER_TOKEN)


@dataclass(frozen=True)
class MessageTriage:
    """Decides whether a message is a question, based on its text, the thread's participants and the channel's settings.
    `rules` apply to channels without settings. `gate` decides doubtful cases, which stay unanswered if it is None."""

    stores: Stores
    workspace: Workspace
    rules: TriageRules
    quiet_threads: QuietThreads
    gate: Gate | None

    async def participants_at(self, message: Message) -> Participants:
        if message.thread_ts is None or not self._is_by_person_in_channel(message):
            return UNKNOWN_PARTICIPANTS
        return await self.stores.participants.participants_at(message.thread, message.user_id or "", message.ts)

    def decide_from_message(self, message: Message) -> Question | Ignore:
        """Triages a message without its thread or channel, which is enough for mentions and direct messages."""
        return triage(message, self.workspace.me, UNKNOWN_PARTICIPANTS, self.rules)

    async def decide(self, message: Message, participants: Participants) -> Question | Ignore:
        """Returns the message's question, or why it is ignored. Carries out "stay quiet". Raises StoreError."""
        if participants.has_bot and is_quiet_request(message, self.workspace.me):
            await self.quiet_threads.keep_quiet(message, participants)
            return Ignore(IgnoreReason.QUIET)
        rules = await self._rules_for(message, participants)
        if participants.begins_group and not participants.is_quiet:
            self.quiet_threads.on_joined(message, participants.starter_id, rules)
        found = triage(message, self.workspace.me, participants, rules)
        if isinstance(found, Ignore) or found.begins_thread:
            return found
        if (closing := closing_of_message(message, self.workspace.me)) is None:
            return found
        last_words = await self.stores.participants.last_answer(found.thread, message.ts)
        if last_words is None or not needs_no_answer(closing, last_words):
            return found
        if closing is Closing.POSSIBLE and not (rules.gate and await self._is_closing(found)):
            return found
        return Ignore(IgnoreReason.CLOSING, closing=closing)

    async def _is_closing(self, question: Question) -> bool:
        """Returns whether the gate's model is sure that a message is a closing. Takes less time than Slack waits for an
        acknowledgment."""
        try:
            async with asyncio.timeout(DECISION_TIMEOUT_S):
                return self.gate is not None and await self.gate.is_closing(question)
        except (TypistError, TimeoutError) as error:
            log.warning("message %s is answered, though it may be a closing: %s", question.ts, error)
            return False

    async def _rules_for(self, message: Message, participants: Participants) -> TriageRules:
        """Returns the rules. For threads that include the bot and for posts that don't mention it, adds the channel's
        settings."""
        me = self.workspace.me.user_id
        if message.thread_ts is None:
            matters = me not in addressed_user_ids(message.text)
        else:
            matters = participants.has_bot or message.parent_user_id == me
        is_alert = bool(self.rules.alert_runs) and can_be_alert(message, self.workspace.me, self.rules)
        if not ((matters and self._is_by_person_in_channel(message)) or is_alert):
            return self.rules
        channel = await self.stores.channel_settings.read(message.team_id, message.channel_id)
        return replace(
            self.rules,
            alert_apps=channel.alert_apps.split(),
            engagement=channel.engagement or self.rules.engagement,
            answers_new_posts=channel.new_posts,
            holds_posts=bool(channel.only_if),
            gate=channel.gate and self.gate is not None,
        )

    def _is_by_person_in_channel(self, message: Message) -> bool:
        is_written = message.subtype in ANSWERED_SUBTYPES and is_from_person(message, self.workspace.me)
        return is_written and message.channel_type != "im"
