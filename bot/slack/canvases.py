"""Reads canvases that users share or link, and creates canvases for answers.

A canvas's text is fetched with canvases.getContent, not downloaded as a file. A canvas attached to a message is shared
with the message's readers. A link, however, can point to any canvas that the app can open. Therefore, Typist first
checks with files.info whether the conversation's readers have access. Until then, not even the canvas's name is
revealed. In a direct message, only the asker reads the answer, so a canvas that they have open can also be read.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from bot.core.canvases import is_canvas
from bot.core.conversation import CHECK_FILE_INFO, File, Question, ThreadKey
from bot.core.files import OpenedFile, reason_unreadable
from bot.core.prompt import one_line
from bot.core.surfaces import AppContext
from bot.core.texts.files import Unread
from bot.errors import RateLimited, Refusal, Refused, StoreError
from bot.slack.client import TURN_WITHIN_S, PacedClient, only_while
from bot.slack.file_objects import file_of, is_visible_to_readers
from bot.slack.json_values import Payload, json_object, string, strings
from bot.slack.manifest import READ_CANVASES_SCOPE, WRITE_CANVASES_SCOPE
from files_to_markdown.document import MAX_CHARS, Document, LeftOut, Part

NEEDS_CHANNEL = "free_teams_cannot_create_non_tabbed_canvases"
_REASONS = {
    "missing_scope": Unread.CANVAS_SCOPE,
    "canvas_not_found": Unread.CANVAS_NOT_FOUND,
    "file_not_found": Unread.CANVAS_NOT_FOUND,
    "not_visible": Unread.CANVAS_NOT_FOUND,
    "access_denied": Unread.CANVAS_NOT_FOUND,
    "canvas_deleted": Unread.DELETED,
    "file_deleted": Unread.DELETED,
}

OpenNow = Callable[[str, str], Awaitable[AppContext]]

log = logging.getLogger(__name__)


class Canvases:
    """Reads and creates canvases. `scopes`: the bot token's scopes, or None if Slack doesn't list them. `open_now`:
    given a team and a user, returns what that person has open. Raises StoreError."""

    def __init__(
        self, client: PacedClient, scopes: Collection[str] | None, bot_user_id: str, open_now: OpenNow
    ) -> None:
        self._client = client
        self._open_now = open_now
        self._bot_user_id = bot_user_id
        self._can_read = scopes is None or READ_CANVASES_SCOPE in scopes
        self.can_write = scopes is None or WRITE_CANVASES_SCOPE in scopes

    async def read(self, canvases: Sequence[File], question: Question) -> Mapping[str, OpenedFile]:
        """Returns each canvas's text as Markdown, or the reason it can't be read, keyed by ID. Doesn't raise an
        exception for a canvas that can't be read."""
        opened: dict[str, OpenedFile] = {}
        try:
            async with asyncio.timeout(TURN_WITHIN_S):
                for canvas in canvases:
                    opened[canvas.id] = await self._read_canvas(canvas, question)
        except TimeoutError:
            log.warning("canvases not read in time: count=%d limit_s=%.0f", len(canvases), TURN_WITHIN_S)
        return {canvas.id: opened.get(canvas.id, OpenedFile(canvas, Unread.TOO_SLOW)) for canvas in canvases}

    async def _read_canvas(self, canvas: File, question: Question) -> OpenedFile:
        if not self._can_read:
            return OpenedFile(canvas, Unread.CANVAS_SCOPE)
        try:
            if canvas.access == CHECK_FILE_INFO:
                described, reason = await self._read_description(canvas.id, question)
                canvas = file_of(described) if described else canvas
                if reason:
                    return OpenedFile(canvas, reason)
            content = (await self._client.call("canvases.getContent", canvas_id=canvas.id)).get("content")
        except Refused as error:
            log.warning("canvas %s: %s", canvas.id, error)
            return OpenedFile(canvas, _REASONS.get(error.name, Unread.FAILED))
        except RateLimited as error:
            log.warning("canvas %s: %s", canvas.id, error)
            return OpenedFile(canvas, Unread.FAILED)
        if not isinstance(content, str):
            return OpenedFile(canvas, Unread.FAILED)
        left_out = (LeftOut(Part.END, 1),) if len(content) > MAX_CHARS else ()
        return OpenedFile(canvas, Document(content[:MAX_CHARS], left_out))

    async def _is_open_in_direct_message(self, canvas_id: str, question: Question) -> bool:
        """Returns whether the asker has the canvas open and is the only person who can read the answer."""
        thread = question.thread
        try:
            return (
                thread.in_direct_message
                and canvas_id == (await self._open_now(thread.team_id, question.user_id)).canvas_id
            )
        except StoreError:
            return False

    async def _read_description(self, canvas_id: str, question: Question) -> tuple[Payload, Unread | None]:
        """Returns a canvas's file object ({} if it isn't shared with the conversation) and the reason it can't be read,
        if any."""
        described = json_object(await self._client.call("files.info", file=canvas_id), "file")
        is_readable = is_visible_to_readers(described, question.thread, question.user_id)
        if not (is_readable or await self._is_open_in_direct_message(canvas_id, question)):
            return {}, Unread.CANVAS_NOT_SHARED
        canvas = file_of(described)
        return described, reason_unreadable(canvas) if is_canvas(canvas) else Unread.KIND

    async def title_and_link(self, canvas_id: str, question: Question) -> tuple[str, str]:
        """Returns a canvas's title and URL, or empty strings if there is none or it can't be read."""
        if not (canvas_id and self._can_read):
            return "", ""
        try:
            async with asyncio.timeout(TURN_WITHIN_S):
                described, reason = await self._read_description(canvas_id, question)
        except (RateLimited, Refused, TimeoutError) as error:
            log.warning("canvas %s not described: %s", canvas_id, str(error) or "it took too long")
            return "", ""
        return ("", "") if reason else (one_line(file_of(described).name), string(described, "permalink"))

    async def create(self, title: str, markdown: str, channel_id: str, is_current: Callable[[], bool]) -> str:
        """Creates a canvas that only the bot can see, unless `is_current()` returns False. Returns the canvas ID. If
        the workspace's plan allows canvases only in channel tabs, adds the canvas to the tab of `channel_id`. Raises
        RateLimited and Refused."""
        content: dict[str, Any] = {"title": title, "document_content": {"type": "markdown", "markdown": markdown}}
        with only_while(is_current):
            try:
                answer = await self._client.call("canvases.create", **content)
            except Refused as error:
                if error.name != NEEDS_CHANNEL:
                    raise
                answer = await self._client.call("canvases.create", **content, channel_id=channel_id)
        if not isinstance(answer.get("canvas_id"), str):
            raise Refused("canvases.create", "no canvas", Refusal.TRANSIENT)
        return str(answer["canvas_id"])

    async def link(self, canvas_id: str) -> str:
        described = json_object(await self._client.call("files.info", file=canvas_id), "file")
        if not isinstance(described.get("permalink"), str):
            raise Refused("files.info", "no permalink", Refusal.TRANSIENT)
        return str(described["permalink"])

    async def share(self, canvas_id: str, thread: ThreadKey, asker: str) -> None:
        """Gives a conversation's members read access to a canvas. For direct messages, Slack accepts user IDs but not a
        channel ID."""
        people = [asker] if thread.in_direct_message else await self._group_message_members(thread.channel_id)
        readers = {"user_ids": people} if people else {"channel_ids": [thread.channel_id]}
        answer = await self._client.call("canvases.access.set", canvas_id=canvas_id, access_level="read", **readers)
        if answer.get("failed_to_update_user_ids") or answer.get("failed_to_update_channel_ids"):
            raise Refused("canvases.access.set", "failed for some", Refusal.FORBIDDEN)

    async def delete(self, canvas_id: str) -> None:
        """Deletes a canvas if it still exists. Raises RateLimited, and Refused unless the refusal is final."""
        try:
            await self._client.call("canvases.delete", canvas_id=canvas_id)
        except Refused as error:
            log.warning("canvas %s not deleted: %s", canvas_id, error)
            if not error.reason.is_final:
                raise

    async def _group_message_members(self, channel_id: str) -> list[str]:
        """Returns the members of a group direct message, or [] for any other channel. Needs channels:read, groups:read
        and mpim:read."""
        try:
            answer = await self._client.call("conversations.info", channel=channel_id)
        except Refused as error:
            if error.reason.is_temporary:
                raise
            return []
        if not json_object(answer, "channel").get("is_mpim"):
            return []
        page = await self._client.call("conversations.members", channel=channel_id)
        return [member for member in strings(page, "members") if member != self._bot_user_id]
