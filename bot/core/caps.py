"""Caps, which limit tokens and dollars per UTC day or month. Pure.

While an answer is being written, its maximum possible usage is reserved. An answer can begin only if part of the cap is
neither used nor reserved. At most one answer can therefore exceed a cap, no matter how many begin at once.
"""

import re
from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from bot.core import texts
from bot.core.conversation import Question, is_direct_message
from bot.errors import StoredEnum

DAYS_IN_CHART = 14
"""Slack's charts accept at most 20 categories."""
MAX_LIMIT = 1e12
NOTICE_PERCENTS = (80, 100)
"""Percentages of a cap at which Typist admins are notified. At the first percentage, the person who asks is warned
too."""

_CAP = re.compile(r"(user|channel|workspace)/(day|month)=(\d+(?:\.\d+)?) ?(tokens|usd)")
_FORM = (
    "must list caps, separated by commas, such as user/day=200000tokens or channel/month=20usd (user, channel or "
    "workspace; day or month)"
)
_EPOCH = date(1970, 1, 1)
HOUR_S = 3_600
DAY_S = 24 * HOUR_S


class Scope(StrEnum):
    USER = "user"
    CHANNEL = "channel"
    WORKSPACE = "workspace"


class Period(StoredEnum, unknown="month"):
    """A cap's period, which begins at 00:00 UTC."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Amount:
    tokens: int = 0
    """Input tokens plus output tokens."""
    cost_usd: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.tokens or self.cost_usd)

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.tokens + other.tokens, self.cost_usd + other.cost_usd)


@dataclass(frozen=True, slots=True)
class ScopeIds:
    team_id: str
    user_id: str
    channel_id: str

    def id_of(self, scope: Scope) -> str:
        return {Scope.USER: self.user_id, Scope.CHANNEL: self.channel_id, Scope.WORKSPACE: self.team_id}[scope]


def scope_ids_of(question: Question) -> ScopeIds:
    return ScopeIds(question.thread.team_id, question.user_id, question.thread.channel_id)


@dataclass(frozen=True, slots=True)
class CapWindow:
    scope: Scope
    period: Period


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit in tokens or dollars. No answer begins after it is reached, but an answer in progress can exceed it."""

    window: CapWindow
    limit: float
    in_dollars: bool

    def amount_in_unit(self, amount: Amount) -> float:
        return amount.cost_usd if self.in_dollars else amount.tokens

    def percent_used(self, amount: Amount) -> int:
        """Returns the used percentage of the cap, from 0 to 100, rounded down."""
        return min(100, int(100 * self.amount_in_unit(amount) / self.limit))

    @property
    def setting(self) -> str:
        """The cap in BOT_CAPS syntax, such as "user/day=200000tokens"."""
        unit = "usd" if self.in_dollars else "tokens"
        return f"{self.window.scope}/{self.window.period}={self.limit_as_entered}{unit}"

    @property
    def limit_as_entered(self) -> str:
        return format(Decimal(str(self.limit)).normalize(), "f")

    @property
    def limit_text(self) -> str:
        return texts.quotas.dollars(self.limit) if self.in_dollars else texts.quotas.tokens(self.limit)

    def __str__(self) -> str:
        return texts.quotas.quota(self.window.scope, self.limit_text, self.window.period)


@dataclass(frozen=True, slots=True)
class CapOwner:
    """A workspace, channel or person with separate caps. A workspace's `id` is its team ID."""

    scope: Scope
    id: str


@dataclass(frozen=True, slots=True)
class OwnCap:
    owner: CapOwner
    cap: Cap
    usage: Amount


CAP_MARK = "cap mark"


@dataclass(frozen=True, slots=True)
class CapNotice:
    """A one-time notice to Typist admins that usage has reached a percentage of a cap. The notice can be sent again
    after the limit changes."""

    cap: Cap
    owner_id: str
    percent: int
    month: str
    """The month, such as "2026-11". Notices are sent once a month even for daily caps, because many people reach theirs
    every day."""

    def __str__(self) -> str:
        return f"{self.percent}% {self.cap.setting} {self.owner_id} {self.month}"

    @classmethod
    def parse(cls, text: str) -> "CapNotice":
        percent, setting, owner_id, month = text.split(" ")
        [cap] = parse_caps(setting)
        return cls(cap, owner_id, int(percent.removesuffix("%")), month)


