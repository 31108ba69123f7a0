"""Questions about a message, which people ask in a modal."""

from typing import Protocol

from bot.core.message_question import MessageQuestion, QuotedMessage


class MessageQuestions(Protocol):
    """Keeps submitted questions about a message until they are jobs. Every method raises StoreError.

    `postpone` and `record_direct_post` do nothing if another process has the question by now.
    """

    async def begin(
        self, team_id: str, view_id: str, user_id: str, about: QuotedMessage, text: str
    ) -> MessageQuestion | None:
        """Stores a submitted question and returns it; returns None while another process has it.

        This process holds the question for QUESTION_HOLD_S, unless it is complete. A modal that is submitted again
        keeps its first text, unless its asker has read that the question was given up.
        """
        ...

    async def take(self, limit: int) -> list[MessageQuestion]:
        """Returns questions that another process began and left; this process holds them for QUESTION_HOLD_S."""
        ...

    async def record_direct_post(self, question: MessageQuestion, *, begun: bool) -> bool:
        """Records that a post in the asker's direct message is about to begin, or that it was not made.

        Returns False if another process has the question by now.
        """
        ...

    async def record_post(self, team_id: str, view_id: str, channel_id: str, ts: str) -> None:
        """Records where, according to Slack's event, the question was posted."""
        ...

    async def postpone(self, question: MessageQuestion, delay_s: float | None) -> None:
        """Lets any process go on with the question after the delay; None: only when the modal is submitted again."""
        ...

    async def complete(self, question: MessageQuestion) -> None:
        """Records that the question is a job, and empties its texts."""
        ...
