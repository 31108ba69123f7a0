"""The blocks of the Python sample bots, and the manifest of all sample bots."""

from typing import Any

from slack_sandbox.testing.bolt import actions, button, option, plain
from slack_sandbox.testing.manifests import manifest
from slack_sandbox.workspace import Json

CITIES = ("Berlin", "Bergen", "Oslo")
MANIFEST = manifest(
    {
        "slash_commands": [
            {"command": "/echo", "description": "Repeats what you say", "usage_hint": "words"},
            {"command": "/order", "description": "Orders something"},
        ]
    },
    [
        *("app_mentions:read", "channels:history", "channels:read", "chat:write", "commands", "files:write"),
        *("reactions:read", "users:read", "users:read.email"),
    ],
    ["app_mention", "message.channels", "reaction_added"],
)


def greeting(user_id: str) -> list[Json]:
    """Returns a message with a button."""
    return [section(f"Hello <@{user_id}>"), actions(button("wave", "waved"))]


def section(text: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def order_form() -> Json:
    """Returns a modal with a text field and an external menu."""
    return {
        "type": "modal",
        "callback_id": "order",
        "title": plain("Order"),
        "submit": plain("Send"),
        "blocks": [
            _input("what", "What", {"type": "plain_text_input", "action_id": "what"}),
            _input("where", "Where", {"type": "external_select", "action_id": "city", "min_query_length": 1}),
        ],
    }


def cities(typed: str) -> list[Json]:
    """Returns the options that begin with the typed text."""
    return [option(city) for city in CITIES if city.lower().startswith(typed.lower())]


def order(view: Json) -> str:
    """Returns the text of an order."""
    values = view["state"]["values"]
    return f"{values['what']['what']['value']} to {values['where']['city']['selected_option']['value']}"


def names(page: Any) -> str:
    return " ".join(channel["name"] for channel in page["channels"])


def _input(block_id: str, label: str, element: Json) -> Json:
    return {"type": "input", "block_id": block_id, "label": plain(label), "element": element}
