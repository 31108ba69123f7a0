"""Notifications: messages other than answers, each sent only once per key (bot/store/notifications.py). Pure."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Notification:
    recipient: str
    """The ID of a person (for a direct message) or channel; "" if `kind` finds the recipients."""
    key: str
    content: Any
    """JSON: the arguments of chat.postMessage or, if `kind` is set, the facts from which that feature writes the
    messages."""
    kind: str = ""
    """The feature that writes the messages, or "" if `content` is a message."""


@dataclass(frozen=True, slots=True)
class DueNotification(Notification):
    team_id: str = ""
    since: float = 0.0
    due_at: float = 0.0
    """The time after which another process can claim the notification. Each claim changes it, so that writes by earlier
    claimants fail."""
    tries: int = 1

    def __str__(self) -> str:
        return f"notification to {self.recipient or self.kind}"
