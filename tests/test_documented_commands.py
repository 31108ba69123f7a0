"""Each shell command of README.md, CONTRIBUTING.md and docs/admins is run by a test, or a mark says why it isn't.

A command is a line of an indented block. Everything else is fenced, with its language. A mark is a comment above the
block. Commands of `typist`, also those within sentences, are read by its own parser.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.cli.command_line import SUBCOMMANDS, argument_parser

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs/admins").glob("*.md")))
BLOCK = re.compile(r"(?:<!-- (?P<mark>No test runs [^>]*\.) -->\n\n)?(?P<lines>(?:^    .*\n)+)", re.MULTILINE)
FENCED = re.compile(r"^```(?P<language>\w*)\n.*?^```$", re.MULTILINE | re.DOTALL)
WITHIN_SENTENCES = re.compile(r"`(?:\.venv/bin/)?typist\s([^`]*)`")
FIRST_MINUTE = "tests/scenarios/test_first_minute.py"
RUN_BY = {
    "git clone": (FIRST_MINUTE, '"git clone"'),
    "cd typist": (FIRST_MINUTE, '"typist"'),
    "make run": (FIRST_MINUTE, '"make run"'),
    "make check": (".ci/run", "make check"),
    "make test-touched": ("Makefile", "test-touched: "),
    "make test-long": ("Makefile", "test-long: "),
    "make test": ("Makefile", "test: "),
    ".ci/run": (".ci/run", "make check"),
}
"""By how a command begins: the file that runs it, and the words that show it."""


def commands(text: str) -> Iterator[tuple[str, bool]]:
    """Yields the commands of a page's blocks, and whether their block has a mark."""
    for block in BLOCK.finditer(FENCED.sub("", text).replace("\\\n", "")):
        for line in re.findall(r"^    (\S.*)$", block["lines"], re.MULTILINE):
            if not line.startswith(("#", "}")):
                yield line.partition(" #")[0].strip(), block["mark"] is not None


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_of_a_page_are_run_by_a_test_or_marked(path: Path) -> None:
    text = path.read_text()
    assert all(fence["language"] for fence in FENCED.finditer(text))
    unknown = [
        command
        for command, is_marked in commands(text)
        if not is_marked and not command.startswith(("typist ", *RUN_BY))
    ]
    assert unknown == []


def test_files_that_run_commands_name_them_and_some_page_has_each() -> None:
    assert [begins for begins, (file, words) in RUN_BY.items() if words not in (ROOT / file).read_text()] == []
    said = [command for path in PAGES for command, _ in commands(path.read_text())]
    assert [begins for begins in RUN_BY if not any(command.startswith(begins) for command in said)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_typist_takes_the_arguments_that_a_page_gives_it(path: Path) -> None:
    text = path.read_text()
    said = [command.partition(" ")[2] for command, _ in commands(text) if command.startswith("typist ")]
    said += WITHIN_SENTENCES.findall(text)
    for arguments in said:
        words = shlex.split(arguments.partition(">")[0])
        assert words[0] in SUBCOMMANDS
        # A sentence may name a command without its arguments. The parser exits for arguments that it doesn't take.
        if words[1:]:
            argument_parser().parse_args(words)
