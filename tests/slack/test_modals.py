"""Modals: the views that Slack accepts, and the values that people submit."""

import json
import re
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.asks import (
    MAX_ARGUMENT_CHARS,
    ApprovalCard,
    ApprovalPlace,
    ArgumentField,
    approval_card,
    can_be_shown,
    readable_json,
)
from bot.core.calls import REMEMBER, SIGN_IN, CallState, Decision, RecordedCall
from bot.core.caps import Amount, CapField, CapOwner, EnteredLimits, OwnerCaps, Period, Scope, caps_by_field, parse_caps
from bot.core.channel_settings import (
    CHANNEL_SETTINGS,
    ChannelSettings,
    DefaultSettings,
    Length,
    SettingsPlace,
    setting_problems,
)
from bot.core.memory import Memory
from bot.core.triage import Engagement
from bot.core.unposted import QuotedMessage
from bot.mcp.config import MAX_SERVER_NAME_CHARS, MAX_SERVERS
from bot.models.prompt import Effort
from bot.settings import MAX_MODELS, parse_model_names, parse_models
from bot.slack.blockkit import Json
from bot.slack.plain import text_of
from bot.slack.views.accounts import ACCOUNTS, MAX_LISTED, SubmittedAccounts
from bot.slack.views.arguments import EDIT_ARGUMENTS, approval_in, arguments_modal, asks_in_reply
from bot.slack.views.caps import CAPS, SubmittedCaps, entered_caps
from bot.slack.views.memory import MEMORY
from bot.slack.views.modal import place_of_call
from bot.slack.views.question import ASK_MODAL, SubmittedQuestion
from bot.slack.views.settings import (
    ALLOWED_TOOLS,
    DEFAULT,
    MAX_REVOCABLE,
    SETTINGS,
)
from bot.slack.views.sign_in import SIGN_IN_MODAL, SubmittedSignIn
from slack_sandbox.blocks.rules import check_blocks
from slack_sandbox.blocks.view_rules import check_view
from tests.changed_settings import CHANGED

DEFAULTS = DefaultSettings(
    ("openai/one", "anthropic/two"), "Be helpful. " * 50, web_search=True, read_channel=True, gate=True, has_alerts=True
)
CHANNEL, DIRECT = SettingsPlace("C1", "https://hooks.example/1"), SettingsPlace("D1", "https://hooks.example/1")
UNSET = ChannelSettings()
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
        *CHANGED.values(),
        *(ChannelSettings(effort=effort) for effort in Effort),
        *(ChannelSettings(length=length) for length in Length),
    ],
)
def test_untouched_settings_stay_unchanged(settings: ChannelSettings) -> None:
    view = settings_view(settings, replace(DEFAULTS, mcp_servers=("time",)))
    initial_view = SETTINGS.read(submitted(view))
    assert (initial_view.place, initial_view.entered) == (CHANNEL, settings)
    assert SETTINGS.read(submitted(view, system_prompt="Other.", model=DEFAULT)).initial_settings == settings


def settings_view(
    settings: ChannelSettings = UNSET, defaults: DefaultSettings = DEFAULTS, place: SettingsPlace = CHANNEL, **more: Any
) -> Json:
    view = SETTINGS.build(place, settings, defaults, "model", **more)
    check_view(view, "modal")
    return view


def field_of(view: Json, name: str) -> Json | None:
    """Returns the element of a field; None if the modal has no such field."""
    return next((block["element"] for block in view["blocks"] if block.get("block_id") == name), None)


def options(settings: ChannelSettings, field: str, defaults: DefaultSettings = DEFAULTS) -> list[str]:
    element = field_of(settings_view(settings, defaults), field)
    assert element
    return [option["text"]["text"] for option in element["options"]]


