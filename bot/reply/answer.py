"""Collects the text that a model writes for one answer, and tracks what the database hasn't recorded yet. Pure.

A reply (reply.py) contains the same text, divided into pages. A model request also keeps a copy of its text exactly as
the model wrote it (models/failures.py), because the next request repeats that text and error messages must not quote
it.

`Freshness` measures how far the reader is behind the model. `staleness_s` is the mean age of the oldest word that the
model has written but the reader can't see yet, from the first word until all words are visible. That age is summed
exactly over time, from the times at which words arrive and calls show them. Arrival times of unshown words are accurate
to a tenth of a second, and less accurate if nothing is shown for a long time. Words that a native stream is still
withholding when it ends are treated as shown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from bot.core.calls import SLACK, RecordedCall, tool_owner
from bot.core.job import End, Job, Piece
from bot.core.steps import fixed_text, kept_text, starting_text
from bot.errors import EndReason
from bot.models.events import (
    THINKING_TOKENS,
    Answering,
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
from bot.models.prompt import OURS, UNKNOWN, TurnPart, event_origins, merge
from bot.reply.sources import with_citation
from slack_markdown.growing_text import GrowingText
from slack_markdown.links import file_ids_in

CHARS_PER_TOKEN = 4.0
"""Approximate characters per token in English, for estimating usage that the vendor doesn't report."""
HIDDEN_TOKENS_PER_S = 50
"""Assumed speed of hidden thinking, for estimating usage that the vendor doesn't report."""


class Answer:
    """The answer that one attempt writes.

    1. The answer begins with the text and steps that the attempt resumes from, as stored in the job.
    2. The answer grows: `append` adds text, `on_event` adds sources and origins, and `on_calls_made` adds call results.
    3. Meanwhile, `piece_to_record` returns the piece of text to record, and `on_recorded` confirms that a piece was
       recorded. At the end of a step that calls tools, `unrecorded_piece` is recorded with the step.
    4. `finish` sets the end, once, and decides which text is kept. After that, only the piece with the end remains to
       be recorded.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        start = starting_text(job)
        self.continues_step = start != fixed_text(job)
        """Whether the text continues the text of an earlier attempt that stopped in the middle of a step."""
        self._earlier_text = job.checkpoint.text or job.continued_text
        """The earlier attempt's text, or the text that a new version continues."""
        self.text_to_rewrite = self._earlier_text[len(start) :]
        self._text = GrowingText(start)
        keeps_checkpoint = self.continues_step or bool(job.steps) or job.checkpoint.end is not None
        self.sources: Sequence[Citation] = job.checkpoint.sources if keeps_checkpoint else job.sources
        self.steps = list(job.steps)
        self.follow_ups = list(job.follow_ups)
        so_far = job.continued_origins if job.continued_text else OURS
        self.origins = merge((so_far, *(step.origins for step in self.steps), UNKNOWN if self.continues_step else OURS))
        """Origins of the text that the model has read for the answer."""
        self.open_files = frozenset[str]().union(*(_found_file_ids(step.calls) for step in self.steps))
        self.end = job.checkpoint.end
        self._recorded = Piece(len(start), "", self.end, self.sources)
        self._earlier_recorded_chars = len(job.checkpoint.text)

    @property
    def is_empty(self) -> bool:
        return not self._text

    @property
    def text(self) -> str:
        return str(self._text)

    @property
    def step_text(self) -> str:
        return self.text[self.steps[-1].chars if self.steps else len(kept_text(self.job.continued_text)) :]

    @property
    def calls(self) -> list[RecordedCall]:
        return [call for step in self.steps for call in step.calls]

    @property
    def is_shorter_than_earlier(self) -> bool:
        return len(self._text) < len(self._earlier_text)

    @property
    def text_to_keep(self) -> str:
        """The text to keep if the answer is incomplete: this attempt's text, or an earlier attempt's if that is
        longer."""
        return self._earlier_text if self.is_shorter_than_earlier else self.text

    def append(self, delta: str) -> None:
        self._text.append(delta)

    def start_over(self) -> None:
        """Drops an earlier attempt's text, before this attempt adds any."""
        self._text, self._earlier_text = GrowingText(), ""
        self._recorded = replace(self._recorded, start=0)

    def on_event(self, event: StreamEvent) -> None:
        self.origins |= event_origins(event)
        if isinstance(event, Citation):
            self.sources = with_citation(self.sources, event)

    def on_calls_made(self, calls: Sequence[RecordedCall]) -> None:
        self.steps[-1] = replace(self.steps[-1], calls=tuple(calls))
        self.open_files |= _found_file_ids(calls)

    def finish(self, end: End) -> End:
        """Sets the answer's end and returns it. Raises ValueError if the answer has already ended. If the answer is
        incomplete and an earlier attempt left longer text, that text replaces it, and its origins are unknown. If the
        vendor refused to complete a step, the step's text is removed."""
        if self.end is not None:
            raise ValueError(f"an answer can't end as {end.reason} after it has ended as {self.end.reason}")
        if end.reason is EndReason.REFUSED:
            # "Treat any partial output as incomplete and discard it", says Anthropic's page on refusals (errors.py).
            self._text = GrowingText(self.text.removesuffix(self.step_text))
            self._earlier_text, self._recorded = "", Piece(0, "")
            self.sources = self.sources if self.steps else self.job.sources
            end = replace(end, sources=self.sources)
        elif self.is_shorter_than_earlier and not end.reason.is_answer:
            self._text = GrowingText(self._earlier_text)
            self.origins |= UNKNOWN
            end = replace(end, origins=end.origins | UNKNOWN)
            self._recorded = Piece(0, "")
        self.end = end
        self._recorded = replace(self._recorded, end=None)
        return end

    @property
    def unrecorded_piece(self) -> Piece:
        """The unrecorded text, end and sources, which replace an earlier attempt's record from `start` on."""
        start = self._recorded.chars
        return Piece(start, self.text[start:], self.end, self.sources)

    def piece_to_record(self) -> Piece | None:
        """Returns the piece to record, or None if everything is recorded or an earlier attempt left more text."""
        chars, recorded_chars = len(self._text), max(self._recorded.chars, self._earlier_recorded_chars)
        if self.end is not None:
            is_new = self._recorded.end is None
        else:
            is_new = chars > recorded_chars or (chars == recorded_chars and self.sources != self._recorded.sources)
        return self.unrecorded_piece if is_new else None

    def on_recorded(self, piece: Piece) -> None:
        """Marks a piece as recorded. Once the answer has ended, only the piece that contains the end counts, because
        `finish` can replace the text."""
        if self.end is None or piece.end:
            self._earlier_recorded_chars = 0
            self._recorded = Piece(max(self._recorded.chars, piece.chars), "", piece.end, piece.sources)


