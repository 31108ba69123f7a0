"""Slides of several programs: links, titles, numbers, charts, embedded files, layouts."""

import io
import zipfile

import pytest

from files_to_markdown import formats
from files_to_markdown.benchmarks.hostile_documents import pack_zip
from files_to_markdown.document import Document, Format, LeftOut, Part
from files_to_markdown.tests.test_formats import MC, A, M, P, R, presentation, relations, slide
from files_to_markdown.tests.test_word import CHART, SHOWN_CHART, C

WEB = '<Relationship Id="r8" Type="x/hyperlink" Target="https://example.com/a" TargetMode="External"/>'
C_R = f"{C} {R}"


def words(text: str, properties: str = "", of_run: str = "") -> str:
    return f"<a:p><a:pPr {properties.partition('>')[0]}>{properties.partition('>')[2]}</a:pPr>{run(text, of_run)}</a:p>"


def run(text: str, properties: str = "") -> str:
    attributes, _, inner = properties.partition(">")
    return f"<a:r><a:rPr {attributes}>{inner}</a:rPr><a:t>{text}</a:t></a:r>"


def shape(body: str, about: str = "", place: str = "") -> str:
    held = f'<p:ph type="{place}"/>' if place else ""
    attributes, _, inner = about.partition(">")
    return (
        f"<p:sp><p:nvSpPr><p:cNvPr {attributes}>{inner}</p:cNvPr><p:nvPr>{held}</p:nvPr></p:nvSpPr>"
        f"<p:txBody>{body}</p:txBody></p:sp>"
    )


def read(shapes: str, *related: tuple[str, str], **parts: str) -> Document:
    to = relations(*related).replace("</Relationships>", f"{WEB}</Relationships>")
    named = {f"ppt/{name}.xml": part for name, part in parts.items()}
    named = {name.replace("__", "/"): part for name, part in named.items()}
    return formats.read(
        Format.ARCHIVE, presentation([slide(shapes, R)], {"ppt/slides/_rels/slide1.xml.rels": to, **named})
    )


CLICK = '><a:hlinkClick r:id="r8"/>'
STRIKE, NO_STRIKE = 'strike="sngStrike"', 'strike="noStrike"'
UP, DOWN = 'baseline="30000"', 'baseline="-25%"'
FRAME = "<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr/></p:nvGraphicFramePr><a:graphic>{}</a:graphic></p:graphicFrame>"
ROW = "<a:tr><a:tc><a:txBody>{}</a:txBody></a:tc><a:tc><a:txBody>{}</a:txBody></a:tc></a:tr>"
PICTURE = '<p:pic><p:nvPicPr><p:cNvPr descr="a plan"/></p:nvPicPr></p:pic>'
ALTERNATIVES = "<mc:AlternateContent {}><mc:Choice>{}</mc:Choice><mc:Fallback>{}</mc:Fallback></mc:AlternateContent>"
SUPERSCRIPT = "<m:e><m:r><m:t>x</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup>"
POWER = f"<a14:m xmlns:a14='a14'><m:oMath {M}><m:sSup>{SUPERSCRIPT}</m:sSup></m:oMath></a14:m>"
LEVELS = (("a", 0), ("b", 1), ("c", 2), ("d", 1), ("e", 0), ("f", 1), ("g", 2))
NUMBER = '><a:buAutoNum type="{}"/>'


def numbered(*paragraphs: tuple[str, str]) -> str:
    return shape("".join(words(text, properties) for text, properties in paragraphs))


