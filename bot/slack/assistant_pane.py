"""The pane's prompts, statuses and titles."""

from collections.abc import Sequence
from dataclasses import asdict

from bot.core import texts
from bot.core.assistant_pane import Suggestion
from bot.core.conversation import ThreadKey
from bot.errors import Refused
from bot.slack.client import SlackClient
from bot.slack.rate_budget import RateBudget

SESSIONS = "agents.sessions.setStatus"


class SlackPane:
    """The Pane port on Slack's Web API; needs the scope assistant:write."""

    def __init__(self, web: SlackClient, budget: RateBudget) -> None:
        self._web = web
        self._budget = budget
        self._has_sessions = True

    async def suggest(self, channel_id: str, thread_ts: str | None, prompts: Sequence[Suggestion]) -> None:
        method = "assistant.threads.setSuggestedPrompts"
        where = {"channel_id": channel_id, "thread_ts": thread_ts}
        suggestions = [asdict(suggestion) for suggestion in prompts]
        async with self._budget.spending(method):
            await self._web.call(method, prompts=suggestions, title=texts.PANE_HEADING, **where)

    async def set_status(self, thread: ThreadKey, status: str) -> None:
        """Slack allows 600 a minute: nothing is counted."""
        where = {"channel_id": thread.channel_id, "thread_ts": thread.thread_ts}
        await self._web.call("assistant.threads.setStatus", status=status, **where)

    async def set_title(self, thread: ThreadKey, title: str) -> None:
        method = "assistant.threads.setTitle"
        where = {"channel_id": thread.channel_id, "thread_ts": thread.thread_ts}
        async with self._budget.spending(method):
            await self._web.call(method, title=title, **where)

    async def set_working(self, thread: ThreadKey, working: bool) -> None:
        """Only apps with agent_view have sessions: those with assistant_view are told so once."""
        if not self._has_sessions:
            return
        where = {"channel_id": thread.channel_id, "thread_ts": thread.thread_ts}
        try:
            async with self._budget.spending(SESSIONS):
                await self._web.call(SESSIONS, status="processing" if working else "active", **where)
        except Refused as refused:
            if refused.error != "not_allowed":
                raise
            self._has_sessions = False
