"""Modals: the views that Slack accepts, and the values that people submit."""

import json
import re
from bisect import bisect
from dataclasses import replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.conversation import Effort
from bot.core.inbound.channel_settings import (
    ChannelSettings,
    DefaultSettings,
    Length,
    SettingsField,
    SettingsPlace,
    problems,
)
from bot.core.inbound.engagement import Engagement
from bot.core.limits.cap_fields import CapField, Entered, OwnerCaps, by_field
from bot.core.limits.caps import Amount, CapOwner, Period, Scope, parse_caps
from bot.core.message_question import QuotedMessage
from bot.core.reply.approvals import MAX_ARGUMENT_CHARS, ask_of, can_be_read, readable
from bot.core.tool_calls import CallState, RecordedCall
from bot.mcp.config import MAX_SERVER_NAME_CHARS, MAX_SERVERS
from bot.settings import MAX_MODELS
from bot.slack.format import cap_modals, modals
from bot.slack.format.blockkit import Json
from sandbox.blocks.view_rules import check_view

DEFAULTS = DefaultSettings(("openai/one", "anthropic/two"), "Be helpful. " * 50, web_search=True, gate=True)
CHANNEL, DIRECT = SettingsPlace("C1", "https://hooks.example/1"), SettingsPlace("D1", "https://hooks.example/1")
SPENT = dict.fromkeys(Period, Amount())
ABOUT = QuotedMessage("C1", "2.0", "1.0", "A quote", "https://hooks.example/1")


def submitted(view: Json, **changes: str | None) -> Json:
    """Returns a submitted view in Slack's form: each field has its value in `changes`, or its initial value."""
    values: dict[str, Any] = {}
    for block in view["blocks"]:
        if block["type"] == "input":
            element, name = block["element"], block["block_id"]
            initial = element.get("initial_value") or (element.get("initial_option") or {}).get("value")
            value = changes.get(name, initial)
            state: dict[str, Any] = {"selected_option": {"value": value}}
            if element["type"] in ("plain_text_input", "number_input"):
                state = {"value": value}
            elif element["type"] in ("checkboxes", "multi_static_select"):
                state = {"selected_options": element.get("initial_options", [])}
            values[name] = {name: {"type": element["type"], **state}}
    return {"private_metadata": view["private_metadata"], "state": {"values": values}, "blocks": view["blocks"]}


@pytest.mark.parametrize(
    "settings",
    [
        ChannelSettings(),
        ChannelSettings("anthropic/two", "Be <brief> & “kind”.", Engagement.MENTIONS),
        ChannelSettings(system_prompt="x" * 2_000, engagement=Engagement.EVERYONE, new_posts=True),
        ChannelSettings(gate=True),
        ChannelSettings(reaction="eyes"),
        ChannelSettings(web_search=False),
        *(ChannelSettings(effort=effort) for effort in Effort),
        *(ChannelSettings(length=length) for length in Length),
    ],
)
def test_untouched_settings_stay_unchanged(settings: ChannelSettings) -> None:
    view = modals.settings_modal(CHANNEL, settings, DEFAULTS, SettingsField.MODEL)
    check_view(view, "modal")
    assert modals.submitted_settings(submitted(view)) == (CHANNEL, settings)
    assert modals.shown_settings(submitted(view, system_prompt="Other.", model=modals.DEFAULT)) == settings


def options(settings: ChannelSettings, field: SettingsField) -> list[str]:
    """Returns the labels of a field's options, as the modal shows them."""
    view = modals.settings_modal(CHANNEL, settings, DEFAULTS, SettingsField.MODEL)
    [element] = [block["element"] for block in view["blocks"] if block.get("block_id") == field]
    return [option["text"]["text"] for option in element["options"]]


def test_default_is_offered_once_unless_the_channel_chose_it() -> None:
    follow_ups = "Whoever I'm talking with needs no mention"
    others = ["Every question needs a mention", "Nobody needs a mention in a thread where I was mentioned"]
    assert options(ChannelSettings(), SettingsField.MODEL) == ["Default: openai/one", "anthropic/two"]
    assert options(ChannelSettings(), SettingsField.ENGAGEMENT) == [f"Default: {follow_ups}", *others]
    chosen = ChannelSettings("openai/one", engagement=Engagement.FOLLOW_UPS)
    assert options(chosen, SettingsField.MODEL) == ["Default: openai/one", "openai/one", "anthropic/two"]
    assert options(chosen, SettingsField.ENGAGEMENT).count(follow_ups) == 1


