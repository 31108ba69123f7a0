"""Runs the published examples of CommonMark and GitHub's extensions one character at a time: no frame is broken.

The rule: the constructs of a frame (blocks and inline marks, in order) are the first constructs of the whole text. So a
construct is either not shown yet, or shown as its final type. Sometimes only a later line or the end of a mark decides
what a construct is. EXCEPTIONS lists these examples, and the one difference that their frames can have.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from slack_markdown.pages import Pages
from slack_markdown.render import render_page

PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
MARKS = {"em", "strong", "s", "code_inline"}
LEAVES = {"fence", "code_block", "hr", "code_inline", "image"}


class Construct(NamedTuple):
    """A block or mark as a reader sees it: its type, and its level, number, language or URL."""

    kind: str
    detail: str = ""


def constructs(sent: str, *, growing: bool) -> list[Construct]:
    """Returns a text's constructs, in order, except for cells that a growing row doesn't have yet."""
    tokens = [token for block in PARSER.parse(sent) for token in [block, *(block.children or [])]]
    last = max((at for at, token in enumerate(tokens) if token.content), default=-1)
    return [
        Construct(token.type.removesuffix("_open"), _detail(token))
        for at, token in enumerate(tokens)
        if (token.nesting == 1 or token.type in LEAVES) and not (growing and at > last and token.type == "td_open")
    ]


def _detail(token: Token) -> str:
    match token.type:
        case "heading_open":
            return token.tag
        case "fence":
            return token.info.strip()
        case "ordered_list_open":
            return str(token.attrs.get("start", 1))
        case "link_open":
            return str(token.attrs["href"])
    return ""


def never_closed(opened: Sequence[Construct]) -> list[Construct]:
    """Removes marks: one that looks open may never be closed, or be closed differently."""
    return [construct for construct in opened if construct.kind not in MARKS]


def underlined(opened: Sequence[Construct]) -> list[Construct]:
    """Equates paragraphs, headings and tables: the line below a paragraph can make it a heading or a table's header."""
    return [
        Construct("text") if construct.kind in ("paragraph", "heading", "table") else construct for construct in opened
    ]


def underlined_code(opened: Sequence[Construct]) -> list[Construct]:
    return underlined(never_closed(opened))


def defined_below(opened: Sequence[Construct]) -> list[Construct]:
    """Removes links: a label can be defined further down."""
    return [construct for construct in opened if construct.kind != "link"]


def defined_on_lines(opened: Sequence[Construct]) -> list[Construct]:
    """Removes links and paragraphs: a definition's URL or title can be on its own line."""
    return [construct for construct in opened if construct.kind not in ("link", "paragraph", "code_block")]


Blur = Callable[[Sequence[Construct]], list[Construct]]

EXCEPTIONS: dict[Blur, dict[str, set[int]]] = {
    never_closed: {
        "commonmark": {14, 42, 158, 343, 350, 365, 367, 368, 369, 370, 373, 374, 376, 377, 393, 394, 399, 400}
        | {402, 403, 410, 414, 419, 432, 444, 446, 447, 456, 458, 459, 471, 472, 473, 474, 475, 476, 482, 483, 523, 536}
        | {537, 566, 618, 620},
        "gfm": {492, 653},
        "gfm_extensions": {19, 20},
    },
    underlined: {
        "commonmark": {59, 80, 81, 82, 83, 84, 86, 89, 90, 96, 102, 103, 115, 141, 217, 302},
        "gfm_extensions": {4, 6},
    },
    underlined_code: {"commonmark": {91}},
    defined_below: {
        "commonmark": {532, 533, 556, 560, 561, 575, 578, 579, 587, 591},
        "gfm_extensions": {13},
    },
    defined_on_lines: {"commonmark": {195, 206, 551, 567, 572, 573}},
}


def examples() -> Iterator[tuple[str, str, list[tuple[int, str]]]]:
    for path in sorted((Path(__file__).parent / "spec").glob("*.json")):
        sections: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for example in json.loads(path.read_text("utf-8")):
            sections[example["section"]].append((example["example"], example["markdown"]))
        for section, cases in sections.items():
            yield path.stem, section, cases


@cache
def frames(markdown: str) -> dict[int, list[str]]:
    """Returns all frames of each page while the text grows, and the final one; "" for a frame without a block."""
    pages, sent = Pages(), defaultdict[int, list[str]](list)
    for character in [*markdown, ""]:
        full = len(pages.full_pages)
        if character:
            pages.append(character)
        else:
            pages.finish()
        for number, page in enumerate(pages.full_pages[full:], full):
            sent[number].append(render_page(page.markdown, growing=False))
        sent[len(pages.full_pages)].append(render_page(pages.growing_page.markdown, growing=bool(character)))
    return sent


def deviations(markdown: str, blurred: Blur) -> list[str]:
    """Returns the broken frames, except each page's final one. Constructs are compared after `blurred`."""
    broken, pages = [], frames(markdown)
    for page, sent in pages.items():
        *growing, last = dict.fromkeys(sent)
        final = blurred(constructs(last, growing=False))
        # A full page may end before text that was already shown on it.
        moved = blurred(constructs(pages[page + 1][-1], growing=False)) if page + 1 in pages else []
        shown = {frame: blurred(constructs(frame, growing=True)) for frame in growing}
        broken += [frame for frame, opened in shown.items() if opened != [*final, *moved][: len(opened)]]
    return broken


COMMON = {"Fenced code blocks", "Lists", "Code spans", "Tables (extension)", "Tables", "ATX headings"}
"""The sections whose every frame `make test` checks, because most answers have these constructs."""


@pytest.mark.parametrize(
    ("source", "cases"),
    [
        pytest.param(source, cases, id=f"{source}: {name}", marks=() if name in COMMON else pytest.mark.long)
        for source, name, cases in examples()
    ],
)
def test_every_frame_begins_like_the_whole_text(source: str, cases: list[tuple[int, str]]) -> None:
    for number, markdown in cases:
        reason = next((why for why, where in EXCEPTIONS.items() if number in where.get(source, ())), None)
        broken = deviations(markdown, list)
        if reason is None:
            assert not broken, (number, markdown, broken[0])
        else:
            assert broken, f"example {number} is no exception anymore"
            assert not deviations(markdown, reason), (number, markdown)


@pytest.mark.parametrize("limit", [16, 60])
@pytest.mark.parametrize(
    ("source", "cases"), [pytest.param(source, cases, id=f"{source}: {name}") for source, name, cases in examples()]
)
def test_pages_join_to_the_example(source: str, cases: list[tuple[int, str]], limit: int) -> None:
    del source
    for number, markdown in cases:
        pages = Pages(limit)
        for character in markdown:
            pages.append(character)
        assert pages.text() == markdown, number
        for page in (*pages.full_pages, pages.growing_page):
            assert pages.fits(page.source, page.opening), number
