"""Modals, Home, and what commands and shortcuts are answered with."""

from collections.abc import Callable, Mapping
from typing import Any

from bot.core.conversation import ThreadKey
from bot.errors import Refused
from bot.slack.client import SlackClient, only_while
from bot.slack.rate_budget import RateBudget
from bot.slack.reply_transport import LOOK_BACK_MESSAGES
from bot.slack.thread_posts import Threads


class SlackSurfaces:
    """The Surfaces port on Slack's Web API."""

    def __init__(self, web: SlackClient, budget: RateBudget, threads: Threads) -> None:
        self._web = web
        self._budget = budget
        self._threads = threads

    async def open_modal(self, trigger_id: str, view: Mapping[str, Any]) -> None:
        """A trigger is good for three seconds: there is no waiting for a budget."""
        await self._web.call("views.open", trigger_id=trigger_id, view=view)

    async def publish_home(self, user_id: str, view: Mapping[str, Any]) -> None:
        async with self._budget.spending("views.publish"):
            await self._web.call("views.publish", user_id=user_id, view=view)

    async def respond(self, response_url: str, message: Mapping[str, Any]) -> None:
        await self._web.respond(response_url, message)

    async def post_ephemeral(self, thread: ThreadKey, user_id: str, message: Mapping[str, Any]) -> None:
        await self._web.call(
            "chat.postEphemeral", channel=thread.channel_id, thread_ts=thread.thread_ts, user=user_id, **message
        )

    async def creator(self, channel_id: str) -> str | None:
        """Needs the scopes channels:read, groups:read and mpim:read."""
        try:
            answer = await self._web.call("conversations.info", channel=channel_id)
        except Refused as refused:
            if refused.reason.may_pass:
                raise
            return None
        creator = (answer.get("channel") or {}).get("creator")
        return str(creator) if creator else None

    async def post(
        self, channel_id: str, thread_ts: str | None, message: Mapping[str, Any], still: Callable[[], bool]
    ) -> tuple[str, str]:
        with only_while(still):
            return await self._threads.post(channel_id, thread_ts, unfurl_links=False, unfurl_media=False, **message)

    async def find(self, channel_id: str, thread_ts: str, block_id: str, since: float) -> str | None:
        async with self._budget.spending("conversations.replies"):
            found = await self._web.call(
                "conversations.replies",
                channel=channel_id,
                ts=thread_ts,
                oldest=f"{since:.6f}",
                limit=LOOK_BACK_MESSAGES,
            )
        for message in found.get("messages") or ():
            if any(block.get("block_id") == block_id for block in message.get("blocks") or ()):
                return str(message["ts"])
        return None
