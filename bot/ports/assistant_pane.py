"""The assistant pane. Each method raises RateLimited and Refused."""

from collections.abc import Sequence
from typing import Protocol

from bot.core.assistant_pane import Suggestion
from bot.core.conversation import ThreadKey


class Pane(Protocol):
    """Shows suggestions, statuses and titles in the pane's threads."""

    @property
    def has_sessions(self) -> bool:
        """Whether the app has agent sessions, as far as is known."""
        ...

    async def suggest(self, channel_id: str, thread_ts: str | None, prompts: Sequence[Suggestion]) -> None:
        """Shows suggested prompts in a thread, or without `thread_ts` in the whole direct message."""
        ...

    async def set_status(self, thread: ThreadKey, status: str) -> None:
        """Shows a status in any thread until the bot posts, for two minutes at most; "" removes it."""
        ...

    async def set_title(self, thread: ThreadKey, title: str) -> None:
        """Names the thread in the pane's list."""
        ...

    async def begin_session(self, thread: ThreadKey) -> bool:
        """Shows Slack's own Stop in an agent's thread; returns False where Slack has none to show."""
        ...

    async def end_session(self, thread: ThreadKey, *, waits: bool = False) -> None:
        """Removes Slack's own Stop. With `waits`, the session says that it waits for a person."""
        ...
