"""Validation of channel settings, and prompt versions."""

from dataclasses import replace
from enum import EnumType

import pytest

from bot.core import texts
from bot.core.channel_settings import (
    CHANNEL_SETTINGS,
    ChannelSettings,
    DefaultSettings,
    Length,
    Setting,
    changes,
    emoji_name,
    problems,
    prompt_version,
)
from bot.core.surfaces import SETTINGS_FIELDS
from bot.core.triage import Engagement
from bot.models.prompt import Effort
from slack_sandbox import emoji_aliases
from tests.changed_settings import CHANGED

DEFAULTS = DefaultSettings(("openai/one", "anthropic/two"), "Be helpful.")


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        (ChannelSettings(), []),
        (ChannelSettings("anthropic/two", "Be brief.", Engagement.EVERYONE), []),
        (ChannelSettings("openai/other"), ["model"]),
        (ChannelSettings("", "x" * 2_001), ["model", "system_prompt"]),
    ],
)
def test_invalid_setting_is_reported_for_its_field(settings: ChannelSettings, fields: list[str]) -> None:
    assert list(problems(settings, DEFAULTS)) == fields


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
    assert problems(ChannelSettings(reaction=emoji), DEFAULTS) == {"reaction": texts.settings.REACTION_EVERYDAY}


@pytest.mark.parametrize("emoji", ["question", "robot_face", "eyes", "sparkles", "thinking_face", "party-check-bot"])
def test_another_emoji_asks(emoji: str) -> None:
    assert problems(ChannelSettings(reaction=emoji), DEFAULTS) == {}


NONE = ChannelSettings()
FOR_ALL = DefaultSettings(("openai/one", "anthropic/<two>"), "", web_search=True, read_channel=True, gate=True)
IN_USE = replace(FOR_ALL, models=DEFAULTS.models)
CHANGES = [
    (ChannelSettings("anthropic/<two>"), "I ask &lt;two&gt; first.", "I ask one first."),
    (
        ChannelSettings(system_prompt="Rhyme."),
        "I follow instructions of this channel's own.",
        "I follow my default instructions.",
    ),
    (
        ChannelSettings(engagement=Engagement.MENTIONS),
        "Every question needs a mention.",
        "Whoever I'm talking with needs no mention.",
    ),
    (ChannelSettings(new_posts=True), "I answer every new post.", "New posts need a mention."),
    (ChannelSettings(gate=True), texts.settings.GATE.about(True), texts.settings.GATE.about(False)),
    (ChannelSettings(reaction="eyes"), "React with :eyes: to ask me about a message.", "There's no question emoji."),
    (ChannelSettings(effort=Effort.FAST), texts.settings.EFFORT.about("fast"), texts.settings.EFFORT.about("normal")),
    (ChannelSettings(length=Length.FULL), texts.settings.LENGTH.about("full"), texts.settings.LENGTH.about("normal")),
    (ChannelSettings(web_search=False), texts.settings.WEB_SEARCH.about(False), texts.settings.WEB_SEARCH.about(True)),
    (
        ChannelSettings(read_channel=False),
        texts.settings.READ_CHANNEL.about(False),
        texts.settings.READ_CHANNEL.about(True),
    ),
    (
        ChannelSettings(mcp_servers=("time", "wiki")),
        "I may use the tools of time, wiki.",
        "I use no tools of MCP servers.",
    ),
]


@pytest.mark.parametrize(("settings", "on", "off"), CHANGES)
def test_each_change_has_a_sentence_in_both_directions(settings: ChannelSettings, on: str, off: str) -> None:
    assert changes(NONE, settings, FOR_ALL) == [on]
    assert changes(settings, NONE, FOR_ALL) == [off]
    assert changes(settings, settings, FOR_ALL) == []


@pytest.mark.parametrize(
    "settings",
    [ChannelSettings("openai/one"), ChannelSettings(engagement=Engagement.FOLLOW_UPS), ChannelSettings("openai/gone")],
)
def test_change_without_an_effect_has_no_sentence(settings: ChannelSettings) -> None:
    assert changes(NONE, settings, FOR_ALL) == []


@pytest.mark.parametrize("name", CHANGED)
def test_each_setting_says_in_one_sentence_that_it_changed(name: str) -> None:
    assert CHANGED.keys() == CHANNEL_SETTINGS.keys()
    [on], [off] = changes(NONE, CHANGED[name], IN_USE), changes(CHANGED[name], NONE, IN_USE)
    assert on != off


@pytest.mark.parametrize("setting", [row for row in CHANNEL_SETTINGS.values() if isinstance(row.of, EnumType)])
def test_each_level_has_its_option_and_its_sentence(setting: Setting) -> None:
    levels = list(map(setting.of, setting.words.options))
    assert isinstance(setting.of, EnumType)
    assert levels == list(setting.of)
    assert len(set(map(setting.words.about, levels))) == len(levels)


def test_command_opens_the_settings_at_one_of_them() -> None:
    assert set(SETTINGS_FIELDS.values()) <= CHANNEL_SETTINGS.keys()
