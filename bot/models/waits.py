"""Determines from a refusal's headers or sentence when a vendor will accept the next request. Pure.

The first of these that is present applies: a header about this request (`Retry-After`), the sentence, a header with a
limit's reset time. Gateways send the reset time of every limit with each response, so only the time of the exhausted
limit is used. A header's value can be a number of seconds, a duration such as 6m0s, a point in time, or seconds or
milliseconds since 1970. Points in time are compared with the response's date.
"""

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime

_TIMES = r"(?:\d+(?:\.\d+)? ?(?:ms|[dhms])[a-z]* ?)+"
_SAYS_WHEN = re.compile(
    r"(?:(?:try again|retry|\bresets?) (?:in|after)|please wait|replenished in) (?:about )?"
    rf"({_TIMES}|\d{{1,3}}:\d\d:\d\d)"
)
_DURATION = re.compile(rf"\A{_TIMES}")
_TIME = re.compile(r"(?<![\d.])(\d++(?:\.\d++)?) ?(ms|[dhms])")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SAYS_LIMIT_ENDS = re.compile(r"\bresets? (?:at|in|on|after)\b")
_ONCE_CHANGED = re.compile(r"\bif you (?:just|recently)\b")
"""Matches a phrase that AWS and OpenAI use. A time after it is how long an account change takes to apply."""
_LONG_PERIOD = re.compile(r"(?:per[- ]|/ ?)(day|week|month)\b|\b(dai|week|month)ly\b|\b(\d{1,2})[- ]hour\b")
_SHORT_PERIOD = re.compile(r"(?:per[- ]|/ ?)(?:sec|min|hour)|\b[rt]pm\b")
_PERIODS_S = {"day": 86_400.0, "dai": 86_400.0, "week": 7 * 86_400.0, "month": 30 * 86_400.0}
_MAX_HEADER_CHARS = 100
_SINCE_1970_S = 1e9
"""Larger numbers of seconds aren't durations but points in time since 1970 (in 2001 or later)."""
_SINCE_1970_MS = 1e11


def is_temporary_limit(words: str) -> bool:
    """Returns whether a refusal's sentence, in lowercase, states that the cause is temporary."""
    words = _ONCE_CHANGED.split(words, 1)[0]
    return _SAYS_WHEN.search(words) is not None or _SAYS_LIMIT_ENDS.search(words) is not None


def retry_after_s(headers: Mapping[str, str], words: str, *, is_limit: bool) -> float | None:
    """Returns how many seconds a vendor asks clients to wait, or None if it doesn't. `words`: the refusal's sentence in
    lowercase. `is_limit`: whether the refusal is about a limit. If so, the sentence can state the limit's period, and
    the headers can state its reset time."""
    own = {name.lower(): value[:_MAX_HEADER_CHARS] for name, value in headers.items()}
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if (wait_s := _header_wait_s(own.get(name, ""), own)) is not None:
            return wait_s * unit_s
    if told := _SAYS_WHEN.search(words):
        return _duration_s(told[1])
    return _until_reset_s(own, words) if is_limit else None


def _until_reset_s(headers: Mapping[str, str], words: str) -> float | None:
    over: list[float] = []
    unknown: list[float] = []
    for name, value in headers.items():
        if "ratelimit" in name.replace("-", "") and "reset" in name:
            wait_s, left = _header_wait_s(value, headers), headers.get(name.replace("reset", "remaining"))
            if wait_s is not None and (left is None or left.strip() == "0"):
                (unknown if left is None else over).append(wait_s)
    if over or unknown:
        return max(over) if over else min(unknown)
    period = None if _SHORT_PERIOD.search(words) else _LONG_PERIOD.search(words)
    if period is None:
        return None
    return _UNITS_S["h"] * int(period[3]) if period[3] else _PERIODS_S[period[1] or period[2]]


def _header_wait_s(value: str, headers: Mapping[str, str]) -> float | None:
    """Returns the seconds in a header's duration or until its point in time, or None if it doesn't state either."""
    value = value.strip()
    if _DURATION.fullmatch(value.lower()):
        return _duration_s(value.lower())
    with suppress(ValueError, TypeError, OverflowError):
        until = float(value)
        if until >= _SINCE_1970_S:
            until = until / 1000 if until >= _SINCE_1970_MS else until
            until -= parsedate_to_datetime(headers.get("date", "")).timestamp()
        return max(0.0, until) if math.isfinite(until) else None
    with suppress(ValueError, TypeError, OverflowError):
        moment = parsedate_to_datetime(value) if value.endswith("GMT") else datetime.fromisoformat(value)
        return max(0.0, (moment - parsedate_to_datetime(headers.get("date", ""))).total_seconds())
    return None


def _duration_s(text: str) -> float:
    """Parses "6m0s", "20 days" or "02:21:13"."""
    if ":" in text:
        hours, minutes, seconds = map(int, text.split(":"))
        return hours * 3600.0 + minutes * 60 + seconds
    return sum(min(float(number), 1e6) * _UNITS_S[unit] for number, unit in _TIME.findall(text))
