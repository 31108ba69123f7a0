"""A live reply: takes an answer's text while the edit scheduler shows it, and knows when its next call may go.

`Freshness` is what its reader has of it: when words came, and when Slack showed them. `staleness_s` is the mean age of
the oldest word that the model has written and the reader can't see, from the first word to the moment at which all are
visible. The age grows from the arrival of a word until a call shows it, so its sum over time is known exactly from the
times of arrivals and calls.

Arrivals are kept for the words that aren't shown, to a tenth of a second, and coarser for an answer of which nothing is
shown for long. What a native stream holds back of its last words (markdown/stable.py) counts as shown.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from bot.clock import Clock
from bot.core.calls import Ask
from bot.core.job import End, RecordedMessage
from bot.core.outbox import OutboxKind
from bot.errors import RateLimited, Refused, trace_of
from bot.logs import of_job
from bot.markdown.preview import has_word
from bot.markdown.render import rendered
from bot.reply.messages import Begin, Call, Change, Delete, Shown, Turn
from bot.reply.reply import Reply
from bot.reply.streams import StartStream
from bot.slack.retry import NO_FAILURES, REPLY_CALLS, Failures
from bot.slack.users import Users

HELD_BACK_S = 0.1
"""How soon a reply is looked at again that has nothing to send yet, because its words may still change."""
MAX_WORDLESS_S = 1.0
"""How long a page's first words wait until one of them is visible. Then an edit goes without it, and a page that a
stream can't begin is left to edits."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class ReplyDelivery(Protocol):
    """Sends one reply's calls, one at a time, and records in the reply what Slack did."""

    async def send(self, call: Call, may_send: Callable[[], bool]) -> None:
        """Sends a call and everything that belongs to it, and confirms it to the reply.

        The call's own budget is already taken; any other method waits for its own. `may_send` is asked again right
        before the request leaves. Raises RateLimited and Refused.
        """
        ...

    def refused(self, call: Call, error: Refused) -> None:
        """Records in the reply that Slack refused a call, and notes messages or files to search for."""
        ...

    async def clean_up(self) -> bool:
        """Deletes unrecorded messages of the reply, whose posts arrived late; returns False if another try may help.

        Never raises.
        """
        ...


ARRIVALS_S = 0.1
"""Words that come within this time count as one arrival."""
MAX_ARRIVALS = 16
"""If there are more, every other one joins the one before it."""


@dataclass(slots=True)
class Freshness:
    """The delays of one attempt's answer. Times are by the monotonic clock.

    `chars`: the characters of the answer so far. Those with which the attempt begins are not its words.
    """

    chars: int = 0
    _arrivals: list[tuple[int, float]] = field(default_factory=list)
    """Words that aren't shown: where in the text they begin, and when they came. The oldest comes first."""
    _joins: bool = False
    """Whether the next words may join the last arrival."""
    _first_at: float | None = None
    _first_shown_at: float | None = None
    _all_shown_at: float | None = None
    _age_sum: float = 0.0
    """The age of the oldest word that isn't shown, summed over the time until `_summed_until`."""
    _summed_until: float = 0.0
    _ended_at: float | None = None
    _end_shown_at: float | None = None

    def wrote(self, chars: int, now: float, *, has_word: bool = True) -> None:
        """Notes text of the model. `has_word`: a reader would see a word in the answer so far, not only marks."""
        if self._first_at is None and not has_word:
            self.chars += chars
            return
        if self._first_at is None:
            self._first_at = self._summed_until = now
        if not (self._joins and self._arrivals and now < self._arrivals[-1][1] + ARRIVALS_S):
            self._arrivals.append((self.chars, now))
            self._joins = True
            if len(self._arrivals) > MAX_ARRIVALS:
                del self._arrivals[1::2]
        self.chars += chars

    @property
    def has_begun(self) -> bool:
        """Whether the model has written a word."""
        return self._first_at is not None

    def leaves(self) -> None:
        """Notes that a call leaves with the words so far."""
        self._joins = False

    def shows(self, chars: int, now: float) -> None:
        """Notes that Slack shows so many characters of the answer."""
        if not self._arrivals or chars <= self._arrivals[0][0]:
            return
        self._sum_up(now)
        if self._first_shown_at is None:
            self._first_shown_at = now
        while len(self._arrivals) > 1 and self._arrivals[1][0] <= chars:
            del self._arrivals[0]
        if chars >= self.chars:
            self._arrivals.clear()
            self._all_shown_at = now

    def ends(self, now: float) -> None:
        """Notes that the answer's end is known."""
        self._ended_at = now

    def shows_end(self, now: float) -> None:
        """Notes that Slack did a call after the answer's end. The last one shows the end."""
        if self._ended_at is not None:
            self._end_shown_at = now

    def _sum_up(self, now: float) -> None:
        oldest_at = self._arrivals[0][1]
        begin = max(self._summed_until, oldest_at)
        self._age_sum += ((now - oldest_at) ** 2 - (begin - oldest_at) ** 2) / 2
        self._summed_until = now

    @property
    def first_word_delay_s(self) -> float | None:
        """From the model's first visible word to the first one that Slack shows; None if it shows none."""
        if self._first_at is None or self._first_shown_at is None:
            return None
        return self._first_shown_at - self._first_at

    @property
    def staleness_s(self) -> float | None:
        """The mean staleness; None if Slack doesn't show all words."""
        if self._first_at is None or self._arrivals or self._all_shown_at is None:
            return None
        lasted_s = self._all_shown_at - self._first_at
        return self._age_sum / lasted_s if lasted_s > 0 else 0.0

    @property
    def final_lag_s(self) -> float | None:
        """From the answer's end to the last call that shows it; None if there was none."""
        if self._ended_at is None or self._end_shown_at is None:
            return None
        return self._end_shown_at - self._ended_at


