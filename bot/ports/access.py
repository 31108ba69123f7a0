"""What access control needs to know of earlier questions. Raises StoreError."""

from typing import Protocol

from bot.core.conversation import Question
from bot.core.limits.access import BotQuestions


class BotQuestionCounts(Protocol):
    """Counts questions of bots, which may be answering our answers."""

    async def count(self, question: Question) -> BotQuestions:
        """Returns how much the question's asker, a bot, asked in the last hour, and how many bots' questions in a row
        its thread ends with."""
        ...
