"""Sends the most urgent call of all live replies, whenever the pace allows one.

The approach: level-triggered edits
-----------------------------------
Nothing pushes text at Slack. A `Reply` (reply/reply.py) knows what Slack should show and what it does show, and
`next_call()` is the difference. The scheduler never stores a call: it asks for one at the moment when one may be sent,
so the call always carries the newest text. That is why

- no queue builds up while Slack is slow: a hundred deltas become one edit;
- a failed call needs no bookkeeping: it isn't recorded as shown, so the next call covers it;
- the order of events doesn't matter: the difference always shows the remaining work.

One loop (`run`) serves all live replies of a workspace, because they share its budgets. In each pass, it

1. checks the lease: without a recent heartbeat another process may own the jobs, so nothing is sent;
2. prepares each changed reply without a call in flight: it is left if its time is over, a page that begins gets a
   carrier, an end that no edit can show in time is to be posted, one that would come too late is given up, and a reply
   that is over is closed;
3. asks each of them for its next call, and the budget when that call may go, given its urgency: finals, first words,
   progress, then steps of tools. These questions change nothing;
4. starts the most urgent call that may go now, as a task of its own, and repeats from 1;
5. if none may go now, sleeps until the earliest time that the budget named, or until a reply changes.

If the edit budget is used up, so that no edit can show an answer's end within FINAL_WAIT_S, the end is posted as a new
message, and the old message is deleted. Posts and deletions have budgets of their own.

A reply has at most one call in flight. So calls of one reply arrive in order, and the answer to each is known before
the difference is computed again.

Before a call leaves, three things happen in the call's task: the text that it shows is put on record, and the message
that it makes; the call is counted in the database together with those of other processes; and the lease is checked once
more, because both of these may have taken long. So Slack never shows what a take-over doesn't know. While the database
is away, answers pause.

A call that fails is retried by the retry policy: the reply gets a time before which it sends nothing, while others go
on. A reply whose calls fail for minutes is given up, and the outbox shows its end later.

The transport sends calls and finds out what became of those whose answers were lost (delivery.py). The budget
decides when a call may go (slack/budget.py, core/pacing.py).
"""

import asyncio
import logging
import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from bot.clock import Clock
from bot.core.conversation import Question
from bot.core.job import Job, Lease
from bot.core.pacing import Carrier, Urgency, is_posted_again
from bot.core.surfaces import Sign
from bot.errors import RateLimited, Refusal, Refused, StoreError, trace_of
from bot.logs import of_job
from bot.reply.answer import Answer
from bot.reply.edits import Offer, Post, Update
from bot.reply.messages import Begin, Call, Life, Shown, Turn
from bot.reply.reply import METHODS, Reply
from bot.reply.scheduled_reply import ReplyDelivery, ScheduledReply
from bot.slack.budget import Paces, RateBudget
from bot.slack.retry import REPLY_CALLS
from bot.store.queue.worker import WorkerQueue
from bot.telemetry import OFF, Telemetry

MAX_IN_FLIGHT = 12
"""The most calls of one method at once."""
CALL_TIMEOUT_S = 60.0
"""The limit for one call and everything that belongs to it, such as a file's upload."""
PLACEHOLDER_DELAY_S = 110.0
"""Slack removes a status after two minutes."""
SCARCE_DELAY_S = 3.0
"""How long a placeholder waits for first words where calls are scarce, and a status that may be seen stands for it."""
LAST_CALLS_S = 0.8
"""How long calls in flight may take once the process ends. The next process looks for those that are cut off."""
LEASE_CHECK_S = 0.1
"""How soon the lease is checked again while it has expired."""
AWAY_PAUSE_S = 1.0
"""How long all answers pause after the database failed to record one."""

log = logging.getLogger(__name__)


class ReplyTransport(Protocol):
    """One way to show replies in Slack."""

    async def recover(self, job: Job, *, has_stop: bool = False) -> Shown:
        """Returns what Slack shows of a job's reply, or what is on record if Slack doesn't answer. Never raises."""
        ...

    def offer(self, question: Question, budget: RateBudget, key: Hashable, forced: Carrier | None) -> Offer | None:
        """Returns what else than edits may carry the reply to a question; None if Slack is known to refuse that.

        `key`: the reply's, in the budget.
        """
        ...

    def delivery(self, reply: Reply) -> ReplyDelivery:
        """Returns the delivery for a reply."""
        ...


@dataclass(frozen=True, slots=True)
class Due:
    """A reply's next call, and when it may go."""

    live: ScheduledReply
    call: Call
    urgency: Urgency
    ready_at: float

    @property
    def order(self) -> tuple[int, float]:
        """Sorts calls by urgency, then by the time since the reply's last call. First words stay in their order."""
        return self.urgency, 0.0 if self.urgency is Urgency.FIRST else self.live.last_sent


