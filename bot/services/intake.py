"""Intake: triages each message, and records a question before Slack's envelope is acknowledged.

`Intake` takes new messages, `MessageEdits` their edits and deletions. Slack sends message_changed for link previews and
much else, so only changed words count.

Two things decide about messages without a mention, beside the rules of triage:

- **Quiet threads.** "Stay quiet" ends follow-ups without a mention in a thread, and a mention begins them again. Both
  are for the thread's starter and for Typist admins. The starter learns once how the bot goes on when somebody else
  joins, with a button that quiets it. A press can be forged, so the database says who may.
- **The gate.** In channels that chose that, a small model decides about doubtful messages. Such a message is
  acknowledged as one that isn't answered, and becomes a question only if the model is sure. Nothing shows before that.
  Whatever goes wrong, a cap that is used up or a crash included, the message stays unanswered. What the decision used
  counts in the caps, also if it came too late. A message that is no question yet has no record that its deletion could
  change. So Slack is asked whether it is still there, before and after the decision.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bot.clock import Background
from bot.core import texts
from bot.core.actions import ActionResponse
from bot.core.conversation import Message, Question, ThreadKey, mentioned_users, without_address
from bot.core.job import Job
from bot.core.triage import (
    ANSWERED_SUBTYPES,
    NEEDED_PROBABILITY,
    USD_PER_TOKEN,
    Engagement,
    Ignore,
    IgnoreReason,
    Participants,
    TriageRules,
    asks_for_quiet,
    by_person,
    statement,
    stop_in,
    transcript,
    triage,
)
from bot.errors import StoreError
from bot.models.prompt import TokenEstimate
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl, PrivateNotices
from bot.services.quota import Quota
from bot.services.reply_actions import ReplyActions
from bot.services.worker import Worker
from bot.slack.home import offer
from bot.slack.search import SlackSearch
from bot.store import Stores
from bot.store.workers import ProcessMessages

if TYPE_CHECKING:
    from bot.models.openai import Decider


STAY_QUIET = "stay_quiet"
"""The button's action_id."""
DECIDED_WITHIN_S = 2.0
READ_WITHIN_S = 5.0
MAX_AT_ONCE = 10
"""More doubtful messages at once stay unanswered."""

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
    """Switches threads."""

    stores: Stores
    workspace: Workspace
    private_notices: PrivateNotices
    access_control: AccessControl

    async def take(self, message: Message, participants: Participants) -> bool:
        """Applies "stay quiet" in a thread that we are in; returns whether the message was that. Raises StoreError."""
        if not participants.takes_part or not asks_for_quiet(message, self.workspace.me):
            return False
        as_question = _question(message)
        sentence = texts.ALREADY_QUIET if participants.quiet else texts.NOT_YOUR_THREAD
        if not participants.quiet and self._may_switch(message.user_id, participants.starter):
            sentence = texts.QUIET_NOW
            if await self.stores.participants.switch(message.thread, quiet=True, ts=message.ts):
                log.info("user %s quieted a thread", message.user_id)
        sentence = self.access_control.naming_admins(sentence)
        self.private_notices.send(as_question, sentence, f"quiet {message.channel_id}/{message.ts}")
        return True

    async def mentioned(self, message: Message, participants: Participants) -> None:
        """Ends the quiet of a thread if its starter or an admin mentioned us. Raises StoreError."""
        if participants.quiet and self._may_switch(message.user_id, participants.starter):
            await self.stores.participants.switch(message.thread, quiet=False, ts=message.ts)

    def joined(self, message: Message, starter: str, rules: TriageRules) -> None:
        """Tells a thread's starter how the bot goes on, because a message is the first by somebody else."""
        if starter and rules.engagement is not Engagement.MENTIONS:
            has_doubts = rules.gate and rules.engagement is Engagement.FOLLOW_UPS
            sentence = texts.SOMEBODY_JOINED_IN_DOUBT if has_doubts else texts.SOMEBODY_JOINED[rules.engagement]
            name = f"joined {message.channel_id}/{message.thread_ts}"
            to = Question(message.thread, message.ts, starter, "")
            self.private_notices.send(
                to, sentence, name, blocks=offer(sentence, texts.STAY_QUIET, action_id=STAY_QUIET)
            )

    async def pressed(self, press: QuietPress) -> None:
        """Quiets a thread by the button, and tells the presser."""
        try:
            sentence = texts.NOT_YOUR_THREAD
            if self._may_switch(press.user_id, await self.stores.participants.starter(press.thread)):
                sentence = texts.QUIET_NOW
                if await self.stores.participants.switch(press.thread, quiet=True, ts=press.at_ts):
                    log.info("user %s quieted a thread", press.user_id)
        except StoreError as error:
            log.error("thread not quieted: %s", error)
            sentence = texts.ACTION_FAILED
        if sentence == texts.QUIET_NOW:
            await self.workspace.surfaces.delete_ephemeral(press.response_url)
        response = ActionResponse(self.access_control.naming_admins(sentence))
        await self.workspace.surfaces.respond_to_action(press.thread, press.user_id, press.response_url, response)

    def _may_switch(self, user_id: str | None, starter: str) -> bool:
        return user_id is not None and (user_id == starter or user_id in self.access_control.admins)


