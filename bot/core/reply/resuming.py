"""Resuming an interrupted answer: from where, and how a model's continuation joins the text. Pure."""

import re
from functools import cached_property

from bot.core.conversation import Job
from bot.core.reply.joins import LOOKAHEAD_CHARS, PARAGRAPH, TextEnd
from bot.core.reply.markdown.block_parser import LeafKind, parse_blocks, recent_part
from bot.core.reply.page_breaks import Outline
from bot.errors import EndReason

NOTHING_MISSING = "(complete)"
"""The reply that the prompt asks for if the text is already complete."""
SHORTEST_CHARS = 400
"""A shorter text is generated again, which takes no longer than continuing it and leaves no seam."""
MAX_BACK_CHARS = 200
"""The most characters that are dropped from the end, to resume at the beginning of a line or word."""
REPEATED_CHARS = 10
"""Fewer repeated characters may be a coincidence, unless they are the word that the text ends in."""
MAX_PLACES = 100
"""At how many places of the text a repetition is looked for."""

_BARE_FENCE = re.compile(r"(?:^|[\n >])(?:`{3,}|~{3,})\n$")


def continued(answer: str, end_reason: EndReason) -> str:
    """Returns the text that a new version goes on after. After the limit of steps, that is in a new paragraph.

    A step's text is whole, and the next step begins a paragraph, too.
    """
    return f"{answer}{PARAGRAPH}" if end_reason is EndReason.STEP_LIMIT else answer


def start_of(job: Job) -> str:
    """Returns the text that an attempt begins with.

    That is the part that no attempt writes again, or the text of an earlier attempt.
    """
    left = job.checkpoint.text
    if job.checkpoint.end:
        return left
    if len(left) - len(job.fixed_text) < SHORTEST_CHARS:
        return job.fixed_text
    return left[: _boundary(left)]


def _boundary(text: str) -> int:
    """Returns where to resume: where a line begins in code and tables, elsewhere where a word begins.

    Text without spaces may be cut anywhere.
    """
    leaf_blocks = parse_blocks(recent_part(text), last_line_incomplete=False).leaf_blocks
    kinds_of_lines = (LeafKind.FENCED_CODE, LeafKind.TABLE, LeafKind.INDENTED_CODE)
    in_lines = leaf_blocks and leaf_blocks[-1].kind in kinds_of_lines
    least = len(text) - MAX_BACK_CHARS
    line = text.rfind("\n", least) + 1
    word = max(text.rfind(" ", least), text.rfind("\n", least)) + 1
    return (line if in_lines else word) or word or len(text)


class Seam:
    """Joins a model's continuation to the text so far, and holds deltas back until it is clear how.

    Models repeat the last words or the whole text, reopen a code block or a table that is open, and drop or double the
    white space in between (core/reply/joins.py). However the continuation is split into deltas, the text is the same:
    once the first characters decide how they join, more characters decide nothing else.
    """

    def __init__(self, so_far: str) -> None:
        self._so_far = so_far
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
        if self._joined or self._held.strip().rstrip(".") == NOTHING_MISSING:
            return ""
        self._joined = True
        return self._continuation(ended=True) or ""

    def _may_repeat(self, held: str) -> bool:
        """Whether the text has what is held, so that more of it may repeat the text's end."""
        if self._held_at >= 0 and not self._so_far.startswith(held, self._held_at):
            self._held_at = self._so_far.find(held, self._held_at + 1)
        return self._held_at >= 0

    def _continuation(self, *, ended: bool) -> str | None:
        """Returns what is held as it joins the text; None if more of it is needed to know."""
        held = self._held.lstrip()
        repeated = self._repeated(held)
        added = held[repeated:] if repeated else self._held
        continuation = added.lstrip("\n")
        breaks = len(added) - len(continuation)
        opened = "" if repeated else self._opened
        if not ended and (not continuation.strip() or opened.startswith(continuation)):
            return None
        reopens = bool(opened) and continuation.startswith(opened)
        continuation = continuation.removeprefix(opened)
        if not ended and not continuation.strip():
            return None
        end = self._so_far[len(self._so_far.rstrip()) :]
        if "\n" in end:
            return "\n" * max(0, breaks - end.count("\n")) + continuation
        if end or breaks or repeated or continuation[:1].isspace():
            return "\n" * breaks + (continuation.lstrip(" ") if end and not breaks else continuation)
        if reopens:
            return f"\n{continuation}"
        if not ended and len(continuation) < LOOKAHEAD_CHARS:
            return None
        return self._end.missing_before(continuation) + continuation

    def _repeated(self, continuation: str) -> int:
        """Returns how many of the first characters repeat the text's last ones.

        These occur nowhere else in the text, or they are the word that the text ends in, begun again.
        """
        text = self._so_far.rstrip()
        start = _repeated_from(text, continuation) if len(continuation) >= REPEATED_CHARS else -1
        # A shorter repetition occurs twice: it begins the longest one too.
        if start >= 0 and text.find(text[start:]) == start:
            return len(text) - start
        is_side_by_side = text == self._so_far and continuation == self._held
        word = self._end.last_word if is_side_by_side else ""
        return len(word) if continuation.startswith(word) else 0

    @cached_property
    def _end(self) -> TextEnd:
        return TextEnd(self._so_far)

    @cached_property
    def _opened(self) -> str:
        """The lines that open the block that the text ends in: a fence, or a table's header."""
        if not self._so_far[-1:].isspace() and self._end.closes_code:
            return ""
        outline = Outline(self._end.recent + "x")
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
