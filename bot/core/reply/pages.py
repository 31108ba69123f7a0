"""Cuts a growing text into pages that fit a Slack message; where one ends depends on the text alone."""

import re
from dataclasses import dataclass, replace

from bot.core.reply.extent import BLOCK_CHARS, Extent, Full
from bot.core.reply.markdown.render import sent_chars
from bot.core.reply.page_breaks import NOTHING_OPEN, Opening, Outline, Place

PAGE_CHARS = 11_800
"""A message's markdown blocks hold 12,000 characters in sum; what is sent stays below it."""
PAGE_BYTES = 39_000
"""In UTF-8. chat.postMessage cuts at 40,000, and whether Slack counts characters or bytes there is not on record."""
MOST_SENT = 5
"""No character is sent as more characters (see sent_chars), nor as more bytes."""

_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]*_]*[ \t]+|[。！？]")
_SPACE = re.compile(r"[ \t]+")
_LETTER = re.compile(r"[^\W\d_]")
"""What a line begins is known once there is one, or the line is whole."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page's part of the text, and what it shows before it."""

    source: str = ""
    opening: Opening = NOTHING_OPEN
    start: int = 0
    """Where in the text, in characters, its part begins."""

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.source)

    @property
    def markdown(self) -> str:
        """What the page shows."""
        return self.first(len(self.source))[0]

    def first(self, chars: int) -> tuple[str, int]:
        """What it shows of its first characters, and by how much these are farther on there."""
        opening = self.opening
        before = opening.lines + opening.mark
        return before + self.source[len(opening.instead_of) : chars], len(before) - len(opening.instead_of)


FIRST_PAGE = Page()


