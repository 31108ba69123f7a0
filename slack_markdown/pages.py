"""Splits a growing answer into pages that each fit into a Slack message.

Slack limits four properties of a message: characters of Markdown, bytes, characters in the blocks into which Slack
translates the Markdown, and the number of these blocks. A page is full when it reaches the first of these limits.

`Pages` receives the text as deltas and cuts off full pages. It guarantees three things:

- The pages together contain the whole text.
- A full page never changes, so its message needs no further edit.
- Page breaks depend only on the text, not on the deltas. After a crash, another process gets the same pages from the
  same text. So a page is full at the character that reaches a limit, even if a delta extends far beyond that character.
  Text after it isn't considered.

The page break is in the second half of the page, before the point where it is full. The best break wins, and among
equally good ones the last: before a heading, a paragraph, a list item or any other line, in this order. If there is no
such break, the page ends within a line: after a sentence, after a word, or at least after a whole grapheme.

Slack parses each message separately. So a page that begins in the middle of a block repeats the beginning of that block
(`Outline.opening`): the fence of code with its info string, a table's header and delimiter row, or the enclosing list
items. An item's number is repeated as displayed, which can differ from the number as written, because many models write
`1.` before every item.

A page also ends where parsing it would take too many steps, so no page takes long to lay out. Only the first
`max_full_pages` pages are laid out; later text is stored until `lay_out` requests more pages.

Measuring a page exactly takes time proportional to its length. So `Pages` remembers a length up to which the growing
page fits regardless of its text, and measures again only beyond it.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

import regex

from slack_markdown.blocks import BlockParser, Container, LeafBlock, LeafKind, ListItem, SourceLine, line_prefix
from slack_markdown.extent import BLOCK_CHARS, Extent, FullAt
from slack_markdown.growing_text import GrowingText
from slack_markdown.links import MAX_ADDED_CHARS, international_chars
from slack_markdown.render import max_sent_chars

PAGE_CHARS = 11_800
"""A message's `markdown` blocks can have 12,000 characters in total. Pages stay below that."""
PAGE_BYTES = 39_000
"""The maximum size in UTF-8. chat.postMessage truncates text at 40,000, but Slack doesn't document whether these are
characters or bytes."""
MAX_STEPS = 4_000
"""The maximum number of steps for a page, which take about 25 ms to parse and render."""
LINE_STEPS = 4
"""The steps for a line. Each Markdown mark in the line adds another step."""
URL_STEPS = 8
HOST_STEPS = 4
"""The steps for each non-ASCII character in a bare URL's host. URL_STEPS is for the URL itself."""
MAX_SENT = 1 + MAX_ADDED_CHARS
"""The maximum characters, bytes and steps that one character of the source can cost (see `max_sent_chars`)."""
FITTING_CHARS = MAX_STEPS // MAX_SENT
"""The maximum length of a source that fits on any page, regardless of its content."""
MAX_LINES = MAX_STEPS // LINE_STEPS + 2
MARKS = "*_~`[]!\\<|$"

SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]*_]*[ \t]+|[。！？]")
_SPACE = re.compile(r"[ \t]+")
_LETTER = re.compile(r"[^\W\d_]")
"""Matches a letter. An incomplete line without letters can still become another type of block."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The text at the beginning of a page that reopens the blocks that the page continues."""

    lines: str = ""
    """Complete lines, such as a fence, a table's header or empty list items."""
    marker: str = ""
    """A marker on the first line, such as a list item's with the displayed number."""
    replaced_source: str = ""
    """The beginning of the page's source that `marker` replaces."""

    @property
    def text(self) -> str:
        return self.lines + self.marker


NO_OPENING = Opening()


@dataclass(frozen=True, slots=True)
class Page:
    source: str = ""
    opening: Opening = NO_OPENING
    start: int = 0
    reserved_chars: int = 0
    """The number of characters, as Slack counts them, that a block above the page takes up in its message."""

    @property
    def end(self) -> int:
        return self.start + len(self.source)

    @property
    def markdown(self) -> str:
        return self.text_up_to(len(self.source))[0]

    def text_up_to(self, chars: int) -> tuple[str, int]:
        """Returns the opening followed by the first characters of the source, and how much longer the opening makes the
        result."""
        opening = self.opening
        shift = len(opening.text) - len(opening.replaced_source)
        return opening.text + self.source[len(opening.replaced_source) : chars], shift


FIRST_PAGE = Page()


