"""Sends the most urgent call of all live replies, whenever the pace allows one.

The approach: level-triggered edits
-----------------------------------
Nothing pushes text at Slack. A `Reply` (core/reply/state.py) knows what Slack should show and what it does show, and
`next_call()` is the difference. The scheduler never stores a call: it asks for one at the moment when one may be sent,
so the call always carries the newest text. That is why

- no queue builds up while Slack is slow: a hundred deltas become one edit;
- a failed call needs no bookkeeping: it isn't recorded as shown, so the next call covers it;
- the order of events doesn't matter: the difference always shows the remaining work.

One loop (`run`) serves all live replies of a workspace, because they share its budgets. Each round it

1. checks the lease: without a recent heartbeat another process may own the jobs, so nothing is sent;
2. asks each changed reply without a call in flight for its next call;
3. asks the budget when that call may go, given its urgency: finals, first words, progress, then steps of tools;
4. starts the most urgent call that may go now, as a task of its own, and repeats from 1;
5. if none may go now, sleeps until the earliest time that the budget named, or until a reply changes (`touch`).

An answer's end that no edit can show within two seconds, because the edit budget is used up, is posted as a new
message, and the old message is deleted. Posts and deletions have budgets of their own.

A reply has at most one call in flight. So calls of one reply arrive in order, and the answer to each is known before
the difference is computed again.

Before a call leaves, three things happen in the call's task: the text that it shows is put on record (a take-over must
know what Slack shows, and Slack stores only a translation of it), the call is counted in the database together with
those of other processes, and the lease is checked once more, because both of these may have taken long.

A call that fails is retried by the retry policy: the reply gets a time before which it sends nothing, while others go
on. A reply whose calls fail for minutes is given up, and the outbox shows its end later.

The transport sends calls and finds out what became of those whose answers were lost (reply_transport.py). The budget
decides when a call may go (rate_budget.py, core/pacing.py).
"""

import asyncio
import logging
import math
from collections import Counter

from bot.clock import Clock
from bot.core.carriers import STREAM_LIFE_S, Carrier, CarrierSetting
from bot.core.conversation import Job, ThreadKey
from bot.core.job import End
from bot.core.lease import Lease
from bot.core.outbox import OutboxKind
from bot.core.pacing import FINAL_WAIT_S, Urgency, is_posted_anew
from bot.core.reply.approvals import Ask
from bot.core.reply.draft import Draft
from bot.core.reply.state import Call, Post, Reply, Shown, StartStream, Streaming, Update
from bot.errors import RateLimited, Refusal, Refused, StoreError, trace_of
from bot.slack.rate_budget import REPLIES, RateBudget
from bot.slack.reply_transport import ReplyTransport
from bot.slack.retry_policy import REPLY_CALLS
from bot.slack.scheduled_reply import MAX_LAYOUT_CHARS, ScheduledReply
from bot.store.queue.worker import WorkerQueue

MOST_IN_FLIGHT = 4
"""The most calls of one method at once."""
CALL_TIMEOUT_S = 60.0
"""The limit for one call and everything that belongs to it, such as a file's upload."""
PLACEHOLDER_DELAY_S = 110.0
"""Slack removes a status after two minutes."""
QUEUED_WITHIN_S = 3_600.0
"""How long a queued question's placeholder is remembered; answers rarely take longer to begin."""
START_WAIT_S = 0.5
"""A stream whose channel takes its start no sooner isn't started: its page is edited."""
LAST_CALLS_S = 0.8
"""How long calls in flight may take once the process ends. The next process looks for those that are cut off."""
LEASE_CHECK_S = 0.1
"""How soon the lease is checked again while it has expired."""
RECORD_TIMEOUT_S = 1.0
"""How long the database may take to record a text before Slack shows it."""
RECORD_PAUSE_S = 3.0
"""How long texts are shown unrecorded after the database failed to record one in time."""

log = logging.getLogger(__name__)


