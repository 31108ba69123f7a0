"""Questions that people edit or delete in Slack. Every method raises StoreError."""

from typing import Protocol

from bot.core.conversation import Question


class QuestionEdits(Protocol):
    """Applies edits of messages to the questions in them."""

    async def edit(self, question: Question, edited_ts: str) -> bool:
        """Stores a question's new text; returns False if the message is not a question, or was deleted.

        A queued question is answered with its new text. An answer under way starts over in its messages; its worker
        learns of the edit with a heartbeat. If the answer has ended and the question
        is the thread's last, the outbox offers its writer another answer.
        """
        ...

    async def delete(self, team_id: str, channel_id: str, ts: str) -> bool:
        """Removes a question, so that it isn't answered. Returns False if the message is not a question.

        The reply is deleted, too, unless a person wrote after it.
        """
        ...
