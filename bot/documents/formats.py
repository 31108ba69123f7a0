"""Which reader a document needs, by its bytes."""

import re
from contextlib import suppress

from bot.documents import mail, markup, open_document, pdf, rich_text, sheets, slides, word
from bot.documents.archive import Archive
from bot.documents.document import Document, Kind, Refusal, decode_text
from bot.documents.draft import Draft, Full, Unreadable

_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_HTML_HEAD_BYTES = 2_048


def read(kind: Kind, content: bytes) -> Document:
    """Returns a document as Markdown. Raises Unreadable, or any error of the libraries."""
    draft = Draft()
    # The draft says so.
    with suppress(Full):
        _add(kind, content, draft)
    return draft.document()


def charsets(content: bytes) -> list[str]:
    """Returns the names of encodings that a web page or a mail says it uses, at most 20."""
    return [name.decode() for name in dict.fromkeys(_CHARSET.findall(content))][:20]


def _add(kind: Kind, content: bytes, draft: Draft) -> None:
    match kind:
        case Kind.ARCHIVE:
            _add_archive(content, draft)
        case Kind.OLE:
            _add_ole(content, draft)
        case Kind.FLAT_ODF:
            open_document.read_flat(content, draft)
        case Kind.RTF:
            rich_text.read(content, draft)
        case Kind.HTML:
            markup.read(_html(content), draft)
        case Kind.MAIL:
            mail.read(content, draft)
        case Kind.CSV:
            sheets.read_csv(content, draft)
        case Kind.PDF:
            pdf.read(content, draft)


def _add_archive(content: bytes, draft: Draft) -> None:
    archive = Archive(content)
    mimetype = archive.bytes_of("mimetype").strip()
    if "META-INF/manifest.xml" in archive.names:
        open_document.check_protection(archive)
    if any(archive.matching(word.DOCUMENT)):
        word.read(archive, draft)
    elif slides.PRESENTATION in archive.names:
        slides.read(archive, draft)
    elif {"xl/workbook.xml", "xl/workbook.bin"} & set(archive.names) or mimetype.endswith(b".spreadsheet"):
        sheets.read(content, archive, draft)
    elif b".opendocument." in mimetype and "content.xml" in archive.names:
        open_document.read(archive, draft)
    else:
        raise Unreadable(Refusal.KIND)


def _add_ole(content: bytes, draft: Draft) -> None:
    """Adds an xls file. Protected newer files are OLE as well, and so are old ones of Word and PowerPoint."""
    if "EncryptedPackage".encode("utf-16-le") in content:
        raise Unreadable(Refusal.PROTECTED)
    if not any(name.encode("utf-16-le") in content for name in ("Workbook", "Book")):
        raise Unreadable(Refusal.KIND)
    sheets.read(content, None, draft)


def _html(content: bytes) -> str:
    for charset in charsets(content[:_HTML_HEAD_BYTES]):
        try:
            return content.decode(charset)
        except (LookupError, UnicodeDecodeError):
            continue
    text = decode_text(content)
    if text is None:
        raise Unreadable(Refusal.KIND)
    return text
