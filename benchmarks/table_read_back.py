"""Reads tables as files back with LibreOffice: `python -m benchmarks.table_read_back [--show]`. Needs `soffice`.

It takes each table in the texts of the tests, the scenes and the docs, and tables of cells that
spreadsheets take for something else, and of the lines of the Markdown specifications. They are written as *Download
table* does, and opened by LibreOffice with formulas evaluated, as Excel does. Then each cell is compared:

- the file with what Slack shows of the answer, by the sandbox, links as "label (address)"
- LibreOffice's text with the file

LibreOffice takes some cells for numbers and dates. Where it shows the same value in another form, the cell is "another
form". Where the value can't be told from it, as in 007 or in an account's twenty digits, it is "another value".

Exits with 1 if a cell is a formula or a text with other words, or if more than MAX_OTHERWISE differ between Slack and
the file. A file of formulas without apostrophes comes first: if LibreOffice doesn't calculate them, nothing is proved.
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
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from bot.core.tables import csv_files
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
MAX_OTHERWISE = 12
"""Cells that aren't as in Slack: examples of the specifications that nobody writes, such as `<https://a.example?\\*>`."""
WITHIN_S = 300.0
BATCH = 200
"""Files that LibreOffice opens in one process."""
READS = "CSV:44,34,76,1,,1033,false,false,false,false,false,0,true"
"""Comma, quote, UTF-8, from line 1, English (USA); no texts from quotes, no special numbers; formulas are evaluated."""
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
}
_TABLE, _TEXT = (f"{{{name}}}" for name in _NS.values())
_VALUE_TYPE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}value-type"

Rows = list[list[str]]
Cell = tuple[str, str, str]
"""What LibreOffice has of a cell: its text, the type of its value, and its formula."""
NOTHING = ("", "", "")


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


def opened(contents: Sequence[bytes]) -> Iterator[list[list[Cell]]]:
    """Yields what LibreOffice makes of each file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"{number}.csv" for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        command = ("soffice", "--headless", f"-env:UserInstallation=file://{name}/profile", f"--infilter={READS}")
        for at in range(0, len(paths), BATCH):
            arguments = (*command, "--convert-to", "fods", "--outdir", name, *map(str, paths[at : at + BATCH]))
            subprocess.run(arguments, check=True, timeout=WITHIN_S, capture_output=True)
        for path in paths:
            yield _cells(path.with_suffix(".fods"))


def _cells(path: Path) -> list[list[Cell]]:
    rows = []
    for row in ET.parse(path).iter(f"{_TABLE}table-row"):  # noqa: S314
        cells: list[Cell] = []
        for cell in row.iterfind(f"{_TABLE}table-cell"):
            words = "\n".join(map(_words, cell.iterfind(f"{_TEXT}p")))
            one = words, cell.get(_VALUE_TYPE, ""), cell.get(f"{_TABLE}formula", "")
            cells += [one] * min(1_000, int(cell.get(f"{_TABLE}number-columns-repeated", 1)))
        rows += [cells] * min(1_000, int(row.get(f"{_TABLE}number-rows-repeated", 1)))
    return rows


def _words(element: ET.Element) -> str:
    inside = "".join(_words(child) + (child.tail or "") for child in element)
    special = {"s": " " * int(element.get(f"{_TEXT}c", 1)), "tab": "\t", "line-break": "\n"}
    return special.get(element.tag.removeprefix(_TEXT), "") + (element.text or "") + inside


def outcome(file: str, read: Cell) -> str:
    """Returns how LibreOffice's cell differs from the file's; "" if it doesn't."""
    words, kind, formula = read
    if formula:
        return "a formula"
    if words == file:
        return ""
    if kind in ("", "string"):
        return "other words"
    return "another form" if _value(words) == _value(file) and not re.match(r"0\d", file) else "another value"


def otherwise(file: str, said: str) -> str:
    """Returns how the file's cell differs from what Slack shows; "" if it doesn't."""
    # A hair space keeps marks apart that Slack would read together.
    said = said.replace("\u200a", "").strip()
    if file.removeprefix("'") == re.sub(r"\[([^\]]*)\]\(([^)]*)\)", r"\1 (\2)", said).removeprefix("'"):
        return ""
    if re.search(r"\]\(|\]\[", said):
        return "a link without an address of the web"
    return "an emoji's name" if re.search(r":[\w+-]+:", file) else "not as in Slack"


def _value(text: str) -> Decimal | str:
    try:
        return Decimal(text.replace(",", ""))
    except InvalidOperation:
        return text


def compare(*, show: bool) -> Counter[str]:
    """Returns how many tables and cells there are, and how many of them differ in which way."""
    count: Counter[str] = Counter()
    found = tables()
    contents = [content for table in found for _, content in csv_files(table)]
    for table, content, read in zip(found, contents, opened(contents), strict=True):
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        in_slack = shown(table)
        count += Counter({"tables": 1, "tables that Slack shows as no table": in_slack is None})
        for at, row in enumerate(rows):
            said = _padded(in_slack[at] if in_slack and at < len(in_slack) else [], len(row))
            got = read[at] if at < len(read) else []
            got += [NOTHING] * (len(row) - len(got))
            for file, slack, cell in zip(row, said, got, strict=False):
                faults = [fault for fault in (outcome(file, cell), otherwise(file, slack) if in_slack else "") if fault]
                count += Counter({"cells": 1, **dict.fromkeys(faults, 1)})
                if show and faults:
                    print(f"{', '.join(faults)}: Slack {slack!r}, file {file!r}, LibreOffice {cell}")
        if in_slack and len(in_slack) != len(rows):
            count["not as in Slack"] += 1
    return count


def _padded(cells: list[str], width: int) -> list[str]:
    return [*cells, *[""] * (width - len(cells))]


def main() -> int:
    """Prints the counts and returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--show", action="store_true", help="print each cell that differs")
    options = parser.parse_args()
    if shutil.which("soffice") is None:
        print("There is no soffice: install libreoffice-calc.")
        return 1
    [control] = opened([b"a,b\r\n=1+1,-5\r\n"])
    if not control[1][0][2]:
        print("LibreOffice doesn't calculate formulas here, so nothing is proved.")
        return 1
    count = compare(show=options.show)
    for what, number in count.items():
        print(f"{number:8,} {what}")
    return 1 if count["a formula"] + count["other words"] or count["not as in Slack"] > MAX_OTHERWISE else 0


if __name__ == "__main__":
    sys.exit(main())
