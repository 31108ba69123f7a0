"""The assistant pane: suggested prompts, pane context and titles. In all threads: signs that an answer has begun.

In the pane, a status replaces the placeholder, because the first post would remove the status. If Slack refuses the
status or takes too long, the placeholder is posted at once.

In an agent's threads, Slack's own Stop replaces Typist's button while Slack accepts the session. In channels everybody
can press it. Typist tells those who may not stop the answer.
"""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field

from bot.core import assistant_pane, texts
from bot.core.assistant_pane import Sign, Suggestion
from bot.core.conversation import Question, ThreadKey
from bot.core.inbound.triage import Identity
from bot.errors import RateLimited, Refused, StoreError, trace_of
from bot.services.thread_statuses import ThreadStatuses
from bot.slack.assistant_pane import Pane
from bot.store.notices import Notices
from bot.store.pane_context import PaneContexts

SIGN_WITHIN_S = 0.4
"""How long a session, and then a status, may take before the placeholder with Typist's own Stop is shown instead."""
WITHIN_S = 20.0
END_WITHIN_S = 120.0
"""Longer than for other calls: Slack's Stop should disappear late rather than stay without effect."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Signs:
    """What Slack shows while a question is answered."""

    sign: Sign = Sign.NONE
    """What stands for the placeholder."""
    stop: bool = False
    """Slack's own Stop, which stands for ours."""


@dataclass(frozen=True)
class AssistantPane:
    """Serves apps with a pane, and every thread's status. Nothing fails because of a call that Slack refuses."""

    notices: Notices
    context: PaneContexts
    pane: Pane
    me: Identity
    suggestions: tuple[Suggestion, ...]
    statuses: ThreadStatuses
    _sessions: dict[ThreadKey, asyncio.Task[bool | None]] = field(default_factory=dict, init=False)
    """The sessions to end. Their tasks return as Pane.begin_session does."""
    _endings: dict[ThreadKey, asyncio.Task[None]] = field(default_factory=dict, init=False)
    """Sessions whose end isn't known to Slack yet."""
    _calls: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def suggest(self, channel_id: str, thread_ts: str | None) -> None:
        """Suggests prompts in a thread that was opened in the pane; None: in an agent's whole direct message."""
        if self.me.has_pane:
            self._start(self.pane.suggest(channel_id, thread_ts, self.suggestions))

    async def look(self, user_id: str, channel_id: str) -> None:
        """Records the channel that a person opened beside the pane; "" is none. Raises StoreError."""
        if self.me.has_pane:
            await self.context.write(self.me.team_id, user_id, channel_id)

    async def begin(self, question: Question, *, is_first: bool = True) -> Signs:
        """Shows that an attempt at a question has begun; returns what Slack shows.

        `is_first`: no earlier attempt can have left a session, for whose end one of the budget's calls is needed.

        Only in the pane and in agents' threads do Slack's docs promise that a status is seen. Elsewhere it comes on top
        of the placeholder, unless calls are scarce; nothing waits for it.
        """
        thread = question.thread
        if not self.me.has_pane or thread.thread_ts is None:
            is_on_its_way = self.statuses.answering(thread, texts.STATUS_THINKING)
            return Signs(Sign.MAY_BE_SEEN if is_on_its_way else Sign.NONE)
        in_pane = assistant_pane.in_pane(question)
        if in_pane:
            self._start(self._name(question))
        session = self._sessions[thread] = asyncio.create_task(self._begin_session(thread))
        await asyncio.wait((session,), timeout=SIGN_WITHIN_S)
        if self._leaves_slot(thread):
            return Signs(Sign.SEEN, stop=True) if session.done() else Signs()
        if is_first and session.result() is None:
            del self._sessions[thread]
        if not await self.statuses.confirmed(thread, texts.STATUS_THINKING, SIGN_WITHIN_S):
            return Signs()
        return Signs(Sign.SEEN if in_pane else Sign.MAY_BE_SEEN)

    def queued(self, thread: ThreadKey) -> None:
        """Shows the place of a thread's queued question. An agent has its placeholder only.

        Another process may begin the answer while the status is on its way, and Slack's own Stop would go.
        """
        if not (self.me.has_pane and self.pane.has_sessions):
            self.statuses.follow(thread)

    def show_status(self, question: Question, status: str) -> None:
        """Shows what the model does, unless Slack's own Stop stands there or is on its way."""
        if not self._leaves_slot(question.thread):
            self.statuses.answering(question.thread, status)

    def end(self, question: Question, *, asks: bool) -> None:
        """Removes the status and Slack's own Stop in the background, once the question's attempt has ended.

        If the reply `asks` for an approval, the status or the session says so.
        """
        thread = question.thread
        self.statuses.ended(thread, asks=asks and not self._leaves_slot(thread))
        if session := self._sessions.pop(thread, None):
            self._endings[thread] = self._start(self._end_session(thread, session, waits=asks), END_WITHIN_S)

    def _leaves_slot(self, thread: ThreadKey) -> bool:
        """Returns whether a status would take the place of Slack's own Stop: Slack has one slot for both."""
        session = self._sessions.get(thread)
        return session is not None and (not session.done() or bool(session.result()))

    async def _begin_session(self, thread: ThreadKey) -> bool | None:
        """Returns whether Slack shows its own Stop in the thread; None if no session was begun.

        Calls of an earlier answer come first: a late one would remove the button.
        """
        if not self.pane.has_sessions:
            return None
        try:
            async with asyncio.timeout(WITHIN_S):
                if ending := self._endings.pop(thread, None):
                    await asyncio.wait((ending,))
                await self.statuses.give_way(thread)
                return await self.pane.begin_session(thread)
        except (RateLimited, Refused, TimeoutError) as error:
            log.warning("agent session of thread %s not started: %s", thread, str(error) or "it took too long")
        except Exception as error:
            log.error("agent session of thread %s not started: %s", thread, trace_of(error))
        return False

    async def _end_session(self, thread: ThreadKey, begun: asyncio.Task[bool | None], *, waits: bool) -> None:
        """Ends a session after it began: in the other order Slack's Stop would stay."""
        try:
            await asyncio.wait((begun,))
            await self.pane.end_session(thread, waits=waits)
        finally:
            if self._endings.get(thread) is asyncio.current_task():
                del self._endings[thread]

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
        log.warning("assistant pane not updated: %s", error or "it took too long")
    except Exception as error:
        log.error("assistant pane not updated: %s", trace_of(error))
