"""The message shortcut: a question about a message is asked in a modal, posted in its thread once, and answered there.

Slack waits three seconds for a submitted modal. chat.postMessage may take as long, its response may be lost, and the
process may die at any moment. So a submitted question goes on record before anything is posted, under the id of its
modal, and stays there until it is a job. The modal holds the beginning of the message, and the record all of it.

A modal may be open for hours, so access is checked before the question is posted. A process that takes the question
later looks first whether it was posted:

- In the message's thread, the post carries the modal's id and is found by it.
- Typist can't find a person's direct message, so nothing is posted there twice: Slack's event about the post says where
  it is. If no event comes, Typist tells the asker.

A question by a reaction (reactions.py) or by a choice (choices.py) is one without a modal, under an id that these make.
A reaction's event has no text, so its message is read here, once the asker has access.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from bot.clock import Clock
from bot.core import texts
from bot.core.backoff import Backoff
from bot.core.conversation import Message, Question, ThreadKey
from bot.core.inbound.mentions import ids_to_name
from bot.core.inbound.triage import Identity
from bot.core.limits.access import UserKind
from bot.core.message_question import QUESTION_HOLD_S, MessageQuestion, QuotedMessage, text_of_post
from bot.core.reply.actions import ActionResponse
from bot.core.slash_command import CommandResponse
from bot.errors import RateLimited, Refusal, Refused, StoreError, TypistError, trace_of
from bot.services.access_control import AccessControl
from bot.services.intake import Intake
from bot.services.slash_commands import Invocation
from bot.slack.format.shortcut_question import quoted
from bot.slack.history import History
from bot.slack.retry_policy import LOOKS, MAX_LOOKS
from bot.slack.surfaces import Surfaces
from bot.slack.users import NAMES_WITHIN_S, Users
from bot.store.message_questions import MessageQuestions

POST_WITHIN_S = 10.0
"""The latest time for sending a post. Slack answers within 15 s or never, so none arrives after QUESTION_HOLD_S."""
WITHIN_S = QUESTION_HOLD_S - 2.0
TRIES = Backoff(4.0, QUESTION_HOLD_S)
SKEW_S = 300.0
"""Slack's clock may be behind ours by this much."""
NAMES_IN_MODAL_WITHIN_S = 1.0
"""Slack forgets the modal's trigger after three seconds."""
LOOK_S = 2.0
AT_ONCE = 5
MAX_TRIES = 10
"""With growing waits, these take a few minutes. The response_url is valid for half an hour."""

log = logging.getLogger(__name__)


class PostUncertain(TypistError):
    """A question may have been posted already, so nothing may be posted again."""


class GivenUp(TypistError):
    """A question isn't asked. The message is the sentence for its asker, "" if there is nothing to tell."""


