"""Reading xlsx files: cells as people see them, hidden parts, and how much of large sheets is read."""

import io
import re
import zipfile
from collections.abc import Mapping

import pytest

from files_to_markdown import formats, workbook
from files_to_markdown.benchmarks.hostile_documents import pack_zip, xlsx
from files_to_markdown.document import MAX_CHARS, Document, Format, LeftOut, Part
from files_to_markdown.number_formats import format_text, format_value
from files_to_markdown.tests.test_formats import MC, A, R, relations, with_part
from files_to_markdown.tests.test_word import CHART, SHOWN_CHART

SHOWN = [
    (0.155, "0.0%", "15.5%"),
    (0.1234, "0%", "12%"),
    (1234.5, '0.0 "€"', "1234.5 €"),
    (1234.5, '#,##0.00 "€"', "1,234.50 €"),
    (1234.5, "[$€-407] #,##0.00", "€ 1,234.50"),
    (1234.5, "_-* #,##0.00 €_-;-* #,##0.00 €_-", "1,234.50 €"),
    (1234, "00000", "01234"),
    (7, "000", "007"),
    (5, "00-##", "00-5"),
    (5551234567, "(000) 000-0000", "(555) 123-4567"),
    (1234567, "# ##0", "1234 567"),
    (1234567, "#,##0,", "1,235"),
    (1234567, '0.0,,"M"', "1.2M"),
    (-5, "0", "-5"),
    (-5, "0;[Red](0)", "(5)"),
    (-1234.567, "#,##0.00_);[Red]\\(#,##0.00\\)", "(1,234.57)"),
    (-0.001, "0.0", "0.0"),
    (0, '0;-0;"none"', "none"),
    (0, "0;-0;", ""),
    (50, '[<100]0" low";0" high"', "50 low"),
    (150, '[<100]0" low";0" high"', "150 high"),
    (0, '[=1]"yes";[=0]"no"', "no"),
    (100, '[<100]0" low";0" high"', "100 high"),
    (100, '[<=100]0" low";0" high"', "100 low"),
    (100, '[>100]0" high";0" low"', "100 low"),
    (100, '[>=100]0" high";0" low"', "100 high"),
    (5, '[<>5]0" other";0" five"', "5 five"),
    (0.00001234, "0.00E+00", "1.23E-05"),
    (123456, "##0.0E+0", "123.5E+3"),
    (-0.00123, "##0.0E+0", "-1.2E-3"),
    (999960, "##0.0E+0", "1.0E+6"),
    (0, "##0.0E+0", "0.0E+0"),
    (1.25, "# ?/?", "1 1/4"),
    (2.125, "# ??/??", "2 1/8"),
    (1.3, "# ?/8", "1 2/8"),
    (0.5, "?/?", "1/2"),
    (3, "?/?", "3/1"),
    (3, "# ?/?", "3"),
    (0.5, "0.##", "0.5"),
    (3, "0.##", "3"),
    (3, "0.0#", "3.0"),
    (7, "# ##0", "7"),
    (7, "#-000", "007"),
    (7, "0-000", "0-007"),
    (1.005, "0.00", "1.01"),
    (2.5, "0", "3"),
    (3, '"Q"0', "Q3"),
    (12, 'General" pcs"', "12 pcs"),
    (5, "@", "5"),
    (1.5, "[h]:mm", "36:00"),
    (-1.5, "[h]:mm", "-36:00"),
    (1.5, "[mm]:ss", "2160:00"),
    (83.4 / 86_400, "[ss].0", "83.4"),
    (83.4 / 86_400, "[mm]:ss,00", "1:23.40"),
    (1.25, "[h]:mm:ss", "30:00:00"),
    (1.5, "[mm]", "2160"),
    (1.5, "[h]", "36"),
    (-83.25 / 86_400, "[h]:mm:ss.00", "-0:01:23.25"),
    (0.5, "h:mm AM/PM", "12:00"),
    (45000, "dd/mm/yyyy", "2023-03-15"),
    (45000.5, "m/d/yy h:mm", "2023-03-15 12:00"),
    (45000, "[$-F800]dddd, mmmm dd, yyyy", "2023-03-15"),
    (0, "0;-0", "0"),
    (0, "h:mm", "00:00"),
    (59, "yyyy-mm-dd", "1900-02-28"),
    (60, "yyyy-mm-dd", "1900-02-28"),
    (61, "yyyy-mm-dd", "1900-03-01"),
    (2_958_465, "yyyy-mm-dd", "9999-12-31"),
    (2_958_466, "yyyy-mm-dd", "2958466"),
    (-3, "yyyy-mm-dd", "-3"),
    (1e300, "0.00%", f"1{'0' * 302}.00%"),
    (0.1 + 0.2, "General", "0.3"),
    *((1234.5, code, "1234.5") for code in ("GENERAL", "general_)", "[Red]GENERAL;-GENERAL", "Standard", "Estándar")),
    *(
        (1234.5, code, "1234.5")
        for code in ("G/通用格式", "[DBNum1][$-804]G/標準", "Основной", "ทั่วไป", "Γενικός τύπος")
    ),
    (-1234.5, "GENERAL;-GENERAL", "-1234.5"),
    (12, 'Standard" Stk"', "12 Stk"),
    (1234.5, "Rs. 0.00", "Rs. 1234.50"),
    (1234.5, "#,##0 Days", "1,235 Days"),
    *(
        (45000, code, "2023-03-15")
        for code in ("TT.MM.JJJJ", "jj/mm/aaaa", "yyyy年m月d日", "[$-411]ge.m.d", "yyyymmdd")
    ),
    (45000.5, "yyyy-mm-ddThh:mm:ss", "2023-03-15 12:00:00"),
]


