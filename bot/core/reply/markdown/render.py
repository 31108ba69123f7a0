"""The rendering of a page for Slack's `markdown` block: safe, honest about links, and well-formed while it grows.

Slack translates the block's Markdown into other blocks and shows those. So rendering changes little: it applies the
replacements of `inline_parser.py` to all text, and of `escaping.py` to all code.

A page that grows is rendered again for each edit, and each of these frames must look like a beginning of the final one.
A reader should never see a list that turns into a heading, or Markdown's marks instead of their effect. Two means serve
that:

- Closing for show: a fence or emphasis that is open at the end is closed.
- Holding back: what may still become something else isn't sent yet. That can be the end of a paragraph (half a link),
  its last line (`-`, or a row that needs the next line to be a table), or the line of a fence.

When a line is held back, the text before it is rendered in its place as the end of the page. That may hold back another
line, unless the line behind that one is complete. So the end of a page is parsed four times at most.

An edit should cost what the newest text costs, not what the page costs. So the page is split at blank lines into
segments that can be parsed apart. All segments but the last are complete, and their rendering is cached.
"""

import re
from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from bot.core.reply.markdown import slack_files
from bot.core.reply.markdown.bare_urls import MAX_ADDED_CHARS, MAYBE_CHANGED, international_chars
from bot.core.reply.markdown.block_parser import (
    CELL_END,
    DEFINITION_START,
    BlockStructure,
    LeafBlock,
    LeafKind,
    SourceLine,
    definitions_end,
    is_ambiguous,
    parse_blocks,
    text_of,
)
from bot.core.reply.markdown.emphasis import CJK
from bot.core.reply.markdown.escaping import escape_code
from bot.core.reply.markdown.inline_parser import (
    MAX_CONSTRUCT_CHARS,
    LinkDestinations,
    normalized_label,
    parse_inlines,
)
from bot.core.reply.markdown.oversize import oversize_substitute
from bot.core.reply.markdown.replacement import Replacement, with_replacements

DROPPED = re.compile(r"\r(?=\n)|[\u202d\u202e]")
"""Matches invisible characters. U+202D and U+202E would make a label read backwards, as another host than it names."""
_NEEDS_PARSING = re.compile(rf"<|\]\(|\]\[|!\[|\]:|{MAYBE_CHANGED}|(?i:{slack_files.MAYBE})")
_EMPHASIS_BESIDE_CJK = re.compile(rf"\*{CJK.pattern}|{CJK.pattern}\*")
DEFINITION = re.compile(r"(?<!\\)\[((?:[^\[\]\\]|\\.)+)\]:\s*(?:<([^<>\n]*)>|(\S+))", re.DOTALL)
"""Matches more than CommonMark's definitions: a destination too many only makes more links deceptive."""
_SEGMENT_START = re.compile(r"(?<=\n\n)(?=\S)")
_INCOMPLETE_TASK_MARKER = re.compile(r"\[[ xX]?\]?$")
MAYBE_DELIMITER_ROW = re.compile(r"[|: \t-]*$")


@dataclass(frozen=True, eq=False, slots=True)
class LinkDefinitions:
    """A page's link reference definitions, and the files that it may link.

    Equal definitions are the same object, so that the caches below compare and hash by identity.
    """

    destinations: LinkDestinations
    open_files: frozenset[str] = frozenset()
    """Ids of Slack's files whose addresses may be links."""


NO_DEFINITIONS = LinkDefinitions({})


def sent_chars(markdown: str, international: int | None = None) -> int:
    """Returns the most characters that a page's source can have once it is sent, without what is closed for show.

    `international`: its `international_chars`, if they are counted already.
    """
    international = international_chars(markdown) if international is None else international
    escaped = 3 * markdown.count("<") + 4 * markdown.count("&") + 3 * markdown.count("@")
    return len(markdown) + escaped + markdown.count("*") + MAX_ADDED_CHARS * international


def rendered(markdown: str, *, growing: bool, open_files: frozenset[str] = frozenset()) -> str:
    """Returns the Markdown to send for a page's source.

    `growing`: the page may continue, so its end is closed for show or held back.
    `open_files`: the ids of Slack's files whose addresses may be links, because all readers may open them.
    """
    markdown = DROPPED.sub("", markdown)
    definitions = _link_definitions(markdown, open_files)
    *complete, last = segments(markdown)
    parts, open_fence = [], ""
    for segment in complete:
        text, open_fence = render_complete(segment, open_fence, definitions)
        parts.append(text)
    text, closing = _render_last(last, open_fence, definitions, growing=growing)
    return "".join([*parts, text]).rstrip() + closing


def segments(markdown: str) -> list[str]:
    """Splits a source at the blank lines before unindented lines, where no block but fenced code continues."""
    return _SEGMENT_START.split(markdown)


