"""Lists the sources below an answer, and converts an answer to a Slack canvas. Pure.

Sources are web pages that the model cites. URLs and titles come from the web through a model, so they aren't trusted. A
source is shown only if browsers open it as a web page, and its label begins with the link's host, no matter what the
title claims. A Slack file is never a source, because a link can open the file for all readers.

A canvas contains the answer's Markdown, made as safe as in a message, in a form that canvases.create accepts. Slack
refuses an entire canvas if it contains a heading below the third level, a table with a narrow delimiter row or more
than 300 cells, a numbered list within a bulleted list, a bulleted list within a numbered list, or a quote within a list
(see the page Sandbox fidelity).
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bot.core import texts
from bot.models.events import Citation
from slack_markdown.blocks import CELL_END, LeafBlock, LeafKind, parse_blocks
from slack_markdown.escaping import Replacement, fence_code, with_replacements
from slack_markdown.links import is_closed_file
from slack_markdown.lookalikes import MAX_LABEL_CHARS, ascii_host
from slack_markdown.render import beginning, first_words, render_page

MAX_SHOWN = 8
MAX_RECORDED = 50
MAX_URL_CHARS = 2_000
TITLE_CHARS = 70


@dataclass(frozen=True, slots=True)
class Source:
    url: str
    label: str


def with_citation(citations: Sequence[Citation], citation: Citation) -> Sequence[Citation]:
    """Returns the citations with a new citation, unless it can't be shown, is a duplicate, or exceeds the limit."""
    is_known = any(earlier.url == citation.url for earlier in citations)
    if is_known or len(citations) >= MAX_RECORDED or not _browser_host(citation.url):
        return citations
    return (*citations, citation)


def shown_sources(citations: Iterable[Citation]) -> tuple[Source, ...]:
    hosts = [(citation, _browser_host(citation.url)) for citation in citations]
    return tuple(Source(citation.url, _label(host, citation.title)) for citation, host in hosts if host)[:MAX_SHOWN]


def plain_list(sources: Sequence[Source]) -> str:
    """Returns the sources as plain text with numbered URLs, or "" if there are none."""
    lines = [f"{number}. {source.url}" for number, source in enumerate(sources, start=1)]
    return "\n".join((texts.answers.SOURCES, *lines)) if lines else ""


def _label(host: str, title: str) -> str:
    # Invisible characters could reverse the label's direction.
    visible = "".join(character if character.isprintable() else " " for character in title)
    title = beginning(" ".join(visible.split()), TITLE_CHARS)
    return f"{host} · {title}" if title else host


def _browser_host(url: str) -> str:
    """Returns the host that a browser opens for a URL, in ASCII, or "" if it isn't a plain web URL."""
    # Browsers drop or rewrite some characters, and might open a different host than urlsplit() returns.
    if len(url) > MAX_URL_CHARS or "\\" in url or not url.isprintable() or any(map(str.isspace, url)):
        return ""
    try:
        parts = urlsplit(url)
        host = ascii_host(parts.hostname or "")
    except ValueError:
        return ""
    labels = host.split(".")
    is_host = host.isascii() and len(labels) > 1 and all(0 < len(label) <= MAX_LABEL_CHARS for label in labels)
    is_web = parts.scheme in ("http", "https") and is_host and parts.username is None and "%" not in parts.netloc
    return host.removeprefix("www.") if is_web and not is_closed_file(url) else ""


MAX_CELLS = 300
CANVAS_TITLE_CHARS = 80

_CODE_KINDS = (LeafKind.FENCED_CODE, LeafKind.INDENTED_CODE)
_HEADING = re.compile(r"#{4,6}(?=\s)")
_NARROW = re.compile(r"(?<![-:])(:?)-{1,2}(:?)(?=\s*(?:\||$))")
_TITLE = re.compile(r"\s*#{1,6}[ \t]+([^\n]+)")
_ITEM = re.compile(r"(\s*)(?:([-*+])|(\d{1,9})[.)])(?=\s)")
_QUOTE = re.compile(r"([ \t]*)>[>\t ]*")


def canvas_title(answer: str) -> str:
    """Returns the heading that an answer begins with, or its first words if it has no such heading."""
    heading = _TITLE.match(answer)
    words = first_words(heading[1] if heading else answer, growing=False)
    return beginning(words, CANVAS_TITLE_CHARS) or texts.canvases.TITLE


def canvas_markdown(answer: str, sources: Sequence[Citation] = ()) -> str:
    """Returns an answer and its sources as Markdown for a canvas. This is slow for long answers."""
    text = render_page("\n\n".join(filter(None, (answer, plain_list(shown_sources(sources))))), growing=False)
    leaf_blocks = parse_blocks(text, last_line_incomplete=False).leaf_blocks
    text = with_replacements(text, sorted(r for leaf in leaf_blocks for r in _canvas_replacements(text, leaf)))
    return "".join(_canvas_lines(text))


def as_code_block(markdown: str) -> str:
    return fence_code(markdown, "markdown")


def _canvas_replacements(text: str, leaf: LeafBlock) -> Iterator[Replacement]:
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


def _canvas_lines(text: str) -> Iterator[str]:
    """Yields an answer's lines. Nested lists become numbered or bulleted to match the outer list, and quotes within
    lists are removed."""
    leaf_blocks = parse_blocks(text, last_line_incomplete=False).leaf_blocks
    code = deque(range(leaf.lines[0].start, leaf.lines[-1].end + 1) for leaf in leaf_blocks if leaf.kind in _CODE_KINDS)
    lists: list[tuple[int, bool]] = []
    """The column of each open list item, and whether the item is numbered."""
    at = 0
    for line in text.splitlines(keepends=True):
        while code and code[0].stop <= at:
            code.popleft()
        is_code = bool(code) and at in code[0]
        at += len(line)
        yield line if is_code or not line.strip() else _convert_list_line(line, lists)


def _convert_list_line(line: str, lists: list[tuple[int, bool]]) -> str:
    """Converts a line to a form that the open lists allow, and returns it. If the line begins an item, adds the item to
    `lists`."""
    item = _ITEM.match(line)
    if item is None:
        if not line[0].isspace():
            lists.clear()
        return _without_quote(line, 0) if lists else line
    column, is_numbered = len(item[1]), item[3] is not None
    while lists and lists[-1][0] >= column:
        lists.pop()
    outer = lists[0][1] if lists else is_numbered
    lists.append((column, outer))
    if outer != is_numbered:
        # The item's number stays as text, because the answer might refer to it.
        line = f"{item[1]}1.{line[item.end() :]}" if outer else f"{item[1]}- ({item[3]}){line[item.end() :]}"
    return _without_quote(line, _ITEM.match(line).end())  # type: ignore[union-attr]


def _without_quote(line: str, start: int) -> str:
    quote = _QUOTE.match(line, start)
    return line if quote is None else f"{line[:start]}{quote[1]}{line[quote.end() :]}"
