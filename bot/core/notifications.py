"""Notifications: what a person or a channel is told once, beside answers. Pure.

A feature declares what it tells as a `Notification`, whose key says what it is about: nobody gets two with the same key
(bot/store/notifications.py). Whoever sends it (bot/services/notifications.py) knows no feature.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Notification:
    """Something to tell a person or a channel once."""

    recipient: str
    """The ID of a person, who gets a direct message, or of a channel; "" if `kind` finds the recipients."""
    key: str
    content: Any
    """The arguments of chat.postMessage; with a `kind`, the facts from which its feature writes them. Both are JSON."""
    kind: str = ""
    """Which feature writes the messages; "" if `content` is the message."""


@dataclass(frozen=True, slots=True)
class DueNotification(Notification):
    """A notification that this process has taken to send."""

    team_id: str = ""
    since: float = 0.0
    """When it was added."""
    due_at: float = 0.0
    """When another process may take it. It also fences: a process that takes it later gets another time."""
    tries: int = 1
    """How often it was taken, including this time."""

    def __str__(self) -> str:
        return f"notification to {self.recipient or self.kind}"
