"""Posts messages of the bot's own: in threads, and ephemeral ones, which only one person sees and Slack never keeps."""

import logging
from typing import Any

from bot.core.conversation import Question, ThreadKey
from bot.errors import RateLimited, Refusal, Refused, trace_of
from bot.slack.client import NO_UNFURLS, PacedClient
from bot.slack.format.blockkit import Json
from bot.slack.retry import EPHEMERAL, OUTSIDE_THREAD_DELETION, Retrying

log = logging.getLogger(__name__)


class EphemeralMessages:
    """Tells one person something that nobody else sees: the only caller of chat.postEphemeral."""

    def __init__(self, client: PacedClient) -> None:
        self._client = client

    async def post(self, thread: ThreadKey, user_id: str, **message: Any) -> None:
        """Posts a message that one person sees in a thread. Raises RateLimited and Refused.

        Slack refuses it for people who aren't in the channel.
        """
        place = {"channel": thread.channel_id, "thread_ts": thread.thread_ts, "user": user_id}
        await self._client.call("chat.postEphemeral", **place, **message, **NO_UNFURLS)

    async def tell(self, question: Question, sentence: str, blocks: list[Json] | None = None) -> None:
        """Shows the question's asker a sentence where the question was written, and logs it if Slack never takes it.

        Slack may lose it. If the question isn't in a thread yet, the sentence appears at the channel's root, because a
        thread without answers shows no ephemeral message.
        """
        thread = question.thread
        if thread.thread_ts == question.ts:
            thread = ThreadKey(thread.team_id, thread.channel_id, None)
        message: Json = {"text": sentence} if blocks is None else {"text": sentence, "blocks": blocks}
        retrying = Retrying(EPHEMERAL, self._client.clock, f"user {question.user_id} is not told yet")
        try:
            await retrying.call(lambda: self.post(thread, question.user_id, **message))
        except (RateLimited, Refused) as error:
            log.warning("user %s is not told: %s", question.user_id, error)
        except Exception as error:
            log.error("user %s is not told: %s", question.user_id, trace_of(error))


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
