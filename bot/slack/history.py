"""Reads conversations from Slack, as the prompt needs them."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.core.conversation import Message, Question
from bot.core.inbound.triage import Identity
from bot.errors import RateLimited, Refused
from bot.ports import Clock
from bot.slack.client import SlackClient
from bot.slack.format.files import files_of
from bot.slack.format.message_text import app_name, attached_to, body_of
from bot.slack.format.reply_blocks import answer_of
from bot.slack.format.shortcut_question import asked_in
from bot.slack.names import Names
from bot.slack.rate_budget import RateBudget

THREAD_PAGE_MESSAGES = 999
"""The most that Slack gives at once."""
THREAD_PAGES = 8
"""Read one after the other; of a thread that is longer still, what is left is halved by its time with each call."""
THREAD_CALLS = 20
"""Of the 50 that Slack allows in a minute."""
NEWEST_MESSAGES = 1_000
DIRECT_MESSAGES = 60
READ_WITHIN_S = 45.0
"""For a whole conversation, with all waiting: then the question is answered with the pages that were read."""
READ_TRIES = 3
"""Of all its pages together."""
READ_AGAIN_S = 1.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Patience:
    """What is left for reading one conversation."""

    until_s: float
    tries: int = READ_TRIES


class SlackHistory:
    """The History port on Slack's Web API."""

    def __init__(self, web: SlackClient, budget: RateBudget, me: Identity, clock: Clock) -> None:
        self._web = web
        self._budget = budget
        self._me = me
        self._clock = clock
        self._names = Names(web)

    async def messages(self, question: Question) -> list[Message]:
        """The question's conversation as Slack has it now, oldest first; a new thread costs no call.

        Of a thread the first message and the newest thousand, of a direct message the newest 60. Where Slack doesn't
        give all of it in time, those that it gave, and the question after a gap.
        """
        thread = question.thread
        if thread.thread_ts == question.ts:
            return []
        patience = _Patience(self._clock.monotonic() + READ_WITHIN_S)
        if thread.thread_ts is None:
            return await self._direct(question, patience)
        return await self._thread(question, thread.thread_ts, patience)

    async def names(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Each is asked for once an hour, and no more than 50 at a time."""
        return await self._names.of(ids)

    async def _direct(self, question: Question, patience: _Patience) -> list[Message]:
        answer = await self._read("conversations.history", question, patience, limit=DIRECT_MESSAGES)
        if answer is None:
            return [_after_gap(question)]
        found = [self._message(question, each) for each in answer.get("messages", [])[::-1]]
        if found and answer.get("has_more"):
            found[0] = replace(found[0], after_gap=True)
        return found

    async def _thread(self, question: Question, thread_ts: str, patience: _Patience) -> list[Message]:
        """Slack tells a thread from its beginning, and its first message with every page."""
        first: list[Message] = []
        newest: deque[Message] = deque(maxlen=NEWEST_MESSAGES)
        left_out, after = False, thread_ts
        end: list[Message] = []
        for call in range(THREAD_CALLS):
            if call >= THREAD_PAGES:
                after = _halfway(after, question.ts)
            answer = await self._read(
                "conversations.replies", question, patience, ts=thread_ts, oldest=after, limit=THREAD_PAGE_MESSAGES
            )
            if answer is None:
                end = [_after_gap(question)]
                break
            if call >= THREAD_PAGES:
                left_out = True
                newest.clear()
            page = [self._message(question, each) for each in answer.get("messages", [])]
            first = first or [each for each in page if each.ts == thread_ts]
            page = [each for each in page if each.ts > after]
            left_out = left_out or len(newest) + len(page) > NEWEST_MESSAGES
            newest.extend(page)
            after = page[-1].ts if page else after
            if not answer.get("has_more") or not page or after > question.ts:
                break
        if left_out and newest:
            newest[0] = replace(newest[0], after_gap=True)
        return [*first, *newest, *end]

    async def _read(
        self, method: str, question: Question, patience: _Patience, **arguments: Any
    ) -> dict[str, Any] | None:
        """A page; None where Slack doesn't give it in time."""
        while patience.tries:
            left_s = patience.until_s - self._clock.monotonic()
            try:
                async with asyncio.timeout(left_s), self._budget.spending(method):
                    return await self._web.call(method, channel=question.thread.channel_id, **arguments)
            except TimeoutError:
                log.warning("a conversation is not read whole: it takes too long")
                return None
            except RateLimited as limited:
                # The budget has the next try wait for as long as Slack says.
                log.warning("%s", limited)
                patience.tries -= 1
                if limited.retry_after_s > left_s:
                    break
            except Refused as refused:
                log.warning("%s", refused)
                patience.tries -= 1
                if not refused.reason.may_pass:
                    break
                await self._clock.sleep(READ_AGAIN_S)
        log.warning("a conversation is not read whole: the question is answered without the rest")
        return None

    def _message(self, question: Question, message: Mapping[str, Any]) -> Message:
        bot_id = message.get("bot_id")
        ours = bot_id == self._me.bot_id
        if ours and (asked := asked_in(message)):
            thread = question.thread
            return Message(thread.team_id, thread.channel_id, message["ts"], asked[1], user_id=asked[0])
        return Message(
            team_id=question.thread.team_id,
            channel_id=question.thread.channel_id,
            ts=message["ts"],
            text=body_of(answer_of(message) if ours else message),
            attached="" if ours else attached_to(message),
            thread_ts=message.get("thread_ts"),
            user_id=message.get("user"),
            bot_id=bot_id,
            app_name=app_name(message),
            subtype=message.get("subtype"),
            files=() if ours else files_of(message),
            edited_ts=(message.get("edited") or {}).get("ts", ""),
        )


def _after_gap(question: Question) -> Message:
    """The question, where what was written before it could not be read."""
    return replace(question.as_message(), after_gap=True)


def _halfway(ts: str, later_ts: str) -> str:
    return f"{(float(ts) + float(later_ts)) / 2:.6f}"