def test_default_is_offered_once_unless_the_channel_chose_it() -> None:
    follow_ups = "The person I'm talking with doesn't need to mention me"
    others = ["Every question needs a mention", "Nobody needs to mention me in a thread where I was mentioned"]
    assert options(ChannelSettings(), "model") == ["Default: one", "two"]
    assert options(ChannelSettings(), "engagement") == [f"Default: {follow_ups}", *others]
    chosen = ChannelSettings("openai/one", engagement=Engagement.FOLLOW_UPS)
    assert options(chosen, "model") == ["Default: one", "one", "two"]
    assert options(chosen, "engagement").count(follow_ups) == 1


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
    changes: dict[str, str | None], entered: EnteredLimits
) -> None:
    owner = CapOwner(Scope.CHANNEL, "C1")
    own = caps_by_field(parse_caps("channel/month=2.5usd,channel/day=70tokens"), Scope.CHANNEL)
    caps = OwnerCaps(owner, own, caps_by_field(parse_caps("channel/month=50tokens"), Scope.CHANNEL), SPENT)
    assert CAPS.read(submitted(CAPS.build(caps), **changes)) == SubmittedCaps(owner, entered)
    assert entered_caps(submitted(settings_view(caps=caps), **changes)) == entered


@pytest.mark.parametrize("is_private", [True, False])
def test_memory_is_marked_as_hidden_if_its_channel_has_other_readers_now(is_private: bool) -> None:
    memories = [
        Memory(number, number, "We deploy on Tuesdays.", "U1", "1.0", "1.0", "", False, was_private, 1_800_000_000.5)
        for number, was_private in enumerate((True, False))
    ]
    blocks = MEMORY.build(CHANNEL, memories, "", is_private=is_private)["blocks"]
    _, *said = [block for block in blocks if block["type"] == "context"]
    assert [texts.memory.HIDDEN in str(one) for one in said] == [not is_private, is_private]


def test_quotas_in_dollars_alone_take_decimals() -> None:
    view = CAPS.build(OwnerCaps(CapOwner(Scope.CHANNEL, "C1"), {}, {}, SPENT))
    takes = {
        block["block_id"]: block["element"]["is_decimal_allowed"] for block in view["blocks"] if "element" in block
    }
    assert takes == {
        "tokens_a_day": False,
        "tokens_a_month": False,
        "dollars_a_day": True,
        "dollars_a_month": True,
    }


@pytest.mark.parametrize("models", [("openai/one",), ("openai/one", "anthropic/two")])
def test_other_models_are_promised_only_where_there_are_some(models: tuple[str, ...]) -> None:
    assert (texts.settings.MODEL.hint in str(settings_view(UNSET, replace(DEFAULTS, models=models)))) is (
        len(models) > 1
    )


@pytest.mark.parametrize(
    ("models", "shown"),
    [
        ("openai/llama3.2,openai/qwen/qwen4-8b", ["Default: llama3.2", "qwen/qwen4-8b"]),
        ("openai/llama3.2 as Our <Llama> & *co*,openai/m", ["Default: Our <Llama> & *co*", "m"]),
        ("anthropic/m,vertex/m", ["Default: anthropic/m", "vertex/m"]),
    ],
    ids=["own names", "a name of the admin's choice", "one name at two vendors"],
)
def test_models_are_shown_without_the_api_that_they_speak(models: str, shown: list[str]) -> None:
    listed = parse_models(models)
    defaults = replace(DEFAULTS, models=listed, names=texts.models.ModelNames(parse_model_names(models)))
    assert options(UNSET, "model", defaults) == shown
    menu = field_of(settings_view(UNSET, defaults), "model")
    assert menu
    assert [option["value"] for option in menu["options"]] == [DEFAULT, *listed[1:]]


def test_emptied_field_returns_to_its_default() -> None:
    view = settings_view(ChannelSettings("openai/one", "Be brief.", Engagement.MENTIONS))
    submission = submitted(view, model=DEFAULT, system_prompt=None, engagement=DEFAULT)
    assert SETTINGS.read(submission).entered == ChannelSettings()


