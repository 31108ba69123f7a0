"""Renders a page for Slack's `markdown` block, so that it is safe, honest about links, and well-formed while it grows.

Slack translates the block's Markdown into other blocks, so rendering changes little. It applies the replacements from
`inlines.py` to all text, and the replacements from `escaping.py` to all code. A heading that is too long for Slack's
`header` block becomes a bold paragraph, and a table that is too wide or too long for its `table` block becomes code.

A growing page is rendered again for each edit. Each of these frames must look like the beginning of the final frame.
Readers should never see a list turn into a heading, or see Markdown marks instead of their effect. Two techniques
ensure this:

- Temporary closing: if a fence or emphasis is open at the end of the page, it is closed.
- Holding back: text that might still become something else isn't sent yet, such as half a link at the end of a
  paragraph, the paragraph's last line (`-`, or a possible table header), or a fence line.

When a line is held back, the text before it is rendered as if the page ended there. As a result, the previous line
might be held back, too. The end of a page is parsed at most four times.

The cost of an edit should depend only on the new text. So the page is split at blank lines into segments that can be
parsed separately. All segments except the last one are complete, and their rendering is cached.

**Native streams.** An edit can replace text, but text that was appended to a stream stays. So a stream gets only the
`stable_prefix`, which later text can't change. To find its end, the page is parsed once:

- **Blocks.** A later line can change only the last block: it can turn a paragraph's last line into a table header. The
  following are final: complete lines of code, complete words of a heading (`# …`), thematic breaks, rows of a table
  that has a complete row, and any block that is followed by another block. If a heading or table is too large, it is
  sent in another form, and is final once another block follows.
- **Text.** In a paragraph, complete words are final up to the first open construct: a link without its end, `*` without
  its partner, half a code span. All other replacements affect only text after their own first character. A construct
  that has been open for more than `MAX_CONSTRUCT_CHARS` is sent as written.
- **Possible table headers.** In a table, such a line would be parsed alone. In a paragraph, it is parsed together with
  the lines before it. If no construct is open at its beginning, the result is the same. Otherwise, the line is held
  back. A line that begins with `|` is always held back, because the table might be sent as code.

Three things can still change appended text: a link reference definition, a heading that becomes too long for Slack, and
a table that is too wide or too long and whose header doesn't begin with `|`. In these cases, the page is edited.

**Plain text.** Notifications and screen readers use a message's `text`. While a page grows, this is the page's first
words (`first_words`), and then the whole page (`plain_words`). The text has no Markdown marks and is escaped for mrkdwn
(`mrkdwn`).
"""

import html
import re
from bisect import bisect, bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import Any

import regex

from slack_markdown.blocks import (
    CELL_END,
    DEFINITION_START,
    FOOTNOTE,
    BlockStructure,
    Container,
    LeafBlock,
    LeafKind,
    SourceLine,
    cell_count,
    code_content,
    definitions_end,
    is_ambiguous,
    parse_blocks,
    table_rows,
    text_of,
)
from slack_markdown.dialects import MAX_CONSTRUCT_CHARS, as_markdown, can_be_rewritten, last_cell_start, max_added_chars
from slack_markdown.escaping import JOINER, Replacement, escape_code, fence_for, with_replacements
from slack_markdown.extent import HEADING_CHARS, counted_chars, is_wide
from slack_markdown.formulas import find_displays_with_blank_lines
from slack_markdown.inlines import (
    CJK,
    NAME_OR_GAP,
    PRODUCT,
    DecidedInlines,
    LinkDestinations,
    decided_inlines,
    emphasis_marks,
    normalize_label,
    parse_inlines,
)
from slack_markdown.links import (
    MAX_ADDED_CHARS,
    MAYBE_CHANGED,
    SLACK_DOMAIN,
    WIDE_MARK,
    international_chars,
    without_schemes,
)
from slack_markdown.unfinished import formula_lines, label_words

DROPPED = re.compile(r"\r(?=\n)|[\u202d\u202e]")
"""Matches invisible characters. U+202D and U+202E would reverse a label, so that it seems to show another host."""
_NEEDS_PARSING = re.compile(rf"<|\]\(|\]\[|!\[|\]:|{MAYBE_CHANGED}|(?i:{SLACK_DOMAIN})")
_DOCUMENT_FENCE = re.compile(r"(?<![`~])(`{3,}+|~{3,}+)[ \t]*+(?:markdown|md)", re.IGNORECASE)
"""Matches the fence of code that might be a Markdown document. Such fences are sent twice as long."""
_MARK = re.compile(r"[<&\\\[\]]")
"""Matches whatever `_NEEDS_PARSING` does, except bare URLs and hosts, but faster."""
_EMPHASIS_BESIDE_CJK = re.compile(rf"\*{CJK.pattern}|{CJK.pattern}\*")
_EMPHASIS_BESIDE_MARK = re.compile(
    r"\*(?:(?<=\S(?:[^\w\s*]|_)\*)|(?<=[^\x00-\x7f\w\s]\*))\**\w"
    r"|\*(?<=[^\W_]\*)\**(?:(?:[^\w\s*]|_)\S|[^\x00-\x7f\w\s])"
    r"|(?<![_~])(?:(?<=\S[^\w\s])[_~]{2}|(?<=\S)[_~]{3}|[_~]{4})[_~]*\w"
    r"|[_~](?<=[^\W_][_~])[_~]+(?:[^\w\s]|_)\S"
)
"""Matches emphasis that needs a space between itself and a letter."""
_EMPHASIS_APART = re.compile(
    r"(?<!\S)(?:\*\*+|~~+)(?=[ \t])|(?<=[ \t])(?:\*\*+|~~+)(?=[^\w\s]|\Z)"
    rf"|(?:[^\w\s,*_~]|{CJK.pattern})[ \t]+(?:\*\*|__|~~)|{PRODUCT.pattern}"
)
"""Matches products, and possible emphasis with spaces inside its marks."""
_RUN_BESIDE_LETTER = re.compile(r"[^\W_](?:__+|~~+)|(?<=[^\s_~])(?:__+|~~+)(?=[^\W_])")
DEFINITION = re.compile(rf"(?<!\\)(?!{FOOTNOTE})\[((?:[^\[\]\\]|\\.)+)\]:\s*(?:<([^<>\n]*)>|(\S+))", re.DOTALL)
"""Matches more than CommonMark's definitions, because an extra destination only makes more links count as deceptive.
Footnotes are sent as text (`dialects.py`)."""
_DEFINITION_LINE = re.compile(rf"^[ \t>*+\-\d.)]*{DEFINITION.pattern}", re.DOTALL | re.MULTILINE)
_BEFORE_BREAK = re.compile(r"\n[ \t>]*+(?=---)")
_SEGMENT_START = re.compile(r"(?<=\n\n)(?=\S)")
_INCOMPLETE_TASK_MARKER = re.compile(r"\[[ xX]?\]?$")
MAYBE_DELIMITER_ROW = re.compile(r"[|: \t-]*$")
_ATX_MARKER = re.compile(r" {0,3}#{1,6}[ \t]+")
_MARKER_CHAR = re.compile(r"[^>\s]")

