"""Conversion of single formats: content that the corpus doesn't have."""

import base64
import io
import re
import zipfile

import pytest

from files_to_markdown import formats
from files_to_markdown.archive import MAX_ENTRIES, MAX_UNPACKED_BYTES
from files_to_markdown.benchmarks.hostile_documents import docx, odf, pack_zip, pptx, xlsx
from files_to_markdown.document import MAX_CHARS, Document, Format, LeftOut, Obstacle, Part, Unreadable
from files_to_markdown.kind import document_kind


def text(kind: Format, content: bytes) -> str:
    return formats.read(kind, content).text


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("name;sum\nAda;1,5\nGrace;2,5\n", "| name | sum |\n|---|---|\n| Ada | 1,5 |\n| Grace | 2,5 |"),
        ("a\tb, c\nd\te, f\n", "| a | b, c |\n|---|---|\n| d | e, f |"),
        ('"a;b","c"\n"d","e ""f"""\n', '| a;b | c |\n|---|---|\n| d | e "f" |'),
        ("sep=|\na|b;c\n", "| a | b;c |\n|---|---|"),
        ("one\n\ntwo\n", "| one |\n|---|\n| two |"),
        ('a,"two\nlines",\nb,"x | y",,\n', "| a | two<br>lines |\n|---|---|\n| b | x \\| y |"),
        ('a,b\n"c,d\ne,f\n', '| a | b |\n|---|---|\n| "c | d |\n| e | f |'),
        ('a\tb\n"c\td\ne\t5" f "g"\n', '| a | b |\n|---|---|\n| "c | d |\n| e | 5" f "g" |'),
        ('a,b\n"c" d,"e, f"\n"1" , "2"\n', "| a | b |\n|---|---|\n| c d | e, f |\n| 1 | 2 |"),
        ('a,b\n1,{"c": "d", "e": 2}\n', '| a | b |\n|---|---|\n| 1 | {"c": "d" | "e": 2} |'),
        ('a, b\n1, "c, d"\n', "| a | b |\n|---|---|\n| 1 | c, d |"),
        ('a,b\n1,"x \\"y\\", z"\n2,"C:\\\\"\n', '| a | b |\n|---|---|\n| 1 | x \\"y\\", z |\n| 2 | C:\\\\ |'),
        ('a,b\n"C:\\",1\n"D:\\",2\n', "| a | b |\n|---|---|\n| C:\\ | 1 |\n| D:\\ | 2 |"),
        ("", ""),
    ],
    ids=[
        "semicolons",
        "tabs",
        "quoted",
        "said",
        "one column",
        "lines and bars",
        "open quote",
        "open quote and others",
        "text behind a quote",
        "quotes of JSON",
        "spaces",
        "escapes",
        "folders",
        "empty",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_dialect_of_csv_is_guessed(content: str, rows: str, encoding: str) -> None:
    assert text(Format.CSV, content.encode(encoding)) == rows


PAGE = """<!DOCTYPE html><html><head><title>Plan</title><style>p {}</style><script>let x = "<p>no</p>";</script></head>
<body><h2>Part <em>one</em></h2><p>First<br>second <a href="https://example.com/a">link</a>, <a href="#top">up</a></p>
<ul><li>one<ul><li>inner</li></ul></li><li><p>two</p></li></ul><ol><li>x</li><li>y</li></ol>
<table><tr><th colspan=2>wide</th><th>c</th></tr><tr><td><p>p1</p><p>p2</p></td><td>1 | 2<td>
<table><tr><td>in</td><td>ner</td></tr></table></table><pre>
  def x():
    pass</pre><p>&lt;tag&gt; &amp; Zo&euml;<img src=x alt="a picture">"""


def test_html_becomes_markdown() -> None:
    assert text(Format.HTML, PAGE.encode()) == (
        "Title: Plan\n\n## Part one\n\nFirst\nsecond [link](https://example.com/a), up\n\n"
        "- one\n  - inner\n- two\n1. x\n2. y\n\n"
        "| wide |  | c |\n|---|---|---|\n| p1<br>p2 | 1 \\| 2 | in , ner |\n\n"
        "```\n  def x():\n    pass\n```\n\n<tag> & Zoë![a picture]"
    )


@pytest.mark.parametrize("encoding", ["cp1251", "shift_jis", "iso-8859-15"])
def test_encoding_that_a_page_names_is_used(encoding: str) -> None:
    words = {"cp1251": "Привет", "shift_jis": "日本語", "iso-8859-15": "5 €"}[encoding]
    page = f"<html><head><meta charset='{encoding}'></head><p>{words}"
    assert text(Format.HTML, page.encode(encoding)) == words


@pytest.mark.parametrize("header", ["=?utf-8?q??=", '"', "<a@example.com>, <"])
def test_header_that_cannot_be_parsed_is_shown_as_it_is_written(header: str) -> None:
    assert text(Format.MAIL, f"To: {header}\n\nhello\n".encode()) == f"To: {header}\n\n---\n\nhello"


def test_formula_without_a_result_and_errors_are_counted() -> None:
    """A formula with an empty text as its result, as Excel saves it, has a result."""
    rows = (
        '<row r="1"><c r="A1"><f>1+1</f></c><c r="B1" t="e"><f>1/0</f><v>#DIV/0!</v></c><c r="C1"><v>7</v></c>'
        '<c r="D1" t="str"><f>IF(C1,"","x")</f><v></v></c></row>'
    )
    read = formats.read(Format.ARCHIVE, xlsx(rows))
    assert "| 7 |" in read.text
    assert read.left_out == (LeftOut(Part.FORMULA, 1), LeftOut(Part.ERROR, 1))


@pytest.mark.parametrize(
    ("saved", "shown"),
    [
        ("0.30000000000000004", "0.3"),
        ("13580.160000000002", "13580.16"),
        ("4111111111111111", "4111111111111111"),
        ("-0", "0"),
        ("1e+17", "1e+17"),
    ],
)
def test_number_is_shown_with_the_digits_of_spreadsheets(saved: str, shown: str) -> None:
    assert f"| {shown} |" in text(Format.ARCHIVE, xlsx(f'<row r="1"><c r="A1"><v>{saved}</v></c></row>'))


def with_part(content: bytes, name: str, part: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return pack_zip({**{entry: archive.read(entry) for entry in archive.namelist()}, name: part})


def test_mail_without_plain_text_is_read_as_a_page_and_names_its_attachments() -> None:
    mail = (
        b"From: =?utf-8?q?Zo=C3=AB?= <z@example.com>\r\nSubject: Plan\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/html; charset=koi8-r\r\n\r\n<h1>\xf0\xcc\xc1\xce</h1>\r\n"
        b"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\nx\r\n--b--\r\n"
    )
    read = formats.read(Format.MAIL, mail)
    assert read == Document(
        "From: Zoë <z@example.com>\nSubject: Plan\n\n---\n\n# План", (LeftOut(Part.ATTACHMENT, 1, ("a.pdf",)),)
    )


def multipart(subtype: str, *parts: str) -> str:
    inner = "".join(f"--{subtype}\n{part}\n" for part in parts)
    return f"Content-Type: multipart/{subtype}; boundary={subtype}\n\n{inner}--{subtype}--\n"


PLAIN, FOOTER = "Content-Type: text/plain\n\nplain", "Content-Type: text/plain\n\nfooter"
HTML = "Content-Type: text/html\n\n<p>html"
FILE = "Content-Type: application/pdf\nContent-Disposition: inline; filename=a.pdf\n\nx"
NOTES = "Content-Type: text/plain\nContent-Disposition: inline; filename=notes.txt\n\nnotes"
INVITATION = "Content-Type: text/calendar\n\nx"
IN_BASE64 = (
    "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
    + base64.b64encode(b"Subject: Older\n\nolder").decode()
)
IN_QUOTED = "Content-Type: message/rfc822\nContent-Transfer-Encoding: Quoted-Printable\n\nSubject: Older\n\nol=64er"
RECEIPT, STATUS = "Content-Type: message/disposition-notification", "Content-Type: message/global-delivery-status"
FORWARDED = "Content-Type: message/rfc822\n\nSubject: Older\n\nolder"


@pytest.mark.parametrize(
    ("mail", "shown", "attached"),
    [
        (multipart("alternative", PLAIN, multipart("mixed", HTML, FILE, HTML)), "plain", ["a.pdf"]),
        (multipart("mixed", PLAIN, FILE, FOOTER), "plain\n\nfooter", ["a.pdf"]),
        (multipart("mixed", multipart("alternative", PLAIN, HTML), FILE), "plain", ["a.pdf"]),
        (multipart("mixed", multipart("related", PLAIN, FILE), FOOTER), "plain\n\nfooter", ["a.pdf"]),
        (multipart("alternative", "Content-Type: text/plain\n\n \n", HTML), "html", []),
        (multipart("mixed", PLAIN, FORWARDED), "plain\n\nAttached mail:\n\nSubject: Older\n\n---\n\nolder", []),
        *(
            (
                multipart("mixed", PLAIN, FORWARDED.replace("rfc822", kind)),
                "plain\n\nAttached mail:\n\nSubject: Older\n\n---\n\nolder",
                [],
            )
            for kind in ("global", "news")
        ),
        (
            multipart("alternative", PLAIN, INVITATION),
            "plain\n\nInvitation:\nx",
            [],
        ),
        (multipart("alternative", PLAIN, f"{HTML}{' words' * 60}"), f"html{' words' * 60}", []),
        (multipart("mixed", PLAIN, NOTES, FOOTER), "plain\n\nnotes\n\nfooter", []),
        (multipart("mixed", PLAIN, NOTES.replace("inline", "attachment")), "plain", ["notes.txt"]),
        (FILE, "", ["a.pdf"]),
        (multipart("digest", "\nSubject: a\n\nb"), "Attached mail:\n\nSubject: a\n\n---\n\nb", []),
        (multipart("mixed", PLAIN, IN_BASE64), "plain\n\nAttached mail:\n\nSubject: Older\n\n---\n\nolder", []),
        (multipart("mixed", PLAIN, IN_QUOTED), "plain\n\nAttached mail:\n\nSubject: Older\n\n---\n\nolder", []),
        (multipart("report", PLAIN, f"{RECEIPT}\n\nDisposition: displayed"), "plain\n\nDisposition: displayed", []),
        (multipart("report", f"{STATUS}\n\nTo: a\n\nCode: 550"), "To: a\n\nCode: 550", []),
        *(
            (multipart("mixed", PLAIN, f"Content-Type: {kind}\n\na: b"), "plain", [kind])
            for kind in ("message/partial", "message/external-body")
        ),
    ],
)
def test_mail_of_several_parts_shows_all_texts_once_and_names_the_rest(
    mail: str, shown: str, attached: list[str]
) -> None:
    read = formats.read(Format.MAIL, f"Subject: Plan\n{mail}".encode())
    assert read.text.partition("---")[2].strip() == shown
    assert [name for part in read.left_out for name in part.names] == attached


PAGES = {
    "skipped in itself": ("<p>a<svg><svg><text>x</text></svg><text>y</text></svg>b", "ab"),
    "others in a skipped one": ("<p>a<template><div>x</div>y<script>z</script></template>b", "ab"),
    "text beside cells": ("<table><tr><td>a</td></tr>loose</table><p>below", "loose\n\n| a |\n|---|\n\nbelow"),
    "paragraph in a cell": ("<table><tr><td>a<p>b</p>c</td></tr></table>", "| a<br>b<br>c |\n|---|"),
    "table in a cell": (
        "<table><tr><td>a<table><tr><td>b</td></tr></table>c</td></tr></table>",
        "| a<br>b<br>c |\n|---|",
    ),
    "captions": (
        "<table><caption>Sales</caption><tr><td>a<table><caption>x</caption><tr><td>y</table><td>b</table>",
        "Sales\n\n| a<br>x<br>y | b |\n|---|---|",
    ),
    "widths that are none": (
        "<table><tr><td colspan=x>a<td colspan=0>b<td colspan=-1 rowspan=0>c<tr><td>d<td>e<td>f</table>",
        "| a | b | c |\n|---|---|---|\n| d | e | f |",
    ),
    "merged cells": (
        "<table><tr><td rowspan=2>a</td><td>b</td><td rowspan=3>c</td></tr><tr><td>d</td></tr>"
        "<tr><td colspan=2>e</td></tr><tr><td>f</td><td>g</td><td>h</td></tr></table>",
        "| a | b | c |\n|---|---|---|\n|  | d |\n| e |\n| f | g | h |",
    ),
}


@pytest.mark.parametrize(("page", "shown"), PAGES.values(), ids=PAGES)
def test_html_keeps_its_text_and_its_columns(page: str, shown: str) -> None:
    assert text(Format.HTML, page.encode()) == shown


@pytest.mark.parametrize(
    ("rtf", "shown"),
    [
        (rb"a{\shp{\*\shpinst\shpleft0{\sp{\sn x}{\sv 1}}{\shptxt box\par}}{\shprslt box}}", "a box"),
        (rb"a {\deleted\revauthdel1 gone}{\rtlch \ltrch\deleted gone}{\revised b}\deleted0 c", "a bc"),
        (rb"\u-10179?\u-8704? ok", "\U0001f600 ok"),
    ],
    ids=["text box", "deleted", "emoji"],
)
def test_rtf_keeps_what_its_reader_would_lose(rtf: bytes, shown: str) -> None:
    assert text(Format.RTF, rb"{\rtf1\ansi " + rtf + b"}") == shown


def test_picture_and_equation_of_rtf_are_counted_once() -> None:
    pictures = rb"{\*\shppict{\pict 00}}{\nonshppict{\pict 00}}"
    read = formats.read(Format.RTF, rb"{\rtf1 a{\mmath{\*\moMathPara{\*\moMath x}}}" + pictures + b"}")
    assert read == Document("a", (LeftOut(Part.EQUATION, 1), LeftOut(Part.PICTURE, 1)))


def test_far_empty_cells_of_a_sheet_take_no_room() -> None:
    first = '<row r="1"><c r="A1"><v>1.5</v></c><c r="B1" t="b"><v>1</v></c></row>'
    last = '<row r="5000"><c r="C5000"><v>3</v></c></row>'
    assert text(Format.ARCHIVE, xlsx(first + last)) == "## Sheet S\n\n| 1.5 | TRUE |\n|---|---|\n|  |  | 3 |"


def test_hidden_sheets_are_left_out_however_well_they_are_hidden() -> None:
    sheets = "".join(
        f'<sheet name="{name}" sheetId="{number}" state="{state}" r:id="r0"/>'
        for number, (name, state) in enumerate([("A", "visible"), ("B", "hidden"), ("C", "veryHidden")], 1)
    )
    file = xlsx('<row r="1"><c r="A1"><v>1</v></c></row>')
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        book = re.sub("<sheet .*?/>", sheets, archive.read("xl/workbook.xml").decode())
    read = formats.read(Format.ARCHIVE, with_part(file, "xl/workbook.xml", book))
    assert read.text.strip() == "## Sheet A\n\n| 1 |\n|---|"
    assert read.left_out == (LeftOut(Part.HIDDEN_SHEET, 2, ("B", "C")),)


def test_fallback_of_a_slide_is_not_repeated() -> None:
    paragraph = "<a:p><a:r><a:t>One</a:t></a:r></a:p>"
    assert text(Format.ARCHIVE, pptx(f"{paragraph}<a:Fallback>{paragraph}</a:Fallback>")) == "## Slide 1\n\nOne"


A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
P = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'


def relations(*targets: tuple[str, str]) -> str:
    """Returns relationships r0, r1 and so on, each given as its type and target."""
    entries = (f'<Relationship Id="r{n}" Type="x/{kind}" Target="{to}"/>' for n, (kind, to) in enumerate(targets))
    return f"<Relationships>{''.join(entries)}</Relationships>"


def slide(shapes: str, attributes: str = "") -> str:
    return f"<p:sld {P} {A} {attributes}>{shapes}</p:sld>"


def presentation(slides: list[str], parts: dict[str, str]) -> bytes:
    numbers = range(len(slides))
    listed = "".join(f'<p:sldId id="{256 + n}" r:id="r{n}"/>' for n in numbers)
    content = pptx("")
    for name, part in {
        "ppt/presentation.xml": f"<p:presentation {P} {R}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(*(("slide", f"slides/slide{n + 1}.xml") for n in numbers)),
        **{f"ppt/slides/slide{n + 1}.xml": shapes for n, shapes in enumerate(slides)},
        **parts,
    }.items():
        content = with_part(content, name, part)
    return content


def test_hidden_slides_are_left_out_and_the_others_keep_their_numbers() -> None:
    words = "<a:p><a:r><a:t>Words</a:t></a:r></a:p>"
    hidden = slide(words, 'show="0"')
    slides = [hidden, slide(words), slide(words, 'show="false"'), slide(words)]
    read = formats.read(Format.ARCHIVE, presentation(slides, {}))
    assert read == Document("## Slide 2\n\nWords\n\n## Slide 4\n\nWords", (LeftOut(Part.HIDDEN_SLIDE, 2, ("1", "3")),))


LEVELS = "".join(f'<a:p><a:pPr lvl="{level}"/><a:r><a:t>{level}</a:t></a:r></a:p>' for level in (0, 1, 2))
LINES = "<a:p><a:r><a:t>a</a:t></a:r><a:br/><a:r><a:t/></a:r><a:r><a:t>b</a:t><a:tab/><a:t>c</a:t></a:r></a:p>"


@pytest.mark.parametrize(
    ("paragraphs", "shown"),
    [(f"<a:p><a:r><a:t>Top</a:t></a:r></a:p>{LEVELS}", "Top\n0\n  - 1\n    - 2"), (LINES, "a\nb\tc")],
    ids=["levels", "lines and tabs"],
)
def test_paragraphs_of_a_slide_keep_their_level_lines_and_tabs(paragraphs: str, shown: str) -> None:
    assert text(Format.ARCHIVE, pptx(paragraphs)) == f"## Slide 1\n\n{shown}"


@pytest.mark.parametrize("target", ["../notesSlides/notesSlide1.xml", "/ppt/notesSlides/notesSlide1.xml"])
@pytest.mark.parametrize(("words", "shown"), [("Say hello", "\n\nNotes: Say hello"), ("", "")])
def test_notes_of_a_slide_are_shown_without_their_number(target: str, words: str, shown: str) -> None:
    number = '<p:sp><p:nvPr><p:ph type="sldNum"/></p:nvPr><a:p><a:r><a:t>7</a:t></a:r></a:p></p:sp>'
    body = f'<p:sp><p:nvPr><p:ph type="body"/></p:nvPr><a:p><a:r><a:t>{words}</a:t></a:r></a:p></p:sp>'
    parts = {
        "ppt/slides/_rels/slide1.xml.rels": relations(("notesSlide", target)),
        "ppt/notesSlides/notesSlide1.xml": f"<p:notes {P} {A}>{number}{body}</p:notes>",
    }
    assert text(Format.ARCHIVE, presentation([slide("")], parts)) == f"## Slide 1{shown}"


COMMENTS = f"<p:cmLst {P}><p:cm idx='1'></p:cm><p:cm></p:cm></p:cmLst>"
CHARTS = "<w:p><w:r><w:drawing><c:chart xmlns:c='c'/><d:relIds xmlns:d='d'/></w:drawing></w:r></w:p>"
BOXES = "".join(
    f"<xdr:sp><xdr:txBody>{paragraph}</xdr:txBody></xdr:sp>"
    for paragraph in ("<a:p/>", "<a:p><a:r><a:t>words</a:t></a:r></a:p>")
)
DRAWN = f"{BOXES}<xdr:pic/><c:chart r:id='r1'/><c:chart r:id='r2'/>"
FILLED = "<p:sp><p:spPr><a:blipFill/></p:spPr></p:sp>"
PIC = 'xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"'
MODEL = "<am3d:model3d xmlns:am3d='am3d'><am3d:raster><am3d:blip/></am3d:raster></am3d:model3d>"
ALTERNATIVES = "<mc:AlternateContent xmlns:mc='mc'><mc:Choice>{}</mc:Choice>{}</mc:AlternateContent>"
FALLBACK = '<mc:Fallback xmlns:mc="mc">{}</mc:Fallback>'
ON_SLIDE = f"<p:graphicFrame><a:graphic><a:graphicData>{MODEL}</a:graphicData></a:graphic></p:graphicFrame>"
ZOOM = ON_SLIDE.replace(MODEL, "<sldZm/>")
IN_SHEET = ALTERNATIVES.format(MODEL, FALLBACK.format("<xdr:pic/>"))


def drawn(shapes: str) -> bytes:
    drawing = f'<xdr:wsDr xmlns:xdr="xdr" xmlns:c="c" {A} {R}>{shapes}</xdr:wsDr>'
    related = relations(("drawing", "../drawings/drawing1.xml"))
    return with_part(
        with_part(xlsx(""), "xl/drawings/drawing1.xml", drawing), "xl/worksheets/_rels/sheet1.xml.rels", related
    )


IN_WORD = f"<w:drawing><a:graphic>{MODEL}</a:graphic></w:drawing>"
DRAWN_IN_WORD = f"<w:drawing><pic:pic {PIC}/></w:drawing>"
COUNTED = {
    "a model on a slide": (
        presentation([slide(ALTERNATIVES.format(ON_SLIDE, FALLBACK.format("<p:pic/>")))], {}),
        {Part.MODEL: 1},
    ),
    "a model that older programs don't show": (presentation([slide(ON_SLIDE)], {}), {Part.MODEL: 1}),
    "what no program here knows": (presentation([slide(ALTERNATIVES.format(ZOOM, ""))], {}), {Part.PICTURE: 1}),
    "writing by hand": (presentation([slide(ALTERNATIVES.format("<p:contentPart/>", ""))], {}), {Part.PICTURE: 1}),
    "a model in a document": (
        docx(f"<w:p><w:r>{ALTERNATIVES.format(IN_WORD, FALLBACK.format(DRAWN_IN_WORD))}</w:r></w:p>"),
        {Part.MODEL: 1},
    ),
    "a model in a sheet": (drawn(IN_SHEET), {Part.MODEL: 1}),
    "a model and a picture in a sheet": (drawn(IN_SHEET + "<xdr:pic/>"), {Part.MODEL: 1, Part.PICTURE: 1}),
    "slides": (
        presentation(
            [slide("<p:pic></p:pic><p:sp><p:spPr><a:blipFill/></p:spPr></p:sp>")],
            {"ppt/comments/comment1.xml": COMMENTS},
        ),
        {Part.PICTURE: 2, Part.COMMENT: 2},
    ),
    "a document": (docx(CHARTS), {Part.CHART: 1, Part.DIAGRAM: 1}),
    "a sheet whose charts are gone": (drawn(DRAWN), {Part.PICTURE: 1, Part.CHART: 2}),
}


@pytest.mark.parametrize(("file", "counted"), COUNTED.values(), ids=COUNTED)
def test_what_is_no_text_is_counted(file: bytes, counted: dict[Part, int]) -> None:
    assert formats.read(Format.ARCHIVE, file).left_out == tuple(LeftOut(part, count) for part, count in counted.items())


ODF = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text", "table")
)


def test_deleted_text_and_notes_of_open_documents() -> None:
    body = (
        "<text:tracked-changes><text:p>gone</text:p></text:tracked-changes>"
        '<text:p>a<text:s text:c="3"/>b<text:note><text:note-citation>1</text:note-citation>'
        "<text:note-body><text:p>below</text:p></text:note-body></text:note> c</text:p>"
    )
    assert text(Format.ARCHIVE, odf("text", body)) == "a   b1 (below) c"


DRAW = 'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"'


@pytest.mark.parametrize(
    ("kind", "body", "shown"),
    [
        ("text", "<text:p>a<text:tab/>b<text:line-break/>c</text:p>", "a\tb\nc"),
        ("text", '<text:h text:outline-level="2">Two</text:h><text:h>One</text:h>', "## Two\n\n# One"),
        ("text", '<text:h text:outline-level="9">Deep</text:h>', "###### Deep"),
        (
            "presentation",
            f"<draw:page {DRAW}><text:p>a</text:p></draw:page><draw:page {DRAW}><text:p>b</text:p></draw:page>",
            "## Slide 1\n\na\n\n## Slide 2\n\nb",
        ),
        (
            "text",
            '<table:table><table:table-row table:number-rows-repeated="2">'
            '<table:table-cell table:number-columns-repeated="2"><text:p>x</text:p></table:table-cell>'
            "<table:table-cell><text:p>y</text:p></table:table-cell></table:table-row></table:table>",
            "| x | x | y |\n|---|---|---|\n| x | x | y |",
        ),
    ],
    ids=["tab and line", "headings", "deep heading", "slides", "repeated cells and rows"],
)
def test_structure_of_open_documents_becomes_markdown(kind: str, body: str, shown: str) -> None:
    assert text(Format.ARCHIVE, odf(kind, body)) == shown


def test_header_of_several_page_styles_is_shown_once() -> None:
    headers = "".join(f"<office:header><text:p>{words}</text:p></office:header>" for words in ("Top", "Other", "Top"))
    file = with_part(
        odf("text", "<text:p>text</text:p>"), "styles.xml", f"<office:styles {ODF}>{headers}</office:styles>"
    )
    assert text(Format.ARCHIVE, file) == "Header: Top\n\nHeader: Other\n\ntext"


def test_flat_open_document_is_read_as_one_in_an_archive() -> None:
    cell = "<table:table-cell><office:annotation><text:p>why?</text:p></office:annotation><text:p>7</text:p>"
    body = f'<table:table table:name="Data"><table:table-row>{cell}</table:table-cell></table:table-row></table:table>'
    head = "<office:master-styles><office:header><text:p>Top</text:p></office:header></office:master-styles>"
    office = f"{head}<office:body><office:spreadsheet>{body}</office:spreadsheet></office:body>"
    content = f'<?xml version="1.0"?>\n\n<office:document {ODF}>{office}</office:document>'.encode()
    assert document_kind("a.fods", "", content) is Format.FLAT_ODF
    assert formats.read(Format.FLAT_ODF, content) == Document(
        "Header: Top\n\n## Sheet Data\n\n| 7 |\n|---|", (LeftOut(Part.COMMENT, 1),)
    )


def test_link_to_a_picture_in_a_file_is_not_followed() -> None:
    drawing = '<w:p><w:r><w:drawing><a:blip r:link="r9"/></w:drawing><w:t>text</w:t></w:r></w:p>'
    assert text(Format.ARCHIVE, docx(drawing)) == "text"


def run(words: str) -> str:
    return f"<w:r><w:t>{words}</w:t></w:r>"


W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
WP = 'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"'
RELATION_TO_PICTURE = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r0" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/image" Target="media/image1.png"/>'
    "</Relationships>"
)
BOX = f"<w:txbxContent><w:p>{run('box')}</w:p></w:txbxContent>"
DRAWING = f"<w:drawing><a:graphic>{BOX}</a:graphic></w:drawing>"
MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
M = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
EQUATION = (
    "<m:oMathPara><m:oMath><m:f><m:num><m:r><m:t>a</m:t></m:r></m:num><m:den><m:rad><m:e><m:r><m:t>b</m:t></m:r></m:e>"
    '</m:rad></m:den></m:f><m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub><m:r><m:t>i</m:t></m:r></m:sub>'
    "<m:sup/>"
    '<m:e><m:d><m:dPr><m:begChr m:val="|"/><m:endChr m:val="|"/></m:dPr><m:e><m:r><m:t>x</m:t></m:r></m:e></m:d></m:e>'
    "</m:nary></m:oMath></m:oMathPara>"
)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (f'{run("Figure ")}<w:fldSimple w:instr="SEQ">{run("1")}</w:fldSimple>', "Figure 1"),
        (f"<w:bdo>{run('a')}</w:bdo><w:dir>{run('b')}</w:dir>", "ab"),
        (f"<w:r><w:ruby><w:rt>{run('ki')}</w:rt><w:rubyBase>{run('base')}</w:rubyBase></w:ruby></w:r>", "base(ki)"),
        (f"{run('eq')}{EQUATION}{run('end')}", "eq (a)/(√(b))∑_(i)|x| end"),
        (
            "<m:oMath><m:nary><m:naryPr/><m:sub><m:r><m:t>i</m:t></m:r></m:sub></m:nary><m:rad><m:deg><m:r><m:t>3</m:t>"
            "</m:r></m:deg><m:e><m:d><m:e><m:r><m:t>x</m:t></m:r></m:e></m:d></m:e></m:rad></m:oMath>",
            "∫_(i)√([3](x))",
        ),
        (f"<w:r>{DRAWING}</w:r>", "box"),
        (f"<w:r><w:pict><a:oval>{BOX}</a:oval></w:pict></w:r>", "box"),
        (
            f"<w:r><mc:AlternateContent><mc:Choice>{DRAWING}</mc:Choice><mc:Fallback><w:pict>{BOX}</w:pict>"
            "</mc:Fallback></mc:AlternateContent></w:r>",
            "box",
        ),
        (
            f"<w:r><mc:AlternateContent><mc:Choice>{DRAWING}</mc:Choice><mc:Fallback><w:pict/></mc:Fallback>"
            "</mc:AlternateContent></w:r>",
            "box",
        ),
    ],
    ids=[
        *("simple field", "direction", "ruby", "equation", "equation with usual signs"),
        *("text box", "old text box", "both", "empty fallback"),
    ],
)
def test_text_of_a_document_that_its_reader_passes_over_is_kept(body: str, shown: str) -> None:
    file = docx(f"<w:p {MC} {M}>{body}</w:p>")
    assert text(Format.ARCHIVE, file) == shown
    header = f'<w:hdr xmlns:w="{W}" xmlns:a="a" {MC} {M}><w:p>{body}</w:p></w:hdr>'
    assert text(Format.ARCHIVE, with_part(docx(""), "word/header1.xml", header)).count(shown) == 1


