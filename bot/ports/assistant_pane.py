"""The assistant pane. Each method raises RateLimited and Refused."""

from collections.abc import Sequence
from typing import Protocol

from bot.core.assistant_pane import Suggestion
from bot.core.conversation import ThreadKey


class Pane(Protocol):
    """Shows suggestions, statuses and titles in the pane's threads."""

    async def suggest(self, channel_id: str, thread_ts: str | None, prompts: Sequence[Suggestion]) -> None:
        """Shows suggested prompts in a thread, or without `thread_ts` in the whole direct message."""
        ...

    async def set_status(self, thread: ThreadKey, status: str) -> None:
        """Shows a status until the bot posts, for two minutes at most; "" removes it."""
        ...

    async def set_title(self, thread: ThreadKey, title: str) -> None:
        """Names the thread in the pane's list."""
        ...

    async def set_working(self, thread: ThreadKey, working: bool) -> None:
        """Shows or hides Slack's own Stop in an agent's thread; does nothing in other apps."""
        ...
