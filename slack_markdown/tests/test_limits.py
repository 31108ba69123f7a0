"""Tests each Markdown limit with one less, exactly as many, and one more."""

from collections.abc import Callable

import pytest

from slack_markdown import blocks, dialects, extent, formulas, inlines, links, pages, render
from slack_markdown.blocks import fences_after, last_lines, parse_blocks, text_of
from slack_markdown.escaping import HAIR_SPACE
from slack_markdown.extent import Extent
from slack_markdown.links import is_deceptive
from slack_markdown.pages import Pages
from slack_markdown.render import beginning, first_words, has_word, render_page

TABLE = "|a|b|\n|-|-|\n"
HONEST = "https://bank.com"


def sent(markdown: str) -> str:
    return render_page(markdown, growing=False)


def is_full(markdown: str) -> bool:
    extent = Extent()
    extent.read(markdown)
    return extent.full_at is not None


def fits(source: str, limit_chars: int = 10**6, limit_bytes: int = 10**6) -> bool:
    return Pages(limit_chars, limit_bytes).fits(source)


def first_text(markdown: str) -> str:
    return text_of(markdown, parse_blocks(markdown, last_line_incomplete=False).leaf_blocks[0].lines)


def leaves(markdown: str) -> int:
    return len(parse_blocks(markdown, last_line_incomplete=False).leaf_blocks)


def fences(lines: int) -> int:
    opened: tuple[str, ...] = ()
    for _ in range(lines):
        opened = fences_after("```md", opened)
    return len(opened)


