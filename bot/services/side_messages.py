"""Posts and deletes a reply's separate messages: mentions and copies of the answer (bot/store/side_messages.py)."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from bot.core.job import AnswerRecord, MessageRole
from bot.core.outbox import OutboxEntry
from bot.errors import Refused, Stuck
from bot.reply.outbox_sender import SideMessage
from bot.reply.workspace import Workspace
from bot.store import Stores

MAX_COPY_TRIES = 4
"""All tries together take at most a quarter of an hour, because a person is waiting for the copy."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnswerCopier:
    """Copies answers on request in one way, such as to a canvas."""

    stores: Stores
    workspace: Workspace
    sentences: ClassVar[Mapping[str, str]]
    """Sentences for the requester, keyed by Slack's name for a refusal, or by "" for any other failure."""

    async def copy(self, entry: OutboxEntry, is_still_ours: Callable[[], bool]) -> None:
        """Copies an answer that still exists, or tells the person who requested the copy why that isn't possible. Sends
        nothing once `is_still_ours()` is False, because another process might have claimed the entry. Raises
        RateLimited, StoreError, and Refused if a later try might succeed."""
        answer = await self.stores.recorded_answers.answer_of_job(entry.question.thread, entry.job_id)
        if answer is None or answer.is_deleted:
            return
        try:
            problem = await self._copy(entry, answer, is_still_ours)
        except (Refused, Stuck) as error:
            if isinstance(error, Refused) and error.reason.is_temporary:
                raise
            log.warning("%s: answer not copied: %s", entry, error)
            problem = self.sentences.get(error.name if isinstance(error, Refused) else "", self.sentences[""])
        if problem:
            await self.workspace.ephemeral.show_sentence(replace(entry.question, user_id=entry.about), problem)

    async def _copy(self, entry: OutboxEntry, answer: AnswerRecord, is_still_ours: Callable[[], bool]) -> str:
        """Copies the answer. Returns a sentence about why that isn't possible, or "" if the copy exists."""
        raise NotImplementedError


async def update_side_messages(
    stores: Stores,
    workspace: Workspace,
    entry: OutboxEntry,
    wanted: SideMessage | None,
    roles: Collection[MessageRole],
    is_still_ours: Callable[[], bool] = lambda: True,
) -> None:
    """Posts the wanted message unless it already exists. Deletes outdated messages with these roles. Raises RateLimited
    and Refused. If an earlier try's post got no response, looks for it in Slack and deletes it unless it is the wanted
    message. Posts nothing once `is_still_ours()` is False."""
    sender = workspace.outbox_sender
    unrecorded = await sender.unrecorded_messages(entry, roles)
    ts = next((ts for ts, metadata in unrecorded.items() if wanted and metadata == wanted.metadata), None)
    gone = [
        message
        for message in entry.side_messages
        if message.role in roles and (message in entry.outdated_messages or not message.ts)
    ]
    await sender.delete_side_messages(
        entry, {message.ts for message in gone if message.ts} | (unrecorded.keys() - {ts})
    )
    if wanted:
        if ts is None:
            if not await stores.outbox.record_posting(entry, wanted.as_recorded()):
                return
            ts = await sender.post_side_message(entry, wanted, is_still_ours)
        await stores.outbox.record_posted(entry, wanted.as_recorded(ts))
    if gone:
        await stores.outbox.record_deleted(entry, gone)