class Gate:
    """Decides in the background: no acknowledgment waits for a model."""

    def __init__(self, decider: "Decider", workspace: Workspace, quota: Quota, estimate: TokenEstimate) -> None:
        self._decider = decider
        self._history = workspace.history
        self._quota = quota
        self._estimate = estimate
        self._me = workspace.me
        self._background = Background()

    def decide(
        self, question: Question, may_ask: Callable[[], Awaitable[bool]], enqueue: Callable[[], Awaitable[None]]
    ) -> None:
        """Has the question enqueued if its writer may ask, and the model takes its message for one."""
        if len(self._background) >= MAX_AT_ONCE:
            log.warning("doubtful message %s ignored: too many at once", question.ts)
            return

        async def enqueue_if_for_us() -> None:
            if await may_ask() and await self._is_for_us(question):
                await enqueue()

        self._background.start(enqueue_if_for_us(), f"doubtful message {question.ts} ignored")

    async def _is_for_us(self, question: Question) -> bool:
        if not await self._quota.has_room(question):
            log.info("doubtful message %s ignored: a cap is used up", question.ts)
            return False
        async with asyncio.timeout(READ_WITHIN_S):
            messages = await self._history.messages(question)
        if all(message.ts != question.ts for message in messages):
            log.info("doubtful message %s ignored: Slack doesn't have it", question.ts)
            return False
        text = transcript(messages, question.ts, self._me)
        asked = statement(self._me)
        try:
            async with asyncio.timeout(DECIDED_WITHIN_S):
                decision = await self._decider.decide(text, asked)
        except TimeoutError:
            # It is billed all the same.
            await self._count(question, self._estimate.tokens(text + asked))
            raise
        await self._count(question, decision.input_tokens)
        log.info("doubtful message %s: probability %.2f", question.ts, decision.probability)
        if decision.probability < NEEDED_PROBABILITY:
            return False
        async with asyncio.timeout(READ_WITHIN_S):
            message = await self._history.message(question.thread.team_id, question.thread.channel_id, question.ts)
        if message is None:
            log.info("doubtful message %s ignored: it was deleted meanwhile", question.ts)
        return message is not None

    async def _count(self, question: Question, tokens: int) -> None:
        await self._quota.count(question, tokens, tokens * USD_PER_TOKEN)


_KIND = "action_token"


