"""A live reply: takes an answer's text while the edit scheduler shows it, and knows when its next call may go."""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import TypeVar

from bot.clock import Clock
from bot.core.answer import Answer
from bot.core.conversation import RecordedMessage
from bot.core.freshness import Freshness
from bot.core.job import End
from bot.core.outbox import OutboxKind
from bot.core.reply.approvals import Ask
from bot.core.reply.life import Turn
from bot.core.reply.messages import Begin, Call, Change, Delete, Shown
from bot.core.reply.reply import Reply
from bot.errors import RateLimited, Refused, trace_of
from bot.logs import of_job
from bot.slack.replies.transport import ReplyDelivery
from bot.slack.retry_policy import NO_FAILURES, REPLY_CALLS, Failures

HELD_BACK_S = 0.1
"""How soon a reply is looked at again that has nothing to send yet, because its words may still change."""

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(eq=False)
class ScheduledReply:
    """One reply and the state of its calls; a LiveReply to services. Times are by the monotonic clock."""

    reply: Reply
    delivery: ReplyDelivery
    clock: Clock
    answer: Answer | None = None
    """The answer's text; None while the question is queued."""
    changed: Callable[["ScheduledReply"], None] = lambda live: None
    """Tells the scheduler that the reply has changed."""
    recorded: tuple[RecordedMessage, ...] = ()
    """The reply's messages on record."""
    until: float = math.inf
    """No call is sent after this."""
    context: Context = field(default_factory=copy_context)
    """That of the attempt, in which the scheduler's loop has the calls made: their log lines have its job."""
    has_changed: bool = True
    """Whether the reply may have a next call."""
    in_flight: bool = False
    opened_at: float = -math.inf
    asked_at: float | None = None
    """When the question was asked, in seconds since the epoch; None once people see a sign of the reply."""
    last_sent: float = -math.inf
    not_before: float = -math.inf
    """The retry policy's next try."""
    final_waits_since: float = math.inf
    """Since then only the edit budget holds the answer's end back."""
    placeholder_not_before: float = -math.inf
    """Until then the thread's status stands for the placeholder."""
    waits_for_button: bool = False
    """Only its Stop button is to be posted: new text goes before that."""
    failures: Failures = NO_FAILURES
    calls: int = 0
    """The number of calls that Slack did."""
    freshness: Freshness = field(default_factory=Freshness)
    may_stream: bool = False
    """Whether another carrier than edits may have the reply's pages."""
    all_shown: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever Slack shows all that there is to show, or never will."""
    done: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once no more calls are sent, and none is in flight."""

    @property
    def shown(self) -> Shown:
        return self.reply.earlier

    @property
    def gone(self) -> bool:
        return self.reply.gone

    @property
    def unshown(self) -> bool:
        return self.reply.unshown

    @property
    def for_outbox(self) -> OutboxKind | None:
        return self.reply.for_outbox

    @property
    def messages(self) -> tuple[RecordedMessage, ...]:
        return self.reply.recorded

    def append(self, delta: str) -> None:
        self.freshness.wrote(len(delta), self.clock.monotonic())
        # Text needs a message of its own, so it ends the wait for a pane's status: the loop may sleep until then. Nor
        # does it wait for a Stop button.
        is_asleep = self.placeholder_not_before > -math.inf or self.waits_for_button
        must_wake = not self.has_changed or is_asleep
        self.placeholder_not_before = -math.inf
        self.waits_for_button = False
        if self.answer is not None:
            self.answer.append(delta)
            self.reply.open_files = self.answer.open_files
        self.reply.append(delta)
        if must_wake:
            self.touch()

    def show_activity(self, activity: str) -> None:
        self.reply.show_activity(activity)
        self.touch()

    def show_transcripts(self, transcripts: Iterable[str]) -> None:
        self.reply.show_transcripts(transcripts)
        self.touch()

    async def ask(self, asks: tuple[Ask, ...]) -> None:
        self.placeholder_not_before = -math.inf
        self.reply.show_activity("", asks)
        if not self.done.is_set():
            self.all_shown.clear()
        self.touch()
        await self.all_shown.wait()

    async def finish(self, end: End) -> None:
        # The end waits for no status, and for no next try.
        self.placeholder_not_before = self.not_before = -math.inf
        self.freshness.ends(self.clock.monotonic())
        self.laid_out(lambda: self.reply.finish(end))
        self.touch()
        await self.done.wait()
        if not self.reply.unshown and await self.delivery.clean_up():
            self.reply.cleaned_up()

    async def leave(self) -> None:
        self.reply.happened(Turn.LEAVE)
        self.touch()
        await self.done.wait()

    def touch(self) -> None:
        """Notes that the reply may have another next call, or is over."""
        self.changed(self)

    def next_call(self) -> Call | None:
        """Returns the call that the reply needs next; None if it needs none."""
        return self.laid_out(self.reply.next_call)

    def filled(self, call: Call, now: float) -> Call | None:
        """Returns a call that leaves now with its text; None if there is nothing to send for now."""
        filled = self.laid_out(lambda: self.reply.filled(call))
        if filled is None:
            self.not_before = now + HELD_BACK_S
        else:
            self.freshness.leaves()
        return filled

    def succeeded(self, call: Call, now: float) -> None:
        """Records that Slack did a call."""
        if isinstance(call, Begin | Change) and call.view is not None:
            self.freshness.shows(call.view.end_chars, now)
        if not isinstance(call, Delete):
            self.freshness.shows_end(now)
        self.final_waits_since = math.inf
        self.failures = NO_FAILURES
        self.calls += 1

    def failed(self, error: RateLimited | Refused, now: float) -> bool:
        """Records a failure; returns False if the retry policy gives the reply up.

        A rate limit holds back the method, by its budget, and not the reply: its end may be posted instead of edited.
        Nor does the first refusal that is final: the next call is another one.
        """
        self.failures = self.failures.and_one(now)
        next_try_at = REPLY_CALLS.next_try_at(error, self.failures, now)
        if next_try_at is None:
            return False
        if isinstance(error, Refused) and (error.reason.may_pass or self.failures.count > 1):
            self.not_before = next_try_at
        return True

    def give_up(self) -> None:
        """Ends what Slack has refused for minutes; the reply may have other calls left."""
        self.laid_out(self.reply.give_up)
        self.failures = NO_FAILURES

    @property
    def needs_placeholder(self) -> bool:
        """Whether the reply's first message waits to be posted."""
        return not self.reply.page_ts and not self.in_flight and self.placeholder_not_before == -math.inf

    def laid_out(self, lay_out: Callable[[], T]) -> T | None:
        """Asks the reply. A text that can't be laid out ends this reply, and no other one."""
        try:
            return lay_out()
        except Exception as error:
            with of_job(self.reply.job.id):
                log.error("reply not laid out: %s", trace_of(error))
            self.reply.happened(Turn.GIVE_UP)
            return None
