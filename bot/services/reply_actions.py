"""What the buttons below a reply do: each press is looked up in the Store, for what it carries is not trusted."""

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from bot.core import texts
from bot.core.conversation import Job, ThreadKey
from bot.core.reply import actions
from bot.core.reply.actions import ActionResponse, RecordedAnswer, ReplyAction, Vote, refusal
from bot.errors import RateLimited, Refused, StoreError
from bot.ports.queue import JobRequests
from bot.ports.recorded_answers import RecordedAnswers
from bot.ports.surfaces import ActionResponses
from bot.services.access_control import AccessControl
from bot.services.intake import WakeableWorker

log = logging.getLogger(__name__)

_JOB_ID = re.compile("[0-9]{1,18}")
"""No more than a database's integer holds."""


@dataclass(frozen=True, slots=True)
class Press:
    """Somebody pressed a button of ours."""

    action: ReplyAction
    thread: ThreadKey
    message_ts: str
    user_id: str
    value: str = ""
    private: bool = False
    """On a message that only they see; its value names the job."""
    response_url: str = ""
    """Where Slack takes what only they are told."""


class StoppableWorker(WakeableWorker, Protocol):
    """What reply actions need of the worker."""

    def stop_answer(self, job_id: int) -> None:
        """Ends a job that is to stop at once, if this process has it; another one is woken by the Store."""
        ...


@dataclass(frozen=True)
class ReplyActions:
    """`admins`: ids of those who may do what the asker may."""

    jobs: JobRequests
    answers: RecordedAnswers
    worker: StoppableWorker
    access_control: AccessControl
    admins: Collection[str]
    responses: ActionResponses

    async def pressed(self, press: Press) -> None:
        """Does what the button says, and tells the presser what the reply doesn't show."""
        try:
            response = await self.press(press)
        except StoreError as error:
            log.error("action %s failed: %s", press.action, error)
            response = ActionResponse(texts.ACTION_FAILED)
        try:
            if response is not None:
                await self.responses.respond_to_action(press.thread, press.user_id, press.response_url, response)
            elif press.private:
                await self.responses.delete_ephemeral(press.response_url)
        except (RateLimited, Refused) as error:
            log.warning("outcome of action %s not shown: %s", press.action, error)

    async def press(self, press: Press) -> ActionResponse | None:
        """Does what the button says, or says why not; None where the reply itself shows it. Raises StoreError."""
        kept = await self._kept(press)
        sentence = refusal(press.action, kept, press.user_id, self.admins)
        if sentence is not None or kept is None:
            log.info("action %s by user %s refused: %s", press.action, press.user_id, sentence)
            return ActionResponse(sentence or texts.ANSWER_UNKNOWN)
        log.info("job %d: action %s by user %s", kept.job_id, press.action, press.user_id)
        match press.action:
            case ReplyAction.STOP:
                return await self._stop(kept)
            case ReplyAction.REGENERATE | ReplyAction.CONTINUE:
                return await self._again(kept, continues=press.action is ReplyAction.CONTINUE)
            case ReplyAction.PREVIOUS:
                return ActionResponse(texts.PREVIOUS_VERSION, kept.previous)
            case ReplyAction.FEEDBACK:
                return await self._vote(kept, press)
            case ReplyAction.DELETE:
                await self.answers.delete(kept.job_id)
                await self._request_stop(kept)
        return None

    async def stop_session(self, thread: ThreadKey, user_id: str, event_id: str) -> None:
        """Slack's own Stop ends the answer being written in the thread, never a queued one. Raises StoreError.

        Slack names only the thread. An event that comes twice must not stop the answer that was queued the first time.
        """
        kept = await self.answers.written_in(thread, event_id)
        if kept is not None and refusal(ReplyAction.STOP, kept, user_id, self.admins) is None:
            await self._stop(kept)
            await self.answers.event_handled(event_id)

    async def _kept(self, press: Press) -> RecordedAnswer | None:
        if not press.private:
            return await self.answers.shown_by(press.thread, press.message_ts)
        if not _JOB_ID.fullmatch(press.value):
            return None
        return await self.answers.of_job(press.thread, int(press.value))

    async def _stop(self, kept: RecordedAnswer) -> ActionResponse | None:
        if not await self._request_stop(kept):
            return ActionResponse(texts.ANSWER_FINISHED)
        return ActionResponse(texts.STOPPED_WHILE_QUEUED) if kept.state is actions.AnswerState.QUEUED else None

    async def _request_stop(self, kept: RecordedAnswer) -> bool:
        asked = await self.jobs.request_stop(kept.job_id)
        if asked:
            self.worker.stop_answer(kept.job_id)
        return asked

    async def _again(self, kept: RecordedAnswer, *, continues: bool) -> ActionResponse | None:
        """As if it were asked now: who may not ask any more is not answered again."""
        if denial := await self.access_control.denial(kept.question):
            return ActionResponse(denial)
        again = await self.jobs.regenerate(kept.job_id, continues=continues, full=self.worker.full)
        if again is None:
            return ActionResponse(texts.ANSWER_UNFINISHED)
        if again.waiting:
            self.worker.post_placeholder(
                Job(kept.job_id, kept.question, attempts=0, page_ts=kept.page_ts, version=kept.version + 1)
            )
        else:
            self.worker.wake()
        return None

    async def _vote(self, kept: RecordedAnswer, press: Press) -> ActionResponse:
        try:
            vote = Vote(press.value)
        except ValueError:
            return ActionResponse(texts.UNKNOWN_BUTTON)
        await self.answers.vote(kept, press.user_id, vote)
        return ActionResponse(texts.THANKS_HELPED if vote is Vote.UP else texts.THANKS_NOT_HELPED)