class Pages:
    """The pages of a growing text. `first`: the first page, if the text continues an existing one. `max_full_pages`:
    how many full pages to lay out."""

    def __init__(
        self,
        limit_chars: int = PAGE_CHARS,
        limit_bytes: int = PAGE_BYTES,
        first: Page = FIRST_PAGE,
        *,
        max_full_pages: float = math.inf,
    ) -> None:
        self.limit_chars = limit_chars
        self.limit_bytes = limit_bytes
        self.max_full_pages = max_full_pages
        self.full_pages: list[Page] = []
        self.growing_page = first
        self._rest = GrowingText()
        self._extent = Extent()
        self._safe_chars = 0
        """A length up to which the growing page fits, regardless of its text."""

    def append(self, text: str) -> None:
        """Adds a delta to the growing page, and splits off the pages that are full."""
        if not self.is_complete:
            self._rest.append(text)
            return
        page = replace(self.growing_page, source=self.growing_page.source + text)
        # Slack's blocks are counted once their lines are complete.
        if len(page.source) > self._safe_chars or "\n" in text:
            page = self._cut_full_pages(page)
        self.growing_page = page

    @property
    def is_complete(self) -> bool:
        """Whether the whole text is laid out."""
        return len(self.full_pages) < self.max_full_pages

    def lay_out(self, max_full_pages: int) -> None:
        rest = str(self._rest)
        self._rest.clear()
        self.max_full_pages = max_full_pages
        self.append(rest)

    def _cut_full_pages(self, page: Page, *, is_complete: bool = False) -> Page:
        """Splits off as many full pages as the text fills, and returns the rest. `is_complete`: whether the last line
        is complete."""
        while self.is_complete and (full := self._full_at(page, is_complete=is_complete)):
            end, opening = self._page_break(page, full)
            self.full_pages.append(replace(page, source=page.source[:end]))
            if max_sent_chars(opening.text) > self.limit_chars // 4:
                # It would use too much of the page.
                opening = NO_OPENING
            page = Page(page.source[end:], opening, page.start + end)
            self._extent = Extent()
            self._safe_chars = 0
        if not self.is_complete:
            self._rest.append(page.source)
            page = replace(page, source="")
        return page

    def _full_at(self, page: Page, *, is_complete: bool) -> FullAt | None:
        """Returns the position at which a page is full, as offsets in its source, or None if the page fits."""
        size = len(page.source)
        # A page with more lines has too many steps anyway, so later lines don't matter.
        read = "\n".join(page.source[: self.limit_chars + 1].split("\n", MAX_LINES)[:MAX_LINES])
        shown, shift = page.text_up_to(min(size, len(read) + 1))
        ends_line = is_complete and len(shown) == size + shift
        self._extent.read(f"{shown}\n" if ends_line else shown)
        chars = size
        if size > self._safe_chars:
            left = self._remaining_after(page, size)
            chars = size if left >= 0 else self._longest_fitting_chars(page)
            self._safe_chars = size + max(left, 0) // MAX_SENT
        full = self._extent.full_at
        if full and full.line_start > shift and full.known_at - shift <= chars + is_complete:
            return FullAt(full.line_start - shift, full.known_at - shift)
        return None if chars == size else FullAt(chars, chars + 1)

    def finish(self) -> None:
        """Ends the text. If the last page has only white space, it is joined to the previous page."""
        if self.is_complete:
            self.growing_page = self._cut_full_pages(
                self.growing_page, is_complete=not self.growing_page.source.endswith("\n")
            )
        left = self.growing_page.source + str(self._rest)
        if self.full_pages and len(left) <= self.limit_chars and not left.strip():
            last = self.full_pages.pop()
            self.growing_page = replace(last, source=last.source + left)
            self._rest.clear()

    def text(self, first_page: int = 0) -> str:
        return (
            "".join(page.source for page in self.full_pages[first_page:]) + self.growing_page.source + str(self._rest)
        )

    def fits(self, source: str, opening: Opening = NO_OPENING) -> bool:
        return self._remaining(source, opening) >= 0

    def _remaining(self, source: str, opening: Opening, not_text_chars: int = 0) -> int:
        """Returns how many characters, bytes or steps the page has left, whichever is lowest. The result is negative if
        the page is too full."""
        if len(source) > self.limit_chars:
            return -1
        # Counting these takes as long as everything else together.
        international = international_chars(source)
        in_opening = international_chars(opening.text)
        # Counted together, because a mark in the opening can change how many characters the source becomes.
        sent = max_sent_chars(opening.text + source, in_opening + international)
        counted = sent + 3 * source.count(">") + not_text_chars
        more_bytes = 0 if source.isascii() else len(source.encode("utf-8", "surrogatepass")) - len(source)
        steps = _steps_of(source, international) + _steps_of(opening.text, in_opening)
        return min(
            self.limit_chars - sent, BLOCK_CHARS - counted, self.limit_bytes - sent - more_bytes, MAX_STEPS - steps
        )

    def _remaining_after(self, page: Page, chars: int) -> int:
        shift = len(page.opening.text) - len(page.opening.replaced_source)
        not_text_chars = self._extent.header_chars(shift + chars) + page.reserved_chars
        return self._remaining(page.source[:chars], page.opening, not_text_chars)

    def _page_break(self, page: Page, full: FullAt) -> tuple[int, Opening]:
        """Returns the offset in its source where a full page ends, and the opening of the next page. The result must
        not depend on deltas, so text after the point where the page is full isn't read, except for one character that
        can belong to the last grapheme."""
        shown, shift = page.text_up_to(full.known_at)
        outline = Outline(shown)
        best = None
        best_quality = BreakQuality.LINE
        early: tuple[int, Opening] | None = None
        for line in outline.lines():
            start = line.start - shift
            if start > full.line_start:
                break
            is_known = line.end - shift < full.known_at or _LETTER.search(shown, line.start)
            quality = outline.quality() if is_known and start > 0 else None
            if quality is not None and start > full.line_start // 2 and quality >= best_quality:
                best, best_quality = (start, outline.opening()), quality
            elif (quality is not None and start <= full.line_start // 2) or start == full.line_start:
                early = (start, outline.opening())
        if best is None and full.known_at > full.line_start + 1:
            # The page is full of blocks, most of them in its first half.
            best = early
        return best or _break_within_line(page, full.line_start)

    def _longest_fitting_chars(self, page: Page) -> int:
        low, high = 1, min(len(page.source) - 1, self.limit_chars)
        while low < high:
            middle = (low + high + 1) // 2
            if self._remaining_after(page, middle) >= 0:
                low = middle
            else:
                high = middle - 1
        return low


def _break_within_line(page: Page, full_chars: int) -> tuple[int, Opening]:
    beginning = page.source[: full_chars + 1]
    # After a sentence or a word, or else after the last whole grapheme. A grapheme longer than a page is cut.
    end = _last_sentence_end(beginning) or _grapheme_starts(beginning)[-1] or full_chars
    shown, shift = page.text_up_to(full_chars + 1)
    outline = Outline(shown)
    line = next(line for line in outline.lines() if end <= line.end - shift)
    return end, outline.opening() if end == line.start - shift else outline.opening_within_line()


def _last_sentence_end(text: str) -> int:
    """Returns the end of the last sentence in the second half of a text. If no sentence ends there, returns the end of
    the last word, or 0. The text is a full page and one more character, which belongs to the next page unless it is
    part of a grapheme."""
    full = len(text) - 1
    for pattern in (SENTENCE_END, _SPACE):
        ends = [match.end() for match in pattern.finditer(text, full // 2, full)]
        for end in reversed(ends):
            # A space and the joiner or accent after it are one grapheme.
            if _grapheme_starts(text[end - 1 : end + 1])[-1] == 1:
                return end
    return 0


def _grapheme_starts(text: str) -> list[int]:
    return [match.start() for match in regex.finditer(r"\X", text)]


def _steps_of(markdown: str, international: int) -> int:
    """Estimates the steps for parsing and rendering a source that has this many `international_chars`."""
    urls = URL_STEPS * markdown.count("//") + HOST_STEPS * international
    return LINE_STEPS * markdown.count("\n") + sum(markdown.count(mark) for mark in MARKS) + urls


class BreakQuality(IntEnum):
    """The quality of a page break, judged by what the next page begins with. Higher is better."""

    LINE = 1
    ITEM = 2
    PARAGRAPH = 3
    HEADING = 4


class Outline:
    """Reads a source line by line. The methods other than `lines` are about a page break before the current line."""

    def __init__(self, markdown: str) -> None:
        self._parser = BlockParser(markdown, has_formulas=True, growing=True)
        self._line = SourceLine(0, 0, 0)
        self._leaf_above: LeafBlock | None = None
        self._fences_above: tuple[str, ...] = ()
        self._formula_above = 0

    def lines(self) -> Iterator[SourceLine]:
        leaf_blocks = self._parser.blocks.leaf_blocks
        for line in self._parser.lines():
            self._leaf_above = leaf_blocks[-1] if leaf_blocks else None
            self._fences_above = self._leaf_above.open_fences if self._leaf_above else ()
            self._formula_above = self._parser.formula_end
            self._parser.parse_line(line)
            self._line = line
            yield line

    def quality(self) -> BreakQuality | None:
        """Returns the quality of a page break before the line, or None if the line must stay with the previous one."""
        if self._line.start < self._formula_above:
            return None
        leaf, containers, depth = self._current_leaf(), self._parser.containers, self._parser.continued_depth
        above = self._leaf_above
        # A break here would leave a heading at the end of a page, or code that only this line closes: a line outside
        # the code's list item closes it without a fence.
        is_tied = above is not None and (above.kind is LeafKind.HEADING or bool(above.closing))
        if (leaf is None and depth == len(containers)) or (leaf is not above and is_tied):
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
        leaf, containers, depth = self._current_leaf(), self._parser.containers, self._parser.continued_depth
        lines = self._empty_items(depth)
        if leaf and leaf.lines[0] is not self._line:
            return Opening(lines + self._block_header(leaf, self._fences_above))
        item = containers[depth] if depth < len(containers) else None
        if item is None or _numbered_marker(item) == item.marker:
            return Opening(lines)
        if previous := self._previous_item(depth):
            return Opening(lines + previous)
        space = self._parser.markdown[self._line.start : item.start]
        return Opening(lines, space + _numbered_marker(item), space + item.marker)

    def opening_within_line(self) -> Opening:
        leaf, containers = self._current_leaf(), self._parser.containers
        header = self._block_header(leaf, leaf.open_fences) if leaf else ""
        if header or not containers:
            return Opening(self._empty_items(len(containers)) + header)
        last = len(containers) - 1
        previous = self._previous_item(last)
        marker = self._empty_item(last).rstrip("\n") + " " if containers[last] else line_prefix(containers)
        return Opening(self._empty_items(last) + previous, marker)

    def _current_leaf(self) -> LeafBlock | None:
        leaf_blocks = self._parser.blocks.leaf_blocks
        return leaf_blocks[-1] if leaf_blocks and leaf_blocks[-1].lines[-1] is self._line else None

    def _block_header(self, leaf: LeafBlock, open_fences: tuple[str, ...]) -> str:
        """Returns the opening lines that the rest of a leaf block needs in order to remain the same block."""
        prefix, markdown = line_prefix(self._parser.containers), self._parser.markdown
        lines = leaf.lines[:2] if leaf.kind is LeafKind.TABLE else []
        header = [*open_fences, *(markdown[line.content : line.end].rstrip() for line in lines)]
        return "".join(f"{prefix}{line}\n" for line in header)

    def _empty_items(self, depth: int) -> str:
        """Returns the lines that open the outermost `depth` containers, without content."""
        return "".join(self._previous_item(at) + self._empty_item(at) for at in range(depth))

    def _empty_item(self, depth: int) -> str:
        """Returns the line that opens the list item at a depth, or "" for a quote, which doesn't need such a line."""
        item = self._parser.containers[depth]
        if item is None:
            return ""
        marker = item.marker if self._previous_item(depth) else _numbered_marker(item)
        return self._margin(depth, item) + f"{marker}\n"

    def _previous_item(self, depth: int) -> str:
        """Returns an empty item before the one at a depth, if the displayed number is wider than the written number.
        With a wider marker, the item's further lines wouldn't be indented enough. So the item keeps its written marker,
        and the item before it sets the displayed number."""
        item = self._parser.containers[depth]
        if item is None or item.number is None or len(_numbered_marker(item)) == len(item.marker):
            return ""
        return self._margin(depth, item) + f"{item.number - 1}{item.marker[-1]}\n"

    def _margin(self, depth: int, item: ListItem) -> str:
        outer: list[Container] = self._parser.containers[:depth]
        return line_prefix(outer) + " " * item.indent


def _last_line_is_tied(leaf: LeafBlock) -> bool:
    """Returns whether a leaf block's last line must stay with the previous one, such as code's first line or a table's
    first row."""
    match leaf.kind:
        case LeafKind.FENCED_CODE:
            return len(leaf.lines) == 2 or not leaf.closing
        case LeafKind.TABLE:
            return len(leaf.lines) <= 3
    return False


def _numbered_marker(item: ListItem) -> str:
    return item.marker if item.number is None else f"{item.number}{item.marker[-1]}"
