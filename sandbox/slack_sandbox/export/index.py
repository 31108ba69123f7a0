"""Where each message of an export is, and which words it has.

Each day of each channel is parsed once when the export is opened, and nothing of it is kept but numbers: of a message
its ts, its file, its place there and its thread's root, 24 bytes in all, and of a word the numbers of its messages. A
channel's messages are read again when somebody looks at it. So two million messages take a fraction of a gigabyte.
"""

import math
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from slack_sandbox.export.archive import Archive
from slack_sandbox.export.entries import (
    MAX_TEXT_CHARS,
    is_searched,
    is_shown,
    spoken,
    ts_of,
    writer_of,
)
from slack_sandbox.text.words import words_of

NO_FILE = 2**31 - 1
"""The file of a root that the export doesn't have."""
_BROADCASTS = frozenset({"thread_broadcast", "reply_broadcast"})
_MAX_MESSAGES = 2**31
_MAX_UNKNOWN = 100_000
MAX_CANDIDATES = 8_000
"""The most messages that one search looks at, rare words first."""
_MAX_FORMS = 40
"""The most forms of a word that a search looks for."""
_MIN_STEM_CHARS = 4
_FORM_CHARS = 3
"""How much longer or shorter another form of a word may be."""
_OTHER_FORM = 0.5
"""What another form of a word counts, compared to the word itself."""


@dataclass(slots=True)
class Writer:
    """Somebody who wrote and isn't in the list of people, as far as their messages say who they are."""

    name: str = ""
    is_bot: bool = False
    team_id: str = ""


@dataclass(slots=True)
class ChannelIndex:
    """The messages of one channel, by ts."""

    ts: "array[int]" = field(default_factory=lambda: array("Q"))
    """In microseconds, in order."""
    files: "array[int]" = field(default_factory=lambda: array("I"))
    """Twice the number of the file among the channel's, and 1 more for a reply that stands in the channel, too."""
    places: "array[int]" = field(default_factory=lambda: array("I"))
    roots: "array[int]" = field(default_factory=lambda: array("Q"))
    """The ts of the thread's root, 0 for roots."""

    def __len__(self) -> int:
        return len(self.ts)

    def find(self, ts_us: int) -> int | None:
        """Returns a message's position, None if there is none with this ts."""
        at = bisect_left(self.ts, ts_us)
        return at if at < len(self.ts) and self.ts[at] == ts_us else None

    def is_in_channel(self, at: int) -> bool:
        """Returns whether a message stands in the channel itself: a root, or a reply that was sent there, too."""
        return not self.roots[at] or bool(self.files[at] & 1)


@dataclass(slots=True)
class Batch:
    """Some channels that were read together."""

    channels: list[ChannelIndex] = field(default_factory=list)
    words: dict[str, "array[int]"] = field(default_factory=lambda: defaultdict(lambda: array("I")))
    """The messages that have a word, by their number among the batch's."""
    counts: Counter[str] = field(default_factory=Counter)
    """What was read and what was left out."""
    writers: Counter[str] = field(default_factory=Counter)
    """How many messages each person or bot wrote."""
    unknown: dict[str, Writer] = field(default_factory=dict)
    threads: list[tuple[int, int, int]] = field(default_factory=list)
    """Of each channel its longest thread: the number of replies, the channel's number in the batch, the root's ts."""
    with_files: Counter[int] = field(default_factory=Counter)
    """How many files each channel has, by its number in the batch."""
    last_us: int = 0


class _Found(NamedTuple):
    """An entry that is kept."""

    ts: int
    file: int
    place: int
    root: int
    words: AbstractSet[str]


def read_batch(archive: Archive, channels: Sequence[Sequence[str]], known: AbstractSet[str]) -> Batch:
    """Reads channels, each by the names of its files. `known`: the ids of people and bots in the list of people."""
    batch, number = Batch(), 0
    for files in channels:
        index = _read_channel(archive, files, known, batch, number)
        batch.channels.append(index)
        number += len(index)
    batch.words = dict(batch.words)
    return batch


