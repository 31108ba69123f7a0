"""Chooses the reader for a document from its bytes."""

import importlib.util
import io
import re
from collections.abc import Sequence
from functools import partial
from xml.etree.ElementTree import ParseError

from files_to_markdown.archive import Archive, beginning_of, local_name, main_part
from files_to_markdown.book import CONTAINER, read_book
from files_to_markdown.cards import read_cards
from files_to_markdown.charsets import decode
from files_to_markdown.document import (
    Document,
    Draft,
    DraftFull,
    Format,
    Obstacle,
    Part,
    TimeIsUp,
    Unreadable,
    decode_text,
)
from files_to_markdown.kind import document_kind
from files_to_markdown.mail import read_mail
from files_to_markdown.markup import read_html
from files_to_markdown.notebook import read_notebook
from files_to_markdown.office_xml import pack_archive, read_office_sheets
from files_to_markdown.open_document import read_open_document, read_open_sheets
from files_to_markdown.pdf import read_pdf
from files_to_markdown.rtf import read_rtf
from files_to_markdown.sheets import is_protected, read_csv, read_sheets
from files_to_markdown.slides import read_slides
from files_to_markdown.word import read_word
from files_to_markdown.workbook import read_workbook

_HAS_OLD_READERS = all(map(importlib.util.find_spec, ("compressed_rtf", "olefile", "striprtf")))
"""Whether the packages that read old office files, RTF and Outlook messages are installed. They are optional."""

_CHARSET = re.compile(
    rb"(?:charset|coding|set names)(?:\s{0,9}[=:]\s{0,9}|\s{1,9})[\"']?([\w.:-]{2,40})|code_page\((\d{3,5})\)"
    rb"|\\inputencoding\{([\w-]{2,40})\}|\\(?:usepackage|RequirePackage)\s?\[([\w-]{2,40})\]\s?\{inputenc\}",
    re.IGNORECASE,
)
"""Matches charset declarations in web pages, XML, style sheets, vCards, translations, database dumps, Python and
TeX."""

_BODY = re.compile(rb"<office:(text|spreadsheet|presentation|drawing)[\s/>]")
_LEAD_BYTES = 2_048
_MAX_TAGS = 1_200_000
"""Maximum number of tags in office files that are one XML file. Bytes aren't limited, because pictures have many, but
only elements use memory."""
_LETTER = re.compile(rb"[\x80-\xff]")
_MAX_JOINED = 3
_MAX_STYLES_BYTES = 2**20
"""Maximum size of the cell styles that come before an OpenDocument's body."""
_CONTROLS = bytes((*range(1, 9), 11, *range(14, 27), *range(28, 32), 127))
"""Control characters to remove from a page's bytes, that is, all except those that switch charsets or end lines."""


def read(kind: Format, content: bytes) -> Document:
    """Converts a document to Markdown. After TimeIsUp, returns what has been converted so far. Raises Unreadable, or
    any error of the libraries."""
    draft = Draft()
    try:
        kind = _add_file(kind, content, draft)
    except TimeIsUp:
        if draft.is_empty:
            raise Unreadable(Obstacle.TOO_LARGE) from None
        draft.record_left_out(Part.END)
    except DraftFull:
        # The draft reports it.
        pass
    return draft.document(is_markdown=kind not in (Format.TEXT, Format.CARDS))


def _add_file(kind: Format, content: bytes, draft: Draft, declared: Sequence[str] = (), depth: int = 0) -> Format:
    """Adds a file to a draft, and returns the format that it was read as. `declared`: charsets that are declared
    outside the file. `depth`: the number of documents that contain this file."""
    match kind:
        case Format.ARCHIVE:
            _add_archive(content, draft, depth)
        case Format.OLE:
            _add_ole(content, draft)
        case Format.FLAT_ODF | Format.OFFICE_XML:
            return _add_xml(content, draft, depth)
        case Format.RTF:
            _check_old_readers()
            read_rtf(content[max(0, content.find(b"{\\rtf")) :], draft)
        case Format.MAIL:
            read_mail(content, draft)
        case Format.PDF:
            return _add_pdf(content, draft)
        case Format.CARDS:
            read_cards(content, [*declared, *_declared_charsets(content)], draft)
        case _:
            _add_text(kind, content, draft, declared)
    return kind


def _add_text(kind: Format, content: bytes, draft: Draft, declared: Sequence[str]) -> None:
    text = _decode(_without_controls(content) if kind is Format.HTML else content, declared, draft)
    match kind:
        case Format.HTML:
            read_html(text, draft)
        case Format.CSV:
            read_csv(text, draft)
        case Format.NOTEBOOK:
            read_notebook(text, draft)
        case _:
            draft.add_beginning_and_end(text)


def _add_xml(content: bytes, draft: Draft, depth: int) -> Format:
    """Adds an office file that is one XML file, and returns its format, which can be TEXT because plain text can begin
    the same way."""
    try:
        root, is_whole = beginning_of(io.BytesIO(content.lstrip()), _MAX_TAGS, lambda piece: piece.count(b"<"))
    except ParseError:
        return _add_file(Format.TEXT, content, draft)
    match local_name(root):
        case "document":
            read_open_document(root, root, None, draft)
        case "Workbook":
            read_office_sheets(root, draft)
        case "wordDocument" | "package":
            _add_archive(pack_archive(root, draft), draft, depth)
        case _:
            return _add_file(Format.TEXT, content, draft)
    draft.record_left_out(Part.END, count=not is_whole)
    return Format.OFFICE_XML


