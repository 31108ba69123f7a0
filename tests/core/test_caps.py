"""Caps: how they are set, when an answer may begin, and what people read."""

import re
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import texts
from bot.core.caps import (
    MAX_LIMIT,
    Amount,
    Cap,
    CapCheck,
    CapField,
    CapNotice,
    CapUsage,
    CapWindow,
    Period,
    Scope,
    ScopeIds,
    cap_notice_text,
    cap_problems,
    cap_reached_text,
    cap_usage,
    cap_warning,
    cap_warning_key,
    caps_by_field,
    check_caps,
    daily_usage,
    day_of,
    days_of_last_month,
    due_notices,
    effective_caps,
    first_day,
    format_day,
    parse_caps,
    parse_day,
    parse_limits,
)

DAY, MONTH = CapWindow(Scope.USER, Period.DAY), CapWindow(Scope.WORKSPACE, Period.MONTH)
TOKENS = Cap(DAY, 1_000, in_dollars=False)
ADA = ScopeIds("T1", "UADA", "C1")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOON = at("2026-11-20T12:00")


def test_caps_are_parsed_from_a_list() -> None:
    assert parse_caps("user/day=1000tokens, workspace/month=500.50 usd,") == (TOKENS, Cap(MONTH, 500.5, True))
    assert parse_caps("user/day=5tokens,user/day=1usd") == (Cap(DAY, 5, False), Cap(DAY, 1, True))
    assert parse_caps("workspace/month=1000000000000usd") == (Cap(MONTH, MAX_LIMIT, True),)
    assert parse_caps("") == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("user/day=1000", "'user/day=1000' isn't one"),
        (
            "user/week=1000tokens",
            "must list caps, separated by commas, such as user/day=200000tokens or channel/month=20usd",
        ),
        ("everybody/day=1usd", "user, channel or workspace"),
        ("user/day=0tokens", "'user/day=0tokens' isn't one"),
        ("user/day=1000000000001usd", "isn't one"),
        ("user/day=1usd,user/day=1tokens,user/day=2tokens", "has two caps for user/day in tokens"),
        (f"user/day={'9' * 400}tokens", "isn't one"),
        ("user/day=-1usd", "must list caps, separated by commas, such as"),
        ("user/day=$5", "must list caps, separated by commas, such as"),
        ("user/day=1usd,user/day=2usd", "has two caps for user/day in usd"),
    ],
)
def test_invalid_cap_is_refused_with_a_reason(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse_caps(text)


@pytest.mark.parametrize(
    ("spent", "reserved", "expected"),
    [
        (0, 0, CapCheck()),
        (999, 0, CapCheck()),
        (500, 499, CapCheck()),
        (500, 500, CapCheck(reserved_cap=TOKENS)),
        (0, 5_000, CapCheck(reserved_cap=TOKENS)),
        (1_000, 0, CapCheck(reached_cap=TOKENS)),
        (1_200, 5_000, CapCheck(reached_cap=TOKENS)),
    ],
)
def test_answer_begins_while_something_is_neither_used_nor_reserved(
    spent: int, reserved: int, expected: CapCheck
) -> None:
    assert check_caps([TOKENS], {DAY: Amount(spent)}, {Scope.USER: Amount(reserved)}) == expected


def test_cap_that_is_used_up_takes_precedence_over_a_reserved_one() -> None:
    dollars = Cap(MONTH, 5, in_dollars=True)
    spent = {DAY: Amount(500), MONTH: Amount(500, 5.0)}
    check = check_caps([TOKENS, dollars], spent, {Scope.USER: Amount(900), Scope.WORKSPACE: Amount()})
    assert check == CapCheck(reached_cap=dollars)


answers = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 400)), max_size=30)
"""The most that each answer may use, and how much less it used."""


