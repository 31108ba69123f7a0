"""Indexes the location and the words of each message in an export.

Each channel's days are parsed once, when the export is opened, and only numbers are kept. For a message, these are its
ts, file, position and thread root (24 bytes in total). For a word, these are the numbers of the messages that contain
it. A channel's messages are read again when somebody opens it. So two million messages need a fraction of a gigabyte.

The code for each message runs two million times, so every microsecond adds two seconds.
"""

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

from slack_sandbox.export.archive import FolderPlace, Place, Reader
from slack_sandbox.export.entries import (
    MAX_TEXT_CHARS,
    entry_words,
    is_searchable,
    is_shown,
    ts_of,
    writer_name,
    writer_of,
)
from slack_sandbox.export.word_index import Part
from slack_sandbox.text.words import words_of

NO_FILE = 2**31 - 1
"""The file number for a root that is missing from the export."""
_BROADCASTS = frozenset({"thread_broadcast", "reply_broadcast"})
_MAX_MESSAGES = 2**31
_MAX_UNKNOWN = 100_000


@dataclass(slots=True)
class Writer:
    """An author who isn't in the list of people, with the details in their messages."""

    name: str = ""
    is_bot: bool = False
    team_id: str = ""


@dataclass(slots=True)
class ChannelIndex:
    ts: "array[int]" = field(default_factory=lambda: array("Q"))
    """Timestamps in microseconds, in order."""
    files: "array[int]" = field(default_factory=lambda: array("I"))
    """Twice the file's number within the channel, plus 1 for a reply that was also sent to the channel."""
    places: "array[int]" = field(default_factory=lambda: array("I"))
    roots: "array[int]" = field(default_factory=lambda: array("Q"))
    """The ts of the thread's root, or 0 for roots."""

    def __len__(self) -> int:
        return len(self.ts)

    def find(self, ts_us: int) -> int | None:
        at = bisect_left(self.ts, ts_us)
        return at if at < len(self.ts) and self.ts[at] == ts_us else None

    def is_in_channel(self, at: int) -> bool:
        """Returns whether a message is shown in the channel itself: a root, or a reply that was also sent there."""
        return not self.roots[at] or bool(self.files[at] & 1)


@dataclass(slots=True)
class Batch:
    """Several channels that were read together."""

    channels: list[ChannelIndex] = field(default_factory=list)
    words: Part = field(default_factory=lambda: Part({}))
    counts: Counter[str] = field(default_factory=Counter)
    writers: Counter[str] = field(default_factory=Counter)
    unknown: dict[str, Writer] = field(default_factory=dict)
    threads: list[tuple[int, int, int]] = field(default_factory=list)
    """Each channel's longest thread, as the number of replies, the channel's number in the batch, and the root's ts."""
    with_files: Counter[int] = field(default_factory=Counter)
    """The number of files in each channel, by its number in the batch."""
    unreadable: list[tuple[int, int]] = field(default_factory=list)
    """The files that can't be read, each as the channel's number in the batch and the file's number in the channel."""


class _Found(NamedTuple):
    ts: int
    file: int
    place: int
    root: int
    words: Sequence[str]


def read_batch(reader: Reader, channels: Sequence[Sequence[Place | FolderPlace]], known: AbstractSet[str]) -> Batch:
    """Reads several channels, each of which is given as the locations of its files. `known`: the IDs in the list of
    people."""
    batch, words, number = Batch(), defaultdict[str, "array[int]"](lambda: array("I")), 0
    for files in channels:
        found = _sorted_entries(list(_read_entries(reader, files, known, batch)), batch.counts)
        for at, one in enumerate(found, number):
            for word in set(one.words):
                words[word].append(at)
        number += len(found)
        _add_channel(batch, found)
    batch.words = Part(words)
    return batch


