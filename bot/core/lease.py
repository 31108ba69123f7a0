"""Whether this process may still take the jobs that it holds for its own. Pure: it is told the time."""

import math

SURE_S = 4.0
"""After a heartbeat that came back. Others take over after 8 s without one (bot/store), so half of it is safe."""


class Lease:
    """Sure after each heartbeat, for a while. A process that was paused is not: it must beat before it goes on.

    A database that nobody can reach takes nothing from us: nobody can take over there. So a heartbeat that fails
    keeps us sure, if we were sure up to then, which a paused process was not.
    """

    def __init__(self) -> None:
        self._until = -math.inf

    def beat(self, began: float) -> None:
        """A heartbeat that was sent at `began` came back."""
        self._until = max(self._until, began + SURE_S)

    def failed(self, now: float) -> None:
        """A heartbeat failed: the database is away. One that took as long as a pause is no such sign."""
        if self.sure(now):
            self._until = max(self._until, now + SURE_S)

    def sure(self, now: float) -> bool:
        """Seconds that only grow."""
        return now < self._until
