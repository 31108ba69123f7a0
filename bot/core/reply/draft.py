"""A growing answer's text, and how much of it is on record. Pure."""

from bot.core.conversation import Job
from bot.core.job import Closing, Piece
from bot.core.reply.resuming import start_of


class Draft:
    """The text of one attempt at a job.

    It begins with what the attempt resumes from. An earlier attempt's record stays until this text is longer.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.start = start_of(job)
        self._parts = [self.start] if self.start else []
        self.chars = len(self.start)
        self._tail: list[str] = []
        """The text after the first `_recorded` characters, in deltas."""
        self._recorded = self.chars
        self._last: Piece | None = None
        """The closing to record once the answer has ended."""

    @property
    def resumes(self) -> bool:
        """Whether this attempt continues what an earlier one left."""
        return self.start != self.job.so_far

    @property
    def text(self) -> str:
        """The whole text so far."""
        return "".join(self._parts)

    def append(self, delta: str) -> None:
        """Adds text from the model."""
        self._parts.append(delta)
        self._tail.append(delta)
        self.chars += len(delta)

    def close(self, text: str, closing: Closing) -> None:
        """Ends the answer with this text: the draft's own, or an earlier attempt's if that is longer."""
        is_own = text == self.text
        self._last = Piece(self._recorded, "".join(self._tail), closing) if is_own else Piece(0, text, closing)

    def piece(self) -> Piece | None:
        """Returns what has to be recorded; None if all of it is, or if an earlier attempt left more."""
        if self._last or self.chars <= max(self._recorded, len(self.job.checkpoint.text)):
            return self._last
        return Piece(self._recorded, "".join(self._tail))

    def recorded(self, piece: Piece) -> None:
        """Notes that a piece was recorded. Other pieces may have been recorded in the meantime."""
        if piece.closing:
            self._last = None
            self._tail.clear()
            self._recorded = self.chars
        elif piece.end > self._recorded:
            self._tail = ["".join(self._tail)[piece.end - self._recorded :]]
            self._recorded = piece.end
