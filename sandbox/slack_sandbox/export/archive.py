"""Reads an export (a ZIP or an unpacked folder) and parses its JSON, in memory and within limits.

Real exports don't have paths that lead outside the ZIP, so a ZIP with such a path is refused. Each file has a known
purpose or is reported by name. A year of a company's messages can consist of 100,000 small files. `zipfile` takes
longer to open such a file than to unpack it, so it only reads the directory, and files are read by their offsets.
"""

import json
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, BinaryIO, NamedTuple
from weakref import finalize

MAX_FILES = 600_000
_DIRECTORY_ENTRY = b"PK\x01\x02"
_CHUNK_BYTES = 4 * 2**20
_MAX_PARTS = 4_000_000
"""The maximum number of values in a file's JSON, counted by brackets and commas. A 2 KB message has about 40."""
MAX_FILE_BYTES = 64 * 2**20
"""The maximum unpacked size of one day of one channel."""
MAX_RATIO = 100
"""The maximum compression ratio. Messages shrink to about a fourteenth of their size, ZIP bombs to a thousandth."""
_ALWAYS_BYTES = 64 * 2**20
"""The unpacked size that is always allowed."""
LISTS: Mapping[str, str] = {"channels.json": "channel", "groups.json": "group", "mpims.json": "mpim", "dms.json": "im"}
_PEOPLE = ("users.json", "org_users.json")
_DAY = re.compile(r"\d{4}-\d\d-\d\d\.json")
_WORKSPACE_DAY = re.compile(r"((?:.+/)?teams/[^/]+)/[^/]+/\d{4}-\d\d-\d\d\.json")
_WITHOUT_MESSAGES = re.compile(
    r"(?:integration_logs|canvases|lists|huddle_transcripts|file_conversations|content_flags|\.slack-manifest)\.json"
    r"|(?:org_)?users\.json|[^/]+/canvas_in_the_conversation\.json"
)
"""Paths of an export's files that don't contain messages."""
_CONTENT = re.compile(
    r"(?:^|/)(?:__MACOSX|__uploads|[^/]+/attachments)/|(?:^|/)(?:\._[^/]*|\.DS_Store|Thumbs\.db|desktop\.ini)$"
)
"""Files that other tools add to an export, and files that macOS and Windows create."""
CANVAS_COMMENTS = re.compile(r"FC[:_]?F[A-Z0-9]+")
"""The folders of comments on canvases."""
_TEXT_FORM = re.compile(r"(?:^|/)(?:channels|dms|groups|mpims)/.*\.txt$")
_DRIVE = re.compile(r"[A-Za-z]:")
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1
_NAMED = 5
"""The maximum number of folders listed in a sentence."""
_PACKED_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADER = struct.Struct("<4s22xHH")
"""The header before a file: a signature, and the lengths of its name and extra fields."""
_HEADER_SIGNATURE = b"PK\x03\x04"
_RAW_DEFLATE = -zlib.MAX_WBITS

NO_ZIP = "This file isn't a ZIP. Use the ZIP from Slack's export page, unchanged."
CUT_OFF = "This ZIP is incomplete, maybe because its download stopped early. Download it again."
LEAVES = "This ZIP has a file whose path leads outside it ({name}). Slack exports never do, so it wasn't read."
TOO_MANY = f"This ZIP has more than {MAX_FILES:,} files. Export a shorter range of dates."
BOMB = f"This ZIP would unpack to over {MAX_RATIO} times its size. Slack exports never do, so it wasn't read."
PROTECTED = "This ZIP is password-protected. Unpack it and zip it again without a password."
TEXT_FORM = "This export has conversations as text. Request an export as JSON."
ORGANIZATION = "This export is from an organization with several workspaces. Unpack it, and use one folder of teams/."
SEVERAL = "There are several exports here, in {folders}. Unpack them, and use one of these folders."
NO_EXPORT = "There's no channels.json here, so this isn't a Slack export."
NO_CONVERSATIONS = "This export doesn't list any conversations that could be shown."
NOTHING_READ = (
    "None of this export's messages could be read ({names}). Use the ZIP from Slack's export page, unchanged."
)
UNREADABLE = (
    "{name} is damaged, or isn't a list in JSON. Export again: without it, conversations or names would be lost."
)
TWICE = "{name} is in this ZIP twice. Use the ZIP from Slack's export page, unchanged."


class ExportError(Exception):
    """The export can't be opened. The message explains why, and what to do."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of an export by purpose."""

    lists: Mapping[str, str]
    people: str
    days: Mapping[str, Sequence[str]]
    """The paths of the files that have messages, in order, by folder."""
    unknown: Sequence[str]
    """The paths of files whose names don't occur in exports. They weren't read."""


