"""What a channel may have for itself."""

import pytest

from bot.core.inbound.channel_settings import ChannelSettings, problems, prompt_version

MODELS = ("openai/one", "anthropic/two")


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        (ChannelSettings(), []),
        (ChannelSettings("anthropic/two", "Be brief.", True), []),
        (ChannelSettings("openai/other"), ["model"]),
        (ChannelSettings("", "x" * 2_001), ["model", "system_prompt"]),
    ],
)
def test_what_cannot_be_used_is_named_by_its_field(settings: ChannelSettings, fields: list[str]) -> None:
    assert list(problems(settings, MODELS)) == fields


def test_a_prompt_has_a_version_of_its_own() -> None:
    assert prompt_version("a") == prompt_version("a") != prompt_version("b")
