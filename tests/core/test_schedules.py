"""Rules of schedules: when they are due, in zones with all kinds of clock changes, and which can't be used."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core import texts
from bot.core.conversation import Question, ThreadKey
from bot.core.schedules import (
    ADMIN_GAP_MINUTES,
    GRACE_S,
    LATE_S,
    MAX_AHEAD_S,
    MAX_IN_CHANNEL,
    MAX_PER_MEMBER,
    MAX_WORDS_CHARS,
    MEMBER_GAP_MINUTES,
    PauseReason,
    Proposal,
    Rule,
    Run,
    RunReport,
    Schedule,
    ScheduleCommand,
    UnusableRule,
    Weekly,
    as_weekly,
    can_change,
    due_at_of_run,
    max_schedules,
    min_gap_minutes,
    parse_proposal,
    parse_rule,
    parse_weekly_rule,
    run_id,
    run_times_text,
    schedule_command,
    valid_rule,
)
from tests.core.conversations import ME

BERLIN = "Europe/Berlin"
LORD_HOWE = "Australia/Lord_Howe"
"""Its clocks change by half an hour."""
ZONES = (BERLIN, LORD_HOWE, "America/New_York", "Asia/Kolkata", "UTC", "Antarctica/Troll", "Africa/Casablanca")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def shown(rule: Rule, after: str, count: int) -> list[str]:
    zone = ZoneInfo(rule.zone)
    return [f"{datetime.fromtimestamp(t, zone):%m-%d %H:%M%z}" for t in rule.next_times(at(after), count)]


@pytest.mark.parametrize(
    ("rule", "after", "due"),
    [
        (Rule(BERLIN, "0 9 * * MON-FRI"), "2026-11-27T09:00+01:00", ["11-30 09:00+0100", "12-01 09:00+0100"]),
        # The clocks skip 02:00 to 03:00.
        (Rule(BERLIN, "30 2 * * *"), "2026-03-28T03:00+01:00", ["03-29 03:00+0200", "03-30 02:30+0200"]),
        (Rule(BERLIN, "0,30 2 * * *"), "2026-03-28T03:00+01:00", ["03-29 03:00+0200", "03-30 02:00+0200"]),
        (Rule(BERLIN, "*/30 * * * *"), "2026-03-29T01:00+01:00", ["03-29 01:30+0100", "03-29 03:00+0200"]),
        # 02:00 to 03:00 comes twice.
        (Rule(BERLIN, "30 2 * * *"), "2026-10-24T03:00+02:00", ["10-25 02:30+0200", "10-26 02:30+0100"]),
        (Rule(BERLIN, "30 2 * * *"), "2026-10-25T02:10+01:00", ["10-26 02:30+0100"]),
        (Rule(BERLIN, "*/30 2 * * *"), "2026-10-25T02:10+02:00", ["10-25 02:30+0200", "10-25 02:00+0100"]),
        # 01:30 to 02:00 comes twice.
        (Rule(LORD_HOWE, "*/20 1-2 * * *"), "2026-04-05T01:30+11:00", ["04-05 01:40+1100", "04-05 01:40+1030"]),
        (Rule(LORD_HOWE, "*/10 2 * * *"), "2026-04-05T01:50+10:30", ["04-05 02:00+1030", "04-05 02:10+1030"]),
        (Rule(LORD_HOWE, "15 2 * * *"), "2026-10-03T03:00+10:30", ["10-04 02:30+1100", "10-05 02:15+1100"]),
        (Rule("UTC", "0 0 29 2 *"), "2026-01-01T00:00+00:00", ["02-29 00:00+0000"]),
        (Rule(BERLIN, at=at("2026-12-24T09:00+01:00")), "2026-12-24T08:59+01:00", ["12-24 09:00+0100"]),
        (Rule(BERLIN, at=at("2026-12-24T09:00+01:00")), "2026-12-24T09:00+01:00", []),
    ],
    ids=str,
)
def test_due_times(rule: Rule, after: str, due: list[str]) -> None:
    assert shown(rule, after, max(1, len(due))) == due


fields = st.tuples(
    st.sampled_from(["0", "30", "0,30", "*/15", "*/7", "15-45/10", "*"]),
    st.sampled_from(["*", "*/2", "1,2", "0-3", "2", "3", "1-23/5"]),
    st.sampled_from(["*", "1", "L", "*/9", "LW"]),
    st.sampled_from(["*", "3,4", "10", "*/5"]),
    st.sampled_from(["*", "SUN", "1-5", "MON#1", "5L"]),
).map(" ".join)
changes = st.sampled_from(
    (
        *("2026-03-29T01:00+00:00", "2026-10-25T01:00+00:00", "2026-04-04T15:00+00:00", "2026-10-03T15:30+00:00"),
        *("2026-03-08T07:00+00:00", "2026-11-01T06:00+00:00", "2026-02-15T02:00+00:00", "2026-03-22T02:00+00:00"),
    )
).map(at)
moments = st.builds(lambda change, minutes: change + 60.0 * minutes, changes, st.integers(-200, 200))


def matches(cron: str, wall: datetime) -> bool:
    """Whether the fields name this minute of a clock on the wall."""
    return next(CronSim(cron, wall - timedelta(minutes=1))) == wall


def reference(rule: Rule, moment: float, minutes: int) -> float | None:
    """Looks for the first due time minute by minute of UTC."""
    zone = ZoneInfo(rule.zone)
    is_certain = not any(part.startswith("*") for part in rule.cron.split()[:2])
    for minute in range(int(moment // 60) + 1, int(moment // 60) + 1 + minutes):
        here, before = (datetime.fromtimestamp(60 * m, zone) for m in (minute, minute - 1))
        wall = here.replace(tzinfo=None, fold=0)
        if is_certain:
            skipped_from = before.replace(tzinfo=None, fold=0) + timedelta(minutes=1)
            skipped = int((wall - skipped_from) / timedelta(minutes=1))
            walls = [wall - timedelta(minutes=m) for m in range(max(0, skipped) + 1)]
            if here.fold == 0 and any(matches(rule.cron, w) for w in walls):
                return 60.0 * minute
        elif matches(rule.cron, wall):
            return 60.0 * minute
    return None


@pytest.mark.long
@given(fields, st.sampled_from(ZONES), moments)
def test_due_time_is_the_one_that_a_search_minute_by_minute_finds(cron: str, zone: str, moment: float) -> None:
    rule = Rule(zone, cron)
    found = rule.due_after(moment)
    assert found is not None
    assert found > moment
    within = 30 * 60
    expected = reference(rule, moment, within)
    assert (found if found <= moment // 60 * 60 + 60 * within else None) == expected


@pytest.mark.hypothesis
@given(fields, st.sampled_from(ZONES), moments)
def test_due_times_increase_and_none_is_left_out(cron: str, zone: str, moment: float) -> None:
    rule = Rule(zone, cron)
    times = rule.next_times(moment, 6)
    assert list(times) == sorted(set(times))
    for earlier, later in pairwise(times):
        assert rule.due_after((earlier + later) / 2) == later


@pytest.mark.parametrize("zone", ["EST", "est", "MST", "HST", "PST"])
def test_clock_that_a_place_leaves_in_summer_is_no_zone(zone: str) -> None:
    for when in ({"cron": "0 9 * * *"}, {"at": "2026-12-24T09:00"}):
        with pytest.raises(UnusableRule, match="Use a name such as Europe/Berlin"):
            valid_rule(zone, NOW, **when, min_gap_minutes=60)
    # What is on record stays readable.
    assert Rule("EST", "0 9 * * *").due_after(NOW)


@pytest.mark.parametrize("zone", ["UTC", "GMT", "CET", "EST5EDT", "Japan", "ROK", "Etc/GMT+5", "America/Phoenix"])
def test_zone_of_a_place_or_of_everywhere_may_have_no_summer(zone: str) -> None:
    assert valid_rule(zone, NOW, cron="0 9 * * *", min_gap_minutes=60).zone == zone


DAILY = Rule("UTC", "0 9 * * *")
NINE = at("2026-11-26T09:00+00:00")
EVERY_20 = Rule("UTC", "*/20 * * * *")
ONCE = Rule("UTC", at=NINE)


@pytest.mark.parametrize(
    ("rule", "now", "due", "then"),
    [
        (DAILY, NINE - 1, None, NINE),
        (DAILY, NINE, NINE, NINE + 86_400),
        (DAILY, NINE + GRACE_S, NINE, NINE + 86_400),
        (DAILY, NINE + GRACE_S + 1, None, NINE + 86_400),
        (DAILY, NINE + 10 * 86_400 + 5, NINE + 10 * 86_400, NINE + 11 * 86_400),
        (EVERY_20, NINE + 4000, NINE + 3600, NINE + 4800),
        (ONCE, NINE - 1, None, NINE),
        (ONCE, NINE + 60, NINE, None),
        (ONCE, NINE + GRACE_S + 1, None, None),
    ],
)
def test_newest_missed_due_time_is_run_within_an_hour(
    rule: Rule, now: float, due: float | None, then: float | None
) -> None:
    assert rule.due_and_next(NINE, now) == (due, then)


@pytest.mark.parametrize(
    ("rule", "gap", "why"),
    [
        ({}, 60, texts.schedules.RULE_OR_TIME),
        ({"cron": "0 9 * * *", "at": "2026-12-24T09:00"}, 60, texts.schedules.RULE_OR_TIME),
        ({"cron": "0 0 9 * * *"}, 60, texts.schedules.FIVE_FIELDS),
        ({"cron": "@daily"}, 60, texts.schedules.FIVE_FIELDS),
        ({"cron": "0 9 * *"}, 60, texts.schedules.FIVE_FIELDS),
        ({"cron": "0 25 * * *"}, 60, texts.schedules.FIVE_FIELDS),
        ({"cron": "0 9 * * MONDAY"}, 60, texts.schedules.FIVE_FIELDS),
        ({"cron": f"{'0,' * 200}0 9 * * *"}, 60, texts.schedules.FIVE_FIELDS),
        ({"cron": "0 9 30 2 *"}, 60, texts.schedules.RULE_NEVER_DUE),
        ({"cron": " "}, 60, texts.schedules.RULE_OR_TIME),
        ({"cron": " ", "at": "2026-12-24T09:00"}, 60, None),
        ({"cron": "0 9 * * *", "at": "\t"}, 60, None),
        ({"cron": "0 9 */14 * 2"}, 60, texts.schedules.STEPS_BEGIN_AGAIN),
        ({"cron": "0 9 */2 * MON"}, 60, texts.schedules.STEPS_BEGIN_AGAIN),
        ({"cron": "0 9 */3 * MON-FRI"}, 60, texts.schedules.STEPS_BEGIN_AGAIN),
        ({"cron": "0 9 1-31/14 * 2"}, 60, texts.schedules.STEPS_BEGIN_AGAIN),
        ({"cron": "0 9 1,2/14 * 2#1"}, 60, texts.schedules.STEPS_BEGIN_AGAIN),
        ({"cron": "0 9 */14 * *"}, 60, texts.schedules.STEPS_BEGIN_AGAIN),
        ({"cron": "0 9 * * 2/7"}, 60, texts.schedules.STEPS_BEGIN_AGAIN),
        ({"cron": "0 9 * * */14"}, 60, texts.schedules.STEPS_BEGIN_AGAIN),
        ({"cron": "*/90 * * * *"}, 60, texts.schedules.STEPS_BEGIN_AGAIN),
        ({"cron": "0 */36 * * *"}, 60, texts.schedules.STEPS_BEGIN_AGAIN),
        ({"cron": "*/60 * * * *"}, 60, None),
        ({"cron": "0 */24 * * *"}, 60, None),
        ({"cron": "0 */23 * * *"}, 60, None),
        ({"cron": "0 9 */2 * *"}, 60, None),
        ({"cron": "0 9 */2 * 1-7"}, 60, None),
        ({"cron": "0 9 * * */2"}, 60, None),
        ({"cron": "0 9 * * TUE#1,TUE#3"}, 60, None),
        ({"cron": "0 9 1,15 * *"}, 60, None),
        ({"cron": "0 9 29 2 MON#1"}, 60, texts.schedules.DAYS_OR_WEEKDAYS),
        ({"cron": "0 9 1-7 * MON"}, 60, texts.schedules.DAYS_OR_WEEKDAYS),
        ({"cron": "0 9 1,15,29 * TUE"}, 60, texts.schedules.DAYS_OR_WEEKDAYS),
        ({"cron": "0 9 L * 1-5"}, 60, texts.schedules.DAYS_OR_WEEKDAYS),
        ({"cron": "0 9 1-31 * MON"}, 60, None),
        ({"cron": "0 9 1-7 * 0-6"}, 60, None),
        ({"cron": "*/30 * * * *"}, MEMBER_GAP_MINUTES, texts.schedules.rule_too_often(60)),
        ({"cron": "10,50 9 * * *"}, MEMBER_GAP_MINUTES, texts.schedules.rule_too_often(60)),
        ({"cron": "50 23 * * *"}, MEMBER_GAP_MINUTES, None),
        ({"cron": "0 * * * *"}, MEMBER_GAP_MINUTES, None),
        ({"cron": "*/30 0,23 * * *"}, ADMIN_GAP_MINUTES, None),
        ({"cron": "* * * * *"}, ADMIN_GAP_MINUTES, texts.schedules.rule_too_often(5)),
        ({"cron": "2-59/5 * * * *"}, ADMIN_GAP_MINUTES, None),
        ({"cron": "58,1 * * * *"}, ADMIN_GAP_MINUTES, texts.schedules.rule_too_often(5)),
        ({"at": "tomorrow"}, 60, texts.schedules.UNREADABLE_TIME),
        *(({"at": day}, 60, texts.schedules.TIME_OF_DAY_MISSING) for day in ("2026-12-24", "20261224", "2026-W50-4")),
        ({"at": "2026-12-24T00:00"}, 60, None),
        ({"at": "0001-01-01T00:00"}, 60, texts.schedules.TIME_HAS_PASSED),
        ({"at": "2026-03-01T11:59Z"}, 60, texts.schedules.TIME_HAS_PASSED),
        ({"at": "9999-12-31T23:59"}, 60, texts.schedules.TIME_TOO_FAR),
        *(({"at": datetime.fromtimestamp(NOW + s, UTC).isoformat()}, 60, None) for s in (1, MAX_AHEAD_S)),
        ({"at": "2026-03-01T12:00Z"}, 60, texts.schedules.TIME_HAS_PASSED),
        ({"at": datetime.fromtimestamp(NOW + MAX_AHEAD_S + 1, UTC).isoformat()}, 60, texts.schedules.TIME_TOO_FAR),
        ({"cron": "0 1 * * *".replace(" ", " " * 49)}, 60, None),
        ({"cron": f"{'0,' * 95}00 9 * * *"}, 60, None),
        ({"cron": f"{'0,' * 96}0 9 * * *"}, 60, texts.schedules.FIVE_FIELDS),
        ({"at": "2026-03-01T13:01"}, 60, None),
    ],
    ids=str,
)
def test_rules_that_cant_be_used(rule: dict[str, str], gap: int, why: str | None) -> None:
    if why is None:
        assert valid_rule(BERLIN, NOW, **rule, min_gap_minutes=gap).due_after(NOW)
        return
    with pytest.raises(UnusableRule) as refused:
        valid_rule(BERLIN, NOW, **rule, min_gap_minutes=gap)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    "zone",
    [
        *("", " ", "Mars/Olympus", "../etc/passwd", "Europe/../UTC", "Europe", "Europe/Berlin\0", "berlin" * 200),
        # In the database, but a machine's own, or copies.
        *("localtime", "posixrules", "Factory", "posix/Europe/Berlin", "right/UTC", "right/Europe/Berlin"),
    ],
)
def test_unknown_zone_cant_be_used(zone: str) -> None:
    with pytest.raises(UnusableRule, match="time zone"):
        valid_rule(zone, NOW, cron="0 9 * * *", min_gap_minutes=60)


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "America/Port-au-Prince", "America/Argentina/ComodRivadavia"])
@pytest.mark.parametrize("written", [str, str.lower, str.upper, lambda zone: zone.replace("_", " ")])
def test_zone_of_one_place_can_be_used(zone: str, written: Callable[[str], str]) -> None:
    assert valid_rule(written(zone), NOW, cron="0 9 * * *", min_gap_minutes=60).zone == zone


@pytest.mark.parametrize("zone", [BERLIN, "America/Los_Angeles", "Asia/Kolkata", "Etc/GMT-5", "Etc/GMT+11"])
def test_zone_is_read_as_it_is_shown(zone: str) -> None:
    shown_as = texts.rules.city(zone)
    assert shown_as != zone
    assert valid_rule(shown_as, NOW, cron="0 9 * * *", min_gap_minutes=60).zone == zone


@pytest.mark.parametrize("name", ["Buenos Aires", "Louisville", "Pacific", "West"])
def test_name_of_several_zones_is_none(name: str) -> None:
    with pytest.raises(UnusableRule, match="time zone"):
        valid_rule(name, NOW, cron="0 9 * * *", min_gap_minutes=60)


terms = st.text(alphabet="0123456789*/-#LW", max_size=5) | st.sampled_from(
    ["*", "*/2", "1-5", "0", "30", "MON", "FRI#2", "TUE#1/2", "5L", "L", "LW", "LW/2", "JAN", "١", "²", "9" * 60, "0/0"]
)
lists = st.lists(terms, min_size=1, max_size=3).map(",".join)
rules = st.text() | fields | st.tuples(lists, lists, lists, lists, lists).map(" ".join)


@pytest.mark.hypothesis
@settings(derandomize=True)
@given(rules, st.text() | st.just(""), st.sampled_from(["UTC", BERLIN]) | st.text())
def test_any_text_is_a_rule_or_is_refused_with_a_sentence(cron: str, once: str, zone: str) -> None:
    refusal = ""
    try:
        rule = valid_rule(zone, NOW, cron=cron, at=once, min_gap_minutes=ADMIN_GAP_MINUTES)
    except UnusableRule as unusable:
        refusal = str(unusable)
    assert refusal.endswith(".") if refusal else rule.due_after(NOW) and rule.description


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 9 * * *", "every day at 9:00 AM"),
        ("0 0 * * 0-6", "every day at 12:00 AM"),
        ("30 12 * * *", "every day at 12:30 PM"),
        ("0 9 * * 1-5", "weekdays at 9:00 AM"),
        ("0 9 * * MON-FRI", "weekdays at 9:00 AM"),
        ("0 10 * * 6,7", "weekends at 10:00 AM"),
        ("0 16 * * FRI", "Fridays at 4:00 PM"),
        ("0 16 * * 0,5,1", "Mondays, Fridays and Sundays at 4:00 PM"),
        ("0 9,17 * * 1-5", "weekdays at 9:00 AM and 5:00 PM"),
        ("*/20 1 * * *", "every day at 1:00 AM, 1:20 AM and 1:40 AM"),
        ("0 9 1 * *", "the 1st of each month at 9:00 AM"),
        ("0 9 2,11,23 * *", "the 2nd, 11th and 23rd of each month at 9:00 AM"),
        ("0 9 15,L * *", "the 15th and last day of each month at 9:00 AM"),
        ("0 9 LW * *", "the last weekday of each month at 9:00 AM"),
        ("0 9 * * TUE#1,TUE#3", "the first and third Tuesday of each month at 9:00 AM"),
        ("0 9 * * MON#1,5L", "the first Monday and last Friday of each month at 9:00 AM"),
        ("0 9 24 12 *", "the 24th of December at 9:00 AM"),
        ("0 9 1 */3 *", "the 1st of January, April, July and October at 9:00 AM"),
        ("0 9 * 7,8 1-5", "weekdays in July and August at 9:00 AM"),
        ("0 * * * *", "every hour"),
        ("15 * * * *", "every hour, 15 minutes past"),
        ("5,35 * * * *", "every hour, 5 and 35 minutes past"),
        ("*/5 * * * 1-5", "weekdays, every 5 minutes"),
        ("0 */2 * * *", "every 2 hours"),
        ("30 1-23/2 * * *", "every 2 hours from 1:30 AM on"),
        ("0 */5 * * *", "every 5 hours from 12:00 AM to 8:00 PM"),
        ("0 9-17 * * 1-5", "weekdays, every hour from 9:00 AM to 5:00 PM"),
        ("0 9-12,14-17 * * *", "every hour from 9:00 AM to 12:00 PM and from 2:00 PM to 5:00 PM"),
        ("0 22-23,0-6 * * *", "every hour from 12:00 AM to 6:00 AM, and at 10:00 PM and 11:00 PM"),
        ("*/30 9-17 * * 1-5", "weekdays, every 30 minutes from 9:00 AM to 5:30 PM"),
        ("5/15 9 * * *", "every day at 9:05 AM, 9:20 AM, 9:35 AM and 9:50 AM"),
        ("0 9 * * 1-4", "Mondays to Thursdays at 9:00 AM"),
        ("0 9 * * 0-4", "Sundays to Thursdays at 9:00 AM"),
        ("0 9 * * 5-7,1", "Fridays to Mondays at 9:00 AM"),
        ("0 9 * * 1,2,4,5", "Mondays, Tuesdays, Thursdays and Fridays at 9:00 AM"),
        ("0 9 * * 2-5,7", "Tuesdays to Fridays and Sundays at 9:00 AM"),
        ("0 9 1-5,L * *", "the 1st to 5th and last day of each month at 9:00 AM"),
        ("0 9 1-3 * *", "the 1st, 2nd and 3rd of each month at 9:00 AM"),
        # What some months don't have.
        ("0 9 31 * *", "the 31st of each month that has one at 9:00 AM"),
        ("0 9 29 * *", "the 29th of each month that has one at 9:00 AM"),
        ("0 9 28 * *", "the 28th of each month at 9:00 AM"),
        ("0 9 * * MON#5", "the fifth Monday of each month that has one at 9:00 AM"),
        ("0 9 31 1 *", "the 31st of January at 9:00 AM"),
        ("0 9 */2 * *", "every second day of each month from the 1st to the 31st at 9:00 AM"),
        ("0 9 1,8,15,22,29 1 *", "every 7th day of January from the 1st to the 29th at 9:00 AM"),
        ("0 9 * * 3#2,1#2", "the second Monday and second Wednesday of each month at 9:00 AM"),
        # Without a short form.
        ("0 9 1,2,4,8,23 * *", "the 1st, 2nd, 4th, 8th and 23rd of each month at 9:00 AM"),
        ("0 7,9,10,15,16 * * *", "every day at 7:00 AM, 9:00 AM, 10:00 AM, 3:00 PM and 4:00 PM"),
        ("1,5 7,9,10 * * *", "1 and 5 minutes past 7:00 AM, 9:00 AM and 10:00 AM"),
        ("*/7 9-17 * * *", "0, 7, 14, 21, 28, 35, 42, 49 and 56 minutes past each hour from 9:00 AM to 5:00 PM"),
        (
            "0,30 8-12,22 1 6 *",
            "the 1st of June, 0 and 30 minutes past each hour from 8:00 AM to 12:00 PM and 10:00 PM",
        ),
        ("0 9 * * MON,TUE#1", "Mondays and the first Tuesday of each month at 9:00 AM"),
        (
            "0 9 * * 1#1,1#3,2#2,3#4,4#1",
            "the first Monday, first Thursday, second Tuesday, third Monday and fourth Wednesday of each month "
            "at 9:00 AM",
        ),
        ("*/7 * * * *", "every hour, 0, 7, 14, 21, 28, 35, 42, 49 and 56 minutes past"),
    ],
)
def test_rule_in_words(cron: str, words: str) -> None:
    assert Rule("America/Los_Angeles", cron).description == f"{words} (Los Angeles)"


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        ("America/New_York", "New York"),
        ("America/Argentina/Buenos_Aires", "Buenos Aires"),
        ("Etc/UTC", "UTC"),
        # The database counts to the west.
        ("Etc/GMT-5", "UTC+5"),
        ("Etc/GMT+11", "UTC-11"),
    ],
)
def test_zone_in_words(zone: str, name: str) -> None:
    assert Rule(zone, "0 * * * *").description == f"every hour ({name})"


@pytest.mark.parametrize(
    ("cron", "after", "days"),
    [
        (
            "0 9 * * 1-5",
            "2026-11-26T00:00+01:00",
            "Thursday, November 26 at 09:00, then Friday, November 27 and Monday, November 30",
        ),
        (
            "30 7 * * 1",
            "2026-11-26T00:00+01:00",
            "Monday, November 30 at 07:30, then Monday, December 7 and Monday, December 14",
        ),
        (
            "0 9 29 2 *",
            "2026-11-26T00:00+01:00",
            "Tuesday, February 29, 2028 at 09:00, then Sunday, February 29, 2032 and Friday, February 29, 2036",
        ),
        (
            "0 9,17 * * *",
            "2026-11-26T00:00+01:00",
            "Thursday, November 26 at 09:00, then Thursday, November 26 at 17:00 and Friday, November 27 at 09:00",
        ),
        # The clocks skip 02:30 on the second day.
        (
            "30 2 * * *",
            "2026-03-28T00:00+01:00",
            "Saturday, March 28 at 02:30, then Sunday, March 29 at 03:00 and Monday, March 30 at 02:30",
        ),
    ],
)
def test_dates_are_in_the_rules_zone_with_their_weekdays(cron: str, after: str, days: str) -> None:
    rule = Rule(BERLIN, cron)
    assert rule.dates_text(rule.next_times(at(after)), at(after)) == days
    assert rule.dates_text(rule.next_times(at(after), 1), at(after)) == days.partition(", then ")[0]


@pytest.mark.parametrize(
    ("cron", "day"),
    [
        ("0 9 * * 1", "Monday, November 30"),
        ("0 9 1 8 *", "Sunday, August 1, 2027"),
        ("0 9 31 12 *", "Thursday, December 31"),
        ("0 9 26 11 *", "Friday, November 26, 2027"),
        ("0 9 29 2 *", "Tuesday, February 29, 2028"),
    ],
)
def test_first_day_has_its_year_if_it_is_not_this_one(cron: str, day: str) -> None:
    rule, now = Rule(BERLIN, cron), at("2026-11-26T12:00+01:00")
    assert rule.first_day_text(now) == day
    assert rule.dates_text(rule.next_times(now, 1), now) == f"{day} at 09:00"


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("America/New_York", "every day at 12:05 AM and 5:05 PM (New York)"),
        ("America/Toronto", "every day at 12:05 AM and 5:05 PM (Toronto)"),
        ("Australia/Sydney", "every day at 12:05 AM and 5:05 PM (Sydney)"),
        ("Asia/Kolkata", "every day at 12:05 AM and 5:05 PM (Kolkata)"),
        (BERLIN, "every day at 00:05 and 17:05 (Berlin)"),
        ("Europe/London", "every day at 00:05 and 17:05 (London)"),
        ("Asia/Tokyo", "every day at 00:05 and 17:05 (Tokyo)"),
        ("America/Sao_Paulo", "every day at 00:05 and 17:05 (Sao Paulo)"),
        ("Etc/GMT+5", "every day at 00:05 and 17:05 (UTC-5)"),
    ],
)
def test_clock_is_that_of_the_zones_country(zone: str, words: str) -> None:
    assert Rule(zone, "5 0,17 * * *").description == words


def test_single_time_in_words() -> None:
    assert Rule("Etc/UTC", at=NINE).description == "once on Thursday, November 26, 2026 at 09:00 (UTC)"


LOS_ANGELES, KOLKATA = "America/Los_Angeles", "Asia/Kolkata"


@pytest.mark.parametrize(
    ("rule", "zone", "weekly"),
    [
        (Rule(BERLIN, "0 9 * * 1-5"), BERLIN, Weekly("1,2,3,4,5", "09:00")),
        (Rule(BERLIN, "30 16 * * *"), KOLKATA, Weekly("0,1,2,3,4,5,6", "21:00")),
        # There it is still, or already, another day.
        (Rule(BERLIN, "0 7 * * 1"), LOS_ANGELES, Weekly("0", "22:00")),
        (Rule(LOS_ANGELES, "0 20 * * 5,6"), BERLIN, Weekly("0,6", "05:00")),
        *(
            (Rule(BERLIN, cron), BERLIN, None)
            for cron in ("0 9 1 * *", "0 9 * 7 1", "0 9,17 * * *", "0,30 9 * * *", "0 9 * * MON#1", "0 9 * * 1,5L")
        ),
        (Rule(BERLIN, at=at("2026-12-24T09:00+01:00")), BERLIN, None),
    ],
    ids=str,
)
def test_rule_as_days_and_a_time_of_its_reader(rule: Rule, zone: str, weekly: Weekly | None) -> None:
    assert as_weekly(rule, zone, NOW) == weekly
    if weekly:
        # Later, clocks of the two zones may change on different days.
        same = valid_rule(zone, NOW, cron=weekly.cron, min_gap_minutes=60)
        assert same.due_after(NOW) == rule.due_after(NOW)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("0 9 1 * *", Rule(BERLIN, "0 9 1 * *")),
        ("0 9 * * mon-fri Asia/Kolkata", Rule(KOLKATA, "0 9 * * MON-FRI")),
        ("0 9 * * 1  los angeles", Rule(LOS_ANGELES, "0 9 * * 1")),
        ("2026-12-24 9 PM Los Angeles", Rule(LOS_ANGELES, at=at("2026-12-24T21:00-08:00"))),
        ("2026-12-24 Los Angeles", texts.schedules.TIME_OF_DAY_MISSING),
        ("2026-12-24 @ 21:00", texts.schedules.TIME_OR_FIELDS),
        ("2026-12-24 09:00", Rule(BERLIN, at=at("2026-12-24T09:00+01:00"))),
        ("2026-12-24T09:00 Asia/Kolkata", Rule(KOLKATA, at=at("2026-12-24T09:00+05:30"))),
        *(
            (typed, Rule(BERLIN, at=at("2026-12-24T21:00+01:00")))
            for typed in (
                "2026-12-24 9:00 PM",
                "2026-12-24 at 9 p.m.",
                "2026-12-24, 21:00",
                "2026-12-24 9pm Europe/Berlin",
            )
        ),
        ("2026-12-24 9:00", Rule(BERLIN, at=at("2026-12-24T09:00+01:00"))),
        ("2026-12-24 12:30 am", Rule(BERLIN, at=at("2026-12-24T00:30+01:00"))),
        ("2026-12-24T9:00+05:30", Rule(BERLIN, at=at("2026-12-24T09:00+05:30"))),
        ("2026-12-24 13:00 PM", Rule(BERLIN, at=at("2026-12-24T13:00+01:00"))),
        ("2026-12-24 25:00", texts.schedules.UNREADABLE_TIME),
        ("2026-02-29 09:00", texts.schedules.UNREADABLE_TIME),
        ("24.12.2026 09:00", texts.schedules.TIME_OR_FIELDS),
        ("9:00 every Monday", texts.schedules.TIME_OR_FIELDS),
        ("2026-12-24 09:00 Mars", texts.schedules.UNKNOWN_ZONE),
        ("0 9 1 * * Mars", texts.schedules.UNKNOWN_ZONE),
        ("2026-13-01", texts.schedules.UNREADABLE_TIME),
        ("every other Tuesday", texts.schedules.TIME_OR_FIELDS),
        ("0 9 */14 * 2", texts.schedules.STEPS_BEGIN_AGAIN),
    ],
)
def test_rule_that_a_person_types(text: str, rule: Rule | str) -> None:
    read: Rule | str
    try:
        read = parse_rule(text, BERLIN, NOW, min_gap_minutes=60)
    except UnusableRule as unusable:
        read = str(unusable)
    assert read == rule


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("mon 9:00", "03-02 09:00+0000"),
        ("Mon 09:05", "03-02 09:05+0000"),
        ("SUNDAY 23:59", "03-01 23:59+0000"),
        ("sun 12:00", "03-08 12:00+0000"),
        ("fri  16:30  Europe/Berlin", "03-06 16:30+0100"),
        ("thursday 0:00 kolkata", "03-05 00:00+0530"),
        *(
            (text, None)
            for text in ("mon", "9:00", "mon 9", "mon 24:00", "mon 9:60", "mo 9:00", "monk 9:00", "mon,tue 9:00")
        ),
        *(
            (text, None)
            for text in ("mon 9:00 Nowhere", "mon 9:00 EST", "mon 9:00 am", "mon -9:00", "0 9 * * mon", "mon ٩:٠٠")
        ),
    ],
)
def test_day_and_time_of_each_week(text: str, due: str | None) -> None:
    try:
        rule = parse_weekly_rule(text)
    except ValueError:
        assert due is None
    else:
        first, second = rule.next_times(NOW, 2)
        assert (f"{datetime.fromtimestamp(first, ZoneInfo(rule.zone)):%m-%d %H:%M%z}", second - first) == (
            due,
            7 * 86_400,
        )


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (Proposal("sum  up.", Rule(BERLIN, "00 9 * * MON-FRI")), True),
        (Proposal("Sum up!", Rule(BERLIN, "0 9 * * 1-5")), False),
        (Proposal("Sum up.", Rule("Europe/Paris", "0 9 * * 1-5")), False),
        (Proposal("Sum up.", Rule(BERLIN, "0 10 * * 1-5")), False),
        (Proposal("Sum up.", Rule(BERLIN, "0 9 * * 1-5"), only_if_changed=True), False),
        (Proposal("Sum up.", Rule(BERLIN, "0 9 * * 1-5"), accounts=("issues",)), False),
    ],
)
def test_equal_proposals_are_known_whatever_they_are_written_like(other: Proposal, is_same: bool) -> None:
    assert Proposal("Sum up.", Rule(BERLIN, "0 9 * * 1-5")).is_same_as(other) is is_same


LISTS = ScheduleCommand()


@pytest.mark.parametrize(
    ("text", "command"),
    [
        *((text, LISTS) for text in ("What is scheduled here?", "what’s scheduled", "Please list the schedules.")),
        *((text, LISTS) for text in ("show me all schedules in this channel", "Which schedules are there?")),
        ("stop schedule 3", ScheduleCommand(3)),
        ("Please cancel the schedule number #12 here!", ScheduleCommand(12)),
        *((text, LISTS) for text in ("hey, what's scheduled here please?", "which schedules do you have, thanks")),
        ("ok stop schedule 3, thanks!", ScheduleCommand(3)),
        ("Hi! Stop the summary please.", ScheduleCommand(about=("summary",))),
        ("stop the summary", ScheduleCommand(about=("summary",))),
        ("Cancel my weekday summary here.", ScheduleCommand(about=("weekday", "summary"), is_own=True)),
        ("stop our retro reminders", ScheduleCommand(about=("retro", "reminders"))),
        *((text, LISTS) for text in ("hi <@UBOT>, whats scheduled here?", "what is scheduled here? \U0001f64f")),
        ("typist, remove schedule no. 3, merci!", ScheduleCommand(3)),
        *((text, None) for text in ("stop schedule 3?", "cancel the summary? thanks", "delete schedule 3？")),
        *((text, None) for text in ("stop the deploy", "cancel my meeting", "stop the summary of the deploy")),
        *((text, None) for text in ("stop", "stop 3", "delete 3", "stop it", "stop the summary and tell Ada")),
        *(
            (text, None)
            for text in ("what is scheduled for the launch?", "can you stop the summary?", "stop! the press")
        ),
        *(
            (text, None)
            for text in ("how do I stop the summary", "“stop the summary”", "what is scheduled\nhere and why")
        ),
    ],
)
def test_command_is_plain_words_and_nothing_else(text: str, command: ScheduleCommand | None) -> None:
    question = Question(ThreadKey("T1", "C1", "1.1"), "1.1", "U1", f"<@UBOT> {text}")
    assert schedule_command(question, ME) == command
    assert schedule_command(replace(question, schedule_id=1), ME) is None
    assert schedule_command(replace(question, attached_chars=4), ME) is None


def schedule(number: int, words: str, cron: str = "0 9 * * 1-5") -> Schedule:
    return Schedule(
        id=number,
        team_id="T1",
        channel_id="C1",
        user_id="U1",
        words=words,
        rule=Rule(BERLIN, cron),
        only_if_changed=False,
        run_tokens=1,
        day_tokens=1,
        next_at=NOW,
        last_at=None,
        failures=0,
        pause_reason=None,
        created_at=NOW,
    )


HERE = [
    schedule(3, "Sum up what was said here."),
    schedule(4, "Summarize the open pull requests.", "0 9 * * 1"),
    schedule(5, "Remind us of the retro."),
]


@pytest.mark.parametrize(
    ("about", "number"),
    [
        (("retro",), 5),
        (("retro", "reminder"), 5),
        (("monday", "summary"), 4),
        (("pull", "request", "summary"), 4),
        # Several fit, or none.
        *((words, None) for words in (("summary",), ("schedule",), ("press",), ("retro", "party"), ("re",))),
    ],
)
def test_words_name_a_schedule_only_if_they_fit_no_other(about: tuple[str, ...], number: int | None) -> None:
    meant = ScheduleCommand(about=about).find_schedule(HERE)
    assert (meant and meant.id) == number
    assert ScheduleCommand(about=("schedule",)).find_schedule(HERE[:1]) == HERE[0]


@pytest.mark.parametrize(
    ("about", "words", "is_meant"),
    [
        *(("summary", f"{verb} what happened.", True) for verb in ("Summarize", "Summarise")),
        ("summaries", "Post a summary.", True),
        ("reports", "Post the report.", True),
        ("reminder", "Remind us of the retro.", True),
        ("summary", "Post the sum of all open invoices.", False),
        ("summary", "Write down what the summer party costs.", False),
        ("report", "Ask the reporter for a quote.", False),
        ("updates", "Post the upset customers.", False),
        ("task", "Watch the taskforce.", True),
    ],
)
def test_only_whole_words_name_a_schedule(about: str, words: str, is_meant: bool) -> None:
    one = schedule(3, words)
    assert ScheduleCommand(about=(about,)).find_schedule([one]) == (one if is_meant else None)


@pytest.mark.parametrize(("whose", "is_meant"), [("my", False), ("the", True), ("our", True)])
def test_my_schedule_is_nobody_elses(whose: str, is_meant: bool) -> None:
    one = schedule(5, "Remind us of the retro.")
    said = Question(ThreadKey("T1", "C1", "1.1"), "1.1", "UADMIN", f"<@UBOT> cancel {whose} reminder")
    command = schedule_command(said, ME)
    assert command
    assert command.find_schedule([one], "UADMIN") == (one if is_meant else None)
    assert command.find_schedule([one], "U1") == one


def test_long_text_is_no_command_in_linear_time() -> None:
    started = time.process_time()
    for text in ("stop the" + " " * 200_000, "stop the a" + "\t" * 200_000 + "b", "stop the " + "a " * 100_000):
        question = Question(ThreadKey("T1", "C1", "1.1"), "1.1", "U1", f"{text}x,")
        assert schedule_command(question, ME) is None
    assert time.process_time() - started < 1


@pytest.mark.parametrize(("number", "found"), [(4, HERE[1]), (6, None)])
def test_number_names_a_schedule(number: int, found: Schedule | None) -> None:
    assert ScheduleCommand(number).find_schedule(HERE) == found


@pytest.mark.parametrize(
    "arguments",
    [
        {"words": " Summarize. ", "cron": "0 9 * * mon-fri"},
        {"words": "Ask.", "at": "2026-12-24T09:00", "zone": "America/New_York", "only_if_changed": True},
        {"words": "Ask.", "cron": "0 9 * * *", "accounts": ["b", "a"]},
        {"words": "x" * MAX_WORDS_CHARS, "cron": "0 9 * * *"},
    ],
)
def test_proposal_reads_its_own_arguments_again(arguments: dict[str, object]) -> None:
    proposal = parse_proposal(arguments, BERLIN, NOW, min_gap_minutes=60)
    assert proposal.words == str(arguments["words"]).strip()
    assert proposal.rule.zone == arguments.get("zone", BERLIN)
    assert parse_proposal(proposal.arguments, "UTC", NOW, min_gap_minutes=60) == proposal


@pytest.mark.parametrize("words", [None, "", "  ", "x" * (MAX_WORDS_CHARS + 1)])
def test_proposal_needs_words_of_bounded_length(words: str | None) -> None:
    with pytest.raises(UnusableRule, match="what to do"):
        parse_proposal({"words": words, "cron": "0 9 * * *"}, "UTC", NOW, min_gap_minutes=60)


def test_arguments_of_another_type_are_refused() -> None:
    with pytest.raises(UnusableRule):
        parse_proposal({"words": "Ask.", "cron": ["0 9 * * *"]}, "UTC", NOW, min_gap_minutes=60)


def test_one_server_may_stand_without_a_list() -> None:
    one = {"words": "Ask.", "cron": "0 9 * * *", "accounts": "issues"}
    assert parse_proposal(one, "UTC", NOW, min_gap_minutes=60).accounts == ("issues",)


def test_words_are_in_no_repr() -> None:
    assert "Ask" not in repr(Proposal("Ask.", DAILY))


@pytest.mark.parametrize(("due_at", "named"), [(NINE, f"{int(NINE)}"), (NINE + 0.25, f"{int(NINE)}.250")])
def test_run_is_named_by_its_schedule_and_due_time(due_at: float, named: str) -> None:
    assert run_id(7, due_at) == f"schedule:7:{named}"
    assert due_at_of_run(run_id(7, due_at)) == due_at


@pytest.mark.parametrize(
    ("user_id", "channel_id", "most", "gap", "may"),
    [
        ("U1", "C1", MAX_PER_MEMBER, MEMBER_GAP_MINUTES, True),
        ("U2", "C1", MAX_PER_MEMBER, MEMBER_GAP_MINUTES, False),
        ("U2", "D1", MAX_IN_CHANNEL, MEMBER_GAP_MINUTES, False),
        ("U9", "C1", MAX_IN_CHANNEL, ADMIN_GAP_MINUTES, True),
    ],
)
def test_creator_and_admins_may_change_a_schedule_and_admins_have_more_of_them_more_often(
    user_id: str, channel_id: str, most: int, gap: int, may: bool
) -> None:
    admins = frozenset({"U9"})
    assert max_schedules(user_id, channel_id, admins) == most
    assert min_gap_minutes(user_id, admins) == gap
    assert can_change(HERE[0], user_id, admins) is may


@pytest.mark.parametrize(
    ("paused", "skipped", "has_caused_pause"),
    [
        (None, None, False),
        (None, PauseReason.MISSED, False),
        (PauseReason.CAP, None, True),
        (PauseReason.CAP, PauseReason.CAP, True),
        (PauseReason.BY_PERSON, PauseReason.QUOTA, False),
    ],
)
def test_run_is_told_of_as_a_pause_while_the_schedule_is_paused_for_it(
    paused: PauseReason | None, skipped: PauseReason | None, has_caused_pause: bool
) -> None:
    assert RunReport(1, NINE, skipped or "").has_caused_pause(replace(HERE[0], pause_reason=paused)) is has_caused_pause


def test_run_looks_at_what_is_new_since_the_last_one_or_since_its_schedule_exists() -> None:
    first = Run(replace(HERE[0], created_at=5.0, last_at=7.0), NINE, None)
    assert (first.since, replace(first, previous_due_at=0.0).since) == (5.0, 0.0)
    assert [first.is_late(NINE + LATE_S + s) for s in (-1, 0, 1)] == [False, False, True]


def test_schedule_without_a_next_time_is_done_unless_it_is_paused() -> None:
    one = replace(HERE[0], only_if_changed=True, accounts=("issues",))
    over = replace(one, next_at=None)
    assert (one.is_done, over.is_done, replace(over, pause_reason=PauseReason.CAP).is_done) == (False, True, False)
    assert one.as_proposal == Proposal(one.words, one.rule, only_if_changed=True, accounts=("issues",))


def test_only_a_quota_and_a_missed_time_may_pass() -> None:
    assert [reason for reason in PauseReason if reason.is_temporary] == [PauseReason.QUOTA, PauseReason.MISSED]


@pytest.mark.parametrize(
    ("last_at", "before"),
    [
        (None, "There was no run before: it was created at 2026-11-24T10:00+01:00."),
        (NINE - 3_600, "The run before was at 2026-11-26T09:00+01:00."),
    ],
)
def test_model_reads_when_a_run_is_due_and_the_one_before_was_in_the_rules_zone(
    last_at: float | None, before: str
) -> None:
    run = Run(replace(HERE[0], created_at=NINE - 2 * 86_400), NINE + 61_200, last_at)
    due = "This run is due at 2026-11-27T03:00+01:00, by the rule: weekdays at 09:00 (Berlin)."
    assert run_times_text(run) == f"{due} {before}"
