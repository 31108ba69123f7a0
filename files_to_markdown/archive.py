"""Archives of XML, such as office files: their limits, entries, relationships and elements.

Producers use several versions of the same namespaces, so elements and attributes are found by their local names.
"""

import io
import posixpath
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import IO
from xml.etree import ElementTree

from files_to_markdown.document import Obstacle, Unreadable

MAX_UNPACKED_BYTES = 100 * 2**20
MAX_ENTRIES = 5_000
_CHUNK_BYTES = 2**18
_TYPES = "[Content_Types].xml"
STREAMED = re.compile(r"content\.xml|xl/(?:worksheets/[^/]*|sharedStrings\d*)\.xml")
"""Matches entries whose size doesn't matter, because they are read only until there is enough text."""


class Archive:
    """An office file. Raises Unreadable if it can't be read, or if its directory shows that it is too large."""

    def __init__(self, content: bytes) -> None:
        self._zip = zipfile.ZipFile(io.BytesIO(content))
        entries = self._zip.infolist()
        for entry in entries:
            # Some Windows programs use backslashes, and other programs begin at the root.
            entry.filename = entry.filename.replace("\\", "/").removeprefix("./").lstrip("/")
        self._zip.NameToInfo = {entry.filename: entry for entry in entries}
        unpacked_bytes = sum(entry.file_size for entry in entries if not STREAMED.fullmatch(entry.filename))
        if len(entries) > MAX_ENTRIES or unpacked_bytes > MAX_UNPACKED_BYTES:
            raise Unreadable(Obstacle.TOO_LARGE)
        # Bit 0: encrypted.
        if any(entry.flag_bits & 1 for entry in entries):
            raise Unreadable(Obstacle.PROTECTED)
        self.names = [entry.filename for entry in entries]
        self._spellings = {name.lower(): name for name in self.names}

    def entry_name(self, name: str) -> str:
        """Returns the name of a part's entry, which can differ in case, because names aren't case-sensitive (ECMA-376,
        part 2)."""
        return self._spellings.get(name.lower(), name)

    def bytes_of(self, name: str) -> bytes:
        return self._read(name) if name in self.names else b""

    def stream(self, name: str) -> IO[bytes]:
        return self._zip.open(name)

    def xml(self, name: str) -> ElementTree.Element:
        return parse_xml(self._read(name))

    def beginning(self, name: str, max_bytes: int) -> tuple[ElementTree.Element, bool]:
        """Returns the beginning of an entry as XML, and whether that is the whole entry. If not, its last elements
        might be incomplete."""
        with self.stream(name) as stream:
            return beginning_of(stream, max_bytes)

    def _read(self, name: str) -> bytes:
        if self._zip.getinfo(name).file_size > MAX_UNPACKED_BYTES:
            raise Unreadable(Obstacle.TOO_LARGE)
        return self._zip.read(name)

    def type_of(self, name: str) -> str:
        return self._mime_types.get(name) or self._mime_types.get(name.rpartition(".")[2]) or ""

    @cached_property
    def _mime_types(self) -> dict[str, str]:
        types = self.xml(_TYPES) if _TYPES in self.names else ()
        return {one.get("PartName", one.get("Extension", "")).lstrip("/"): one.get("ContentType", "") for one in types}

    def names_matching(self, pattern: str) -> Iterator[str]:
        """Yields the names of entries that match a pattern, ordered by the numbers in their names."""
        found = [name for name in self.names if re.fullmatch(pattern, name)]
        return iter(sorted(found, key=lambda name: [int(digits) for digits in re.findall(r"\d+", name)]))

    def count(self, pattern: str, wanted: bytes) -> int:
        """Counts the matches of `wanted` in all entries whose names match the pattern."""
        return sum(len(re.findall(wanted, self.bytes_of(name))) for name in self.names_matching(pattern))


def parse_xml(xml: bytes) -> ElementTree.Element:
    """Parses XML. expat doesn't load external entities, and rejects entities that expand too much."""
    return ElementTree.fromstring(xml)  # noqa: S314


def beginning_of(
    stream: IO[bytes], limit: int, size_of: Callable[[bytes], int] = len
) -> tuple[ElementTree.Element, bool]:
    """Returns the beginning of an XML file, and whether that is the whole file. `size_of`: measures a chunk for the
    limit."""
    size = 0
    builder = ElementTree.TreeBuilder()
    parser = ElementTree.XMLParser(target=builder)  # noqa: S314
    while (chunk := stream.read(_CHUNK_BYTES)) and (size := size + size_of(chunk)) <= limit:
        parser.feed(chunk)
    if not chunk:
        parser.close()
    return builder.close(), not chunk


def local_name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def attribute(element: ElementTree.Element, name: str) -> str:
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")


def relations_of(archive: Archive, name: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yields the ID of each relationship of a part, with its type and target part."""
    for element in _relations(archive, name):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), element.get("Target", ""))).lstrip("/")
        yield element.get("Id", ""), (element.get("Type", "").rpartition("/")[2], archive.entry_name(target))


def _relations(archive: Archive, name: str) -> Iterable[ElementTree.Element]:
    folder, file = posixpath.split(name)
    relations = archive.entry_name(posixpath.join(folder, "_rels", f"{file}.rels"))
    return archive.xml(relations) if relations in archive.names else ()


def main_part(archive: Archive, root: str, default_name: str) -> str:
    """Returns the name of the main document part if its root element is `root`. Otherwise, returns the first name that
    matches the pattern `default_name`, or "" if there is none."""
    begin = re.compile(rb"<(?:\w+:)?%s[\s>]" % root.encode())
    related = (target for kind, target in dict(relations_of(archive, "")).values() if kind == "officeDocument")
    found = (name for name in related if begin.search(archive.bytes_of(name)[:10_000]))
    return next(found, "") or next(archive.names_matching(default_name), "")


def external_urls(archive: Archive, name: str) -> dict[str, str]:
    return {
        element.get("Id", ""): element.get("Target", "")
        for element in _relations(archive, name)
        if element.get("TargetMode") == "External"
    }


def child(element: ElementTree.Element, name: str) -> ElementTree.Element | None:
    return next((one for one in element if local_name(one) == name), None)


def value_of(element: ElementTree.Element, name: str) -> str:
    found = child(element, name)
    return "" if found is None else attribute(found, "val")


def is_on(element: ElementTree.Element, name: str) -> bool:
    found = child(element, name)
    return found is not None and not is_off(found)


def is_off(property_: ElementTree.Element) -> bool:
    return attribute(property_, "val") in ("0", "false", "off", "none")
