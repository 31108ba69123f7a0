"""Reads canvases that people share or link: their text comes by canvases.getContent, not as a file's bytes.

A canvas that a message brings along was shared with the message's readers. A link may name any canvas that the app can
open, so files.info says first whether the conversation's readers may read it. Until then, not even its name is told.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence

from bot.core.conversation import File, Question
from bot.core.documents import MAX_CHARS, Document, LeftOut, Part
from bot.core.inbound.files import CHECK_FILE_INFO, OpenedFile, Unread, is_canvas, reason_not_to_read
from bot.errors import RateLimited, Refused
from bot.slack.format.files import file_of, is_for_readers
from bot.slack.manifest import READ_CANVASES_SCOPE
from bot.slack.paced_client import PacedClient

READING_S = 20.0
"""The limit for all canvases of one question, including the wait for Slack's rate limits."""
_REASONS = {
    "missing_scope": Unread.CANVAS_SCOPE,
    "canvas_not_found": Unread.CANVAS_NOT_FOUND,
    "file_not_found": Unread.CANVAS_NOT_FOUND,
    "not_visible": Unread.CANVAS_NOT_FOUND,
    "access_denied": Unread.CANVAS_NOT_FOUND,
    "canvas_deleted": Unread.DELETED,
    "file_deleted": Unread.DELETED,
}

log = logging.getLogger(__name__)


class Canvases:
    """Reads canvases. `scopes`: what the bot token is granted; None if Slack doesn't say."""

    def __init__(self, client: PacedClient, scopes: Collection[str] | None) -> None:
        self._client = client
        self._may_read = scopes is None or READ_CANVASES_SCOPE in scopes

    async def read(self, canvases: Sequence[File], question: Question) -> Mapping[str, OpenedFile]:
        """Returns the text of each canvas as Markdown, by id, or why it can't be read; never raises because of one."""
        opened: dict[str, OpenedFile] = {}
        try:
            async with asyncio.timeout(READING_S):
                for canvas in canvases:
                    opened[canvas.id] = await self._opened(canvas, question)
        except TimeoutError:
            log.warning("canvases not read in time: count=%d limit_s=%.0f", len(canvases), READING_S)
        return {canvas.id: opened.get(canvas.id, OpenedFile(canvas, Unread.TOO_SLOW)) for canvas in canvases}

    async def _opened(self, canvas: File, question: Question) -> OpenedFile:
        if not self._may_read:
            return OpenedFile(canvas, Unread.CANVAS_SCOPE)
        try:
            if canvas.access == CHECK_FILE_INFO:
                described = (await self._client.call("files.info", file=canvas.id)).get("file") or {}
                if not is_for_readers(described, question.thread, question.user_id):
                    return OpenedFile(canvas, Unread.CANVAS_NOT_SHARED)
                canvas = file_of(described)
                if not is_canvas(canvas):
                    return OpenedFile(canvas, Unread.KIND)
                if reason := reason_not_to_read(canvas):
                    return OpenedFile(canvas, reason)
            content = (await self._client.call("canvases.getContent", canvas_id=canvas.id)).get("content")
        except Refused as error:
            log.warning("canvas %s: %s", canvas.id, error)
            return OpenedFile(canvas, _REASONS.get(error.name, Unread.FAILED))
        except RateLimited as error:
            log.warning("canvas %s: %s", canvas.id, error)
            return OpenedFile(canvas, Unread.FAILED)
        return OpenedFile(canvas, _document(content) if isinstance(content, str) else Unread.FAILED)


def _document(markdown: str) -> Document:
    return Document(markdown[:MAX_CHARS], (LeftOut(Part.END, 1),) if len(markdown) > MAX_CHARS else ())