def _add_pdf(content: bytes, draft: Draft) -> Format:
    try:
        read_pdf(content, draft)
    except Unreadable as error:
        # A text can begin with a PDF's signature, but doesn't have objects.
        if error.refusal is not Obstacle.DAMAGED or b" obj" in content or decode_text(content) is None:
            raise
        return _add_file(Format.TEXT, content, draft)
    return Format.PDF


def _add_included_file(name: str, media_type: str, content: bytes, draft: Draft, depth: int) -> None:
    """Adds a file that a document includes in its text. Raises Unreadable if the file can't be read."""
    is_page = "htm" in f"{media_type} {name.rpartition('.')[2]}".lower()
    text = Format.HTML if is_page else Format.TEXT
    kind = document_kind(name, media_type.partition(";")[0], content) or text
    if depth > _MAX_JOINED:
        raise Unreadable(Obstacle.TOO_LARGE)
    _add_file(kind, content, draft, _charset_names(media_type.encode()), depth)


def _without_controls(content: bytes) -> bytes:
    """Removes invisible bytes from a page, which LibreOffice writes for form fields."""
    return content if b"\0" in content else content.translate(None, _CONTROLS)


def _declared_charsets(content: bytes) -> list[str]:
    """Returns the charsets that are declared at the beginning of a text or, if there are none, before its first
    non-ASCII character."""
    letter = _LETTER.search(content)
    lines = content[max(0, letter.start() - _LEAD_BYTES) : letter.start()] if letter else b""
    return _charset_names(content[:_LEAD_BYTES]) or _charset_names(lines)


def _charset_names(lead: bytes) -> list[str]:
    return [name.decode() for name in dict.fromkeys(b"".join(names) for names in _CHARSET.findall(lead))]


def _add_archive(content: bytes, draft: Draft, depth: int) -> None:
    archive = Archive(content)
    manifest = archive.bytes_of("META-INF/manifest.xml")
    # A program that repacks an OpenDocument may lose the entry with its type.
    mimetype = archive.bytes_of("mimetype").strip() or manifest or _type_from_content(archive)
    if b"encryption-data" in manifest:
        raise Unreadable(Obstacle.PROTECTED)
    if main := main_part(archive, "document", r"word/document\d*\.xml"):
        read_word(archive, main, draft, partial(_add_included_file, draft=draft, depth=depth + 1))
    elif main := main_part(archive, "presentation", r"ppt/presentation\.xml"):
        read_slides(archive, main, draft)
    elif main := main_part(archive, "workbook", r"xl/workbook\d*\.xml"):
        read_workbook(archive, main, draft)
    elif "xl/workbook.bin" in archive.names:
        read_sheets(content, draft)
    elif b".opendocument.spreadsheet" in mimetype and "content.xml" in archive.names:
        read_open_sheets(archive, draft)
    elif b".opendocument." in mimetype and "content.xml" in archive.names:
        root = archive.xml("content.xml")
        styles = archive.xml("styles.xml") if "styles.xml" in archive.names else root
        read_open_document(root, styles, archive, draft)
    elif CONTAINER in archive.names:
        read_book(archive, draft)
    else:
        raise Unreadable(Obstacle.KIND)


def _type_from_content(archive: Archive) -> bytes:
    """Determines an OpenDocument's type from its content. Returns b"" for any other archive."""
    if "content.xml" not in archive.names:
        return b""
    with archive.stream("content.xml") as stream:
        found = _BODY.search(stream.read(_MAX_STYLES_BYTES))
    return b".opendocument." + found[1] if found else b""


def _add_ole(content: bytes, draft: Draft) -> None:
    """Adds an office file from before 2007, which it recognizes by the names in its root. Protected newer files have
    the same container."""
    if "EncryptedPackage".encode("utf-16-le") in content:
        raise Unreadable(Obstacle.PROTECTED)
    _check_old_readers()
    from olefile import OleFileIO

    from files_to_markdown.outlook import PROPERTIES, read_message

    file = OleFileIO(io.BytesIO(content))
    # A file can contain those of other programs with their own names, so only its root identifies the type.
    names = frozenset(file.root.kids_dict)
    if names & {"workbook", "book"}:
        if is_protected(content):
            raise Unreadable(Obstacle.PROTECTED)
        read_sheets(content, draft)
    elif PROPERTIES in names:
        read_message(file, draft)
    elif names & {"worddocument", "powerpoint document"}:
        raise Unreadable(Obstacle.OLD_FORMAT)
    else:
        raise Unreadable(Obstacle.KIND)


def _check_old_readers() -> None:
    if not _HAS_OLD_READERS:
        raise Unreadable(Obstacle.NOT_INSTALLED)


def _decode(content: bytes, declared: Sequence[str], draft: Draft) -> str:
    """Decodes content, and records it in the draft if the charset is a guess. Raises Unreadable."""
    if (letters := decode(content, [*declared, *_declared_charsets(content)])) is None:
        raise Unreadable(Obstacle.KIND)
    draft.record_guess(letters.guess)
    return letters.text
