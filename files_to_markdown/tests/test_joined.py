"""Files within documents: those that Word joins to a docx when it opens one, and office files that are one XML file."""

import io
import re
import zipfile

import pytest

from files_to_markdown import formats
from files_to_markdown.benchmarks.hostile_documents import docx, pack_zip, pptx, xlsx
from files_to_markdown.document import Document, Format, LeftOut, Part
from files_to_markdown.kind import document_kind
from files_to_markdown.process import read_document
from files_to_markdown.tests.test_formats import run

RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
CHUNKS = '<w:altChunk r:id="c0"/><w:altChunk r:id="c1"/>'
NO_TEXT = bytes(range(256)) * 9
RUSSIAN = "Имя дня".encode("cp1251")
MHT = (
    b"MIME-Version: 1.0\nContent-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html; "
    b"charset=windows-1251\nContent-Transfer-Encoding: quoted-printable\n\n<html><p>=C8=EC=FF =E4=ED=FF</p>\n--b--\n"
)


def entries(file: bytes) -> dict[str, str | bytes]:
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def joining(body: str, *files: tuple[str, bytes], types: str = "") -> bytes:
    """Returns a docx with joined files that have the IDs c0, c1 and so on. `types`: entries for their types."""
    related = "".join(
        f'<Relationship Id="c{at}" Type="{OFFICE}/aFChunk" Target="{name}"/>' for at, (name, _) in enumerate(files)
    )
    content_types = f'<Types xmlns="{RELATIONS.replace("relationships", "content-types")}">{types}</Types>'
    return pack_zip(
        entries(docx(body))
        | {"word/_rels/document.xml.rels": f'<Relationships xmlns="{RELATIONS}">{related}</Relationships>'}
        | {"[Content_Types].xml": content_types}
        | {f"word/{name}": content for name, content in files}
    )


def paragraph(words: str) -> str:
    return f"<w:p>{run(words)}</w:p>"


NESTED = joining('<w:altChunk r:id="c0"/>', ("a.docx", joining('<w:altChunk r:id="c0"/>', ("b.txt", b"deep"))))
JOINED: dict[str, tuple[bytes, str]] = {
    "a page": (joining(CHUNKS, ("a.html", b"<p>one"), ("b.htm", b"<ul><li>two")), "one\n\n- two"),
    "a saved page": (joining('<w:altChunk r:id="c0"/>', ("a.mht", MHT)), "---\n\nИмя дня"),
    "rtf": (joining('<w:altChunk r:id="c0"/>', ("a.rtf", rb"{\rtf1 one\par}")), "one"),
    "a document": (NESTED, "deep"),
    "between paragraphs": (
        joining(f'{paragraph("a")}<w:altChunk r:id="c0"/>{paragraph("b")}', ("a.html", b"<html><p>one")),
        "a\n\none\n\nb",
    ),
    "in a cell": (
        joining(
            f'<w:tbl><w:tr><w:tc>{paragraph("a")}<w:altChunk r:id="c0"/></w:tc></w:tr></w:tbl>{paragraph("b")}',
            ("a.txt", b"one"),
        ),
        "| a |\n|---|\n\nb\n\none",
    ),
    "beside its mark": (joining(f'{paragraph(chr(0x10FFFD))}<w:altChunk r:id="c0"/>', ("a.txt", b"one")), "one"),
    "a charset of its own": (
        joining('<w:altChunk r:id="c0"/>', ("a.html", b"<html><meta charset=windows-1251><p>" + RUSSIAN)),
        "Имя дня",
    ),
    "a charset beside it": (
        joining(
            '<w:altChunk r:id="c0"/>',
            ("a.txt", RUSSIAN),
            types='<Default Extension="txt" ContentType="text/plain; charset=windows-1251"/>',
        ),
        "Имя дня",
    ),
    "a type beside it": (
        joining(
            '<w:altChunk r:id="c0"/>',
            ("a.dat", b"<p>one"),
            types='<Override PartName="/word/a.dat" ContentType="text/html"/>',
        ),
        "one",
    ),
}


@pytest.mark.parametrize(("content", "shown"), JOINED.values(), ids=JOINED)
def test_joined_file_is_read_in_its_place_and_charset(content: bytes, shown: str) -> None:
    read = formats.read(Format.ARCHIVE, content)
    assert read.text.replace("\U0010fffd\n\n", "") == shown
    assert (read.left_out, read.guessed_charset) == ((), "")


