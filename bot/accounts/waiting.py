"""What people sign in for. A module of its own, because the others of this package import the SDK."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot.store.accounts import Owner

Still = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a person's sign-in: a call of an answer, or a schedule that theirs has paused as it ended."""

    owner: Owner
    name: str
    """Tells it from all else that waits: `state` is bound to it."""
    still: Still
    """Returns whether it waits now."""
    go_on: Callable[[], Awaitable[str]]
    """Has it go on once the person is signed in; returns what they read in a response, "" if they see it elsewhere."""
