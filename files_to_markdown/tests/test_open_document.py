"""OpenDocument files: numbers, links, forms, hidden parts, embedded objects."""

import pytest

from files_to_markdown import formats
from files_to_markdown.benchmarks.hostile_documents import odf
from files_to_markdown.document import MAX_CHARS, Document, Format, LeftOut, Part
from files_to_markdown.tests.test_formats import with_part

NAMES = " ".join(
    [
        *(
            f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
            for name in ("form", "chart", "style", "presentation")
        ),
        'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"',
        'xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0"',
        'xmlns:xlink="http://www.w3.org/1999/xlink"',
        'xmlns:field="urn:openoffice:names:experimental:ooo-ms-interop:xmlns:field:1.0"',
        'xmlns:loext="urn:org:documentfoundation:names:experimental:office:xmlns:loext:1.0"',
    ]
)
OFFICE = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text", "table")
)


def read(body: str, kind: str = "text", **parts: str) -> Document:
    file = odf(kind, f"<text:section {NAMES}>{body}</text:section>" if kind == "text" else body)
    for name, part in parts.items():
        content = f"<office:document-styles {OFFICE} {NAMES}>{part}</office:document-styles>"
        file = with_part(file, f"{name.replace('__', '/')}.xml", content)
    return formats.read(Format.ARCHIVE, file)


def numbers(*levels: str, name: str = "L1") -> str:
    listed = "".join(f'<text:list-level-style-number text:level="{at}" {level}/>' for at, level in enumerate(levels, 1))
    return f'<text:list-style style:name="{name}">{listed}</text:list-style>'


def items(*texts: str, about: str = 'text:style-name="L1"') -> str:
    inner = "".join(
        f"<text:list-item>{text if text[0] == '<' else f'<text:p>{text}</text:p>'}</text:list-item>" for text in texts
    )
    return f"<text:list {about}>{inner}</text:list>"


DOTTED = 'style:num-format="1" style:num-suffix="."'
CONTRACT = numbers(DOTTED, 'style:num-format="1" text:display-levels="2"', 'style:num-format="a" style:num-suffix=")"')
NEW = numbers(*(f'style:num-format="1" loext:num-list-format="{form}"' for form in ("Article %1%", "§ %1%.%2%")))
BULLETS = '<text:list-style style:name="L1"><text:list-level-style-bullet text:level="1"/></text:list-style>'
AGAIN = 'text:style-name="L1" text:continue-numbering="true"'
INNER = items("b", "c", about="")
OUTLINE = (
    '<text:outline-style><text:outline-level-style text:level="1" style:num-format="I" style:num-suffix="."/>'
    '<text:outline-level-style text:level="2" style:num-format="1" text:display-levels="2"/></text:outline-style>'
)
HEADINGS = "".join(
    f'<text:h text:outline-level="{level}">{text}</text:h>' for level, text in [(1, "a"), (2, "b"), (1, "c")]
)
NUMBERED = {
    "a paragraph between": (
        CONTRACT,
        f"{items('a', 'b')}<text:p>between</text:p>{items('c', about=AGAIN)}{items('d')}",
        "1. a\n2. b\nbetween\n3. c\n1. d",
    ),
    "a list that another one continues": (
        CONTRACT,
        items("a", about='text:style-name="L1" xml:id="x"')
        + items("b", about='text:style-name="L2"')
        + items("c", about='text:style-name="L1" text:continue-list="x"'),
        "1. a\n- b\n2. c",
    ),
    "levels": (
        CONTRACT,
        items("a", INNER, items(items("d", about=""), about="")) + items(items("e", about=""), about=AGAIN),
        "1. a\n  1.1 b\n  1.2 c\n    a) d\n  1.3 e",
    ),
    "patterns": (NEW, items("a", INNER), "Article 1 a\n  § 1.1 b\n  § 1.2 c"),
    "starts": (
        numbers('style:num-format="A" text:start-value="3"'),
        '<text:list text:style-name="L1"><text:list-item><text:p>a</text:p><text:p>more</text:p></text:list-item>'
        '<text:list-item text:start-value="7"><text:p>b</text:p></text:list-item>'
        "<text:list-header><text:p>c</text:p></text:list-header></text:list>",
        "C a\nmore\nG b\nc",
    ),
    "letters that count on": (numbers('style:num-format="a" text:start-value="28"'), items("a"), "ab a"),
    "letters that are repeated": (
        numbers('style:num-format="a" style:num-letter-sync="true" text:start-value="28"'),
        items("a"),
        "bb a",
    ),
    "capital letters that count on": (numbers('style:num-format="A" text:start-value="28"'), items("a"), "AB a"),
    "small roman": (numbers('style:num-format="i" text:start-value="4"'), items("a"), "iv a"),
    "bullets": (BULLETS, items("a"), "- a"),
    "a format that nobody knows": (numbers('style:num-format="一"'), items("a"), "a"),
    "a number for old programs": (
        CONTRACT,
        "<text:list><text:list-item><text:number>(x)</text:number><text:p>a</text:p></text:list-item></text:list>",
        "(x) a",
    ),
    "headings": (OUTLINE, HEADINGS, "# I. a\n## I.1 b\n# II. c"),
    "in a cell": (
        CONTRACT,
        "<table:table><table:table-row><table:table-cell><text:p>do</text:p>"
        f"{items('a', 'b')}</table:table-cell></table:table-row></table:table>",
        "| do<br>1. a<br>2. b |\n|---|",
    ),
}