SHOWN: dict[str, tuple[str, str]] = {
    "a link": (shape(f"<a:p>{run('See ')}{run('this', CLICK)}</a:p>"), "See [this](https://example.com/a)"),
    "a link of a shape": (shape(words("Go"), CLICK), "https://example.com/a\nGo"),
    "a link within the presentation": (shape(words("Go", "", '><a:hlinkClick r:id="r9"/>')), "Go"),
    "superscript and subscript": (
        shape(f"<a:p>{run('10')}{run('6', UP)}{run(' H')}{run('2', DOWN)}</a:p>"),
        "10^6 H_2",
    ),
    "numbers": (
        numbered(("a", NUMBER.format("arabicPeriod")), ("b", NUMBER.format("arabicPeriod")), ("c", "")),
        "1. a\n2. b\nc",
    ),
    "numbers of levels": (
        numbered(
            ("a", NUMBER.format("romanUcPeriod")),
            ("b", 'lvl="1"' + NUMBER.format("alphaLcParenR")),
            ("c", 'lvl="1"' + NUMBER.format("alphaLcParenR")),
            ("d", NUMBER.format("romanUcPeriod")),
            ("e", 'lvl="1"' + NUMBER.format("alphaLcParenBoth")),
        ),
        "I. a\n  a) b\n  b) c\nII. d\n  (a) e",
    ),
    "numbers of a level begin again below the next item": (
        numbered(*((text, f'lvl="{level}"' + NUMBER.format("arabicPeriod")) for text, level in LEVELS)),
        "1. a\n  1. b\n    1. c\n  2. d\n2. e\n  1. f\n    1. g",
    ),
    "numbers of another kind begin again": (
        numbered(("a", NUMBER.format("arabicPeriod")), ("b", NUMBER.format("romanUcPeriod"))),
        "1. a\nI. b",
    ),
    "numbers in other forms": (
        numbered(*(("a", NUMBER.format(kind)) for kind in ("alphaUcPeriod", "romanLcPlain", "arabicMinus"))),
        "A. a\ni a\n- 1 - a",
    ),
    "numbers that start elsewhere": (numbered(("a", '><a:buAutoNum type="arabicPlain" startAt="4"/>')), "4 a"),
    "numbers that nobody knows": (numbered(("a", NUMBER.format("hebrew2Minus"))), "- a"),
    "numbers of a shape": (
        shape(f'<a:lstStyle><a:lvl1pPr><a:buAutoNum type="circleNumDbPlain"/></a:lvl1pPr></a:lstStyle>{words("a")}'),
        "① a",
    ),
    "bullets": (numbered(("a", '><a:buChar char="•"/>'), ("b", 'lvl="1"><a:buNone/>')), "- a\n  b"),
    "lines in a cell": (
        FRAME.format(f"<a:tbl>{ROW.format(words('a') + words('b'), words('c'))}</a:tbl>"),
        "| a<br>b | c |\n|---|---|",
    ),
    "groups": (f"<p:grpSp><p:grpSp>{shape(words('a'))}</p:grpSp></p:grpSp>", "a"),
    "an equation": (
        shape(f"<a:p>{run('so')}{ALTERNATIVES.format(MC, POWER, run('x2'))}</a:p>"),
        "so x^(2)",
    ),
    "what only older programs draw": (ALTERNATIVES.format(MC, "<p:contentPart/>", shape(words("a"))), "a"),
    "struck words": (
        shape(f"<a:p>{run('Old ', STRIKE)}{run('price', STRIKE)}{run(' New')}{run('x', NO_STRIKE)}</a:p>"),
        "~~Old price~~ Newx",
    ),
    "a struck link": (
        shape(words("this", "", f'strike="dblStrike" {CLICK}')),
        "[~~this~~](https://example.com/a)",
    ),
    "struck words of a cell": (
        FRAME.format(f"<a:tbl>{ROW.format(words('a', '', STRIKE), words('b'))}</a:tbl>"),
        "| ~~a~~ | b |\n|---|---|",
    ),
    "a soft hyphen": (shape(words("Donau\u00addampf")), "Donaudampf"),
}


@pytest.mark.parametrize(("shapes", "shown"), SHOWN.values(), ids=SHOWN)
def test_slide_says_what_people_see(shapes: str, shown: str) -> None:
    assert read(shapes) == Document(f"## Slide 1\n\n{shown}")


@pytest.mark.parametrize("place", ["title", "ctrTitle"])
def test_title_of_a_slide_comes_first(place: str) -> None:
    shapes = shape(words("body")) + shape(words("3"), place="sldNum") + shape(words("Plan") + words("B"), place=place)
    assert read(shapes) == Document("## Slide 1: Plan B\n\nbody")


