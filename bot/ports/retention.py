"""Removal of questions and answers. Raises StoreError."""

from typing import Protocol

from bot.core.conversation import ThreadKey


class Retention(Protocol):
    """Removes texts because of their age."""

    async def expire(self, before: float) -> int:
        """Empties the texts of jobs that ended before then (seconds since the epoch); returns how many texts.

        Usage is kept. Ids of events are kept for an hour, because Slack may deliver them again.
        """
        ...


class Erasure(Protocol):
    """Removes everything about a person or a thread on request."""

    async def erase(self, *, user_id: str | None = None, thread: ThreadKey | None = None) -> int:
        """Removes the questions and answers of a person or a thread, or all, for good; returns how many jobs.

        Answers under way are asked to stop, and removed when they end.
        """
        ...
