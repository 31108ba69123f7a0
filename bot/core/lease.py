"""The lease: whether this process may still take its jobs for its own. Pure: the caller passes in the time.

Other workers take over a job when its worker's heartbeat has not changed for 8 s (store/liveness/failure_detector.py).
A worker edits only during SURE_S after a heartbeat, which is half of that. The time counts from the moment at which the
heartbeat was sent: the database may have written it then, however late its answer came.
"""

import math

SURE_S = 4.0
"""How long a heartbeat makes sure."""


class Lease:
    """Is sure for a while after each heartbeat. A process that was paused must send a heartbeat before it goes on.

    While the database is unreachable nobody can take over. So a failed heartbeat keeps a process sure, if it was sure
    up to then; a paused process was not.
    """

    def __init__(self) -> None:
        self._until = -math.inf

    def beat(self, began: float) -> None:
        """Records that a heartbeat that was sent at `began` was answered."""
        self._until = max(self._until, began + SURE_S)

    def failed(self, now: float) -> None:
        """Records that a heartbeat failed. A failure after a pause keeps nobody sure."""
        if self.sure(now):
            self._until = max(self._until, now + SURE_S)

    def sure(self, now: float) -> bool:
        """Whether the jobs are ours for certain. `now` is by the monotonic clock."""
        return now < self._until
