"""Slack's payloads as our types."""

from collections.abc import Mapping
from typing import Any

from bot.core.conversation import Message
from bot.core.files import files_of
from bot.core.reading import app_name, attached_to, body_of


def message_of(body: Mapping[str, Any]) -> Message:
    """The message in an event_callback of type app_mention or message."""
    event = body["event"]
    # An edit that adds a mention comes as an app_mention of its own: it is an edit like any other.
    subtype = "message_changed" if "edited" in event else event.get("subtype")
    return Message(
        team_id=str(body.get("team_id") or event.get("team") or ""),
        channel_id=event["channel"],
        ts=event["ts"],
        text=body_of(event),
        attached=attached_to(event),
        channel_type=event.get("channel_type", "channel"),
        thread_ts=event.get("thread_ts"),
        user_id=event.get("user"),
        bot_id=event.get("bot_id"),
        app_name=app_name(event),
        subtype=subtype,
        parent_user_id=event.get("parent_user_id"),
        files=files_of(event),
    )