@dataclass(eq=False)
class ScheduledReply:
    """One reply and the state of its calls. Times are by the monotonic clock."""

    reply: Reply
    delivery: ReplyDelivery
    clock: Clock
    changed: Callable[["ScheduledReply"], None] = lambda live: None
    """Tells the scheduler that the reply has changed."""
    recorded: tuple[RecordedMessage, ...] = ()
    """The reply's messages on record."""
    until: float = math.inf
    """No call is sent after this."""
    context: Context = field(default_factory=copy_context)
    """That of the attempt, in which the scheduler's loop has the calls made: their log lines have its job."""
    asked_at: float | None = None
    """When the question was asked, in seconds since the epoch; None once people see a sign of the reply."""
    last_sent: float = -math.inf
    not_before: float = -math.inf
    """The retry policy's next try. Before the first call: until then the thread's status stands for a placeholder."""
    final_waits_since: float = math.inf
    """Since then only the edit budget holds the answer's end back."""
    wordless_since: float = math.inf
    """Since when the next call is held back, because it would show no word."""
    worded_page: int = -1
    """The last page of which Slack shows a word, or will with the call that leaves."""
    failures: Failures = NO_FAILURES
    calls: int = 0
    """The number of calls that Slack did."""
    freshness: Freshness = field(default_factory=Freshness)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while no call is in flight, and the reply needs none: Slack shows all that there is, or never will."""

    @property
    def shown(self) -> Shown:
        return self.reply.earlier

    @property
    def is_queued(self) -> bool:
        """Whether this is the placeholder of a queued question."""
        return self.reply.earlier.queued

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
        is_seen = self.freshness.has_begun or has_word(self.reply.answer.text + delta, growing=True)
        self.freshness.wrote(len(delta), self.clock.monotonic(), has_word=is_seen)
        # Text needs a message of its own, so it ends the wait for a pane's status: the loop may sleep until then.
        is_first = self.reply.answer.is_empty
        must_wake = is_first or self.idle.is_set()
        if is_first:
            self._end_wait_for_words()
        self.reply.append(delta)
        if must_wake:
            self.touch()

    def _end_wait_for_words(self) -> None:
        if self.failures == NO_FAILURES:
            self.not_before = -math.inf

    def show_activity(self, activity: str) -> None:
        self.reply.show_activity(activity)
        self.touch()

    def show_transcripts(self, transcripts: Iterable[str]) -> None:
        self.reply.show_transcripts(transcripts)
        self.touch()

    async def ask(self, asks: tuple[Ask, ...]) -> None:
        self._end_wait_for_words()
        self.reply.show_activity("", asks)
        self.touch()
        await self.idle.wait()

    async def finish(self, end: End) -> None:
        # The end waits for no status, and for no next try.
        self.not_before = -math.inf
        self.freshness.ends(self.clock.monotonic())
        self.laid_out(lambda: self.reply.finish(end))
        self.touch()
        await self.idle.wait()
        if not self.reply.unshown and await self.delivery.clean_up():
            self.reply.cleaned_up()

    async def leave(self) -> None:
        self.reply.happened(Turn.LEAVE)
        self.touch()
        await self.idle.wait()

    def touch(self) -> None:
        """Notes that the reply may have another next call, or is over."""
        self.changed(self)

    def next_call(self) -> Call | None:
        """Returns the call that the reply needs next; None if it needs none."""
        return self.laid_out(self.reply.next_call)

    def filled(self, call: Call, now: float) -> Call | None:
        """Returns a call that leaves now with its text; None if there is nothing to send for now."""
        filled = self.laid_out(lambda: self.reply.filled(call))
        is_late = now >= self.wordless_since + MAX_WORDLESS_S
        if filled is not None and (is_late or not self._lacks_word(filled)):
            self.wordless_since = math.inf
            self.freshness.leaves()
            return filled
        self.wordless_since = min(self.wordless_since, now)
        if is_late:
            self.reply.limited(call)
        self.not_before = now + HELD_BACK_S
        return None

    def _lacks_word(self, call: Call) -> bool:
        """Whether a call would show a page's first text, such as `#`, and no word of it.

        A call that shows something else, such as a search, doesn't wait for words.
        """
        if not isinstance(call, Begin | Change) or call.view is None or call.page <= self.worded_page:
            return False
        view = call.view
        text = call.text if isinstance(call, StartStream) else rendered(view.markdown, growing=view.growing)
        if has_word(text, growing=False):
            self.worded_page = call.page
            return False
        return view.growing and bool(view.markdown) and not (view.activity or view.asks)

    def succeeded(self, call: Call, now: float) -> None:
        """Records that Slack did a call."""
        if isinstance(call, Begin | Change) and call.view is not None and call.page <= self.worded_page:
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

    def laid_out(self, lay_out: Callable[[], T]) -> T | None:
        """Asks the reply. A text that can't be laid out ends this reply, and no other one."""
        try:
            return lay_out()
        except Exception as error:
            with of_job(self.reply.job.id):
                log.error("reply not laid out: %s", trace_of(error))
            self.reply.happened(Turn.GIVE_UP)
            return None


async def show_end(reply: ScheduledReply, end: End, users: Users) -> None:
    """Shows the end of an answer, with the names of the people who decided about its calls."""
    names = await users.names(end.deciders) if end.decided else {}
    await reply.finish(end.naming(names))
