"""Tables of an answer as workbooks."""

import io
import re
import sys
import zipfile
from types import FrameType

import pytest
from python_calamine import CalamineWorkbook

from bot.core.tables import might_have_tables, workbooks

SALES = """## Sales in *Q3*

| Region | Share | Who |
| --- | ---: | --- |
| North | **+4%** | [Ada](https://example.com/a) |
| South | -3.5 | `a | b` |
| =HYPERLINK("x") | @here | A\\|B |
"""


def rows_of(content: bytes) -> list[list[object]]:
    """Returns a workbook's cells: text as strings, numbers as floats."""
    [sheet] = CalamineWorkbook.from_filelike(io.BytesIO(content)).sheet_names
    return [
        list(row) for row in CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_name(sheet).to_python()
    ]


def table(*rows: str) -> str:
    return "\n".join(["| a | b |", "|---|---|", *rows])


def test_file_has_the_words_of_a_table_and_the_name_of_its_heading() -> None:
    [(name, content)] = workbooks(SALES.replace("`a | b`", "`a`"))
    assert name == "sales-in-q3.xlsx"
    assert rows_of(content) == [
        ["Region", "Share", "Who"],
        ["North", "+4%", "Ada (https://example.com/a)"],
        ["South", "-3.5", "a"],
        ['=HYPERLINK("x")', "@here", "A|B"],
    ]


TEXT = (
    *("-", "--", "-->", "+/-", "@", "=", "=>", "==", "= =", "–", "−5", "@ada", "@ada, @bob", "a=1", "1-2", "n/a"),
    *(
        "=1",
        "= 1+1",
        "-=1",
        "＝1+1",
        "＋cmd",
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2+3+cmd",
        "-cmd|'x'!A1",
        "-A1",
        "@SUM(A1)",
    ),
    *(
        "x;=1",
        "x\t=1",
        "=1",
        "<r>a</r>",
        "<b>a</b>",
        "_x0041_",
        "a & b",
        'say "hi", now',
        "漢字",
        "שלום",
        "\x07",
    ),
    *(
        "-1.234,56 €",
        "1.204",
        "1.204.113",
        "12,5",
        "007",
        "-12:30",
        "2026-11-30",
        "+49 30 1234567",
        "1e5",
        "+12 pp",
        "∞",
    ),
    *("1234567890123456", "TRUE", "MARCH1", "1/2", "0x1F", "NaN"),
)
NUMBERS = [
    ("0", 0, "0"),
    ("-5", -5, "0"),
    ("1,204,113", 1_204_113, "#,##0"),
    ("123456789012345", 123_456_789_012_345, "0"),
    ("-0.02", -0.02, "0.00"),
    ("1.2345", 1.2345, "0.0000"),
    ("+4%", 0.04, "+0%"),
    ("-5 %", -0.05, '0" "%'),
    ("+12.5\u00a0%", 0.125, '+0.0"\u00a0"%'),
    ("-$1,234.50", -1234.5, '"$"#,##0.00'),
    ("1,234.56 €", 1234.56, '#,##0.00" €"'),
]


def cells_of(content: bytes) -> list[object]:
    return [row[0] for row in rows_of(content)[1:]]


def in_code(*cells: str) -> str:
    return table(*("| `` {} `` | x |".format(cell.replace("|", "\\|")) for cell in cells))


@pytest.mark.parametrize("cell", TEXT)
def test_text_is_written_as_it_is_shown_and_never_calculated(cell: str) -> None:
    [(_, content)] = workbooks(in_code(cell))
    # "<r>…</r>" has a space behind it.
    assert [str(written).rstrip(" ") for written in cells_of(content)] == [cell]


@pytest.mark.parametrize(("cell", "value", "number_format"), NUMBERS)
def test_numbers_can_be_summed_and_look_as_in_the_answer(cell: str, value: float, number_format: str) -> None:
    [(_, content)] = workbooks(in_code(cell, "", "—"))
    assert cells_of(content) == [value, "", "—"]
    styles = zipfile.ZipFile(io.BytesIO(content)).read("xl/styles.xml").decode().replace("&quot;", '"')
    built_in = {"0": 1, "0.00": 2, "#,##0": 3, "#,##0.00": 4}
    code = re.search(f'numFmtId="{built_in.get(number_format)}"|formatCode="{re.escape(number_format)}"/>', styles)
    assert code, styles