MAX_TABLE_CHARS = 10_000
"""The maximum number of characters that Slack accepts in the cells of a message's tables."""
FINAL_TABLE_LINES = 3
"""The number of lines that make a table final: its header, delimiter row and first row. Pages end before another row
makes the table too long."""


@dataclass(frozen=True, eq=False, slots=True)
class LinkDefinitions:
    """A page's link reference definitions, and the files that it can link to. Equal definitions are the same object, so
    the caches below can compare and hash them by identity."""

    destinations: LinkDestinations
    open_files: frozenset[str] = frozenset()


NO_DEFINITIONS = LinkDefinitions({})


def max_sent_chars(markdown: str, international: int | None = None) -> int:
    """Returns an upper bound on a page's characters after rendering, without temporary closing."""
    international = international_chars(markdown) if international is None else international
    fences = 2 * sum(map(len, _DOCUMENT_FENCE.findall(markdown)))
    escaped = 3 * markdown.count("<") + 4 * markdown.count("&") + 3 * markdown.count("@")
    encoded = 2 if "://" in markdown else 1
    spaces = (
        encoded * markdown.count("*") + 2 * markdown.count("](") + (0 if markdown.isascii() else markdown.count("://"))
    )
    if "---" in markdown:
        spaces += sum(map(len, _BEFORE_BREAK.findall(markdown)))
    if "__" in markdown or "~~" in markdown:
        spaces += len(_RUN_BESIDE_LETTER.findall(markdown))
    spaces += encoded * sum(map(len, NAME_OR_GAP.findall(markdown)))
    return len(markdown) + fences + escaped + spaces + MAX_ADDED_CHARS * international + max_added_chars(markdown)


def render_page(markdown: str, *, growing: bool, open_files: frozenset[str] = frozenset()) -> str:
    """Renders a page's source as the Markdown to send. `growing`: whether more text can follow. If so, the page's end
    is closed temporarily or held back. `open_files`: the IDs of Slack files that can be linked, because all readers can
    open them."""
    markdown = DROPPED.sub("", markdown)
    definitions = NO_DEFINITIONS
    if "]:" in markdown or open_files:
        found = tuple((match[1], match[2] or match[3] or "") for match in DEFINITION.finditer(markdown))
        definitions = _shared_definitions(found, open_files)
    *complete, last = _split_segments(markdown, growing=growing)
    rendered, open_fences = _render_segments(complete, definitions)
    text, closing = _render_last(last, open_fences, definitions, growing=growing)
    return (rendered + text).rstrip() + closing


def _split_segments(markdown: str, *, growing: bool) -> list[str]:
    """Splits a source at blank lines before unindented lines, across which only fenced code and formulas can
    continue."""
    starts = [0, *(start.start() for start in _SEGMENT_START.finditer(markdown)), len(markdown)]
    for start, end in find_displays_with_blank_lines(markdown, growing=growing):
        del starts[bisect_right(starts, start) : bisect_left(starts, end, hi=len(starts) - 1)]
    return [markdown[start:end] for start, end in pairwise(starts)]


def _render_segments(segments: Iterable[str], definitions: LinkDefinitions) -> tuple[str, tuple[str, ...]]:
    """Renders complete segments. Also returns the fences that are open after them."""
    open_fences: tuple[str, ...] = ()
    parts = []
    for segment in segments:
        text, open_fences = render_complete(segment, open_fences, definitions)
        parts.append(text)
    return "".join(parts), open_fences


@lru_cache(maxsize=1024)
def render_complete(
    segment: str, open_fences: tuple[str, ...], definitions: LinkDefinitions
) -> tuple[str, tuple[str, ...]]:
    """Renders a segment that is followed by another segment. Also returns the fences that are open after the
    segment.
    """
    blocks = parse_blocks(segment, last_line_incomplete=False, open_fences=open_fences)
    code = blocks.open_leaf
    # Fenced code in a list item or quote ends with that container, so it isn't open in the next segment.
    open_after = code.open_fences if code and not code.prefix else ()
    return with_replacements(segment, _replacements_of(segment, blocks.leaf_blocks, definitions)), open_after