# The limit, and whether this many are within it.
LIMITS: dict[str, tuple[int, Callable[[int], bool]]] = {
    "words of a preview": (
        render.PREVIEW_CHARS,
        lambda n: first_words(f"b {'a' * (n - 2)}{' c' * 100}", growing=False) == f"b {'a' * (n - 2)}…",
    ),
    "sentence of a preview": (
        render.PREVIEW_CHARS,
        lambda n: first_words(f"b {'a' * (n - 3)}.{' c' * 100}", growing=False) == f"b {'a' * (n - 3)}.",
    ),
    "beginning": (40, lambda n: beginning(f"b {'a' * (n - 2)}", 40) == f"b {'a' * (n - 2)}"),
    "beginning with more behind it": (39, lambda n: beginning(f"b {'a' * (n - 2)} c c", 40) == f"b {'a' * (n - 2)}…"),
    "text that is read for a word": (render.MAX_READ_CHARS, lambda n: not has_word("*" * n, growing=False)),
    "table": (render.MAX_TABLE_CHARS, lambda n: sent(f"{TABLE}|{'x' * (n - 16)}|y|").startswith("|")),
    "heading": (extent.HEADING_CHARS, lambda n: sent("# " + "a" * n).startswith("#")),
    "underlined heading": (extent.HEADING_CHARS, lambda n: sent("a" * n + "\n===").endswith("===")),
    "columns": (extent.MAX_COLUMNS, lambda n: sent(f"{'|a' * n}|\n{'|-' * n}|\n").startswith("|")),
    "rows with the header": (extent.MAX_ROWS, lambda n: not is_full(TABLE + "|c|d|\n" * (n - 1))),
    "cells": (extent.CELL_CHARS, lambda n: not is_full(f"{TABLE}|c|d|\n|c|{'x' * (n - 14)}|\n")),
    "Slack's blocks": (extent.MAX_BLOCKS, lambda n: not is_full("# a\n" * n)),
    "characters of Slack's blocks": (extent.BLOCK_CHARS, lambda n: fits("a" * n)),
    "characters of a page": (pages.PAGE_CHARS, lambda n: fits("a" * n, pages.PAGE_CHARS)),
    "bytes of a page": (900, lambda n: fits("世" * 100 + "a" * (n - 300), limit_bytes=900)),
    "steps of a page": (pages.MAX_STEPS, lambda n: fits("*" * n)),
    "containers": (blocks.MAX_DEPTH, lambda n: first_text(">" * n + "a") == "a"),
    "blocks in documents": (blocks.MAX_DEPTH, lambda n: fences(n) == n),
    "lines of definitions": (
        blocks.MAX_DEFINITION_LINES,
        lambda n: leaves("> [a]: b" + "\n> [a]: b" * (n - 1) + "\ntext") == 2,
    ),
    "recent lines": (blocks.MAX_LINES, lambda n: last_lines("x" + "\n" * (n - 1)).startswith("x")),
    "label": (links.MAX_LABEL_CHARS, lambda n: not is_deceptive("a" * n, HONEST)),
    "hosts in a label": (links.MAX_NAMED_HOSTS, lambda n: not is_deceptive("bank.com " * n, HONEST)),
    "destinations": (links.MAX_DESTINATIONS, lambda n: not is_deceptive("bank.com", *[HONEST] * n)),
    "letters of other scripts": (
        links.MAX_INTERNATIONAL_CHARS - 1,
        lambda n: HAIR_SPACE not in sent(f"https://{'і' * n}.com"),
    ),
    "authority": (
        links.MAX_AUTHORITY_CHARS,
        lambda n: HAIR_SPACE not in sent(f"https://{'a' * (n - 13)}@evil.example"),
    ),
    "code span": (dialects.MAX_CONSTRUCT_CHARS, lambda n: sent(f"`{'a' * n}` b")[0] == "`"),
    "emphasis": (dialects.MAX_CONSTRUCT_CHARS, lambda n: HAIR_SPACE in sent(f"世**{'a' * (n - 3)}。**世")),
    "element": (dialects.MAX_CONSTRUCT_CHARS, lambda n: sent(f"a <b>{'a' * (n - 3)}</b>")[2:4] == "**"),
    "tag": (dialects.MAX_TAG_CHARS, lambda n: sent(f'a <b title="{"a" * (n - 12)}">b</b>') == "a b"),
    "comment": (dialects.MAX_TAG_CHARS, lambda n: sent(f"a <!--{'a' * (n - 7)}-->b") == "a b"),
    "superscript with its end tag": (dialects.MAX_SCRIPT_CHARS, lambda n: "²" in sent(f"x<sup>{'2' * (n - 6)}</sup>")),
    "formula in dollars": (formulas.MAX_DOLLARS_CHARS, lambda n: "`" in sent(f"so $x^{'2' * (n - 2)}$ is")),
    "formula in lines": (formulas.MAX_DISPLAY_CHARS, lambda n: sent(f"$$x^{'2' * (n - 6)}$$")[0] == "`"),
    "open formula in lines": (
        formulas.MAX_DISPLAY_CHARS,
        lambda n: "`" in render_page(f"so $$x^{'2' * (n - 4)}", growing=True),
    ),
    "open formula in a line": (
        dialects.MAX_CONSTRUCT_CHARS,
        lambda n: "`" in render_page(f"so \\(x^{'2' * (n - 4)}", growing=True),
    ),
    "open label": (inlines.MAX_HELD_LABEL_CHARS, lambda n: render_page("a [" + "1" * (n - 1), growing=True) == "a"),
    "open delimiters": (inlines.MAX_OPENERS - 1, lambda n: HAIR_SPACE in sent(f"世**a{' _b' * n}。**世")),
}


@pytest.mark.parametrize(("limit", "is_within"), LIMITS.values(), ids=LIMITS)
def test_limit_holds_as_many_as_it_says(limit: int, is_within: Callable[[int], bool]) -> None:
    assert [is_within(count) for count in (limit - 1, limit, limit + 1)] == [True, True, False]


# Markdown, and the number of Slack blocks for each repetition.
BLOCKS = {
    "a heading": ("# a\n", 1),
    "a thematic break": ("***\n", 1),
    "a paragraph below a thematic break": ("***\n\na\n\n", 2),
    "a quote below a thematic break": ("***\n> a\n\n", 2),
    "an item without text below a thematic break": ("***\n- \n\n", 2),
    "a paragraph below a heading": ("# a\nb\n", 2),
    "a paragraph below code": ("```\na\n```\nb\n\n", 2),
    "code below code": ("```\na\n```\n", 1),
}


@pytest.mark.parametrize(("markdown", "each"), BLOCKS.values(), ids=BLOCKS)
def test_page_has_no_more_than_slacks_blocks(markdown: str, each: int) -> None:
    most = extent.MAX_BLOCKS // each
    assert [is_full(markdown * count) for count in (most, most + 1)] == [False, True]


def test_paragraphs_and_list_items_in_a_row_are_one_block() -> None:
    assert not is_full("a\n\n- b\n- \n> c\n\n" * extent.MAX_BLOCKS)
