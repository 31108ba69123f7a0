"""Exports an answer's tables as Excel workbooks, with the displayed text of each cell. Pure.

Spreadsheets calculate a CSV file's cells, read 007 as 7, and expect the separator of their locale. In a workbook, each
cell has a type, so text stays text and a column of numbers can be summed.
"""

import io
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

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
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?P<before>[$€£¥]?)(?P<whole>[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d*+|0)"
    r"(?P<decimals>(?:\.(?!\d{3}(?!\d))\d++)?)(?P<after>[ \u00a0]?[%$€£¥]?)"
)
"""Matches a number that looks the same in a cell. A number such as 1.204 doesn't match, because the period might
separate thousands."""
_MAX_DIGITS = 15
"""Maximum number of digits that a spreadsheet keeps in a number."""
_NO_VALUE = frozenset(("", "-", "–", "—"))
_MAX_WIDTH = 60


def might_have_tables(markdown: str) -> bool:
    return _MAYBE_TABLE.search(markdown, 0, MAX_CHARS) is not None


def workbooks(markdown: str) -> list[tuple[str, bytes]]:
    """Returns a file name and an Excel workbook for each table. The file name is the heading above the table, or
    "table" if it has none."""
    files, numbers = dict[str, bytes](), Counter[str]()
    for heading, rows in _tables(re.sub(_LINE_END, "\n", markdown[:MAX_CHARS])):
        name = re.sub(r"[\W_]+", "-", heading.lower())[:NAME_CHARS].strip("-") or "table"
        numbers[name] += 1
        while (file_name := _numbered_name(name, numbers[name])) in files:
            numbers[name] += 1
        files[file_name] = _workbook(rows)
    return list(files.items())


def _numbered_name(name: str, number: int) -> str:
    return f"{name}.xlsx" if number == 1 else f"{name}-{number}.xlsx"


def _tables(markdown: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Yields each table's heading, or "" if it has none, and its rows. Skips tables in which most cells are missing."""
    heading = ""
    for leaf in parse_blocks(markdown, last_line_incomplete=False).leaf_blocks:
        lines = [markdown[line.content : line.end].strip() for line in leaf.lines]
        if leaf.kind is LeafKind.HEADING:
            heading = plain_words("\n".join(lines))
        elif leaf.kind is LeafKind.TABLE and len(lines) > 2:
            rows = [[_cell_text(cell) for cell in row] for row in table_rows(lines)]
            if len(rows) * len(rows[0]) <= MAX_CHARS:
                yield heading, rows


def _cell_text(cell: str) -> str:
    """Returns a cell's displayed text. Line breaks become semicolons or spaces, as in Slack."""
    return plain_inlines(as_markdown(cell.replace("\\|", "|"))).strip()


def _workbook(rows: list[list[str]]) -> bytes:
    import xlsxwriter

    texts = {column for row in rows[1:] for column, cell in enumerate(row) if not _is_number(cell)}
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        sheet, widths = book.add_worksheet(), [0] * len(rows[0])
        formats: dict[str, object] = {}
        for at, row in enumerate(rows):
            for column, cell in enumerate(row):
                widths[column] = max(widths[column], min(len(cell), _MAX_WIDTH))
                if at and column not in texts and (number := _NUMBER.fullmatch(cell)):
                    code = _number_format(number)
                    formats[code] = formats.get(code) or book.add_format({"num_format": code})
                    sheet.write_number(at, column, _value(number), formats[code])
                else:
                    # XlsxWriter writes "<r>…</r>" as XML.
                    text = f"{cell} " if cell.startswith("<r>") else cell
                    sheet.write_string(at, column, text.encode(errors="replace").decode())
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width + 2)
    return file.getvalue()


def _is_number(cell: str) -> bool:
    return cell in _NO_VALUE or (bool(_NUMBER.fullmatch(cell)) and sum(map(str.isdecimal, cell)) <= _MAX_DIGITS)


def _value(number: re.Match[str]) -> Decimal:
    value = Decimal(f"{number['sign']}{number['whole'].replace(',', '')}{number['decimals']}")
    return value / 100 if "%" in number["after"] else value


def _number_format(number: re.Match[str]) -> str:
    """Returns the number format with which a spreadsheet shows a number the way it is written in the answer."""
    whole = "#,##0" if "," in number["whole"] else "0"
    decimals = re.sub(r"\d", "0", number["decimals"])
    before, after = (re.sub(r"[^%]+", r'"\g<0>"', number[name]) for name in ("before", "after"))
    return f"{number['sign'].strip('-')}{before}{whole}{decimals}{after}"
