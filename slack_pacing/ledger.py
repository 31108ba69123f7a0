"""The interface of the ledger that counts the calls of all processes, and the ledger of a single process. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from slack_pacing.posts import PostRule
from slack_pacing.rates import LearnedLimit

POSTS_PREFIX = "posts "
"""The prefix of a channel's ID in names under which its posts are counted."""


@dataclass(frozen=True, slots=True)
class OtherProcesses:
    call_ages_s: tuple[float, ...] = ()
    live_ages_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Reservation:
    is_granted: bool
    other_processes: OtherProcesses
    learned: Mapping[str, LearnedLimit] = field(default_factory=dict)
    """Recorded values by budget. Their times are on this process's monotonic clock."""


class LedgerUnavailable(Exception):
    """Raised if the ledger can't be reached. Until it can, a budget counts only this process's calls."""


class Ledger(Protocol):
    """Counts the calls of all processes. Each method can raise LedgerUnavailable."""

    async def reserve(self, method: str, calls_per_minute: int, *, with_live: bool = False) -> Reservation:
        """Takes a call from the method's budget if one is left. `with_live`: whether to report other processes' live
        replies, too."""
        ...

    async def reserve_post(self, channel_id: str, rule: PostRule) -> Reservation: ...

    async def give_back(self, unsent: Sequence[str]) -> None:
        """Gives back a counted but unsent call for each item, which is a method, or a channel with the prefix
        POSTS_PREFIX."""
        ...

    async def record_learned(self, budget: str, learned: LearnedLimit) -> None:
        """Records a learned value, unless the recorded one is newer."""
        ...


class SingleProcess:
    """The ledger for a bot that runs in a single process. It grants every call, because the budget itself counts
    them."""

    async def reserve(self, method: str, calls_per_minute: int, *, with_live: bool = False) -> Reservation:
        return Reservation(True, OtherProcesses())

    async def reserve_post(self, channel_id: str, rule: PostRule) -> Reservation:
        return Reservation(True, OtherProcesses())

    async def give_back(self, unsent: Sequence[str]) -> None:
        """Does nothing, because nothing was counted."""

    async def record_learned(self, budget: str, learned: LearnedLimit) -> None:
        """Does nothing, because the budget keeps what it learns until the process ends."""