@pytest.mark.parametrize(
    ("typed", "emoji", "is_one"),
    [
        ("eyes", "eyes", True),
        (" :Eyes: ", "eyes", True),
        (":raised_hand::skin-tone-3:", "hand", True),
        ("honeybee", "bee", True),
        (":poop:", "hankey", True),
        ("質問", "質問", True),
        (None, "", True),
        ("👀", "eyes", True),
        ("👀 👀", "👀 👀", False),
        ("eyes and ears", "eyes and ears", False),
        (":eyes: :ear:", "eyes: :ear", False),
        ("x" * 101, "x" * 101, False),
    ],
)
def test_question_emoji_is_one_emojis_name(typed: str | None, emoji: str, is_one: bool) -> None:
    view = settings_view(ChannelSettings(reaction="tada"))
    settings = SETTINGS.read(submitted(view, reaction=typed)).entered
    assert settings.reaction == emoji
    assert setting_problems(settings, DEFAULTS) == ({} if is_one else {"reaction": texts.settings.REACTION_UNKNOWN})


def test_model_that_is_no_longer_in_use_becomes_the_default() -> None:
    assert SETTINGS.read(submitted(settings_view(ChannelSettings("openai/gone")))).entered == UNSET


@pytest.mark.parametrize(
    ("field", "place", "defaults", "is_there"),
    [
        ("web_search", CHANNEL, replace(DEFAULTS, web_search=True), True),
        ("web_search", CHANNEL, replace(DEFAULTS, web_search=False), False),
        ("read_channel", CHANNEL, replace(DEFAULTS, read_channel=True), True),
        ("read_channel", CHANNEL, replace(DEFAULTS, read_channel=False), False),
        ("read_channel", DIRECT, replace(DEFAULTS, read_channel=True), False),
        ("gate", CHANNEL, replace(DEFAULTS, gate=True), True),
        ("gate", CHANNEL, replace(DEFAULTS, gate=False), False),
        ("reaction", CHANNEL, DEFAULTS, True),
        ("reaction", DIRECT, DEFAULTS, False),
        ("mcp_servers", DIRECT, replace(DEFAULTS, mcp_servers=("time",)), False),
    ],
)
def test_modal_has_a_field_only_where_it_can_be_used(
    field: str, place: SettingsPlace, defaults: DefaultSettings, is_there: bool
) -> None:
    assert bool(field_of(settings_view(UNSET, defaults, place), field)) is is_there


def test_modal_of_a_direct_message_has_no_rules_for_answering() -> None:
    view = settings_view(UNSET, replace(DEFAULTS, mcp_servers=("time",)), DIRECT)
    for_channels = {
        "engagement",
        "new_posts",
        "only_if",
        "alert_apps",
        "gate",
        "reaction",
        "read_channel",
        "mcp_servers",
    }
    assert [block.get("block_id") for block in view["blocks"]] == [
        None,
        *(name for name in CHANNEL_SETTINGS if name not in for_channels),
        None,
    ]


@pytest.mark.parametrize("servers", [(), ("time",), ("time", "github")])
def test_modal_for_who_may_choose_servers_has_a_box_for_each(servers: tuple[str, ...]) -> None:
    defaults = replace(DEFAULTS, mcp_servers=("time", "github", "files"))
    view = settings_view(ChannelSettings(mcp_servers=servers), defaults)
    boxes = field_of(view, "mcp_servers")
    assert boxes
    assert [option["value"] for option in boxes["options"]] == ["time", "github", "files"]
    assert SETTINGS.read(submitted(view)).entered.mcp_servers == servers


def test_warnings_about_tools_stand_below_the_servers() -> None:
    """The names of servers and tools are a file's and a server's."""
    defaults = replace(DEFAULTS, mcp_servers=("time",))
    left_out = [f"time__{'x' * 58}"] * 500
    warnings = [
        texts.settings.tools_left_out({"time": 600}, 100, left_out),
        texts.settings.server_down("files", "it is gone"),
    ]
    blocks = settings_view(defaults=defaults, tool_warnings=warnings)["blocks"]
    at = [block.get("block_id") for block in blocks].index("mcp_servers")
    assert [block["elements"][0]["text"] for block in blocks[at + 1 : at + 3]] == warnings
    assert warnings[0].startswith(":warning: Models don't get all the tools of time (600). I offer up to 100 ")
    assert "480 more. " in warnings[0]