class SharedTokens:
    """Keeps the action tokens of this process's events, and tells the other processes, which may answer them."""

    def __init__(self, tokens: SlackSearch, others: ProcessMessages) -> None:
        self._tokens = tokens
        self._others = others

        def heard(text: str) -> None:
            kind, *named = json.loads(text)
            # A process of a later version may say what this one doesn't know.
            if kind == _KIND:
                tokens.keep(*named)

        others.on_message(heard)

    async def keep(self, question: Question, action_token: str) -> None:
        """Keeps a question's token here and in the other processes."""
        named = (question.thread.channel_id, question.ts, action_token)
        self._tokens.keep(*named)
        await self._others.send(json.dumps([_KIND, *named]))


@dataclass(frozen=True)
class MessageTriage:
    """Decides whether a message is a question: by who takes part in its thread, the channel's settings and its words.

    `rules`: how messages are triaged where a channel has set nothing. `gate`: decides in doubt; None if no model does.
    """

    stores: Stores
    workspace: Workspace
    rules: TriageRules
    quiet_threads: QuietThreads
    gate: Gate | None

    async def participants_at(self, message: Message) -> Participants:
        """Returns the thread's participants. A second person is on record before Slack's envelope is acknowledged."""
        if message.thread_ts is None or not self._is_persons_in_channel(message):
            return Participants()
        return await self.stores.participants.at_message(message.thread, message.user_id or "", message.ts)

    async def decide(self, message: Message, participants: Participants) -> Question | Ignore:
        """Returns the question that a message is, or why it is ignored. Applies "stay quiet". Raises StoreError."""
        if await self.quiet_threads.take(message, participants):
            return Ignore(IgnoreReason.QUIET)
        rules = await self._rules_for(message, participants)
        if participants.joined and not participants.quiet:
            self.quiet_threads.joined(message, participants.starter, rules)
        return triage(message, self.workspace.me, participants, rules)

    async def _rules_for(self, message: Message, participants: Participants) -> TriageRules:
        """Returns the rules with the channel's own, which matter for posts without us and in threads that we are in."""
        me = self.workspace.me.user_id
        if message.thread_ts is None:
            matters = me not in mentioned_users(message.text)
        else:
            matters = participants.takes_part or message.parent_user_id == me
        if not matters or not self._is_persons_in_channel(message):
            return self.rules
        channel = await self.stores.channel_settings.read(message.team_id, message.channel_id)
        return replace(
            self.rules,
            engagement=channel.engagement or self.rules.engagement,
            new_posts=channel.new_posts,
            gate=channel.gate and self.gate is not None,
        )

    def _is_persons_in_channel(self, message: Message) -> bool:
        """Whether a person wrote a message in a channel, so that it may be a question without a mention."""
        is_written = message.subtype in ANSWERED_SUBTYPES and by_person(message, self.workspace.me)
        return is_written and message.channel_type != "im"