def _render_last(
    segment: str, open_fences: tuple[str, ...], definitions: LinkDefinitions, *, growing: bool
) -> tuple[str, str]:
    """Renders the page's last segment. Also returns the text that closes it temporarily."""
    held_back = ""
    while growing:
        incomplete = not segment.endswith("\n")
        blocks = parse_blocks(segment, last_line_incomplete=incomplete, growing=True, open_fences=open_fences)
        behind = ""
        if blocks.held_from is not None:
            behind = segment[blocks.held_from :]
            segment, incomplete = segment[: blocks.held_from], False
        held_from = _first_held_line(segment, blocks, held_back, incomplete=incomplete)
        if held_from is None:
            shown = _render_growing(segment, blocks, definitions, behind, incomplete=incomplete)
            if isinstance(shown, tuple):
                return shown
            if held_back:
                break
            held_from = shown
        if not held_from:
            blocks = parse_blocks("", last_line_incomplete=False, open_fences=open_fences)
            return "", _closing_fence(blocks.open_leaf)
        held_back, segment = segment[held_from:], segment[:held_from]
    blocks = parse_blocks(segment, last_line_incomplete=False, open_fences=open_fences)
    replacements = _replacements_of(segment, blocks.leaf_blocks, definitions)
    return with_replacements(segment.rstrip(), replacements), _closing_fence(blocks.open_leaf)


def _render_growing(
    segment: str, blocks: BlockStructure, definitions: LinkDefinitions, behind: str, *, incomplete: bool
) -> tuple[str, str] | int:
    """Renders a growing segment and its temporary closing, or returns the offset of a line to hold back completely."""
    growing_lines = _growing_text(segment, blocks, incomplete=incomplete)
    leaf_blocks = blocks.leaf_blocks
    is_read_below = growing_lines is not None and growing_lines is leaf_blocks[-1].lines
    replacements = _replacements_of(segment, leaf_blocks[:-1] if is_read_below else leaf_blocks, definitions)
    end, early = len(segment), ""
    closing = _closing_fence(blocks.open_leaf)
    if growing_lines:
        leaf = leaf_blocks[-1]
        text = text_of(segment, growing_lines) + ("" if incomplete else "\n")
        start = definitions_end(text) if leaf.kind is LeafKind.PARAGRAPH else 0
        inlines = parse_inlines(
            text,
            definitions.destinations,
            growing=True,
            start=start,
            open_files=definitions.open_files,
            kind=_kind_of_text(segment, leaf),
        )
        end = _source_offsets(growing_lines, [inlines.shown_end])[0]
        early = _early_text(segment, growing_lines, text, inlines.shown_end, behind)
        closing = inlines.closing
        last_shown = next(line for line in reversed(leaf.lines) if line.content <= end or line is leaf.lines[0])
        if not early and end < growing_lines[-1].end and is_ambiguous(segment[last_shown.content : end]):
            # The rest of the line could be parsed as another block.
            return last_shown.start
        before = [replacement for replacement in replacements if replacement.start < growing_lines[0].content]
        replacements = before + _in_source(growing_lines, inlines.replacements)
        substitute = _oversize_substitute(segment, leaf)
        if substitute and substitute.opening.end < end:
            replacements = sorted([*replacements, substitute.opening])
            closing += substitute.closing.text
    return with_replacements(segment[:end].rstrip(), replacements) + early, closing


def _early_text(segment: str, lines: list[SourceLine], text: str, held_from: int, behind: str) -> str:
    """Returns the words or code of held-back text that can be shown early, including the white space before them."""
    line = lines[-1]
    held_back = text[held_from:].lstrip()
    end, start = _source_offsets(lines, [held_from, len(text) - len(held_back)])
    before = segment[len(segment[:end].rstrip()) : start]
    is_joined = not before and segment[start - 1 : start] not in ("", "(")
    is_first = not text[:held_from].strip() and not segment[line.start : line.content].strip(" \t>")
    can_define = held_back.startswith("[") and is_first
    shown = formula_lines(held_back if line.content > line.start else held_back + behind)
    if not shown and not is_joined and not can_define:
        shown = label_words(held_back)
    return before + shown if shown else ""


def _first_held_line(markdown: str, blocks: BlockStructure, held_back: str, *, incomplete: bool) -> int | None:
    """Returns the offset of the first line to hold back because the next line decides its meaning. `held_back`: the
    text after the source, which is already held back."""
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
    """Returns the lines of the growing paragraph, heading or last table cell, or None in code."""
    leaf = blocks.leaf_blocks[-1] if blocks.leaf_blocks else None
    if leaf is None or (leaf is not blocks.open_leaf and not (incomplete and leaf.lines[-1].end == len(markdown))):
        return None
    line = leaf.lines[-1]
    if leaf.kind is LeafKind.TABLE and _oversize_substitute(markdown, leaf):
        return None
    if leaf.kind is LeafKind.TABLE and incomplete:
        cell = line.content + last_cell_start(markdown[line.content : line.end])
        return [SourceLine(line.start, cell, line.end)]
    return leaf.lines if leaf.kind in (LeafKind.PARAGRAPH, LeafKind.HEADING) else None


def _closing_fence(leaf: LeafBlock | None) -> str:
    return f"\n{leaf.closing}" if leaf and leaf.kind is LeafKind.FENCED_CODE else ""


