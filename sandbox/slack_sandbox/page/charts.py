"""Renders charts: a bar chart as a table with drawn bars, any other chart as a table of its numbers."""

from collections.abc import Sequence
from html import escape

from slack_sandbox.workspace import Json


def chart_html(block: Json) -> str:
    """Returns a data_visualization as a table: a row for each segment, or for each category with its series."""
    chart = block["chart"]
    caption = f"<caption>{escape(str(block['title']))}</caption>"
    if chart["type"] == "pie":
        rows = [(str(segment.get("label", "")), [_number(segment)]) for segment in chart["segments"]]
        return _table(caption, [], rows, chart["type"])
    names = [str(series.get("name", "")) for series in chart["series"]]
    return _table(caption, names, _rows(chart), chart["type"])


def _rows(chart: Json) -> list[tuple[str, list[float]]]:
    by_series = [{str(p.get("label", "")): _number(p) for p in series.get("data", ())} for series in chart["series"]]
    categories = chart["axis_config"].get("categories") or list(dict.fromkeys(label for s in by_series for label in s))
    return [(str(category), [values.get(category, 0.0) for values in by_series]) for category in categories]


def _table(caption: str, names: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]], kind: str) -> str:
    largest = max((value for _, values in rows for value in values), default=0) or 1
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th>{"".join(_cell(value, largest, kind) for value in values)}</tr>'
        for label, values in rows
    )
    top = f"<thead><tr><td></td>{head}</tr></thead>" if len(names) > 1 else ""
    return f'<table class="chart">{caption}{top}<tbody>{body}</tbody></table>'


def _cell(value: float, largest: float, kind: str) -> str:
    """Returns a number, with a bar in a bar chart. The page's CSP doesn't allow a style to set a width."""
    rect = f'<rect width="{max(0.0, 100 * value / largest):.1f}" height="8"/>'
    bar = f'<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">{rect}</svg>'
    return f"<td>{bar if kind == 'bar' else ''}{value:,.10g}</td>"


def _number(point: Json) -> float:
    value = point.get("value")
    return float(value) if isinstance(value, int | float) else 0.0