@pytest.mark.parametrize(
    "files",
    [
        [],
        [("a.png", b"\x89PNG" + NO_TEXT)],
        [("a.docx", b"PK\x03\x04damaged")],
        [("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + NO_TEXT)],
    ],
    ids=["missing", "picture", "damaged", "old"],
)
def test_joined_file_that_is_not_read_is_named(files: list[tuple[str, bytes]]) -> None:
    read = formats.read(Format.ARCHIVE, joining(paragraph("a") + '<w:altChunk r:id="c0"/>', *files))
    assert (read.text, read.left_out) == ("a", (LeftOut(Part.ATTACHMENT, 1),))


def test_documents_within_documents_have_a_bound() -> None:
    file = docx(paragraph("deepest"))
    for _ in range(6):
        file = joining('<w:altChunk r:id="c0"/>', ("a.docx", file))
    read = formats.read(Format.ARCHIVE, file)
    assert (read.text, read.left_out) == ("", (LeftOut(Part.ATTACHMENT, 1),))


def flat(file: bytes, program: str) -> bytes:
    parts = "".join(
        f'<pkg:part pkg:name="/{name}" pkg:contentType="application/xml"><pkg:xmlData>{content.decode()}</pkg:xmlData>'
        "</pkg:part>"
        for name, content in entries(file).items()
        if isinstance(content, bytes) and not name.startswith("[")
    )
    picture = '<pkg:part pkg:name="/a.png"><pkg:binaryData>AAAA</pkg:binaryData></pkg:part>'
    said = f'<?mso-application progid="{program}"?>' if program else ""
    package = f'<pkg:package xmlns:pkg="http://schemas.microsoft.com/office/2006/xmlPackage">{parts}{picture}'
    return f'\ufeff<?xml version="1.0"?>\r\n{said}{package}</pkg:package>'.encode()


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (flat(docx(paragraph("one")), "Word.Document"), "one"),
        (flat(docx(paragraph("one")), ""), "one"),
        (flat(pptx("<a:p><a:r><a:t>one</a:t></a:r></a:p>"), "PowerPoint.Show"), "## Slide 1\n\none"),
        (flat(xlsx('<row><c r="A1"><v>12</v></c></row>'), "Excel.Sheet"), "## Sheet S\n\n| 12 |\n|---|"),
    ],
)
def test_flat_package_is_read_as_its_archive(content: bytes, shown: str) -> None:
    assert document_kind("plan.xml", "text/xml", content) is Format.OFFICE_XML
    assert formats.read(Format.OFFICE_XML, content).text == shown


WORD_2003 = (
    'xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml" xmlns:v="urn:schemas-microsoft-com:vml" '
    'xmlns:wx="http://schemas.microsoft.com/office/word/2003/auxHint" xmlns:aml="http://schemas.microsoft.com/aml/2001/core"'
)


def word_2003(body: str) -> Document:
    text = f"<w:wordDocument {WORD_2003}><w:body><wx:sect>{body}</wx:sect></w:body></w:wordDocument>"
    return formats.read(Format.OFFICE_XML, text.encode())


def change(kind: str, content: str) -> str:
    return f'<aml:annotation w:type="Word.{kind}"><aml:content>{content}</aml:content></aml:annotation>'


@pytest.mark.parametrize(
    ("body", "shown", "left_out"),
    [
        (f"<w:p>{run('a')}{change('Deletion', '<w:r><w:delText>x</w:delText></w:r>')}</w:p>", "a", {Part.DELETION}),
        (f"<w:p>{run('a')}{change('Insertion', run('b'))}</w:p>", "ab", set()),
        (f"<w:p>{run('a')}{change('Comment', paragraph('x'))}</w:p>", "a", {Part.COMMENT}),
        (
            "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>x</w:t></w:r><w:r><w:t>a</w:t></w:r></w:p>",
            "a",
            {Part.HIDDEN_TEXT},
        ),
        ("<w:p><w:r><w:rPr><w:strike/></w:rPr><w:t>a</w:t></w:r></w:p>", "~~a~~", set()),
        (f'<w:p><w:pPr><w:listPr><wx:t wx:val="1.2"/></w:listPr></w:pPr>{run("a")}</w:p>', "1.2 a", set()),
        (f'<w:p><w:pPr><w:listPr><wx:t wx:val="·"/></w:listPr></w:pPr>{run("a")}</w:p>', "- a", set()),
        (f'<w:p><w:hlink w:dest="https://a.example">{run("a")}</w:hlink></w:p>', "[a](https://a.example)", set()),
        (
            f'<w:p><w:hlink w:dest="https://a.example" w:bookmark="b">{run("a")}</w:hlink></w:p>',
            "[a](https://a.example#b)",
            set(),
        ),
        (f"<w:p>{run('a')}<w:r><w:endnote>{paragraph('b')}</w:endnote></w:r></w:p>", "a (b)", set()),
        (f"<w:p>{run('a')}<w:r><w:footnote>{paragraph('b')}</w:footnote></w:r></w:p>", "a (b)", set()),
        (f"<wx:sub-section>{paragraph('a')}</wx:sub-section>", "a", set()),
        (
            f"<w:sectPr><w:hdr>{paragraph('a')}</w:hdr><w:ftr>{paragraph('c')}</w:ftr></w:sectPr>{paragraph('b')}",
            "Header: a\n\nFooter: c\n\nb",
            set(),
        ),
        ("<w:p><w:r><w:pict><w:binData>AA</w:binData></w:pict></w:r></w:p>", "", {Part.PICTURE}),
        (
            f"<w:p><w:r><w:pict><v:textbox><w:txbxContent>{paragraph('a')}</w:txbxContent></v:textbox></w:pict></w:r></w:p>",
            "a",
            set(),
        ),
    ],
)
def test_document_of_word_2003_is_read_as_a_newer_one(body: str, shown: str, left_out: set[Part]) -> None:
    read = word_2003(body)
    assert (read.text, {one.part for one in read.left_out}) == (shown, left_out)


