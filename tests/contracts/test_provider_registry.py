"""The models in use, as the settings have them."""

from dataclasses import replace

import pytest

from bot.core.stream import THINKING_TOKENS
from bot.providers.registry import models_of, most_output_tokens
from bot.settings import Settings
from tests.contracts.notifications import hear
from tests.contracts.vendors import CHAT
from tests.streams.server import VendorServer


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({"models": ("openai/m",)}, 1_000 + THINKING_TOKENS),
        ({"models": ("openai/m",), "openai_base_url": "http://127.0.0.1:1/v1"}, 1_000),
        (
            {"models": ("openai/m",), "openai_base_url": "http://127.0.0.1:1/v1", "openai_api": "responses"},
            1_000 + THINKING_TOKENS,
        ),
        ({"models": ("anthropic/m",)}, 1_000 + THINKING_TOKENS),
        ({"models": ("scripted/demo",)}, 1_000),
    ],
)
def test_what_is_reserved_includes_room_to_think(changes: dict[str, object], most: int) -> None:
    settings = replace(Settings(max_output_tokens=1_000), **changes)  # type: ignore[arg-type]
    assert most_output_tokens(settings) == most


async def test_without_streaming_silence_before_the_answer_is_no_stall() -> None:
    async with VendorServer() as vendor:
        vendor.script(replace(CHAT.whole("one"), delay_s=2.0))
        settings = Settings(
            openai_base_url=f"{vendor.url}/v1", models=("openai/m",), streaming=False, stall_timeout_s=1
        )
        async with models_of(settings) as models:
            assert (await hear(models)).text == "one"
