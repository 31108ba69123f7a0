"""Documents from several programs keep their paragraphs and cells (benchmarks/document_corpus.py)."""

import re

import pytest

from files_to_markdown import formats
from files_to_markdown.benchmarks.document_corpus import corpus, pieces
from files_to_markdown.document import Document, Format, LeftOut, Part
from files_to_markdown.kind import document_kind

FILES = corpus()
MADE = sorted({name.partition("-")[2] for name in FILES if name[0].isdigit()})


def read(name: str) -> Document:
    return formats.read(document_kind(name, "", FILES[name]) or Format.PDF, FILES[name])


def plain(text: str) -> str:
    return " ".join(text.replace("\\|", "|").replace("<br>", " ").split())


@pytest.mark.parametrize("made", MADE)
def test_every_paragraph_and_cell_arrives(made: str) -> None:
    names = [name for name in FILES if name[0].isdigit() and name.endswith(f"-{made}")]
    assert len(names) >= 2
    for name in names:
        text = plain(read(name).text)
        assert [piece for piece in pieces(name) if plain(piece) not in text] == [], name


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        (
            "1-openpyxl.xlsx",
            (LeftOut(Part.HIDDEN_SHEET, 1, ("Prices",)), LeftOut(Part.COMMENT, 1), LeftOut(Part.FORMULA, 1)),
        ),
        ("1-libreoffice.ods", (LeftOut(Part.HIDDEN_SHEET, 1, ("Prices",)), LeftOut(Part.COMMENT, 1))),
        ("1-libreoffice.xls", (LeftOut(Part.HIDDEN_SHEET, 1, ("Prices",)), LeftOut(Part.OLD_SHEET, 1))),
        ("1-libreoffice.odt", (LeftOut(Part.COMMENT, 1),)),
        ("1-libreoffice.rtf", (LeftOut(Part.COMMENT, 1),)),
        ("1-python.eml", (LeftOut(Part.ATTACHMENT, 1, ("all.zip",)),)),
        ("1-xlsxwriter.xlsx", ()),
        ("1-pandoc.docx", ()),
    ],
)
def test_what_is_left_out_is_said(name: str, left_out: tuple[LeftOut, ...]) -> None:
    assert read(name).left_out == left_out


@pytest.mark.parametrize("name", ["0-pandoc.docx", "0-pandoc.odt", "0-pandoc.html"])
def test_headings_lists_and_tables_become_markdown(name: str) -> None:
    text = read(name).text
    assert "\n\n## Heading 001 of the plan\n\n" in text
    assert "\n\n- Item 000 to do\n- Item 001 to do\n" in text
    assert "\n\n| Column 0A | Column 0B | Column 0C | Column 0D |\n|---|---|---|---|\n| cell 000a |" in text


def test_comments_of_word_stand_below_the_text() -> None:
    text = read("0-python-docx.docx").text
    assert re.search(r"Words that somebody inserted 0\n.*\n\nComment \[G1\]\n\nA comment", text, re.DOTALL)
