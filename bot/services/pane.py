"""The assistant pane, and thread statuses: Slack's "Typist is thinking…" line in a thread.

**Statuses** don't use up edits, and answers work without them. A status replaces a message: once the answer has a
message, the message shows the model's activity, and the status is removed. A native stream shows neither the activity
nor a button, so below a stream the status remains and explains how to stop the answer.

A thread has one timer for its next call, and a task only while the call is made, so a status uses almost no memory.
Slack removes a status whenever we post and after two minutes, so a status is sent again after a stream starts and every
REFRESH_S. Every call has a timeout, and failed calls aren't repeated before the next change or refresh. If Slack
forbids statuses in a channel, none are sent there for PAUSE_S; if Slack no longer supports the method, none are sent
in any channel. An error about one status, such as invalid_arguments, affects only that call.

If Slack rejects an answer's status, the answer gets a message with a Stop button. If readers could stop a native stream
only with the status's help, the stream isn't started, or is replaced by edits (`on_status_rejected`).

A thread's status belongs to the process that answers in the thread. If the process is killed, the status disappears
within two minutes, or the next process replaces it.

**The pane** has suggested prompts, a context and titles. In the pane, a status replaces the placeholder, because the
first post would remove the status. If Slack rejects the status or takes too long, the placeholder is posted at once.

In an agent's threads, Slack's own Stop button replaces Typist's while Slack accepts the session. In channels, everybody
can click Slack's button. People who aren't allowed to stop the answer get a message that explains who can.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass, field

from bot.clock import Background, Clock
from bot.core import texts
from bot.core.conversation import Question, ThreadKey
from bot.core.surfaces import AppContext, Visibility, thread_title, was_asked_in_pane
from bot.errors import RateLimited, Refused, trace_of
from bot.reply.workspace import Workspace
from bot.slack.client import TURN_WITHIN_S
from bot.slack.refusals import METHOD_GONE
from bot.slack.surfaces import Pane
from bot.store import Stores

CALL_TIMEOUT_S = 5.0
REFRESH_S = 90.0
"""The interval for sending a status again. Slack removes a status after two minutes."""
FIRST_DELAY_S = 0.1
"""Delay of a thread's first status. An answer that begins at once needs no status, but people are waiting."""
CHANGE_DELAY_S = 0.5
"""Status changes within this time are combined into one call, so that a short answer ends before a second one."""
PAUSE_S = 600.0
"""Time without statuses in a channel after Slack rejected one."""
SIGN_TIMEOUT_S = 0.4
"""Time limit for starting a session, and then for a status. After that, a placeholder with Typist's Stop button is
shown."""
EVERYWHERE = ""
END_TIMEOUT_S = 120.0
"""Time limit for ending a session. It is long because even a late call removes Slack's Stop button."""

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _ThreadStatus:
    """The desired status of a thread, and the status that Slack might show."""

    thread: ThreadKey
    desired: str
    possibly_shown: str = ""
    """The last status that was sent, unless a post has removed it."""
    confirmed: str = ""
    """The last status that was sent, or "" if Slack hasn't accepted it."""
    is_below_stream: bool = False
    is_sending: bool = False
    next_call: asyncio.TimerHandle | None = None
    delay_s: float = REFRESH_S
    has_failed: bool = False
    call_done: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class ThreadStatuses:
    pane: Pane
    clock: Clock
    on_status_rejected: Callable[[ThreadKey], None] = lambda thread: None
    """Called with a thread whose status Slack rejected, so that its readers see no status."""
    _statuses: dict[tuple[str, str], _ThreadStatus] = field(default_factory=dict, init=False)
    """Keys are a channel and a thread_ts."""
    _refused_until: dict[str, float] = field(default_factory=dict, init=False)
    """Times by channel, on the monotonic clock. The key EVERYWHERE means all channels."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def desired_status(self, thread: ThreadKey) -> str:
        thread_status = self._status_of(thread)
        return thread_status.desired if thread_status else ""

    def has_answer_status(self, thread: ThreadKey) -> bool:
        """Returns whether a thread has an answer's status that Slack hasn't refused."""
        thread_status = self._status_of(thread)
        return thread_status is not None and bool(thread_status.desired) and not thread_status.has_failed

    def show(self, thread: ThreadKey, status: str) -> bool:
        """Shows an answer's status in the background until `remove`. Returns False if Slack rejects statuses."""
        return self._show(thread, status) is not None

    async def show_and_confirm(self, thread: ThreadKey, status: str, within_s: float) -> bool:
        """Shows an answer's status at once. Returns whether Slack accepted the status within `within_s`."""
        thread_status = self._show(thread, status, at_once=True)
        if thread_status is None:
            return False
        try:
            async with asyncio.timeout(within_s):
                await thread_status.call_done.wait()
        except TimeoutError:
            return False
        return thread_status.confirmed == status

    def remove(self, thread: ThreadKey) -> None:
        if thread_status := self._status_of(thread):
            thread_status.desired, thread_status.is_below_stream = "", False
            self._plan_call(thread_status, 0.0)

    async def make_room_for_stop_button(self, thread: ThreadKey) -> None:
        """Makes room for Slack's own Stop button. Returns when no status call can remove the button anymore."""
        thread_status = self._status_of(thread)
        if thread_status is None:
            return
        thread_status.desired = thread_status.possibly_shown = ""
        self._plan_call(thread_status, 0.0)
        if thread_status.is_sending:
            await thread_status.call_done.wait()

    def change(self, thread: ThreadKey, status: str) -> None:
        if (thread_status := self._status_of(thread)) and thread_status.desired:
            self._show(thread, status)

    def on_posted(self, channel_id: str, thread_ts: str, is_stream: bool) -> None:
        """Records a post by the bot, because Slack then removes the status. The status is only needed again below a
        stream."""
        if thread_status := self._statuses.get((channel_id, thread_ts)):
            if not thread_status.is_sending:
                thread_status.possibly_shown = thread_status.confirmed = ""
            thread_status.is_below_stream |= is_stream
            if not thread_status.is_below_stream:
                thread_status.desired = ""
            self._plan_call(thread_status, CHANGE_DELAY_S)

    def _show(self, thread: ThreadKey, status: str, *, at_once: bool = False) -> _ThreadStatus | None:
        refused_until = max(self._refused_until.get(where, -math.inf) for where in (thread.channel_id, EVERYWHERE))
        if thread.thread_ts is None or self.clock.monotonic() < refused_until:
            return None
        key = (thread.channel_id, thread.thread_ts)
        delay_s = 0.0 if at_once else CHANGE_DELAY_S
        thread_status = self._statuses.get(key)
        if thread_status is None:
            thread_status = self._statuses[key] = _ThreadStatus(thread, status)
            self._plan_call(thread_status, min(delay_s, FIRST_DELAY_S))
        elif thread_status.desired != status:
            thread_status.desired = status
            thread_status.call_done.clear()
            self._plan_call(thread_status, delay_s)
        return thread_status

    def _status_of(self, thread: ThreadKey) -> _ThreadStatus | None:
        return self._statuses.get((thread.channel_id, thread.thread_ts or ""))

    def _plan_call(self, thread_status: _ThreadStatus, delay_s: float) -> None:
        if thread_status.is_sending:
            thread_status.delay_s = min(thread_status.delay_s, delay_s)
        else:
            self._call_in(thread_status, delay_s)

    def _call_in(self, thread_status: _ThreadStatus, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        if thread_status.next_call is not None:
            delay_s = min(delay_s, thread_status.next_call.when() - loop.time())
            thread_status.next_call.cancel()
        # In a separate context, because a status outlasts the job for which it was first shown.
        thread_status.next_call = loop.call_later(delay_s, self._call, thread_status, context=Context())

    def _call(self, thread_status: _ThreadStatus) -> None:
        thread_status.next_call = None
        if thread_status.desired or thread_status.possibly_shown:
            thread_status.is_sending = True
            thread_status.delay_s = REFRESH_S
            thread_status.call_done.clear()
            task = asyncio.create_task(self._update(thread_status))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            del self._statuses[thread_status.thread.channel_id, thread_status.thread.thread_ts or ""]
            thread_status.call_done.set()

    async def _update(self, thread_status: _ThreadStatus) -> None:
        """Sends the desired status and plans the next call. Failed removals aren't repeated: statuses expire."""
        status = thread_status.desired
        thread_status.confirmed = ""
        thread_status.possibly_shown = status
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self.pane.set_status(thread_status.thread, status)
            thread_status.confirmed = status
        except Refused as error:
            log.warning("status of thread %s not set: %s", thread_status.thread, error)
            if error.reason.is_unavailable:
                now = self.clock.monotonic()
                refused = {channel_id: until for channel_id, until in self._refused_until.items() if until > now}
                where = EVERYWHERE if error.name in METHOD_GONE else thread_status.thread.channel_id
                self._refused_until = refused | {where: now + PAUSE_S}
            if not error.reason.is_temporary:
                thread_status.desired = thread_status.possibly_shown = ""
        except (RateLimited, TimeoutError) as error:
            log.warning("status of thread %s not set: %s", thread_status.thread, str(error) or "it took too long")
        except Exception as error:
            log.error("status of thread %s not set: %s", thread_status.thread, trace_of(error))
        finally:
            thread_status.is_sending = False
            thread_status.call_done.set()
        thread_status.has_failed = thread_status.confirmed != status
        if status and thread_status.has_failed:
            self.on_status_rejected(thread_status.thread)
        is_over = not (thread_status.desired or thread_status.possibly_shown)
        self._call_in(thread_status, 0.0 if is_over else thread_status.delay_s)


@dataclass(frozen=True, slots=True)
class Signs:
    sign: Visibility = Visibility.NONE
    has_stop_button: bool = False
    """Whether Slack's own Stop button replaces Typist's."""


@dataclass(frozen=True)
class AssistantPane:
    """Manages the pane, if the app has one, and every thread's status. Refusals from Slack are only logged."""

    stores: Stores
    workspace: Workspace
    statuses: ThreadStatuses
    _session_tasks: dict[ThreadKey, asyncio.Task[bool | None]] = field(default_factory=dict, init=False)
    """Sessions to end. Each task returns the result of Pane.begin_session."""
    _ending_tasks: dict[ThreadKey, asyncio.Task[None]] = field(default_factory=dict, init=False)
    """Sessions whose end Slack hasn't confirmed."""
    _background: Background = field(default_factory=Background, init=False)

    def suggest(self, channel_id: str, thread_ts: str | None) -> None:
        """Suggests prompts in a pane's thread or, without `thread_ts`, in an agent's direct message."""
        if self.workspace.me.has_pane:
            self._start(self.workspace.pane.suggest(channel_id, thread_ts))

    async def record_context(self, user_id: str, context: AppContext) -> None:
        if self.workspace.me.has_pane:
            await self.stores.pane_context.write(self.workspace.me.team_id, user_id, context)

    async def begin(self, question: Question, *, is_first: bool = True, has_message: bool = False) -> Signs:
        """Shows that an answer is being prepared, and returns which signs people can see.

        According to Slack's docs, only the pane and agents' threads are sure to show a status. In other threads, a
        status is sent in the background. A placeholder is posted too unless calls are scarce.

        `is_first`: whether no earlier attempt can have a session, which would have to be ended with a call.
        `has_message`: whether Slack already shows a message of the reply, with the model's activity.
        """
        thread = question.thread
        if not self.workspace.me.has_pane or thread.thread_ts is None:
            if has_message or thread.thread_ts is None:
                return Signs()
            is_on_its_way = self.statuses.show(thread, texts.statuses.STATUS_THINKING)
            return Signs(Visibility.MAY_BE_SEEN if is_on_its_way else Visibility.REFUSED)
        is_in_pane = was_asked_in_pane(question)
        session = self._session_tasks[thread] = asyncio.create_task(self._begin_session(thread))
        if is_in_pane:
            self._start(self._set_title(question, session))
        await asyncio.wait((session,), timeout=SIGN_TIMEOUT_S)
        if self._has_stop_button(thread):
            return Signs(Visibility.SEEN, has_stop_button=True) if session.done() else Signs()
        if is_first and session.result() is None:
            del self._session_tasks[thread]
        if has_message or not await self.statuses.show_and_confirm(
            thread, texts.statuses.STATUS_THINKING, SIGN_TIMEOUT_S
        ):
            return Signs()
        return Signs(Visibility.SEEN if is_in_pane else Visibility.MAY_BE_SEEN)

    def on_queued(self, question: Question) -> None:
        """Shows in the background that a question is queued, unless an earlier question uses the thread's status."""
        if question.begins_thread:
            self.statuses.show(question.thread, texts.statuses.STATUS_QUEUED)

    def on_claimed(self, question: Question) -> None:
        """Removes the queued status in the background, unless an answer now uses the thread's status."""
        if self.statuses.desired_status(question.thread) == texts.statuses.STATUS_QUEUED:
            self.statuses.remove(question.thread)

    def has_stop_hint(self, question: Question) -> bool:
        """Returns whether Slack's own Stop button or the thread's status tells readers how to stop a native stream."""
        return self._has_stop_button(question.thread) or self.statuses.has_answer_status(question.thread)

    def show_status(self, question: Question, status: str) -> None:
        if not self._has_stop_button(question.thread):
            self.statuses.change(question.thread, status)

    def end(self, question: Question, *, asks: bool) -> None:
        """Removes the status and Slack's own Stop button in the background after the question's attempt. `asks`: the
        reply asks for an approval or a choice, which the session reports."""
        thread = question.thread
        self.statuses.remove(thread)
        if session := self._session_tasks.pop(thread, None):
            self._ending_tasks[thread] = self._start(self._end_session(thread, session, waits=asks), END_TIMEOUT_S)

    def _has_stop_button(self, thread: ThreadKey) -> bool:
        """Returns whether the thread has or might soon have Slack's own Stop button, which a status would replace."""
        session = self._session_tasks.get(thread)
        return session is not None and (not session.done() or bool(session.result()))

    async def _begin_session(self, thread: ThreadKey) -> bool | None:
        """Returns whether Slack shows its own Stop button in the thread, or None if there is no session. First waits
        for calls by an earlier answer, because a late call would remove the button."""
        if not self.workspace.pane.has_sessions:
            return None
        try:
            async with asyncio.timeout(TURN_WITHIN_S):
                if ending := self._ending_tasks.pop(thread, None):
                    await asyncio.wait((ending,))
                await self.statuses.make_room_for_stop_button(thread)
                return await self.workspace.pane.begin_session(thread)
        except (RateLimited, Refused, TimeoutError) as error:
            log.warning("agent session of thread %s not started: %s", thread, str(error) or "it took too long")
        except Exception as error:
            log.error("agent session of thread %s not started: %s", thread, trace_of(error))
        return False

    async def _end_session(self, thread: ThreadKey, begun: asyncio.Task[bool | None], *, waits: bool) -> None:
        """Ends a session once it has begun. If the call that ends it arrived first, Slack's Stop button would
        remain."""
        try:
            await asyncio.wait((begun,))
            await self.workspace.pane.end_session(thread, is_waiting=waits)
        finally:
            if self._ending_tasks.get(thread) is asyncio.current_task():
                del self._ending_tasks[thread]

    async def _set_title(self, question: Question, session: asyncio.Task[bool | None]) -> None:
        """Sets a thread's title from its first question after the session has begun, once across all processes."""
        await asyncio.wait((session,))
        if await self._claim_title(question.thread):
            await self.workspace.pane.set_title(question.thread, thread_title(question))

    async def on_renamed(self, thread: ThreadKey) -> None:
        """Records that a person renamed a thread, so that Typist doesn't replace the title. Raises StoreError."""
        await self._claim_title(thread)

    async def _claim_title(self, thread: ThreadKey) -> bool:
        """Reserves the right to set a thread's title. Returns False if the title is already set."""
        return await self.stores.notifications.claim(self.workspace.me.team_id, "", f"title {thread}")

    def _start(self, call: Coroutine[None, None, None], within_s: float = TURN_WITHIN_S) -> asyncio.Task[None]:
        return self._background.start(call, "assistant pane not updated", within_s)
