"""Archives of office files: refused by their directory if they are too large, and the XML in them."""

import io
import re
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree

from bot.documents.document import Refusal
from bot.documents.draft import Unreadable

MAX_UNPACKED_BYTES = 100 * 2**20
MAX_ENTRIES = 5_000
_ENCRYPTED_FLAG = 1


class Archive:
    """An archive that was checked. Raises Unreadable if it can't be read."""

    def __init__(self, content: bytes) -> None:
        self._zip = zipfile.ZipFile(io.BytesIO(content))
        entries = self._zip.infolist()
        if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
            raise Unreadable(Refusal.TOO_LARGE)
        if any(entry.flag_bits & _ENCRYPTED_FLAG for entry in entries):
            raise Unreadable(Refusal.PROTECTED)
        self.names = [entry.filename for entry in entries]

    def bytes_of(self, name: str) -> bytes:
        """Returns an entry's bytes, b"" if there is none."""
        return self._zip.read(name) if name in self.names else b""

    def xml(self, name: str) -> ElementTree.Element:
        """Returns an entry as XML."""
        return parsed(self._zip.read(name))

    def matching(self, pattern: str) -> Iterator[str]:
        """Yields the names of entries that match a pattern, in the order of the numbers in them."""
        found = [name for name in self.names if re.fullmatch(pattern, name)]
        return iter(sorted(found, key=lambda name: [int(digits) for digits in re.findall(r"\d+", name)]))

    def count(self, pattern: str, of: bytes) -> int:
        """Returns how often the expression `of` is found in the entries whose names match the pattern."""
        return sum(len(re.findall(of, self.bytes_of(name))) for name in self.matching(pattern))


def parsed(xml: bytes) -> ElementTree.Element:
    """Returns XML as an element. expat loads no external entities, and refuses those that grow."""
    return ElementTree.fromstring(xml)  # noqa: S314


def local(element: ElementTree.Element) -> str:
    """Returns an element's name without its namespace: producers use several versions of the same namespaces."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def attribute(element: ElementTree.Element, name: str) -> str:
    """Returns an attribute by its name without a namespace, "" if it is missing."""
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")
