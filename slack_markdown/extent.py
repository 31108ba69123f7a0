"""How much of a Slack message a page takes, once Slack has translated its Markdown into blocks.

Slack's limits count the translation, not the Markdown. A heading becomes a `header` block, `---` a `divider`, a table a
`table`, and each run of other blocks between them one `rich_text`. A message holds 50 blocks, one table, and a limited
number of characters; a `header` costs more characters than it shows.

`Extent` counts what the complete lines of a page become. It reads each line once, so a growing page costs what its
newest lines cost. Two properties make page breaks stable while the text grows:

- No count ever falls when text is added.
- A leaf block counts once the next begins, because until then another line may change its kind.

`Extent.full` says where the first limit is exceeded. `pages.py` then looks for the best page break before that line.
"""

import re
from bisect import bisect_right
from typing import NamedTuple

from slack_markdown.blocks import (
    BlockParser,
    LeafBlock,
    LeafKind,
    SourceLine,
    cell_count,
    definitions_end,
    parse_blocks,
    text_of,
)

MAX_BLOCKS = 45
"""Slack takes 50 blocks in a message; five are for the notice, footer and buttons below the text."""
BLOCK_CHARS = 12_500
"""Slack takes 13,200 characters in a message's blocks; the rest is for the notice, footer and buttons."""
HEADER_CHARS = 140
"""The characters that a `header` costs beside its text. 133 were measured."""
MAX_ROWS = 99
"""Slack takes 100 rows in a table; one is for the row that grows."""
MAX_COLUMNS = 20
CELL_CHARS = 9_000
"""Slack takes 10,000 characters in a message's tables; the rest is for the row that grows."""
HEADING_CHARS = 140
"""Slack takes 150 characters in a `header`."""


_WORD = re.compile(r"\w")


class FullAt(NamedTuple):
    """Where a page is full. Both are offsets."""

    line_start: int
    """The start of the first line that doesn't fit."""
    known_at: int
    """The length from which on the page is known to be full."""