class ReplyHandle:
    """Takes an answer's text while the scheduler shows it."""

    def __init__(self, scheduler: "EditScheduler", scheduled: ScheduledReply, draft: Draft, shown: Shown) -> None:
        self.shown = shown
        self._scheduler = scheduler
        self._scheduled = scheduled
        self._draft = draft
        self._is_clean = True
        """Slack shows nothing of the reply beside its messages on record, as far as can be told."""

    @property
    def gone(self) -> bool:
        return self._scheduled.reply.gone

    @property
    def unshown(self) -> bool:
        return self._scheduled.reply.unshown

    @property
    def leftover(self) -> OutboxKind | None:
        return self._scheduled.reply.leftover or (None if self._is_clean else OutboxKind.SHOW_END)

    @property
    def calls(self) -> int:
        return self._scheduled.calls

    @property
    def page_ts(self) -> tuple[str, ...]:
        return self._scheduled.reply.page_ts

    def append(self, delta: str) -> None:
        scheduled = self._scheduled
        # The loop may sleep until the thread's status would vanish.
        must_wake = not scheduled.has_changed or scheduled.placeholder_not_before > -math.inf
        is_laid_out_later = bool(scheduled.waiting)
        self._draft.append(delta)
        scheduled.append(delta)
        if scheduled.waiting and not is_laid_out_later:
            asyncio.get_running_loop().call_soon(self._lay_out)
        if must_wake:
            self._scheduler.touch(scheduled)

    def _lay_out(self) -> None:
        """Lays out the rest of a long delta, in turns with other work."""
        if self._scheduled.lay_out():
            asyncio.get_running_loop().call_soon(self._lay_out)
        self._scheduler.touch(self._scheduled)

    def show_activity(self, activity: str) -> None:
        self._scheduled.reply.show_activity(activity)
        self._scheduler.touch(self._scheduled)

    async def ask(self, asks: tuple[Ask, ...]) -> None:
        scheduled = self._scheduled
        scheduled.placeholder_not_before = -math.inf
        scheduled.reply.show_activity("", asks)
        if not scheduled.settled.is_set():
            scheduled.caught_up.clear()
        self._scheduler.touch(scheduled)
        await scheduled.caught_up.wait()

    async def finish(self, end: End) -> None:
        while self._scheduled.lay_out():  # noqa: ASYNC110
            await asyncio.sleep(0)
        self._scheduled.finish(end)
        self._scheduler.touch(self._scheduled)
        await self._scheduled.settled.wait()
        if not self._scheduled.reply.unshown:
            self._is_clean = await self._scheduled.delivery.clean_up()

    async def leave(self) -> None:
        self._scheduler.abandon(self._scheduled.job_id)
        await self._scheduled.settled.wait()


