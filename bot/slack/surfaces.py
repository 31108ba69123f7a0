"""Modals, the app home, responses to commands and buttons, and messages outside of replies."""

from collections.abc import Callable, Mapping
from typing import Any

from bot.core.conversation import ThreadKey
from bot.errors import Refused
from bot.slack.client import SlackClient, only_while
from bot.slack.ephemeral_messages import SlackEphemeralMessages
from bot.slack.paced_client import PacedClient
from bot.slack.posted_replies import LOOK_BACK_MESSAGES
from bot.slack.thread_poster import ThreadPoster


class SlackSurfaces:
    """The Surfaces port on Slack's Web API."""

    def __init__(
        self, client: SlackClient, paced: PacedClient, threads: ThreadPoster, ephemeral: SlackEphemeralMessages
    ) -> None:
        self._client = client
        self._paced = paced
        self._threads = threads
        self._ephemeral = ephemeral

    async def open_modal(self, trigger_id: str, view: Mapping[str, Any]) -> None:
        await self._client.call("views.open", trigger_id=trigger_id, view=view)

    async def publish_home(self, user_id: str, view: Mapping[str, Any]) -> None:
        await self._paced.call("views.publish", user_id=user_id, view=view)

    async def respond(self, response_url: str, message: Mapping[str, Any]) -> None:
        await self._client.respond(response_url, message)

    async def post_ephemeral(self, thread: ThreadKey, user_id: str, message: Mapping[str, Any]) -> None:
        await self._ephemeral.post(thread, user_id, **message)

    async def creator(self, channel_id: str) -> str | None:
        """Needs the scopes channels:read, groups:read and mpim:read."""
        try:
            answer = await self._paced.call("conversations.info", channel=channel_id)
        except Refused as error:
            if error.reason.may_pass:
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
        answer = await self._paced.call(
            "conversations.replies",
            channel=channel_id,
            ts=thread_ts,
            oldest=f"{since:.6f}",
            limit=LOOK_BACK_MESSAGES,
        )
        for message in answer.get("messages") or ():
            if any(block.get("block_id") == block_id for block in message.get("blocks") or ()):
                return str(message["ts"])
        return None
