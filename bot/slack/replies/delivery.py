"""Sends the calls of one reply, each by its way of showing, and knows which of them have lost their answers.

After a lost answer, Slack may have done the call. edits.py, streams.py and files.py say what each kind of call needs
then. A post may also arrive after it was looked for: `clean_up` deletes such messages when a reply that was taken over
ends.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from bot.core.conversation import UNANSWERED, MessageRole
from bot.core.reply.edits import Post, Update
from bot.core.reply.messages import Begin, Call, Delete, Upload
from bot.core.reply.reply import Reply, unanswered_role
from bot.core.reply.streams import AppendStream, StartStream, StopStream
from bot.errors import RateLimited, Refusal, Refused, trace_of
from bot.slack.client import SlackClient, only_while
from bot.slack.replies.edits import post, update
from bot.slack.replies.files import NOT_SHARED, Files
from bot.slack.replies.posted import FoundPost, PostedReplies
from bot.slack.replies.streams import Streams

POST_SEARCHES = 3
"""Failed searches for a lost post. Then the page is posted again: a message twice is better than none."""
CLEAN_UP_TIMEOUT_S = 20.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Senders:
    """What sends and finds the messages of a workspace's replies. `client` sends what the scheduler has paced."""

    client: SlackClient
    posted: PostedReplies
    streams: Streams
    files: Files


class MessageDelivery:
    """Sends one reply's calls, and knows which of them have lost their answers."""

    def __init__(self, senders: Senders, reply: Reply) -> None:
        self.lost: set[MessageRole] = set()
        """POSTING, STARTING: Slack may have done a call of this kind whose answer never came."""
        self._senders = senders
        self._reply = reply
        self._failed_searches = 0
        self._staged: tuple[Upload, list[str]] | None = None
        """Files whose bytes Slack has, and their ids. Whether Slack shows them isn't known."""

    async def send(self, call: Call, may_send: Callable[[], bool]) -> None:
        with only_while(may_send):
            if MessageRole.STARTING in self.lost:
                await self._remove_lost_stream()
            match call:
                case StartStream():
                    self._reply.confirmed(call, await self._senders.streams.start(call))
                case AppendStream():
                    await self._senders.streams.append(call)
                    self._reply.confirmed(call, call.ts)
                case StopStream():
                    await self._senders.streams.stop(call)
                    self._reply.confirmed(call, call.ts)
                case Post():
                    await self._post(call)
                case Update():
                    await update(self._senders.client, call)
                    self._reply.confirmed(call, call.ts)
                case Upload():
                    await self._upload(call, may_send)
                case Delete():
                    await self._senders.files.delete(call)
                    self._reply.confirmed(call, call.ts)

    def refused(self, call: Call, error: Refused) -> None:
        if error.reason is Refusal.OUTSIDE_THREAD:
            self._reply.posted_outside_thread(error.ts)
            return
        self._reply.refused(call, error.reason)
        if isinstance(call, StartStream):
            self._senders.streams.refused(call.question, error)
        if error.reason.may_pass:
            if isinstance(call, Begin):
                self.lost.add(unanswered_role(call))
            if error.error == NOT_SHARED:
                self._staged = None

    async def _remove_lost_stream(self) -> None:
        """Deletes a stream whose start got no answer, before anything else shows the page."""
        try:
            await self._remove_streams()
        except Refused as error:
            self._failed_searches += 1
            if error.reason.may_pass and self._failed_searches < POST_SEARCHES:
                raise
            log.warning("lost stream not deleted, it may show twice until the end: %s", error)
        self.lost.discard(MessageRole.STARTING)
        self._failed_searches = 0

    async def _remove_streams(self) -> None:
        """Deletes the reply's streams that aren't on record."""
        reply = self._reply
        question = reply.job.question
        found = await self._senders.posted.streams(question)
        text = reply.text
        await self._senders.streams.remove(question, found, self._known_ts, text, keeps_stop=reply.keeps_stop)

    @property
    def _known_ts(self) -> tuple[str, ...]:
        return tuple(message.ts for message in self._reply.messages)

    async def clean_up(self) -> bool:
        reply = self._reply
        if not reply.of(*UNANSWERED):
            return True
        try:
            async with asyncio.timeout(CLEAN_UP_TIMEOUT_S):
                known = [message.ts for message in reply.messages if message.role is not MessageRole.REPLACED]
                for call in await self._senders.posted.late_messages(reply.job.question, known):
                    await self._senders.files.delete_paced(call)
                if reply.of(MessageRole.STARTING):
                    await self._remove_streams()
        except (Refused, RateLimited, TimeoutError) as error:
            log.warning("late messages not deleted: %s", str(error) or "it took too long")
            return isinstance(error, Refused) and error.reason.is_final
        except Exception as error:
            log.error("late messages not deleted: %s", trace_of(error))
        return True

    async def _post(self, call: Post) -> None:
        """Posts a page, unless an earlier post of it turns out to have arrived."""
        if MessageRole.POSTING in self.lost:
            message = await self._lost_post(call)
            self.lost.discard(MessageRole.POSTING)
            self._failed_searches = 0
            if message is not None and message.is_current and self._reply.ended:
                self._reply.confirmed(call, message.ts)
                return
            if message is not None:
                self._reply.found(message.ts)
                return
        self._reply.confirmed(call, await post(self._senders.client, call))

    async def _lost_post(self, call: Post) -> FoundPost | None:
        """Returns the message of a post whose answer was lost; raises Refused while another search may find it."""
        try:
            return await self._senders.posted.find(call, self._known_ts)
        except Refused as error:
            self._failed_searches += 1
            if error.reason in (Refusal.OUTSIDE_THREAD, Refusal.MESSAGE_GONE):
                raise
            if error.reason.may_pass and self._failed_searches < POST_SEARCHES:
                raise
            log.warning("posting a page again, may be a duplicate: %s", error)
            return None

    async def _upload(self, call: Upload, may_send: Callable[[], bool]) -> None:
        """Uploads files and shares them. Bytes take a while, so the lease is checked again before files show."""
        is_retry = self._staged is not None and self._staged[0] == call
        if self._staged is None or not is_retry:
            self._staged = call, await self._senders.files.stage(call)
        ids = self._staged[1]
        ts = await self._senders.posted.find_files(call.question, ids) if is_retry else None
        if ts is None and may_send():
            ts = await self._senders.files.share(call, ids, is_retry=is_retry)
        if ts is not None:
            self._reply.confirmed(call, ts)
