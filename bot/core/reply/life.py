"""The life of a reply in one process: its states, and what leads from one to the next. Pure.

A reply that is GROWING takes text. FINISH makes it ENDING: only calls are left, which show the rest. A QUEUED one shows
no more than the placeholder of a queued question. In all other states it is over, and makes no more calls.
"""

from collections.abc import Mapping
from enum import StrEnum, auto


class Life(StrEnum):
    """Where a reply is in its life."""

    QUEUED = auto()
    GROWING = auto()
    ENDING = auto()
    SHOWN = auto()
    """Slack shows all of it."""
    GONE = auto()
    """Its messages were deleted, or its channel is closed to Typist."""
    UNSHOWN = auto()
    """Slack refused it for minutes, or for good. The outbox shows the end later."""
    LEFT = auto()
    """Another process has its job, or may have it by now."""

    @property
    def is_over(self) -> bool:
        """Whether no more calls are made."""
        return self not in (Life.QUEUED, Life.GROWING, Life.ENDING)


class Turn(StrEnum):
    """What can happen to a reply."""

    FINISH = auto()
    """No more text will come."""
    SHOW = auto()
    """Slack shows all that it should."""
    LOSE = auto()
    """Its messages or its channel are gone."""
    GIVE_UP = auto()
    """Slack has refused it for too long, or its text can't be laid out."""
    LEAVE = auto()


TURNS: Mapping[tuple[Life, Turn], Life] = {
    (Life.GROWING, Turn.FINISH): Life.ENDING,
    (Life.QUEUED, Turn.FINISH): Life.ENDING,
    (Life.QUEUED, Turn.SHOW): Life.SHOWN,
    (Life.ENDING, Turn.SHOW): Life.SHOWN,
    **{
        (life, turn): over
        for life in Life
        if not life.is_over
        for turn, over in ((Turn.LOSE, Life.GONE), (Turn.GIVE_UP, Life.UNSHOWN), (Turn.LEAVE, Life.LEFT))
    },
}
"""Where each turn leads. A turn that is missing for a state has no effect there."""
