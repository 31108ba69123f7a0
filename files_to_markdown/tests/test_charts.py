"""Charts in Word and PowerPoint: numbers and dates in the chart's formats."""

import pytest

from files_to_markdown.archive import parse_xml
from files_to_markdown.charts import add_chart, add_diagram
from files_to_markdown.document import Document, Draft, LeftOut, Part

C = 'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"'


def numbers(kind: str, *values: str, code: str = "", cache: str = "numCache") -> str:
    """Returns the numbers of a series. A value can have its own format: `4|0%`."""
    points = ""
    for at, value in enumerate(values):
        number, _, own = value.partition("|")
        of_point = own and f' formatCode="{own}"'
        points += f'<c:pt idx="{at}"{of_point}><c:v>{number}</c:v></c:pt>'
    of_all = code and f"<c:formatCode>{code}</c:formatCode>"
    return f"<c:{kind}><c:{cache}>{of_all}{points}</c:{cache}></c:{kind}>"


def axes(along: str = "", up: str = "") -> str:
    """Returns the category axis and the value axis, each given as `format|linked`."""
    said = ""
    for at, (kind, of) in enumerate([("dateAx", along), ("valAx", up)]):
        code, _, linked = of.partition("|")
        own = code and f'<c:numFmt formatCode="{code}" sourceLinked="{linked or 0}"/>'
        said += f'<c:{kind}><c:axId val="{at}"/>{own}</c:{kind}>'
    return said


MONTHS = numbers("cat", "46143", "46174", code="mmm-yy")
SHARES = numbers("val", "0.155", "0.2", code="0.0%")
FIVE = numbers("val", "5", "7", code="General")
PLAIN_MONTHS = numbers("cat", "46143", "46174", code="General")
LABEL = (
    '<c:dLbl><c:idx val="{}"/><c:tx><c:rich><a:p xmlns:a="a"><a:r><a:t>{}</a:t></a:r></a:p></c:rich></c:tx></c:dLbl>'
)
CHARTS = {
    "words at a point": (
        f"{MONTHS}<c:dLbls>{LABEL.format(1, 'a record')}{LABEL.format(9, 'far')}</c:dLbls>{FIVE}",
        *("", "", "5 | 7 (a record)"),
    ),
    "words at every point": (
        f"{MONTHS}<c:dLbls>{LABEL.format(0, 'x')}{LABEL.format(1, 'y z')}</c:dLbls>{FIVE}",
        *("", "", "5 (x) | 7 (y z)"),
    ),
    "a label that only is a value": (
        f'{MONTHS}<c:dLbls><c:dLbl><c:idx val="0"/><c:showVal val="1"/></c:dLbl></c:dLbls>{FIVE}',
        *("", "", "5 | 7"),
    ),
    "months": (MONTHS + FIVE, "", "2026-05-01 | 2026-06-01", "5 | 7"),
    "shares": (PLAIN_MONTHS + SHARES, "", "46143 | 46174", "15.5% | 20.0%"),
    "a format of one point": (MONTHS + numbers("val", "0.5", "4|0%", code="0.00"), "", "", "0.50 | 400%"),
    "numbers without cells": (
        numbers("cat", "46143", "46174", code="yyyy", cache="numLit") + SHARES.replace("numCache", "numLit"),
        *("", "2026-05-01 | 2026-06-01", "15.5% | 20.0%"),
    ),
    "points along an axis": (
        numbers("xVal", "46143", "46174", code="d/m/yy") + numbers("yVal", "1", "2"),
        *("", "2026-05-01 | 2026-06-01", "1 | 2"),
    ),
    "texts stay as they are": (numbers("cat", "007", "1e3", cache="strCache") + FIVE, "", "007 | 1e3", "5 | 7"),
    "dates from 1904": (MONTHS + FIVE, '<c:date1904 val="1"/>', "2030-05-02 | 2030-06-02", "5 | 7"),
    "dates from 1900, said": (MONTHS + FIVE, '<c:date1904 val="0"/>', "2026-05-01 | 2026-06-01", ""),
    "a format of the axis": (PLAIN_MONTHS + FIVE, axes("mmm-yy"), "2026-05-01 | 2026-06-01", "5 | 7"),
    "a format that is the cells'": (PLAIN_MONTHS + FIVE, axes("mmm-yy|1"), "46143 | 46174", "5 | 7"),
    "an axis in per cent": (MONTHS + SHARES.replace("0.0%", "GENERAL"), axes("", "0%"), "", "15.5% | 20%"),
    "labels in per cent": (
        MONTHS + '<c:dLbls><c:numFmt formatCode="0.00%" sourceLinked="0"/></c:dLbls>' + numbers("val", "0.155", "0.2"),
        *("", "", "15.50% | 20.00%"),
    ),
    "labels in per cent, beside an axis": (
        MONTHS + '<c:dLbls><c:numFmt formatCode="0.00%" sourceLinked="0"/></c:dLbls>' + numbers("val", "0.155", "0.2"),
        *(axes("", "0%"), "", "15.50% | 20.00%"),
    ),
    "hidden numbers": (MONTHS + numbers("val", "5", "7", code=";;;"), "", "", "5 | 7"),
    "numbers to 15 digits": (MONTHS + numbers("val", "0.30000000000000004", "x"), "", "", "0.3 | x"),
}


