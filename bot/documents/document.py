"""Documents as text: office files, web pages, mails and PDFs as Markdown, and what the Markdown leaves out. Pure.

bot/documents makes it of a file's bytes, in a process of its own, which also converts images.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

MAX_CHARS = 1_000_000
"""The limit for a document's text. Of more, the beginning is read."""
MAX_NAMES = 3
"""How many of the parts that were left out are named. The others are counted."""
MAX_NEWLINES = 1_000_000
"""How many of a text's line ends become newlines. A file of 20 MB may hold ten times as many, in 0.1 s."""
_CHECKED_CHARS = 100_000
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


class Kind(StrEnum):
    """The formats that are told apart before a document is read. An archive holds office files, as OLE does."""

    ARCHIVE = "archive"
    OLE = "ole"
    FLAT_ODF = "flat OpenDocument"
    """One XML file in place of an archive: fodt, fods, fodp."""
    RTF = "rtf"
    HTML = "html"
    MAIL = "mail"
    CSV = "csv"
    PDF = "pdf"
    IMAGE = "image"
    """One that vendors don't accept as it is. It becomes another image, not a text."""


class Part(StrEnum):
    """What a document's text may leave out."""

    HIDDEN_SHEET = "hidden sheet"
    HIDDEN_SLIDE = "hidden slide"
    PAGE = "page without text"
    COMMENT = "comment"
    FORMULA = "formula without a saved result"
    ERROR = "formula error"
    PICTURE = "picture"
    CHART = "chart"
    DIAGRAM = "diagram"
    TEXT_BOX = "text box"
    EQUATION = "equation"
    ATTACHMENT = "attachment"
    END = "end"


class Refusal(StrEnum):
    """Why a document has no text."""

    KIND = "kind"
    """Its bytes are of a format that isn't read."""
    DAMAGED = "damaged"
    PROTECTED = "protected"
    TOO_LARGE = "too large"
    """Reading it would take too much memory or time."""
    TOO_MANY_PIXELS = "too many pixels"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Parts of a document that its text leaves out."""

    part: Part
    count: int
    names: tuple[str, ...] = field(default=(), repr=False)
    """The first of them, as the document names them."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document's text as Markdown."""

    text: str = field(repr=False)
    left_out: Sequence[LeftOut] = ()


def decode_text(content: bytes) -> str | None:
    """Returns the text in a file's bytes, None if they hold no text."""
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        has_controls = "\0" in text or _CONTROLS.search(text, 0, _CHECKED_CHARS)
        return None if has_controls else text.replace("\r\n", "\n", MAX_NEWLINES)
    return None
