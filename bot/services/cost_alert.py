"""Sends Typist admins one direct message on a day that costs much more than previous days (BOT_COST_ALERT)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from bot.core import texts
from bot.core.caps import DAY_S, HOUR_S, Amount, CapOwner, Scope, day_of, format_day
from bot.core.surfaces import DIRECT_MESSAGES
from bot.core.texts.models import ModelNames
from bot.services.admin_notices import AdminNotices
from bot.store import Stores

COMPARED_DAYS = 14
MIN_TIMES_MEAN = 3.0
MIN_USD = 5.0
LISTED_ASKERS = 3


def mean_usd(before: Mapping[int, float], today: int) -> float:
    """Returns the mean daily cost before `today`, starting with the first day that had any usage. `before`: costs by
    day, in days since 1970-01-01."""
    return sum(before.values()) / (today - min(before)) if before else 0.0


@dataclass(eq=False)
class CostAlert:
    stores: Stores
    admins: AdminNotices
    names: ModelNames
    is_direct_message: Callable[[str], Awaitable[bool]]
    """Returns whether a channel is a direct message. Raises RateLimited."""
    _next_at: float = field(default=0.0, init=False)

    async def check(self) -> None:
        """Sends today's alert if one is due, checking about four times an hour. Raises StoreError and RateLimited."""
        now = self.stores.clock.now()
        if now < self._next_at:
            return
        today, usage, team_id = day_of(now), self.stores.usage, self.admins.team_id
        self._next_at = min(now + HOUR_S / 4, (today + 1) * DAY_S)
        days = await usage.usage_by_day(team_id, CapOwner(Scope.WORKSPACE, team_id), today - COMPARED_DAYS)
        before = {day: amount.cost_usd for day, amount in days.items() if day < today}
        usd, notice = days.get(today, Amount()).cost_usd, f"cost alert {format_day(today)}"
        mean = mean_usd(before, today)
        if usd < max(MIN_USD, MIN_TIMES_MEAN * mean) or await self.admins.has_sent(notice):
            return
        spent = await usage.month_usage(team_id, today, today + 1)
        place, model = (max(of, key=lambda one: of[one].cost_usd) for of in (spent.channels, spent.models))
        in_place, by_model = spent.channels[place].cost_usd, spent.models[model].cost_usd
        channel = "" if place == DIRECT_MESSAGES or await self.is_direct_message(place) else place
        questions = await usage.questions_of_askers(team_id, today, LISTED_ASKERS)
        sentence = texts.quotas.cost_alert(usd, mean, channel, in_place, self.names.label(model), by_model, questions)
        await self.admins.send(notice, sentence)
