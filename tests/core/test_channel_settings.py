"""Validation of channel settings, and prompt versions."""

from dataclasses import fields, replace
from enum import EnumType

import pytest

from bot.core import texts
from bot.core.channel_settings import (
    CHANNEL_SETTINGS,
    ChannelSettings,
    DefaultSettings,
    Length,
    Setting,
    change_sentences,
    emoji_name,
    prompt_version,
    setting_problems,
    settings_line,
    with_changes,
)
from bot.core.surfaces import SETTINGS_FIELDS
from bot.core.triage import Engagement
from bot.models.prompt import Effort
from slack_sandbox import emoji_aliases
from tests.changed_settings import CHANGED

DEFAULTS = DefaultSettings(("openai/one", "anthropic/two"), "Be helpful.")
NO_MODEL = texts.settings.choose_a_model(["one", "two"])


@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        (ChannelSettings(), {}),
        (ChannelSettings("anthropic/two", "Be brief.", Engagement.EVERYONE), {}),
        (ChannelSettings("openai/other"), {"model": NO_MODEL}),
        (
            ChannelSettings("", "x" * 2_001),
            {"model": NO_MODEL, "system_prompt": texts.settings.prompt_too_long(2_001, 2_000)},
        ),
        (ChannelSettings(reaction="no emoji"), {"reaction": texts.settings.REACTION_UNKNOWN}),
        (ChannelSettings(only_if="x" * 300), {}),
        (ChannelSettings(only_if="x" * 301), {"only_if": texts.silence.rule_too_long(300)}),
        (ChannelSettings(alert_apps="A0ALERTS A0F7YS25R"), {}),
        (ChannelSettings(alert_apps="A0ALERTS GRAFANA!"), {"alert_apps": texts.settings.ALERT_APPS_UNKNOWN}),
        (ChannelSettings(reaction="x" * 100), {}),
        (ChannelSettings(reaction="x" * 101), {"reaction": texts.settings.REACTION_UNKNOWN}),
    ],
)
def test_invalid_setting_is_reported_for_its_field(settings: ChannelSettings, sentences: dict[str, str]) -> None:
    assert setting_problems(settings, DEFAULTS) == sentences


@pytest.mark.parametrize(
    ("models", "chosen", "name"),
    [
        (("openai/one", "anthropic/two"), None, "one"),
        (("openai/one", "anthropic/two"), "anthropic/two", "two"),
        (("openai/one", "anthropic/two"), "openai/gone", "one"),
        ((), "openai/gone", ""),
    ],
)
def test_channels_model_is_asked_first_while_it_is_in_use(
    models: tuple[str, ...], chosen: str | None, name: str
) -> None:
    assert DefaultSettings(models, "").model_name(chosen) == name


def test_form_changes_only_what_a_person_changed_in_it() -> None:
    shown = ChannelSettings("openai/one", "Rhyme.", new_posts=True, mcp_servers=("time",))
    since = replace(shown, system_prompt="Be brief.", gate=True, web_search=False)
    submitted = replace(shown, model=None, mcp_servers=(), new_posts=True)
    assert with_changes(since, shown, submitted) == replace(since, model=None, mcp_servers=())


def test_changes_are_announced_in_the_order_of_the_modal() -> None:
    changed = ChannelSettings(length=Length.FULL, effort=Effort.FAST, new_posts=True, web_search=False)
    assert change_sentences(NONE, changed, IN_USE) == [
        texts.settings.LENGTH.channel_sentence("full"),
        texts.settings.EFFORT.channel_sentence("fast"),
        "I answer every new post.",
        texts.settings.WEB_SEARCH.channel_sentence(False),
    ]
    assert (
        change_sentences(NONE, changed, replace(IN_USE, web_search=False))
        == change_sentences(NONE, changed, IN_USE)[:3]
    )


def test_each_prompt_has_its_own_version() -> None:
    assert prompt_version("a") == prompt_version("a") != prompt_version("b")


def test_each_alias_of_an_emoji_has_one_canonical_name() -> None:
    aliases = emoji_aliases.ALIASES
    assert {alias: emoji_name(alias) for alias in aliases} == aliases, "`make emoji` writes both"
    assert {emoji_name(name) for name in aliases.values()} == set(aliases.values())


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        *(
            ("❓", "question"),
            ("👍🏽", "+1"),
            ("❤️", "heart"),
            ("❤", "heart"),
            ("🤷🏽‍♀️", "woman-shrugging"),
            ("🇩🇪", "de"),
        ),
        *(("#️⃣", "hash"), ("Ⓜ️", "m"), (":👀:", "eyes"), ("❓❓", "❓❓"), ("❓ why", "❓ why"), ("½", "½")),
    ],
)
def test_an_emoji_itself_stands_for_its_name(typed: str, name: str) -> None:
    assert emoji_name(typed) == name


@pytest.mark.parametrize(
    "emoji", ["+1", "-1", "heart", "pray", "tada", "raised_hands", "white_check_mark", "ok", "joy"]
)
def test_an_emoji_that_people_answer_with_asks_nothing(emoji: str) -> None:
    assert setting_problems(ChannelSettings(reaction=emoji), DEFAULTS) == {"reaction": texts.settings.REACTION_EVERYDAY}


@pytest.mark.parametrize("emoji", ["question", "robot_face", "eyes", "sparkles", "thinking_face", "party-check-bot"])
def test_another_emoji_asks(emoji: str) -> None:
    assert setting_problems(ChannelSettings(reaction=emoji), DEFAULTS) == {}


