"""Which reader a document needs, by its bytes."""

import io
import re
from contextlib import suppress

from olefile import OleFileIO

from bot.documents.archive import Archive, main_part, parsed
from bot.documents.book import CONTAINER, read_book
from bot.documents.charsets import decode
from bot.documents.document import Document, Draft, Format, Full, Obstacle, Unreadable
from bot.documents.mail import read_mail
from bot.documents.markup import read_html
from bot.documents.notebook import read_notebook
from bot.documents.old_office import read_old_slides, read_old_word
from bot.documents.open_document import read_open_document, read_open_sheets
from bot.documents.outlook import PROPERTIES, read_message
from bot.documents.pdf import read_pdf
from bot.documents.rtf import read_rtf
from bot.documents.sheets import is_protected, read_csv, read_sheets
from bot.documents.slides import read_slides
from bot.documents.word import read_word
from bot.documents.workbook import read_workbook

_CHARSET = re.compile(
    rb"(?:charset|coding)(?:\s{0,9}[=:]\s{0,9}|\s{1,9})[\"']?([\w.:-]{2,40})|\\usepackage\[([\w-]{2,40})\]\{inputenc\}",
    re.IGNORECASE,
)
"""As web pages, XML, style sheets, vCards, translations, Python and TeX name theirs."""

_CONTROLS = bytes((*range(1, 9), 11, *range(14, 27), *range(28, 32), 127))
"""In a page of bytes. Others switch between charsets, or end lines."""


def read(kind: Format, content: bytes) -> Document:
    """Returns a document as Markdown. Raises Unreadable, or any error of the libraries."""
    draft = Draft()
    # The draft says so.
    with suppress(Full):
        match kind:
            case Format.ARCHIVE:
                _add_archive(content, draft)
            case Format.OLE:
                _add_ole(content, draft)
            case Format.FLAT_ODF:
                root = parsed(content)
                read_open_document(root, root, None, draft)
            case Format.RTF:
                read_rtf(content, draft)
            case Format.MAIL:
                read_mail(content, draft)
            case Format.HTML | Format.CSV | Format.NOTEBOOK | Format.TEXT:
                _add_text(kind, content, draft)
            case Format.PDF:
                read_pdf(content, draft)
    return draft.document(is_markdown=kind is not Format.TEXT)


def _add_text(kind: Format, content: bytes, draft: Draft) -> None:
    match kind:
        case Format.HTML:
            read_html(_text(_without_controls(content), draft), draft)
        case Format.CSV:
            read_csv(_text(content, draft), draft)
        case Format.NOTEBOOK:
            read_notebook(_text(content, draft), draft)
        case _:
            draft.add_ends(_text(content, draft))


def _without_controls(content: bytes) -> bytes:
    """Returns a page without bytes that show nothing, which LibreOffice leaves in the place of a form's field."""
    return content if b"\0" in content else content.translate(None, _CONTROLS)


def _declared(content: bytes) -> list[str]:
    """Returns the charsets that a text names at its beginning."""
    return [name.decode() for name in dict.fromkeys(b"".join(names) for names in _CHARSET.findall(content[:2_048]))]


def _add_archive(content: bytes, draft: Draft) -> None:
    archive = Archive(content)
    mimetype = archive.bytes_of("mimetype").strip()
    if b"encryption-data" in archive.bytes_of("META-INF/manifest.xml"):
        raise Unreadable(Obstacle.PROTECTED)
    if main := main_part(archive, "document", r"word/document\d*\.xml"):
        read_word(archive, main, draft)
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


def _add_ole(content: bytes, draft: Draft) -> None:
    """Adds a file of before 2007, which its root tells. Protected newer files are of this kind as well."""
    if "EncryptedPackage".encode("utf-16-le") in content:
        raise Unreadable(Obstacle.PROTECTED)
    file = OleFileIO(io.BytesIO(content))
    # A file may hold those of other programs, with names of their own. Only its root tells what was shared.
    names = frozenset(file.root.kids_dict)
    if names & {"workbook", "book"}:
        if is_protected(content):
            raise Unreadable(Obstacle.PROTECTED)
        read_sheets(content, draft)
    elif "worddocument" in names:
        read_old_word(content, draft)
    elif "powerpoint document" in names:
        read_old_slides(content, draft)
    elif PROPERTIES in names:
        read_message(file, draft)
    else:
        raise Unreadable(Obstacle.KIND)


def _text(content: bytes, draft: Draft) -> str:
    """Returns the text in bytes, and notes in the draft if its charset is a guess. Raises Unreadable."""
    if (letters := decode(content, _declared(content))) is None:
        raise Unreadable(Obstacle.KIND)
    draft.say_guess(letters.guess)
    return letters.text
