"""Holds the text that a model writes for one answer, and says which of it the database doesn't have yet. Pure.

`Answer` owns the text. A reply's pages (reply/reply.py) hold the same text, cut into what Slack is compared with.
`StepUnderWay` is what the model is doing now. A request to a model has its text too, as the model wrote it
(models/failures.py): the next request repeats it, and errors must not quote it.

`Freshness` is what a reader has of the answer: when words came, and when Slack showed them. `staleness_s` is the mean
age of the oldest word that the model has written and the reader can't see, from the first word to the moment at which
all are visible. The age grows from the arrival of a word until a call shows it, so its sum over time is known exactly
from the times of arrivals and calls. Arrivals are kept for the words that aren't shown, to a tenth of a second, and
coarser for an answer of which nothing is shown for long. What a native stream holds back of its last words counts as
shown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from bot.core.calls import SLACK, RecordedCall, owner_of
from bot.core.job import End, Job, Piece
from bot.core.steps import fixed_text, kept_text, start_of
from bot.models.events import (
    THINKING_TOKENS,
    Citation,
    Completion,
    Opaque,
    Retrying,
    StreamEvent,
    TextPart,
    Thinking,
    ToolCall,
    Usage,
)
from bot.models.prompt import OURS, UNKNOWN, TurnPart, folded, of_event
from bot.reply.sources import with_citation
from slack_markdown.growing_text import GrowingText
from slack_markdown.links import file_ids_in

CHARS_PER_TOKEN = 4.0
"""About right for English. Used only to count requests without reported usage."""
HIDDEN_TOKENS_PER_S = 50
"""How fast a model thinks, where its vendor doesn't show its thoughts. Used as above."""