@pytest.mark.parametrize(("styles", "body", "shown"), NUMBERED.values(), ids=NUMBERED)
def test_items_and_headings_have_the_numbers_that_people_see(styles: str, body: str, shown: str) -> None:
    assert read(body, styles=styles).text.replace("\n\n", "\n") == shown


FORM = """<office:forms><form:form><form:checkbox form:id="c1" form:label="Approved" form:current-state="checked"/>
<form:checkbox form:id="c2" form:label="Rejected"/><form:radio form:id="c3" form:label="Yes" form:selected="true"/>
<form:radio form:id="c4" form:label="No"/><form:text form:id="c5" form:current-value="Ada"/>
<form:listbox form:id="c6"><form:option form:label="S"/><form:option form:label="M" form:current-selected="true"/>
</form:listbox><form:password form:id="c7" form:value="x"/><form:grid form:id="c8"/><form:textarea form:id="c10">
<text:p>one</text:p><text:p>two</text:p></form:textarea><form:formatted-text form:id="c11" form:value="5"/>
<form:combobox form:id="c12" form:current-value="L"/><form:button form:id="c13" form:label="Send"/>
<form:hidden form:id="c14" form:value="x"/></form:form></office:forms>"""
STYLES = """<office:styles><style:style style:name="T1" style:family="text">
<style:text-properties style:text-position="super 58%"/></style:style><style:style style:name="T2"
style:family="text" style:parent-style-name="T3"/><style:style style:name="T3" style:family="text">
<style:text-properties style:text-position="-33% 58%"/></style:style><style:style style:name="T4" style:family="text">
<style:text-properties text:display="none"/></style:style><style:style style:name="T5" style:family="text">
<style:text-properties style:text-position="sub 58%"/></style:style><style:style style:name="T6" style:family="text">
<style:text-properties style:text-position="0% 100%"/></style:style><style:style style:name="P1"
style:family="paragraph"><style:text-properties text:display="none"/></style:style></office:styles>"""
PICTURE = "<draw:frame><draw:image/><draw:image/><svg:title>Plan</svg:title><svg:desc>a plan</svg:desc></draw:frame>"


def field(kind: str, *parameters: tuple[str, str]) -> str:
    said = "".join(f'<field:param field:name="{name}" field:value="{value}"/>' for name, value in parameters)
    return f'<field:fieldmark field:type="vnd.oasis.opendocument.field.{kind}">{said}</field:fieldmark>'