@pytest.mark.parametrize(("value", "code", "text"), SHOWN)
def test_number_is_shown_by_its_format(value: float, code: str, text: str) -> None:
    assert format_value(value, code) == text


def test_dates_count_from_1904_where_the_file_says_so() -> None:
    assert format_value(0, "yyyy-mm-dd", is_1904=True) == "1904-01-01"


def test_format_of_a_text_puts_words_around_it() -> None:
    assert [format_text("x", code) for code in ('0;0;0;"<"@">"', "@", "0.00", "General")] == ["<x>", "x", "x", "x"]


SHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def book(
    rows: str, *, head: str = "", tail: str = "", strings: str = "", parts: Mapping[str, str] | None = None
) -> bytes:
    """Returns a workbook with one sheet. `head` and `tail`: the XML before and after its rows."""
    sheet = f"<worksheet {SHEET} xmlns:r='r'>{head}<sheetData>{rows}</sheetData>{tail}</worksheet>"
    content = with_part(xlsx("", strings=strings), "xl/worksheets/sheet1.xml", sheet)
    for name, part in (parts or {}).items():
        content = with_part(content, name, part)
    return content


def read(content: bytes) -> Document:
    document = formats.read(Format.ARCHIVE, content)
    return Document(document.text.removeprefix("## Sheet S\n\n"), document.left_out)


def row(cells: str, attributes: str = "") -> str:
    return f"<row {attributes}>{cells}</row>"


CELLS = {
    "text": ('<c t="inlineStr"><is><t>a</t></is></c>', "| a |"),
    "fonts": ('<c t="s"><v>0</v></c>', "| 10^6 m_2 |"),
    "pronounced": ('<c t="s"><v>1</v></c>', "| 東京 |"),
    "escaped": ('<c t="s"><v>2</v></c>', "| a b |"),
    "escaped twice": ('<c t="inlineStr"><is><t>_x005F_x0041_</t></is></c>', "| _x0041_ |"),
    "true": ('<c t="b"><v>1</v></c><c t="b"><v>true</v></c><c t="b"><v>0</v></c>', "| TRUE | TRUE | FALSE |"),
    "date": ('<c t="d"><v>2024-03-01T00:00:00</v></c>', "| 2024-03-01 |"),
    "result": ('<c t="str"><f>A1</f><v>done</v></c>', "| done |"),
    "link": ('<c t="str"><f>HYPERLINK("https://example.com/a","a")</f><v>a</v></c>', "| [a](https://example.com/a) |"),
    "no address": ("<c><v>1</v></c><c><v>2</v></c>", "| 1 | 2 |"),
    "gap": ('<c r="A1"><v>1</v></c><c r="D1"><v>2</v></c>', "| 1 |  |  | 2 |"),
    "widest gap": ('<c r="A1"><v>1</v></c><c r="AF1"><v>2</v></c>', f"| 1 |{'  |' * 30} 2 |"),
    "wider gap": ('<c r="A1"><v>1</v></c><c r="AG1"><v>2</v></c>', "| 1 | AG1: 2 |"),
    "far": ('<c r="A1"><v>1</v></c><c r="XFB1"><v>2</v></c><c r="XFD1"><v>3</v></c>', "| 1 | XFB1: 2 |  | 3 |"),
    "no number": ("<c><v>nan</v></c><c><v>x</v></c>", "| nan | x |"),
}
STRINGS = (
    '<si><r><t>10</t></r><r><rPr><vertAlign val="superscript"/></rPr><t>6</t></r><r><t> m</t></r>'
    '<r><rPr><vertAlign val="subscript"/></rPr><t>2</t></r></si>'
    '<si><t>東京</t><rPh sb="0" eb="2"><t>とうきょう</t></rPh></si><si><t>a_x000D_b</t></si>'
)


