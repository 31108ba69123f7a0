"""action_token: lets an app search on behalf of the person whose message it received."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from slack_sandbox.workspace import SlackError

LIFE_S = 600.0


@dataclass
class ActionTokens:
    monotonic: Callable[[], float]
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    """The user ID and the time of issue, by token."""

    def issue(self, user_id: str) -> str:
        token = f"{len(self._tokens) + 1}.{secrets.randbelow(10**10)}.{secrets.token_hex(16)}"
        self._tokens[token] = user_id, self.monotonic()
        return token

    def holder(self, token: str) -> str:
        """Returns the ID of the user that a token is for. Raises SlackError("invalid_action_token")."""
        user_id, at_s = self._tokens.get(token, ("", 0.0))
        if not user_id or self.monotonic() - at_s > LIFE_S:
            raise SlackError("invalid_action_token")
        return user_id
