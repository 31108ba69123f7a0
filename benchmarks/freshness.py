"""Computes how fresh an answer was for its reader: when the model sent each word, and when Slack showed it. Pure."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_WORD = re.compile(r"\bw(\d+)\b")


@dataclass(frozen=True)
class Shown:
    """The words that one message showed from `at_s` on."""

    at_s: float
    message_ts: str
    words: tuple[int, ...]


@dataclass(frozen=True)
class Progress:
    """From `at_s` on, the reader could see the first `words` words of the answer."""

    at_s: float
    words: int


@dataclass(frozen=True)
class Lags:
    """The delays of one answer, in seconds; NaN if it never got that far."""

    placeholder_s: float
    """From the question to the bot's first message."""
    first_word_s: float
    """From the model's first word to the first visible word."""
    staleness_s: float
    """The mean age of the oldest word that was sent and isn't visible, from the first word to the last visible one."""
    final_s: float
    """From the model's last word to the last edit."""
    complete: bool
    """In the end, each word is shown once, in order."""


def words_in(text: str, blocks: Iterable[dict[str, Any]]) -> tuple[int, ...]:
    """Returns the numbers of the words that a message shows. Slack shows `text` only if there are no blocks."""
    parts = [str(block.get("text", "")) for block in blocks] or [text]
    return tuple(int(number) for part in parts for number in _WORD.findall(part))


def progress(history: Sequence[Shown]) -> list[Progress]:
    """Returns how far a reader could read after each edit, over all pages of one answer."""
    pages: dict[str, tuple[int, ...]] = {}
    steps = []
    for shown in sorted(history, key=lambda shown: shown.at_s):
        pages[shown.message_ts] = shown.words
        steps.append(Progress(shown.at_s, _in_order(_all(pages))))
    return steps


def lags(asked_at_s: float, sent_at_s: Sequence[float], history: Sequence[Shown]) -> Lags:
    """Returns the delays of one answer. `sent_at_s` has the time of each word."""
    steps = progress(history)
    pages = {shown.message_ts: shown.words for shown in sorted(history, key=lambda shown: shown.at_s)}
    complete = bool(sent_at_s) and _all(pages) == list(range(1, len(sent_at_s) + 1))
    first_shown_s = next((step.at_s for step in steps if step.words), math.nan)
    first_s, last_s = (sent_at_s[0], sent_at_s[-1]) if sent_at_s else (math.nan, math.nan)
    return Lags(
        placeholder_s=steps[0].at_s - asked_at_s if steps else math.nan,
        first_word_s=first_shown_s - first_s,
        staleness_s=staleness_s(sent_at_s, steps),
        final_s=steps[-1].at_s - last_s if complete else math.nan,
        complete=complete,
    )


def staleness_s(sent_at_s: Sequence[float], steps: Sequence[Progress]) -> float:
    """Returns the mean staleness as Lags has it; NaN if the last word never became visible."""
    end_s = next((step.at_s for step in steps if step.words >= len(sent_at_s)), math.nan)
    if not sent_at_s or math.isnan(end_s):
        return math.nan
    area = 0.0
    before = Progress(sent_at_s[0], 0)
    for step, after in pairwise([before, *(step for step in steps if sent_at_s[0] < step.at_s <= end_s)]):
        oldest_s = sent_at_s[min(step.words, len(sent_at_s) - 1)]
        from_s, until_s = max(step.at_s, oldest_s), after.at_s
        if until_s > from_s:
            area += ((until_s - oldest_s) ** 2 - (from_s - oldest_s) ** 2) / 2
    return area / (end_s - sent_at_s[0]) if end_s > sent_at_s[0] else 0.0


def _all(pages: dict[str, tuple[int, ...]]) -> list[int]:
    return [number for ts in sorted(pages) for number in pages[ts]]


def _in_order(words: Sequence[int]) -> int:
    """Returns how many of the first words are present without a gap."""
    for at, number in enumerate(words):
        if number != at + 1:
            return at
    return len(words)
