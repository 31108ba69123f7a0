"""Posts messages into threads, never beside them.

Slack puts a post at the channel's root if the post's thread was deleted in the meantime.
"""

import logging

from bot.errors import RateLimited, Refusal, Refused
from bot.slack.paced_client import PacedClient
from bot.slack.retry_policy import OUTSIDE_THREAD_DELETION
from bot.slack.retrying import Retrying

log = logging.getLogger(__name__)


class ThreadPoster:
    """Posts messages, and deletes those that Slack put outside their thread."""

    def __init__(self, client: PacedClient) -> None:
        self._client = client

    async def post(self, channel_id: str, thread_ts: str | None, **message: object) -> tuple[str, str]:
        """Posts a message; returns its channel and ts.

        Raises RateLimited and Refused, with OUTSIDE_THREAD where the thread was deleted: then the post is deleted.
        """
        try:
            return await self._client.post(channel=channel_id, thread_ts=thread_ts, **message)
        except Refused as error:
            if error.reason is Refusal.OUTSIDE_THREAD:
                await self._delete(channel_id, error.ts)
            raise

    async def _delete(self, channel_id: str, ts: str) -> None:
        try:
            await Retrying(
                OUTSIDE_THREAD_DELETION, self._client.clock, "message posted outside its thread, deleting it"
            ).call(lambda: self._client.call("chat.delete", channel=channel_id, ts=ts))
        except (RateLimited, Refused) as error:
            log.error("message %s in channel %s posted outside its thread and not deleted: %s", ts, channel_id, error)
