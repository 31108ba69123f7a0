"""Describes schedule rules in plain English: common rules briefly, and all others completely."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import pairwise

from cronsim import CronSim

from bot.core.texts.times import clock_time
from bot.core.texts.words import listed

Clock = Callable[[int, int], str]
"""Formats an hour and a minute."""
_ANY_DAY = datetime(2026, 1, 1)
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NTH = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", CronSim.LAST: "last"}
_LAST_DAYS = {CronSim.LAST: "last day", CronSim.LAST_WEEKDAY: "last weekday"}
_MAX_LISTED = 4
"""Longer lists of times or days are abbreviated if possible."""
_IN_EACH_MONTH = 28
_FIFTH = 5
"""The ordinal of a weekday that not every month has, such as a fifth Monday."""
_MIN_RANGE = 4
"""Minimum number of consecutive days or hours to write as a range."""
_OFFSET = re.compile(r"Etc/GMT([+-])(\d+)")
"""Matches a zone that is named after its UTC offset. In the IANA database, the offset's sign is inverted."""


def describe_cron(cron: str, zone: str) -> str:
    """Describes five cron fields in words that fit in the middle of a sentence, such as "weekdays at 9:00 AM"."""
    parsed = CronSim(cron, _ANY_DAY)
    days, times = _day_words(parsed), _time_words(parsed, partial(clock_time, zone=zone))
    if times.startswith("at "):
        return f"{days} {times}"
    return times if days == "every day" else f"{days}, {times}"


def city(zone: str) -> str:
    """Returns the last part of a time zone's name, such as "New York", or "UTC+5" for a UTC offset."""
    if offset := _OFFSET.fullmatch(zone):
        return f"UTC{'-' if offset[1] == '+' else '+'}{offset[2]}"
    return zone.rpartition("/")[2].replace("_", " ")


def day_of_week(day: int) -> str:
    """Returns a weekday's name. `day`: a cron number; 0 and 7 are Sunday."""
    return _DAYS[(day - 1) % 7]


def _day_words(parsed: CronSim) -> str:
    weekdays = {day % 7 for day in parsed.weekdays if isinstance(day, int)}
    numbered = (day for day in parsed.weekdays if not isinstance(day, int))
    nth = sorted(numbered, key=lambda day: (day[1] < 0, day[1], day[0] or 7))
    has_each_weekday, has_each_day = len(weekdays) == 7, parsed.days >= set(range(1, 32))
    in_months = "" if len(parsed.months) == 12 else listed([_MONTHS[month - 1] for month in sorted(parsed.months)])
    if has_each_weekday and not has_each_day:
        return _of_month(parsed.days, in_months)
    if nth:
        same_day = len({day for day, _ in nth}) == 1
        which = [_NTH[number] if same_day else f"{_NTH[number]} {day_of_week(day)}" for day, number in nth]
        of = f" {day_of_week(nth[0][0])}" if same_day else ""
        in_month = f"the {listed(which)}{of} of {in_months or _each_month([number for _, number in nth] == [_FIFTH])}"
        return f"{_of_week(weekdays)} and {in_month}" if weekdays else in_month
    return _of_week(weekdays) + (f" in {in_months}" if in_months else "")


def _of_week(weekdays: set[int]) -> str:
    shapes = {frozenset(range(7)): "every day", frozenset(range(1, 6)): "weekdays", frozenset((0, 6)): "weekends"}
    if shape := shapes.get(frozenset(weekdays)):
        return shape
    in_order = sorted(day or 7 for day in weekdays)
    names = {day: f"{day_of_week(day)}s" for day in (*in_order, *(day + 7 for day in in_order))}
    # A week can begin on any day: Sundays to Thursdays.
    longest = max(_runs(list(names)), key=len)
    in_range = {(day - 1) % 7 for day in longest} if len(longest) >= _MIN_RANGE else set()
    others = [names[day] for day in in_order if day - 1 not in in_range]
    return listed([*([f"{names[longest[0]]} to {names[longest[-1]]}"] if in_range else []), *others])


