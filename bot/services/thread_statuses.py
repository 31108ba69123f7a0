"""Thread statuses: what Slack shows as "Typist is thinking…" in a thread. They cost no edit, and no answer needs them.

A thread has one timer for its next call, and a task only while the call is made: most of the time a status costs next
to no memory. Slack removes a status with each post of ours and after two minutes, so it is sent again after posts and
every REFRESH_S, until none is wanted. Every call is bounded, and none is repeated before the next change or refresh.
Where Slack forbids statuses, the channel gets none for REFUSED_S, and a question there costs no call. An error about
one status, such as invalid_arguments, ends only that call.

A thread's status belongs to the process that answers in it. As long as nothing is answered in its thread, a queued
question has the status of its place, and a reply that asks for an approval has a status that says so; the database says
when that changes. After a kill, the status disappears within two minutes, or the next process replaces it.
"""

import asyncio
import logging
import math
from collections.abc import Coroutine
from contextvars import Context
from dataclasses import dataclass, field

from bot.clock import Clock
from bot.core import texts
from bot.core.conversation import QueuedThreads, ThreadKey
from bot.errors import RateLimited, Refused, StoreError, trace_of
from bot.slack.assistant_pane import Pane
from bot.store.queue.producers import QuestionQueue

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
    """None while a call is made, and while others answer."""
    delay_s: float = REFRESH_S
    """The pause between the call that is being made and the next one."""
    tried: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class ThreadStatuses:
    """Keeps the statuses of this process's threads."""

    pane: Pane
    queue: QuestionQueue
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

    def answering(self, thread: ThreadKey, status: str) -> bool:
        """Shows the status of an answer in the background, until `ended`; returns False where Slack takes none."""
        self._answered.add(thread)
        return self._show(thread, status) is not None

    async def confirmed(self, thread: ThreadKey, status: str, within_s: float) -> bool:
        """Shows the status of an answer at once; returns whether Slack accepted it within this time."""
        self._answered.add(thread)
        thread_status = self._show(thread, status, at_once=True)
        if thread_status is None:
            return False
        try:
            async with asyncio.timeout(within_s):
                await thread_status.tried.wait()
        except TimeoutError:
            return False
        return thread_status.confirmed == status

    def ended(self, thread: ThreadKey, *, asks: bool = False) -> None:
        """Removes the status of an answer in the background. If it `asks` for an approval, its status says so."""
        self._answered.discard(thread)
        if asks:
            self._show(thread, texts.STATUS_ASKING)
            self.follow(thread)
        else:
            self._remove(thread)

    async def give_way(self, thread: ThreadKey) -> None:
        """Leaves the thread to Slack's own Stop: returns once no call of ours is under way that would remove it."""
        self._answered.add(thread)
        thread_status = self._status_of(thread)
        if thread_status is None:
            return
        thread_status.wanted = thread_status.may_show = ""
        self._changed(thread_status, 0.0)
        if thread_status.sending:
            await thread_status.tried.wait()

    def follow(self, thread: ThreadKey) -> None:
        """Shows a thread's place in the queue, or that it waits for an approval, while nothing is answered in it."""
        if thread.thread_ts is None or self._is_refused(thread):
            return
        is_followed = bool(self._followed)
        self._followed.add(thread)
        if not is_followed:
            self._start(self._follow_queue())

    def posted(self, channel_id: str, thread_ts: str) -> None:
        """Notes a post of ours, with which Slack removes the thread's status."""
        if thread_status := self._statuses.get((channel_id, thread_ts)):
            if not thread_status.sending:
                thread_status.may_show = thread_status.confirmed = ""
            self._changed(thread_status, SETTLE_S)

    def _show(self, thread: ThreadKey, status: str, *, at_once: bool = False) -> _ThreadStatus | None:
        if thread.thread_ts is None or self._is_refused(thread):
            return None
        key = (thread.channel_id, thread.thread_ts)
        delay_s = 0.0 if at_once else SETTLE_S
        thread_status = self._statuses.get(key)
        if thread_status is None:
            thread_status = self._statuses[key] = _ThreadStatus(thread, status)
            self._changed(thread_status, delay_s)
        elif thread_status.wanted != status:
            thread_status.wanted = status
            thread_status.tried.clear()
            self._changed(thread_status, delay_s)
        return thread_status

    def _status_of(self, thread: ThreadKey) -> _ThreadStatus | None:
        return self._statuses.get((thread.channel_id, thread.thread_ts or ""))

    def _remove(self, thread: ThreadKey) -> None:
        if thread_status := self._status_of(thread):
            thread_status.wanted = ""
            self._changed(thread_status, 0.0)

    def _leave_to_others(self, thread: ThreadKey) -> None:
        """Sends nothing more in a thread where an answer began that isn't ours, as far as is known: it has its status.

        If it is ours after all, its end removes what we showed. If not, that happens once nothing is answered there.
        """
        thread_status = self._status_of(thread)
        if thread_status is not None and thread_status.wanted:
            thread_status.wanted = ""
            if thread_status.next_call is not None:
                thread_status.next_call.cancel()
                thread_status.next_call = None

    def _changed(self, thread_status: _ThreadStatus, delay_s: float) -> None:
        """Has the status sent in `delay_s`, unless a call is due sooner."""
        if thread_status.sending:
            thread_status.delay_s = min(thread_status.delay_s, delay_s)
        else:
            self._call_in(thread_status, delay_s)

    def _call_in(self, thread_status: _ThreadStatus, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        if thread_status.next_call is not None:
            delay_s = min(delay_s, thread_status.next_call.when() - loop.time())
            thread_status.next_call.cancel()
        thread_status.next_call = loop.call_later(delay_s, self._call, thread_status)

    def _call(self, thread_status: _ThreadStatus) -> None:
        thread_status.next_call = None
        if thread_status.wanted or thread_status.may_show:
            thread_status.sending = True
            thread_status.delay_s = REFRESH_S
            thread_status.tried.clear()
            self._start(self._update(thread_status))
        else:
            del self._statuses[thread_status.thread.channel_id, thread_status.thread.thread_ts or ""]
            thread_status.tried.set()

    async def _update(self, thread_status: _ThreadStatus) -> None:
        """Sends the wanted status, and has the next call made when it is due."""
        await self._send(thread_status)
        is_over = not (thread_status.wanted or thread_status.may_show)
        self._call_in(thread_status, 0.0 if is_over else thread_status.delay_s)

    async def _send(self, thread_status: _ThreadStatus) -> None:
        """Sends the wanted status. A failed removal isn't repeated: Slack removes the status within two minutes."""
        status = thread_status.wanted
        thread_status.confirmed = ""
        thread_status.may_show = status
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self.pane.set_status(thread_status.thread, status)
            thread_status.confirmed = status
        except Refused as error:
            log.warning("status of thread %s not set: %s", thread_status.thread, error)
            if error.reason.is_unavailable:
                now = self.clock.monotonic()
                refused = {channel_id: until for channel_id, until in self._refused_until.items() if until > now}
                self._refused_until = refused | {thread_status.thread.channel_id: now + REFUSED_S}
            if not error.reason.may_pass:
                thread_status.wanted = thread_status.may_show = ""
        except (RateLimited, TimeoutError) as error:
            log.warning("status of thread %s not set: %s", thread_status.thread, str(error) or "it took too long")
        except Exception as error:
            log.error("status of thread %s not set: %s", thread_status.thread, trace_of(error))
        finally:
            thread_status.sending = False
            thread_status.tried.set()

    async def _follow_queue(self) -> None:
        """Shows the statuses of followed threads until none of their questions is queued or waits any more."""
        while self._followed:
            try:
                self._show_places(await self.queue.queued_threads(self.team_id))
            except StoreError as error:
                log.info("statuses of queued questions not shown: %s", error)
            except Exception as error:
                log.error("statuses of queued questions not shown: %s", trace_of(error))
            await asyncio.sleep(QUEUE_LOOK_S)

    def _show_places(self, queued: QueuedThreads) -> None:
        places = {thread: place for place, thread in enumerate(queued.queued, 1)}
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
            elif is_answered:
                self._leave_to_others(thread)
            else:
                self._remove(thread)

    def _is_refused(self, thread: ThreadKey) -> bool:
        return self.clock.monotonic() < self._refused_until.get(thread.channel_id, -math.inf)

    def _start(self, call: Coroutine[None, None, None]) -> None:
        # In a context of its own: a status lasts longer than the job for which it was first shown.
        task = asyncio.create_task(call, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