@dataclass(frozen=True, slots=True)
class CapUsage:
    cap: Cap
    percent: int
    resets_at: float


@dataclass(frozen=True, slots=True)
class UsageToDate:
    usage_by_period: Mapping[Period, Amount]
    caps: Sequence[CapUsage]


@dataclass(frozen=True, slots=True)
class CapCheck:
    """The result of checking an answer against its caps. The answer can begin if both fields are None."""

    reached_cap: Cap | None = None
    """A cap that is used up. No answer begins until it resets."""
    reserved_cap: Cap | None = None
    """A cap that is fully reserved by answers in progress. New answers wait until some of it is released."""


def parse_caps(text: str) -> tuple[Cap, ...]:
    caps: dict[tuple[CapWindow, bool], Cap] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _CAP.fullmatch(part)
        if match is None or not 0 < float(match[3]) <= MAX_LIMIT:
            raise ValueError(f"{_FORM}; {part!r} isn't one")
        cap = Cap(CapWindow(Scope(match[1]), Period(match[2])), float(match[3]), match[4] == "usd")
        if caps.setdefault((cap.window, cap.in_dollars), cap) is not cap:
            raise ValueError(f"has two caps for {part.partition('=')[0]} in {match[4]}")
    return tuple(caps.values())


def effective_caps(defaults: Sequence[Cap], own: Sequence[Cap]) -> tuple[Cap, ...]:
    """Returns the caps that apply. An admin's cap replaces the default with the same window and unit."""
    return tuple({(cap.window, cap.in_dollars): cap for cap in (*defaults, *own)}.values())


def due_notices(cap: Cap, used: Amount, owner_id: str, now: float) -> list[CapNotice]:
    month = format_day(first_day(Period.MONTH, now)).rpartition("-")[0]
    used_percent = cap.percent_used(used)
    return [CapNotice(cap, owner_id, percent, month) for percent in NOTICE_PERCENTS if used_percent >= percent]


def check_caps(caps: Sequence[Cap], used: Mapping[CapWindow, Amount], reserved: Mapping[Scope, Amount]) -> CapCheck:
    fully_reserved = None
    for cap in caps:
        cap_used = cap.amount_in_unit(used[cap.window])
        if cap_used >= cap.limit:
            return CapCheck(reached_cap=cap)
        if cap_used + cap.amount_in_unit(reserved[cap.window.scope]) >= cap.limit:
            fully_reserved = cap
    return CapCheck(reserved_cap=fully_reserved)


