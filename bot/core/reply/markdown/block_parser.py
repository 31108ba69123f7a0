"""Where Markdown has text, tables and code, and in which lists and quotes: CommonMark's blocks, line by line.

https://spec.commonmark.org/0.31.2/ and, for tables, https://github.github.com/gfm/.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

_QUOTE = re.compile(r" {0,3}>[ \t]?")
_ITEM = re.compile(r" {0,3}(?P<marker>[-+*]|(?P<number>\d{1,9})[.)])(?:(?P<space>[ \t]+)|\s*$)")
_CONTAINER = re.compile(r" {0,3}[>\-+*0-9]")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}(?:\s|$)")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}\s*$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)\s*$")
_DELIMITERS = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?\s*$")
_INDENT = re.compile(r"[ \t]*")
_DEFINITION = re.compile(
    r"[ \t]*\[(?!\s*\])(?:[^\[\]\\]|\\.){1,999}\]:[ \t]*\n?[ \t]*"
    r"(?:<(?:[^<>\\\n]|\\.)*>|(?![<\s])(?:[^\x00-\x20\x7f()\\]|\\[^\s]|\([^\x00-\x20\x7f()\\]*\))+)"
    r"""(?:(?:[ \t]+\n?|\n)[ \t]*(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\((?:[^()\\]|\\.)*\)))?[ \t]*(?:\n|$)""",
    re.DOTALL,
)
DEFINING = re.compile(r"[ \t]*\[(?!\s*\])[^\[\]]*\]:")
"""A line that may say what a reference label stands for."""
_LINKING = re.compile(r"\][(\[]")
_CELL_END = re.compile(r"(?<!\\)\|")
_UNSURE = re.compile(r"[ \t]*+(?:#{1,6}|[-+*_=~`][-+*_=~` \t]*|`{3,}[^`]*|~{3,}.*|\d{1,9}[.)]?|[|:-][|: \t-]*)?[ \t]*$")
"""A line that has only begun and may still become several things: a heading, a list, a rule, a fence, a table."""

CODE_COLUMNS = 4
DEEPEST = 30
"""Lists and quotes in one another, more than anybody reads; deeper ones are taken for text."""
DEFINED_LINES = 20
"""More definitions than that in one paragraph are taken for text."""


class BlockKind(Enum):
    TEXT = auto()
    HEADING = auto()
    TABLE = auto()
    CODE = auto()
    FENCE = auto()


@dataclass(slots=True)
class SourceLine:
    """Offsets in the text: where the line begins, where its content does, where it ends. Code may have many as one."""

    start: int
    content: int
    end: int


class Item(NamedTuple):
    """An item of a list that is open."""

    start: int
    """Where its marker is in the text."""
    indent: int
    """So far is the marker from the margin of what the list is in, in columns."""
    columns: int
    """So far is the content from there."""
    marker: str
    """As it is written."""
    number: int | None
    """As readers see it, whatever is written."""


@dataclass(slots=True)
class Leaf:
    """A block that holds text or code, not blocks."""

    kind: BlockKind
    lines: list[SourceLine]
    fence: str = ""
    closing: str = ""
    """For a fence: the line that would close it where it stands."""


@dataclass(slots=True)
class Leaves:
    """What a scan found."""

    leaves: list[Leaf] = field(default_factory=list)
    rules: list[int] = field(default_factory=list)
    """Where the lines begin that are thematic breaks (`---`)."""
    open: Leaf | None = None
    """The leaf that the next line could go on with."""
    unsure: int | None = None
    """Where the last line begins, if nobody can say yet what it will be."""


def scan(markdown: str, *, partial: bool, fence: str = "") -> Leaves:
    """`partial`: the last line may go on; `fence`: one that is open before the first."""
    scanning = Scan(markdown)
    if fence:
        scanning.found.open = Leaf(BlockKind.FENCE, [SourceLine(0, 0, 0)], fence, closing=fence)
        scanning.found.leaves.append(scanning.found.open)
    size = len(markdown)
    for line in scanning.lines(skipping=True):
        scanning.read(line, partial=partial and line.end == size)
    return scanning.found


def code(markdown: str, fenced: Leaf) -> str:
    """What a fence holds, without the line that begins it and the one that ends it."""
    lines = fenced.lines[1:] if fenced.closing else fenced.lines[1:-1]
    return "\n".join([markdown[line.content : line.end] for line in lines])


def definitions_end(paragraph: str) -> int:
    """Where the text of a paragraph begins: after what its first lines say that labels stand for.

    What holds a link may be read as text all the same, as a footnote is.
    """
    at = 0
    while (found := _DEFINITION.match(paragraph, at)) and not _LINKING.search(found[0]):
        at = found.end()
    return at


def unsure(line: str) -> bool:
    """The line's content, if no more came yet, may become several things."""
    return bool(_UNSURE.match(line))