class EditScheduler:
    """Schedules the calls of a workspace's live replies, which share the workspace's budgets."""

    def __init__(
        self,
        transport: ReplyTransport,
        budget: RateBudget,
        lease: Lease,
        clock: Clock,
        worker_queue: WorkerQueue,
        carrier: Carrier | None = "edit",
        telemetry: Telemetry = OFF,
    ) -> None:
        self._telemetry = telemetry
        self._carrier = carrier
        self._transport = transport
        self._budget = budget
        self._lease = lease
        self._clock = clock
        self._worker_queue = worker_queue
        self._away_until = -math.inf
        self._live: list[ScheduledReply] = []
        """In the order of opening."""
        self._in_flight: dict[ScheduledReply, str] = {}
        """The methods of calls under way; "" once Slack has answered."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    async def open(
        self, answer: Answer, *, sign: Sign = Sign.NONE, has_stop: bool = False, until: float = math.inf
    ) -> ScheduledReply:
        """Opens a reply with a placeholder, or continues the one that an earlier attempt left in Slack.

        `sign`: what stands for the placeholder meanwhile. Slack removes a status with the first post.
        `has_stop`: Slack's own Stop stands for the reply's button.
        `until`: no call is sent after this, by the monotonic clock.
        """
        job = answer.job
        shown = await self._transport.recover(job, has_stop=has_stop)
        live = self._schedule(Reply(answer, replace(shown, has_stop=has_stop)), until)
        live.freshness.chars = len(answer.text)
        if not shown.page_ts and sign is not Sign.SEEN:
            live.asked_at = _asked_at(job)
        # Words of an earlier attempt need a message, too.
        has_words = bool(shown.page_ts or answer.kept)
        delay_s = -math.inf if has_words else self._placeholder_delay_s(live, sign)
        live.not_before = self._clock.monotonic() + delay_s
        self._budget.opened(live, posts_first_words=delay_s > 0)
        return live

    def _placeholder_delay_s(self, live: ScheduledReply, sign: Sign) -> float:
        """Returns how long a placeholder waits for first words, which are the first post then.

        Where calls are scarce, a placeholder takes a post from somebody's first words, and its own words wait for an
        edit. They come as soon without it, and in one message.
        """
        if sign is Sign.MAY_BE_SEEN and self._is_scarce(live):
            return SCARCE_DELAY_S
        return PLACEHOLDER_DELAY_S if sign is Sign.SEEN else -math.inf

    def _is_scarce(self, live: ScheduledReply) -> bool:
        """Returns whether edits wouldn't keep a reply fresh, its channel has no two posts left, or streams are set."""
        if self._carrier == "stream":
            return True
        now = self._clock.monotonic()
        next_post_at = self._budget.post_at(METHODS[Post], live.reply.job.question.thread.channel_id, now, kept=1)
        return next_post_at > now or not self._budget.room(METHODS[Update], live).is_fresh

    async def post_placeholder(self, job: Job, until: float) -> None:
        """Shows a queued question's placeholder; returns once it is on record, or can't be shown.

        `until`: no call is sent after this, by the monotonic clock.
        """
        live = self._schedule(Reply(Answer(job), Shown(job.page_ts, outdated=True, queued=True)), until)
        if not job.page_ts:
            live.asked_at = _asked_at(job)
        await live.idle.wait()

    def abandon(self, job_id: int) -> None:
        """Sends nothing more for a job's reply: another process has the job now."""
        for live in [live for live in self._live if live.reply.job.id == job_id]:
            live.reply.happened(Turn.LEAVE)
            self.touch(live)

    def allow_stream(self, job: Job) -> None:
        """Lets a native stream carry the reply to a job, unless Slack is known to refuse that."""
        for live in [live for live in self._live if live.reply.job.id == job.id]:
            if offer := self._transport.offer(job.question, self._budget, live, self._carrier):
                live.reply.offer(offer)

    def touch(self, live: ScheduledReply) -> None:
        """Has the loop look at a reply that has changed; closes one that is over."""
        live.idle.clear()
        if live.reply.life.is_over and live not in self._in_flight:
            self._close(live)
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
            for live in [live for live in self._live if live.reply.life is Life.LEFT]:
                self._close(live)

    def _schedule(self, reply: Reply, until: float) -> ScheduledReply:
        delivery = self._transport.delivery(reply)
        live = ScheduledReply(reply, delivery, self._clock, self.touch, recorded=reply.job.messages, until=until)
        self._live.append(live)
        self.touch(live)
        return live

    def _send_due_calls(self) -> float:
        """Starts every call that may go now; returns when to look again."""
        while True:
            now = self._clock.monotonic()
            if not self._lease.is_valid(now):
                return now + LEASE_CHECK_S
            calls = self._prepare(now)
            look_again_at = self._post_ends_again(calls, now)
            paces = self._budget.paces(now)
            waiting = [due for live, call in calls.items() if (due := self._due(live, call, now, paces))]
            waiting = [due for due in waiting if not self._is_given_up(due, now)]
            ready = [due for due in waiting if due.ready_at <= now]
            if not ready:
                return min([look_again_at, *(min(due.ready_at, due.live.until) for due in waiting)])
            self._start(min(ready, key=lambda due: due.order), now)

    def _prepare(self, now: float) -> dict[ScheduledReply, Call]:
        """Changes what has to change before the replies' next calls can leave; returns these calls.

        Replies that need no call are left out, and closed if they are over.
        """
        calls = {}
        for live in [live for live in self._live if not (live.idle.is_set() or live in self._in_flight)]:
            if now >= live.until:
                live.reply.happened(Turn.LEAVE)
            self._keep_room(live)
            live.laid_out(partial(live.reply.prepare, now))
            self._keep_room(live)
            call = live.next_call()
            if call is not None:
                calls[live] = call
                continue
            live.idle.set()
            if live.reply.life.is_over:
                self._close(live)
        return calls

    def _keep_room(self, live: ScheduledReply) -> None:
        self._budget.uses(live, [METHODS[kind] for kind in live.reply.needs])

    def _post_ends_again(self, calls: dict[ScheduledReply, Call], now: float) -> float:
        """Has ends posted as new messages that no edit can show in time; returns when to decide again."""
        look_again_at, ahead = math.inf, 0
        for live, call in calls.items():
            if not live.reply.may_be_posted_again(call):
                continue
            edit_at = self._budget.final_at(METHODS[Update], now, ahead)
            ahead += 1
            if edit_at <= now or live.not_before > now:
                continue
            live.final_waits_since = min(live.final_waits_since, now)
            in_channel_at = self._budget.post_at(METHODS[Post], call.question.thread.channel_id, now)
            post_at = max(self._budget.final_at(METHODS[Post], now, 0), in_channel_at)
            if not is_posted_again(live.final_waits_since, edit_at, post_at):
                # The call's own time, which is no later than `edit_at`, wakes the loop.
                continue
            if post_at > now:
                look_again_at = min(look_again_at, post_at)
            else:
                with of_job(live.reply.job.id):
                    log.info("edit budget used up, posting the final text as a new message")
                live.reply.post_again(call.page)
                calls[live] = live.next_call() or call
        return look_again_at

    def _due(self, live: ScheduledReply, call: Call, now: float, paces: Paces) -> Due | None:
        """Returns when a reply's call may go; None while as many calls of its method are in flight as may be."""
        method = METHODS[type(call)]
        urgency = live.reply.urgency_of(call)
        if list(self._in_flight.values()).count(method) >= MAX_IN_FLIGHT:
            return None
        in_channel_at = self._budget.post_at(method, call.question.thread.channel_id, now)
        ready_at = max(self._budget.ready_at(method, now, urgency, live, paces), in_channel_at, live.not_before)
        return Due(live, call, urgency, ready_at)

    def _is_given_up(self, due: Due, now: float) -> bool:
        """Gives an end up that would come too late; returns whether it did.

        The outbox can wait for such a rate limit to end; the questions behind this one can't.
        """
        if not due.live.reply.ended or due.ready_at <= now + REPLY_CALLS.within_s:
            return False
        self._give_up(due.live)
        return True

    def _start(self, due: Due, now: float) -> None:
        """Has a call leave, unless it has nothing to send yet."""
        live = due.live
        if (call := live.filled(due.call, now)) is None:
            return
        method = METHODS[type(call)]
        self._in_flight[live] = method
        self._budget.sent(method, now, live, call.question.thread.channel_id)
        task = asyncio.create_task(self._send(live, call), context=live.context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sleep(self, until: float) -> None:
        timeout_s = None if until == math.inf else max(0.0, until - self._clock.monotonic())
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _send(self, live: ScheduledReply, call: Call) -> None:
        try:
            is_done = await self._try_to_send(live, call)
            self._wake.set()
            if is_done:
                await self._record_messages(live)
        except Exception as error:
            log.error("call for the reply failed: %s", trace_of(error))
            live.reply.happened(Turn.GIVE_UP)
        finally:
            del self._in_flight[live]
        self.touch(live)

    async def _try_to_send(self, live: ScheduledReply, call: Call) -> bool:
        """Sends a call if it may still be sent; returns whether Slack did it."""
        method = METHODS[type(call)]
        has_left = False
        is_lost = False
        channel_id = call.question.thread.channel_id
        try:
            is_recorded = await self._record(live, call)
            if is_recorded and await self._budget.take(method, channel_id) and self._may_send(live):
                has_left = is_lost = True
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    await live.delivery.send(call, lambda: self._may_send(live))
                is_lost = False
                live.succeeded(call, self._clock.monotonic())
                self._note_first_message(live)
                return True
        except RateLimited as error:
            is_lost = False
            # The budget of any other method has already noted its rate limit.
            if error.method == method:
                self._budget.limited(method, error.retry_after_s, channel_id)
                live.reply.limited(call)
            self._failed(live, error)
        except Refused as error:
            is_lost = error.reason.may_pass
            self._refused(live, call, error)
        except TimeoutError:
            self._refused(live, call, Refused(method, "TimeoutError", Refusal.TRANSIENT))
        except Exception as error:
            log.error("%s failed: %s", method, trace_of(error))
            self._refused(live, call, Refused(method, type(error).__name__, Refusal.UNKNOWN))
        finally:
            self._in_flight[live] = ""
            if isinstance(call, Begin):
                live.reply.answered(call, is_lost=is_lost)
            if has_left:
                self._budget.answered(method, channel_id)
                live.last_sent = self._clock.monotonic()
            else:
                self._budget.withdrawn(method, channel_id)
        return False

    def _note_first_message(self, live: ScheduledReply) -> None:
        """Records how long the question had no reply, once it has one."""
        if live.asked_at is not None and live.reply.page_ts:
            self._telemetry.placeholder_shown(max(0.0, self._clock.now() - live.asked_at))
            live.asked_at = None

    def _may_send(self, live: ScheduledReply) -> bool:
        """Whether the job is still this process's; checked last, right before a call leaves."""
        now = self._clock.monotonic()
        return live.reply.life is not Life.LEFT and now < live.until and self._lease.is_valid(now)

    async def _record(self, live: ScheduledReply, call: Call) -> bool:
        """Puts on record what a call will show, and the message that it will make; returns False if it mustn't leave.

        While the database is away, nothing leaves: a take-over would not know of it. A queued question's placeholder
        needs no record of its own.
        """
        if isinstance(call, Begin):
            live.reply.leaves(call)
        if live.is_queued:
            return True
        if self._clock.monotonic() >= self._away_until:
            try:
                if not await self._record_text(live, live.reply.answer):
                    return False
                if isinstance(call, Begin):
                    await self._worker_queue.record_messages(live.reply.job, live.messages)
                    live.recorded = live.messages
                return True
            except StoreError as error:
                log.warning("answers pause until the database records them: %s", error)
                self._away_until = self._clock.monotonic() + AWAY_PAUSE_S
        live.not_before = max(live.not_before, self._away_until)
        return False

    async def _record_text(self, live: ScheduledReply, answer: Answer) -> bool:
        """Records the answer's text; returns False if the job is no longer this worker's."""
        piece = answer.piece()
        if piece is None:
            return True
        if await self._worker_queue.checkpoint({answer.job: piece}):
            answer.recorded(piece)
            return True
        if live.reply.life is not Life.LEFT:
            log.warning("not shown further, because another attempt answers it")
            live.reply.happened(Turn.LEAVE)
        return False

    async def _record_messages(self, live: ScheduledReply) -> None:
        """Records the reply's messages if they have changed. The answer goes on without."""
        messages = live.messages
        if messages == live.recorded and not live.is_queued:
            return
        record = self._worker_queue.record_placeholder if live.is_queued else self._worker_queue.record_messages
        try:
            await record(live.reply.job, messages)
            live.recorded = messages
        except StoreError as error:
            log.error("reply messages not recorded: %s", error)
        except Exception as error:
            log.error("reply messages not recorded: %s", trace_of(error))

    def _refused(self, live: ScheduledReply, call: Call, error: Refused) -> None:
        live.delivery.refused(call, error)
        self._failed(live, error)

    def _failed(self, live: ScheduledReply, error: RateLimited | Refused) -> None:
        log.warning("%s", error)
        if not live.failed(error, self._clock.monotonic()) and not live.reply.life.is_over:
            self._give_up(live)

    def _give_up(self, live: ScheduledReply) -> None:
        with of_job(live.reply.job.id):
            log.error("Slack doesn't accept the reply; the outbox tries again later")
        live.give_up()
        self.touch(live)

    def _close(self, live: ScheduledReply) -> None:
        if live in self._live:
            self._live.remove(live)
            if not live.is_queued:
                self._budget.closed(live)
        live.idle.set()


def _asked_at(job: Job) -> float:
    """Returns when somebody asked for the answer, in seconds since the epoch: by Slack's clock for a question."""
    return job.asked_at if job.version else float(job.question.ts)