@pytest.mark.parametrize(("part", "title"), [("header", "Header"), ("footer", "Footer")])
def test_headers_and_footers_of_a_document_are_titled(part: str, title: str) -> None:
    content = f'<w:{part[0]}dr xmlns:w="{W}"><w:p>{run("Draft")}</w:p></w:{part[0]}dr>'
    file = with_part(docx(f"<w:p>{run('text')}</w:p>"), f"word/{part}1.xml", content)
    assert text(Format.ARCHIVE, file) == f"{title}: Draft\n\ntext"


def test_headers_of_a_document_come_in_the_order_of_their_numbers() -> None:
    file = docx("")
    for number in (10, 9):
        file = with_part(
            file, f"word/header{number}.xml", f'<w:hdr xmlns:w="{W}"><w:p>{run(str(number))}</w:p></w:hdr>'
        )
    assert text(Format.ARCHIVE, file) == "Header: 9\n\nHeader: 10"


def test_pictures_of_a_document_are_counted_and_their_descriptions_kept() -> None:
    picture = (
        f'<w:p {WP} {A} {PIC} {R}><w:r><w:drawing><wp:inline><wp:docPr descr="a plan"/><a:graphic><a:graphicData>'
        '<pic:pic><pic:blipFill><a:blip r:embed="r0"/></pic:blipFill></pic:pic>'
        "</a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>"
    )
    file = with_part(docx(picture), "word/media/image1.png", "pixels")
    file = with_part(file, "word/_rels/document.xml.rels", RELATION_TO_PICTURE)
    assert formats.read(Format.ARCHIVE, file) == Document("![a plan]", (LeftOut(Part.PICTURE, 1),))