def test_pictures_say_what_they_show_and_embedded_files_are_named() -> None:
    embedded = FRAME.format(f"<p:oleObj>{PICTURE}</p:oleObj>")
    shown = read(PICTURE + embedded + shape(words("x"), 'hidden="true"') + FRAME.format(f'<c:chart {C_R} r:id="r7"/>'))
    parts = (Part.PICTURE, Part.ATTACHMENT, Part.HIDDEN_TEXT, Part.CHART)
    assert shown == Document("## Slide 1\n\n![a plan]", tuple(LeftOut(part, 1) for part in parts))


def test_pictures_behind_words_and_comments_are_counted() -> None:
    filled = "<p:bg><p:bgPr><a:blipFill/></p:bgPr></p:bg><p:sp><p:spPr><a:blipFill/></p:spPr></p:sp>"
    comments = f"<p:cmLst {P}><p:cm idx='1'/><p:cm><p:text>Why?</p:text></p:cm></p:cmLst>"
    shown = read(f"{filled}{shape(words('a'))}", comments__comment1=comments)
    assert shown == Document("## Slide 1\n\na", (LeftOut(Part.PICTURE, 2), LeftOut(Part.COMMENT, 2)))


def test_charts_and_diagrams_of_a_slide_stand_in_their_place() -> None:
    drawn = FRAME.format(f'<c:chart {C_R} r:id="r0"/>') + FRAME.format(f'<d:relIds xmlns:d="d" {R} r:dm="r1"/>')
    shown = read(
        drawn + shape(words("after")),
        ("chart", "../charts/chart1.xml"),
        ("diagramData", "../diagrams/data1.xml"),
        charts__chart1=CHART,
        diagrams__data1=f"<d:dataModel xmlns:d='d' {A}><d:pt><d:t>{words('Plan')}</d:t></d:pt></d:dataModel>",
    )
    assert shown == Document(f"## Slide 1\n\n{SHOWN_CHART}\n\nPlan\nafter")


def test_damaged_chart_of_a_slide_is_named() -> None:
    drawn = FRAME.format(f'<c:chart {C_R} r:id="r0"/>') + shape(words("after"))
    assert read(drawn, ("chart", "../charts/chart1.xml"), charts__chart1="<") == Document(
        "## Slide 1\n\nafter", (LeftOut(Part.CHART, 1),)
    )


def test_slide_that_is_gone_is_passed_over() -> None:
    file = presentation([slide(shape(words("a"))), ""], {})
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if name != "ppt/slides/slide2.xml"}
    assert formats.read(Format.ARCHIVE, pack_zip(parts)) == Document("## Slide 1\n\na")


def test_words_of_a_layout_are_shown_once() -> None:
    """So is the text of its master."""
    related = relations(("slideLayout", "../slideLayouts/slideLayout1.xml"))
    shapes = f"{shape(words('Confidential'))}{shape(words('Click'), place='title')}"
    parts = {
        "ppt/slides/_rels/slide1.xml.rels": related,
        "ppt/slides/_rels/slide2.xml.rels": related,
        "ppt/slideLayouts/slideLayout1.xml": f"<p:sldLayout {P} {A}>{shapes}</p:sldLayout>",
        "ppt/slideLayouts/_rels/slideLayout1.xml.rels": relations(("slideMaster", "../slideMasters/slideMaster1.xml")),
        "ppt/slideMasters/slideMaster1.xml": f"<p:sldMaster {P} {A}>{shape(words('Ada Ltd.'))}</p:sldMaster>",
    }
    shown = formats.read(Format.ARCHIVE, presentation([slide(shape(words(text))) for text in "ab"], parts))
    layouts = "On slides of this layout: Confidential\n\nOn slides of this layout: Ada Ltd."
    assert shown == Document(f"## Slide 1\n\na\n\n{layouts}\n\n## Slide 2\n\nb")
