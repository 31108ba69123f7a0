"""The ledger of all processes' calls, and of what any of them has learned. Pure.

`RateLedger` (bot/store/rate_ledger.py) stores it in the database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bot.pacing.posts import PostRule
from bot.pacing.rates import Learned

POSTS_IN = "posts "
"""Prefix for a channel's ID, under which its posts are counted."""


@dataclass(frozen=True, slots=True)
class Others:
    """The activity of other processes in the same workspace, as ages in seconds."""

    call_ages_s: tuple[float, ...] = ()
    """The ages of their calls of one method in the last minute."""
    live_ages_s: tuple[float, ...] = ()
    """The ages of their live replies, if requested."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Whether one more call of a method fits into the minute that all processes share."""

    granted: bool
    others: Others
    learned: Mapping[str, Learned] = field(default_factory=dict)
    """The recorded values by budget, with times on this process's monotonic clock."""


class Ledger(Protocol):
    """Counts the calls of all processes. Each method raises StoreError."""

    async def reserve(self, method: str, calls_per_minute: int, *, with_live: bool = False) -> Reservation:
        """Takes one call from the method's budget, if any is left. `with_live`: report others' live replies too."""
        ...

    async def reserve_post(self, channel_id: str, rule: PostRule) -> Reservation:
        """Takes one post from a channel's budget, if the rule allows one."""
        ...

    async def give_back(self, counted: Sequence[str]) -> None:
        """Uncounts one unsent call of this process for each method, and for each channel with the prefix POSTS_IN."""
        ...

    async def record_learned(self, budget: str, learned: Learned) -> None:
        """Records what this process has learned about a budget, unless the recorded value is newer."""
        ...
