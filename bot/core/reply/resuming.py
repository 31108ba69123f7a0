"""How an answer that was broken off goes on: from where, and how what a model says then joins it. Pure."""

from bot.core.conversation import Job
from bot.core.reply.markdown import block_parser
from bot.core.reply.markdown.block_parser import BlockKind
from bot.core.reply.page_breaks import Outline

NOTHING_MISSING = "(complete)"
"""What a model is asked to say where the text is an answer's last already."""
SHORTEST_CHARS = 400
"""Less is said again in a second or two, no later than a model begins to go on, and in one piece."""
MOST_BACK_CHARS = 200
"""So much at most is left out at the end, to go on from the beginning of a line or a word."""
REPEATED_CHARS = 10
"""Fewer characters may begin alike by chance."""


def start_of(job: Job) -> str:
    """What an attempt begins with: "", what the answer said before it goes on, or what an earlier attempt left."""
    left = job.checkpoint.text
    if job.checkpoint.closing:
        return left
    if len(left) - len(job.so_far) < SHORTEST_CHARS:
        return job.so_far
    return left[: _boundary(left)]


def _boundary(text: str) -> int:
    """Where a row or a line of code begins; elsewhere a word. Words without spaces between them may be cut."""
    found = block_parser.scan(text, partial=False).leaves
    in_lines = found and found[-1].kind in (BlockKind.FENCE, BlockKind.TABLE, BlockKind.CODE)
    least = len(text) - MOST_BACK_CHARS
    line, word = text.rfind("\n", least) + 1, max(text.rfind(" ", least), text.rfind("\n", least)) + 1
    return (line if in_lines else word) or word or len(text)


class Seam:
    """Joins what a model says to the text that it goes on with; says nothing until it is known how.

    Models repeat the last words or all of them, open again a block of code or a table that is open, and leave out or
    double the white space between.
    """

    def __init__(self, so_far: str) -> None:
        self._so_far = so_far
        self._held = ""
        self._joined = not so_far

    def join(self, delta: str) -> str:
        """What the text grows by; "" while that is not known."""
        if self._joined or not delta:
            return delta
        self._held += delta
        if f"{NOTHING_MISSING}.".startswith(self._held.strip()) or self._held.lstrip() in self._so_far:
            return ""
        self._joined = True
        return self._continuation()

    def rest(self) -> str:
        """The model has ended: what of it was held back."""
        if self._joined or self._held.strip().rstrip(".") == NOTHING_MISSING:
            return ""
        self._joined = True
        return self._continuation()

    def _continuation(self) -> str:
        said = self._held.lstrip()
        repeated = self._repeated(said)
        added = said[repeated:] if repeated else self._held
        said = added.lstrip("\n")
        breaks = len(added) - len(said)
        said = said if repeated else said.removeprefix(self._opened())
        end = self._so_far[len(self._so_far.rstrip()) :]
        if "\n" in end:
            return "\n" * max(0, breaks - end.count("\n")) + said
        return "\n" * breaks + (said.lstrip(" ") if end and not breaks else said)

    def _repeated(self, said: str) -> int:
        """How many of its first characters are the text's last, and stand there alone: others may come again."""
        text = self._so_far.rstrip()
        for chars in range(min(len(said), len(text)), REPEATED_CHARS - 1, -1):
            if text.endswith(said[:chars]) and text.count(said[:chars]) == 1:
                return chars
        return 0

    def _opened(self) -> str:
        """The lines that open what the text ends in: a fence, a table's header."""
        outline = Outline(self._so_far + "x")
        for _ in outline.lines():
            pass
        return outline.opening().lines
