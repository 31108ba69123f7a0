"""Interactive payloads and commands. Recorded, unless a comment says otherwise."""

from slack_sandbox.testing.shapes.blocks import OPTION, PLAIN_TEXT, URL
from slack_sandbox.testing.shapes.messages import APP, BY_APPS, BY_PEOPLE, CHANNEL, TEAM, TS, USER
from slack_sandbox.testing.shapes.shape import ByType, Shape
from slack_sandbox.testing.shapes.views import VIEW

_ENTERPRISE: Shape = {"id": TEAM, "name": str}
_TEAM: Shape = {"id": TEAM, "domain": str, "enterprise_id?": TEAM, "enterprise_name?": str}
_USER: Shape = {"id": USER, "username": str, "name": str, "team_id": TEAM}
_PLACE: Shape = {"id": CHANNEL, "name": str}
_BY: Shape = {
    "user": _USER,
    "team": _TEAM,
    "enterprise?": (None, _ENTERPRISE),
    "is_enterprise_install?": bool,
    "api_app_id": APP,
    "token": str,
    "trigger_id": str,
}
_NEVER = ("text", "bot_profile", "edited?", "reactions?")
_ACTED_ON = tuple(
    {key: shape for key, shape in kind.items() if key not in _NEVER} | {"text?": str, "thread_ts?": TS}
    for kind in (*BY_APPS, *BY_PEOPLE)
)
"""A message, excluding its edits, reactions and bot profile."""

_ACTION: Shape = {"action_id": str, "block_id": str, "action_ts": TS}
_PRESSED: Shape = {**_ACTION, "text": PLAIN_TEXT, "value?": str, "style?": ("primary", "danger")}
ACTION = ByType(
    {
        "button": _PRESSED,
        "icon_button": {**_PRESSED, "icon": str},  # docs
        "feedback_buttons": _PRESSED,  # docs
        "static_select": {**_ACTION, "selected_option": OPTION, "placeholder?": PLAIN_TEXT},
        "external_select": {**_ACTION, "selected_option": OPTION, "placeholder?": PLAIN_TEXT},  # docs
        "overflow": {**_ACTION, "selected_option": OPTION},  # docs
    }
)
_CONTAINER: Shape = {"type": "message", "message_ts": TS, "channel_id": CHANNEL, "is_ephemeral": bool, "thread_ts?": TS}
_PRESS: Shape = {
    "type": "block_actions",
    **_BY,
    "channel": _PLACE,
    "response_url": URL,
    "state?": {"values": dict},
    "actions": [ACTION],
}
PRESS: Shape = {**_PRESS, "container": {**_CONTAINER, "is_ephemeral": False}, "message": _ACTED_ON}
EPHEMERAL_PRESS: Shape = {**_PRESS, "container": {**_CONTAINER, "is_ephemeral": True}}
VIEW_PRESS: Shape = {  # docs
    "type": "block_actions",
    **_BY,
    "container": {"type": "view", "view_id": str},
    "view": VIEW,
    "state": {"values": dict},
    "actions": [ACTION],
}
SUBMISSION: Shape = {"type": "view_submission", **_BY, "view": VIEW, "response_urls": list}
CLOSED: Shape = {  # docs
    "type": "view_closed",
    "is_cleared": bool,
    "view": VIEW,
    **{key: shape for key, shape in _BY.items() if key != "trigger_id"},
}
SUGGESTION: Shape = {  # written by Slack for its SDK's tests; in a message: docs
    "type": "block_suggestion",
    **{key: shape for key, shape in _BY.items() if key != "trigger_id"},
    "container": ({"type": "view", "view_id": str}, _CONTAINER),
    "view?": VIEW,
    "channel?": _PLACE,
    "message?": _ACTED_ON,
    "action_id": str,
    "block_id": str,
    "value": str,
}
MESSAGE_ACTION: Shape = {
    "type": "message_action",
    "token": str,
    "action_ts": TS,
    "team": _TEAM,
    "user": {"id": USER, "name": str, "username?": str, "team_id?": TEAM},
    "channel": _PLACE,
    "callback_id": str,
    "trigger_id": str,
    "message_ts": TS,
    "message": _ACTED_ON,
    "response_url": URL,
}
SHORTCUT: Shape = {"type": "shortcut", **_BY, "callback_id": str, "action_ts": TS}  # docs
INTERACTIVE = (PRESS, EPHEMERAL_PRESS, VIEW_PRESS, SUBMISSION, CLOSED, MESSAGE_ACTION, SHORTCUT, SUGGESTION)

COMMAND: Shape = {
    "token": str,
    "team_id": TEAM,
    "team_domain": str,
    "channel_id": CHANNEL,
    "channel_name": str,
    "user_id": USER,
    "user_name": str,
    "command": str,
    "text": str,
    "api_app_id": APP,
    "is_enterprise_install": ("true", "false"),
    "response_url": URL,
    "trigger_id": str,
}
