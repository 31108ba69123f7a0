"""The pane beside a person's work: suggestions, what they look at, and the signs that we are at work."""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field

from bot.core import assistant_pane, texts
from bot.core.assistant_pane import Suggestion
from bot.core.conversation import Question, ThreadKey
from bot.core.inbound.triage import Identity
from bot.errors import RateLimited, Refused, StoreError, trace_of
from bot.ports.notices import Notices
from bot.ports.pane_context import PaneContextWriter
from bot.ports.surfaces import Pane

STATUS_WITHIN_S = 1.0
"""Later than this a placeholder is the quicker sign."""
WITHIN_S = 20.0
REST_WITHIN_S = 120.0
"""A Stop that does nothing is worse than a late sign."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AssistantPane:
    """Does nothing in apps without a pane. What Slack refuses here is a line in the log, and no more."""

    notices: Notices
    context: PaneContextWriter
    pane: Pane
    me: Identity
    suggestions: tuple[Suggestion, ...]
    _working: dict[ThreadKey, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _doing: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def suggest(self, channel_id: str, thread_ts: str | None) -> None:
        """Somebody opened a thread in the pane, or (None) the whole direct message of an agent."""
        if self.me.has_pane:
            self._do(self.pane.suggest(channel_id, thread_ts, self.suggestions))

    async def look(self, user_id: str, channel_id: str) -> None:
        """Somebody looks at another channel; "" is none. Raises StoreError."""
        if self.me.has_pane:
            await self.context.write(self.me.team_id, user_id, channel_id)

    async def begin(self, question: Question) -> bool:
        """Shows that we think; whether the thread says so, and no placeholder has to."""
        if not (self.me.has_pane and assistant_pane.in_pane(question)):
            return False
        self._working[question.thread] = self._do(self.pane.set_working(question.thread, True))
        self._do(self._name(question))
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
        """We are done with it, for now."""
        if begun := self._working.pop(question.thread, None):
            self._do(self._rest(question.thread, begun), REST_WITHIN_S)

    async def _rest(self, thread: ThreadKey, begun: asyncio.Task[None]) -> None:
        """In this order: else Slack's Stop would stay."""
        await asyncio.wait((begun,))
        await self.pane.set_working(thread, False)

    async def _name(self, question: Question) -> None:
        """A thread is called by its first question, once for all processes."""
        if await self.notices.claim(self.me.team_id, "", f"title {question.thread}"):
            await self.pane.set_title(question.thread, assistant_pane.title_of(question))

    def _do(self, sign: Awaitable[None], within_s: float = WITHIN_S) -> asyncio.Task[None]:
        """In the background: nobody waits for a sign."""
        task = asyncio.create_task(_done(sign, within_s))
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)
        return task


async def _done(sign: Awaitable[None], within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await sign
    except (RateLimited, Refused, StoreError, TimeoutError) as error:
        log.warning("pane not updated: %s", error or "it took too long")
    except Exception as error:
        log.error("pane not updated: %s", trace_of(error))
