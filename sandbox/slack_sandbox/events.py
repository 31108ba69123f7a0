"""The Events API: turns changes of the workspace into the payloads that the app receives."""

import itertools
import random
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Literal

from slack_sandbox.blocks.stored import with_new_block_ids
from slack_sandbox.wire import message_json, team_of
from slack_sandbox.workspace import (
    APP_ID,
    TEAM_ID,
    Change,
    Changed,
    Channel,
    ChannelType,
    Deleted,
    Joined,
    Json,
    Message,
    Posted,
    Reacted,
    TombstoneRemoved,
    Workspace,
)

TwinOrder = Literal["mention_first", "message_first", "either"]

_MESSAGE_EVENTS: dict[ChannelType, str] = {
    "channel": "message.channels",
    "group": "message.groups",
    "im": "message.im",
    "mpim": "message.mpim",
}
EVENTS = frozenset({"app_mention", *_MESSAGE_EVENTS.values()})
_NOT_IN_MENTIONS = ("subtype", "root")


@dataclass
class Events:
    """Builds payloads for the events that the app is subscribed to.

    A message that mentions the app is sent twice, as `message` and as `app_mention`, in the order set by `twin_order`.
    """

    workspace: Workspace
    subscribed: AbstractSet[str] = EVENTS
    twin_order: TwinOrder = "either"
    chooser: random.Random = field(default_factory=random.Random)
    pane_fields: Callable[[Message], Json] = lambda message: {}
    """Returns the extra fields of a person's message to an app with an assistant pane (panes.py)."""

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)

    def payloads(self, change: Change) -> list[Json]:
        """Returns a change's payloads, in the order of delivery. There are none if the app isn't subscribed to the
        event, or isn't a member of the channel."""
        match change:
            case Posted(message) | Changed(message) | Deleted(message) if message.ephemeral_to is not None:
                events: list[Json] = []
            case Posted(message) if message.subtype == "assistant_app_thread":
                # The app gets assistant_thread_started instead.
                events = []
            case Posted(message):
                events = self._posted_events(message)
            case Changed(message, previous) if message == replace(previous, session=message.session) != previous:
                events = self._edit_events(message.channel, self._metadata_of_root(message, previous))
            case Changed(message, previous, announced=True):
                edit = self._edit_events(message.channel, self._changed_event(message, previous))
                events = self._with_mention(edit, self._edited_mention(change))
            case Deleted(message):
                before = message_json(self.workspace, message)
                deleted = {"subtype": "message_deleted", "deleted_ts": message.ts, "previous_message": before}
                events = self._edit_events(message.channel, deleted)
            case TombstoneRemoved(message):
                removed = {"subtype": "message_changed", "message": message_json(self.workspace, message)}
                events = self._edit_events(message.channel, removed | {"previous_message": []})
            case Reacted():
                events = self._reaction_events(change)
            case Joined():
                events = self._joined_events(change)
            case _:
                events = []
        return [self._payload(event) for event in events]

    def payload(self, event: Json, person_id: str | None) -> Json | None:
        """Returns the payload for an event other than a message, or None if the app isn't subscribed to it."""
        return self._payload(event, person_id) if event["type"] in self.subscribed else None

    def _posted_events(self, message: Message) -> list[Json]:
        channel = self.workspace.channel(message.channel)
        events = []
        if self._has_joined(channel) and _MESSAGE_EVENTS[channel.type] in self.subscribed:
            pane_fields = self._pane_fields(message) if channel.type == "im" else {}
            events.append(self._message_event(message) | {"channel_type": channel.type} | pane_fields)
        mention = [self._mention_event(message)] if self._mentions_app(message) else []
        return [*self._with_mention(events, mention), *self._events_after_reply(message)]

    def _events_after_reply(self, message: Message) -> list[Json]:
        """Returns the events that follow a reply: one for the broadcast, and one for the root with its new counters."""
        events: list[Json] = []
        if message.subtype == "thread_broadcast":
            events += self._edit_events(message.channel, self._changed_event(message, message))
        if message.thread_ts is not None:
            root = self.workspace.message(message.channel, message.thread_ts)
            if root.session is not None:
                events += self._edit_events(message.channel, self._metadata_of_root(root, root))
        return events

    def _with_mention(self, events: list[Json], mention: list[Json]) -> list[Json]:
        return [*mention, *events] if events and mention and self._sends_mention_first() else [*events, *mention]

    def _edited_mention(self, changed: Changed) -> list[Json]:
        """Returns the app_mention event for an edited message that mentions the app, with the original ts and the new
        text."""
        message = changed.message
        is_edit = message.edited_ts is not None and message.edited_ts != changed.previous.edited_ts
        return [self._mention_event(message)] if is_edit and self._mentions_app(message) else []

    def _message_event(self, message: Message) -> Json:
        return _event_message(message_json(self.workspace, message)) | {
            "channel": message.channel,
            "event_ts": message.ts,
        }

    def _mention_event(self, message: Message) -> Json:
        fields = {key: value for key, value in self._message_event(message).items() if key not in _NOT_IN_MENTIONS}
        return fields | {"type": "app_mention"} | self._pane_fields(message)

    def _pane_fields(self, message: Message) -> Json:
        return self.pane_fields(message) if message.client_msg_id else {}

    def _has_joined(self, channel: Channel) -> bool:
        return self.workspace.bot.id in channel.members

    def _mentions_app(self, message: Message) -> bool:
        channel = self.workspace.channel(message.channel)
        # Slack doesn't send app_mention for direct messages, private channels without the app, or the app's own
        # messages.
        if "app_mention" not in self.subscribed or channel.type == "im" or message.user_id == self.workspace.bot.id:
            return False
        can_be_sent = self._has_joined(channel) or channel.type == "channel"
        return can_be_sent and f"<@{self.workspace.bot.id}>" in message.text

    def _sends_mention_first(self) -> bool:
        if self.twin_order == "either":
            return self.chooser.random() < 0.5
        return self.twin_order == "mention_first"

    def _edit_events(self, channel_id: str, event: Json) -> list[Json]:
        channel = self.workspace.channel(channel_id)
        if not self._has_joined(channel) or _MESSAGE_EVENTS[channel.type] not in self.subscribed:
            return []
        ts = self.workspace.next_ts()
        location = {
            "channel": channel.id,
            "channel_type": channel.type,
            "ts": ts,
            "event_ts": ts,
            "hidden": True,
        }
        return [{"type": "message"} | event | location]

    def _changed_event(self, message: Message, previous: Message) -> Json:
        fields = message_json(self.workspace, message)
        if "user" in fields.get("edited", ()):
            team = team_of(self.workspace, message.user_id)
            fields |= {"source_team": team, "user_team": team}
        before = _event_message(message_json(self.workspace, previous))
        return {"subtype": "message_changed", "message": fields, "previous_message": before}

    def _metadata_of_root(self, message: Message, previous: Message) -> Json:
        event = self._changed_event(message, previous)
        if message.blocks:
            event["message"]["blocks"] = with_new_block_ids(event["message"]["blocks"])
        if "reply_count" in event["previous_message"]:
            event["previous_message"]["subscribed"] = False
        return event

    def _reaction_events(self, change: Reacted) -> list[Json]:
        message, kind = change.message, "reaction_added" if change.added else "reaction_removed"
        if not self._has_joined(self.workspace.channel(message.channel)) or kind not in self.subscribed:
            return []
        event = {
            "type": kind,
            "user": change.user_id,
            "reaction": change.name,
            "item": {"type": "message", "channel": message.channel, "ts": message.ts},
            "item_user": message.user_id,
            "event_ts": self.workspace.next_ts(),
        }
        return [event]

    def _joined_events(self, change: Joined) -> list[Json]:
        channel = self.workspace.channel(change.channel)
        if "member_joined_channel" not in self.subscribed or not self._has_joined(channel):
            return []
        kind = "C" if channel.type == "channel" else "G"
        place = {"channel": channel.id, "channel_type": kind, "team": team_of(self.workspace, change.user_id)}
        inviter = {"inviter": change.inviter_id} if change.inviter_id else {}
        event = {"type": "member_joined_channel", "user": change.user_id, **place, **inviter}
        return [{**event, "event_ts": self.workspace.next_ts()}]

    def _payload(self, event: Json, person_id: str | None = None) -> Json:
        number = next(self._numbers)
        authorization = {
            "enterprise_id": None,
            "team_id": TEAM_ID,
            "user_id": person_id or self.workspace.bot.id,
            "is_bot": person_id is None,
            "is_enterprise_install": False,
        }
        payload = {
            "token": "sandbox",
            "team_id": self._author_team_id(event),
            "api_app_id": APP_ID,
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{number:010d}",
            "event_time": int(time.time()),
            "authorizations": [authorization],
            "is_ext_shared_channel": self._is_shared(event),
            "event_context": f"4-sandbox-{number}",
        }
        if event["type"] in ("message", "file_change"):
            payload |= {"context_team_id": TEAM_ID, "context_enterprise_id": None}
        return payload

    def _author_team_id(self, event: Json) -> str:
        """Returns a payload's team_id, which identifies the author's organization. The recipient is in
        `authorizations`."""
        message = event.get("message") or event.get("previous_message") or event
        return team_of(self.workspace, str(message.get("user")))

    def _is_shared(self, event: Json) -> bool:
        holder = event.get("item") or event
        channel = self.workspace.channels.get(str(holder.get("channel")))
        return channel is not None and channel.shared_with is not None


def _event_message(message: Json) -> Json:
    """Returns a message as it appears in an event. An open stream is empty until it ends."""
    if message.get("streaming_state") != "in_progress":
        return message
    return {key: value for key, value in message.items() if key != "blocks"} | {"text": ""}
