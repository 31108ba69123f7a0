"""Leases, which limit how long a process can edit its jobs' replies. Pure."""

import math

LEASE_S = 4.0
"""The time for which a lease is valid after a heartbeat."""


class Lease:
    """A worker's lease on its jobs, during which no other worker can own them. Times are from the monotonic clock.

    Other workers take over a job if its worker's heartbeat hasn't changed for 8 s (store/workers.py). A heartbeat
    renews the lease for half that time, counted from when it was sent, because the database might have recorded it
    immediately. While the database is unreachable, no worker can take over, so a failed heartbeat also renews a valid
    lease.
    """

    def __init__(self) -> None:
        self._until = -math.inf

    def renew(self, sent_at: float) -> None:
        self._until = max(self._until, sent_at + LEASE_S)

    def heartbeat_failed(self, now: float) -> None:
        if self.is_valid(now):
            self._until = max(self._until, now + LEASE_S)

    def is_valid(self, now: float) -> bool:
        return now < self._until
