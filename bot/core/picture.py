"""Computes the notices and buttons below a finished answer from its record. Pure.

Every path calls `picture`: showing an end at once or later, switching versions, and updating an answer after a change.
Code that changes the record only calls `changed` (bot/store/outbox.py), and never decides what to do in Slack.

A notice about a new memory or schedule is shown for as long as that memory or schedule exists. A button is shown if
clicking it would do something. `refusal` checks the same picture, so every visible button works, and outdated ones
don't.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.core import texts
from bot.core.actions import CALL_ACTIONS, OPTIONAL_ACTIONS, ReplyAction
from bot.core.asks import ApprovalCard, approval_card
from bot.core.calls import (
    CallState,
    DecidedCalls,
    Decision,
    card_types,
    count_made_calls,
    decisions_by_button,
    has_decided_proposal,
)
from bot.core.job import AnswerRecord, End, NoticeKind
from bot.core.tables import might_have_tables
from bot.errors import EndReason
from bot.models.events import Citation
from bot.models.prompt import Effort

CANVAS_MIN_CHARS = 3_000
"""Minimum length of an answer with a canvas button. Shorter answers are easier to read in the thread."""
_NEEDS_TEXT = (
    ReplyAction.CONTINUE,
    ReplyAction.CANVAS,
    ReplyAction.TABLES,
    ReplyAction.SEND_TO_CHANNEL,
    ReplyAction.REGENERATE_WITH,
    ReplyAction.KEEP_TEST,
    ReplyAction.FEEDBACK,
)
_EMPTY_WITHOUT_TEXT = (EndReason.WHOLE, EndReason.NOTHING_ASKED)
_UNDONE_TEXTS = {
    NoticeKind.REMEMBERED: texts.memory.UNDONE,
    NoticeKind.FORGOTTEN: texts.memory.RESTORED,
    NoticeKind.SCHEDULED: texts.schedules.SCHEDULE_STOPPED,
    NoticeKind.STOPPED: texts.schedules.RESTORED,
}
"""The text that replaces a notice after someone has undone its action."""
_UNDO_KINDS = (NoticeKind.REMEMBERED, NoticeKind.FORGOTTEN, NoticeKind.STOPPED)
"""Notices with an Undo button. A new schedule has a Stop button instead."""
_WITHOUT_QUESTION = (ReplyAction.UNDO, ReplyAction.DETAILS, ReplyAction.FEEDBACK, ReplyAction.DELETE)
_FOLLOW_UP_ACTIONS = (ReplyAction.DELETE, ReplyAction.FEEDBACK_REASON)
"""Clicks that follow another click, allowed even if the answer has changed: confirming Delete, and a vote's reason."""


