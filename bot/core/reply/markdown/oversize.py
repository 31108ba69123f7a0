"""Headings and tables that are too large for Slack's `header` and `table`: a bold paragraph and code instead."""

import re
from dataclasses import dataclass

from bot.core.reply.extent import HEADING_CHARS, counted_chars, is_wide
from bot.core.reply.markdown.block_parser import BlockKind, Leaf
from bot.core.reply.markdown.escaping import Edit

MOST_CELL_CHARS = 10_000

_MARKS = re.compile(r" {0,3}#{1,6}[ \t]+")
_CLOSING_MARKS = re.compile(r"(?:[ \t]+#+)?[ \t]*$")
_MARKER = re.compile(r"[^>\s]")
_TICKS = re.compile(r"`+")


@dataclass(frozen=True, slots=True)
class Wrapped:
    """What stands around a heading's or table's text, in place of what makes it one."""

    opening: Edit
    closing: Edit


def wrapped(markdown: str, leaf: Leaf) -> Wrapped | None:
    """How a heading or table is sent that is too large; None for all else."""
    if leaf.kind is BlockKind.HEADING:
        return _heading(markdown, leaf)
    return _table(markdown, leaf) if leaf.kind is BlockKind.TABLE else None


def _heading(markdown: str, leaf: Leaf) -> Wrapped | None:
    first, last = leaf.lines[0], leaf.lines[-1]
    marks = _MARKS.match(markdown, first.content, first.end)
    start = marks.end() if marks else first.content
    closing_marks = _CLOSING_MARKS.search(markdown, start, last.end) if marks else None
    end = closing_marks.start() if closing_marks else last.end
    if counted_chars(markdown[start:end]) <= HEADING_CHARS:
        return None
    line_end = last.end
    if marks is None:
        # What underlines it.
        line_end = markdown.find("\n", last.end + 1)
        line_end = len(markdown) if line_end < 0 else line_end
    bold = "" if "*" in markdown[start:end] else "**"
    margin = "\n" + _margin(markdown, leaf)
    before = margin if first.start and _says(markdown[: first.start - 1].rpartition("\n")[2]) else ""
    after = margin if _says(markdown[line_end + 1 :].partition("\n")[0]) else ""
    return Wrapped(Edit(first.content, start, before + bold), Edit(end, line_end, bold + after))


def _table(markdown: str, leaf: Leaf) -> Wrapped | None:
    start, end = leaf.lines[0].content, leaf.lines[-1].end
    text = markdown[start:end]
    if not is_wide(markdown, leaf) and (len(text) <= MOST_CELL_CHARS // 5 or counted_chars(text) <= MOST_CELL_CHARS):
        return None
    fence = "`" * max(3, *(len(ticks) + 1 for ticks in _TICKS.findall(text)), 0)
    margin = "\n" + _margin(markdown, leaf)
    return Wrapped(Edit(start, start, fence + margin), Edit(end, end, margin + fence))


def _margin(markdown: str, leaf: Leaf) -> str:
    """What its further lines begin with, in the lists and quotes that it is in."""
    return _MARKER.sub(" ", markdown[leaf.lines[0].start : leaf.lines[0].content])


def _says(line: str) -> bool:
    return bool(line.strip("> \t"))
