"""Reply actions: a reply's buttons, and clicks on them. bot/core/picture.py decides when each button is shown. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    CONTINUE = "continue"
    PREVIOUS = "previous"
    NEXT = "next"
    FEEDBACK = "feedback"
    FEEDBACK_REASON = "feedback_reason"
    """The action_id also contains a DownReason, because each reason has a separate button."""
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
    """The action_id also contains a number, because each choice has a separate button."""
    CANVAS = "canvas"
    TABLES = "tables"
    SEND_TO_CHANNEL = "send_to_channel"
    KEEP_TEST = "keep_test"
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
    ReplyAction.SEND_TO_CHANNEL: texts.notify.SEND_TO_CHANNEL,
    ReplyAction.REGENERATE_WITH: texts.actions.THINK_LONGER,
    ReplyAction.KEEP_TEST: texts.kept_tests.KEEP,
    ReplyAction.DELETE: texts.actions.DELETE,
}
"""Labels of buttons and menu items. Outside a menu, Delete has an icon (bot/reply/blocks.py)."""
OPTIONAL_ACTIONS = frozenset({ReplyAction.CANVAS, ReplyAction.SEND_TO_CHANNEL, ReplyAction.KEEP_TEST})
"""Buttons that a scope or a setting turns on."""
WISHES = {
    ReplyAction.REGENERATE: NO_WISH,
    ReplyAction.REGENERATE_WITH: Wish(effort=Effort.THOROUGH),
    ReplyAction.CONTINUE: Wish(continues=True),
}
CALL_ACTIONS = (
    ReplyAction.APPROVE,
    ReplyAction.DENY,
    ReplyAction.SIGN_IN,
    ReplyAction.EDIT,
    ReplyAction.ALLOW_ALWAYS,
    ReplyAction.ALLOW_IN_THREAD,
    ReplyAction.ARGUMENTS,
)
MORE = "more"
"""The action_id of the menu with an earlier answer's actions, and the `Press.value` of a click on one of its items."""
CONFIRMED = "confirmed"
"""The `Press.value` of a click on a button that confirms an action."""
UP, DOWN = "up", "down"
VOTES = {UP: 1, DOWN: -1}


@dataclass(frozen=True, slots=True)
class ActionResponse:
    """The response to a click, which only the person who clicked can see."""

    sentence: str
    markdown: str = ""
    follow_ups: Mapping[str, str] = field(default_factory=dict)
    """Labels of the buttons below the sentence, keyed by action_id. All of them have the same `value`: an answer's ts
    or a schedule's number.
    """
    value: str = ""
    replaces_response: bool = False
    """Whether the response replaces the one whose button was clicked."""


@dataclass(frozen=True, slots=True)
class Press:
    action: ReplyAction
    thread: ThreadKey
    message_ts: str
    user_id: str
    value: str = ""
    response_url: str = ""
    trigger_id: str = ""
    """Can be used to open a modal within three seconds of the click."""
    in_modal: bool = False