@pytest.mark.parametrize("tools", [["notes__add"], [f"notes__{number:058}" for number in range(120)]])
def test_removed_tools_are_revoked_and_no_others(tools: list[str]) -> None:
    view = settings_view(allowed_tools=tools)
    submission = {**submitted(view), "blocks": view["blocks"]}
    assert SETTINGS.read(submission).revoked_tools == ()
    submission["state"]["values"][ALLOWED_TOOLS] = {"x": {"selected_options": []}}
    assert SETTINGS.read(submission).revoked_tools == tuple(tools[:MAX_REVOCABLE])
    assert SETTINGS.read(submitted(view)).revoked_tools == (), "the modal didn't list any"


@pytest.mark.parametrize(
    ("typed", "question"), [(" why? ", "why?"), (None, texts.shortcut.EXPLAIN), ("  ", texts.shortcut.EXPLAIN)]
)
def test_submitted_question_names_its_message(typed: str | None, question: str) -> None:
    view = ASK_MODAL.build(ABOUT, "U1")
    check_view(view, "modal")
    submission = {**submitted(view, question=typed), "id": "V1"}
    assert ASK_MODAL.read(submission) == SubmittedQuestion("V1", ABOUT, question)


@pytest.mark.parametrize("quote", ["", "x" * 1_500, "\n" * 700, "ключ" * 375, "\\" * 750, "👩🏽‍🚀" * 300])
def test_modal_about_any_message_is_accepted(quote: str) -> None:
    about = QuotedMessage("C" * 11, "1" * 17, "1" * 17, quote, "https://hooks.slack.com/" + "x" * 150)
    check_view(ASK_MODAL.build(about, None), "modal")


def test_settings_modal_with_the_most_servers_and_models_is_accepted() -> None:
    servers = tuple(f"{number}".rjust(MAX_SERVER_NAME_CHARS, "s") for number in range(MAX_SERVERS))
    models = tuple(f"openai/{number}" for number in range(MAX_MODELS))
    defaults = replace(DEFAULTS, models=models, mcp_servers=servers)
    assert settings_view(UNSET, defaults)


@pytest.mark.parametrize("mark", ['"', "\n", "\\", "\u0001", "x", "語", "👩🏽‍🚀"])
def test_modal_keeps_the_beginning_of_a_long_message_in_3000_bytes(mark: str) -> None:
    about = QuotedMessage("C" * 11, "1" * 17, "1" * 17, mark * 5_000, "https://hooks.slack.com/" + "x" * 150)
    metadata = ASK_MODAL.build(about, None)["private_metadata"]
    assert 1_500 < len(metadata.encode()) <= 3_000


@pytest.mark.parametrize("character", ["x", "&", "\U0001f600", "\u200b", "\n"])
def test_longest_arguments_that_are_asked_about_fit_into_a_modal_and_are_shown_whole(
    character: str,
) -> None:
    def arguments_of(count: int) -> dict[str, str]:
        return {"text": f"x{character * count}x", "more": "y"}

    counts = range(MAX_ARGUMENT_CHARS + 1)
    too_long = bisect(counts, False, key=lambda count: not can_be_shown(readable_json(arguments_of(count))))
    longest = arguments_of(too_long - 1)
    call = RecordedCall(0, 0, "", "notes__add", longest, "hash", CallState.ASKED)
    ask = approval_card(call, (), 0, 0.0)
    view = arguments_modal(ask, None)
    check_view(view, "modal")
    code = "".join(
        part["elements"][0]["text"]
        for block in view["blocks"]
        for part in block["elements"]
        if part["type"] == "rich_text_preformatted"
    )
    assert code == ask.fields[0].value


def test_modal_shows_many_arguments_in_their_order() -> None:
    arguments = {f"name_{number}": "x" * (number % 200) for number in range(80)}
    call = RecordedCall(0, 0, "", "notes__add", arguments, "hash", CallState.ASKED)
    view = arguments_modal(approval_card(call, (), 0, None), None)
    check_view(view, "modal")
    shown = re.findall(r"name_\d+:", json.dumps(view))
    assert shown == [f"{name}:" for name in arguments]


