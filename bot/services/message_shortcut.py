"""Questions about a message, asked in a modal: each is written into the message's thread once, and answered there.

Slack waits three seconds for a submitted modal. chat.postMessage may take as long, its response may be lost, and the
process may die at any moment. So a submitted question goes on record before anything is posted, under the id of its
modal, and stays there until it is a job. A process that takes it later looks first whether it was posted:

- In the message's thread, the post carries the modal's id and is found by it.
- Typist can't find a person's direct message, so nothing is posted there twice: Slack's event about the post says where
  it is. If no event comes, its asker is told.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from bot.core import texts
from bot.core.conversation import Message, Question, ThreadKey
from bot.core.inbound.triage import Identity
from bot.core.message_question import QUESTION_HOLD_S, MessageQuestion, QuotedMessage, text_of_post
from bot.core.slash_command import CommandResponse
from bot.errors import RateLimited, Refusal, Refused, StoreError, TypistError, trace_of
from bot.ports.clock import Clock
from bot.ports.message_questions import MessageQuestions
from bot.ports.surfaces import CommandResponses, QuestionPosts
from bot.services.intake import Intake

POST_WITHIN_S = 10.0
"""A post leaves no later. Slack answers within 15 s or not at all, so nothing arrives after QUESTION_HOLD_S."""
WITHIN_S = QUESTION_HOLD_S - 2.0
LOOK_AGAIN_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""How long to wait before each further look for a post whose answer was lost."""
SKEW_S = 300.0
"""Slack's clock may be behind ours by this much."""
LOOK_S = 2.0
AT_ONCE = 5
LONGEST_WAIT_S = 30.0
MOST_TRIES = 10
"""With the growing waits between them these take a few minutes; its asker can be told for half an hour."""

log = logging.getLogger(__name__)


class NotSure(TypistError):
    """Whether a question was posted is not known: nothing may be posted again."""


