"""The right to search Slack on behalf of the person who asked."""

from typing import Protocol


class ActionTokens(Protocol):
    """Keeps the action tokens of questions in memory."""

    def keep(self, channel_id: str, ts: str, action_token: str) -> None:
        """Keeps the token that came with the event of a question."""
        ...
