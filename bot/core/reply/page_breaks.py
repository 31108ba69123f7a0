"""Page breaks: how good each line of a Markdown source is to begin a page with, and what that page must repeat.

A page is a message of its own, and Slack reads each message alone. So a page that begins in the middle of a block
repeats the lines without which the rest is another block:

- the line that opens fenced code, with its info string,
- a table's header and delimiter row,
- the list items that the text is in, as empty items with their numbers.

An item's number is repeated as readers see it. Many models write `1.` before every item, so the number is counted by
the parser (`ListItem.number`) and may differ from the written one.

No page should break between lines that belong together: a heading and what follows it, the first lines of code, a
table's header and first row. `Outline.quality` returns None there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from bot.core.reply.markdown.block_parser import (
    BlockParser,
    Container,
    LeafBlock,
    LeafKind,
    ListItem,
    SourceLine,
    line_prefix,
)


class BreakQuality(IntEnum):
    """What a page would begin with; better page breaks have higher values."""

    LINE = 1
    ITEM = 2
    PARAGRAPH = 3
    HEADING = 4


@dataclass(frozen=True, slots=True)
class Opening:
    """What a page shows before its own part of the text, to continue the blocks that are open there."""

    lines: str = ""
    """Whole lines: a fence, a table's header, empty list items."""
    marker: str = ""
    """A marker on the part's first line, such as a list item's with the number that readers see."""
    replaced: str = ""
    """The beginning of the part that `marker` replaces."""

    @property
    def text(self) -> str:
        """Everything that the page shows before its part."""
        return self.lines + self.marker


NO_OPENING = Opening()


class Outline:
    """Reads a source line by line. Its other methods are about a page break at the line that was read last."""

    def __init__(self, markdown: str) -> None:
        self._parser = BlockParser(markdown)
        self._line = SourceLine(0, 0, 0)
        self._leaf_above: LeafBlock | None = None
        """The last leaf block that began before the line."""

    def lines(self) -> Iterator[SourceLine]:
        """Reads and yields each line."""
        leaf_blocks = self._parser.blocks.leaf_blocks
        for line in self._parser.lines():
            self._leaf_above = leaf_blocks[-1] if leaf_blocks else None
            self._parser.parse_line(line)
            self._line = line
            yield line

    def quality(self) -> BreakQuality | None:
        """Returns how good a page break before the line is, or None if the line belongs to the one above it."""
        leaf, containers, depth = self._leaf(), self._parser.containers, self._parser.continued_depth
        if (leaf is None and depth == len(containers)) or (leaf is not self._leaf_above and self._is_tied_above()):
            return None
        if depth < len(containers):
            if depth:
                return BreakQuality.LINE
            return BreakQuality.ITEM if containers[0] else BreakQuality.PARAGRAPH
        if leaf and leaf.lines[0] is self._line:
            if leaf.kind is LeafKind.HEADING:
                return BreakQuality.HEADING
            return BreakQuality.LINE if depth else BreakQuality.PARAGRAPH
        return None if leaf and _last_line_is_tied(leaf) else BreakQuality.LINE

    def opening(self) -> Opening:
        """Returns the opening of a page that begins with the line."""
        leaf, containers, depth = self._leaf(), self._parser.containers, self._parser.continued_depth
        lines = self._empty_items(depth)
        if leaf and leaf.lines[0] is not self._line:
            return Opening(lines + self._header(leaf))
        item = containers[depth] if depth < len(containers) else None
        if item is None or _numbered_marker(item) == item.marker:
            return Opening(lines)
        if previous := self._previous_item(depth):
            return Opening(lines + previous)
        space = self._parser.markdown[self._line.start : item.start]
        return Opening(lines, space + _numbered_marker(item), space + item.marker)

    def opening_within_line(self) -> Opening:
        """Returns the opening of a page that begins in the middle of the line."""
        leaf, containers = self._leaf(), self._parser.containers
        header = self._header(leaf) if leaf else ""
        if header or not containers:
            return Opening(self._empty_items(len(containers)) + header)
        last = len(containers) - 1
        previous = self._previous_item(last)
        marker = self._empty_item(last).rstrip("\n") + " " if containers[last] else line_prefix(containers)
        return Opening(self._empty_items(last) + previous, marker)

    def _is_tied_above(self) -> bool:
        """Whether a break here would leave a heading at the end of a page, or code that only this line closes.

        A line outside of its list item closes fenced code without a fence.
        """
        above = self._leaf_above
        return above is not None and (above.kind is LeafKind.HEADING or bool(above.closing))

    def _leaf(self) -> LeafBlock | None:
        """Returns the leaf block that the line is in."""
        leaf_blocks = self._parser.blocks.leaf_blocks
        return leaf_blocks[-1] if leaf_blocks and leaf_blocks[-1].lines[-1] is self._line else None

    def _header(self, leaf: LeafBlock) -> str:
        """Returns the lines without which the rest of the leaf block is another block."""
        count = {LeafKind.FENCED_CODE: 1, LeafKind.TABLE: 2}.get(leaf.kind, 0)
        prefix, markdown = line_prefix(self._parser.containers), self._parser.markdown
        return "".join(f"{prefix}{markdown[line.content : line.end].rstrip()}\n" for line in leaf.lines[:count])

    def _empty_items(self, depth: int) -> str:
        """Returns the lines that open the outermost containers, as many as `depth`, with nothing in them."""
        return "".join(self._previous_item(at) + self._empty_item(at) for at in range(depth))

    def _empty_item(self, depth: int) -> str:
        """Returns the line that opens the list item at a depth; "" for a quote, which needs none."""
        item = self._parser.containers[depth]
        if item is None:
            return ""
        marker = item.marker if self._previous_item(depth) else _numbered_marker(item)
        return self._margin(depth, item) + f"{marker}\n"

    def _previous_item(self, depth: int) -> str:
        """Returns the item before the one at a depth, empty, where the counted number is wider than the written one.

        With a wider marker, the item's further lines wouldn't be indented enough. So the item keeps its written marker,
        and the item before it sets the number that readers see.
        """
        item = self._parser.containers[depth]
        if item is None or item.number is None or len(_numbered_marker(item)) == len(item.marker):
            return ""
        return self._margin(depth, item) + f"{item.number - 1}{item.marker[-1]}\n"

    def _margin(self, depth: int, item: ListItem) -> str:
        """Returns what stands before the marker of the item at a depth."""
        outer: list[Container] = self._parser.containers[:depth]
        return line_prefix(outer) + " " * item.indent


def _last_line_is_tied(leaf: LeafBlock) -> bool:
    """Whether a leaf block's last line belongs to the line above it.

    It does if it is the first line of code, the closing fence, a table's delimiter row or first row.
    """
    match leaf.kind:
        case LeafKind.FENCED_CODE:
            return len(leaf.lines) == 2 or not leaf.closing
        case LeafKind.TABLE:
            return len(leaf.lines) <= 3
    return False


def _numbered_marker(item: ListItem) -> str:
    """Returns an item's marker with the number that readers see."""
    return item.marker if item.number is None else f"{item.number}{item.marker[-1]}"
