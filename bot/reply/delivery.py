"""Sends the calls of one reply to Slack, and returns the outcome of each even if its response was lost.

If a response was lost, Slack might have carried out the call. Sending an update again, with newer text, does no harm. A
repeated post would appear twice, so the message is first looked for by the metadata that every page has. It can also
arrive later, so when a reply that was taken over ends, `clean_up` deletes such messages.

Starting a stream again would also leave two messages, and a new stream has no metadata, so the bot's messages without
metadata are first stopped and deleted. If the response to an append or stop call is lost, nothing needs recovery,
because an edit of the whole page follows. A file can be shared only once, so its bytes are sent only once, and a retry
looks for the file by its ID.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bot.core.conversation import Question
from bot.core.job import PENDING_ROLES, Job, MessageRole
from bot.errors import RateLimited, Refusal, Refused, Stuck, trace_of
from bot.reply import blocks as reply_blocks
from bot.reply.carriers import METHODS
from bot.reply.edits import Post, Update
from bot.reply.messages import Begin, Call, Delete, Upload, VisibleReply, recorded_reply
from bot.reply.outcomes import CallDone, CallFound, CallLimited, CallLost, CallRefused, CallUnsent, Outcome
from bot.reply.posted import FoundPost, FoundStream, PostedReplies, metadata_of
from bot.reply.reply import Reply
from bot.reply.streams import AppendStream, StartStream, StopStream, Stream, StreamChooser
from bot.retry import LOOKS, MAX_LOOKS, RECOVERY, Retrier
from bot.slack.client import PacedClient, SlackClient, only_while
from bot.slack.json_values import string
from bot.slack.users import Users, cache_newest
from slack_pacing.budget import RateBudget
from slack_pacing.carriers import STREAM_LIFE_S, CarrierName

SHARE_METHOD, APPEND_METHOD, STOP_METHOD = METHODS[Upload], METHODS[AppendStream], METHODS[StopStream]
CANT_DELETE = "cant_delete_message"
NOT_SHARED = "not_shared"
"""Our own error for files that Slack reported as shared but that no message shows."""
MAX_REFUSALS = 1_000
MAX_POST_SEARCHES = 3
"""Maximum number of failed searches for a lost post before the page is posted again. A duplicate is better than no
message."""
CALL_TIMEOUT_S = 60.0
"""Time limit for a call and everything that belongs to it, such as uploading a file."""
CLEAN_UP_TIMEOUT_S = 20.0

log = logging.getLogger(__name__)


def choose_stream(
    budget: RateBudget, key: Hashable, forced_carrier: CarrierName | None, now: float, has_stop: bool
) -> Stream | None:
    """Returns a stream for a page of a live reply, or None if edits should be used (`StreamChooser`)."""
    carrier = budget.choose_carrier(key, has_stop=has_stop, forced_carrier=forced_carrier)
    return Stream(until=now + STREAM_LIFE_S) if carrier == "stream" else None


class Streams:
    """A workspace's native streams. `client` sends calls that the scheduler has already paced, and `paced` paces all
    other calls itself."""

    def __init__(self, client: SlackClient, paced: PacedClient, users: Users) -> None:
        self._client = client
        self._paced = paced
        self._users = users
        self._refused: dict[tuple[str, str], None] = {}

    def can_start(self, question: Question) -> bool:
        """Returns whether Slack is expected to accept native streams for a question's asker."""
        return _channel_and_user(question) not in self._refused and not self._client.is_govslack

    def on_refused(self, question: Question, error: Refused) -> None:
        """Records that Slack refused a stream, so that this person's next answers in this channel use edits."""
        if error.reason.is_unavailable:
            cache_newest(self._refused, _channel_and_user(question), None, MAX_REFUSALS)

    async def start(self, call: StartStream) -> str:
        thread = call.question.thread
        return await self._client.start_stream(
            thread.channel_id,
            thread.thread_ts,
            recipient_team_id=await self._users.team_id(call.question.user_id),
            recipient_user_id=call.question.user_id,
            markdown_text=call.text,
        )

    async def append(self, call: AppendStream) -> None:
        channel = call.question.thread.channel_id
        await self._client.call(APPEND_METHOD, channel=channel, ts=call.ts, markdown_text=call.text)

    async def stop(self, call: StopStream) -> None:
        arguments = _session_arguments(call.keeps_stop)
        if call.view is not None:
            arguments["metadata"] = metadata_of(call.question, call.page, call.view)
            arguments["blocks"] = reply_blocks.blocks_below(call.view) or None
        await self._client.call(
            STOP_METHOD,
            channel=call.question.thread.channel_id,
            ts=call.ts,
            markdown_text=call.text or None,
            **arguments,
        )

    async def remove(
        self,
        question: Question,
        streams: Sequence[FoundStream],
        known_ts: Collection[str],
        text: str,
        *,
        keeps_stop: bool,
    ) -> None:
        """Deletes unrecorded streams that Slack started although the response was lost. `text`: the answer's text."""
        for stream in [stream for stream in streams if stream.ts not in known_ts]:
            if await self.stop_paced(question, stream.ts, keeps_stop=keeps_stop) or stream.shows(text):
                await self._paced.call("chat.delete", channel=question.thread.channel_id, ts=stream.ts)

    async def stop_paced(self, question: Question, ts: str, *, keeps_stop: bool) -> bool:
        """Stops a stream. Returns whether it was open. `keeps_stop`: whether to keep Slack's own Stop button."""
        try:
            await self._paced.call(
                STOP_METHOD, channel=question.thread.channel_id, ts=ts, **_session_arguments(keeps_stop)
            )
        except Refused as error:
            if error.reason.is_temporary:
                raise
            return False
        return True


