"""Pending decisions: who can make them, and until when. Pure.

Once a person has decided, `Decisions.proceed` (bot/services/decisions.py) continues the work:

- A call waits up to APPROVAL_S for the asker or, for some calls, an admin. If nobody decides, or the asker writes a
  message instead, the call is denied (bot/store/calls.py). Either way, the answer continues.
- The choices below an answer wait for the first click, until the answer changes. The clicked choice is then asked as a
  question.
- A schedule whose creator's sign-in has ended waits for the next sign-in.
"""

from collections.abc import Collection
from dataclasses import dataclass

from bot.core import texts
from bot.core.actions import CALL_ACTIONS, Press, ReplyAction
from bot.core.asks import ApprovalCard, approval_card, button_value, call_of_button
from bot.core.calls import CallState, Decision, RecordedCall
from bot.core.choices import AwaitedChoice, choice_of_button
from bot.core.job import AnswerRecord
from bot.core.picture import allowed_user_ids, picture, refusal
from bot.core.schedules import AwaitedSignIn

DECISIONS = {
    ReplyAction.APPROVE: Decision.APPROVED,
    ReplyAction.ALLOW_ALWAYS: Decision.APPROVED,
    ReplyAction.ALLOW_IN_THREAD: Decision.IN_THREAD,
    ReplyAction.DENY: Decision.DENIED,
}
DECISION_ACTIONS = (*CALL_ACTIONS, ReplyAction.CHOOSE)
_APPROVALS = (ReplyAction.APPROVE, ReplyAction.ALLOW_ALWAYS, ReplyAction.ALLOW_IN_THREAD)
ALLOWING_ACTIONS = (*_APPROVALS, ReplyAction.EDIT, ReplyAction.SIGN_IN)


@dataclass(frozen=True, slots=True)
class AwaitedCall:
    """A call that is waiting for a decision. The call's arguments remain available after the decision."""

    answer: AnswerRecord
    call: RecordedCall

    @property
    def name(self) -> str:
        """The ID of the pending decision. A sign-in's `state` is bound to this ID."""
        return f"{self.answer.job_id} {button_value(self.call, self.answer.version)}"

    @property
    def person(self) -> str:
        return self.answer.question.user_id

    @property
    def is_open(self) -> bool:
        return self.call.state is CallState.ASKED

    @property
    def server(self) -> str:
        return str(self.call.arguments.get("server"))

    @property
    def scope(self) -> str:
        return str(self.call.arguments.get("scope") or "")

    def card(self, *, is_admin: bool = False) -> ApprovalCard:
        answer = self.answer
        return approval_card(self.call, answer.calls, answer.version, answer.waits_until, is_admin=is_admin)


ClickedDecision = AwaitedCall | AwaitedChoice
Awaited = ClickedDecision | AwaitedSignIn


def clicked_decision(press: Press, value: str, answer: AnswerRecord, admins: Collection[str]) -> ClickedDecision | str:
    """Returns the pending decision for a clicked button, or an error message for the person who clicked."""
    action, user_id = press.action, press.user_id
    sentence = refusal(action, answer, user_id, admins)
    if action is ReplyAction.CHOOSE:
        choice = choice_of_button(value, answer.version, picture(answer).choices)
        asks = texts.actions.BUTTON_OUTDATED if choice is None else AwaitedChoice(answer, choice, press.message_ts)
        return sentence or asks
    gone = texts.accounts.NOTHING_WAITS if action is ReplyAction.SIGN_IN else texts.approvals.NOTHING_TO_DECIDE
    call = call_of_button(value, answer.version, answer.calls)
    if call is None:
        return sentence or gone
    awaited = AwaitedCall(answer, call)
    ask = awaited.card()
    allowed = allowed_user_ids(action, answer.question.user_id, admins, ask)
    if allowed is not None and user_id not in allowed:
        if ask.is_proposal:
            return texts.actions.only_asker_agrees(answer.question.user_id)
        if ask.uses_own_account:
            return texts.approvals.ONLY_ACCOUNTS_OWNER
    is_late = action is ReplyAction.SIGN_IN and not awaited.is_open
    if sentence or is_late or action not in ask.actions:
        return sentence or gone
    return texts.approvals.SHOW_ALL_FIRST if action in _APPROVALS and ask.is_cut and not press.in_modal else awaited
