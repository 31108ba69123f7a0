"""Thread statuses: what Slack shows as "Typist is thinking…" in a thread. They cost no edit, and no answer needs them.

A thread has one timer for its next call, and a task only while the call is made: most of the time a status costs next
to no memory. Slack removes a status with each post of ours and after two minutes, so it is sent again after posts and
every REFRESH_S, until none is wanted. Every call is bounded, and none is repeated before the next change or refresh.
Where Slack refuses statuses, the channel gets none for REFUSED_S, and a question there costs no call.

A thread's status belongs to the process that answers in it. As long as nothing is answered in its thread, a queued
question has the status of its place, and a reply that asks for an approval has a status that says so; the database says
when that changes. After a kill, the status disappears within two minutes, or the next process replaces it.
"""

import asyncio
import logging
import math
from collections.abc import Coroutine
from dataclasses import dataclass, field

from bot.core import texts
from bot.core.conversation import QueuedThreads, ThreadKey
from bot.errors import RateLimited, Refusal, Refused, StoreError, trace_of
from bot.ports.assistant_pane import Pane
from bot.ports.clock import Clock
from bot.ports.queue import ThreadQueue

CALL_TIMEOUT_S = 5.0
REFRESH_S = 90.0
"""Slack removes a status after two minutes."""
SETTLE_S = 0.5
"""Changes within this time become one call: a short answer ends before its posts make the status come back."""
REFUSED_S = 600.0
"""How long a refusal is remembered for its channel."""
QUEUE_LOOK_S = 3.0
"""Between two looks at the places of queued questions."""

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _ThreadStatus:
    """The status of one thread: what should be shown, and what may be."""

    thread: ThreadKey
    wanted: str
    may_show: str = ""
    """The last status that was sent, unless a post has removed it."""
    confirmed: str = ""
    """The same, if Slack accepted it."""
    sending: bool = False
    next_call: asyncio.TimerHandle | None = None
    """None while a call is made."""
    delay_s: float = REFRESH_S
    """The pause between the call that is being made and the next one."""
    tried: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class ThreadStatuses:
    """Keeps the statuses of this process's threads."""

    pane: Pane
    queue: ThreadQueue
    clock: Clock
    team_id: str
    _statuses: dict[tuple[str, str], _ThreadStatus] = field(default_factory=dict, init=False)
    """By channel and thread_ts."""
    _answered: set[ThreadKey] = field(default_factory=set, init=False)
    """Threads in which this process answers: their status is not the queue's."""
    _followed: set[ThreadKey] = field(default_factory=set, init=False)
    """Threads whose status depends on the database: their questions are queued, or wait for an approval."""
    _refused_until: dict[str, float] = field(default_factory=dict, init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def answering(self, thread: ThreadKey, status: str) -> None:
        """Shows the status of an answer in the background, until `ended`."""
        self._answered.add(thread)
        self._show(thread, status)

    async def confirmed(self, thread: ThreadKey, status: str, within_s: float) -> bool:
        """Shows the status of an answer at once; returns whether Slack accepted it within this time."""
        self._answered.add(thread)
        kept = self._show(thread, status, at_once=True)
        if kept is None:
            return False
        try:
            async with asyncio.timeout(within_s):
                await kept.tried.wait()
        except TimeoutError:
            return False
        return kept.confirmed == status

    def ended(self, thread: ThreadKey, *, asks: bool = False) -> None:
        """Removes the status of an answer in the background. If it `asks` for an approval, its status says so."""
        self._answered.discard(thread)
        if asks:
            self._show(thread, texts.STATUS_ASKING)
            self._follow(thread)
        else:
            self._remove(thread)

    def queued(self, thread: ThreadKey) -> None:
        """Shows the place of a thread's queued question while nothing is answered in the thread."""
        self._follow(thread)

    def posted(self, channel_id: str, thread_ts: str) -> None:
        """Notes a post of ours, with which Slack removes the thread's status."""
        if kept := self._statuses.get((channel_id, thread_ts)):
            if not kept.sending:
                kept.may_show = kept.confirmed = ""
            self._changed(kept, SETTLE_S)

    def _follow(self, thread: ThreadKey) -> None:
        if thread.thread_ts is None or self._is_refused(thread):
            return
        is_followed = bool(self._followed)
        self._followed.add(thread)
        if not is_followed:
            self._start(self._follow_queue())

    def _show(self, thread: ThreadKey, status: str, *, at_once: bool = False) -> _ThreadStatus | None:
        if thread.thread_ts is None or self._is_refused(thread):
            return None
        key, delay_s = (thread.channel_id, thread.thread_ts), 0.0 if at_once else SETTLE_S
        kept = self._statuses.get(key)
        if kept is None:
            kept = self._statuses[key] = _ThreadStatus(thread, status)
            self._changed(kept, delay_s)
        elif kept.wanted != status:
            kept.wanted = status
            kept.tried.clear()
            self._changed(kept, delay_s)
        return kept

    def _remove(self, thread: ThreadKey, *, is_others: bool = False) -> None:
        """Removes a thread's status. If it is another process's by now, Slack isn't called."""
        if kept := self._statuses.get((thread.channel_id, thread.thread_ts or "")):
            kept.wanted = ""
            if is_others:
                kept.may_show = ""
            self._changed(kept, 0.0)

    def _changed(self, kept: _ThreadStatus, delay_s: float) -> None:
        """Has the status sent in `delay_s`, unless a call is due sooner."""
        if kept.sending:
            kept.delay_s = min(kept.delay_s, delay_s)
        else:
            self._call_in(kept, delay_s)

    def _call_in(self, kept: _ThreadStatus, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        if kept.next_call is not None:
            delay_s = min(delay_s, kept.next_call.when() - loop.time())
            kept.next_call.cancel()
        kept.next_call = loop.call_later(delay_s, self._call, kept)

    def _call(self, kept: _ThreadStatus) -> None:
        kept.next_call = None
        if kept.wanted or kept.may_show:
            kept.sending, kept.delay_s = True, REFRESH_S
            self._start(self._update(kept))
        else:
            del self._statuses[kept.thread.channel_id, kept.thread.thread_ts or ""]
            kept.tried.set()

    async def _update(self, kept: _ThreadStatus) -> None:
        """Sends the wanted status, and has the next call made when it is due."""
        await self._send(kept)
        is_over = not (kept.wanted or kept.may_show)
        self._call_in(kept, 0.0 if is_over else kept.delay_s)

    async def _send(self, kept: _ThreadStatus) -> None:
        """Sends the wanted status. A failed removal isn't repeated: Slack removes the status within two minutes."""
        status = kept.wanted
        kept.confirmed, kept.may_show = "", status
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self.pane.set_status(kept.thread, status)
            kept.confirmed = status
        except Refused as error:
            log.warning("status of thread %s not set: %s", kept.thread, error)
            if error.reason not in (Refusal.TRANSIENT, Refusal.MESSAGE_GONE):
                self._refused_until[kept.thread.channel_id] = self.clock.monotonic() + REFUSED_S
            if not error.reason.may_pass:
                kept.wanted = kept.may_show = ""
        except (RateLimited, TimeoutError) as error:
            log.warning("status of thread %s not set: %s", kept.thread, str(error) or "it took too long")
        except Exception as error:
            log.error("status of thread %s not set: %s", kept.thread, trace_of(error))
        finally:
            kept.sending = False
            kept.tried.set()

    async def _follow_queue(self) -> None:
        """Shows the statuses of followed threads until none of their questions is queued or waits any more."""
        while self._followed:
            try:
                self._show_places(await self.queue.queued_threads(self.team_id))
            except StoreError as error:
                log.info("statuses of queued questions not shown: %s", error)
            await asyncio.sleep(QUEUE_LOOK_S)

    def _show_places(self, queued: QueuedThreads) -> None:
        places = {thread: place for place, thread in enumerate(queued.waiting, 1)}
        for thread in list(self._followed):
            is_answered = thread in queued.answered
            if not is_answered and thread not in places and thread not in queued.asking:
                self._followed.discard(thread)
            if thread in self._answered:
                continue
            if not is_answered and thread in places:
                self._show(thread, texts.status_queued(places[thread]))
            elif not is_answered and thread in queued.asking:
                self._show(thread, texts.STATUS_ASKING)
            else:
                self._remove(thread, is_others=is_answered)

    def _is_refused(self, thread: ThreadKey) -> bool:
        return self.clock.monotonic() < self._refused_until.get(thread.channel_id, -math.inf)

    def _start(self, call: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(call)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
