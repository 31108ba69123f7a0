"""The outbox: entries for work in Slack beside the replies, most of it after an answer has ended; and its sender."""

from collections.abc import Callable, Sequence
from typing import Protocol

from bot.core.conversation import Job
from bot.core.outbox import OutboxEntry


class OutboxEntries(Protocol):
    """Hands out entries that are due, each to one process at a time. Every method raises StoreError."""

    async def take(self, limit: int) -> list[OutboxEntry]:
        """Returns up to `limit` entries that are due.

        This process holds them for OUTBOX_HOLD_S; an entry that is not complete by then is due again.
        """
        ...

    async def complete(self, entry: OutboxEntry, posted_ts: str | None = None) -> None:
        """Removes an entry, unless there was a new reason for it meanwhile; `posted_ts` is a message that it posted."""
        ...

    async def postpone(self, entry: OutboxEntry, delay_s: float) -> None:
        """Makes an entry that failed due again after the delay."""
        ...

    async def unshown_end(self, entry: OutboxEntry) -> Job | None:
        """Returns the ended job whose end Slack did not accept, with its checkpoint; None if it needs no showing.

        The job comes without the other questions that it answered: showing an end takes no prompt.
        While the entry is held, nobody claims the job, and no other entry about it is handed out.
        """
        ...

    async def waiting_job(self, entry: OutboxEntry) -> Job | None:
        """Returns the job that waits for approvals, with its text and its steps; None if it waits no longer.

        While the entry is held, nobody claims the job, and no other entry about it is handed out.
        """
        ...

    async def record_pages(self, entry: OutboxEntry, page_ts: Sequence[str]) -> None:
        """Records which messages show the reply of a job that has ended or waits.

        Does nothing if another process has taken the entry.
        """
        ...


class OutboxSender(Protocol):
    """Makes an entry's calls to Slack. Every method raises RateLimited and Refused."""

    async def clear(self, entry: OutboxEntry) -> None:
        """Deletes the messages of a reply."""
        ...

    async def delete(self, entry: OutboxEntry) -> None:
        """Deletes the messages of a reply and its files."""
        ...

    async def remove(self, entry: OutboxEntry) -> None:
        """Deletes the messages of a reply and its files, unless a person wrote after the question."""
        ...

    async def offer(self, entry: OutboxEntry) -> None:
        """Shows the question's writer, and nobody else, a button for another answer."""
        ...

    async def ping(self, entry: OutboxEntry, still: Callable[[], bool]) -> str | None:
        """Mentions the asker because their answer is complete; returns the ts of the message, None if it has none.

        Sends nothing once `still()` is False: another process may have taken the entry.
        """
        ...

    async def ask_approval(self, entry: OutboxEntry, still: Callable[[], bool]) -> None:
        """Mentions the asker because a call waits for their approval. Sends nothing once `still()` is False."""
        ...
