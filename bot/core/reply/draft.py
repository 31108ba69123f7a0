"""A growing answer's text and sources, and how much of them is on record. Pure."""

from collections.abc import Sequence

from bot.core.conversation import Job
from bot.core.job import End, Piece
from bot.core.reply.resuming import start_of
from bot.core.reply.sources import with_citation
from bot.core.stream import Citation


class Draft:
    """The text of one attempt at a job.

    It begins with what the attempt resumes from. An earlier attempt's record stays until this text is longer.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.start = start_of(job)
        self._utf8 = bytearray(self.start.encode())
        """The text. A list of deltas takes seven times the memory, and StringIO keeps one, in Python 3.11."""
        self.chars = len(self.start)
        self._recorded = self.chars
        """How many of the first characters are on record."""
        self.end = job.checkpoint.end
        """How the answer ended; None while it grows."""
        self._last: Piece | None = None
        """The piece with the end, until it is on record."""
        keeps_checkpoint = self.resumes or bool(job.rounds) or job.checkpoint.end is not None
        self.sources: Sequence[Citation] = job.checkpoint.sources if keeps_checkpoint else job.sources
        """The web pages that the text cites."""
        self._recorded_sources = self.sources

    @property
    def resumes(self) -> bool:
        """Whether this attempt continues a text that an earlier one left in the middle of a step."""
        return self.start != self.job.settled

    @property
    def text(self) -> str:
        """The whole text so far."""
        return self._utf8.decode()

    def append(self, delta: str) -> None:
        """Adds text from the model."""
        self._utf8 += delta.encode()
        self.chars += len(delta)

    def cite(self, citation: Citation) -> None:
        """Adds a source of the text."""
        self.sources = with_citation(self.sources, citation)

    def replace_text(self, text: str) -> None:
        """Replaces the whole text by one that an earlier attempt left, and that is longer."""
        self._utf8 = bytearray(text.encode())
        self.chars = len(text)
        self._recorded = 0

    def close(self, end: End) -> None:
        """Ends the answer."""
        self.end = end
        self._last = Piece(self._recorded, self.text[self._recorded :], end, self.sources)

    def piece(self) -> Piece | None:
        """Returns what has to be recorded; None if all of it is, or if an earlier attempt left more."""
        on_record = max(self._recorded, len(self.job.checkpoint.text))
        is_new = self.chars > on_record or (self.chars == on_record and self.sources != self._recorded_sources)
        if self._last or not is_new:
            return self._last
        return Piece(self._recorded, self.text[self._recorded :], sources=self.sources)

    def recorded(self, piece: Piece) -> None:
        """Notes that a piece was recorded. Other pieces may have been recorded in the meantime."""
        self._recorded_sources = piece.sources
        if piece.end:
            self._last = None
            self._recorded = self.chars
        elif piece.chars > self._recorded:
            self._recorded = piece.chars
