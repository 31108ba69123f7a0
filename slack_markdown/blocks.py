r"""A parser for the block structure of Markdown, one line at a time.

It implements the first phase of CommonMark's parsing strategy (https://spec.commonmark.org/0.31.2/, "Appendix: A
parsing strategy") and the tables of https://github.github.com/gfm/. `inlines.py` implements the second phase, which
parses the inlines within a block. HTML blocks aren't supported, because Slack shows HTML as text.

In CommonMark, the structure is a tree: container blocks (list items and block quotes) hold other blocks, and leaf
blocks hold text or code. No caller needs the tree, so the parser returns the leaf blocks as a flat list, and keeps only
the containers around the last line that it has read. The parser doesn't copy text: a leaf block is a list of offsets
into the source.

For each line, `BlockParser` does three things, in CommonMark's order:

1. It matches the open containers. The line continues every container whose marker or indentation it repeats.
2. It opens the containers that begin on the line.
3. It adds the rest of the line to the open leaf block, or begins a new leaf block. A paragraph also accepts lines that
   don't repeat the markers of its containers ("lazy continuation lines").

Four things are specific to Typist:

- The source is a growing answer, so its last line may be incomplete and therefore ambiguous. For example, `-` can
  become a list item, a thematic break, or the underline that turns the paragraph above it into a heading. The parser
  doesn't add an ambiguous line to a block. Instead, it reports where the line begins, and the renderer holds the line
  back.
- A LaTeX display formula belongs to its paragraph as a whole, even if one of its lines is blank or would begin another
  block (`formulas.py`). Until the end of the formula is known, everything after its first line is held back.
- A Markdown document in a fence (```` ```markdown ````) can contain fences of the same length, because that's how
  models write such documents (`fences_after`). It is sent with a longer fence.
- Any model output must be parsed in linear time, so nesting depth and link reference definitions are limited.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

import regex

from slack_markdown.formulas import MAYBE_DISPLAY, find_displays

_QUOTE_MARKER = re.compile(r" {0,3}>[ \t]?")
_ITEM_MARKER = re.compile(r" {0,3}(?P<marker>[-+*]|(?P<number>\d{1,9})[.)])(?:(?P<space>[ \t]+)|\s*$)")
_CONTAINER_START = re.compile(r" {0,3}[>\-+*0-9]")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_ATX_HEADING = re.compile(r" {0,3}#{1,6}(?:\s|$)")
_THEMATIC_BREAK = re.compile(r" {0,3}(?:(?:-[ \t]*+){3}[- \t]*+|(?:\*[ \t]*+){3}[* \t]*+|(?:_[ \t]*+){3}[_ \t]*+)\s*$")
_SETEXT_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)\s*$")
_SENTENCE_END = tuple(".!?:;,…。！？：；，")
_BEHIND_SENTENCE = "*_~`\"')]”’»）」"
_DELIMITER_ROW = regex.compile(r" {0,3}\|?[ \t]*:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?\s*$")
_INDENT = re.compile(r"[ \t]*")
FOOTNOTE = r"\[\^(?:[1-9][0-9]{0,2}|[A-Za-z](?:[A-Za-z][A-Za-z0-9]{0,30}(?:[._-][A-Za-z0-9]{1,30}){0,3})?)\]"
"""Matches a footnote's mark, but not a character class such as `[^a-z]`."""
_LABEL_START = rf"[ \t]*(?!{FOOTNOTE})\[(?!\s*\])"
_DEFINITION = re.compile(
    rf"{_LABEL_START}"
    r"(?:[^\[\]\\]|\\.){1,999}\]:[ \t]*+(?:\n[ \t]*+)?"
    r"(?:<(?:[^<>\\\n]|\\.)*>|(?![<\s])(?:[^\x00-\x20\x7f()\\]|\\[^\s]|\([^\x00-\x20\x7f()\\]*\))+)"
    r"(?:(?:[ \t]++(?:\n[ \t]*+)?|\n[ \t]*+)"
    r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\((?:[^()\\]|\\.)*\)))?[ \t]*+(?:\n|$)""",
    re.DOTALL,
)
DEFINITION_START = re.compile(rf"{_LABEL_START}[^\[\]]*\]:")
"""Matches the first line of a possible link reference definition, but not a footnote."""
_LINK = re.compile(r"\][(\[]")
CELL_END = regex.compile(r"(?<!\\|<(?:https?:|mailto:|tel:|[@#!])[^\s<>|]*)\|")
"""Matches the end of a table cell. `dialects.py` rewrites the `|` before a label in Slack's markup."""
_AMBIGUOUS = re.compile(
    r"[ \t]*+(?:#{1,6}|[-+*_=~`][-+*_=~` \t]*+|`{3,}[^`]*+|~{3,}.*+|\d{1,9}[.)]?|[|:-][|: \t-]*+)?[ \t]*+$"
)
"""Matches an incomplete line that can still become a heading, list item, thematic break, fence, table row or
paragraph."""