HEAD = ["bold:Add this note?"]
TEXT = ["bold:text:", " ", "code:x"]
ACTS = f"italic:{texts.approvals.acts_as(['notes'])}"
TERMS = [
    ACTS,
    "italic:You can press a button or write what to do instead until ",
    "italic:November 24 at 16:00 UTC",
    "italic:.",
]
APPROVE, DENY, DETAILS = "approve: Approve (primary)", "deny: Deny", "arguments: Details"
ASK = ApprovalCard(
    "notes.add", '{"text": "x"}', "5 0", (ArgumentField("text", "x"),), "Add a note", "Adds it.", 1_764_000_000.0
)
LONG = (ArgumentField("text", "x"), ArgumentField('"to"', "a\nb"), ArgumentField("more", "y" * 2_000))
CUT = LONG[2].value[: ASK.max_shown_chars - LONG[0].chars - LONG[1].chars - len("more")]


def written(element: Json) -> list[str]:
    """Returns the words in a rich_text, each with its style."""
    style = "".join(f"{name}:" for name in element.get("style", ()) if element["type"] in ("text", "date"))
    words = element.get("text") or element.get("fallback")
    return [f"{style}{words}"] if words else [word for inner in element["elements"] for word in written(inner)]


@pytest.mark.parametrize(
    ("ask", "lines", "buttons"),
    [
        (ASK, [HEAD, TEXT, TERMS], [APPROVE, DENY, DETAILS]),
        (
            replace(ASK, description="", expires_at=None, is_repeat=True, can_allow_always=True),
            [HEAD, TEXT, [f"bold:{texts.approvals.REPEATED_CALL}"], [ACTS]],
            [APPROVE, DENY, "allow_always: Always allow here, then Always allow “Add a note” here?", DETAILS],
        ),
        (replace(ASK, decision=Decision.APPROVED), [HEAD, TEXT, ["italic:Approved."]], []),
        (replace(ASK, fields=()), [HEAD, TERMS], [APPROVE, DENY, DETAILS]),
        (
            replace(ASK, fields=LONG),
            [
                *(HEAD, TEXT, ['code:"to":'], ["a\nb"], ["bold:more:"], [f"{CUT}…"]),
                *(
                    [f"italic:{texts.approvals.arguments_cut(ASK.max_shown_chars, sum(one.chars for one in LONG))}"],
                    TERMS,
                ),
            ],
            ["arguments: Show all (primary)", DENY],
        ),
    ],
    ids=["one that waits", "one that may be allowed always", "one that is decided", "without arguments", "too long"],
)
def test_reply_shows_what_a_call_would_do_and_how_to_decide(
    ask: ApprovalCard, lines: list[list[str]], buttons: list[str]
) -> None:
    shown, *row = asks_in_reply([ask], "ask-")
    check_blocks([shown, *row])
    assert [written(part) for part in shown["elements"]] == lines
    assert shown["block_id"] == "ask-0"
    pressed = []
    for button in row[0]["elements"] if row else ():
        assert button["value"] == ask.value
        confirmed = f", then {button['confirm']['title']['text']}" if "confirm" in button else ""
        style = f" ({button['style']})" if "style" in button else ""
        pressed.append(f"{button['action_id']}: {button['text']['text']}{style}{confirmed}")
    assert pressed == buttons


def rows_of(blocks: Sequence[Json]) -> list[list[str]]:
    """Returns the labels of the buttons in each row."""
    rows = [block["elements"] for block in blocks if block["type"] == "actions"]
    return [[button["text"]["text"] for button in row] for row in rows]


BREAD = replace(ASK, value="5 1", title="Buy bread")
CARD = ApprovalCard(REMEMBER, json.dumps({"text": "Tea at four.", "for": "channel"}), "5 2")


