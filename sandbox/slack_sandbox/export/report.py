"""Describes the contents of an export, its skipped parts, and the data that no export contains."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_KINDS = {
    "channel": "public channel",
    "group": "private channel",
    "mpim": "group direct message",
    "im": "direct message",
}
_LEFT_OUT: Mapping[str, tuple[str, str]] = {
    "unreadable": ("file", "that can't be read"),
    "unknown_files": ("file", "not read, because Slack doesn't name files like that"),
    "no_folder": ("folder", "without a listed conversation"),
    "shared_folder": (
        "folder",
        "with the name of several conversations, shown only to people who can read all of them",
    ),
    "canvas_comments": ("folder", "with comments on a canvas, which aren't part of a conversation"),
    "without_time": ("entry", "without a time"),
    "twice": ("entry", "with the same time as another one in its channel"),
    "cut": ("text", "over 40,000 characters, shortened to that length"),
    "hidden": ("record", "of edits and deletions, which Slack doesn't show either"),
    "missing_roots": ("thread", "without its first message, shown with a notice"),
    "rerooted": ("reply", "in an invalid thread, moved to the thread above it or to the channel"),
    "unknown_writers": ("author", "missing from the list of people, named as in their messages"),
    "id_clashes": ("person or channel", "with an ID that is already used or isn't in Slack's format"),
}
"""The description of each count, and the reason why the items were skipped or changed. Lost messages come first."""
_NAMED = 5
_NAME_CHARS = 80
_NO_PEOPLE = "It has no users.json, so people only have the names in their messages, or IDs."
NEVER_IN_ONE = (
    "Exports never include the content of files, canvases, lists and huddles, "
    "or user groups, bookmarks and custom emoji. "
    "Files only have names here."
)
PUBLIC_ONLY = "It has no private channels or direct messages. Exports on Free and Pro plans never do."
BETTER_SEARCH = (
    "Here, search finds a message by any of its words, including in app posts, previews and file names. "
    "Slack's own search for apps finds less."
)
STAYS_HERE = "The export is read in place. Nothing is written to disk, and no URL in it is opened."


@dataclass(frozen=True, slots=True)
class Report:
    name: str
    conversations: Mapping[str, int]
    people: int
    counts: Mapping[str, int]
    """The numbers of read and skipped items, as counted in index.py."""
    last_s: float
    """The time of the newest message in seconds since the epoch, or 0."""
    lost: Mapping[str, Sequence[str]]
    """The names of files and folders that could have messages and weren't read, by reason."""
    is_public_only: bool
    has_people: bool

    @property
    def messages(self) -> int:
        return self.counts.get("messages", 0)

    @property
    def last_day(self) -> str:
        return f"{datetime.fromtimestamp(self.last_s, UTC):%A, %B %-d, %Y}" if self.last_s else ""

    def read(self) -> str:
        kinds = [
            _count_text(self.conversations[kind], name) for kind, name in _KINDS.items() if self.conversations.get(kind)
        ]
        parts = [*kinds, _count_text(self.people, "person"), _count_text(self.messages, "message")]
        parts += [_count_text(self.counts["files"], "file name")] if self.counts.get("files") else []
        until = f" The last day is {self.last_day}, so “yesterday” is the day before it." if self.last_s else ""
        return f"{', '.join(parts)}.{until}"

    def left_out(self) -> Sequence[str]:
        """Returns the skipped or changed parts, each with its number, and the names of skipped files and folders."""
        counts = {**self.counts, **{reason: len(names) for reason, names in self.lost.items()}}
        return [
            f"{_count_text(counts[key], what)} {why}{self._names(key)}"
            for key, (what, why) in _LEFT_OUT.items()
            if counts.get(key)
        ]

    def _names(self, reason: str) -> str:
        return f" ({names_text(self.lost[reason])})" if reason in self.lost else ""

    def lines(self) -> Iterator[str]:
        yield self.read()
        if self.is_public_only:
            yield PUBLIC_ONLY
        if not self.has_people:
            yield _NO_PEOPLE
        yield NEVER_IN_ONE
        yield f"Left out or changed: {'; '.join(self.left_out())}." if self.left_out() else "Nothing was left out."
        yield BETTER_SEARCH
        yield STAYS_HERE


def names_text(names: Sequence[str]) -> str:
    """Returns the names at the beginning of a list, and the number of names that follow."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(name[:_NAME_CHARS] for name in names[:_NAMED]) + more


def _count_text(count: int, noun: str) -> str:
    plural = {"person": "people", "entry": "entries", "reply": "replies", "person or channel": "people or channels"}
    return f"{count:,} {noun if count == 1 else plural.get(noun, f'{noun}s')}"
