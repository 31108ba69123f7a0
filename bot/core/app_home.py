"""The content of App Home, as data."""

from collections.abc import Mapping
from dataclasses import dataclass

from bot.core.inbound.channel_settings import EffectiveSettings
from bot.core.limits.caps import Amount, UsageToDate


@dataclass(frozen=True, slots=True)
class WorkspaceUsage:
    """What only admins see."""

    total: UsageToDate
    by_model: Mapping[str, Amount]
    """This month."""
    settings: Mapping[str, str]
    """The environment's settings, by label."""


@dataclass(frozen=True, slots=True)
class HomeView:
    """One person's App Home."""

    defaults: EffectiveSettings
    """The settings of channels without their own."""
    usage: UsageToDate
    workspace: WorkspaceUsage | None = None
    """None for people who are not admins."""