class Extent:
    """Counts what the complete lines of one page take."""

    def __init__(self) -> None:
        self.full: FullAt | None = None
        """Where the page is full; None while all lines fit."""
        self._parser = BlockParser("")
        self._read_chars = 0
        self._heading_ends: list[int] = []
        self._blocks = 0
        """The blocks of Slack that the counted leaf blocks become."""
        self._ends_in_rich_text = False
        """Whether the last of these is a `rich_text`, which a further paragraph only makes longer."""
        self._counted_leaves = 0
        """How many leaf blocks are counted in `_blocks`: all whose kind can't change anymore."""
        self._thematic_breaks = 0
        self._last_leaf: LeafBlock | None = None
        """The leaf block of the last line, unless that is a paragraph."""
        self._is_wide_table = False
        """Whether that is a table which is sent as code, because it has too many columns."""
        self._tables = 0
        self._cell_chars = 0

    def read(self, shown: str) -> None:
        """Counts the complete lines of what the page shows. The text begins with what was read before."""
        self._parser.markdown = shown
        while self.full is None and (end := shown.find("\n", self._read_chars)) >= 0:
            line = SourceLine(self._read_chars, self._read_chars, end)
            self._read_chars = end + 1
            self._parser.parse_line(line)
            self._count(line)

    def header_chars(self, shown_chars: int) -> int:
        """Returns what the headings within the first `shown_chars` characters cost beside their text."""
        return HEADER_CHARS * bisect_right(self._heading_ends, shown_chars)

    def _count(self, line: SourceLine) -> None:
        blocks = self._parser.blocks
        if len(blocks.thematic_breaks) > self._thematic_breaks:
            self._thematic_breaks += 1
            self._count_leaves(len(blocks.leaf_blocks))
            self._blocks += 1
            self._ends_in_rich_text = False
            self._check_blocks(self._blocks, line)
            return
        self._count_leaves(len(blocks.leaf_blocks) - 1)
        if self._counted_leaves < len(blocks.leaf_blocks):
            self._count_last_leaf(blocks.leaf_blocks[-1], line)
        elif self._parser.containers and not self._ends_in_rich_text:
            # A list item without text is still shown.
            self._blocks += 1
            self._ends_in_rich_text = True
            self._check_blocks(self._blocks, line)

    def _count_leaves(self, leaf_count: int) -> None:
        for leaf in self._parser.blocks.leaf_blocks[self._counted_leaves : leaf_count]:
            self._blocks, self._ends_in_rich_text = self._blocks_with(leaf)
        self._counted_leaves = max(self._counted_leaves, leaf_count)

    def _blocks_with(self, leaf: LeafBlock) -> tuple[int, bool]:
        """Returns the number of blocks with one more leaf block, and whether the last one is a `rich_text`."""
        # Sources differ on whether code is a block of its own, so it is counted as one.
        if leaf.kind is LeafKind.PARAGRAPH:
            return self._blocks + (not self._ends_in_rich_text), True
        return self._blocks + 1, False

    def _count_last_leaf(self, leaf: LeafBlock, line: SourceLine) -> None:
        self._check_blocks(self._blocks_with(leaf)[0], leaf.lines[0])
        if leaf is not self._last_leaf:
            self._is_wide_table = leaf.kind is LeafKind.TABLE and is_wide(self._parser.markdown, leaf)
        if leaf.kind is LeafKind.TABLE and not self._is_wide_table:
            self._count_row(leaf, line)
        elif leaf.kind is LeafKind.HEADING and leaf is not self._last_leaf:
            self._heading_ends.append(self._read_chars)
        self._last_leaf = leaf if leaf.kind is not LeafKind.PARAGRAPH else None

    def _count_row(self, table: LeafBlock, line: SourceLine) -> None:
        if table is not self._last_leaf:
            self._tables += 1
            self._cell_chars += _cell_chars(self._parser.markdown, table.lines[0])
            # Slack refused a second table in 2025. Whether Slack takes two by now isn't known.
            if self._tables > 1:
                self._end_before(table.lines[0])
        elif table.lines[-1] is line:
            self._cell_chars += _cell_chars(self._parser.markdown, line)
            rows = len(table.lines) - 1
            # A table's header stays with its first row, however long that row is.
            if rows > MAX_ROWS or (self._cell_chars > CELL_CHARS and rows > 2):
                self._end_before(line)

    def _check_blocks(self, blocks: int, line: SourceLine) -> None:
        if blocks > MAX_BLOCKS:
            self._end_before(line)

    def _end_before(self, line: SourceLine) -> None:
        self.full = self.full or FullAt(line.start, self._read_chars)


def counted_chars(text: str) -> int:
    """Returns a text's length as Slack counts it in blocks, with `&`, `<` and `>` as entities."""
    return len(text) + 3 * text.count("<") + 3 * text.count(">") + 4 * text.count("&")


def _cell_chars(markdown: str, row: SourceLine) -> int:
    """Returns the most characters that the cells of a table's row can have, as Slack counts them."""
    return counted_chars(markdown[row.content : row.end])


def is_wide(markdown: str, table: LeafBlock) -> bool:
    """Whether a table has more columns than Slack takes."""
    return cell_count(markdown[table.lines[0].content : table.lines[0].end]) > MAX_COLUMNS


def has_paragraph(sent: str) -> bool:
    """Whether Slack makes a `rich_text` of some of the Markdown, which has a paragraph then.

    Headings, tables and thematic breaks become other blocks.
    """
    for leaf in parse_blocks(sent, last_line_incomplete=False).leaf_blocks:
        if leaf.kind is LeafKind.PARAGRAPH:
            text = text_of(sent, leaf.lines)
            if _WORD.search(text, definitions_end(text)):
                return True
    return False
