"""Posts ephemeral messages: only one person sees them, and Slack keeps none."""

import logging
from typing import Any

from bot.core.conversation import Question, ThreadKey
from bot.errors import RateLimited, Refused, trace_of
from bot.slack.client import NO_UNFURLS
from bot.slack.format.blockkit import Json
from bot.slack.paced_client import PacedClient
from bot.slack.retry_policy import EPHEMERAL
from bot.slack.retrying import Retrying

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