class Answer:
    """The answer of one attempt. Its life:

    1. It begins with the text and the steps that the attempt resumes from, as the job has them.
    2. It grows: `append` adds text, `note` sources and origins, `on_calls_made` the results of calls.
       `take_back` drops reasoning.
    3. Meanwhile `piece` says what has to be recorded, and `on_recorded` that it was.
    4. `finish` sets the end, once, and decides which text stays. From then on, only the piece with the end has to be
       recorded.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        start = start_of(job)
        self.resumes = start != fixed_text(job)
        """Whether the text begins with one that an earlier attempt left in the middle of a step."""
        self._left = job.checkpoint.text or job.so_far
        """The text of an earlier attempt, or what a new version goes on after."""
        self.cut_off = self._left[len(start) :] if self._left.startswith(start) else ""
        """The end of the text that an earlier attempt left, which this attempt writes again."""
        self._text = GrowingText(start)
        keeps_checkpoint = self.resumes or bool(job.steps) or job.checkpoint.end is not None
        self.sources: Sequence[Citation] = job.checkpoint.sources if keeps_checkpoint else job.sources
        """The web pages that the text cites."""
        self.steps = list(job.steps)
        """The steps that asked for tools."""
        self.follow_ups = list(job.follow_ups)
        """The questions that came while tools ran."""
        so_far = job.so_far_origins if job.so_far else OURS
        self.origins = folded((so_far, *(step.origins for step in self.steps), UNKNOWN if self.resumes else OURS))
        """Whose words the model has read for the answer."""
        self.open_files = frozenset[str]().union(*(_found_files(step.calls) for step in self.steps))
        """Ids of Slack's files that the answer may link: all readers may open them, or Slack's search found them."""
        self.end = job.checkpoint.end
        """How the answer ended; None while it grows. Set by `finish` alone."""
        self._start = len(start)
        self._recorded = Piece(len(start), "", self.end, self.sources)
        """Where the record ends, with the sources and the end there."""
        self._base: int | None = None
        """Where the text of the attempt begins, if some of it was taken back."""
        self._takes_back = False
        """Whether the record still has what was taken back."""

    @property
    def is_empty(self) -> bool:
        """Whether the answer has no text yet."""
        return not self._text

    @property
    def text(self) -> str:
        """The whole text so far."""
        return str(self._text)

    @property
    def step_text(self) -> str:
        """The text so far of the step under way, which stands behind those on record."""
        return self.text[len(kept_text(self.job)) + sum(len(step.text) for step in self.steps) :]

    @property
    def calls(self) -> list[RecordedCall]:
        """The calls of its steps."""
        return [call for step in self.steps for call in step.calls]

    @property
    def is_behind(self) -> bool:
        """Whether an earlier attempt left more text than this one has so far."""
        return len(self._text) < len(self._left)

    @property
    def kept(self) -> str:
        """What stays of an incomplete answer: its text, or an earlier attempt's if that is longer."""
        return self._left if self.is_behind else self.text

    def append(self, delta: str) -> None:
        """Adds text from the model."""
        self._text.append(delta)

    def take_back(self, chars: int) -> None:
        """Drops the text from a place on: the model's reasoning, as it turned out later."""
        self._text = GrowingText(self.text[:chars])
        self._takes_back = True
        self._base = min(chars, self._start)
        self._recorded = Piece(self._base, "", sources=self._recorded.sources)

    def note(self, event: StreamEvent) -> None:
        """Notes whose words the model reads with an event of its stream, and the source that the event cites."""
        self.origins |= of_event(event)
        if isinstance(event, Citation):
            self.sources = with_citation(self.sources, event)

    def on_calls_made(self, calls: Sequence[RecordedCall]) -> None:
        """Notes the calls of the last step with their results."""
        self.steps[-1] = replace(self.steps[-1], calls=tuple(calls))
        self.open_files |= _found_files(calls)

    def finish(self, end: End) -> End:
        """Ends the answer, and returns its end. Raises ValueError if it has ended.

        An incomplete text gives way to a longer one that an earlier attempt left, whose origins are unknown.
        """
        if self.end is not None:
            raise ValueError(f"an answer can't end as {end.reason} after it has ended as {self.end.reason}")
        if self.is_behind and not end.reason.is_answer:
            self._text = GrowingText(self._left)
            self.origins |= UNKNOWN
            end = replace(end, origins=end.origins | UNKNOWN)
            self._recorded = Piece(0, "")
        self.end = end
        self._recorded = replace(self._recorded, end=None)
        return end

    def piece(self) -> Piece | None:
        """Returns what has to be recorded; None if all of it is, or if an earlier attempt left more."""
        text, start = self.text, self._recorded.chars
        if self.end is not None:
            # A piece of what was taken back may reach the record late, so all of the attempt's text is recorded again.
            start = start if self._base is None else min(start, self._base)
            is_recorded, takes_back = self._recorded.end is not None, self._base is not None
            return None if is_recorded else Piece(start, text[start:], self.end, self.sources, takes_back)
        if self._takes_back:
            start = len(self._left) if self.is_behind else start
            return Piece(start, text[start:], sources=self.sources, takes_back=True)
        on_record = max(start, len(self.job.checkpoint.text))
        is_new = len(text) > on_record or (len(text) == on_record and self.sources != self._recorded.sources)
        return Piece(start, text[start:], sources=self.sources) if is_new else None

    def on_recorded(self, piece: Piece) -> None:
        """Notes that a piece was recorded. Other pieces may have been recorded in the meantime.

        Once the answer has ended, only the piece with the end counts: the text may have become another one.
        """
        if self._takes_back and not piece.takes_back:
            # It was recorded before.
            return
        if self.end is None or piece.end:
            self._takes_back = False
            chars = piece.chars if piece.text or piece.end else self._recorded.chars
            self._recorded = Piece(max(self._recorded.chars, chars), "", piece.end, piece.sources)


def _found_files(calls: Iterable[RecordedCall]) -> frozenset[str]:
    """Returns the ids of the files whose addresses Slack's search has returned."""
    return frozenset(id_ for call in calls if owner_of(call.tool) == SLACK for id_ in file_ids_in(call.result))


