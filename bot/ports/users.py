"""The people who ask."""

from typing import Protocol

from bot.core.limits.access import UserKind


class Users(Protocol):
    """Knows what kind of account somebody has."""

    def known(self, user_id: str) -> UserKind | None:
        """Returns somebody's kind of account if Slack was asked for it lately, else None."""
        ...

    async def kind(self, user_id: str) -> UserKind | None:
        """Returns somebody's kind of account, None if Slack doesn't tell."""
        ...
