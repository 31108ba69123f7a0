"""Stops answers early, in response to Typist's Stop button, Slack's own Stop button, or the message "stop"."""

import logging
from dataclasses import dataclass

from bot.core import texts
from bot.core.actions import ActionResponse, ReplyAction
from bot.core.conversation import ThreadKey
from bot.core.job import AnswerRecord, State
from bot.core.picture import refusal
from bot.logs import of_job
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl
from bot.services.worker import Worker
from bot.store import Stores

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnswerStopper:
    stores: Stores
    workspace: Workspace
    worker: Worker
    access_control: AccessControl

    async def stop(self, answer: AnswerRecord) -> ActionResponse | None:
        """Stops an answer. Returns a response, or None if the reply itself shows the outcome. Raises StoreError."""
        if not await self.request_stop(answer):
            return ActionResponse(texts.actions.BUTTON_OUTDATED)
        return ActionResponse(texts.actions.STOPPED_WHILE_QUEUED) if answer.state is State.QUEUED else None

    async def request_stop(self, answer: AnswerRecord) -> bool:
        """Asks an answer's worker to stop. Returns False if the answer has ended. Raises StoreError."""
        is_live = await self.stores.question_queue.request_stop(answer.job_id)
        if is_live:
            self.worker.stop_answer(answer.job_id)
        return is_live

    async def stop_session(self, thread: ThreadKey, user_id: str, event_id: str) -> None:
        """Stops the answer that is being written in a thread when someone clicks Slack's own Stop button. Raises
        StoreError. Never stops a queued answer: Slack's event only identifies the thread, and a duplicate must not stop
        the next answer."""
        answer = await self.stores.recorded_answers.unfinished_answer(thread, event_id)
        if answer is None:
            return
        sentence = refusal(ReplyAction.STOP, answer, user_id, self.access_control.admins)
        if sentence is None:
            await self.stop(answer)
        await self.stores.recorded_answers.record_handled_event(event_id)
        if sentence is not None:
            await self.workspace.surfaces.respond_to_action(thread, user_id, "", ActionResponse(sentence))

    async def stop_by_message(self, thread: ThreadKey, user_id: str, message_ts: str) -> bool:
        """Stops the answer that is being written in a thread. Returns False if there is none. Raises StoreError.

        Outside threads, "stop" also applies to the person's answer in a thread if the person has only one unfinished
        answer. Slack sends two events for one message, and both can arrive twice. If the first event didn't stop an
        answer, a later event must neither become a question nor stop the answer to the message itself.
        """
        message, answers = f"stop {thread.channel_id} {message_ts}", self.stores.recorded_answers
        if await answers.is_event_handled(message):
            return True
        answer = await answers.unfinished_answer(thread, message)
        if answer is None and thread.thread_ts is None:
            answer = await answers.only_unfinished_answer(user_id, thread)
        if answer is None or answer.question.ts >= message_ts:
            return False
        if refusal(ReplyAction.STOP, answer, user_id, self.access_control.admins) is not None:
            return False
        with of_job(answer.job_id):
            log.info("stopped by a message of user %s", user_id)
        await self.stop(answer)
        await answers.record_handled_event(message)
        return True

    async def tell_who_can_stop(self, thread: ThreadKey, user_id: str, message_ts: str) -> None:
        answer = await self.stores.recorded_answers.unfinished_answer(thread, "")
        if answer is None or answer.question.ts >= message_ts:
            return
        if sentence := refusal(ReplyAction.STOP, answer, user_id, self.access_control.admins):
            await self.workspace.surfaces.respond_to_action(thread, user_id, "", ActionResponse(sentence))
