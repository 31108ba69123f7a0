"""Questions about a message, which people ask in a modal."""

from typing import Protocol

from bot.core.message_question import Ask, AskAbout


class MessageQuestions(Protocol):
    """Keeps submitted questions about a message until they are jobs. Every method raises StoreError.

    `later` and `elsewhere` do nothing where another process has the question by now.
    """

    async def begin(self, team_id: str, view_id: str, user_id: str, about: AskAbout, text: str) -> Ask | None:
        """Returns the question, which is this process's for ASK_S unless it is done; None while it is another's.

        A modal that is submitted again keeps its first text, unless its asker was told that it was not asked.
        """
        ...

    async def take(self, limit: int) -> list[Ask]:
        """Returns questions that a process began and left, which are this process's for ASK_S now."""
        ...

    async def elsewhere(self, ask: Ask, *, begun: bool) -> bool:
        """Records that a post in the asker's direct message is about to begin, or that it was not made.

        Returns False where another process has the question by now.
        """
        ...

    async def seen(self, team_id: str, view_id: str, channel_id: str, ts: str) -> None:
        """Records where Slack says that the question was posted."""
        ...

    async def later(self, ask: Ask, delay_s: float | None) -> None:
        """Lets any process go on with it after so long; None: only when the modal is submitted again."""
        ...

    async def done(self, ask: Ask) -> None:
        """Records that the question is a job, and empties its texts."""
        ...
