"""Alerts of one kind, and which posts by apps are alerts."""

from collections.abc import Mapping
from typing import Any

import pytest

from bot.core.alerts import MAX_TEXT_CHARS, alert_kind, has_invalid_app_ids, is_resolved, with_later_alert
from bot.core.channel_settings import CHANNEL_SETTINGS
from bot.core.conversation import Question
from bot.core.triage import UNKNOWN_PARTICIPANTS, TriageRules, triage
from tests.core.conversations import ME, message

FIRING = "[FIRING:1] High CPU on web-12 (93%)\nhttps://grafana.example/d/1?from=1"
RULES = TriageRules(alert_runs=20, alert_apps=("A0ALERTS",))
POST: Mapping[str, Any] = {"user_id": "UALERTS", "bot_id": "BALERTS", "app_id": "A0ALERTS", "is_from_app": True}


@pytest.mark.parametrize(
    ("text", "is_same"),
    [
        ("[FIRING:3] High CPU on web-4 (98%)\nhttps://grafana.example/d/1?from=2", True),
        ("[RESOLVED] High CPU on web-12 (3%)", True),
        ("[FIRING:1] Low disk on web-12 (93%)", False),
        ("", False),
    ],
)
def test_kind_of_an_alert_leaves_out_its_state_numbers_and_links(text: str, is_same: bool) -> None:
    assert (alert_kind("A1", text) == alert_kind("A1", FIRING)) is is_same
    assert alert_kind("A2", FIRING) != alert_kind("A1", FIRING)


@pytest.mark.parametrize(
    ("changes", "is_alert"),
    [
        ({}, True),
        ({"subtype": "bot_message", "user_id": None}, True),
        ({"bot_id": None}, True),
        ({"app_id": "A0OTHER"}, False),
        ({"app_id": ""}, False),
        ({"thread_ts": "9.0"}, False),
        ({"channel_type": "im"}, False),
        ({"subtype": "channel_join"}, False),
        ({"user_id": "UBOT"}, False),
        ({"bot_id": "BBOT"}, False),
        ({"bot_id": None, "is_from_app": False}, False),
    ],
)
def test_alerts_are_posts_by_listed_apps(changes: dict[str, Any], is_alert: bool) -> None:
    found = triage(message(FIRING, **{**POST, **changes}), ME, UNKNOWN_PARTICIPANTS, RULES)
    assert (isinstance(found, Question) and bool(found.alert_kind)) is is_alert


def test_nothing_is_an_alert_while_alerts_are_off() -> None:
    off = TriageRules(alert_apps=("A0ALERTS",))
    assert not isinstance(triage(message(FIRING, **POST), ME, UNKNOWN_PARTICIPANTS, off), Question)


def test_post_that_mentions_us_might_answer_us_and_is_no_alert() -> None:
    found = triage(message(f"<@UBOT> {FIRING}", **POST), ME, UNKNOWN_PARTICIPANTS, RULES)
    assert not isinstance(found, Question)


def test_text_of_a_burst_has_each_alert_once_and_a_limit() -> None:
    text = with_later_alert(FIRING, "web-4 too")
    assert text == f"{FIRING}\n\nweb-4 too" == with_later_alert(text, "web-4 too")
    assert with_later_alert(text, "x" * MAX_TEXT_CHARS) == text


@pytest.mark.parametrize(
    ("text", "resolved"), [("[RESOLVED] High CPU", True), ("Recovered: disk", True), (FIRING, False)]
)
def test_resolved_alerts_say_so(text: str, resolved: bool) -> None:
    assert is_resolved(text) is resolved


def test_line_of_app_ids_is_read_as_people_write_it() -> None:
    parse = CHANNEL_SETTINGS["alert_apps"].parse
    assert parse(" a0alerts, A0OTHER  A0ALERTS ") == "A0ALERTS A0OTHER"
    assert not has_invalid_app_ids("A0ALERTS A0OTHER")
    assert has_invalid_app_ids("A0ALERTS GRAFANA!")
