"""Exports an answer's tables as CSV files, with the displayed text of each cell. Pure.

A spreadsheet evaluates cells that begin like a formula, which might come from a stranger's text. Unless such a cell is
a number, it gets an apostrophe (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import csv
import io
import re
from collections.abc import Iterator

from slack_markdown.blocks import LeafKind, parse_blocks, table_rows
from slack_markdown.dialects import as_markdown
from slack_markdown.render import plain_inlines, plain_words

MIN_ROWS = 3
"""Smaller tables can be copied by hand."""
MAX_CHARS = 200_000
NAME_CHARS = 40

_MAYBE_TABLE = re.compile(
    r"^[^|\n]*+\|[^\n]*+\n[ \t]*+[|:-][ \t|:-]*+\n" + r"[^|\n]*+\|[^\n]*+(?:\n|\Z)" * MIN_ROWS, re.MULTILINE
)
_FORMULA = re.compile(r"[=+\-@\t\r](?!(?<=[+-])[$€£¥]?\d[\d.,' ]*%?$)")


def might_have_tables(markdown: str) -> bool:
    """Returns whether text might have a table with enough rows, including code that looks like one."""
    return _MAYBE_TABLE.search(markdown, 0, MAX_CHARS) is not None


def csv_files(markdown: str) -> list[tuple[str, bytes]]:
    """Returns CSV files, named after the heading above or "table". Without the BOM, Excel assumes another charset."""
    files: dict[str, bytes] = {}
    for heading, rows in _tables(markdown[:MAX_CHARS]):
        name = re.sub(r"[\W_]+", "-", heading.lower())[:NAME_CHARS].strip("-") or "table"
        number = next(number for number in range(1, len(files) + 2) if _numbered_name(name, number) not in files)
        files[_numbered_name(name, number)] = _csv(rows)
    return list(files.items())


def _numbered_name(name: str, number: int) -> str:
    return f"{name}.csv" if number == 1 else f"{name}-{number}.csv"


def _tables(markdown: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Yields the heading above each table, or "", and its rows of cells."""
    heading = ""
    for leaf in parse_blocks(markdown, last_line_incomplete=False).leaf_blocks:
        lines = [markdown[line.content : line.end].strip() for line in leaf.lines]
        if leaf.kind is LeafKind.HEADING:
            heading = plain_words("\n".join(lines))
        elif leaf.kind is LeafKind.TABLE and len(lines) - 2 >= MIN_ROWS:
            yield heading, [[_cell_text(cell) for cell in row] for row in table_rows(lines)]


def _cell_text(cell: str) -> str:
    """Returns a cell's displayed text. A line break within it becomes a semicolon or a space, as in Slack."""
    return plain_inlines(as_markdown(cell.replace("\\|", "|"))).strip()


def _csv(rows: list[list[str]]) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows([[f"'{cell}" if _FORMULA.match(cell) else cell for cell in row] for row in rows])
    return file.getvalue().encode("utf-8-sig", "replace")
