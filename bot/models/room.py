"""How many output tokens a model's server takes. Pure.

A request has a limit for its output, which servers compare with limits of their own: the most output of a model, or its
window, which holds prompt and output together. The limit is ours, so such a refusal is never about the reader's text,
unless the prompt alone fills the window.

The window comes from the refusal, where it names one, or else from the server's description of the model. With a
window, a quarter of it stays for the answer, or as much as the settings want; a prompt that leaves less is too long.
Without one, the largest number in the refusal that is smaller than the limit that was sent comes next, then a quarter.
"""

import re
from dataclasses import dataclass, replace

import regex

from bot.errors import EndReason

MAX_TRIES = 2
"""How often a request is sent again with less room: of 16,384 tokens, 4,096 and then 1,024."""
MAX_WORDS_CHARS = 2_000
MIN_ROOM = 16
"""The smallest limit that all APIs take."""
MIN_WINDOW = 256
SHORT_TOKENS = 1_000
"""Every model takes a conversation that is shorter."""
_WINDOWS = ("max_model_len", "context_length", "context_window", "max_context_length", "max_input_tokens")
_OUTPUTS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
"""Names of the limits where servers describe a model: vLLM, OpenRouter, Groq, Mistral and Anthropic."""
_NUMBER = re.compile(r"(?<![\w.\-])(?:\d{1,3}(?:[,_.]\d{3})+|\d{1,9})(?:[kK]\b|(?![\w-]|\.\d))|(?<=[01]-)\d{3,9}\b")
_LIMIT = (
    r"max_?(?:(?:output|completion|new|gen\w{0,8}|response)_?)?(?:tokens?(?:_?count)?|len(?:gth)?)"
    r"|max(?:imum)? (?:(?:output|completion|new) )?tokens|max(?:imum)? (?:output|completion)"
    r"|n(?:um)?_predict|tokens_to_generate"
)
_OUTPUT = re.compile(
    rf"{_LIMIT}|(?:output|completion|generated|new|requested)[ _]tokens"
    r"|tokens to generate|generation (?:length|limit)"
    r"|(?:produce|generate)s? (?:no more than|more than|at most|up to|only)"
    r"|token limit|in the output|\bcompletion\b",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(
    r"too (?:large|big|high|many|long)|exceed|greater|larger|less than|lower|at most|must be|should be|range|up to"
    r"|<=?|≤|max(?:imum)? (?:of|is|value)|limit|reduce|fewer|out of|invalid|超|参数非法|最大",
    re.IGNORECASE,
)
_OTHER_PARAMETER = re.compile(
    r"unsupported param|not supported with|unrecognized|unknown|unexpected|not permitted|extra|instead", re.IGNORECASE
)
_WINDOW = regex.compile(
    r"(?:(?:context|sequence)[\w '’`-]{0,12}(?:length|window|size|limit|len)\b(?! by)"
    r"|n_ctx|max_(?:model_len|total_tokens|seq\w{0,24}|context\w{0,24}))[^\d+]{0,24}?(\d(?:[\d,_.]{0,14}\d)?+[kK]?+)(?!\d|\s*\+)"
    r"|(?<!\d)(\d(?:[\d,_.]{0,14}\d)?[kK]?)(?:[- ]tokens?)?(?: maximum)? (?:context|sequence) (?:length|window|size)",
    regex.IGNORECASE,
)
_OF_OTHER_THINGS = (
    EndReason.BAD_KEY,
    EndReason.OUT_OF_CREDIT,
    EndReason.UNKNOWN_MODEL,
    EndReason.REFUSED,
    # A limit of tokens in a minute is over with the minute, and its numbers may be seconds.
    EndReason.RATE_LIMITED,
    EndReason.OVERLOADED,
)


@dataclass(frozen=True, slots=True)
class Room:
    """What a model's server takes, as far as its refusals and its description of the model have told."""

    output_tokens: int | None = None
    """The most output tokens; None: not known."""
    window_tokens: int | None = None
    """For prompt and output together; None: not known."""

    def for_output(self, wanted_tokens: int, prompt_tokens: int) -> int:
        """Returns the limit to send; `prompt_tokens` is the estimate for the prompt."""
        limit = min(wanted_tokens, self.output_tokens or wanted_tokens)
        if self.window_tokens is not None:
            # The estimate may be too high, and less than a quarter is no room for an answer.
            limit = min(limit, max(self.window_tokens - prompt_tokens, self.window_tokens // 4))
        return max(limit, min(wanted_tokens, MIN_ROOM))

    def after(self, refusal: "RoomRefusal", asked_tokens: int, prompt_tokens: int, *, is_first: bool) -> int | None:
        """Returns the limit to send after a refused one; None if the prompt leaves too little room."""
        window = self.window_tokens
        if window is not None and (refusal.is_of_window or prompt_tokens + asked_tokens > window):
            smaller = (self.for_output(asked_tokens, prompt_tokens), window // 4)
            return next((limit for limit in smaller if limit < asked_tokens), None)
        quarter = asked_tokens // 4
        limit = max((number for number in refusal.numbers if MIN_ROOM <= number < asked_tokens), default=quarter)
        return limit if is_first else quarter if quarter >= MIN_ROOM else None

    def with_description(self, model: object) -> "Room":
        """Returns the room with what a server's description of the model says."""
        output, window = _named(model, _OUTPUTS), _named(model, _WINDOWS)
        return replace(self, output_tokens=self.output_tokens or output, window_tokens=self.window_tokens or window)


@dataclass(frozen=True, slots=True)
class RoomRefusal:
    """A refusal that is about the room."""

    numbers: tuple[int, ...]
    """The numbers in the refusal's sentence."""
    window_tokens: int | None
    """The window that it names."""
    names_output: bool
    """Whether the refusal speaks of the output, so that the prompt alone isn't the reason."""
    is_of_window: bool
    """Whether prompt and output are too much together, or the prompt alone."""

    def counts_more_than(self, asked_tokens: int) -> bool:
        """Returns whether the refusal names a prompt and a window far from what the request asked for in all."""
        most, window = [*sorted(self.numbers, reverse=True), 0, 0][:2]
        return window >= MIN_WINDOW and most > 2 * asked_tokens

    @property
    def longest_prompt(self) -> int | None:
        """The window of a refusal about the prompt: it names the prompt's tokens, and what the model takes."""
        largest = sorted((number for number in self.numbers if number >= MIN_WINDOW), reverse=True)[:2]
        return self.window_tokens or min(largest, default=None)


def read_refusal(reason: EndReason, words: str, asked_tokens: int) -> RoomRefusal | None:
    """Returns what a refusal says about the room; None if it is about something else.

    `reason` and `words`: the refusal by our name, and the vendor's sentence. `asked_tokens`: the limit that was sent.
    """
    if reason in _OF_OTHER_THINGS:
        return None
    words = words[:MAX_WORDS_CHARS]
    numbers = tuple(map(_value, _NUMBER.findall(words)))
    is_smaller = any(MIN_ROOM <= number < asked_tokens for number in numbers)
    says_too_large = bool(_TOO_LARGE.search(words))
    is_other = _OTHER_PARAMETER.search(words) and not (is_smaller and says_too_large)
    is_quoted = asked_tokens in numbers and reason is EndReason.UNEXPECTED and "token" in words
    names_output = (is_quoted or bool(_OUTPUT.search(words))) and not is_other
    is_of_window = reason is EndReason.CONTEXT_TOO_LONG
    if not is_of_window and not (names_output and (says_too_large or is_smaller)):
        return None
    named = (_value(match[1] or match[2]) for match in _WINDOW.finditer(words))
    # The sum that was asked for is no window.
    windows = (number for number in named if number >= MIN_WINDOW and number - asked_tokens not in numbers)
    window = min(windows, default=None)
    return RoomRefusal(numbers, window, names_output, is_of_window)


def _named(model: object, names: tuple[str, ...]) -> int | None:
    values = (getattr(model, name, None) for name in names)
    return next((value for value in values if isinstance(value, int) and value >= MIN_WINDOW), None)


def _value(number: str) -> int:
    """Returns a number that may have separators of thousands, or end with a k."""
    thousand = 1_000 if number[-1:] in "kK" else 1
    return int(re.sub(r"\D", "", number) or 0) * thousand
