"""What a model's stream consists of, for every vendor: pieces of text, signs of thinking, one completion at the end.

Providers translate their vendors' events into these types, and nothing above the providers knows a vendor's form. A
vendor's new kind of event becomes a class of its own in `StreamEvent`; readers match on the class.
"""

from dataclasses import dataclass
from enum import StrEnum

THINKING_TOKENS = 24_576
"""Output tokens left for thinking beyond the answer's text. OpenAI advises 25,000 tokens for both together."""


class FinishReason(StrEnum):
    """Why the model stopped, by one name for all vendors."""

    STOP = "stop"
    """The answer is complete."""
    LENGTH = "length"
    """The output limit was reached. The text so far is good."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer as the vendor reported them. Tokens read from or written to a cache are input tokens too."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Thinking:
    """A sign that the model is at work on something that readers don't see."""

    chars: int = 0
    """Length of the reasoning that came with this sign; 0 where the vendor keeps the reasoning to itself."""
    ended: bool = False
    """The model has stopped thinking: text comes next."""


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


StreamEvent = str | Thinking | Completion
"""One event of a provider's stream. A string is a piece of the answer's text, never empty."""
