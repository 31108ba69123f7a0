"""Shows an answer in Slack: in its reply, which the scheduler edits, and in its thread's status."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.core import texts
from bot.core.asks import approval_cards
from bot.core.calls import APPROVAL_S, RecordedCall
from bot.core.conversation import Question
from bot.core.job import End, Job, sentence_notice
from bot.errors import EndReason, NotShown, StoreError, Stuck
from bot.models.events import Loading, Retrying, Searching, Thinking
from bot.reply.answer import Answer
from bot.reply.messages import Life
from bot.reply.scheduler import ScheduledReply
from bot.reply.streams import can_be_streamed
from bot.reply.workspace import Workspace
from bot.services.answer_attempt import GivenUp, Phase
from bot.services.pane import AssistantPane
from bot.services.ports import Activity, PlainActivity, RunningTool, TranscriptTexts
from bot.store import Stores

MIN_SHOWN_WAIT_S = 0.6
_ACTIVITY_TEXTS: Mapping[PlainActivity, tuple[str, str]] = {
    PlainActivity.THINKING: ("", texts.statuses.STATUS_THINKING),
    PlainActivity.LISTENING: (texts.answers.TRANSCRIBING, texts.statuses.STATUS_LISTENING),
    PlainActivity.TAKING_LONG: (texts.models.TAKES_LONG, texts.statuses.STATUS_TAKES_LONG),
}
"""Texts for the reply and for the status."""
_LOADING_TEXTS = texts.models.LOADING, texts.statuses.STATUS_LOADING

log = logging.getLogger(__name__)


@dataclass(eq=False)
class LiveOutput:
    stores: Stores
    workspace: Workspace
    pane: AssistantPane
    job: Job
    live: ScheduledReply
    admins: frozenset[str]
    _answer: Answer | None = field(default=None, init=False)
    _shows_activity: bool = field(default=False, init=False)
    _is_loading: bool = field(default=False, init=False)
    """Whether nothing has arrived yet from a server that might have to load the model."""

    async def begin(self, answer: Answer) -> None:
        """Allows a native stream for the reply if all readers would see it grow and could see how to stop it."""
        self._answer = answer
        if self.workspace.is_token_refused():
            raise GivenUp(Phase.TOKEN_REFUSED)
        question = self.job.question
        # A stream can't begin with a late answer's date line.
        if self.job.is_late or not self.pane.has_stop_hint(question):
            return
        is_alone = question.begins_thread or question.thread.in_direct_message or await self._is_alone(question)
        if can_be_streamed(question, is_alone=is_alone):
            self.workspace.scheduler.allow_stream(self.job)

    async def _is_alone(self, question: Question) -> bool:
        try:
            at_message = self.stores.participants.participants_at
            return not (await at_message(question.thread, question.user_id, question.ts)).has_others
        except StoreError as error:
            log.warning("participants not read, the answer won't be streamed: %s", error)
            return False

    def append(self, text: str) -> None:
        if self._shows_activity:
            self.live.show_activity("")
            self._shows_activity = False
        self.live.append(text)
        self.pane.show_status(self.job.question, texts.statuses.STATUS_WRITING)

    def show(self, activity: Activity) -> None:
        """Shows the current activity in the reply and in its thread's status. The model's notes are shown only in the
        status."""
        text: str | None
        match activity:
            case TranscriptTexts(transcripts=transcripts):
                return self.live.show_transcripts(transcripts)
            case Thinking(progress=progress):
                text, status = None, texts.statuses.status_progress(progress)
            case Loading(ended=ended):
                was_shown, self._is_loading = self._is_loading and self._shows_activity, not ended
                if not (was_shown and ended):
                    return None
                text, status = _ACTIVITY_TEXTS[PlainActivity.THINKING]
            case PlainActivity() if activity is not PlainActivity.TAKING_LONG or self._is_blank:
                is_loading = self._is_loading and activity is PlainActivity.TAKING_LONG
                text, status = _LOADING_TEXTS if is_loading else _ACTIVITY_TEXTS[activity]
            case RunningTool(activity=text):
                status = texts.statuses.status_running(text)
            case Searching(query=query):
                text, status = texts.answers.searching(query), texts.statuses.status_searching(query)
            case Retrying(wait_s=wait_s) if wait_s >= MIN_SHOWN_WAIT_S:
                text, status = texts.models.TRYING_AGAIN, texts.statuses.STATUS_TRYING_AGAIN
            case _:
                return None
        if text is not None:
            self.live.show_activity(text)
            self._shows_activity = bool(text)
        return self.pane.show_status(self.job.question, status)

    @property
    def _is_blank(self) -> bool:
        has_begun = self._answer is not None and (self._answer.steps or self._answer.text.strip())
        return not (self._shows_activity or has_begun)

    async def ask(self, calls: Sequence[RecordedCall]) -> None:
        """Shows the calls with their buttons, and gives up the attempt until someone has decided."""
        until, is_admin = self.stores.clock.now() + APPROVAL_S, self.job.question.user_id in self.admins
        person = await self.workspace.asker_name_in_channel(self.job.question)
        await self.live.ask_for_decisions(
            approval_cards(calls, self.job.version, until, person=person, is_admin=is_admin)
        )
        if self.live.reply.is_gone:
            # Nobody can see the buttons.
            return
        if self.live.reply.is_unshown:
            raise NotShown
        raise GivenUp(Phase.AWAITING_APPROVAL)

    def unseen_end(self) -> End | None:
        """Returns the `End` of an answer whose reply is gone, or None if the reply exists. This end is shown if the
        channel is opened again."""
        if self.live.reply.is_gone:
            if self.live.reply.life is not Life.SHUT_OUT:
                return End(EndReason.REPLY_GONE)
            has_text = self._answer is not None and self._answer.text_to_keep.strip()
            return End(
                EndReason.SHUT_OUT,
                sentence_notice(texts.answers.SHUT_OUT if has_text else texts.answers.SHUT_OUT_WITHOUT_TEXT),
            )
        if self.live.reply.is_unshown:
            raise NotShown
        if self.live.reply.is_withheld:
            raise Stuck("the answer's text can't be shown")
        return None
