"""Stream events in one format for all vendors: text, signs of work, tool calls and a final Completion.

Providers translate their vendors' events into these types, so that other modules don't depend on a vendor's format. The
one exception is `searches` in core/steps.py, which counts a vendor's web searches in opaque items. To support a new
type of vendor event, add a class to `StreamEvent`. Consumers match on the class.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from bot.errors import FileFault

THINKING_TOKENS = 24_576
"""Output tokens for thinking, not including the answer's text. OpenAI recommends 25,000 tokens for both together."""
LONGER_THINKING_TOKENS = 56_000
"""Output tokens for longer thinking. Anthropic recommends 64,000 tokens for thinking and text combined."""

MAX_SEARCHES = 8
"""Maximum web searches per request. A search costs a cent, plus the input tokens of its results."""
MAX_REPORTED_TOKENS = 100_000_000
"""Maximum plausible token count of a request. Higher counts are server errors."""
SEARCH_RESULT_TOKENS = 20_000
"""Input tokens reserved for search results: more than most answers use, but less than they can use."""


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    """The output limit was reached. The text so far can be used."""
    TOOLS = "tools"
    PAUSED = "paused"
    """The vendor paused a long step. The Provider itself requests the rest, so no stream ends for this reason."""


Feature = Literal["tools", "some tools", "web search", "thinking longer"]
"""User-facing names of features that a prompt can offer and a model can reject."""


Unparsed = Literal["", "call", "thoughts"]
"""The markup left in an answer's text: a tool call at the end, reasoning at the beginning, or "" for none."""


def reported_tokens(count: object) -> int:
    """Converts a vendor's token count to an integer, or to 0 if it is invalid or too large for the database."""
    # No request uses 0 tokens, so an estimate replaces such a count (services/answer_attempt.py).
    return int(count) if isinstance(count, int | float) and 0 <= count <= MAX_REPORTED_TOKENS else 0


_TERMS = ("service_tier", "speed", "inference_geo")
_STANDARD_TERMS = frozenset(("auto", "default", "standard", "on_demand", "global", "not_available"))
"""`global` and `not_available` are regions: https://platform.claude.com/docs/en/manage-claude/data-residency."""


def price_terms(reported: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Returns the terms that determine a response's price, such as a service tier, unless they are standard."""
    if reported.keys().isdisjoint(_TERMS):
        return ()
    terms = ((name, str(reported.get(name) or "auto")[:20]) for name in _TERMS)
    return tuple((name, term) for name, term in terms if term not in _STANDARD_TERMS)


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of one or more requests, as reported by the vendor. Cached tokens are included in the input tokens."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    web_searches: int = 0
    audio_s: float = 0.0
    terms: tuple[tuple[str, str], ...] = ()
    """Terms that change the price (`price_terms`). A sum has the terms of the last request that had any."""
    requests: "tuple[Usage, ...]" = field(default=(), compare=False)
    """The summed requests, or () for a single request. Prices depend on the size of each request."""

    @property
    def has_tokens(self) -> bool:
        return self.input_tokens > 0 and self.output_tokens > 0

    @property
    def single_requests(self) -> "tuple[Usage, ...]":
        return self.requests or (self,)

    def __add__(self, other: "Usage") -> "Usage":
        names = [name for name in self.__slots__ if name not in ("terms", "requests")]
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        return Usage(**sums, terms=other.terms or self.terms, requests=(*self.single_requests, *other.single_requests))


@dataclass(frozen=True, slots=True)
class Thinking:
    """A sign that the model is doing work that readers don't see."""

    chars: int = 0
    """Length of the reasoning in this event, or 0 if the vendor doesn't disclose it."""
    ended: bool = False
    progress: str = field(default="", repr=False)
    """The model's note to readers about what it will do next, which isn't part of the answer."""


@dataclass(frozen=True, slots=True)
class Searching:
    query: str = field(default="", repr=False)
    """The search terms or the page's URL, or "" if the vendor hasn't reported them yet."""
    done: bool = False


@dataclass(frozen=True, slots=True)
class Loading:
    """A sign that a request was sent to a server that might have to load the model before it responds."""

    ended: bool = False


@dataclass(frozen=True, slots=True)
class Answering:
    """A notice that a model other than the requested one is answering from here on, at its own price."""

    model: str


@dataclass(frozen=True, slots=True)
class Retrying:
    wait_s: float = 0.0
    is_charged: bool = False
    detail: str = field(default="", repr=False, compare=False)
    model: str = field(default="", compare=False)
    """The model that will be asked next, or "" if it stays the same."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A source for the text so far. Each URL occurs once in a stream."""

    url: str = field(repr=False)
    """The vendor's value, which can have any scheme or might not be a URL at all."""
    title: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TextPart:
    """A turn's text, exactly as the model wrote it, because the next request repeats it. In a stream that ends with
    tool calls, a single TextPart with the whole text follows the deltas."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call by the model, yielded once its arguments are complete."""

    index: int
    call_id: str
    """The vendor's ID for the call, made unique within the stream but not across steps."""
    name: str
    arguments: Mapping[str, Any] | None = field(repr=False)
    """None if the arguments aren't a JSON object that all parsers interpret alike."""
    raw_arguments: str = field(default="", repr=False)
    """The beginning of the arguments if they aren't a JSON object, otherwise ""."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """An item that only the vendor understands and that must be sent back unchanged. A step's opaque items contain
    everything that the vendor needs, including the text and tool calls."""

    vendor: str
    item: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Completion:
    """The last event of a complete answer's stream."""

    model: str
    """The model that answered, if its price is known; otherwise, the model that was asked."""
    finish_reason: FinishReason
    usage: Usage | None
    left_out: tuple[str, ...] = ()
    refused: tuple[Feature, ...] = ()
    effort: str = ""
    """The vendor's name for the requested effort level; "" for the model's default."""
    can_think_longer: bool = True
    max_output_tokens: int | None = None
    """The server's limit for an answer's output tokens; None if the server accepts the configured limit."""
    window_tokens: int | None = None
    """The size of the server's window for the prompt and answer together, or None if no error has stated it."""
    refused_files: Mapping[str, FileFault] = field(default_factory=dict)
    """The reasons why the vendor rejected some files in `left_out`. The other files there are of unsupported types."""
    refusal: str = ""
    """The vendor's last refusal message, for operators, or ""."""
    unparsed: Unparsed = ""
    asked_model: str = ""
    """The model that was asked, if `substitute_model` is set."""
    unlisted_terms: tuple[str, ...] = ()
    """Terms in `usage` whose price isn't known, so the standard price is charged."""
    substitute_model: str = ""
    """The model that answered instead of the requested model, if it isn't the same model under another name."""


StreamEvent = (
    str | Thinking | Searching | Loading | Answering | Retrying | Citation | TextPart | ToolCall | Opaque | Completion
)
"""One event of a provider's stream. A string is a non-empty piece of the answer's text."""

SIGNS_OF_WORK = (Thinking, Searching, Loading, Answering, Retrying)
"""Events that aren't part of the answer. While only these have arrived, another request can still replace this one."""
