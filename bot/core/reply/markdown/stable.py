"""What of a growing page can be appended to a native stream: the beginning that no later text takes back.

An edit shows a page as it looks so far, and the next edit may show it otherwise. What was appended to a stream stays.
So of a page's rendering (`render.py`) only that part is appended in which nothing is undecided:

- nothing is closed for show: Slack reads code to its end, and bold until it is closed;
- a construct that is open is held back, because its end may change how it is sent: half a link, half an image, `*`
  without its partner, code within a line, half an entity, `<`;
- lines are held back whose next line says what they are, as for edits; headings, and the last row of a table, until
  they are complete; a table that is sent as code, until it ends;
- so are the last word and white space at the end.

Three things can still change what was appended, and the page is edited then: link reference definitions, an underline
that makes a heading of a paragraph that is too long for one, and a construct that is open for more than
`MAX_UNDECIDED_CHARS`.
"""

import re

from bot.core.reply.markdown.block_parser import LeafBlock, LeafKind, is_ambiguous, parse_blocks
from bot.core.reply.markdown.inline_parser import parse_inlines
from bot.core.reply.markdown.oversize import oversize_substitute
from bot.core.reply.markdown.render import (
    DEFINITION,
    DROPPED,
    MAYBE_DELIMITER_ROW,
    NO_DEFINITIONS,
    first_held_line,
    in_source,
    render_complete,
    replacements_of,
    segments,
    source_offsets,
    text_of,
)
from bot.core.reply.markdown.replacement import Replacement, with_replacements

_LAST_WORD = re.compile(r"[!-~]+\Z")


def stable_prefix(markdown: str) -> str:
    """Returns the beginning of what is sent for a growing page's source that no later text changes."""
    markdown = DROPPED.sub("", markdown.rstrip("\r"))
    if definition := DEFINITION.search(markdown):
        markdown = markdown[: definition.start()]
    *complete, last = segments(markdown)
    parts, open_fence = [], ""
    for segment in complete:
        text, open_fence = render_complete(segment, open_fence, NO_DEFINITIONS)
        parts.append(text)
    return "".join([*parts, _stable_part(last, open_fence)]).rstrip()


def has_definitions(markdown: str) -> bool:
    """Returns whether a page has what may be a link reference definition, which changes what was sent before it."""
    return "]:" in markdown and bool(DEFINITION.search(markdown))


def _stable_part(segment: str, open_fence: str, held_back: str | None = None) -> str:
    """Returns the stable beginning of the page's last segment; `held_back`: lines behind it that are held back."""
    incomplete = not segment.endswith("\n")
    blocks = parse_blocks(segment, last_line_incomplete=incomplete, open_fence=open_fence)
    is_decided = held_back is not None and not MAYBE_DELIMITER_ROW.match(held_back.strip())
    held_from = first_held_line(segment, blocks, incomplete=incomplete, is_decided=is_decided)
    if held_from is not None:
        return _stable_part(segment[:held_from], open_fence, segment[held_from:]) if held_from else ""
    replacements = replacements_of(segment, blocks.leaf_blocks, NO_DEFINITIONS)
    leaf, end = blocks.leaf_blocks[-1] if blocks.leaf_blocks else None, len(segment)
    if leaf and (leaf is blocks.open_leaf or (incomplete and leaf.lines[-1].end == end)):
        if leaf.kind is LeafKind.PARAGRAPH:
            end, inner = _stable_text(segment, leaf, incomplete=incomplete)
            replacements = [span for span in replacements if span.start < leaf.lines[0].content] + inner
        else:
            end = _stable_end(segment, leaf, incomplete=incomplete)
    if end == len(segment) and (word := _LAST_WORD.search(segment)):
        end = word.start()
    shown = segment[:end].rstrip()
    # What is inserted exactly at the end may belong to what follows.
    return with_replacements(
        shown, [span for span in replacements if span.start < span.end <= len(shown) or span.end < len(shown)]
    )


def _stable_text(segment: str, leaf: LeafBlock, *, incomplete: bool) -> tuple[int, list[Replacement]]:
    """Returns where the stable part of a paragraph ends, and the paragraph's replacements."""
    text = text_of(segment, leaf.lines) + "\n" * (not incomplete)
    inlines = parse_inlines(text, NO_DEFINITIONS.destinations, growing=True)
    end = source_offsets(leaf.lines, [inlines.decided_end])[0]
    line = next(line for line in reversed(leaf.lines) if line.content <= end or line is leaf.lines[0])
    if end < leaf.lines[-1].end and is_ambiguous(segment[line.content : end]):
        end = line.start
    return end, in_source(leaf.lines, inlines.replacements)


def _stable_end(segment: str, leaf: LeafBlock, *, incomplete: bool) -> int:
    """Returns where the stable part of a growing leaf block ends that isn't a paragraph."""
    match leaf.kind:
        case LeafKind.HEADING:
            return leaf.lines[0].start
        case LeafKind.TABLE if oversize_substitute(segment, leaf):
            return leaf.lines[0].start
        case LeafKind.TABLE if incomplete:
            return leaf.lines[-1].start
    return len(segment)