CODE_INDENT = 4
"""The minimum indentation of indented code, in columns."""
MAX_DEPTH = 30
"""The maximum nesting depth of containers. Deeper markers are text."""
MAX_DEFINITION_LINES = 20
"""The maximum number of lines in a paragraph that are parsed as link reference definitions."""

MAX_LINES = 750
"""The maximum number of lines outside code to parse at once."""
_FENCE_LINE = re.compile(r"^ {0,3}(?:`{3}|~{3}).*", re.MULTILINE)
_FENCE_PARTS = re.compile(r"(`{3,}+(?=[^`]*$)|~{3,}+)\s*(.?)")
_DOCUMENT = re.compile(r"(?:`+|~+)\s*(?:markdown|md)\b", re.IGNORECASE)


class LeafKind(Enum):
    PARAGRAPH = auto()
    HEADING = auto()
    """An ATX heading (`# …`) or a setext heading (underlined)."""
    QUOTE = auto()
    """A paragraph in a block quote. It is used only when its text is rewritten, because the parser itself returns
    PARAGRAPH."""
    TABLE = auto()
    INDENTED_CODE = auto()
    FENCED_CODE = auto()


@dataclass(slots=True)
class SourceLine:
    """The offsets of a source line's start, of its content (after the container markers) and of its end. Several lines
    of code can be combined into one."""

    start: int
    content: int
    end: int


class ListItem(NamedTuple):
    start: int
    indent: int
    """The columns between the container's margin and the marker."""
    width: int
    """The columns between the container's margin and the item's content."""
    marker: str
    number: int | None
    """The displayed number, or None in a bullet list. CommonMark ignores all written numbers but the first in a
    list."""


Container = ListItem | None
"""A list item, or None for a block quote."""


@dataclass(slots=True)
class LeafBlock:
    """A block that contains text or code but no other blocks."""

    kind: LeafKind
    lines: list[SourceLine]
    containers: tuple[Container, ...] = ()
    """The list items and block quotes around the block, outermost first."""
    open_fences: tuple[str, ...] = ()
    """The open fences of fenced code (`fences_after`), or () once the code is closed."""
    fence: str = ""
    sent_fence: str = ""
    """The fence to send instead, which is long enough that fences inside a document can't close it."""
    prefix: str = ""
    """The prefix that keeps the lines of fenced code in their containers."""
    break_below: SourceLine | None = None
    """The thematic break directly below a paragraph, which Slack would mistake for a heading's underline."""

    @property
    def closing(self) -> str:
        """The line that would close fenced code, including the containers' prefix, or "" once the code is closed."""
        return self.prefix + self.sent_fence if self.open_fences else ""


@dataclass(slots=True)
class BlockStructure:
    leaf_blocks: list[LeafBlock] = field(default_factory=list)
    thematic_breaks: list[int] = field(default_factory=list)
    open_leaf: LeafBlock | None = None
    ambiguous_line: int | None = None
    """The offset of an incomplete last line whose block type isn't known yet."""
    held_from: int | None = None
    """The offset after the first line of an unfinished formula. Nothing after it is parsed."""


def parse_blocks(
    markdown: str, *, last_line_incomplete: bool, growing: bool = False, open_fences: tuple[str, ...] = ()
) -> BlockStructure:
    """Parses a source into blocks. `open_fences`: the fences that are open at its start."""
    parser = BlockParser(markdown, has_formulas=bool(MAYBE_DISPLAY.search(markdown)), growing=growing)
    blocks = parser.blocks
    if open_fences:
        parser.begin_code(SourceLine(0, 0, 0), open_fences)
    size = len(markdown)
    for line in parser.lines(join_code=True):
        parser.parse_line(line, incomplete=last_line_incomplete and line.end == size)
        if blocks.held_from is not None:
            break
    return blocks


