"""Finds the messages of an export that contain a word, and scores how well they match a query. No I/O.

The words of several channels form one part of the index. A process builds the part and returns it as a few arrays. Two
million messages have 25 million words, so a Python object for each of them, or for each distinct word, would need
gigabytes.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

from slack_sandbox.text.words import words_of

MAX_CANDIDATES = 8_000
"""The maximum number of messages that one search examines, rare words first."""
_MAX_FORMS = 40
_MAX_ALIKE = 400
"""The maximum number of words with the same beginning that are examined as possible forms of a word."""
_MAX_TERMS = 100
"""The maximum number of query words whose positions are cached."""
_FEW = 16
"""A linear scan of this many numbers takes as long as one binary search."""
_MIN_STEM_CHARS = 4
_FORM_CHARS = 3
"""The maximum difference in length between forms of a word."""
_OTHER_FORM = 0.5
"""The weight of another form of a word, relative to the word itself."""


class Part:
    """The words of several messages. Messages are numbered within the part."""

    def __init__(self, words: Mapping[str, "array[int]"]) -> None:
        known = sorted(words)
        encoded = [word.encode() for word in known]
        numbers = [words[word] for word in known]
        self._words = b"".join(encoded)
        self._word_ends = array("I", accumulate(map(len, encoded)))
        self._numbers = array("I", b"".join(numbers))
        self._number_ends = array("I", accumulate(map(len, numbers)))

    def _word_at(self, at: int) -> bytes:
        return self._words[self._word_ends[at - 1] if at else 0 : self._word_ends[at]]

    def _first_from(self, word: str) -> int:
        every = range(len(self._word_ends))
        return bisect_left(every, word.encode(), key=self._word_at)

    def find(self, word: str) -> int | None:
        at = self._first_from(word)
        return at if at < len(self._word_ends) and self._word_at(at) == word.encode() else None

    def words_with_stem(self, stem: str) -> Iterator[tuple[str, int]]:
        """Yields the words that begin with a stem, in order, and their positions."""
        wanted = stem.encode()
        for at in range(self._first_from(stem), len(self._word_ends)):
            word = self._word_at(at)
            if not word.startswith(wanted):
                return
            yield word.decode(), at

    def count(self, at: int) -> int:
        return self._number_ends[at] - (self._number_ends[at - 1] if at else 0)

    def numbers(self, at: int) -> "array[int]":
        return self._numbers[self._number_ends[at - 1] if at else 0 : self._number_ends[at]]


_Places = list[tuple[int, Part, int]]
"""A word's positions, last part first. Each has the number of the part's first message, the part, and the position in
the part."""


@dataclass(frozen=True, slots=True)
class _Term:
    df: int
    forms: Sequence[tuple[str, float, _Places]]
    """The word and its other forms that occur, each with its weight."""


class WordIndex:
    def __init__(self) -> None:
        self.count = 0
        self.starts: list[int] = []
        """The number of each channel's first message."""
        self._parts: list[tuple[int, Part]] = []
        """Each part, with the number of its first message."""
        self._terms: dict[str, _Term] = {}

    def add(self, sizes: Iterable[int], part: Part) -> None:
        """Adds the words of more channels. `sizes`: the number of messages in each channel."""
        self._parts.append((self.count, part))
        self._terms = {}
        for size in sizes:
            self.starts.append(self.count)
            self.count += size

    def scores(self, words: Sequence[str], is_wanted: Callable[[int], bool]) -> dict[int, float]:
        """Returns the messages that contain any of the words, with scores. Messages with more or rarer words score
        higher."""
        terms = [term for word in dict.fromkeys(words) if (term := self._term(word)).df]
        terms.sort(key=lambda term: (term.df, [form for form, *_ in term.forms]))
        scores: dict[int, float] = {}
        for term in terms:
            rarity = self._rarity(term.df)
            gained: dict[int, float] = {}
            candidates = sorted(scores) if len(scores) >= MAX_CANDIDATES else None
            for _, weight, places in term.forms:
                having = _newest_messages(places) if candidates is None else _candidates_with_word(places, candidates)
                for number in having:
                    gained[number] = max(gained.get(number, 0.0), weight)
            for number, weight in gained.items():
                if number in scores or is_wanted(number):
                    scores[number] = scores.get(number, 0.0) + weight * rarity
        return scores

    def score_of(self, text: str, words: Sequence[str]) -> float:
        having = set(words_of(text))
        total = 0.0
        for word in dict.fromkeys(words):
            weight = 1.0 if word in having else _OTHER_FORM if any(is_form_of(other, word) for other in having) else 0.0
            total += weight * self._rarity(self._term(word).df) if weight else 0.0
        return total

    def _rarity(self, df: int) -> float:
        return math.log(1 + max(1, self.count) / max(1, df))

    def _term(self, word: str) -> "_Term":
        if word not in self._terms:
            if len(self._terms) >= _MAX_TERMS:
                self._terms = {}
            forms = self._forms(word)
            df = sum(part.count(at) for _, _, places in forms for _, part, at in places)
            self._terms[word] = _Term(df, forms)
        return self._terms[word]

    def _forms(self, word: str) -> list[tuple[str, float, _Places]]:
        """Returns a word and its other forms: words with the same beginning and a similar length."""
        stem, own, alike = stem_of(word), _Places(), dict[str, _Places]()
        for base, part in reversed(self._parts):
            if (found := part.find(word)) is not None:
                own.append((base, part, found))
            for other, at in islice(part.words_with_stem(stem) if stem else (), _MAX_ALIKE):
                alike.setdefault(other, []).append((base, part, at))
        others = (other for other in sorted(alike)[:_MAX_ALIKE] if other != word and is_form_of(other, word))
        forms = [(other, _OTHER_FORM, alike[other]) for other in islice(others, _MAX_FORMS - 1)]
        return [(word, 1.0, own), *forms] if own else forms


def _newest_messages(places: _Places) -> Iterator[int]:
    """Yields up to `MAX_CANDIDATES` messages that contain a word. A channel's newest messages come last."""
    left = MAX_CANDIDATES
    for base, part, at in places:
        taken = part.numbers(at)[-left:]
        yield from map(base.__add__, taken)
        left -= len(taken)
        if not left:
            return


def _candidates_with_word(places: _Places, candidates: Sequence[int]) -> Iterator[int]:
    """Yields the candidates that contain a word. The candidates must be in order."""
    for base, part, at in places:
        numbers = part.numbers(at)
        low = bisect_left(candidates, base + numbers[0])
        within = candidates[low : bisect_right(candidates, base + numbers[-1])]
        if len(numbers) < _FEW * len(within):
            yield from set(within).intersection(map(base.__add__, numbers))
        else:
            yield from (number for number in within if _contains(numbers, number - base))


def stem_of(word: str) -> str:
    """Returns the common beginning of all forms of a word, or "" for a short word or a number."""
    if len(word) < _MIN_STEM_CHARS or any(character.isdigit() for character in word):
        return ""
    return word[: max(_MIN_STEM_CHARS, len(word) - _FORM_CHARS)]


def is_form_of(other: str, word: str) -> bool:
    stem = stem_of(word)
    return bool(stem) and other.startswith(stem) and abs(len(other) - len(word)) <= _FORM_CHARS


def _contains(numbers: "array[int]", number: int) -> bool:
    at = bisect_left(numbers, number)
    return at < len(numbers) and numbers[at] == number
