"""An open export: its workspace, its search index, and a report on which parts were read or skipped."""

import gc
import multiprocessing
import os
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO

from slack_sandbox.export.archive import (
    CANVAS_COMMENTS,
    LISTS,
    NO_CONVERSATIONS,
    NOTHING_READ,
    Archive,
    Contents,
    ExportError,
    FolderPlace,
    Place,
    folders_of,
    open_reader,
)
from slack_sandbox.export.entries import UNKNOWN_WRITER, clean_value, message_of, missing_root, ts_of, ts_text
from slack_sandbox.export.index import NO_FILE, Batch, ChannelIndex, Writer, read_batch
from slack_sandbox.export.people import Directory, channel_of
from slack_sandbox.export.report import Report, names_text
from slack_sandbox.export.word_index import WordIndex
from slack_sandbox.sample_workspace import SYSTEM
from slack_sandbox.workspace import SLACK, SLACKBOT, TEAM_ID, Channel, ChannelType, Log, Message, User, Workspace

Progress = Callable[[int, int], None]
"""Called with the number of bytes read, and the total."""
_BATCH_BYTES = 32 * 2**20
_ALONE_BYTES = 96 * 2**20
"""Up to this size, one process reads an export in less time than several processes need to start."""
_MAX_PROCESSES = 4
_CACHED_ENTRIES = 40_000
_OWN_IDS = ("U0BOT", "B0BOT", UNKNOWN_WRITER, SLACK, SLACKBOT)
_STRICTEST_FIRST: tuple[ChannelType, ...] = ("im", "mpim", "group", "channel")
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Thread:
    channel: str
    ts: str
    replies: int


@dataclass(frozen=True)
class Export:
    """The contents of a Slack export, as loaded by a sandbox. Channels are read from the ZIP while it is in use."""

    archive: Archive
    people: Sequence[User]
    channels: Sequence[Channel]
    files: Mapping[str, Sequence[str]]
    """The paths of a channel's days in the ZIP, by channel ID."""
    indexes: Mapping[str, ChannelIndex]
    words: WordIndex
    report: Report
    accounts: Directory
    threads: Sequence[Thread]
    """Each channel's longest thread, longest first."""
    with_files: Mapping[str, int]
    """The number of files by channel, for channels that have any."""
    _channel_ids: Sequence[str] = ()
    _days: "OrderedDict[tuple[str, int], Sequence[Mapping[str, Any]]]" = field(default_factory=OrderedDict)

    def place_of(self, number: int) -> tuple[str, str]:
        """Returns the channel and the ts of a message by its number in the index."""
        at = bisect_right(self.words.starts, number) - 1
        channel = self._channel_ids[at]
        return channel, ts_text(self.indexes[channel].ts[number - self.words.starts[at]])

    def channel_at(self, number: int) -> str:
        return self._channel_ids[bisect_right(self.words.starts, number) - 1]

    def load_message(self, channel: str, at: int) -> Message:
        index = self.indexes[channel]
        file, place = index.files[at] >> 1, index.places[at]
        entry = None if file == NO_FILE else self._entry(channel, file, place)
        if entry is None or ts_of(entry) != index.ts[at]:
            return missing_root(channel, index.ts[at])
        message = message_of(
            entry, channel, index.roots[at], lambda value: clean_value(value, self.indexes.__contains__)
        )
        subtype = "thread_broadcast" if index.files[at] & 1 else message.subtype
        if subtype == "thread_broadcast" and not message.thread_ts:
            subtype = None
        return replace(message, user_id=self.accounts.account_of(message.user_id), subtype=subtype)

    def _entry(self, channel: str, file: int, place: int) -> Mapping[str, Any] | None:
        if (channel, file) not in self._days:
            self._days[channel, file] = self.archive.entries(self.files[channel][file]) or ()
            while sum(map(len, self._days.values())) > _CACHED_ENTRIES and len(self._days) > 1:
                self._days.popitem(last=False)
        self._days.move_to_end((channel, file))
        entries = self._days[channel, file]
        return entries[place] if place < len(entries) else None

    def add_to(self, workspace: Workspace) -> None:
        """Adds the export to an empty workspace, and the bot to each conversation that apps can join."""
        bot = workspace.bot.id
        workspace.name = self.report.name
        workspace.users.update({user.id: user for user in self.people})
        for channel in self.channels:
            members = [*channel.members, bot] if channel.type != "im" else channel.members
            workspace.channels[channel.id] = replace(channel, members=list(members))
            workspace.add_log(channel.id, ArchivedLog(self, channel.id))
        for person in self.people:
            if person.bot_id or person.deleted or person.id in (SLACK, SLACKBOT):
                continue
            direct = f"D{person.id[1:]}"
            while direct in workspace.channels:
                direct += "0BOT"
            workspace.channels[direct] = Channel(direct, f"dm-{person.name}", "im", [person.id, bot], person.id)


