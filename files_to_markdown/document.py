"""The result of converting a file: its text, and the parts that were left out. No I/O.

`child.py` creates the result from a file's bytes in a separate process, which also converts images. Both processes use
the limits that are defined here.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from files_to_markdown.embedded import MIN_CHARS, without_embedded_files

MAX_DOCUMENT_BYTES = 64 * 2**20
"""Maximum size of a document. Downloaded files are never larger."""
MEMORY_BYTES = 384 * 2**20
"""The limit of the address space, which is larger than the memory in use."""
CPU_S = 6
WALL_S = 15.0
"""Time limit, including time spent waiting for a CPU. On a busy machine, CPU_S can take longer than this, so there is a
second try."""
MAX_OUTPUT_BYTES = 5 * 2**20
"""Maximum size of the process's output, which is enough for MAX_CHARS and for MAX_IMAGE_BYTES in base64."""
OUT_OF_MEMORY = 3
"""The exit code of a process that ran out of memory."""
MAX_IMAGE_BYTES = 3_700_000
"""Anthropic accepts 5 MB of base64 per image: https://platform.claude.com/docs/en/build-with-claude/vision"""
MAX_IMAGE_PIXELS = 2_000
"""The maximum longer side of an image. Anthropic accepts 8,000 pixels, or 2,000 in a request with more than 20 images.
All vendors scale larger images down."""
MAX_PAGES = 5
"""Maximum number of a scan's pages that become images. All of them together have at most MAX_IMAGE_BYTES."""
MAX_CHARS = 1_000_000
MAX_NAMES = 3
"""Maximum number of left-out parts to list by name. The others are only counted."""
MAX_REPEATED = 100
"""Maximum repetitions of a cell or row. For example, the empty rest of a sheet is a row that is repeated a million
times."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_PADDING = re.compile(r"\x00{8,}")
"""Matches the zeros in a log that was cut off by a power failure or during a write."""
_SAMPLE_CHARS = 100_000
_SHOWN_CONTROLS = {
    **dict.fromkeys((*range(32), 0x7F)),
    **{code: 0x2400 + code for code in (1, 2, 3, 0x1C, 0x1D, 0x1E, 0x1F)},
    **{code: code for code in (0x09, 0x0A, 0x0C, 0x0D, 0x1B)},
    0x0B: 0x0A,
}
"""Replacements for control characters. Field separators become visible symbols, and a vertical tab ends a line."""


class Format(StrEnum):
    """The formats that are told apart before a document is read. ARCHIVE and OLE include several office formats."""

    ARCHIVE = "archive"
    OLE = "ole"
    FLAT_ODF = "flat OpenDocument"
    """An OpenDocument that is one XML file instead of an archive: fodt, fods, fodp."""
    OFFICE_XML = "XML of Office 2003"
    RTF = "rtf"
    HTML = "html"
    MAIL = "mail"
    CSV = "csv"
    NOTEBOOK = "notebook"
    CARDS = "cards"
    """Address books and calendars: vCard, iCalendar, LDIF."""
    TEXT = "text"
    """Text that is long, that contains other files, or whose charset must be guessed."""
    PDF = "pdf"
    IMAGE = "image"


class Part(StrEnum):
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
    """The part of the file that contains the string is missing or too long."""
    PICTURE = "picture"
    MODEL = "3D model"
    CHART = "chart"
    DIAGRAM = "diagram"
    TEXT_BOX = "text box"
    EQUATION = "equation"
    RECORDING = "recording"
    ATTACHMENT = "attachment"
    DELETION = "tracked deletion"
    HIDDEN_TEXT = "hidden passage"
    CONTROL = "form control"
    OLD_SHEET = "old sheet"
    """Everything except the cells of xls and xlsb files."""
    BINARY_SHEET = "binary sheet"
    """Number formats, and which rows and columns are hidden (in xlsb files only)."""
    EMBEDDED = "embedded file"
    """A file that is encoded within a text (embedded.py)."""
    MIDDLE = "middle"
    END = "end"


class Obstacle(StrEnum):
    """The reason why a document can't be read."""

    KIND = "kind"
    """The file's format isn't supported."""
    OLD_FORMAT = "old format"
    """Word or PowerPoint before 2007 (doc, ppt)."""
    NOT_INSTALLED = "not installed"
    """The packages that read old office files, RTF and Outlook messages aren't installed."""
    DAMAGED = "damaged"
    PROTECTED = "protected"
    TOO_LARGE = "too large"
    """Reading the document would need too much memory or time."""
    TOO_SLOW = "too slow"
    """The machine was too busy to read the document in time."""
    TOO_MANY_PIXELS = "too many pixels"


@dataclass(frozen=True, slots=True)
class LeftOut:
    part: Part
    count: int
    names: tuple[str, ...] = field(default=(), repr=False)
    """The names of the first such parts in the document."""


@dataclass(frozen=True, slots=True)
class Document:
    text: str = field(repr=False)
    left_out: Sequence[LeftOut] = ()
    guessed_charset: str = ""
    """The charset that was guessed to decode the text, or "" if none was."""
    is_markdown: bool = True
    """False if the text is unchanged plain text."""
    pages: int = 0
    """The number of pages in a PDF, including pages without text, or 0 for other documents."""


@dataclass(frozen=True, slots=True)
class ConvertedImage:
    media_type: str
    base64: str = field(repr=False)
    has_more: bool
    """Whether the file has more pages or frames than are included here."""
    other_pages: tuple["ConvertedImage", ...] = ()


