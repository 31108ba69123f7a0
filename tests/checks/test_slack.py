"""Remedies for what Slack refuses, and how far its clock is away."""

import pytest

from bot.checks import slack
from bot.checks.report import CheckStatus
from bot.checks.slack import check_clock
from bot.core.triage import Identity
from bot.slack.client import Installation

# What to do about a token that Slack refuses with each error, by words of it: a bot token, an app-level token, and one
# that creates apps.
REFUSED_TOKENS = {
    "invalid_auth": ("Copy it again", "Socket Mode", "configuration token"),
    "not_allowed_token_type": ("SLACK_APP_TOKEN", "Socket Mode", "configuration token"),
    "token_revoked": ("Install the app again", "Generate an app-level token", "configuration token"),
    "token_expired": ("without token rotation", "Generate an app-level token", "configuration token"),
    "account_inactive": ("Install the app again", "Install the app again", "configuration token"),
    "missing_scope": ("Copy it again", "Generate an app-level token", "on Slack's page"),
    "org_login_required": ("A policy", "A policy", "configuration token"),
    "team_added_to_org": ("Try again", "Try again", "configuration token"),
    "unheard_of": ("Copy it again", "Generate an app-level token", "on Slack's page"),
}


@pytest.mark.parametrize(("error", "fixes"), REFUSED_TOKENS.items(), ids=REFUSED_TOKENS)
def test_remedy_for_a_refused_token_is_that_of_its_kind(error: str, fixes: tuple[str, str, str]) -> None:
    told = [slack.bot_token_fix(error), slack.app_token_fix(error), slack.new_app_fix(error)]
    assert [words in text for words, text in zip(fixes, told, strict=True)] == [True] * 3
    assert ("Socket Mode" in told[1]) == (fixes[1] == "Socket Mode"), "only where it may be off"


REFUSED_POSTS = {
    "not_in_channel": "Invite the app",
    "channel_not_found": "Check the channel's ID",
    "is_archived": "isn't archived",
    "messages_tab_disabled": "Messages tab",
    "missing_scope": "typist manifest",
    "restricted_action_read_only_channel": "A policy",
    "token_revoked": "Install the app again",
    "unheard_of": "Try again",
}


@pytest.mark.parametrize(("error", "fix"), REFUSED_POSTS.items(), ids=REFUSED_POSTS)
def test_remedy_for_a_refused_post_is_that_of_its_error(error: str, fix: str) -> None:
    assert fix in slack.post_fix(error)


@pytest.mark.parametrize(
    ("skew_s", "status", "said"),
    [
        (1.9, CheckStatus.OK, "This machine's clock agrees with Slack's."),
        (9.0, CheckStatus.OK, "This machine's clock is 9 s ahead of Slack's."),
        (-30.0, CheckStatus.OK, "This machine's clock is about 30 s behind Slack's."),
        (-31.0, CheckStatus.WARN, "This machine's clock is about 30 s behind Slack's."),
        (300.0, CheckStatus.WARN, "This machine's clock is about 300 s ahead of Slack's."),
        (301.0, CheckStatus.FAIL, "This machine's clock is about 300 s ahead of Slack's."),
    ],
)
def test_clock_is_compared_with_slacks(skew_s: float, status: CheckStatus, said: str) -> None:
    installation = Installation(Identity("T1", "U1", "B1", "typist"), "Acme", None, slack_time_s=1_000.0)
    found = check_clock(installation, 1_000.0 + skew_s)
    assert (found.status, found.message) == (status, said)


@pytest.mark.parametrize(("others", "said"), [(1, "1 other connection is open"), (2, "2 other connections are open")])
def test_connections_are_counted(others: int, said: str) -> None:
    assert slack.connections_sentence(others) == said
