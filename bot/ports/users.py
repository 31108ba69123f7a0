"""The people who ask."""

from typing import Protocol

from bot.core.limits.access import UserKind


class Users(Protocol):
    """Looks up people's kinds of account."""

    def known(self, user_id: str) -> UserKind | None:
        """Returns a person's kind of account if Slack reported it recently, else None."""
        ...

    async def kind(self, user_id: str) -> UserKind | None:
        """Returns a person's kind of account, None if Slack doesn't say within seconds."""
        ...

    async def kind_now(self, user_id: str, within_s: float) -> UserKind | None:
        """Returns a person's kind of account as Slack says now, None if it doesn't say within this time."""
        ...