NONE = ChannelSettings()
FOR_ALL = DefaultSettings(
    ("openai/one", "anthropic/<two>"), "", web_search=True, read_channel=True, gate=True, has_alerts=True
)
IN_USE = replace(FOR_ALL, models=DEFAULTS.models)
CHANGES = [
    (ChannelSettings("anthropic/<two>"), "I ask &lt;two&gt; first.", "I ask one first."),
    (
        ChannelSettings(system_prompt="Rhyme."),
        "I follow this channel's own instructions.",
        "I follow my default instructions.",
    ),
    (
        ChannelSettings(engagement=Engagement.MENTIONS),
        "Every question needs a mention.",
        "The person I'm talking with doesn't need to mention me.",
    ),
    (ChannelSettings(new_posts=True), "I answer every new post.", "New posts need a mention."),
    (
        ChannelSettings(alert_apps="A0ALERTS"),
        "I look into alerts from these apps: A0ALERTS.",
        "I don't look into apps' alerts.",
    ),
    (
        ChannelSettings(only_if="it <burns>"),
        "Without a mention, I post only if: it &lt;burns&gt;",
        "I answer without a rule for posting.",
    ),
    (
        ChannelSettings(gate=True),
        texts.settings.GATE.channel_sentence(True),
        texts.settings.GATE.channel_sentence(False),
    ),
    (ChannelSettings(reaction="eyes"), "React with :eyes: to ask me about a message.", "There's no question emoji."),
    (
        ChannelSettings(effort=Effort.FAST),
        texts.settings.EFFORT.channel_sentence("fast"),
        texts.settings.EFFORT.channel_sentence("normal"),
    ),
    (
        ChannelSettings(length=Length.FULL),
        texts.settings.LENGTH.channel_sentence("full"),
        texts.settings.LENGTH.channel_sentence("normal"),
    ),
    (
        ChannelSettings(web_search=False),
        texts.settings.WEB_SEARCH.channel_sentence(False),
        texts.settings.WEB_SEARCH.channel_sentence(True),
    ),
    (
        ChannelSettings(read_channel=False),
        texts.settings.READ_CHANNEL.channel_sentence(False),
        texts.settings.READ_CHANNEL.channel_sentence(True),
    ),
    (
        ChannelSettings(mcp_servers=("time", "wiki")),
        "I can use tools from time, wiki.",
        "I don't use tools from MCP servers.",
    ),
]


@pytest.mark.parametrize(("settings", "on", "off"), CHANGES)
def test_each_change_has_a_sentence_in_both_directions(settings: ChannelSettings, on: str, off: str) -> None:
    assert change_sentences(NONE, settings, FOR_ALL) == [on]
    assert change_sentences(settings, NONE, FOR_ALL) == [off]
    assert change_sentences(settings, settings, FOR_ALL) == []
    assert on in settings_line(settings, FOR_ALL, "C1")


@pytest.mark.parametrize(
    "settings",
    [ChannelSettings("openai/one"), ChannelSettings(engagement=Engagement.FOLLOW_UPS), ChannelSettings("openai/gone")],
)
def test_change_without_an_effect_has_no_sentence(settings: ChannelSettings) -> None:
    assert change_sentences(NONE, settings, FOR_ALL) == []


@pytest.mark.parametrize(
    ("settings", "defaults", "channel_id", "sentences"),
    [
        (
            NONE,
            DEFAULTS,
            "C1",
            "I follow my default instructions. The person I'm talking with doesn't need to mention me.",
        ),
        (NONE, DEFAULTS, "D1", "I follow my default instructions."),
        (NONE, FOR_ALL, "D1", "I follow my default instructions. I search the web when a question needs it."),
        (
            ChannelSettings(system_prompt="Be\n<brief>."),
            DEFAULTS,
            "D1",
            "I follow this channel's own instructions. My instructions begin with: “Be &lt;brief&gt;.”",
        ),
        (
            ChannelSettings(gate=True, web_search=False, read_channel=False),
            DEFAULTS,
            "D1",
            "I follow my default instructions.",
        ),
    ],
)
def test_line_lists_what_matters_most_and_what_the_channel_changed(
    settings: ChannelSettings, defaults: DefaultSettings, channel_id: str, sentences: str
) -> None:
    assert settings_line(settings, defaults, channel_id) == f"Settings here: I ask one first. {sentences}"


@pytest.mark.parametrize("name", CHANGED)
def test_each_setting_says_in_one_sentence_that_it_changed(name: str) -> None:
    assert CHANGED.keys() == {field.name for field in fields(ChannelSettings)}
    [on], [off] = change_sentences(NONE, CHANGED[name], IN_USE), change_sentences(CHANGED[name], NONE, IN_USE)
    assert on != off


@pytest.mark.parametrize("setting", [row for row in CHANNEL_SETTINGS.values() if isinstance(row.parse, EnumType)])
def test_each_level_has_its_option_and_its_sentence(setting: Setting) -> None:
    levels = list(map(setting.parse, setting.words.options))
    assert isinstance(setting.parse, EnumType)
    assert levels == list(setting.parse)
    assert len(set(map(setting.words.channel_sentence, levels))) == len(levels)


def test_command_opens_the_settings_at_one_of_them() -> None:
    assert set(SETTINGS_FIELDS.values()) <= CHANNEL_SETTINGS.keys()
