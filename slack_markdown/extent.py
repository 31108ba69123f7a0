"""Measures how much of a Slack message a page will use once Slack has translated its Markdown into blocks.

Slack's limits apply to the translation, not to the Markdown. A heading becomes a `header` block, `---` a `divider`, a
table a `table`, and each run of other blocks between them one `rich_text`. A message can have 50 blocks, one table, and
a limited number of characters. A `header` counts as more characters than it shows.

`Extent` counts the blocks that a page's complete lines become. It reads each line once, so the cost for a growing page
depends only on its new lines. Two properties keep page breaks stable while the text grows:

- Counts never decrease when text is added.
- A leaf block is counted once the next one begins, because until then, another line can change its type.

`Extent.full_at` is the position at which the first limit is exceeded. `pages.py` then looks for the best page break
before that line.
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
"""Slack accepts 50 blocks in a message. Five are reserved for the notice, footer and buttons below the text."""
BLOCK_CHARS = 12_500
"""Slack accepts 13,200 characters in a message's blocks. The rest is reserved for the notice, footer and buttons."""
HEADER_CHARS = 140
"""The characters that a `header` counts as, in addition to its text. The measured value is 133."""
MAX_ROWS = 99
"""Slack accepts 100 rows in a table. One is reserved for the row that grows."""
MAX_COLUMNS = 20
CELL_CHARS = 9_000
"""Slack accepts 10,000 characters in a message's tables. The rest is reserved for the row that grows."""
HEADING_CHARS = 140
"""Slack accepts 150 characters in a `header`."""


_WORD = re.compile(r"\w")


class FullAt(NamedTuple):
    """Two offsets that describe where a page is full."""

    line_start: int
    known_at: int
    """The length that the page's text needs before it is certain that the page is full."""


class Extent:
    """Counts the blocks, characters and table rows of a page's complete lines."""

    def __init__(self) -> None:
        self.full_at: FullAt | None = None
        """The position at which the page is full, or None while all lines fit."""
        self._parser = BlockParser("")
        self._read_chars = 0
        self._heading_ends: list[int] = []
        self._blocks = 0
        self._ends_in_rich_text = False
        """Whether the last Slack block is a `rich_text`, which another paragraph would become part of."""
        self._counted_leaves = 0
        """The number of leaf blocks that `_blocks` already includes because their type is final."""
        self._thematic_breaks = 0
        self._last_leaf: LeafBlock | None = None
        """The last line's leaf block, unless it is a paragraph."""
        self._is_wide_table = False
        """Whether the last leaf block is a table that is sent as code because it has too many columns."""
        self._tables = 0
        self._cell_chars = 0

    def read(self, shown: str) -> None:
        """Counts the lines that have become complete. The displayed text must begin with the text of the previous
        call."""
        self._parser.markdown = shown
        while self.full_at is None and (end := shown.find("\n", self._read_chars)) >= 0:
            line = SourceLine(self._read_chars, self._read_chars, end)
            self._read_chars = end + 1
            self._parser.parse_line(line)
            self._count_line(line)

    def header_chars(self, shown_chars: int) -> int:
        """Returns the extra characters for headings within the first `shown_chars` characters."""
        return HEADER_CHARS * bisect_right(self._heading_ends, shown_chars)

    def _count_line(self, line: SourceLine) -> None:
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
            # An empty list item is shown, too.
            self._blocks += 1
            self._ends_in_rich_text = True
            self._check_blocks(self._blocks, line)

    def _count_leaves(self, leaf_count: int) -> None:
        for leaf in self._parser.blocks.leaf_blocks[self._counted_leaves : leaf_count]:
            self._blocks, self._ends_in_rich_text = self._blocks_with(leaf)
        self._counted_leaves = max(self._counted_leaves, leaf_count)

    def _blocks_with(self, leaf: LeafBlock) -> tuple[int, bool]:
        """Returns the number of blocks including one more leaf block, and whether the last is a `rich_text`."""
        # Sources disagree on whether code is a separate block, so it is counted as one.
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
            # Slack rejected a second table in 2025. Whether it accepts one now isn't known.
            if self._tables > 1:
                self._set_full_before(table.lines[0])
        elif table.lines[-1] is line:
            self._cell_chars += _cell_chars(self._parser.markdown, line)
            rows = len(table.lines) - 1
            # A table's header stays with its first row, regardless of the row's length.
            if rows > MAX_ROWS or (self._cell_chars > CELL_CHARS and rows > 2):
                self._set_full_before(line)

    def _check_blocks(self, blocks: int, line: SourceLine) -> None:
        if blocks > MAX_BLOCKS:
            self._set_full_before(line)

    def _set_full_before(self, line: SourceLine) -> None:
        self.full_at = self.full_at or FullAt(line.start, self._read_chars)


def counted_chars(text: str) -> int:
    """Returns a text's length as Slack counts it in blocks, where `&`, `<` and `>` count as entities."""
    return len(text) + 3 * text.count("<") + 3 * text.count(">") + 4 * text.count("&")


def _cell_chars(markdown: str, row: SourceLine) -> int:
    """Returns an upper bound on the number of characters in a row's cells, as Slack counts them."""
    return counted_chars(markdown[row.content : row.end])


def is_wide(markdown: str, table: LeafBlock) -> bool:
    return cell_count(markdown[table.lines[0].content : table.lines[0].end]) > MAX_COLUMNS


def has_paragraph(sent: str) -> bool:
    """Returns whether Slack will convert any part of the Markdown, such as a paragraph with words, into a
    `rich_text`."""
    for leaf in parse_blocks(sent, last_line_incomplete=False).leaf_blocks:
        if leaf.kind is LeafKind.PARAGRAPH:
            text = text_of(sent, leaf.lines)
            if _WORD.search(text, definitions_end(text)):
                return True
    return False
