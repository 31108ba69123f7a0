"""A growing answer's text and sources, and how much of them is on record. Pure."""

from collections.abc import Sequence

from bot.core.conversation import Job
from bot.core.job import Closing, Piece
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
        self._last: Piece | None = None
        """The closing to record once the answer has ended."""
        keeps_checkpoint = self.resumes or bool(job.rounds) or job.checkpoint.closing is not None
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

    def close(self, text: str, closing: Closing) -> None:
        """Ends the answer with this text: the draft's own, or an earlier attempt's if that is longer."""
        is_own = text == self.text
        start, added = (self._recorded, text[self._recorded :]) if is_own else (0, text)
        self._last = Piece(start, added, closing, self.sources)

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
        if piece.closing:
            self._last = None
            self._recorded = self.chars
        elif piece.end > self._recorded:
            self._recorded = piece.end