BOXES = [
    field("FORMCHECKBOX", *said)
    for said in ([("Checkbox_Checked", "true")], [("Checkbox_Result", "true")], [("Checkbox_Checked", "false")])
]
CHOICE = field("FORMDROPDOWN", ("Dropdown_ListEntry", "S"), ("Dropdown_ListEntry", "M"), ("Dropdown_Selected", "1"))
DELETED = (
    "<text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p></text:deletion>"
    "</text:changed-region></text:tracked-changes>"
)


def control(number: int) -> str:
    return f'<draw:control draw:control="c{number}"/>'


def span(style: int, text: str) -> str:
    return f'<text:span text:style-name="T{style}">{text}</text:span>'


def left_out(*parts: Part) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(part, 1) for part in parts)


STRUCK = "".join(
    f'<style:style style:name="{name}" style:family="{family}" {more}><style:text-properties '
    f"style:text-line-through-{line}/></style:style>"
    for name, family, line, more in [
        ("T1", "text", 'style="solid"', ""),
        ("T2", "text", 'style="none"', ""),
        ("T3", "text", 'type="double"', ""),
        ("P1", "paragraph", 'style="solid"', ""),
        ("C1", "table-cell", 'style="solid"', ""),
        ("C2", "table-cell", 'style="none"', 'style:parent-style-name="C1"'),
        ("C3", "table-cell", 'mode="continuous"', 'style:parent-style-name="C1"'),
        ("C4", "table-cell", 'mode="continuous"', ""),
    ]
)
STRUCK_TEXTS = {
    "a word": (f"<text:p>{span(1, 'Old')} New</text:p>", "~~Old~~ New"),
    "a word with two lines": (f"<text:p>{span(3, 'Old ')}New</text:p>", "~~Old~~ New"),
    "words in pieces": (f"<text:p>{span(1, 'Old ')}{span(1, span(4, 'price'))} New</text:p>", "~~Old price~~ New"),
    "a paragraph": (
        f'<text:p text:style-name="P1">Old {span(4, "x")}</text:p><text:p>New</text:p>',
        "~~Old x~~\n\nNew",
    ),
    "a paragraph but for a word": (f'<text:p text:style-name="P1">Old{span(2, " New")}</text:p>', "~~Old ~~New"),
    "a struck word in a struck paragraph": (f'<text:p text:style-name="P1">a{span(1, "b")}c</text:p>', "~~abc~~"),
}


@pytest.mark.parametrize(("body", "shown"), STRUCK_TEXTS.values(), ids=STRUCK_TEXTS)
def test_struck_words_are_marked(body: str, shown: str) -> None:
    assert read(body, styles=f"<office:styles>{STRUCK}</office:styles>").text == shown


