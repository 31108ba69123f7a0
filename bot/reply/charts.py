"""Draws charts from an answer's tables. Pure.

A model writes a chart as a table that is directly followed by a mark: fenced code with the language `chart` and a
single line that contains the chart's type and title (`bar: Sales`). The table is kept, so readers still have the
numbers if there is no chart: while the answer grows, in a canvas or a file, if a cell isn't a number, or if Slack
refuses the chart. Text columns aren't drawn. A chart isn't drawn if the table's labels might contain markup, because it
isn't known whether Slack parses markup in labels.
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from bot.core import texts
from bot.slack import blockkit
from bot.slack.blockkit import Json
from slack_markdown.blocks import LeafBlock, LeafKind, cells_of, code_content, parse_blocks
from slack_markdown.render import beginning, has_definitions

MAX_CHARTS = 2
"""Maximum number of charts per message."""
MAX_POINTS = 20
MAX_PARTS = 6
"""Maximum number of segments in a pie chart, or of series in any other chart."""
LABEL_CHARS, TITLE_CHARS = 20, 50

_MAYBE_MARK = re.compile(r"(?:```|~~~) *+chart")
"""Matches everything that `_FENCE` matches, and more. Only pages with a match have to be parsed."""
_FENCE = re.compile(r"(?:`{3,}|~{3,}) *chart *")
_MARK = re.compile(r"(?P<kind>bar|line|area|pie) *(?::(?P<title>.*))?", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_DIGIT = re.compile(r"\d")
_AROUND_NUMBERS = " *_`$€£¥%~\u00a0"
_FREE_LINE = re.compile(r"\n(?![ \t>\n])")
_NO_CONTAINER = re.compile(r"[^>\s]")
_MARKUP = re.compile(r"[<>@]|://|www\.")


def has_charts(markdown: str) -> bool:
    return next(_chart_marks(markdown), None) is not None


def without_chart_marks(markdown: str) -> str:
    parts, at = [], 0
    for mark, _, _ in _chart_marks(markdown):
        parts.append(markdown[at : mark.lines[0].start])
        at = mark.lines[-1].end
    return "".join([*parts, markdown[at:]])


def split_at_charts(markdown: str) -> list[tuple[str, Json | None]]:
    """Splits a page's Markdown at its chart marks. Returns each piece with the chart to show below it. A chart inside a
    list item or quotation is moved below it. A page that defines links isn't split, because Slack reads each piece
    separately. The last piece never has a chart."""
    parts, found, at = list[str](), list[tuple[int, bool, Json]](), 0
    for mark, rows, line in _chart_marks(markdown):
        first = mark.lines[0]
        parts.append(markdown[at : first.start])
        at = mark.lines[-1].end
        if len(found) < MAX_CHARTS and (chart := _chart(rows, line)):
            found.append((sum(map(len, parts)), first.content == first.start, chart))
        else:
            # A line without the container's prefix would end a list, and one right below a table would be its row.
            prefix = _NO_CONTAINER.sub(" ", markdown[first.start : first.content])
            parts.append(f"{prefix}\n{prefix}{texts.answers.CHART_NOT_DRAWN}\n")
    text, pieces, begin = "".join([*parts, markdown[at:]]), list[tuple[str, Json | None]](), 0
    if not found:
        return [(text, None)]
    stands_alone = not has_definitions(markdown)
    for behind, is_free, chart in found:
        free = _FREE_LINE.search(text, max(0, behind - 1)) if stands_alone and not is_free else None
        end = behind if stands_alone and is_free else free.end() if free else len(text)
        end = max(begin, end)
        pieces.append((text[begin:end], chart))
        begin = end
    return [*pieces, (text[begin:], None)]


def _chart_marks(markdown: str) -> Iterator[tuple[LeafBlock, list[list[str]], re.Match[str]]]:
    """Yields each chart mark, the rows of the table directly above it, and the mark's parsed line."""
    if not _MAYBE_MARK.search(markdown):
        return
    rows: list[list[str]] = []
    for leaf in parse_blocks(markdown, last_line_incomplete=False).leaf_blocks:
        lines = [markdown[line.content : line.end].strip() for line in leaf.lines[: MAX_POINTS + 3]]
        is_fence = leaf.kind is LeafKind.FENCED_CODE and not leaf.closing and _FENCE.fullmatch(lines[0])
        if is_fence and (line := _MARK.fullmatch(code_content(markdown, leaf).strip())):
            yield leaf, rows, line
        rows = [cells_of(line) for line in lines] if leaf.kind is LeafKind.TABLE else []


def _chart(rows: list[list[str]], line: re.Match[str]) -> Json | None:
    """Returns a chart of a table's rows. Text columns are left out. Returns None if a cell in any other column isn't a
    number, or if the table exceeds Slack's limits."""
    if len(rows) < 3 or len({len(row) for row in rows}) > 1:
        return None
    first, *columns = zip(*(rows[0], *rows[2:]), strict=True)
    columns = [column for column in columns if any(map(_DIGIT.search, column[1:]))]
    heads, points = [column[0] for column in columns], first[1:]
    kind, title = line["kind"].lower(), beginning((line["title"] or heads[-1] if heads else "").strip(), TITLE_CHARS)
    labels = [beginning(label.strip("*_`"), LABEL_CHARS) for label in points]
    series = [(beginning(name, LABEL_CHARS), _numbers(cells)) for name, *cells in columns]
    parts = len(points) if kind == "pie" else len(series)
    words = [title, *labels, *(name for name, _ in series)]
    is_drawn = len(points) <= MAX_POINTS and 0 < parts <= MAX_PARTS and len(set(labels)) == len(labels)
    is_drawn = is_drawn and len({name for name, _ in series}) == len(series)
    if not is_drawn or not all(words) or any(map(_MARKUP.search, words)):
        return None
    numbers = [(name, [value for value in values if value is not None]) for name, values in series]
    if any(len(values) < len(points) for _, values in numbers):
        return None
    if kind != "pie":
        return blockkit.chart(kind, title, labels, numbers)
    [(_, values), *more] = numbers
    if more or min(values) < 0 or not any(values):
        return None
    # Slack refuses a segment of 0.
    shown, sizes = zip(*((label, value) for label, value in zip(labels, values, strict=True) if value), strict=True)
    return blockkit.pie_chart(title, shown, sizes)


def _numbers(cells: Sequence[str]) -> list[float | None]:
    """Returns a column's numbers, without a unit such as "kg" if all cells share it."""
    units = {cell.replace("\u00a0", " ").rpartition(" ")[2] for cell in cells}
    unit = "".join(units) if len(units) == 1 else ""
    return [_number(cell.removesuffix(unit) if unit.isalpha() else cell) for cell in cells]


def _number(cell: str) -> float | None:
    """Returns a cell's number without its unit, or None if it has more digits than a float can represent."""
    text = cell.replace("\u2212", "-").strip(_AROUND_NUMBERS)
    if not _NUMBER.fullmatch(text):
        return None
    digits = text.replace(",", "")
    value = float(digits)
    if Decimal(repr(value)) != Decimal(digits):
        return None
    return int(value) if value.is_integer() else value