class ArchivedLog(Log):
    """A channel's messages: imported messages, which are read on demand, and messages posted since the start."""

    is_long = True

    def __init__(self, export: Export, channel: str) -> None:
        super().__init__()
        self._export = export
        self._channel = channel
        self._index = export.indexes.get(channel) or ChannelIndex()
        self._gone: set[str] = set()
        self._in_channel: list[str] | None = None
        self._by_root: dict[int, list[int]] | None = None

    def get(self, ts: str) -> Message | None:
        message = super().get(ts)
        if message is not None or ts in self._gone:
            return message
        at = self._index.find(ts_of({"ts": ts}))
        return None if at is None else self._export.load_message(self._channel, at)

    def has(self, ts: str) -> bool:
        return super().has(ts) or (ts not in self._gone and self._index.find(ts_of({"ts": ts})) is not None)

    def put(self, message: Message) -> None:
        if self._index.find(ts_of({"ts": message.ts})) is None:
            super().put(message)
        else:
            self._messages[message.ts] = message

    def drop(self, ts: str) -> None:
        self._gone.add(ts)
        if self._messages.pop(ts, None) is not None:
            for replies in self._replies.values():
                if ts in replies:
                    replies.remove(ts)

    def all(self) -> Iterator[Message]:
        old = (self.get(ts_text(ts_us)) for ts_us in self._index.ts)
        yield from (message for message in old if message is not None)
        yield from (message for message in self.posted() if self._index.find(ts_of({"ts": message.ts})) is None)

    def in_channel(self) -> Sequence[str]:
        index = self._index
        if self._in_channel is None:
            self._in_channel = [ts_text(ts) for at, ts in enumerate(index.ts) if index.is_in_channel(at)]
        new = [ts for ts in super().in_channel() if index.find(ts_of({"ts": ts})) is None]
        if not self._gone:
            return [*self._in_channel, *new] if new else self._in_channel
        return [ts for ts in (*self._in_channel, *new) if ts not in self._gone]

    def replies(self, root_ts: str) -> Sequence[str]:
        index = self._index
        if self._by_root is None:
            self._by_root = {}
            for at, root in enumerate(index.roots):
                if root:
                    self._by_root.setdefault(root, []).append(at)
        old = [ts_text(index.ts[at]) for at in self._by_root.get(ts_of({"ts": root_ts}), ())]
        return [ts for ts in (*old, *super().replies(root_ts)) if ts not in self._gone]


@dataclass(slots=True)
class _Listed:
    channels: list[Channel] = field(default_factory=list)
    files: dict[str, Sequence[str]] = field(default_factory=dict)
    clashes: int = 0
    shared_folders: list[str] = field(default_factory=list)
    """The folders that belong to two conversations by their names."""


