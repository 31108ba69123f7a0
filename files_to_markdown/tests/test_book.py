"""Books and old workbooks, recognized by their first bytes and parts."""

import pytest

from files_to_markdown import formats
from files_to_markdown.benchmarks.document_corpus import corpus
from files_to_markdown.benchmarks.hostile_documents import pack_zip
from files_to_markdown.document import Document, Format, LeftOut, Obstacle, Part, Unreadable

CONTAINER = '<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
PACKAGE = (
    '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
    '<item id="b" href="two%20b.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="a" href="text/one.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="i" href="i.png" media-type="image/png"/>'
    '</manifest><spine><itemref idref="a"/><itemref idref="b"/><itemref idref="gone"/></spine></package>'
)
PARTS: dict[str, str | bytes] = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": CONTAINER,
    "OEBPS/book.opf": PACKAGE,
    "OEBPS/two b.xhtml": "<html><body><h1>Two</h1><p>Größe</p></body></html>",
    "OEBPS/text/one.xhtml": "<html><body><h1>One</h1></body></html>",
}


def test_book_is_read_in_the_order_of_its_spine() -> None:
    read = formats.read(Format.ARCHIVE, pack_zip(PARTS))
    assert read == Document("# One\n\n# Two\n\nGröße", (LeftOut(Part.PICTURE, 1),))


def test_encrypted_book_is_refused() -> None:
    names = "".join(f'<CipherReference URI="{name}"/>' for name in PARTS if name.endswith("xhtml"))
    with pytest.raises(Unreadable) as caught:
        formats.read(
            Format.ARCHIVE, pack_zip({**PARTS, "META-INF/encryption.xml": f"<encryption>{names}</encryption>"})
        )
    assert caught.value.refusal is Obstacle.PROTECTED


def test_book_whose_fonts_are_encrypted_is_read() -> None:
    rights = '<encryption><CipherReference URI="OEBPS/font.otf"/></encryption>'
    assert formats.read(Format.ARCHIVE, pack_zip({**PARTS, "META-INF/encryption.xml": rights})).text.startswith("# One")


def test_password_of_an_old_workbook_is_missed() -> None:
    content = bytearray(corpus()["0-xlwt.xls"])
    # The record after the first one becomes FILEPASS.
    content[512 + 20 : 512 + 22] = b"\x2f\0"
    with pytest.raises(Unreadable) as caught:
        formats.read(Format.OLE, bytes(content))
    assert caught.value.refusal is Obstacle.PROTECTED


@pytest.mark.parametrize("name", ["WORKBOOK", "Workbook"])
def test_old_workbook_is_read_however_its_stream_is_written(name: str) -> None:
    content = corpus()["0-xlwt.xls"].replace("Workbook".encode("utf-16-le"), name.encode("utf-16-le"))
    assert "Person 000" in formats.read(Format.OLE, content).text