@pytest.mark.parametrize(
    ("asks", "rows"),
    [
        ([ASK, BREAD], [["Details"], ["Details"], ["Approve both", "Deny both"]]),
        ([ASK, CARD, BREAD], [["Details"], ["Remember", "Don't remember"], ["Details"], ["Approve both", "Deny both"]]),
        ([ASK, BREAD, BREAD], [*[["Details"]] * 3, ["Approve all 3", "Deny all 3"]]),
        ([ASK, replace(BREAD, fields=LONG)], [["Details"], ["Show all"], ["Deny both"]]),
        ([replace(ASK, decision=Decision.APPROVED), BREAD], [["Approve", "Deny", "Details"]]),
        (
            [replace(one, can_allow_always=True) for one in (ASK, BREAD)],
            [["Details"], ["Details"], ["Approve both", "Deny both", "Always allow here"]],
        ),
        (
            [replace(ASK, can_allow_always=True), replace(BREAD, uses_own_account=True)],
            [["Details"], ["Details"], ["Approve both", "Deny both"]],
        ),
        (
            [replace(ASK, can_allow_in_thread=True), BREAD],
            [["Details"], ["Details"], ["Approve both", "Deny both"]],
        ),
        (
            [replace(one, can_allow_in_thread=True) for one in (ASK, BREAD)],
            [["Details"], ["Details"], ["Approve both", "Deny both", "Allow in this thread"]],
        ),
    ],
)
def test_calls_of_a_step_are_one_card(asks: Sequence[ApprovalCard], rows: list[list[str]]) -> None:
    blocks = asks_in_reply(asks, "ask-")
    check_blocks(blocks)
    assert rows_of(blocks) == rows
    buttons = blocks[-1]["elements"]
    waiting = [ask for ask in asks if ask.decision is None and not ask.is_proposal]
    assert {button["value"] for button in buttons if button["action_id"] != "arguments"} == {
        " ".join(ask.value for ask in waiting)
    }


@pytest.mark.parametrize("ask", [ASK, CARD], ids=["call", "proposal"])
def test_card_says_who_is_asked_to_those_who_read_along(ask: ApprovalCard) -> None:
    ask = replace(ask, expires_at=1_764_000_000.0, decider_name="<!here> & Ada.example")
    blocks = asks_in_reply([ask], "ask-")
    text = text_of(blocks)
    assert "can press a button or write what to do instead until" in text
    assert "You can" not in text
    assert "&lt;!here" in text
    assert "Ada.example" not in text
    assert "You can press a button or write what to do instead until" in text_of(
        asks_in_reply([replace(ask, decider_name="")], "ask-")
    )


def test_card_has_no_json_for_what_lists_and_objects_hold() -> None:
    arguments = {"labels": ["bug", "urgent"], "who": {"team": "x" * 150, "id": 7}, "text": "Milk"}
    ask = approval_card(RecordedCall(0, 0, "", "notes__add", arguments, "hash", CallState.ASKED), (), 0, None)
    blocks = asks_in_reply([ask], "ask-")
    check_blocks(blocks)
    lists = [part for part in blocks[0]["elements"] if part["type"] == "rich_text_list"]
    assert [part["indent"] for part in lists] == [0, 1, 0, 1, 1, 0]
    text = text_of(blocks)
    assert "labels:\n- bug\n- urgent\n- who:\n- team:\n```\nxxx" in text
    assert not set('{["').intersection(text)
    view = EDIT_ARGUMENTS.build(ask, ApprovalPlace("C1", None, "1.0", "5 0"))
    check_view(view, "modal")
    assert [block["label"]["text"] for block in view["blocks"] if block["type"] == "input"] == ["text"]


def test_modal_offers_an_admin_to_always_allow_a_call() -> None:
    place = ApprovalPlace("C1", None, "1.0", "5 0")
    assert "allow_always" not in str(arguments_modal(ASK, place))
    view = arguments_modal(replace(ASK, can_allow_always=True), place)
    check_view(view, "modal")
    assert approval_in(submitted(view)) == (place, ReplyAction.APPROVE)
    ticked = submitted(view)
    option = {"selected_options": [{"value": "allow_always"}]}
    ticked["state"]["values"]["allow_always"] = {"allow_always": option}
    assert approval_in(ticked) == (place, ReplyAction.ALLOW_ALWAYS)