@lru_cache(maxsize=256)
def _shared_definitions(definitions: tuple[tuple[str, str], ...], open_files: frozenset[str]) -> LinkDefinitions:
    destinations: dict[str, list[str]] = {}
    for label, destination in dict.fromkeys(definitions):
        destinations.setdefault(normalize_label(label), []).append(destination)
    return LinkDefinitions(destinations, open_files)


def _replacements_of(
    markdown: str, leaf_blocks: Iterable[LeafBlock], definitions: LinkDefinitions
) -> list[Replacement]:
    # A label alone is a link if it is defined anywhere on the page.
    needs_parsing = _needs_parsing(markdown, LeafKind.TABLE) or (
        "[" in markdown and (bool(definitions.destinations) or "[!" in markdown)
    )
    replacements: list[Replacement] = []
    for leaf in leaf_blocks:
        substitute = _oversize_substitute(markdown, leaf)
        replacements += [substitute.opening, substitute.closing] if substitute else []
        if line := leaf.break_below:
            blank_line = markdown[line.start : line.content].rstrip() + "\n"
            replacements.append(Replacement(line.start, line.start, blank_line))
        is_code = leaf.kind in (LeafKind.INDENTED_CODE, LeafKind.FENCED_CODE)
        if is_code or (leaf.kind is LeafKind.TABLE and substitute):
            replacements += _longer_fences(markdown, leaf)
            replacements += escape_code(markdown, leaf.lines[0].start, leaf.lines[-1].end) if needs_parsing else ()
            continue
        is_table = leaf.kind is LeafKind.TABLE
        columns = cell_count(text_of(markdown, leaf.lines[:1])) if is_table else 0
        for lines in [[line] for line in leaf.lines] if is_table else [leaf.lines]:
            can_have_surplus = is_table and markdown.count("|", lines[0].content, lines[0].end) >= columns
            if not (needs_parsing or can_have_surplus):
                continue
            text = text_of(markdown, lines)
            found: Sequence[Replacement] = ()
            kind = _kind_of_text(markdown, leaf)
            if needs_parsing and (_needs_parsing(text, kind) or (definitions.destinations and "[" in text)):
                start = definitions_end(text) if leaf.kind is LeafKind.PARAGRAPH else 0
                found = _inline_replacements(text, start, definitions, kind)
            if can_have_surplus:
                found = sorted([*found, *_surplus_cells(text, columns, found)])
            replacements += _in_source(lines, found) if found else ()
    return sorted(replacements)


def _surplus_cells(row: str, columns: int, found: Sequence[Replacement]) -> Iterator[Replacement]:
    """Yields replacements that join a row's surplus cells to its last column, because Slack would drop them."""
    begins = len(row) - len(row.lstrip().removeprefix("|"))
    bare = row.rstrip()
    end = len(bare) - (bare.endswith("|") and not bare.endswith("\\|"))
    starts = [replacement.start for replacement in found]
    column = 1
    for cell in CELL_END.finditer(row, begins, end):
        before = bisect(starts, cell.start()) - 1
        if before >= 0 and cell.start() < found[before].end:
            continue
        if column >= columns:
            yield Replacement(cell.start(), cell.start(), "\\")
        column += 1


def _longer_fences(markdown: str, leaf: LeafBlock) -> Iterator[Replacement]:
    """Yields replacements that lengthen the fences around a Markdown document."""
    longer = leaf.sent_fence.removeprefix(leaf.fence)
    for line in leaf.lines[:1] if leaf.open_fences else [leaf.lines[0], leaf.lines[-1]]:
        at = markdown.find(leaf.fence, line.content, line.end)
        if longer and at >= 0:
            yield Replacement(at, at, longer)


def _kind_of_text(markdown: str, leaf: LeafBlock) -> LeafKind:
    """Returns the block type that determines how a block's text is parsed. Like paragraphs, underlined headings can
    have many lines.
    """
    first = leaf.lines[0]
    if leaf.kind is LeafKind.PARAGRAPH and ">" in markdown[first.start : first.content]:
        return LeafKind.QUOTE
    is_underlined = leaf.kind is LeafKind.HEADING and not _ATX_MARKER.match(markdown, first.content)
    return LeafKind.PARAGRAPH if is_underlined else leaf.kind


def _needs_parsing(text: str, kind: LeafKind) -> bool:
    """Returns whether a text might need replacements. The check is fast, and most text doesn't."""
    if (len(text) > MAX_CONSTRUCT_CHARS and "`" in text) or ("*" in text and "://" in text):
        return True
    if "__" in text and NAME_OR_GAP.search(text):
        return True
    if can_be_rewritten(text, kind) or _EMPHASIS_BESIDE_MARK.search(text) or _EMPHASIS_APART.search(text):
        return True
    if (_MARK.search(text) or "://" in text or "slack" in text.casefold()) and _NEEDS_PARSING.search(text):
        return True
    if text.isascii():
        return False
    return bool(_EMPHASIS_BESIDE_CJK.search(text) or ("://" in text and WIDE_MARK.search(text)))


@lru_cache(maxsize=512)
def _inline_replacements(
    text: str, start: int, definitions: LinkDefinitions, kind: LeafKind
) -> tuple[Replacement, ...]:
    inlines = parse_inlines(
        text,
        definitions.destinations,
        growing=False,
        start=start,
        open_files=definitions.open_files,
        kind=kind,
    )
    return tuple(inlines.replacements)


