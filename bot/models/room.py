"""Determines how many output tokens a model's server will accept. Pure.

Servers compare a request's output limit with the model's maximum output, or with the model's window, which has to hold
both prompt and output. Typist chooses the output limit, so a refusal of it is never about the asker's text, unless the
prompt alone fills the window.

The window is taken from the refusal or, if the refusal doesn't state it, from the server's description of the model. If
the window is known, a quarter of it is kept for the answer, or as much as the settings request. A prompt that leaves
less is too long. If the window is unknown, the next request uses the largest number in the refusal that is below the
limit that was sent, and after that a quarter of that limit.
"""

import re
from dataclasses import dataclass, replace

import regex

from bot.errors import EndReason

MAX_TRIES = 2
"""Maximum number of retries with less room, such as 4,096 and then 1,024 instead of 16,384 tokens."""
MAX_WORDS_CHARS = 2_000
MIN_ROOM = 16
"""The smallest limit that all APIs accept."""
MIN_WINDOW = 256
SHORT_TOKENS = 1_000
"""Every model accepts conversations that are shorter than this."""
_WINDOW_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length", "max_input_tokens")
_OUTPUT_FIELDS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
"""Names of limits in model descriptions from vLLM, OpenRouter, Groq, Mistral and Anthropic."""
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
_TOO_LARGE_WORDS = re.compile(
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
_UNRELATED_REASONS = (
    EndReason.BAD_KEY,
    EndReason.OUT_OF_CREDIT,
    EndReason.UNKNOWN_MODEL,
    EndReason.REFUSED,
    # A limit of tokens per minute ends with the minute, and its numbers might be seconds.
    EndReason.RATE_LIMITED,
    EndReason.OVERLOADED,
)


@dataclass(frozen=True, slots=True)
class Room:
    output_tokens: int | None = None
    window_tokens: int | None = None
    """The maximum number of tokens for prompt and output together, or None if unknown."""

    def output_limit(self, wanted_tokens: int, prompt_tokens: int) -> int:
        limit = min(wanted_tokens, self.output_tokens or wanted_tokens)
        if self.window_tokens is not None:
            # The estimate might be too high, and less than a quarter isn't enough for an answer.
            limit = min(limit, max(self.window_tokens - prompt_tokens, self.window_tokens // 4))
        return max(limit, min(wanted_tokens, MIN_ROOM))

    def new_limit(self, refusal: "RoomRefusal", asked_tokens: int, prompt_tokens: int, *, is_first: bool) -> int | None:
        """Returns the output limit to send after a refusal, or None if the prompt leaves too little room for output."""
        window = self.window_tokens
        if window is not None and (refusal.is_about_window or prompt_tokens + asked_tokens > window):
            smaller = (self.output_limit(asked_tokens, prompt_tokens), window // 4)
            return next((limit for limit in smaller if limit < asked_tokens), None)
        quarter = asked_tokens // 4
        limit = max((number for number in refusal.numbers if MIN_ROOM <= number < asked_tokens), default=quarter)
        return limit if is_first else quarter if quarter >= MIN_ROOM else None

    def with_description(self, model: object) -> "Room":
        output, window = _first_limit(model, _OUTPUT_FIELDS), _first_limit(model, _WINDOW_FIELDS)
        return replace(self, output_tokens=self.output_tokens or output, window_tokens=self.window_tokens or window)


@dataclass(frozen=True, slots=True)
class RoomRefusal:
    numbers: tuple[int, ...]
    window_tokens: int | None
    mentions_output: bool
    """Whether the refusal mentions output, so the prompt isn't the only cause."""
    is_about_window: bool
    """Whether the prompt is too long, either by itself or together with the output."""

    def exceeds_request(self, asked_tokens: int) -> bool:
        """Returns whether the refusal states a prompt size and a window that are far larger than the request."""
        most, window = [*sorted(self.numbers, reverse=True), 0, 0][:2]
        return window >= MIN_WINDOW and most > 2 * asked_tokens

    @property
    def stated_window_tokens(self) -> int | None:
        """The window, if the refusal states both the prompt's tokens and the model's maximum, otherwise None."""
        largest = sorted((number for number in self.numbers if number >= MIN_WINDOW), reverse=True)[:2]
        return self.window_tokens or min(largest, default=None)


def parse_room_refusal(reason: EndReason, words: str, asked_tokens: int) -> RoomRefusal | None:
    """Parses a refusal's sentence (`words`). Returns None if the refusal isn't about the room."""
    if reason in _UNRELATED_REASONS:
        return None
    words = words[:MAX_WORDS_CHARS]
    numbers = tuple(map(_parse_number, _NUMBER.findall(words)))
    is_smaller = any(MIN_ROOM <= number < asked_tokens for number in numbers)
    says_too_large = bool(_TOO_LARGE_WORDS.search(words))
    is_other = _OTHER_PARAMETER.search(words) and not (is_smaller and says_too_large)
    is_quoted = asked_tokens in numbers and reason is EndReason.UNEXPECTED and "token" in words
    mentions_output = (is_quoted or bool(_OUTPUT.search(words))) and not is_other
    is_about_window = reason is EndReason.CONTEXT_TOO_LONG
    if not is_about_window and not (mentions_output and (says_too_large or is_smaller)):
        return None
    named = (_parse_number(match[1] or match[2]) for match in _WINDOW.finditer(words))
    # The sum of prompt and limit isn't a window.
    windows = (number for number in named if number >= MIN_WINDOW and number - asked_tokens not in numbers)
    window = min(windows, default=None)
    return RoomRefusal(numbers, window, mentions_output, is_about_window)


def _first_limit(model: object, names: tuple[str, ...]) -> int | None:
    values = (getattr(model, name, None) for name in names)
    return next((value for value in values if isinstance(value, int) and value >= MIN_WINDOW), None)


def _parse_number(number: str) -> int:
    thousand = 1_000 if number[-1:] in "kK" else 1
    return int(re.sub(r"\D", "", number) or 0) * thousand