def open_export(source: Path | BinaryIO, name: str = "", progress: Progress = lambda read, of: None) -> Export:
    """Opens an export, from the path of its ZIP or folder, or the ZIP's bytes. Raises ExportError.

    Several processes parse a large file.
    """
    archive = Archive(str(source) if isinstance(source, Path) else source)
    contents = archive.contents
    accounts = Directory(archive.list_entries(contents.people) if contents.people else (), _OWN_IDS)
    listed = _read_lists(archive, contents, accounts.team_id)
    batches = _batches([[*map(archive.place, listed.files.get(channel.id, ()))] for channel in listed.channels])
    path = str(source) if isinstance(source, Path) else ""
    words, indexes, counts, writers = WordIndex(), dict[str, ChannelIndex](), Counter[str](), Counter[str]()
    unknown, threads, unreadable = dict[str, Writer](), list[Thread](), list[str]()
    with_files = Counter[str]()
    for batch in _read_batches(archive, path, batches, accounts.known, progress):
        base = len(indexes)
        for channel, index in zip(listed.channels[base:], batch.channels, strict=False):
            indexes[channel.id] = index
        threads += [
            Thread(listed.channels[base + at].id, ts_text(ts), count) for count, at, ts in batch.threads if count
        ]
        words.add(map(len, batch.channels), batch.words)
        with_files += Counter({listed.channels[base + at].id: count for at, count in batch.with_files.items()})
        unreadable += [listed.files[listed.channels[base + at].id][number] for at, number in batch.unreadable]
        counts += batch.counts
        writers += batch.writers
        named = {writer for writer, one in unknown.items() if one.name}
        unknown |= {writer: one for writer, one in batch.unknown.items() if writer not in named}
    counts["unknown_writers"] = accounts.add_unlisted_writers(unknown)
    for channel in listed.channels:
        accounts.add_unlisted_members(channel)
    counts["id_clashes"] = listed.clashes + accounts.clashes
    lost = _unread_files(contents, listed, unreadable)
    unread = [
        name for key, names in lost.items() for name in names if key != "canvas_comments" and _can_have_messages(name)
    ]
    if not counts["messages"] and (unread or counts["without_time"]):
        raise ExportError(NOTHING_READ.format(names=names_text(unread or ["no entry has a time"])))
    kinds = Counter[str](channel.type for channel in listed.channels)
    people = sum(user.bot_id is None for user in accounts.users.values())
    last_us = max(
        (_newest_message_us(index, listed.files.get(channel, ())) for channel, index in indexes.items()), default=0
    )
    report = Report(
        name or "Your export",
        kinds,
        people,
        counts,
        last_us / 1_000_000,
        lost,
        is_public_only=[*contents.lists] == ["channels.json"] and not lost,
        has_people=bool(contents.people),
    )
    return Export(
        archive,
        _sort_by_activity(accounts, writers),
        listed.channels,
        listed.files,
        indexes,
        words,
        report,
        accounts,
        sorted(threads, key=lambda thread: -thread.replies),
        with_files,
        [channel.id for channel in listed.channels],
    )


def _unread_files(contents: Contents, listed: _Listed, unreadable: Sequence[str]) -> dict[str, Sequence[str]]:
    """Returns the unread files and folders that could have messages, by the reason's key in the report."""
    folders, shared = {paths[0] for paths in listed.files.values() if paths}, {*listed.shared_folders}
    unlisted = [folder for folder, paths in contents.days.items() if paths[0] not in folders]
    lost = {
        "unreadable": unreadable,
        "unknown_files": contents.unknown,
        "no_folder": [folder for folder in unlisted if not CANVAS_COMMENTS.match(folder) and folder not in shared],
        "shared_folder": listed.shared_folders,
        "canvas_comments": [folder for folder in unlisted if CANVAS_COMMENTS.match(folder)],
    }
    return {reason: names for reason, names in lost.items() if names}


def _can_have_messages(name: str) -> bool:
    """Returns whether a file or folder could have messages, by its name."""
    return name.endswith(".json") or "/" not in name


def _newest_message_us(index: ChannelIndex, paths: Sequence[str]) -> int:
    """Returns the time of a channel's newest message, or 0. A time that contradicts its day's file doesn't count."""
    days_us = [_midnight_us(path) for path in paths]
    for ts_us, file in zip(reversed(index.ts), reversed(index.files), strict=True):
        if file >> 1 != NO_FILE and abs(ts_us - days_us[file >> 1]) <= 2 * _DAY_US:
            return ts_us
    return 0


def _midnight_us(path: str) -> int:
    try:
        return int(datetime.fromisoformat(f"{path[-15:-5]}T00:00+00:00").timestamp()) * 1_000_000
    except ValueError:
        return 0