@dataclass(eq=False)
class MessageShortcut:
    """Those of one process."""

    records: MessageQuestions
    posts: QuestionPosts
    responses: CommandResponses
    intake: Intake
    clock: Clock
    me: Identity
    _under_way: dict[str, asyncio.Task[str]] = field(default_factory=dict, init=False)
    _late: set[str] = field(default_factory=set, init=False)
    """Views whose modal is closed: what comes of them is told in another way."""

    async def ask(self, user_id: str, view_id: str, about: QuotedMessage, text: str) -> str:
        """Returns "" once the question is asked, else why it is not. A caller that is cancelled ends nothing."""
        task = self._under_way.get(view_id) or self._begin(view_id, self._submitted(user_id, view_id, about, text))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._late.add(view_id)
            raise

    async def run(self) -> None:
        """Goes on with questions that a process began and left. Until cancelled."""
        while True:
            await self.clock.sleep(LOOK_S)
            try:
                taken = await self.records.take(AT_ONCE)
            except StoreError as error:
                log.error("questions about messages: database unavailable, retrying: %s", error)
                continue
            for ask in taken:
                if ask.view_id not in self._under_way:
                    self._begin(ask.view_id, self._again(ask))

    async def seen(self, view_id: str, message: Message) -> None:
        """Slack says where a question was posted; raises StoreError."""
        if self.me.user_id == message.user_id or self.me.bot_id == message.bot_id:
            await self.records.record_post(self.me.team_id, view_id, message.channel_id, message.ts)

    async def end(self, within_s: float) -> None:
        """Lets those under way end."""
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=within_s)

    def _begin(self, view_id: str, seeing_to: Coroutine[Any, Any, str]) -> asyncio.Task[str]:
        task = self._under_way[view_id] = asyncio.create_task(seeing_to)
        task.add_done_callback(lambda _: self._ended(view_id))
        return task

    def _ended(self, view_id: str) -> None:
        del self._under_way[view_id]
        self._late.discard(view_id)

    async def _submitted(self, user_id: str, view_id: str, about: QuotedMessage, text: str) -> str:
        try:
            ask = await self.records.begin(self.me.team_id, view_id, user_id, about, text)
        except StoreError as error:
            log.warning("question about message %s not asked: %s", about.ts, error)
            sentence = texts.QUESTION_NOT_SAVED
        else:
            if ask is None:
                return texts.QUESTION_IN_PROGRESS
            sentence = "" if ask.done else await self._tried(ask)
        if sentence and view_id in self._late:
            await self._tell(about.response_url, sentence)
        return sentence

    async def _again(self, ask: MessageQuestion) -> str:
        self._late.add(ask.view_id)
        try:
            if sentence := await self._tried(ask):
                await self._tell(ask.about.response_url, sentence)
        except Exception as error:
            log.error("question about message %s: retrying: %s", ask.about.ts, trace_of(error))
        return ""

    async def _tried(self, ask: MessageQuestion) -> str:
        """Returns why the question is given up; "" where it is asked, or any process goes on with it."""
        try:
            async with asyncio.timeout(WITHIN_S):
                await self._asked(ask)
            return ""
        except (TimeoutError, StoreError) as error:
            log.warning("question about message %s: retrying: %s", ask.about.ts, error or "it took too long")
            if ask.tries < MOST_TRIES:
                return ""
            sentence = texts.QUESTION_MAYBE_ASKED
        except NotSure as error:
            log.warning("question about message %s: maybe posted, looking again: %s", ask.about.ts, error)
            if ask.tries < MOST_TRIES:
                return await self._put_off(ask, _wait_s(ask))
            sentence = texts.QUESTION_MAYBE_ASKED
        except (RateLimited, Refused) as error:
            log.warning("question about message %s not asked: %s", ask.about.ts, error)
            may_pass = isinstance(error, RateLimited) or error.reason.may_pass or error.reason is Refusal.TOKEN_GONE
            if may_pass and ask.view_id in self._late and ask.tries < MOST_TRIES:
                return await self._put_off(ask, _wait_s(ask))
            sentence = _sentence(error)
        await self._put_off(ask, None)
        return sentence

    async def _put_off(self, ask: MessageQuestion, delay_s: float | None) -> str:
        try:
            await self.records.postpone(ask, delay_s)
        except StoreError as error:
            log.warning("question about message %s: retrying: %s", ask.about.ts, error)
        return ""

    async def _asked(self, ask: MessageQuestion) -> None:
        question = await self._written(ask)
        await self.intake.enqueue(f"view {ask.view_id}", question)
        await self.records.complete(ask)
        if question.thread.channel_id != ask.about.channel_id:
            await self._tell(ask.about.response_url, texts.ASKED_IN_DIRECT_MESSAGE)

    async def _written(self, ask: MessageQuestion) -> Question:
        """Where we are not in the channel it goes to the person's direct message, with the message quoted."""
        if ask.posted:
            return self._question(ask, *ask.posted)
        if ask.elsewhere:
            raise NotSure("no event has told yet whether it is in the direct message")
        about = ask.about
        if ask.tries > 1 and (ts := await self._found(ask)):
            return self._question(ask, about.channel_id, ts)
        try:
            place = await self.posts.post_question(ask, self._still(ask), elsewhere=False)
            return self._question(ask, *place)
        except Refused as refused:
            if refused.reason in (Refusal.CHANNEL_GONE, Refusal.FORBIDDEN):
                return await self._written_elsewhere(ask)
            if not refused.reason.may_pass:
                raise
            log.info("question about message %s: maybe posted, looking: %s", about.ts, refused)
            if ts := await self._found(ask):
                return self._question(ask, about.channel_id, ts)
            raise

    async def _written_elsewhere(self, ask: MessageQuestion) -> Question:
        if not await self.records.record_direct_post(ask, begun=True):
            raise NotSure("another process has it")
        try:
            place = await self.posts.post_question(ask, self._still(ask), elsewhere=True)
        except (RateLimited, Refused) as error:
            if isinstance(error, Refused) and error.reason.may_pass:
                raise NotSure(str(error)) from error
            await self.records.record_direct_post(ask, begun=False)
            raise
        return self._question(ask, *place)

    def _still(self, ask: MessageQuestion) -> Callable[[], bool]:
        return lambda: self.clock.now() < ask.due_at - QUESTION_HOLD_S + POST_WITHIN_S

    async def _found(self, ask: MessageQuestion) -> str | None:
        """The message of an earlier try; None where Slack says twice that there is none.

        Raises NotSure where Slack does not say.
        """
        since = ask.created_at - SKEW_S
        looks = 0
        for delay_s in (*LOOK_AGAIN_S, None):
            try:
                ts = await self.posts.find_question(ask, since)
                looks += 1
                if ts is not None or looks > 1:
                    return ts
            except (RateLimited, Refused) as error:
                if isinstance(error, Refused) and error.reason in (Refusal.CHANNEL_GONE, Refusal.MESSAGE_GONE):
                    return None
                if delay_s is None:
                    raise NotSure(str(error)) from error
            await self.clock.sleep(delay_s or 0)
        return None

    def _question(self, ask: MessageQuestion, channel_id: str, ts: str) -> Question:
        is_elsewhere = channel_id != ask.about.channel_id
        text = text_of_post(ask.about, ask.text, elsewhere=is_elsewhere)
        in_pane = ts if self.me.has_pane else None
        thread_ts = in_pane if is_elsewhere else ask.about.thread_ts
        return Question(ThreadKey(self.me.team_id, channel_id, thread_ts), ts, ask.user_id, text)

    async def _tell(self, response_url: str, sentence: str) -> None:
        """What is done is done, whether or not its person hears of it."""
        try:
            await self.responses.respond_to_command(response_url, CommandResponse(sentence))
        except (RateLimited, Refused) as error:
            log.warning("a response to a command is not sent: %s", error)


def _wait_s(ask: MessageQuestion) -> float:
    return min(LONGEST_WAIT_S, 2.0 * 2.0**ask.tries)


def _sentence(error: RateLimited | Refused) -> str:
    is_deleted = isinstance(error, Refused) and error.reason is Refusal.OUTSIDE_THREAD
    return texts.MESSAGE_DELETED if is_deleted else texts.QUESTION_REFUSED
