"""Reading xlsb files, built here record by record ([MS-XLSB])."""

import struct
from collections.abc import Mapping

import pytest

from files_to_markdown import formats
from files_to_markdown.benchmarks.hostile_documents import pack_zip
from files_to_markdown.document import Document, Format, LeftOut, Part
from files_to_markdown.tests.test_formats import relations

NONE_HIDDEN: Mapping[int, int] = {}
LEFT_OUT = (LeftOut(Part.BINARY_SHEET, 1), LeftOut(Part.OLD_SHEET, 1))


def record(kind: int, content: bytes = b"") -> bytes:
    """Returns a record. Its type and size take one or two bytes."""
    kinds = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
    return kinds + bytes([len(content)]) + content


def wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def sheet(text: str) -> bytes:
    cell = record(0, struct.pack("<I", 0) + bytes(21)) + record(6, bytes(8) + wide(text))
    return record(129) + record(148, bytes(16)) + record(145) + cell + record(146) + record(130)


def workbook(*kinds: str, states: Mapping[int, int] = NONE_HIDDEN) -> bytes:
    """Returns a workbook with a sheet of each type. `states`: 1 for hidden sheets, 2 for those hidden by a macro."""
    listed = b"".join(
        record(156, struct.pack("<II", states.get(at, 0), at + 1) + wide(f"r{at}") + wide(f"S{at}"))
        for at in range(len(kinds))
    )
    parts = {f"xl/{kind}s/sheet{at}.bin": sheet(f"a{at}") for at, kind in enumerate(kinds) if kind == "worksheet"}
    others = {f"xl/{kind}s/sheet{at}.bin": record(129) for at, kind in enumerate(kinds) if kind != "worksheet"}
    related = ((kind, f"{kind}s/sheet{at}.bin") for at, kind in enumerate(kinds))
    return pack_zip(
        {
            "xl/workbook.bin": record(131) + record(143) + listed + record(144) + record(132),
            "xl/_rels/workbook.bin.rels": relations(*related).replace(
                "x/", "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
            ),
            **parts,
            **others,
        }
    )


@pytest.mark.parametrize(
    ("kinds", "shown"),
    [
        (("worksheet",), "## Sheet S0\n\n| a0 |\n|---|"),
        (
            ("worksheet", "chartsheet", "worksheet"),
            "## Sheet S0\n\n| a0 |\n|---|\n\n## Sheet S1\n\n## Sheet S2\n\n| a2 |\n|---|",
        ),
        (("dialogsheet", "worksheet"), "## Sheet S0\n\n## Sheet S1\n\n| a1 |\n|---|"),
    ],
    ids=["of cells", "of a chart", "of a dialog"],
)
def test_sheet_that_has_no_cells_does_not_lose_the_others(kinds: tuple[str, ...], shown: str) -> None:
    assert formats.read(Format.ARCHIVE, workbook(*kinds)) == Document(shown, LEFT_OUT)


def test_hidden_sheets_are_left_out_however_well_they_are_hidden() -> None:
    read = formats.read(Format.ARCHIVE, workbook(*["worksheet"] * 3, states={0: 1, 2: 2}))
    assert read == Document("## Sheet S1\n\n| a1 |\n|---|", (LeftOut(Part.HIDDEN_SHEET, 2, ("S0", "S2")), *LEFT_OUT))