def _session_arguments(keeps_stop: bool) -> dict[str, Any]:
    """Returns the chat.stopStream argument that keeps Slack's own Stop button, which Slack removes by default."""
    return {"session_status": "processing"} if keeps_stop else {}


def _channel_and_user(question: Question) -> tuple[str, str]:
    return question.thread.channel_id, question.user_id


class ReplyFiles:
    """Uploads and deletes files. `client` sends calls that the scheduler has already paced, and `paced` paces all other
    calls itself."""

    def __init__(self, client: SlackClient, paced: PacedClient, posted: PostedReplies, streams: Streams) -> None:
        self._client = client
        self._paced = paced
        self._posted = posted
        self._streams = streams

    async def delete(self, call: Delete, *, is_paced: bool = False) -> None:
        """Deletes a message and its files. An open stream is stopped first (cant_delete_message). `is_paced`: whether
        the scheduler has already paced the call."""
        client = self._client if is_paced else self._paced
        await self._delete_files(call.file_ids)
        place = {"channel": call.question.thread.channel_id, "ts": call.ts}
        try:
            await client.call("chat.delete", **place)
        except Refused as error:
            if error.error != CANT_DELETE or not await self._streams.stop_paced(
                call.question, call.ts, keeps_stop=call.keeps_stop
            ):
                raise
            await self._paced.call("chat.delete", **place)

    async def stage(self, upload: Upload) -> list[str]:
        ids = []
        for file in upload.files:
            method = "files.getUploadURLExternal"
            target = await self._paced.call(method, filename=file.name, length=len(file.content))
            url, file_id = string(target, "upload_url"), string(target, "file_id")
            if not (url and file_id):
                raise Refused(method, "no upload address", Refusal.TRANSIENT)
            await self._client.send_bytes(url, file.content)
            ids.append(file_id)
        return ids

    async def share(self, upload: Upload, ids: Sequence[str], *, is_retry: bool) -> str:
        """Shares staged files below the pages. Returns the ts of the files' message, or "" if Slack doesn't let us
        search for it. `is_retry`: whether Slack might refuse because it has already shared the files. A file can be
        shared only once."""
        try:
            await self._client.call(SHARE_METHOD, **_sharing_arguments(upload, ids))
        except Refused as error:
            if not is_retry or error.reason.is_temporary:
                raise
        return await self._find_shared_message(upload.question, ids)

    async def share_once(
        self, upload: Upload, known_ts: Collection[str], can_send: Callable[[], bool], *, is_retry: bool
    ) -> str:
        """Shares files that a reader asked for. Returns the ts of their message, or "" if Slack doesn't let us search
        for it. `is_retry`: whether an earlier try might have shared them, in a message other than `known_ts`."""
        if is_retry and (ts := await self._posted.find_shared(upload, known_ts)):
            return ts
        ids = await self.stage(upload)
        with only_while(can_send):
            await self._paced.call(SHARE_METHOD, **_sharing_arguments(upload, ids))
        return await self._find_shared_message(upload.question, ids)

    async def _find_shared_message(self, question: Question, ids: Sequence[str]) -> str:
        has_looked = False
        # Slack shares files after it responds, and sometimes never (paradigmxyz/centaur#311).
        for earlier in range(MAX_LOOKS):
            await self._paced.clock.sleep(LOOKS.wait_s(earlier))
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
            raise Refused(SHARE_METHOD, NOT_SHARED, Refusal.TRANSIENT)
        return ""

    async def _delete_files_at_root(self, question: Question, ids: Sequence[str]) -> None:
        """Deletes files that Slack shared outside the thread because the thread had been deleted."""
        await self._delete_files(ids)
        for call in await self._posted.files_at_root(question):
            if set(ids) & set(call.file_ids):
                await self.delete(call)

    async def _delete_files(self, file_ids: Sequence[str]) -> None:
        """Deletes files. Slack doesn't delete files together with their message, or a message together with its
        files."""
        for file_id in file_ids:
            try:
                await self._paced.call("files.delete", file=file_id)
            except Refused as error:
                if error.reason.is_temporary:
                    raise