def _source_offsets(lines: Sequence[SourceLine], offsets: Iterable[int]) -> list[int]:
    line_starts = list(accumulate((line.end - line.content + 1 for line in lines[:-1]), initial=0))
    places = ((bisect(line_starts, offset) - 1, offset) for offset in offsets)
    return [min(lines[row].content + offset - line_starts[row], lines[row].end) for row, offset in places]


def _in_source(lines: Sequence[SourceLine], replacements: Iterable[Replacement]) -> list[Replacement]:
    replacements = list(replacements)
    starts = _source_offsets(lines, [replacement.start for replacement in replacements])
    ends = _source_offsets(lines, [replacement.end for replacement in replacements])
    return [
        Replacement(start, end, replacement.text)
        for start, end, replacement in zip(starts, ends, replacements, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Substitute:
    opening: Replacement
    closing: Replacement


def _oversize_substitute(markdown: str, leaf: LeafBlock) -> Substitute | None:
    """Returns the marks that replace those of a heading or table that is too large, or None for any other leaf block. A
    long paragraph with an underline stays a paragraph, because the model most likely meant a thematic break, and text
    that was appended to a native stream can't change."""
    if leaf.kind is LeafKind.HEADING:
        return _heading_substitute(markdown, leaf)
    return _table_substitute(markdown, leaf) if leaf.kind is LeafKind.TABLE else None


def _heading_substitute(markdown: str, heading: LeafBlock) -> Substitute | None:
    first, last = heading.lines[0], heading.lines[-1]
    marker = _ATX_MARKER.match(markdown, first.content, first.end)
    start, end, heading_end = first.content, last.end, last.end
    if marker:
        start = marker.end()
        end = _without_closing_sequence(markdown, start, last.end)
    else:
        # A setext heading's underline isn't among its lines.
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
    """Returns the end of an ATX heading's text, without the closing `#`."""
    text = markdown[start:end].rstrip(" \t")
    before = text.rstrip("#")
    return start + len(before.rstrip(" \t") if before.endswith((" ", "\t")) else text)


def _table_substitute(markdown: str, table: LeafBlock) -> Substitute | None:
    start, end = table.lines[0].content, table.lines[-1].end
    text = markdown[start:end]
    # A character counts as at most five, so a short table doesn't need to be counted.
    is_long = len(text) > MAX_TABLE_CHARS // 5 and counted_chars(text) > MAX_TABLE_CHARS
    if not is_wide(markdown, table) and not is_long:
        return None
    fence = fence_for(text)
    next_line = "\n" + _continuation_prefix(markdown, table)
    return Substitute(Replacement(start, start, fence + next_line), Replacement(end, end, next_line + fence))


def _continuation_prefix(markdown: str, leaf: LeafBlock) -> str:
    """Returns the prefix that keeps further lines of a leaf block in its list items and quotes."""
    return _MARKER_CHAR.sub(" ", markdown[leaf.lines[0].start : leaf.lines[0].content])


def _has_content(line: str) -> bool:
    return bool(line.strip("> \t"))


def stable_prefix(markdown: str) -> str:
    """Renders the beginning of a growing page, up to the point where later text could change the result."""
    markdown = DROPPED.sub("", markdown.rstrip("\r"))
    definition = _first_definition(markdown)
    markdown = markdown if definition is None else markdown[:definition]
    *complete, last = _split_segments(markdown, growing=True)
    rendered, open_fences = _render_segments(complete, NO_DEFINITIONS)
    return (rendered + _stable_part(last, open_fences)).rstrip()


def has_definitions(markdown: str) -> bool:
    """Returns whether a page might have a link reference definition, which changes text that was sent before it. False
    positives are acceptable. If a definition were missed, a label could hide its destination."""
    return _first_definition(markdown) is not None


def _first_definition(markdown: str) -> int | None:
    """Returns the start of the first line that might be a link reference definition, or None. A line such as `if x[0]:
    y` can't be one."""
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


def _stable_part(segment: str, open_fences: tuple[str, ...]) -> str:
    incomplete = not segment.endswith("\n")
    blocks = parse_blocks(segment, last_line_incomplete=incomplete, growing=True, open_fences=open_fences)
    if blocks.held_from is not None:
        segment, incomplete = segment[: blocks.held_from], False
    replacements = _replacements_of(segment, blocks.leaf_blocks, NO_DEFINITIONS)
    end = segment.rfind("\n") + 1
    if blocks.leaf_blocks:
        last = blocks.leaf_blocks[-1]
        if (last.kind is LeafKind.PARAGRAPH and last is blocks.open_leaf) or _is_growing_heading(segment, last):
            end, inner = _stable_text(segment, last, incomplete=incomplete)
            replacements = [span for span in replacements if span.start < last.lines[0].content] + inner
        elif last.kind in (LeafKind.HEADING, LeafKind.TABLE) and not _is_final(segment, blocks, last):
            end = min(end, last.lines[0].start)
    end = min([end, *(span.start for span in replacements if span.start < end < span.end)])
    # An insertion exactly at the end may belong to the text after it.
    stable = [span for span in replacements if span.start < span.end <= end or span.end < end]
    return with_replacements(segment, stable, 0, end)


def _is_growing_heading(segment: str, last: LeafBlock) -> bool:
    """Returns whether the last line is a heading (`# …`) that can still grow and isn't too long for Slack yet."""
    is_growing = last.kind is LeafKind.HEADING and last.lines[-1].end == len(segment)
    return is_growing and _oversize_substitute(segment, last) is None


def _is_final(segment: str, blocks: BlockStructure, last: LeafBlock) -> bool:
    """Returns whether the last heading or table is final, because it isn't too large or because it is a table that has
    ended."""
    if last.kind is LeafKind.TABLE and last is not blocks.open_leaf:
        return True
    is_too_short = last.kind is LeafKind.TABLE and segment.count("\n", last.lines[0].start) < FINAL_TABLE_LINES
    return not is_too_short and _oversize_substitute(segment, last) is None


def _stable_text(segment: str, paragraph: LeafBlock, *, incomplete: bool) -> tuple[int, list[Replacement]]:
    """Returns the end of the stable part of a growing paragraph, and the replacements in that part."""
    lines, last, kind = paragraph.lines, paragraph.lines[-1], _kind_of_text(segment, paragraph)
    is_growing = incomplete and last.end == len(segment)
    if not is_growing and "|" not in segment[last.content : last.end]:
        end, _, replacements = _decided_in_source(segment, lines, ends_line=True, kind=kind)
    else:
        end, is_open, replacements = _decided_in_source(segment, lines[:-1], ends_line=True, kind=kind)
        first = segment[last.content : last.end].lstrip()[:1]
        if not is_open and first == "<":
            # The replacement for a tag at the beginning of a line depends on the text above it.
            end, _, replacements = _decided_in_source(segment, lines, ends_line=not is_growing, kind=kind)
        elif not is_open and first != "|":
            end, _, inner = _decided_in_source(segment, [last], ends_line=not is_growing, kind=kind)
            replacements += inner
    line = next((line for line in reversed(lines) if line.content <= end), lines[0])
    # The rest of a line could be parsed as another block.
    return line.start if is_ambiguous(segment[line.content : end]) else end, replacements


def _decided_in_source(segment: str, lines: list[SourceLine], *, ends_line: bool, kind: LeafKind) -> DecidedInlines:
    """Returns the decided inlines in lines of a paragraph, with offsets in the source."""
    if not lines:
        return DecidedInlines(0, False, [])
    text = text_of(segment, lines) + ("\n" if ends_line else "")
    end, is_open, replacements = decided_inlines(text, kind=kind)
    return DecidedInlines(_source_offsets(lines, [end])[0], is_open, _in_source(lines, replacements))


PREVIEW_CHARS = 150
QUOTED, TABLE, DONE, TO_DO = "Quote: ", "Table: ", "done: ", "to do: "
_COLUMN_NAME_CHARS = 40
MAX_URL_CHARS = 100
"""The maximum length in plain text of a URL from a link reference definition."""
MAX_READ_CHARS = 1_000
"""The number of characters to consider for a preview."""

_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()\s]*(?:\s[^()]*)?\)|\[[^\[\]]*\])")
_INCOMPLETE_LINK = re.compile(r"!?\[([^\[\]]*)(?:\]\([^()]*)?$")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s|]*|[\w.+-]+@[\w.-]+)>")
_LINK_WITH_ADDRESS = regex.compile(
    r"(?<!\\)!?\[([^\[\]]*+)\](?:\(\s*+<?([^()\s<>]*+(?:\([^()\s]*+\)[^()\s<>]*+)*+)>?(?:\s[^()]*+)?\)|\[([^\[\]]*+)\]|)"
)
_ADDRESS = re.compile(r"https?://[^\s<>\0]*[^\s<>\0?!.,:*_~)]")
"""Matches a URL without trailing marks or punctuation, as in GitHub's autolinks."""
_KEPT = re.compile(r"\0(.)", re.DOTALL)
_FIRST_KEPT = 0xE000
_MAYBE_MARKS = re.compile(r"[\0*_~`\\\[<&]")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])|&#?\w{1,32};")
"""Matches an escaped mark, or an unescaped entity."""
_HEADING_MARKS = re.compile(r"^\s*#{1,6}(?:\s|$)|\s#+\s*$")
_TASK_MARKER = re.compile(r"\[(?P<state>[ xX])\]\s+(?P<text>.*)", re.DOTALL)
_SEEN = re.compile(r"[^\W_]|[^\x00-\x7f\s]")
_SENTENCES = re.compile(r".*(?:[.!?](?=\s)|[。！？])", re.DOTALL)
_JOINS_GRAPHEME = re.compile(r"[\u0300-\u036f\u200d\ufe0f\U0001f3fb-\U0001f3ff]")
_BROADCAST_HANDLE = re.compile(r"@(?=(?:channel|here|everyone)\b)", re.I)
_ENTITY = re.compile(r"&(?=(?:lt|gt|amp);)")


