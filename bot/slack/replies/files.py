"""Shares files below a reply's pages, and deletes messages with their files.

A file can be shared only once. Its bytes are sent once, and before it is shared again it is looked for by its id.
"""

import logging
from collections.abc import Sequence

from bot.core.conversation import Question
from bot.core.reply.messages import Delete, Upload
from bot.errors import RateLimited, Refusal, Refused
from bot.slack.client import SlackClient
from bot.slack.format.payload import string
from bot.slack.paced_client import PacedClient
from bot.slack.replies.posted import PostedReplies
from bot.slack.replies.streams import Streams
from bot.slack.replies.transport import METHODS
from bot.slack.retry_policy import LOOKS, MAX_LOOKS

SHARE = METHODS[Upload]
CANT_DELETE = "cant_delete_message"
NOT_SHARED = "not_shared"
"""Our own error name: Slack reported shared files, but no message shows them."""

log = logging.getLogger(__name__)


class Files:
    """Files and deletions of a workspace's replies.

    `client` sends the calls that the scheduler has paced; `paced` makes all others.
    """

    def __init__(self, client: SlackClient, paced: PacedClient, posted: PostedReplies, streams: Streams) -> None:
        self._client = client
        self._paced = paced
        self._posted = posted
        self._streams = streams

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
            if error.error != CANT_DELETE or not await self._streams.stop_paced(
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
            url, file_id = string(target, "upload_url"), string(target, "file_id")
            if not (url and file_id):
                raise Refused(method, "no upload address", Refusal.TRANSIENT)
            await self._client.send_bytes(url, file.content)
            ids.append(file_id)
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
        # Slack shares files after its answer, and sometimes never (paradigmxyz/centaur#311).
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
