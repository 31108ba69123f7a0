"""Applies a person's decision on a tool call, a choice or a sign-in (bot/core/awaited.py).

People decide with a button below the answer, in the modal with a call's arguments, or by signing in to a server. Every
decision is checked again, because modals can stay open for hours and values can be forged.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.core import texts
from bot.core.actions import ActionResponse, ReplyAction
from bot.core.asks import MAX_ARGUMENT_CHARS, ApprovalPlace, can_be_shown, readable_json, with_edited_strings
from bot.core.awaited import DECISIONS, Awaited, AwaitedCall
from bot.core.calls import CallState, Decision
from bot.core.choices import AwaitedChoice
from bot.core.picture import refusal
from bot.core.schedules import AwaitedSignIn
from bot.logs import of_job
from bot.reply.workspace import Workspace
from bot.services.presses import PressChecker, PressedAnswer
from bot.services.schedules import Schedules
from bot.services.shortcut import MessageShortcut
from bot.services.worker import Worker
from bot.slack.views.arguments import EDIT_ARGUMENTS, EditedCall, arguments_modal, field_name
from bot.store import Stores

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decisions:
    stores: Stores
    workspace: Workspace
    worker: Worker
    presses: PressChecker
    shortcut: MessageShortcut
    schedules: Schedules

    async def proceed(
        self,
        awaited: Awaited,
        decision: Decision,
        user_id: str,
        *,
        arguments: Mapping[str, Any] | None = None,
        allow_always: bool = False,
    ) -> str:
        """Records a decision and continues the answer or schedule. Returns an error message, or "" if there is none.
        Raises StoreError. `arguments`: an EDITED call's new arguments. `allow_always`: whether to stop asking for
        approval of the call's tool in the channel.
        """
        match awaited:
            case AwaitedCall(answer, call):
                approvals = self.stores.approvals
                if not await approvals.decide(answer.job_id, answer.version, call, decision, user_id, arguments):
                    return texts.approvals.NOTHING_TO_DECIDE
                if allow_always:
                    await approvals.allow_always(answer.question.thread, call, user_id)
                with of_job(answer.job_id):
                    log.info("%s %s by user %s", call.tool, decision, user_id)
                self.worker.wake()
                return ""
            case AwaitedChoice():
                return await self.shortcut.ask_choice(awaited, user_id)
            case AwaitedSignIn(schedule):
                return await self.schedules.resume_after_sign_in(schedule)

    async def decide(self, pressed: PressedAnswer) -> ActionResponse | None:
        """Applies a clicked button's decision to its calls or its choice. The response mentions other pending calls."""
        press, answer = pressed.press, pressed.answer
        decision = DECISIONS.get(press.action, Decision.APPROVED)
        always = press.action is ReplyAction.ALLOW_ALWAYS
        problems = [await self.proceed(one, decision, press.user_id, allow_always=always) for one in pressed.targets]
        if problem := pressed.problem or problems[-1]:
            return ActionResponse(problem)
        sentences = [texts.approvals.ALWAYS_ALLOWED] if always else []
        # The model continues only after the last decision.
        decided = [one.call for one in pressed.targets if isinstance(one, AwaitedCall)]
        if any(call.state is CallState.ASKED and call not in decided for call in answer.calls):
            sentences.append(texts.approvals.OTHERS_WAIT)
        return ActionResponse(" ".join(sentences)) if sentences else None

    async def show_arguments(self, pressed: PressedAnswer) -> ActionResponse | None:
        """Shows a call's arguments in a modal, where people who can approve the call can also edit its strings."""
        press, awaited = pressed.press, pressed.call
        admins = self.presses.access_control.admins
        ask = awaited.card(is_admin=press.user_id in admins)
        can_approve = awaited.is_open and not refusal(ReplyAction.APPROVE, pressed.answer, press.user_id, admins)
        place = ApprovalPlace(press.thread.channel_id, press.thread.thread_ts, press.message_ts, press.value)
        if press.action is ReplyAction.ARGUMENTS:
            view = arguments_modal(ask, place if can_approve else None)
        elif can_approve and ask.editable_strings:
            view = EDIT_ARGUMENTS.build(ask, place)
        else:
            return ActionResponse(texts.approvals.NOTHING_TO_DECIDE)
        await self.workspace.surfaces.open(press.trigger_id, view)
        return None

    async def approve_edited(self, user_id: str, edited: EditedCall) -> str | Mapping[str, str]:
        """Approves a call with a person's edits. Returns an error message with a sentence for each invalid field, or
        "". Changes only strings that the modal offers for editing. Raises StoreError."""
        pressed = await self.presses.check(self.presses.from_modal(ReplyAction.APPROVE, user_id, edited.place))
        if isinstance(pressed, str):
            return await self.presses.access_control.with_admin_names(pressed)
        awaited, ask = pressed.call, pressed.call.card()
        typed = {index: text for index, text in edited.edited_strings.items() if index in ask.editable_strings}
        emptied = [at for at, text in typed.items() if not text.strip()]
        if missing := [at for at in emptied if ask.top_level_fields[at].name in ask.required_arguments]:
            return {field_name(at): texts.approvals.REQUIRED for at in missing}
        if not typed:
            return await self.proceed(awaited, Decision.APPROVED, user_id)
        arguments = with_edited_strings(awaited.call.arguments, typed)
        if not can_be_shown(readable_json(arguments)):
            return texts.approvals.edited_too_long(MAX_ARGUMENT_CHARS)
        return await self.proceed(awaited, Decision.EDITED, user_id, arguments=arguments)