@pytest.mark.parametrize(("cells", "shown"), CELLS.values(), ids=CELLS)
def test_cell_is_read_as_people_see_it(cells: str, shown: str) -> None:
    assert read(book(row(cells), strings=STRINGS)).text.partition("\n")[0] == shown


def test_style_of_a_cell_gives_its_format() -> None:
    codes = '<numFmts><numFmt numFmtId="164" formatCode="0.0&quot; kg&quot;"/></numFmts>'
    xfs = "".join(f'<xf numFmtId="{number}"/>' for number in (0, 164, 10, 14, 999))
    cells = "".join(f'<c s="{style}"><v>45000.5</v></c>' for style in (0, 1, 2, 3, 4, 5, "x"))
    targets = ("worksheet", "worksheets/sheet1.xml"), ("styles", "/xl/styles.xml")
    parts = {
        "xl/styles.xml": f"<styleSheet {SHEET}>{codes}<cellXfs>{xfs}</cellXfs></styleSheet>",
        "xl/_rels/workbook.xml.rels": relations(*targets),
    }
    shown = "| 45000.5 | 45000.5 kg | 4500050.00% | 2023-03-15 | 45000.5 | 45000.5 | 45000.5 |"
    assert read(book(row(cells), parts=parts)).text.partition("\n")[0] == shown


NUMBERED_FORMATS = {
    1: (45000.5, "45001"),
    4: (45000.5, "45,000.50"),
    9: (0.155, "16%"),
    11: (45000.5, "4.50E+04"),
    13: (2.125, "2 1/8"),
    20: (45000.5, "12:00"),
    21: (45000.5, "12:00:00"),
    22: (45000.5, "2023-03-15 12:00"),
    37: (-1234.5, "(1,235)"),
    40: (-1234.5, "(1,234.50)"),
    41: (0, "-"),
    46: (1.25, "30:00:00"),
    49: (45000.5, "45000.5"),
}


def styled(cells: str, xfs: str, properties: str = "") -> Document:
    targets = ("worksheet", "worksheets/sheet1.xml"), ("styles", "styles.xml")
    sheets = '<sheets><sheet name="S" r:id="r0"/></sheets>'
    parts = {
        "xl/workbook.xml": f"<workbook {SHEET} {R}><workbookPr {properties}/>{sheets}</workbook>",
        "xl/styles.xml": f"<styleSheet {SHEET}><cellXfs>{xfs}</cellXfs></styleSheet>",
        "xl/_rels/workbook.xml.rels": relations(*targets),
    }
    return read(book(row(cells), parts=parts))


def test_formats_that_files_name_by_number_are_known() -> None:
    xfs = "".join(f'<xf numFmtId="{number}"/>' for number in NUMBERED_FORMATS)
    values = NUMBERED_FORMATS.values()
    cells = "".join(f'<c s="{style}"><v>{value}</v></c>' for style, (value, _) in enumerate(values))
    text = styled(cells, xfs).text.partition("\n")[0]
    assert text == f"| {' | '.join(shown for _, shown in values)} |"


@pytest.mark.parametrize(
    ("said", "date"), [("1", "2027-03-16"), ("true", "2027-03-16"), ("0", "2023-03-15"), ("false", "2023-03-15")]
)
def test_dates_of_a_workbook_count_from_the_year_that_it_says(said: str, date: str) -> None:
    document = styled('<c s="0"><v>45000</v></c>', '<xf numFmtId="14"/>', f'date1904="{said}"')
    assert document.text.partition("\n")[0] == f"| {date} |"


