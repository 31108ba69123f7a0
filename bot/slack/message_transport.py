"""Shows replies as messages that are posted and edited, or grow as native streams: the one reply transport.

Most of this module handles lost responses, where Slack may have done the call:

- An update is sent again with newer text. Sending it twice does no harm.
- A post would stand in the thread twice. Before a page is posted again, its earlier post is looked for, by the metadata
  that each page carries.
- A file can be shared only once. Its bytes are sent once, and before it is shared again it is looked for by its id.
- A repeated start of a stream would leave two messages as well, and a start has no metadata. Before anything else is
  sent, messages of ours without metadata are stopped and deleted. An append or a stop in doubt needs nothing: an edit
  of the whole page follows.
- A post may arrive after it was looked for. `clean_up` deletes such messages when a reply that was taken over ends.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from bot.core.conversation import Job, Question
from bot.core.reply.edits import Post, Update
from bot.core.reply.reply import Reply
from bot.core.reply.state import Call, Delete, Role, Shown, Upload
from bot.core.reply.streams import AppendStream, StartStream, StopStream
from bot.errors import RateLimited, Refusal, Refused, trace_of
from bot.slack.client import SlackClient, only_while
from bot.slack.format import reply_blocks
from bot.slack.paced_client import PacedClient
from bot.slack.posted_replies import FoundPost, FoundStream, PostedReplies, in_order, metadata_of
from bot.slack.reply_transport import METHODS
from bot.slack.retry_policy import RECOVERY
from bot.slack.retrying import Retrying

SHARE, APPENDS, STOPS = METHODS[Upload], METHODS[AppendStream], METHODS[StopStream]
REFUSALS_KEPT = 1_000
CANT_DELETE = "cant_delete_message"
NOT_SHARED = "not_shared"
"""Our own error name: Slack reported shared files, but no message shows them."""
SHARED_LOOKS_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits before each look for shared files. Slack shares them after its answer, and sometimes never
(paradigmxyz/centaur#311)."""
POST_SEARCHES = 3
"""Failed searches for a lost post. Then the page is posted again: a message twice is better than none."""
RECOVERY_TIMEOUT_S = 60.0
"""After it, a reply continues from its record."""
CLEAN_UP_TIMEOUT_S = 20.0

log = logging.getLogger(__name__)