@lru_cache(maxsize=1024)
def render_complete(segment: str, open_fence: str, definitions: LinkDefinitions) -> tuple[str, str]:
    """Returns a segment that another follows, rendered, and the fence that is open behind it.

    `open_fence`: the fence that is open before it.
    """
    blocks = parse_blocks(segment, last_line_incomplete=False, open_fence=open_fence)
    code = blocks.open_leaf
    # Fenced code in a list item or quote ends with that container, so it isn't open in the next segment.
    is_outside_containers = code is not None and code.closing == code.fence
    fence_after = code.fence if code and is_outside_containers else ""
    return with_replacements(segment, replacements_of(segment, blocks.leaf_blocks, definitions)), fence_after


def _render_last(segment: str, open_fence: str, definitions: LinkDefinitions, *, growing: bool) -> tuple[str, str]:
    """Returns the page's last segment, rendered, and what closes it for show."""
    held_back = ""
    while growing:
        incomplete = not segment.endswith("\n")
        blocks = parse_blocks(segment, last_line_incomplete=incomplete, open_fence=open_fence)
        held_from = first_held_line(segment, blocks, held_back, incomplete=incomplete)
        if held_from is None:
            shown = _render_growing(segment, blocks, definitions, incomplete=incomplete)
            if isinstance(shown, tuple):
                return shown
            if held_back:
                break
            held_from = shown
        if not held_from:
            return "", open_fence and f"\n{open_fence}"
        held_back, segment = segment[held_from:], segment[:held_from]
    blocks = parse_blocks(segment, last_line_incomplete=False, open_fence=open_fence)
    replacements = replacements_of(segment, blocks.leaf_blocks, definitions)
    return with_replacements(segment.rstrip(), replacements), _closing_fence(blocks.open_leaf)


def _render_growing(
    segment: str, blocks: BlockStructure, definitions: LinkDefinitions, *, incomplete: bool
) -> tuple[str, str] | int:
    """Returns a growing segment, rendered, and what closes it; or the start of a line that must be held back whole."""
    growing_lines = _growing_text(segment, blocks, incomplete=incomplete)
    leaf_blocks = blocks.leaf_blocks
    is_read_below = growing_lines is not None and growing_lines is leaf_blocks[-1].lines
    replacements = replacements_of(segment, leaf_blocks[:-1] if is_read_below else leaf_blocks, definitions)
    end = len(segment)
    closing = _closing_fence(blocks.open_leaf)
    if growing_lines:
        leaf = leaf_blocks[-1]
        text = text_of(segment, growing_lines) + ("" if incomplete else "\n")
        start = definitions_end(text) if leaf.kind is LeafKind.PARAGRAPH else 0
        inlines = parse_inlines(
            text, definitions.destinations, growing=True, start=start, open_files=definitions.open_files
        )
        end = source_offsets(growing_lines, [inlines.shown_end])[0]
        closing = inlines.closing
        last_shown = next(line for line in reversed(leaf.lines) if line.content <= end or line is leaf.lines[0])
        if end < growing_lines[-1].end and is_ambiguous(segment[last_shown.content : end]):
            # The rest of the line could be read as another block.
            return last_shown.start
        before = [replacement for replacement in replacements if replacement.start < growing_lines[0].content]
        replacements = before + in_source(growing_lines, inlines.replacements)
        substitute = oversize_substitute(segment, leaf)
        if substitute and substitute.opening.end < end:
            replacements = sorted([*replacements, substitute.opening])
            closing += substitute.closing.text
    return with_replacements(segment[:end].rstrip(), replacements), closing


def first_held_line(markdown: str, blocks: BlockStructure, held_back: str, *, incomplete: bool) -> int | None:
    """Returns the offset of the first line that is held back, because the next line says what it is.

    `held_back`: the text behind the source, which is held back already.
    """
    next_line, is_complete, _ = held_back.partition("\n")
    is_decided = bool(is_complete or (next_line and not MAYBE_DELIMITER_ROW.match(next_line.strip())))
    leaf = blocks.open_leaf
    if blocks.ambiguous_line is not None or leaf is None:
        return blocks.ambiguous_line
    last = leaf.lines[-1]
    content = markdown[last.content : last.end].strip()
    if leaf.kind is LeafKind.FENCED_CODE:
        has_code = is_complete or markdown[leaf.lines[0].end :].strip()
        return None if has_code else leaf.lines[0].start
    if leaf.kind is not LeafKind.PARAGRAPH:
        return None
    above = leaf.lines[-2] if len(leaf.lines) > 1 else None
    if content.startswith("|") and not is_decided:
        return last.start
    if incomplete and above and markdown.startswith("|", above.content) and MAYBE_DELIMITER_ROW.match(content):
        return above.start
    follows_definition = above is None or DEFINITION_START.match(markdown, above.content, above.end)
    if incomplete and DEFINITION_START.match(content) and follows_definition:
        return last.start
    is_in_item = last.content > last.start
    return last.start if incomplete and is_in_item and _INCOMPLETE_TASK_MARKER.match(content) else None


