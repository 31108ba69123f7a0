"""Choices that people press below an answer: a press asks a question in the presser's name, once for each answer.

The question is posted and answered in the answer's thread as one of the message shortcut is. Its id names the answer
and its version, so whoever presses first has chosen, however often people press, and whatever Slack delivers again.
Everybody who may ask can press them, not only the person who was answered.
"""

import logging
from dataclasses import dataclass, replace

from bot.core import texts
from bot.core.choices import choice_named, question_id
from bot.core.message_question import QuotedMessage
from bot.core.reply.actions import ActionResponse
from bot.logs import of_job
from bot.services.access_control import AccessControl
from bot.services.message_shortcut import MessageShortcut
from bot.services.reply_actions import Press, ReplyActions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChoicePresses:
    """Asks what people choose."""

    actions: ReplyActions
    shortcut: MessageShortcut
    access_control: AccessControl

    async def press(self, press: Press) -> ActionResponse | None:
        """Asks the choice; returns the response to the presser, None if the thread shows it. Raises StoreError."""
        answer, _, sentence = await self.actions.judged(press)
        if sentence is not None or answer is None:
            return ActionResponse(sentence or texts.ANSWER_UNKNOWN)
        choice = choice_named(press.value, answer.version, answer.choices)
        if choice is None:
            return ActionResponse(texts.CHOICES_GONE)
        if denial := await self.access_control.denial(replace(answer.question, user_id=press.user_id, from_bot=False)):
            return ActionResponse(denial)
        thread = answer.question.thread
        about = QuotedMessage(
            thread.channel_id, press.message_ts, thread.thread_ts or "", "", "", offered_by=answer.job_id
        )
        asked_as = question_id(answer.job_id, answer.version)
        is_asked = await self.shortcut.ask_once(press.user_id, asked_as, about, choice)
        with of_job(answer.job_id):
            log.info("choice of user %s %s", press.user_id, "asked" if is_asked else "comes too late")
        return None if is_asked else ActionResponse(texts.ALREADY_CHOSEN)
