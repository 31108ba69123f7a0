"""Reads conversations from Slack for the prompt.

Slack returns a thread from its beginning, but the first message and the newest count. So after some pages, each call
halves the time that is left. What can't be read in time is left out, and the prompt says so.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.core.conversation import Message, Question, ThreadKey
from bot.errors import RateLimited, Refusal, Refused
from bot.slack.client import PacedClient
from bot.slack.format.message_text import app_name, attached_to, body_of, files_of, is_by_app, messages_in
from bot.slack.format.payload import answer_of, json_object, string
from bot.slack.format.shortcut_question import asked_in
from bot.slack.retry import HISTORY_PAGE, Retrying

THREAD_PAGE_MESSAGES = 999
"""The most messages that Slack returns with one call."""
THREAD_PAGES = 8
"""Pages that are read in order. In a longer thread, each further call skips half of the rest."""
THREAD_CALLS = 20
"""The most calls for one thread. Slack allows 50 a minute."""
NEWEST_MESSAGES = 1_000
DIRECT_MESSAGES = 60
POSTS_BEFORE = 10
"""What a bare mention reads of its channel."""
LOOK_BACK_MESSAGES = 200
READ_WITHIN_S = 45.0
"""The limit for a whole conversation, including waits. After it, the prompt has the pages that were read."""
ONE_WITHIN_S = 20.0
"""The limit for one message."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The reading of one conversation: its pages share a deadline and the policy's tries."""

    question: Question
    until: float
    retrying: Retrying


class History:
    """Reads conversations."""

    def __init__(self, client: PacedClient, bot_id: str) -> None:
        self._client = client
        self._clock = client.clock
        self._bot_id = bot_id

    async def messages(self, question: Question) -> list[Message]:
        """Returns the question's conversation as Slack has it now, oldest first; a new thread costs no call.

        A thread gives its first message and the newest thousand, a direct message the newest 60. Messages that Slack
        doesn't return in time are left out, and the next message says so (`after_gap`).
        """
        thread_ts = question.thread.thread_ts
        if thread_ts == question.ts:
            return []
        reading = self._reading(question)
        return await (self._direct_message(reading) if thread_ts is None else self._thread(reading, thread_ts))

    async def message(self, team_id: str, channel_id: str, ts: str) -> Message | None:
        """Returns one message of a channel as Slack has it now; None if it is gone, ours, or may not be read.

        Raises RateLimited, and Refused for a refusal that may pass.
        """
        try:
            async with asyncio.timeout(ONE_WITHIN_S):
                # The ts of a reply gives this reply, and any other ts a thread, which begins with its message.
                answer = await self._client.call("conversations.replies", channel=channel_id, ts=ts, limit=1)
        except TimeoutError:
            raise Refused("conversations.replies", "timeout", Refusal.TRANSIENT) from None
        except Refused as error:
            if error.reason.may_pass:
                raise
            log.info("message %s in channel %s not read: %s", ts, channel_id, error)
            return None
        in_channel = Question(ThreadKey(team_id, channel_id, None), ts, "", "")
        found = next((message for message in messages_in(answer) if message["ts"] == ts), None)
        if found is None or found.get("subtype") == "tombstone" or found.get("bot_id") == self._bot_id:
            return None
        return self.message_of(in_channel, found)

    async def _direct_message(self, reading: _Reading) -> list[Message]:
        answer = await self._page("conversations.history", reading, limit=DIRECT_MESSAGES)
        if answer is None:
            return [_after_gap(reading.question)]
        messages = [self.message_of(reading.question, message) for message in messages_in(answer)[::-1]]
        if messages and answer.get("has_more"):
            messages[0] = replace(messages[0], after_gap=True)
        return messages

    def _reading(self, question: Question) -> _Reading:
        until = self._clock.monotonic() + READ_WITHIN_S
        retrying = Retrying(HISTORY_PAGE, self._clock, "a conversation can't be read", until=until)
        return _Reading(question, until, retrying)

    async def posts_before(self, question: Question) -> list[Message]:
        """Returns the last posts of a question's channel before it, oldest first; what Slack refuses is missing."""
        reading = self._reading(question)
        answer = await self._page("conversations.history", reading, latest=question.ts, limit=POSTS_BEFORE)
        if answer is None:
            return [_after_gap(question)]
        return [self.message_of(question, message) for message in messages_in(answer)[::-1]]

    async def _thread(self, reading: _Reading, thread_ts: str) -> list[Message]:
        """Reads a thread page by page. Slack begins with the oldest, and repeats the first message on every page.

        After THREAD_PAGES pages each call skips half of the time that is left, so the newest messages are reached.
        """
        question = reading.question
        first: list[Message] = []
        newest: deque[Message] = deque(maxlen=NEWEST_MESSAGES)
        has_gap, after = False, thread_ts
        end: list[Message] = []
        for call in range(THREAD_CALLS):
            if call >= THREAD_PAGES:
                after = f"{(float(after) + float(question.ts)) / 2:.6f}"
            answer = await self._page(
                "conversations.replies", reading, ts=thread_ts, oldest=after, limit=THREAD_PAGE_MESSAGES
            )
            if answer is None:
                end = [_after_gap(question)]
                break
            if call >= THREAD_PAGES:
                has_gap = True
                newest.clear()
            page = [self.message_of(question, message) for message in messages_in(answer)]
            first = first or [message for message in page if message.ts == thread_ts]
            page = [message for message in page if message.ts > after]
            has_gap = has_gap or len(newest) + len(page) > NEWEST_MESSAGES
            newest.extend(page)
            after = page[-1].ts if page else after
            if not answer.get("has_more") or not page or after > question.ts:
                break
        if has_gap and newest:
            newest[0] = replace(newest[0], after_gap=True)
        return [*first, *newest, *end]

    async def _page(self, method: str, reading: _Reading, **arguments: Any) -> dict[str, Any] | None:
        """Returns a page of the conversation, or None where Slack doesn't give it in time."""
        channel_id = reading.question.thread.channel_id
        try:
            async with asyncio.timeout(reading.until - self._clock.monotonic()):
                return await reading.retrying.call(lambda: self._client.call(method, channel=channel_id, **arguments))
        except (RateLimited, Refused, TimeoutError) as error:
            log.warning(
                "conversation in channel %s read only in part: %s", channel_id, str(error) or "it took too long"
            )
            return None

    def message_of(self, question: Question, message: Mapping[str, Any]) -> Message:
        """Returns a message that Slack's answer has, as one of the question's channel."""
        bot_id = string(message, "bot_id") or None
        is_ours = bot_id == self._bot_id
        if is_ours and (asked := asked_in(message)):
            asker, text, quoted = asked
            thread = question.thread
            return Message(thread.team_id, thread.channel_id, message["ts"], text, quoted, user_id=asker)
        return Message(
            team_id=question.thread.team_id,
            channel_id=question.thread.channel_id,
            ts=message["ts"],
            text=body_of(answer_of(message) if is_ours else message),
            attached="" if is_ours else attached_to(message),
            thread_ts=string(message, "thread_ts") or None,
            user_id=string(message, "user") or None,
            bot_id=bot_id,
            app_name=app_name(message),
            by_app=is_by_app(message),
            subtype=string(message, "subtype") or None,
            files=() if is_ours else files_of(message),
            edited_ts=string(json_object(message, "edited"), "ts"),
        )


def _after_gap(question: Question) -> Message:
    """Returns the question as a message after a gap, because earlier messages could not be read."""
    return replace(question.as_message(), after_gap=True)
