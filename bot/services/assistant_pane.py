"""The assistant pane: suggested prompts, the pane context, and status and title of its threads."""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field

from bot.core import assistant_pane, texts
from bot.core.assistant_pane import Suggestion
from bot.core.conversation import Question, ThreadKey
from bot.core.inbound.triage import Identity
from bot.errors import RateLimited, Refused, StoreError, trace_of
from bot.ports.assistant_pane import Pane
from bot.ports.notices import Notices
from bot.ports.pane_context import PaneContextWriter

STATUS_WITHIN_S = 1.0
"""How long setting the status may take before a placeholder is posted instead."""
WITHIN_S = 20.0
END_WITHIN_S = 120.0
"""Longer than for other calls: Slack's Stop should disappear late rather than stay without effect."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AssistantPane:
    """Does nothing in apps without a pane. Calls that Slack refuses are logged, and nothing fails because of them."""

    notices: Notices
    context: PaneContextWriter
    pane: Pane
    me: Identity
    suggestions: tuple[Suggestion, ...]
    _working: dict[ThreadKey, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _calls: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def suggest(self, channel_id: str, thread_ts: str | None) -> None:
        """Suggests prompts in a thread that was opened in the pane; None: in an agent's whole direct message."""
        if self.me.has_pane:
            self._start(self.pane.suggest(channel_id, thread_ts, self.suggestions))

    async def look(self, user_id: str, channel_id: str) -> None:
        """Records the channel that a person opened beside the pane; "" is none. Raises StoreError."""
        if self.me.has_pane:
            await self.context.write(self.me.team_id, user_id, channel_id)

    async def begin(self, question: Question) -> bool:
        """Shows the status "thinking"; returns whether it stands for the placeholder."""
        if not (self.me.has_pane and assistant_pane.in_pane(question)):
            return False
        self._working[question.thread] = self._start(self.pane.set_working(question.thread, True))
        self._start(self._name(question))
        try:
            async with asyncio.timeout(STATUS_WITHIN_S):
                await self.pane.set_status(question.thread, texts.PANE_STATUS)
        except (RateLimited, Refused, TimeoutError) as error:
            log.warning("pane status not set, posting a placeholder instead: %s", error or "it took too long")
            return False
        except Exception as error:
            log.error("pane status not set, posting a placeholder instead: %s", trace_of(error))
            return False
        return True

    def end(self, question: Question) -> None:
        """Removes Slack's own Stop in the background, once the question's attempt has ended."""
        if begun := self._working.pop(question.thread, None):
            self._start(self._end_working(question.thread, begun), END_WITHIN_S)

    async def _end_working(self, thread: ThreadKey, begun: asyncio.Task[None]) -> None:
        """Ends the working state after it was set: in the other order Slack's Stop would stay."""
        await asyncio.wait((begun,))
        await self.pane.set_working(thread, False)

    async def _name(self, question: Question) -> None:
        """Names a thread by its first question, once over all processes."""
        if await self.notices.claim(self.me.team_id, "", f"title {question.thread}"):
            await self.pane.set_title(question.thread, assistant_pane.title_of(question))

    def _start(self, call: Awaitable[None], within_s: float = WITHIN_S) -> asyncio.Task[None]:
        """Makes a call to Slack in the background."""
        task = asyncio.create_task(_call(call, within_s))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return task


async def _call(call: Awaitable[None], within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await call
    except (RateLimited, Refused, StoreError, TimeoutError) as error:
        log.warning("pane not updated: %s", error or "it took too long")
    except Exception as error:
        log.error("pane not updated: %s", trace_of(error))
