"""Resuming an interrupted answer: its whole lines stay, and a model writes on below them. Pure.

A line that was cut off is written again: nobody has to guess whether a space, a line break or nothing is missing where
two parts of a line meet. Only a long line is kept, up to its last space. Readers see the longer text meanwhile
(reply/reply.py).
"""

import re
from functools import cached_property

from bot.core.job import Job
from bot.errors import EndReason
from bot.markdown.blocks import recent_part
from bot.markdown.pages import Outline

NOTHING_MISSING = "(complete)"
"""The reply that the prompt asks for if the text is already complete."""
MIN_CHARS = 400
"""A shorter text is generated again, which takes no longer than continuing it and leaves no seam."""
MAX_LINE_CHARS = 400
"""A longer line isn't written again. It goes on at a word, so that an answer in one paragraph gets beyond any limit."""
MAX_WORD_CHARS = 100
"""Text without spaces may be cut anywhere."""
REPEATED_CHARS = 10
"""Fewer repeated characters may be a coincidence."""
MAX_PLACES = 100
"""At how many places of the text a repetition is looked for."""

_BARE_FENCE = re.compile(r"(?:^|[\n >])(?:`{3,}|~{3,})\n$")


def continued(answer: str, end_reason: EndReason) -> str:
    """Returns the text that a new version goes on after. After the limit of steps, that is in a new paragraph.

    A step's text is whole, and the next step begins a paragraph, too.
    """
    return f"{answer}\n\n" if end_reason is EndReason.STEP_LIMIT else answer


def kept_text(job: Job) -> str:
    """Returns the part of the answer so far that a new version goes on after."""
    return _begun(job.so_far)


def fixed_text(job: Job) -> str:
    """Returns the part of an answer that no attempt writes again: `kept_text`, and the text of recorded steps."""
    return kept_text(job) + "".join(step.text for step in job.steps)


def start_of(job: Job) -> str:
    """Returns the text that an attempt begins with: what no attempt writes again, or what an earlier one has begun."""
    left, fixed = job.checkpoint.text, fixed_text(job)
    if job.checkpoint.end:
        return left
    return fixed if len(left) - len(fixed) < MIN_CHARS else max(fixed, _begun(left), key=len)


def _begun(text: str) -> str:
    """Returns an unfinished text without its last line, which may be incomplete; of a long line, the last word.

    Behind a single line break, another one may come.
    """
    is_between_breaks = text.endswith("\n") and not text.endswith("\n\n")
    line = text.rfind("\n", 0, len(text) - is_between_breaks) + 1
    if len(text) - line <= MAX_LINE_CHARS:
        return text[:line]
    word = text.rfind(" ", len(text) - MAX_WORD_CHARS) + 1
    return text[: word or len(text)]


class Seam:
    """Appends a model's continuation to the text that it goes on after, and holds deltas back until it is clear how.

    Models repeat the last lines or the whole text, reopen a code block or a table that is open, and begin with line
    breaks that the text has. However the continuation is split into deltas, the text is the same: once the first
    characters decide how they join, more characters decide nothing else.
    """

    def __init__(self, so_far: str, cut_off: str = "") -> None:
        """`cut_off`: what was dropped behind it. It stands if nothing is missing."""
        self._so_far = so_far
        self._cut_off = cut_off
        self._held = ""
        self._held_at = 0
        """Where the text has what is held; -1 once it has it nowhere."""
        self._joined = not so_far

    def join(self, delta: str) -> str:
        """Returns the text to append; "" while that isn't clear."""
        if self._joined or not delta:
            return delta
        self._held += delta
        if f"{NOTHING_MISSING}.".startswith(self._held.strip()) or self._may_repeat(self._held.lstrip()):
            return ""
        continuation = self._continuation(ended=False)
        self._joined = continuation is not None
        return continuation or ""

    def rest(self) -> str:
        """Returns the text that is still held back when the model has ended."""
        if self._joined:
            return ""
        self._joined = True
        is_complete = self._held.strip().rstrip(".") in ("", NOTHING_MISSING)
        return self._cut_off if is_complete else self._continuation(ended=True) or ""

    def _may_repeat(self, held: str) -> bool:
        """Whether the text has what is held, so that more of it may repeat the text's end."""
        if self._held_at >= 0 and not self._so_far.startswith(held, self._held_at):
            self._held_at = self._so_far.find(held, self._held_at + 1)
        return self._held_at >= 0

    def _continuation(self, *, ended: bool) -> str | None:
        """Returns what is held as it follows the text; None if more of it is needed to know."""
        held = self._held.lstrip()
        repeated = self._repeated(held)
        added = held[repeated:].lstrip(" ") if repeated else self._held
        continuation = added.lstrip("\n")
        breaks = len(added) - len(continuation)
        opened = "" if repeated else self._opened
        if not ended and (not continuation.strip() or opened.startswith(continuation)):
            return None
        continuation = continuation.removeprefix(opened)
        if not ended and not continuation.strip():
            return None
        if self._so_far.endswith("\n") and self._opened.startswith("|") and not continuation.startswith("|"):
            # Only an empty line ends a table.
            breaks = max(breaks, 2)
        ends = len(self._so_far) - len(self._so_far.rstrip("\n"))
        within_line = not ends and not breaks
        return "\n" * max(0, breaks - ends) + (continuation.lstrip(" ") if within_line else continuation)

    def _repeated(self, continuation: str) -> int:
        """Returns how many of the first characters repeat the text's last ones, which occur nowhere else in it."""
        text = self._so_far.rstrip()
        start = _repeated_from(text, continuation) if len(continuation) >= REPEATED_CHARS else -1
        # A shorter repetition occurs twice: it begins the longest one too.
        return len(text) - start if start >= 0 and text.find(text[start:]) == start else 0

    @cached_property
    def _opened(self) -> str:
        """The lines that open the block that the text ends in: a fence, or a table's header."""
        outline = Outline(recent_part(self._so_far) + "x")
        for _ in outline.lines():
            pass
        opened = outline.opening().lines
        # A fence without a language looks the same where it closes, and closing is what a model means.
        return "" if _BARE_FENCE.search(opened) else opened


def _repeated_from(text: str, continuation: str) -> int:
    """Returns where the longest end of a text begins that the continuation begins with; -1 if there is none.

    A beginning that occurs more than `MAX_PLACES` times before is no repetition.
    """
    beginning = continuation[:REPEATED_CHARS]
    start = text.find(beginning, max(0, len(text) - len(continuation)))
    for _ in range(MAX_PLACES):
        if start < 0 or continuation.startswith(text[start:]):
            return start
        start = text.find(beginning, start + 1)
    return -1