SHOWN: dict[str, tuple[str, str, tuple[LeftOut, ...]]] = {
    "boxes": (f"<text:p>{control(1)}{control(2)}</text:p>", "☒ Approved  ☐ Rejected", ()),
    "radio buttons": (f"<text:p>{control(3)}{control(4)}</text:p>", "◉ Yes  ○ No", ()),
    "values": (f"<text:p>Name:{control(5)}{control(6)}{control(7)}</text:p>", "Name: Ada  M", ()),
    "a control that nobody knows": (f"<text:p>a{control(8)}{control(9)}</text:p>", "a", (LeftOut(Part.CONTROL, 2),)),
    "a control of a page": (control(1), "☒ Approved", ()),
    "other values": (
        f"<text:p>{''.join(map(control, range(10, 15)))}</text:p>",
        "one two  5  L  Send",
        (),
    ),
    "fields of Word": (f"<text:p>{', '.join([*BOXES, CHOICE])} a</text:p>", "☒, ☒, ☐, M a", ()),
    "a link": (
        '<text:p>see <text:a xlink:href="https://example.com/a">this</text:a></text:p>',
        "see [this](https://example.com/a)",
        (),
    ),
    "a link within": ('<text:p><text:a xlink:href="#top">up</text:a></text:p>', "up", ()),
    "a superscript": (
        f"<text:p>10{span(1, '6')} H{span(2, '2')}O{span(6, '3')} C{span(5, '60')}</text:p>",
        "10^6 H_2O3 C_60",
        (),
    ),
    "a superscript within a passage": (
        f"<text:p>x<text:span>{span(1, '2')}</text:span> "
        f"H<text:span><text:span>{span(2, '2')}</text:span></text:span>O</text:p>",
        "x^2 H_2O",
        (),
    ),
    "hidden": (
        f'<text:p>a{span(4, "b")}</text:p><text:section text:display="none"><text:p>c</text:p></text:section>',
        "a",
        (LeftOut(Part.HIDDEN_TEXT, 2),),
    ),
    "a hidden paragraph and field": (
        '<text:p>a<text:hidden-text text:is-hidden="true">b</text:hidden-text></text:p>'
        '<text:p text:style-name="P1">c</text:p>',
        "a",
        (LeftOut(Part.HIDDEN_TEXT, 2),),
    ),
    "an empty hidden passage": (f"<text:p>a{span(4, '')}</text:p>", "a", ()),
    "a reading": (
        "<text:p><text:ruby><text:ruby-base>漢</text:ruby-base><text:ruby-text>kan</text:ruby-text></text:ruby></text:p>",
        "漢(kan)",
        (),
    ),
    "a soft hyphen": ("<text:p>Donau\u00addampf</text:p>", "Donaudampf", ()),
    "a picture": (f"<text:p>{PICTURE}</text:p>", "![a plan]", left_out(Part.PICTURE)),
    "a picture of a page": (PICTURE, "![a plan]", left_out(Part.PICTURE)),
    "a deletion": (f"{DELETED}<text:p>a</text:p>", "a", left_out(Part.DELETION)),
    "a deletion in its place": (
        '<text:tracked-changes><text:changed-region text:id="d"><text:deletion><text:p>x</text:p></text:deletion>'
        "</text:changed-region></text:tracked-changes>"
        '<text:p>a<text:change-start text:change-id="d"/>gone<text:span>more</text:span></text:p>'
        '<text:p>last<text:change-end text:change-id="d"/>b</text:p>',
        "a\n\nb",
        left_out(Part.DELETION),
    ),
    "a table with a picture of it": (
        "<draw:frame><table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell>"
        "</table:table-row></table:table><draw:image/></draw:frame>",
        "| a |\n|---|",
        (),
    ),
    "an embedded file": (
        "<text:p>a<draw:frame><draw:object-ole/><draw:image/></draw:frame></text:p>",
        "a",
        left_out(Part.ATTACHMENT),
    ),
    "a heading of a text box within a paragraph": (
        "<text:p>a<draw:frame><draw:text-box><text:h>Plan</text:h></draw:text-box></draw:frame>b</text:p>",
        "a Plan b",
        (),
    ),
    "columns of tabs": (
        "<text:p>Rent<text:tab/>500</text:p><text:p><text:tab/><text:tab/>70 </text:p>",
        "Rent\t500\n\n\t\t70",
        (),
    ),
    "lines in a cell": (
        "<table:table><table:table-row><table:table-cell><text:p>a</text:p><text:p>b<text:line-break/>c</text:p>"
        "</table:table-cell></table:table-row></table:table>",
        "| a<br>b<br>c |\n|---|",
        (),
    ),
}


@pytest.mark.parametrize(("body", "shown", "parts"), SHOWN.values(), ids=SHOWN)
def test_document_says_what_people_see(body: str, shown: str, parts: tuple[LeftOut, ...]) -> None:
    assert read(FORM + body, styles=STYLES) == Document(shown, parts)


FRAME = '<text:p>a<draw:frame><draw:object xlink:href="./Object 1"/><draw:image/></draw:frame></text:p>'
CHART = (
    "<office:chart><chart:chart><chart:title><text:p>Sales</text:p></chart:title><table:table><table:table-row>"
    "<table:table-cell/><table:table-cell><text:p>Q1</text:p></table:table-cell></table:table-row></table:table>"
    "</chart:chart></office:chart>"
)
FORMULA = "<math><semantics><mi>x</mi><annotation>x over y</annotation></semantics></math>"
OBJECTS = {
    "a chart": (CHART, Document("a\n\nChart: Sales\n\n|  | Q1 |\n|---|---|")),
    "a formula": (FORMULA, Document("a x over y")),
    "a formula without a line of text": ("<math><mi>x</mi></math>", Document("a", left_out(Part.EQUATION))),
    "a workbook": ("<office:spreadsheet/>", Document("a", left_out(Part.ATTACHMENT))),
}


