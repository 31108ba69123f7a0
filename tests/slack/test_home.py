"""App Home for a person and for an admin, and the slash command's responses: blocks that Slack accepts."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from bot.core import texts
from bot.core.caps import Amount, CapOwner, OwnCap, Period, Scope, UsageToDate, cap_usage, parse_caps
from bot.core.channel_settings import DefaultSettings
from bot.core.surfaces import (
    DIRECT_MESSAGES,
    MAX_LISTED,
    ChannelsWithSettings,
    HomeView,
    MonthUsage,
    Quotas,
    TypedCommand,
    WorkspaceUsage,
)
from bot.slack.blockkit import Json
from bot.slack.quotas import usage_text
from bot.slack.views.home import home_view
from slack_sandbox.blocks.view_rules import check_view

DEFAULTS = DefaultSettings(("openai/one", "anthropic/two"), "Be <helpful>.")
SPENT = {Period.DAY: Amount(1_234, 0.021), Period.MONTH: Amount(56_789, 3.5)}
CAPS = parse_caps("user/day=2000tokens,user/month=7usd,channel/day=5usd,workspace/month=500usd")

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()
USAGE = UsageToDate(SPENT, [cap_usage(cap, SPENT[cap.window.period], NOON) for cap in CAPS[:2]])
NO_QUOTAS = UsageToDate(SPENT, ())
TOMORROW = "<!date^1795651200^{date_pretty} at {time}|November 26 at 00:00 UTC>"
DECEMBER = "<!date^1796083200^{date_pretty} at {time}|December 1 at 00:00 UTC>"


def view_text(view: Json) -> str:
    check_view(view, "home")
    return "\n".join(str(block.get("text") or block.get("elements")) for block in view["blocks"])


def test_member_reads_how_to_ask_who_sees_what_and_how_to_stop_and_nothing_of_the_setup() -> None:
    shown = view_text(home_view(HomeView(DEFAULTS, NO_QUOTAS)))
    said = (
        texts.home.MENTIONS_NEEDED["follow-ups"],
        texts.home.SEEN[False],
        texts.welcome.STOP_OR_QUIET,
        texts.home.WHERE_TO_SET,
    )
    at = [shown.index(part.replace("\n", "\\n")) for part in said]
    assert at == sorted(at)
    for part in (
        "tokens",
        "UTC",
        "helpful",
        "Model",
        texts.home.WHERE_YOU_ASK,
        texts.home.DEFAULTS_HEADING,
        "This workspace",
    ):
        assert not re.search(rf"\b{part}\b", shown), part


@pytest.mark.parametrize("reads_channel", [True, False])
def test_member_reads_whether_the_channel_is_read(reads_channel: bool) -> None:
    defaults = replace(DEFAULTS, read_channel=reads_channel)
    shown = view_text(home_view(HomeView(defaults, NO_QUOTAS)))
    assert ("messages in the channel when a question is about them" in shown) is reads_channel


def test_quotas_are_shown_with_what_is_used_and_their_reset_in_the_readers_time_zone() -> None:
    shown = view_text(home_view(HomeView(DEFAULTS, USAGE)))
    assert f"61% of your quota of 2,000 tokens per day is used. It resets {TOMORROW}." in shown
    assert f"50% of your quota of $7 per month is used. It resets {DECEMBER}." in shown
    assert texts.quotas.TOKENS_EXPLAINED in shown
    assert "1,234 tokens" not in shown


def test_tokens_are_explained_only_where_a_quota_counts_them() -> None:
    others_tokens = cap_usage(parse_caps("workspace/day=500tokens")[0], Amount(), NOON)
    in_dollars = UsageToDate(SPENT, [USAGE.caps[1], others_tokens])
    assert texts.quotas.TOKENS_EXPLAINED not in view_text(home_view(HomeView(DEFAULTS, in_dollars)))


@pytest.mark.parametrize(
    ("accounts", "lines"),
    [
        ({}, []),
        ({"jira": (NOON, "read <write>")}, ["jira, since November 25, 2026 (read &lt;write&gt;)"]),
        (
            {f"s{number}": (NOON, "") for number in range(10)},
            [f"s{number}, since November 25, 2026" for number in range(10)],
        ),
    ],
)
def test_home_lists_accounts(accounts: Mapping[str, tuple[float, str]], lines: list[str]) -> None:
    view = home_view(HomeView(DEFAULTS, NO_QUOTAS, accounts=accounts))
    view_text(view)
    shown = [block["text"]["text"] for block in view["blocks"] if "since" in str(block)]
    assert shown == (["\n".join([f"*{texts.accounts.YOUR_ACCOUNTS}*", *lines])] if lines else [])


@pytest.mark.parametrize(("number", "more"), [(1, ""), (MAX_LISTED, ""), (MAX_LISTED + 2, " · … and 2 more.")])
def test_home_lists_channels_with_the_last_first(number: int, more: str) -> None:
    channels = [f"C{index}" for index in range(number)]
    shown = view_text(home_view(HomeView(DEFAULTS, NO_QUOTAS, channels)))
    assert f"*{texts.home.WHERE_YOU_ASK}*\\n{' · '.join(f'<#{id_}>' for id_ in channels[:MAX_LISTED])}{more}'" in shown


NOTHING = MonthUsage(Amount(), {}, {}, {}, {})
NO_CAPS = Quotas((), (), ())


def admins_home(
    this_month: MonthUsage = NOTHING,
    last_month: MonthUsage = NOTHING,
    quotas: Quotas = NO_CAPS,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> str:
    workspace = WorkspaceUsage(SPENT, this_month, last_month, quotas, settings or {"Access": "members & guests"}, 1.5)
    return view_text(home_view(HomeView(DEFAULTS, NO_QUOTAS, (), workspace)))


def own(cap: str, owner_id: str, used: Amount) -> OwnCap:
    [parsed] = parse_caps(cap)
    return OwnCap(CapOwner(parsed.window.scope, owner_id), parsed, used)


def test_admin_sees_who_used_most_of_what_this_month_and_last() -> None:
    shown = admins_home(
        MonthUsage(
            Amount(60_000, 2.5),
            {"U1": Amount(9_000, 0.5), "U2": Amount(100, 2.0)},
            {"C1": Amount(100, 2.0), DIRECT_MESSAGES: Amount(9_000, 0.5)},
            {"openai/one": Amount(9_000, 0.5), "anthropic/two": Amount(100, 2.0), "own": Amount(50_000)},
            {"github__create": 12, "wiki__read": 1},
        ),
        MonthUsage(Amount(5, 0.01), {"U3": Amount(5)}, {}, {}, {"github__create": 2}),
    )
    people = ["████████ <@U2>: 100 tokens, $2.00", "██░░░░░░ <@U1>: 9,000 tokens, $0.50"]
    others = ["░░░░░░░░ <@U3>: 0 tokens (last month: 5 tokens)", "██░░░░░░ Direct messages: 9,000 tokens"]
    models = ["two: 100", "one: 9,000", "own: 50,000"]
    calls = ["████████ github__create: 12 calls (last month: 2 calls)", "wiki__read: 1 call"]
    at = [shown.index(line) for line in (*people, *others, *models, *calls)]
    assert at == sorted(at)
    assert "*Last month*: 5 tokens, $0.01" in shown
    assert "members &amp; guests" in shown
    assert "*Mentions in channels*: Mention me to start. After that, just reply." in shown
    assert "Be &lt;helpful&gt;." in shown


@pytest.mark.parametrize("sentences", [["I answer every new post."], ["I ask a model with a long name first."] * 9])
def test_admin_sees_as_many_channels_with_settings_as_fit_and_how_many_more(sentences: list[str]) -> None:
    listed = [(f"C{number}", sentences) for number in range(MAX_LISTED)]
    channels = ChannelsWithSettings(listed, 90)
    workspace = WorkspaceUsage(SPENT, NOTHING, NOTHING, NO_CAPS, {"Access": "members"}, 1.5, channels)
    shown = view_text(home_view(HomeView(DEFAULTS, USAGE, (), workspace)))
    seen = [channel_id for channel_id, _ in listed if f"<#{channel_id}>: {' '.join(sentences)}" in shown]
    assert seen == [channel_id for channel_id, _ in listed[: len(seen)]]
    assert len(seen) >= 5
    assert f"… and {100 - len(seen)} more." in shown


def test_home_offers_the_suggested_prompts() -> None:
    shown = view_text(home_view(HomeView(DEFAULTS, USAGE)))
    assert [line for line in (texts.home.TRY_ONE, *texts.welcome.PANE_SUGGESTIONS) if line not in shown] == []


def test_bars_compare_tokens_where_nothing_has_a_price() -> None:
    shown = admins_home(MonthUsage(Amount(30), {"U1": Amount(10), "U2": Amount(20)}, {}, {}, {}))
    assert "████████ <@U2>: 20 tokens" in shown
    assert "████░░░░ <@U1>: 10 tokens" in shown


def test_bars_compare_tokens_if_something_has_no_price() -> None:
    models = {"openai/one": Amount(0, 2.0), "own": Amount(20), "other": Amount(10, 1.0)}
    shown = admins_home(MonthUsage(Amount(30, 3.0), {}, {}, models, {}))
    assert "████████ own: 20 tokens" in shown
    assert "░░░░░░░░ one: 0 tokens, $2.00" in shown


def test_bar_shows_what_is_little_beside_the_most() -> None:
    shown = admins_home(MonthUsage(Amount(101), {"U1": Amount(1), "U2": Amount(100)}, {}, {}, {}))
    assert "█░░░░░░░ <@U1>: 1 token" in shown


def test_ten_are_listed_and_the_rest_is_a_sum() -> None:
    people = {f"U{number:02}": Amount(number, number / 100) for number in range(1, 16)}
    shown = admins_home(MonthUsage(Amount(), people, {}, {}, {}), MonthUsage(Amount(), {"U01": Amount(50)}, {}, {}, {}))
    assert "<@U06>" in shown
    assert "<@U05>" not in shown
    assert "5 others: 15 tokens, $0.15 (last month: 50 tokens)" in shown


def test_admin_sees_defaults_and_quotas_of_their_own_by_use() -> None:
    quotas = Quotas(
        CAPS,
        (
            own("user/day=100tokens", "U1", Amount(10)),
            own("channel/month=20usd", "C1", Amount(0, 15.0)),
            own("workspace/month=1000usd", "T1", Amount(0, 3.5)),
        ),
        ("<model>",),
    )
    shown = admins_home(quotas=quotas)
    lines = [
        "Each person's quota of 2,000 tokens per day",
        "Each channel's quota of $5 per day",
        "<#C1>'s quota of $20 per month: 75% used",
        "<@U1>'s quota of 100 tokens per day: 10% used",
        "The workspace's quota of $1,000 per month: 0% used",
        "Dollar quotas don't count &lt;model&gt;",
    ]
    at = [shown.index(line) for line in lines]
    assert at == sorted(at)
    assert "$500" not in shown


@pytest.mark.parametrize(
    ("defaults", "own_cap", "is_said"),
    [
        ("workspace/month=500usd", "user/day=100tokens", True),
        ("workspace/month=500tokens", "user/day=1usd", True),
        ("workspace/month=500tokens", "user/day=100tokens", False),
    ],
)
def test_models_without_a_price_are_named_where_a_quota_is_in_dollars(
    defaults: str, own_cap: str, is_said: bool
) -> None:
    quotas = Quotas(parse_caps(defaults), (own(own_cap, "U1", Amount()),), ("model",))
    assert ("Dollar quotas don't count model" in admins_home(quotas=quotas)) is is_said


def test_new_workspace_has_no_quotas_and_no_empty_lists() -> None:
    shown = admins_home()
    assert texts.home.NO_QUOTAS_SET in shown
    assert [
        heading for heading in (texts.home.PEOPLE, texts.home.CHANNELS, texts.home.TOOLS) if f"*{heading}*" in shown
    ] == []


def test_home_of_many_people_models_quotas_and_long_settings_is_accepted() -> None:
    many = {f"openai/<{'x' * 200}{n}": Amount(n, n) for n in range(100)}
    people = {f"U0{'X' * 20}{n}": Amount(10**12, 10**6) for n in range(5_000)}
    channels = {f"C0{'X' * 20}{n}": Amount(10**12, 10**6) for n in range(5_000)}
    month = MonthUsage(Amount(10**15, 10**9), people, channels, many, dict.fromkeys(many, 10**9))
    owns = tuple(own("user/month=1000000000000tokens", user_id, Amount(5)) for user_id in people)
    every = [f"{scope}/{period}=1{unit}" for scope in Scope for period in Period for unit in ("usd", "tokens")]
    caps = parse_caps(",".join(every))
    quotas = Quotas(caps, owns, tuple(many))
    own_settings = ChannelsWithSettings([(id_, ["I ask <one> first."] * 15) for id_ in list(channels)[:MAX_LISTED]], 90)
    workspace = WorkspaceUsage(SPENT, month, month, quotas, {"Models": "y <&> " * 2_000}, 1.5, own_settings)
    settings = replace(DEFAULTS, system_prompt="z" * 9_000)
    usage = UsageToDate(SPENT, [cap_usage(cap, Amount(10**15), NOON) for cap in caps])
    view = home_view(HomeView(settings, usage, tuple(channels), workspace))
    shown = view_text(view)
    assert len(view["blocks"]) < 40
    for whole in (texts.home.SEEN[False], texts.welcome.STOP_OR_QUIET, texts.home.WHERE_TO_SET, "<#C0"):
        assert whole.replace("\n", "\\n") in shown
    assert "\\n…" in shown


@pytest.mark.parametrize(
    ("text", "word"), [("", "help"), ("  ", "help"), ("Usage", "usage"), ("model x", "model"), ("tea", "tea")]
)
def test_first_word_is_the_subcommand(text: str, word: str) -> None:
    assert TypedCommand("/typist", text).subcommand == word


def test_usage_without_quotas_says_so() -> None:
    shown = usage_text(NO_QUOTAS)
    assert "about 2 pages of text, $0.02" in shown
    assert shown.endswith(texts.quotas.NO_QUOTAS)


USED_UP = f"This workspace's quota of $500 per month is used up. It resets {DECEMBER}. {texts.quotas.ASK_FOR_QUOTA}"


def test_what_others_use_of_a_shared_quota_is_told_once_it_is_used_up() -> None:
    channel, workspace = (
        cap_usage(cap, Amount(0, used), NOON) for cap, used in zip(CAPS[2:], (4.95, 500.0), strict=True)
    )
    shown = usage_text(UsageToDate(SPENT, [channel, workspace]))
    assert shown.endswith(f"{texts.quotas.SHARED_QUOTAS}\nThis channel's quota of $5 per day.\n{USED_UP}")
    beside_own = usage_text(UsageToDate(SPENT, [*USAGE.caps, channel, workspace]))
    assert beside_own.endswith(f"It resets {DECEMBER}.\n{USED_UP}")
    assert "channel" not in beside_own