def _growing_text(markdown: str, blocks: BlockStructure, *, incomplete: bool) -> list[SourceLine] | None:
    """Returns the lines of the text that grows: a paragraph, a heading, or a table's last cell. None in code."""
    leaf = blocks.leaf_blocks[-1] if blocks.leaf_blocks else None
    if leaf is None or (leaf is not blocks.open_leaf and not (incomplete and leaf.lines[-1].end == len(markdown))):
        return None
    line = leaf.lines[-1]
    if leaf.kind is LeafKind.TABLE and oversize_substitute(markdown, leaf):
        return None
    if leaf.kind is LeafKind.TABLE and incomplete:
        cell_ends = [cell.end() for cell in CELL_END.finditer(markdown, line.content, line.end)]
        return [SourceLine(line.start, cell_ends[-1] if cell_ends else line.content, line.end)]
    return leaf.lines if leaf.kind in (LeafKind.PARAGRAPH, LeafKind.HEADING) else None


def _closing_fence(leaf: LeafBlock | None) -> str:
    return f"\n{leaf.closing}" if leaf and leaf.kind is LeafKind.FENCED_CODE else ""


def _link_definitions(markdown: str, open_files: frozenset[str]) -> LinkDefinitions:
    """Returns the destinations that the page's reference labels may have."""
    if "]:" not in markdown and not open_files:
        return NO_DEFINITIONS
    definitions = DEFINITION.finditer(markdown)
    return _shared_definitions(tuple((match[1], match[2] or match[3] or "") for match in definitions), open_files)


@lru_cache(maxsize=256)
def _shared_definitions(definitions: tuple[tuple[str, str], ...], open_files: frozenset[str]) -> LinkDefinitions:
    destinations: dict[str, list[str]] = {}
    for label, destination in dict.fromkeys(definitions):
        destinations.setdefault(normalized_label(label), []).append(destination)
    return LinkDefinitions(destinations, open_files)


def replacements_of(markdown: str, leaf_blocks: Iterable[LeafBlock], definitions: LinkDefinitions) -> list[Replacement]:
    """Returns the replacements in leaf blocks that are complete."""
    # A label alone is a link if it is defined anywhere in the page.
    needs_parsing = _needs_parsing(markdown) or (bool(definitions.destinations) and "[" in markdown)
    replacements: list[Replacement] = []
    for leaf in leaf_blocks:
        substitute = oversize_substitute(markdown, leaf)
        replacements += [substitute.opening, substitute.closing] if substitute else []
        is_code = leaf.kind in (LeafKind.INDENTED_CODE, LeafKind.FENCED_CODE)
        if is_code or (leaf.kind is LeafKind.TABLE and substitute):
            replacements += escape_code(markdown, leaf.lines[0].start, leaf.lines[-1].end) if needs_parsing else ()
            continue
        texts = [[line] for line in leaf.lines] if leaf.kind is LeafKind.TABLE else [leaf.lines]
        for lines in texts if needs_parsing else []:
            text = text_of(markdown, lines)
            if _needs_parsing(text) or (definitions.destinations and "[" in text):
                start = definitions_end(text) if leaf.kind is LeafKind.PARAGRAPH else 0
                replacements += in_source(lines, _inline_replacements(text, start, definitions))
    return sorted(replacements)


def _needs_parsing(text: str) -> bool:
    """Whether a text may contain anything that is replaced. Most text doesn't, and this is quick to find out."""
    if (len(text) > MAX_CONSTRUCT_CHARS and "`" in text) or ("*" in text and "://" in text):
        return True
    return bool(_NEEDS_PARSING.search(text)) or (not text.isascii() and bool(_EMPHASIS_BESIDE_CJK.search(text)))


@lru_cache(maxsize=512)
def _inline_replacements(text: str, start: int, definitions: LinkDefinitions) -> tuple[Replacement, ...]:
    inlines = parse_inlines(
        text, definitions.destinations, growing=False, start=start, open_files=definitions.open_files
    )
    return tuple(inlines.replacements)


def source_offsets(lines: Sequence[SourceLine], offsets: Iterable[int]) -> list[int]:
    """Converts offsets in the text of lines to offsets in the source."""
    line_starts = list(accumulate((line.end - line.content + 1 for line in lines[:-1]), initial=0))
    places = ((bisect(line_starts, offset) - 1, offset) for offset in offsets)
    return [min(lines[row].content + offset - line_starts[row], lines[row].end) for row, offset in places]


def in_source(lines: Sequence[SourceLine], replacements: Iterable[Replacement]) -> list[Replacement]:
    """Converts replacements in the text of lines to replacements in the source."""
    replacements = list(replacements)
    starts = source_offsets(lines, [replacement.start for replacement in replacements])
    ends = source_offsets(lines, [replacement.end for replacement in replacements])
    return [
        Replacement(start, end, replacement.text)
        for start, end, replacement in zip(starts, ends, replacements, strict=True)
    ]
