"""Saves answers as canvases on request, links them in the conversation, and deletes them with the answer.

Because the outbox can retry in any process, each step (creating the canvas, posting its link, granting access to the
conversation's members) is recorded before the next one starts, so that no step is repeated. Following Slack's
documentation, the link is posted before access is granted, because members can get access only to a canvas that has
been shared.

A canvas is a copy of the answer, like the reply's messages. People can't edit the canvas, so Delete removes it with the
messages. Erasing data doesn't delete canvases or messages in Slack.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import ClassVar

from bot.core import texts
from bot.core.job import AnswerRecord, MessageRole
from bot.core.outbox import OutboxEntry
from bot.errors import Refused
from bot.reply.charts import without_chart_marks
from bot.reply.outbox_sender import link_message
from bot.reply.sources import as_code_block, canvas_markdown, canvas_title
from bot.services.side_messages import MAX_COPY_TRIES, AnswerCopier, update_side_messages
from bot.store.canvases import AnswerCanvas

log = logging.getLogger(__name__)


class CanvasWriter(AnswerCopier):
    """Processes the outbox's canvas entries. All methods raise RateLimited, Refused and StoreError."""

    sentences: ClassVar = {
        "": texts.canvases.NOT_MADE,
        "missing_scope": texts.canvases.FORBIDDEN,
        "canvas_disabled_user_team": texts.canvases.OFF,
        "canvas_creation_failed": texts.canvases.REFUSED,
    }

    async def _copy(self, entry: OutboxEntry, answer: AnswerRecord, is_still_ours: Callable[[], bool]) -> str:
        if not answer.is_whole:
            return texts.canvases.OF_INCOMPLETE
        if not self.workspace.canvases.can_write:
            return texts.canvases.FORBIDDEN
        if entry.tries > MAX_COPY_TRIES:
            return texts.canvases.NOT_MADE
        canvas = await self._ensure_canvas(entry, answer, is_still_ours)
        if canvas is None:
            return ""
        try:
            await self.workspace.canvases.share(canvas.canvas_id, entry.question.thread, entry.question.user_id)
        except Refused as refused:
            if refused.reason.is_temporary:
                raise
            log.warning("canvas %s not shared: %s", canvas.canvas_id, refused)
            return texts.canvases.NOT_OPENED
        return ""

    async def delete(self, entry: OutboxEntry) -> None:
        for canvas in await self.stores.answer_canvases.of_job(entry.job_id):
            await self.workspace.canvases.delete(canvas.canvas_id)
            await self.stores.answer_canvases.forget(entry.job_id, canvas.version)

    async def _ensure_canvas(
        self, entry: OutboxEntry, answer: AnswerRecord, is_still_ours: Callable[[], bool]
    ) -> AnswerCanvas | None:
        """Returns the answer's canvas after posting its link, or None if the answer has been deleted in the
        meantime."""
        recorded = {canvas.version: canvas for canvas in await self.stores.answer_canvases.of_job(entry.job_id)}
        canvas = recorded.get(answer.version)
        if canvas is None:
            canvas = AnswerCanvas(answer.version, await self._create(entry, answer, is_still_ours))
            log.info("canvas %s made", canvas.canvas_id)
            if not await self.stores.answer_canvases.record(entry.job_id, canvas):
                await self.workspace.canvases.delete(canvas.canvas_id)
                return None
        links = (message for message in entry.side_messages if message.role is MessageRole.LINK and message.ts)
        if all(message.version != answer.version for message in links):
            link = link_message(entry, answer.version, await self.workspace.canvases.link(canvas.canvas_id))
            await update_side_messages(self.stores, self.workspace, entry, link, (MessageRole.LINK,), is_still_ours)
        return canvas

    async def _create(self, entry: OutboxEntry, answer: AnswerRecord, is_still_ours: Callable[[], bool]) -> str:
        title = canvas_title(answer.text)

        def written() -> str:
            return canvas_markdown(without_chart_marks(answer.text), answer.end.sources if answer.end else ())

        # The first try runs in a thread, because a long answer would block the loop for too long. Later tries run on
        # the loop: only a step on the loop can be stopped if it hangs (standstill.py), and a thread that hangs would
        # stop a second process.
        markdown = written() if entry.tries > 1 else await asyncio.to_thread(written)
        channel_id = entry.question.thread.channel_id
        try:
            return await self.workspace.canvases.create(title, markdown, channel_id, is_still_ours)
        except Refused as refused:
            if refused.name != "canvas_creation_failed":
                raise
            log.warning("canvas made of code, because Slack doesn't accept its Markdown: %s", refused)
        return await self.workspace.canvases.create(title, as_code_block(markdown), channel_id, is_still_ours)