@dataclass(frozen=True, slots=True)
class Picture:
    reason: EndReason | None = None
    notices: tuple[str, ...] = field(default=(), repr=False)
    footer: str = ""
    sources: Sequence[Citation] = ()
    decisions: tuple[DecidedCalls, ...] = ()
    choices: tuple[str, ...] = field(default=(), repr=False)
    chosen_choice: str = field(default="", repr=False)
    buttons: tuple[ReplyAction, ...] = ()
    """The buttons, in display order. Stop is left out if Slack shows its own Stop button, or if a card has a button to
    decline."""
    asks: tuple[ApprovalCard, ...] = ()
    was_replied_to: bool = False
    """Whether the asker wrote a message instead of deciding on calls. A notice then explains the end."""
    schedule_id: int = 0
    has_menu: bool = False
    """Whether most buttons are in a menu, because the conversation continues below."""

    @property
    def notice(self) -> str:
        return " ".join(filter(None, self.notices))

    @property
    def actions(self) -> frozenset[ReplyAction]:
        chooses = (ReplyAction.CHOOSE,) if self.choices else ()
        return frozenset(
            (*self.buttons, *chooses, *_FOLLOW_UP_ACTIONS, *(one for ask in self.asks for one in ask.actions))
        )

    @property
    def completeness(self) -> str:
        """The label of an incomplete answer, or "" if the answer is complete or hasn't ended."""
        if self.reason is None or self.was_replied_to:
            return ""
        if self.reason.is_stop:
            return texts.answers.FOOTER_STOPPED
        is_cut = self.reason in (EndReason.LENGTH_LIMIT, EndReason.STEP_LIMIT, EndReason.SHUT_OUT)
        return texts.answers.FOOTER_INCOMPLETE if is_cut or self.reason.is_failure else ""

    def with_names(self, names: Mapping[str, str], admins: Sequence[str]) -> "Picture":
        """Returns the picture with the names of deciders and admins, because mentions would notify them every time."""
        decided = tuple(replace(one, name=names.get(one.user_id, one.user_id)) for one in self.decisions)
        named = [names[admin] for admin in admins if admin in names]
        notices = tuple(texts.access.with_admins(notice, named) for notice in self.notices)
        return replace(self, decisions=decided, notices=notices)

    def user_ids_to_name(self, admins: Collection[str]) -> list[str]:
        decider_ids = [one.user_id for one in self.decisions if one.user_id]
        asks_admin = any(map(texts.access.mentions_an_admin, self.notices))
        return [*decider_ids, *(admins if asks_admin else ())]

    @property
    def without_text(self) -> "Picture":
        left = () if self.reason in _EMPTY_WITHOUT_TEXT else (one for one in self.buttons if one not in _NEEDS_TEXT)
        return replace(self, notices=(texts.answers.STUCK,), sources=(), choices=(), buttons=tuple(left))


def picture(record: AnswerRecord, *, optional: Collection[ReplyAction] = ()) -> Picture:
    """Computes the content to show below an answer from its record.

    `optional`: the OPTIONAL_ACTIONS that are available.
    """
    end, calls = record.end, record.calls
    if record.is_deleted:
        return Picture()
    if record.state.is_live:
        waiting = [call for call in calls if call.state is CallState.ASKED]
        asks = tuple(approval_card(call, calls, record.version, record.waits_until) for call in waiting)
        return Picture(buttons=(ReplyAction.STOP,), asks=asks)
    if end is None:
        return Picture()
    has_acted = record.has_acted or end.reason is EndReason.COMMAND or has_decided_proposal(record.calls)
    buttons = _reply_buttons(end, record, has_acted=has_acted)
    buttons = tuple(one for one in buttons if one in optional or one not in OPTIONAL_ACTIONS)
    notices = [_UNDONE_TEXTS[notice.kind] if notice in record.undone_notices else notice.text for notice in end.notices]
    if record.is_edited:
        is_offered = ReplyAction.REGENERATE in buttons
        notices += [texts.answers.QUESTION_EDITED, texts.answers.REGENERATE_ANSWERS_IT if is_offered else ""]
    was_replied_to = end.reason is EndReason.STOPPED and bool(card_types(record.calls, Decision.REPLIED))
    is_current = not (record.has_next or record.is_edited) and record.chosen_choice is None
    made = [one.number for one in end.notices if one.kind is NoticeKind.SCHEDULED and one not in record.undone_notices]
    schedules = [number for number in made if number not in record.finished_schedules]
    return Picture(
        end.reason,
        notices=tuple(filter(None, notices)),
        footer="" if was_replied_to else end.footer,
        sources=end.sources,
        decisions=decisions_by_button(calls) if calls else (),
        choices=end.choices if is_current and not record.is_expired else (),
        chosen_choice=record.chosen_choice or "",
        buttons=buttons,
        was_replied_to=was_replied_to,
        schedule_id=schedules[-1] if schedules else 0,
        has_menu=record.is_followed and end.reason is not EndReason.OFFERED,
    )


