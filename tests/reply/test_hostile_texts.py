"""Whatever the model writes, what reads it takes steps in proportion to its length.

Calls are counted where Python does the work. Regular expressions and copies make no calls, so CPU time is measured
there, of a text and of one 16 times as long: linear time is 16 times as much, quadratic time 256 times.
`python -m benchmarks.hostile` measures more functions.
"""

import re
from collections.abc import Callable

import pytest

from benchmarks.hostile import FUNCTIONS, MAX_RATIO, milliseconds
from benchmarks.hostile_texts import ANSWERS, SHAPES, grown, text_of
from bot.core.job import End
from bot.errors import EndReason, Refusal
from bot.reply.attachments import long_code
from bot.reply.edits import Post
from bot.reply.messages import Shown
from bot.reply.reply import Reply
from slack_markdown.links import is_deceptive
from slack_markdown.pages import Pages
from slack_markdown.render import first_words, rendered, stable_prefix
from tests.core.conversations import answer
from tests.reply.counted import FEW_CALLS, FEW_STEPS, steps
from tests.reply.outcomes import refused

STEPS_PER_CHAR = 30


def growing(text: str) -> object:
    return rendered(text, growing=True), stable_prefix(text)


@pytest.mark.parametrize("shape", SHAPES)
def test_end_is_held_back_in_linear_steps(shape: str) -> None:
    # Four times as much, because how often a text's end is parsed depends on where it is cut.
    longer = steps(growing, text_of(shape, 1_600))
    # All of a shorter text may be held back.
    assert longer < STEPS_PER_CHAR * 1_600 or longer <= MAX_RATIO**2 * steps(growing, text_of(shape, 400)), longer


@pytest.mark.parametrize("repeated", ["|\n", "- ```\n"])
def test_end_of_many_undecided_lines_is_held_back_in_linear_steps(repeated: str) -> None:
    assert steps(growing, repeated * 1_200) <= MAX_RATIO * steps(growing, repeated * 600)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        ("rendered", "URLs"),
        ("rendered", "tildes"),
        ("rendered", "underscores and tildes"),
        ("rendered", "dollars"),
        ("rendered growing", "open links"),
        ("inlines", "open links"),
        ("inlines", "nested parentheses"),
        ("Seam", "slashes"),
        ("Seam", "closing brackets"),
        ("template marks", "line breaks"),
        ("template marks", "stop tokens in open code"),
        ("template marks", "calls of nothing"),
        ("template marks, in a call", "parameters without an end"),
        ("template marks, in a channel", "angle brackets"),
        ("calls in pieces", "words"),
        ("output items", "words"),
        ("refusal", "names of limits"),
    ],
)
def test_text_is_read_in_linear_time(function: str, shape: str) -> None:
    short_ms, long_ms = (milliseconds(FUNCTIONS[function], text_of(shape, chars)) for chars in (4_000, 64_000))
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
    assert len(rendered(long, growing=False)) < 2 * len(long)
    short_ms, long_ms = (milliseconds(FUNCTIONS["rendered"], text) for text in (short, long))
    assert long_ms < 4 * 16 * max(short_ms, 1.0)


@pytest.mark.parametrize("repeated", ["|a|\n|-|\n|b|\n\n", "|\n", "- a\n", "\n", "*a* "])
def test_longest_answer_is_laid_out_in_few_steps_at_a_time(repeated: str) -> None:
    reply, text = Reply(answer()), repeated * (100_000 // len(repeated))
    assert steps(reply.append, text) < FEW_CALLS
    assert steps(lambda _: reply.finish(End(EndReason.WHOLE)), "") < FEW_CALLS
    assert reply.text == text


@pytest.mark.parametrize("repeated", ["|a|\n|-|\n|b|\n\n", "- a\n", "*a* "])
def test_another_form_and_an_earlier_text_are_laid_out_one_page_at_a_time(repeated: str) -> None:
    text = repeated * (100_000 // len(repeated))
    other_form = Reply(answer())
    other_form.append(text)
    call = other_form.next_call()
    assert isinstance(call, Post)
    earlier = Reply(answer(text), Shown(("2.0",)))
    page = steps(lambda _: Pages(max_full=1).append(text), "")
    assert steps(lambda _: refused(other_form, call, Refusal.TOO_LONG), "") <= 2 * page
    assert steps(lambda _: earlier.finish(End(EndReason.CUT, "Cut.")), "") <= 2 * page
    assert other_form.text == earlier.text == text


@pytest.mark.parametrize("shape", SHAPES)
def test_page_is_rendered_in_few_steps(shape: str) -> None:
    pages = Pages(max_full=1)
    pages.append(text_of(shape, 12_500))
    for page in [*pages.full, pages.growing]:
        assert steps(lambda markdown: rendered(markdown, growing=True), page.markdown) < FEW_CALLS // 2


@pytest.mark.parametrize("shape", SHAPES)
def test_long_code_is_found_in_few_steps(shape: str) -> None:
    assert steps(lambda text: long_code(text, "1.0"), text_of(shape, 100_000)) < FEW_CALLS // 2


@pytest.mark.parametrize("shape", SHAPES)
def test_preview_of_a_page_is_made_in_few_steps(shape: str) -> None:
    text = text_of(shape, 1_200)
    for start in (0, 1):
        assert steps(lambda markdown: first_words(markdown, growing=True), text[start:]) < 10 * FEW_STEPS


def test_label_that_names_many_hosts_is_deceptive() -> None:
    assert is_deceptive("\u33c2" * 400 + " bank.com", "https://evil.example")


PART_CHARS = 2_000
"""More than any construct that is held back."""
MAX_PART_MS = 1.0
"""CPU time. What takes longer is compared with four times the text."""


def is_slow(read: Callable[[str], object], short: str, long: str) -> bool:
    """Whether a function takes more than linear time for a text that is four times as long as another."""
    # Linear time is four times as much, and quadratic time 16 times.
    return (before := milliseconds(read, short, 1)) > MAX_PART_MS and (
        milliseconds(read, long, 1) > 8 * before and milliseconds(read, long) > 8 * milliseconds(read, short)
    )


@pytest.mark.parametrize("function", ["stable_prefix", "template marks"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_answer_that_repeats_any_of_its_parts_is_read_in_linear_time(answer: str, function: str) -> None:
    sizes = zip(grown(answer, 1, PART_CHARS), grown(answer, 1, 4 * PART_CHARS), strict=True)
    assert not [part for (part, short), (_, long) in sizes if is_slow(FUNCTIONS[function], short, long)]


def test_quadratic_time_is_found() -> None:
    quadratic = re.compile("a+b")
    # A machine that stands still for a moment makes the shorter text seem slow.
    assert any(is_slow(quadratic.findall, "a" * PART_CHARS, "a" * 4 * PART_CHARS) for _ in range(5))
