"""What awaits a person: for whom, for what and until when. Pure.

Whichever way the person decides, `Decisions.proceed` (bot/services/decisions.py) continues what awaited them.

- A call of an answer (a tool's call, the card of a proposal, or a sign-in) awaits the asker, or an admin about some
  calls, for APPROVAL_S. Then the answer goes on, with the call or without it.
- A choice below an answer awaits whoever presses one first, as long as the answer stays as it is. It is asked.
- A schedule whose creator's sign-in has ended awaits their next one. Then it is resumed.

A call that nobody decides about, or whose asker writes instead, is denied by the store (bot/store/calls.py).
"""

from collections.abc import Collection
from dataclasses import dataclass

from bot.core import texts
from bot.core.actions import ABOUT_ONE_CALL, Press, ReplyAction
from bot.core.asks import Ask, ask_of, call_named, value_of
from bot.core.calls import PROPOSALS, CallState, Decision, RecordedCall
from bot.core.choices import AwaitedChoice, choice_named
from bot.core.job import AnswerRecord
from bot.core.picture import picture, refusal
from bot.core.schedules import AwaitedSignIn

DECISIONS = {
    ReplyAction.APPROVE: Decision.APPROVED,
    ReplyAction.ALLOW_ALWAYS: Decision.APPROVED,
    ReplyAction.ALLOW_IN_THREAD: Decision.IN_THREAD,
    ReplyAction.DENY: Decision.DENIED,
}
"""The buttons that decide about calls."""
NAMING = (*ABOUT_ONE_CALL, ReplyAction.CHOOSE)
"""The buttons whose value names what awaits a person."""
_APPROVALS = (ReplyAction.APPROVE, ReplyAction.ALLOW_ALWAYS, ReplyAction.ALLOW_IN_THREAD)
ALLOWS = (*_APPROVALS, ReplyAction.EDIT, ReplyAction.SIGN_IN)
"""The buttons by which a call is made."""


@dataclass(frozen=True, slots=True)
class AwaitedCall:
    """A call of an answer. Once it is decided about, its arguments can still be shown."""

    answer: AnswerRecord
    call: RecordedCall

    @property
    def name(self) -> str:
        """Identifies what awaits the person. A sign-in's `state` is bound to it."""
        return f"{self.answer.job_id} {value_of(self.call, self.answer.version)}"

    @property
    def person(self) -> str:
        """The ID of the person who decides."""
        return self.answer.question.user_id

    @property
    def is_open(self) -> bool:
        """Whether nobody has decided yet."""
        return self.call.state is CallState.ASKED

    @property
    def server(self) -> str:
        """The server to sign in to, if the call is a sign-in."""
        return str(self.call.arguments.get("server"))

    @property
    def scope(self) -> str:
        """What that server wants beyond what the person has granted before; "" for nothing."""
        return str(self.call.arguments.get("scope") or "")

    def ask(self, *, is_admin: bool = False) -> Ask:
        """Returns the call as a person is asked about it."""
        answer = self.answer
        return ask_of(self.call, answer.calls, answer.version, answer.waits_until, is_admin=is_admin)


Named = AwaitedCall | AwaitedChoice
"""What the value of a button below an answer can name."""
Awaited = Named | AwaitedSignIn


def awaited_by(press: Press, value: str, answer: AnswerRecord, admins: Collection[str]) -> Named | str:
    """Returns what awaits a person by a value of the button that they pressed; why nothing does, as a sentence."""
    action, user_id = press.action, press.user_id
    sentence = refusal(action, answer, user_id, admins)
    if action is ReplyAction.CHOOSE:
        choice = choice_named(value, answer.version, picture(answer).choices)
        asks = texts.actions.BUTTON_OUTDATED if choice is None else AwaitedChoice(answer, choice, press.message_ts)
        return sentence or asks
    gone = texts.accounts.NOTHING_WAITS if action is ReplyAction.SIGN_IN else texts.approvals.NOTHING_TO_DECIDE
    call = call_named(value, answer.version, answer.calls)
    if call is None:
        return sentence or gone
    awaited = AwaitedCall(answer, call)
    if call.tool in PROPOSALS and user_id != awaited.person:
        return texts.actions.ONLY_ASKER_AGREES
    # Nobody else uses the asker's account. Admins may deny it.
    if call.own_account and user_id != awaited.person and action is not ReplyAction.DENY:
        return texts.approvals.ONLY_ACCOUNTS_OWNER
    ask = awaited.ask()
    is_late = action is ReplyAction.SIGN_IN and not awaited.is_open
    if sentence or is_late or action not in ask.actions:
        return sentence or gone
    return texts.approvals.SHOW_ALL_FIRST if action in _APPROVALS and ask.is_cut and not press.in_modal else awaited
