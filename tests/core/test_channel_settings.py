"""Validation of channel settings, and prompt versions."""

import pytest

from bot.core import texts
from bot.core.channel_settings import (
    ChannelSettings,
    DefaultSettings,
    Length,
    changes,
    emoji_name,
    problems,
    prompt_version,
)
from bot.core.triage import Engagement
from bot.models.prompt import Effort
from slack_sandbox import emoji_aliases

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
CHANGES = [
    (ChannelSettings("anthropic/<two>"), "I ask &lt;two&gt; first.", "I ask one first."),
    (
        ChannelSettings(system_prompt="Rhyme."),
        texts.settings.OWN_PROMPT_HERE[True],
        texts.settings.OWN_PROMPT_HERE[False],
    ),
    (
        ChannelSettings(engagement=Engagement.MENTIONS),
        "Every question needs a mention.",
        "Whoever I'm talking with needs no mention.",
    ),
    (ChannelSettings(new_posts=True), "I answer every new post.", "New posts need a mention."),
    (ChannelSettings(gate=True), texts.settings.GATE_HERE[True], texts.settings.GATE_HERE[False]),
    (ChannelSettings(reaction="eyes"), "React with :eyes: to ask me about a message.", "There's no question emoji."),
    (ChannelSettings(effort=Effort.FAST), texts.settings.EFFORT_HERE["fast"], texts.settings.EFFORT_HERE["normal"]),
    (ChannelSettings(length=Length.FULL), texts.settings.LENGTH_HERE["full"], texts.settings.LENGTH_HERE["normal"]),
    (ChannelSettings(web_search=False), texts.settings.WEB_SEARCH_HERE[False], texts.settings.WEB_SEARCH_HERE[True]),
    (
        ChannelSettings(read_channel=False),
        texts.settings.READ_CHANNEL_HERE[False],
        texts.settings.READ_CHANNEL_HERE[True],
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


def test_all_effort_and_length_levels_have_sentences() -> None:
    assert set(texts.settings.EFFORT_HERE) == {effort.value for effort in Effort}
    assert set(texts.settings.LENGTH_HERE) == {length.value for length in Length}
