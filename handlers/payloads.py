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
    return _message(body, event, subtype)


def changed_in(body: Mapping[str, Any]) -> tuple[Message, Message | None]:
    """What a message was, and is now, in an event of subtype message_changed or message_deleted."""
    event = body["event"]
    where = {name: event[name] for name in ("channel", "channel_type") if name in event}
    before = {"ts": event.get("deleted_ts", ""), **(event.get("previous_message") or {}), **where}
    after = {**event["message"], **where} if "message" in event else None
    now = None if after is None else _message(body, after, after.get("subtype"))
    return _message(body, before, before.get("subtype")), now


def _message(body: Mapping[str, Any], event: Mapping[str, Any], subtype: str | None) -> Message:
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
