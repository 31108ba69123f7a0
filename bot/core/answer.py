"""The answer of one attempt as it grows: the only place that holds its text, sources and steps. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.core import trust
from bot.core.conversation import Job, TextPart, TurnPart
from bot.core.growing_text import GrowingText
from bot.core.job import End, Piece
from bot.core.reply.markdown.slack_files import ids_in
from bot.core.reply.resuming import start_of
from bot.core.reply.sources import with_citation
from bot.core.stream import (
    THINKING_TOKENS,
    Citation,
    Completion,
    Opaque,
    Retrying,
    StreamEvent,
    Thinking,
    ToolCall,
    Usage,
)
from bot.core.tools import SLACK, owner_of
from bot.core.trust import UNKNOWN, folded

CHARS_PER_TOKEN = 4.0
"""About right for English. Used only to count requests without reported usage."""
HIDDEN_TOKENS_PER_S = 50
"""How fast a model is taken to think where its vendor keeps that to itself. Used as above."""


class Answer:
    """An attempt's answer, and how much of it is on record.

    It begins with what the attempt resumes from. An earlier attempt's record stays until this text is longer.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        start = start_of(job)
        self._text = GrowingText(start)
        keeps_checkpoint = self.resumes or bool(job.steps) or job.checkpoint.end is not None
        self.sources: Sequence[Citation] = job.checkpoint.sources if keeps_checkpoint else job.sources
        """The web pages that the text cites."""
        self.steps = list(job.steps)
        """The steps that asked for tools."""
        self.follow_ups = list(job.follow_ups)
        """The questions that came while tools ran."""
        so_far = job.so_far_origins if job.so_far else trust.OURS
        self.origins = folded((so_far, *(step.origins for step in self.steps), UNKNOWN if self.resumes else trust.OURS))
        """Whose words the model has read for the answer."""
        self.shared_files = frozenset[str]()
        """Ids of Slack's files that all readers of the conversation may open."""
        self._found_files = (0, frozenset[str]())
        """For so many steps, ids of the files whose addresses Slack's search has returned."""
        self.end = job.checkpoint.end
        """How the answer ended; None while it grows."""
        self._recorded_chars = len(start)
        self._recorded_sources = self.sources
        self._last: Piece | None = None
        """The piece with the end, until it is on record."""

    @property
    def text(self) -> str:
        """The whole text so far."""
        return str(self._text)

    @property
    def resumes(self) -> bool:
        """Whether the text began with one that an earlier attempt left in the middle of a step."""
        return start_of(self.job) != self.job.fixed_text

    @property
    def open_files(self) -> frozenset[str]:
        """Ids of Slack's files that the answer may link: those of the conversation, and what Slack's search found."""
        if self._found_files[0] != len(self.steps):
            calls = (call for step in self.steps for call in step.calls if owner_of(call.tool) == SLACK)
            self._found_files = len(self.steps), frozenset(id_ for call in calls for id_ in ids_in(call.result))
        return self.shared_files | self._found_files[1]

    def append(self, delta: str) -> None:
        """Adds text from the model."""
        self._text.append(delta)

    def note(self, event: StreamEvent) -> None:
        """Notes whose words the model reads with an event of its stream, and the source that the event cites."""
        self.origins |= trust.of_event(event)
        if isinstance(event, Citation):
            self.sources = with_citation(self.sources, event)

    def keep_earlier(self, text: str) -> None:
        """Replaces the text by a longer one that an earlier attempt left."""
        self._text = GrowingText(text)
        self.origins |= UNKNOWN
        self._recorded_chars = 0

    def close(self, end: End) -> None:
        """Ends the answer."""
        self.end = end
        self._last = Piece(self._recorded_chars, self.text[self._recorded_chars :], end, self.sources)

    def piece(self) -> Piece | None:
        """Returns what has to be recorded; None if all of it is, or if an earlier attempt left more."""
        if self._last:
            return self._last
        text = self.text
        on_record = max(self._recorded_chars, len(self.job.checkpoint.text))
        is_new = len(text) > on_record or (len(text) == on_record and self.sources != self._recorded_sources)
        return Piece(self._recorded_chars, text[self._recorded_chars :], sources=self.sources) if is_new else None

    def recorded(self, piece: Piece) -> None:
        """Notes that a piece was recorded. Other pieces may have been recorded in the meantime."""
        self._recorded_sources = piece.sources
        self._recorded_chars = max(self._recorded_chars, piece.chars)
        if piece.end:
            self._last = None


@dataclass(eq=False)
class StepUnderWay:
    """One step of a model: what it has cost so far, and what the model wrote and asked for."""

    model: str
    input_tokens: int
    output_chars: int = 0
    """Text and thinking."""
    lost: Usage = field(default_factory=Usage)
    """The estimated use of its requests that failed before the first word, and are charged."""
    has_text: bool = False
    hidden_s: float = 0.0
    """How long the model thought without a word of it."""
    _hidden_since: float | None = None
    parts: list[TurnPart] = field(default_factory=list)
    """The step so far, up to its last text, which ends with the next part or the step."""
    _text: GrowingText = field(default_factory=GrowingText)
    """The last text as the model wrote it. As a part it would be copied at each delta."""
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
            self.heard_until(now)
        match event:
            case str():
                self._text.append(event)
                self.output_chars += len(event)
                self.has_text = True
                return event
            case Thinking(chars=0, ended=False):
                self._hidden_since = now
            case Thinking(chars=chars):
                self.output_chars += chars
            case Retrying(is_charged=is_charged):
                self.lost = self.used if is_charged else self.lost
                self.output_chars, self.hidden_s, self._hidden_since = 0, 0.0, None
            case ToolCall() | Opaque():
                self._end_text()
                self.parts.append(event)
            case Completion():
                self._end_text()
                self.completion = event
        return ""

    def charges_nothing(self) -> None:
        """Forgets the request under way, which is counted elsewhere or not charged."""
        self.input_tokens = self.output_chars = 0
        self.hidden_s = 0.0

    def heard_until(self, now: float) -> None:
        """Notes that the next event has come, or that somebody ends the wait for it.

        The silence of a stream that fails is no thinking, as far as anybody knows.
        """
        if self._hidden_since is not None:
            self.hidden_s += now - self._hidden_since
            self._hidden_since = None

    def _end_text(self) -> None:
        """Adds the text since the last part as a part."""
        if self._text:
            self.parts.append(TextPart(str(self._text)))
            self._text.clear()
