"""Notifications: messages besides answers, sent once per key (bot/store/notifications.py). Pure."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Notification:
    recipient: str
    """The ID of a person, who gets a direct message, or of a channel; "" if `kind` finds the recipients."""
    key: str
    content: Any
    """JSON: the arguments of chat.postMessage or, with a `kind`, the facts from which that feature writes messages."""
    kind: str = ""
    """The feature that writes the messages, or "" if `content` is the message."""


@dataclass(frozen=True, slots=True)
class DueNotification(Notification):
    team_id: str = ""
    since: float = 0.0
    due_at: float = 0.0
    """The time when another process can claim it, which also fences writes: a later claim has a different time."""
    tries: int = 1
    """The number of claims, including this one."""

    def __str__(self) -> str:
        return f"notification to {self.recipient or self.kind}"
