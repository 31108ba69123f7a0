"""What Slack shows below an answer that has ended, as a function of what is on record. Pure.

An end that is shown at once, one that is shown later, another version, and an answer about which something has changed
all ask `picture`. So it doesn't matter by which way an answer came to be shown: whoever changes the record says that it
has changed (`changed` in bot/store/outbox.py), and nobody says what to do in Slack.

A notice about something that was made says so as long as it stands. A button is there if a press on it has an effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import Decided, Decision, calls_made, decided_about, has_decided_proposal, kinds_of
from bot.core.job import AnswerRecord, End, Notice, NoticeKind
from bot.core.tables import may_have_tables
from bot.errors import EndReason
from bot.models.events import Citation
from bot.models.prompt import Effort

CANVAS_MIN_CHARS = 3_000
"""An answer that is shorter has no button for a canvas: it is read faster where it is."""
BELOW_ANSWERS = (
    ReplyAction.UNDO,
    ReplyAction.CONTINUE,
    ReplyAction.REGENERATE,
    ReplyAction.PREVIOUS,
    ReplyAction.NEXT,
    ReplyAction.DETAILS,
    ReplyAction.CANVAS,
    ReplyAction.TABLES,
    ReplyAction.REGENERATE_WITH,
    ReplyAction.FEEDBACK,
    ReplyAction.DELETE,
)
"""The buttons, in their order."""
_NEEDS_TEXT = (
    ReplyAction.CONTINUE,
    ReplyAction.CANVAS,
    ReplyAction.TABLES,
    ReplyAction.REGENERATE_WITH,
    ReplyAction.FEEDBACK,
)
_NOTHING_WITHOUT_TEXT = (EndReason.WHOLE, EndReason.NOTHING_ASKED)
"""Of an answer that ended so, and has no text, a button would do nothing."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What Slack shows below the text of an answer that has ended."""

    reason: EndReason
    notices: tuple[str, ...] = field(default=(), repr=False)
    footer: str = ""
    """The line that names the model, if there is text."""
    sources: Sequence[Citation] = ()
    decided: tuple[Decided, ...] = ()
    """Who decided about its calls."""
    choices: tuple[str, ...] = field(default=(), repr=False)
    """What readers can press."""
    chosen: str = field(default="", repr=False)
    """The choice that somebody has pressed."""
    buttons: tuple[ReplyAction, ...] = ()
    """In their order."""
    was_replied_to: bool = False
    """The asker wrote instead of deciding about its calls: a notice says all of how it ended."""
    schedule_id: int = 0
    """A button stops this schedule; 0: there is none."""

    @property
    def notice(self) -> str:
        """The notices as one line."""
        return " ".join(filter(None, self.notices))

    def naming(self, names: Mapping[str, str], admins: Sequence[str]) -> "Picture":
        """Returns the picture with names: of the people who decided, and of the admins that its notices speak of.

        Deciders without a name are named by their ids. A mention of an admin would notify them of each such answer.
        """
        decided = tuple(replace(one, name=names.get(one.by, one.by)) for one in self.decided)
        named = [names[admin] for admin in admins if admin in names]
        notices = tuple(texts.access.naming_admins(notice, named) for notice in self.notices)
        return replace(self, decided=decided, notices=notices)

    def people(self, admins: Sequence[str]) -> list[str]:
        """Returns the ids of the people that `naming` names: those who decided about calls, and admins to ask."""
        deciders = [one.by for one in self.decided if one.by]
        asks_admin = any(map(texts.access.names_an_admin, self.notices))
        return [*deciders, *(admins if asks_admin else ())]

    @property
    def without_text(self) -> "Picture":
        """The picture of an answer whose text can't be shown."""
        left = () if self.reason in _NOTHING_WITHOUT_TEXT else (one for one in self.buttons if one not in _NEEDS_TEXT)
        return replace(self, notices=(texts.answers.STUCK,), sources=(), choices=(), buttons=tuple(left))