def _read_channel(
    archive: Archive, files: Sequence[str], known: AbstractSet[str], batch: Batch, number: int
) -> ChannelIndex:
    found = _in_order(list(_found(archive, files, known, batch)), batch.counts)
    index, replies = ChannelIndex(), Counter[int]()
    for at, one in enumerate(found, number):
        index.ts.append(one.ts)
        index.files.append(one.file)
        index.places.append(one.place)
        index.roots.append(one.root)
        if one.root:
            replies[one.root] += 1
        for word in one.words:
            batch.words[word].append(at)
    longest = replies.most_common(1)
    batch.threads.append((longest[0][1], len(batch.channels), longest[0][0]) if longest else (0, 0, 0))
    batch.last_us = max(batch.last_us, index.ts[-1] if index else 0)
    return index


def _found(archive: Archive, files: Sequence[str], known: AbstractSet[str], batch: Batch) -> Iterator[_Found]:
    counts = batch.counts
    for number, name in enumerate(files):
        entries = archive.objects(name)
        if entries is None:
            counts["unreadable"] += 1
            continue
        for place, entry in enumerate(entries):
            ts = ts_of(entry)
            if not is_shown(entry):
                counts["hidden"] += 1
            elif not ts:
                counts["without_time"] += 1
            else:
                writer = writer_of(entry)
                batch.writers[writer] += 1
                if writer not in known:
                    _note_writer(batch.unknown, writer, entry)
                _note_contents(batch, entry)
                thread = ts_of(entry, "thread_ts")
                is_broadcast = thread and entry.get("subtype") in _BROADCASTS
                words = frozenset(_words(entry)) if is_searched(entry) else frozenset()
                yield _Found(ts, 2 * number + bool(is_broadcast), place, 0 if thread == ts else thread, words)


def _words(entry: Mapping[str, Any]) -> Sequence[str]:
    text = entry.get("text")
    # What a person typed stands in `text` whole.
    if text and "client_msg_id" in entry and not (entry.get("attachments") or entry.get("files")):
        return words_of(text) if isinstance(text, str) else ()
    return words_of(spoken(entry))


def _note_contents(batch: Batch, entry: Mapping[str, Any]) -> None:
    files, text = entry.get("files"), entry.get("text")
    if files and isinstance(files, list):
        batch.counts["files"] += len(files)
        batch.with_files[len(batch.channels)] += len(files)
    if isinstance(text, str) and len(text) > MAX_TEXT_CHARS:
        batch.counts["cut"] += 1


def _note_writer(unknown: dict[str, Writer], writer: str, entry: Mapping[str, Any]) -> None:
    if writer not in unknown and len(unknown) >= _MAX_UNKNOWN:
        return
    noted = unknown.setdefault(writer, Writer())
    if noted.name:
        return
    for key in ("user_profile", "bot_profile"):
        profile = entry.get(key)
        if isinstance(profile, dict):
            names = (profile.get(name) for name in ("display_name", "real_name", "name"))
            noted.name = next((name[:80] for name in names if isinstance(name, str) and name), noted.name)
            noted.is_bot |= key == "bot_profile"
    username, team = entry.get("username"), entry.get("user_team") or entry.get("team")
    noted.name = noted.name or (username[:80] if isinstance(username, str) else "")
    noted.is_bot |= bool(entry.get("bot_id"))
    noted.team_id = team[:40] if isinstance(team, str) else noted.team_id


def _in_order(found: list[_Found], counts: Counter[str]) -> list[_Found]:
    """Returns the entries by ts, each ts once, with a place for each root that is missing."""
    by_ts: dict[int, _Found] = {}
    for one in found:
        by_ts.setdefault(one.ts, one)
    counts["twice"] += len(found) - len(by_ts)
    counts["messages"] += len(by_ts)
    missing = {one.root for one in found if one.root and one.root not in by_ts}
    counts["missing_roots"] += len(missing)
    rooted = [_with_root(one, by_ts, counts) for one in by_ts.values()]
    rooted += [_Found(ts, 2 * NO_FILE, 0, 0, frozenset()) for ts in missing]
    return sorted(rooted, key=lambda one: one.ts)


