"""The assistant pane's suggested prompts, statuses and titles."""

from collections.abc import Sequence
from dataclasses import asdict

from bot.core import texts
from bot.core.assistant_pane import Suggestion
from bot.core.conversation import ThreadKey
from bot.errors import Refused
from bot.slack.paced_client import PacedClient


class SlackPane:
    """Implements the port Pane on the Web API. Needs the scope assistant:write."""

    def __init__(self, client: PacedClient) -> None:
        self._client = client
        self._has_sessions = True

    async def suggest(self, channel_id: str, thread_ts: str | None, prompts: Sequence[Suggestion]) -> None:
        await self._client.call(
            "assistant.threads.setSuggestedPrompts",
            channel_id=channel_id,
            thread_ts=thread_ts,
            prompts=[asdict(prompt) for prompt in prompts],
            title=texts.PANE_HEADING,
        )

    async def set_status(self, thread: ThreadKey, status: str) -> None:
        await self._client.call("assistant.threads.setStatus", status=status, **_place(thread))

    async def set_title(self, thread: ThreadKey, title: str) -> None:
        await self._client.call("assistant.threads.setTitle", title=title, **_place(thread))

    async def set_working(self, thread: ThreadKey, working: bool) -> None:
        """Only apps with agent_view have sessions. After the first not_allowed, Slack isn't asked again."""
        if not self._has_sessions:
            return
        status = "processing" if working else "active"
        try:
            await self._client.call("agents.sessions.setStatus", status=status, **_place(thread))
        except Refused as error:
            if error.error != "not_allowed":
                raise
            self._has_sessions = False


def _place(thread: ThreadKey) -> dict[str, str | None]:
    return {"channel_id": thread.channel_id, "thread_ts": thread.thread_ts}
