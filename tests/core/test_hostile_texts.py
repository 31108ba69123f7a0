"""Holding back the end of a growing answer takes steps in proportion to its length, whatever the model writes.

`python -m benchmarks.hostile` measures the time of more functions.
"""

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from benchmarks.hostile import MAX_RATIO, SHAPES, text_of
from bot.core.reply.markdown.links import is_deceptive
from bot.core.reply.markdown.render import render_complete, rendered
from bot.core.reply.markdown.stable import stable_prefix

FEW_STEPS = 2_000


def steps(function: Callable[[str], object], text: str) -> int:
    """Returns how many calls a function makes."""
    render_complete.cache_clear()
    count = 0

    def counted(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        function(text)
    finally:
        sys.setprofile(None)
    return count


def growing(text: str) -> object:
    return rendered(text, growing=True), stable_prefix(text)


@pytest.mark.parametrize("shape", SHAPES)
def test_end_is_held_back_in_linear_steps(shape: str) -> None:
    # Four times as much, because how often a text's end is parsed depends on where it is cut.
    longer = steps(growing, text_of(shape, 3_200))
    assert longer < FEW_STEPS or longer <= MAX_RATIO**2 * steps(growing, text_of(shape, 800)), longer


@pytest.mark.parametrize("repeated", ["|\n", "- ```\n"])
def test_end_of_many_undecided_lines_is_held_back_in_linear_steps(repeated: str) -> None:
    assert steps(growing, repeated * 1_200) <= MAX_RATIO * steps(growing, repeated * 600)


def test_label_that_names_many_hosts_is_deceptive() -> None:
    assert is_deceptive("\u33c2" * 400 + " bank.com", "https://evil.example")
