"""Measures a function's cost: its steps, counted as the calls that it makes, and its CPU time."""

import math
import sys
import time
from collections.abc import Callable
from types import FrameType

from slack_markdown.tests.hostile_texts import forget_renderings, grown

FEW_STEPS = 2_000
FEW_CALLS = 400_000
"""These take about 40 ms."""
ENDLESS_CALLS = 10 * FEW_CALLS
MAX_RATIO = 2.6
"""The maximum cost for twice the text, relative to the text: 2 is linear, 4 is quadratic."""
PART_CHARS = 2_000
"""Longer than any construct that is held back."""
MAX_PART_MS = 1.0
"""CPU time. A part that takes longer is compared with four times the text."""
MIN_MS = 3.0
MAX_MS = 1_000.0


def steps(function: Callable[[str], object], text: str) -> int:
    """Returns the number of calls that a function makes for a text that hasn't been rendered yet."""
    forget_renderings()
    return calls(lambda: function(text))


def calls(function: Callable[[], object]) -> int:
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


def milliseconds(function: Callable[[str], object], text: str, repeats: int = 3) -> float:
    best = math.inf
    for _ in range(repeats):
        forget_renderings()
        started = time.thread_time()
        try:
            function(text)
        except RecursionError:
            return math.inf
        best = min(best, (time.thread_time() - started) * 1e3)
        if best > MAX_MS or best < MIN_MS / 10:
            break
    return best


def is_slow(read: Callable[[str], object], short: str, long: str) -> bool:
    # Linear time is four times as much, quadratic time 16 times.
    return (before := milliseconds(read, short, 1)) > MAX_PART_MS and (
        milliseconds(read, long, 1) > 8 * before and milliseconds(read, long) > 8 * milliseconds(read, short)
    )


def slow_parts(read: Callable[[str], object], answer: str) -> list[str]:
    """Returns the parts of an answer that take more than linear time when they are repeated."""
    sizes = zip(grown(answer, 1, PART_CHARS), grown(answer, 1, 4 * PART_CHARS), strict=True)
    return [part for (part, short), (_, long) in sizes if is_slow(read, short, long)]
