"""Conversations in Slack."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from bot.core.conversation import Message, Question


class History(Protocol):
    """Reads conversations."""

    async def messages(self, question: Question) -> list[Message]:
        """Returns the relevant messages of the question's conversation, oldest first.

        Messages that Slack doesn't return are left out, and the next message says so (`after_gap`).
        """
        ...

    async def names(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Returns the names of people and channels by id: at most 50, without those that Slack doesn't give."""
        ...
