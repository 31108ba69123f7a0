"""How long a process may edit the replies of its jobs. Pure."""

import math

LEASE_S = 4.0
"""How long a lease is valid after a heartbeat."""


class Lease:
    """A worker's lease on its jobs: whether this process still owns them for certain. Times are by the monotonic clock.

    Other workers take over a job when its worker's heartbeat hasn't changed for 8 s (store/workers.py). A heartbeat
    renews the lease for half of that time, and a worker edits only while its lease is valid. The time counts from the
    moment at which the heartbeat was sent: the database may have written it then, however late it responded.

    While the database is unreachable, nobody can take over. So a failed heartbeat renews the lease too, if the lease
    was still valid. It isn't valid in a process that was paused, which must send a heartbeat before it goes on.
    """

    def __init__(self) -> None:
        self._until = -math.inf

    def renew(self, sent_at: float) -> None:
        """Renews the lease, because the database has written a heartbeat that was sent at `sent_at`."""
        self._until = max(self._until, sent_at + LEASE_S)

    def heartbeat_failed(self, now: float) -> None:
        """Renews the lease if it is still valid, because the database is unreachable."""
        if self.is_valid(now):
            self._until = max(self._until, now + LEASE_S)

    def is_valid(self, now: float) -> bool:
        """Whether the worker may edit the replies of its jobs."""
        return now < self._until
