"""Counts of earlier questions, for access control. Raises StoreError."""

from typing import Protocol

from bot.core.conversation import Question
from bot.core.limits.access import BotQuestions


class BotQuestionCounts(Protocol):
    """Counts questions of bots, which may be answering our answers."""

    async def count(self, question: Question) -> BotQuestions:
        """Returns how many questions the asker, a bot, asked in the last hour, and how many bots asked last in a row.

        The row is the end of the question's thread. Both numbers are exact only up to their limits.
        """
        ...