def first_words(markdown: str, *, growing: bool) -> str:
    """Returns a text's first sentences or words, about `PREVIEW_CHARS` characters in total, or "" until a word is
    complete."""
    head = markdown[:MAX_READ_CHARS].replace("\r\n", "\n")
    incomplete = growing or len(markdown) > MAX_READ_CHARS
    leaf_blocks = parse_blocks(head, last_line_incomplete=incomplete).leaf_blocks
    parts = [
        _plain_text(head, leaf, growing=incomplete and leaf is leaf_blocks[-1])
        for leaf in leaf_blocks
        if leaf.kind is not LeafKind.FENCED_CODE
    ]
    words = " ".join("".join(_punctuate(part) for part in parts[:-1]).split() + "".join(parts[-1:]).split())
    if not words and not growing:
        # The answer is only code, or a thematic break.
        code = [code_content(head, leaf) for leaf in leaf_blocks if leaf.kind is LeafKind.FENCED_CODE]
        words = " ".join(" ".join(code).split() or head.split())
    if len(words) > PREVIEW_CHARS:
        return _shorten(words)
    if incomplete and words and not head[-1:].isspace() and leaf_blocks[-1].lines[-1].end == len(head):
        return words.rpartition(" ")[0]
    return words


def plain_words(sent: str) -> str:
    """Converts a sent page to plain text with everything that Slack shows, including line breaks and link URLs. Code
    doesn't change. Words replace marks that a screen reader doesn't read, such as those of quotes, tasks and tables."""
    parts: list[str] = []
    end = 0
    leaf_blocks = parse_blocks(sent, last_line_incomplete=False).leaf_blocks
    destinations = _definitions_of(sent, leaf_blocks) if "]:" in sent else {}
    around: tuple[Container, ...] = ()
    for leaf in leaf_blocks:
        start = leaf.lines[0].start
        if text := _block_text(sent, leaf, destinations):
            parts += ["\n\n" if sent.count("\n", end, start) > 1 else "\n"] if parts else []
            parts += [_prefix_in_words(leaf.containers, around)] if leaf.containers else []
            parts.append(text)
            around = leaf.containers
        end = leaf.lines[-1].end
    return "".join(parts).strip()


