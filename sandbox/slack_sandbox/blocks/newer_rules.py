"""Slack's documented rules for the blocks introduced in 2026: containers, data tables and charts."""

from collections.abc import Iterator, Sequence
from typing import Any

from slack_sandbox.blocks.elements import length_problems, text_object_problems
from slack_sandbox.workspace import Json

CONTAINER_TITLE = 150
CONTAINER_BLOCKS = 10
CONTAINER_WIDTHS = ("narrow", "standard", "wide", "full")
DATA_TABLE_ROWS = 101
"""The maximum number of rows, including the header."""
DATA_TABLE_PAGE = 100
CHART_TITLE = 50
CHART_PARTS = 6
"""The maximum number of segments in a pie chart, or series in another chart."""
CHART_POINTS = 20
CHART_LABEL = 20
CHARTS = 2
_CHART_PARTS = {"pie": "segments", "bar": "series", "area": "series", "line": "series"}


def container_problems(block: Json, pointer: str) -> Iterator[str]:
    """Yields the problems that Slack reports for a container. The container's child blocks are checked like all other
    blocks."""
    children = block.get("child_blocks")
    if not isinstance(children, list) or not 1 <= len(children) <= CONTAINER_BLOCKS:
        yield f"must have 1 to {CONTAINER_BLOCKS} blocks [json-pointer:{pointer}/child_blocks]"
    if "title" not in block and "rich_text_title" not in block:
        yield f"missing required field: title or rich_text_title [json-pointer:{pointer}]"
    if "title" in block:
        yield from text_object_problems(block["title"], CONTAINER_TITLE, f"{pointer}/title", plain=True)
    if "subtitle" in block:
        yield from text_object_problems(block["subtitle"], CONTAINER_TITLE, f"{pointer}/subtitle")
    if block.get("width", "standard") not in CONTAINER_WIDTHS:
        yield f"value must be one of {', '.join(CONTAINER_WIDTHS)} [json-pointer:{pointer}/width]"


def data_table_problems(block: Json, pointer: str) -> Iterator[str]:
    """Yields the problems that Slack reports for a data table, excluding its cells."""
    rows: Sequence[Any] = block["rows"]
    if not isinstance(block.get("caption"), str) or not block["caption"]:
        yield f"missing required field: caption [json-pointer:{pointer}]"
    if not 2 <= len(rows) <= DATA_TABLE_ROWS:
        yield f"must have 2 to {DATA_TABLE_ROWS} rows [json-pointer:{pointer}/rows]"
    if len({len(row) for row in rows}) > 1:
        yield f"rows must have the same number of cells [json-pointer:{pointer}/rows]"
    if any(isinstance(cell, dict) and cell.get("type") == "rich_text" for cell in rows[0]):
        yield f"unsupported type: rich_text [json-pointer:{pointer}/rows/0]"
    size = block.get("page_size", 5)
    if not isinstance(size, int) or not 1 <= size <= DATA_TABLE_PAGE:
        yield f"must be from 1 to {DATA_TABLE_PAGE} [json-pointer:{pointer}/page_size]"


def chart_problems(block: Json, pointer: str) -> Iterator[str]:
    if not isinstance(block.get("title"), str) or not block["title"]:
        yield f"missing required field: title [json-pointer:{pointer}]"
    yield from length_problems(block, "title", CHART_TITLE, pointer)
    chart = block.get("chart")
    kind = str(chart.get("type")) if isinstance(chart, dict) else ""
    if not isinstance(chart, dict) or kind not in _CHART_PARTS:
        yield f"value must be one of {', '.join(_CHART_PARTS)} [json-pointer:{pointer}/chart/type]"
        return
    parts = chart.get(_CHART_PARTS[kind])
    if not isinstance(parts, list) or not 1 <= len(parts) <= CHART_PARTS:
        yield f"must have 1 to {CHART_PARTS} items [json-pointer:{pointer}/chart/{_CHART_PARTS[kind]}]"
        return
    if kind == "pie":
        yield from _point_problems(parts, f"{pointer}/chart/segments")
        for index, part in enumerate(parts):
            if isinstance(part, dict) and isinstance(value := part.get("value"), int | float) and value <= 0:
                yield f"must be greater than 0 [json-pointer:{pointer}/chart/segments/{index}/value]"
        return
    axis = chart.get("axis_config")
    if not isinstance(axis, dict):
        yield f"missing required field: axis_config [json-pointer:{pointer}/chart]"
        return
    for index, series in enumerate(parts):
        yield from _series_problems(series, axis.get("categories"), f"{pointer}/chart/series/{index}")


def _series_problems(series: Any, categories: Any, pointer: str) -> Iterator[str]:
    points = series.get("data") if isinstance(series, dict) else None
    if not isinstance(points, list) or not 1 <= len(points) <= CHART_POINTS:
        yield f"must have 1 to {CHART_POINTS} items [json-pointer:{pointer}/data]"
        return
    if not series.get("name"):
        yield f"missing required field: name [json-pointer:{pointer}]"
    yield from length_problems(series, "name", CHART_LABEL, pointer)
    yield from _point_problems(points, f"{pointer}/data")
    if [point.get("label") for point in points if isinstance(point, dict)] != categories:
        yield f"labels must match the categories [json-pointer:{pointer}/data]"


def _point_problems(points: Sequence[Any], pointer: str) -> Iterator[str]:
    for index, point in enumerate(points):
        if not isinstance(point, dict) or not point.get("label") or not isinstance(point.get("value"), int | float):
            yield f"missing required field: label or value [json-pointer:{pointer}/{index}]"
        else:
            yield from length_problems(point, "label", CHART_LABEL, f"{pointer}/{index}")