class Scan:
    """Reads a text line by line, and knows what is open."""

    def __init__(self, markdown: str) -> None:
        self.markdown = markdown
        self.found = Leaves()
        self.containers: list[Item | None] = []
        """What the line that was read last is in: items, and None for a quote."""
        self.depth = 0
        """So many of them were open before that line."""

    def lines(self, *, skipping: bool = False) -> Iterator[SourceLine]:
        """The lines, each to be read before the next; `skipping`: code at the margin comes as one."""
        start, size = 0, len(self.markdown)
        while start < size:
            end = self.markdown.find("\n", start)
            end = size if end < 0 else end
            if skipping and not self.containers and self._in(BlockKind.FENCE):
                end = max(end, self._code_end(start))
            yield SourceLine(start, start, end)
            start = end + 1

    def read(self, line: SourceLine, *, partial: bool = False) -> None:
        """Goes on to the end of the line; `partial`: it may go on."""
        leaf, self.depth = self.found.open, len(self.containers)
        if line.start == line.end and not (leaf and leaf.kind in (BlockKind.CODE, BlockKind.FENCE)):
            self.found.open = None
        elif partial or self.containers or (leaf and leaf.kind is not BlockKind.TEXT):
            self._line(line, partial)
        elif self.markdown[line.start].isalpha():
            # Most lines of prose.
            self._text(line)
        else:
            self._line(line, partial)

    def _code_end(self, start: int) -> int:
        """Where the line ends before the first that may close the open fence, or before the last one; else -1."""
        mark = self.markdown.find(self.found.leaves[-1].fence, start)
        return self.markdown.rfind("\n", start, mark if mark >= 0 else len(self.markdown))

    def _line(self, line: SourceLine, partial: bool) -> None:
        around = len(self.containers)
        self.depth = self._continued(line)
        if self.depth == around and self._in(BlockKind.FENCE):
            self._code(line, partial)
            return
        opened = self._opened(line)
        if partial and _UNSURE.match(self.markdown, line.content, line.end):
            self.found.unsure = line.start
            return
        lazy = self.depth < around and not opened and self._in(BlockKind.TEXT) and not self._defines()
        if lazy and self.found.open and not self._blank(line) and not self._starts_block(line):
            self.depth = around
            # It goes on with the paragraph, and makes no table of it.
            self.found.open.lines.append(line)
            return
        if opened or self.depth < around:
            self.containers[self.depth :] = opened
            self.found.open = None
        self._leaf(line)

    def _continued(self, line: SourceLine) -> int:
        """How many of the open containers the line goes on with; its content begins after these."""
        for depth, item in enumerate(self.containers):
            if item is None:
                quote = _QUOTE.match(self.markdown, line.content, line.end)
                if quote is None:
                    return depth
                line.content = quote.end()
            else:
                indent = _INDENT.match(self.markdown, line.content, line.end)
                assert indent
                if indent.end() < line.end:
                    if _columns(indent[0]) < item.columns:
                        return depth
                    line.content += _characters(indent[0], item.columns)
        return len(self.containers)

    def _opened(self, line: SourceLine) -> list[Item | None]:
        """The containers that begin on the line; its content begins after these."""
        opened: list[Item | None] = []
        while self.depth + len(opened) < DEEPEST and _CONTAINER.match(self.markdown, line.content, line.end):
            if quote := _QUOTE.match(self.markdown, line.content, line.end):
                opened.append(None)
                line.content = quote.end()
                continue
            found = _ITEM.match(self.markdown, line.content, line.end)
            if not found or _RULE.match(self.markdown, line.content, line.end):
                break
            interrupts = not opened and self.depth == len(self.containers) and self._in(BlockKind.TEXT)
            if interrupts and not _may_interrupt(found, line.end):
                break
            before = None if opened else next(iter(self.containers[self.depth :]), None)
            item, size = _item(found, line.end, before)
            opened.append(item)
            line.content = min(found.end("marker") + size, line.end)
        return opened

    def _in(self, kind: BlockKind) -> bool:
        return self.found.open is not None and self.found.open.kind is kind

    def _defines(self) -> bool:
        """What is open is definitions alone so far, which no line goes on with unasked."""
        lines = self.found.open.lines if self.found.open else []
        return len(lines) <= DEFINED_LINES and all(
            _DEFINITION.match(self.markdown, line.content, line.end) for line in lines
        )

    def _blank(self, line: SourceLine) -> bool:
        return not self.markdown[line.content : line.end].strip()

    def _starts_block(self, line: SourceLine) -> bool:
        """What ends a paragraph, containers apart."""
        at = (self.markdown, line.content, line.end)
        return bool(_FENCE.match(*at) or _HEADING.match(*at) or _RULE.match(*at))

    def _leaf(self, line: SourceLine) -> None:
        leaf, at = self.found.open, (self.markdown, line.content, line.end)
        indented = self._indented(line)
        if self._blank(line):
            self.found.open = leaf if leaf and leaf.kind is BlockKind.CODE else None
        elif self.markdown[line.content].isalpha():
            self._text(line)
        elif indented and (leaf is None or leaf.kind is not BlockKind.TEXT):
            self._add(BlockKind.CODE, line)
        elif indented:
            self._text(line)
        elif fence := _FENCE.match(*at):
            self._add(BlockKind.FENCE, line)
            self.found.leaves[-1].fence = fence[1]
            self.found.leaves[-1].closing = margin(self.containers) + fence[1]
        elif _HEADING.match(*at):
            self._add(BlockKind.HEADING, line)
            self.found.open = None
        elif leaf and leaf.kind is BlockKind.TEXT and _UNDERLINE.match(*at):
            leaf.kind, self.found.open = BlockKind.HEADING, None
        elif _RULE.match(*at):
            self.found.rules.append(line.start)
            self.found.open = None
        else:
            self._text(line)

    def _indented(self, line: SourceLine) -> bool:
        if not self.markdown.startswith((" ", "\t"), line.content):
            return False
        indent = _INDENT.match(self.markdown, line.content, line.end)
        # A tab is as wide as where it stands has it, and a quote's mark takes one column of it.
        before = self.markdown[line.start : line.content]
        columns = _columns(before + indent[0]) - _columns(before) if indent else 0
        return columns >= CODE_COLUMNS + before.endswith(">")

    def _text(self, line: SourceLine) -> None:
        leaf = self.found.open
        if leaf is None or leaf.kind is BlockKind.CODE:
            self._add(BlockKind.TEXT, line)
        elif leaf.kind is BlockKind.TEXT and self._delimits(leaf.lines[-1], line):
            header = leaf.lines.pop()
            if not leaf.lines:
                self.found.leaves.pop()
            self._add(BlockKind.TABLE, header)
            self.found.leaves[-1].lines.append(line)
        else:
            leaf.lines.append(line)

    def _delimits(self, header: SourceLine, line: SourceLine) -> bool:
        """The line makes the one before it the header of a table."""
        row = self.markdown[line.content : line.end]
        first = self.markdown[header.content : header.end]
        return (
            "|" in first and ("|" in row or ":" in row) and bool(_DELIMITERS.match(row)) and cells(first) == cells(row)
        )

    def _code(self, line: SourceLine, partial: bool) -> None:
        """A line of an open fence, or the one that closes it."""
        leaf = self.found.leaves[-1]
        mark = self.markdown[line.content : line.end].strip()
        closes = bool(mark) and not mark.strip(leaf.fence[0]) and not self._indented(line)
        if closes and partial and len(mark) < len(leaf.fence):
            self.found.unsure = line.start
            return
        leaf.lines.append(line)
        if closes and len(mark) >= len(leaf.fence):
            leaf.closing, self.found.open = "", None

    def _add(self, kind: BlockKind, line: SourceLine) -> None:
        if kind is BlockKind.CODE and self.found.open and self.found.open.kind is BlockKind.CODE:
            self.found.open.lines.append(line)
            return
        self.found.open = Leaf(kind, [line])
        self.found.leaves.append(self.found.open)


