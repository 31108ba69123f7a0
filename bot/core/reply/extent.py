"""How much of a message a page's Markdown takes once Slack has translated it.

Slack stores no Markdown: a heading becomes a `header` block, `---` a `divider`, a table a `table`, and what stands
between them one `rich_text`. Its limits count what came out. Lines are read once, as they become complete, so that a
growing page costs what its newest lines cost; what is counted never falls as a text grows.
"""

import re
from bisect import bisect_right
from typing import NamedTuple

from bot.core.reply.markdown.block_parser import BlockKind, Leaf, Scan, SourceLine, cells, definitions_end, scan

MOST_BLOCKS = 45
"""A message holds 50: five are for what stands below the text, its quiet lines and buttons."""
BLOCK_CHARS = 12_500
"""All text in a message's blocks is 13,200 characters: the rest is for what stands below the text."""
HEADER_CHARS = 140
"""So many of these does each header cost (133 were measured)."""
MOST_TABLES = 1
"""Slack refused a second table in 2025. Whether it takes two by now nobody has measured."""
MOST_ROWS = 99
"""Slack takes 100: one is for the row that grows."""
MOST_COLUMNS = 20
CELL_CHARS = 9_000
"""Slack takes 10,000 characters in a message's tables: the rest is for the row that grows."""
HEADING_CHARS = 140
"""A header holds 150."""


_WORD = re.compile(r"\w")


class Full(NamedTuple):
    """Where a page is full, whatever its length."""

    at: int
    """The line that is too much begins here."""
    known: int
    """The page is known to be full once it has so many characters."""


class Extent:
    """What the complete lines of a page take."""

    def __init__(self) -> None:
        self.full: Full | None = None
        self._scan = Scan("")
        self._read_chars = 0
        self._heading_ends: list[int] = []
        self._blocks = 0
        self._in_text = False
        """The last block is a `rich_text`, which more text only makes longer."""
        self._counted = 0
        """So many leaves are in `_blocks`: all but the last, which may still become something else."""
        self._rules = 0
        self._last: Leaf | None = None
        self._wide = False
        """The last leaf is a table that does not come out as one."""
        self._tables = 0
        self._cell_chars = 0

    def read(self, shown: str) -> None:
        """Reads what the page shows as far as its lines are complete; it begins with what was read before."""
        self._scan.markdown = shown
        while self.full is None and (end := shown.find("\n", self._read_chars)) >= 0:
            line = SourceLine(self._read_chars, self._read_chars, end)
            self._read_chars = end + 1
            self._scan.read(line)
            self._count(line)

    def header_chars(self, shown_chars: int) -> int:
        """What the headings cost beside their text, in the page's first characters."""
        return HEADER_CHARS * bisect_right(self._heading_ends, shown_chars)

    def _count(self, line: SourceLine) -> None:
        found = self._scan.found
        if len(found.rules) > self._rules:
            self._rules += 1
            self._settle(len(found.leaves))
            self._blocks, self._in_text = self._blocks + 1, False
            self._check(self._blocks, line)
            return
        self._settle(len(found.leaves) - 1)
        if self._counted < len(found.leaves):
            self._count_last(found.leaves[-1], line)
        elif self._scan.containers and not self._in_text:
            # An item without a word.
            self._blocks, self._in_text = self._blocks + 1, True

    def _settle(self, leaves: int) -> None:
        for leaf in self._scan.found.leaves[self._counted : leaves]:
            self._blocks, self._in_text = self._with(leaf)
        self._counted = max(self._counted, leaves)

    def _with(self, leaf: Leaf) -> tuple[int, bool]:
        # Whether code is a block of its own is reported either way.
        return (self._blocks + (not self._in_text), True) if leaf.kind is BlockKind.TEXT else (self._blocks + 1, False)

    def _count_last(self, leaf: Leaf, line: SourceLine) -> None:
        self._check(self._with(leaf)[0], leaf.lines[0])
        if leaf is not self._last:
            self._wide = leaf.kind is BlockKind.TABLE and is_wide(self._scan.markdown, leaf)
        if leaf.kind is BlockKind.TABLE and not self._wide:
            self._count_row(leaf, line)
        elif leaf.kind is BlockKind.HEADING and leaf is not self._last:
            self._heading_ends.append(self._read_chars)
        self._last = leaf if leaf.kind is not BlockKind.TEXT else None

    def _count_row(self, table: Leaf, line: SourceLine) -> None:
        if table is not self._last:
            self._tables += 1
            self._cell_chars += cell_chars(self._scan.markdown, table.lines[0])
            if self._tables > MOST_TABLES:
                self._end(table.lines[0])
        elif table.lines[-1] is line:
            self._cell_chars += cell_chars(self._scan.markdown, line)
            rows = len(table.lines) - 1
            # A table's header stays with its first row, however long that is.
            if rows > MOST_ROWS or (self._cell_chars > CELL_CHARS and rows > 2):
                self._end(line)

    def _check(self, blocks: int, line: SourceLine) -> None:
        if blocks > MOST_BLOCKS:
            self._end(line)

    def _end(self, line: SourceLine) -> None:
        self.full = self.full or Full(line.start, self._read_chars)


def counted_chars(text: str) -> int:
    """A text's length as Slack counts it in blocks: `&`, `<` and `>` as entities."""
    return len(text) + 3 * text.count("<") + 3 * text.count(">") + 4 * text.count("&")


def cell_chars(markdown: str, row: SourceLine) -> int:
    """How much text a table's row holds at most."""
    return counted_chars(markdown[row.content : row.end])


def is_wide(markdown: str, table: Leaf) -> bool:
    """Whether a table has more columns than Slack takes."""
    return cells(markdown[table.lines[0].content : table.lines[0].end]) > MOST_COLUMNS


def has_paragraph(sent: str) -> bool:
    """Whether Slack makes a `rich_text` of some of what is sent: not of headings, tables and dividers alone."""
    for leaf in scan(sent, partial=False).leaves:
        if leaf.kind is BlockKind.TEXT:
            text = "\n".join([sent[line.content : line.end] for line in leaf.lines])
            if _WORD.search(text, definitions_end(text)):
                return True
    return False
