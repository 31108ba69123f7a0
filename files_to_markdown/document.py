"""Documents as text: office files, web pages, mails and PDFs as Markdown, and what the Markdown leaves out. Pure.

`child.py` makes it of a file's bytes, in a process of its own, which also converts images. Both sides know the
limits of that process.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from files_to_markdown.embedded import MIN_CHARS, without_embedded

MAX_DOCUMENT_BYTES = 64 * 2**20
"""More than any file that is downloaded."""
MEMORY_BYTES = 384 * 2**20
"""Of addresses, which is more than of memory in use."""
CPU_S = 6
WALL_S = 15.0
"""Also for a process that waits for a CPU. Where the machine is busy, CPU_S may take longer: there is a second try."""
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
MAX_PAGES = 5
"""How many pages of a scan become images. Together they take no more than MAX_IMAGE_BYTES."""
MAX_CHARS = 1_000_000
"""The limit for a document's text. Of more, the beginning is read."""
MAX_NAMES = 3
"""How many of the parts that were left out are named. The others are counted."""
MAX_REPEATED = 100
"""How often one cell or row may be repeated: a sheet's empty rest is one that is repeated a million times."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_PADDING = re.compile(r"\x00{8,}")
"""Zeros in a log: it was cut while a program wrote, or the power went out."""
_SAMPLE_CHARS = 100_000
_SHOWN_CONTROLS = {
    **dict.fromkeys((*range(32), 0x7F)),
    **{code: 0x2400 + code for code in (1, 2, 3, 0x1C, 0x1D, 0x1E, 0x1F)},
    **{code: code for code in (0x09, 0x0A, 0x0C, 0x0D, 0x1B)},
    0x0B: 0x0A,
}
"""What a control character becomes: one that separates fields has a picture, a vertical tab ends a line."""


class Format(StrEnum):
    """The formats that are told apart before a document is read. An archive holds office files, as OLE does."""

    ARCHIVE = "archive"
    OLE = "ole"
    FLAT_ODF = "flat OpenDocument"
    """One XML file in place of an archive: fodt, fods, fodp."""
    OFFICE_XML = "XML of Office 2003"
    RTF = "rtf"
    HTML = "html"
    MAIL = "mail"
    CSV = "csv"
    NOTEBOOK = "notebook"
    """Of Jupyter: ipynb."""
    CARDS = "cards"
    """Address books and calendars: vCard, iCalendar, LDIF."""
    TEXT = "text"
    """One that is long, holds other files, or whose charset has to be guessed."""
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
    FIELD = "field without a saved result"
    ERROR = "formula error"
    STRING = "cell without its text"
    """The part of the file that has it is missing, or is too long."""
    PICTURE = "picture"
    MODEL = "3D model"
    CHART = "chart"
    DIAGRAM = "diagram"
    TEXT_BOX = "text box"
    EQUATION = "equation"
    RECORDING = "recording"
    """Of sound or pictures that move."""
    ATTACHMENT = "attachment"
    DELETION = "tracked deletion"
    HIDDEN_TEXT = "hidden passage"
    CONTROL = "form control"
    OLD_SHEET = "old sheet"
    """The parts of xls and xlsb files that are left out."""
    BINARY_SHEET = "binary sheet"
    """What is left out of xlsb files alone: number formats, and which rows and columns are hidden."""
    EMBEDDED = "embedded file"
    """One within a text, as letters and digits (embedded.py)."""
    MIDDLE = "middle"
    END = "end"


class Obstacle(StrEnum):
    """Why a document has no text."""

    KIND = "kind"
    """Its bytes are of a format that isn't read."""
    OLD_FORMAT = "old format"
    """Of Word or PowerPoint before 2007 (doc, ppt)."""
    DAMAGED = "damaged"
    PROTECTED = "protected"
    TOO_LARGE = "too large"
    """Reading it would take too much memory or time."""
    TOO_SLOW = "too slow"
    """The machine was too busy to read it in time."""
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
    pages: int = 0
    """How many pages a PDF has, also those without text; 0 for other documents."""


@dataclass(frozen=True, slots=True)
class ConvertedImage:
    """An image that vendors accept."""

    media_type: str
    base64: str = field(repr=False)
    has_more: bool
    """Whether the file has pages or frames that no image here shows."""
    further: tuple["ConvertedImage", ...] = ()
    """The pages of a scan behind the first one."""


