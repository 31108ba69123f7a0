"""Cuts a growing text into pages that fit a Slack message; where one ends depends on the text alone."""

import re
from dataclasses import dataclass, replace

from bot.core.answering.markdown import sent_chars
from bot.core.answering.outline import NOTHING_OPEN, Opening, Outline, Place

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
        self._sure_chars = 0
        """So many fit on the growing page, whatever they are: nothing need be measured before."""

    def append(self, text: str) -> None:
        """The text goes on."""
        page = replace(self.growing, source=self.growing.source + text)
        if len(page.source) > self._sure_chars:
            page = self._measured(page)
        self.growing = page

    def _measured(self, page: Page) -> Page:
        """The growing page, after those that are full."""
        while not self.fits(page.source, page.opening):
            end, opening = self._end(page)
            source = page.source[:end]
            self.full.append(replace(page, source=source))
            page = Page(page.source[end:], self._modest(opening), page.start + end)
        left_chars, left_bytes = self._left(page.source, page.opening)
        self._sure_chars = len(page.source) + min(left_chars, left_bytes) // MOST_SENT
        return page

    def close(self) -> None:
        """The text ends: white space alone is no page."""
        if self.full and not self.growing.source.strip():
            last = self.full.pop()
            self.growing = replace(last, source=last.source + self.growing.source)

    def text(self, page: int = 0) -> str:
        """All that came, from a page on."""
        return "".join(each.source for each in self.full[page:]) + self.growing.source

    def fits(self, source: str, opening: Opening = NOTHING_OPEN) -> bool:
        """Whether a page can hold it."""
        return len(source) <= self.limit_chars and min(self._left(source, opening)) >= 0

    def _left(self, source: str, opening: Opening) -> tuple[int, int]:
        """What a page has left, in characters and in bytes; less than nothing where it is too full."""
        sent = sent_chars(source) + sent_chars(opening.lines + opening.mark)
        return self.limit_chars - sent, self._limit_bytes - (sent - len(source) + _bytes(source))

    def _modest(self, opening: Opening) -> Opening:
        """What would leave too little of a page is left out."""
        return opening if sent_chars(opening.lines + opening.mark) <= self.limit_chars // 4 else NOTHING_OPEN

    def _end(self, page: Page) -> tuple[int, Opening]:
        """Where the page ends, and what opens the next.

        Of what came later than the page can hold one character is looked at: it may belong to a grapheme.
        """
        full = self._most_chars(page)
        shown, before = page.first(full + 1)
        outline, best, best_place = Outline(shown), None, Place.LINE
        for line in outline.lines():
            start, known = line.start - before, line.end - before < full or _LETTER.search(shown, line.start)
            place = outline.place() if known and full // 2 < start <= full else None
            if place is not None and place >= best_place:
                best, best_place = (start, outline.opening()), place
        return best or _end_in_a_line(page, full)

    def _most_chars(self, page: Page) -> int:
        """The longest part that fits, in characters."""
        low, high = 1, min(len(page.source) - 1, self.limit_chars)
        while low < high:
            middle = (low + high + 1) // 2
            if self.fits(page.source[:middle], page.opening):
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