def _reply_buttons(end: End, record: AnswerRecord, *, has_acted: bool) -> tuple[ReplyAction, ...]:
    text, is_emptied = record.text, record.is_emptied
    has_text = bool(text.strip())
    if end.reason is EndReason.DENIED or (end.reason in _EMPTY_WITHOUT_TEXT and not (has_text or is_emptied)):
        return ()
    if end.reason is EndReason.OFFERED:
        return () if record.is_expired else (ReplyAction.REGENERATE,)
    # Command output can't be rated or regenerated with more thinking.
    is_answer = has_text and end.reason is not EndReason.COMMAND
    is_rated = is_answer or (is_emptied and end.model is not None)
    is_newest = not record.has_next
    is_whole = record.is_whole and is_newest
    can_repeat = not (has_acted or end.reason is EndReason.MISALIGNED)
    can_undo = any(notice.kind in _UNDO_KINDS and notice not in record.undone_notices for notice in end.notices)
    is_offered = {
        ReplyAction.UNDO: is_emptied or can_undo,
        ReplyAction.CONTINUE: is_answer and end.reason.is_continuable and is_newest,
        ReplyAction.REGENERATE: can_repeat,
        ReplyAction.PREVIOUS: record.has_previous,
        ReplyAction.NEXT: record.has_next,
        ReplyAction.DETAILS: count_made_calls(record.calls) > 0,
        ReplyAction.CANVAS: is_whole and len(text) >= CANVAS_MIN_CHARS,
        ReplyAction.TABLES: is_answer and might_have_tables(text),
        ReplyAction.SEND_TO_CHANNEL: is_whole and not record.question.thread.in_direct_message,
        ReplyAction.REGENERATE_WITH: is_answer and can_repeat and end.effort != Effort.THOROUGH,
        # A second click on Stop would become a vote, and half an answer says little about the whole.
        ReplyAction.FEEDBACK: is_rated and not end.reason.is_stop,
        ReplyAction.KEEP_TEST: is_whole,
        ReplyAction.DELETE: True,
    }
    left = _WITHOUT_QUESTION if record.is_expired else is_offered
    return tuple(action for action, offered in is_offered.items() if offered and action in left)


def allowed_user_ids(
    action: ReplyAction, asker: str, admins: Collection[str], ask: ApprovalCard | None = None
) -> frozenset[str] | None:
    """Returns the IDs of the people who can click a button, or None if everyone can. `ask`: the approval request that
    the button belongs to."""
    # Only the asker can use their account. Admins can deny the call.
    if ask and (ask.is_proposal or (ask.uses_own_account and action is not ReplyAction.DENY)):
        return frozenset((asker,))
    if action is ReplyAction.ALLOW_ALWAYS:
        return frozenset(admins)
    return frozenset((asker, *admins)) if action in texts.actions.ONLY_ASKER else None


def refusal(action: ReplyAction, record: AnswerRecord | None, user_id: str, admins: Collection[str]) -> str | None:
    """Returns the sentence that tells a person why an action is refused, or None if it is currently allowed."""
    if record is None:
        return texts.actions.ANSWER_UNKNOWN
    if record.is_deleted:
        return texts.actions.ANSWER_DELETED
    allowed = allowed_user_ids(action, record.question.user_id, admins)
    if allowed is not None and user_id not in allowed:
        if action is ReplyAction.ALLOW_ALWAYS:
            return texts.approvals.ONLY_ADMIN_ALLOWS
        is_offer = action is ReplyAction.REGENERATE and record.end and record.end.reason is EndReason.OFFERED
        does = f"press {texts.actions.ANSWER_NOW}" if is_offer else texts.actions.ONLY_ASKER[action]
        return texts.actions.only_asker(record.question.user_id, does)
    # The service refuses the action if the workspace doesn't support it.
    if action in picture(record, optional=OPTIONAL_ACTIONS).actions:
        return None
    if action in CALL_ACTIONS:
        return texts.accounts.NOTHING_WAITS if action is ReplyAction.SIGN_IN else texts.approvals.NOTHING_TO_DECIDE
    if record.state.is_live:
        return texts.actions.ANSWER_UNFINISHED
    outdated = texts.actions.QUESTION_EXPIRED if record.is_expired else texts.actions.BUTTON_OUTDATED
    undone = dict.fromkeys(_UNDONE_TEXTS[notice.kind] for notice in record.undone_notices)
    return (" ".join(undone) if action is ReplyAction.UNDO else "") or outdated