@pytest.mark.parametrize(
    ("changes", "entered"),
    [
        ({}, ()),
        ({"dollars_a_month": "2.5", "tokens_a_day": "70"}, ()),
        ({"tokens_a_day": "71"}, ((CapField.TOKENS_A_DAY, "71"),)),
        ({"dollars_a_month": None}, ((CapField.DOLLARS_A_MONTH, ""),)),
        ({"tokens_a_month": " 9 "}, ((CapField.TOKENS_A_MONTH, "9"),)),
    ],
)
def test_only_quotas_that_were_changed_in_a_modal_are_submitted(
    changes: dict[str, str | None], entered: Entered
) -> None:
    owner = CapOwner(Scope.CHANNEL, "C1")
    own = by_field(parse_caps("channel/month=2.5usd,channel/day=70tokens"), Scope.CHANNEL)
    caps = OwnerCaps(owner, own, by_field(parse_caps("channel/month=50tokens"), Scope.CHANNEL), SPENT)
    assert cap_modals.submitted_caps(submitted(cap_modals.caps_modal(caps), **changes)) == (owner, entered)
    view = modals.settings_modal(CHANNEL, ChannelSettings(), DEFAULTS, SettingsField.MODEL, caps=caps)
    assert cap_modals.entered_caps(submitted(view, **changes)) == entered


@pytest.mark.parametrize("models", [("openai/one",), ("openai/one", "anthropic/two")])
def test_other_models_are_promised_only_where_there_are_some(models: tuple[str, ...]) -> None:
    view = modals.settings_modal(CHANNEL, ChannelSettings(), replace(DEFAULTS, models=models), SettingsField.MODEL)
    assert (texts.MODEL_HINT in str(view)) is (len(models) > 1)


def test_emptied_field_returns_to_its_default() -> None:
    view = modals.settings_modal(
        CHANNEL, ChannelSettings("openai/one", "Be brief.", Engagement.MENTIONS), DEFAULTS, SettingsField.MODEL
    )
    submission = submitted(view, model=modals.DEFAULT, system_prompt=None, engagement=modals.DEFAULT)
    assert modals.submitted_settings(submission)[1] == ChannelSettings()


@pytest.mark.parametrize(
    ("typed", "emoji", "is_one"),
    [
        ("eyes", "eyes", True),
        (" :Eyes: ", "eyes", True),
        (":+1::skin-tone-3:", "+1", True),
        ("thumbsup", "+1", True),
        (":poop:", "hankey", True),
        ("質問", "質問", True),
        (None, "", True),
        ("👀", "👀", False),
        ("eyes and ears", "eyes and ears", False),
        (":eyes: :ear:", "eyes: :ear", False),
        ("x" * 101, "x" * 101, False),
    ],
)
def test_question_emoji_is_one_emojis_name(typed: str | None, emoji: str, is_one: bool) -> None:
    view = modals.settings_modal(CHANNEL, ChannelSettings(reaction="tada"), DEFAULTS, SettingsField.MODEL)
    _, settings = modals.submitted_settings(submitted(view, reaction=typed))
    assert settings.reaction == emoji
    assert problems(settings, ()) == ({} if is_one else {SettingsField.REACTION: texts.REACTION_UNKNOWN})


def test_modal_of_a_direct_message_has_no_question_emoji() -> None:
    view = modals.settings_modal(DIRECT, ChannelSettings(), DEFAULTS, SettingsField.MODEL)
    assert SettingsField.REACTION not in [block.get("block_id") for block in view["blocks"]]


def test_model_that_is_no_longer_in_use_becomes_the_default() -> None:
    view = modals.settings_modal(CHANNEL, ChannelSettings("openai/gone"), DEFAULTS, SettingsField.MODEL)
    assert modals.submitted_settings(submitted(view))[1] == ChannelSettings()


def test_modal_has_web_search_only_if_it_is_on_for_all() -> None:
    for web_search in (True, False):
        defaults = replace(DEFAULTS, web_search=web_search)
        view = modals.settings_modal(CHANNEL, ChannelSettings(), defaults, SettingsField.MODEL)
        assert (SettingsField.WEB_SEARCH in [block.get("block_id") for block in view["blocks"]]) is web_search


def test_modal_lets_a_model_decide_only_where_one_can() -> None:
    for gate in (True, False):
        view = modals.settings_modal(CHANNEL, ChannelSettings(), replace(DEFAULTS, gate=gate), SettingsField.MODEL)
        assert (SettingsField.GATE in [block.get("block_id") for block in view["blocks"]]) is gate


def test_modal_of_a_direct_message_has_no_rules_for_answering() -> None:
    defaults = replace(DEFAULTS, web_search=False)
    view = modals.settings_modal(DIRECT, ChannelSettings(), defaults, SettingsField.SYSTEM_PROMPT)
    assert [block.get("block_id") for block in view["blocks"]] == [
        None,
        SettingsField.MODEL,
        SettingsField.SYSTEM_PROMPT,
        SettingsField.LENGTH,
        SettingsField.EFFORT,
    ]


@pytest.mark.parametrize("servers", [(), ("time",), ("time", "github")])
def test_modal_for_who_may_choose_servers_has_a_box_for_each(servers: tuple[str, ...]) -> None:
    defaults = replace(DEFAULTS, mcp_servers=("time", "github", "files"))
    view = modals.settings_modal(CHANNEL, ChannelSettings(mcp_servers=servers), defaults, SettingsField.MODEL)
    check_view(view, "modal")
    [boxes] = [block["element"] for block in view["blocks"] if block.get("block_id") == SettingsField.MCP_SERVERS]
    assert [option["value"] for option in boxes["options"]] == ["time", "github", "files"]
    assert modals.submitted_settings(submitted(view))[1].mcp_servers == servers


