"""The calls to Slack of all processes."""

from typing import Protocol

from bot.core.job import Reservation
from bot.core.pacing import PostRule


class RateLedger(Protocol):
    """Counts the calls to Slack of all processes that share the database, those of ended processes included."""

    @property
    def failed_at(self) -> float:
        """When the database last failed this process, in any operation, by the monotonic clock."""
        ...

    async def reserve(self, method: str, calls_per_minute: int, *, with_live: bool = False) -> Reservation:
        """Takes one call from the method's budget, if one is left. Raises StoreError.

        `with_live`: the reservation also reports the other processes' live replies, which takes one more query.
        """
        ...

    async def reserve_post(self, channel_id: str, rule: PostRule) -> Reservation:
        """Takes one post from a channel's budget, if the rule allows one. Raises StoreError."""
        ...