def _of_month(days: set[int], in_months: str) -> str:
    of = f"of {in_months or _each_month(len(days) == 1 and max(days) > _IN_EACH_MONTH)}"
    # The last day is a negative number, and comes last.
    dates, last = sorted(day for day in days if day > 0), [_LAST_DAYS[day] for day in sorted(days) if day < 0]
    if not last and len(dates) > _MAX_LISTED and (step := _constant_step(dates)) > 1:
        which = _NTH.get(step) or _ordinal(step)
        return f"every {which} day {of} from the {_ordinal(dates[0])} to the {_ordinal(dates[-1])}"
    parts = [part for run in _runs(dates) for part in _as_ranges([_ordinal(day) for day in run])] + last
    return f"the {listed(parts)} {of}"


def _each_month(some_have_none: bool) -> str:
    return "each month that has one" if some_have_none else "each month"


def _time_words(parsed: CronSim, clock: Clock) -> str:
    hours, minutes = sorted(parsed.hours), sorted(parsed.minutes)
    if len(hours) * len(minutes) <= _MAX_LISTED:
        return f"at {listed([clock(hour, minute) for hour in hours for minute in minutes])}"
    if len(hours) == 24:
        return _of_hour(minutes)
    if len(minutes) > 1:
        return _within_hours(hours, minutes, clock)
    [minute], step = minutes, _constant_step(hours)
    if not step:
        return _at_hours(hours, minute, clock)
    goes_round = hours[0] + 24 - hours[-1] == step
    every = "every hour" if step == 1 else f"every {step} hours"
    if goes_round:
        return every if (hours[0], minute) == (0, 0) else f"{every} from {clock(hours[0], minute)} on"
    return f"{every} from {clock(hours[0], minute)} to {clock(hours[-1], minute)}"


def _at_hours(hours: Sequence[int], minute: int, clock: Clock) -> str:
    runs = [[clock(hour, minute) for hour in run] for run in _runs(hours)]
    spans = [f"from {run[0]} to {run[-1]}" for run in runs if len(run) >= _MIN_RANGE]
    others = [time for run in runs if len(run) < _MIN_RANGE for time in run]
    if not spans or len(spans) + len(others) > _MAX_LISTED:
        return f"at {listed([clock(hour, minute) for hour in hours])}"
    return f"every hour {listed(spans)}" + (f", and at {listed(others)}" if others else "")


def _within_hours(hours: Sequence[int], minutes: Sequence[int], clock: Clock) -> str:
    step, runs = _constant_step(minutes), _runs(hours)
    if len(runs) > 1 or not step or minutes[0] + 60 - minutes[-1] != step:
        named = [(len(run) >= _MIN_RANGE, _as_ranges([clock(hour, 0) for hour in run])) for run in runs]
        parts = [f"each hour from {part}" if is_range else part for is_range, run in named for part in run]
        return f"{_minutes_past(minutes)} {listed(parts)}"
    return f"every {step} minutes from {clock(hours[0], minutes[0])} to {clock(hours[-1], minutes[-1])}"


def _of_hour(minutes: Sequence[int]) -> str:
    if minutes == [0]:
        return "every hour"
    step = _constant_step(minutes) or 60
    if 60 % step == 0 and list(minutes) == list(range(0, 60, step)):
        return "every minute" if step == 1 else f"every {step} minutes"
    return f"every hour, {_minutes_past(minutes)}"


def _minutes_past(minutes: Sequence[int]) -> str:
    parts = [part for run in _runs(minutes) for part in _as_ranges(list(map(str, run)))]
    return f"{listed(parts)} {'minute' if minutes == [1] else 'minutes'} past"


def _constant_step(numbers: Sequence[int]) -> int:
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    return steps.pop() if len(steps) == 1 else 0


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _as_ranges(run: Sequence[str]) -> list[str]:
    return [f"{run[0]} to {run[-1]}"] if len(run) >= _MIN_RANGE else list(run)


def _ordinal(day: int) -> str:
    ending = "th" if 10 <= day <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"
