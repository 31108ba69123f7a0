"""The ZIP of an export: which files it has, and their JSON. Files are read in memory, one at a time and within bounds.

Nobody's export has paths that leave it, so such a ZIP is refused as a whole. Files that aren't known are left out.

A year of a company has 100,000 files of a few messages. So the directory is read once, by `zipfile`, and a file is read
by where it stands: `zipfile` takes longer to open such a file than to unpack it.
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
"""The most bytes of one day of one channel, unpacked."""
MAX_RATIO = 100
"""Small talk is packed to a fourteenth. A bomb is packed to a thousandth."""
_ALWAYS_BYTES = 64 * 2**20
"""What a ZIP may unpack to whatever its size."""
LISTS: Mapping[str, str] = {"channels.json": "channel", "groups.json": "group", "mpims.json": "mpim", "dms.json": "im"}
"""The type of the conversations in each list."""
_PEOPLE = ("users.json", "org_users.json")
_DAY = re.compile(r"\d{4}-\d\d-\d\d\.json")
_DRIVE = re.compile(r"[A-Za-z]:")
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1
_PACKED_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADER = struct.Struct("<4s22xHH")
"""What stands before a file: a signature, and how long its name and its further fields are."""
_HEADER_SIGNATURE = b"PK\x03\x04"
_RAW_DEFLATE = -zlib.MAX_WBITS

NO_ZIP = "This file isn't a ZIP. Give the ZIP that Slack's export page offers, as it is."
LEAVES = "This ZIP has a file whose path leads out of it ({name}). No export of Slack has that, so nothing was read."
TOO_MANY = f"This ZIP has more than {MAX_FILES:,} files. Export a shorter range of dates."
BOMB = f"This ZIP says that it unpacks to more than {MAX_RATIO} times its size. No export does, so nothing was read."
PROTECTED = "This ZIP has a password. Unpack it and pack it again without one."
TEXT_FORM = "This export has conversations as text. Ask Slack for an export as JSON."
ORGANIZATION = (
    "This is the export of an organization with several workspaces. Pack one folder of teams/ as a ZIP, and give that."
)
NO_EXPORT = "This ZIP has no channels.json, so it isn't an export of Slack."


class ExportError(Exception):
    """The export can't be opened. The text is a sentence that says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of an export by what they are for."""

    lists: Mapping[str, str]
    """The name of each list in the ZIP, by its name in an export."""
    people: str
    """The name of the list of people, "" without one."""
    days: Mapping[str, Sequence[str]]
    """The names of the files with messages in order, by folder."""
    unknown: int
    """How many other files there are."""


class Place(NamedTuple):
    """Where a file stands in the ZIP, as the ZIP's directory declares it."""

    offset: int
    packed: int
    size: int
    """How many bytes the file has, unpacked."""
    packed_by: int
    checksum: int


class Reader:
    """Reads files of a ZIP by their places."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = Lock()

    def objects(self, place: Place) -> list[dict[str, Any]] | None:
        """Returns the objects in a file's list, None if the file can't be read."""
        if place.size > MAX_FILE_BYTES or place.packed_by not in _PACKED_BY:
            return None
        try:
            entries = json.loads(self._read(place))
        except (OSError, EOFError, ValueError, OverflowError, RecursionError, struct.error, zlib.error):
            return None
        return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else None

    def _read(self, place: Place) -> bytes:
        """Returns a file's content: no more bytes than declared. Raises ValueError if it isn't what was declared."""
        with self._lock:
            self._file.seek(place.offset)
            signature, name, further = _HEADER.unpack(self._file.read(_HEADER.size))
            self._file.seek(name + further, os.SEEK_CUR)
            # A stored file is as long as it is packed.
            content = self._file.read(min(place.packed, MAX_FILE_BYTES))
        if place.packed_by == zipfile.ZIP_DEFLATED and place.size:
            content = zlib.decompressobj(_RAW_DEFLATE).decompress(content, place.size)
        if signature != _HEADER_SIGNATURE or len(content) != place.size or zlib.crc32(content) != place.checksum:
            raise ValueError("The file isn't what the ZIP's directory declares.")
        return content


class Archive:
    """An open ZIP. Raises ExportError."""

    def __init__(self, source: str | BinaryIO) -> None:
        try:
            # It stays open as long as it is in use: a channel is read when somebody opens it.
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
        """Returns where a file stands."""
        return self._places[name]

    def objects(self, name: str) -> list[dict[str, Any]] | None:
        """Returns the objects in a file's list, None if the file can't be read."""
        return self.reader.objects(self._places[name])


def _places(infos: Sequence[zipfile.ZipInfo], size: int) -> dict[str, Place]:
    """Returns where each file stands, by name. Raises ExportError for a ZIP that no export is. `size`: the ZIP's."""
    if len(infos) > MAX_FILES:
        raise ExportError(TOO_MANY)
    packed = min(size, sum(info.compress_size for info in infos))
    # A file gives no more bytes than its entry declares.
    if sum(info.file_size for info in infos) > MAX_RATIO * packed + _ALWAYS_BYTES:
        raise ExportError(BOMB)
    places: dict[str, Place] = {}
    for info in infos:
        name = _name(info)
        path = name.replace("\\", "/")
        if path.startswith("/") or ".." in path.split("/") or _DRIVE.match(name):
            raise ExportError(LEAVES.format(name=name[:80]))
        if info.flag_bits & _ENCRYPTED:
            raise ExportError(PROTECTED)
        if not info.is_dir():
            place = Place(info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC)
            places.setdefault(name, place)
    return places


def _name(info: zipfile.ZipInfo) -> str:
    """Returns an entry's name. Slack writes UTF-8 without the mark that says so."""
    name = info.filename
    if name.isascii():
        return name
    if not info.flag_bits & _UTF8_NAME:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name)


def _contents(names: Mapping[str, object]) -> Contents:
    """Returns what the files are for. The export may stand in a folder, in a ZIP that somebody packed again."""
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
    """Yields the folder of a conversation, if it has messages. That of a direct message has the id as its name."""
    names = (str(entry.get("id")),) if kind == "im" else (str(entry.get("name")), str(entry.get("id")))
    for name in names:
        folder = unicodedata.normalize("NFC", name)
        if folder in contents.days:
            yield folder
            return