class Pages:
    """A text as pages: told what came, says which pages are full. A full page never changes.

    `first`: how the first page begins.
    """

    def __init__(self, limit_chars: int = PAGE_CHARS, limit_bytes: int = PAGE_BYTES, first: Page = FIRST_PAGE) -> None:
        self.limit_chars = limit_chars
        self._limit_bytes = limit_bytes
        self.full: list[Page] = []
        self.growing = first
        self._extent = Extent()
        self._sure_chars = 0
        """So many fit on the growing page, whatever they are: nothing need be measured before."""

    def append(self, text: str) -> None:
        """The text goes on."""
        page = replace(self.growing, source=self.growing.source + text)
        # Blocks are counted in whole lines.
        if len(page.source) > self._sure_chars or "\n" in text:
            page = self._measured(page)
        self.growing = page

    def _measured(self, page: Page, *, ended: bool = False) -> Page:
        """The growing page, after those that are full; `ended`: its last line is complete."""
        while full := self._full(page, ended=ended):
            end, opening = self._end(page, full)
            self.full.append(replace(page, source=page.source[:end]))
            page = Page(page.source[end:], self._modest(opening), page.start + end)
            self._extent, self._sure_chars = Extent(), 0
        return page

    def _full(self, page: Page, *, ended: bool) -> Full | None:
        """Where the page is full, in its source; None while all of it fits.

        That is where the first of the limits is met as the text comes, so that it does not depend on how it comes.
        """
        size = len(page.source)
        shown, before = page.first(min(size, self.limit_chars + 1))
        self._extent.read(shown + "\n" * (ended and len(shown) == size + before))
        chars = size
        if size > self._sure_chars:
            left = self._left_of(page, size)
            chars = size if left >= 0 else self._most_chars(page)
            self._sure_chars = size + max(left, 0) // MOST_SENT
        full = self._extent.full
        if full and full.at > before and full.known - before <= chars + ended:
            return Full(full.at - before, full.known - before)
        return None if chars == size else Full(chars, chars + 1)

    def close(self) -> None:
        """The text ends: white space alone is no page."""
        self.growing = self._measured(self.growing, ended=not self.growing.source.endswith("\n"))
        if self.full and not self.growing.source.strip():
            last = self.full.pop()
            self.growing = replace(last, source=last.source + self.growing.source)

    def text(self, page: int = 0) -> str:
        """All that came, from a page on."""
        return "".join(each.source for each in self.full[page:]) + self.growing.source

    def fits(self, source: str, opening: Opening = NOTHING_OPEN) -> bool:
        """Whether a page can hold it."""
        return self._left(source, opening) >= 0

    def _left(self, source: str, opening: Opening, header_chars: int = 0) -> int:
        """What a page has left, in characters or bytes, the scarcer; less than nothing where it is too full."""
        if len(source) > self.limit_chars:
            return -1
        sent = sent_chars(source) + sent_chars(opening.lines + opening.mark)
        counted = sent + 3 * source.count(">") + header_chars
        return min(
            self.limit_chars - sent, BLOCK_CHARS - counted, self._limit_bytes - (sent - len(source) + _bytes(source))
        )

    def _left_of(self, page: Page, chars: int) -> int:
        """What the page has left after its first characters."""
        before = len(page.opening.lines + page.opening.mark) - len(page.opening.instead_of)
        return self._left(page.source[:chars], page.opening, self._extent.header_chars(before + chars))

    def _modest(self, opening: Opening) -> Opening:
        """What would leave too little of a page is left out."""
        return opening if sent_chars(opening.lines + opening.mark) <= self.limit_chars // 4 else NOTHING_OPEN

    def _end(self, page: Page, full: Full) -> tuple[int, Opening]:
        """Where the page ends, and what opens the next.

        Of what came later than is known to be too much nothing is looked at but one character where the page is full
        of them: it may belong to a grapheme.
        """
        shown, before = page.first(full.known)
        outline, best, best_place = Outline(shown), None, Place.LINE
        early: tuple[int, Opening] | None = None
        for line in outline.lines():
            start = line.start - before
            if start > full.at:
                break
            known = line.end - before < full.known or _LETTER.search(shown, line.start)
            place = outline.place() if known and start > 0 else None
            if place is not None and start > full.at // 2 and place >= best_place:
                best, best_place = (start, outline.opening()), place
            elif (place is not None and start <= full.at // 2) or start == full.at:
                early = (start, outline.opening())
        if best is None and full.known > full.at + 1:
            # There are blocks enough in the first half.
            best = early
        return best or _end_in_a_line(page, full.at)

    def _most_chars(self, page: Page) -> int:
        """The longest part that fits, in characters."""
        low, high = 1, min(len(page.source) - 1, self.limit_chars)
        while low < high:
            middle = (low + high + 1) // 2
            if self._left_of(page, middle) >= 0:
                low = middle
            else:
                high = middle - 1
        return low


def _end_in_a_line(page: Page, full: int) -> tuple[int, Opening]:
    window = page.source[: full + 1]
    end = _sentence_end(window) or _grapheme_end(window)
    shown, before = page.first(full + 1)
    outline = Outline(shown)
    line = next(line for line in outline.lines() if end <= line.end - before)
    return end, outline.opening() if end == line.start - before else outline.inside()


def _sentence_end(window: str) -> int:
    """The last end of a sentence, or else of a word, in the second half; 0 where there is none."""
    full = len(window) - 1
    for pattern in (_SENTENCE_END, _SPACE):
        ends = [found.end() for found in pattern.finditer(window, full // 2, full)]
        for end in reversed(ends):
            # A space with a joiner or an accent after it is one grapheme with that.
            if _graphemes(window[end - 1 : end + 1])[-1] == 1:
                return end
    return 0


def _grapheme_end(window: str) -> int:
    """Where the last whole grapheme ends; one that is longer than a page is cut."""
    return _graphemes(window)[-1] or len(window) - 1


def _graphemes(text: str) -> list[int]:
    """Where each begins."""
    # Its tables take memory, and few answers have a line of half a page.
    import regex

    return [found.start() for found in regex.finditer(r"\X", text)]


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