STRUCK = {
    "a cell": ('<c s="1" t="inlineStr"><is><t>Old</t></is></c><c s="0"><v>5</v></c>', "~~Old~~ | 5"),
    "a number": ('<c s="2"><v>0.155</v></c><c s="3"><v>5</v></c>', "~~15.50%~~ | 5"),
    "nothing": ('<c s="1"/><c s="1" t="inlineStr"><is><t> </t></is></c><c><v>5</v></c>', " |  | 5"),
    "a link": (
        '<c s="1" t="str"><f>HYPERLINK("https://example.com/a")</f><v>a</v></c>',
        "[~~a~~](https://example.com/a)",
    ),
    "words of a cell": ('<c t="s"><v>0</v></c>', "~~Old price~~ New"),
    "words of a struck cell": ('<c s="1" t="s"><v>0</v></c>', "~~Old price~~ New"),
}
STRUCK_STRINGS = (
    "<si><r><rPr><strike/></rPr><t>Old </t></r><r><rPr><b/><strike val='1'/></rPr><t>price</t></r>"
    "<r><rPr><strike val='0'/></rPr><t> New</t></r></si>"
)


@pytest.mark.parametrize(("cells", "shown"), STRUCK.values(), ids=STRUCK)
def test_struck_cells_and_words_are_marked(cells: str, shown: str) -> None:
    fonts = '<fonts><font/><font><strike/></font><font><strike val="0"/></font></fonts>'
    xfs = '<cellXfs><xf/><xf fontId="1"/><xf fontId="1" numFmtId="10"/><xf fontId="2"/></cellXfs>'
    targets = ("worksheet", "worksheets/sheet1.xml"), ("styles", "styles.xml"), ("sharedStrings", "sharedStrings.xml")
    parts = {
        "xl/styles.xml": f"<styleSheet {SHEET}>{fonts}{xfs}</styleSheet>",
        "xl/_rels/workbook.xml.rels": relations(*targets),
    }
    text = read(book(row(cells), strings=STRUCK_STRINGS, parts=parts)).text
    assert text.partition("\n")[0] == f"| {shown} |"


HIDDEN = {
    "rows": ('<row hidden="1"><c><v>7</v></c></row>', "", LeftOut(Part.HIDDEN_ROW, 1)),
    "filtered rows": ('<row hidden="true"><c><v>7</v></c></row>' * 3, "", LeftOut(Part.HIDDEN_ROW, 3)),
    "rows without height": ('<row ht="0" customHeight="1"><c><v>7</v></c></row>', "", LeftOut(Part.HIDDEN_ROW, 1)),
    "columns": (
        '<row><c r="B1"><v>7</v></c></row>',
        '<cols><col min="2" max="16384" hidden="1"/></cols>',
        LeftOut(Part.HIDDEN_COLUMN, 1),
    ),
    "columns without width": (
        '<row><c r="B1"><v>7</v></c><c r="C1"><v>7</v></c></row>',
        '<cols><col min="2" max="3" width="0"/></cols>',
        LeftOut(Part.HIDDEN_COLUMN, 2),
    ),
}


@pytest.mark.parametrize(("rows", "head", "left_out"), HIDDEN.values(), ids=HIDDEN)
def test_hidden_rows_and_columns_are_left_out_and_named(rows: str, head: str, left_out: LeftOut) -> None:
    seen = '<row hidden="0" ht="15"><c r="A1"><v>1</v></c></row>'
    assert read(book(seen + rows, head=head)) == Document("| 1 |\n|---|", (left_out,))


def test_rows_that_hold_something_are_shown_where_rows_are_hidden_by_default() -> None:
    # Excel and XlsxWriter write this for the empty rows below a table: MS-XLS 2.4.87, fDyZero.
    assert read(book(row("<c><v>1</v></c>"), head='<sheetFormatPr zeroHeight="1"/>')) == Document("| 1 |\n|---|")


def test_formula_without_a_result_is_shown_itself_and_named() -> None:
    cells = '<c><f>SUM(A1:A2)</f></c><c><f t="shared" si="0"/></c><c t="e"><f>1/0</f><v>#DIV/0!</v></c>'
    counted = LeftOut(Part.FORMULA, 2), LeftOut(Part.ERROR, 1)
    assert read(book(row(cells))) == Document("| =SUM(A1:A2) |  | #DIV/0! |\n|---|---|---|", counted)


def test_addresses_of_links_stand_below_a_sheet() -> None:
    links = '<hyperlink ref="A1:B1" r:id="r0" location="b"/><hyperlink ref="A2" location="S!A1"/>'
    parts = {"xl/worksheets/_rels/sheet1.xml.rels": relations(("hyperlink", "https://example.com/a"))}
    parts = {name: part.replace("/>", ' TargetMode="External"/>') for name, part in parts.items()}
    shown = "| 1 |\n|---|\n\n- A1: https://example.com/a#b"
    assert read(book(row("<c><v>1</v></c>"), tail=f"<hyperlinks>{links}</hyperlinks>", parts=parts)).text == shown


