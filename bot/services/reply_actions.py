import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from bot.core import texts
from bot.core.actions import CONFIRMED, MORE, VOTES, WISHES, ActionResponse, Press, ReplyAction
from bot.core.asks import call_details, decider_ids
from bot.core.awaited import DECISIONS
from bot.core.conversation import plain_words
from bot.core.job import Job, NoticeKind
from bot.core.outbox import OutboxKind
from bot.core.unseen import visible
from bot.core.usage import DownReason
from bot.logs import of_job
from bot.reply.workspace import Workspace
from bot.services.decisions import Decisions
from bot.services.kept_tests import KeptTestModal
from bot.services.presses import PressChecker, PressedAnswer
from bot.services.sign_in import SignInModal
from bot.services.stops import AnswerStopper
from bot.services.worker import Worker
from bot.store import Stores
from slack_markdown.render import beginning

QUOTED_CHARS = 60

log = logging.getLogger(__name__)

Effect = Callable[[PressedAnswer], Awaitable[ActionResponse | None]]
"""Carries out a click. Returns a response for the person, or None if the reply shows the outcome."""


@dataclass(frozen=True)
class ReplyActions:
    stores: Stores
    workspace: Workspace
    worker: Worker
    presses: PressChecker
    decisions: Decisions
    sign_in: SignInModal
    stops: AnswerStopper
    kept_tests: KeptTestModal

    async def on_press(self, press: Press) -> None:
        await self.presses.respond(press, self.perform(press))

    async def perform(self, press: Press) -> ActionResponse | None:
        """Performs the action. Returns a response, or None if the reply itself shows the outcome. Raises StoreError."""
        if press.action is ReplyAction.SIGN_IN:
            # The sign-in might be for a schedule, which has no answer.
            return await self.sign_in.open(press)
        pressed = await self.presses.check(press)
        if isinstance(pressed, str):
            log.info("action %s by user %s refused: %s", press.action, press.user_id, pressed)
            return ActionResponse(pressed)
        with of_job(pressed.answer.job_id):
            log.info("action %s by user %s", press.action, press.user_id)
        return await self._effects[press.action](pressed)

    @cached_property
    def _effects(self) -> Mapping[ReplyAction, Effect]:
        return {
            ReplyAction.STOP: self._stop,
            ReplyAction.DELETE: self._delete,
            **dict.fromkeys(WISHES, self._regenerate),
            **dict.fromkeys((ReplyAction.PREVIOUS, ReplyAction.NEXT), self._swap_version),
            ReplyAction.FEEDBACK: self._record_vote,
            ReplyAction.FEEDBACK_REASON: self._give_reason,
            ReplyAction.DETAILS: self._show_details,
            ReplyAction.CANVAS: self._save_as_canvas,
            ReplyAction.TABLES: self._share_tables,
            ReplyAction.SEND_TO_CHANNEL: self._send_to_channel,
            ReplyAction.UNDO: self._undo,
            ReplyAction.KEEP_TEST: self.kept_tests.open,
            **dict.fromkeys((*DECISIONS, ReplyAction.CHOOSE), self.decisions.decide),
            **dict.fromkeys((ReplyAction.ARGUMENTS, ReplyAction.EDIT), self.decisions.show_arguments),
        }

    async def _stop(self, pressed: PressedAnswer) -> ActionResponse | None:
        return await self.stops.stop(pressed.answer)

    async def _delete(self, pressed: PressedAnswer) -> ActionResponse | None:
        """Deletes the answer. If Delete was chosen in a menu, asks for confirmation first, because menu options can't
        have a dialog."""
        press = pressed.press
        if press.value == MORE:
            sure = {f"{ReplyAction.DELETE}-{CONFIRMED}": texts.actions.DELETE}
            words = plain_words(pressed.answer.question, self.workspace.me.user_id)
            question = beginning(visible(words), QUOTED_CHARS)
            return ActionResponse(texts.actions.delete_answer(question), follow_ups=sure, value=press.message_ts)
        await self.stores.recorded_answers.delete(pressed.answer.job_id, press.user_id)
        await self.stops.request_stop(pressed.answer)
        return ActionResponse(texts.actions.ANSWER_DELETED, replaces_response=True) if press.value else None

    async def _swap_version(self, pressed: PressedAnswer) -> None:
        to_next = pressed.press.action is ReplyAction.NEXT
        await self.stores.recorded_answers.switch_version(pressed.answer.job_id, to_next=to_next)

    async def _regenerate(self, pressed: PressedAnswer) -> ActionResponse | None:
        answer, wish = pressed.answer, WISHES[pressed.press.action]
        if denial := await self.presses.access_control.denial(answer.question):
            return ActionResponse(denial)
        enqueued = await self.stores.question_queue.regenerate(answer.job_id, wish, full=self.worker.is_full)
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

    async def _save_as_canvas(self, pressed: PressedAnswer) -> ActionResponse:
        answer, press = pressed.answer, pressed.press
        if not self.workspace.canvases.can_write:
            return ActionResponse(texts.canvases.FORBIDDEN)
        if denial := await self.presses.access_control.denial(answer.question):
            return ActionResponse(denial)
        will_be_made = await self.stores.answer_canvases.request(answer.job_id, answer.version, press.user_id)
        return ActionResponse(texts.canvases.BEGUN if will_be_made else texts.canvases.EXISTS)

    async def _share_tables(self, pressed: PressedAnswer) -> ActionResponse:
        about = pressed.answer.job_id, pressed.answer.version, pressed.press.user_id
        will_be_shared = await self.stores.answer_canvases.request(*about, OutboxKind.SHARE_TABLES)
        return ActionResponse(texts.actions.TABLES_BEGUN if will_be_shared else texts.actions.TABLES_EXIST)

    async def _send_to_channel(self, pressed: PressedAnswer) -> ActionResponse:
        if ReplyAction.SEND_TO_CHANNEL not in self.workspace.optional_actions:
            return ActionResponse(texts.actions.BUTTON_OUTDATED)
        about = pressed.answer.job_id, pressed.answer.version, pressed.press.user_id
        will_be_sent = await self.stores.answer_canvases.request(*about, OutboxKind.SEND_TO_CHANNEL)
        return ActionResponse(texts.notify.SENDING if will_be_sent else texts.notify.ALREADY_SENT)

    async def _record_vote(self, pressed: PressedAnswer) -> ActionResponse:
        answer, press = pressed.answer, pressed.press
        vote = VOTES.get(press.value)
        if vote is None:
            return ActionResponse(texts.actions.UNKNOWN_BUTTON)
        await self.stores.recorded_answers.record_feedback(answer, press.user_id, vote)
        self.workspace.telemetry.record_rating(answer.job_id, answer.end.model if answer.end else None, press.value)
        if vote > 0:
            return ActionResponse(texts.actions.THANKS_HELPED)
        reasons = texts.actions.DOWN_REASONS.items()
        why = {f"{ReplyAction.FEEDBACK_REASON}-{reason}": label for reason, label in reasons}
        return ActionResponse(texts.actions.THANKS_NOT_HELPED, follow_ups=why, value=press.message_ts)

    async def _give_reason(self, pressed: PressedAnswer) -> ActionResponse:
        """Records why an answer didn't help, and replaces the question about the reason with a confirmation."""
        answer, press = pressed.answer, pressed.press
        if press.value not in set(DownReason):
            return ActionResponse(texts.actions.UNKNOWN_BUTTON)
        reason = DownReason(press.value)
        model = await self.stores.recorded_answers.record_reason(answer.job_id, press.user_id, reason)
        if model is None:
            return ActionResponse(texts.actions.NO_LONGER_DOWN, replaces_response=True)
        self.workspace.telemetry.record_down_reason(answer.job_id, model, reason)
        return ActionResponse(texts.actions.REASON_NOTED[reason], replaces_response=True)

    async def _show_details(self, pressed: PressedAnswer) -> ActionResponse:
        calls = pressed.answer.calls
        names = await self.workspace.users.names(decider_ids(calls))
        return ActionResponse(texts.approvals.TOOLS_USED, call_details(calls, names))

    async def _undo(self, pressed: PressedAnswer) -> ActionResponse | None:
        """Undoes a command or an accepted proposal. Returns an error message, or None if the reply shows the
        outcome."""
        answer, press = pressed.answer, pressed.press
        memories, problems = self.stores.memories, list[str]()
        for notice in answer.end.notices if answer.end else ():
            match notice.kind:
                case NoticeKind.FORGOTTEN:
                    about = answer.question, notice.number, press.user_id, answer.job_id
                    problems.append("" if await memories.restore(*about) else texts.memory.CANT_RESTORE)
                case NoticeKind.STOPPED:
                    problems.append(await self.decisions.schedules.restore(notice.number, press.user_id, answer.job_id))
        if not problems and not await memories.undo(answer.question, press.user_id):
            problems.append(texts.memory.NOTHING_TO_UNDO)
        sentence = " ".join(dict.fromkeys(filter(None, problems)))
        return ActionResponse(sentence) if sentence else None
