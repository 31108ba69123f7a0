"""The content of App Home, as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bot.core.inbound.channel_settings import EffectiveSettings
from bot.core.limits.caps import Amount, Cap, OwnCap, Period, UsageToDate

Used = TypeVar("Used", Amount, int)

TOP = 10
"""So many people, channels, models and tools are listed. The rest is a sum."""
DIRECT_MESSAGES = ""
"""Stands for all direct messages among the channels: each would name a person."""


@dataclass(frozen=True, slots=True)
class MonthUsage:
    """What a workspace used in a month."""

    total: Amount
    people: Mapping[str, Amount]
    channels: Mapping[str, Amount]
    models: Mapping[str, Amount]
    calls: Mapping[str, int]
    """How often each tool was called."""


@dataclass(frozen=True, slots=True)
class Ranking(Generic[Used]):
    """The largest users of this month and the last, and the sum of the others."""

    top: Sequence[tuple[str, Used, Used]]
    """A name, with what it stands for in this month and in the last."""
    others: int
    others_used: tuple[Used, Used]


@dataclass(frozen=True, slots=True)
class Quotas:
    """The caps in force for a workspace's channels and people."""

    defaults: Sequence[Cap]
    """Those of BOT_CAPS."""
    own: Sequence[OwnCap]
    unpriced: Sequence[str]
    """The models that have no price, so that caps in dollars don't count them."""


@dataclass(frozen=True, slots=True)
class WorkspaceUsage:
    """What only admins see."""

    spent: Mapping[Period, Amount]
    """Today and this month."""
    this_month: MonthUsage
    last_month: MonthUsage
    quotas: Quotas
    settings: Mapping[str, str]
    """The environment's settings, by label."""
    built_at: float


@dataclass(frozen=True, slots=True)
class HomeView:
    """One person's App Home."""

    defaults: EffectiveSettings
    """The settings of channels without their own."""
    usage: UsageToDate
    workspace: WorkspaceUsage | None = None
    """None for people who are not admins."""


def ranked(this_month: Mapping[str, Used], last_month: Mapping[str, Used], zero: Used) -> Ranking[Used]:
    """Returns who used most, in this month and then in the last."""
    names = sorted({*this_month, *last_month})
    lines = [(name, this_month.get(name, zero), last_month.get(name, zero)) for name in names]
    lines.sort(key=lambda line: (_weight(line[1]), _weight(line[2])), reverse=True)
    others_this = zero
    others_last = zero
    for _, this, last in lines[TOP:]:
        others_this = others_this + this
        others_last = others_last + last
    return Ranking(lines[:TOP], len(lines[TOP:]), (others_this, others_last))


def _weight(used: Amount | int) -> tuple[float, float]:
    return (used.cost_usd, used.tokens) if isinstance(used, Amount) else (0.0, used)
