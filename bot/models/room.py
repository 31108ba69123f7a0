"""How many output tokens a model's server takes, learned from its refusals. Pure.

A request has a limit for its output, which servers compare with limits of their own: the most output of a model, or its
window, which holds prompt and output together. Each says so in words of its own. The limit is ours, so such a refusal
is never about the reader's text, unless the prompt alone exceeds the window.

The numbers in a refusal tell them apart. The one that we asked for is known; a number that exceeds it by another one
is the sum, and the other one is the prompt. A number behind words such as "context length" is the window. What is left
below the one that we asked for is the most output. Where no number helps, half as much is asked for.
"""

import re
from collections import Counter
from dataclasses import dataclass, replace

from bot.errors import EndReason

MAX_TRIES = 6
"""How often a request is sent again with less room: from 8,192 tokens down to 128."""
MAX_WORDS_CHARS = 2_000
MIN_ROOM = 16
"""The smallest limit that all APIs take."""
MIN_LEFT_TOKENS = 64
"""A prompt that leaves less of the window is too long."""

_NUMBER = re.compile(
    r"(?:(?<![\w.\-])|(?<=[ (\[:][01][-–~]))"
    r"(?:\d{1,3}(?:[,_'\u00a0\u202f.]\d{3})+|\d{1,9})(?:[kK](?=\W|$)|(?![\w-]|\.\d))"
)
_LIMIT = (
    r"max_?(?:(?:output|completion|new|gen\w{0,8}|response)_?)?(?:tokens?(?:_?count)?|len(?:gth)?)"
    r"|max(?:imum)? (?:(?:output|completion|new) )?tokens|max(?:imum)? (?:output|completion)"
    r"|n(?:um)?_predict|tokens_to_generate"
)
_OUTPUT = re.compile(
    rf"{_LIMIT}|(?:output|completion|generated|new|requested)[ _]tokens"
    r"|tokens (?:to generate|(?:for|in) the completion)|generation (?:length|limit)"
    r"|(?:produce|generate)s? (?:no more than|more than|at most|up to|only)"
    r"|token limit|in the (?:completion|output)|of the completion|or completion",
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
_WINDOW = re.compile(
    r"(?:(?:context|sequence)[\w '’`-]{0,12}(?:length|window|size|limit|len)\b(?! by)"
    r"|max_(?:model_len|total_tokens|seq\w{0,24}|context\w{0,24}))"
    r"(?:=max_\w+)?[^\d+]{0,24}?(?P<behind>\d(?:[\d,_.]{0,14}\d)?[kK]?)(?!\s*\+)"
    r"|(?:model token limit|while (?:the )?limit is)\W{0,3}(?P<limit>\d+)"
    r"|(?<!\d)(?P<before>\d(?:[\d,_.]{0,14}\d)?[kK]?)(?:[- ]tokens?)?(?: maximum)?"
    r" (?:context|sequence) (?:length|window|size)",
    re.IGNORECASE,
)
_PROMPT = re.compile(
    r"(?<!\d)(?P<before>\d++)(?:[ `'\"(]{1,3}(?:tokens?|of|in|from|the|your|text|tools?|images?|system)\b){0,5}"
    r"[ `'\"(]{1,3}(?:messages|prompt|inputs?)\b"
    r"|(?:prompt|input|messages)(?:\W{1,3}(?:tokens?|has|have|contains?|is|are|at|least|resulted|in|about|length)){1,5}"
    r"\W{1,3}(?P<behind>\d+)",
    re.IGNORECASE,
)
_SUM = re.compile(r"(?<!\d)(\d++)\)? ?\+ ?(?:[\w ]{1,30}\()?(\d+)\)? ?(?:>|exceeds?)\D{1,30}(\d+)")
_BOUND = re.compile(
    r"(?:max(?:imum)?|limit|at most|less than|up to)(?: (?:size|length|is|of)){0,3}\W{1,4}(\d{3,9})", re.IGNORECASE
)
"""The most that a refusal allows, without saying of what."""
_NAMES_PROMPT = re.compile(r"prompt|input|messages|request too large|payload|body", re.IGNORECASE)
_TOTAL = re.compile(r"requested|total|current length|sum", re.IGNORECASE)
_EXCLUSIVE = re.compile(r"(?:less|lower|smaller|fewer) than\W{1,3}\d|exclusive", re.IGNORECASE)
_LASTING = (EndReason.BAD_KEY, EndReason.OUT_OF_CREDIT, EndReason.UNKNOWN_MODEL, EndReason.REFUSED)


@dataclass(frozen=True, slots=True)
class Room:
    """What a model's server takes, as far as its refusals have told. Tokens of the prompt are estimates of ours."""

    output_tokens: int | None = None
    """The most output tokens; None: not known."""
    window_tokens: int | None = None
    """For prompt and output together; None: not known."""
    uncounted_tokens: int = 0
    """How many more tokens the server counted than we had estimated; negative where it counted fewer."""

    def for_output(self, wanted_tokens: int, prompt_tokens: int) -> int:
        """Returns the limit to send; `prompt_tokens` is the estimate for the prompt."""
        limit = min(wanted_tokens, self.output_tokens or wanted_tokens)
        if self.window_tokens is not None:
            left = self.window_tokens - max(0, prompt_tokens + self.uncounted_tokens)
            # An estimate that no count has corrected may be too high. The server has the last word.
            least = MIN_LEFT_TOKENS if self.uncounted_tokens else self.window_tokens // 8
            limit = min(limit, max(left, least))
        return max(limit, min(wanted_tokens, MIN_ROOM))


@dataclass(frozen=True, slots=True)
class RoomRefusal:
    """What a refusal says about the room."""

    room: Room
    """What is known with it."""
    output_tokens: int | None = None
    """The limit to send next; None: the prompt is too long."""


def read_refusal(
    reason: EndReason, words: str, asked_tokens: int, prompt_tokens: int, room: Room
) -> RoomRefusal | None:
    """Returns what a refusal says about the room; None if it is about something else.

    `reason` and `words`: the refusal by our name, and the vendor's sentence. `asked_tokens`: the limit that was sent.
    """
    if reason in _LASTING:
        return None
    words = words[:MAX_WORDS_CHARS]
    numbers = Counter(map(_value, _NUMBER.findall(words)))
    smaller = [number for number in numbers if MIN_ROOM <= number < asked_tokens]
    says_too_large = bool(_TOO_LARGE.search(words))
    is_other = _OTHER_PARAMETER.search(words) and not (smaller and says_too_large)
    is_quoted = asked_tokens in numbers and reason is EndReason.UNEXPECTED and "token" in words
    is_named = (is_quoted or bool(_OUTPUT.search(words))) and not is_other
    if reason is not EndReason.CONTEXT_TOO_LONG and not (is_named and (says_too_large or smaller)):
        return None
    window, prompt = _window_and_prompt(words, numbers, asked_tokens, is_named=is_named)
    if window is not None:
        counted = prompt_tokens if prompt is None else prompt
        # Of a refusal that names neither, a prompt that surely fits is not the reason.
        is_ours = prompt is not None or is_named or prompt_tokens < window // 2
        if not is_ours or counted > window - MIN_LEFT_TOKENS:
            return RoomRefusal(replace(room, window_tokens=window))
        learned = replace(room, window_tokens=window, uncounted_tokens=counted - prompt_tokens)
        return _less(learned, window - counted, asked_tokens)
    if is_named:
        limit = max(smaller, default=None)
        if limit is not None and _EXCLUSIVE.search(words):
            limit -= 1
        return _less(replace(room, output_tokens=limit), limit, asked_tokens)
    if _NAMES_PROMPT.search(words):
        # The prompt's tokens, and the most that the model takes.
        largest = sorted((number for number in numbers if number >= 256), reverse=True)[:2]
        said = _BOUND.search(words)
        bound = largest[1] if len(largest) == 2 else int(said[1]) if said else None
        return RoomRefusal(replace(room, window_tokens=bound or room.window_tokens))
    return _less(room, None, asked_tokens)


def _less(learned: Room, limit_tokens: int | None, asked_tokens: int) -> RoomRefusal | None:
    """Returns that less output is wanted: so much, or half where that isn't known or would be no less."""
    if limit_tokens is not None and limit_tokens < asked_tokens:
        return RoomRefusal(learned, limit_tokens)
    half = asked_tokens // 2
    return RoomRefusal(replace(learned, output_tokens=half), half) if half >= MIN_ROOM else None


def _window_and_prompt(
    words: str, numbers: Counter[int], asked_tokens: int, *, is_named: bool
) -> tuple[int | None, int | None]:
    """Returns the window and the prompt's tokens that a refusal names; None for what it doesn't."""
    plain = re.sub(r"(?<=\d)[,_](?=\d{3}\b)", "", words)
    if summed := _SUM.search(plain):
        first, second, most = map(int, summed.groups())
        return most, first if second == asked_tokens else second
    sums = {number for number in numbers if number - asked_tokens in numbers}
    found = [_value(match["behind"] or match["limit"] or match["before"]) for match in _WINDOW.finditer(plain)]
    window = next((number for number in found if number not in sums), None)
    named = [_value(match["before"] or match["behind"]) for match in _PROMPT.finditer(plain)]
    named = [number for number in named if number != window and number not in sums]
    # Some name the tokens of texts and of tools' definitions apart.
    is_divided = sum(named) + asked_tokens in numbers
    prompt = sum(named) if named and is_divided else next(iter(named), None)
    totals = [number for number in numbers if number > asked_tokens and number != window]
    if prompt is None:
        prompt = next((total - asked_tokens for total in totals if total - asked_tokens in numbers), None)
    if prompt is None and totals and (is_named or window is not None) and _TOTAL.search(words):
        prompt = max(totals) - asked_tokens
    if prompt is None and window is not None and not is_named:
        prompt = max((number for number in numbers if number > window and number != asked_tokens), default=None)
    if window is None and prompt is not None and is_named:
        seen = numbers - Counter([asked_tokens, prompt, prompt + asked_tokens])
        window = max((number for number in seen if number > prompt), default=None)
    return window, prompt


def _value(number: str) -> int:
    """Returns a number that may have separators of thousands, or end with a k."""
    thousand = 1_000 if number[-1:] in "kK" else 1
    return int(re.sub(r"\D", "", number) or 0) * thousand
