"""Headings and tables that are too large for Slack's `header` and `table` blocks.

A heading that is too long becomes a bold paragraph, and a table that is too wide or too long becomes code. A long
paragraph with an underline stays a plain paragraph: a model that writes one most likely means a thematic break, and
what a native stream has shown of the paragraph stays.
"""

import re
from dataclasses import dataclass

from bot.core.reply.markdown.block_parser import LeafBlock, LeafKind
from bot.core.reply.markdown.escaping import fence_for
from bot.core.reply.markdown.extent import HEADING_CHARS, counted_chars, is_wide
from bot.core.reply.markdown.replacement import Replacement

MAX_TABLE_CHARS = 10_000
"""The most characters that Slack takes in the cells of a message's tables."""

_ATX_MARKER = re.compile(r" {0,3}#{1,6}[ \t]+")
_MARKER_CHAR = re.compile(r"[^>\s]")


@dataclass(frozen=True, slots=True)
class Substitute:
    """What stands before and behind the text of a heading or table, in place of its own marks."""

    opening: Replacement
    closing: Replacement


def oversize_substitute(markdown: str, leaf: LeafBlock) -> Substitute | None:
    """Returns how a heading or table that is too large is sent, or None for any other leaf block."""
    if leaf.kind is LeafKind.HEADING:
        return _paragraph(markdown, leaf)
    return _code(markdown, leaf) if leaf.kind is LeafKind.TABLE else None


def _paragraph(markdown: str, heading: LeafBlock) -> Substitute | None:
    first, last = heading.lines[0], heading.lines[-1]
    marker = _ATX_MARKER.match(markdown, first.content, first.end)
    start, end, heading_end = first.content, last.end, last.end
    if marker:
        start = marker.end()
        end = _without_closing_sequence(markdown, start, last.end)
    else:
        # The underline of a setext heading isn't among its lines.
        heading_end = markdown.find("\n", last.end + 1)
        heading_end = len(markdown) if heading_end < 0 else heading_end
    if counted_chars(markdown[start:end]) <= HEADING_CHARS:
        return None
    blank_line = "\n" + _continuation_prefix(markdown, heading)
    above = markdown.rfind("\n", 0, max(0, first.start - 1)) + 1
    below = markdown.find("\n", heading_end + 1)
    line_above = markdown[above : max(0, first.start - 1)]
    line_below = markdown[heading_end + 1 : below if below >= 0 else len(markdown)]
    before = blank_line if marker and _has_content(line_above) else ""
    after = blank_line if _has_content(line_below) else ""
    bold = "**" if marker and "*" not in markdown[start:end] else ""
    return Substitute(Replacement(first.content, start, before + bold), Replacement(end, heading_end, bold + after))


def _without_closing_sequence(markdown: str, start: int, end: int) -> int:
    """Returns where the text of an ATX heading ends that may have `#` behind it."""
    text = markdown[start:end].rstrip(" \t")
    before = text.rstrip("#")
    return start + len(before.rstrip(" \t") if before.endswith((" ", "\t")) else text)


def _code(markdown: str, table: LeafBlock) -> Substitute | None:
    start, end = table.lines[0].content, table.lines[-1].end
    text = markdown[start:end]
    # A character is counted as five at most, so a short table need not be counted.
    is_long = len(text) > MAX_TABLE_CHARS // 5 and counted_chars(text) > MAX_TABLE_CHARS
    if not is_wide(markdown, table) and not is_long:
        return None
    fence = fence_for(text)
    next_line = "\n" + _continuation_prefix(markdown, table)
    return Substitute(Replacement(start, start, fence + next_line), Replacement(end, end, next_line + fence))


def _continuation_prefix(markdown: str, leaf: LeafBlock) -> str:
    """Returns what further lines of the leaf block begin with, to stay in its list items and quotes."""
    return _MARKER_CHAR.sub(" ", markdown[leaf.lines[0].start : leaf.lines[0].content])


def _has_content(line: str) -> bool:
    return bool(line.strip("> \t"))
