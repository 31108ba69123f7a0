"""Posts an answer's tables as files, once per version, when a reader asks for them (Download table).

Like a canvas, the message is recorded before it is posted, and is deleted with the answer.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.core import texts
from bot.core.job import AnswerRecord, MessageRole, RecordedMessage
from bot.core.outbox import OutboxEntry
from bot.errors import Refused
from bot.reply.attachments import tables
from bot.reply.messages import Upload
from bot.reply.workspace import Workspace
from bot.services.canvas_writer import MAX_TRIES
from bot.store import Stores

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableWriter:
    stores: Stores
    workspace: Workspace

    async def share(self, entry: OutboxEntry, is_still_ours: Callable[[], bool]) -> None:
        """Shares an answer's tables, or reports a permanent failure to the person who requested them. Sends nothing
        once `is_still_ours()` is False. Raises RateLimited, Refused and StoreError."""
        answer = await self.stores.recorded_answers.answer_of_job(entry.question.thread, entry.job_id)
        if answer is None or answer.is_deleted:
            return
        try:
            problem = (
                await self._share(entry, answer, is_still_ours)
                if entry.tries <= MAX_TRIES
                else texts.actions.TABLES_FAILED
            )
        except Refused as refused:
            if refused.reason.is_temporary:
                raise
            log.warning("tables not shared: %s", refused)
            is_scope = refused.name == "missing_scope"
            problem = texts.actions.TABLES_FORBIDDEN if is_scope else texts.actions.TABLES_FAILED
        if problem:
            await self.workspace.ephemeral.tell(replace(entry.question, user_id=entry.about), problem)

    async def _share(self, entry: OutboxEntry, answer: AnswerRecord, is_still_ours: Callable[[], bool]) -> str:
        """Shares the tables. Returns why there is nothing to share, or "" if the tables were shared."""
        earlier = [
            one for one in entry.side_messages if (one.role, one.version) == (MessageRole.TABLES, answer.version)
        ]
        if any(one.ts for one in earlier):
            return ""
        # Parsing takes well under a second, even for the longest answer.
        files = await asyncio.to_thread(tables, answer.text, answer.question.ts)
        if not files:
            return texts.actions.NO_TABLE
        message = RecordedMessage("", MessageRole.TABLES, answer.version)
        if await self.stores.outbox.record_posting(entry, message):
            known_ts = {one.ts for one in entry.side_messages}
            upload = Upload(answer.question, tuple(files))
            ts = await self.workspace.reply_files.share_once(upload, known_ts, is_still_ours, is_retry=bool(earlier))
            await self.stores.outbox.record_posted(entry, replace(message, ts=ts))
        return ""
