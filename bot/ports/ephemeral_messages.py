"""Messages that one person alone sees."""

from typing import Protocol

from bot.core.conversation import Question


class EphemeralMessages(Protocol):
    """Tells one person something that nobody else sees."""

    async def tell(self, question: Question, sentence: str) -> None:
        """Shows the question's asker a sentence; Slack may lose it."""
        ...
