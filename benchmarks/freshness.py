"""Computes how fresh an answer was for its reader: when the model sent each word, and when Slack showed it. Pure."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_WORD = re.compile(r"\bw(\d+)\b")


@dataclass(frozen=True)
class ShownWords:
    """The words that one message showed from `at_s` on. None: it was deleted."""

    at_s: float
    message_ts: str
    words: tuple[int, ...] | None


@dataclass(frozen=True)
class ShownStop:
    """From `at_s` on, a question's thread showed a way to stop the answer, or none."""

    at_s: float
    is_there: bool


@dataclass(frozen=True)
class Progress:
    """From `at_s` on, the reader could see the first `words` words of the answer."""

    at_s: float
    words: int


@dataclass(frozen=True)
class Lags:
    """The delays of one answer, in seconds; NaN if it never got that far."""

    placeholder_s: float
    """From the question to the bot's first message, or to its status in the thread."""
    first_word_s: float
    """From the model's first word to the first visible word."""
    staleness_s: float
    """The mean age of the oldest word that was sent and isn't visible, from the first word to the last visible one."""
    final_s: float
    """From the model's last word to the last change of a message. Deletions of replaced messages may follow."""
    doubled_s: float
    """For how long after that a replaced message stood above the answer."""
    complete: bool
    """In the end, each word is shown once, in order."""
    unstoppable_s: float = 0.0
    """For how long the reader saw the answer grow, and nothing that said how to stop it."""


def words_in(text: str, blocks: Iterable[dict[str, Any]]) -> tuple[int, ...]:
    """Returns the numbers of the words that a message shows. Slack shows `text` only if there are no blocks."""
    parts = [str(block.get("text", "")) for block in blocks] or [text]
    return tuple(int(number) for part in parts for number in _WORD.findall(part))


def progress(history: Sequence[ShownWords]) -> list[Progress]:
    """Returns how far a reader could read after each change, over all messages of one answer.

    A message that replaces another one repeats its words until that is deleted. The reader has them all the same.
    """
    pages: dict[str, tuple[int, ...]] = {}
    steps = []
    for shown in sorted(history, key=lambda shown: shown.at_s):
        _apply(pages, shown)
        steps.append(Progress(shown.at_s, _without_a_gap(pages)))
    return steps


def is_complete(history: Iterable[ShownWords], words: int) -> bool:
    """Returns whether the messages show so many words in the end, each once and in order."""
    pages: dict[str, tuple[int, ...]] = {}
    for shown in sorted(history, key=lambda shown: shown.at_s):
        _apply(pages, shown)
    return words > 0 and [number for ts in sorted(pages) for number in pages[ts]] == list(range(1, words + 1))


def lags(
    asked_at_s: float,
    sent_at_s: Sequence[float],
    history: Sequence[ShownWords],
    sign_at_s: float = math.inf,
    stops: Sequence[ShownStop] = (),
) -> Lags:
    """Returns the delays of one answer.

    `sent_at_s` has the time of each word, `sign_at_s` that of the first status or session. `stops`: in order.
    """
    steps = progress(history)
    complete = is_complete(history, len(sent_at_s))
    first_shown_s = next((step.at_s for step in steps if step.words), math.nan)
    first_s, last_s = (sent_at_s[0], sent_at_s[-1]) if sent_at_s else (math.nan, math.nan)
    written_s = max((shown.at_s for shown in history if shown.words is not None), default=math.nan)
    return Lags(
        placeholder_s=min(steps[0].at_s, sign_at_s) - asked_at_s if steps else math.nan,
        first_word_s=first_shown_s - first_s,
        staleness_s=staleness_s(sent_at_s, steps),
        final_s=written_s - last_s if complete else math.nan,
        doubled_s=max(0.0, steps[-1].at_s - written_s) if complete else math.nan,
        complete=complete,
        unstoppable_s=unstoppable_s(steps, len(sent_at_s), stops),
    )


def unstoppable_s(steps: Sequence[Progress], words: int, stops: Sequence[ShownStop]) -> float:
    """Returns how long an answer of so many words was growing, from its first to its last one, without a stop."""
    from_s = next((step.at_s for step in steps if step.words), math.nan)
    until_s = next((step.at_s for step in steps if step.words >= words), math.nan)
    if math.isnan(from_s) or math.isnan(until_s):
        return math.nan
    shown = [ShownStop(-math.inf, is_there=False), *stops, ShownStop(math.inf, is_there=True)]
    spans = ((max(stop.at_s, from_s), min(after.at_s, until_s)) for stop, after in pairwise(shown) if not stop.is_there)
    return sum(end_s - begin_s for begin_s, end_s in spans if end_s > begin_s)


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


def _apply(pages: dict[str, tuple[int, ...]], shown: ShownWords) -> None:
    if shown.words is None:
        pages.pop(shown.message_ts, None)
    else:
        pages[shown.message_ts] = shown.words


def _without_a_gap(pages: dict[str, tuple[int, ...]]) -> int:
    """Returns how many of the answer's first words are there."""
    present = set[int]().union(*pages.values())
    return next(number for number in range(len(present) + 1) if number + 1 not in present)
