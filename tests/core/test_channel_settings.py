"""Validation of channel settings, and prompt versions."""

import pytest

from bot.core.inbound.channel_settings import ChannelSettings, emoji_name, problems, prompt_version
from bot.core.inbound.emoji_aliases import ALIASES
from bot.core.inbound.engagement import Engagement
from sandbox import emoji_aliases

MODELS = ("openai/one", "anthropic/two")


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
    assert list(problems(settings, MODELS)) == fields


def test_each_prompt_has_its_own_version() -> None:
    assert prompt_version("a") == prompt_version("a") != prompt_version("b")


def test_each_alias_of_an_emoji_has_one_canonical_name() -> None:
    assert {emoji_name(alias) for alias in ALIASES} == set(ALIASES.values())
    assert not set(ALIASES) & set(ALIASES.values())
    assert ALIASES == emoji_aliases.ALIASES, "`make emoji` writes both"