def test_text_that_the_tool_requires_stays_required() -> None:
    fields = tuple(ArgumentField(name, "x", "x") for name in ("text", "tag"))
    ask = replace(ASK, fields=fields, required_arguments=frozenset({"text"}))
    view = EDIT_ARGUMENTS.build(ask, ApprovalPlace("C1", None, "1.0", "5 0"))
    check_view(view, "modal")
    optional = {block["label"]["text"]: block["optional"] for block in view["blocks"] if block["type"] == "input"}
    assert optional == {"text": False, "tag": True}


@pytest.mark.parametrize(
    ("text", "options"),
    [("low", ["low", "high"]), ("urgent", ["urgent", "low", "high"]), ("", None), ("x" * 76, None)],
)
def test_text_whose_values_the_tool_lists_is_edited_in_a_menu(text: str, options: list[str] | None) -> None:
    ask = replace(ASK, fields=(ArgumentField("priority", text, text),), options={"priority": ("low", "high")})
    view = EDIT_ARGUMENTS.build(ask, ApprovalPlace("C1", None, "1.0", "5 0"))
    check_view(view, "modal")
    [element] = [block["element"] for block in view["blocks"] if block["type"] == "input"]
    shown = [option["value"] for option in element["options"]] if "options" in element else None
    assert shown == options
    assert EDIT_ARGUMENTS.read(submitted(view)).edited_strings == {}
    if options:
        assert element["initial_option"]["value"] == text
        chosen = submitted(view)
        [field] = chosen["state"]["values"].values()
        [state] = field.values()
        state["selected_option"] = element["options"][-1]
        assert EDIT_ARGUMENTS.read(chosen).edited_strings == {0: "high"}


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (REMEMBER, {"text": "We ship\u200d on\ufe0f Friday.", "for": "channel"}),
        (SIGN_IN, {"server": "jira", "scope": "a\u200db\ufe0f"}),
    ],
)
def test_card_shows_what_a_person_cannot_see(tool: str, arguments: dict[str, str]) -> None:
    call = RecordedCall(0, 0, "call_1", tool, arguments, "a hash", CallState.ASKED)
    shown, *_ = asks_in_reply([approval_card(call, [call], 0, None)], "ask-")
    text = str([written(part) for part in shown["elements"]])
    assert r"\\u200d" in text
    assert r"\\ufe0f" in text


@pytest.mark.parametrize("focus", [*CHANNEL_SETTINGS, ALLOWED_TOOLS])
def test_each_field_of_the_settings_has_its_name_and_the_cursor_if_it_was_asked_for(focus: str) -> None:
    defaults = replace(DEFAULTS, has_reactions=True, mcp_servers=("time",))
    view = SETTINGS.build(CHANNEL, UNSET, defaults, focus, ["notes__add"])
    elements = {block["block_id"]: block["element"] for block in view["blocks"] if block["type"] == "input"}
    assert {name: element["action_id"] for name, element in elements.items()} == {
        name: name for name in (*CHANNEL_SETTINGS, ALLOWED_TOOLS)
    }
    with_cursor = [name for name, element in elements.items() if element.get("focus_on_load")]
    assert with_cursor == ([] if focus == ALLOWED_TOOLS else [focus])