def _sharing_arguments(upload: Upload, ids: Sequence[str]) -> dict[str, Any]:
    thread = upload.question.thread
    files = [{"id": id_, "title": file.title} for id_, file in zip(ids, upload.files, strict=True)]
    return {"channel_id": thread.channel_id, "thread_ts": thread.thread_ts, "files": files}


class MessageDelivery:
    """Sends one reply's calls, one at a time, and tracks lost responses. Doesn't change the reply."""

    def __init__(self, transport: "MessageTransport", reply: Reply) -> None:
        self.lost: set[MessageRole] = set()
        """POSTING or STARTING, if Slack might have carried out such a call even though its response never arrived."""
        self._transport = transport
        self.reply = reply
        self._failed_searches = 0
        self._staged: tuple[Upload, list[str]] | None = None
        """Uploaded files and their IDs. They are kept until it is known whether Slack shows the files."""

    async def send(self, call: Call, can_send: Callable[[], bool]) -> Outcome:
        """Sends a call with everything that belongs to it, such as an upload. Returns the outcome. The budget for the
        call's method has already been reserved. Calls of other methods wait until their own budgets allow them.
        `can_send` is checked again right before the request is sent. Raises only Stuck, unless canceled."""
        method = METHODS[type(call)]
        outcome: Outcome
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                outcome = await self.deliver(call, can_send)
        except RateLimited as error:
            outcome = CallLimited(error) if error.method == method else CallUnsent(error)
        except Refused as error:
            outcome = CallLost(error) if error.reason.is_temporary else CallRefused(error)
        except Stuck:
            raise
        except TimeoutError:
            outcome = CallLost(Refused(method, "TimeoutError", Refusal.TRANSIENT))
        except Exception as error:
            log.error("%s failed: %s", method, trace_of(error))
            outcome = CallLost(Refused(method, type(error).__name__, Refusal.UNKNOWN))
        self._on_outcome(call, outcome)
        return outcome

    async def deliver(self, call: Call, can_send: Callable[[], bool]) -> Outcome:
        with only_while(can_send):
            if MessageRole.STARTING in self.lost:
                await self._remove_lost_stream()
            match call:
                case StartStream():
                    return CallDone(await self._transport.streams.start(call))
                case Post():
                    return await self._post(call)
                case Upload():
                    return await self._upload(call, can_send)
                case AppendStream(ts=ts):
                    await self._transport.streams.append(call)
                case StopStream(ts=ts):
                    await self._transport.streams.stop(call)
                case Update(ts=ts):
                    await update(self._transport.client, call)
                case Delete(ts=ts):
                    await self._transport.files.delete(call, is_paced=True)
                case _:
                    raise TypeError(f"no way to send a {type(call).__name__}")
        return CallDone(ts)

    def _on_outcome(self, call: Call, outcome: Outcome) -> None:
        match outcome:
            case CallRefused(error) if isinstance(call, StartStream):
                self._transport.streams.on_refused(call.question, error)
            case CallLost(Refused() as error):
                if isinstance(call, Begin):
                    self.lost.add(call.pending_role)
                if error.error == NOT_SHARED:
                    self._staged = None

    async def _remove_lost_stream(self) -> None:
        try:
            await self._remove_streams()
        except Refused as error:
            self._failed_searches += 1
            if error.reason.is_temporary and self._failed_searches < MAX_POST_SEARCHES:
                raise
            log.warning("lost stream not deleted, it may show twice until the end: %s", error)
        self.lost.discard(MessageRole.STARTING)
        self._failed_searches = 0

    async def _remove_streams(self) -> None:
        reply = self.reply
        question = reply.job.question
        found = await self._transport.posted.find_streams(question)
        text = reply.text
        await self._transport.streams.remove(question, found, self._known_ts, text, keeps_stop=reply.keeps_stop)

    @property
    def _known_ts(self) -> tuple[str, ...]:
        return tuple(message.ts for message in self.reply.messages)

    async def clean_up(self) -> Outcome:
        """Deletes unrecorded messages that were posted late. Returns CallLost if a retry might help. Never raises."""
        reply = self.reply
        if not reply.messages_with(*PENDING_ROLES):
            return CallDone()
        try:
            async with asyncio.timeout(CLEAN_UP_TIMEOUT_S):
                known = [message.ts for message in reply.messages if message.role is not MessageRole.REPLACED]
                for call in await self._transport.posted.late_messages(reply.job.question, known):
                    await self._transport.files.delete(call)
                if reply.messages_with(MessageRole.STARTING):
                    await self._remove_streams()
        except (Refused, RateLimited, TimeoutError) as error:
            log.warning("late messages not deleted: %s", str(error) or "it took too long")
            is_over = isinstance(error, Refused) and error.reason.is_permanent
            return CallDone() if is_over else CallLost()
        except Exception as error:
            log.error("late messages not deleted: %s", trace_of(error))
        return CallDone()

    async def _post(self, call: Post) -> CallDone | CallFound:
        if MessageRole.POSTING in self.lost:
            message = await self._find_lost_post(call)
            self.lost.discard(MessageRole.POSTING)
            self._failed_searches = 0
            if message is not None:
                shows_call = message.is_current and self.reply.has_ended
                return CallDone(message.ts) if shows_call else CallFound(message.ts)
        return CallDone(await post(self._transport.client, call))

    async def _find_lost_post(self, call: Post) -> FoundPost | None:
        """Returns the message created by a post whose response was lost, or None if Slack didn't post it. Raises
        Refused if a later search might still find the message."""
        try:
            return await self._transport.posted.find_post(call, self._known_ts)
        except Refused as error:
            self._failed_searches += 1
            if error.reason in (Refusal.OUTSIDE_THREAD, Refusal.MESSAGE_GONE):
                raise
            if error.reason.is_temporary and self._failed_searches < MAX_POST_SEARCHES:
                raise
            log.warning("posting a page again, may be a duplicate: %s", error)
            return None

    async def _upload(self, call: Upload, can_send: Callable[[], bool]) -> CallDone | CallUnsent:
        """Uploads and shares files. Checks the lease again before sharing, because uploading takes a while."""
        is_retry = self._staged is not None and self._staged[0] == call
        if self._staged is None or not is_retry:
            self._staged = call, await self._transport.files.stage(call)
        ids = self._staged[1]
        ts = await self._transport.posted.find_files(call.question, ids) if is_retry else None
        if ts is None and can_send():
            ts = await self._transport.files.share(call, ids, is_retry=is_retry)
        return CallUnsent() if ts is None else CallDone(ts)


