"""Opens the ways to show replies in Slack, and finds out at a take-over what an earlier attempt left of one."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from bot.core.conversation import Job, Question
from bot.core.reply.messages import Delete, Shown
from bot.core.reply.reply import Reply
from bot.errors import RateLimited, Refused, trace_of
from bot.slack.client import SlackClient
from bot.slack.paced_client import PacedClient
from bot.slack.replies.delivery import MessageDelivery
from bot.slack.replies.files import Files
from bot.slack.replies.posted import FoundStream, PostedReplies, others_of, pages_of
from bot.slack.replies.streams import Streams
from bot.slack.retry_policy import RECOVERY
from bot.slack.retrying import Retrying

RECOVERY_TIMEOUT_S = 60.0
"""After it, a reply continues from its record."""

log = logging.getLogger(__name__)


class MessageTransport:
    """The ReplyTransport to Slack's Web API.

    `client` sends the calls that the scheduler has paced; `paced` makes all others.
    """

    def __init__(self, client: SlackClient, paced: PacedClient, posted: PostedReplies) -> None:
        self.streams = Streams(client, paced)
        self.files = Files(client, paced, posted, self.streams)
        self._client = client
        self._paced = paced
        self._posted = posted

    def may_stream(self, question: Question) -> bool:
        return self.streams.may_start(question)

    def delivery(self, job: Job, reply: Reply) -> MessageDelivery:
        return MessageDelivery(self._client, self._posted, self.streams, self.files, job, reply)

    async def recover(self, job: Job, *, has_stop: bool = False) -> Shown:
        if not job.may_have_posts or (job.attempts <= 1 and job.page_ts):
            return Shown(pages_of(job), outdated=job.version > 0, replaced_ts=others_of(job))
        try:
            async with asyncio.timeout(RECOVERY_TIMEOUT_S):
                retrying = Retrying(RECOVERY, self._paced.clock, f"job {job.id}: what Slack shows is not known")
                shown, streams = await retrying.call(lambda: self._posted.shown(job))
                await retrying.call(lambda: self._stop_earlier(job, shown, streams, keeps_stop=has_stop))
                return await self._without_replaced(job, shown, keeps_stop=has_stop)
        except (Refused, TimeoutError) as error:
            log.warning(
                "job %d: messages not read from Slack, using the database's record: %s",
                job.id,
                str(error) or "it took too long",
            )
        except Exception as error:
            log.error("job %d: messages not read from Slack, using the database's record: %s", job.id, trace_of(error))
        return _on_record(job)

    async def _stop_earlier(self, job: Job, shown: Shown, streams: Sequence[FoundStream], *, keeps_stop: bool) -> None:
        """Stops the streams that an earlier attempt left open, and deletes those that aren't on record."""
        try:
            for stream in streams:
                if stream.ts in shown.page_ts:
                    await self.streams.stop_paced(job.question, stream.ts, keeps_stop=keeps_stop)
            if "" in job.roles:
                known = (*shown.page_ts, *shown.replaced_ts)
                text = job.checkpoint.text
                await self.streams.remove(job.question, streams, known, text, keeps_stop=keeps_stop)
        except Refused as error:
            if error.reason.may_pass:
                raise
            log.warning("job %d: earlier stream not stopped: %s", job.id, error)

    async def _without_replaced(self, job: Job, shown: Shown, *, keeps_stop: bool) -> Shown:
        """Deletes messages that an earlier attempt has replaced; returns what is shown then."""
        for ts in shown.replaced_ts:
            try:
                await self.files.delete_paced(Delete(job.question, ts, keeps_stop=keeps_stop))
            except (RateLimited, Refused) as error:
                log.warning("job %d: replaced message not deleted: %s", job.id, error)
                return shown
        return replace(shown, replaced_ts=())


def _on_record(job: Job) -> Shown:
    """Returns what Slack shows as far as the Store can tell: each text is recorded before it is shown."""
    text = job.checkpoint.text
    is_outdated = job.version > 0 and not text
    return Shown(pages_of(job), len(text), text, outdated=is_outdated, replaced_ts=others_of(job))