@given(answers=answers, ends=st.randoms(use_true_random=False))
def test_at_most_one_answer_passes_a_cap_in_any_order(answers: list[tuple[int, int]], ends: Random) -> None:
    spent, under_way, used = 0, list[tuple[int, int]](), list[int]()
    for most, less in answers:
        while check_caps(
            [TOKENS], {DAY: Amount(spent)}, {Scope.USER: Amount(sum(m for m, _ in under_way))}
        ).reserved_cap:
            under_way.sort(key=lambda _: ends.random())
            spent += (done := under_way.pop())[1]
            used.append(done[1])
        if spent >= TOKENS.limit:
            break
        under_way.append((most, max(1, most - less)))
    used += [actual for _, actual in under_way]
    assert sum(used) - max(used, default=0) < TOKENS.limit


def resets(day: str) -> str:
    """Returns the sentence with a token that Slack shows in the reader's time zone."""
    return f"It resets {texts.times.token(at(f'{day}T00:00'))}."


def test_days_and_months_are_in_utc() -> None:
    assert format_day(day_of(at("2026-11-20T23:59"))) == "2026-11-20"
    assert format_day(first_day(Period.DAY, NOON)) == "2026-11-20"
    assert format_day(first_day(Period.MONTH, NOON)) == "2026-11-01"


@pytest.mark.parametrize(
    ("cap", "now", "sentence"),
    [
        (TOKENS, NOON, f"Your quota of 1,000 tokens per day is used up. {resets('2026-11-21')}"),
        (
            Cap(MONTH, 500, True),
            NOON,
            f"This workspace's quota of $500 per month is used up. {resets('2026-12-01')}",
        ),
        (
            Cap(CapWindow(Scope.CHANNEL, Period.MONTH), 0.5, True),
            at("2026-12-31T23:59"),
            f"This channel's quota of $0.50 per month is used up. {resets('2027-01-01')}",
        ),
        (
            Cap(CapWindow(Scope.USER, Period.DAY), 2e6, False),
            at("2028-02-28T00:00"),
            f"Your quota of 2,000,000 tokens per day is used up. {resets('2028-02-29')}",
        ),
    ],
)
def test_cap_that_is_used_up_says_when_it_resets_and_whom_to_ask(cap: Cap, now: float, sentence: str) -> None:
    assert cap_reached_text(cap, now, is_admin=False) == f"{sentence} {texts.quotas.ASK_FOR_QUOTA}"
    assert cap_reached_text(cap, now, is_admin=True) == f"{sentence} {texts.quotas.RAISE_QUOTA}"


@pytest.mark.parametrize(("tokens", "part"), [(0, None), (799, None), (800, "80%"), (999, "99%"), (1_500, "100%")])
def test_warning_begins_at_four_fifths_of_a_cap(tokens: int, part: str | None) -> None:
    sentence = cap_warning(TOKENS, Amount(tokens), NOON)
    assert sentence == (part and f"{part} of your quota of 1,000 tokens per day is used. {resets('2026-11-21')}")


def test_each_cap_and_period_has_its_own_warning_key() -> None:
    dollars = Cap(DAY, 5, in_dollars=True)
    raised = Cap(DAY, 2_000, in_dollars=False)
    keys = {cap_warning_key(cap, ADA, NOON) for cap in (TOKENS, dollars, raised)}
    assert len(keys | {cap_warning_key(TOKENS, ADA, NOON + 86_400)}) == 4
    assert cap_warning_key(TOKENS, ADA, NOON) == cap_warning_key(TOKENS, ADA, NOON + 3_600)
    assert cap_warning_key(TOKENS, ADA, NOON) != cap_warning_key(TOKENS, ScopeIds("T1", "UBEN", "C1"), NOON)


@pytest.mark.parametrize(
    ("cap", "key"),
    [
        ("user/day=1000tokens", "cap user/day=1000tokens UADA 2026-11-20"),
        ("channel/day=0.5usd", "cap channel/day=0.5usd C1 2026-11-20"),
        ("workspace/month=500usd", "cap workspace/month=500usd T1 2026-11-01"),
    ],
)
def test_warning_key_names_the_cap_its_owner_and_the_first_day_of_its_period(cap: str, key: str) -> None:
    [parsed] = parse_caps(cap)
    assert {cap_warning_key(parsed, ADA, now) for now in (NOON - 43_200, NOON, NOON + 43_199)} == {key}


