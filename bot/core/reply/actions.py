"""What people can do with a reply: its buttons, what each is for, and when it may not be pressed. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from bot.core import texts
from bot.core.conversation import Question
from bot.core.job import EndReason


class ReplyAction(StrEnum):
    """A button, as its action_id."""

    STOP = "stop"
    REGENERATE = "regenerate"
    CONTINUE = "continue"
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
    end_reason: EndReason | None = None
    """Of its newest attempt; None where none has ended."""
    prompt_version: str | None = None

    @property
    def cut(self) -> bool:
        """It reached its length limit."""
        return self.state is AnswerState.ENDED and self.end_reason is EndReason.LENGTH_LIMIT

    @property
    def expired(self) -> bool:
        """What was asked is no longer kept."""
        return not self.question.text and not self.question.files


_ONLY_ASKER = {
    ReplyAction.STOP: texts.ONLY_ASKER_STOPS,
    ReplyAction.REGENERATE: texts.ONLY_ASKER_REGENERATES,
    ReplyAction.CONTINUE: texts.ONLY_ASKER_CONTINUES,
    ReplyAction.DELETE: texts.ONLY_ASKER_DELETES,
}


@dataclass(frozen=True, slots=True)
class ActionResponse:
    """What only the person who pressed a button reads."""

    sentence: str
    markdown: str = ""
    """What a model wrote, below the sentence."""


def refusal(control: ReplyAction, kept: RecordedAnswer | None, user_id: str, admins: Collection[str]) -> str | None:
    """Why somebody may not press a button now, as one sentence for them; None where they may."""
    if kept is None:
        return texts.ANSWER_UNKNOWN
    if kept.state is AnswerState.DELETED:
        return texts.ANSWER_DELETED
    if control in _ONLY_ASKER and user_id not in kept.askers and user_id not in admins:
        return _ONLY_ASKER[control]
    return _not_now(control, kept)


def _not_now(control: ReplyAction, kept: RecordedAnswer) -> str | None:
    live = kept.state in (AnswerState.WAITING, AnswerState.GROWING)
    match control:
        case ReplyAction.STOP:
            return None if live else _finished(kept)
        case ReplyAction.PREVIOUS:
            return None if kept.previous else texts.NO_PREVIOUS_VERSION
        case ReplyAction.DELETE:
            return None
        case ReplyAction.FEEDBACK:
            if live:
                return texts.ANSWER_UNFINISHED
            return None if kept.model else texts.NOTHING_TO_RATE
    if live:
        return texts.ANSWER_UNFINISHED
    if control is ReplyAction.CONTINUE and not kept.cut:
        return texts.ANSWER_COMPLETE if kept.end_reason is EndReason.WHOLE else texts.ANSWER_NOT_CUT
    return texts.QUESTION_EXPIRED if kept.expired else None


def _finished(kept: RecordedAnswer) -> str:
    return texts.ANSWER_ALREADY_STOPPED if kept.state is AnswerState.STOPPED else texts.ANSWER_FINISHED