@dataclass(eq=False)
class StepUnderWay:
    """One step of a model: what it has cost so far, and what it asks for. Its text grows in the Answer."""

    model: str
    input_tokens: int
    output_chars: int = 0
    """Text and thinking."""
    lost: Usage = field(default_factory=Usage)
    """The estimated use of its requests that failed before the first word, and are charged."""
    hidden_s: float = 0.0
    """How long the model thought without a word of it, before the request's first word."""
    _hidden_since: float | None = None
    has_text: bool = False
    """Whether the model has written anything."""
    parts: list[TurnPart] = field(default_factory=list)
    """What the model wrote and asked for, if it calls tools, as the next request repeats it. The answer's text may
    differ, where the step goes on after what an earlier attempt left (core/steps.py)."""
    completion: Completion | None = None

    @property
    def calls(self) -> list[ToolCall]:
        """The calls that the step asks for."""
        return [part for part in self.parts if isinstance(part, ToolCall)]

    @property
    def estimated(self) -> Usage:
        """The estimated use of the request under way."""
        hidden_tokens = min(self.hidden_s * HIDDEN_TOKENS_PER_S, THINKING_TOKENS)
        return Usage(self.input_tokens, int(self.output_chars / CHARS_PER_TOKEN + hidden_tokens))

    @property
    def used(self) -> Usage:
        """The estimated use of all its requests."""
        return self.lost + self.estimated

    def receive(self, event: StreamEvent, now: float) -> str:
        """Notes an event of the model's stream; returns its text, if it has any. `now` is by the monotonic clock."""
        if not isinstance(event, Retrying):
            self.count_thinking_until(now)
        match event:
            case str():
                self.has_text = True
                self.output_chars += len(event)
                return event
            case Thinking(chars=0, ended=False):
                # A model keeps its first thoughts to itself. After its first word, a silence may as well be a stall.
                self._hidden_since = None if self.output_chars else now
            case Thinking(chars=chars):
                self.output_chars += chars
            case Retrying(is_charged=is_charged):
                self.lost = self.used if is_charged else self.lost
                self.output_chars, self.hidden_s, self._hidden_since = 0, 0.0, None
            case TextPart() | ToolCall() | Opaque():
                self.parts.append(event)
            case Completion():
                self.completion = event
        return ""

    def charges_nothing(self) -> None:
        """Forgets the request under way, which is counted elsewhere or not charged."""
        self.input_tokens = self.output_chars = 0
        self.hidden_s, self._hidden_since = 0.0, None

    def count_thinking_until(self, now: float) -> None:
        """Counts the silence until the next event, or until somebody ends the wait for it, as thinking if it was that.

        The silence of a stream that fails is no thinking, as far as anybody knows.
        """
        if self._hidden_since is not None:
            self.hidden_s += now - self._hidden_since
            self._hidden_since = None


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
    ended_at: float | None = None
    _end_shown_at: float | None = None

    def on_written(self, chars: int, now: float, *, has_word: bool = True) -> None:
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

    def on_taken_back(self, chars: int) -> None:
        """Notes that the answer has only so many characters again."""
        self.chars = chars
        self._arrivals.clear()
        self._joins = False

    @property
    def has_begun(self) -> bool:
        """Whether the model has written a word."""
        return self._first_at is not None

    def on_send(self) -> None:
        """Notes that a call is sent with the words so far."""
        self._joins = False

    def on_shown(self, chars: int, now: float) -> None:
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

    def on_end(self, now: float) -> None:
        """Notes that the answer's end is known."""
        self.ended_at = now

    def on_end_shown(self, now: float) -> None:
        """Notes that Slack did a call after the answer's end. The last one shows the end."""
        if self.ended_at is not None:
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
        if self.ended_at is None or self._end_shown_at is None:
            return None
        return self._end_shown_at - self.ended_at
