"""Answers as the database has them. Every method raises StoreError."""

from collections.abc import Mapping
from typing import Protocol

from bot.core.conversation import RecordedReply, ThreadKey
from bot.core.reply.actions import RecordedAnswer, Vote


class RecordedAnswers(Protocol):
    """Finds the answers that buttons act on, and records feedback and deletions."""

    async def shown_by(self, thread: ThreadKey, message_ts: str) -> RecordedAnswer | None:
        """Returns the answer that has a page in this message, None if there is none."""
        ...

    async def of_job(self, thread: ThreadKey, job_id: int) -> RecordedAnswer | None:
        """Returns the answer of a job, None if the thread has no such job."""
        ...

    async def written_in(self, thread: ThreadKey, event_id: str) -> RecordedAnswer | None:
        """Returns the answer that is being written in a thread; None if there is none, or the event was handled."""
        ...

    async def is_handled(self, event_id: str) -> bool:
        """Returns whether an event was handled before."""
        ...

    async def event_handled(self, event_id: str) -> None:
        """Records that an event was handled, so that nothing happens if Slack delivers it again."""
        ...

    async def delete(self, job_id: int) -> None:
        """Empties the texts of an answer, and has the outbox delete its messages."""
        ...

    async def vote(self, about: RecordedAnswer, user_id: str, value: Vote) -> None:
        """Records a person's feedback in place of their earlier one."""
        ...


class ThreadReplies(Protocol):
    """Reads the bot's own messages in a thread."""

    async def replies(self, thread: ThreadKey, before_ts: str | None = None) -> Mapping[str, RecordedReply]:
        """Returns the bot's messages in a thread by ts, of its newest 500 questions.

        `before_ts` limits them to questions that were asked before. Answers whose text has expired are left out.
        """
        ...
