"""What is open at a line of a Markdown text, and how good a place to break the line's beginning is.

It knows fences, tables, lists and headings as CommonMark and GFM have them. It is no parser: a fence ends where its
marks say so, even where the list around it was left, and quotes are lines.
"""

import re
from dataclasses import dataclass
from enum import IntEnum

_FENCE = re.compile(r"[ \t]*(?P<marks>`{3,}|~{3,})(?P<info>.*)")
_ITEM = re.compile(r"[ \t]*(?P<marker>[-*+]|(?P<number>\d{1,9})[.)])(?P<space>[ \t]+|$)")
_RULE = re.compile(r"[ \t]*([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_HEADING = re.compile(r"[ \t]*#{1,6}(?:[ \t]|$)")
_DELIMITER = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")


class Kind(IntEnum):
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


@dataclass(frozen=True, slots=True)
class Fence:
    """A block of code."""

    indent: int
    marks: str
    info: str
    column: int = 0
    """Where the text of the item around it begins: four more than that, and marks are code."""

    @property
    def line(self) -> str:
        return " " * self.indent + self.marks + self.info

    def has_marks(self, line: str) -> bool:
        """Whether the line is marks that end such a block, wherever they stand."""
        marks = line.strip()
        return len(marks) >= len(self.marks) and not marks.strip(self.marks[0])

    def closed_by(self, line: str) -> bool:
        """Whether the line is the end of the block."""
        return self.has_marks(line) and _indent(line) < self.column + 4


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a list."""

    indent: int
    content: int
    """The column at which its text begins."""
    written: str
    """Its marker in the source."""
    number: int | None = None
    """As readers see it, whatever the source says."""

    @property
    def sign(self) -> str:
        """The bullet, or what follows the number."""
        return self.written[-1]

    @property
    def marker(self) -> str:
        """As readers see it."""
        return self.sign if self.number is None else f"{self.number}{self.sign}"

    @property
    def before(self) -> str:
        """The item before, empty: where a marker of another width would leave out what stands at its own column."""
        same = self.number is None or len(self.marker) == len(self.written)
        return "" if same or self.number is None else " " * self.indent + f"{self.number - 1}{self.sign}\n"

    @property
    def line(self) -> str:
        """Begins it, with nothing in it."""
        marker = self.written if self.before else self.marker
        return self.before + " " * self.indent + marker + "\n"


class Outline:
    """Reads a text line by line, and knows what is open."""

    def __init__(self) -> None:
        self.fence: Fence | None = None
        self._table = ""
        self._items: list[Item] = []
        self._before = ""
        """The line before, "" where it was blank."""
        self._heading_before = False
        self._fence_before = False

    def kind(self, line: str) -> Kind | None:
        """How good a place before `line` is; None where nothing should be broken."""
        if not line.strip() or self._heading_before:
            return None
        if self.fence:
            # Neither an empty block before the break nor one after it.
            return None if self.fence.closed_by(line) or self._fence_before else Kind.LINE
        if self._table and not _begins_block(line):
            return None if self._table.endswith(f"{self._before}\n") else Kind.LINE
        if _DELIMITER.match(line) and "|" in self._before:
            return None
        if _HEADING.match(line):
            return Kind.HEADING
        if _ITEM.match(line) and not _RULE.match(line):
            return Kind.ITEM if _indent(line) < 2 else Kind.LINE
        if _indent(line) < 2 and (not self._before or _FENCE.match(line)):
            return Kind.PARAGRAPH
        return Kind.LINE

    def read(self, line: str) -> None:
        """Goes on to the end of `line`."""
        self._heading_before = not self.fence and (bool(_HEADING.match(line)) or (self._heading_before and not line))
        was_open = self.fence is not None
        if self.fence:
            if self.fence.closed_by(line):
                self.fence = None
        elif not line.strip():
            self._table = ""
        elif not (self._table and not _begins_block(line)):
            self._read_block(line)
        self._before = line.rstrip()
        self._fence_before = not was_open and self.fence is not None

    def opening(self, line: str) -> Opening:
        """What opens a page that begins with `line`, which was not read yet."""
        if self.fence or (self._table and line.strip() and not _begins_block(line)):
            return Opening(self._reopened())
        items, item = self._around(line)
        found = _ITEM.match(line)
        if not item or item.number is None or not found or found["marker"] == item.marker:
            return Opening(_lines(items))
        if item.before:
            return Opening(_lines(items) + item.before)
        blank = line[: found.start("marker")]
        return Opening(_lines(items), blank + item.marker, blank + found["marker"])

    def inside(self) -> Opening:
        """What opens a page that begins within the line that was read last."""
        if self.fence or self._table:
            return Opening(self._reopened())
        if not self._items:
            return NOTHING_OPEN
        last = self._items[-1]
        return Opening(_lines(self._items[:-1]) + last.before, last.line[len(last.before) : -1] + " ")

    def _reopened(self) -> str:
        lines = f"{self.fence.line}\n" if self.fence else self._table
        indent = _indent(lines)
        return _lines([item for item in self._items if item.content <= indent]) + lines

    def _around(self, line: str) -> tuple[list[Item], Item | None]:
        """The items that the line is in, and the one that it begins."""
        if not line.strip() or (self._before and not _begins_block(line)):
            return self._items, None
        indent, items, sibling = _indent(line), list(self._items), None
        while items and indent < items[-1].content:
            sibling = items.pop()
        return items, _item(line, sibling)

    def _read_block(self, line: str) -> None:
        self._table = ""
        if _DELIMITER.match(line) and "|" in line and "|" in self._before and not _ITEM.match(self._before):
            self._table = f"{self._before}\n{line.rstrip()}\n"
            return
        items, item = self._around(line)
        while item:
            items = [*items, item]
            rest = " " * item.content + line.expandtabs(4)[item.content :]
            item = _item(rest, None)
            line = rest
        self._items = items
        self.fence = fence_of(line, items[-1].content if items else 0)


def fence_of(line: str, column: int) -> Fence | None:
    """The block of code that the line begins, in an item whose text begins at this column."""
    found = _FENCE.match(line)
    if not found or (found["marks"][0] == "`" and "`" in found["info"]) or _indent(line) >= column + 4:
        return None
    return Fence(_indent(line), found["marks"], found["info"].rstrip(), column)


def _item(line: str, sibling: Item | None) -> Item | None:
    found = _ITEM.match(line)
    if not found or _RULE.match(line):
        return None
    indent, marker, number = _indent(line), found["marker"], found["number"]
    spaces = len(found["space"].expandtabs(4))
    content = indent + len(marker) + (spaces if 1 <= spaces <= 4 else 1)
    if number is None:
        return Item(indent, content, marker)
    counted = sibling.number if sibling and sibling.sign == marker[-1] else None
    return Item(indent, content, marker, int(number) if counted is None else counted + 1)


def _begins_block(line: str) -> bool:
    return bool(fence_of(line, _indent(line)) or _HEADING.match(line) or _ITEM.match(line) or _RULE.match(line))


def _indent(line: str) -> int:
    line = line.expandtabs(4) if "\t" in line else line
    return len(line) - len(line.lstrip(" "))


def _lines(items: list[Item]) -> str:
    return "".join(item.line for item in items)
