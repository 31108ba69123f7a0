"""Numbers and errors in xls files, built here record by record ([MS-XLS])."""

import struct
import time

import pytest

from files_to_markdown import formats
from files_to_markdown.cell_formats import cell_formats
from files_to_markdown.document import CPU_S, Document, Format, LeftOut, Part
from files_to_markdown.tests.test_outlook import compound

CODES = ("General", "0.0%", "00000", '#,##0.00 "€"', '"Q"0', "[h]:mm", "h:mm", "ge")


def record(kind: int, content: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def begin(kind: int) -> bytes:
    """Returns the record that begins the globals (5), a sheet (16) or a chart (32)."""
    return record(0x809, struct.pack("<HHHHII", 0x600, kind, 0, 0, 0, 0x600))


END = record(0x0A)


def cell(at: int, value: float, style: int) -> bytes:
    return record(0x203, struct.pack("<HHHd", 0, at, style, value))


def formula(at: int, result: bytes, style: int = 0) -> bytes:
    return record(0x06, struct.pack("<HHH8sHIH", 0, at, style, result, 0, 0, 3) + b"\x1e\1\0")


def stream(*sheets: bytes, is_1904: bool = False) -> bytes:
    """Returns a workbook's records, with a style for each format of CODES."""
    codes = b"".join(
        record(0x41E, struct.pack("<HHB", 164 + at, len(code), 1) + code.encode("utf-16-le"))
        for at, code in enumerate(CODES)
    )
    styles = b"".join(record(0xE0, struct.pack("<HH16x", 0, 164 + at)) for at in range(len(CODES)))
    dates = record(0x22, struct.pack("<H", is_1904))
    names = [struct.pack("<BB", 1, 0) + bytes([65 + at]) for at in range(len(sheets))]
    first = begin(5) + dates + codes + styles
    place = len(first) + sum(len(record(0x85, bytes(6) + name)) for name in names) + len(END)
    listed, bodies = b"", b""
    for name, sheet in zip(names, sheets, strict=True):
        listed += record(0x85, struct.pack("<IH", place + len(bodies), 0) + name)
        bodies += begin(16) + sheet + END
    return first + listed + END + bodies


def read(*sheets: bytes) -> Document:
    return formats.read(Format.OLE, compound({"Workbook": stream(*sheets)}))


SHARE, DIGITS, MONEY, QUARTER, HOURS, CLOCK, ERA = range(1, 8)
DIVIDED = formula(1, b"\2\0\7\0\0\0\xff\xff")
SHORT = struct.pack("<I", 15 << 2 | 2)
SHOWN = {
    "a share": (cell(0, 0.155, SHARE), "15.5%"),
    "digits in front": (cell(0, 1234, DIGITS), "01234"),
    "money": (cell(0, 1234.5, MONEY), "1,234.50 €"),
    "hours of days": (cell(0, 2.5, HOURS), "60:00"),
    "a time of day": (cell(0, 0.75, CLOCK), "18:00"),
    "no format": (cell(0, 1234.5, 0), "1234.5"),
    "a style that is missing": (cell(0, 5, 99), "5"),
    "a result": (formula(0, struct.pack("<d", 0.5), SHARE), "50.0%"),
    "numbers in four bytes": (record(0x27E, struct.pack("<HHH", 0, 0, DIGITS) + SHORT), "00015"),
    "several in a record": (
        record(0xBD, struct.pack("<HH", 0, 0) + b"".join(struct.pack("<H", s) + SHORT for s in (0, DIGITS)) + b"\1\0"),
        "15 | 00015",
    ),
    "columns that begin later": (cell(2, 0.5, SHARE) + cell(3, 0.5, 0), "50.0% | 0.5"),
    "a chart on the sheet": (begin(32) + cell(0, 7, DIGITS) + END + cell(0, 3, QUARTER), "Q3"),
    "an error that a formula has": (cell(0, 3, QUARTER) + DIVIDED, "Q3 | #DIV/0!"),
    "an error": (cell(0, 1, 0) + record(0x205, struct.pack("<HHHBB", 0, 1, 0, 42, 1)), "1 | #N/A"),
    **{
        f"the error {name}": (cell(0, 1, 0) + record(0x205, struct.pack("<HHHBB", 0, 1, 0, code, 1)), f"1 | {name}")
        for code, name in ((0, "#NULL!"), (15, "#VALUE!"), (23, "#REF!"), (29, "#NAME?"), (36, "#NUM!"))
    },
    "true": (cell(0, 1, 0) + record(0x205, struct.pack("<HHHBB", 0, 1, SHARE, 1, 0)), "1 | TRUE"),
}


@pytest.mark.parametrize(("cells", "shown"), SHOWN.values(), ids=SHOWN)
def test_cell_of_an_old_workbook_says_what_people_see(cells: bytes, shown: str) -> None:
    columns = shown.count(" | ") + 1
    errors = (LeftOut(Part.ERROR, 1),) if "#" in shown else ()
    assert read(cells) == Document(
        f"## Sheet A\n\n| {shown} |\n|{'---|' * columns}", (LeftOut(Part.OLD_SHEET, 1), *errors)
    )


@pytest.mark.parametrize(("is_1904", "date"), [(False, "2023-03-15"), (True, "2027-03-16")])
def test_dates_count_from_the_year_that_the_workbook_says(*, is_1904: bool, date: str) -> None:
    """Includes a date format that the library doesn't support."""
    content = compound({"Workbook": stream(cell(0, 45000, ERA), is_1904=is_1904)})
    assert formats.read(Format.OLE, content).text == f"## Sheet A\n\n| {date} |\n|---|"


def row(at: int, flags: int) -> bytes:
    return record(0x208, struct.pack("<HHHHHHHH", at, 0, 3, 255, 0, 0, flags, 0))


def columns(first: int, last: int, width: int = 99, flags: int = 0) -> bytes:
    return record(0x7D, struct.pack("<HHHHHH", first, last, width, 0, flags, 0))


def number(at: int, column: int, value: float) -> bytes:
    return record(0x203, struct.pack("<HHHd", at, column, SHARE, value))


GRID = b"".join(number(at, column, at + column / 10) for at in range(3) for column in range(3))
HIDDEN = {
    "a row": (row(1, 0x20) + GRID, "| 0.0% | 10.0% | 20.0% |", "| 200.0% | 210.0% | 220.0% |", Part.HIDDEN_ROW),
    "a column": (columns(0, 0, flags=1) + GRID, "| 10.0% | 20.0% |", "| 210.0% | 220.0% |", Part.HIDDEN_COLUMN),
    "a column without width": (
        columns(2, 255, 0) + GRID,
        "| 0.0% | 10.0% |",
        "| 200.0% | 210.0% |",
        Part.HIDDEN_COLUMN,
    ),
}


@pytest.mark.parametrize(("sheet", "first", "last", "part"), HIDDEN.values(), ids=HIDDEN)
def test_hidden_rows_and_columns_are_left_out_and_named(sheet: bytes, first: str, last: str, part: Part) -> None:
    shown = read(sheet)
    lines = shown.text.split("\n")
    assert (lines[2], lines[-1]) == (first, last)
    assert shown.left_out == (LeftOut(Part.OLD_SHEET, 1), LeftOut(part, 1))


def test_shown_rows_and_columns_and_empty_hidden_ones_are_no_loss() -> None:
    shown = read(row(0, 0) + row(7, 0x20) + columns(0, 2) + columns(9, 9, flags=1) + GRID)
    assert shown.left_out == (LeftOut(Part.OLD_SHEET, 1),)


def test_workbook_may_have_the_name_of_old_ones() -> None:
    shown = formats.read(Format.OLE, compound({"Book": stream(cell(0, 0.155, SHARE))})).text
    assert shown == "## Sheet A\n\n| 15.5% |\n|---|"


def test_each_sheet_has_formats_of_its_own() -> None:
    shown = read(cell(0, 0.5, SHARE), cell(0, 0.5, 0)).text
    assert shown == "## Sheet A\n\n| 50.0% |\n|---|\n\n## Sheet B\n\n| 0.5 |\n|---|"


@pytest.mark.parametrize("size", range(0, 400, 7))
def test_damaged_records_have_no_formats(size: int) -> None:
    whole = stream(cell(0, 0.5, SHARE), cell(0, 0.5, 0))
    for damaged in (whole[:size], whole[:size] + b"\xff" * 9 + whole[size + 9 :]):
        assert all(sheet.format_at(5, 5) == "General" for sheet in cell_formats(compound({"Workbook": damaged})).sheets)


@pytest.mark.parametrize("sheet", [cell(0, 1, SHARE) * 300_000, begin(32) * 300_000, record(1) * 1_500_000])
def test_workbook_that_is_made_to_take_long_is_looked_through_in_linear_time(sheet: bytes) -> None:
    begun = time.process_time()
    cell_formats(compound({"Workbook": stream(sheet)}))
    assert time.process_time() - begun < CPU_S / 2