DIAGRAM = f"""<d:dataModel xmlns:d="d" {A}>
    <d:pt><d:t><a:p><a:r><a:t>Plan</a:t></a:r></a:p></d:t></d:pt></d:dataModel>"""


def drawn(shapes: str, **parts: str) -> bytes:
    """Returns a workbook with a cell, and shapes on its sheet. Its charts and diagrams are r0 and r1."""
    parts = {
        "worksheets/_rels/sheet1.xml.rels": relations(("drawing", "../drawings/drawing1.xml")),
        "drawings/drawing1.xml": f'<xdr:wsDr xmlns:xdr="xdr" xmlns:c="c" xmlns:d="d" {MC} {A} {R}>{shapes}</xdr:wsDr>',
        "drawings/_rels/drawing1.xml.rels": relations(
            ("chart", "../charts/c.xml"), ("diagramData", "../diagrams/d.xml")
        ),
        "charts/c.xml": CHART,
        "diagrams/d.xml": DIAGRAM,
        **{name.replace("__", "/"): part for name, part in parts.items()},
    }
    return book(row("<c><v>1</v></c>"), parts={f"xl/{name}": part for name, part in parts.items()})


def box(text: str, about: str = "") -> str:
    attributes, _, inner = about.partition(">")
    words = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("|"))
    name = f"<xdr:nvSpPr><xdr:cNvPr {attributes}>{inner}</xdr:cNvPr></xdr:nvSpPr>"
    return f"<xdr:twoCellAnchor><xdr:sp>{name}<xdr:txBody>{words}</xdr:txBody></xdr:sp></xdr:twoCellAnchor>"


FRAME = "<xdr:graphicFrame><a:graphic><a:graphicData>{}</a:graphicData></a:graphic></xdr:graphicFrame>"
ANCHORED = f"<xdr:twoCellAnchor>{FRAME}</xdr:twoCellAnchor>"
CONTROL = 'hidden="1"><a:extLst><a:ext><a14:compatExt xmlns:a14="a14" spid="1"/></a:ext></a:extLst>'
DRAWN = {
    "a text box": (box("Only|until May"), "Only\nuntil May", ()),
    "boxes in a group": (f"<xdr:grpSp>{box('a')}{box('b')}</xdr:grpSp>", "a\nb", ()),
    "a chart": (ANCHORED.format('<c:chart r:id="r0"/>'), SHOWN_CHART, ()),
    "a diagram": (ANCHORED.format('<d:relIds r:dm="r1"/>'), "Plan", ()),
    "a picture": (
        '<xdr:pic><xdr:nvPicPr><xdr:cNvPr descr="a plan"/></xdr:nvPicPr></xdr:pic>',
        "![a plan]",
        (Part.PICTURE,),
    ),
    "a hidden box": (box("a", 'hidden="1"'), "", (Part.HIDDEN_TEXT,)),
    "a control's own box": (box("Button 1", CONTROL), "", ()),
    "a chart that is gone": (ANCHORED.format('<c:chart r:id="r7"/>'), "", (Part.CHART,)),
    "a damaged drawing": ("<", "", (Part.PICTURE,)),
    "groups without an end": ("<xdr:grpSp>" * 20_000 + "</xdr:grpSp>" * 20_000, "", (Part.PICTURE,)),
}


@pytest.mark.parametrize(("shapes", "shown", "left_out"), DRAWN.values(), ids=DRAWN)
def test_what_is_drawn_on_a_sheet_stands_below_its_cells(shapes: str, shown: str, left_out: tuple[Part, ...]) -> None:
    text = f"| 1 |\n|---|\n\n{shown}".strip("\n")
    assert read(drawn(shapes)) == Document(text, tuple(LeftOut(part, 1) for part in left_out))


def test_damaged_chart_is_named() -> None:
    read_chart = read(drawn(ANCHORED.format('<c:chart r:id="r0"/>'), **{"charts/c.xml": "<"}))
    assert read_chart == Document("| 1 |\n|---|", (LeftOut(Part.CHART, 1),))


