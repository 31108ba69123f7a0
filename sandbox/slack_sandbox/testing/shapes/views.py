"""Views. A modal's shape is recorded; a Home tab's is from the docs."""

from slack_sandbox.testing.shapes.blocks import BLOCK, OPTION, PLAIN_TEXT
from slack_sandbox.testing.shapes.messages import APP, BOT, TEAM
from slack_sandbox.testing.shapes.shape import ByType, Shape

HELD = ByType(
    {
        "plain_text_input": {"value": (None, str)},
        "number_input": {"value": (None, str)},
        "static_select": {"selected_option": (None, OPTION)},
        "radio_buttons": {"selected_option": (None, OPTION)},
        "checkboxes": {"selected_options": [OPTION]},
        "users_select": {"selected_user": (None, str)},
    }
)
"""A field's value, in `state.values` by block_id and action_id."""
VIEW: Shape = {
    "id": str,
    "team_id": TEAM,
    "type": ("modal", "home"),
    "blocks": [BLOCK],
    "private_metadata": str,
    "callback_id": str,
    "state": {"values": dict},
    "hash": str,
    "submit_disabled?": bool,
    "title": (PLAIN_TEXT, None),
    "clear_on_close": bool,
    "notify_on_close": bool,
    "close": (PLAIN_TEXT, None),
    "submit": (PLAIN_TEXT, None),
    "previous_view_id": (None, str),
    "root_view_id": str,
    "app_id": APP,
    "external_id": str,
    "app_installed_team_id": TEAM,
    "bot_id": BOT,
}
