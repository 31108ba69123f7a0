"""The ledger of all processes' calls, and of what any of them has learned. Pure.

`RateLedger` (bot/store/rate_ledger.py) keeps it in the database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bot.pacing.posts import PostRule
from bot.pacing.rates import Learned

POSTS_IN = "posts "
"""Before a channel's ID: what its posts are counted as."""


@dataclass(frozen=True, slots=True)
class Others:
    """The activity of the other processes in our workspace; ages are in seconds."""

    call_ages_s: tuple[float, ...] = ()
    """The ages of their calls of one method in the last minute."""
    live_ages_s: tuple[float, ...] = ()
    """The ages of their live replies; none unless they were asked for."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Whether one more call of a method fits into the minute that all processes share."""

    granted: bool
    others: Others
    learned: Mapping[str, Learned] = field(default_factory=dict)
    """What is on record of each budget; times are by this process's monotonic clock."""


class Ledger(Protocol):
    """Counts the calls of all processes. Each method raises StoreError."""

    async def reserve(self, method: str, calls_per_minute: int, *, with_live: bool = False) -> Reservation:
        """Takes one call from the method's budget, if one is left.

        `with_live`: the reservation also reports the other processes' live replies.
        """
        ...

    async def reserve_post(self, channel_id: str, rule: PostRule) -> Reservation:
        """Takes one post from a channel's budget, if the rule allows one."""
        ...

    async def give_back(self, counted: Sequence[str]) -> None:
        """Counts one call fewer of this process for each method and each channel, after POSTS_IN: it never left."""
        ...

    async def record_learned(self, budget: str, learned: Learned) -> None:
        """Records what this process has learned about a budget, unless what is on record is newer."""
        ...