@pytest.mark.parametrize(("series", "beside", "categories", "values"), CHARTS.values(), ids=CHARTS)
def test_numbers_of_a_chart_are_shown_in_its_formats(series: str, beside: str, categories: str, values: str) -> None:
    plot = f'<c:lineChart><c:ser>{series}</c:ser><c:axId val="0"/><c:axId val="1"/></c:lineChart>'
    draft = Draft()
    add_chart(parse_xml(f"<c:chartSpace {C}>{beside}{plot}</c:chartSpace>".encode()), draft)
    lines = draft.document().text.split("\n")
    assert lines[0] == f"|  | {categories or '2026-05-01 | 2026-06-01'} |"
    assert lines[2] == f"|  | {values or '5 | 7'} |"


def test_each_series_has_its_own_categories_and_all_its_numbers() -> None:
    names = ["ab", "ab", "cd"]
    series = "".join(f"<c:ser>{numbers('cat', *pair, cache='strCache')}{FIVE}</c:ser>" for pair in names)
    bubbles = numbers("xVal", "c", "d", cache="strCache") + numbers("yVal", "1", "2") + numbers("bubbleSize", "3", "4")
    draft = Draft()
    chart = f"<c:chartSpace {C}><c:plot>{series}<c:ser>{bubbles}</c:ser></c:plot></c:chartSpace>"
    add_chart(parse_xml(chart.encode()), draft)
    shown = ["a | b", "5 | 7", "5 | 7", "c | d", "5 | 7", "1 | 2", "3 | 4"]
    lines = [line for line in draft.document().text.split("\n") if "---" not in line]
    assert lines == [f"|  | {row} |" for row in shown]


def test_charts_of_office_2016_have_their_formats_beside_their_numbers() -> None:
    level = '<cx:lvl ptCount="2" formatCode="0.0%"><cx:pt idx="0">0.155</cx:pt><cx:pt idx="1">0.2</cx:pt></cx:lvl>'
    data = f'<cx:chartData><cx:data id="0"><cx:numDim type="val">{level}</cx:numDim></cx:data></cx:chartData>'
    draft = Draft()
    add_chart(parse_xml(f'<cx:chartSpace xmlns:cx="cx">{data}</cx:chartSpace>'.encode()), draft)
    assert draft.document().text.startswith("| 15.5% | 20.0% |")


def test_charts_and_diagrams_that_keep_nothing_are_named() -> None:
    draft = Draft()
    for chart in ("<c:title><a:t>Sales</a:t></c:title><c:ser/>", "<c:ser><c:val><c:numCache/></c:val></c:ser>", ""):
        add_chart(parse_xml(f'<c:chartSpace {C} xmlns:a="a">{chart}</c:chartSpace>'.encode()), draft)
    for diagram in ("", "<d:pt><d:t><a:p/></d:t></d:pt>"):
        add_diagram(parse_xml(f'<d:dataModel xmlns:d="d" xmlns:a="a">{diagram}</d:dataModel>'.encode()), draft)
    assert draft.document() == Document("Chart: Sales", (LeftOut(Part.CHART, 3), LeftOut(Part.DIAGRAM, 2)))