class FolderPlace(NamedTuple):
    """A file's location on disk."""

    path: str
    size: int


class Place(NamedTuple):
    """A file's location in the ZIP, as declared in the ZIP's directory."""

    offset: int
    packed_size: int
    size: int
    compression: int
    checksum: int


def _parse_list(content: bytes) -> list[Any]:
    """Parses the content of a file that has a JSON list. Raises ValueError, or RecursionError for deeply nested
    JSON."""
    if len(content) > _MAX_PARTS and sum(map(content.count, (b",", b"{", b"["))) > _MAX_PARTS:
        raise ValueError("The list has too many values.")
    entries = json.loads(content)
    if not isinstance(entries, list):
        raise ValueError("The JSON isn't a list.")
    return entries


class Reader:
    """Reads files by their location in the ZIP, or on disk. `file`: the ZIP, or None for a folder."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self._lock = Lock()

    def entries(self, place: Place | FolderPlace) -> list[Any] | None:
        """Returns the entries of a file's list, or None if the file can't be read."""
        if place.size > MAX_FILE_BYTES:
            return None
        try:
            if isinstance(place, FolderPlace):
                with open(place.path, "rb") as file:
                    return _parse_list(file.read(MAX_FILE_BYTES))
            return (
                _parse_list(self._read(self._file, place)) if self._file and place.compression in _PACKED_BY else None
            )
        except (OSError, EOFError, ValueError, OverflowError, RecursionError, struct.error, zlib.error):
            return None

    def _read(self, file: BinaryIO, place: Place) -> bytes:
        """Returns a file's content, which is at most as long as the ZIP declares. Raises ValueError if its length or
        checksum differs from the declared one."""
        with self._lock:
            file.seek(place.offset)
            signature, name, further = _HEADER.unpack(file.read(_HEADER.size))
            file.seek(name + further, os.SEEK_CUR)
            # A stored file has the same packed and unpacked size.
            content = file.read(min(place.packed_size, MAX_FILE_BYTES))
        if place.compression == zipfile.ZIP_DEFLATED and place.size:
            content = zlib.decompressobj(_RAW_DEFLATE).decompress(content, place.size)
        if signature != _HEADER_SIGNATURE or len(content) != place.size or zlib.crc32(content) != place.checksum:
            raise ValueError("The file isn't what the ZIP's directory declares.")
        return content


@contextmanager
def open_reader(path: str) -> Iterator[Reader]:
    if os.path.isdir(path):
        yield Reader(None)
        return
    with open(path, "rb") as file:
        yield Reader(file)


class Archive:
    """An export: a ZIP, given as a path or bytes, or an unpacked folder, given as a path."""

    def __init__(self, source: str | BinaryIO) -> None:
        self._places: Mapping[str, Place | FolderPlace]
        skipped: Sequence[str] = ()
        try:
            if isinstance(source, str) and os.path.isdir(source):
                self.reader = Reader(None)
                self._places, skipped = _folder_places(source)
            else:
                # It stays open while it is in use, because a channel is read when somebody opens it.
                file = open(source, "rb") if isinstance(source, str) else source  # noqa: SIM115
                if isinstance(source, str):
                    finalize(self, file.close)
                self.reader = Reader(file)
                self._places, skipped = _zip_places(file)
        except OSError as error:
            named = f"{source}: " if isinstance(source, str) else ""
            raise ExportError(f"{named}The export can't be read: {error.strerror}.") from None
        self.contents = _contents(self._places, skipped)

    def place(self, name: str) -> Place | FolderPlace:
        return self._places[name]

    def entries(self, name: str) -> list[Any] | None:
        return self.reader.entries(self._places[name])

    def list_entries(self, name: str) -> list[Any]:
        """Returns the entries of a list of people or conversations. Raises ExportError if it can't be read."""
        if (entries := self.entries(name)) is None:
            raise ExportError(UNREADABLE.format(name=name))
        return entries


def _folder_places(folder: str) -> tuple[dict[str, FolderPlace], Sequence[str]]:
    """Returns the location of each file in a folder by name, and the names of links and unreadable files."""
    places, skipped = dict[str, FolderPlace](), list[str]()

    def relative_path(path: str) -> str:
        return unicodedata.normalize("NFC", os.path.relpath(path, folder).replace(os.sep, "/"))

    walked = os.walk(folder, onerror=lambda error: skipped.append(relative_path(str(error.filename))))
    for parent, folders, files in walked:
        skipped += [relative_path(path) for one in folders if os.path.islink(path := os.path.join(parent, one))]
        for path in (os.path.join(parent, one) for one in files):
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                places[relative_path(path)] = FolderPlace(path, status.st_size)
            else:
                skipped.append(relative_path(path))
        if len(places) > MAX_FILES:
            raise ExportError(TOO_MANY)
    return places, skipped