def _found_file_ids(calls: Iterable[RecordedCall]) -> frozenset[str]:
    return frozenset(id_ for call in calls if tool_owner(call.tool) == SLACK for id_ in file_ids_in(call.result))


@dataclass(eq=False)
class CurrentStep:
    """A model's current step: its usage so far and the requested tool calls. The text grows in the `Answer`."""

    model: str
    input_tokens: int
    answering_model: str = ""
    """The model whose price applies, or "" if that is the model in the request."""
    output_chars: int = 0
    failed_usage: Usage = field(default_factory=Usage)
    """Estimated usage of failed requests that the vendor charges for even though they returned no text."""
    hidden_s: float = 0.0
    """Seconds of hidden thinking before the request's first word."""
    _hidden_since: float | None = None
    has_text: bool = False
    parts: list[TurnPart] = field(default_factory=list)
    """The step's text and calls, exactly as the next request repeats them. The answer's text differs if it continues an
    earlier attempt's text (core/steps.py)."""
    completion: Completion | None = None

    @property
    def calls(self) -> list[ToolCall]:
        return [part for part in self.parts if isinstance(part, ToolCall)]

    @property
    def has_thought(self) -> bool:
        """Whether the model has thought since the request began, even if its vendor hides the thoughts."""
        return bool(self.output_chars or self.hidden_s) or self._hidden_since is not None

    @property
    def estimated_usage(self) -> Usage:
        hidden_tokens = min(self.hidden_s * HIDDEN_TOKENS_PER_S, THINKING_TOKENS)
        return Usage(self.input_tokens, int(self.output_chars / CHARS_PER_TOKEN + hidden_tokens))

    @property
    def usage(self) -> Usage:
        return self.failed_usage + self.estimated_usage

    def receive(self, event: StreamEvent, now: float) -> str:
        """Records an event from the model's stream. Returns the event's text, or "" if it has none. `now`: the time on
        the monotonic clock."""
        if not isinstance(event, Retrying):
            self.count_thinking_until(now)
        match event:
            case str():
                self.has_text = True
                self.output_chars += len(event)
                return event
            case Thinking(chars=0, ended=False):
                # Models hide only thoughts before the first word. Later silence might just as well be a stall.
                self._hidden_since = None if self.output_chars else now
            case Thinking(chars=chars):
                self.output_chars += chars
            case Answering(model=model):
                self.answering_model = model
            case Retrying(is_charged=is_charged, model=model):
                self.failed_usage = self.usage if is_charged else self.failed_usage
                self.output_chars, self.hidden_s, self._hidden_since = 0, 0.0, None
                self.answering_model = model
            case TextPart() | ToolCall() | Opaque():
                self.parts.append(event)
            case Completion():
                self.completion = event
        return ""

    def clear_request_usage(self) -> None:
        self.input_tokens = self.output_chars = 0
        self.hidden_s, self._hidden_since = 0.0, None

    def count_thinking_until(self, now: float) -> None:
        """Adds the time since hidden thinking began. Not called if the stream failed, because the model might not have
        been thinking."""
        if self._hidden_since is not None:
            self.hidden_s += now - self._hidden_since
            self._hidden_since = None