@pytest.mark.parametrize(("content", "shown"), OBJECTS.values(), ids=OBJECTS)
def test_objects_of_a_document_are_read_or_named(content: str, shown: Document) -> None:
    assert read(FRAME, **{"Object 1__content": content}) == shown


def test_hidden_slides_are_left_out_and_a_title_comes_first() -> None:
    styles = (
        '<style:style style:name="dp1" style:family="drawing-page"><style:drawing-page-properties '
        'presentation:visibility="hidden"/></style:style>'
    )
    title = '<draw:frame presentation:class="title"><draw:text-box><text:p>Plan</text:p></draw:text-box></draw:frame>'
    body = "<draw:frame><draw:text-box><text:p>body</text:p></draw:text-box></draw:frame>"
    pages = (
        f'<draw:page {NAMES} draw:style-name="dp1"><text:p>x</text:p></draw:page>'
        f"<draw:page {NAMES}>{body}{title}</draw:page>"
    )
    shown = read(pages, "presentation", styles=styles)
    assert shown == Document("## Slide 2: Plan\n\nbody", (LeftOut(Part.HIDDEN_SLIDE, 1, ("1",)),))


def page_style(name: str, *properties: str) -> str:
    said = " ".join(f'presentation:{one}="false"' for one in properties)
    return (
        f'<style:style style:name="{name}" style:family="drawing-page"><style:drawing-page-properties {said}/>'
        "</style:style>"
    )


def test_words_of_a_master_and_footers_of_slides_are_shown_once() -> None:
    master = (
        '<draw:frame presentation:class="title" presentation:placeholder="true"><text:p>Click</text:p></draw:frame>'
        "<draw:frame><text:p>Ada Ltd.</text:p></draw:frame><draw:frame><text:p>Secret</text:p></draw:frame>"
        "<draw:frame><text:p><presentation:footer>x</presentation:footer></text:p></draw:frame>"
        "<presentation:notes><draw:frame><text:p>notes</text:p></draw:frame></presentation:notes>"
    )
    styles = (
        page_style("plain", "background-objects-visible")
        + page_style("bare", "display-footer", "display-date-time")
        + f'<style:master-page style:name="M">{master}</style:master-page>'
    )
    declared = (
        '<presentation:footer-decl presentation:name="f">Page of Ada</presentation:footer-decl>'
        '<presentation:date-time-decl presentation:name="d">1 May</presentation:date-time-decl>'
        '<presentation:date-time-decl presentation:name="now" presentation:source="current-date"/>'
    )
    around = 'draw:master-page-name="M" presentation:use-footer-name="f" presentation:use-date-time-name="{}"'
    pages = "".join(
        f'<draw:page draw:style-name="{style}" {around.format(date)}><text:p>{date}</text:p></draw:page>'
        for style, date in (("", "x"), ("bare", "d"), ("plain", "now"), ("", "d"), ("", "d"))
    )
    body = f"<text:section {NAMES}>{declared}</text:section>{pages.replace('<draw:page', f'<draw:page {NAMES}')}"
    words = "On slides of this layout: Ada Ltd. Secret"
    assert read(body, "presentation", styles=styles).text == (
        f"## Slide 1\n\nx\n\nFooter: Page of Ada\n\n{words}\n\n## Slide 2\n\nd\n\n## Slide 3\n\nnow\n\n"
        "## Slide 4\n\nd\n\nDate: 1 May\n\n## Slide 5\n\nd"
    )


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [("display-footer", "On slides of this layout: Ada"), ("background-objects-visible", "Footer: f")],
)
def test_slide_may_hide_its_footer_or_what_its_master_draws(hidden: str, shown: str) -> None:
    styles = page_style("s", hidden) + (
        '<style:master-page style:name="M"><draw:frame><text:p>Ada</text:p></draw:frame></style:master-page>'
    )
    body = (
        f'<presentation:footer-decl {NAMES} presentation:name="f">f</presentation:footer-decl><draw:page {NAMES} '
        'draw:style-name="s" draw:master-page-name="M" presentation:use-footer-name="f"/>'
    )
    assert read(body, "presentation", styles=styles).text == f"## Slide 1\n\n{shown}"