def _zip_places(file: BinaryIO) -> tuple[dict[str, Place], Sequence[str]]:
    """Returns the location of each file in a ZIP by name, and the names that occur more than once."""
    size, entries = file.seek(0, os.SEEK_END), 0
    file.seek(0)
    is_zip, end = file.read(4) == _HEADER_SIGNATURE, b""
    file.seek(0)
    while chunk := file.read(_CHUNK_BYTES):
        # zipfile reads the whole directory before it returns.
        entries += (end + chunk).count(_DIRECTORY_ENTRY)
        end = chunk[1 - len(_DIRECTORY_ENTRY) :]
        if entries > MAX_FILES:
            raise ExportError(TOO_MANY)
    try:
        infos = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise ExportError(CUT_OFF if is_zip else NO_ZIP) from None
    return _places(infos, size)


def _places(infos: Sequence[zipfile.ZipInfo], size: int) -> tuple[dict[str, Place], Sequence[str]]:
    """Returns each file's location by name, and the repeated names. `size`: the ZIP's size in bytes.

    Raises ExportError for a ZIP that can't be an export.
    """
    packed_size = min(size, sum(info.compress_size for info in infos))
    # A file can't be larger than its entry declares.
    if sum(info.file_size for info in infos) > MAX_RATIO * packed_size + _ALWAYS_BYTES:
        raise ExportError(BOMB)
    places, twice = dict[str, Place](), list[str]()
    for info in infos:
        name = _entry_name(info)
        if name.startswith("/") or ".." in name.split("/") or _DRIVE.match(name):
            raise ExportError(LEAVES.format(name=name[:80]))
        if info.flag_bits & _ENCRYPTED:
            raise ExportError(PROTECTED)
        if name in places:
            if name.rpartition("/")[2] in (*LISTS, *_PEOPLE):
                raise ExportError(TWICE.format(name=name))
            twice.append(name)
        elif not name.endswith("/"):
            place = Place(info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC)
            places[name] = place
    return places, twice


def _entry_name(info: zipfile.ZipInfo) -> str:
    """Returns an entry's name. Slack writes UTF-8 without setting its flag, and some tools on Windows write
    backslashes."""
    name = info.filename.replace("\\", "/")
    if name.isascii():
        return name
    if not info.flag_bits & _UTF8_NAME:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name)


def _contents(names: Iterable[str], skipped: Sequence[str]) -> Contents:
    """Sorts the files by purpose. The export can be in a folder, if somebody repacked the ZIP.

    `skipped`: the names of files that can't be read.
    """
    own = sorted(name for name in names if not _CONTENT.search(name))
    base = _base_folder(own)
    prefix = f"{base}/" if base else ""
    found, days, unknown = {}, dict[str, list[str]](), list(skipped)
    for name in own:
        path = name.removeprefix(prefix)
        folder, _, file = path.rpartition("/")
        if not name.startswith(prefix):
            unknown.append(name)
        elif path in LISTS or path in _PEOPLE:
            found[path] = name
        elif folder and "/" not in folder and _DAY.fullmatch(file):
            days.setdefault(folder, []).append(name)
        elif not _WITHOUT_MESSAGES.fullmatch(path):
            unknown.append(name)
    people = next((found.pop(file) for file in _PEOPLE if file in found), "")
    found.pop(_PEOPLE[1], None)
    return Contents(found, people, days, unknown)


def _base_folder(names: Sequence[str]) -> str:
    """Returns the folder of an export's lists. Raises ExportError unless there is exactly one such folder."""
    folders = {folder for folder, _, file in (name.rpartition("/") for name in names) if file in LISTS}
    if not folders:
        raise ExportError(TEXT_FORM if any(map(_TEXT_FORM.search, names)) else NO_EXPORT)
    folders |= {day[1] for day in map(_WORKSPACE_DAY.fullmatch, names) if day}
    if len(folders) > 1:
        is_organization = any(re.search(r"(?:^|/)teams/[^/]+$", folder) for folder in folders)
        named = ", ".join(sorted(folder or "the top folder" for folder in folders)[:_NAMED])
        raise ExportError(ORGANIZATION if is_organization else SEVERAL.format(folders=named))
    return folders.pop()


def folders_of(contents: Contents, entry: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Yields a conversation's folder if it has messages. A direct message's folder is named by its ID."""
    names = (str(entry.get("id")),) if kind == "im" else (str(entry.get("id")), str(entry.get("name")))
    for name in names:
        folder = unicodedata.normalize("NFC", name)
        if folder in contents.days:
            yield folder
            return
