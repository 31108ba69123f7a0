"""Reads exported tables back with LibreOffice (`soffice`): `python -m benchmarks.table_read_back [--show]`.

It takes each table in the texts of the tests, the scenes and the docs, and tables of cells that
spreadsheets take for something else, and of the lines of the Markdown specifications. They are written as *Download
table* does, opened by LibreOffice with American and with German settings, and saved by it as CSV files with commas,
semicolons and tabs. Each cell is compared with what Slack shows, by the sandbox, with links as "label (address)".
Numbers that are shown in another form, as with German settings, are compared by their values.

Exits with 1 if a cell is a formula or differs from the file, or if more than MAX_OTHERWISE differ between Slack and
the file. CSV files of the same tables come first: if LibreOffice calculates none of their cells, nothing is proved.
"""

import argparse
import ast
import csv
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from python_calamine import CalamineWorkbook

from bot.core.tables import workbooks
from bot.reply.messages import PageView
from slack_markdown.blocks import LeafKind, parse_blocks
from slack_markdown.tests.hostile_texts import ANSWERS
from slack_markdown.tests.markdown_texts import LONG, drawn_answer
from slack_sandbox.workspace import SlackError
from tests.reply.stored_messages import leaves, stored

ROOT = Path(__file__).parent.parent
FOLDERS = ("tests", "slack_markdown/tests", "slack_pacing/tests", "sandbox/tests", "demo", "benchmarks", "docs")
SPEC = ROOT / "slack_markdown/tests/spec"
DRAWN = 200
ROWS = 60
"""Of a table that Slack shows as one."""
MAX_OTHERWISE = 13
"""Cells that aren't as in Slack: examples of the specifications that nobody writes, such as `<https://a.example?\\*>`."""
WITHIN_S = 300.0
BATCH = 200
"""Files that LibreOffice opens in one process."""
SEPARATORS = {44: "commas", 59: "semicolons", 9: "tabs"}
CSV = "{separator},34,76,1,,1033,false,true,false{formulas}"
"""Quote, UTF-8, from line 1, English (USA), as shown."""
GERMAN = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema">
<item oor:path="/org.openoffice.Setup/L10N"><prop oor:name="ooSetupSystemLocale"><value>de-DE</value></prop></item>
</oor:items>"""
CELLS = (
    *("=1+1", "+1+1", "-1+1", "@SUM(1,2)", "=cmd|' /C calc'!A0", '=HYPERLINK("http://a.example","b")', "＝1+1", "−4"),
    *("-", "+", "-5", "+4%", "-$3.50", "+49 30 1234567", "-1,234.50", "- a", "+1", "@ada", "-1e5", "-=1", "+=1", "'=1"),
    *("007", "01234567890", "12345678901234567890", "4111 1111 1111 1111", "1.0", "0.10", "1,234.50", "1e5", "1E400"),
    *("2026-01-02", "1/2", "3-4", "1.2.3", "12:30", "TRUE", "MARCH1", "SEPT2", "NaN", "0x1F", "5 %", "50%", "€5", "5€"),
    *('say "hi"', "a, b", "a;b", "**=1**", "`=1+1`", "[=1](https://a.example)", "*-x*", "~~@x~~", "&#61;1", "\\=1"),
    *("<https://a.example>", "https://a.example/a?b=c&d", "mailto:a@b.example", "a<br>b", ":wave:", "👍", "x\\|y"),
    *("\u200b=1", "\u00a0=1", "\ufeff=1", "＋1", "＠x", "﹢1", "\u2212x", "漢字", "é", "שלום", "", "_", "a\u0301", "…"),
)
_NS = {
    "table": "urn:oasis:names:tc:opendocument:xmlns:table:1.0",
    "text": "urn:oasis:names:tc:opendocument:xmlns:text:1.0",
    "office": "urn:oasis:names:tc:opendocument:xmlns:office:1.0",
}
_TABLE, _TEXT, _OFFICE = (f"{{{name}}}" for name in _NS.values())


class Cell(NamedTuple):
    """A cell as LibreOffice shows it."""

    text: str = ""
    value: str = ""
    """A number's value, or ""."""
    formula: str = ""


NOTHING = Cell()
Rows = list[list[str]]


