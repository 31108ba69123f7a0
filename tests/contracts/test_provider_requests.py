"""What each API is sent, and how it is paid for."""

from collections.abc import AsyncIterator

import pytest

from bot.providers.openai import speaks_responses
from tests.contracts.listening import PROMPT, connected, hear
from tests.contracts.vendors import ANTHROPIC, CHAT, KEY, RESPONSES
from tests.streams.server import VendorServer


@pytest.fixture
async def vendor() -> AsyncIterator[VendorServer]:
    async with VendorServer() as server:
        yield server


async def test_requests_to_responses_are_not_stored(vendor: VendorServer) -> None:
    vendor.script(RESPONSES.streamed("one"))
    async with connected(RESPONSES, vendor) as model:
        await hear(model)
    [seen] = vendor.requests
    assert seen.headers["Authorization"] == f"Bearer {KEY}"
    assert seen.body == {
        "model": "m",
        "instructions": "Be brief.",
        "input": [{"role": turn.role, "content": turn.text} for turn in PROMPT.turns],
        "max_output_tokens": 16_384,
        "store": False,
        "stream": True,
    }


async def test_requests_to_chat_ask_for_usage(vendor: VendorServer) -> None:
    vendor.script(CHAT.streamed("one"))
    async with connected(CHAT, vendor) as model:
        await hear(model)
    [seen] = vendor.requests
    system = {"role": "system", "content": "Be brief."}
    assert seen.body == {
        "model": "m",
        "messages": [system, *({"role": turn.role, "content": turn.text} for turn in PROMPT.turns)],
        "max_tokens": 16_384,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_requests_to_anthropic_are_cached_and_bounded(vendor: VendorServer) -> None:
    vendor.script(ANTHROPIC.streamed("one"))
    async with connected(ANTHROPIC, vendor) as model:
        await hear(model)
    [seen] = vendor.requests
    assert seen.headers["Authorization"] == f"Bearer {KEY}"
    assert seen.body == {
        "model": "m",
        "max_tokens": 16_384,
        "system": "Be brief.",
        "messages": [{"role": turn.role, "content": turn.text} for turn in PROMPT.turns],
        "cache_control": {"type": "ephemeral"},
        "stream": True,
    }


async def test_requests_take_a_models_name_with_slashes(vendor: VendorServer) -> None:
    vendor.script(CHAT.streamed("one"))
    client = CHAT.connect(vendor.url, True)
    model = client.model("meta/llama-3")
    await hear(model)
    await client.aclose()
    assert model.model == "openai/meta/llama-3"
    assert vendor.requests[0].body["model"] == "meta/llama-3"


@pytest.mark.parametrize(
    ("base_url", "responses"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://team.openai.azure.com/openai/v1/", True),
        ("https://team.services.ai.azure.com/openai/v1/", True),
        ("http://127.0.0.1:11434/v1", False),
        ("https://gateway.example.com/api.openai.com/v1", False),
        ("https://notopenai.com/v1", False),
    ],
)
def test_requests_go_to_responses_where_it_is_sure_to_be(base_url: str, responses: bool) -> None:
    assert speaks_responses(base_url) is responses
