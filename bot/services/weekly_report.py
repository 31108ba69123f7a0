"""Sends the weekly report: a direct message to every Typist admin about the last seven days in UTC (BOT_WEEKLY_REPORT).

The report has the same figures as `typist usage`, next to those of the previous week. It doesn't identify askers or
repeat any text. If no process is running when a report is due, the report is sent when one starts.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from bot.core import texts
from bot.core.caps import DAY_S, day_of, format_day
from bot.core.schedules import Rule
from bot.core.usage import WEEK_DAYS
from bot.services.admin_notices import AdminNotices
from bot.store import Stores
from bot.store.notifications import BACKUP_KEY

_EPOCH = date(1970, 1, 1)
MOST_DISLIKED = 3


@dataclass(eq=False)
class WeeklyReport:
    rule: Rule
    stores: Stores
    retirement_sentences: Callable[[], Awaitable[Sequence[str]]]
    """Returns a sentence for each model in use that will be retired soon."""
    admins: AdminNotices
    is_direct_message: Callable[[str], Awaitable[bool]]
    """Returns whether a channel is a direct message. Raises RateLimited."""
    _next_at: float = field(default=0.0, init=False)
    """The earliest time of the next report. Until then, the database isn't queried."""

    async def check(self) -> None:
        now = self.stores.clock.now()
        if now < self._next_at:
            return
        due_at = max(at for at in self.rule.next_times(now - 8 * DAY_S, 2) if at <= now)
        notice, end = f"weekly report {format_day(day_of(due_at))}", day_of(due_at)
        if not await self.admins.has_sent(notice) and (report := await self._report_until(end)):
            await self.admins.send(notice, report)
        self._next_at = self.rule.first_due_after(now)

    async def _report_until(self, end: int) -> str:
        """Returns the report about the seven days before `end`, in days since 1970-01-01, or "" if nobody asked."""
        first, team_id = end - WEEK_DAYS, self.admins.team_id
        before, this = [await self._week(day) for day in (first - WEEK_DAYS, first)]
        if not this.questions:
            return ""
        signed_out = await self.stores.audit.count_ended_sign_ins(team_id, first * DAY_S, end * DAY_S)
        day, ending = _EPOCH + timedelta(first), await self.retirement_sentences()
        backup_at, now = await self.stores.notifications.known_since("", "", BACKUP_KEY), self.stores.clock.now()
        backup_days = None if backup_at is None else int((now - backup_at) / DAY_S)
        return texts.weekly.weekly_report(
            day, this, before, signed_out=signed_out, ending=ending, backup_days=backup_days
        )

    async def _week(self, first: int) -> texts.weekly.Week:
        team_id = self.admins.team_id
        week = await self.stores.usage.week_usage(team_id, first, MOST_DISLIKED)
        rule_runs = await self.stores.schedules.count_jobs_with_rule(team_id, first * DAY_S, WEEK_DAYS * DAY_S)
        return replace(week, disliked=await self._group_by_place(week.disliked), rule_runs=rule_runs)

    async def _group_by_place(self, by_channel: Mapping[str, int]) -> Mapping[str, int]:
        """Returns numbers by channel. The channel "" includes all direct messages and group conversations."""
        places = Counter[str]()
        for channel_id, number in by_channel.items():
            is_direct_message = not channel_id or await self.is_direct_message(channel_id)
            places["" if is_direct_message else channel_id] += number
        return dict(places.most_common())
