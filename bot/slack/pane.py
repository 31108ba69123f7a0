"""The assistant pane's suggested prompts and titles, statuses of threads, and an agent's sessions."""

import math
from collections import deque
from typing import Any

import regex

from bot.core import texts
from bot.core.conversation import ThreadKey
from bot.core.pacing import WINDOW_S
from bot.errors import Refused
from bot.slack.client import PacedClient

SESSIONS = "agents.sessions.setStatus"
SESSIONS_A_MINUTE = 20
"""Of 50 calls a minute, so that ends don't wait for the budget. Other answers have Typist's own Stop button."""
NO_AGENT = ("not_allowed", "not_authorized")
"""What Slack says to apps without agent_view; the second one was observed (kirodotdev/KiroCrew#9822)."""
STOP_EVENT_MISSING = "missing_agent_session_stopped_event_subscription"
LOADING_MESSAGE_CHARS = 50
"""Slack refuses a status with a longer loading message (letta-ai/letta-code#3553)."""


class Pane:
    """The assistant pane: suggestions, statuses and titles. Each method raises RateLimited and Refused.

    Statuses need chat:write; the rest needs assistant:write.
    """

    def __init__(self, client: PacedClient) -> None:
        self._client = client
        self.has_sessions = True
        """Whether the app has agent sessions, as far as is known."""
        self._begun_at = deque([-math.inf] * SESSIONS_A_MINUTE, maxlen=SESSIONS_A_MINUTE)
        """When the last sessions began, by the monotonic clock."""

    async def suggest(self, channel_id: str, thread_ts: str | None) -> None:
        """Shows suggested prompts in a thread, or without `thread_ts` in the whole direct message."""
        await self._client.call(
            "assistant.threads.setSuggestedPrompts",
            channel_id=channel_id,
            thread_ts=thread_ts,
            prompts=[{"title": title, "message": message} for title, message in texts.PANE_SUGGESTIONS.items()],
            title=texts.PANE_HEADING,
        )

    async def set_status(self, thread: ThreadKey, status: str) -> None:
        """Shows a status in any thread until the bot posts, for two minutes at most; "" removes it.

        It is sent as plain text: Slack decodes nothing in a status, and shows no emoji for their names. Without loading
        messages, Slack shows phrases of its own in channels (slack-go/slack#1487).
        """
        loading = loading_message(status) or None
        await self._client.call(
            "assistant.threads.setStatus", status=status, loading_messages=loading, **_place(thread)
        )

    async def set_title(self, thread: ThreadKey, title: str) -> None:
        """Names the thread in the pane's list."""
        await self._client.call("assistant.threads.setTitle", title=title, **_place(thread))

    async def begin_session(self, thread: ThreadKey) -> bool | None:
        """Shows Slack's own Stop in an agent's thread; returns False if it isn't shown, None if no session was begun.

        Only apps with agent_view have sessions. After the first refusal for that, Slack isn't asked again. Slack shows
        no Stop to apps that aren't subscribed to its event.
        """
        now = self._client.clock.monotonic()
        has_room = now >= self._begun_at[0] + WINDOW_S and self._client.budget.spare(SESSIONS) > 0
        if not (self.has_sessions and has_room):
            return None
        self._begun_at.append(now)
        try:
            answer = await self._set_session(thread, "processing")
        except Refused as error:
            if error.error not in NO_AGENT:
                raise
            self.has_sessions = False
            return None
        return STOP_EVENT_MISSING not in str(answer.get("warning"))

    async def end_session(self, thread: ThreadKey, *, waits: bool = False) -> None:
        """Removes Slack's own Stop. With `waits`, the session says that it waits for a person."""
        if self.has_sessions:
            await self._set_session(thread, "suspended" if waits else "active")

    async def _set_session(self, thread: ThreadKey, status: str) -> dict[str, Any]:
        return await self._client.call(SESSIONS, status=status, **_place(thread))


def loading_message(status: str) -> str:
    """Returns a status as a loading message: without commas, which divide them in a form, and cut at a whole character.

    Slack doesn't say which characters it counts; UTF-16 has the most.
    """
    text = status.replace(",", "").strip()
    if _utf16_units(text) <= LOADING_MESSAGE_CHARS:
        return text
    kept, units = [], 1  # of the ellipsis
    for grapheme in regex.findall(r"\X", text[:LOADING_MESSAGE_CHARS]):
        units += _utf16_units(grapheme)
        if units > LOADING_MESSAGE_CHARS:
            break
        kept.append(grapheme)
    return f"{''.join(kept).rstrip(' …')}…"


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _place(thread: ThreadKey) -> dict[str, str | None]:
    return {"channel_id": thread.channel_id, "thread_ts": thread.thread_ts}
