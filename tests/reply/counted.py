"""The steps of a function, counted as the calls that it makes."""

import sys
from collections.abc import Callable
from types import FrameType

from slack_markdown.render import render_complete

FEW_STEPS = 2_000
FEW_CALLS = 400_000
"""They take about 40 ms."""
ENDLESS_CALLS = 10 * FEW_CALLS


def steps(function: Callable[[str], object], text: str) -> int:
    """Returns how many calls a function makes with a text that nothing has rendered yet."""
    render_complete.cache_clear()
    return calls(lambda: function(text))


def calls(function: Callable[[], object]) -> int:
    """Returns how many calls a function makes."""
    count = 0

    def counted(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")
        assert count < ENDLESS_CALLS, "it may never end"

    sys.setprofile(counted)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count
