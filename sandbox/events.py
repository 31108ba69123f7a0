"""The Events API: what an app is told of each change, as payloads."""

import itertools
import random
import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal

from sandbox.wire import message_json
from sandbox.workspace import (
    APP_ID,
    TEAM_ID,
    Change,
    Changed,
    Channel,
    ChannelType,
    Deleted,
    Json,
    Message,
    Posted,
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


@dataclass
class Events:
    """Makes payloads for the events that the app subscribed to."""

    workspace: Workspace
    subscribed: AbstractSet[str] = EVENTS
    twin_order: TwinOrder = "either"
    chooser: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)

    def payloads(self, change: Change) -> list[Json]:
        """What is delivered of a change, in order; none where the app has no part in it."""
        match change:
            case Posted(message) | Changed(message) | Deleted(message) if message.ephemeral_to is not None:
                events: list[Json] = []
            case Posted(message) if message.subtype == "assistant_app_thread":
                # Told by assistant_thread_started.
                events = []
            case Posted(message):
                events = self._posted(message)
            case Changed(message, previous, announced=True):
                events = self._edit(message.channel, self._changed(message, previous))
            case Deleted(message):
                events = self._edit(message.channel, self._deleted(message))
            case _:
                events = []
        return [self._payload(event) for event in events]

    def payload(self, event: Json) -> Json | None:
        """What is delivered of an event that is no message; None where the app has not subscribed to it."""
        return self._payload(event) if event["type"] in self.subscribed else None

    def _posted(self, message: Message) -> list[Json]:
        channel = self.workspace.channel(message.channel)
        joined = self.workspace.bot.id in channel.members
        said = message_json(self.workspace, message) | {"channel": channel.id, "event_ts": message.ts}
        events = []
        if joined and _MESSAGE_EVENTS[channel.type] in self.subscribed:
            events.append(said | {"channel_type": channel.type})
        if self._mentions(message, channel, joined):
            events.append({k: v for k, v in said.items() if k != "subtype"} | {"type": "app_mention"})
        if len(events) == 2 and self._mention_first():
            events.reverse()
        return events

    def _mentions(self, message: Message, channel: Channel, joined: bool) -> bool:
        # None in DMs, none from a private channel that the app is not in, none for the app's own words.
        if "app_mention" not in self.subscribed or channel.type == "im" or message.user_id == self.workspace.bot.id:
            return False
        return (joined or channel.type == "channel") and f"<@{self.workspace.bot.id}>" in message.text

    def _mention_first(self) -> bool:
        if self.twin_order == "either":
            return self.chooser.random() < 0.5
        return self.twin_order == "mention_first"

    def _edit(self, channel_id: str, event: Json) -> list[Json]:
        channel = self.workspace.channel(channel_id)
        joined = self.workspace.bot.id in channel.members
        if not joined or _MESSAGE_EVENTS[channel.type] not in self.subscribed:
            return []
        ts = self.workspace.next_ts()
        where = {
            "channel": channel.id,
            "channel_type": channel.type,
            "ts": ts,
            "event_ts": ts,
            "hidden": True,
        }
        return [{"type": "message"} | event | where]

    def _changed(self, message: Message, previous: Message) -> Json:
        return {
            "subtype": "message_changed",
            "message": message_json(self.workspace, message),
            "previous_message": message_json(self.workspace, previous),
        }

    def _deleted(self, message: Message) -> Json:
        return {
            "subtype": "message_deleted",
            "deleted_ts": message.ts,
            "previous_message": message_json(self.workspace, message),
        }

    def _payload(self, event: Json) -> Json:
        number = next(self._numbers)
        authorization = {
            "enterprise_id": None,
            "team_id": TEAM_ID,
            "user_id": self.workspace.bot.id,
            "is_bot": True,
            "is_enterprise_install": False,
        }
        return {
            "token": "sandbox",
            "team_id": TEAM_ID,
            "context_team_id": TEAM_ID,
            "context_enterprise_id": None,
            "api_app_id": APP_ID,
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{number:010d}",
            "event_time": int(time.time()),
            "authorizations": [authorization],
            "is_ext_shared_channel": self._is_shared(event),
            "event_context": f"4-sandbox-{number}",
        }

    def _is_shared(self, event: Json) -> bool:
        channel = self.workspace.channels.get(str(event.get("channel")))
        return channel is not None and channel.shared_with is not None
