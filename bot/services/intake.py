"""Triages messages, and records questions before Slack's envelopes are acknowledged.

`Intake` handles new messages, and `MessageEdits` handles edits and deletions. Only text changes count as edits, because
Slack also sends message_changed for link previews and many other changes.
"""

import json
import logging
from dataclasses import dataclass, field, replace

from bot.clock import Background
from bot.core import memory, schedules, texts
from bot.core.caps import day_of
from bot.core.closings import Closing
from bot.core.conversation import REOPENED_SUBTYPES, Message, Question, addressed_user_ids, without_bot_mention
from bot.core.job import Job
from bot.core.notifications import Notification
from bot.core.triage import (
    Ignore,
    IgnoreReason,
    Participants,
    can_be_alert,
    closing_of_message,
    is_from_person,
    thread_to_stop,
)
from bot.errors import StoreError
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl
from bot.services.engagement import Gate, MessageTriage
from bot.services.notifications import Notifier
from bot.services.stops import AnswerStopper
from bot.services.worker import Worker
from bot.slack.notices import notification
from bot.slack.search import SlackSearch
from bot.store import Stores
from bot.store.workers import ProcessMessages

log = logging.getLogger(__name__)

_KIND = "action_token"
MAX_PENDING_DECISIONS = 10
"""Maximum number of doubtful messages that are decided on at once. Others stay unanswered."""
THANKS_REACTION = "raised_hands"


class SharedTokens:
    """Stores action tokens of this process's events, and shares them with other processes that might answer."""

    def __init__(self, tokens: SlackSearch, others: ProcessMessages) -> None:
        self._tokens = tokens
        self._other_processes = others

        def on_message(text: str) -> None:
            kind, *named = json.loads(text)
            # Ignores messages of unknown types, which a later version's process might send.
            if kind == _KIND:
                tokens.keep_token(*named)

        others.on_message(on_message)

    async def keep(self, question: Question, action_token: str) -> None:
        named = (question.thread.channel_id, question.ts, action_token)
        self._tokens.keep_token(*named)
        await self._other_processes.send(json.dumps([_KIND, *named]))


@dataclass(eq=False)
class Intake:
    stores: Stores
    workspace: Workspace
    worker: Worker
    access_control: AccessControl
    stops: AnswerStopper
    triage: MessageTriage
    notifier: Notifier
    action_tokens: SharedTokens | None
    _gate_tasks: Background = field(default_factory=Background, init=False)
    _reaction_tasks: Background = field(default_factory=Background, init=False)

    async def receive(
        self,
        event_id: str,
        message: Message,
        action_token: str = "",
        *,
        offer_first: bool = False,
        notify_unsaved: bool = False,
    ) -> bool:
        """Records a message as a job if it is a question, before its event is acknowledged. Raises StoreError.

        Also carries out "stop" and "stay quiet". Returns whether the message is a new question. `action_token`: allows
        searching Slack. A mention causes two events, and possibly only one of them has a token. `offer_first`: whether
        to offer an answer before answering. `notify_unsaved`: whether to notify the asker if the database rejects the
        question.
        """
        found: Question | Ignore | None = None
        try:
            if message.subtype in REOPENED_SUBTYPES:
                await self.stores.outbox.wake(message.team_id, message.channel_id)
            stop = thread_to_stop(message, self.workspace.me)
            if stop and await self.stops.stop_by_message(stop, message.user_id or "", message.ts):
                return False
            participants = await self.triage.participants_at(message)
            found = await self.triage.decide(message, participants)
            if stop and isinstance(found, Ignore):
                await self.stops.tell_who_can_stop(stop, message.user_id or "", message.ts)
            if participants.begins_group:
                # Written only after the decision, because a database that rejects writes can still tell whether the
                # message is a question.
                await self.stores.participants.mark_group(message.thread, message.ts)
            return await self._carry_out(event_id, message, participants, found, action_token, offer_first=offer_first)
        except StoreError:
            # If the database failed before the decision, the message alone decides.
            found = found or self.triage.decide_from_message(message)
            if notify_unsaved and isinstance(found, Question) and not self.access_control.known_denial(found):
                self.notifier.tell_not_saved(found)
            raise

    async def _carry_out(
        self,
        event_id: str,
        message: Message,
        participants: Participants,
        found: Question | Ignore,
        action_token: str,
        *,
        offer_first: bool,
    ) -> bool:
        if isinstance(found, Ignore):
            log.debug("message %s ignored: %s", message.ts, found.reason)
            if found.reason is IgnoreReason.CLOSING:
                self._react_to_thanks(message, found)
                return False
            await self._record_line(message, participants)
            self.ask_gate(event_id, found.doubtful_question)
        elif denial := self.access_control.known_denial(found):
            await self._record_line(message, participants)
            self.access_control.explain_denial(found, denial)
        else:
            if participants.is_quiet:
                await self.triage.quiet_threads.on_mention(message, participants)
            if action_token and self.action_tokens is not None:
                await self.action_tokens.keep(found, action_token)
            return await self.enqueue(event_id, found, offer_first=offer_first)
        return False

    def can_be_alert(self, message: Message) -> bool:
        return can_be_alert(message, self.workspace.me, self.triage.rules)

    def _react_to_thanks(self, message: Message, found: Ignore) -> None:
        """Reacts to thanks with an emoji. Closings aren't recorded, because they don't change whose turn it is."""
        if found.closing is Closing.THANKS and self.workspace.can_react:
            reacting = self.workspace.surfaces.react(message.channel_id, message.ts, THANKS_REACTION)
            self._reaction_tasks.start(reacting, f"no reaction to message {message.ts}")

    def ask_gate(self, event_id: str, question: Question | None) -> None:
        """Asks a model about an unclear message in the background, because acknowledgments can't wait for a model."""
        gate = self.triage.gate
        if question is None or gate is None:
            return
        if len(self._gate_tasks) >= MAX_PENDING_DECISIONS:
            log.warning("doubtful message %s ignored: too many at once", question.ts)
            return
        deciding = self._enqueue_if_for_us(event_id, question, gate)
        self._gate_tasks.start(deciding, f"doubtful message {question.ts} ignored")

    async def _enqueue_if_for_us(self, event_id: str, question: Question, gate: Gate) -> None:
        if await self.access_control.denial(question) is None and await gate.is_for_us(question):
            await self.enqueue(event_id, question)

    async def _record_line(self, message: Message, participants: Participants) -> None:
        if participants.has_others and message.thread_ts is not None:
            await self.stores.participants.record_line(message.thread, message.user_id or "", message.ts)

    async def enqueue(
        self, event_id: str, question: Question, *, offer_first: bool = False, job_id: int | None = None
    ) -> bool:
        """Queues a question. Returns whether the question is new. `job_id`: the job of a question that the bot posted.
        Raises StoreError."""
        queue, full = self.stores.question_queue, self.worker.is_full
        question = queued_question(self.workspace, question)
        # A held question gets no offer, because nobody asked it.
        offer_first = offer_first and not question.is_held
        if question.alert_kind:
            runs = self.triage.rules.alert_runs
            notice = _alert_limit_notice(question, runs)
            enqueued = await queue.enqueue_alert(event_id, question, runs, notice, full=full)
        else:
            enqueued = await queue.enqueue(event_id, question, full=full, offered=offer_first, job_id=job_id)
        if enqueued is None:
            log.debug("message %s is no new question", question.ts)
        elif enqueued.needs_placeholder:
            self.worker.post_placeholder(Job(enqueued.job_id, question, attempts=0))
        else:
            self.worker.on_question(Job(enqueued.job_id, question, attempts=0))
        return enqueued is not None


