"""Determines a document's format from its bytes and, for text, also from its name and MIME type. No I/O."""

import re

from files_to_markdown.document import Format

_BEGINNINGS = {b"PK\x03\x04": Format.ARCHIVE, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": Format.OLE}
_LEAD_BYTES = 2**14
_MAX_HEADERS_BYTES = 2**16
_RTF = b"{\\rtf"
_PDF = re.compile(rb"(?<![ -~])%PDF-[0-9]")
_MAILS = ("eml", "emlx", "mbox", "mht", "mhtml")
_PAGES = ("html", "htm", "xhtml")
_HTML = re.compile(rb"<(?:!doctype\s+html|html|body)[\s>]", re.IGNORECASE)
"""Matches a complete page. Anything else is a template, which is more useful unchanged."""
_CARDS = re.compile(rb"BEGIN:V(?:CARD|CALENDAR|NOTE|MSG)\b|(?:(?:#[^\n]*+\n|version: ?1\s)\s*+)*dn::? ", re.IGNORECASE)
"""Matches an address book or calendar, after the comments that programs write when they query a directory."""
_OFFICE = ("doc", "docx", "xls", "xlsx")
"""Extensions that programs give to exported pages and tables, so that an office program opens them."""
_TABLES = ("csv", "tsv")
_MIME = re.compile(rb"^MIME-Version:", re.IGNORECASE | re.MULTILINE)
"""Matches a header of pages that wikis export with Word's extension, and of mails that also have the other headers."""
_HEADER = re.compile(rb"[!-9;-~]+:|[ \t]")
_SENDER = re.compile(rb"^From:", re.IGNORECASE | re.MULTILINE)
_MAYBE_MAILS = ("msg", "txt")
"""Extensions that people and programs give to raw mail, if they use any."""
_TAG = re.compile(rb"<(?:table|t[rdh]|p|div|h[1-6]|[uo]l|br)[\s/>]", re.IGNORECASE)
_OFFICE_XML = re.compile(
    rb'progid="(?:Word\.Document|Excel\.Sheet|PowerPoint\.Show)"|<w:wordDocument[\s>]|<pkg:package[\s>]'
    rb'|xmlns(?::\w+)?="urn:schemas-microsoft-com:office:spreadsheet"'
)
_WHOLE_PAGE = re.compile(
    rb"(?:<\?xml[^>]{0,200}>\s*+)?(?:<!--[^>]{0,200}-->\s*+)?<(?:!doctype\s+html|html|head|body|table)[\s>]",
    re.IGNORECASE,
)
"""Matches beginnings that rule out a table, because the text is a web page."""
_FLAT_ODF = re.compile(rb"(?:<\?xml[^>]{0,200}>)?\s{0,20}(?:<!--[^>]{0,200}-->\s{0,20})?<office:document\s")


def document_kind(name: str, media_type: str, content: bytes) -> Format | None:
    """Returns the format to read a file as, or None if the file is text, an image or a PDF, or isn't supported."""
    for beginning, kind in _BEGINNINGS.items():
        if content.startswith(beginning):
            return kind
    lead = _leading_bytes(content)
    if lead.startswith(_RTF) or _CARDS.match(lead):
        return Format.RTF if lead.startswith(_RTF) else Format.CARDS
    if _FLAT_ODF.match(lead):
        return Format.FLAT_ODF
    if lead[:1] == b"<" and _OFFICE_XML.search(lead[:1_024]):
        return Format.OFFICE_XML
    extension = name.rpartition(".")[2].lower()
    if extension == "ipynb" and lead[:1] == b"{":
        return Format.NOTEBOOK
    if extension in _TABLES or media_type in ("text/csv", "text/tab-separated-values"):
        return Format.HTML if _WHOLE_PAGE.match(lead) else Format.CSV
    is_web_archive = extension in _OFFICE and _MIME.search(lead[:2_048])
    is_mail = extension in _MAILS or ((extension in _MAYBE_MAILS or "." not in name) and _is_mail(content))
    if is_mail or media_type in ("message/rfc822", "multipart/related") or is_web_archive:
        return Format.MAIL
    is_page = extension in (*_PAGES, *_OFFICE) or media_type in ("text/html", "application/xhtml+xml")
    is_piece = extension in _OFFICE and lead[:1] == b"<" and not lead.startswith(b"<?xml") and _TAG.search(lead)
    return Format.HTML if is_piece or (is_page and _HTML.search(lead)) else None


def _is_mail(content: bytes) -> bool:
    """Returns whether a file has mail headers, and nothing else, before its first empty line."""
    headers = content[:_MAX_HEADERS_BYTES].lstrip().replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    if not (_MIME.search(headers) and _SENDER.search(headers)):
        return False
    return all(map(_HEADER.match, headers.split(b"\n")))


def is_pdf(content: bytes) -> bool:
    """Returns whether a file is a PDF. Other bytes can precede the signature, but text that mentions it within a line
    isn't a PDF."""
    return _PDF.search(content, 0, 1_024) is not None


def _leading_bytes(content: bytes) -> bytes:
    """Returns a text's first bytes, without the byte order mark and spaces. For UTF-16, returns only the ASCII
    characters."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content[:_LEAD_BYTES].decode("utf-16", "ignore").encode("ascii", "ignore").lstrip()
    return content[:_LEAD_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