def _definitions_of(sent: str, leaf_blocks: Iterable[LeafBlock]) -> dict[str, str]:
    """Returns the destinations of a page's link reference definitions, by normalized label. Long destinations are cut
    off, because a page can use a definition many times."""
    texts = [text_of(sent, leaf.lines) for leaf in leaf_blocks if leaf.kind is LeafKind.PARAGRAPH]
    found = [match for text in texts for match in DEFINITION.finditer(text[: definitions_end(text)])]
    return {
        normalize_label(match[1]): beginning(match[2] or match[3] or "", MAX_URL_CHARS) for match in reversed(found)
    }


def _prefix_in_words(containers: Sequence[Container], before: Sequence[Container]) -> str:
    """Returns the numbers and bullets to put before a block, and whether it is quoted. `before`: the previous block's
    containers, because both blocks can be in the same list item."""
    parts: list[str] = []
    for depth, item in enumerate(containers):
        if item is None:
            parts += [] if QUOTED in parts else [QUOTED]
        elif containers[: depth + 1] == before[: depth + 1]:
            parts.append("  ")
        else:
            parts.append("- " if item.number is None else f"{item.number}. ")
    return "".join(parts)


def _block_text(sent: str, leaf: LeafBlock, destinations: Mapping[str, str]) -> str:
    lines = [sent[line.content : line.end] for line in leaf.lines]
    match leaf.kind:
        case LeafKind.FENCED_CODE:
            return code_content(sent, leaf)
        case LeafKind.INDENTED_CODE:
            return "\n".join(lines)
        case LeafKind.TABLE:
            return "\n".join(_table_in_words(lines, partial(plain_inlines, destinations=destinations)))
        case LeafKind.HEADING:
            words = _HEADING_MARKS.sub("", lines[0] if len(lines) == 1 else " ".join(lines))
            # Slack's headings have no links.
            return plain_inlines(words, destinations, labels_only=True)
    text = "\n".join(lines)
    text = text[definitions_end(text) if destinations else 0 :]
    return plain_inlines(_task_in_words(text) if leaf.containers and leaf.containers[-1] else text, destinations)


def _table_in_words(lines: Sequence[str], plain: Callable[[str], str]) -> Iterator[str]:
    """Yields a table's header, then its rows. In a row, each cell except the first is preceded by its column's name."""
    head, *rows = [[plain(cell.replace("\\|", "|")).strip() for cell in row] for row in table_rows(lines)]
    names = [beginning(name, _COLUMN_NAME_CHARS) for name in head]
    if any(head):
        yield f"{TABLE}{'; '.join(filter(None, head))}"
    for first, *others in rows:
        cells = "; ".join(f"{name} {cell}".strip() for name, cell in zip(names[1:], others, strict=False) if cell)
        if first or cells:
            yield ": ".join(filter(None, (first, cells)))


def _task_in_words(text: str) -> str:
    """Returns a list item's text, with the state of its task in words."""
    task = _TASK_MARKER.match(text)
    if task is None:
        return text
    state = TO_DO if task["state"] == " " else DONE
    return f"{state}{task['text']}" if task["text"] else ""


def plain_inlines(
    text: str, destinations: Mapping[str, str] = MappingProxyType({}), *, labels_only: bool = False
) -> str:
    """Converts a line or table cell to plain text, without markup but with link URLs. `destinations`: the page's link
    reference definitions. `labels_only`: whether to leave out the URLs of links that have a label."""

    return _without_marks(text, _link_replacements(destinations, labels_only=labels_only))


def _link_replacements(destinations: Mapping[str, str], *, labels_only: bool) -> Iterable[tuple[Any, Any]]:
    """Returns patterns and their replacements, which turn links into text."""

    def label_and_url(link: regex.Match[str]) -> str:
        """Returns a link's label, followed by its URL unless the label includes it."""
        label, address = link[1].strip(), link[2] or ""
        if not address:
            address = destinations.get(normalize_label(link[3] or label), "")
            if not address:
                return str(link[0])
        if label in ("", address):
            return address
        is_label_enough = labels_only or label == address.removeprefix("mailto:")
        return label if is_label_enough else f"{label} ({address})"

    # Twice, because an image can be a link's label.
    return ((_LINK_WITH_ADDRESS, label_and_url),) * 2


