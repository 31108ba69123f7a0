"""Whatever the model writes, what the bot does with it takes steps in proportion to its length.

Calls are counted where Python does the work. Regular expressions and copies make no calls, so CPU time is measured
there, of a text and of one 16 times as long: linear time is 16 times as much, quadratic time 256 times.
`python -m benchmarks.hostile` measures more functions.
"""

import pytest

from benchmarks.hostile import ANSWERS, FUNCTIONS
from bot.core.job import End, sentence_notice
from bot.errors import EndReason, Refusal
from bot.reply.attachments import code_files
from bot.reply.edits import Post
from bot.reply.messages import VisibleReply
from bot.reply.reply import Reply
from slack_markdown.pages import Pages
from slack_markdown.tests.costs import FEW_CALLS, milliseconds, slow_parts, steps
from slack_markdown.tests.hostile_texts import SHAPES, text_of
from tests.core.conversations import answer
from tests.reply.outcomes import refused

pytestmark = pytest.mark.wide


@pytest.mark.parametrize(
    ("function", "shape"),
    [
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
@pytest.mark.long(after_row=3)
def test_text_is_read_in_linear_time(function: str, shape: str) -> None:
    short_ms, long_ms = (milliseconds(FUNCTIONS[function], text_of(shape, chars)) for chars in (4_000, 64_000))
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
    earlier = Reply(answer(text), VisibleReply(("2.0",)))
    page = steps(lambda _: Pages(max_full_pages=1).append(text), "")
    assert steps(lambda _: refused(other_form, call, Refusal.TOO_LONG), "") <= 2 * page
    assert steps(lambda _: earlier.finish(End(EndReason.CUT, sentence_notice("Cut."))), "") <= 2 * page
    assert other_form.text == earlier.text == text


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.long(but_every=3)
def test_long_code_is_found_in_few_steps(shape: str) -> None:
    assert steps(lambda text: code_files(text, "1.0"), text_of(shape, 100_000)) < FEW_CALLS // 2


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.long(after_row=2)
def test_answer_that_repeats_any_of_its_parts_is_read_in_linear_time(answer: str) -> None:
    assert slow_parts(FUNCTIONS["template marks"], answer) == []