def _read_lists(archive: Archive, contents: Contents, own_team: str) -> _Listed:
    """Returns the listed conversations. A conversation, ID or name that is listed twice belongs to the more private
    conversation.

    Raises ExportError if a list can't be read, or there isn't any conversation.
    """
    listed, kinds = _Listed(), {kind: name for name, kind in LISTS.items()}
    entries = [
        (entry, channel_of(entry, kind, own_team))
        for kind in _STRICTEST_FIRST
        for entry in (archive.list_entries(contents.lists[kinds[kind]]) if kinds[kind] in contents.lists else ())
    ]
    # A list can contain a conversation that is more private than the others in it.
    entries.sort(key=lambda one: _STRICTEST_FIRST.index(one[1].type) if one[1] else 0)
    found, claims = dict[str, Channel](), dict[str, list[Channel]]()
    for entry, channel in entries:
        if channel is None or channel.id in found:
            listed.clashes += 1
            continue
        found[channel.id] = channel
        if folder := next(folders_of(contents, entry, channel.type), ""):
            claims.setdefault(folder, []).append(channel)
    for folder, channels in claims.items():
        owner = next((one for one in channels if all(_can_all_read(one, other) for other in channels)), None)
        if owner:
            listed.files[owner.id] = contents.days[folder]
        if len(channels) > 1:
            listed.shared_folders.append(folder)
    listed.channels = sorted(found.values(), key=lambda channel: -_STRICTEST_FIRST.index(channel.type))
    if not listed.channels:
        raise ExportError(NO_CONVERSATIONS)
    return listed


def _can_all_read(channel: Channel, other: Channel) -> bool:
    """Returns whether everybody who can read a conversation can also read the other one."""
    return other.type == "channel" or (channel.type != "channel" and {*channel.members} <= {*other.members})


def _sort_by_activity(accounts: Directory, writers: Counter[str]) -> list[User]:
    """Returns the accounts: people by number of messages, then deactivated people, then bots."""
    wrote = Counter[str]()
    for writer, count in writers.items():
        wrote[accounts.account_of(writer)] += count
    own = accounts.team_id

    def rank(user: User) -> tuple[bool, bool, bool, int]:
        return user.bot_id is not None, user.deleted, user.team_id not in (own, TEAM_ID), -wrote[user.id]

    return [*sorted(accounts.users.values(), key=rank), *SYSTEM]


def _batches(channels: Sequence[Sequence[Place | FolderPlace]]) -> list[list[Sequence[Place | FolderPlace]]]:
    batches, size = list[list[Sequence[Place | FolderPlace]]](), _BATCH_BYTES
    for files in channels:
        if size >= _BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(files)
        size += sum(place.size for place in files)
    return batches


def _read_batches(
    archive: Archive,
    path: str,
    batches: Sequence[list[Sequence[Place | FolderPlace]]],
    known: frozenset[str],
    progress: Progress,
) -> Iterator[Batch]:
    sizes = [sum(place.size for files in batch for place in files) for batch in batches]
    processes = min(_MAX_PROCESSES, os.cpu_count() or 1)
    total, read = sum(sizes), 0
    if not path or total <= _ALONE_BYTES or processes < 2:
        for size, channels in zip(sizes, batches, strict=True):
            yield read_batch(archive.reader, channels, known)
            progress(read := read + size, total)
        return
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawned, initializer=_init_process, initargs=(known,)) as pool:
        for size, batch in zip(sizes, pool.map(_read_in_process, repeat(path), batches), strict=True):
            yield batch
            progress(read := read + size, total)


_known = frozenset[str]()
"""The known IDs, in a process that reads batches."""


def _init_process(known: frozenset[str]) -> None:
    global _known
    _known = known
    # JSON doesn't have cycles, and looking for some takes a fifth of the time.
    gc.disable()


def _read_in_process(path: str, channels: Sequence[Sequence[Place | FolderPlace]]) -> Batch:
    with open_reader(path) as reader:
        return read_batch(reader, channels, _known)
