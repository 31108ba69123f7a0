"""Sends an answer to its channel, once per version, if the asker requests it ("Also send to channel").

The copy contains the answer's first page. It is a reply in the thread that Slack also shows in the channel. It is
recorded before it is posted, and is deleted with the answer. Slack can also show an answer's own message in the channel
(`reply_broadcast` of chat.update), but it isn't known whether the message stays there after the next edit.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from bot.core import texts
from bot.core.job import AnswerRecord, MessageRole
from bot.core.outbox import OutboxEntry
from bot.reply.outbox_sender import copy_message
from bot.services.side_messages import MAX_COPY_TRIES, AnswerCopier, update_side_messages
from bot.slack.notices import copy_of_answer


class ChannelCopyWriter(AnswerCopier):
    sentences: ClassVar = {"": texts.notify.NOT_SENT}

    async def _copy(self, entry: OutboxEntry, answer: AnswerRecord, is_still_ours: Callable[[], bool]) -> str:
        copies = [one for one in entry.side_messages if one.role is MessageRole.CHANNEL_COPY and one.ts]
        if any(one.version == answer.version for one in copies):
            return ""
        if entry.tries > MAX_COPY_TRIES:
            return texts.notify.NOT_SENT
        name = await self.workspace.asker_name_in_channel(replace(entry.question, user_id=entry.about))
        wanted = copy_message(entry, answer.version, copy_of_answer(answer.text, name))
        roles = (MessageRole.CHANNEL_COPY,)
        await update_side_messages(self.stores, self.workspace, entry, wanted, roles, is_still_ours)
        return ""
