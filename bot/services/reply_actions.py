"""Reply actions: the effects of the buttons below a reply.

A press carries values that anybody can forge. So the answer that it is about is looked up in the database by where the
button stands.

A press is answered through its response_url, which reaches people who aren't members of the channel and counts against
no budget.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from bot.core import actions, texts
from bot.core.actions import VOTES, ActionResponse, RecordedAnswer, ReplyAction, refusal
from bot.core.calls import (
    SCHEDULE,
    ApprovalPlace,
    Ask,
    CallState,
    Decision,
    RecordedCall,
    ask_of,
    call_named,
    deciders,
    details_of,
)
from bot.core.conversation import ThreadKey
from bot.core.job import Job
from bot.core.usage import DownReason
from bot.errors import RateLimited, Refused, StoreError
from bot.logs import of_job
from bot.models.prompt import Effort
from bot.reply.workspace import Workspace
from bot.services.access_control import CHECKED_WITHIN_S, AccessControl
from bot.services.worker import Worker
from bot.store import Stores

log = logging.getLogger(__name__)

DOUBLE_PRESS_S = 0.5
"""Two presses within this time are one double press, as desktops have it: after a stop, Continue or Regenerate may
stand where Stop was, in whichever order the buttons are."""
LOOK_AGAIN_S = 0.2
LOOKS_FOR_RECORD = 8
"""How often a press looks for a record that comes a moment after what is shown. Slack waits three seconds for it."""
_ALLOWS = (ReplyAction.APPROVE, ReplyAction.CREATE_IF_CHANGED, ReplyAction.ALLOW_ALWAYS)
_SHOWS_ARGUMENTS = (ReplyAction.ARGUMENTS, ReplyAction.ARGUMENTS_JSON)
_ABOUT_CALLS = (ReplyAction.DETAILS, *_SHOWS_ARGUMENTS, *_ALLOWS)
"""Actions that show or allow calls of tools."""
_ABOUT_ONE_CALL = (ReplyAction.DENY, *_SHOWS_ARGUMENTS, *_ALLOWS)
"""Actions whose button names a call."""


@dataclass(frozen=True, slots=True)
class Press:
    """A press of a button below a reply."""

    action: ReplyAction
    thread: ThreadKey
    message_ts: str
    user_id: str
    value: str = ""
    response_url: str = ""
    """Where Slack takes the response, which only this person sees."""
    trigger_id: str = ""
    """Lets a modal be opened within three seconds."""
    in_modal: bool = False
    """The button is in the modal that shows all arguments of a call."""


Perform = Callable[[Press], Awaitable[ActionResponse | None]]


@dataclass(frozen=True, slots=True)
class _PressedCall:
    """The call that a button names, as it is on record, and as the reply shows it."""

    call: RecordedCall
    ask: Ask


@dataclass(frozen=True)
class ReplyActions:
    """Performs reply actions. `admins`: ids of the Typist admins, who have an asker's rights."""

    stores: Stores
    workspace: Workspace
    worker: Worker
    access_control: AccessControl

    async def pressed(self, press: Press, perform: Perform | None = None) -> None:
        """Performs the action, and shows the presser the outcome that the reply doesn't show.

        `perform`: what performs it in place of `press`.
        """
        try:
            response = await (perform or self.press)(press)
        except (StoreError, RateLimited, Refused) as error:
            log.error("action %s failed: %s", press.action, error)
            response = ActionResponse(texts.ACTION_FAILED)
        if response is not None:
            response = replace(response, sentence=self.access_control.naming_admins(response.sentence))
            await self.workspace.surfaces.respond_to_action(press.thread, press.user_id, press.response_url, response)

    async def press(self, press: Press) -> ActionResponse | None:  # noqa: C901, PLR0911, PLR0912
        """Performs the action. Returns the response to the presser, None if the reply shows it. Raises StoreError."""
        pressed_at = self.stores.clock.now()
        answer, pressed, sentence = await self.judged(press)
        if answer is not None and _is_double_press(press, pressed_at, answer):
            log.info("action %s by user %s ignored: the answer was stopped just before", press.action, press.user_id)
            return None
        if sentence is not None or answer is None:
            log.info("action %s by user %s refused: %s", press.action, press.user_id, sentence)
            return ActionResponse(sentence or texts.ANSWER_UNKNOWN)
        with of_job(answer.job_id):
            log.info("action %s by user %s", press.action, press.user_id)
        match press.action:
            case ReplyAction.STOP:
                return await self._stop(answer)
            case ReplyAction.REGENERATE | ReplyAction.REGENERATE_WITH | ReplyAction.CONTINUE:
                return await self._regenerate(answer, press)
            case ReplyAction.PREVIOUS | ReplyAction.NEXT:
                await self.stores.recorded_answers.swap(answer.job_id, to_next=press.action is ReplyAction.NEXT)
            case ReplyAction.FEEDBACK:
                return await self._vote(answer, press)
            case ReplyAction.FEEDBACK_REASON:
                return await self._give_reason(answer, press)
            case ReplyAction.DELETE:
                await self.stores.recorded_answers.delete(answer.job_id, press.user_id)
                await self._request_stop(answer)
            case ReplyAction.APPROVE | ReplyAction.CREATE_IF_CHANGED | ReplyAction.DENY | ReplyAction.ALLOW_ALWAYS:
                return await self._decide(answer, press, pressed)
            case ReplyAction.ARGUMENTS | ReplyAction.ARGUMENTS_JSON:
                return await self._show_arguments(answer, press, pressed)
            case ReplyAction.DETAILS:
                return await self._details(answer)
            case ReplyAction.CANVAS:
                return await self._save_as_canvas(answer, press)
            case ReplyAction.UNDO:
                if not await self.stores.memories.undo(answer.job_id, answer.question, press.user_id):
                    return ActionResponse(texts.NOTHING_TO_UNDO)
        return None

    async def stop_session(self, thread: ThreadKey, user_id: str, event_id: str) -> None:
        """Applies Slack's own Stop to the answer being written in the thread, never to a queued one. Raises StoreError.

        Slack names only the thread. An event that comes twice must not stop the answer that was queued the first time.
        """
        answer = await self.stores.recorded_answers.written_in(thread, event_id)
        if answer is None:
            return
        sentence = refusal(ReplyAction.STOP, answer, user_id, self.access_control.admins)
        if sentence is None:
            await self._stop(answer)
        await self.stores.recorded_answers.event_handled(event_id)
        if sentence is not None:
            await self.workspace.surfaces.respond_to_action(thread, user_id, "", ActionResponse(sentence))

    async def stop_by_message(self, thread: ThreadKey, user_id: str, message_ts: str) -> bool:
        """Stops the answer being written in a thread as its Stop button does; returns False if there is none to stop.

        Slack sends two events for one message, and each may come twice. The second must not be taken for a question,
        nor stop the answer to the message itself, if the first found nothing to stop. Raises StoreError.
        """
        message = f"stop {thread.channel_id} {message_ts}"
        if await self.stores.recorded_answers.is_handled(message):
            return True
        answer = await self.stores.recorded_answers.written_in(thread, message)
        if answer is None or answer.question.ts >= message_ts:
            return False
        if refusal(ReplyAction.STOP, answer, user_id, self.access_control.admins) is not None:
            return False
        with of_job(answer.job_id):
            log.info("stopped by a message of user %s", user_id)
        await self._stop(answer)
        await self.stores.recorded_answers.event_handled(message)
        return True

    async def judged(self, press: Press) -> tuple[RecordedAnswer | None, _PressedCall | None, str | None]:
        """Returns the answer, the call that the button names, and the sentence that refuses the press.

        A message, and the last buttons of an answer, are shown a moment before they are on record, so that is waited
        for.
        """
        for look in range(LOOKS_FOR_RECORD):
            answer = await self.stores.recorded_answers.shown_by(press.thread, press.message_ts)
            sentence = refusal(press.action, answer, press.user_id, self.access_control.admins)
            is_early = answer is None or sentence == texts.ANSWER_UNFINISHED
            if not is_early or look + 1 == LOOKS_FOR_RECORD:
                break
            await self.stores.clock.sleep(LOOK_AGAIN_S)
        if answer is None:
            return None, None, sentence
        pressed = await self._call_of(answer, press)
        if pressed and pressed.ask.is_proposal and press.user_id != answer.question.user_id:
            return answer, pressed, texts.ONLY_ASKER_AGREES
        return answer, pressed, sentence or await self._denial(answer, press, pressed)

    async def _stop(self, answer: RecordedAnswer) -> ActionResponse | None:
        if not await self._request_stop(answer):
            return ActionResponse(texts.ANSWER_FINISHED)
        return ActionResponse(texts.STOPPED_WHILE_QUEUED) if answer.state is actions.AnswerState.QUEUED else None

    async def _request_stop(self, answer: RecordedAnswer) -> bool:
        is_live = await self.stores.question_queue.request_stop(answer.job_id)
        if is_live:
            self.worker.stop_answer(answer.job_id)
        return is_live

    async def _decide(
        self, answer: RecordedAnswer, press: Press, pressed: _PressedCall | None
    ) -> ActionResponse | None:
        """Approves or denies the call that a button was shown for. The database says whether it still waits."""
        is_narrower = press.action is ReplyAction.CREATE_IF_CHANGED
        if pressed is None or (is_narrower and pressed.call.tool != SCHEDULE):
            return ActionResponse(texts.NOTHING_TO_DECIDE)
        if press.action in _ALLOWS and not press.in_modal and pressed.ask.is_cut:
            return ActionResponse(texts.SHOW_ALL_FIRST)
        call = pressed.call
        decision = Decision.DENIED if press.action is ReplyAction.DENY else Decision.APPROVED
        made_as = replace(call, arguments={**call.arguments, "only_if_changed": True}) if is_narrower else None
        if not await self.stores.approvals.decide(
            answer.job_id, answer.version, call, decision, press.user_id, made_as
        ):
            return ActionResponse(texts.NOTHING_TO_DECIDE)
        with of_job(answer.job_id):
            log.info("%s %s by user %s", call.tool, decision, press.user_id)
        if press.action is ReplyAction.ALLOW_ALWAYS:
            await self.stores.approvals.allow_always(answer.question.thread, call, press.user_id)
        self.worker.wake()
        sentences = [texts.ALWAYS_ALLOWED] if press.action is ReplyAction.ALLOW_ALWAYS else []
        # The model goes on only after the last decision.
        if undecided := sum(call.state is CallState.ASKED for call in await self.stores.approvals.shown(answer.job_id)):
            sentences.append(texts.others_to_decide(undecided))
        return ActionResponse(" ".join(sentences)) if sentences else None

    async def _denial(self, answer: RecordedAnswer, press: Press, pressed: _PressedCall | None) -> str | None:
        """Returns why the presser may not see or decide about calls: they need access themselves, as of now."""
        if pressed and pressed.ask.is_proposal and press.action is ReplyAction.ALLOW_ALWAYS:
            return texts.NOTHING_TO_DECIDE
        if press.action not in _ABOUT_CALLS:
            return None
        as_theirs = replace(answer.question, user_id=press.user_id, from_bot=False)
        may_write = press.action in _ALLOWS and not (pressed and pressed.call.read_only)
        return await self.access_control.denial(
            as_theirs, now_within_s=CHECKED_WITHIN_S, members_only=may_write, is_press=True
        )

    async def _show_arguments(
        self, answer: RecordedAnswer, press: Press, pressed: _PressedCall | None
    ) -> ActionResponse | None:
        if pressed is None:
            return ActionResponse(texts.NOTHING_TO_DECIDE)
        may_approve = pressed.call.state is CallState.ASKED and not refusal(
            ReplyAction.APPROVE, answer, press.user_id, self.access_control.admins
        )
        place = ApprovalPlace(press.thread.channel_id, press.thread.thread_ts, press.message_ts, press.value)
        as_json = press.action is ReplyAction.ARGUMENTS_JSON
        await self.workspace.surfaces.open_arguments_modal(
            press.trigger_id, pressed.ask, place if may_approve else None, as_json=as_json
        )
        return None

    async def _details(self, answer: RecordedAnswer) -> ActionResponse:
        calls = await self.stores.approvals.shown(answer.job_id)
        if not calls:
            return ActionResponse(texts.NO_TOOLS_USED)
        names = await self.workspace.users.names(deciders(calls))
        return ActionResponse(texts.TOOLS_USED, details_of(calls, names))

    async def _call_of(self, answer: RecordedAnswer, press: Press) -> _PressedCall | None:
        """Returns the call that the pressed button names, None if it names none."""
        if press.action not in _ABOUT_ONE_CALL:
            return None
        calls = await self.stores.approvals.shown(answer.job_id)
        call = call_named(press.value, answer.version, calls)
        if call is None:
            return None
        return _PressedCall(call, ask_of(call, calls, answer.version, self.access_control.admins, answer.waits_until))

    async def _regenerate(self, answer: RecordedAnswer, press: Press) -> ActionResponse | None:
        """Starts a new version of an answer, if its asker still has access. An effort is for this version alone."""
        try:
            effort = Effort(press.value) if press.action is ReplyAction.REGENERATE_WITH else None
        except ValueError:
            return ActionResponse(texts.UNKNOWN_BUTTON)
        if denial := await self.access_control.denial(answer.question):
            return ActionResponse(denial)
        continues = press.action is ReplyAction.CONTINUE
        full = self.worker.full
        enqueued = await self.stores.question_queue.regenerate(
            answer.job_id, continues=continues, full=full, effort=effort
        )
        if enqueued is None:
            return ActionResponse(texts.ANSWER_UNFINISHED)
        if enqueued.needs_placeholder:
            attempts, version = enqueued.attempts, answer.version + 1
            self.worker.post_placeholder(
                Job(answer.job_id, answer.question, attempts, messages=answer.messages, version=version)
            )
        else:
            self.worker.wake()
        return None

    async def _save_as_canvas(self, answer: RecordedAnswer, press: Press) -> ActionResponse:
        """Has the outbox write the answer into a canvas, if its asker still has access."""
        if not self.workspace.canvases.may_write:
            return ActionResponse(texts.CANVAS_FORBIDDEN)
        if denial := await self.access_control.denial(answer.question):
            return ActionResponse(denial)
        will_be_made = await self.stores.answer_canvases.request(answer.job_id, answer.version, press.user_id)
        return ActionResponse(texts.CANVAS_BEGUN if will_be_made else texts.CANVAS_EXISTS)

    async def _vote(self, answer: RecordedAnswer, press: Press) -> ActionResponse:
        vote = VOTES.get(press.value)
        if vote is None:
            return ActionResponse(texts.UNKNOWN_BUTTON)
        await self.stores.recorded_answers.vote(answer, press.user_id, vote)
        self.workspace.telemetry.rated(answer.job_id, answer.model, press.value)
        if vote > 0:
            return ActionResponse(texts.THANKS_HELPED)
        return ActionResponse(texts.THANKS_NOT_HELPED, asks_why=press.message_ts)

    async def _give_reason(self, answer: RecordedAnswer, press: Press) -> ActionResponse:
        """Records why an answer didn't help, and shows that in place of the question."""
        try:
            reason = DownReason(press.value)
        except ValueError:
            return ActionResponse(texts.UNKNOWN_BUTTON)
        model = await self.stores.recorded_answers.give_reason(answer.job_id, press.user_id, reason)
        if model is None:
            return ActionResponse(texts.NO_LONGER_DOWN, replaces=True)
        self.workspace.telemetry.down_explained(answer.job_id, model, reason)
        return ActionResponse(texts.REASON_NOTED[reason], replaces=True)


def _is_double_press(press: Press, pressed_at: float, answer: RecordedAnswer) -> bool:
    """Whether a press came as an answer was stopped: its buttons stand where Stop was.

    Compared with the record, because another process may have received Stop. A record of a clock that was set back
    since makes no button useless.
    """
    if press.action is ReplyAction.STOP or answer.state is not actions.AnswerState.STOPPED:
        return False
    return answer.ended_at is not None and abs(pressed_at - answer.ended_at) < DOUBLE_PRESS_S