def _alert_limit_notice(question: Question, runs_a_day: int) -> Notification:
    """Returns a post that tells a channel, at most once per UTC day, that further alerts are skipped."""
    channel_id = question.thread.channel_id
    content = notification(texts.alerts.limit_reached(runs_a_day))
    return Notification(channel_id, f"alerts used up {day_of(float(question.ts))}", content)


def queued_question(workspace: Workspace, question: Question) -> Question:
    """Returns a question as it is stored with its job, without sign-in URLs and marked if it is a command."""
    question = workspace.sign_in_urls.question_without_urls(question)
    is_command = not question.is_held and any(
        command_in(question, workspace.me) for command_in in (memory.memory_command, schedules.schedule_command)
    )
    return replace(question, is_command=is_command)


@dataclass(frozen=True)
class MessageEdits:
    stores: Stores
    workspace: Workspace
    worker: Worker
    intake: Intake

    async def on_message_edited(self, event_id: str, before: Message, after: Message, edited_ts: str) -> None:
        """Applies a message edit. Adding a mention, or text to a closing, makes the message a question."""
        if after.subtype == "tombstone":
            await self.on_message_deleted(before)
        elif self.intake.can_be_alert(after):
            if before.full_text != after.full_text:
                await self._record_edit(after, edited_ts)
        elif not is_from_person(after, self.workspace.me):
            log.debug("edit of message %s ignored: not by a person", after.ts)
        elif self._own_text(before) != self._own_text(after) and await self._record_edit(after, edited_ts):
            return
        elif self._becomes_question(before, after):
            await self.intake.receive(event_id, after)

    async def on_mention_edited(self, event_id: str, message: Message, edited_ts: str) -> None:
        """Applies an edit of a message that mentions us, without its previous text. For channels that the bot isn't in,
        Slack sends no other event about edits. The message becomes a question if it isn't a question yet, because the
        mention might be new."""
        if not is_from_person(message, self.workspace.me):
            log.debug("edit of message %s ignored: not by a person", message.ts)
        elif not await self._record_edit(message, edited_ts):
            await self.intake.receive(event_id, message)

    async def on_message_deleted(self, message: Message) -> None:
        """Removes a deleted message's question, and its reply unless a person wrote after it."""
        is_asked = is_from_person(message, self.workspace.me) or self.intake.can_be_alert(message)
        if is_asked and await self.stores.question_queue.delete(message.team_id, message.channel_id, message.ts):
            self.worker.wake()

    async def _record_edit(self, message: Message, edited_ts: str) -> bool:
        """Records the edit of a question. Returns False if the message isn't a question yet."""
        question = queued_question(self.workspace, message.as_question(message.thread_ts))
        is_recorded = await self.stores.question_queue.edit(question, edited_ts)
        if is_recorded:
            self.worker.wake()
        return is_recorded

    def _becomes_question(self, before: Message, after: Message) -> bool:
        mentions_us = [self.workspace.me.user_id in addressed_user_ids(message.text) for message in (before, after)]
        return mentions_us == [False, True] or bool(
            closing_of_message(before, self.workspace.me) and not closing_of_message(after, self.workspace.me)
        )

    def _own_text(self, message: Message) -> str:
        return without_bot_mention(message.text, self.workspace.me.user_id)
