"""A live reply in the edit scheduler: where its calls stand, and when the next one may go."""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from bot.core.job import End
from bot.core.pacing import Urgency
from bot.core.reply.draft import Draft
from bot.core.reply.state import AppendStream, Call, Reply, StartStream, StopStream
from bot.errors import RateLimited, Refused, trace_of
from bot.slack.reply_transport import ReplyDelivery
from bot.slack.retry_policy import NO_FAILURES, REPLY_CALLS, Failures

MAX_LAYOUT_CHARS = 4_000
"""How much text is laid out at once. More, as of a model that doesn't stream, is laid out in turns with other work."""
HELD_BACK_S = 0.1
"""How soon a stream is looked at again that has nothing to append yet."""

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(eq=False)
class ScheduledReply:
    """One reply and the state of its calls. Times are by the monotonic clock."""

    job_id: int
    reply: Reply
    delivery: ReplyDelivery
    draft: Draft | None = None
    """The answer's text; None while the question is queued."""
    waiting: str = ""
    """Text that isn't laid out yet."""
    recorded_pages: tuple[str, ...] = ()
    """The reply's messages on record."""
    until: float = math.inf
    """No call is sent after this."""
    has_changed: bool = True
    """Whether the reply may have a next call."""
    in_flight: bool = False
    opened_at: float = -math.inf
    last_sent: float = -math.inf
    not_before: float = -math.inf
    """The retry policy's next try."""
    final_waits_since: float = math.inf
    """Since then only the edit budget holds the answer's end back."""
    placeholder_not_before: float = -math.inf
    """Until then the thread's status stands for the placeholder."""
    failures: Failures = NO_FAILURES
    calls: int = 0
    """The number of calls that Slack did."""
    may_stream: bool = False
    """Whether a native stream may carry the reply."""
    stream_since: float = math.inf
    """When the open stream was started."""
    abandoned: bool = False
    """Whether another process has the job, or `until` has passed."""
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever Slack shows all that there is to show, or never will."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once no more calls are sent."""

    def filled(self, call: Call, now: float) -> Call | None:
        """Returns the call with the text that it appends; None if there is nothing to append for now."""
        if not isinstance(call, StartStream | AppendStream | StopStream):
            return call
        full = self._laid_out(lambda: self.reply.filled(call))
        if full is None:
            self.not_before = max(self.not_before, now + HELD_BACK_S)
        return full

    def succeeded(self) -> None:
        """Records that Slack did a call."""
        self.final_waits_since = math.inf
        self.failures = NO_FAILURES
        self.calls += 1

    def failed(self, error: RateLimited | Refused, now: float) -> bool:
        """Records a failure that may pass; returns False if the retry policy gives the reply up.

        A rate limit holds back the method, by its budget, and not the reply: its end may be posted instead of edited.
        """
        self.failures = self.failures.and_one(now)
        next_try_at = REPLY_CALLS.next_try_at(error, self.failures, now)
        if next_try_at is None:
            return False
        if not isinstance(error, RateLimited):
            self.not_before = next_try_at
        return True

    def give_up(self) -> None:
        """Ends what Slack has refused for minutes; the reply may have other calls left."""
        self.reply.give_up()
        self.failures = NO_FAILURES

    def next_call(self, now: float) -> Call | None:
        """Returns the call that the reply needs next; None if it needs none, or may no longer send any."""
        self.abandoned = self.abandoned or now >= self.until
        call = None if self.abandoned else self._needed_call()
        self.has_changed = call is not None
        return call

    def urgency_of(self, call: Call) -> Urgency:
        """Returns the urgency of a call."""
        return self.reply.urgency_of(call)

    def append(self, delta: str) -> None:
        """Adds text from the model. Text needs a message of its own, so it ends the wait for a pane's status."""
        self.waiting += delta
        self.lay_out()
        self.placeholder_not_before = -math.inf

    def lay_out(self) -> bool:
        """Lays out some of the text that waits; returns whether more waits."""
        text, self.waiting = self.waiting[:MAX_LAYOUT_CHARS], self.waiting[MAX_LAYOUT_CHARS:]
        self.reply.append(text)
        return bool(self.waiting)

    def finish(self, end: End) -> None:
        """Records that no more text will come; the final call waits for no retry."""
        self.placeholder_not_before = self.not_before = -math.inf
        self._laid_out(lambda: self.reply.finish(end))

    @property
    def needs_placeholder(self) -> bool:
        """Whether the reply's first message waits to be posted."""
        return not self.reply.page_ts and not self.in_flight and self.placeholder_not_before == -math.inf

    @property
    def is_over(self) -> bool:
        """Whether no call is left to send."""
        reply = self.reply
        return self.abandoned or reply.gone or reply.unshown or reply.placeholder_shown or self._is_shown

    @property
    def _is_shown(self) -> bool:
        return self.reply.ended and self._needed_call() is None

    def _needed_call(self) -> Call | None:
        return self._laid_out(self.reply.next_call)

    def _laid_out(self, lay_out: Callable[[], T]) -> T | None:
        """Asks the reply. A text that can't be laid out ends this reply, and no other one."""
        try:
            return lay_out()
        except Exception as error:
            log.error("job %d: reply not laid out: %s", self.job_id, trace_of(error))
            self.reply.unshown = True
            return None