EXCEL_2003 = (
    'xmlns="urn:schemas-microsoft-com:office:spreadsheet" xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet"'
)
STYLES = (
    '<Styles><Style ss:ID="p"><NumberFormat ss:Format="Percent"/></Style><Style ss:ID="t"><NumberFormat ss:Format='
    '"[h]:mm"/></Style><Style ss:ID="s"><Font ss:StrikeThrough="1"/></Style>'
    + "".join(
        f'<Style ss:ID="{at}"><NumberFormat ss:Format="{name}"/></Style>'
        for at, name in enumerate(("Medium Date", "Long Time", "General Date"))
    )
    + "</Styles>"
)

P, T, S = (f'ss:StyleID="{id_}"' for id_ in "pts")
NAMED = [f'ss:StyleID="{at}"' for at in range(3)]
DURATIONS = ("1900-01-01", "1900-02-28", "1900-03-01")
"""Excel's calendar has a February 29 between the last two."""
WIDE, LINKED, FOURTH = 'ss:MergeAcross="1"', 'ss:HRef="https://a.example"', 'ss:Index="4"'


def cell(value: str, kind: str = "String", more: str = "") -> str:
    return f'<Cell {more}><Data ss:Type="{kind}">{value}</Data></Cell>'


@pytest.mark.parametrize(
    ("rows", "shown", "left_out"),
    [
        (f"<Row>{cell('0.155', 'Number', P)}</Row>", "| 15.50% |", set()),
        (f"<Row>{cell('2026-05-01T00:00:00.000', 'DateTime')}</Row>", "| 2026-05-01 |", set()),
        (f"<Row>{cell('2026-05-01T08:30:00.000', 'DateTime')}</Row>", "| 2026-05-01 08:30:00 |", set()),
        (
            f"<Row>{cell('1899-12-31T08:30:00.000', 'DateTime', T)}</Row>",
            "| 8:30 |",
            set(),
        ),
        (
            f"<Row>{''.join(cell(f'{day}T12:00:00', 'DateTime', T) for day in DURATIONS)}</Row>",
            "| 36:00 | 1428:00 | 1476:00 |",
            set(),
        ),
        (f"<Row>{cell('1', 'Boolean')}{cell('0', 'Boolean')}</Row>", "| TRUE | FALSE |", set()),
        (f"<Row>{cell('#N/A', 'Error')}</Row>", "| #N/A |", {Part.ERROR}),
        (f"<Row>{cell('Old', more=S)}</Row>", "| ~~Old~~ |", set()),
        (f"<Row ss:Hidden='1'>{cell('x')}</Row><Row>{cell('a')}</Row>", "| a |", {Part.HIDDEN_ROW}),
        (
            f"<Column/><Column ss:Hidden='1'/><Row>{cell('a')}{cell('x')}{cell('b')}</Row>",
            "| a | b |",
            {Part.HIDDEN_COLUMN},
        ),
        (f"<Row>{cell('a', more=WIDE)}{cell('b')}</Row>", "| a |  | b |", set()),
        ("<Row><Cell ss:Formula='=1+1'/></Row>", "| =1+1 |", {Part.FORMULA}),
        ("<Row><Cell><Data>a</Data><Comment><Data>x</Data></Comment></Cell></Row>", "| a |", {Part.COMMENT}),
        (f"<Row>{cell('a')}{cell('b', more=FOURTH)}{cell('c')}</Row>", "| a |  |  | b | c |", set()),
        (
            f"<Column ss:Index='2' ss:Span='1' ss:Hidden='1'/><Row>{''.join(map(cell, 'axyb'))}</Row>",
            "| a | b |",
            {Part.HIDDEN_COLUMN},
        ),
        (
            f"<Row>{''.join(cell('2026-05-01T08:30:00', 'DateTime', of) for of in NAMED)}</Row>",
            "| 2026-05-01 | 08:30:00 | 2026-05-01 08:30:00 |",
            set(),
        ),
        (
            f"<Row>{cell('a', more=LINKED)}</Row>",
            "| [a](https://a.example) |",
            set(),
        ),
    ],
)
def test_cells_of_excel_2003_are_read_as_people_see_them(rows: str, shown: str, left_out: set[Part]) -> None:
    book = f'<Workbook {EXCEL_2003}>{STYLES}<Worksheet ss:Name="S"><Table>{rows}</Table></Worksheet></Workbook>'
    read = formats.read(Format.OFFICE_XML, book.encode())
    assert re.sub(r"\n\|[-|]+$", "", read.text) == f"## Sheet S\n\n{shown}"
    assert {one.part for one in read.left_out} == left_out


