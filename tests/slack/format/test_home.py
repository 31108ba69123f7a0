"""App Home for a person and for an admin, and the slash command's responses: blocks that Slack accepts."""

from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.app_home import HomeView, WorkspaceUsage
from bot.core.inbound.channel_settings import (
    ChannelSettings,
    DefaultSettings,
    effective_settings,
    settings_line,
)
from bot.core.inbound.engagement import Engagement
from bot.core.limits.caps import Amount, Period, UsageToDate, parse_caps
from bot.core.slash_command import TypedCommand
from bot.slack.format.blockkit import Json
from bot.slack.format.command_responses import usage_text
from bot.slack.format.home import home_view
from sandbox.blocks.view_rules import check_view

DEFAULTS = DefaultSettings(("openai/one", "anthropic/two"), "Be <helpful>.")
IN_EFFECT = effective_settings(ChannelSettings(), DEFAULTS)
SPENT = {Period.DAY: Amount(1_234, 0.021), Period.MONTH: Amount(56_789, 3.5)}
CAPS = parse_caps("user/day=2000tokens,user/month=7usd,channel/day=5usd,workspace/month=500usd")


def view_text(view: Json) -> str:
    check_view(view, "home")
    return "\n".join(str(block.get("text") or block.get("elements")) for block in view["blocks"])


def test_person_sees_only_their_own_usage() -> None:
    shown = view_text(home_view(HomeView(IN_EFFECT, UsageToDate(SPENT, CAPS[:2]))))
    assert "1,234 tokens, $0.02" in shown
    assert "Your quota of 2,000 tokens per day: 61% used" in shown
    assert "Be &lt;helpful&gt;." in shown
    assert "This workspace" not in shown


def test_admin_sees_the_workspaces_most_expensive_models_first() -> None:
    by_model = {"openai/one": Amount(9_000, 0.5), "anthropic/two": Amount(100, 2.0), "own": Amount(50_000)}
    workspace = WorkspaceUsage(UsageToDate(SPENT, CAPS), by_model, {"Access": "members & guests"})
    shown = view_text(home_view(HomeView(IN_EFFECT, UsageToDate(SPENT, CAPS[:2]), workspace)))
    assert shown.index("anthropic/two: 100") < shown.index("openai/one: 9,000") < shown.index("own: 50,000")
    assert "Each channel's quota of $5 per day" in shown
    assert "The workspace's quota of $500 per month: 0% used" in shown
    assert "members &amp; guests" in shown


def test_home_of_many_models_and_long_settings_is_accepted() -> None:
    by_model = {f"openai/{'x' * 200}{n}": Amount(n) for n in range(100)}
    workspace = WorkspaceUsage(UsageToDate(SPENT, CAPS * 30), by_model, {"Models": "y" * 10_000})
    view_text(
        home_view(
            HomeView(
                effective_settings(ChannelSettings(system_prompt="z" * 9_000), DEFAULTS),
                UsageToDate(SPENT, CAPS),
                workspace,
            )
        )
    )


@pytest.mark.parametrize(
    ("settings", "defaults", "line"),
    [
        (ChannelSettings(), DEFAULTS, "openai/one · default prompt · follow-ups need no mention"),
        (
            ChannelSettings("anthropic/two", engagement=Engagement.MENTIONS),
            DEFAULTS,
            "anthropic/two · default prompt · every",
        ),
        (ChannelSettings("openai/gone"), DEFAULTS, "openai/one · "),
        (ChannelSettings(system_prompt="Be\nbrief."), DEFAULTS, "custom prompt (“Be brief.”)"),
        (
            ChannelSettings(engagement=Engagement.FOLLOW_UPS),
            DefaultSettings(("m",), "", engagement=Engagement.MENTIONS),
            "follow-ups need no mention",
        ),
        (
            ChannelSettings(engagement=Engagement.EVERYONE, new_posts=True),
            DEFAULTS,
            "nobody in my threads needs a mention · new posts are questions",
        ),
        (ChannelSettings(), replace(DEFAULTS, web_search=True), " · web search on"),
        (ChannelSettings(web_search=False), replace(DEFAULTS, web_search=True), " · web search off"),
    ],
)
def test_settings_in_effect_are_one_line(settings: ChannelSettings, defaults: DefaultSettings, line: str) -> None:
    assert line in settings_line(effective_settings(settings, defaults), "C1")


@pytest.mark.parametrize(
    ("text", "word"), [("", "help"), ("  ", "help"), ("Usage", "usage"), ("model x", "model"), ("tea", "tea")]
)
def test_first_word_is_the_subcommand(text: str, word: str) -> None:
    assert TypedCommand("/typist", text).subcommand == word


def test_usage_without_quotas_says_so() -> None:
    assert usage_text(UsageToDate(SPENT, ())).endswith(texts.NO_QUOTAS)