def test_modal_of_a_direct_message_has_no_servers() -> None:
    defaults = replace(DEFAULTS, mcp_servers=("time",))
    view = modals.settings_modal(DIRECT, ChannelSettings(), defaults, SettingsField.MODEL)
    assert SettingsField.MCP_SERVERS not in [block.get("block_id") for block in view["blocks"]]


@pytest.mark.parametrize("tools", [["notes__add"], [f"notes__{number:058}" for number in range(120)]])
def test_removed_tools_are_revoked_and_no_others(tools: list[str]) -> None:
    view = modals.settings_modal(CHANNEL, ChannelSettings(), DEFAULTS, SettingsField.MODEL, tools)
    check_view(view, "modal")
    submission = {**submitted(view), "blocks": view["blocks"]}
    assert modals.revoked_tools(submission) == ()
    submission["state"]["values"][SettingsField.ALLOWED_TOOLS] = {"x": {"selected_options": []}}
    assert modals.revoked_tools(submission) == tuple(tools[: modals.MAX_REVOCABLE])
    assert modals.revoked_tools(submitted(view)) == (), "the modal didn't list any"


@pytest.mark.parametrize("focus", [SettingsField.MODEL, SettingsField.SYSTEM_PROMPT, SettingsField.ENGAGEMENT])
def test_cursor_is_in_the_field_of_the_subcommand(focus: SettingsField) -> None:
    view = modals.settings_modal(CHANNEL, ChannelSettings(), DEFAULTS, focus)
    inputs = [block for block in view["blocks"] if block["type"] == "input"]
    assert [block["block_id"] for block in inputs if block["element"]["focus_on_load"]] == [focus]


@pytest.mark.parametrize(("typed", "question"), [(" why? ", "why?"), (None, texts.EXPLAIN), ("  ", texts.EXPLAIN)])
def test_submitted_question_names_its_message(typed: str | None, question: str) -> None:
    view = modals.question_modal(ABOUT, "U1")
    check_view(view, "modal")
    assert modals.submitted_question(submitted(view, question=typed)) == (ABOUT, question)


@pytest.mark.parametrize("quote", ["", "x" * 1_500, "\n" * 700, "ключ" * 375, "\\" * 750, "👩🏽‍🚀" * 300])
def test_modal_about_any_message_is_accepted(quote: str) -> None:
    about = QuotedMessage("C" * 11, "1" * 17, "1" * 17, quote, "https://hooks.slack.com/" + "x" * 150)
    check_view(modals.question_modal(about, None), "modal")


def test_settings_modal_with_the_most_servers_and_models_is_accepted() -> None:
    servers = tuple(f"{number}".rjust(MAX_SERVER_NAME_CHARS, "s") for number in range(MAX_SERVERS))
    models = tuple(f"openai/{number}" for number in range(MAX_MODELS))
    defaults = replace(DEFAULTS, models=models, mcp_servers=servers)
    check_view(modals.settings_modal(CHANNEL, ChannelSettings(), defaults, SettingsField.MODEL), "modal")


@pytest.mark.parametrize("mark", ['"', "\n", "\\", "\u0001", "x", "語", "👩🏽‍🚀"])
def test_modal_keeps_the_beginning_of_a_long_message_in_3000_bytes(mark: str) -> None:
    about = QuotedMessage("C" * 11, "1" * 17, "1" * 17, mark * 5_000, "https://hooks.slack.com/" + "x" * 150)
    metadata = modals.question_modal(about, None)["private_metadata"]
    assert 1_500 < len(metadata.encode()) <= 3_000


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("character", ["x", "&", "\U0001f600", "\u200b", "\n"])
def test_longest_arguments_that_are_asked_about_fit_into_a_modal_and_are_shown_whole(
    character: str, *, as_json: bool
) -> None:
    def arguments_of(count: int) -> dict[str, str]:
        return {"text": f"x{character * count}x", "more": "y"}

    counts = range(MAX_ARGUMENT_CHARS + 1)
    too_long = bisect(counts, False, key=lambda count: not can_be_read(readable(arguments_of(count))))
    longest = arguments_of(too_long - 1)
    call = RecordedCall(0, 0, "", "notes__add", longest, "hash", CallState.ASKED)
    ask = ask_of(call, (), 0, (), 0.0)
    view = modals.arguments_modal(ask, None, as_json=as_json)
    check_view(view, "modal")
    code = "".join(
        part["elements"][0]["text"]
        for block in view["blocks"]
        for part in block["elements"]
        if part["type"] == "rich_text_preformatted"
    )
    assert code == (ask.arguments if as_json else ask.fields[0].value)


def test_modal_shows_many_arguments_in_their_order() -> None:
    arguments = {f"name_{number}": "x" * (number % 200) for number in range(80)}
    call = RecordedCall(0, 0, "", "notes__add", arguments, "hash", CallState.ASKED)
    view = modals.arguments_modal(ask_of(call, (), 0, (), None), None, as_json=False)
    check_view(view, "modal")
    shown = re.findall(r"name_\d+:", json.dumps(view))
    assert shown == [f"{name}:" for name in arguments]