def test_own_cap_replaces_the_default_of_its_window_and_unit() -> None:
    defaults = parse_caps("user/day=1000tokens,user/day=1usd,workspace/month=500usd")
    own = parse_caps("user/day=5000tokens,channel/day=2usd")
    expected = parse_caps("user/day=5000tokens,user/day=1usd,workspace/month=500usd,channel/day=2usd")
    assert effective_caps(defaults, own) == expected


@pytest.mark.parametrize(
    ("tokens", "marks"), [(0, []), (799, []), (800, [80]), (999, [80]), (1_000, [80, 100]), (9_000, [80, 100])]
)
def test_marks_are_80_and_100_percent(tokens: int, marks: list[int]) -> None:
    passed = due_notices(TOKENS, Amount(tokens), "UADA", NOON)
    assert passed == [CapNotice(TOKENS, "UADA", mark, "2026-11") for mark in marks]


@given(
    limit=st.floats(0.000001, 1e12) | st.integers(1, 10**12).map(float),
    in_dollars=st.booleans(),
    scope=st.sampled_from(Scope),
    period=st.sampled_from(Period),
)
def test_notice_is_read_back_from_its_text(limit: float, in_dollars: bool, scope: Scope, period: Period) -> None:
    notice = CapNotice(Cap(CapWindow(scope, period), limit, in_dollars), "U0ADA", 80, "2026-11")
    assert CapNotice.parse(str(notice)) == notice


@pytest.mark.parametrize(
    ("cap", "owner", "percent", "sentence"),
    [
        ("user/day=1000tokens", "U1", 80, "80% of <@U1>'s quota of 1,000 tokens per day is used. It resets <!date^"),
        ("channel/month=20usd", "C1", 100, "<#C1>'s quota of $20 per month is used up. It resets <!date^"),
        (
            "channel/month=20usd",
            "D1",
            80,
            "80% of a direct message's quota of $20 per month is used. It resets <!date^",
        ),
        ("workspace/month=20usd", "T1", 100, "The workspace's quota of $20 per month is used up. It resets <!date^"),
    ],
)
def test_admins_read_whose_quota_is_used(cap: str, owner: str, percent: int, sentence: str) -> None:
    [parsed] = parse_caps(cap)
    assert cap_notice_text(CapNotice(parsed, owner, percent, "2026-11"), NOON).startswith(sentence)


def test_chart_has_the_last_fourteen_days_in_the_caps_unit() -> None:
    today = day_of(NOON)
    by_day = {today: Amount(500, 1.5), today - 13: Amount(7, 0.25), today - 14: Amount(9)}
    [dollars] = parse_caps("user/month=20usd")
    tokens = daily_usage(TOKENS, by_day, NOON)
    assert len(tokens) == 14
    assert [bar for bar in tokens if bar[1]] == [("Nov 7", 7), ("Nov 20", 500)]
    assert daily_usage(dollars, by_day, NOON)[-1] == ("Nov 20", 1.5)