@dataclass(eq=False)
class MessageShortcut:
    """Posts and queues submitted questions, and continues those that another process left."""

    records: MessageQuestions
    surfaces: Surfaces
    intake: Intake
    history: History
    users: Users
    access_control: AccessControl
    clock: Clock
    me: Identity
    _under_way: dict[str, asyncio.Task[str]] = field(default_factory=dict, init=False)
    _late: set[str] = field(default_factory=set, init=False)
    """Views whose modal is closed. The outcome goes to the response_url."""

    async def open(self, invocation: Invocation, message: Message) -> None:
        """Asks a person in a modal what they want to know about a message. Raises RateLimited and Refused."""
        thread = ThreadKey(self.me.team_id, invocation.channel_id, None)
        if denial := await self.access_control.denial(Question(thread, "", invocation.user_id, "")):
            await self._tell(invocation.user_id, quoted(message, invocation.response_url, {}), denial)
            return
        about = quoted(message, invocation.response_url, await self._names(message, NAMES_IN_MODAL_WITHIN_S))
        view_id = await self.surfaces.open_question_modal(invocation.trigger_id, about, message.user_id)
        try:
            await self.records.draft(self.me.team_id, view_id, invocation.user_id, about)
        except StoreError as error:
            log.warning("message %s not recorded, its modal has only its beginning: %s", message.ts, error)

    async def ask(self, user_id: str, view_id: str, about: QuotedMessage, text: str) -> str:
        """Returns "" once the question is queued, else why it isn't. A canceled caller cancels nothing."""
        task = self._under_way.get(view_id) or self._start(view_id, self._submitted(user_id, view_id, about, text))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if view_id in self._under_way:
                self._late.add(view_id)
            raise

    async def ask_once(self, user_id: str, view_id: str, about: QuotedMessage, text: str) -> bool:
        """Asks in the background once the question is on record; the asker is told of a failure. Raises StoreError.

        Returns False for a question that was asked already, by whomever: it isn't asked again.
        """
        if view_id in self._under_way:
            return False
        question = await self.records.begin(self.me.team_id, view_id, user_id, about, text)
        if question is None or question.done:
            return False
        self._start(view_id, self._continue(question))
        return (question.user_id, question.text) == (user_id, text)

    async def run(self) -> None:
        """Continues questions that a process began and left, until canceled."""
        while True:
            await self.clock.sleep(LOOK_S)
            try:
                taken = await self.records.take(AT_ONCE)
            except StoreError as error:
                log.error("questions about messages: database unavailable, retrying: %s", error)
                continue
            for question in taken:
                if question.view_id not in self._under_way:
                    self._start(question.view_id, self._continue(question))

    async def seen(self, view_id: str, message: Message) -> None:
        """Records where a question was posted, according to Slack's event. Raises StoreError."""
        if self.me.user_id == message.user_id or self.me.bot_id == message.bot_id:
            await self.records.record_post(self.me.team_id, view_id, message.channel_id, message.ts)

    async def end(self, within_s: float) -> None:
        """Waits for questions that are under way."""
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=within_s)

    def _start(self, view_id: str, submission: Coroutine[Any, Any, str]) -> asyncio.Task[str]:
        task = self._under_way[view_id] = asyncio.create_task(submission)
        task.add_done_callback(lambda _: self._ended(view_id))
        return task

    def _ended(self, view_id: str) -> None:
        del self._under_way[view_id]
        self._late.discard(view_id)

    async def _submitted(self, user_id: str, view_id: str, about: QuotedMessage, text: str) -> str:
        try:
            question = await self.records.begin(self.me.team_id, view_id, user_id, about, text)
        except StoreError as error:
            log.warning("question about message %s not asked: %s", about.ts, error)
            sentence = texts.QUESTION_NOT_SAVED
        else:
            if question is None:
                return texts.QUESTION_IN_PROGRESS
            sentence = "" if question.done else await self._try(question)
        if sentence and view_id in self._late:
            await self._tell(user_id, about, sentence)
        return sentence

    async def _continue(self, question: MessageQuestion) -> str:
        self._late.add(question.view_id)
        try:
            if sentence := await self._try(question):
                await self._tell(question.user_id, question.about, sentence)
        except Exception as error:
            log.error("question about message %s: retrying: %s", question.about.ts, trace_of(error))
        return ""

    async def _try(self, question: MessageQuestion) -> str:
        """Returns why the question is given up; "" if it is queued, or if a process will continue it."""
        try:
            async with asyncio.timeout(WITHIN_S):
                await self._post_and_queue(question)
            return ""
        except (TimeoutError, StoreError) as error:
            log.warning("question about message %s: retrying: %s", question.about.ts, error or "it took too long")
            if question.tries < MAX_TRIES:
                return ""
            sentence = texts.QUESTION_MAYBE_ASKED
        except GivenUp as given_up:
            sentence = str(given_up)
        except PostUncertain as error:
            log.warning("question about message %s: maybe posted, looking again: %s", question.about.ts, error)
            if question.tries < MAX_TRIES:
                return await self._postpone(question, TRIES.wait_s(question.tries))
            sentence = texts.QUESTION_MAYBE_ASKED
        except (RateLimited, Refused) as error:
            log.warning("question about message %s not asked: %s", question.about.ts, error)
            may_pass = isinstance(error, RateLimited) or not error.reason.is_final
            if may_pass and question.view_id in self._late and question.tries < MAX_TRIES:
                return await self._postpone(question, TRIES.wait_s(question.tries))
            sentence = _sentence(error)
        await self._postpone(question, None)
        return sentence

    async def _postpone(self, question: MessageQuestion, delay_s: float | None) -> str:
        try:
            await self.records.postpone(question, delay_s)
        except StoreError as error:
            log.warning("question about message %s: retrying: %s", question.about.ts, error)
        return ""

    async def _post_and_queue(self, question: MessageQuestion) -> None:
        await self._check_access(question)
        if question.about.quote is None:
            question = replace(question, about=await self._read(question.about))
        posted = await self._post(question)
        await self.intake.enqueue(f"view {question.view_id}", posted)
        await self.records.complete(question)
        is_elsewhere = posted.thread.channel_id != question.about.channel_id
        # A person who pressed a choice or added an emoji sees the thread.
        if is_elsewhere or question.about.response_url:
            sentence = texts.ASKED_IN_DIRECT_MESSAGE if is_elsewhere else texts.ASKED_IN_THREAD
            await self._tell(question.user_id, question.about, sentence)

    async def _check_access(self, question: MessageQuestion) -> None:
        """Raises GivenUp if the asker is denied. Who added an emoji is told as seldom as the asker of a message."""
        about, user_id = question.about, question.user_id
        by_reaction = about.quote is None
        # Bots ask by mentions only, which are counted.
        if by_reaction and await self.users.kind(user_id) is UserKind.BOT:
            raise GivenUp("")
        thread = ThreadKey(self.me.team_id, about.channel_id, about.thread_ts or None)
        asked = Question(thread, about.ts, user_id, "")
        denial = await self.access_control.denial(asked)
        if denial and by_reaction:
            self.access_control.tell(asked, denial)
        if denial:
            raise GivenUp("" if by_reaction else denial)

    async def _read(self, about: QuotedMessage) -> QuotedMessage:
        """Returns the message of a reaction. Raises GivenUp if it is gone or ours, RateLimited and Refused."""
        message = await self.history.message(self.me.team_id, about.channel_id, about.ts)
        if message is None:
            log.debug("message %s can't be asked about", about.ts)
            raise GivenUp("")
        return quoted(message, about.response_url, await self._names(message, NAMES_WITHIN_S))

    async def _names(self, message: Message, within_s: float) -> Mapping[str, str]:
        """Returns the names of whom and what a message mentions, by id, as far as Slack gives them in time."""
        names: Mapping[str, str] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                names = await self.users.names(ids_to_name(message.whole))
        return {**names, self.me.user_id: self.me.name}

    async def _post(self, question: MessageQuestion) -> Question:
        """Posts the question in the thread, or with a quote in the asker's direct message if we can't post there."""
        if question.posted:
            return self._question(question, *question.posted)
        if question.elsewhere:
            raise PostUncertain("no event has told yet whether it is in the direct message")
        about = question.about
        if question.tries > 1 and (ts := await self._find_post(question)):
            return self._question(question, about.channel_id, ts)
        try:
            place = await self.surfaces.post_question(question, self._may_post(question), elsewhere=False)
            return self._question(question, *place)
        except Refused as refused:
            # A choice means nothing without the answer that offers it.
            if refused.reason in (Refusal.CHANNEL_GONE, Refusal.FORBIDDEN) and about.offered_by is None:
                return await self._post_directly(question)
            if not refused.reason.may_pass:
                raise
            log.info("question about message %s: maybe posted, looking: %s", about.ts, refused)
            if ts := await self._find_post(question):
                return self._question(question, about.channel_id, ts)
            raise

    async def _post_directly(self, question: MessageQuestion) -> Question:
        if not await self.records.record_direct_post(question, begun=True):
            raise PostUncertain("another process has it")
        try:
            place = await self.surfaces.post_question(question, self._may_post(question), elsewhere=True)
        except (RateLimited, Refused) as error:
            if isinstance(error, Refused) and error.reason.may_pass:
                raise PostUncertain(str(error)) from error
            await self.records.record_direct_post(question, begun=False)
            raise
        return self._question(question, *place)

    def _may_post(self, question: MessageQuestion) -> Callable[[], bool]:
        return lambda: self.clock.now() < question.due_at - QUESTION_HOLD_S + POST_WITHIN_S

    async def _find_post(self, question: MessageQuestion) -> str | None:
        """Returns the ts of an earlier try's post; None if Slack says twice that there is none.

        Raises PostUncertain if Slack doesn't say.
        """
        since = question.created_at - SKEW_S
        is_missing = False
        for look in range(1, MAX_LOOKS + 1):
            try:
                ts = await self.surfaces.find_question(question, since)
                if ts is not None or is_missing:
                    return ts
                is_missing = True
            except (RateLimited, Refused) as error:
                if isinstance(error, Refused) and error.reason in (Refusal.CHANNEL_GONE, Refusal.MESSAGE_GONE):
                    return None
                log.info("question about message %s: not looked for: %s", question.about.ts, error)
            if look < MAX_LOOKS:
                await self.clock.sleep(LOOKS.wait_s(look))
        raise PostUncertain(f"Slack did not say in {MAX_LOOKS} looks")

    def _question(self, question: MessageQuestion, channel_id: str, ts: str) -> Question:
        is_elsewhere = channel_id != question.about.channel_id
        words, quoted = text_of_post(question.about, question.text, elsewhere=is_elsewhere)
        in_pane = ts if self.me.has_pane else None
        thread_ts = in_pane if is_elsewhere else question.about.thread_ts or None
        thread = ThreadKey(self.me.team_id, channel_id, thread_ts)
        return Question(
            thread, ts, question.user_id, "\n\n".join(filter(None, (words, quoted))), attached_chars=len(quoted)
        )

    async def _tell(self, user_id: str, about: QuotedMessage, sentence: str) -> None:
        """Tells the asker the outcome; a failure is logged and changes nothing."""
        sentence = self.access_control.naming_admins(sentence)
        try:
            if about.response_url:
                await self.surfaces.respond_to_command(about.response_url, CommandResponse(sentence))
            else:
                # A thread without answers shows no ephemeral message.
                thread_ts = None if about.ts == about.thread_ts else about.thread_ts or None
                thread = ThreadKey(self.me.team_id, about.channel_id, thread_ts)
                await self.surfaces.respond_to_action(thread, user_id, "", ActionResponse(sentence))
        except (RateLimited, Refused) as error:
            log.warning("response to a command not sent: %s", error)


def _sentence(error: RateLimited | Refused) -> str:
    is_deleted = isinstance(error, Refused) and error.reason is Refusal.OUTSIDE_THREAD
    return texts.MESSAGE_DELETED if is_deleted else texts.QUESTION_REFUSED