def picture(end: End, record: AnswerRecord, text: str, *, has_canvases: bool = False) -> Picture:
    """Returns what Slack shows below a version of an answer.

    `text`: the version's. `has_canvases`: whether answers can be saved as canvases.
    """
    has_acted = record.has_acted or end.reason is EndReason.COMMAND or has_decided_proposal(record.calls)
    notices = [_sentence(notice, record) for notice in end.notices]
    if record.is_edited:
        notices += [texts.answers.QUESTION_EDITED, "" if has_acted else texts.answers.REGENERATE_ANSWERS_IT]
    was_replied_to = end.reason is EndReason.STOPPED and bool(kinds_of(record.calls, Decision.REPLIED))
    stands = not (record.has_next or record.is_edited) and record.chosen is None
    made = [notice.about for notice in end.notices if notice.kind is NoticeKind.SCHEDULED]
    schedules = [number for number in made if number not in record.stopped | record.over]
    return Picture(
        end.reason,
        notices=tuple(filter(None, notices)),
        footer="" if was_replied_to else end.footer,
        sources=end.sources,
        decided=decided_about(record.calls),
        choices=end.choices if stands else (),
        chosen=record.chosen or "",
        buttons=_buttons(end, record, text, has_acted=has_acted, has_canvases=has_canvases),
        was_replied_to=was_replied_to,
        schedule_id=schedules[-1] if schedules else 0,
    )


def _sentence(notice: Notice, record: AnswerRecord) -> str:
    """Returns what a notice says by now."""
    if notice.kind is NoticeKind.REMEMBERED and record.is_forgotten:
        return texts.memory.UNDONE
    if notice.kind is NoticeKind.SCHEDULED and notice.about in record.stopped:
        return texts.schedules.SCHEDULE_STOPPED
    if notice in record.restored:
        return texts.memory.RESTORED if notice.kind is NoticeKind.FORGOTTEN else texts.schedules.RESTORED
    return notice.text


def _may_be_undone(notice: Notice, record: AnswerRecord) -> bool:
    """Whether a press undoes what a notice says."""
    if notice.kind is NoticeKind.REMEMBERED:
        return not record.is_forgotten
    return notice.kind in (NoticeKind.FORGOTTEN, NoticeKind.STOPPED) and notice not in record.restored


def _buttons(
    end: End, record: AnswerRecord, text: str, *, has_acted: bool, has_canvases: bool
) -> tuple[ReplyAction, ...]:
    if end.reason is EndReason.DENIED or (not text.strip() and end.reason in _NOTHING_WITHOUT_TEXT):
        return ()
    if end.reason is EndReason.OFFERED:
        return (ReplyAction.REGENERATE,)
    # Nobody rates a list, or wants it thought about.
    is_answer = bool(text.strip()) and end.reason is not EndReason.COMMAND
    is_newest = not record.has_next
    is_long = end.reason is EndReason.WHOLE and len(text) >= CANVAS_MIN_CHARS
    is_offered = {
        ReplyAction.UNDO: any(_may_be_undone(notice, record) for notice in end.notices),
        ReplyAction.CONTINUE: is_answer and end.reason.is_continuable and is_newest,
        ReplyAction.REGENERATE: not has_acted,
        ReplyAction.PREVIOUS: record.has_previous,
        ReplyAction.NEXT: record.has_next,
        ReplyAction.DETAILS: calls_made(record.calls) > 0,
        ReplyAction.CANVAS: has_canvases and is_long and is_newest,
        ReplyAction.TABLES: is_answer and may_have_tables(text),
        ReplyAction.REGENERATE_WITH: is_answer and not has_acted and end.effort != Effort.THOROUGH,
        # A second press of Stop would be a vote, and half an answer says little about the whole.
        ReplyAction.FEEDBACK: is_answer and not end.reason.is_stop,
        ReplyAction.DELETE: True,
    }
    return tuple(action for action in BELOW_ANSWERS if is_offered[action])
