"""Cuts a growing text into pages that fit a Slack message; where one ends depends on the text alone."""

from bot.core.markdown import sent_chars

PAGE_CHARS = 11_800
"""A message's markdown blocks hold 12,000 characters in sum; what is sent stays below it."""


def page_end(text: str, limit_chars: int = PAGE_CHARS) -> int | None:
    """Where the first page of `text` ends; None while all of it still fits.

    At a line's end in the page's second half, else at a space there, else where the page is full.
    """
    if sent_chars(text) <= limit_chars:
        return None
    full = _fitting_chars(text, limit_chars)
    for mark in ("\n", " "):
        cut = text.rfind(mark, full // 2, full)
        if cut >= 0:
            return cut + 1
    return full


def _fitting_chars(text: str, limit_chars: int) -> int:
    """The longest prefix that fits, in characters."""
    low, high = 1, min(len(text), limit_chars)
    while low < high:
        middle = (low + high + 1) // 2
        if sent_chars(text[:middle]) <= limit_chars:
            low = middle
        else:
            high = middle - 1
    return low