@pytest.mark.parametrize("cell", ["x", "007", "1.204"])
def test_column_with_other_cells_stays_text_so_that_no_sum_leaves_some_out(cell: str) -> None:
    [(_, content)] = workbooks(in_code("1", cell, "2"))
    assert cells_of(content) == ["1", cell, "2"]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("a<br>b", "a; b"),
        ("`x`<br/>`y`", "x y"),
        ("H<sub>2</sub>O, <b>e</b><sup>2</sup>", "H₂O, e²"),
        ("$a_1$ and \\(x^2\\)", "a_1 and x^2"),
        ("<https://a.example|the docs>", "the docs (https://a.example)"),
        ("`a<br>b`", "a<br>b"),
        ("<b>=1+1</b>", "=1+1"),
        ("$=1+1$", "=1+1"),
        ("A\\|B<br>C", "A|B; C"),
        ("**[the docs](https://a.example/a_b)**", "the docs (https://a.example/a_b)"),
        ("~~https://a.example~~, _https://b.example_", "(struck out: https://a.example), https://b.example"),
        ("<ada@a.example>", "ada@a.example"),
        ("`` =1 ``", "=1"),
        ("&amp;lt; \\&lt; &lt; R&not; R&not", "&lt; &lt; < R¬ R&not"),
    ],
)
def test_cell_has_what_slack_shows_of_the_tags_and_formulas_that_models_write(cell: str, shown: str) -> None:
    [(_, content)] = workbooks(table(f"| {cell} | 1 |", "| x | 2 |", "| y | 3 |"))
    assert rows_of(content)[1] == [shown, 1]


def test_tables_below_one_heading_have_names_of_their_own() -> None:
    three = table("| 1 | 2 |", "| 3 | 4 |", "| 5 | 6 |")
    names = [name for name, _ in workbooks(f"{three}\n\n# ../etc\n\n{three}\n\ntext\n\n{three}\n\n# …\n\n{three}")]
    assert names == ["table.xlsx", "etc.xlsx", "etc-2.xlsx", "table-2.xlsx"]


def test_names_of_twice_as_many_tables_take_twice_the_work() -> None:
    def calls_for(count: int) -> int:
        calls, tables = 0, f"{table('| 1 | 2 |')}\n\n" * count

        def on_call(frame: FrameType, event: str, _: object) -> None:
            nonlocal calls
            calls += event == "call" and frame.f_code.co_filename == workbooks.__code__.co_filename

        sys.setprofile(on_call)
        try:
            assert len(workbooks(tables)) == count
        finally:
            sys.setprofile(None)
        return calls

    assert calls_for(200) < 2.5 * calls_for(100)


def test_rows_have_as_many_cells_as_the_header_and_lose_nothing() -> None:
    [(_, content)] = workbooks(table("| 1 |", "| 1 | 2 | 3 |", "1 | 2", "|| 2 ||", "| 1 | a \\| b | c |"))
    assert rows_of(content)[1:] == [[1, ""], [1, "2 | 3"], [1, "2"], ["", "2"], [1, "a | b | c"]]


def test_table_whose_cells_are_mostly_missing_has_no_file() -> None:
    assert workbooks(f"{'|'.join('a' * 5_000)}\n{'|'.join('-' * 5_000)}\n" + "a|\n" * 5_000) == []


@pytest.mark.parametrize(
    ("markdown", "may_have"),
    [
        (SALES, True),
        (table("| 1 | 2 |", "| 3 | 4 |", "| 5 | 6 |"), True),
        (table("| 1 | 2 |"), True),
        (table("| 1 | 2 |").replace("\n", "\r\n"), True),
        (table("| 1 | 2 |").replace("\n", "\r"), True),
        (f"> {table('| 1 | 2 |')}".replace("\n", "\n> "), True),
        (f"- {table('| 1 | 2 |')}".replace("\n", "\n  "), True),
        (f"1. one\n\n   {table('| 1 | 2 |')}".replace("\n", "\n   "), True),
        (f"Text above\n{table('| 1 | 2 |')}\ntext below", True),
        (table(), False),
        ("a | b\n--|--\n1|2\n3|4\n5|6", True),
        ("- a\n- b\n- c\n- d\n- e", False),
        ("", False),
    ],
)
def test_each_table_that_is_shown_is_known(markdown: str, may_have: bool) -> None:
    assert might_have_tables(markdown) is may_have
    assert bool(workbooks(markdown)) is may_have
