"""The sentences of `typist check`: which remedy goes with which error, and each value in its place."""

from datetime import date

import pytest

from bot.checks import check_texts

# What to do about a token that Slack refuses with each error, by words of it: a bot token, an app-level token, and one
# that creates apps.
REFUSED_TOKENS = {
    "invalid_auth": ("Copy it again", "Socket Mode", "configuration token"),
    "not_allowed_token_type": ("SLACK_APP_TOKEN", "Socket Mode", "configuration token"),
    "token_revoked": ("Install the app again", "Generate an app-level token", "configuration token"),
    "token_expired": ("without token rotation", "Generate an app-level token", "configuration token"),
    "account_inactive": ("Install the app again", "Install the app again", "configuration token"),
    "missing_scope": ("Copy it again", "Generate an app-level token", "at Slack's page"),
    "org_login_required": ("A policy", "A policy", "configuration token"),
    "team_added_to_org": ("Try again", "Try again", "configuration token"),
    "unheard_of": ("Copy it again", "Generate an app-level token", "at Slack's page"),
}


@pytest.mark.parametrize(("error", "fixes"), REFUSED_TOKENS.items(), ids=REFUSED_TOKENS)
def test_remedy_for_a_refused_token_is_that_of_its_kind(error: str, fixes: tuple[str, str, str]) -> None:
    told = [check_texts.bot_token_fix(error), check_texts.app_token_fix(error), check_texts.app_not_created(error)[1]]
    assert [words in text for words, text in zip(fixes, told, strict=True)] == [True] * 3
    assert ("Socket Mode" in told[1]) == (fixes[1] == "Socket Mode"), "only where it may be off"


# What `typist check` says by values that differ from each other.
CHECKED = [
    (check_texts.sign_ins(5, 0), "BOT_SECRET_KEYS opens all sign-ins to MCP servers: 5."),
    (check_texts.sign_ins(5, 2), "servers: 5. An older key is still needed for 2, until they are used again."),
    (check_texts.sign_ins_lost(2, 5), "doesn't open 2 of 5 sign-ins"),
    (check_texts.model_retires(date(2027, 1, 31), ""), "It retires on 2027-01-31."),
    (check_texts.model_retires(date(2027, 1, 31), "m-2"), "2027-01-31. Its vendor names m-2 in its place."),
    (check_texts.connections(1, 3), "1 other connection is open. Processes of Typist with this database: 3."),
    (check_texts.connections(2, 3), "2 other connections are open. Processes of Typist with this database: 3."),
    (check_texts.clock(-60), "about 60 s behind Slack's."),
    (check_texts.clock(9), "9 s ahead of Slack's."),
    (check_texts.clock(1.9), "agrees with Slack's."),
    (check_texts.two_apps("A1", "A2"), "SLACK_BOT_TOKEN to A1, SLACK_APP_TOKEN to A2"),
    (check_texts.mcp_places(3, 128, ""), "at most 3 of their tools. Models are offered up to 128."),
    (check_texts.mcp_too_many_fix(128, 9_000), "share 128 tools and 9,000 characters"),
    (check_texts.smoke_cut(40, 12), "12 of 40 lines were kept"),
    (check_texts.smoke_cut_wrong(40, 39, 2), "has 39 of 40 lines, 2 of them different"),
    (check_texts.schema_older("0001", "0017"), "at revision 0001. The next start migrates it to 0017."),
    (check_texts.summary(0, 0, 0), "Everything is set up."),
    (check_texts.summary(1, 2, 0), "1 problem, 2 warnings."),
    (check_texts.summary(2, 1, 3), "2 problems, 1 warning. 3 checks were not made"),
    (check_texts.summary(0, 1, 1), "0 problems, 1 warning. 1 check was not made"),
    (
        check_texts.caught_up(0.0, 600.0, looked_at=5, unread=2, answered=3, offered=4),
        "for 10 minutes from 1970-01-01 00:00 UTC on. Of the questions missed then, Typist answered 3 and offered an "
        "answer to 4. It looked at 5 conversations and threads, and 2 could not be read",
    ),
]


@pytest.mark.parametrize(("sentence", "said"), CHECKED)
def test_check_says_each_value_in_its_place(sentence: str, said: str) -> None:
    assert said in sentence
    assert sentence.endswith(said) or not said.endswith("."), "nothing stands behind it"


REFUSED_POSTS = {
    "not_in_channel": "Invite the app",
    "channel_not_found": "Check the channel's ID",
    "is_archived": "not archived",
    "messages_tab_disabled": "Messages tab",
    "missing_scope": "typist manifest",
    "restricted_action_read_only_channel": "A policy",
    "token_revoked": "Install the app again",
    "unheard_of": "Try again",
}


@pytest.mark.parametrize(("error", "fix"), REFUSED_POSTS.items(), ids=REFUSED_POSTS)
def test_remedy_for_a_refused_post_is_that_of_its_error(error: str, fix: str) -> None:
    assert fix in check_texts.probe_fix(error)