class EditScheduler:
    """Schedules the calls of a workspace's live replies, which share the workspace's budgets."""

    def __init__(
        self,
        transport: ReplyTransport,
        budget: RateBudget,
        lease: Lease,
        clock: Clock,
        records: WorkerQueue,
        carrier: CarrierSetting = CarrierSetting.EDIT,
    ) -> None:
        self._carrier = carrier
        self._transport = transport
        self._budget = budget
        self._lease = lease
        self._clock = clock
        self._records = records
        self._unrecorded_until = -math.inf
        self._live: list[ScheduledReply] = []
        self._in_flight: Counter[str] = Counter()
        self._queued_since: dict[ThreadKey, float] = {}
        """When the last placeholder of a queued question was posted, by thread."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    async def open(
        self, draft: Draft, *, status_shown: bool = False, has_stop: bool = False, until: float = math.inf
    ) -> ReplyHandle:
        """Opens a reply with a placeholder, or continues the one that an earlier attempt left in Slack.

        `status_shown`: the thread's status stands for the placeholder. Slack removes the status with the first post.
        `has_stop`: Slack's own Stop stands for the reply's button.
        `until`: no call is sent after this, by the monotonic clock.
        """
        job = draft.job
        shown = await self._transport.recover(job, has_stop=has_stop)
        reply = Reply(job.question, shown, version=job.version, has_stop=has_stop)
        text = draft.text
        for start in range(0, len(text), MAX_LAYOUT_CHARS):
            reply.append(text[start : start + MAX_LAYOUT_CHARS])
            await asyncio.sleep(0)
        scheduled = self._schedule(job, reply, draft, until)
        if status_shown and not shown.page_ts:
            scheduled.placeholder_not_before = self._clock.monotonic() + PLACEHOLDER_DELAY_S
        self._budget.opened(scheduled)
        return ReplyHandle(self, scheduled, draft, shown)

    async def post_placeholder(self, job: Job, until: float) -> None:
        """Shows a queued question's placeholder; returns once it is on record, or can't be shown.

        `until`: no call is sent after this, by the monotonic clock.
        """
        now = self._clock.monotonic()
        self._queued_since = {thread: at for thread, at in self._queued_since.items() if at > now - QUEUED_WITHIN_S}
        self._queued_since[job.question.thread] = now
        reply = Reply(job.question, Shown(job.page_ts, outdated=True), queued=True, version=job.version)
        await self._schedule(job, reply, None, until).settled.wait()

    def abandon(self, job_id: int) -> None:
        """Sends nothing more for a job's reply: another process has the job now."""
        for scheduled in [live for live in self._live if live.job_id == job_id]:
            scheduled.abandoned = True
            if not scheduled.in_flight:
                self._close(scheduled)

    def allow_stream(self, job: Job) -> None:
        """Lets a native stream carry the reply to a job, unless Slack is known to refuse that."""
        if self._carrier is not CarrierSetting.EDIT and self._transport.may_stream(job.question):
            for scheduled in [live for live in self._live if live.job_id == job.id]:
                scheduled.may_stream = True

    def touch(self, scheduled: ScheduledReply) -> None:
        """Wakes the loop, because a reply has changed."""
        scheduled.has_changed = True
        self._wake.set()

    async def run(self) -> None:
        """Sends calls until canceled. Calls in flight then have LAST_CALLS_S to end."""
        try:
            while True:
                self._wake.clear()
                await self._sleep(self._send_due_calls())
        finally:
            if self._tasks:
                _, late = await asyncio.wait(self._tasks, timeout=LAST_CALLS_S)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
            for scheduled in [live for live in self._live if live.abandoned]:
                self._close(scheduled)

    def _schedule(self, job: Job, reply: Reply, draft: Draft | None, until: float) -> ScheduledReply:
        delivery = self._transport.delivery(job, reply)
        scheduled = ScheduledReply(job.id, reply, delivery, draft, recorded_pages=job.page_ts, until=until)
        scheduled.opened_at = self._clock.monotonic()
        self._live.append(scheduled)
        self.touch(scheduled)
        return scheduled

    def _send_due_calls(self) -> float:
        """Starts every call that may go now; returns when to look again."""
        while True:
            now = self._clock.monotonic()
            if self._live and not self._lease.is_valid(now):
                return now + LEASE_CHECK_S
            most_urgent, look_again_at = self._most_urgent(now)
            if most_urgent is None:
                return look_again_at
            scheduled, due = most_urgent
            if (call := scheduled.filled(due, now)) is None:
                continue
            method = scheduled.delivery.method_of(call)
            scheduled.in_flight, scheduled.has_changed = True, False
            self._in_flight[method] += 1
            self._budget.sent(method, now, scheduled, call.question.thread.channel_id)
            task = asyncio.create_task(self._send(scheduled, call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _sleep(self, until: float) -> None:
        timeout_s = None if until == math.inf else max(0.0, until - self._clock.monotonic())
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return

    def _most_urgent(self, now: float) -> tuple[tuple[ScheduledReply, Call] | None, float]:
        """Returns the most urgent call that may go now and its reply; if there is none, the time to look again.

        Among calls of one urgency, the reply that has waited longest since its last call comes first.
        """
        best: tuple[tuple[int, float], ScheduledReply, Call] | None = None
        look_again_at, edited_finals = math.inf, 0
        for scheduled in [live for live in self._live if live.has_changed and not live.in_flight]:
            call = self._carried_call(scheduled, now)
            if call is None:
                scheduled.caught_up.set()
                if scheduled.is_over:
                    self._close(scheduled)
                continue
            if scheduled.reply.may_be_posted_anew(call):
                call, post_at = self._edit_or_post(scheduled, call, now, edited_finals)
                look_again_at, edited_finals = min(look_again_at, post_at), edited_finals + isinstance(call, Update)
            method, urgency = scheduled.delivery.method_of(call), scheduled.urgency_of(call)
            if self._in_flight[method] >= MOST_IN_FLIGHT:
                continue
            budget_at = self._budget.ready_at(method, now, urgency, scheduled)
            ready_at = max(budget_at, scheduled.not_before, scheduled.placeholder_not_before)
            ready_at = max(ready_at, self._post_at(scheduled, call, now))
            if scheduled.reply.ended and ready_at > now + REPLY_CALLS.within_s:
                # The outbox can wait for such a rate limit to end; the questions behind this one can't.
                self._give_up(scheduled)
            elif ready_at > now:
                look_again_at = min(look_again_at, ready_at, scheduled.until)
            elif best is None or (urgency, scheduled.last_sent) < best[0]:
                best = ((urgency, scheduled.last_sent), scheduled, call)
        return (None if best is None else (best[1], best[2])), look_again_at

    def _carried_call(self, scheduled: ScheduledReply, now: float) -> Call | None:
        """Returns a reply's next call, after choosing what carries a page that begins."""
        if scheduled.reply.streaming is Streaming.OPEN and now >= scheduled.stream_since + STREAM_LIFE_S:
            scheduled.reply.leave_stream()
        call = scheduled.next_call(now)
        self._budget.streams(scheduled, scheduled.reply.streaming)
        if isinstance(call, Post | Update) and scheduled.may_stream and scheduled.reply.may_start_stream(call):
            # A stream's message would stand below the placeholder of a question that was queued meanwhile.
            is_last = self._queued_since.get(call.question.thread, -math.inf) < scheduled.opened_at
            has_stop = scheduled.reply.has_stop
            carrier = self._budget.carrier(scheduled, self._carrier, has_stop=has_stop) if is_last else Carrier.EDITS
            scheduled.reply.carry(call.page, carrier)
            if carrier is Carrier.STREAM:
                call = scheduled.next_call(now)
        may_edit = isinstance(call, StartStream) and scheduled.reply.page_ts
        if call is not None and may_edit and self._post_at(scheduled, call, now) > now + START_WAIT_S:
            scheduled.reply.rate_limited(call)
            call = scheduled.next_call(now)
        self._budget.streams(scheduled, scheduled.reply.streaming)
        pointer = None if scheduled.abandoned else scheduled.reply.pointer_below()
        if pointer is not None and self._budget.ready_at(REPLIES, now, Urgency.FIRST, scheduled) <= now:
            return pointer
        return call

    def _post_at(self, scheduled: ScheduledReply, call: Call, now: float) -> float:
        """Returns when a call may go as far as its channel is concerned.

        A start leaves room for placeholders, unless it is itself the reply's first message.
        """
        channel_id, kept = call.question.thread.channel_id, 0
        if isinstance(call, StartStream) and scheduled.reply.page_ts:
            others = (live for live in self._live if live is not scheduled and live.needs_placeholder)
            kept = 1 + sum(live.reply.question.thread.channel_id == channel_id for live in others)
        return self._budget.post_at(scheduled.delivery.method_of(call), channel_id, now, kept)

    def _edit_or_post(self, scheduled: ScheduledReply, call: Call, now: float, ahead: int) -> tuple[Call, float]:
        """Returns the edit of an answer's end, or the post of a new message where edits are spent for too long.

        `ahead`: the edits of other answers' ends that go first. Also returns when to decide again.
        """
        edit_at = self._budget.final_at("chat.update", now, ahead)
        if edit_at <= now or scheduled.not_before > now or not isinstance(call, Update):
            return call, math.inf
        scheduled.final_waits_since = min(scheduled.final_waits_since, now)
        in_channel_at = self._budget.post_at("chat.postMessage", call.question.thread.channel_id, now)
        post_at = max(self._budget.final_at("chat.postMessage", now, 0), in_channel_at)
        if not is_posted_anew(scheduled.final_waits_since, edit_at, post_at):
            return call, scheduled.final_waits_since + FINAL_WAIT_S
        if post_at > now:
            return call, post_at
        log.info("job %d: edit budget used up, posting the final text as a new message", scheduled.job_id)
        scheduled.reply.post_anew(call.page)
        return scheduled.next_call(now) or call, math.inf

    async def _send(self, scheduled: ScheduledReply, call: Call) -> None:
        try:
            is_done = await self._try_to_send(scheduled, call)
            self._wake.set()
            if is_done:
                await self._record_pages(scheduled)
        except Exception as error:
            log.error("job %d: call for the reply failed: %s", scheduled.job_id, trace_of(error))
            scheduled.reply.unshown = True
        finally:
            scheduled.in_flight = False
        self._look_at(scheduled)

    async def _try_to_send(self, scheduled: ScheduledReply, call: Call) -> bool:
        """Sends a call if it may still be sent; returns whether Slack did it."""
        method, has_left = scheduled.delivery.method_of(call), False
        channel_id = call.question.thread.channel_id
        try:
            await self._record_text(scheduled)
            if await self._budget.take(method, channel_id) and self._may_send(scheduled):
                has_left = True
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    await scheduled.delivery.send(call, lambda: self._may_send(scheduled))
                scheduled.succeeded()
                if isinstance(call, StartStream):
                    scheduled.stream_since = self._clock.monotonic()
                return True
        except RateLimited as error:
            # The budget of any other method has already noted its rate limit.
            if error.method == method:
                self._budget.limited(method, error.retry_after_s, channel_id)
                scheduled.reply.rate_limited(call)
            self._failed(scheduled, error)
        except Refused as error:
            self._refused(scheduled, call, error)
        except TimeoutError:
            self._refused(scheduled, call, Refused(method, "TimeoutError", Refusal.TRANSIENT))
        except Exception as error:
            log.error("job %d: %s failed: %s", scheduled.job_id, method, trace_of(error))
            self._refused(scheduled, call, Refused(method, type(error).__name__, Refusal.UNKNOWN))
        finally:
            self._in_flight[method] -= 1
            if has_left:
                self._budget.answered(method, channel_id)
                scheduled.last_sent = self._clock.monotonic()
            else:
                self._budget.withdrawn(method, channel_id)
        return False

    def _may_send(self, scheduled: ScheduledReply) -> bool:
        """Whether the job is still this process's; checked last, right before a call leaves."""
        now = self._clock.monotonic()
        scheduled.abandoned = scheduled.abandoned or now >= scheduled.until
        return not scheduled.abandoned and self._lease.is_valid(now)

    async def _record_text(self, scheduled: ScheduledReply) -> None:
        """Records the answer's text before Slack shows it. A database that is away doesn't delay the call."""
        draft = scheduled.draft
        piece = draft.piece() if draft else None
        if draft is None or piece is None or self._clock.monotonic() < self._unrecorded_until:
            return
        try:
            async with asyncio.timeout(RECORD_TIMEOUT_S):
                is_ours = await self._records.checkpoint({draft.job: piece})
            if is_ours:
                draft.recorded(piece)
            elif not scheduled.abandoned:
                log.warning("job %d: not shown further, because another attempt answers it", scheduled.job_id)
                scheduled.abandoned = True
        except (StoreError, TimeoutError) as error:
            log.warning(
                "checkpoints paused, answers are shown without being recorded: %s",
                str(error) or "the database doesn't answer",
            )
            self._unrecorded_until = self._clock.monotonic() + RECORD_PAUSE_S

    async def _record_pages(self, scheduled: ScheduledReply) -> None:
        """Records the reply's messages if they have changed. The answer goes on without."""
        page_ts = scheduled.reply.page_ts
        if page_ts == scheduled.recorded_pages and not scheduled.reply.placeholder_shown:
            return
        try:
            await self._records.record_pages(scheduled.job_id, page_ts)
            scheduled.recorded_pages = page_ts
        except StoreError as error:
            log.error("job %d: reply messages not recorded: %s", scheduled.job_id, error)
        except Exception as error:
            log.error("job %d: reply messages not recorded: %s", scheduled.job_id, trace_of(error))

    def _refused(self, scheduled: ScheduledReply, call: Call, error: Refused) -> None:
        scheduled.delivery.refused(call, error)
        if error.reason.may_pass:
            self._failed(scheduled, error)
        else:
            log.warning("job %d: %s", scheduled.job_id, error)

    def _failed(self, scheduled: ScheduledReply, error: RateLimited | Refused) -> None:
        log.warning("job %d: %s", scheduled.job_id, error)
        if not scheduled.failed(error, self._clock.monotonic()):
            self._give_up(scheduled)

    def _give_up(self, scheduled: ScheduledReply) -> None:
        log.error("job %d: Slack doesn't accept the reply; the outbox tries again later", scheduled.job_id)
        scheduled.give_up()
        if not scheduled.in_flight:
            self._look_at(scheduled)

    def _look_at(self, scheduled: ScheduledReply) -> None:
        """Closes a reply that needs no more calls; otherwise has the loop check it."""
        if scheduled.is_over:
            self._close(scheduled)
        self.touch(scheduled)

    def _close(self, scheduled: ScheduledReply) -> None:
        if scheduled.settled.is_set():
            return
        self._live.remove(scheduled)
        scheduled.caught_up.set()
        if not scheduled.reply.queued:
            self._budget.closed(scheduled)
        scheduled.settled.set()
