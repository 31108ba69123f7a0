"""Tokens and dollars: reserved while an answer is written, added up when it has ended. Raises StoreError."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from bot.core.conversation import Job
from bot.core.limits.caps import Amount, Cap, CapCheck, CapWindow, ScopeIds


class UsageTotals(Protocol):
    """Reads usage totals."""

    async def used(self, scope_ids: ScopeIds, windows: Collection[CapWindow]) -> Mapping[CapWindow, Amount]:
        """Returns the usage in the current period of each window, without answers under way.

        An attempt's usage counts for the day on which the attempt ended.
        """
        ...


class UsageByModel(UsageTotals, Protocol):
    """Reads usage totals, also by model."""

    async def used_by_model(self, team_id: str, since: float) -> Mapping[str, Amount]:
        """Returns a workspace's usage by model, of answers that ended since then (seconds since the epoch)."""
        ...


class UsageLedger(UsageTotals, Protocol):
    """Keeps answers under way within the caps."""

    async def reserve(self, job: Job, most: Amount, caps: Sequence[Cap]) -> CapCheck:
        """Reserves the most that an answer may use until its job ends, if the caps leave room for it.

        Reservations of a workspace are made one after another, over all processes.
        """
        ...
