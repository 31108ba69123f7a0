"""Parsing takes steps in proportion to the text's length, whatever the model writes.

Python code is measured by counting calls. Regular expressions and copies make no calls, so they are measured in CPU
time, for a text and one 16 times as long: linear time is 16 times as much, quadratic time 256 times.
"""

import re
from collections.abc import Callable

import pytest

from slack_markdown.inlines import parse_inlines
from slack_markdown.links import is_deceptive
from slack_markdown.pages import Pages
from slack_markdown.render import MAX_URL_CHARS, first_words, plain_words, render_page, stable_prefix
from slack_markdown.tests.costs import (
    FEW_CALLS,
    FEW_STEPS,
    MAX_RATIO,
    PART_CHARS,
    is_slow,
    milliseconds,
    slow_parts,
    steps,
)
from slack_markdown.tests.hostile_texts import ANSWERS, SHAPES, text_of

STEPS_PER_CHAR = 30


def whole(text: str) -> object:
    return render_page(text, growing=False)


def growing(text: str) -> object:
    return render_page(text, growing=True), stable_prefix(text)


SHAPES_BY_GATE = [
    shape if at % 3 == 0 else pytest.param(shape, marks=pytest.mark.long) for at, shape in enumerate(SHAPES)
]
"""All shapes, a third of which are in the fast tests."""


def read_inlines(text: str) -> object:
    return parse_inlines(text, {}, growing=False)


@pytest.mark.parametrize("shape", SHAPES_BY_GATE)
def test_end_is_held_back_in_linear_steps(shape: str) -> None:
    # Four times as long, because the cut position determines how often a text's end is parsed.
    longer = steps(growing, text_of(shape, 1_600))
    # A shorter text may be held back completely.
    assert longer < STEPS_PER_CHAR * 1_600 or longer <= MAX_RATIO**2 * steps(growing, text_of(shape, 400)), longer


@pytest.mark.parametrize("repeated", ["|\n", "- ```\n"])
def test_end_of_many_undecided_lines_is_held_back_in_linear_steps(repeated: str) -> None:
    assert steps(growing, repeated * 1_200) <= MAX_RATIO * steps(growing, repeated * 600)


@pytest.mark.parametrize(
    ("read", "shape"),
    [
        (whole, "URLs"),
        (whole, "tildes"),
        (whole, "underscores and tildes"),
        (whole, "dollars"),
        (whole, "formulas before sentences"),
        *((plain_words, shape) for shape in ("tables", "definitions", "lazy lines", "tildes")),
        (growing, "open links"),
        (growing, "formulas before sentences"),
        (read_inlines, "open links"),
        (read_inlines, "nested parentheses"),
    ],
)
def test_text_is_read_in_linear_time(read: Callable[[str], object], shape: str) -> None:
    short_ms, long_ms = (milliseconds(read, text_of(shape, chars)) for chars in (4_000, 64_000))
    assert long_ms < 4 * 16 * max(short_ms, 1.0)


@pytest.mark.parametrize(
    ("definitions", "use"),
    [
        (lambda size: f"[a]: https://a.example/{'x' * size}\n", "[a] "),
        (lambda size: f"[a.com]: https://a.com/%20{'x' * size}\n", "[a.com] "),
        (lambda size: f"[a.com]: mailto:{'x' * size}\n", "[a.com] "),
        (lambda size: f"[a.zip]: https://a.com/%20{'x' * size}\n", "[a.zip] "),
        (lambda size: f"[a]: <{'&colon;' * (size // 7)}>\n", "[a] "),
        (lambda size: f"[a]: tel:{'1' * size}\n", "[a] "),
        (lambda size: f"[a]: https://files.slack.com/{'x' * size}\n", "[a] "),
        (lambda size: f"[a]: https://a.example/{'x' * size}\n", "![ ][a] "),
        (lambda size: "".join(f"[a]: {number}\n" for number in range(size // 6)), "[a] "),
    ],
    ids=["web", "host", "mailbox", "file name", "entities", "app", "file in Slack", "image", "definitions"],
)
def test_destination_is_judged_once_however_often_it_is_used(definitions: Callable[[int], str], use: str) -> None:
    short, long = (f"{definitions(375 * size)}\n{use * (87 * size)}" for size in (1, 16))
    assert len(render_page(long, growing=False)) < 2 * len(long)
    assert len(plain_words(long)) < 2 * MAX_URL_CHARS * long.count("[a")
    for read in (whole, plain_words):
        short_ms, long_ms = (milliseconds(read, text) for text in (short, long))
        assert long_ms < 4 * 16 * max(short_ms, 1.0)


@pytest.mark.parametrize("shape", SHAPES_BY_GATE)
def test_page_is_rendered_in_few_steps(shape: str) -> None:
    pages = Pages(max_full_pages=1)
    pages.append(text_of(shape, 12_500))
    for page in [*pages.full_pages, pages.growing_page]:
        assert steps(lambda markdown: render_page(markdown, growing=True), page.markdown) < FEW_CALLS // 2


@pytest.mark.parametrize("shape", SHAPES_BY_GATE)
def test_preview_of_a_page_is_made_in_few_steps(shape: str) -> None:
    text = text_of(shape, 1_200)
    for start in (0, 1):
        assert steps(lambda markdown: first_words(markdown, growing=True), text[start:]) < 10 * FEW_STEPS


def test_label_that_names_many_hosts_is_deceptive() -> None:
    assert is_deceptive("\u33c2" * 400 + " bank.com", "https://evil.example")


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_answer_that_repeats_any_of_its_parts_is_read_in_linear_time(answer: str) -> None:
    assert slow_parts(stable_prefix, answer) == []


def test_quadratic_time_is_found() -> None:
    quadratic = re.compile("a+b")
    # If the machine pauses for a moment, the shorter text seems slow.
    assert any(is_slow(quadratic.findall, "a" * PART_CHARS, "a" * 4 * PART_CHARS) for _ in range(5))