def test_hidden_sheet_of_excel_2003_is_named() -> None:
    sheet = '<Worksheet ss:Name="%s"><Table><Row><Cell><Data>a</Data></Cell></Row></Table>%s</Worksheet>'
    hidden = sheet % ("Prices", "<WorksheetOptions><Visible>SheetHidden</Visible></WorksheetOptions>")
    book = f"<Workbook {EXCEL_2003}>{hidden}{sheet % ('S', '')}</Workbook>"
    read = formats.read(Format.OFFICE_XML, book.encode())
    assert (read.text, read.left_out) == ("## Sheet S\n\n| a |\n|---|", (LeftOut(Part.HIDDEN_SHEET, 1, ("Prices",)),))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.md", b"<office:document is how flat files begin"),
        ("a.md", b"<w:wordDocument > is how flat files begin"),
        ("a.xsl", b'<stylesheet xmlns="urn:schemas-microsoft-com:office:spreadsheet">a</stylesheet>'),
    ],
)
def test_text_that_begins_like_an_office_file_is_a_text(name: str, content: bytes) -> None:
    kind = document_kind(name, "", content)
    assert kind in (Format.FLAT_ODF, Format.OFFICE_XML)
    read = formats.read(kind, content)
    assert (read.text, read.is_markdown) == (content.decode(), False)


@pytest.mark.parametrize("prefix", ["./", "/"])
def test_entries_of_an_archive_may_begin_at_its_root(prefix: str) -> None:
    file = pack_zip({prefix + name: content for name, content in entries(docx(paragraph("a"))).items()})
    assert formats.read(Format.ARCHIVE, file).text == "a"


def test_names_of_parts_are_the_same_in_capitals() -> None:
    """The standard ignores case, and some programs spell a part's name differently than its entry."""
    cell = '<row r="1"><c r="A1" t="s"><v>0</v></c></row>'
    for file, shown in (
        (docx(paragraph("a")), "a"),
        (xlsx(cell, strings="<si><t>a</t></si>"), "## Sheet S\n\n| a |\n|---|"),
    ):
        spelled = pack_zip({name.upper(): content for name, content in entries(file).items()})
        assert formats.read(Format.ARCHIVE, spelled).text == shown


@pytest.mark.parametrize(
    ("kind", "content", "shown"),
    [
        (Format.MAIL, b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nCmRlZXA=", "deep"),
        (Format.MAIL, b"Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n\nd=65ep", "deep"),
        (Format.ARCHIVE, JOINED["a saved page"][0], "Имя дня"),
        (Format.ARCHIVE, JOINED["rtf"][0], "one"),
        (Format.ARCHIVE, JOINED["a document"][0], "deep"),
        (Format.OFFICE_XML, flat(docx(paragraph("one")), "Word.Document"), "one"),
    ],
)
async def test_files_within_others_are_read_once_files_are_denied(kind: Format, content: bytes, shown: str) -> None:
    read = await read_document(kind, content)
    assert isinstance(read, Document)
    assert read.text.endswith(shown)


@pytest.mark.long
def test_long_xml_file_is_read_as_far_as_there_is_memory() -> None:
    rows = f"<Row>{cell('some words')}</Row>" * 200_000
    book = f'<Workbook {EXCEL_2003}><Worksheet ss:Name="S"><Table>{rows}</Table></Worksheet></Workbook>'
    read = formats.read(Format.OFFICE_XML, book.encode())
    assert read.text.startswith("## Sheet S\n\n| some words |")
    assert read.left_out == (LeftOut(Part.END, 1),)


def test_text_behind_a_large_picture_of_an_xml_file_is_read() -> None:
    picture = f"<w:p><w:r><w:pict><w:binData>{'A' * 10_000_000}</w:binData></w:pict></w:r></w:p>"
    read = word_2003(f"{picture}{paragraph('a')}")
    assert (read.text, read.left_out) == ("a", (LeftOut(Part.PICTURE, 1),))
