"""What modals show and hold, as Slack takes and tells it."""

from typing import Any

import pytest

from bot.core import texts
from bot.core.inbound.channel_settings import ChannelSettings, DefaultSettings, SettingsField, SettingsPlace
from bot.core.message_question import QuotedMessage
from bot.slack.format import modals
from bot.slack.format.blockkit import Json
from sandbox.rules_views import check_view

DEFAULTS = DefaultSettings(("openai/one", "anthropic/two"), "Be helpful. " * 50)
CHANNEL, DIRECT = SettingsPlace("C1", "https://hooks.example/1"), SettingsPlace("D1", "https://hooks.example/1")
ABOUT = QuotedMessage("C1", "2.0", "1.0", "A quote", "https://hooks.example/1")


def submitted(view: Json, **held: str | None) -> Json:
    """The view as Slack tells it: each field as the modal had it, or as it was filled in."""
    values: dict[str, Any] = {}
    for block in view["blocks"]:
        if block["type"] == "input":
            element, name = block["element"], block["block_id"]
            initial = element.get("initial_value") or (element.get("initial_option") or {}).get("value")
            value = held.get(name, initial)
            state = {"value": value} if element["type"] == "plain_text_input" else {"selected_option": {"value": value}}
            values[name] = {name: {"type": element["type"], **state}}
    return {"private_metadata": view["private_metadata"], "state": {"values": values}}


@pytest.mark.parametrize(
    "settings",
    [
        ChannelSettings(),
        ChannelSettings("anthropic/two", "Be <brief> & “kind”.", True),
        ChannelSettings(system_prompt="x" * 2_000, mention_only=False),
    ],
)
def test_settings_that_nobody_touched_stay_as_they_are(settings: ChannelSettings) -> None:
    view = modals.settings_modal(CHANNEL, settings, DEFAULTS, SettingsField.MODEL)
    check_view(view, "modal")
    assert modals.submitted_settings(submitted(view)) == (CHANNEL, settings)


def test_what_is_emptied_is_as_usual_again() -> None:
    view = modals.settings_modal(
        CHANNEL, ChannelSettings("openai/one", "Be brief.", True), DEFAULTS, SettingsField.MODEL
    )
    held = submitted(view, model=modals.DEFAULT, system_prompt=None, mention_only=modals.DEFAULT)
    assert modals.submitted_settings(held)[1] == ChannelSettings()


def test_a_model_that_is_not_in_use_any_more_is_as_usual() -> None:
    view = modals.settings_modal(CHANNEL, ChannelSettings("openai/gone"), DEFAULTS, SettingsField.MODEL)
    assert modals.submitted_settings(submitted(view))[1] == ChannelSettings()


def test_a_direct_message_needs_no_mention() -> None:
    view = modals.settings_modal(DIRECT, ChannelSettings(), DEFAULTS, SettingsField.SYSTEM_PROMPT)
    assert [each.get("block_id") for each in view["blocks"]] == [None, SettingsField.MODEL, SettingsField.SYSTEM_PROMPT]


@pytest.mark.parametrize("focus", [SettingsField.MODEL, SettingsField.SYSTEM_PROMPT, SettingsField.MENTION_ONLY])
def test_one_field_is_begun_with(focus: SettingsField) -> None:
    view = modals.settings_modal(CHANNEL, ChannelSettings(), DEFAULTS, focus)
    inputs = [each for each in view["blocks"] if each["type"] == "input"]
    assert [each["block_id"] for each in inputs if each["element"]["focus_on_load"]] == [focus]


@pytest.mark.parametrize(("typed", "asked"), [(" why? ", "why?"), (None, texts.EXPLAIN), ("  ", texts.EXPLAIN)])
def test_a_question_is_about_its_message(typed: str | None, asked: str) -> None:
    view = modals.question_modal(ABOUT, "U1")
    check_view(view, "modal")
    assert modals.submitted_question(submitted(view, question=typed)) == (ABOUT, asked)


@pytest.mark.parametrize("quote", ["", "x" * 1_500, "\n" * 700, "ключ" * 375, "\\" * 750, "👩🏽‍🚀" * 300])
def test_whatever_the_message_was_slack_takes_the_modal(quote: str) -> None:
    about = QuotedMessage(
        "C" * 11, "1" * 17, "1" * 17, modals.shortened_quote(quote), "https://hooks.slack.com/" + "x" * 150
    )
    check_view(modals.question_modal(about, None), "modal")


def test_the_longest_quote_leaves_room_for_its_escapes() -> None:
    for mark in ('"', "\n", "\\", "\u0001", "x"):
        about = QuotedMessage("C" * 11, "1" * 17, "1" * 17, mark * 5_000, "https://hooks.slack.com/" + "x" * 150)
        assert len(modals.question_modal(about, None)["private_metadata"]) <= 3_000
