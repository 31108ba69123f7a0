"""Reply actions: the buttons below a reply, who may press them, and when. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bot.core import texts
from bot.core.conversation import Question
from bot.core.job import NO_WISH, Notice, RecordedMessage, Wish
from bot.errors import EndReason
from bot.models.events import Citation
from bot.models.prompt import Effort


class ReplyAction(StrEnum):
    """What a button does. The value is the button's action_id in Slack."""

    STOP = "stop"
    REGENERATE = "regenerate"
    REGENERATE_WITH = "regenerate_with"
    """Think longer."""
    CONTINUE = "continue"
    PREVIOUS = "previous"
    NEXT = "next"
    FEEDBACK = "feedback"
    FEEDBACK_REASON = "feedback_reason"
    """One of several buttons: the action_id has a DownReason behind it."""
    DELETE = "delete"
    APPROVE = "approve"
    DENY = "deny"
    SIGN_IN = "sign_in"
    EDIT = "edit"
    ALLOW_ALWAYS = "allow_always"
    ALLOW_IN_THREAD = "allow_in_thread"
    ARGUMENTS = "arguments"
    DETAILS = "details"
    CHOOSE = "choose"
    """One of several buttons: the action_id has a number behind it, because each has its own."""
    CANVAS = "canvas"
    TABLES = "tables"
    UNDO = "undo"


WISHES = {
    ReplyAction.REGENERATE: NO_WISH,
    ReplyAction.REGENERATE_WITH: Wish(effort=Effort.THOROUGH),
    ReplyAction.CONTINUE: Wish(continues=True),
}
"""The buttons that ask for another version of an answer, and what each wants of it."""
UP, DOWN = "up", "down"
VOTES = {UP: 1, DOWN: -1}
"""Feedback on an answer, by the value of its button in Slack."""


class AnswerState(StrEnum):
    """The state of an answer, as its buttons depend on it."""

    QUEUED = "queued"
    GROWING = "growing"
    ENDED = "ended"
    STOPPED = "stopped"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """An answer as the database keeps it, for the buttons below its reply."""

    job_id: int
    question: Question
    state: AnswerState
    messages: tuple[RecordedMessage, ...] = ()
    version: int = 0
    shown_version: int = 0
    """The version that readers see."""
    answer: str = ""
    """The text of the version that readers see."""
    sources: Sequence[Citation] = ()
    """The web pages that it cites."""
    has_previous: bool = False
    """The answer has an earlier version than the one that readers see."""
    has_next: bool = False
    """The answer has a later version than the one that readers see."""
    model: str | None = None
    end_reason: EndReason | None = None
    """Why the answer ended; None if no attempt has ended."""
    ended_at: float | None = None
    """When the end went on record, in seconds since the epoch."""
    prompt_version: str | None = None
    waits_until: float | None = None
    """Until when the answer awaits an approval; None if it awaits none."""
    choices: tuple[str, ...] = field(default=(), repr=False)
    """What people can still choose below the answer."""
    notices: tuple[Notice, ...] = field(default=(), repr=False)
    """What the version that readers see says below its text."""
    has_acted: bool = False
    """The newest version did what a command said, or proposed what a person has decided about."""

    @property
    def is_expired(self) -> bool:
        """Whether the question was removed from the database."""
        return not self.question.text and not self.question.files

    @property
    def is_whole(self) -> bool:
        """Whether the answer has ended, and is whole. While a new version is written, the text is an older one's."""
        return (self.state, self.end_reason) == (AnswerState.ENDED, EndReason.WHOLE) and bool(self.answer.strip())


@dataclass(frozen=True, slots=True)
class ActionResponse:
    """The response to a press, which only the presser reads."""

    sentence: str
    markdown: str = ""
    """What was asked about, below the sentence."""
    undoes_stop: int = 0
    """The schedule that a press has stopped: a button below the sentence undoes that."""
    asks_why: str = ""
    """The ts of the message whose answer didn't help: buttons below the sentence ask why."""
    replaces: bool = False
    """The response takes the place of the one whose button was pressed."""


def refusal(action: ReplyAction, answer: RecordedAnswer | None, user_id: str, admins: Collection[str]) -> str | None:
    """Returns the sentence that refuses an action to a person; None if they may do it now."""
    if answer is None:
        return texts.actions.ANSWER_UNKNOWN
    if answer.state is AnswerState.DELETED:
        return texts.actions.ANSWER_DELETED
    if action in texts.actions.ONLY_ASKER and user_id != answer.question.user_id and user_id not in admins:
        is_offer = action is ReplyAction.REGENERATE and answer.end_reason is EndReason.OFFERED
        return texts.actions.ONLY_ASKER_ANSWERS_NOW if is_offer else texts.actions.ONLY_ASKER[action]
    if action is ReplyAction.ALLOW_ALWAYS and user_id not in admins:
        return texts.approvals.ONLY_ADMIN_ALLOWS
    return _not_now(action, answer)


def _not_now(action: ReplyAction, answer: RecordedAnswer) -> str | None:
    live = answer.state in (AnswerState.QUEUED, AnswerState.GROWING)
    match action:
        case ReplyAction.DELETE | ReplyAction.DETAILS | ReplyAction.FEEDBACK_REASON:
            return None
        case ReplyAction.STOP:
            stopped = answer.state is AnswerState.STOPPED
            return None if live else texts.actions.ANSWER_ALREADY_STOPPED if stopped else texts.actions.ANSWER_FINISHED
        case (
            ReplyAction.APPROVE
            | ReplyAction.DENY
            | ReplyAction.SIGN_IN
            | ReplyAction.EDIT
            | ReplyAction.ALLOW_ALWAYS
            | ReplyAction.ALLOW_IN_THREAD
            | ReplyAction.ARGUMENTS
        ):
            is_sign_in = action is ReplyAction.SIGN_IN
            gone = texts.accounts.NOTHING_WAITS if is_sign_in else texts.approvals.NOTHING_TO_DECIDE
            return None if answer.state is AnswerState.GROWING else gone
    if live:
        return texts.actions.ANSWER_UNFINISHED
    if action is ReplyAction.UNDO:
        # What it takes back is on record with the end.
        return None
    if action is ReplyAction.FEEDBACK:
        return None if answer.model else texts.actions.NOTHING_TO_RATE
    if answer.is_expired:
        return texts.actions.QUESTION_EXPIRED
    is_again = action in WISHES and not WISHES[action].continues
    return texts.actions.NOT_TWICE if is_again and answer.has_acted else _not_of_version(action, answer)


def _not_of_version(action: ReplyAction, answer: RecordedAnswer) -> str | None:
    """Returns why an action isn't for the version that readers see, None if it is."""
    match action:
        case ReplyAction.PREVIOUS:
            return None if answer.has_previous else texts.actions.NO_PREVIOUS_VERSION
        case ReplyAction.NEXT:
            return None if answer.has_next else texts.actions.NO_LATER_VERSION
        case ReplyAction.CONTINUE | ReplyAction.CANVAS if answer.has_next:
            return texts.actions.NOT_NEWEST_VERSION
        case ReplyAction.CANVAS:
            return None if answer.is_whole else texts.actions.CANVAS_OF_INCOMPLETE
        case ReplyAction.CONTINUE if answer.end_reason is EndReason.WHOLE:
            return texts.actions.ANSWER_FINISHED
        case ReplyAction.CONTINUE if answer.end_reason is None or not answer.end_reason.is_continuable:
            return texts.actions.ANSWER_NOT_CONTINUABLE
        case ReplyAction.CONTINUE:
            return None if answer.answer.strip() else texts.actions.NOTHING_TO_CONTINUE
    return None