def last_lines(markdown: str) -> str:
    """Returns the last `MAX_LINES` lines of a text, preceded by any fences that are open before them. Open lists and
    quotes are lost."""
    start = len(markdown)
    for _ in range(MAX_LINES):
        start = markdown.rfind("\n", 0, start)
        if start < 0:
            return markdown
    open_fences: tuple[str, ...] = ()
    for line in _FENCE_LINE.finditer(markdown, 0, start):
        open_fences = fences_after(line[0], open_fences)
    return "\n".join(open_fences) + markdown[start:]


def fences_after(line: str, open_fences: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the fences that are open after a line of code or text, outermost first, each as its opening line.

    In a Markdown document, a fence with an info string opens a nested block, and a bare fence closes the innermost open
    block. If no nested block is open, a bare fence could either open one or end the document, and is assumed to end it.
    Fences that are shorter than the innermost open one are code.

    `open_fences`: the fences that are open before the line. The line must not have container markers.
    """
    text = line.strip()
    parts = _FENCE_PARTS.match(text) if text.startswith(("```", "~~~")) else None
    if parts is None:
        return open_fences
    if not open_fences:
        return (line.rstrip(),)
    if not parts[1].startswith(_fence_of(open_fences[-1])):
        return open_fences
    outer = open_fences[0].lstrip()
    is_sent_apart = bool(_DOCUMENT.match(outer)) and len(parts[1]) < len(_sent_fence(outer))
    if not parts[2]:
        return open_fences[:-1] if is_sent_apart else ()
    return (*open_fences, line.rstrip()) if is_sent_apart and len(open_fences) < MAX_DEPTH else open_fences


def _fence_of(line: str) -> str:
    text = line.lstrip()
    return text[: len(text) - len(text.lstrip(text[0]))]


def _sent_fence(line: str) -> str:
    """Returns the fence to send for an opening line, which is twice as long for a Markdown document."""
    return _fence_of(line) * (2 if _DOCUMENT.match(line.lstrip()) else 1)


def text_of(markdown: str, lines: Iterable[SourceLine]) -> str:
    """Returns the text of a leaf block's lines, without container markers."""
    return "\n".join([markdown[line.content : line.end] for line in lines])


def code_content(markdown: str, code: LeafBlock) -> str:
    lines = code.lines[1:] if code.closing else code.lines[1:-1]
    return text_of(markdown, lines)


def definitions_end(paragraph: str) -> int:
    """Returns the offset after the link reference definitions at the beginning of a paragraph. A definition that
    contains a link counts as text, because some parsers treat it as a footnote and show the link."""
    end = 0
    while (definition := _DEFINITION.match(paragraph, end)) and not _LINK.search(definition[0]):
        end = definition.end()
    return end


def is_ambiguous(content: str) -> bool:
    """Returns whether an incomplete line with this content could become one of several block types."""
    return bool(_AMBIGUOUS.match(content))


class BlockParser:
    """Parses a source line by line, in the three steps that the module's docstring describes."""

    def __init__(self, markdown: str, *, has_formulas: bool = False, growing: bool = False) -> None:
        self.markdown = markdown
        self.has_formulas = has_formulas
        self.growing = growing
        self.blocks = BlockStructure()
        self.containers: list[Container] = []
        self.continued_depth = 0
        self.formula_end = 0
        """The offset up to which lines belong to a display formula."""
        self._last_formula_end = 0
        """The offset after the last formula, whether it is displayed or not."""

    def lines(self, *, join_code: bool = False) -> Iterator[SourceLine]:
        """Yields the lines of the source. The caller must parse each line before requesting the next. `join_code`:
        whether to combine lines of fenced code outside containers, which is faster."""
        start, size = 0, len(self.markdown)
        while start < size:
            end = self.markdown.find("\n", start)
            end = size if end < 0 else end
            if join_code and not self.containers and self._is_open(LeafKind.FENCED_CODE):
                # Up to the line before the next possible closing fence, or before the last line. In a document, every
                # fence starts with the same characters as the outermost one.
                fence = self.markdown.find(self.blocks.leaf_blocks[-1].fence, start)
                end = max(end, self.markdown.rfind("\n", start, fence if fence >= 0 else size))
            yield SourceLine(start, start, end)
            start = end + 1

    def parse_line(self, line: SourceLine, *, incomplete: bool = False) -> None:
        """Adds a line to the structure. `incomplete`: whether the line can still grow."""
        leaf = self.blocks.open_leaf
        self.continued_depth = len(self.containers)
        if line.start < self.formula_end and leaf:
            self._match_containers(line)
            leaf.lines.append(line)
        elif line.start == line.end and not (leaf and leaf.kind in (LeafKind.INDENTED_CODE, LeafKind.FENCED_CODE)):
            self.blocks.open_leaf = None
        elif incomplete or self.containers or (leaf and leaf.kind is not LeafKind.PARAGRAPH):
            self._parse_line(line, incomplete)
        elif self.markdown[line.start].isalpha():
            # A shortcut: most lines of prose can only continue or begin a paragraph.
            self._add_text(line)
        else:
            self._parse_line(line, incomplete)
        if self.has_formulas and (leaf := self.blocks.open_leaf) and leaf.lines[-1] is line:
            self._find_formula(leaf, line)

    def _find_formula(self, leaf: LeafBlock, line: SourceLine) -> None:
        """Finds a display formula that begins in the last line of a paragraph and continues after it."""
        if leaf.kind is LeafKind.PARAGRAPH and line.end > self.formula_end:
            start = max(line.content, self._last_formula_end)
            for formula in find_displays(self.markdown, start, line.end, growing=self.growing):
                self._last_formula_end = formula.end
                self.formula_end = formula.end if formula.is_display else self.formula_end
                if formula.is_open and line.end + 1 < len(self.markdown):
                    self.blocks.held_from = line.end + 1

    def _parse_line(self, line: SourceLine, incomplete: bool) -> None:
        depth_before = len(self.containers)
        self.continued_depth = self._match_containers(line)
        if self.continued_depth == depth_before and self._is_open(LeafKind.FENCED_CODE):
            self._add_code(line, incomplete)
            return
        new_containers = self._open_containers(line)
        if incomplete and (self._is_blank(line) or _AMBIGUOUS.match(self.markdown, line.content, line.end)):
            self.blocks.ambiguous_line = line.start
            return
        can_be_lazy = (
            self.continued_depth < depth_before
            and not new_containers
            and self._is_open(LeafKind.PARAGRAPH)
            and not self._has_only_definitions()
        )
        if can_be_lazy and self.blocks.open_leaf and not self._is_blank(line) and not self._interrupts_paragraph(line):
            self.continued_depth = depth_before
            # This doesn't use _add_text, because a lazy continuation line can't be a delimiter row.
            self.blocks.open_leaf.lines.append(line)
            return
        if new_containers or self.continued_depth < depth_before:
            self.containers[self.continued_depth :] = new_containers
            self.blocks.open_leaf = None
        self._add_to_leaf(line)

    def _match_containers(self, line: SourceLine) -> int:
        """Returns the number of open containers that the line continues, and moves its content past their markers."""
        for depth, item in enumerate(self.containers):
            if item is None:
                quote = _QUOTE_MARKER.match(self.markdown, line.content, line.end)
                if quote is None:
                    return depth
                line.content = quote.end()
            else:
                indent = _INDENT.match(self.markdown, line.content, line.end)
                assert indent
                if indent.end() < line.end:
                    if _width(indent[0]) < item.width:
                        return depth
                    line.content += _chars_of_width(indent[0], item.width)
        return len(self.containers)

    def _open_containers(self, line: SourceLine) -> list[Container]:
        """Returns the containers that begin on the line, and advances the line's content past their markers."""
        opened: list[Container] = []
        while self.continued_depth + len(opened) < MAX_DEPTH and _CONTAINER_START.match(
            self.markdown, line.content, line.end
        ):
            if quote := _QUOTE_MARKER.match(self.markdown, line.content, line.end):
                opened.append(None)
                line.content = quote.end()
                continue
            marker = _ITEM_MARKER.match(self.markdown, line.content, line.end)
            if not marker or _THEMATIC_BREAK.match(self.markdown, line.content, line.end):
                break
            follows_paragraph = (
                not opened and self.continued_depth == len(self.containers) and self._is_open(LeafKind.PARAGRAPH)
            )
            # Without a blank line in between, a list item can only follow a paragraph if it has content and its number
            # is 1.
            if follows_paragraph and (marker.end() == line.end or marker["number"] not in (None, "1")):
                break
            previous = None if opened else next(iter(self.containers[self.continued_depth :]), None)
            item, space_chars = _list_item(marker, line.end, previous)
            opened.append(item)
            line.content = min(marker.end("marker") + space_chars, line.end)
        return opened

    def _is_open(self, kind: LeafKind) -> bool:
        return self.blocks.open_leaf is not None and self.blocks.open_leaf.kind is kind

    def _has_only_definitions(self) -> bool:
        """Returns whether the open paragraph so far consists only of definitions, which can't have lazy continuation
        lines."""
        lines = self.blocks.open_leaf.lines if self.blocks.open_leaf else []
        return len(lines) <= MAX_DEFINITION_LINES and all(
            _DEFINITION.match(self.markdown, line.content, line.end) for line in lines
        )

    def _is_blank(self, line: SourceLine) -> bool:
        return not self.markdown[line.content : line.end].strip()

    def _interrupts_paragraph(self, line: SourceLine) -> bool:
        """Returns whether the line begins a leaf block that can interrupt a paragraph."""
        at = (self.markdown, line.content, line.end)
        return bool(_FENCE.match(*at) or _ATX_HEADING.match(*at) or _THEMATIC_BREAK.match(*at))

    def _add_to_leaf(self, line: SourceLine) -> None:
        """Adds a line outside fenced code to the open leaf block, or begins another block."""
        leaf = self.blocks.open_leaf
        at = (self.markdown, line.content, line.end)
        is_indented = self._is_indented(line)
        if self._is_blank(line):
            self.blocks.open_leaf = leaf if leaf and leaf.kind is LeafKind.INDENTED_CODE else None
        elif self.markdown[line.content].isalpha():
            self._add_text(line)
        elif is_indented and (leaf is None or leaf.kind is not LeafKind.PARAGRAPH):
            self._begin_leaf(LeafKind.INDENTED_CODE, line)
        elif is_indented:
            self._add_text(line)
        elif _FENCE.match(*at):
            self.begin_code(line, (self.markdown[line.content : line.end].rstrip(),))
        elif _ATX_HEADING.match(*at):
            self._begin_leaf(LeafKind.HEADING, line)
            self.blocks.open_leaf = None
        elif leaf and leaf.kind is LeafKind.PARAGRAPH and _SETEXT_UNDERLINE.match(*at):
            if self._is_meant_as_break(leaf, line):
                leaf.break_below = line
                self.blocks.thematic_breaks.append(line.start)
            else:
                leaf.kind = LeafKind.HEADING
            self.blocks.open_leaf = None
        elif _THEMATIC_BREAK.match(*at):
            self.blocks.thematic_breaks.append(line.start)
            self.blocks.open_leaf = None
        else:
            self._add_text(line)

    def _is_meant_as_break(self, paragraph: LeafBlock, line: SourceLine) -> bool:
        """Returns whether an underline is meant as a thematic break. The text above a break has several lines or is a
        sentence. If a title ends like a sentence, its underline is usually longer than `---`."""
        if not _THEMATIC_BREAK.match(self.markdown, line.content, line.end):
            return False
        last = paragraph.lines[-1]
        text = self.markdown[last.content : last.end].rstrip().rstrip(_BEHIND_SENTENCE)
        is_sentence = text.endswith(_SENTENCE_END) and self.markdown[line.content : line.end].strip() == "---"
        return len(paragraph.lines) > 1 or is_sentence

    def _is_indented(self, line: SourceLine) -> bool:
        if not self.markdown.startswith((" ", "\t"), line.content):
            return False
        indent = _INDENT.match(self.markdown, line.content, line.end)
        # The width of a tab depends on its column, and a block quote's marker uses one column of the tab after it.
        prefix = self.markdown[line.start : line.content]
        width = _width(prefix + indent[0]) - _width(prefix) if indent else 0
        return width >= CODE_INDENT + prefix.endswith(">")

    def _add_text(self, line: SourceLine) -> None:
        """Adds a line to a paragraph or table. A delimiter row turns the line above it into a table header."""
        leaf = self.blocks.open_leaf
        if leaf is None or leaf.kind is LeafKind.INDENTED_CODE:
            self._begin_leaf(LeafKind.PARAGRAPH, line)
        elif leaf.kind is LeafKind.PARAGRAPH and self._is_delimiter_row(line, header=leaf.lines[-1]):
            header = leaf.lines.pop()
            if not leaf.lines:
                self.blocks.leaf_blocks.pop()
            self._begin_leaf(LeafKind.TABLE, header)
            self.blocks.leaf_blocks[-1].lines.append(line)
        else:
            leaf.lines.append(line)

    def _is_delimiter_row(self, line: SourceLine, *, header: SourceLine) -> bool:
        row = self.markdown[line.content : line.end]
        header_row = self.markdown[header.content : header.end]
        return (
            "|" in header_row
            and ("|" in row or ":" in row)
            and bool(_DELIMITER_ROW.match(row))
            and cell_count(header_row) == cell_count(row)
        )

    def _add_code(self, line: SourceLine, incomplete: bool) -> None:
        code = self.blocks.leaf_blocks[-1]
        text = self.markdown[line.content : line.end]
        bare = text.strip()
        # The fence can get longer, and in a document it can get an info string.
        can_change = len(bare) < len(code.fence) or code.sent_fence != code.fence
        if incomplete and bare and can_change and not bare.strip(code.fence[0]) and not self._is_indented(line):
            self.blocks.ambiguous_line = line.start
            return
        code.lines.append(line)
        if code.fence in text and not self._is_indented(line):
            code.open_fences = fences_after(text, code.open_fences)
            self.blocks.open_leaf = code if code.open_fences else None

    def begin_code(self, line: SourceLine, open_fences: tuple[str, ...]) -> None:
        """Begins fenced code with the line. `open_fences`: the fences that are open after it."""
        self._begin_leaf(LeafKind.FENCED_CODE, line)
        code = self.blocks.leaf_blocks[-1]
        code.open_fences, code.prefix = open_fences, line_prefix(self.containers)
        code.fence, code.sent_fence = _fence_of(open_fences[0]), _sent_fence(open_fences[0])

    def _begin_leaf(self, kind: LeafKind, line: SourceLine) -> None:
        """Begins a leaf block with the line. Indented code, however, continues across blank lines."""
        leaf = self.blocks.open_leaf
        if kind is LeafKind.INDENTED_CODE and leaf and leaf.kind is LeafKind.INDENTED_CODE:
            leaf.lines.append(line)
            return
        self.blocks.open_leaf = LeafBlock(kind, [line], tuple(self.containers))
        self.blocks.leaf_blocks.append(self.blocks.open_leaf)


def line_prefix(containers: Iterable[Container]) -> str:
    return "".join("> " if item is None else " " * item.width for item in containers)


def _list_item(marker: re.Match[str], line_end: int, previous: ListItem | None) -> tuple[ListItem, int]:
    """Returns the list item for a marker, and the number of white space characters that belong to the marker.
    `previous`: the item before this one. If both are in the same list, numbering continues."""
    written = marker["marker"]
    space = marker["space"] or ""
    if marker.end() == line_end or _width(space) > CODE_INDENT:
        # The content is empty or begins with indented code, so one column of space belongs to the marker.
        space = space[:1]
    indent = marker.start("marker") - marker.start()
    width = indent + len(written) + max(1, _width(space) if space != "\t" else 1)
    number = int(marker["number"]) if marker["number"] else None
    if number is not None and previous and previous.number is not None and previous.marker[-1] == written[-1]:
        number = previous.number + 1
    return ListItem(marker.start("marker"), indent, width, written, number), max(1, len(space))


def _width(indent: str) -> int:
    return len(indent.expandtabs(4)) if "\t" in indent else len(indent)


def _chars_of_width(indent: str, width: int) -> int:
    """Returns the number of an indent's characters that are needed for a width of this many columns."""
    if "\t" not in indent:
        return min(width, len(indent))
    return next((chars for chars in range(len(indent) + 1) if _width(indent[:chars]) >= width), len(indent))


def cell_count(row: str) -> int:
    return len(CELL_END.findall(_row_content(row))) + 1


def cells_of(row: str) -> list[str]:
    return [cell.strip() for cell in CELL_END.split(_row_content(row))]


def table_rows(lines: Sequence[str]) -> list[list[str]]:
    """Returns the cells of a table as written, header first. Surplus cells are joined to the row's last cell, so no row
    has more cells than the header. `lines`: the header, the delimiter row, and the rows."""
    head, _, *rows = map(cells_of, lines)
    last = len(head) - 1
    return [head, *(row if len(row) <= last else [*row[:last], " | ".join(filter(None, row[last:]))] for row in rows)]


def _row_content(row: str) -> str:
    inner = row.strip().removeprefix("|")
    return inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
