"""The published examples of CommonMark and GitHub's extensions, a character at a time: no frame is broken.

The rule: what a frame opens (blocks and inline marks, in order) is how the whole text's own list begins. A construct is
not shown yet, or shown as what it will be. Where that can't be, because only a later line or the missing end of a mark
tells, EXCEPTIONS says for which examples, and in what alone the frame may differ.
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

from bot.core.reply.pages import Pages
from bot.core.reply.state import Ending, Post, Reply, Update, View
from bot.slack.format import reply_blocks
from sandbox.rules import check_blocks
from tests.core.conversations import question

PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
MARKS = {"em", "strong", "s", "code_inline"}
LEAVES = {"fence", "code_block", "hr", "code_inline", "image"}


class Construct(NamedTuple):
    """What a reader sees of a mark: its kind, and its level, number, language or address."""

    kind: str
    what: str = ""


def constructs(sent: str, *, growing: bool) -> list[Construct]:
    """All that a text opens, in order. Cells that a growing row only lacks are left out."""
    tokens = [token for block in PARSER.parse(sent) for token in [block, *(block.children or [])]]
    last = max((at for at, token in enumerate(tokens) if token.content), default=-1)
    return [
        Construct(token.type.removesuffix("_open"), _what(token))
        for at, token in enumerate(tokens)
        if (token.nesting == 1 or token.type in LEAVES) and not (growing and at > last and token.type == "td_open")
    ]


def _what(token: Token) -> str:
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


def never_closed(found: Sequence[Construct]) -> list[Construct]:
    """It looks like a mark that is open, and is never closed, or closed otherwise."""
    return [each for each in found if each.kind not in MARKS]


def underlined(found: Sequence[Construct]) -> list[Construct]:
    """The line below makes a paragraph a heading, or the header of a table (whose rows begin without a pipe)."""
    return [Construct("text") if each.kind in ("paragraph", "heading", "table") else each for each in found]


def underlined_code(found: Sequence[Construct]) -> list[Construct]:
    """Both of these."""
    return underlined(never_closed(found))


def defined_below(found: Sequence[Construct]) -> list[Construct]:
    """What a label stands for is said further down."""
    return [each for each in found if each.kind != "link"]


def defined_on_lines(found: Sequence[Construct]) -> list[Construct]:
    """A definition's address or title has lines of its own, or its label looked like one."""
    return [each for each in found if each.kind not in ("link", "paragraph", "code_block")]


Blur = Callable[[Sequence[Construct]], list[Construct]]

EXCEPTIONS: dict[Blur, dict[str, set[int]]] = {
    never_closed: {
        "commonmark": {14, 42, 158, 343, 350, 356, 365, 367, 368, 369, 370, 373, 374, 376, 377, 393, 394, 399, 400}
        | {402, 403, 410, 414, 419, 432, 444, 446, 447, 456, 458, 459, 471, 472, 473, 474, 475, 476, 482, 483, 523, 536}
        | {537, 566, 618, 620},
        "gfm": {492},
        "gfm_extensions": {19, 20},
    },
    underlined: {
        "commonmark": {59, 80, 81, 82, 83, 84, 86, 89, 90, 95, 96, 102, 103, 115, 141, 217, 302},
        "gfm_extensions": {4, 6},
    },
    underlined_code: {"commonmark": {91}},
    defined_below: {
        "commonmark": {532, 533, 556, 560, 561, 572, 575, 578, 579, 587, 591},
        "gfm_extensions": {13, 23},
    },
    defined_on_lines: {"commonmark": {195, 551}},
}


def examples() -> Iterator[tuple[str, str, list[tuple[int, str]]]]:
    for path in sorted((Path(__file__).parent / "spec").glob("*.json")):
        sections: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for each in json.loads(path.read_text("utf-8")):
            sections[each["section"]].append((each["example"], each["markdown"]))
        for section, found in sections.items():
            yield path.stem, section, found


@cache
def frames(markdown: str) -> dict[int, list[str]]:
    """What Slack is sent for each page while the text comes, and in the end; "" where there is no block yet."""
    reply, sent = Reply(question()), defaultdict[int, list[str]](list)
    for character in [*markdown, None]:
        if character is None:
            reply.finish(Ending())
        else:
            reply.append(character)
        while isinstance(call := reply.next_call(), Post | Update):
            message = reply_blocks.message(call.view)
            check_blocks(message["blocks"])
            sent[call.page].append("".join(block["text"] for block in message["blocks"] if block["type"] == "markdown"))
            reply.confirmed(call, f"{call.page}.0")
    assert reply.finished
    return sent


def deviations(markdown: str, blurred: Blur) -> list[str]:
    """The frames that are broken, all in `blurred` apart. Of a page that goes on in a next one the end is no frame."""
    broken, pages = [], frames(markdown)
    for page, sent in pages.items():
        *growing, last = dict.fromkeys(sent)
        final = blurred(constructs(last, growing=False))
        # The best place to end a full page may be before what was shown on it.
        moved = blurred(constructs(pages[page + 1][-1], growing=False)) if page + 1 in pages else []
        shown = {frame: blurred(constructs(frame, growing=True)) for frame in growing}
        broken += [frame for frame, opened in shown.items() if opened != [*final, *moved][: len(opened)]]
    return broken


@pytest.mark.parametrize(
    ("source", "found"), [pytest.param(source, found, id=f"{source}: {name}") for source, name, found in examples()]
)
def test_every_frame_is_a_beginning_of_the_whole(source: str, found: list[tuple[int, str]]) -> None:
    for number, markdown in found:
        reason = next((why for why, where in EXCEPTIONS.items() if number in where.get(source, ())), None)
        broken = deviations(markdown, list)
        if reason is None:
            assert not broken, (number, markdown, broken[0])
        else:
            assert broken, f"{number} is no exception any more"
            assert not deviations(markdown, reason), (number, markdown)


@pytest.mark.parametrize("limit", [16, 60])
@pytest.mark.parametrize(
    ("source", "found"), [pytest.param(source, found, id=f"{source}: {name}") for source, name, found in examples()]
)
def test_pages_join_to_the_example(source: str, found: list[tuple[int, str]], limit: int) -> None:
    del source
    for number, markdown in found:
        pages = Pages(limit)
        for character in markdown:
            pages.append(character)
        assert pages.text() == markdown, number
        for page in (*pages.full, pages.growing):
            assert pages.fits(page.source, page.opening), number
            check_blocks(reply_blocks.message(View(page.markdown))["blocks"])
