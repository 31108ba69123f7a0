"""The documents that documents.py and the tests read, which are typical shared files written by several programs.

A file is named `{content}-{producer}.{format}`, and `pieces()` returns its paragraphs and cells. Files named
`protected-…` need a password.
"""

import tarfile
from datetime import date
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "tests" / "corpus.tar.xz"
_WORDS = (
    "The quick report covers revenue, churn & hiring for the third quarter",
    "Größere Änderungen wären früh genug „abzustimmen“, sagte Zoë",
    "Отчёт о продажах за третий квартал готов к проверке",
    "第三季度的销售报告已经准备好 and 日本語のテキストも入る",
)
_ENDS = ("in <all> regions.", "at 5 > 3 sites.", "by A|B tests.", "for Müller & Söhne.", "with 100% care.")


def _content(number: int) -> dict[str, list[str]]:
    """Returns the content of the documents with this number. Each piece occurs once, and none of them is part of
    another."""
    words = _WORDS[number]
    cells = ["Name", "Count", "Price", "Since", "Note"]
    for at in range(12):
        price, since = 1000.25 + at * 3 + number * 100, date(2021 + number, 1 + at, 11 + at)
        note = f'{words[:20]} {at:02}; said "yes", and\nno'
        cells += [f"Person {number}{at:02}", str(700_001 + at * 13 + number * 1_000), str(price), str(since), note]
    return {
        "headings": [f"Heading {number}{at:02} of the plan" for at in range(4)],
        "paragraphs": [f"Paragraph {number}{at:02}: {words} {_ENDS[at % len(_ENDS)]}" for at in range(12)],
        "items": [f"Item {number}{at:02} to do" for at in range(6)],
        "footnote": [f"Footnote {number} of the plan"],
        "header": [f"Header {number} of every page"],
        "footer": [f"Footer {number} of every page"],
        "inserted": [f"Words that somebody inserted {number}"],
        "notes": [f"Notes {number} for the speaker"],
        "table": [f"Column {number}{name}" for name in "ABCD"]
        + [f"cell {number}{row:02}{column}" for row in range(8) for column in "abcd"],
        "typed cells": cells,
    }


_TEXT = ("headings", "paragraphs", "items")
_MADE: dict[str, tuple[str, ...]] = {
    "python-docx.docx": (*_TEXT, "table", "header", "footer", "inserted"),
    "pandoc.docx": (*_TEXT, "table", "footnote"),
    "libreoffice.docx": (*_TEXT, "table", "footnote"),
    "pandoc.odt": (*_TEXT, "table", "footnote"),
    "libreoffice.odt": (*_TEXT, "table", "header", "footer", "inserted"),
    "odfpy.odt": (*_TEXT, "table"),
    "pandoc.rtf": (*_TEXT, "table", "footnote"),
    "libreoffice.rtf": (*_TEXT, "table", "header", "footer", "inserted"),
    "pandoc.html": (*_TEXT, "table", "footnote"),
    "libreoffice.html": (*_TEXT, "table", "footnote"),
    "libreoffice.pdf": (*_TEXT, "table", "footnote"),
    "fpdf2.pdf": ("headings", "items", "table"),
    "openpyxl.xlsx": ("typed cells",),
    "xlsxwriter.xlsx": ("typed cells",),
    "libreoffice.xlsx": ("typed cells",),
    "libreoffice.xls": ("typed cells",),
    "xlwt.xls": ("typed cells",),
    "libreoffice.ods": ("typed cells",),
    "odfpy.ods": ("typed cells",),
    "python.csv": ("typed cells",),
    "libreoffice.csv": ("typed cells",),
    "python-pptx.pptx": ("headings", "items", "table", "notes"),
    "pandoc.pptx": ("headings", "items", "table", "notes"),
    "libreoffice.pptx": ("headings", "items", "table", "notes"),
    "libreoffice.odp": ("headings", "items", "table", "notes"),
    "python.eml": ("paragraphs",),
    "python-html.eml": (*_TEXT, "table", "footnote"),
}
"""The parts of the content that the files of each program have."""


def pieces(file: str) -> list[str]:
    number, _, made_by = file.partition("-")
    content = _content(int(number))
    return [piece for part in _MADE[made_by] for piece in content[part]]


def corpus() -> dict[str, bytes]:
    return packed_files(CORPUS)


def packed_files(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as packed:
        members = [(member.name, packed.extractfile(member)) for member in packed]
        return {name: file.read() for name, file in members if file is not None}
