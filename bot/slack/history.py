"""Reads conversations from Slack, as the prompt needs them."""

import logging
from collections.abc import Mapping
from typing import Any

from bot.core.blocks import markdown_of
from bot.core.conversation import Message, Question
from bot.errors import RateLimited, Refused
from bot.slack.budget import Budget
from bot.slack.web import SlackWeb

THREAD_PAGE_MESSAGES = 200
THREAD_PAGES = 5
DIRECT_MESSAGES = 60

log = logging.getLogger(__name__)


class SlackHistory:
    """The History port on Slack's Web API."""

    def __init__(self, web: SlackWeb, budget: Budget) -> None:
        self._web = web
        self._budget = budget
        self._names: dict[str, str] = {}

    async def messages(self, question: Question) -> list[Message]:
        """The question's conversation as Slack has it now, oldest first; a new thread costs no call.

        Of a longer thread the first thousand messages are read. Raises RateLimited and Refused.
        """
        thread = question.thread
        if thread.thread_ts is None:
            async with self._budget.spending("conversations.history"):
                answer = await self._web.call("conversations.history", channel=thread.channel_id, limit=DIRECT_MESSAGES)
            found = answer.get("messages", [])[::-1]
        elif thread.thread_ts == question.ts:
            return []
        else:
            found = await self._thread(thread.channel_id, thread.thread_ts)
        return [_message(question, each) for each in found]

    async def name(self, user_id: str) -> str:
        """Asked once for each person; needs the scope users:read, and does without."""
        if user_id not in self._names:
            try:
                answer = await self._web.call("users.info", user=user_id)
            except (RateLimited, Refused) as error:
                log.info("no name for %s: %s", user_id, error)
                return user_id
            self._names[user_id] = _name(answer.get("user", {})) or user_id
        return self._names[user_id]

    async def _thread(self, channel_id: str, thread_ts: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor = None
        for _ in range(THREAD_PAGES):
            async with self._budget.spending("conversations.replies"):
                answer = await self._web.call(
                    "conversations.replies",
                    channel=channel_id,
                    ts=thread_ts,
                    limit=THREAD_PAGE_MESSAGES,
                    cursor=cursor,
                )
            found += answer.get("messages", [])
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
        return found


def _message(question: Question, message: Mapping[str, Any]) -> Message:
    return Message(
        team_id=question.thread.team_id,
        channel_id=question.thread.channel_id,
        ts=message["ts"],
        text=_text(message),
        thread_ts=message.get("thread_ts"),
        user_id=message.get("user"),
        bot_id=message.get("bot_id"),
        subtype=message.get("subtype"),
    )


def _text(message: Mapping[str, Any]) -> str:
    """What a markdown block says is the whole; the text beside it is short."""
    return markdown_of(message) or message.get("text", "")


def _name(user: Mapping[str, Any]) -> str:
    profile = user.get("profile") or {}
    return str(profile.get("display_name") or user.get("real_name") or profile.get("real_name") or "")
