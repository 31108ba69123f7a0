"""Reply actions: the effects of the buttons below a reply.

A press carries values that anybody can forge. So the answer that it is about is looked up in the database by where the
button stands.

A press is answered through its response_url, which reaches people who aren't members of the channel and counts against
no budget.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bot.accounts.waiting import Waiting
from bot.core import texts
from bot.core.actions import ABOUT_ONE_CALL, VOTES, WISHES, ActionResponse, ReplyAction
from bot.core.asks import (
    MAX_ARGUMENT_CHARS,
    ApprovalPlace,
    Ask,
    ask_of,
    call_named,
    can_be_read,
    deciders,
    details_of,
    readable,
    with_texts,
)
from bot.core.calls import SIGN_IN, CallState, Decision, RecordedCall
from bot.core.conversation import ThreadKey
from bot.core.job import AnswerRecord, Job, NoticeKind, State, Wish
from bot.core.picture import refusal
from bot.core.usage import DownReason
from bot.errors import RateLimited, Refused, StoreError
from bot.logs import of_job
from bot.reply.attachments import tables
from bot.reply.messages import Upload
from bot.reply.workspace import Workspace
from bot.services.access_control import CHECKED_WITHIN_S, AccessControl
from bot.services.schedules import Schedules
from bot.services.tool_calls import MAX_CALLS
from bot.services.worker import Worker
from bot.slack.views.arguments import EDIT_ARGUMENTS, EditedCall, arguments_modal, field_name
from bot.slack.views.schedules import schedule_waiting
from bot.slack.views.sign_in import ADDRESS_MODAL, PastedAddress
from bot.store import Stores
from bot.store.accounts import Owner

if TYPE_CHECKING:
    from bot.accounts.sign_ins import SignIns

log = logging.getLogger(__name__)

DOUBLE_PRESS_S = 2.0
"""Two presses within this time are one: after a stop, Continue or Regenerate may stand where Stop was, in whichever
order the buttons are, and a person who saw no effect yet presses again."""
LOOK_AGAIN_S = 0.2
LOOKS_FOR_RECORD = 8
"""How often a press looks for a record that comes a moment after what is shown. Slack waits three seconds for it."""
_DECISIONS = {
    ReplyAction.APPROVE: Decision.APPROVED,
    ReplyAction.ALLOW_ALWAYS: Decision.APPROVED,
    ReplyAction.ALLOW_IN_THREAD: Decision.IN_THREAD,
    ReplyAction.DENY: Decision.DENIED,
}
_ALLOWS = (*(_DECISIONS.keys() - {ReplyAction.DENY}), ReplyAction.EDIT, ReplyAction.SIGN_IN)
_ABOUT_CALLS = (ReplyAction.DETAILS, ReplyAction.ARGUMENTS, *_ALLOWS)
"""Actions that show or allow calls of tools."""


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
    schedules: Schedules
    _signing_in: set[str] = field(default_factory=set, init=False)
    """The people for whom a modal is being opened."""

    async def pressed(self, press: Press, perform: Perform | None = None) -> None:
        """Performs the action, and shows the presser the outcome that the reply doesn't show.

        `perform`: what performs it in place of `press`.
        """
        try:
            response = await (perform or self.press)(press)
        except (StoreError, RateLimited, Refused) as error:
            log.error("action %s failed: %s", press.action, error)
            response = ActionResponse(texts.actions.ACTION_FAILED)
        if response is not None:
            response = replace(response, sentence=self.access_control.naming_admins(response.sentence))
            await self.workspace.surfaces.respond_to_action(press.thread, press.user_id, press.response_url, response)

    async def press(self, press: Press) -> ActionResponse | None:  # noqa: C901, PLR0911, PLR0912
        """Performs the action. Returns the response to the presser, None if the reply shows it. Raises StoreError."""
        if press.action is ReplyAction.SIGN_IN:
            if press.user_id in self._signing_in:
                # Its modal is on its way. Each one takes the server's time and the database's.
                return None
            self._signing_in.add(press.user_id)
            try:
                return await self._open_sign_in(press)
            finally:
                self._signing_in.discard(press.user_id)
        if press.action in _DECISIONS and " " in press.value:
            # One decision about several calls. What the last one leaves to be done is said.
            responses = [await self.press(replace(press, value=value)) for value in press.value.split()[:MAX_CALLS]]
            return responses[-1]
        pressed_at = self.stores.clock.now()
        answer, pressed, sentence = await self.judged(press)
        if answer is not None and _is_double_press(press, pressed_at, answer):
            log.info("action %s by user %s ignored: the answer was stopped just before", press.action, press.user_id)
            return None
        if sentence is not None or answer is None:
            log.info("action %s by user %s refused: %s", press.action, press.user_id, sentence)
            return ActionResponse(sentence or texts.actions.ANSWER_UNKNOWN)
        with of_job(answer.job_id):
            log.info("action %s by user %s", press.action, press.user_id)
        match press.action:
            case ReplyAction.STOP:
                return await self._stop(answer)
            case action if action in WISHES:
                return await self._regenerate(answer, WISHES[action])
            case ReplyAction.PREVIOUS | ReplyAction.NEXT:
                await self.stores.recorded_answers.swap(answer.job_id, to_next=press.action is ReplyAction.NEXT)
            case ReplyAction.FEEDBACK:
                return await self._vote(answer, press)
            case ReplyAction.FEEDBACK_REASON:
                return await self._give_reason(answer, press)
            case ReplyAction.DELETE:
                await self.stores.recorded_answers.delete(answer.job_id, press.user_id)
                await self._request_stop(answer)
            case ReplyAction.APPROVE | ReplyAction.DENY | ReplyAction.ALLOW_ALWAYS | ReplyAction.ALLOW_IN_THREAD:
                return await self._decide(answer, press, pressed)
            case ReplyAction.ARGUMENTS | ReplyAction.EDIT:
                return await self._show_arguments(answer, press, pressed)
            case ReplyAction.DETAILS:
                return await self._details(answer)
            case ReplyAction.CANVAS:
                return await self._save_as_canvas(answer, press)
            case ReplyAction.TABLES:
                return await self._share_tables(answer)
            case ReplyAction.UNDO:
                return await self._undo(answer, press)
        return None

    async def _undo(self, answer: AnswerRecord, press: Press) -> ActionResponse | None:
        """Takes back what a command or an agreement has done. Returns why not, None if the reply shows it."""
        memories, problems = self.stores.memories, list[str]()
        for notice in answer.end.notices if answer.end else ():
            match notice.kind:
                case NoticeKind.FORGOTTEN:
                    about = answer.question, notice.about, press.user_id, answer.job_id
                    problems.append("" if await memories.restore(*about) else texts.memory.CANT_RESTORE)
                case NoticeKind.STOPPED:
                    problems.append(await self.schedules.restore(notice.about, press.user_id, answer.job_id))
        if not problems and not await memories.undo(answer.question, press.user_id):
            problems.append(texts.memory.NOTHING_TO_UNDO)
        sentence = " ".join(dict.fromkeys(filter(None, problems)))
        return ActionResponse(sentence) if sentence else None

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

        Outside of threads, "stop" also means the person's answer in a thread, if only one is being written.
        Slack sends two events for one message, and each may come twice. The second must not be taken for a question,
        nor stop the answer to the message itself, if the first found nothing to stop. Raises StoreError.
        """
        message, answers = f"stop {thread.channel_id} {message_ts}", self.stores.recorded_answers
        if await answers.is_handled(message):
            return True
        answer = await answers.written_in(thread, message)
        if answer is None and thread.thread_ts is None:
            answer = await answers.written_for(user_id, thread)
        if answer is None or answer.question.ts >= message_ts:
            return False
        if refusal(ReplyAction.STOP, answer, user_id, self.access_control.admins) is not None:
            return False
        with of_job(answer.job_id):
            log.info("stopped by a message of user %s", user_id)
        await self._stop(answer)
        await answers.event_handled(message)
        return True

    async def judged(self, press: Press) -> tuple[AnswerRecord | None, _PressedCall | None, str | None]:
        """Returns the answer, the call that the button names, and the sentence that refuses the press.

        A message, and the last buttons of an answer, are shown a moment before they are on record, so that is waited
        for.
        """
        for look in range(LOOKS_FOR_RECORD):
            answer = await self.stores.recorded_answers.shown_by(press.thread, press.message_ts)
            sentence = refusal(press.action, answer, press.user_id, self.access_control.admins)
            is_early = answer is None or sentence == texts.actions.ANSWER_UNFINISHED
            if not is_early or look + 1 == LOOKS_FOR_RECORD:
                break
            await self.stores.clock.sleep(LOOK_AGAIN_S)
        if answer is None:
            return None, None, sentence
        pressed = await self._call_of(answer, press)
        if pressed and pressed.ask.is_proposal and press.user_id != answer.question.user_id:
            return answer, pressed, texts.actions.ONLY_ASKER_AGREES
        if pressed and pressed.call.own_account and _needs_asker(press, answer):
            return answer, pressed, texts.approvals.ONLY_ACCOUNTS_OWNER
        return answer, pressed, sentence or await self._denial(answer, press, pressed)

    async def _stop(self, answer: AnswerRecord) -> ActionResponse | None:
        if not await self._request_stop(answer):
            return ActionResponse(texts.actions.BUTTON_OUTDATED)
        return ActionResponse(texts.actions.STOPPED_WHILE_QUEUED) if answer.state is State.QUEUED else None

    async def _request_stop(self, answer: AnswerRecord) -> bool:
        is_live = await self.stores.question_queue.request_stop(answer.job_id)
        if is_live:
            self.worker.stop_answer(answer.job_id)
        return is_live

    async def _decide(self, answer: AnswerRecord, press: Press, pressed: _PressedCall | None) -> ActionResponse | None:
        """Approves or denies the call that a button was shown for. The database says whether it still waits."""
        if pressed is None:
            return ActionResponse(texts.approvals.NOTHING_TO_DECIDE)
        if press.action in _ALLOWS and not press.in_modal and pressed.ask.is_cut:
            return ActionResponse(texts.approvals.SHOW_ALL_FIRST)
        if press.action is ReplyAction.ALLOW_IN_THREAD and not pressed.ask.may_allow_in_thread:
            return ActionResponse(texts.approvals.NOTHING_TO_DECIDE)
        decision = _DECISIONS[press.action]
        if not await self._record(answer, press.user_id, pressed.call, decision):
            return ActionResponse(texts.approvals.NOTHING_TO_DECIDE)
        if press.action is ReplyAction.ALLOW_ALWAYS:
            await self.stores.approvals.allow_always(answer.question.thread, pressed.call, press.user_id)
        self.worker.wake()
        sentences = [texts.approvals.ALWAYS_ALLOWED] if press.action is ReplyAction.ALLOW_ALWAYS else []
        # The model goes on only after the last decision.
        if any(call.state is CallState.ASKED for call in await self.stores.approvals.shown(answer.job_id)):
            sentences.append(texts.approvals.OTHERS_WAIT)
        return ActionResponse(" ".join(sentences)) if sentences else None

    async def approve_edited(self, user_id: str, edited: EditedCall) -> str | Mapping[str, str]:
        """Approves a call with the texts that a person submitted; returns why not, "" if it is approved.

        The modal may have been open for hours, and its values could be anybody's: all is checked again, and only texts
        that the modal would offer are changed. Raises StoreError.
        """
        place = edited.place
        thread = ThreadKey(self.workspace.me.team_id, place.channel_id, place.thread_ts)
        press = Press(ReplyAction.APPROVE, thread, place.message_ts, user_id, place.value, in_modal=True)
        answer, pressed, sentence = await self.judged(press)
        if sentence is not None or answer is None or pressed is None:
            return await self.access_control.naming_admins_plainly(sentence or texts.approvals.NOTHING_TO_DECIDE)
        editable = pressed.ask.editable
        typed = {index: text for index, text in edited.typed.items() if index in editable}
        emptied = [at for at, text in typed.items() if not text.strip()]
        if missing := [at for at in emptied if pressed.ask.outer_fields[at].name in pressed.ask.never_empty]:
            return {field_name(at): texts.approvals.REQUIRED for at in missing}
        arguments = with_texts(pressed.call.arguments, typed) if typed else None
        if arguments and not can_be_read(readable(arguments)):
            return texts.approvals.edited_too_long(MAX_ARGUMENT_CHARS)
        decision = Decision.EDITED if arguments else Decision.APPROVED
        if not await self._record(answer, user_id, pressed.call, decision, arguments):
            return texts.approvals.NOTHING_TO_DECIDE
        self.worker.wake()
        return ""

    async def _open_sign_in(self, press: Press) -> ActionResponse | None:
        """Shows the presser the link to a server's page, and the field for the address to which it leads."""
        found = await self._waiting(press)
        if isinstance(found, str):
            return ActionResponse(found) if found else None
        sign_ins, waiting = found
        # Where nobody can sign in, nothing may import the SDK, as this does. Here it is imported already.
        from bot.accounts.oauth import SignInFailed

        server = waiting.owner.server
        try:
            links = await sign_ins.opened(waiting.owner, waiting.name, waiting.scope)
        except SignInFailed as error:
            return ActionResponse(texts.accounts.cannot_sign_in(server, str(error)))
        place = ApprovalPlace(press.thread.channel_id, press.thread.thread_ts, press.message_ts, press.value)
        with_code = sign_ins.shows_code(server)
        view = ADDRESS_MODAL.build(server, place=place, with_code=with_code, **asdict(links))
        await self.workspace.surfaces.open(press.trigger_id, view)
        return None

    async def check_address(self, user_id: str, pasted: PastedAddress) -> str:
        """Returns why a pasted address signs nobody in, "" if it may. Raises StoreError."""
        if pasted.address is None:
            # The server has to be asked, which may take longer than Slack waits.
            return ""
        found = await self._waiting(self._press_of(user_id, pasted))
        if isinstance(found, str):
            return await self.access_control.naming_admins_plainly(found)
        sign_ins, waiting = found
        return await sign_ins.refusal(waiting.owner, waiting.name, pasted.address)

    async def sign_in(self, user_id: str, pasted: PastedAddress) -> None:
        """Signs a person in with the address that they pasted, and lets what waits go on; or tells them why not.

        All is checked again: nothing but the database says that an address is used once.
        """

        async def completed(press: Press) -> ActionResponse | None:
            found = await self._waiting(press)
            if isinstance(found, str):
                return ActionResponse(found) if found else None
            sign_ins, waiting = found
            problem = await sign_ins.complete(waiting.owner, waiting.name, pasted.address, waiting.still)
            if problem and not await waiting.still():
                problem = texts.accounts.NOTHING_WAITS
            sentence = problem or await waiting.go_on()
            return ActionResponse(sentence) if sentence else None

        await self.pressed(self._press_of(user_id, pasted), completed)

    async def _waiting(self, press: Press) -> tuple["SignIns", Waiting] | str:
        """Returns what signs people in, and what waits for the presser's sign-in; why nothing does, as a sentence.

        The sentence is "" for a schedule that goes on already. Raises StoreError.
        """
        number, sign_ins = schedule_waiting(press.value), self.schedules.sign_ins
        by_schedule = self.schedules.waiting(number, press.user_id) if number is not None else None
        waiting = await (by_schedule or self._waiting_call(press))
        if isinstance(waiting, str):
            return waiting
        if sign_ins is None or waiting.owner.server not in sign_ins.names:
            return texts.accounts.cannot_sign_in(waiting.owner.server, texts.accounts.NOT_SET_UP)
        return sign_ins, waiting

    async def _waiting_call(self, press: Press) -> Waiting | str:
        answer, pressed, sentence = await self.judged(press)
        if sentence is not None or answer is None or pressed is None or not _waits_for_sign_in(pressed):
            return sentence or texts.accounts.NOTHING_WAITS
        owner = Owner(press.thread.team_id, press.user_id, str(pressed.call.arguments.get("server")))

        async def still() -> bool:
            shown = await self.stores.recorded_answers.shown_by(press.thread, press.message_ts)
            if shown is None or shown.is_deleted or not shown.state.is_live:
                return False
            return _waits_for_sign_in(await self._call_of(shown, press))

        async def go_on() -> str:
            if not await self._record(answer, press.user_id, pressed.call, Decision.APPROVED):
                if sign_ins := self.schedules.sign_ins:
                    await sign_ins.sign_out(owner)
                return texts.accounts.NOTHING_WAITS
            self.worker.wake()
            return ""

        scope = str(pressed.call.arguments.get("scope") or "")
        return Waiting(owner, f"{answer.job_id} {press.value}", still, go_on, scope)

    def _press_of(self, user_id: str, pasted: PastedAddress) -> Press:
        place = pasted.place
        thread = ThreadKey(self.workspace.me.team_id, place.channel_id, place.thread_ts)
        return Press(ReplyAction.SIGN_IN, thread, place.message_ts, user_id, place.value)

    async def _record(
        self,
        answer: AnswerRecord,
        user_id: str,
        call: RecordedCall,
        decision: Decision,
        arguments: Mapping[str, Any] | None = None,
    ) -> bool:
        """Records a decision; returns False if the call waits no longer. `arguments`: those of an EDITED call."""
        decide = self.stores.approvals.decide
        is_recorded = await decide(answer.job_id, answer.version, call, decision, user_id, arguments)
        if is_recorded:
            with of_job(answer.job_id):
                log.info("%s %s by user %s", call.tool, decision, user_id)
        return is_recorded

    async def _denial(self, answer: AnswerRecord, press: Press, pressed: _PressedCall | None) -> str | None:
        """Returns why the presser may not see or decide about calls: they need access themselves, as of now."""
        if pressed and pressed.ask.is_proposal and press.action is ReplyAction.ALLOW_ALWAYS:
            return texts.approvals.NOTHING_TO_DECIDE
        if press.action not in _ABOUT_CALLS:
            return None
        as_theirs = replace(answer.question, user_id=press.user_id, from_bot=False)
        may_write = press.action in _ALLOWS and not (pressed and pressed.call.read_only)
        return await self.access_control.denial(
            as_theirs, now_within_s=CHECKED_WITHIN_S, members_only=may_write, is_press=True
        )

    async def _show_arguments(
        self, answer: AnswerRecord, press: Press, pressed: _PressedCall | None
    ) -> ActionResponse | None:
        if pressed is None:
            return ActionResponse(texts.approvals.NOTHING_TO_DECIDE)
        may_approve = pressed.call.state is CallState.ASKED and not refusal(
            ReplyAction.APPROVE, answer, press.user_id, self.access_control.admins
        )
        place = ApprovalPlace(press.thread.channel_id, press.thread.thread_ts, press.message_ts, press.value)
        if press.action is not ReplyAction.EDIT:
            view = arguments_modal(pressed.ask, place if may_approve else None)
        elif may_approve and pressed.ask.editable:
            view = EDIT_ARGUMENTS.build(pressed.ask, place)
        else:
            return ActionResponse(texts.approvals.NOTHING_TO_DECIDE)
        await self.workspace.surfaces.open(press.trigger_id, view)
        return None

    async def _details(self, answer: AnswerRecord) -> ActionResponse:
        names = await self.workspace.users.names(deciders(answer.calls))
        return ActionResponse(texts.approvals.TOOLS_USED, details_of(answer.calls, names))

    async def _call_of(self, answer: AnswerRecord, press: Press) -> _PressedCall | None:
        """Returns the call that the pressed button names, None if it names none."""
        if press.action not in ABOUT_ONE_CALL:
            return None
        call = call_named(press.value, answer.version, answer.calls)
        if call is None:
            return None
        is_admin = press.user_id in self.access_control.admins
        return _PressedCall(call, ask_of(call, answer.calls, answer.version, answer.waits_until, is_admin=is_admin))

    async def _regenerate(self, answer: AnswerRecord, wish: Wish) -> ActionResponse | None:
        """Starts a new version of an answer, if its asker still has access."""
        if denial := await self.access_control.denial(answer.question):
            return ActionResponse(denial)
        enqueued = await self.stores.question_queue.regenerate(answer.job_id, wish, full=self.worker.full)
        if enqueued is None:
            return ActionResponse(texts.actions.ANSWER_UNFINISHED)
        if enqueued.needs_placeholder:
            attempts, version = enqueued.attempts, answer.version + 1
            self.worker.post_placeholder(
                Job(answer.job_id, answer.question, attempts, messages=answer.messages, version=version)
            )
        else:
            self.worker.wake()
        return None

    async def _save_as_canvas(self, answer: AnswerRecord, press: Press) -> ActionResponse:
        """Has the outbox write the answer into a canvas, if its asker still has access."""
        if not self.workspace.canvases.may_write:
            return ActionResponse(texts.actions.CANVAS_FORBIDDEN)
        if denial := await self.access_control.denial(answer.question):
            return ActionResponse(denial)
        will_be_made = await self.stores.answer_canvases.request(answer.job_id, answer.version, press.user_id)
        return ActionResponse(texts.actions.CANVAS_BEGUN if will_be_made else texts.actions.CANVAS_EXISTS)

    async def _share_tables(self, answer: AnswerRecord) -> ActionResponse | None:
        """Shares the answer's tables as files in its thread, below what is there. Raises RateLimited and Refused."""
        # Far below a second, even for an answer of the longest kind.
        files = await asyncio.to_thread(tables, answer.text, answer.question.ts)
        if not files:
            return ActionResponse(texts.actions.NO_TABLE)
        try:
            await self.workspace.reply_files.share_paced(Upload(answer.question, tuple(files)))
        except Refused as error:
            if error.error != "missing_scope":
                raise
            return ActionResponse(texts.actions.TABLES_FORBIDDEN)
        return None

    async def _vote(self, answer: AnswerRecord, press: Press) -> ActionResponse:
        vote = VOTES.get(press.value)
        if vote is None:
            return ActionResponse(texts.actions.UNKNOWN_BUTTON)
        await self.stores.recorded_answers.vote(answer, press.user_id, vote)
        self.workspace.telemetry.rated(answer.job_id, answer.end.model if answer.end else None, press.value)
        if vote > 0:
            return ActionResponse(texts.actions.THANKS_HELPED)
        return ActionResponse(texts.actions.THANKS_NOT_HELPED, asks_why=press.message_ts)

    async def _give_reason(self, answer: AnswerRecord, press: Press) -> ActionResponse:
        """Records why an answer didn't help, and shows that in place of the question."""
        try:
            reason = DownReason(press.value)
        except ValueError:
            return ActionResponse(texts.actions.UNKNOWN_BUTTON)
        model = await self.stores.recorded_answers.give_reason(answer.job_id, press.user_id, reason)
        if model is None:
            return ActionResponse(texts.actions.NO_LONGER_DOWN, replaces=True)
        self.workspace.telemetry.down_explained(answer.job_id, model, reason)
        return ActionResponse(texts.actions.REASON_NOTED[reason], replaces=True)


def _needs_asker(press: Press, answer: AnswerRecord) -> bool:
    """Whether somebody else than the asker presses what would use the asker's account. Admins may refuse."""
    return press.action is not ReplyAction.DENY and press.user_id != answer.question.user_id


def _waits_for_sign_in(pressed: _PressedCall | None) -> bool:
    return pressed is not None and pressed.call.tool == SIGN_IN and pressed.call.state is CallState.ASKED


def _is_double_press(press: Press, pressed_at: float, answer: AnswerRecord) -> bool:
    """Whether a press came as an answer was stopped: its buttons stand where Stop was.

    Compared with the record, because another process may have received Stop. A record of a clock that was set back
    since makes no button useless.
    """
    if press.action is ReplyAction.STOP or answer.state.is_live or not (answer.end and answer.end.reason.is_stop):
        return False
    return answer.ended_at is not None and abs(pressed_at - answer.ended_at) < DOUBLE_PRESS_S
