"""Documents as text: office files, web pages, mails and PDFs as Markdown, and what the Markdown leaves out. Pure.

bot/documents makes it of a file's bytes, in a process of its own, which also converts images. Both sides know the
limits of that process.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

MAX_DOCUMENT_BYTES = 64 * 2**20
"""More than any file that is downloaded."""
MEMORY_BYTES = 384 * 2**20
"""Of addresses, which is more than of memory in use."""
CPU_S = 6
WALL_S = 8.0
"""Also for a process that waits for a CPU."""
MAX_OUTPUT_BYTES = 5 * 2**20
"""More than MAX_CHARS take, and more than an image of MAX_IMAGE_BYTES in base64."""
OUT_OF_MEMORY = 3
"""The exit code of a process that couldn't get more memory."""
MAX_IMAGE_BYTES = 3_700_000
"""Anthropic accepts 5 MB of base64 per image: https://platform.claude.com/docs/en/build-with-claude/vision"""
MAX_IMAGE_PIXELS = 2_000
"""The longer side. Anthropic accepts 8,000 pixels, and 2,000 in a request of more than 20 images. All vendors scale
larger images down themselves.
"""
MAX_CHARS = 1_000_000
"""The limit for a document's text. Of more, the beginning is read."""
MAX_NAMES = 3
"""How many of the parts that were left out are named. The others are counted."""
MAX_REPEATED = 100
"""How often one cell or row may be repeated: a sheet's empty rest is one that is repeated a million times."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


class Format(StrEnum):
    """The formats that are told apart before a document is read. An archive holds office files, as OLE does."""

    ARCHIVE = "archive"
    OLE = "ole"
    FLAT_ODF = "flat OpenDocument"
    """One XML file in place of an archive: fodt, fods, fodp."""
    RTF = "rtf"
    HTML = "html"
    MAIL = "mail"
    CSV = "csv"
    TEXT = "text"
    """One whose charset has to be guessed."""
    PDF = "pdf"
    IMAGE = "image"
    """One that vendors don't accept as it is. It becomes another image, not a text."""


class Part(StrEnum):
    """What a document's text may leave out."""

    HIDDEN_SHEET = "hidden sheet"
    HIDDEN_ROW = "hidden row"
    HIDDEN_COLUMN = "hidden column"
    HIDDEN_SLIDE = "hidden slide"
    PAGE = "page without text"
    COMMENT = "comment"
    FORMULA = "formula without a saved result"
    ERROR = "formula error"
    STRING = "cell without its text"
    """The part of the file that has it is missing, or is too long."""
    PICTURE = "picture"
    CHART = "chart"
    DIAGRAM = "diagram"
    TEXT_BOX = "text box"
    EQUATION = "equation"
    ATTACHMENT = "attachment"
    DELETION = "tracked deletion"
    HIDDEN_TEXT = "hidden passage"
    CONTROL = "form control"
    OLD_FORMAT = "old format"
    """What nobody reads of files of before 2007."""
    OLD_SHEET = "old sheet"
    """What nobody reads of xls and xlsb files."""
    END = "end"


class Obstacle(StrEnum):
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
    guessed_charset: str = ""
    """The charset that its letters were read in, if that is a guess."""
    is_markdown: bool = True
    """False: the file is a text, which is as it was."""


def decode_text(content: bytes) -> str | None:
    """Returns the text in a file's bytes if they are UTF-8, or UTF-16 with a mark. Others need a guess: charsets.py."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if has_controls(text) else with_newlines(text)


def has_controls(text: str) -> bool:
    """Whether a text has characters that no text has, and is something else."""
    return "\0" in text or _CONTROLS.search(text, 0, 100_000) is not None


def with_newlines(text: str) -> str:
    # A file of 20 MB may hold ten times as many line ends as characters are read, and replacing them takes 0.1 s.
    return text.replace("\r\n", "\n", MAX_CHARS)


_SPACE, _SPACE_BUT_TABS = re.compile(r"\s+"), re.compile(r"[^\S\t]+")


class Unreadable(Exception):
    """The document can't be read."""

    def __init__(self, refusal: Obstacle) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class Full(Exception):
    """The limit for a document's text is reached."""


def _in_cell(text: str) -> str:
    """Returns a text as it stands in a table's cell, where <br> ends a line."""
    lines = (_SPACE_BUT_TABS.sub(" ", line).strip() for line in (text.strip().split("\n") if "\n" in text else [text]))
    return "<br>".join(lines).replace("|", "\\|")


class Draft:
    """Collects a document's blocks."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._room = MAX_CHARS
        self._left_out: dict[Part, LeftOut] = {}
        self._guessed_charset = ""

    def add(self, text: str, end: str = "\n\n") -> None:
        """Adds a block, or a line with the end "\\n". Raises Full."""
        text = text.strip("\n")
        if not text.strip():
            return
        if len(end) > 1:
            self._end_lines()
        self._pieces.append(text[: self._room] + end)
        self._room -= len(text) + len(end)
        if self._room <= 0:
            self.leave_out(Part.END)
            raise Full

    def table(self, rows: Iterable[Sequence[str]]) -> None:
        """Adds a table, whose first row is its header. Empty rows and the empty ends of rows are dropped."""
        self._end_lines()
        is_header = True
        for row in rows:
            cells = [_in_cell(cell) for cell in row]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                self.add(f"| {' | '.join(cells)} |", "\n")
                if is_header:
                    self.add(f"|{'---|' * len(cells)}", "\n")
                is_header = False
        self._end_lines()

    def leave_out(self, part: Part, names: Sequence[str] = (), count: int = 1) -> None:
        """Notes that something is left out: these, or without names that many."""
        if not (count := len(names) or count):
            return
        before = self._left_out.get(part, LeftOut(part, 0))
        short = (_SPACE.sub(" ", name).strip()[:60] for name in names[:MAX_NAMES])
        self._left_out[part] = LeftOut(part, before.count + count, (*before.names, *short)[:MAX_NAMES])

    def say_guess(self, charset: str) -> None:
        """Notes that the charset of some of the text is a guess; "" if it is none."""
        self._guessed_charset = self._guessed_charset or charset

    def _end_lines(self) -> None:
        """Adds the empty line without which Markdown would join the next block to these lines."""
        if self._pieces and not self._pieces[-1].endswith("\n\n"):
            self._pieces[-1] += "\n"

    def document(self, *, is_markdown: bool = True) -> Document:
        """Returns what was collected."""
        text, left_out = "".join(self._pieces).strip("\n"), tuple(self._left_out.values())
        return Document(text, left_out, self._guessed_charset, is_markdown)