ARRIVALS_S = 0.1
"""Time within which words are counted as a single arrival."""
MAX_ARRIVALS = 16
"""Maximum number of arrivals to keep. If there are more, every second arrival is merged into the previous one."""


@dataclass(slots=True)
class Freshness:
    """Measures how far the reader is behind the model in one attempt. `chars` includes earlier text. Times are from the
    monotonic clock."""

    chars: int = 0
    _arrivals: list[tuple[int, float]] = field(default_factory=list)
    """Position and arrival time of each group of unshown words, oldest first."""
    _can_join: bool = False
    _first_at: float | None = None
    _first_shown_at: float | None = None
    _all_shown_at: float | None = None
    _age_sum: float = 0.0
    _age_summed_until: float = 0.0
    ended_at: float | None = None
    _end_shown_at: float | None = None

    def on_written(self, chars: int, now: float, *, has_word: bool = True) -> None:
        """Records text from the model. `has_word`: whether the answer so far contains a word, not just markup."""
        if self._first_at is None and not has_word:
            self.chars += chars
            return
        if self._first_at is None:
            self._first_at = self._age_summed_until = now
        if not (self._can_join and self._arrivals and now < self._arrivals[-1][1] + ARRIVALS_S):
            self._arrivals.append((self.chars, now))
            self._can_join = True
            if len(self._arrivals) > MAX_ARRIVALS:
                del self._arrivals[1::2]
        self.chars += chars

    @property
    def has_begun(self) -> bool:
        return self._first_at is not None

    def on_send(self) -> None:
        self._can_join = False

    def on_shown(self, chars: int, now: float) -> None:
        if not self._arrivals or chars <= self._arrivals[0][0]:
            return
        oldest_at = self._arrivals[0][1]
        begin = max(self._age_summed_until, oldest_at)
        self._age_sum += ((now - oldest_at) ** 2 - (begin - oldest_at) ** 2) / 2
        self._age_summed_until = now
        if self._first_shown_at is None:
            self._first_shown_at = now
        while len(self._arrivals) > 1 and self._arrivals[1][0] <= chars:
            del self._arrivals[0]
        if chars >= self.chars:
            self._arrivals.clear()
            self._all_shown_at = now

    def on_end_shown(self, now: float) -> None:
        if self.ended_at is not None:
            self._end_shown_at = now

    @property
    def first_word_delay_s(self) -> float | None:
        """Seconds from the model's first visible word until Slack showed a word, or None if it hasn't shown any."""
        if self._first_at is None or self._first_shown_at is None:
            return None
        return self._first_shown_at - self._first_at

    @property
    def staleness_s(self) -> float | None:
        """The mean staleness in seconds, or None if Slack hasn't shown all words."""
        if self._first_at is None or self._arrivals or self._all_shown_at is None:
            return None
        lasted_s = self._all_shown_at - self._first_at
        return self._age_sum / lasted_s if lasted_s > 0 else 0.0

    @property
    def final_lag_s(self) -> float | None:
        """Seconds from the answer's end until the last call that showed it, or None if there was no such call."""
        if self.ended_at is None or self._end_shown_at is None:
            return None
        return self._end_shown_at - self.ended_at
