"""Notifications: messages besides answers that a person or channel gets once. Pure.

A feature declares a `Notification`, whose key identifies its subject: nobody gets two with the same key
(bot/store/notifications.py). The code that sends it (bot/services/notifications.py) is independent of features.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Notification:
    """A message that a person or channel gets once."""

    recipient: str
    """The ID of a person, who gets a direct message, or of a channel; "" if `kind` finds the recipients."""
    key: str
    content: Any
    """JSON: the arguments of chat.postMessage or, with a `kind`, the facts from which its feature writes them."""
    kind: str = ""
    """The feature that writes the messages, or "" if `content` is the message."""


@dataclass(frozen=True, slots=True)
class DueNotification(Notification):
    team_id: str = ""
    since: float = 0.0
    due_at: float = 0.0
    """The time when another process can claim it. It also fences writes: a later claim has a different time."""
    tries: int = 1
    """The number of claims, including this one."""

    def __str__(self) -> str:
        return f"notification to {self.recipient or self.kind}"