def _add_channel(batch: Batch, found: Sequence[_Found]) -> None:
    index, replies = ChannelIndex(), Counter[int](one.root for one in found if one.root)
    if found:
        ts, file, place, root, _ = zip(*found, strict=True)
        index = ChannelIndex(array("Q", ts), array("I", file), array("I", place), array("Q", root))
    longest = replies.most_common(1)
    batch.threads.append((longest[0][1], len(batch.channels), longest[0][0]) if longest else (0, 0, 0))
    batch.channels.append(index)


def _read_entries(
    reader: Reader, files: Sequence[Place | FolderPlace], known: AbstractSet[str], batch: Batch
) -> Iterator[_Found]:
    counts = batch.counts
    for number, file in enumerate(files):
        entries = reader.entries(file)
        if entries is None:
            batch.unreadable.append((len(batch.channels), number))
            continue
        for place, entry in enumerate(entries):
            is_entry = isinstance(entry, dict)
            ts = ts_of(entry) if is_entry else 0
            if is_entry and not is_shown(entry):
                counts["hidden"] += 1
            elif not ts:
                counts["without_time"] += 1
            else:
                writer = writer_of(entry)
                batch.writers[writer] += 1
                if writer not in known:
                    _record_writer(batch.unknown, writer, entry)
                _count_contents(batch, entry)
                thread = ts_of(entry, "thread_ts") if "thread_ts" in entry else 0
                is_broadcast = thread and entry.get("subtype") in _BROADCASTS
                words = _words(entry) if is_searchable(entry) else ()
                yield _Found(ts, 2 * number + bool(is_broadcast), place, 0 if thread == ts else thread, words)


def _words(entry: Mapping[str, Any]) -> Sequence[str]:
    text = entry.get("text")
    # A person's typed text is complete in `text`.
    is_whole = "client_msg_id" in entry and not (entry.get("attachments") or entry.get("files"))
    if is_whole and text and isinstance(text, str):
        return words_of(text)
    return words_of(entry_words(entry))


def _count_contents(batch: Batch, entry: Mapping[str, Any]) -> None:
    files, text = entry.get("files"), entry.get("text")
    if files and isinstance(files, list):
        batch.counts["files"] += len(files)
        batch.with_files[len(batch.channels)] += len(files)
    if isinstance(text, str) and len(text) > MAX_TEXT_CHARS:
        batch.counts["cut"] += 1


def _record_writer(unknown: dict[str, Writer], writer: str, entry: Mapping[str, Any]) -> None:
    if writer not in unknown and len(unknown) >= _MAX_UNKNOWN:
        return
    noted = unknown.setdefault(writer, Writer())
    if noted.name:
        return
    team = entry.get("user_team") or entry.get("team")
    noted.name = writer_name(entry)
    noted.is_bot |= bool(entry.get("bot_id") or entry.get("bot_profile"))
    noted.team_id = team[:40] if isinstance(team, str) else noted.team_id


def _sorted_entries(found: list[_Found], counts: Counter[str]) -> list[_Found]:
    """Sorts the entries by ts and removes duplicates, with a placeholder for each missing root."""
    by_ts = {one.ts: one for one in reversed(found)}
    counts["twice"] += len(found) - len(by_ts)
    counts["messages"] += len(by_ts)
    missing = {one.root for one in found if one.root} - by_ts.keys()
    counts["missing_roots"] += len(missing)
    rooted = [_with_thread_root(one, by_ts, counts) if one.root else one for one in by_ts.values()]
    rooted += [_Found(ts, 2 * NO_FILE, 0, 0, ()) for ts in missing]
    return sorted(rooted, key=itemgetter(0))


def _with_thread_root(one: _Found, by_ts: Mapping[int, _Found], counts: Counter[str]) -> _Found:
    """Returns an entry with its thread's root. A reply to a reply belongs to the same thread, and a cycle has no
    root."""
    above = by_ts.get(one.root)
    if above is None or not above.root:
        return one
    counts["rerooted"] += 1
    further = by_ts.get(above.root)
    root = above.root if further is None or not further.root else 0
    return _Found(one.ts, one.file, one.place, root if root != one.ts else 0, one.words)
