"""Parses Slack's payloads into our types."""

from collections.abc import Mapping
from typing import Any

from bot.core.conversation import Message, ThreadKey
from bot.core.reply.actions import ReplyAction
from bot.core.slash_command import TypedCommand
from bot.services.reply_actions import Press
from bot.services.slash_commands import Invocation
from bot.slack.format.files import files_of
from bot.slack.format.message_text import app_name, attached_to, body_of


def message_of(event: Mapping[str, Any], team_id: str) -> Message:
    """Returns the message in an event of type app_mention or message.

    `team_id` is the bot's: in a channel shared by Slack Connect, the envelope and the message name the workspace that
    hosts the channel, or the writer's.
    """
    root = event.get("root") or {}
    return Message(
        team_id=team_id,
        channel_id=event["channel"],
        ts=event["ts"],
        text=body_of(event),
        attached=attached_to(event),
        channel_type=event.get("channel_type", "channel"),
        thread_ts=event.get("thread_ts"),
        user_id=event.get("user"),
        bot_id=event.get("bot_id"),
        app_name=app_name(event),
        # Only people's own clients give messages an id.
        by_app="app_id" in event and "client_msg_id" not in event,
        subtype=event.get("subtype"),
        parent_user_id=event.get("parent_user_id") or root.get("user"),
        files=files_of(event),
    )


def action_token_of(event: Mapping[str, Any]) -> str:
    """Returns the token with which Slack can be searched for the message's author, "" if there is none.

    Slack documents it at the top of the event, and was seen to send it in assistant_thread.
    """
    thread = event.get("assistant_thread")
    nested = thread.get("action_token") if isinstance(thread, Mapping) else None
    token = nested or event.get("action_token")
    return token if isinstance(token, str) else ""


def messages_of_edit(event: Mapping[str, Any], team_id: str) -> tuple[Message, Message | None]:
    """Returns a message before and after an edit, in an event of subtype message_changed or message_deleted."""
    where = {name: event[name] for name in ("channel", "channel_type") if name in event}
    # When the last reply below a tombstone is deleted, Slack sends an empty list as the previous message.
    before = {"ts": event.get("deleted_ts", ""), **(event.get("previous_message") or {}), **where}
    after = message_of({**event["message"], **where}, team_id) if "message" in event else None
    return message_of(before, team_id), after


def invocation_of_command(command: Mapping[str, Any]) -> Invocation:
    """Returns who used the slash command, and where."""
    return Invocation(command["user_id"], command["channel_id"], command["trigger_id"], command["response_url"])


def command_of(command: Mapping[str, Any]) -> TypedCommand:
    """Returns what somebody typed: the command's name, as the manifest has it, and the text behind it."""
    return TypedCommand(command["command"], command.get("text") or "")


def invocation_of_shortcut(shortcut: Mapping[str, Any]) -> Invocation:
    """Returns who used the message shortcut, and where."""
    user_id, channel_id = shortcut["user"]["id"], shortcut["channel"]["id"]
    return Invocation(user_id, channel_id, shortcut["trigger_id"], shortcut["response_url"])


def message_of_shortcut(shortcut: Mapping[str, Any], team_id: str) -> Message:
    """Returns the message that the shortcut was used on; `team_id` is the bot's."""
    return message_of({**shortcut["message"], "channel": shortcut["channel"]["id"]}, team_id)


def channel_in_view(holder: Mapping[str, Any]) -> str:
    """Returns the channel that a person views beside the pane, "" if none; events of both views are understood."""
    context = holder.get("context") or {}
    if "channel_id" in context:
        return str(context["channel_id"])
    for entity in context.get("entities") or ():
        match entity:
            case {"type": "slack#/types/channel_id", "value": str(channel_id)}:
                return channel_id
            case {"type": "slack#/types/message_context", "value": {"channel_id": str(channel_id)}}:
                return channel_id
    return ""


def press_of(body: Mapping[str, Any], team_id: str) -> Press:
    """Returns the press of a button, in a payload of type block_actions."""
    action, container = body["actions"][0], body.get("container", {})
    message_ts = str(container.get("message_ts", ""))
    thread_ts = container.get("thread_ts") or body.get("message", {}).get("thread_ts")
    channel_id = str(container.get("channel_id") or body.get("channel", {}).get("id", ""))
    return Press(
        action=ReplyAction(action["action_id"]),
        # In a direct message, a message with replies names itself as the root of its thread.
        thread=ThreadKey(team_id, channel_id, thread_ts if thread_ts != message_ts else None),
        message_ts=message_ts,
        user_id=body["user"]["id"],
        value=str(action.get("value", "")),
        private=bool(container.get("is_ephemeral")),
        response_url=str(body.get("response_url", "")),
        trigger_id=str(body.get("trigger_id", "")),
    )
