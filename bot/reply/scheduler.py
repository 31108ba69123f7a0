"""Sends the most urgent call among all live replies whenever the pace allows it.

Nothing pushes text to Slack. A `Reply` (reply.py) tracks what Slack should show and what it shows, and `next_call()`
returns the difference. The scheduler requests a call only when it can be sent, so the call always has the newest text:

- no queue builds up while Slack is slow: a hundred deltas become one edit;
- a failed call needs no bookkeeping: its text isn't recorded as shown, so the next call includes it;
- the order of events doesn't matter, because the difference is always the remaining work.

One loop (`run`) serves all live replies of a workspace, because they share its budgets. Each pass

1. checks the lease: without a recent heartbeat, another process might own the jobs, so nothing is sent;
2. prepares each changed reply that has no call in flight: drops it if its deadline has passed, gives a new page a
   carrier, switches to a post if no edit can show the end in time, gives up an end that would be too late, and closes a
   finished reply. Laying out 200 replies for each call would use a whole core, so a reply's next call is kept until
   something other than more text changes the reply;
3. asks the budget when each reply's next call can be sent, given its urgency. The most urgent calls show the end of an
   answer, followed by first words, progress, tool steps, and placeholders of queued questions. Asking reserves nothing;
4. starts the most urgent call that can be sent now, with the newest text, as a separate task, and repeats from 1;
5. if no call can be sent now, sleeps until the earliest time that the budget returned, or until a reply changes.

If no edit can show an answer's end within FINAL_WAIT_S, the end is posted as a new message, and the old message is
deleted. Posts and deletions have separate budgets. A reply has at most one call in flight, so its calls arrive in
order, and each outcome is known before the difference is computed again.

Before a call is sent, its task records the text and the message that the call will show, and counts the call in the
database, together with the calls of other processes. Because both steps can take a while, the task then checks the
lease once more. Slack therefore never shows anything that a process taking over the job wouldn't know about. While the
database is unavailable, answers pause.

A queued question's placeholder waits while earlier answers need the budget. In the meantime, a worker can claim the
job, so right before the call, the database is asked whether the job was claimed or has ended.

After a failed call, the reply sends nothing until the time set by the retry policy, while other replies continue. A
reply whose calls fail for minutes is given up, and the outbox shows its end later.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

from bot.clock import Clock
from bot.core.asks import ApprovalCard
from bot.core.conversation import ThreadKey
from bot.core.job import End, Job
from bot.core.lease import Lease
from bot.core.picture import Picture
from bot.core.surfaces import Visibility
from bot.errors import RateLimited, Refusal, Refused, StoreError, Stuck, trace_of
from bot.logs import of_job
from bot.reply.answer import Answer, Freshness
from bot.reply.carriers import METHODS
from bot.reply.delivery import MessageDelivery, MessageTransport
from bot.reply.edits import Post, Update
from bot.reply.messages import Begin, Call, Change, CleanUp, Delete, Life, Upload, VisibleReply, recorded_reply
from bot.reply.outcomes import (
    CallDone,
    CallFound,
    CallLimited,
    CallLost,
    CallUnsent,
    Outcome,
    error_of,
)
from bot.reply.reply import Reply
from bot.reply.style import DEFAULT_STYLE, ReplyStyle
from bot.retry import NO_FAILURES, REPLY_CALLS, Failures
from bot.slack.users import Users
from bot.store.worker_queue import WorkerQueue
from bot.telemetry import OFF, Telemetry
from slack_markdown.render import has_word
from slack_pacing.budget import Paces, RateBudget
from slack_pacing.carriers import CarrierName
from slack_pacing.pacer import STEP_GAP_S, CallsLeft, Urgency, should_post_final
from slack_pacing.rates import ASK_AGAIN_S

MAX_IN_FLIGHT = 12
"""Maximum number of calls in flight per method."""
PLACEHOLDER_DELAY_S = 110.0
"""Time for which a placeholder waits while readers see a status, which Slack removes after two minutes."""
SCARCE_DELAY_S = 3.0
"""Time for which a placeholder waits for first words if calls are scarce and readers might see a status instead."""
REFUSED_DELAY_S = 1.0
"""Time for which a placeholder waits for first words if Slack has refused a status, so that readers see nothing."""
LAST_CALLS_S = 0.8
"""Time for calls in flight to finish when the process ends. The next process looks up the outcome of canceled calls."""
CALL_CACHE_S = 1.0
"""Time for which a reply's next call is kept. This is limited because streams must end after some time."""
RECHECK_DELAY_S = 0.1
"""Delay before checking again while the lease has expired, or while a reply has no visible word."""
MAX_WORDLESS_S = 1.0
"""Time for which a page's first text waits for a visible word. After that, an edit shows the text anyway."""
UPLOAD_TRIES = 3
"""Number of consecutive refusals after which an answer continues in pages instead of a file."""
PLACEHOLDER_TIMEOUT_S = 5.0
"""Time limit for sending a queued question's placeholder. After 10 s, the job can be claimed without a placeholder."""
STORE_RETRY_DELAY_S = 1.0

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(eq=False)
class ScheduledReply:
    """A live reply, which accepts an answer's text and tracks when its next call can be sent. Times are from the
    monotonic clock."""

    scheduler: "EditScheduler"
    reply: Reply
    delivery: MessageDelivery
    deadline: float = math.inf
    context: Context = field(default_factory=copy_context)
    """The attempt's context, in which calls are made so that their log lines include the job."""
    asked_at: float | None = None
    """The time of the question, in seconds since the epoch, or None once readers can see that an answer has begun."""
    sent_at: float = -math.inf
    """The time at which the last call was sent. Its response arrived at `last_response_at`."""
    last_response_at: float = -math.inf
    not_before: float = -math.inf
    """The earliest time for the next call: set by the retry policy, or a second after the last call if a step has begun
    or ended since then. Before the first call, the time until which the thread's status replaces a placeholder."""
    has_status: bool = False
    """Whether, until the reply has a message, the thread's status is the only sign that an answer has begun."""
    call: Call | None = None
    """The next call, possibly without the newest text, or None if it must be computed."""
    call_computed_at: float = -math.inf
    wordless_since: float = math.inf
    """The time at which the next call was first held back because it wouldn't show a word."""
    failures: Failures = NO_FAILURES
    successful_calls: int = 0
    freshness: Freshness = field(default_factory=Freshness)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """An event that is set while no call is in flight and none is needed."""

    def append(self, delta: str) -> None:
        reply = self.reply
        is_judged = self.freshness.has_begun or reply.is_withheld
        is_seen = is_judged or has_word(reply.answer.text + delta, growing=True)
        self.freshness.on_written(len(delta), self.scheduler.clock.monotonic(), has_word=is_seen)
        # Text needs a message, so it ends the wait for a pane's status, during which the loop might be sleeping.
        is_first = reply.answer.is_empty
        must_wake = is_first or self.idle.is_set()
        if is_first:
            self._end_wait_for_words()
        reply.append(delta)
        if must_wake:
            self.scheduler.on_changed(self)

    def start_over(self) -> None:
        self.freshness.chars = 0
        self.reply.start_over()

    def _end_wait_for_words(self) -> None:
        if self.failures == NO_FAILURES:
            self.not_before = -math.inf

    def show_activity(self, activity: str) -> None:
        if self.reply.show_activity(activity):
            # Quick steps, and text that the model writes in between, are limited to one edit a second.
            self.not_before = max(self.not_before, self.last_response_at + STEP_GAP_S)
        self.scheduler.on_changed(self)

    def show_transcripts(self, transcripts: Iterable[str]) -> None:
        self.reply.show_transcripts(transcripts)
        self.scheduler.on_changed(self)

    async def ask_for_decisions(self, asks: tuple[ApprovalCard, ...]) -> None:
        self._end_wait_for_words()
        self.reply.show_activity(asks)
        self.scheduler.on_changed(self)
        await self.idle.wait()

    async def finish(self, end: End, shown: Picture | None = None) -> None:
        # The end doesn't wait for a status or for the next try.
        self.not_before = -math.inf
        self.freshness.ended_at = self.scheduler.clock.monotonic()
        self.run_layout(lambda: self.reply.finish(end, shown))
        if self.reply.is_withheld and not self.reply.has_ended:
            self.reply.finish(end, shown)
        self.scheduler.on_changed(self)
        await self.idle.wait()
        if not self.reply.is_unshown:
            self.reply.on_send(CleanUp())
            self.reply.on_outcome(CleanUp(), await self.delivery.clean_up())

    async def abandon(self) -> None:
        self.reply.abandon()
        self.scheduler.on_changed(self)
        await self.idle.wait()

    @property
    def can_be_one_message(self) -> bool:
        """Whether the reply can be sent as one message at its end, because readers see a status and no decision is
        pending."""
        return self.has_status and not (self.reply.messages or self.reply.has_ended or self.reply.awaits_decision)

    def next_call(self) -> Call | None:
        was_withheld = self.reply.is_withheld
        call = self.run_layout(self.reply.next_call)
        return call if self.reply.is_withheld == was_withheld else self.reply.next_call()

    def with_current_text(self, call: Call, now: float) -> Call | None:
        """Returns a call with the newest text, or None if there is currently nothing to send."""
        filled = self.run_layout(lambda: self.reply.carriers.with_current_text(call))
        is_late = now >= self.wordless_since + MAX_WORDLESS_S
        # None means that searching for a word took too long, so the call is dropped and another one will follow.
        can_go = filled is not None and (is_late or self.run_layout(partial(self.reply.shows_no_word, filled)) is False)
        if filled is not None and can_go:
            self.wordless_since = math.inf
            self.freshness.on_send()
            return filled
        self.wordless_since = min(self.wordless_since, now)
        if is_late:
            self.reply.carriers.begin_with_post()
        self.not_before = now + RECHECK_DELAY_S
        return None

    def on_outcome(self, call: Call, outcome: Outcome, now: float) -> None:
        self.run_layout(lambda: self.reply.on_outcome(call, outcome))
        if isinstance(outcome, CallDone | CallFound):
            if isinstance(call, Begin | Change) and call.view is not None:
                self.freshness.on_shown(call.view.end_chars, now)
            if not isinstance(call, Delete):
                self.freshness.on_end_shown(now)
            self.failures = NO_FAILURES
            self.successful_calls += 1
        elif (error := error_of(outcome)) is not None:
            log.warning("%s", error)
            if not self._schedule_retry(call, error, now) and not self.reply.life.is_over:
                self.give_up(call)

    def _schedule_retry(self, call: Call, error: RateLimited | Refused, now: float) -> bool:
        """Sets the time of the next try. Returns False if the retry policy gives up the call. A rate limit only delays
        the method, through its budget, so that the reply's end can be posted instead of edited. The first final refusal
        causes no delay either, because the next call is a different call."""
        self.failures = self.failures.plus_one(now)
        next_try_at = REPLY_CALLS.next_try_at(error, self.failures, now)
        is_refused = isinstance(error, Refused)
        if next_try_at is None or (is_refused and isinstance(call, Upload) and self.failures.count >= UPLOAD_TRIES):
            return False
        if isinstance(error, Refused) and (error.reason.is_temporary or self.failures.count > 1):
            self.not_before = next_try_at
        return True

    def give_up(self, call: Call) -> None:
        """Drops a call that Slack has refused for minutes. The reply might have other calls."""
        self.run_layout(lambda: self.reply.give_up(call))
        self.failures = NO_FAILURES
        if self.reply.life.is_over:
            with of_job(self.reply.job.id):
                log.error("Slack doesn't accept the reply; the outbox tries again later")
        self.scheduler.on_changed(self)

    def run_layout(self, lay_out: Callable[[], T]) -> T | None:
        """Returns the result of `lay_out`, or None if it fails. In that case, the text is hidden or the reply is given
        up."""
        try:
            return lay_out()
        except Exception as error:
            if isinstance(error, Stuck) and not self.reply.is_withheld:
                self.withhold()
                return None
            with of_job(self.reply.job.id):
                log.error("reply not laid out: %s", trace_of(error))
            self.reply.give_up()
            return None

    def withhold(self) -> None:
        with of_job(self.reply.job.id):
            log.error("reply continues without the answer's text, which takes too long to lay out")
        self.reply.withhold()
        self.scheduler.on_changed(self)


