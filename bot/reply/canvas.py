"""An answer as the Markdown of a Slack canvas: as safe as in a message, in the forms that canvases.create accepts.

Slack refuses a whole canvas for one line: headings below the third level, tables with a narrow delimiter row or more
than 300 cells, lists of one kind within lists of the other, and quotes within lists (docs/sandbox-fidelity.md).
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence

from bot.core import texts
from bot.markdown.blocks import CELL_END, LeafBlock, LeafKind, parse_blocks
from bot.markdown.escaping import Replacement, fenced, with_replacements
from bot.markdown.preview import beginning, first_words
from bot.markdown.render import rendered
from bot.models.events import Citation
from bot.reply.sources import plain_list, shown_sources

MIN_CHARS = 3_000
"""An answer that is shorter has no button for a canvas: it is read faster where it is."""
MAX_CELLS = 300
TITLE_CHARS = 80

_CODE = (LeafKind.FENCED_CODE, LeafKind.INDENTED_CODE)
_HEADING = re.compile(r"#{4,6}(?=\s)")
_NARROW = re.compile(r"(?<![-:])(:?)-{1,2}(:?)(?=\s*(?:\||$))")
_TITLE = re.compile(r"\s*#{1,6}[ \t]+([^\n]+)")
_ITEM = re.compile(r"(\s*)(?:([-*+])|(\d{1,9})[.)])(?=\s)")
_QUOTE = re.compile(r"([ \t]*)>[>\t ]*")


def canvas_title(answer: str) -> str:
    """Returns the answer's first heading, if it begins with one, or else its first words."""
    heading = _TITLE.match(answer)
    words = first_words(heading[1] if heading else answer, growing=False)
    return beginning(words, TITLE_CHARS) or texts.CANVAS_TITLE


def canvas_markdown(answer: str, sources: Sequence[Citation] = ()) -> str:
    """Returns an answer as a canvas shows it, with its sources; takes long for a long one."""
    text = rendered("\n\n".join(filter(None, (answer, plain_list(shown_sources(sources))))), growing=False)
    leaf_blocks = parse_blocks(text, last_line_incomplete=False).leaf_blocks
    text = with_replacements(text, sorted(r for leaf in leaf_blocks for r in _accepted(text, leaf)))
    return "".join(_lines(text))


def as_code(markdown: str) -> str:
    """Returns the Markdown as one block of code, which Slack accepts whatever is in it."""
    return fenced(markdown, "markdown")


def _accepted(text: str, leaf: LeafBlock) -> Iterator[Replacement]:
    """Yields what has to be replaced in a heading or a table."""
    first = leaf.lines[0]
    if leaf.kind is LeafKind.HEADING and (marks := _HEADING.match(text[first.content : first.end].lstrip())):
        at = text.index("#", first.content)
        yield Replacement(at, at + len(marks[0]), "###")
    if leaf.kind is not LeafKind.TABLE:
        return
    if sum(len(CELL_END.findall(text, line.content, line.end)) - 1 for line in leaf.lines) > MAX_CELLS:
        yield Replacement(first.start, first.start, "```\n")
        yield Replacement(leaf.lines[-1].end, leaf.lines[-1].end, "\n```")
        return
    row = leaf.lines[1]
    yield Replacement(row.content, row.end, _NARROW.sub(r"\1---\2", text[row.content : row.end]))


def _lines(text: str) -> Iterator[str]:
    """Yields the lines, with lists of one kind within one another, and without quotes in lists."""
    leaf_blocks = parse_blocks(text, last_line_incomplete=False).leaf_blocks
    code = deque(range(leaf.lines[0].start, leaf.lines[-1].end + 1) for leaf in leaf_blocks if leaf.kind in _CODE)
    lists: list[tuple[int, bool]] = []
    """The open list items: the column of each, and whether it is numbered."""
    at = 0
    for line in text.splitlines(keepends=True):
        while code and code[0].stop <= at:
            code.popleft()
        is_code = bool(code) and at in code[0]
        at += len(line)
        yield line if is_code or not line.strip() else _in_list(line, lists)


def _in_list(line: str, lists: list[tuple[int, bool]]) -> str:
    """Returns a line as the open lists allow it, and notes the item that it begins."""
    item = _ITEM.match(line)
    if item is None:
        if not line[0].isspace():
            lists.clear()
        return _unquoted(line, 0) if lists else line
    column, is_numbered = len(item[1]), item[3] is not None
    while lists and lists[-1][0] >= column:
        lists.pop()
    outer = lists[0][1] if lists else is_numbered
    lists.append((column, outer))
    if outer != is_numbered:
        # The number stays as words: it may be referred to.
        line = f"{item[1]}1.{line[item.end() :]}" if outer else f"{item[1]}- ({item[3]}){line[item.end() :]}"
    return _unquoted(line, _ITEM.match(line).end())  # type: ignore[union-attr]


def _unquoted(line: str, start: int) -> str:
    """Returns a line whose text after `start` isn't quoted."""
    quote = _QUOTE.match(line, start)
    return line if quote is None else f"{line[:start]}{quote[1]}{line[quote.end() :]}"
