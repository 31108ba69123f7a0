"""Tables of an answer as CSV files."""

import csv
import io

import pytest

from bot.core.tables import csv_files, might_have_tables

SALES = """## Sales in *Q3*

| Region | Share | Who |
| --- | ---: | --- |
| North | **+4%** | [Ada](https://example.com/a) |
| South | -3.5 | `a | b` |
| =HYPERLINK("x") | @here | A\\|B |
"""


def rows_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def table(*rows: str) -> str:
    return "\n".join(["| a | b |", "|---|---|", *rows])


def test_file_has_the_words_of_a_table_and_the_name_of_its_heading() -> None:
    [(name, content)] = csv_files(SALES.replace("`a | b`", "`a`"))
    assert name == "sales-in-q3.csv"
    assert content.startswith("\ufeff".encode())
    assert rows_of(content) == [
        ["Region", "Share", "Who"],
        ["North", "+4%", "Ada (https://example.com/a)"],
        ["South", "-3.5", "a"],
        ['\'=HYPERLINK("x")', "@here", "A|B"],
    ]


SHOWN_AS_THEY_ARE = (
    *(
        "-",
        "--",
        "-->",
        "+/-",
        "@",
        "=",
        "=>",
        "–",
        "−5",
        "-0.02",
        "-$1,234.50",
        "-1.234,56 €",
        "+12.5 %",
        "-5 %",
        "+4%",
    ),
    *("+12 pp", "-3 days", "-1.2M", "-$1.2k", "+0.3σ", "-∞", "-10–20", "-5 to -3", "-5 dB(A)", "-3 (est.)", "-1e-5"),
    *("+49 30 1234567", "+1 (555) 123", "-12:30", "@ada", "@ada, @bob", "a=1", "1-2", "n/a", 'say "hi", now'),
)
CALCULATED = (
    *(
        "=1",
        "= 1+1",
        "==1",
        "-=1",
        "＝1+1",
        "=cmd|' /C calc'!A0",
        "+1+1",
        "＋cmd",
        "-2+3+cmd",
        "-cmd|'x'!A1",
        "-- comment",
    ),
    *(
        "-1*A1",
        "-A1",
        "+$A$1",
        "-10-20",
        "+49-30-123",
        "-5/7",
        "-1^2",
        '-1&"x"',
        "-SUM(1)",
        "@SUM(A1)",
        "＠SUM(A1)",
        "@A1",
    ),
)


def written(cell: str) -> str:
    escaped = cell.replace("|", "\\|")
    [(_, content)] = csv_files(table(f"| `` {escaped} `` | 1 |"))
    return rows_of(content)[1][0]


@pytest.mark.parametrize("cell", SHOWN_AS_THEY_ARE)
def test_cell_that_no_spreadsheet_can_calculate_is_written_as_it_is_shown(cell: str) -> None:
    assert written(cell) == cell


@pytest.mark.parametrize("cell", CALCULATED)
@pytest.mark.parametrize("before", ["", "x;", "x; ", "1;"])
def test_cell_that_a_spreadsheet_would_calculate_is_text_also_behind_a_semicolon(cell: str, before: str) -> None:
    assert written(f"{before}{cell}") == f"{before}'{cell}"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("a<br>b", "a; b"),
        ("`x`<br/>`y`", "x y"),
        ("H<sub>2</sub>O, <b>e</b><sup>2</sup>", "H₂O, e²"),
        ("$a_1$ and \\(x^2\\)", "a_1 and x^2"),
        ("<https://a.example|the docs>", "the docs (https://a.example)"),
        ("`a<br>b`", "a<br>b"),
        ("<b>=1+1</b>", "'=1+1"),
        ("$=1+1$", "'=1+1"),
        ("A\\|B<br>C", "A|B; C"),
        ("**[the docs](https://a.example/a_b)**", "the docs (https://a.example/a_b)"),
        ("~~https://a.example~~, _https://b.example_", "(struck out: https://a.example), https://b.example"),
        ("<ada@a.example>", "ada@a.example"),
        ("`` =1 ``", "'=1"),
        ("&amp;lt; \\&lt; &lt; R&not; R&not", "&lt; &lt; < R¬ R&not"),
    ],
)
def test_cell_has_what_slack_shows_of_the_tags_and_formulas_that_models_write(cell: str, shown: str) -> None:
    [(_, content)] = csv_files(table(f"| {cell} | 1 |", "| x | 2 |", "| y | 3 |"))
    assert rows_of(content)[1] == [shown, "1"]


def test_tables_below_one_heading_have_names_of_their_own() -> None:
    three = table("| 1 | 2 |", "| 3 | 4 |", "| 5 | 6 |")
    names = [name for name, _ in csv_files(f"{three}\n\n# ../etc\n\n{three}\n\ntext\n\n{three}\n\n# …\n\n{three}")]
    assert names == ["table.csv", "etc.csv", "etc-2.csv", "table-2.csv"]


def test_rows_have_as_many_cells_as_the_header_and_lose_nothing() -> None:
    [(_, content)] = csv_files(table("| 1 |", "| 1 | 2 | 3 |", "1 | 2", "|| 2 ||", "| 1 | a \\| b | c |"))
    assert rows_of(content)[1:] == [["1", ""], ["1", "2 | 3"], ["1", "2"], ["", "2"], ["1", "a | b | c"]]


def test_empty_cells_alone_make_no_file_large() -> None:
    wide = f"{'|'.join('a' * 5_000)}\n{'|'.join('-' * 5_000)}\n" + "a|\n" * 5_000
    [(_, content)] = csv_files(wide)
    assert len(content) < len(wide)


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
    assert bool(csv_files(markdown)) is may_have
