"""Reply actions: what the buttons of a reply do. When each is there is up to bot/core/picture.py. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from bot.core.conversation import ThreadKey
from bot.core.job import NO_WISH, Wish
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
ABOUT_ONE_CALL = (
    ReplyAction.APPROVE,
    ReplyAction.DENY,
    ReplyAction.SIGN_IN,
    ReplyAction.EDIT,
    ReplyAction.ALLOW_ALWAYS,
    ReplyAction.ALLOW_IN_THREAD,
    ReplyAction.ARGUMENTS,
)
"""The buttons that name a call which waits for a person."""
UP, DOWN = "up", "down"
VOTES = {UP: 1, DOWN: -1}
"""Feedback on an answer, by the value of its button in Slack."""


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


@dataclass(frozen=True, slots=True)
class Press:
    """A press of a button below a reply."""

    action: ReplyAction
    thread: ThreadKey
    message_ts: str
    user_id: str
    value: str = ""
    response_url: str = ""
    """Where Slack takes the response, which only this person sees."""
    trigger_id: str = ""
    """Lets a modal be opened within three seconds."""
    in_modal: bool = False
    """The button is in the modal that shows all arguments of a call."""
