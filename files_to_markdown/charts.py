"""Charts and diagrams in Word and PowerPoint: their titles, categories, series and text."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from files_to_markdown.archive import attribute, child, is_on, local_name, value_of
from files_to_markdown.document import Draft, Part
from files_to_markdown.number_formats import GENERAL, format_stored_number

MAX_POINTS = 10_000
_ANY_PER_CENT = "0.##########%"
"""A format that shows all digits of a percentage, because axes show fewer digits than their numbers have."""


def add_chart(root: Element, draft: Draft) -> None:
    """Adds a chart's titles, and a table with a row for each series. A chart without numbers is reported as left
    out."""
    for title in (element for element in root.iter() if local_name(element) == "title"):
        text = " ".join(" ".join(_texts_of(title)).split())
        draft.add(f"Chart: {text}" if text else "", "\n")
    header: list[str] | None = None
    table = []
    for name, categories, values in _chart_rows(root, is_1904=is_on(root, "date1904")):
        if categories != header:
            header = categories
            table.append(["", *categories])
        table.append([name, *values])
    draft.add_table(table)
    # Newer chart types (Office 2016) have their numbers next to the series.
    for data in (element for element in root.iter() if local_name(element) == "data"):
        levels = [_points(level) for level in data.iter() if local_name(level) == "lvl"]
        draft.add_table(levels)
        table += levels
    draft.record_left_out(Part.CHART, count=not any(map(any, table)))


def _chart_rows(root: Element, *, is_1904: bool) -> Iterator[tuple[str, list[str], list[str]]]:
    axes = {value_of(axis, "axId"): axis for axis in root.iter() if local_name(axis).endswith("Ax")}
    for plot in root.iter():
        # The category axis comes first.
        along, up = [*(axes.get(attribute(one, "val")) for one in plot if local_name(one) == "axId"), None, None][:2]
        for series in (one for one in plot if local_name(one) == "ser"):
            name = child(series, "tx")
            title = "" if name is None else " ".join(_texts_of(name))
            data = {local_name(one): one for one in series}
            categories = data.get("cat", data.get("xVal"))
            header = [] if categories is None else _points(categories, _format_of(along), is_1904=is_1904)
            for values in (data[kind] for kind in ("val", "yVal", "bubbleSize") if kind in data):
                code = _format_of(data.get("dLbls")) or (_ANY_PER_CENT if "%" in _format_of(up) else "")
                if points := _points(values, code, is_1904=is_1904):
                    yield title, header, _with_labels(points, data.get("dLbls"))


def _with_labels(points: list[str], labels: Element | None) -> list[str]:
    words: dict[str, list[str]] = {}
    for label in labels if labels is not None else ():
        runs = (one for one in label.iter() if local_name(one) == "r")
        words.setdefault(value_of(label, "idx"), []).extend(text for run in runs for text in _texts_of(run))
    said = (" ".join("".join(words.get(str(at), ())).split()) for at in range(len(points)))
    return [f"{point} ({text})".strip() if text else point for point, text in zip(points, said, strict=True)]


def _format_of(element: Element | None) -> str:
    """Returns the number format of an axis or label, or "" if it uses the format of the numbers."""
    own = None if element is None else child(element, "numFmt")
    return "" if own is None or attribute(own, "sourceLinked") in ("1", "true") else attribute(own, "formatCode")


def _points(data: Element, default: str = "", *, is_1904: bool = False) -> list[str]:
    """Returns the values in order of position. For categories with levels, the inner level comes first. `default`:
    the format of numbers whose own format is General."""
    points: dict[int, list[str]] = {}
    saved = next((one.text for one in data.iter() if local_name(one) == "formatCode"), attribute(data, "formatCode"))
    is_number = saved or any(local_name(one) in ("numCache", "numLit") for one in data.iter())
    for point in (element for element in data.iter() if local_name(element) == "pt"):
        at = attribute(point, "idx")
        if at.isdecimal() and len(at) < 6 and int(at) < MAX_POINTS:
            value = child(point, "v")
            text = (point.text if value is None else value.text) or ""
            code = attribute(point, "formatCode") or saved or GENERAL
            code = default if default and code.lower() == GENERAL.lower() else code
            points.setdefault(int(at), []).append(
                format_stored_number(text, code, is_1904=is_1904) or text if is_number else text
            )
    return [", ".join(points.get(at, ())) for at in range(max(points) + 1)] if points else []


def _texts_of(element: Element) -> list[str]:
    return [one.text for one in element.iter() if local_name(one) in ("t", "v") and one.text]


def add_diagram(root: Element, draft: Draft) -> None:
    """Adds a diagram's text, one line per shape. A diagram without text is reported as left out."""
    shapes = (element for element in root.iter() if local_name(element) == "pt")
    lines = [" ".join("".join(_texts_of(part)) for part in shape.iter() if local_name(part) == "p") for shape in shapes]
    for line in lines:
        draft.add(line, "\n")
    draft.record_left_out(Part.DIAGRAM, count=not any(map(str.strip, lines)))
