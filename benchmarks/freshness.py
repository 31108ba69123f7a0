"""How fresh an answer was for its reader, from what the model said when and what Slack showed when. Pure."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_WORD = re.compile(r"\bw(\d+)\b")


@dataclass(frozen=True)
class Shown:
    """What one message showed from `at_s` on."""

    at_s: float
    message_ts: str
    words: tuple[int, ...]


@dataclass(frozen=True)
class Seen:
    """From `at_s` on the reader saw the first `words` words of the answer."""

    at_s: float
    words: int


@dataclass(frozen=True)
class Lags:
    """One answer's figures, in seconds; NaN where it never came so far."""

    placeholder_s: float
    """Question to the first message of the bot's."""
    first_word_s: float
    """The model's first word to the first word seen."""
    staleness_s: float
    """The mean age of the oldest word said and not seen, from the first word said to the last one seen."""
    final_s: float
    """The model's last word to the last change of what is shown."""
    whole: bool
    """In the end each word is shown once, in order."""


def words_in(text: str, blocks: Iterable[dict[str, Any]]) -> tuple[int, ...]:
    """The numbers of the words that a message shows: Slack shows `text` only where there are no blocks."""
    parts = [str(block.get("text", "")) for block in blocks] or [text]
    return tuple(int(number) for part in parts for number in _WORD.findall(part))


def seen(history: Sequence[Shown]) -> list[Seen]:
    """How far a reader could read at each change, over all messages of one answer, which are its pages."""
    pages: dict[str, tuple[int, ...]] = {}
    steps = []
    for shown in sorted(history, key=lambda each: each.at_s):
        pages[shown.message_ts] = shown.words
        steps.append(Seen(shown.at_s, _in_order(_all(pages))))
    return steps


def lags(asked_at_s: float, said_at_s: Sequence[float], history: Sequence[Shown]) -> Lags:
    """`said_at_s` has an entry for each word of the answer."""
    steps = seen(history)
    pages = {shown.message_ts: shown.words for shown in sorted(history, key=lambda each: each.at_s)}
    whole = bool(said_at_s) and _all(pages) == list(range(1, len(said_at_s) + 1))
    begun_s = next((step.at_s for step in steps if step.words), math.nan)
    first_s, last_s = (said_at_s[0], said_at_s[-1]) if said_at_s else (math.nan, math.nan)
    return Lags(
        placeholder_s=steps[0].at_s - asked_at_s if steps else math.nan,
        first_word_s=begun_s - first_s,
        staleness_s=staleness_s(said_at_s, steps),
        final_s=steps[-1].at_s - last_s if whole else math.nan,
        whole=whole,
    )


def staleness_s(said_at_s: Sequence[float], steps: Sequence[Seen]) -> float:
    """See Lags; NaN where the last word was never seen."""
    end_s = next((step.at_s for step in steps if step.words >= len(said_at_s)), math.nan)
    if not said_at_s or math.isnan(end_s):
        return math.nan
    area = 0.0
    before = Seen(said_at_s[0], 0)
    for step, after in pairwise([before, *(each for each in steps if said_at_s[0] < each.at_s <= end_s)]):
        oldest_s = said_at_s[min(step.words, len(said_at_s) - 1)]
        from_s, until_s = max(step.at_s, oldest_s), after.at_s
        if until_s > from_s:
            area += ((until_s - oldest_s) ** 2 - (from_s - oldest_s) ** 2) / 2
    return area / (end_s - said_at_s[0]) if end_s > said_at_s[0] else 0.0


def _all(pages: dict[str, tuple[int, ...]]) -> list[int]:
    return [number for ts in sorted(pages) for number in pages[ts]]


def _in_order(words: Sequence[int]) -> int:
    """How many of the first words are there without a gap."""
    for at, number in enumerate(words):
        if number != at + 1:
            return at
    return len(words)
