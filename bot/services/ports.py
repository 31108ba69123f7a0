"""The ports of an answer: what its loop needs, which Slack and a database implement, or memory alone.

`Steps` runs the loop. It knows neither Slack nor SQL.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from bot.core.calls import RecordedCall
from bot.core.job import End
from bot.models.events import Retrying, Searching
from bot.reply.answer import Answer


class Doing(Enum):
    """What is being done for an answer."""

    THINKING = auto()
    """The model thinks. It ends what was shown before."""
    LISTENING = auto()
    """A recording is being transcribed."""
    TAKING_LONG = auto()
    """The model hasn't written anything for long."""


@dataclass(frozen=True, slots=True)
class Running:
    """A tool is being called."""

    tool: str
    """Its name for readers."""


@dataclass(frozen=True, slots=True)
class TranscriptTexts:
    """What is said in recordings."""

    transcripts: Sequence[str]


Activity = Doing | Running | TranscriptTexts | Searching | Retrying
"""What an output can show of an answer beside its text, until the next text or activity."""


class Output(Protocol):
    """Where the text of one attempt at an answer goes."""

    async def begin(self, answer: Answer) -> None:
        """Gets ready for the text of an answer, right before its model is asked. Raises GivenUp."""
        ...

    def append(self, text: str) -> None:
        """Adds text to the answer, and shows it."""
        ...

    def show(self, activity: Activity) -> None:
        """Shows what is being done."""
        ...

    async def ask(self, calls: Sequence[RecordedCall]) -> None:
        """Asks a person about those calls of a step that need it. Raises GivenUp once somebody has to decide.

        Returns if nobody can be asked, because nobody sees the answer. Raises NotShown.
        """
        ...

    def unseen_end(self) -> End | None:
        """Returns the end of an answer that nobody can see anymore, or None. Raises NotShown and Stuck."""
        ...
