"""Reads the files in an export's ZIP and their JSON, in memory, one at a time and within limits.

Real exports don't have paths that lead outside the ZIP, so a ZIP with such a path is refused. Unknown files are
skipped.

A year of a company's messages is 100,000 small files. So `zipfile` only reads the directory, and files are read by
their offsets: `zipfile` takes longer to open such a file than to unpack it.
"""

import json
import os
import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, BinaryIO, NamedTuple
from weakref import finalize

MAX_FILES = 600_000
MAX_FILE_BYTES = 64 * 2**20
"""The maximum unpacked size of one day of one channel."""
MAX_RATIO = 100
"""The maximum compression ratio. Messages are compressed to a fourteenth, ZIP bombs to a thousandth."""
_ALWAYS_BYTES = 64 * 2**20
"""The unpacked size that is always allowed."""
LISTS: Mapping[str, str] = {"channels.json": "channel", "groups.json": "group", "mpims.json": "mpim", "dms.json": "im"}
_PEOPLE = ("users.json", "org_users.json")
_DAY = re.compile(r"\d{4}-\d\d-\d\d\.json")
_DRIVE = re.compile(r"[A-Za-z]:")
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1
_PACKED_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADER = struct.Struct("<4s22xHH")
"""The header before a file: a signature, and the lengths of its name and extra fields."""
_HEADER_SIGNATURE = b"PK\x03\x04"
_RAW_DEFLATE = -zlib.MAX_WBITS

NO_ZIP = "This file isn't a ZIP. Use the ZIP from Slack's export page, unchanged."
LEAVES = "This ZIP has a file whose path leads outside it ({name}). Slack exports never do, so it wasn't read."
TOO_MANY = f"This ZIP has more than {MAX_FILES:,} files. Export a shorter range of dates."
BOMB = f"This ZIP would unpack to over {MAX_RATIO} times its size. Slack exports never do, so it wasn't read."
PROTECTED = "This ZIP is password-protected. Unpack it and zip it again without a password."
TEXT_FORM = "This export has conversations as text. Request an export as JSON."
ORGANIZATION = "This export is from an organization with several workspaces. Zip one folder of teams/, and use that."
NO_EXPORT = "This ZIP has no channels.json, so it isn't a Slack export."


class ExportError(Exception):
    """The export can't be opened. The message explains why, and what to do."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of an export by purpose."""

    lists: Mapping[str, str]
    people: str
    days: Mapping[str, Sequence[str]]
    """The paths of the files with messages in order, by folder."""
    unknown: int


class Place(NamedTuple):
    """A file's location in the ZIP, as declared in the ZIP's directory."""

    offset: int
    packed: int
    size: int
    packed_by: int
    checksum: int


class Reader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = Lock()

    def objects(self, place: Place) -> list[dict[str, Any]] | None:
        """Returns the objects in a file's list, or None if the file can't be read."""
        if place.size > MAX_FILE_BYTES or place.packed_by not in _PACKED_BY:
            return None
        try:
            entries = json.loads(self._read(place))
        except (OSError, EOFError, ValueError, OverflowError, RecursionError, struct.error, zlib.error):
            return None
        return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else None

    def _read(self, place: Place) -> bytes:
        """Returns a file's content, at most the declared size. Raises ValueError if it doesn't match."""
        with self._lock:
            self._file.seek(place.offset)
            signature, name, further = _HEADER.unpack(self._file.read(_HEADER.size))
            self._file.seek(name + further, os.SEEK_CUR)
            # A stored file has the same packed and unpacked size.
            content = self._file.read(min(place.packed, MAX_FILE_BYTES))
        if place.packed_by == zipfile.ZIP_DEFLATED and place.size:
            content = zlib.decompressobj(_RAW_DEFLATE).decompress(content, place.size)
        if signature != _HEADER_SIGNATURE or len(content) != place.size or zlib.crc32(content) != place.checksum:
            raise ValueError("The file isn't what the ZIP's directory declares.")
        return content


