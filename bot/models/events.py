"""Events of a model's stream, the same for every vendor: text, signs of work, tool calls, and one final completion.

Providers translate their vendors' events into these types, so that other modules don't depend on a vendor's format. The
one exception is `searches` in core/steps.py, which counts a vendor's web searches in opaque items. For a new type of
vendor event, add a class to `StreamEvent`; consumers match on the class.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from bot.errors import FileFault

THINKING_TOKENS = 24_576
"""Output tokens for thinking in addition to the answer's text. OpenAI recommends 25,000 tokens for both together."""
LONGER_THINKING_TOKENS = 56_000
"""Output tokens for longer thinking. Anthropic recommends 64,000 tokens for thinking and text together."""

MAX_SEARCHES = 8
"""Maximum web searches per request. Each costs a cent, and its results are input tokens."""
MAX_REPORTED_TOKENS = 100_000_000
"""More than any request uses. A higher count is a server's mistake."""
SEARCH_RESULT_TOKENS = 20_000
"""Input tokens reserved for search results: more than most answers use, less than the maximum."""


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    """The output limit was reached. The text so far is valid."""
    TOOLS = "tools"
    PAUSED = "paused"
    """The vendor paused a long step. Providers continue by themselves, so no stream ends like this."""


Feature = Literal["tools", "some tools", "web search", "thinking longer"]
"""Features that a prompt can offer and a model can refuse, by their user-facing names."""


Unparsed = Literal["", "call", "thoughts"]
"""Content left in an answer's text: a tool call at its end, or reasoning up to its closing mark; "" if none."""


def reported_tokens(count: object) -> int:
    """Returns a vendor's token count, or 0 if it is invalid or too large for the database."""
    # No request uses 0 tokens, so an estimate replaces such a count (services/answer_attempt.py).
    return int(count) if isinstance(count, int | float) and 0 <= count <= MAX_REPORTED_TOKENS else 0


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of one or more requests, as reported by the vendor. Cached tokens are included in the input tokens."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    web_searches: int = 0
    audio_s: float = 0.0
    requests: "tuple[Usage, ...]" = field(default=(), compare=False)
    """The requests in this sum, or empty for a single request. A request's price depends on its own size."""

    @property
    def has_tokens(self) -> bool:
        return self.input_tokens > 0 and self.output_tokens > 0

    @property
    def each(self) -> "tuple[Usage, ...]":
        return self.requests or (self,)

    def __add__(self, other: "Usage") -> "Usage":
        names = [name for name in self.__slots__ if name != "requests"]
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        return Usage(**sums, requests=(*self.each, *other.each))


@dataclass(frozen=True, slots=True)
class Thinking:
    """A sign that the model is doing something that readers don't see."""

    chars: int = 0
    """Length of the reasoning in this event; 0 if the vendor doesn't disclose it."""
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Searching:
    query: str = field(default="", repr=False)
    """The search terms or the page's URL; "" if the vendor hasn't reported them yet."""
    done: bool = False


@dataclass(frozen=True, slots=True)
class Retrying:
    """A sign that a request failed before the answer's first word and will be followed by another one."""

    wait_s: float = 0.0
    is_charged: bool = False
    detail: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Citation:
    """A source of the text so far. Each URL occurs once in a stream."""

    url: str = field(repr=False)
    """Unchanged from the vendor: it can have any scheme, or not be a URL at all."""
    title: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text among the other parts of a turn. In a stream that ends with tool calls, it contains all of the text.

    It follows its deltas, once. The next request repeats it, so it is exactly what the model wrote.
    """

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call by the model, yielded once its arguments are complete."""

    index: int
    call_id: str
    """The vendor's ID of the call, made unique within the stream. Other steps can repeat it."""
    name: str
    arguments: Mapping[str, Any] | None = field(repr=False)
    """None if they aren't a JSON object that all parsers interpret alike."""
    raw_arguments: str = field(default="", repr=False)
    """The beginning of arguments that aren't a JSON object; otherwise ""."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """An item that only the vendor understands and that must be sent back unchanged.

    A vendor's opaque items are everything it needs from a step, including its text and tool calls.
    """

    vendor: str
    item: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Completion:
    """The last event of a stream. An answer without it is incomplete."""

    model: str
    finish_reason: FinishReason
    usage: Usage | None
    left_out: tuple[str, ...] = ()
    """Names of images and PDFs that weren't sent because the model can't accept them."""
    refused: tuple[Feature, ...] = ()
    effort: str = ""
    """The vendor's name for the requested effort level; "" for the model's default."""
    thinks_longer: bool = True
    """Whether the model might support an effort level above its default."""
    max_output_tokens: int | None = None
    """Maximum output tokens for an answer's text that the server accepts; None if it accepts the settings' number."""
    window_tokens: int | None = None
    """The server's window for prompt and answer together; None if no refusal has stated it."""
    refused_files: Mapping[str, FileFault] = field(default_factory=dict)
    """Why the vendor refused files in `left_out`. The model doesn't accept the others' file types."""
    refusal: str = ""
    """The vendor's sentence about what it refused, for operators; "" if it refused nothing."""
    unparsed: Unparsed = ""


StreamEvent = str | Thinking | Searching | Retrying | Citation | TextPart | ToolCall | Opaque | Completion
"""One event of a provider's stream. A string is a non-empty piece of the answer's text."""

SIGNS_OF_WORK = (Thinking, Searching, Retrying)
"""Events that aren't part of the answer. Until another event arrives, a different request can replace this one."""