@pytest.mark.parametrize(
    ("now", "first", "end"),
    [
        (datetime(2026, 11, 20, 23, tzinfo=UTC), "2026-10-01", "2026-11-01"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2025-12-01", "2026-01-01"),
        (datetime(2024, 3, 31, tzinfo=UTC), "2024-02-01", "2024-03-01"),
    ],
)
def test_last_month_ends_where_this_one_begins(now: datetime, first: str, end: str) -> None:
    assert days_of_last_month(now.timestamp()) == (parse_day(first), parse_day(end))


def test_day_is_counted_from_1970() -> None:
    assert [parse_day(day) for day in ("1970-01-01", "1971-01-01")] == [0, 365]
    with pytest.raises(ValueError):
        parse_day("20.11.2026")


UNPRICED = ("own/model",)


@pytest.mark.parametrize(
    ("field", "text", "limit"),
    [
        (CapField.TOKENS_A_DAY, "200000", 200_000.0),
        (CapField.TOKENS_A_MONTH, "1", 1.0),
        (CapField.DOLLARS_A_MONTH, "20", 20.0),
        (CapField.DOLLARS_A_DAY, "0.5", 0.5),
        (CapField.DOLLARS_A_DAY, "0.01", 0.01),
        (CapField.DOLLARS_A_DAY, "", None),
    ],
)
def test_number_becomes_a_limit_and_an_empty_field_leaves_it_to_the_default(
    field: CapField, text: str, limit: float | None
) -> None:
    assert cap_problems(((field, text),), ()) == {}
    assert parse_limits(((field, text),)) == {field: limit}


@pytest.mark.parametrize(
    "text", ["x", "0", "0.009", "-5", "nan", "inf", "1e400", "9" * 400, "1000000000001", "1,000", "1.5e99"]
)
@pytest.mark.parametrize("field", CapField)
def test_anything_else_is_an_error_at_its_field(field: CapField, text: str) -> None:
    assert cap_problems(((field, text),), ()) == {field: texts.quotas.quota_not_a_number(field.in_dollars)}


def test_tokens_are_whole() -> None:
    assert list(cap_problems(((CapField.TOKENS_A_DAY, "1.5"), (CapField.DOLLARS_A_DAY, "1.5")), ())) == ["tokens_a_day"]


def test_dollars_need_prices_and_tokens_do_not() -> None:
    entered = ((CapField.DOLLARS_A_DAY, "5"), (CapField.TOKENS_A_DAY, "5"), (CapField.DOLLARS_A_MONTH, ""))
    assert cap_problems(entered, UNPRICED) == {"dollars_a_day": texts.quotas.quota_needs_prices(UNPRICED)}


@pytest.mark.parametrize("field", CapField)
@pytest.mark.parametrize("scope", Scope)
def test_field_and_cap_name_each_other(field: CapField, scope: Scope) -> None:
    assert CapField.for_cap(field.cap(scope, 5)) is field


def test_caps_of_a_form_are_those_of_its_scope() -> None:
    caps = parse_caps("channel/month=2.5usd,user/month=9usd,channel/day=70tokens,workspace/day=3usd")
    fields = {CapField.DOLLARS_A_MONTH: caps[0], CapField.TOKENS_A_DAY: caps[2]}
    assert caps_by_field(caps, Scope.CHANNEL) == fields
    assert caps_by_field(caps, Scope.WORKSPACE) == {CapField.DOLLARS_A_DAY: caps[3]}


@pytest.mark.parametrize(
    ("cap", "used", "percent", "resets"),
    [
        ("user/day=1000tokens", Amount(999, 5.0), 99, "2026-11-21T00:00"),
        ("user/day=1000tokens", Amount(1_500), 100, "2026-11-21T00:00"),
        ("user/month=20usd", Amount(1_000, 5.0), 25, "2026-12-01T00:00"),
    ],
)
def test_use_of_a_cap_is_in_its_unit_until_its_period_ends(cap: str, used: Amount, percent: int, resets: str) -> None:
    [parsed] = parse_caps(cap)
    assert cap_usage(parsed, used, NOON) == CapUsage(parsed, percent, at(resets))


@pytest.mark.parametrize(("used", "is_any"), [((0, 0.0), False), ((1, 0.0), True), ((0, 0.1), True)])
def test_amount_is_nothing_without_tokens_and_dollars(used: tuple[int, float], is_any: bool) -> None:
    assert bool(Amount(*used)) is is_any
    assert Amount(*used) + Amount(7, 0.5) == Amount(used[0] + 7, used[1] + 0.5)


@pytest.mark.parametrize(("limit", "shown"), [(20.0, "20"), (0.5, "0.5"), (1e12, "1000000000000")])
def test_limit_is_shown_as_it_is_entered(limit: float, shown: str) -> None:
    assert Cap(DAY, limit, in_dollars=True).limit_as_entered == shown
    assert parse_limits(((CapField.DOLLARS_A_DAY, shown),)) == {CapField.DOLLARS_A_DAY: limit}