def test_headers_of_first_and_left_pages_are_read() -> None:
    names = ("header", "header-first", "header-left", "footer-first")
    headers = "".join(f"<style:{name}><text:p>{name}</text:p></style:{name}>" for name in names)
    shown = read(
        "<text:p>a</text:p>", styles=f"{headers}<style:footer style:display='false'><text:p>x</text:p></style:footer>"
    )
    assert shown.text == "Header: header\n\nHeader: header-first\n\nHeader: header-left\n\nFooter: footer-first\n\na"


def cell(text: str, attributes: str = "") -> str:
    return f"<table:table-cell {attributes}>{text and f'<text:p>{text}</text:p>'}</table:table-cell>"


def rows(*cells: str, about: str = "") -> str:
    return f"<table:table-row {about}>{''.join(cells)}</table:table-row>"


A, B, C = map(cell, "abc")
HIDDEN = 'table:visibility="collapse"'
FILTERED = 'table:visibility="filter"'
CHECKED = 'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
NO_TABLE = (
    '<style:style style:name="ta1" style:family="table"><style:table-properties table:display="false"/></style:style>'
)
OBJECT = '<draw:frame><draw:object xlink:href="./Object 1"/><draw:image/></draw:frame>'
SHEETS: dict[str, tuple[str, str, tuple[LeftOut, ...]]] = {
    "formats": (rows(cell("15.5%", 'office:value="0.155"'), cell("01234", 'office:value="1234"')), "15.5% | 01234", ()),
    "a date": (rows(cell("03/01/24", 'office:date-value="2024-03-01"')), "2024-03-01", ()),
    "a time of a day": (rows(cell("1.3.", 'office:date-value="2024-03-01T09:05:00"')), "2024-03-01 09:05", ()),
    "values alone": (
        rows(
            cell("", 'office:value-type="percentage" office:value="0.155"'),
            cell("", 'office:value-type="float" office:value="2"'),
            *(cell("", f'office:value-type="boolean" office:boolean-value="{said}"') for said in ("true", "false")),
            cell("", 'office:value-type="string" office:string-value="a"'),
            cell("", 'office:value-type="time" office:time-value="PT9H"'),
        ),
        "15.5% | 2 | TRUE | FALSE | a | PT9H",
        (),
    ),
    "a link": (rows(cell('<text:a xlink:href="https://example.com/">x</text:a>')), "[x](https://example.com/)", ()),
    "a formula's link": (
        rows(cell("x", 'table:formula=\'of:=HYPERLINK("https://example.com/";"x")\'')),
        "[x](https://example.com/)",
        (),
    ),
    "a formula without a result": (rows(cell("", 'table:formula="of:=1+1"')), "=1+1", left_out(Part.FORMULA)),
    "an error": (rows(cell("#N/A", f'{CHECKED} calcext:value-type="error"')), "#N/A", left_out(Part.ERROR)),
    "lines": (rows("<table:table-cell><text:p>a</text:p><text:p>b</text:p></table:table-cell>"), "a<br>b", ()),
    "a hidden row": (
        rows(A) + rows(B, about=HIDDEN) + rows("<table:table-cell/>", about=HIDDEN),
        "a",
        left_out(Part.HIDDEN_ROW),
    ),
    "a hidden row that is repeated": (
        rows(A) + rows(B, about=f'{HIDDEN} table:number-rows-repeated="3"'),
        "a",
        (LeftOut(Part.HIDDEN_ROW, 3),),
    ),
    "a filtered row": (
        f"<table:table-row-group>{rows(A)}{rows(B, about=FILTERED)}</table:table-row-group>",
        "a",
        left_out(Part.HIDDEN_ROW),
    ),
    "a hidden column": (
        "<table:table-column/><table:table-column-group>"
        f'<table:table-column {HIDDEN} table:number-columns-repeated="2"/></table:table-column-group>'
        f"{rows(A, '<table:table-cell/>', '<table:table-cell/>', C)}{rows(A, B)}{rows(A, B)}",
        "a | c",
        left_out(Part.HIDDEN_COLUMN),
    ),
    "a chart": (rows(A, f"<table:table-cell>{OBJECT}</table:table-cell>"), "a", left_out(Part.CHART)),
    "a picture": (f"<table:shapes>{PICTURE}</table:shapes>{rows(A)}", "a", left_out(Part.PICTURE)),
    "a text box": (
        rows(A, "<table:table-cell><draw:custom-shape><text:p>b</text:p></draw:custom-shape></table:table-cell>"),
        "a",
        left_out(Part.TEXT_BOX),
    ),
}


