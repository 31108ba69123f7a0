"""Converts spreadsheets and CSV to Markdown tables. calamine, which reads spreadsheets, is imported on first use."""

import csv
import io
import re
import struct
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from files_to_markdown.cell_formats import ERRORS, CellFormats, SheetFormats, cell_formats
from files_to_markdown.document import MAX_CHARS, MAX_DOCUMENT_BYTES, Draft, Obstacle, Part, Unreadable
from files_to_markdown.number_formats import GENERAL, format_general, format_value

_GLOBALS = re.compile(rb"\x09\x08[\x08\x10]\0\0[\x05\x06]\x05\0")
"""Matches the beginning of a workbook's records (Excel 5 and later)."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_FILEPASS, _FIRST_RECORDS = 0x2F, 4

Cell = int | float | str | bool | time | date | datetime | timedelta


def read_sheets(content: bytes, draft: Draft) -> None:
    """Adds an xlsb or xls file to a draft. Formulas are shown as their saved results."""
    from python_calamine import CalamineWorkbook, PasswordError, SheetTypeEnum, SheetVisibleEnum

    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
    except PasswordError as error:
        raise Unreadable(Obstacle.PROTECTED) from error
    sheets = workbook.sheets_metadata
    hidden = [sheet.name for sheet in sheets if sheet.visible is not SheetVisibleEnum.Visible]
    draft.record_left_out(Part.HIDDEN_SHEET, hidden, count=0)
    is_xls = content.startswith(_OLE)
    formats = cell_formats(content) if is_xls else CellFormats()
    draft.record_left_out(Part.BINARY_SHEET, count=not is_xls)
    draft.record_left_out(Part.OLD_SHEET)
    for number, sheet in enumerate(sheets):
        if sheet.name in hidden:
            continue
        draft.add(f"## Sheet {sheet.name}")
        if sheet.typ is SheetTypeEnum.WorkSheet:
            own = formats.sheets[number] if number < len(formats.sheets) else SheetFormats()
            draft.add_table(_rows(workbook.get_sheet_by_name(sheet.name), own, draft, is_1904=formats.is_1904))


def _rows(sheet: Any, formats: SheetFormats, draft: Draft, *, is_1904: bool) -> Iterator[list[str]]:
    _, first = sheet.start or (0, 0)
    named: set[int] = set()
    for at, row in enumerate(sheet.iter_rows()):
        cells = [(column, cell, formats.format_at(at, column)) for column, cell in enumerate(row, first)]
        if at in formats.hidden_rows:
            draft.record_left_out(Part.HIDDEN_ROW, count=any(cell != "" for cell in row))
            continue
        unseen = {column for column, cell, _ in cells if cell != "" and column in formats.hidden_columns} - named
        draft.record_left_out(Part.HIDDEN_COLUMN, count=len(unseen))
        named |= unseen
        shown = [(cell, code) for column, cell, code in cells if column not in formats.hidden_columns]
        draft.record_left_out(Part.ERROR, count=sum(_is_error(cell, code) for cell, code in shown))
        yield [_format_cell(cell, code, is_1904=is_1904) for cell, code in shown]


def _is_error(cell: Cell, code: str) -> bool:
    return cell == "" and code.startswith("#") and code in ERRORS


def is_protected(content: bytes) -> bool:
    """Returns whether any of an xls file's first records requires a password ([MS-XLS] 2.4.117)."""
    for begin in _GLOBALS.finditer(content):
        at = begin.start()
        for _ in range(_FIRST_RECORDS):
            if len(header := content[at : at + 4]) < 4:
                break
            kind, size_bytes = struct.unpack("<HH", header)
            if kind == _FILEPASS:
                return True
            at += 4 + size_bytes
    return False


def _format_cell(cell: Cell, code: str, *, is_1904: bool) -> str:
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, int | float):
        return format_general(cell) if code == GENERAL else format_value(cell, code, is_1904=is_1904)
    if isinstance(cell, time):
        cell = datetime.combine(date.min, cell) - datetime.min
        code = "hh:mm:ss" if code == GENERAL else code
    if isinstance(cell, timedelta):
        return format_value(cell / timedelta(days=1), "[h]:mm:ss" if code == GENERAL else code, is_1904=is_1904)
    if isinstance(cell, datetime):
        return cell.isoformat(" ", "seconds").removesuffix(" 00:00:00")
    return code if _is_error(cell, code) else str(cell)


_DELIMITERS = "\t;|,"
_QUOTED = re.compile(r'"([^"]*)"\s*')
_MAX_CELL_CHARS = 100_000
"""Maximum length of a quoted cell. Excel's cells have at most 32,767 characters."""
_MAX_READ_AGAIN_CHARS = 5_000_000
"""Maximum number of characters to read again because of unclosed quotes."""


def read_csv(text: str, draft: Draft) -> None:
    # A delimiter declaration as Excel writes and reads it.
    said, rest = text[4:5], text[5:].lstrip("\r\n")
    is_said = text[:4].lower() == "sep=" and said in _DELIMITERS and text[5:6] in "\r\n"
    text, delimiter = (rest, said) if is_said else (text, _delimiter(text))
    if '\\"' in text:
        # Databases and PHP escape a quote within a cell like this; other programs double it. The text doesn't contain
        # NUL.
        doubled = text.replace("\\\\", "\0").replace('\\"', '\\""').replace("\0", "\\\\")
        text = max(text, doubled, key=lambda one: _regularity(one, delimiter))
    draft.add_table(_csv_rows(text, delimiter))


def _csv_rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Yields the rows. A quotation mark that isn't closed by the end of its cell is literal text, such as 5" in a
    tab-separated row."""
    lines = io.StringIO(text, newline="")
    room = _MAX_READ_AGAIN_CHARS
    while room > 0:
        begin = lines.tell()
        csv.field_size_limit(_MAX_CELL_CHARS)
        try:
            for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True):
                begin = lines.tell()
                yield row
                csv.field_size_limit(_MAX_CELL_CHARS)
            return
        except csv.Error:
            room -= lines.tell() - begin
            lines.seek(begin)
            yield _cells_of(lines.readline(), delimiter)
    # The text after an open quote is one cell.
    csv.field_size_limit(MAX_DOCUMENT_BYTES)
    yield from csv.reader(lines, delimiter=delimiter, skipinitialspace=True)


def _cells_of(line: str, delimiter: str) -> list[str]:
    """Returns the cells of a line with misplaced quotation marks, which are literal text unless there is a delimiter
    between them."""
    csv.field_size_limit(MAX_DOCUMENT_BYTES)
    as_quoted, as_text = (
        next(csv.reader([line], delimiter=delimiter, skipinitialspace=True, quoting=quoting), [])
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE)
    )
    if line.count('"') % 2 == 0 and len(as_quoted) != len(as_text):
        return as_quoted
    return [found[1] if (found := _QUOTED.fullmatch(cell)) else cell for cell in as_text]


def _delimiter(text: str) -> str:
    """Returns the delimiter with which most rows have the same number of cells (at least two)."""
    # Among equals, the first wins, because commas also occur within numbers and sentences.
    best = max(_DELIMITERS, key=lambda delimiter: _regularity(text, delimiter))
    return best if _regularity(text, best) else ","


def _regularity(text: str, delimiter: str) -> float:
    """Returns the share of rows that have the most common number of cells (at least two)."""
    sniffed = zip(range(100), _csv_rows(text[:MAX_CHARS], delimiter), strict=False)
    widths = Counter(len(row) for _, row in sniffed if row)
    return max((count for width, count in widths.items() if width > 1), default=0) / max(1, widths.total())