def decode_text(content: bytes) -> str | None:
    """Returns the text in a file's bytes if they are UTF-8, or UTF-16 with a mark. Others need a guess: charsets.py."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if is_binary(text, MAX_CONTROLS) else as_shown(text)


MAX_INLINE_BYTES = 2**18
"""Of a text that is read without a process of its own, within 10 ms."""


def short_text(content: bytes) -> str | None:
    """Returns a file's text if it can be read at once: UTF-8, short, and without other files in it."""
    text = decode_text(content) if len(content) <= MAX_INLINE_BYTES else None
    return None if text is None or without_embedded(text)[1] else text


MAX_CONTROLS = 0.25
"""The share of control characters in a text whose charset is sure. A FIX log has one behind each field."""
MAX_CONTROLS_OF_GUESS = 0.02


def is_binary(text: str, max_controls: float) -> bool:
    """Whether so many characters are controls that the bytes are no text. `max_controls`: the share that a text has."""
    sample = _PADDING.sub("", text.lstrip("\0")[:_SAMPLE_CHARS])
    if not sample:
        return bool(text)
    return len(_CONTROLS.findall(sample)) > max(1, len(sample) * max_controls)


def as_shown(text: str) -> str:
    """Returns a text as a terminal shows it: without control characters, and with one kind of line end."""
    # A file of 20 MB may hold ten times as many line ends as characters are read, and replacing them takes 0.1 s.
    text = text.replace("\r\n", "\n", MAX_CHARS)
    if not _CONTROLS.search(text):
        return text
    if "\b" in text:
        text = "\n".join(_overtyped(line) if "\b" in line else line for line in text.split("\n"))
    return text.translate(_SHOWN_CONTROLS)


def _overtyped(line: str) -> str:
    """Returns a line in which each backspace has taken back the character before it."""
    kept: list[str] = []
    for character in line:
        if character != "\b":
            kept.append(character)
        elif kept:
            kept.pop()
    return "".join(kept)


_SPACE, _SPACE_BUT_TABS = re.compile(r"\s+"), re.compile(r"[^\S\t]+")
_BACKTICKS = re.compile("`+")


class Unreadable(Exception):
    """The document can't be read."""

    def __init__(self, refusal: Obstacle) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class Full(Exception):
    """The limit for a document's text is reached."""


class TimeIsUp(Full):
    """A document has taken nearly all the processor time that it may."""


def _in_cell(text: str) -> str:
    """Returns a text as it stands in a table's cell, where <br> ends a line."""
    lines = (_SPACE_BUT_TABS.sub(" ", line).strip() for line in (text.strip().split("\n") if "\n" in text else [text]))
    return "<br>".join(lines).replace("|", "\\|")


def code_block(text: str, language: str = "") -> str:
    """Returns a text as a block of code that nothing in the text ends, "" if the text is blank."""
    if not text.strip():
        return ""
    fence = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(text)), default=0))
    return f"{fence}{language}\n{text.strip(chr(10))}\n{fence}"


class Draft:
    """Collects a document's blocks."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._room = MAX_CHARS
        self._left_out: dict[Part, LeftOut] = {}
        self._guessed_charset = ""
        self.pages = 0
        """How many pages a PDF has."""

    def add(self, text: str, end: str = "\n\n") -> None:
        """Adds a block, or a line with the end "\\n". Raises Full."""
        text = text.strip("\n")
        if not text.strip():
            return
        text = self._without_embedded(text)
        if len(end) > 1:
            self._end_lines()
        is_cut = len(text) > self._room
        self._pieces.append(text[: self._room] + end)
        self._room = max(0, self._room - len(text) - len(end))
        if is_cut:
            self.leave_out(Part.END)
            raise Full

    def _without_embedded(self, text: str) -> str:
        """Returns a text without the files in it, which count as left out."""
        if len(text) >= MIN_CHARS:
            text, count = without_embedded(text)
            self.leave_out(Part.EMBEDDED, count=count)
        return text

    def add_ends(self, text: str) -> None:
        """Adds the beginning and the end of a text: of a log, the end matters most."""
        text = self._without_embedded(text)
        half = MAX_CHARS // 2 - 100
        if len(text) > 2 * half:
            self.leave_out(Part.MIDDLE)
            text = f"{text[:half]}\n\n(…)\n\n{text[-half:]}"
        self.add(text)

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

    @property
    def is_empty(self) -> bool:
        """Whether nothing is collected yet."""
        return not self._pieces

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
        return Document(text, left_out, self._guessed_charset, is_markdown, self.pages)