def test_document_of_another_name_is_read() -> None:
    """Word for the web writes document2.xml."""
    with zipfile.ZipFile(io.BytesIO(docx(f"<w:p>{run('text')}</w:p>"))) as archive:
        parts = {
            name.replace("document.xml", "document2.xml"): archive.read(name).replace(b"document.xml", b"document2.xml")
            for name in archive.namelist()
        }
    assert text(Format.ARCHIVE, pack_zip(parts)) == "text"


def with_directory_field(content: bytes, offset: int, field: bytes) -> bytes:
    """Returns an archive whose first directory entry has another field at this offset."""
    at = content.index(b"PK\x01\x02") + offset
    return content[:at] + field + content[at + len(field) :]


with zipfile.ZipFile(io.BytesIO(docx(""))) as archive:
    REST_BYTES = sum(entry.file_size for entry in archive.infolist()[1:])


def unpacking_to(size_bytes: int) -> bytes:
    """Returns an archive whose directory declares this unpacked size, most of it for the first entry."""
    return with_directory_field(docx(""), 24, (size_bytes - REST_BYTES).to_bytes(4, "little"))


REFUSED = {
    "no text": (Format.CSV, b"a\0b\0c", Obstacle.KIND),
    "control characters": (Format.CSV, b"\x01\x02", Obstacle.KIND),
    "entries": (Format.ARCHIVE, pack_zip({str(number): "" for number in range(MAX_ENTRIES + 1)}), Obstacle.TOO_LARGE),
    "unpacked": (Format.ARCHIVE, unpacking_to(MAX_UNPACKED_BYTES + 1), Obstacle.TOO_LARGE),
    "encrypted": (Format.ARCHIVE, with_directory_field(docx(""), 8, b"\1\0"), Obstacle.PROTECTED),
}


