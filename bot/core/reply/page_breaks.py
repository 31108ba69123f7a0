"""How good a place to break each line of a Markdown text is, and what was open there."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from bot.core.reply.markdown.block_parser import BlockKind, Item, Leaf, Scan, SourceLine, margin


class Place(IntEnum):
    """Places to break, the better ones last."""

    LINE = 1
    ITEM = 2
    PARAGRAPH = 3
    HEADING = 4


@dataclass(frozen=True, slots=True)
class Opening:
    """What a page shows before its part of the text, so that it reads as what it is."""

    lines: str = ""
    """A fence, a table's header, the items of a list that the text is in."""
    mark: str = ""
    """Stands on the part's first line, for `instead_of`, with which the part begins."""
    instead_of: str = ""


NOTHING_OPEN = Opening()


class Outline:
    """Reads a text line by line; what it says is of the line that was read last."""

    def __init__(self, markdown: str) -> None:
        self._scan = Scan(markdown)
        self._line = SourceLine(0, 0, 0)
        self._above: Leaf | None = None
        """The last leaf that began before the line."""

    def lines(self) -> Iterator[SourceLine]:
        """The lines, each just read."""
        leaves = self._scan.found.leaves
        for line in self._scan.lines():
            self._above = leaves[-1] if leaves else None
            self._scan.read(line)
            self._line = line
            yield line

    def place(self) -> Place | None:
        """How good a place before the line is; None where nothing should be broken."""
        leaf, depth, containers = self._leaf(), self._scan.depth, self._scan.containers
        if (leaf is None and depth == len(containers)) or (leaf is not self._above and self._ends_above()):
            return None
        if depth < len(containers):
            if depth:
                return Place.LINE
            return Place.ITEM if containers[0] else Place.PARAGRAPH
        if leaf and leaf.lines[0] is self._line:
            if leaf.kind is BlockKind.HEADING:
                return Place.HEADING
            return Place.LINE if depth else Place.PARAGRAPH
        return None if leaf and _belongs_above(leaf) else Place.LINE

    def opening(self) -> Opening:
        """What opens a page that begins with the line."""
        leaf, depth, containers = self._leaf(), self._scan.depth, self._scan.containers
        lines = self._item_lines(depth)
        if leaf and leaf.lines[0] is not self._line:
            return Opening(lines + self._header(leaf))
        item = containers[depth] if depth < len(containers) else None
        if item is None or _counted(item) == item.marker:
            return Opening(lines)
        if before := self._item_before(depth):
            return Opening(lines + before)
        blank = self._scan.markdown[self._line.start : item.start]
        return Opening(lines, blank + _counted(item), blank + item.marker)

    def inside(self) -> Opening:
        """What opens a page that begins within the line."""
        leaf, containers = self._leaf(), self._scan.containers
        header = self._header(leaf) if leaf else ""
        if header or not containers:
            return Opening(self._item_lines(len(containers)) + header)
        last = len(containers) - 1
        before = self._item_before(last)
        mark = self._item_line(last).rstrip("\n") + " " if containers[last] else margin(containers)
        return Opening(self._item_lines(last) + before, mark)

    def _ends_above(self) -> bool:
        """A heading would end the page, or code that the line alone ends, as it is outside of the list around it."""
        return self._above is not None and (self._above.kind is BlockKind.HEADING or bool(self._above.closing))

    def _leaf(self) -> Leaf | None:
        """What the line is in."""
        leaves = self._scan.found.leaves
        return leaves[-1] if leaves and leaves[-1].lines[-1] is self._line else None

    def _header(self, leaf: Leaf) -> str:
        """The lines without which others of the leaf are something else."""
        size = {BlockKind.FENCE: 1, BlockKind.TABLE: 2}.get(leaf.kind, 0)
        around, text = margin(self._scan.containers), self._scan.markdown
        return "".join(f"{around}{text[line.content : line.end].rstrip()}\n" for line in leaf.lines[:size])

    def _item_lines(self, depth: int) -> str:
        """Begins the outermost items, with nothing in them."""
        return "".join(self._item_before(each) + self._item_line(each) for each in range(depth))

    def _item_line(self, depth: int) -> str:
        """Begins the item at a depth; "" for a quote, which needs no beginning."""
        item = self._scan.containers[depth]
        if item is None:
            return ""
        marker = item.marker if self._item_before(depth) else _counted(item)
        return margin(self._scan.containers[:depth]) + " " * item.indent + f"{marker}\n"

    def _item_before(self, depth: int) -> str:
        """The item before, empty: where a marker of another width would leave out what stands at its own column."""
        item = self._scan.containers[depth]
        if item is None or item.number is None or len(_counted(item)) == len(item.marker):
            return ""
        return margin(self._scan.containers[:depth]) + " " * item.indent + f"{item.number - 1}{item.marker[-1]}\n"


def _belongs_above(leaf: Leaf) -> bool:
    """Its last line: the first of a block of code, its end, a table's delimiters, its first row."""
    match leaf.kind:
        case BlockKind.FENCE:
            return len(leaf.lines) == 2 or not leaf.closing
        case BlockKind.TABLE:
            return len(leaf.lines) <= 3
    return False


def _counted(item: Item) -> str:
    """An item's marker with the number that readers see."""
    return item.marker if item.number is None else f"{item.number}{item.marker[-1]}"