METADATA: Mapping[str, tuple[Callable[[Json], object], Mapping[str, object], Mapping[str, object]]] = {
    "a person's ID": (SETTINGS.read, asdict(CHANNEL), {"channel_id": "U0ADA"}),
    "a path": (SETTINGS.read, asdict(CHANNEL), {"channel_id": "C1/../C2"}),
    "no channel": (SETTINGS.read, asdict(CHANNEL), {"channel_id": ""}),
    "a number": (SETTINGS.read, asdict(CHANNEL), {"channel_id": 7}),
    "another scheme": (SETTINGS.read, asdict(CHANNEL), {"response_url": "file:///etc/passwd"}),
    "no time": (ASK_MODAL.read, asdict(ABOUT), {"thread_ts": "now"}),
    "an empty time": (ASK_MODAL.read, asdict(ABOUT), {"ts": ""}),
    "a time on a line": (ASK_MODAL.read, asdict(ABOUT), {"ts": "2.0\n"}),
    "a channel by a sign-in": (SIGN_IN_MODAL.read, asdict(ApprovalPlace("C1", None, "1.0", "v")), {"channel_id": "U1"}),
    "a choice": (ASK_MODAL.read, asdict(ABOUT), {"offered_by": 1}),
    "no message": (place_of_call, asdict(ApprovalPlace("C1", None, "1.0", "v")), {"message_ts": None}),
    "an owner's path": (CAPS.read, {"scope": "channel", "id": "C1"}, {"id": "../C1"}),
}


@pytest.mark.parametrize(("read", "good", "forged"), METADATA.values(), ids=METADATA)
def test_metadata_of_another_form_is_refused(
    read: Callable[[Json], object], good: Mapping[str, object], forged: Mapping[str, object]
) -> None:
    view = {"state": {"values": {}}, "blocks": [], "id": "V1"}
    read({**view, "private_metadata": json.dumps(good)})
    with pytest.raises((TypeError, ValueError)):
        read({**view, "private_metadata": json.dumps({**good, **forged})})


def kept(view: Json, **fields: Sequence[str]) -> SubmittedAccounts:
    """Returns what a person submits who leaves only these boxes checked in some fields."""
    view = submitted(view)
    for name, servers in fields.items():
        view["state"]["values"][name][name]["selected_options"] = [{"value": server} for server in servers]
    return ACCOUNTS.read(view)


def test_person_signs_out_of_what_they_uncheck() -> None:
    view = ACCOUNTS.build({"jira": (0.0, "read"), "notes": (86_400.0, "")}, {"notes": 7, "files": 1})
    assert kept(view) == SubmittedAccounts([], [])
    assert kept(view, kept=["notes"]) == SubmittedAccounts(["jira"], [])
    assert kept(view, everybody=["files"]) == SubmittedAccounts([], ["notes"])
    assert kept(view, kept=[], everybody=[]) == SubmittedAccounts(["jira", "notes"], ["notes", "files"])
    assert kept(ACCOUNTS.build({"jira": (0.0, "")}, {}), kept=[]) == SubmittedAccounts(["jira"], ())
    assert kept(ACCOUNTS.build({}, {"jira": 1}), everybody=[]) == SubmittedAccounts((), ["jira"])


def test_modal_of_accounts_lists_as_many_as_slack_takes() -> None:
    servers = [f"s{number}" for number in range(MAX_LISTED + 1)]
    view = ACCOUNTS.build(dict.fromkeys(servers, (0.0, "")), dict.fromkeys(servers, 2))
    check_view(view, "modal")
    assert kept(view, kept=[], everybody=[]) == SubmittedAccounts(servers[:MAX_LISTED], servers[:MAX_LISTED])


@pytest.mark.parametrize(
    ("url", "entered", "address"),
    [("https://a.example", " http://127.0.0.1/?code=1", " http://127.0.0.1/?code=1"), ("https://a.example", "", None)],
)
def test_address_that_a_person_pastes_is_read_with_its_call(url: str, entered: str, address: str | None) -> None:
    place = ApprovalPlace("C1", "1.0", "2.0", "5 0")
    view = SIGN_IN_MODAL.build("jira", url, place, with_code=False)
    read = SIGN_IN_MODAL.read(submitted(view, address=entered))
    assert read == SubmittedSignIn(place, address)
    assert SIGN_IN_MODAL.first_field(read) in {block["block_id"] for block in view["blocks"] if "block_id" in block}
    confirmed = SIGN_IN_MODAL.build("jira", "", place, with_code=False, user_code="A-B", device_url=url)
    assert SIGN_IN_MODAL.read(submitted(confirmed)) == SubmittedSignIn(place, None)