@pytest.mark.parametrize(("kind", "content", "refusal"), REFUSED.values(), ids=REFUSED)
def test_bytes_without_text_and_archives_by_their_directory_are_refused(
    kind: Format, content: bytes, refusal: Obstacle
) -> None:
    with pytest.raises(Unreadable) as caught:
        formats.read(kind, content)
    assert caught.value.refusal is refusal


def test_archive_is_read_up_to_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory of a document here has three entries."""
    monkeypatch.setattr("files_to_markdown.archive.MAX_ENTRIES", 3)
    assert text(Format.ARCHIVE, unpacking_to(MAX_UNPACKED_BYTES)) == ""


STREAMED = {
    "xl/worksheets/sheet1.xml": xlsx('<row><c t="s"><v>0</v></c></row>', strings="<si><t>a</t></si>"),
    "xl/sharedStrings.xml": xlsx('<row><c t="s"><v>0</v></c></row>', strings="<si><t>a</t></si>"),
    "content.xml": odf(
        "spreadsheet",
        '<table:table table:name="S"><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell>'
        "</table:table-row></table:table>",
    ),
}


@pytest.mark.parametrize("name", STREAMED)
def test_what_is_read_only_until_there_is_enough_text_may_be_large(name: str) -> None:
    with zipfile.ZipFile(io.BytesIO(STREAMED[name])) as archive:
        parts = {one: archive.read(one) for one in sorted(archive.namelist(), key=lambda one: one != name)}
    large = with_directory_field(pack_zip(parts), 24, (MAX_UNPACKED_BYTES + 1).to_bytes(4, "little"))
    assert text(Format.ARCHIVE, large) == "## Sheet S\n\n| a |\n|---|"


@pytest.mark.parametrize(
    ("chars", "more", "is_cut"),
    [(MAX_CHARS - 1, "", False), (MAX_CHARS, "", False), (MAX_CHARS, "<p>b</p>", True), (MAX_CHARS + 1, "", True)],
)
def test_end_of_a_long_document_is_left_out(chars: int, more: str, is_cut: bool) -> None:
    read = formats.read(Format.HTML, f"<p>{'a' * chars}</p>{more}".encode())
    assert read == Document("a" * min(chars, MAX_CHARS), (LeftOut(Part.END, 1),) if is_cut else ())


def test_page_with_a_control_character_is_read() -> None:
    """LibreOffice writes one for a form field."""
    assert text(Format.HTML, "<p>☒\x01 Größe</p>".encode()) == "☒ Größe"


def test_chart_in_a_flat_file_is_read_once() -> None:
    chart = "<chart><chart><table:table><table:table-row><table:table-cell><text:p>Q1</text:p></table:table-cell>"
    frame = f"<frame><object>{chart}</table:table-row></table:table></chart></chart></object></frame>"
    body = f"<office:body><office:presentation><page>{frame}</page></office:presentation></office:body>"
    content = f"<office:document {ODF}>{body}</office:document>".encode()
    assert formats.read(Format.FLAT_ODF, content).text == "## Slide 1\n\n| Q1 |\n|---|"
