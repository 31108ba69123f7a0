"""Reads the properties of an xls file's cells that calamine doesn't report: number formats, errors, and whether a cell
is hidden.

Source: [MS-XLS], https://learn.microsoft.com/openspecs/office_file_formats/ms-xls
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from files_to_markdown.number_formats import BUILT_IN, GENERAL

_BEGIN, _END, _SHEET, _FORMAT, _STYLE, _DATES = 0x809, 0x0A, 0x85, 0x41E, 0xE0, 0x22
_ROW, _COLUMN_INFO = 0x208, 0x7D
_FORMULA, _NUMBER, _SHORT, _SHORTS, _ERROR = 0x06, 0x203, 0x27E, 0xBD, 0x205
_ERROR_NAMES = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}
_IS_HIDDEN_ROW, _IS_ERROR = 0x20, 2
ERRORS = frozenset(_ERROR_NAMES.values())
_MAX_CELLS = 300_000
"""Maximum number of formats to store, which exceeds the number of cells that fit in a document's text."""
_COLUMNS = 256
_EXCEL_97 = 0x600


@dataclass(slots=True)
class SheetFormats:
    """The formats of a sheet's cells. Rows and columns are counted from 0."""

    codes: dict[int, str] = field(default_factory=dict)
    """Formats other than General, by `row * 256 + column`. For an error, the format is the error's name."""
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)

    def format_at(self, row: int, column: int) -> str:
        """Returns a cell's format, or General if the format isn't known."""
        return self.codes.get(row * _COLUMNS + column, GENERAL) if column < _COLUMNS else GENERAL


@dataclass(slots=True)
class CellFormats:
    is_1904: bool = False
    sheets: list[SheetFormats] = field(default_factory=list)


def cell_formats(content: bytes) -> CellFormats:
    """Returns the cell formats of an xls file. There are none if the file's records are damaged."""
    from olefile import OleFileIO

    found = CellFormats()
    try:
        file = OleFileIO(io.BytesIO(content))
        name = next(name for name in ("Workbook", "Book") if file.exists(name))
        stream: bytes = file.openstream(name).read()
        places, styles = _read_globals(stream, found)
        for place in places:
            room = _MAX_CELLS - sum(len(sheet.codes) for sheet in found.sheets)
            found.sheets.append(SheetFormats())
            _add_formats(stream, place, styles, room, found.sheets[-1])
    except (OSError, StopIteration, struct.error):
        pass
    return found


def _records(stream: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Yields the type and content of the records from an offset to the end of that part of the file, except for charts
    in it."""
    depth = 0
    while at + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, at)
        depth += (kind == _BEGIN) - (kind == _END)
        if depth < 1:
            return
        if depth == 1:
            yield kind, stream[at + 4 : at + 4 + size]
        at += 4 + size


def _read_globals(stream: bytes, found: CellFormats) -> tuple[list[int], list[str]]:
    """Returns the sheets' offsets and each style's format. Sets in `found` whether days count from 1904."""
    codes: dict[int, str] = {}
    places, numbers = [], []
    is_wide = False
    for kind, record in _records(stream, 0):
        if kind == _BEGIN:
            is_wide = struct.unpack_from("<H", record)[0] == _EXCEL_97
        elif kind == _SHEET:
            places.append(struct.unpack_from("<I", record)[0])
        elif kind == _STYLE:
            numbers.append(struct.unpack_from("<H", record, 2)[0])
        elif kind == _DATES:
            found.is_1904 = record[:1] == b"\1"
        elif kind == _FORMAT:
            codes[struct.unpack_from("<H", record)[0]] = _format_code(record, is_wide=is_wide)
    return places, [codes.get(number) or BUILT_IN.get(number, GENERAL) for number in numbers]


def _format_code(record: bytes, *, is_wide: bool) -> str:
    """Returns the format in a record. Since Excel 97, a flag shows whether the format's characters have two bytes."""
    if is_wide and record[4:5] == b"\1":
        return record[5:].decode("utf-16-le", errors="replace")
    return record[5 if is_wide else 3 :].decode("latin-1")


def _add_formats(stream: bytes, place: int, styles: list[str], room: int, sheet: SheetFormats) -> None:
    """Adds the formats of a sheet. `room`: the maximum number of cells whose format is stored."""
    for kind, record in _records(stream, place):
        if kind == _ROW:
            row, flags = struct.unpack_from("<H10xH", record)
            sheet.hidden_rows |= {row} if flags & _IS_HIDDEN_ROW else set()
        elif kind == _COLUMN_INFO:
            first, last, width, flags = struct.unpack_from("<HHH2xH", record)
            sheet.hidden_columns |= set(range(first, last + 1)[:_COLUMNS]) if flags & 1 or not width else set()
        elif len(sheet.codes) < room:
            sheet.codes.update(_cell_codes(kind, record, styles))


def _cell_codes(kind: int, record: bytes, styles: list[str]) -> Iterator[tuple[int, str]]:
    if kind in (_FORMULA, _NUMBER, _SHORT):
        row, column, style = struct.unpack_from("<HHH", record)
        if kind == _FORMULA and record[12:14] == b"\xff\xff" and record[6] == _IS_ERROR:
            yield row * _COLUMNS + column, _ERROR_NAMES.get(record[8], GENERAL)
        elif style < len(styles) and styles[style] != GENERAL:
            yield row * _COLUMNS + column, styles[style]
    elif kind == _ERROR and record[7:8] == b"\1":
        row, column = struct.unpack_from("<HH", record)
        yield row * _COLUMNS + column, _ERROR_NAMES.get(record[6], GENERAL)
    elif kind == _SHORTS:
        row, column = struct.unpack_from("<HH", record)
        for at in range((len(record) - 6) // 6):
            (style,) = struct.unpack_from("<H", record, 4 + 6 * at)
            if style < len(styles) and styles[style] != GENERAL:
                yield row * _COLUMNS + column + at, styles[style]