class Intake:
    """Turns messages into jobs."""

    def __init__(
        self,
        stores: Stores,
        workspace: Workspace,
        worker: Worker,
        access_control: AccessControl,
        reply_actions: ReplyActions,
        triage: MessageTriage,
        action_tokens: SharedTokens | None,
    ) -> None:
        """`action_tokens` is None where nothing searches Slack."""
        self._queue = stores.question_queue
        self._participants = stores.participants
        self._worker = worker
        self._access_control = access_control
        self._reply_actions = reply_actions
        self._triage = triage
        self._me = workspace.me
        self._action_tokens = action_tokens

    async def take(self, event_id: str, message: Message, action_token: str = "", *, offered: bool = False) -> bool:
        """Records the message's question, if it is one; "stop" and "stay quiet" are commands. Raises StoreError.

        Returns whether it is a new question. `action_token` comes with events that let us search Slack; of a mention's
        two events, perhaps one has it. `offered`: an answer is offered first.
        """
        stop = stop_in(message, self._me)
        if stop and await self._reply_actions.stop_by_message(stop, message.user_id or "", message.ts):
            return False
        participants = await self._triage.participants_at(message)
        question = await self._triage.decide(message, participants)
        if isinstance(question, Ignore):
            log.debug("message %s ignored: %s", message.ts, question.reason)
            await self._record_line(message, participants)
            self._decide(event_id, question.in_doubt)
        elif denial := self._access_control.denial_at_once(question):
            await self._record_line(message, participants)
            self._access_control.tell(question, denial)
        else:
            await self._triage.quiet_threads.mentioned(message, participants)
            if action_token and self._action_tokens is not None:
                await self._action_tokens.keep(question, action_token)
            return await self.enqueue(event_id, question, offered=offered)
        return False

    def _decide(self, event_id: str, question: Question | None) -> None:
        """Has a model decide about a message in doubt, unless its writer has no access. They aren't told of that."""
        gate = self._triage.gate
        if question is None or gate is None:
            return

        async def may_ask() -> bool:
            return await self._access_control.denial(question) is None

        async def enqueue() -> None:
            await self.enqueue(event_id, question)

        gate.decide(question, may_ask, enqueue)

    async def _record_line(self, message: Message, participants: Participants) -> None:
        """Records who wrote a message that is not a question, where that decides about later messages."""
        if participants.others and message.thread_ts is not None:
            await self._participants.record_line(message.thread, message.user_id or "", message.ts)

    async def enqueue(
        self, event_id: str, question: Question, *, offered: bool = False, job_id: int | None = None
    ) -> bool:
        """Queues a question whose asker has access; returns whether it is a new one. Raises StoreError.

        `job_id`: the job of a question that the bot has posted for its asker.
        """
        enqueued = await self._queue.enqueue(event_id, question, full=self._worker.full, offered=offered, job_id=job_id)
        if enqueued is None:
            log.debug("message %s is no new question", question.ts)
        elif enqueued.needs_placeholder:
            self._worker.post_placeholder(Job(enqueued.job_id, question, attempts=0))
        else:
            self._worker.wake()
        return enqueued is not None


class MessageEdits:
    """Applies edits and deletions of messages to their questions. Each method raises StoreError."""

    def __init__(self, stores: Stores, workspace: Workspace, worker: Worker, intake: Intake) -> None:
        self._questions = stores.question_queue
        self._worker = worker
        self._intake = intake
        self._me = workspace.me

    async def edited(self, event_id: str, before: Message, after: Message, edited_ts: str) -> None:
        """Applies an edit of a message. An added mention makes it a question; a removed mention changes nothing."""
        if after.subtype == "tombstone":
            await self.deleted(before)
        elif not by_person(after, self._me):
            log.debug("edit of message %s ignored: not by a person", after.ts)
        elif self._words(before) != self._words(after) and await self._questions.edit(_question(after), edited_ts):
            self._worker.wake()
        elif self._me.user_id in mentioned_users(after.text) and self._me.user_id not in mentioned_users(before.text):
            await self._intake.take(event_id, after)

    async def mentioned_again(self, event_id: str, message: Message, edited_ts: str) -> None:
        """Applies an edit of a message that mentions us, without its text from before.

        Slack sends only this event from channels that we are not in. If the message is not a question yet, it becomes
        one, because the mention may be what was added.
        """
        if not by_person(message, self._me):
            log.debug("edit of message %s ignored: not by a person", message.ts)
        elif await self._questions.edit(_question(message), edited_ts):
            self._worker.wake()
        else:
            await self._intake.take(event_id, message)

    async def deleted(self, message: Message) -> None:
        """Removes a deleted message's question, and its reply unless a person wrote after it."""
        if by_person(message, self._me) and await self._questions.delete(
            message.team_id, message.channel_id, message.ts
        ):
            self._worker.wake()

    def _words(self, message: Message) -> str:
        return without_address(message.text, self._me.user_id)


def _question(message: Message) -> Question:
    asker = message.user_id or ""
    attached_chars = message.attached_chars
    return Question(message.thread, message.ts, asker, message.whole, message.files, attached_chars=attached_chars)
