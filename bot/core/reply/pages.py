"""Pages: the parts of a growing answer, each of which fits into one Slack message.

Slack limits what a message holds in four ways: characters of Markdown, bytes, characters of the blocks that Slack makes
of the Markdown, and the number of these blocks. A page is full when the first of these limits is met.

`Pages` receives the text as deltas and cuts full pages off. It keeps three promises:

- The pages' sources, joined, are the text.
- A full page never changes, so its message needs no further edit.
- Where a page ends depends on the text alone, not on how the deltas cut it. After a crash, another process gets the
  same pages from the same text. So a page is full at the character at which a limit is met, even if a delta goes far
  beyond, and nothing after that character is considered.

The page break is searched between half of the page and the point where it is full. The best break wins, and among
equals the last one: before a heading, a paragraph, a list item, another line. If there is no such break, the page ends
within a line, behind a sentence, a word, or at least a whole grapheme. `page_breaks.py` says what the next page repeats
before its own text, for instance the fence that opens code.

A page also ends where parsing it would take too many steps, so that no layout of a page takes long. Only the first
`max_full` pages are laid out: what follows is kept as it comes, until `lay_out` asks for more pages of it.

Measuring a page exactly takes as long as the page. `Pages` therefore remembers a length up to which the growing page
fits whatever comes, and measures again only beyond it.
"""

import math
import re
from dataclasses import dataclass, replace

from bot.core.growing_text import GrowingText
from bot.core.reply.markdown.bare_urls import MAX_ADDED_CHARS, international_chars
from bot.core.reply.markdown.extent import BLOCK_CHARS, Extent, FullAt
from bot.core.reply.markdown.render import sent_chars
from bot.core.reply.page_breaks import NO_OPENING, BreakQuality, Opening, Outline

PAGE_CHARS = 11_800
"""A message's `markdown` blocks hold 12,000 characters together; pages stay below that."""
PAGE_BYTES = 39_000
"""In UTF-8. chat.postMessage cuts a text at 40,000; Slack doesn't say whether these are characters or bytes."""
MAX_STEPS = 4_000
"""The most steps of a page, which take about 25 ms to parse and render (benchmarks/holds.py)."""
LINE_STEPS = 4
"""The steps of a line. Each mark of Markdown in it is another one."""
URL_STEPS = 8
HOST_STEPS = 4
"""The steps of a bare URL, and of each character in its host that isn't ASCII."""
MAX_SENT = 1 + MAX_ADDED_CHARS
"""The most characters, bytes and steps that one character of the source may cost (see `sent_chars`)."""
FITTING_CHARS = MAX_STEPS // MAX_SENT
"""How long a source can be that fits on any page, whatever it is."""
MAX_LINES = MAX_STEPS // LINE_STEPS + 2
MARKS = "*_~`[]!\\<|"

_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]*_]*[ \t]+|[。！？]")
_SPACE = re.compile(r"[ \t]+")
_LETTER = re.compile(r"[^\W\d_]")
"""Matches a letter. An incomplete line without one may still become another kind of block."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its part of the text, and the opening that it repeats before that part."""

    source: str = ""
    opening: Opening = NO_OPENING
    start: int = 0
    """The offset of its part in the text, in characters."""
    taken_chars: int = 0
    """What a block above its text takes of its message, as Slack counts characters in blocks."""

    @property
    def end(self) -> int:
        """The offset in the text behind the page's part."""
        return self.start + len(self.source)

    @property
    def markdown(self) -> str:
        """The Markdown that the page shows: its opening and its source."""
        return self.shown(len(self.source))[0]

    def shown(self, chars: int) -> tuple[str, int]:
        """Returns what the page shows of the first characters of its source, and how much longer that is."""
        opening = self.opening
        shift = len(opening.text) - len(opening.replaced)
        return opening.text + self.source[len(opening.replaced) : chars], shift


FIRST_PAGE = Page()


