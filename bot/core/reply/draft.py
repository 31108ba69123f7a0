"""An answer's text as it comes, and how much of it is on record. Pure."""

from bot.core.conversation import Job
from bot.core.job import Closing, Piece
from bot.core.reply.resuming import start_of


class Draft:
    """The text of one attempt at a job, from what it goes on with.

    What an earlier attempt left on record stays until this one's text is longer.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.start = start_of(job)
        self._parts = [self.start] if self.start else []
        self.chars = len(self.start)
        self._tail: list[str] = []
        """What came after the first `_recorded` characters."""
        self._recorded = self.chars
        self._last: Piece | None = None
        """Set once it ends: what is left to go on record then."""

    @property
    def resumes(self) -> bool:
        """It goes on with what an earlier attempt left."""
        return self.start != self.job.so_far

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def append(self, delta: str) -> None:
        """The model said more."""
        self._parts.append(delta)
        self._tail.append(delta)
        self.chars += len(delta)

    def close(self, text: str, closing: Closing) -> None:
        """It ends with this text: its own, or what an earlier attempt left where that is more."""
        is_own = text == self.text
        self._last = Piece(self._recorded, "".join(self._tail), closing) if is_own else Piece(0, text, closing)

    def piece(self) -> Piece | None:
        """What is to go on record; None while all of it is, or an earlier attempt left more."""
        if self._last or self.chars <= max(self._recorded, len(self.job.checkpoint.text)):
            return self._last
        return Piece(self._recorded, "".join(self._tail))

    def recorded(self, piece: Piece) -> None:
        """A piece went on record; meanwhile others may have."""
        if piece.closing:
            self._last = None
            self._tail.clear()
            self._recorded = self.chars
        elif piece.end > self._recorded:
            self._tail = ["".join(self._tail)[piece.end - self._recorded :]]
            self._recorded = piece.end
