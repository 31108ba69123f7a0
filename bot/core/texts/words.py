"""Phrases that several features share: numbers, times, lists."""

from collections.abc import Sequence
from typing import NamedTuple


class CardWords(NamedTuple):
    running: str
    """Shown while the approved call runs, or "" to show the tool's title. Begins with a verb that ends in -ing."""
    undone: str
    """The beginning of sentences about a card that was declined or expired."""
    reminder_end: str
    """The end of a reminder to decide."""
    about: str = ""
    """The subject of a card that Slack can't show, or "" if its question includes the subject."""
    replied_instead: str = ""
    """Reports that the asker wrote a message instead, which ends the answer, or "" to use `undone`."""


_QUERY_CHARS = 80


def one_line_excerpt(text: str) -> str:
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words[: _QUERY_CHARS - 1].rstrip() if len(words) > _QUERY_CHARS else words


def web_query_text(query: str) -> str:
    words = one_line_excerpt(query)
    return f"the web: {words}…" if words else "the web…"


def count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}" if number else ""


def listed(parts: Sequence[str], conjunction: str = "and") -> str:
    return f" {conjunction} ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def sentence_case(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