def texts() -> Iterator[str]:
    """Yields the texts of tests, scenes and docs, and those that tests draw."""
    yield from (*ANSWERS.values(), *LONG.values(), *map(drawn_answer, range(DRAWN)))
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*")):
        if path.suffix == ".md":
            yield path.read_text("utf-8")
        elif path.suffix == ".py":
            nodes = ast.walk(ast.parse(path.read_text("utf-8")))
            yield from (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
        elif path.parent.name == "spec" and path.suffix == ".json":
            yield from (case["markdown"] for case in json.loads(path.read_text("utf-8")))
    cells = (*CELLS, *inlines())
    for at in range(0, len(cells), ROWS):
        rows = [f"| {cell} | x |" for cell in cells[at : at + ROWS]]
        yield "\n".join(["| cell | as it is |", "|---|---|", *rows])


def inlines() -> list[str]:
    """Returns the lines of the Markdown specifications' examples, each for a cell."""
    cases = (case for path in sorted(SPEC.glob("*.json")) for case in json.loads(path.read_text("utf-8")))
    lines = (line.strip() for case in cases for line in case["markdown"].splitlines())
    return list(dict.fromkeys(line for line in lines if line and "|" not in line))


def tables() -> list[str]:
    """Returns each table that can be downloaded, once."""
    found: dict[str, None] = {}
    for text in texts():
        for leaf in parse_blocks(text, last_line_incomplete=False).leaf_blocks:
            if leaf.kind is LeafKind.TABLE and len(leaf.lines) > 2:
                found["\n".join(text[line.content : line.end].strip() for line in leaf.lines)] = None
    return list(found)


def shown(markdown: str) -> Rows | None:
    """Returns the cells that Slack shows of a table; None if it shows none, or refuses it."""
    try:
        blocks = stored(PageView(markdown))
    except SlackError:
        return None
    rows = [row for block in blocks if block["type"] in ("table", "data_table") for row in block["rows"]]
    return [["".join(map(_shown_leaf, leaves(cell))).strip() for cell in row] for row in rows] or None


def _shown_leaf(leaf: dict[str, Any]) -> str:
    if leaf["type"] == "emoji":
        return (
            "".join(chr(int(code, 16)) for code in leaf["unicode"].split("-"))
            if "unicode" in leaf
            else f":{leaf['name']}:"
        )
    if leaf["type"] == "link" and leaf.get("text", leaf["url"]) != leaf["url"]:
        return f"{leaf['text']} ({leaf['url']})"
    return str(leaf.get("text") or leaf.get("url") or "")


class Office:
    """LibreOffice with a profile, and files that it converts."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.folder = folder
        user = folder / "profile/user"
        user.mkdir(parents=True)
        if settings:
            (user / "registrymodifications.xcu").write_text(settings)

    def converted(self, paths: Sequence[Path], form: str, infilter: str = "") -> list[Path]:
        command = ["soffice", "--headless", f"-env:UserInstallation=file://{self.folder}/profile"]
        command += [f"--infilter={infilter}"] if infilter else []
        for at in range(0, len(paths), BATCH):
            arguments = ("--convert-to", form, "--outdir", str(self.folder), *map(str, paths[at : at + BATCH]))
            subprocess.run([*command, *arguments], check=True, timeout=WITHIN_S, capture_output=True)
        return [self.folder / f"{path.stem}.{form.partition(':')[0]}" for path in paths]

    def opened(self, paths: Sequence[Path], infilter: str = "") -> list[list[list[Cell]]]:
        """Returns the cells of each file."""
        return [_cells(path) for path in self.converted(paths, "fods", infilter)]

    def as_csv(self, paths: Sequence[Path], separator: int) -> list[Rows]:
        """Returns the cells of each file, after LibreOffice saved them as CSV with a separator."""
        form = f"csv:Text - txt - csv (StarCalc):{CSV.format(separator=separator, formulas='')}"
        texts = (path.read_text("utf-8-sig") for path in self.converted(paths, form))
        return [list(csv.reader(io.StringIO(text, newline=""), delimiter=chr(separator))) for text in texts]


def _cells(path: Path) -> list[list[Cell]]:
    rows = []
    for row in ET.parse(path).iter(f"{_TABLE}table-row"):  # noqa: S314
        cells: list[Cell] = []
        for cell in row.iterfind(f"{_TABLE}table-cell"):
            words = "\n".join(map(_words, cell.iterfind(f"{_TEXT}p")))
            one = Cell(words, cell.get(f"{_OFFICE}value", ""), cell.get(f"{_TABLE}formula", ""))
            cells += [one] * min(1_000, int(cell.get(f"{_TABLE}number-columns-repeated", 1)))
        rows += [cells] * min(1_000, int(row.get(f"{_TABLE}number-rows-repeated", 1)))
    return rows


def _words(element: ET.Element) -> str:
    inside = "".join(_words(child) + (child.tail or "") for child in element)
    special = {"s": " " * int(element.get(f"{_TEXT}c", 1)), "tab": "\t", "line-break": "\n"}
    return special.get(element.tag.removeprefix(_TEXT), "") + (element.text or "") + inside


def otherwise(file: str, said: str) -> str:
    """Returns how the file's cell differs from what Slack shows; "" if it doesn't."""
    # A hair space keeps marks apart that Slack would read together.
    said = said.replace("\u200a", "").strip()
    if file.strip() == re.sub(r"\[([^\]]*)\]\(([^)]*)\)", r"\1 (\2)", said):
        return ""
    if re.search(r"\]\(|\]\[", said):
        return "a link without an address of the web"
    return "an emoji's name" if re.search(r":[\w+-]+:", file) else "not as in Slack"


def compare(folder: Path, *, show: bool) -> Counter[str]:
    """Returns how many tables and cells there are, and how many of them differ in which way."""
    count: Counter[str] = Counter()
    found = [(table, content) for table in tables() for _, content in workbooks(table)]
    paths = [folder / f"{number}.xlsx" for number in range(len(found))]
    for path, (_, content) in zip(paths, found, strict=True):
        path.write_bytes(content)
    office, german = Office(folder / "american"), Office(folder / "german", GERMAN).opened(paths)
    saved = {name: office.as_csv(paths, separator) for separator, name in SEPARATORS.items()}
    for number, (read, (table, content)) in enumerate(zip(office.opened(paths), found, strict=True)):
        in_slack = shown(table)
        count += Counter({"tables": 1, "tables that Slack shows as no table": in_slack is None})
        sheet: list[list[Any]] = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()
        if in_slack and len(in_slack) != len(sheet):
            count["not as in Slack"] += 1
        for at, values in enumerate(sheet):
            said = in_slack[at] if in_slack and at < len(in_slack) else []
            for column, value in enumerate(values):
                cell, there = _at(read, at, column, NOTHING), _at(german[number], at, column, NOTHING)
                slack = said[column] if column < len(said) else ""
                others = {name: _at(rows[number], at, column, "") for name, rows in saved.items()}
                faults = [
                    *(["a formula"] if cell.formula or there.formula else []),
                    *(["calamine differs"] if str(value) != cell.text and value != _number(cell.value) else []),
                    *(["German settings differ"] if there.text != cell.text and there.value != cell.value else []),
                    *(
                        f"{name} differ"
                        for name, text in others.items()
                        if text != cell.text and _number(text) != _number(cell.value)
                    ),
                    *filter(None, [otherwise(cell.text, slack) if in_slack else ""]),
                ]
                count += Counter({"cells": 1, "numbers": bool(cell.value), **dict.fromkeys(faults, 1)})
                if show and faults:
                    print(f"{', '.join(faults)}: Slack {slack!r}, LibreOffice {cell}, calamine {value!r}, {others}")
    return count


def _at(rows: Sequence[Sequence[Any]], row: int, column: int, default: Any) -> Any:
    return rows[row][column] if row < len(rows) and column < len(rows[row]) else default


def _number(text: str) -> float | None:
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None


def calculated_csv_cells(folder: Path) -> int:
    """Returns how many cells of the same texts LibreOffice would calculate in a CSV file."""
    path = folder / "cells.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([cell] for cell in CELLS)
    [rows] = Office(folder / "csv").opened([path], "CSV:" + CSV.format(separator=44, formulas=",false,false,0,true"))
    return sum(bool(cell.formula) for row in rows for cell in row)


def main() -> int:
    """Prints the counts and returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--show", action="store_true", help="print each cell that differs")
    options = parser.parse_args()
    if shutil.which("soffice") is None:
        print("There is no soffice: install libreoffice-calc.")
        return 1
    with tempfile.TemporaryDirectory() as name:
        if not (calculated := calculated_csv_cells(Path(name))):
            print("LibreOffice doesn't calculate formulas here, so nothing is proved.")
            return 1
        print(f"{calculated:8,} of {len(CELLS)} hostile cells would be calculated in a CSV file")
        count = compare(Path(name), show=options.show)
    for what, number in count.items():
        print(f"{number:8,} {what}")
    differ = count["a formula"] + sum(number for what, number in count.items() if what.endswith(("differs", "differ")))
    return 1 if differ or count["not as in Slack"] > MAX_OTHERWISE else 0


if __name__ == "__main__":
    sys.exit(main())
