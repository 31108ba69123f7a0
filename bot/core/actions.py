"""Reply actions: what a reply's buttons do. bot/core/picture.py decides when each is shown. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from bot.core import texts
from bot.core.conversation import ThreadKey
from bot.core.job import NO_WISH, Wish
from bot.models.prompt import Effort


class ReplyAction(StrEnum):
    """A button's action. The value is the button's action_id in Slack."""

    STOP = "stop"
    REGENERATE = "regenerate"
    REGENERATE_WITH = "regenerate_with"
    """Think longer."""
    CONTINUE = "continue"
    PREVIOUS = "previous"
    NEXT = "next"
    FEEDBACK = "feedback"
    FEEDBACK_REASON = "feedback_reason"
    """One of several buttons: a DownReason is appended to the action_id."""
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
    """One of several buttons: a number is appended to the action_id, because each button needs a unique one."""
    CANVAS = "canvas"
    TABLES = "tables"
    UNDO = "undo"


LABELS = {
    ReplyAction.STOP: texts.actions.STOP,
    ReplyAction.UNDO: texts.memory.UNDO,
    ReplyAction.CONTINUE: texts.actions.CONTINUE,
    ReplyAction.REGENERATE: texts.actions.REGENERATE,
    ReplyAction.PREVIOUS: texts.actions.PREVIOUS,
    ReplyAction.NEXT: texts.actions.NEXT,
    ReplyAction.DETAILS: texts.actions.DETAILS,
    ReplyAction.CANVAS: texts.canvases.SAVE,
    ReplyAction.TABLES: texts.actions.TABLES,
    ReplyAction.REGENERATE_WITH: texts.actions.THINK_LONGER,
}
"""The buttons that only have a label. bot/reply/blocks.py has the others."""
WISHES = {
    ReplyAction.REGENERATE: NO_WISH,
    ReplyAction.REGENERATE_WITH: Wish(effort=Effort.THOROUGH),
    ReplyAction.CONTINUE: Wish(continues=True),
}
"""The buttons that request another version of an answer, and the wish that each one sends."""
ABOUT_ONE_CALL = (
    ReplyAction.APPROVE,
    ReplyAction.DENY,
    ReplyAction.SIGN_IN,
    ReplyAction.EDIT,
    ReplyAction.ALLOW_ALWAYS,
    ReplyAction.ALLOW_IN_THREAD,
    ReplyAction.ARGUMENTS,
)
"""The buttons that identify a call that is waiting for a person."""
UP, DOWN = "up", "down"
VOTES = {UP: 1, DOWN: -1}
"""Feedback on an answer, by the value of its button in Slack."""


@dataclass(frozen=True, slots=True)
class ActionResponse:
    """The response to a click, which only the person who clicked can see."""

    sentence: str
    markdown: str = ""
    """The requested content, shown below the sentence."""
    undoes_stop: int = 0
    """The schedule that the click stopped. A button below the sentence restores it."""
    asks_why: str = ""
    """The ts of the message whose answer didn't help. Buttons below the sentence ask for the reason."""
    replaces: bool = False
    """Whether the response replaces the one whose button was clicked."""


@dataclass(frozen=True, slots=True)
class Press:
    """A click on a button below a reply."""

    action: ReplyAction
    thread: ThreadKey
    message_ts: str
    user_id: str
    value: str = ""
    response_url: str = ""
    """The URL for the response, which only this person sees."""
    trigger_id: str = ""
    """Allows opening a modal within three seconds."""
    in_modal: bool = False
    """Whether the button is in the modal that shows all arguments of a call."""
