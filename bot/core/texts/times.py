"""Formats times as tokens, which Slack shows according to the reader's settings, or as words where Slack doesn't show
tokens.

Tokens and words have the same form: "December 7, 2026 at 09:00", with the weekday for days of a schedule. Slack
determines how its tokens show the time of day. In words, that depends on the time zone's country.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import cache
from importlib import resources

from bot.core.texts.words import listed

TIME, DAY, DAY_OF_SCHEDULE = "{date_pretty} at {time}", "{date}", "{date_long_pretty} at {time}"
"""Formats of Slack's date tokens."""
TOKEN = re.compile(r"(?:<|&lt;)!date\^(\d{1,11})\^\{date_pretty\} at \{time\}\|[^<>|]*>")
"""Matches a token of the form TIME in a stored sentence, as written or escaped. Other people's words in a sentence can
also contain a token, and Slack then shows its time."""
_TWELVE_HOURS = (
    "AE AG AL AS AU BB BD BH BM BN BS BT CA CY DM DZ EG EH ER ET FJ FM GD GH GM GR GU GY HK IN "  # prose: countries
    "IQ JM JO KH KI KN KP KR KW KY LB LC LR LY MH MO MP MR MW MY NZ OM PG PH PK PS PW PY QA SA "
    "SB SD SG SL SO SS SY SZ TC TD TN TO TT TW UM US VC VG VI VU WS YE ZM"
)
"""Countries whose main language has a 12-hour clock (CLDR 48, `timeData` and the languages' formats)."""


def token(at: float, form: str = TIME) -> str:
    """Returns a token for a time in the reader's time zone. `at`: seconds since the epoch."""
    return f"<!date^{int(at)}^{form}|{format_date(at) if form == DAY else format_utc(at)}>"


def format_utc(at: float) -> str:
    """Formats a time as a token's fallback, for places where Slack can't show the token."""
    time = datetime.fromtimestamp(at, UTC)
    return f"{time:%B} {time.day} at {time:%H:%M} UTC"


def format_date(at: float) -> str:
    return _month_and_day(datetime.fromtimestamp(at, UTC), None)


def clock_time(hour: int, minute: int, zone: str) -> str:
    if zone not in _zones_with_twelve_hours():
        return f"{hour:02}:{minute:02}"
    return f"{hour % 12 or 12}:{minute:02} {'AM' if hour < 12 else 'PM'}"


@cache
def _zones_with_twelve_hours() -> frozenset[str]:
    lines = resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return frozenset(row[2] for row in rows if row[0] in _TWELVE_HOURS.split())


def format_weekday(when: date, today: date) -> str:
    """Formats a day, such as "Friday, November 27". The year is included unless it is the year of `today`."""
    return f"{when:%A}, {_month_and_day(when, today)}"


def _month_and_day(when: date, today: date | None) -> str:
    return f"{when:%B} {when.day}{f', {when.year}' if today is None or when.year != today.year else ''}"


def format_dates(times: Sequence[datetime], today: date, zone: str) -> str:
    """Formats times in one zone with weekdays. A time of day that they all share is included only once."""
    is_alike = len({one.time() for one in times}) == 1
    clocks = [f" at {clock_time(one.hour, one.minute, zone)}" for one in times]
    first, *later = (
        format_weekday(one.date(), times[number - 1].date() if number else today)
        + ("" if number and is_alike else clocks[number])
        for number, one in enumerate(times)
    )
    return ", then ".join(filter(None, (first, listed(later))))


def once(when: datetime, zone: str) -> str:
    """Formats a single time, such as "once on Thursday, December 24, 2026 at 9:00 AM"."""
    return f"once on {when:%A}, {_month_and_day(when, None)} at {clock_time(when.hour, when.minute, zone)}"
