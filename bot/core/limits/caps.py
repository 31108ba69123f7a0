"""How much may be used: caps on tokens and dollars, by day and month of UTC. Pure: it is told the time."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from bot.core import texts

WARN_AT = 0.8
"""Of a cap: from here on the person is told."""

_CAP = re.compile(r"(user|channel|workspace)/(day|month)=(\d+(?:\.\d+)?) ?(tokens|usd)")
_FORM = "must list caps such as user/day=200000tokens or channel/month=20usd (user, channel or workspace; day or month)"
_EPOCH = date(1970, 1, 1)


class Scope(StrEnum):
    """Whose use is counted together."""

    USER = "user"
    CHANNEL = "channel"
    WORKSPACE = "workspace"


class Period(StrEnum):
    """For how long it is counted; both begin at 00:00 UTC."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Amount:
    """What was used, or may be."""

    tokens: int = 0
    """Input and output together."""
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Spender:
    """Whose use an answer counts for."""

    team_id: str
    user_id: str
    channel_id: str

    def id_in(self, scope: Scope) -> str:
        return {Scope.USER: self.user_id, Scope.CHANNEL: self.channel_id, Scope.WORKSPACE: self.team_id}[scope]


@dataclass(frozen=True, slots=True)
class CapWindow:
    """What is added up."""

    scope: Scope
    period: Period


@dataclass(frozen=True, slots=True)
class Cap:
    """No answer is begun once so much is used. The answer that is under way then may pass it."""

    window: CapWindow
    limit: float
    in_dollars: bool

    def used_by(self, amount: Amount) -> float:
        return amount.cost_usd if self.in_dollars else amount.tokens

    def percent_used(self, amount: Amount) -> int:
        """Returns the part of the cap that is used, rounded down and at most 100."""
        return min(100, int(100 * self.used_by(amount) / self.limit))

    @property
    def limit_text(self) -> str:
        """The limit with its unit, for people."""
        return texts.dollars(self.limit) if self.in_dollars else texts.tokens(self.limit)

    def __str__(self) -> str:
        """Names the cap to the person whom it limits: "your quota of 200,000 tokens per day"."""
        return texts.quota(self.window.scope, self.limit_text, self.window.period)


@dataclass(frozen=True, slots=True)
class UsageToDate:
    """What was used so far today and this month, and the caps on it."""

    spent: Mapping[Period, Amount]
    caps: Sequence[Cap]


@dataclass(frozen=True, slots=True)
class CapRoom:
    """Whether an answer may begin. With neither it may."""

    reached: Cap | None = None
    """So much is used: not before the cap resets."""
    held: Cap | None = None
    """The rest is set aside for answers under way: wait what they leave."""


def parse_caps(text: str) -> tuple[Cap, ...]:
    """Caps by commas. Raises ValueError."""
    caps: dict[tuple[CapWindow, bool], Cap] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _CAP.fullmatch(part)
        if match is None or float(match[3]) == 0:
            raise ValueError(f"{_FORM}; {part!r} isn't one")
        cap = Cap(CapWindow(Scope(match[1]), Period(match[2])), float(match[3]), match[4] == "usd")
        if caps.setdefault((cap.window, cap.in_dollars), cap) is not cap:
            raise ValueError(f"has two caps for {part.partition('=')[0]} in {match[4]}")
    return tuple(caps.values())


def room(caps: Sequence[Cap], spent: Mapping[CapWindow, Amount], reserved: Mapping[Scope, Amount]) -> CapRoom:
    """An answer begins while something is left that is neither used nor set aside: so one alone may pass a cap."""
    held = None
    for cap in caps:
        used = cap.used_by(spent[cap.window])
        if used >= cap.limit:
            return CapRoom(reached=cap)
        if used + cap.used_by(reserved[cap.window.scope]) >= cap.limit:
            held = cap
    return CapRoom(held=held)


def day_of(now: float) -> int:
    """The day of UTC, counted from 1970."""
    return int(now // 86_400)


def first_day(period: Period, now: float) -> int:
    """When the period that is now began."""
    today = day_of(now)
    return today if period is Period.DAY else today - _date(today).day + 1


def reached_sentence(cap: Cap, now: float) -> str:
    """What the asker reads instead of an answer."""
    return texts.quota_used_up(str(cap), _next_reset(cap, now))


def warning(cap: Cap, spent: Amount, now: float) -> str | None:
    """What the person is told once; None while there is no need to."""
    if cap.used_by(spent) / cap.limit < WARN_AT:
        return None
    return texts.quota_nearly_used(str(cap), cap.percent_used(spent), _next_reset(cap, now))


def notice_of(cap: Cap, spender: Spender, now: float) -> str:
    """The name of a cap's warning: told once for each, and again in the next period."""
    scope, period = cap.window.scope, cap.window.period
    unit = "usd" if cap.in_dollars else "tokens"
    return f"cap {scope}/{period} {unit} {spender.id_in(scope)} {_date(first_day(period, now))}"


def _next_reset(cap: Cap, now: float) -> date:
    """Returns the first day of the cap's next period."""
    first = _date(first_day(cap.window.period, now))
    if cap.window.period is Period.DAY:
        return first + timedelta(days=1)
    return (first + timedelta(days=31)).replace(day=1)


def _date(day: int) -> date:
    return _EPOCH + timedelta(days=day)


def day_named(text: str) -> int:
    """The day that is written 2026-11-20. Raises ValueError."""
    return day_of(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())


def name_of(day: int) -> str:
    """2026-11-20."""
    return _date(day).isoformat()
