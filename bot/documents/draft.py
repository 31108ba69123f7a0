"""The Markdown of a document while it is read, with its limit, and what it leaves out."""

import re
from collections.abc import Iterable, Sequence

from bot.documents.document import MAX_CHARS, MAX_NAMES, Document, LeftOut, Part, Refusal

MAX_NAME_CHARS = 60
_SPACE = re.compile(r"\s+")


class Unreadable(Exception):
    """The document can't be read."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class Full(Exception):
    """The limit for a document's text is reached."""


class Draft:
    """Collects a document's blocks."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._room = MAX_CHARS
        self._left_out: dict[Part, LeftOut] = {}

    def add(self, text: str, end: str = "\n\n") -> None:
        """Adds a block, or a line with the end "\\n". Raises Full."""
        text = text.strip("\n")
        if not text.strip():
            return
        if len(end) > 1:
            self._end_lines()
        self._pieces.append(text[: self._room] + end)
        self._room -= len(text) + len(end)
        if self._room <= 0:
            self.leave_out(Part.END)
            raise Full

    def table(self, rows: Iterable[Sequence[str]]) -> None:
        """Adds a table, whose first row is its header. Empty rows and the empty ends of rows are dropped."""
        self._end_lines()
        is_header = True
        for row in rows:
            cells = [_SPACE.sub(" ", cell).strip().replace("|", "\\|") for cell in row]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                self.add(f"| {' | '.join(cells)} |", "\n")
                if is_header:
                    self.add(f"|{'---|' * len(cells)}", "\n")
                is_header = False
        self._end_lines()

    def leave_out(self, part: Part, names: Sequence[str] = (), count: int = 1) -> None:
        """Notes that something is left out: these, or without names that many."""
        if not (count := len(names) or count):
            return
        before = self._left_out.get(part, LeftOut(part, 0))
        short = (_SPACE.sub(" ", name).strip()[:MAX_NAME_CHARS] for name in names[:MAX_NAMES])
        self._left_out[part] = LeftOut(part, before.count + count, (*before.names, *short)[:MAX_NAMES])

    def _end_lines(self) -> None:
        """Adds the empty line without which Markdown would join the next block to these lines."""
        if self._pieces and not self._pieces[-1].endswith("\n\n"):
            self._pieces[-1] += "\n"

    def document(self) -> Document:
        """Returns what was collected."""
        return Document("".join(self._pieces).strip("\n"), tuple(self._left_out.values()))
