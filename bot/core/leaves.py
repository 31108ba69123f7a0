"""Where a page's Markdown has text, tables and code: CommonMark's blocks, line by line, as far as showing them asks.

https://spec.commonmark.org/0.31.2/ and, for tables, https://github.github.com/gfm/.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto

_QUOTE = re.compile(r" {0,3}> ?")
_ITEM = re.compile(r"( {0,3}(?:[-+*]|(\d{1,9})[.)]))(?:([ \t]+)|$)")
_CONTAINER = re.compile(r" {0,3}[>\-+*0-9]")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]+|$)")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
_DELIMITERS = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_INDENT = re.compile(r"[ \t]*")
_DEFINING = re.compile(r"[ \t]*\[[^\[\]]*\]:")
_CELL_END = re.compile(r"(?<!\\)\|")
_UNSURE = re.compile(r"[ \t]*(?:#{1,6}|[-+*_=~`][-+*_=~` \t]*|`{3,}[^`]*|~{3,}.*|\d{1,9}[.)]?|[|:-][|: \t-]*)?[ \t]*$")
"""A line that has only begun and may still become several things: a heading, a list, a rule, a fence, a table."""

CODE_COLUMNS = 4
QUOTE = -1


class Kind(Enum):
    TEXT = auto()
    HEADING = auto()
    TABLE = auto()
    CODE = auto()
    FENCE = auto()


@dataclass(slots=True)
class Line:
    """Offsets in the page: where the line begins, where its content does, where it ends."""

    start: int
    content: int
    end: int


@dataclass(slots=True)
class Leaf:
    """A block that holds text or code, not blocks."""

    kind: Kind
    lines: list[Line]
    fence: str = ""
    closing: str = ""
    """For a fence: the line that would close it where it stands."""


@dataclass(slots=True)
class Leaves:
    """What a scan found."""

    leaves: list[Leaf] = field(default_factory=list)
    open: Leaf | None = None
    """The leaf that the next line could go on with."""
    unsure: int | None = None
    """Where the last line begins, if nobody can say yet what it will be."""


def scan(markdown: str, *, partial: bool, fence: str = "") -> Leaves:
    """`partial`: the last line may go on; `fence`: one that is open before the first."""
    scanning = _Scan(markdown, partial)
    if fence:
        scanning.found.open = Leaf(Kind.FENCE, [Line(0, 0, 0)], fence, closing=fence)
        scanning.found.leaves.append(scanning.found.open)
    return scanning.run()


def unsure(line: str) -> bool:
    """The line's content, if no more came yet, may become several things."""
    return bool(_UNSURE.match(line))