@pytest.mark.parametrize(("body", "shown", "parts"), SHEETS.values(), ids=SHEETS)
def test_sheet_says_what_people_see(body: str, shown: str, parts: tuple[LeftOut, ...]) -> None:
    file = f'<table:table {NAMES} table:name="S">{body}</table:table>'
    document = read(file, "spreadsheet", **{"Object 1__content": CHART})
    assert document.text.replace("## Sheet S\n\n", "").split("\n")[0] == f"| {shown} |"
    assert document.left_out == parts


NEVER = "<table:table-cell/>"
STRUCK_CELLS = {
    "a cell": (rows(A, cell("Old", 'table:style-name="C1"')), "a | ~~Old~~"),
    "a number": (rows(cell("", 'table:style-name="C1" office:value-type="float" office:value="2"')), "~~2~~"),
    "a style's style": (
        rows(cell("Old", 'table:style-name="C3"'), cell("New", 'table:style-name="C2"')),
        "~~Old~~ | New",
    ),
    "words in a cell": (rows(cell(f"{span(1, 'Old')} New", "")), "~~Old~~ New"),
    "a cell but for a word": (rows(cell(f"Old{span(2, ' New')}", 'table:style-name="C1"')), "~~Old ~~New"),
    "a column": (
        '<table:table-column/><table:table-column table:default-cell-style-name="C1"/>'
        + rows(A, B, C)
        + rows(NEVER, cell("d", 'table:style-name="C4"')),
        "a | ~~b~~ | c |\n|---|---|---|\n|  | d",
    ),
    "a row": (rows(A, cell("b", 'table:style-name="C4"'), about='table:default-cell-style-name="C1"'), "~~a~~ | b"),
}


@pytest.mark.parametrize(("body", "shown"), STRUCK_CELLS.values(), ids=STRUCK_CELLS)
def test_struck_cells_are_marked(body: str, shown: str) -> None:
    table = f'<table:table {NAMES} table:name="S">{body}</table:table>'
    text = read(table, "spreadsheet", styles=f"<office:styles>{STRUCK}</office:styles>").text
    assert text.startswith(f"## Sheet S\n\n| {shown} |")


def test_hidden_sheets_are_named() -> None:
    """Three hidden sheets are named, with long names cut; the others are counted."""
    sheets = "".join(
        f'<table:table {NAMES} table:name="{name}" table:style-name="ta1">{rows(A)}</table:table>'
        for name in ("S", "a\tb", "c" * 61, "U")
    )
    document = read(f'{sheets}<table:table table:name="T">{rows(B)}</table:table>', "spreadsheet", styles=NO_TABLE)
    named = LeftOut(Part.HIDDEN_SHEET, 4, ("S", "a b", "c" * 60))
    assert document == Document("## Sheet T\n\n| b |\n|---|", (named,))


@pytest.mark.long
def test_large_sheet_is_read_as_far_as_there_is_room() -> None:
    table = f'<table:table table:name="S">{rows(*[cell("0.123456789 " * 20)] * 12) * 50_000}</table:table>'
    document = read(table, "spreadsheet")
    assert len(document.text) > 0.99 * MAX_CHARS
    assert document.left_out == left_out(Part.END)