class Archive:
    def __init__(self, source: str | BinaryIO) -> None:
        try:
            # It stays open while it is in use, because a channel is read when somebody opens it.
            file = open(source, "rb") if isinstance(source, str) else source  # noqa: SIM115
            if isinstance(source, str):
                finalize(self, file.close)
            infos = zipfile.ZipFile(file).infolist()
            size = file.seek(0, os.SEEK_END)
        except OSError as error:
            raise ExportError(f"The export can't be read: {error.strerror}.") from None
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            raise ExportError(NO_ZIP) from None
        self.reader = Reader(file)
        self._places = _places(infos, size)
        self.contents = _contents(self._places)

    def place(self, name: str) -> Place:
        return self._places[name]

    def objects(self, name: str) -> list[dict[str, Any]] | None:
        return self.reader.objects(self._places[name])


def _places(infos: Sequence[zipfile.ZipInfo], size: int) -> dict[str, Place]:
    """Returns each file's location by name. Raises ExportError for a ZIP that can't be an export. `size`: the ZIP's."""
    if len(infos) > MAX_FILES:
        raise ExportError(TOO_MANY)
    packed = min(size, sum(info.compress_size for info in infos))
    # A file can't be larger than its entry declares.
    if sum(info.file_size for info in infos) > MAX_RATIO * packed + _ALWAYS_BYTES:
        raise ExportError(BOMB)
    places: dict[str, Place] = {}
    for info in infos:
        name = _entry_name(info)
        path = name.replace("\\", "/")
        if path.startswith("/") or ".." in path.split("/") or _DRIVE.match(name):
            raise ExportError(LEAVES.format(name=name[:80]))
        if info.flag_bits & _ENCRYPTED:
            raise ExportError(PROTECTED)
        if not info.is_dir():
            place = Place(info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC)
            places.setdefault(name, place)
    return places


def _entry_name(info: zipfile.ZipInfo) -> str:
    """Returns an entry's name. Slack writes UTF-8 without setting its flag."""
    name = info.filename
    if name.isascii():
        return name
    if not info.flag_bits & _UTF8_NAME:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name)


def _contents(names: Mapping[str, object]) -> Contents:
    """Sorts the files by purpose. The export can be in a folder, if somebody repacked the ZIP."""
    own = [name for name in names if not name.startswith("__MACOSX/") and not name.rpartition("/")[2].startswith("._")]
    lists = [name for name in own if name.rpartition("/")[2] in LISTS]
    if not lists:
        raise ExportError(TEXT_FORM if any(name.endswith(".txt") for name in own) else NO_EXPORT)
    base = min((name.rpartition("/")[0] for name in lists), key=lambda folder: (folder.count("/"), folder))
    if re.search(r"(?:^|/)teams/[^/]+$", base):
        raise ExportError(ORGANIZATION)
    prefix = f"{base}/" if base else ""
    found, days, unknown = {}, dict[str, list[str]](), 0
    for name in sorted(own):
        folder, _, file = name.removeprefix(prefix).rpartition("/")
        if not name.startswith(prefix):
            unknown += 1
        elif not folder and (file in LISTS or file in _PEOPLE):
            found[file] = name
        elif folder and "/" not in folder and _DAY.fullmatch(file):
            days.setdefault(folder, []).append(name)
        else:
            unknown += 1
    people = next((found.pop(file) for file in _PEOPLE if file in found), "")
    found.pop(_PEOPLE[1], None)
    return Contents(found, people, days, unknown)


def folders_of(contents: Contents, entry: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Yields a conversation's folder if it has messages. A direct message's folder is named by its ID."""
    names = (str(entry.get("id")),) if kind == "im" else (str(entry.get("name")), str(entry.get("id")))
    for name in names:
        folder = unicodedata.normalize("NFC", name)
        if folder in contents.days:
            yield folder
            return
