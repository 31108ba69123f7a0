"""Charts and diagrams of Word and PowerPoint: their titles, categories, series and words."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from bot.documents.archive import attribute, child, local
from bot.documents.document import Draft

MAX_POINTS = 10_000
"""Of one series."""


def add_chart(root: Element, draft: Draft) -> None:
    """Adds a chart to a draft: its titles, and a table with a row for each series."""
    for title in (element for element in root.iter() if local(element) == "title"):
        text = " ".join(" ".join(_texts_of(title)).split())
        draft.add(f"Chart: {text}" if text else "", "\n")
    rows = [row for element in root.iter() if local(element) in ("ser", "series") for row in _rows_of(element)]
    header: list[str] | None = None
    table = []
    for name, categories, values in rows:
        if categories != header:
            header = categories
            table.append(["", *categories])
        table.append([name, *values])
    draft.table(table)
    # The newer charts of Office 2016 have their numbers beside the series.
    for data in (element for element in root.iter() if local(element) == "data"):
        draft.table(_points(level) for level in data.iter() if local(level) == "lvl")


def _rows_of(series: Element) -> Iterator[tuple[str, list[str], list[str]]]:
    name = child(series, "tx")
    title = "" if name is None else " ".join(_texts_of(name))
    categories = _points_of(series, "cat") or _points_of(series, "xVal")
    for kind in ("val", "yVal", "bubbleSize"):
        if values := _points_of(series, kind):
            yield title, categories, values


def _points_of(series: Element, kind: str) -> list[str]:
    data = child(series, kind)
    return [] if data is None else _points(data)


def _points(data: Element) -> list[str]:
    """Returns the values in their places. Of categories in several levels, the inner one comes first."""
    points: dict[int, list[str]] = {}
    for point in (element for element in data.iter() if local(element) == "pt"):
        at = attribute(point, "idx")
        if at.isdecimal() and len(at) < 6 and int(at) < MAX_POINTS:
            value = child(point, "v")
            points.setdefault(int(at), []).append((point.text if value is None else value.text) or "")
    return [", ".join(points.get(at, ())) for at in range(max(points) + 1)] if points else []


def _texts_of(element: Element) -> list[str]:
    return [one.text for one in element.iter() if local(one) in ("t", "v") and one.text]


def add_diagram(root: Element, draft: Draft) -> None:
    """Adds the words of a diagram to a draft, a line for each shape."""
    for shape in (element for element in root.iter() if local(element) == "pt"):
        draft.add(" ".join("".join(_texts_of(part)) for part in shape.iter() if local(part) == "p"), "\n")
