"""What a model's stream consists of, for every vendor: text, signs of work, tool calls, and one completion at the end.

Providers translate their vendors' events into these types, so that other modules need no vendor's form. One exception
is `searches` in core/steps.py, which counts a vendor's web searches in opaque items. A vendor's new kind of event
becomes a class of its own in `StreamEvent`; readers match on the class.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from bot.errors import FileFault

THINKING_TOKENS = 24_576
"""Output tokens left for thinking beyond the answer's text. OpenAI advises 25,000 tokens for both together."""
LONGER_THINKING_TOKENS = 56_000
"""The same for an answer that is thought about longer. Anthropic advises 64,000 tokens for both together."""

MAX_SEARCHES = 8
"""Web searches that one request may make. Each costs a cent, and its results are input tokens."""
MAX_REPORTED_TOKENS = 100_000_000
"""More than any request uses. A count beyond it is a server's mistake."""
SEARCH_RESULT_TOKENS = 20_000
"""Input tokens that are reserved for what searches find: more than most answers use, less than they may."""


class FinishReason(StrEnum):
    """Why the model stopped, by one name for all vendors."""

    STOP = "stop"
    """The answer is complete."""
    LENGTH = "length"
    """The output limit was reached. The text so far is good."""
    TOOLS = "tools"
    """The model waits for the results of its tool calls."""
    PAUSED = "paused"
    """The vendor paused a long step. Providers go on by themselves, so no stream ends like this."""


Feature = Literal["tools", "some tools", "web search", "thinking longer"]
"""What a prompt may offer, and a model may refuse, by its name for readers."""


Unparsed = Literal["", "call", "thoughts"]
"""What may be left in an answer's text: a tool call at its end, or reasoning up to its closing mark; "": nothing."""


def reported_tokens(count: object) -> int:
    """Returns a number of tokens as a vendor reports it; 0 for what can't be one, or is too much for the database.

    No request uses 0 tokens: in place of such a count, an estimate counts (services/answer_attempt.py).
    """
    return int(count) if isinstance(count, int | float) and 0 <= count <= MAX_REPORTED_TOKENS else 0


@dataclass(frozen=True, slots=True)
class Usage:
    """The use of one request as the vendor reported it, or of several. Tokens of a cache are input tokens too."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    web_searches: int = 0
    """Searches that the vendor charges for."""
    audio_s: float = 0.0
    """Seconds of sound that were transcribed."""
    requests: "tuple[Usage, ...]" = field(default=(), compare=False)
    """The requests that this sums up; empty: it is one request. A request's price depends on its own size."""

    @property
    def has_tokens(self) -> bool:
        """Whether the vendor reported tokens: each request has some, and so has each answer."""
        return self.input_tokens > 0 and self.output_tokens > 0

    @property
    def each(self) -> "tuple[Usage, ...]":
        """The use of each request."""
        return self.requests or (self,)

    def __add__(self, other: "Usage") -> "Usage":
        """Returns the use of all requests."""
        names = [name for name in self.__slots__ if name != "requests"]
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        return Usage(**sums, requests=(*self.each, *other.each))


@dataclass(frozen=True, slots=True)
class Thinking:
    """A sign that the model is at work on something that readers don't see."""

    chars: int = 0
    """Length of the reasoning that came with this sign; 0 where the vendor keeps the reasoning to itself."""
    ended: bool = False
    """The model has stopped thinking: text comes next."""


@dataclass(frozen=True, slots=True)
class Searching:
    """The vendor searches the web, or opens a page that it found: a sign of work."""

    query: str = field(default="", repr=False)
    """The words searched for, or the page's address; "" where the vendor doesn't say yet."""
    done: bool = False
    """The search has ended, with or without a result."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """A request failed before the answer's first word, and another one follows it: a sign of work."""

    wait_s: float = 0.0
    """How long until then."""
    is_charged: bool = False
    """Whether the vendor charges the request that failed."""
    detail: str = field(default="", repr=False, compare=False)
    """Why it failed, for operators."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A source of the text so far. Each URL comes once in a stream."""

    url: str = field(repr=False)
    """As the vendor gave it: it may be of any scheme, or no URL at all."""
    title: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text among the other parts of a turn. Of a stream: all of its text, if it ends with tool calls.

    The next request repeats it, so it is as the model wrote it. It comes once, after the deltas that it consists of.
    """

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a function. It comes once, when its arguments are complete."""

    index: int
    """Its place among the stream's tool calls, from 0."""
    call_id: str
    """The vendor's name for the call, made unique within the stream. Other steps may repeat it."""
    name: str
    arguments: Mapping[str, Any] | None = field(repr=False)
    """None if they are not a JSON object that all readers understand alike."""
    raw_arguments: str = field(default="", repr=False)
    """The beginning of arguments that are not a JSON object; else ""."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """An item that only the vendor understands, and that must be sent back to it unchanged.

    A vendor's opaque items are all that it needs of a step: its text and tool calls are among them.
    """

    vendor: str
    """The vendor's name in the registry: openai."""
    item: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Completion:
    """The last event of a stream. An answer without it is not whole."""

    model: str
    """Written vendor/name, as in the settings."""
    finish_reason: FinishReason
    usage: Usage | None
    """None where a compatible server reports none."""
    left_out: tuple[str, ...] = ()
    """Names of images and PDFs that were not sent, because the model can't take them."""
    refused: tuple[Feature, ...] = ()
    """What the prompt offered and the model refused, so that it answered without."""
    effort: str = ""
    """The level of effort that the vendor was asked for, by the vendor's name; "": the model's own default."""
    thinks_longer: bool = True
    """Whether the model may take a level of effort above what it does by itself."""
    max_output_tokens: int | None = None
    """The most output tokens that the server takes for an answer's text; None: as many as the settings want."""
    window_tokens: int | None = None
    """The server's window, which holds prompt and answer; None: no refusal has named it."""
    refused_files: Mapping[str, FileFault] = field(default_factory=dict)
    """Why the vendor refused names in `left_out`. The model takes no files like the others."""
    refusal: str = ""
    """The vendor's sentence about what it refused, for operators; "" if it refused nothing this time."""
    unparsed: Unparsed = ""
    """What the text has that the model's server should have taken out of it."""


StreamEvent = str | Thinking | Searching | Retrying | Citation | TextPart | ToolCall | Opaque | Completion
"""One event of a provider's stream. A string is a piece of the answer's text, never empty."""

SIGNS_OF_WORK = (Thinking, Searching, Retrying)
"""Events that readers don't see in the answer. Before any other event, another request can replace the first."""
