import pytest
from hypothesis import given
from hypothesis import strategies as st

from files_to_markdown import formats
from files_to_markdown.document import MAX_CHARS, Document, Format, decode_text
from files_to_markdown.kind import document_kind, is_pdf

MAIL = b"From: a@example.com\nSubject: x\nMIME-Version: 1.0\n\nx"
SHEETS = b"urn:schemas-microsoft-com:office:spreadsheet"


@pytest.mark.parametrize(
    ("name", "mimetype", "content", "kind"),
    [
        ("plan", "", b"PK\x03\x04...", Format.ARCHIVE),
        ("plan.xls", "application/vnd.ms-excel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Format.OLE),
        ("plan.txt", "text/plain", b"{\\rtf1\\ansi}", Format.RTF),
        ("plan.doc", "application/msword", b"{\\rtf1\\ansi}", Format.RTF),
        ("plan.doc", "application/msword", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Format.OLE),
        ("plan.doc", "application/msword", b"<html><p>x", Format.HTML),
        ("plan.doc", "application/msword", b"Date: x\r\nMIME-Version: 1.0\r\n", Format.MAIL),
        ("plan.doc", "application/msword", b"plain", None),
        ("plan.mht", "message/x", b"MIME-Version: 1.0\n", Format.MAIL),
        ("plan.xls", "application/vnd.ms-excel", b"<html><table>", Format.HTML),
        ("plan.csv", "text/plain", b"a;b", Format.CSV),
        ("plan", "text/csv", b"a;b", Format.CSV),
        ("plan", "text/tab-separated-values", b"a\tb", Format.CSV),
        ("plan.txt", "message/rfc822", b"Subject: x", Format.MAIL),
        ("plan.xhtml", "", b"<html>", Format.HTML),
        ("plan", "application/xhtml+xml", b"<html>", Format.HTML),
        ("a.vnt", "", b"BEGIN:VNOTE\n", Format.CARDS),
        ("a.vmg", "", b"BEGIN:VMSG\n", Format.CARDS),
        ("plan.csv", "text/csv", b"<!DOCTYPE html>\n<html><p>Sign in", Format.HTML),
        ("plan.tsv", "", b"\xef\xbb\xbf<!-- x -->\n<TABLE border=1><tr><td>a", Format.HTML),
        ("plan", "text/csv", "<html><table>".encode("utf-16"), Format.HTML),
        ("plan.csv", "", b"<b>a</b>,<table>\n1,2\n", Format.CSV),
        ("plan.csv", "", b'a,"<html><table>"\n', Format.CSV),
        ("plan.msg", "application/vnd.ms-outlook", MAIL, Format.MAIL),
        ("plan.txt", "text/plain", b"\r\n" + MAIL.replace(b"\n", b"\r\n"), Format.MAIL),
        ("plan", "", b"Received: a\n\tb\n" * 1_000 + MAIL, Format.MAIL),
        ("mbox", "", b"From a\n" + MAIL, Format.MAIL),
        ("plan.msg", "", b"float64 x\nfloat64 y\n", None),
        ("plan.patch", "text/x-diff", MAIL, None),
        ("plan.txt", "", MAIL.replace(b"From:", b"Of:"), None),
        ("plan.txt", "", MAIL.replace(b"MIME-Version:", b"Version:"), None),
        ("plan.txt", "", b"A mail begins so\n" + MAIL, None),
        ("plan.txt", "", MAIL.replace(b"MIME", b"\nMIME"), None),
        ("plan.eml", "application/octet-stream", b"Subject: x", Format.MAIL),
        ("plan.html", "text/html", b"<!doctype HTML><p>x", Format.HTML),
        ("plan.html", "text/html", b"<!-- saved -->\n<html lang='en'>", Format.HTML),
        ("plan.html", "text/html", b"<li>{{ item }}</li>", None),
        ("plan.md", "text/markdown", b"<html>", None),
        ("plan.rtf", "", b"\xef\xbb\xbf\r\n{\\rtf1 a}", Format.RTF),
        ("a.vcf", "", b"\xef\xbb\xbfBEGIN:VCARD\r\n", Format.CARDS),
        ("a", "", b"begin:vcalendar\n", Format.CARDS),
        ("a.ldif", "", b"version: 1\n\ndn: cn=a\n", Format.CARDS),
        ("a.ldif", "", b"# extended LDIF\n#\n# LDAPv3\n\ndn: cn=a\n", Format.CARDS),
        ("a.ldif", "", b"version: 1\r\n\r\n#\r\n# a\r\n#\r\ndn:: YQ==\r\n", Format.CARDS),
        ("a.yaml", "", b"# dn: is a name\na: b\n", None),
        ("a.txt", "", b"BEGIN:VERSE", None),
        ("plan.ipynb", "", b"\xef\xbb\xbf{}", Format.NOTEBOOK),
        ("plan.html", "text/html", "<html><p>x".encode("utf-16"), Format.HTML),
        ("plan.html", "text/html", b"<!-- " + b"x" * 2_000 + b" --><html>", Format.HTML),
        ("plan.xls", "application/vnd.ms-excel", b"<style>td {}</style><table><tr>", Format.HTML),
        ("plan.xlsx", "", "<table><tr>".encode("utf-16"), Format.HTML),
        ("plan.doc", "application/msword", b"<p>x", Format.HTML),
        ("plan.xls", "", b"<style>" + b"td {}\n" * 1_000 + b"</style><table>", Format.HTML),
        ("plan.xls", "", b'<?xml version="1.0"?><s:Workbook xmlns:s="' + SHEETS + b'">', Format.OFFICE_XML),
        ("plan.xls", "", b"<?xml version='1.0'?><rows><p>x</p></rows>", None),
        ("plan.doc", "", b"a <p> is a paragraph", None),
        ("plan.fodt", "", b"<?xml version='1.0'?><!-- x -->\n<office:document a='b'>", Format.FLAT_ODF),
        ("plan.txt", "text/plain", b"plain", None),
        ("PLAN.CSV", "", b"a;b", Format.CSV),
        ("Plan.Doc", "", b"<html><p>x", Format.HTML),
        ("plan.ipynb", "", b"[]", None),
        ("plan.json", "", b"{}", None),
        ("plan.html.txt", "", b"<html>", None),
        ("plan", "multipart/related", b"x", Format.MAIL),
        ("plan.doc", "", b"x" * 2_048 + b"\nMIME-Version: 1.0", None),
        ("plan.doc", "", b"x" * 2_034 + b"\nMIME-Version: 1.0", Format.MAIL),
        ("plan.txt", "", MAIL.replace(b"Subject", b"Sub ject"), None),
    ],
)
def test_document_is_detected_by_its_bytes_and_text_formats_by_their_names(
    name: str, mimetype: str, content: bytes, kind: Format | None
) -> None:
    assert document_kind(name, mimetype, content) is kind


@pytest.mark.parametrize("text", ["#\n", "version: 1 ", "# \n\n", "From:\nMIME-Version:\n", "<!--", "\n", "From: \n "])
@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.xls"])
def test_kind_is_found_in_linear_time(name: str, text: str) -> None:
    assert document_kind(name, "", text.encode() * 500_000) in (None, Format.CSV, Format.MAIL)


@pytest.mark.parametrize(
    ("content", "is_one"),
    [
        (b"%PDF-1.7\n", True),
        (b"\x1b%-12345X\r\n%PDF-1.7\n", True),
        (b"A PDF begins with %PDF-1.7.", False),
        (b"%PDF- begins one", False),
        (b"\n" * 1_018 + b"%PDF-1.7\n", True),
        (b"\n" * 1_019 + b"%PDF-1.7\n", False),
    ],
)
def test_pdf_is_told_by_its_mark_at_the_beginning_of_a_line(content: bytes, is_one: bool) -> None:
    assert is_pdf(content) is is_one


def test_text_that_begins_with_the_mark_of_a_pdf_is_a_text() -> None:
    content = b"%PDF-1.7 is how a PDF begins.\n"
    assert formats.read(Format.PDF, content) == Document(content.decode().strip(), is_markdown=False)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff")))
def test_text_is_decoded_from_unicode_encodings(text: str) -> None:
    assert decode_text(text.encode()) == text
    assert decode_text(text.encode("utf-8-sig")) == text
    assert decode_text(text.encode("utf-16")) == text


def test_line_ends_become_newlines_in_a_bounded_time() -> None:
    lines = MAX_CHARS + 1
    assert decode_text(b"\r\n" * lines) == "\n" * MAX_CHARS + "\r\n"
    assert decode_text(b"a\r\nb\r\n") == "a\nb\n"


@given(st.binary())
def test_decoded_text_has_no_nul(content: bytes) -> None:
    text = decode_text(content)
    assert text is None or "\0" not in text