class _Scan:
    def __init__(self, markdown: str, partial: bool) -> None:
        self.markdown = markdown
        self.partial = partial
        self.found = Leaves()
        self.containers: list[int] = []
        """Quotes, and list items by the columns their content is indented by."""

    def run(self) -> Leaves:
        start, size = 0, len(self.markdown)
        while start < size:
            end = self.markdown.find("\n", start)
            last = end < 0
            end = size if last else end
            leaf = self.found.open
            if leaf and leaf.kind is Kind.FENCE and not self.containers:
                end = self._skipped(leaf, start, end)
                last = end == size
                start = self.markdown.rfind("\n", 0, end) + 1
            if start == end and not (leaf and leaf.kind in (Kind.CODE, Kind.FENCE)):
                self.found.open = None
            elif self._plain(start, end, last):
                self._text(Line(start, start, end))
            else:
                self._line(start, end, last and self.partial)
            start = end + 1
        return self.found

    def _skipped(self, leaf: Leaf, start: int, end: int) -> int:
        """The end of the first line that may close an open fence, or of the last one: those between are code."""
        mark = self.markdown.find(leaf.fence, start)
        found = self.markdown.find("\n", mark) if mark >= 0 else -1
        return len(self.markdown) if found < 0 else found

    def _plain(self, start: int, end: int, last: bool) -> bool:
        """Most lines of prose: no container, and a letter first."""
        leaf = self.found.open
        return (
            not self.containers
            and (leaf is None or leaf.kind is Kind.TEXT)
            and not last
            and end > start
            and self.markdown[start].isalpha()
        )

    def _line(self, start: int, end: int, partial: bool) -> None:
        depth, content = self._continued(start, end)
        leaf = self.found.open
        inside = depth == len(self.containers)
        if leaf and leaf.kind is Kind.FENCE and inside:
            self._code(leaf, Line(start, content, end), partial)
            return
        opened, content = self._opened(depth, content, end)
        if partial and _UNSURE.match(self.markdown, content, end):
            self.found.unsure = start
            return
        line = Line(start, content, end)
        lazy = not inside and not opened and self._in_text() and not self._defines()
        if lazy and not self._blank(line) and not self._starts_block(line):
            self._text(line)
            return
        if opened or not inside:
            self.containers[depth : len(self.containers) - len(opened)] = []
            self.found.open = None
        self._leaf(line)

    def _continued(self, start: int, end: int) -> tuple[int, int]:
        """How many of the open containers the line goes on with, and where its content begins."""
        for depth, columns in enumerate(self.containers):
            if columns == QUOTE:
                quote = _QUOTE.match(self.markdown, start, end)
                if quote is None:
                    return depth, start
                start = quote.end()
            else:
                indent = _INDENT.match(self.markdown, start, end)
                assert indent
                if indent.end() < end:
                    if _columns(indent[0]) < columns:
                        return depth, start
                    start += _characters(indent[0], columns)
        return len(self.containers), start

    def _opened(self, depth: int, start: int, end: int) -> tuple[list[int], int]:
        """The containers that begin on the line; they are open from here on."""
        opened: list[int] = []
        while _CONTAINER.match(self.markdown, start, end):
            if quote := _QUOTE.match(self.markdown, start, end):
                opened.append(QUOTE)
                start = quote.end()
                continue
            item = _ITEM.match(self.markdown, start, end)
            interrupts = not opened and depth == len(self.containers) and self._in_text()
            if not item or _RULE.match(self.markdown, start, end) or (interrupts and not _may_interrupt(item, end)):
                break
            space = item[3] or ""
            if item.end() == end or _columns(space) > CODE_COLUMNS:
                space = space[:1]
            opened.append(len(item[1]) + max(1, _columns(space) if space != "\t" else 1))
            start = min(item.end(1) + max(1, len(space)), end)
        self.containers += opened
        return opened, start

    def _in_text(self) -> bool:
        return self.found.open is not None and self.found.open.kind is Kind.TEXT

    def _defines(self) -> bool:
        """What is open is definitions alone so far, which no line goes on with unasked."""
        leaf = self.found.open
        return leaf is not None and all(_DEFINING.match(self.markdown, line.content, line.end) for line in leaf.lines)

    def _blank(self, line: Line) -> bool:
        return not self.markdown[line.content : line.end].strip()

    def _starts_block(self, line: Line) -> bool:
        """What ends a paragraph, containers apart."""
        at = (self.markdown, line.content, line.end)
        return bool(_FENCE.match(*at) or _HEADING.match(*at) or _RULE.match(*at))

    def _leaf(self, line: Line) -> None:
        leaf, at = self.found.open, (self.markdown, line.content, line.end)
        indented = self._indented(line)
        if self._blank(line):
            self.found.open = leaf if leaf and leaf.kind is Kind.CODE else None
        elif self.markdown[line.content].isalpha():
            self._text(line)
        elif indented and (leaf is None or leaf.kind is not Kind.TEXT):
            self._add(Kind.CODE, line)
        elif indented:
            self._text(line)
        elif fence := _FENCE.match(*at):
            self._add(Kind.FENCE, line)
            self.found.leaves[-1].fence = fence[1]
            self.found.leaves[-1].closing = self._margin() + fence[1]
        elif _HEADING.match(*at):
            self._add(Kind.HEADING, line)
            self.found.open = None
        elif leaf and leaf.kind is Kind.TEXT and _UNDERLINE.match(*at):
            leaf.kind, self.found.open = Kind.HEADING, None
        elif _RULE.match(*at):
            self.found.open = None
        else:
            self._text(line)

    def _indented(self, line: Line) -> bool:
        if not self.markdown.startswith((" ", "\t"), line.content):
            return False
        indent = _INDENT.match(self.markdown, line.content, line.end)
        return bool(indent and _columns(indent[0]) >= CODE_COLUMNS)

    def _text(self, line: Line) -> None:
        leaf = self.found.open
        if leaf is None or leaf.kind is Kind.CODE:
            self._add(Kind.TEXT, line)
        elif leaf.kind is Kind.TEXT and self._delimits(leaf.lines[-1], line):
            header = leaf.lines.pop()
            if not leaf.lines:
                self.found.leaves.pop()
            self._add(Kind.TABLE, header)
            self.found.leaves[-1].lines.append(line)
        else:
            leaf.lines.append(line)

    def _delimits(self, header: Line, line: Line) -> bool:
        """The line makes the one before it the header of a table."""
        row = self.markdown[line.content : line.end]
        first = self.markdown[header.content : header.end]
        return (
            "|" in first
            and ("|" in row or ":" in row)
            and bool(_DELIMITERS.match(row))
            and _cells(first) == _cells(row)
        )

    def _code(self, leaf: Leaf, line: Line, partial: bool) -> None:
        """A line of an open fence, or the one that closes it."""
        words = self.markdown[line.content : line.end]
        mark = words.strip()
        closes = bool(mark) and not mark.strip(leaf.fence[0]) and not self._indented(line)
        if closes and len(mark) >= len(leaf.fence):
            leaf.lines.append(line)
            leaf.closing = ""
            self.found.open = None
        elif closes and partial:
            self.found.unsure = line.start
        else:
            leaf.lines.append(line)

    def _add(self, kind: Kind, line: Line) -> None:
        if kind is Kind.CODE and self.found.open and self.found.open.kind is Kind.CODE:
            self.found.open.lines.append(line)
            return
        self.found.open = Leaf(kind, [line])
        self.found.leaves.append(self.found.open)

    def _margin(self) -> str:
        return "".join("> " if columns == QUOTE else " " * columns for columns in self.containers)


def _may_interrupt(item: re.Match[str], end: int) -> bool:
    """A paragraph goes on unless the item has words, and a numbered one begins at 1."""
    return item.end() < end and item[2] in (None, "1")


def _columns(indent: str) -> int:
    return len(indent.expandtabs(4))


def _characters(indent: str, columns: int) -> int:
    """How many characters of an indent make so many columns."""
    return next((size for size in range(len(indent) + 1) if _columns(indent[:size]) >= columns), len(indent))


def _cells(row: str) -> int:
    inner = row.strip().removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    return len(_CELL_END.findall(inner)) + 1
