"""Posts an answer's tables as files, once per version, when a reader asks for them (Download table).

Like a canvas, the message is recorded before it is posted, and is deleted with the answer.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from bot.core import texts
from bot.core.job import AnswerRecord, MessageRole, RecordedMessage
from bot.core.outbox import OutboxEntry
from bot.reply.attachments import table_files
from bot.reply.messages import Upload
from bot.services.side_messages import MAX_COPY_TRIES, AnswerCopier


class TableWriter(AnswerCopier):
    sentences: ClassVar = {"": texts.actions.TABLES_FAILED, "missing_scope": texts.actions.TABLES_FORBIDDEN}

    async def _copy(self, entry: OutboxEntry, answer: AnswerRecord, is_still_ours: Callable[[], bool]) -> str:
        if entry.tries > MAX_COPY_TRIES:
            return texts.actions.TABLES_FAILED
        earlier = [
            one for one in entry.side_messages if (one.role, one.version) == (MessageRole.TABLES, answer.version)
        ]
        if any(one.ts for one in earlier):
            return ""
        # Parsing takes well under a second, even for the longest answer.
        files = await asyncio.to_thread(table_files, answer.text, answer.question.ts)
        if not files:
            return texts.actions.NO_TABLE
        message = RecordedMessage("", MessageRole.TABLES, answer.version)
        if await self.stores.outbox.record_posting(entry, message):
            known_ts = {one.ts for one in entry.side_messages}
            upload = Upload(answer.question, tuple(files))
            ts = await self.workspace.reply_files.share_once(upload, known_ts, is_still_ours, is_retry=bool(earlier))
            await self.stores.outbox.record_posted(entry, replace(message, ts=ts))
        return ""
