"""What waits for a person's sign-in.

A module of its own, because the others of this package import MCP's SDK.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot.store.accounts import Owner

Still = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a person's sign-in: a call of an answer, or a schedule that theirs has paused as it ended."""

    owner: Owner
    name: str
    """Identifies what waits. The sign-in's `state` is bound to it."""
    still: Still
    """Returns whether the call or the schedule still waits."""
    go_on: Callable[[], Awaitable[str]]
    """Continues the call or the schedule after the sign-in; returns what the person reads, "" if they see it elsewhere.
    """
    scope: str = ""
    """What the server wants beyond what the person has granted before; "" for nothing."""