class MessageTransport:
    """The ReplyTransport on chat.postMessage, chat.update and chat.delete.

    `client` sends the calls that the scheduler has paced; `paced` makes all others.
    """

    def __init__(self, client: SlackClient, paced: PacedClient, posted: PostedReplies) -> None:
        self._client = client
        self._paced = paced
        self._posted = posted
        self._refuses_streams: dict[tuple[str, str], None] = {}
        """Channels and people to whom Slack refuses streams, oldest first."""

    def may_stream(self, question: Question) -> bool:
        return _place(question) not in self._refuses_streams and not self._client.is_govslack

    def stream_refused(self, question: Question, error: Refused) -> None:
        """Notes that Slack refused to start a stream: the next answers to this person in this channel are edited."""
        if error.reason.is_unavailable:
            self._refuses_streams[_place(question)] = None
            if len(self._refuses_streams) > REFUSALS_KEPT:
                del self._refuses_streams[next(iter(self._refuses_streams))]

    def delivery(self, job: Job, reply: Reply) -> "MessageDelivery":
        return MessageDelivery(self, self._posted, job, reply)

    async def recover(self, job: Job, *, has_stop: bool = False) -> Shown:
        if not job.may_have_posts or (job.attempts <= 1 and job.page_ts):
            return Shown(in_order(job.page_ts), outdated=job.version > 0)
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
                    await self.stop_paced(job.question, stream.ts, keeps_stop=keeps_stop)
            text = job.checkpoint.text
            await self._remove_streams(job.question, streams, shown.page_ts, text, keeps_stop=keeps_stop)
        except Refused as error:
            if error.reason.may_pass:
                raise
            log.warning("job %d: earlier stream not stopped: %s", job.id, error)

    async def _without_replaced(self, job: Job, shown: Shown, *, keeps_stop: bool) -> Shown:
        """Deletes messages that an earlier attempt has replaced; returns what is shown then."""
        for ts in shown.replaced_ts:
            try:
                await self.delete_paced(Delete(job.question, ts, keeps_stop=keeps_stop))
            except (RateLimited, Refused) as error:
                log.warning("job %d: replaced message not deleted: %s", job.id, error)
                return shown
        return replace(shown, replaced_ts=())

    async def post(self, call: Post) -> str:
        """Posts a page; returns the message's ts."""
        thread = call.question.thread
        _, ts = await self._client.post(
            channel=thread.channel_id,
            thread_ts=thread.thread_ts,
            metadata=metadata_of(call.question, call.page, call.view),
            # Slack would fetch links to preview them: a known way to leak data through an address.
            unfurl_links=False,
            unfurl_media=False,
            **reply_blocks.message(call.view),
        )
        return ts

    async def update(self, call: Update) -> None:
        """Edits a page's message."""
        await self._client.call(
            "chat.update",
            channel=call.question.thread.channel_id,
            ts=call.ts,
            metadata=metadata_of(call.question, call.page, call.view),
            **reply_blocks.message(call.view),
        )

    async def start(self, call: StartStream) -> str:
        """Starts a page as a stream; returns the message's ts."""
        thread = call.question.thread
        return await self._client.start_stream(
            thread.channel_id,
            thread.thread_ts,
            recipient_team_id=thread.team_id,
            recipient_user_id=call.question.user_id,
            markdown_text=call.text,
        )

    async def append(self, call: AppendStream) -> None:
        """Appends text to a page."""
        channel = call.question.thread.channel_id
        await self._client.call(APPENDS, channel=channel, ts=call.ts, markdown_text=call.text)

    async def stop(self, call: StopStream) -> None:
        """Stops a page's stream, with the rest of its text and what belongs below it."""
        arguments = _session(call.keeps_stop)
        if call.view is not None:
            arguments["metadata"] = metadata_of(call.question, call.page, call.view)
            arguments["blocks"] = reply_blocks.blocks_below(call.view) or None
        await self._client.call(
            STOPS, channel=call.question.thread.channel_id, ts=call.ts, markdown_text=call.text or None, **arguments
        )

    async def remove_streams(
        self, question: Question, known_ts: Collection[str], text: str, *, keeps_stop: bool
    ) -> None:
        """Deletes the reply's streams that aren't on record: their starts got no answer. `text`: the answer's."""
        await self._remove_streams(
            question, await self._posted.streams(question), known_ts, text, keeps_stop=keeps_stop
        )

    async def _remove_streams(
        self,
        question: Question,
        streams: Sequence[FoundStream],
        known_ts: Collection[str],
        text: str,
        *,
        keeps_stop: bool,
    ) -> None:
        for stream in [stream for stream in streams if stream.ts not in known_ts]:
            if await self.stop_paced(question, stream.ts, keeps_stop=keeps_stop) or stream.shows(text):
                await self.delete_paced(Delete(question, stream.ts))

    async def stop_paced(self, question: Question, ts: str, *, keeps_stop: bool) -> bool:
        """Stops a stream; returns whether it was open. `keeps_stop`: Slack's own Stop stays."""
        try:
            await self._paced.call(STOPS, channel=question.thread.channel_id, ts=ts, **_session(keeps_stop))
        except Refused as error:
            if error.reason.may_pass:
                raise
            return False
        return True

    async def delete(self, call: Delete) -> None:
        """Deletes a message, whose budget is taken already, and its files."""
        await self._delete(call, self._client)

    async def delete_paced(self, call: Delete) -> None:
        """Deletes a message and its files."""
        await self._delete(call, self._paced)

    async def _delete(self, call: Delete, client: SlackClient | PacedClient) -> None:
        """Deletes a message and its files. An open stream is stopped first: Slack says cant_delete_message of it."""
        await self._delete_files(call.file_ids)
        place = {"channel": call.question.thread.channel_id, "ts": call.ts}
        try:
            await client.call("chat.delete", **place)
        except Refused as error:
            if error.error != CANT_DELETE or not await self.stop_paced(
                call.question, call.ts, keeps_stop=call.keeps_stop
            ):
                raise
            await self._paced.call("chat.delete", **place)

    async def stage(self, upload: Upload) -> list[str]:
        """Sends the files' bytes, which nobody sees yet; returns the files' ids."""
        ids = []
        for file in upload.files:
            method = "files.getUploadURLExternal"
            target = await self._paced.call(method, filename=file.name, length=len(file.content))
            if not (target.get("upload_url") and target.get("file_id")):
                raise Refused(method, "no upload address", Refusal.TRANSIENT)
            await self._client.send_bytes(target["upload_url"], file.content)
            ids.append(str(target["file_id"]))
        return ids

    async def share(self, upload: Upload, ids: Sequence[str], *, is_retry: bool) -> str:
        """Shows staged files below the pages; returns their message's ts, "" where Slack doesn't let us look for it.

        `is_retry`: Slack may have shared them before, and refuses it now, because a file is shared only once.
        """
        thread = upload.question.thread
        files = [{"id": id_, "title": file.title} for id_, file in zip(ids, upload.files, strict=True)]
        try:
            await self._client.call(SHARE, channel_id=thread.channel_id, thread_ts=thread.thread_ts, files=files)
        except Refused as error:
            if not is_retry or error.reason.may_pass:
                raise
        return await self._shared_message(upload.question, ids)

    async def _shared_message(self, question: Question, ids: Sequence[str]) -> str:
        has_looked = False
        for delay_s in SHARED_LOOKS_S:
            await self._paced.clock.sleep(delay_s)
            try:
                if (ts := await self._posted.find_files(question, ids)) is not None:
                    return ts
                has_looked = True
            except (RateLimited, Refused) as error:
                log.warning("shared files not found yet, retrying: %s", error)
                if isinstance(error, Refused) and error.reason is Refusal.MESSAGE_GONE:
                    await self._delete_files_at_root(question, ids)
                    raise
        if has_looked:
            raise Refused(SHARE, NOT_SHARED, Refusal.TRANSIENT)
        return ""

    async def _delete_files_at_root(self, question: Question, ids: Sequence[str]) -> None:
        """Deletes files that Slack shared at the channel's root, because their thread was deleted."""
        await self._delete_files(ids)
        for call in await self._posted.files_at_root(question):
            if set(ids) & set(call.file_ids):
                await self.delete_paced(call)

    async def _delete_files(self, file_ids: Sequence[str]) -> None:
        """Deletes files: a deleted message leaves its files behind, and a deleted file its message."""
        for file_id in file_ids:
            try:
                await self._paced.call("files.delete", file=file_id)
            except Refused as error:
                if error.reason.may_pass:
                    raise


