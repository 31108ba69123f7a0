"""Sends an answer to its channel, once per version, if the asker requests it ("Also send to channel").

The copy contains the answer's first page. It is a reply in the thread that Slack also shows in the channel. It is
recorded before it is posted, and is deleted with the answer. Slack can also show an answer's own message in the channel
(`reply_broadcast` of chat.update), but it isn't known whether the message stays there after the next edit.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.core import texts
from bot.core.job import MessageRole
from bot.core.outbox import OutboxEntry
from bot.errors import Refused
from bot.reply.outbox_sender import copy_message
from bot.reply.workspace import Workspace
from bot.services.canvas_writer import MAX_TRIES
from bot.services.side_messages import update_side_messages
from bot.slack.notices import copy_of_answer
from bot.store import Stores

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChannelCopyWriter:
    stores: Stores
    workspace: Workspace

    async def send(self, entry: OutboxEntry, is_still_ours: Callable[[], bool]) -> None:
        """Posts the copy, or reports a permanent failure to the person who asked for it. Sends nothing once
        `is_still_ours()` is False. Raises RateLimited, Refused and StoreError."""
        answer = await self.stores.recorded_answers.answer_of_job(entry.question.thread, entry.job_id)
        copies = [one for one in entry.side_messages if one.role is MessageRole.CHANNEL_COPY and one.ts]
        if answer is None or answer.is_deleted or any(one.version == answer.version for one in copies):
            return
        requester = replace(entry.question, user_id=entry.about)
        try:
            if entry.tries <= MAX_TRIES:
                name = await self.workspace.asker_name_in_channel(requester)
                wanted = copy_message(entry, answer.version, copy_of_answer(answer.text, name))
                roles = (MessageRole.CHANNEL_COPY,)
                await update_side_messages(self.stores, self.workspace, entry, wanted, roles, is_still_ours)
                return
        except Refused as refused:
            if refused.reason.is_temporary:
                raise
            log.warning("answer not sent to its channel: %s", refused)
        await self.workspace.ephemeral.tell(requester, texts.notify.NOT_SENT)