def day_of(now: float) -> int:
    """Returns the UTC day of a time, in days since 1970-01-01."""
    return int(now // DAY_S)


def first_day(period: Period, now: float) -> int:
    """Returns the first day of the current period, in days since 1970-01-01."""
    today = day_of(now)
    return today if period is Period.DAY else today - _date(today).day + 1


def days_of_last_month(now: float) -> tuple[int, int]:
    """Returns the first days of the last month and of this month, in days since 1970-01-01."""
    first = first_day(Period.MONTH, now)
    return first_day(Period.MONTH, (first - 1) * DAY_S), first


def cap_reached_text(cap: Cap, now: float, *, is_admin: bool) -> str:
    more = texts.quotas.RAISE_QUOTA if is_admin else texts.quotas.ASK_FOR_QUOTA
    return f"{texts.quotas.quota_used_up(str(cap), _next_reset(cap, now))} {more}"


def cap_warning(cap: Cap, used: Amount, now: float) -> str | None:
    percent = cap.percent_used(used)
    if percent < NOTICE_PERCENTS[0]:
        return None
    return texts.quotas.quota_nearly_used(str(cap), percent, _next_reset(cap, now))


def cap_warning_key(cap: Cap, scope_ids: ScopeIds, now: float) -> str:
    """Returns the notification key for a cap's warning, which is sent only once per owner, limit and period."""
    owner_id = scope_ids.id_of(cap.window.scope)
    return f"cap {cap.setting} {owner_id} {_date(first_day(cap.window.period, now))}"


def cap_notice_text(notice: CapNotice, now: float) -> str:
    cap = notice.cap
    # A direct message's name would be its person's, who has a separate cap.
    owner_id = "" if is_direct_message(notice.owner_id) else notice.owner_id
    quota = texts.quotas.quota_for_admins(cap.window.scope, owner_id, cap.limit_text, cap.window.period)
    resets_at = _next_reset(cap, now)
    if notice.percent == NOTICE_PERCENTS[-1]:
        return texts.quotas.quota_used_up(quota, resets_at)
    return texts.quotas.quota_nearly_used(quota, notice.percent, resets_at)


def daily_usage(cap: Cap, by_day: Mapping[int, Amount], now: float) -> list[tuple[str, float]]:
    """Returns a cap's daily usage for a chart, as pairs of a label such as "Nov 9" and an amount in the cap's unit."""
    today = day_of(now)
    days = range(today - DAYS_IN_CHART + 1, today + 1)
    return [(f"{_date(day):%b} {_date(day).day}", cap.amount_in_unit(by_day.get(day, Amount()))) for day in days]


def cap_usage(cap: Cap, used: Amount, now: float) -> CapUsage:
    return CapUsage(cap, cap.percent_used(used), _next_reset(cap, now))


def _next_reset(cap: Cap, now: float) -> int:
    """Returns the time of a cap's next reset, in seconds since the epoch."""
    first = first_day(cap.window.period, now)
    days = 1 if cap.window.period is Period.DAY else monthrange(_date(first).year, _date(first).month)[1]
    return (first + days) * DAY_S


def _date(day: int) -> date:
    return _EPOCH + timedelta(days=day)


def parse_day(text: str) -> int:
    return day_of(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())


def format_day(day: int) -> str:
    return _date(day).isoformat()


class CapField(StrEnum):
    """The form fields for caps, one for each period and unit. An enum value is the field's name."""

    DOLLARS_A_MONTH = "dollars_a_month"
    DOLLARS_A_DAY = "dollars_a_day"
    TOKENS_A_MONTH = "tokens_a_month"
    TOKENS_A_DAY = "tokens_a_day"

    @property
    def in_dollars(self) -> bool:
        return self in (CapField.DOLLARS_A_MONTH, CapField.DOLLARS_A_DAY)

    @property
    def period(self) -> Period:
        return Period.MONTH if self in (CapField.DOLLARS_A_MONTH, CapField.TOKENS_A_MONTH) else Period.DAY

    @classmethod
    def for_cap(cls, cap: Cap) -> "CapField":
        return next(field for field in cls if (field.period, field.in_dollars) == (cap.window.period, cap.in_dollars))

    def cap(self, scope: Scope, limit: float) -> Cap:
        return Cap(CapWindow(scope, self.period), limit, self.in_dollars)


EnteredLimits = tuple[tuple[CapField, str], ...]
"""The text entered in each changed field. "" removes an owner's cap, so that BOT_CAPS applies."""
Limits = Mapping[CapField, float | None]
"""An owner's cap for each field, or None if BOT_CAPS applies."""


@dataclass(frozen=True, slots=True)
class OwnerCaps:
    owner: CapOwner
    own_caps: Mapping[CapField, Cap]
    defaults: Mapping[CapField, Cap]
    usage_by_period: Mapping[Period, Amount]


def caps_by_field(caps: Sequence[Cap], scope: Scope) -> Mapping[CapField, Cap]:
    return {CapField.for_cap(cap): cap for cap in caps if cap.window.scope is scope}


def parse_limits(entered: EnteredLimits) -> Limits:
    return {field: _parse_limit(field, text) if text else None for field, text in entered}


def cap_problems(entered: EnteredLimits, unpriced: Sequence[str]) -> dict[str, str]:
    """Returns an error message for each invalid field. `unpriced`: models in use without a price."""
    found: dict[str, str] = {}
    for field, text in entered:
        if text and _parse_limit(field, text) is None:
            found[field] = texts.quotas.quota_not_a_number(field.in_dollars)
        elif text and field.in_dollars and unpriced:
            found[field] = texts.quotas.quota_needs_prices(unpriced)
    return found


def _parse_limit(field: CapField, text: str) -> float | None:
    try:
        number = float(text) if field.in_dollars else int(text)
    except ValueError:
        return None
    # A NaN fails this comparison too.
    return float(number) if (0.01 if field.in_dollars else 1) <= number <= MAX_LIMIT else None
