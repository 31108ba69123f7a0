"""trigger_id: lets an app open a modal in response to a person's action, once and within 3 seconds."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from slack_sandbox.workspace import SlackError

LIFE_S = 3.0


@dataclass(frozen=True, slots=True)
class Trigger:
    user_id: str
    issued_at_s: float
    view_id: str | None = None


@dataclass
class Triggers:
    monotonic: Callable[[], float]
    _triggers: dict[str, Trigger] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    def issue(self, user_id: str, view_id: str | None = None) -> str:
        trigger_id = f"{len(self._triggers) + 1}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self._triggers[trigger_id] = Trigger(user_id, self.monotonic(), view_id)
        return trigger_id

    def redeem(self, trigger_id: str) -> Trigger:
        """Redeems a trigger_id. Raises SlackError: invalid_trigger_id, exchanged_trigger_id, expired_trigger_id."""
        trigger = self._triggers.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger_id in self._used:
            raise SlackError("exchanged_trigger_id")
        if self.monotonic() - trigger.issued_at_s > LIFE_S:
            raise SlackError("expired_trigger_id")
        self._used.add(trigger_id)
        return trigger
