"""The right to search Slack on behalf of the person who asked."""

from typing import Protocol

from bot.core.conversation import Question


class ActionTokens(Protocol):
    """Keeps the action tokens of questions in memory: another process doesn't have them."""

    def keep(self, question: Question, action_token: str) -> None:
        """Keeps the token that came with a question's event."""
        ...
