"""Checks clicks on the buttons below a reply: finds the answer and the button's object, and checks the person's rights.

Clicks can be forged, so the answer is looked up by the button's message, and the button's object in that answer.
Responses use the response_url, which also reaches people outside the channel and doesn't use up rate limits.
"""

import logging
from collections.abc import Awaitable
from dataclasses import dataclass, replace

from bot.core import texts
from bot.core.actions import ActionResponse, Press, ReplyAction
from bot.core.asks import ApprovalPlace
from bot.core.awaited import (
    ALLOWING_ACTIONS,
    DECISION_ACTIONS,
    DECISIONS,
    AwaitedCall,
    ClickedDecision,
    clicked_decision,
)
from bot.core.conversation import ThreadKey
from bot.core.job import AnswerRecord
from bot.core.picture import refusal
from bot.errors import RateLimited, Refused, StoreError
from bot.reply.workspace import Workspace
from bot.services.access_control import SHORT_LOOKUP_TIMEOUT_S, AccessControl
from bot.services.tool_calls import MAX_CALLS
from bot.store import Stores

log = logging.getLogger(__name__)

DOUBLE_PRESS_S = 0.5
"""Time within which two clicks count as one. After a stop, Continue or Regenerate can appear under the pointer just as
a person who has seen no effect clicks Stop again. The person is told that the second click had no effect."""
LOOKUP_DELAY_S = 0.2
MAX_RECORD_LOOKUPS = 8
"""Maximum lookups of a record, which is written a moment after its message is shown. Slack waits three seconds."""


@dataclass(frozen=True, slots=True)
class PressedAnswer:
    press: Press
    answer: AnswerRecord
    targets: tuple[ClickedDecision, ...] = ()
    """The pending objects that the button's values refer to."""
    problem: str = ""
    """A sentence about why the button's last value refers to nothing pending, or ""."""

    @property
    def call(self) -> AwaitedCall:
        [named] = self.targets
        assert isinstance(named, AwaitedCall)
        return named


@dataclass(frozen=True)
class PressChecker:
    stores: Stores
    workspace: Workspace
    access_control: AccessControl

    def from_modal(self, action: ReplyAction, user_id: str, place: ApprovalPlace) -> Press:
        thread = ThreadKey(self.workspace.me.team_id, place.channel_id, place.thread_ts)
        return Press(action, thread, place.message_ts, user_id, place.value, in_modal=True)

    async def respond(self, press: Press, effect: Awaitable[ActionResponse | None]) -> None:
        try:
            response = await effect
        except (StoreError, RateLimited, Refused) as error:
            log.error("action %s failed: %s", press.action, error)
            response = ActionResponse(texts.actions.ACTION_FAILED)
        if response is not None:
            response = replace(response, sentence=self.access_control.with_admin_mentions(response.sentence))
            await self.workspace.surfaces.respond_to_action(press.thread, press.user_id, press.response_url, response)

    async def check(self, press: Press) -> PressedAnswer | str:
        """Returns the clicked answer and object, or an error message for the person who clicked. Raises StoreError.
        Waits for the record, which is written a moment after messages and an answer's last buttons are shown."""
        pressed_at, admins = self.stores.clock.now(), self.access_control.admins
        for look in range(MAX_RECORD_LOOKUPS):
            answer = await self.stores.recorded_answers.answer_in_message(press.thread, press.message_ts)
            sentence = refusal(press.action, answer, press.user_id, admins)
            is_early = answer is None or sentence == texts.actions.ANSWER_UNFINISHED
            if not is_early or look + 1 == MAX_RECORD_LOOKUPS:
                break
            await self.stores.clock.sleep(LOOKUP_DELAY_S)
        if answer is None:
            return sentence or texts.actions.ANSWER_UNKNOWN
        if not answer.state.is_live and _is_double_click(press, pressed_at, answer):
            return texts.actions.JUST_STOPPED
        if press.action not in DECISION_ACTIONS:
            return await self._denial(press, answer) or sentence or PressedAnswer(press, answer)
        values = press.value.split()[:MAX_CALLS] if press.action in DECISIONS else ()
        named: list[ClickedDecision] = []
        for value in values or (press.value,):
            found = clicked_decision(press, value, answer, admins)
            sentence = found if isinstance(found, str) else await self._denial(press, answer, found)
            if not isinstance(found, str) and sentence is None:
                named.append(found)
        return PressedAnswer(press, answer, tuple(named), sentence or "") if named else sentence or ""

    async def _denial(self, press: Press, answer: AnswerRecord, named: ClickedDecision | None = None) -> str | None:
        """Returns why a person can't use the button now (to decide, see details, or keep or post something), or None if
        they can."""
        as_theirs = replace(answer.question, user_id=press.user_id, is_from_bot=False)
        if press.action in (ReplyAction.CHOOSE, ReplyAction.TABLES):
            return await self.access_control.denial(as_theirs, is_press=True)
        if press.action not in (ReplyAction.DETAILS, ReplyAction.ARGUMENTS, ReplyAction.KEEP_TEST, *ALLOWING_ACTIONS):
            return None
        may_write = (ReplyAction.KEEP_TEST, *ALLOWING_ACTIONS)
        is_write = press.action in may_write and not (isinstance(named, AwaitedCall) and named.call.read_only)
        return await self.access_control.denial(
            as_theirs, now_within_s=SHORT_LOOKUP_TIMEOUT_S, members_only=is_write, is_press=True
        )


def _is_double_click(press: Press, pressed_at: float, answer: AnswerRecord) -> bool:
    """Returns whether a click came just after an answer was stopped, when other buttons replaced Stop. The time of the
    stop is read from the record, because another process might have received it. Setting the machine's clock back
    doesn't disable a button."""
    if press.action in (ReplyAction.STOP, ReplyAction.SIGN_IN):
        return False
    if not (answer.end and answer.end.reason.is_stop):
        return False
    return answer.ended_at is not None and abs(pressed_at - answer.ended_at) < DOUBLE_PRESS_S
