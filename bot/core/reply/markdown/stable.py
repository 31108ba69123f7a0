"""What of a growing page can be appended to a native stream: the beginning that no later text takes back.

An edit shows a page as it looks so far, and the next edit may show it otherwise. What was appended to a stream stays.
So appended is only what is known to be final. The page is read forward once, and cut where that ends:

- **Blocks.** The block parser reads line by line. A later line changes only a block at the end of what was read: it may
  turn a paragraph's last line into a table's header. A complete line of code is final. So is a heading or thematic
  break, a row of a table that has a complete row, and any block that another follows. A heading or table that is sent
  as something else, because it is too large for Slack, is final once another block follows.
- **Text.** In a paragraph the inline parser reads forward too, and whole words are final up to the first construct that
  is open: a link without its end, `*` without its partner, half a code span. Nothing else that is sent differently from
  the source reaches back behind its own first character, and no construct that is open for more than
  `MAX_CONSTRUCT_CHARS` is sent differently (`decided_inlines`).
- **A line that may become a table's header** is read alone then, and as a part of its paragraph now. Both are the same
  if nothing is open where it begins; otherwise the line waits. A line that begins with `|` always waits, because a
  table may be sent as code.

Two things can still change what was appended, and the page is edited then: a link reference definition, and a table
that is too wide or too long for Slack and whose header doesn't begin with `|`.
"""

import re

from bot.core.reply.markdown.block_parser import (
    BlockStructure,
    LeafBlock,
    LeafKind,
    SourceLine,
    is_ambiguous,
    parse_blocks,
    text_of,
)
from bot.core.reply.markdown.inline_parser import DecidedInlines, decided_inlines
from bot.core.reply.markdown.oversize import oversize_substitute
from bot.core.reply.markdown.render import (
    DEFINITION,
    DROPPED,
    NO_DEFINITIONS,
    in_source,
    render_complete,
    replacements_of,
    segments,
    source_offsets,
)
from bot.core.reply.markdown.replacement import Replacement, with_replacements

_DEFINITION_LINE = re.compile(rf"^[ \t>*+\-\d.)]*{DEFINITION.pattern}", re.DOTALL | re.MULTILINE)
FINAL_TABLE_LINES = 3
"""A table's header, delimiter row and first row. Pages end before a further row makes the table too long."""


def stable_prefix(markdown: str) -> str:
    """Returns the beginning of what is sent for a growing page's source that no later text changes."""
    markdown = DROPPED.sub("", markdown.rstrip("\r"))
    definition = _first_definition(markdown)
    markdown = markdown if definition is None else markdown[:definition]
    *complete, last = segments(markdown)
    parts, open_fence = [], ""
    for segment in complete:
        text, open_fence = render_complete(segment, open_fence, NO_DEFINITIONS)
        parts.append(text)
    return "".join([*parts, _stable_part(last, open_fence)]).rstrip()


def has_definitions(markdown: str) -> bool:
    """Returns whether a page has what may be a link reference definition, which changes what was sent before it.

    What only looks like one counts too: one that is missed would leave a label that hides where it leads.
    """
    return _first_definition(markdown) is not None


def _first_definition(markdown: str) -> int | None:
    """Returns where the line of what may be the first link reference definition begins; None without one.

    Code such as `if x[0]: y` is none, and neither is what stands in the middle of a line.
    """
    if "]:" not in markdown or not _DEFINITION_LINE.search(markdown):
        return None
    at = 0
    for leaf in parse_blocks(markdown, last_line_incomplete=False).leaf_blocks:
        if leaf.kind in (LeafKind.FENCED_CODE, LeafKind.INDENTED_CODE):
            if definition := _DEFINITION_LINE.search(markdown, at, leaf.lines[0].start):
                return definition.start()
            at = leaf.lines[-1].end
    definition = _DEFINITION_LINE.search(markdown, at)
    return definition.start() if definition else None


def _stable_part(segment: str, open_fence: str) -> str:
    """Returns the stable beginning of the page's last segment, as it is sent."""
    incomplete = not segment.endswith("\n")
    blocks = parse_blocks(segment, last_line_incomplete=incomplete, open_fence=open_fence)
    replacements = replacements_of(segment, blocks.leaf_blocks, NO_DEFINITIONS)
    end = segment.rfind("\n") + 1
    if blocks.leaf_blocks:
        last = blocks.leaf_blocks[-1]
        if last.kind is LeafKind.PARAGRAPH and last is blocks.open_leaf:
            end, inner = _stable_text(segment, last, incomplete=incomplete)
            replacements = [span for span in replacements if span.start < last.lines[0].content] + inner
        elif last.kind in (LeafKind.HEADING, LeafKind.TABLE) and not _is_final(segment, blocks, last):
            end = min(end, last.lines[0].start)
    # What is inserted exactly at the end may belong to what follows.
    stable = [span for span in replacements if span.start < span.end <= end or span.end < end]
    return with_replacements(segment, stable, 0, end)


def _is_final(segment: str, blocks: BlockStructure, last: LeafBlock) -> bool:
    """Whether the last heading or table will be sent as itself, or is a table that has ended."""
    if last.kind is LeafKind.TABLE and last is not blocks.open_leaf:
        return True
    is_too_short = last.kind is LeafKind.TABLE and segment.count("\n", last.lines[0].start) < FINAL_TABLE_LINES
    return not is_too_short and oversize_substitute(segment, last) is None


def _stable_text(segment: str, paragraph: LeafBlock, *, incomplete: bool) -> tuple[int, list[Replacement]]:
    """Returns where the stable part of a paragraph that may continue ends, and the replacements in it."""
    lines, last = paragraph.lines, paragraph.lines[-1]
    is_growing = incomplete and last.end == len(segment)
    if not is_growing and "|" not in segment[last.content : last.end]:
        end, _, replacements = _decided(segment, lines, ends_line=True)
    else:
        end, is_open, replacements = _decided(segment, lines[:-1], ends_line=True)
        if not is_open and not segment[last.content : last.end].lstrip().startswith("|"):
            end, _, inner = _decided(segment, [last], ends_line=not is_growing)
            replacements += inner
    line = next((line for line in reversed(lines) if line.content <= end), lines[0])
    # What is left of a line could be read as another block.
    return line.start if is_ambiguous(segment[line.content : end]) else end, replacements


def _decided(segment: str, lines: list[SourceLine], *, ends_line: bool) -> DecidedInlines:
    """Returns the decided inlines of a paragraph's lines, in offsets of the source."""
    if not lines:
        return DecidedInlines(0, False, [])
    end, is_open, replacements = decided_inlines(text_of(segment, lines) + ("\n" if ends_line else ""))
    return DecidedInlines(source_offsets(lines, [end])[0], is_open, in_source(lines, replacements))