async def show_end(live: ScheduledReply, end: End, shown: Picture, users: Users, admins: Collection[str]) -> None:
    """Shows the end of an answer, with the names of the people who decided on its calls and of the admins who can help.
    `admins`: user IDs."""
    if people := shown.user_ids_to_name(admins):
        names = await users.names(people)
        shown = shown.with_names(names, users.admins_to_name(admins))
    await live.finish(end, shown)


@dataclass(frozen=True, slots=True)
class DueCall:
    live: ScheduledReply
    call: Call
    urgency: Urgency
    ready_at: float

    @property
    def sort_key(self) -> tuple[int, float]:
        """The sort key: urgency, then the time of the reply's last call. First words are sent in question order."""
        is_in_order = self.urgency in (Urgency.FIRST, Urgency.QUEUED)
        return self.urgency, 0.0 if is_in_order else self.live.last_response_at


@dataclass(eq=False)
class EditScheduler:
    transport: MessageTransport
    budget: RateBudget
    lease: Lease
    clock: Clock
    worker_queue: WorkerQueue
    carrier: CarrierName | None = "edit"
    telemetry: Telemetry = OFF
    style: ReplyStyle = DEFAULT_STYLE
    _store_retry_at: float = field(default=-math.inf, init=False)
    _live_replies: list[ScheduledReply] = field(default_factory=list, init=False)
    _in_flight: dict[ScheduledReply, str] = field(default_factory=dict, init=False)
    """The methods of calls in progress, or "" once Slack has responded."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _channel_locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary, init=False)
    """Locks that let only one queued question's placeholder per channel join the loop, because the loop checks every
    reply."""

    async def open(
        self,
        answer: Answer,
        *,
        visibility: Visibility = Visibility.NONE,
        has_stop: bool = False,
        until: float = math.inf,
    ) -> ScheduledReply:
        """Opens a reply with a placeholder, or continues a reply that an earlier attempt left in Slack.

        `visibility`: whether readers see a status at first, which can replace the placeholder. `has_stop`: whether
        Slack's own Stop button replaces the reply's button. No call is sent after `until`, on the monotonic clock.
        """
        job = answer.job
        is_fresh = not job.messages and job.checkpoint.end is None
        shown = VisibleReply() if is_fresh else await self.transport.recover(job, has_stop=has_stop)
        if job.must_move_down:
            shown = replace(shown, page_ts=(), replaced_ts=(*shown.page_ts, *shown.replaced_ts))
        live = self._schedule(answer, replace(shown, has_stop=has_stop), until)
        live.freshness.chars = len(answer.text)
        if not (shown.page_ts or job.must_move_down) and visibility is not Visibility.SEEN:
            live.asked_at = _asked_at(job)
        delay_s = -math.inf
        # A placeholder can wait for the first words, unless an earlier attempt's text needs a message.
        if not (shown.page_ts or answer.text_to_keep):
            if visibility is Visibility.SEEN:
                delay_s = PLACEHOLDER_DELAY_S
            elif visibility is not Visibility.NONE and self._are_calls_scarce(live):
                # A placeholder would use a post that another answer's first words need, and its own answer's first
                # words would have to wait for an edit. Without a placeholder, the first words are shown just as soon,
                # in one message.
                delay_s = SCARCE_DELAY_S if visibility is Visibility.MAY_BE_SEEN else REFUSED_DELAY_S
        live.not_before = self.clock.monotonic() + delay_s
        live.has_status = delay_s > REFUSED_DELAY_S
        self.budget.on_reply_opened(live, posts_first_words=delay_s > 0)
        return live

    def _are_calls_scarce(self, live: ScheduledReply) -> bool:
        """Returns whether calls are too scarce for a placeholder. This is the case if edits can't keep the reply up to
        date, if the channel's budget doesn't allow two posts, or if streams are forced."""
        if self.carrier == "stream":
            return True
        now = self.clock.monotonic()
        next_post_at = self.budget.post_ready_at(
            METHODS[Post], live.reply.job.question.thread.channel_id, now, extra_posts=1
        )
        return next_post_at > now or not self.budget.carrier_room(METHODS[Update], live).is_fresh

    def end_edit(self, job: Job, end: End, shown: Picture) -> Update | None:
        """Returns the edit that shows an ended answer's picture, or None if more than one call is needed."""
        reply = Reply(Answer(job), recorded_reply(job), self.style)
        reply.finish(end, shown)
        call = reply.next_call()
        return call if isinstance(call, Update) and call.view.end is not None else None

    async def post_placeholder(self, job: Job) -> None:
        """Posts and records a queued question's placeholder. The caller must cancel it when the job is no longer
        queued."""
        async with self._channel_locks.setdefault(job.question.thread.channel_id, asyncio.Lock()):
            live = self._schedule(Answer(job), VisibleReply(job.page_ts, is_outdated=True, queued=True))
            if not job.page_ts:
                live.asked_at = _asked_at(job)
            try:
                await live.idle.wait()
            except asyncio.CancelledError:
                live.reply.abandon()
                self.on_changed(live)
                raise

    def abandon(self, job_id: int) -> None:
        """Stops sending calls for a job's reply, because another process now has the job."""
        for live in [live for live in self._live_replies if live.reply.job.id == job_id]:
            live.reply.abandon()
            self.on_changed(live)

    def allow_stream(self, job: Job) -> None:
        """Allows a native stream for a job's reply, unless Slack is known to refuse streams."""
        for live in [live for live in self._live_replies if live.reply.job.id == job.id]:
            if offer := self.transport.stream_chooser(job.question, self.budget, live, self.carrier):
                live.reply.carriers.offer_streams(offer)
                self.on_changed(live)

    def show_stop_button(self, thread: ThreadKey) -> None:
        """Shows a thread's replies as messages with a Stop button, unless Slack shows its own Stop button."""
        for live in [live for live in self._live_replies if live.reply.job.question.thread == thread]:
            if live.reply.initial.has_stop:
                continue
            if not live.reply.page_ts:
                live.not_before = min(live.not_before, self.clock.monotonic() + REFUSED_DELAY_S)
            live.reply.carriers.use_edits_only()
            self.on_changed(live)

    def on_changed(self, live: ScheduledReply) -> None:
        live.idle.clear()
        live.call = None
        if live.reply.life.is_over and live not in self._in_flight:
            self._close_reply(live)
        self._wake.set()

    async def run(self) -> None:
        """Sends calls until canceled. Calls that are in flight at that time have LAST_CALLS_S to finish."""
        try:
            while True:
                self._wake.clear()
                until = self._send_due_calls()
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if until == math.inf else max(0.0, until - self.clock.monotonic())):
                        await self._wake.wait()
        finally:
            if self._tasks:
                _, late = await asyncio.wait(self._tasks, timeout=LAST_CALLS_S)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
            for live in [live for live in self._live_replies if live.reply.life is Life.ABANDONED]:
                self._close_reply(live)

    def _schedule(self, answer: Answer, shown: VisibleReply, until: float = math.inf) -> ScheduledReply:
        try:
            reply = Reply(answer, shown, self.style)
        except Stuck:
            reply = Reply(answer, shown, self.style, is_withheld=True)
        live = ScheduledReply(self, reply, self.transport.delivery(reply), until)
        self._live_replies.append(live)
        self.on_changed(live)
        return live

    def _send_due_calls(self) -> float:
        """Starts every call that can be sent now. Returns the time at which to check again."""
        while True:
            now = self.clock.monotonic()
            if not self.lease.is_valid(now):
                return now + RECHECK_DELAY_S
            calls = self._next_calls(now)
            look_again_at = self._post_ends_again(calls, now)
            paces = self.budget.paces(now)
            unbegun = sum(live.can_be_one_message for live in calls)
            calls_left = self.budget.calls_left(now, unbegun) if unbegun else None
            dues = [due for live, call in calls.items() if (due := self._due_call(live, call, now, paces, calls_left))]
            # The outbox can wait until the rate limit ends, but questions that are queued after this one can't.
            too_late = [due for due in dues if due.live.reply.has_ended and due.ready_at > now + REPLY_CALLS.within_s]
            for due in too_late:
                due.live.give_up(due.call)
            waiting = [due for due in dues if due not in too_late]
            ready = [due for due in waiting if due.ready_at <= now]
            if not ready:
                return min([look_again_at, *(min(due.ready_at, due.live.deadline) for due in waiting)])
            due = min(ready, key=lambda due: due.sort_key)
            call = self._next_call(due.live, now)
            if call is not None and METHODS[type(call)] == METHODS[type(due.call)]:
                self._start_call(due.live, call, now)

    def _next_calls(self, now: float) -> dict[ScheduledReply, Call]:
        calls = {}
        for live in [live for live in self._live_replies if not (live.idle.is_set() or live in self._in_flight)]:
            if now >= live.deadline:
                live.reply.abandon()
                live.call = None
            is_kept = live.call is not None and now < live.call_computed_at + CALL_CACHE_S
            if call := live.call if is_kept else self._next_call(live, now):
                calls[live] = call
        return calls

    def _next_call(self, live: ScheduledReply, now: float) -> Call | None:
        """Returns the reply's next call with the newest text, or None. Closes the reply if it is over."""
        self._update_needed_calls(live)
        live.run_layout(partial(live.reply.prepare_next_call, now))
        self._update_needed_calls(live)
        live.call, live.call_computed_at = live.next_call(), now
        if live.call is None:
            live.idle.set()
            if live.reply.life.is_over:
                self._close_reply(live)
        return live.call

    def _update_needed_calls(self, live: ScheduledReply) -> None:
        self.budget.set_methods(
            live, [METHODS[kind] for kind in live.reply.carriers.needed_calls(ended=live.reply.has_ended)]
        )

    def _post_ends_again(self, calls: dict[ScheduledReply, Call], now: float) -> float:
        """Posts the ends of answers as new messages if no edit can show them in time. Returns the time at which to
        decide again."""
        look_again_at, ahead = math.inf, 0
        for live, call in calls.items():
            if not live.reply.can_be_posted_again(call):
                continue
            edit_at = self.budget.final_at(METHODS[Update], now, ahead)
            ahead += 1
            if edit_at <= now or live.not_before > now:
                continue
            in_channel_at = self.budget.post_ready_at(METHODS[Post], call.question.thread.channel_id, now)
            post_at = max(self.budget.final_at(METHODS[Post], now, 0), in_channel_at)
            ended_at = live.freshness.ended_at
            waits_since = now if ended_at is None else max(ended_at, live.last_response_at, live.not_before)
            if not should_post_final(waits_since, edit_at, post_at):
                # The loop wakes at the call's own time, which is no later than `edit_at`.
                continue
            if post_at > now:
                look_again_at = min(look_again_at, post_at)
            else:
                with of_job(live.reply.job.id):
                    log.info("edit budget used up, posting the final text as a new message")
                live.reply.post_again(call.page)
                calls[live] = live.call = live.next_call() or call
        return look_again_at

    def _due_call(
        self, live: ScheduledReply, call: Call, now: float, paces: Paces, calls_left: CallsLeft | None
    ) -> DueCall | None:
        """Returns a call with the time when it can be sent, or None if too many calls of its method are in flight.
        `calls_left`: the calls left for all replies, if a reply might be sent as one message at its end."""
        method = METHODS[type(call)]
        urgency = live.reply.urgency_of(call)
        if list(self._in_flight.values()).count(method) >= MAX_IN_FLIGHT:
            return None
        in_channel_at = self.budget.post_ready_at(method, call.question.thread.channel_id, now)
        ready_at = max(self.budget.ready_at(method, now, urgency, live, paces), in_channel_at, live.not_before)
        can_wait = ready_at <= now and live.can_be_one_message and isinstance(call, Post)
        if can_wait and calls_left is not None and self.budget.should_start_late(live, now, calls_left):
            ready_at = now + ASK_AGAIN_S
        return DueCall(live, call, urgency, ready_at)

    def _start_call(self, live: ScheduledReply, wanted: Call, now: float) -> None:
        if (call := live.with_current_text(wanted, now)) is None:
            live.call = None
            return
        method = METHODS[type(call)]
        self._in_flight[live] = method
        self.budget.on_send(method, now, live, call.question.thread.channel_id)
        task = asyncio.create_task(self._send(live, call), context=live.context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, live: ScheduledReply, call: Call) -> None:
        try:
            before = live.reply.recorded_messages
            outcome = await self._try_to_send(live, call)
            self._wake.set()
            is_done = isinstance(outcome, CallDone | CallFound)
            if is_done and (live.reply.recorded_messages != before or live.reply.initial.queued):
                await self._record_messages(live)
        except Exception as error:
            log.error("call for the reply failed: %s", trace_of(error))
            live.reply.give_up()
        finally:
            del self._in_flight[live]
            if live.reply.initial.queued:
                # A placeholder's tries have their own time limit (`_begin_placeholder`).
                live.deadline = math.inf
        self.on_changed(live)

    async def _try_to_send(self, live: ScheduledReply, call: Call) -> Outcome:
        """Sends a call if that is still allowed, passes the outcome to the reply, and returns the outcome."""
        method = METHODS[type(call)]
        channel_id = call.question.thread.channel_id
        is_granted = has_left = False
        is_queued = live.reply.initial.queued
        outcome: Outcome = CallUnsent()
        live.reply.on_send(call)
        try:
            # A queued question's placeholder is reported to the database only once the budget is granted,
            # because a longer reservation would also delay the answer.
            is_recorded = is_queued or await self._record_before_call(live, call)
            is_granted = is_recorded and await self.budget.take_call(method, channel_id)
            is_begun = is_granted and (not is_queued or await self._begin_placeholder(live))
            if is_begun and self._can_send(live):
                has_left, outcome = True, CallLost()
                live.sent_at = self.clock.monotonic()
                outcome = await live.delivery.send(call, lambda: self._can_send(live))
        except Stuck:
            outcome = CallUnsent()
            live.withhold()
        except Exception as error:
            log.error("%s failed: %s", method, trace_of(error))
            outcome = CallUnsent(Refused(method, type(error).__name__, Refusal.UNKNOWN))
        finally:
            self._in_flight[live] = ""
            if isinstance(outcome, CallLimited):
                self.budget.on_rate_limit(method, outcome.error.retry_after_s, channel_id)
            if has_left:
                self.budget.on_end(method, channel_id)
                live.last_response_at = self.clock.monotonic()
            else:
                self.budget.on_withdrawn(method, channel_id, was_granted=is_granted)
            live.on_outcome(call, outcome, self.clock.monotonic())
        if live.asked_at is not None and live.reply.page_ts:
            # The question now has its first message.
            self.telemetry.record_placeholder_delay(max(0.0, self.clock.now() - live.asked_at))
            live.asked_at = None
        return outcome

    def _can_send(self, live: ScheduledReply) -> bool:
        """Returns whether the job still belongs to this process. This is the last check before a call is sent."""
        now = self.clock.monotonic()
        return live.reply.life is not Life.ABANDONED and now < live.deadline and self.lease.is_valid(now)

    async def _record_before_call(self, live: ScheduledReply, call: Call) -> bool:
        answer = live.reply.answer
        if self.clock.monotonic() >= self._store_retry_at:
            try:
                if piece := answer.piece_to_record():
                    if not await self.worker_queue.checkpoint({answer.job: piece}):
                        if live.reply.life is not Life.ABANDONED:
                            log.warning("not shown further, because another attempt answers it")
                            live.reply.abandon()
                        return False
                    answer.on_recorded(piece)
                if isinstance(call, Begin):
                    await self.worker_queue.record_messages(live.reply.job, live.reply.recorded_messages)
                return True
            except StoreError as error:
                self._on_store_unavailable(error)
        live.not_before = max(live.not_before, self._store_retry_at)
        return False

    async def _begin_placeholder(self, live: ScheduledReply) -> bool:
        """Reserves a queued question's job while its placeholder is sent. Returns False if it must not be sent."""
        live.deadline = self.clock.monotonic() + PLACEHOLDER_TIMEOUT_S
        try:
            if await self.worker_queue.begin_placeholder(live.reply.job):
                return True
            live.reply.abandon()
        except StoreError as error:
            self._on_store_unavailable(error)
            live.not_before = max(live.not_before, self._store_retry_at)
        return False

    def _on_store_unavailable(self, error: StoreError) -> None:
        log.warning("answers pause until the database records them: %s", error)
        self._store_retry_at = self.clock.monotonic() + STORE_RETRY_DELAY_S

    async def _record_messages(self, live: ScheduledReply) -> None:
        """Records the reply's messages after a call has changed them. If that fails, the answer still continues."""
        is_queued = live.reply.initial.queued
        record = self.worker_queue.record_placeholder if is_queued else self.worker_queue.record_messages
        try:
            await record(live.reply.job, live.reply.recorded_messages)
        except StoreError as error:
            log.error("reply messages not recorded: %s", error)
        except Exception as error:
            log.error("reply messages not recorded: %s", trace_of(error))

    def _close_reply(self, live: ScheduledReply) -> None:
        if live in self._live_replies:
            self._live_replies.remove(live)
            if not live.reply.initial.queued:
                self.budget.on_reply_closed(live)
        live.idle.set()


def _asked_at(job: Job) -> float:
    """Returns the time at which the answer was requested, in seconds since the epoch. A question's time is the
    timestamp that Slack gave it."""
    return job.asked_at if job.version else float(job.question.ts)