async def post(client: SlackClient, call: Post) -> str:
    thread = call.question.thread
    _, ts = await client.post(
        channel=thread.channel_id,
        thread_ts=thread.thread_ts,
        metadata=metadata_of(call.question, call.page, call.view),
        **reply_blocks.message(call.view),
    )
    return ts


async def update(client: SlackClient | PacedClient, call: Update) -> None:
    await client.call(
        "chat.update",
        channel=call.question.thread.channel_id,
        ts=call.ts,
        metadata=metadata_of(call.question, call.page, call.view),
        **reply_blocks.message(call.view),
    )


RECOVERY_TIMEOUT_S = 60.0
"""Time limit for reading a reply from Slack. After that, the reply continues from its record."""


class MessageTransport:
    def __init__(self, client: SlackClient, paced: PacedClient, posted: PostedReplies, users: Users) -> None:
        self.client = client
        self.posted = posted
        self.streams = Streams(client, paced, users)
        self.files = ReplyFiles(client, paced, posted, self.streams)
        self._clock = paced.clock

    def stream_chooser(
        self, question: Question, budget: RateBudget, key: Hashable, forced: CarrierName | None
    ) -> StreamChooser | None:
        """Returns a function that chooses streams for the reply `key`, or None if Slack is known to refuse streams."""
        is_possible = self.streams.can_start(question)
        return partial(choose_stream, budget, key, forced) if is_possible else None

    def delivery(self, reply: Reply) -> MessageDelivery:
        return MessageDelivery(self, reply)

    async def recover(self, job: Job, *, has_stop: bool = False) -> VisibleReply:
        """Returns the part of a job's reply that Slack shows, or should show according to the record. Never raises."""
        try:
            async with asyncio.timeout(RECOVERY_TIMEOUT_S):
                retrying = Retrier(RECOVERY, self._clock, "what Slack shows is not known")
                shown = await retrying.call(lambda: self._read_shown(job, keeps_stop=has_stop))
                return await self._delete_replaced(job, shown, keeps_stop=has_stop)
        except (Refused, TimeoutError) as error:
            problem = str(error) or "it took too long"
            log.warning("messages not read from Slack, using the database's record: %s", problem)
        except Exception as error:
            log.error("messages not read from Slack, using the database's record: %s", trace_of(error))
        return recorded_reply(job)

    async def _read_shown(self, job: Job, *, keeps_stop: bool) -> VisibleReply:
        """Stops or deletes an earlier attempt's open streams. Returns the part of the reply that Slack shows."""
        # The record might lack a lost post, an end that was being shown, or file IDs.
        is_unsure = any(message.role in (*PENDING_ROLES, MessageRole.FILE) for message in job.messages)
        must_ask = is_unsure or job.checkpoint.end is not None
        shown, streams = await self.posted.visible_reply(job) if must_ask else (recorded_reply(job), ())
        try:
            if shown.stream_page is not None and not shown.shows_end:
                await self.streams.stop_paced(job.question, shown.page_ts[-1], keeps_stop=keeps_stop)
            if any(message.role is MessageRole.STARTING for message in job.messages):
                known = (*shown.page_ts, *shown.replaced_ts)
                text = job.checkpoint.text
                await self.streams.remove(job.question, streams, known, text, keeps_stop=keeps_stop)
        except Refused as error:
            if error.reason.is_temporary:
                raise
            log.warning("earlier stream not stopped: %s", error)
        return shown

    async def _delete_replaced(self, job: Job, shown: VisibleReply, *, keeps_stop: bool) -> VisibleReply:
        """Deletes messages that an earlier attempt replaced. Returns the part of the reply that Slack shows."""
        for ts in shown.replaced_ts:
            try:
                await self.files.delete(Delete(job.question, ts, keeps_stop=keeps_stop))
            except (RateLimited, Refused) as error:
                log.warning("replaced message not deleted: %s", error)
                return shown
        return replace(shown, replaced_ts=())
