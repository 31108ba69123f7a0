"""Message edits: applies edits and deletions of messages to the questions in them.

Slack sends message_changed for link previews and much else, so only changed words count.
"""

import logging

from bot.core.conversation import Message, Question, mentioned_users, without_address
from bot.core.triage import by_person
from bot.reply.workspace import Workspace
from bot.services.intake import Intake
from bot.services.worker import Worker
from bot.store import Stores

log = logging.getLogger(__name__)


class MessageEdits:
    """Applies edits and deletions of messages to their questions. Each method raises StoreError."""

    def __init__(self, stores: Stores, workspace: Workspace, worker: Worker, intake: Intake) -> None:
        self._questions = stores.question_queue
        self._worker = worker
        self._intake = intake
        self._me = workspace.me

    async def edited(self, event_id: str, before: Message, after: Message, edited_ts: str) -> None:
        """Applies an edit of a message. An added mention makes it a question; a removed mention changes nothing."""
        if after.subtype == "tombstone":
            await self.deleted(before)
        elif not by_person(after, self._me):
            log.debug("edit of message %s ignored: not by a person", after.ts)
        elif self._words(before) != self._words(after) and await self._questions.edit(_question(after), edited_ts):
            self._worker.wake()
        elif self._me.user_id in mentioned_users(after.text) and self._me.user_id not in mentioned_users(before.text):
            await self._intake.take(event_id, after)

    async def mentioned_again(self, event_id: str, message: Message, edited_ts: str) -> None:
        """Applies an edit of a message that mentions us, without its text from before.

        Slack sends only this event from channels that we are not in. If the message is not a question yet, it becomes
        one, because the mention may be what was added.
        """
        if not by_person(message, self._me):
            log.debug("edit of message %s ignored: not by a person", message.ts)
        elif await self._questions.edit(_question(message), edited_ts):
            self._worker.wake()
        else:
            await self._intake.take(event_id, message)

    async def deleted(self, message: Message) -> None:
        """Removes a deleted message's question, and its reply unless a person wrote after it."""
        if by_person(message, self._me) and await self._questions.delete(
            message.team_id, message.channel_id, message.ts
        ):
            self._worker.wake()

    def _words(self, message: Message) -> str:
        return without_address(message.text, self._me.user_id)


def _question(message: Message) -> Question:
    asker = message.user_id or ""
    attached_chars = message.attached_chars
    return Question(message.thread, message.ts, asker, message.whole, message.files, attached_chars=attached_chars)
