"""The life of a reply in one process: its states, and what leads from one to the next. Pure.

A reply that is BEGINNING or GROWING takes text. FINISH makes it ENDING: only calls are left, which show the rest. A
QUEUED one shows no more than the placeholder of a queued question. In the states after ENDING_AGAIN it is over, and
makes no more calls.
"""

from collections.abc import Mapping
from enum import StrEnum, auto


class Life(StrEnum):
    """Where a reply is in its life."""

    QUEUED = auto()
    BEGINNING = auto()
    """Slack shows a placeholder, or what an earlier attempt left: it stays until there is more."""
    GROWING = auto()
    ENDING = auto()
    ENDING_AGAIN = auto()
    """The end is shown by new messages, because edits are spent."""
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
        return self in (Life.SHOWN, Life.GONE, Life.UNSHOWN, Life.LEFT)


class Turn(StrEnum):
    """What can happen to a reply."""

    GROW = auto()
    """There is more to show than before this attempt."""
    FINISH = auto()
    """No more text will come."""
    POST_AGAIN = auto()
    """New messages take the place of those that would have to be edited."""
    SHOW = auto()
    """Slack shows all that it should."""
    LOSE = auto()
    """Its messages or its channel are gone."""
    GIVE_UP = auto()
    """Slack has refused it for too long, or its text can't be laid out."""
    LEAVE = auto()


TURNS: Mapping[tuple[Life, Turn], Life] = {
    (Life.BEGINNING, Turn.GROW): Life.GROWING,
    (Life.BEGINNING, Turn.FINISH): Life.ENDING,
    (Life.GROWING, Turn.FINISH): Life.ENDING,
    (Life.QUEUED, Turn.FINISH): Life.ENDING,
    (Life.ENDING, Turn.POST_AGAIN): Life.ENDING_AGAIN,
    (Life.QUEUED, Turn.SHOW): Life.SHOWN,
    (Life.ENDING, Turn.SHOW): Life.SHOWN,
    (Life.ENDING_AGAIN, Turn.SHOW): Life.SHOWN,
    **{
        (life, turn): over
        for life in Life
        if not life.is_over
        for turn, over in ((Turn.LOSE, Life.GONE), (Turn.GIVE_UP, Life.UNSHOWN), (Turn.LEAVE, Life.LEFT))
    },
}
"""Where each turn leads. A turn that is missing for a state has no effect there."""
