"""What a model's stream yields beside its words, and how it ended: one closed list of reasons for all vendors."""

from dataclasses import dataclass
from enum import StrEnum


class FinishReason(StrEnum):
    """Why the model stopped, whatever its vendor calls it."""

    STOP = "stop"
    LENGTH = "length"
    """The output limit was reached: the answer is good as far as it goes."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the vendor reported them; those read from or written to a cache are input tokens as well."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0


THINKING_TOKENS = 24_576
"""What a model that thinks may use for that, beyond the answer's text: OpenAI advises 25,000 tokens for both."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """The model reasons: it is at work, though nothing of it is for the reader."""

    chars: int = 0
    """How much of its reasoning came; vendors that keep it to themselves only say that there is some."""
    over: bool = False
    """The reasoning has ended: text is next."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The last thing a provider's stream yields: only with it is the answer whole."""

    model: str
    """As it is written in settings: openai/gpt-6-luna."""
    finish_reason: FinishReason
    usage: Usage | None
    """None where a compatible server reports none."""
    left_out: tuple[str, ...] = ()
    """Names of images and PDFs in the prompt that this model could not be given."""


StreamEvent = str | Thinking | Completion
"""What a provider's stream yields."""