@pytest.mark.parametrize("state", ["", 'state="hidden"'])
def test_chart_that_is_a_sheet_of_its_own_is_read_unless_it_is_hidden(state: str) -> None:
    parts = {
        "xl/workbook.xml": f'<workbook {SHEET} {R}><sheets><sheet name="S" {state} r:id="r0"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relations(("chartsheet", "chartsheets/sheet1.xml")),
        "xl/chartsheets/sheet1.xml": f"<chartsheet {SHEET}/>",
        "xl/chartsheets/_rels/sheet1.xml.rels": relations(("drawing", "../drawings/drawing1.xml")),
    }
    content = drawn(ANCHORED.format('<c:chart r:id="r0"/>'))
    for name, part in parts.items():
        content = with_part(content, name, part)
    hidden = (LeftOut(Part.HIDDEN_SHEET, 1, ("S",)),)
    assert read(content) == (Document("", hidden) if state else Document(SHOWN_CHART))


@pytest.mark.long
def test_drawing_that_is_made_to_take_long_is_read_as_far_as_there_is_room() -> None:
    boxes = box("a") * 40_000
    assert len(boxes) > 4 * 2**20
    assert read(drawn(boxes)).left_out == (LeftOut(Part.END, 1),)


def test_comments_of_a_thread_are_counted_once() -> None:
    parts = {
        "xl/comments1.xml": "<comments><comment ref='A1'/><comment ref='A2'/></comments>",
        "xl/threadedComments/threadedComment1.xml": "<a><threadedComment id='1'/><threadedComment parentId='1'/></a>",
        "xl/embeddings/oleObject1.bin": "x",
    }
    assert read(book("", parts=parts)).left_out == (LeftOut(Part.COMMENT, 3), LeftOut(Part.ATTACHMENT, 1))


def test_text_that_is_missing_from_the_file_is_named() -> None:
    cells = row('<c t="s"><v>0</v></c><c t="s"><v>5</v></c>')
    assert read(book(cells, strings="<si><t>a</t></si>")).left_out == (LeftOut(Part.STRING, 1),)


def test_far_cell_is_read() -> None:
    rows = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="T1048576"><v>2</v></c></row>'
    assert read(book(rows)) == Document(f"| 1 |\n|---|\n|{'  |' * 19} 2 |")


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64])
def test_sheet_is_read_the_same_in_any_pieces(monkeypatch: pytest.MonkeyPatch, chunk_bytes: int) -> None:
    rows = "".join(row(f"<c><v>{number}</v></c>" * 3) for number in range(20))
    whole = read(book(rows))
    monkeypatch.setattr(workbook, "_CHUNK_BYTES", chunk_bytes)
    assert read(book(rows)) == whole
    assert "| 19 | 19 | 19 |" in whole.text


@pytest.mark.long
def test_large_sheet_is_read_as_far_as_there_is_room() -> None:
    """The rest isn't unpacked: 3 million cells are more than the unpacked size that an archive can have."""
    cells = "".join(f"<c><v>{number}</v></c>" for number in range(12))
    content = book(row(cells) * 250_000, strings="<si><t>a</t></si>" * 10)
    document = read(content)
    assert document.left_out == (LeftOut(Part.END, 1),)
    assert len(document.text) > MAX_CHARS - 100


def test_workbook_of_another_name_and_strict_form_is_read() -> None:
    """Strict files have other namespaces and relationship types."""
    content = book(row("<c><v>1</v></c>"))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {
            name.replace("workbook.xml", "workbook2.xml"): re.sub(
                rb"http://schemas.openxmlformats.org/(officeDocument|spreadsheetml)/2006",
                rb"http://purl.oclc.org/ooxml/\1",
                archive.read(name),
            )
            for name in archive.namelist()
        }
    assert read(pack_zip(parts)).text == "| 1 |\n|---|"


@pytest.mark.parametrize(
    ("parts", "left_out"),
    [
        ({"xl/drawings/vmlDrawing1.vml": '<x:ClientData ObjectType="Checkbox"/>'}, LeftOut(Part.CONTROL, 1)),
        ({"xl/activeX/activeX1.xml": "<ocx/>"}, LeftOut(Part.CONTROL, 1)),
        ({"xl/drawings/vmlDrawing1.vml": '<x:ClientData ObjectType="Note"/>'}, None),
    ],
)
def test_controls_of_older_forms_are_counted(parts: dict[str, str], left_out: LeftOut | None) -> None:
    assert read(book(row("<c><v>1</v></c>"), parts=parts)).left_out == ((left_out,) if left_out else ())


def test_background_of_a_sheet_is_counted() -> None:
    assert read(book(row("<c><v>1</v></c>"), tail='<picture r:id="r0"/>')).left_out == (LeftOut(Part.PICTURE, 1),)