class Pages:
    """The pages of a text that grows.

    `first`: the first page, if the text continues one.
    `max_full`: how many full pages are laid out.
    """

    def __init__(
        self,
        limit_chars: int = PAGE_CHARS,
        limit_bytes: int = PAGE_BYTES,
        first: Page = FIRST_PAGE,
        *,
        max_full: float = math.inf,
    ) -> None:
        self.limit_chars = limit_chars
        self.limit_bytes = limit_bytes
        self.max_full = max_full
        self.full: list[Page] = []
        self.growing = first
        self._rest = GrowingText()
        """The text behind the pages that isn't laid out."""
        self._extent = Extent()
        """What the growing page takes."""
        self._safe_chars = 0
        """A length at which the growing page certainly fits, whatever its text is."""

    def append(self, text: str) -> None:
        """Adds a delta to the growing page, and cuts off the pages that are full."""
        if not self.is_complete:
            self._rest.append(text)
            return
        page = replace(self.growing, source=self.growing.source + text)
        # Slack's blocks are counted in complete lines.
        if len(page.source) > self._safe_chars or "\n" in text:
            page = self._cut(page)
        self.growing = page

    @property
    def is_complete(self) -> bool:
        """Whether all of the text is laid out."""
        return len(self.full) < self.max_full

    def lay_out(self, max_full: int) -> None:
        """Lays out the text behind the full pages, up to this many full pages."""
        rest = str(self._rest)
        self._rest.clear()
        self.max_full = max_full
        self.append(rest)

    def _cut(self, page: Page, *, is_complete: bool = False) -> Page:
        """Cuts full pages off a page and returns the rest; `is_complete`: the last line doesn't grow anymore."""
        while self.is_complete and (full := self._full_at(page, is_complete=is_complete)):
            end, opening = self._page_break(page, full)
            self.full.append(replace(page, source=page.source[:end]))
            page = Page(page.source[end:], self._short_enough(opening), page.start + end)
            self._extent = Extent()
            self._safe_chars = 0
        if not self.is_complete:
            self._rest.append(page.source)
            page = replace(page, source="")
        return page

    def _full_at(self, page: Page, *, is_complete: bool) -> FullAt | None:
        """Returns where a page is full, in offsets of its source; None while all of it fits."""
        size = len(page.source)
        # A page with more lines is full of steps, so lines behind these decide nothing.
        read = "\n".join(page.source[: self.limit_chars + 1].split("\n", MAX_LINES)[:MAX_LINES])
        shown, shift = page.shown(min(size, len(read) + 1))
        ends_line = is_complete and len(shown) == size + shift
        self._extent.read(f"{shown}\n" if ends_line else shown)
        chars = size
        if size > self._safe_chars:
            left = self._left_after(page, size)
            chars = size if left >= 0 else self._longest_fit(page)
            self._safe_chars = size + max(left, 0) // MAX_SENT
        full = self._extent.full
        if full and full.line_start > shift and full.known_at - shift <= chars + is_complete:
            return FullAt(full.line_start - shift, full.known_at - shift)
        return None if chars == size else FullAt(chars, chars + 1)

    def close(self) -> None:
        """Ends the text. A last page of white space alone is joined to the one before."""
        if self.is_complete:
            self.growing = self._cut(self.growing, is_complete=not self.growing.source.endswith("\n"))
        left = self.growing.source + str(self._rest)
        if self.full and len(left) <= self.limit_chars and not left.strip():
            last = self.full.pop()
            self.growing = replace(last, source=last.source + left)
            self._rest.clear()

    def text(self, first_page: int = 0) -> str:
        """Returns the text from a page on."""
        return "".join(page.source for page in self.full[first_page:]) + self.growing.source + str(self._rest)

    def fits(self, source: str, opening: Opening = NO_OPENING) -> bool:
        """Whether one page can hold the source by its characters and bytes."""
        return self._left(source, opening) >= 0

    def _left(self, source: str, opening: Opening, not_text_chars: int = 0) -> int:
        """Returns how many characters or bytes, whichever are fewer, a page has left; negative if it is too full."""
        if len(source) > self.limit_chars:
            return -1
        # Counting these takes as long as all else together.
        international = international_chars(source)
        in_opening = international_chars(opening.text)
        sent = sent_chars(source, international) + sent_chars(opening.text, in_opening)
        counted = sent + 3 * source.count(">") + not_text_chars
        sent_bytes = sent - len(source) + _byte_count(source)
        steps = steps_of(source, international) + steps_of(opening.text, in_opening)
        return min(self.limit_chars - sent, BLOCK_CHARS - counted, self.limit_bytes - sent_bytes, MAX_STEPS - steps)

    def _left_after(self, page: Page, chars: int) -> int:
        """Returns a page's remaining room after the first characters of its source."""
        shift = len(page.opening.text) - len(page.opening.replaced)
        not_text_chars = self._extent.header_chars(shift + chars) + page.taken_chars
        return self._left(page.source[:chars], page.opening, not_text_chars)

    def _short_enough(self, opening: Opening) -> Opening:
        """Returns the opening, or none if it would take too much of a page."""
        return opening if sent_chars(opening.text) <= self.limit_chars // 4 else NO_OPENING

    def _page_break(self, page: Page, full: FullAt) -> tuple[int, Opening]:
        """Returns where a full page ends in its source, and the opening of the next page.

        It reads no text beyond the point where the page is known to be full, so that deltas make no difference. The
        exception is one character where the page is full of characters: it may belong to the last grapheme.
        """
        shown, shift = page.shown(full.known_at)
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
            # The page is full of blocks, most of which are in its first half.
            best = early
        return best or _break_within_line(page, full.line_start)

    def _longest_fit(self, page: Page) -> int:
        """Returns the length of the longest beginning of the page's source that fits."""
        low, high = 1, min(len(page.source) - 1, self.limit_chars)
        while low < high:
            middle = (low + high + 1) // 2
            if self._left_after(page, middle) >= 0:
                low = middle
            else:
                high = middle - 1
        return low


