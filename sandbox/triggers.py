"""trigger_id: what lets an app open a modal in answer to a person, once and within three seconds."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.workspace import SlackError

LIFE_S = 3.0


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a person did that lets the app show them a modal."""

    user_id: str
    at_s: float
    view_id: str | None = None
    """The modal it was done in."""


@dataclass
class Triggers:
    """All that were given out."""

    monotonic: Callable[[], float]
    _given: dict[str, Trigger] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    def give(self, user_id: str, view_id: str | None = None) -> str:
        """A new trigger_id."""
        trigger_id = f"{len(self._given) + 1}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self._given[trigger_id] = Trigger(user_id, self.monotonic(), view_id)
        return trigger_id

    def take(self, trigger_id: str) -> Trigger:
        """Uses it up. Raises SlackError: invalid_trigger_id, exchanged_trigger_id, expired_trigger_id."""
        trigger = self._given.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger_id in self._used:
            raise SlackError("exchanged_trigger_id")
        if self.monotonic() - trigger.at_s > LIFE_S:
            raise SlackError("expired_trigger_id")
        self._used.add(trigger_id)
        return trigger
