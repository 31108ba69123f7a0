"""What people can do with a reply: its buttons, what each is for, and when it may not be pressed. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from bot.core.conversation import Question
from bot.core.stream import FinishReason


class ReplyAction(StrEnum):
    """A button, as its action_id."""

    STOP = "stop"
    AGAIN = "regenerate"
    GO_ON = "continue"
    PREVIOUS = "previous"
    FEEDBACK = "feedback"
    DELETE = "delete"


class Vote(StrEnum):
    """What somebody thinks of an answer, as its button's value."""

    UP = "up"
    DOWN = "down"


class AnswerState(StrEnum):
    """Where an answer is in its life."""

    WAITING = "waiting"
    GROWING = "growing"
    ENDED = "ended"
    STOPPED = "stopped"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """A reply as it is on record."""

    job_id: int
    question: Question
    state: AnswerState
    askers: frozenset[str]
    """Whose questions it answers."""
    page_ts: tuple[str, ...] = ()
    version: int = 0
    answer: str = ""
    """Of the newest version."""
    previous: str = ""
    """The version before it; "" where none is kept."""
    model: str | None = None
    finish_reason: str | None = None
    prompt_version: str | None = None

    @property
    def cut(self) -> bool:
        """It reached its length limit."""
        return self.state is AnswerState.ENDED and self.finish_reason == FinishReason.LENGTH

    @property
    def expired(self) -> bool:
        """What was asked is no longer kept."""
        return not self.question.text and not self.question.files


NOT_KNOWN = "I no longer know this answer, so I can do nothing with it."
DELETED = "This answer was deleted."
NOT_YET = "This answer is not at its end yet."
ENDED = "This answer has already ended."
STOPPED = "This answer was already stopped."
WHOLE = "This answer is already whole."
NOT_CUT = "This answer did not end at its length limit: only Regenerate helps here."
EXPIRED = "This question is too old: its text is no longer kept. Please ask again."
NO_PREVIOUS = "No earlier version of this answer is kept."
NOTHING_TO_RATE = "There is no answer here to rate."
WRONG_VALUE = "This button does not say anything that I understand."
THANKS = {Vote.UP: "Thank you: I noted that this answer helped.", Vote.DOWN: "Thank you: I noted that it did not help."}
_VERBS = {
    ReplyAction.STOP: "stop this answer",
    ReplyAction.AGAIN: "have it answered again",
    ReplyAction.GO_ON: "have it continued",
    ReplyAction.DELETE: "delete this answer",
}


def refusal(control: ReplyAction, kept: RecordedAnswer | None, user_id: str, admins: Collection[str]) -> str | None:
    """Why somebody may not press a button now, as one sentence for them; None where they may."""
    if kept is None:
        return NOT_KNOWN
    if kept.state is AnswerState.DELETED:
        return DELETED
    if control in _VERBS and user_id not in kept.askers and user_id not in admins:
        return f"Only the person who asked and this bot's admins can {_VERBS[control]}."
    return _not_now(control, kept)


def _not_now(control: ReplyAction, kept: RecordedAnswer) -> str | None:
    live = kept.state in (AnswerState.WAITING, AnswerState.GROWING)
    match control:
        case ReplyAction.STOP:
            return None if live else STOPPED if kept.state is AnswerState.STOPPED else ENDED
        case ReplyAction.PREVIOUS:
            return None if kept.previous else NO_PREVIOUS
        case ReplyAction.DELETE:
            return None
        case ReplyAction.FEEDBACK:
            return NOT_YET if live else None if kept.model else NOTHING_TO_RATE
    if live:
        return NOT_YET
    if control is ReplyAction.GO_ON and not kept.cut:
        return WHOLE if kept.finish_reason == FinishReason.STOP else NOT_CUT
    return EXPIRED if kept.expired else None
