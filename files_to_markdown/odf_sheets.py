"""Handles what OpenDocument sheets have but tables in text don't: hidden parts, dates, and drawings over cells."""

from collections.abc import Callable, Iterator
from xml.etree.ElementTree import Element

from files_to_markdown.archive import Archive, attribute, child, local_name
from files_to_markdown.document import Draft, Part
from files_to_markdown.number_formats import format_general

_CONTENT = "content.xml"
DRAWN = ("frame", "custom-shape", "rect", "line", "path", "polygon", "ellipse", "circle", "g", "control", "caption")


def is_hidden(element: Element) -> bool:
    """Returns whether a row or column is hidden, including by a filter."""
    return attribute(element, "visibility") in ("collapse", "filter")


def rows_of(table: Element) -> Iterator[Element]:
    for one in table:
        name = local_name(one)
        if name == "table-row":
            yield one
        elif name.startswith("table-") and name != "table-column":
            yield from rows_of(one)


def columns_of(table: Element, is_wanted: Callable[[Element], bool]) -> list[range]:
    """Returns the ranges of columns that `is_wanted` accepts, counted from 0."""
    wanted = []
    at = 0
    # Columns come before rows, and can also be in groups.
    for one in _columns(table):
        times = attribute(one, "number-columns-repeated")
        end = at + (int(times) if times.isdecimal() and len(times) < 8 else 1)
        if is_wanted(one):
            wanted.append(range(at, end))
        at = end
    return wanted


def _columns(table: Element) -> Iterator[Element]:
    for one in table:
        if local_name(one) == "table-column":
            yield one
        elif local_name(one) in ("table-columns", "table-column-group", "table-header-columns"):
            yield from _columns(one)


def value_text(cell: Element, draft: Draft) -> str | None:
    """Returns the text for a cell's value, or None if the cell's paragraphs show it. The parts of a date with a custom
    format could be in any order, so dates are formatted like those in xlsx files."""
    kinds = [value for key, value in cell.attrib.items() if key.endswith("}value-type")]
    draft.record_left_out(Part.ERROR, count="error" in kinds)
    date, value = attribute(cell, "date-value"), attribute(cell, "value")
    if date:
        return date.replace("T", " ").removesuffix(" 00:00:00").removesuffix(":00")
    if child(cell, "p") is not None:
        return None
    if formula := attribute(cell, "formula") if not kinds else "":
        draft.record_left_out(Part.FORMULA)
        return f"={formula.partition('=')[2]}"
    try:
        number = float(value)
    except ValueError:
        saved = (attribute(cell, name) for name in ("string-value", "boolean-value", "time-value"))
        return next(filter(None, saved), value).replace("true", "TRUE").replace("false", "FALSE") if kinds else None
    return f"{format_general(number * 100)}%" if "percentage" in kinds else format_general(number)


def report_drawings(sheet: Element, archive: Archive | None, draft: Draft) -> None:
    """Reports the drawings over a sheet as left out."""
    for shape in sheet.iter():
        if local_name(shape) not in DRAWN:
            continue
        embedded = child(shape, "object")
        if embedded is not None:
            name = f"{attribute(embedded, 'href').removeprefix('./')}/{_CONTENT}"
            content = archive.bytes_of(name) if archive else b"chart:chart"
            draft.record_left_out(Part.CHART if b"chart:chart" in content else Part.ATTACHMENT)
        elif child(shape, "object-ole") is not None:
            draft.record_left_out(Part.ATTACHMENT)
        elif child(shape, "image") is not None:
            draft.record_left_out(Part.PICTURE)
        elif any(local_name(one) in ("p", "h") and "".join(one.itertext()).strip() for one in shape.iter()):
            draft.record_left_out(Part.TEXT_BOX)