def _with_root(one: _Found, by_ts: Mapping[int, _Found], counts: Counter[str]) -> _Found:
    """Returns an entry whose root is one: a reply to a reply belongs to its thread, and a circle has none."""
    above = by_ts.get(one.root)
    if above is None or not above.root:
        return one
    counts["rerooted"] += 1
    further = by_ts.get(above.root)
    root = above.root if further is None or not further.root else 0
    return _Found(one.ts, one.file, one.place, root if root != one.ts else 0, one.words)


class WordIndex:
    """Which messages have a word, over all channels."""

    def __init__(self) -> None:
        self.count = 0
        self.starts: list[int] = []
        """The number of each channel's first message."""
        self._numbers: dict[str, array[int]] = {}
        self._vocabulary: list[str] = []

    def add(self, batch: Batch) -> None:
        """Adds the words of channels, which follow those that were added before."""
        base = self.count
        for index in batch.channels:
            self.starts.append(self.count)
            self.count += len(index)
        for word, numbers in batch.words.items():
            moved = array("I", map(base.__add__, numbers)) if base else numbers
            if (known := self._numbers.get(word)) is None:
                self._numbers[word] = moved
            else:
                known.extend(moved)
        batch.words = {}
        self._vocabulary = []

    def forms(self, word: str) -> Sequence[tuple[str, float]]:
        """Returns a word and its other forms with their weights: those that begin alike, and are about as long."""
        if not self._vocabulary:
            self._vocabulary = sorted(self._numbers)
        forms = {word: 1.0} if word in self._numbers else {}
        stem = stem_of(word)
        if not stem:
            return list(forms.items())
        at = bisect_left(self._vocabulary, stem)
        for other in islice(self._vocabulary, at, at + 10 * _MAX_FORMS):
            if not other.startswith(stem) or len(forms) == _MAX_FORMS:
                break
            if is_form_of(other, word):
                forms.setdefault(other, _OTHER_FORM)
        return list(forms.items())

    def scores(self, words: Sequence[str], is_wanted: Callable[[int], bool]) -> dict[int, float]:
        """Returns the messages that have some of the words, with scores: more words, and rarer ones, score higher."""
        terms = sorted((self._df(forms), forms) for word in dict.fromkeys(words) if (forms := self.forms(word)))
        scores: dict[int, float] = {}
        for df, forms in terms:
            rarity = math.log(1 + self.count / df)
            gained: dict[int, float] = {}
            for word, weight in forms:
                numbers = self._numbers[word]
                if len(scores) < MAX_CANDIDATES:
                    # The newest of a channel stand last.
                    having: Sequence[int] = numbers[-MAX_CANDIDATES:]
                else:
                    having = [number for number in scores if _has(numbers, number)]
                for number in having:
                    gained[number] = max(gained.get(number, 0.0), weight)
            for number, weight in gained.items():
                if number in scores or is_wanted(number):
                    scores[number] = scores.get(number, 0.0) + weight * rarity
        return scores

    def score_of(self, text: str, words: Sequence[str]) -> float:
        """Returns the score of a message that isn't in the index."""
        having = set(words_of(text))
        total = 0.0
        for word in dict.fromkeys(words):
            weight = 1.0 if word in having else _OTHER_FORM if any(is_form_of(other, word) for other in having) else 0.0
            df = self._df(self.forms(word)) if weight else 1
            total += weight * math.log(1 + max(1, self.count) / max(1, df))
        return total

    def _df(self, forms: Sequence[tuple[str, float]]) -> int:
        return sum(len(self._numbers[word]) for word, _ in forms)


def stem_of(word: str) -> str:
    """Returns what all forms of a word begin with; "" for one that is too short, or a number."""
    if len(word) < _MIN_STEM_CHARS or any(character.isdigit() for character in word):
        return ""
    return word[: max(_MIN_STEM_CHARS, len(word) - _FORM_CHARS)]


def is_form_of(other: str, word: str) -> bool:
    """Returns whether two words begin alike and are about as long."""
    stem = stem_of(word)
    return bool(stem) and other.startswith(stem) and abs(len(other) - len(word)) <= _FORM_CHARS


def _has(numbers: "array[int]", number: int) -> bool:
    at = bisect_left(numbers, number)
    return at < len(numbers) and numbers[at] == number
