"""Opens the ways to show replies in Slack, and finds out at a take-over what an earlier attempt left of one."""

import asyncio
import logging
from dataclasses import replace

from bot.core.conversation import UNANSWERED, Job, MessageRole, Question
from bot.core.reply.messages import Delete, Shown, shown_on_record
from bot.core.reply.reply import Reply
from bot.errors import RateLimited, Refused, trace_of
from bot.slack.client import SlackClient
from bot.slack.paced_client import PacedClient
from bot.slack.replies.delivery import MessageDelivery, Senders
from bot.slack.replies.files import Files
from bot.slack.replies.posted import PostedReplies
from bot.slack.replies.streams import Streams
from bot.slack.retry_policy import RECOVERY
from bot.slack.retrying import Retrying
from bot.slack.users import Users

RECOVERY_TIMEOUT_S = 60.0
"""After it, a reply continues from its record."""

log = logging.getLogger(__name__)


class MessageTransport:
    """The ReplyTransport to Slack's Web API.

    `client` sends the calls that the scheduler has paced; `paced` makes all others.
    """

    def __init__(self, client: SlackClient, paced: PacedClient, posted: PostedReplies, users: Users) -> None:
        streams = Streams(client, paced, users)
        self.senders = Senders(client, posted, streams, Files(client, paced, posted, streams))
        self._clock = paced.clock

    def may_stream(self, question: Question) -> bool:
        return self.senders.streams.may_start(question)

    def delivery(self, reply: Reply) -> MessageDelivery:
        return MessageDelivery(self.senders, reply)

    async def recover(self, job: Job, *, has_stop: bool = False) -> Shown:
        try:
            async with asyncio.timeout(RECOVERY_TIMEOUT_S):
                retrying = Retrying(RECOVERY, self._clock, "what Slack shows is not known")
                shown = await retrying.call(lambda: self._shown(job, keeps_stop=has_stop))
                return await self._without_replaced(job, shown, keeps_stop=has_stop)
        except (Refused, TimeoutError) as error:
            problem = str(error) or "it took too long"
            log.warning("messages not read from Slack, using the database's record: %s", problem)
        except Exception as error:
            log.error("messages not read from Slack, using the database's record: %s", trace_of(error))
        return shown_on_record(job)

    async def _shown(self, job: Job, *, keeps_stop: bool) -> Shown:
        """Returns what Slack shows, and stops or deletes the streams that an earlier attempt left open."""
        shown, streams = await self.senders.posted.shown(job) if _must_ask(job) else (shown_on_record(job), ())
        try:
            if shown.stream_page is not None and shown.ended is None:
                await self.senders.streams.stop_paced(job.question, shown.page_ts[-1], keeps_stop=keeps_stop)
            if any(message.role is MessageRole.STARTING for message in job.messages):
                known = (*shown.page_ts, *shown.replaced_ts)
                text = job.checkpoint.text
                await self.senders.streams.remove(job.question, streams, known, text, keeps_stop=keeps_stop)
        except Refused as error:
            if error.reason.may_pass:
                raise
            log.warning("earlier stream not stopped: %s", error)
        return shown

    async def _without_replaced(self, job: Job, shown: Shown, *, keeps_stop: bool) -> Shown:
        """Deletes messages that an earlier attempt has replaced; returns what is shown then."""
        for ts in shown.replaced_ts:
            try:
                await self.senders.files.delete_paced(Delete(job.question, ts, keeps_stop=keeps_stop))
            except (RateLimited, Refused) as error:
                log.warning("replaced message not deleted: %s", error)
                return shown
        return replace(shown, replaced_ts=())


def _must_ask(job: Job) -> bool:
    """Whether the record may not tell all that Slack shows: a lost post, an end that was under way, the files' ids."""
    is_unsure = any(message.role in (*UNANSWERED, MessageRole.FILE) for message in job.messages)
    return is_unsure or job.checkpoint.end is not None
