"""Keeps an answer as a test for its asker, or for a person who can change its channel's settings."""

import logging
from dataclasses import dataclass

from bot.core import texts
from bot.core.actions import ActionResponse, ReplyAction
from bot.core.asks import ApprovalPlace
from bot.core.kept_tests import MAX_CHECKS, MAX_TESTS, proposed_checks
from bot.reply.workspace import Workspace
from bot.services.access_control import refusal_to_change
from bot.services.presses import PressChecker, PressedAnswer
from bot.slack.views.kept_tests import KEEP_TEST, SubmittedTest
from bot.store import Stores

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptTestModal:
    stores: Stores
    workspace: Workspace
    presses: PressChecker

    async def open(self, pressed: PressedAnswer) -> ActionResponse | None:
        answer, press = pressed.answer, pressed.press
        if refusal := await self._refusal(pressed):
            return ActionResponse(refusal)
        proposed, preselected = proposed_checks(answer.text, answer.calls)
        kept = await self.stores.kept_tests.checks(answer.job_id)
        chosen = [check for check in proposed if check in kept] if kept else proposed[:preselected]
        place = ApprovalPlace(press.thread.channel_id, press.thread.thread_ts, press.message_ts, "")
        view = KEEP_TEST.build(place, proposed, chosen, is_kept=bool(kept))
        await self.workspace.surfaces.open(press.trigger_id, view)
        return None

    async def save(self, user_id: str, submitted: SubmittedTest) -> str:
        """Saves a person's choice from the modal. Returns an error message, or "" if there is none. Everything is
        checked again, because modals can stay open for hours and values can be forged."""
        press = self.presses.from_modal(ReplyAction.KEEP_TEST, user_id, submitted.place)
        pressed = await self.presses.check(press)
        refusal = pressed if isinstance(pressed, str) else await self._refusal(pressed)
        if isinstance(pressed, str) or refusal:
            return await self.presses.access_control.with_admin_names(refusal)
        answer, kept_tests = pressed.answer, self.stores.kept_tests
        proposed, _ = proposed_checks(answer.text, answer.calls)
        chosen = [check for check in proposed if check.key in submitted.keys]
        if len(chosen) < len(submitted.keys):
            return texts.kept_tests.ANSWER_CHANGED
        if len(chosen) > MAX_CHECKS:
            return texts.kept_tests.choose_at_most(MAX_CHECKS)
        if not (chosen or await kept_tests.checks(answer.job_id)):
            return texts.kept_tests.CHOOSE_ONE
        if not await kept_tests.keep(answer.job_id, answer.question, chosen, user_id):
            return texts.kept_tests.too_many_tests(MAX_TESTS)
        log.info("user %s keeps the answer of job %d as a test: checks=%d", user_id, answer.job_id, len(chosen))
        return ""

    async def _refusal(self, pressed: PressedAnswer) -> str:
        """Returns why a person can't keep an answer as a test, or ""."""
        press, question = pressed.press, pressed.answer.question
        if ReplyAction.KEEP_TEST not in self.workspace.optional_actions:
            return texts.actions.BUTTON_OUTDATED
        if press.user_id == question.user_id:
            return ""
        access_control = self.presses.access_control
        return await refusal_to_change(access_control, self.workspace, press.user_id, question.thread.channel_id)
