"""Slack's payloads as our types."""

from collections.abc import Mapping
from typing import Any

from bot.controls import Press
from bot.core.answering.controls import Control
from bot.core.asking.files import files_of
from bot.core.asking.reading import app_name, attached_to, body_of
from bot.core.conversation import Message, ThreadKey
from bot.desk import Visit


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


def visit_of_command(command: Mapping[str, Any]) -> Visit:
    """Who wrote /typist, and where."""
    return Visit(command["user_id"], command["channel_id"], command["trigger_id"], command["response_url"])


def visit_of_shortcut(shortcut: Mapping[str, Any]) -> Visit:
    """Who used a message's shortcut, and where."""
    user_id, channel_id = shortcut["user"]["id"], shortcut["channel"]["id"]
    return Visit(user_id, channel_id, shortcut["trigger_id"], shortcut["response_url"])


def message_of_shortcut(shortcut: Mapping[str, Any]) -> Message:
    """The message that a shortcut was used on."""
    return message_of({"event": {**shortcut["message"], "channel": shortcut["channel"]["id"]}})


def looked_at(holder: Mapping[str, Any]) -> str:
    """The channel that a person looks at, "" where they look at none: in the form of either view's events."""
    context = holder.get("context") or {}
    entities = context.get("entities") or ()
    found = (each["value"] for each in entities if each.get("type") == "slack#/types/channel_id")
    return str(context.get("channel_id") or next(found, ""))


def press_of(body: Mapping[str, Any], team_id: str) -> Press:
    """The button that was pressed, in a payload of type block_actions."""
    action, container = body["actions"][0], body.get("container", {})
    message_ts = str(container.get("message_ts", ""))
    thread_ts = container.get("thread_ts") or body.get("message", {}).get("thread_ts")
    channel_id = str(container.get("channel_id") or body.get("channel", {}).get("id", ""))
    return Press(
        control=Control(action["action_id"]),
        # A direct message that somebody answered in a thread names itself as that thread's root.
        thread=ThreadKey(team_id, channel_id, thread_ts if thread_ts != message_ts else None),
        message_ts=message_ts,
        user_id=body["user"]["id"],
        value=str(action.get("value", "")),
        private=bool(container.get("is_ephemeral")),
        response_url=str(body.get("response_url", "")),
    )