def _break_within_line(page: Page, full: int) -> tuple[int, Opening]:
    beginning = page.source[: full + 1]
    end = _last_sentence_end(beginning) or _last_grapheme_end(beginning)
    shown, shift = page.shown(full + 1)
    outline = Outline(shown)
    line = next(line for line in outline.lines() if end <= line.end - shift)
    return end, outline.opening() if end == line.start - shift else outline.opening_within_line()


def _last_sentence_end(text: str) -> int:
    """Returns the last end of a sentence, or else of a word, in the second half of a text; 0 if there is none.

    The text is a full page and one character, which belongs to the next page unless it is part of a grapheme.
    """
    full = len(text) - 1
    for pattern in (_SENTENCE_END, _SPACE):
        ends = [match.end() for match in pattern.finditer(text, full // 2, full)]
        for end in reversed(ends):
            # A space and a joiner or accent behind it are one grapheme.
            if _grapheme_starts(text[end - 1 : end + 1])[-1] == 1:
                return end
    return 0


def _last_grapheme_end(text: str) -> int:
    """Returns where the last whole grapheme before the last character ends. A grapheme longer than a page is cut."""
    return _grapheme_starts(text)[-1] or len(text) - 1


def _grapheme_starts(text: str) -> list[int]:
    # Imported here because its tables take memory, and few answers have a line of half a page.
    import regex

    return [match.start() for match in regex.finditer(r"\X", text)]


def steps_of(markdown: str, international: int) -> int:
    """Returns about how many steps it takes to parse and render a source with so many `international_chars`."""
    urls = URL_STEPS * markdown.count("//") + HOST_STEPS * international
    return LINE_STEPS * markdown.count("\n") + sum(markdown.count(mark) for mark in MARKS) + urls


def _byte_count(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