def has_word(markdown: str, *, growing: bool) -> bool:
    """Returns whether a reader sees any words, not only Markdown marks. Code counts, but the language of a fence
    doesn't. `growing`: whether more text can follow. Text longer than `MAX_READ_CHARS` always counts as having a
    word."""
    blocks = parse_blocks(markdown, last_line_incomplete=growing) if len(markdown) <= MAX_READ_CHARS else None
    if blocks is None:
        return True
    decided = [leaf for leaf in blocks.leaf_blocks if leaf.lines[0].start != blocks.ambiguous_line]
    texts = (
        code_content(markdown, leaf) if leaf.kind is LeafKind.FENCED_CODE else _plain_text(markdown, leaf)
        for leaf in decided
    )
    return any(map(_SEEN.search, texts))


def beginning(text: str, max_chars: int) -> str:
    """Returns the beginning of a text on one line, cut off between words if possible."""
    words = " ".join(text.split())
    if len(words) <= max_chars:
        return words
    return (words[:max_chars].rpartition(" ")[0] or words[: max_chars - 1]) + "…"


def _punctuate(part: str) -> str:
    """Adds a period to a part, such as a heading or list item, that doesn't end with punctuation."""
    part = part.strip()
    return f"{part}. " if part[-1:].isalnum() else f"{part} "


def _plain_text(markdown: str, leaf: LeafBlock, *, growing: bool = False) -> str:
    lines = [markdown[line.content : line.end] for line in leaf.lines]
    match leaf.kind:
        case LeafKind.INDENTED_CODE:
            return " ".join(lines)
        case LeafKind.TABLE:
            return ". ".join(_table_in_words(lines, lambda cell: _without_marks(as_markdown(cell)))) + "."
        case LeafKind.HEADING:
            words = _HEADING_MARKS.sub("", lines[0] if len(lines) == 1 else " ".join(lines))
        case _:
            words = " ".join(lines)
            words = _task_in_words(words) if leaf.containers and leaf.containers[-1] else words
            if "[!" in words:
                return _without_marks(as_markdown(words, _kind_of_text(markdown, leaf)), growing=growing)
    return _without_marks(as_markdown(words), growing=growing)


_LABELS = (*((_LINK, r"\1"),) * 2, (_INCOMPLETE_LINK, r"\1"))


def _without_marks(text: str, links: Iterable[tuple[Any, Any]] = _LABELS, *, growing: bool = False) -> str:
    """Returns a text without the marks that readers don't see."""
    if not _MAYBE_MARKS.search(text):
        return text
    text, kept = _without_code_and_urls(text, links, growing=growing)
    text = with_replacements(text, emphasis_marks(text, growing=growing))
    return _KEPT.sub(lambda mark: kept[ord(mark[1]) - _FIRST_KEPT][0], _ESCAPE.sub(_unescape, text))


def styled_inlines(text: str) -> Iterator[tuple[str, str]]:
    """Yields the parts of `plain_inlines(text)`, each with its style: "code", "url" or "".

    Where emphasis begins or ends, it yields an empty text, with the delimiter (such as "**") as the style.
    """
    text, kept = _without_code_and_urls(text, _link_replacements({}, labels_only=False), growing=False)
    start = 0
    for mark in (*emphasis_marks(text), Replacement(len(text), len(text), "")):
        plain, *others = _KEPT.split(text[start : mark.start])
        yield _ESCAPE.sub(_unescape, plain), ""
        for key, behind in zip(others[::2], others[1::2], strict=True):
            yield kept[ord(key) - _FIRST_KEPT]
            yield _ESCAPE.sub(_unescape, behind), ""
        yield "", text[mark.start : mark.end]
        start = mark.end


def _without_code_and_urls(
    text: str, links: Iterable[tuple[Any, Any]], *, growing: bool
) -> tuple[str, list[tuple[str, str]]]:
    """Replaces code and URLs, which can't contain marks, with keys. Returns the new text, and the replaced text with
    its style by key.
    """
    text = text.replace("\0", "")
    kept: list[tuple[str, str]] = []

    def keep(part: str, style: str = "url") -> str:
        kept.append((part, style))
        return f"\0{chr(_FIRST_KEPT + len(kept) - 1)}"

    spans = parse_inlines(text, {}, growing=growing).code_spans if "`" in text else ()
    text = with_replacements(text, [Replacement(*span, keep(text[slice(*span)].strip("`"), "code")) for span in spans])
    for link, words in links:
        text = link.sub(words, text)
    text = _AUTOLINK.sub(lambda link: keep(link[1]), text)
    return _ADDRESS.sub(lambda address: keep(address[0]), text), kept


def _unescape(escaped: re.Match[str]) -> str:
    return escaped[1] or html.unescape(escaped[0])


def _shorten(words: str) -> str:
    head = words[: PREVIEW_CHARS + 1]
    sentences = _SENTENCES.match(head)
    if sentences and sentences.end() > PREVIEW_CHARS // 3:
        return sentences[0]
    if " " in head:
        return head.rpartition(" ")[0] + "…"
    # For a script without spaces, or a URL, cut between graphemes.
    end = PREVIEW_CHARS
    while end and (_JOINS_GRAPHEME.match(words, end) or words[end - 1] == "\u200d"):
        end -= 1
    # Marks alone can't be cut.
    return words[: end or PREVIEW_CHARS] + "…"


def mrkdwn(text: str) -> str:
    """Escapes plain text for a message's `text`, which Slack parses as mrkdwn, decoding entities once. URLs of Slack
    files are changed so that Slack doesn't expand them."""
    text = without_schemes(text)
    return _BROADCAST_HANDLE.sub(f"@{JOINER}", _ENTITY.sub("&amp;", text).replace("<", "&lt;"))