class MessageDelivery:
    """Sends one reply's calls, and knows which of them have lost their answers."""

    def __init__(self, transport: MessageTransport, posted: PostedReplies, job: Job, reply: Reply) -> None:
        self.has_lost_post = False
        """Slack may have done a post whose answer never came."""
        self._transport = transport
        self._posted = posted
        self._job = job
        self._reply = reply
        self._has_lost_start = False
        """Slack may have started a stream whose answer never came."""
        self._may_have_orphans = job.attempts > 1
        """Slack may show messages of the reply that aren't on record."""
        self._failed_searches = 0
        self._staged: tuple[Upload, list[str]] | None = None
        """Files whose bytes Slack has, and their ids. Whether Slack shows them isn't known."""

    async def send(self, call: Call, may_send: Callable[[], bool]) -> None:
        with only_while(may_send):
            if self._has_lost_start:
                await self._remove_lost_stream()
            match call:
                case StartStream():
                    self._reply.confirmed(call, await self._transport.start(call))
                case AppendStream():
                    await self._transport.append(call)
                    self._reply.confirmed(call, call.ts)
                case StopStream():
                    await self._transport.stop(call)
                    self._reply.confirmed(call, call.ts)
                case Post():
                    await self._post(call)
                case Update():
                    await self._transport.update(call)
                    self._reply.confirmed(call, call.ts)
                case Upload():
                    await self._upload(call, may_send)
                case Delete():
                    await self._transport.delete(call)
                    self._reply.confirmed(call, call.ts)

    def refused(self, call: Call, error: Refused) -> None:
        if error.reason is Refusal.OUTSIDE_THREAD:
            self._reply.posted_outside_thread(error.ts)
            return
        self._reply.refused(call, error.reason)
        if isinstance(call, StartStream):
            self._transport.stream_refused(call.question, error)
        if error.reason.may_pass:
            self._has_lost_start = self._has_lost_start or isinstance(call, StartStream)
            # A stream may begin in place of a lost post, which isn't looked for then.
            self._may_have_orphans = self._may_have_orphans or isinstance(call, Post | StartStream)
            self.has_lost_post = self.has_lost_post or isinstance(call, Post)
            if error.error == NOT_SHARED:
                self._staged = None

    async def _remove_lost_stream(self) -> None:
        """Deletes a stream whose start got no answer, before anything else shows the page."""
        try:
            reply = self._reply
            await self._transport.remove_streams(
                reply.question, self._known_ts, reply.text, keeps_stop=reply.keeps_stop
            )
        except Refused as error:
            self._failed_searches += 1
            if error.reason.may_pass and self._failed_searches < POST_SEARCHES:
                raise
            log.warning("job %d: lost stream not deleted, it may show twice until the end: %s", self._job.id, error)
        self._has_lost_start, self._failed_searches = False, 0

    @property
    def _known_ts(self) -> tuple[str, ...]:
        return tuple(message.ts for message in self._reply.messages)

    async def clean_up(self) -> bool:
        if not (self._job.may_have_posts or self._may_have_orphans):
            return True
        reply, job_id = self._reply, self._job.id
        try:
            async with asyncio.timeout(CLEAN_UP_TIMEOUT_S):
                known = [message.ts for message in reply.messages if message.role is not Role.REPLACED]
                for call in await self._posted.late_messages(reply.question, known):
                    await self._transport.delete_paced(call)
                if self._may_have_orphans:
                    await self._transport.remove_streams(reply.question, self._known_ts, reply.text, keeps_stop=False)
        except (Refused, RateLimited, TimeoutError) as error:
            log.warning("job %d: late messages not deleted: %s", job_id, str(error) or "it took too long")
            may_pass = not isinstance(error, Refused) or error.reason.may_pass
            return not (may_pass and self._may_have_orphans)
        except Exception as error:
            log.error("job %d: late messages not deleted: %s", job_id, trace_of(error))
        return True

    async def _post(self, call: Post) -> None:
        """Posts a page, unless an earlier post of it turns out to have arrived."""
        if self.has_lost_post:
            message = await self._lost_post(call)
            self.has_lost_post, self._failed_searches = False, 0
            if message is not None and message.is_current and self._reply.ended:
                self._reply.confirmed(call, message.ts)
                return
            if message is not None:
                self._reply.found(message.ts)
                return
        self._reply.confirmed(call, await self._transport.post(call))

    async def _lost_post(self, call: Post) -> FoundPost | None:
        """Returns the message of a post whose answer was lost; raises Refused while another search may find it."""
        try:
            return await self._posted.find(call, self._known_ts)
        except Refused as error:
            self._failed_searches += 1
            if error.reason in (Refusal.OUTSIDE_THREAD, Refusal.MESSAGE_GONE):
                raise
            if error.reason.may_pass and self._failed_searches < POST_SEARCHES:
                raise
            log.warning("job %d: posting a page again, may be a duplicate: %s", self._job.id, error)
            return None

    async def _upload(self, call: Upload, may_send: Callable[[], bool]) -> None:
        """Uploads files and shares them. Bytes take a while, so the lease is checked again before files show."""
        is_retry = self._staged is not None and self._staged[0] == call
        if self._staged is None or not is_retry:
            self._staged = call, await self._transport.stage(call)
        ids = self._staged[1]
        ts = await self._posted.find_files(call.question, ids) if is_retry else None
        if ts is None and may_send():
            ts = await self._transport.share(call, ids, is_retry=is_retry)
        if ts is not None:
            self._reply.confirmed(call, ts)


def _session(keeps_stop: bool) -> dict[str, Any]:
    """Returns the argument of chat.stopStream that keeps Slack's own Stop: by default, a stop removes it."""
    return {"session_status": "processing"} if keeps_stop else {}


def _place(question: Question) -> tuple[str, str]:
    return question.thread.channel_id, question.user_id


def _on_record(job: Job) -> Shown:
    """Returns what Slack shows as far as the Store can tell: each text is recorded before it is shown."""
    text = job.checkpoint.text
    return Shown(in_order(job.page_ts), len(text), text, outdated=job.version > 0 and not text)