def decode_text(content: bytes) -> str | None:
    """Decodes UTF-8, or UTF-16 with a byte order mark. Returns None for other charsets, which charsets.py guesses."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if is_binary(text, MAX_CONTROLS) else displayed_text(text)


MAX_INLINE_BYTES = 2**18
"""Maximum size of a text to read in this process, which takes at most 10 ms."""


def short_text(content: bytes) -> str | None:
    """Returns a file's text if it is short, in UTF-8 and without embedded files, otherwise None."""
    text = decode_text(content) if len(content) <= MAX_INLINE_BYTES else None
    return None if text is None or without_embedded_files(text)[1] else text


MAX_CONTROLS = 0.25
"""Maximum share of control characters in text whose charset is certain. A FIX log, for example, has one after each
field."""
MAX_CONTROLS_OF_GUESS = 0.02


def is_binary(text: str, max_controls: float) -> bool:
    """Returns whether there are too many control characters for this to be text. `max_controls`: their maximum
    share."""
    sample = _PADDING.sub("", text.lstrip("\0")[:_SAMPLE_CHARS])
    if not sample:
        return bool(text)
    return len(_CONTROLS.findall(sample)) > max(1, len(sample) * max_controls)


def displayed_text(text: str) -> str:
    """Returns a text the way a terminal shows it, without control characters and with uniform line endings."""
    # A 20 MB file can have ten times as many line ends as characters that are used, and replacing them takes 0.1 s.
    text = text.replace("\r\n", "\n", MAX_CHARS)
    if not _CONTROLS.search(text):
        return text
    if "\b" in text:
        text = "\n".join(_apply_backspaces(line) if "\b" in line else line for line in text.split("\n"))
    return text.translate(_SHOWN_CONTROLS)


def _apply_backspaces(line: str) -> str:
    """Applies the backspaces in a line, each of which deletes the previous character."""
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
    def __init__(self, refusal: Obstacle) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class DraftFull(Exception):
    """Raised when the text of a document has reached its maximum length."""


class TimeIsUp(DraftFull):
    """Raised when a document has used nearly all of its CPU time."""


def _cell_text(text: str) -> str:
    """Returns a text for a table cell, with <br> for each line break."""
    lines = (_SPACE_BUT_TABS.sub(" ", line).strip() for line in (text.strip().split("\n") if "\n" in text else [text]))
    return "<br>".join(lines).replace("|", "\\|")


def code_block(text: str, language: str = "") -> str:
    """Returns a text as a fenced code block, or "" if it is blank."""
    if not text.strip():
        return ""
    fence = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(text)), default=0))
    return f"{fence}{language}\n{text.strip(chr(10))}\n{fence}"


class Draft:
    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._room = MAX_CHARS
        self._left_out: dict[Part, LeftOut] = {}
        self._guessed_charset = ""
        self.pages = 0

    def add(self, text: str, end: str = "\n\n") -> None:
        r"""Adds a block, or a line if `end` is "\n". Raises DraftFull."""
        text = text.strip("\n")
        if not text.strip():
            return
        text = self._without_embedded_files(text)
        if len(end) > 1:
            self._end_lines()
        is_cut = len(text) > self._room
        self._pieces.append(text[: self._room] + end)
        self._room = max(0, self._room - len(text) - len(end))
        if is_cut:
            self.record_left_out(Part.END)
            raise DraftFull

    def _without_embedded_files(self, text: str) -> str:
        if len(text) >= MIN_CHARS:
            text, count = without_embedded_files(text)
            self.record_left_out(Part.EMBEDDED, count=count)
        return text

    def add_beginning_and_end(self, text: str) -> None:
        """Adds a text or, if it is too long, its beginning and end, because the end of a log matters most."""
        text = self._without_embedded_files(text)
        half = MAX_CHARS // 2 - 100
        if len(text) > 2 * half:
            self.record_left_out(Part.MIDDLE)
            text = f"{text[:half]}\n\n(…)\n\n{text[-half:]}"
        self.add(text)

    def add_table(self, rows: Iterable[Sequence[str]]) -> None:
        """Adds a table whose first row is its header. Empty rows and trailing empty cells are dropped."""
        self._end_lines()
        is_header = True
        for row in rows:
            cells = [_cell_text(cell) for cell in row]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                self.add(f"| {' | '.join(cells)} |", "\n")
                if is_header:
                    self.add(f"|{'---|' * len(cells)}", "\n")
                is_header = False
        self._end_lines()

    def record_left_out(self, part: Part, names: Sequence[str] = (), count: int = 1) -> None:
        """Records which parts were left out, either by name or as a `count`."""
        if not (count := len(names) or count):
            return
        before = self._left_out.get(part, LeftOut(part, 0))
        short = (_SPACE.sub(" ", name).strip()[:60] for name in names[:MAX_NAMES])
        self._left_out[part] = LeftOut(part, before.count + count, (*before.names, *short)[:MAX_NAMES])

    @property
    def is_empty(self) -> bool:
        return not self._pieces

    def record_guess(self, charset: str) -> None:
        """Records the guessed charset for a part of the text, unless it is ""."""
        self._guessed_charset = self._guessed_charset or charset

    def _end_lines(self) -> None:
        """Adds an empty line, because Markdown would otherwise join the next block to the lines before it."""
        if self._pieces and not self._pieces[-1].endswith("\n\n"):
            self._pieces[-1] += "\n"

    def document(self, *, is_markdown: bool = True) -> Document:
        text, left_out = "".join(self._pieces).strip("\n"), tuple(self._left_out.values())
        return Document(text, left_out, self._guessed_charset, is_markdown, self.pages)
