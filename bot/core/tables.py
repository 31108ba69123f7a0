"""Exports an answer's tables as CSV files, with the displayed text of each cell. Pure.

Text by strangers could be a formula, which a spreadsheet would calculate. An apostrophe is added to such cells
(https://owasp.org/www-community/attacks/CSV_Injection), and to such parts after a semicolon or tab, which European
settings read as separate cells. Text that no spreadsheet can calculate, such as a lone dash, stays unchanged.
"""

import csv
import io
import re
from collections.abc import Iterator

from slack_markdown.blocks import LeafKind, parse_blocks, table_rows
from slack_markdown.dialects import as_markdown
from slack_markdown.render import plain_inlines, plain_words

MAX_CHARS = 200_000
NAME_CHARS = 40

_LINE_END = r"(?:\r\n?|\n)"
_MAYBE_TABLE = re.compile(
    rf"(?:^|(?<=\r))[^|\r\n]*+\|[^\r\n]*+{_LINE_END}[ \t>]*+[|:-][ \t|:-]*+{_LINE_END}"
    rf"[^|\r\n]*+\|",
    re.MULTILINE,
)
_FULL_WIDTH = str.maketrans("＝＋－＠", "=+-@")
_NAME = r"\$?[^\W\d][\w.$:]*+"
_OPERAND = rf"[ +@-]*+(?:{_NAME}|[$€£¥]?\d[\d.,' ]*+(?:[eE][+-]?\d++)?[ ]?%?)[ ]*+"
_FORMULA = re.compile(r"[ +@-]*+=++[ ]*+[\w\"'($#@{\[+-]")
_OPERANDS = re.compile(
    rf"(?=[+@-]){_OPERAND}(?P<others>(?:[+*/^&<>=-]{_OPERAND})*)(?P<end>[+*/^&<>=-] *[\"({{]|[(!|])?"
)
_SIGNED_NAME = re.compile(rf"[+-][ +@-]*+{_NAME} *\Z|@ *\$?[A-Za-z]{{1,3}}\$?\d++ *\Z")
_ENDS_IN_NAME = re.compile(rf"(?:.*[^\w.$:])?{_NAME}", re.DOTALL)
_PIECES = re.compile(r"[^;\t]*+[;\t]?")


def might_have_tables(markdown: str) -> bool:
    return _MAYBE_TABLE.search(markdown, 0, MAX_CHARS) is not None


def csv_files(markdown: str) -> list[tuple[str, bytes]]:
    """Returns CSV files, named after the heading above or "table". They have a BOM, because Excel guesses charsets."""
    files: dict[str, bytes] = {}
    for heading, rows in _tables(re.sub(_LINE_END, "\n", markdown[:MAX_CHARS])):
        name = re.sub(r"[\W_]+", "-", heading.lower())[:NAME_CHARS].strip("-") or "table"
        number = next(number for number in range(1, len(files) + 2) if _numbered_name(name, number) not in files)
        files[_numbered_name(name, number)] = _csv(rows)
    return list(files.items())


def _numbered_name(name: str, number: int) -> str:
    return f"{name}.csv" if number == 1 else f"{name}-{number}.csv"


def _tables(markdown: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Yields the heading above each table, or "", and the table's rows."""
    heading = ""
    for leaf in parse_blocks(markdown, last_line_incomplete=False).leaf_blocks:
        lines = [markdown[line.content : line.end].strip() for line in leaf.lines]
        if leaf.kind is LeafKind.HEADING:
            heading = plain_words("\n".join(lines))
        elif leaf.kind is LeafKind.TABLE and len(lines) > 2:
            yield heading, [[_cell_text(cell) for cell in row] for row in table_rows(lines)]


def _cell_text(cell: str) -> str:
    """Returns a cell's displayed text. Line breaks become semicolons or spaces, as in Slack."""
    return plain_inlines(as_markdown(cell.replace("\\|", "|"))).strip()


def _as_text(cell: str) -> str:
    return "".join(map(_piece_as_text, _PIECES.findall(cell)))


def _piece_as_text(piece: str) -> str:
    text = piece.lstrip()
    indent = piece[: len(piece) - len(text)]
    return f"{indent}'{text}" if _is_calculated(text.rstrip(";\t").translate(_FULL_WIDTH)) else piece


def _is_calculated(text: str) -> bool:
    """Returns whether a spreadsheet would calculate a cell: formulas, operands with operators, signed names, cells."""
    if _FORMULA.match(text) or _SIGNED_NAME.match(text):
        return True
    if (found := _OPERANDS.match(text)) is None:
        return False
    if end := found["end"]:
        # A function, another sheet or another program follows a name; anything can follow an operator.
        return len(end) > 1 or _ENDS_IN_NAME.fullmatch(text, 0, found.start("end")) is not None
    return bool(found["others"]) and found.end() == len(text)


def _csv(rows: list[list[str]]) -> bytes:
    """Returns a CSV file. Rows have equal length, unless the empty cells alone would fill a large file."""
    columns = max(map(len, rows))
    columns = columns if columns * len(rows) <= MAX_CHARS else 0
    file = io.StringIO()
    csv.writer(file).writerows([[*map(_as_text, row), *[""] * (columns - len(row))] for row in rows])
    return file.getvalue().encode("utf-8-sig", "replace")