def margin(containers: Iterable[Item | None]) -> str:
    """What a line in these begins with."""
    return "".join("> " if item is None else " " * item.columns for item in containers)


def _item(found: re.Match[str], end: int, before: Item | None) -> tuple[Item, int]:
    """The item, and how many characters of space belong to its marker; `before`: the item that it ends."""
    marker, space = found["marker"], found["space"] or ""
    if found.end() == end or _columns(space) > CODE_COLUMNS:
        space = space[:1]
    indent = found.start("marker") - found.start()
    columns = indent + len(marker) + max(1, _columns(space) if space != "\t" else 1)
    number = int(found["number"]) if found["number"] else None
    if number is not None and before and before.number is not None and before.marker[-1] == marker[-1]:
        number = before.number + 1
    return Item(found.start("marker"), indent, columns, marker, number), max(1, len(space))


def _may_interrupt(item: re.Match[str], end: int) -> bool:
    """A paragraph goes on unless the item has words, and a numbered one begins at 1."""
    return item.end() < end and item["number"] in (None, "1")


def _columns(indent: str) -> int:
    return len(indent.expandtabs(4)) if "\t" in indent else len(indent)


def _characters(indent: str, columns: int) -> int:
    """How many characters of an indent make so many columns."""
    if "\t" not in indent:
        return min(columns, len(indent))
    return next((size for size in range(len(indent) + 1) if _columns(indent[:size]) >= columns), len(indent))


def cells(row: str) -> int:
    """How many cells a table's row has."""
    inner = row.strip().removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    return len(_CELL_END.findall(inner)) + 1
