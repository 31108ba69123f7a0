"""What keeps an answer's price down, and what tells the price: keys for caches, billed searches, the model's name."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bot.models.prompt import WebSearch
from tests.contracts.in_process import InProcessVendor
from tests.contracts.notifications import PROMPT, ask, collect, connected
from tests.contracts.vendors import ANTHROPIC, CHAT, RESPONSES, VendorApi, unsupported
from tests.streams import speech, steps
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

KEYED = replace(PROMPT, cache_key="c0ffee", asker="5afe")
EPHEMERAL = {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("m", {"prompt_cache_key": "c0ffee"}),
        ("anthropic/claude-haiku-5.5", {"prompt_cache_key": "c0ffee", "cache_control": EPHEMERAL}),
        ("us.Claude-9", {"prompt_cache_key": "c0ffee", "cache_control": EPHEMERAL}),
    ],
)
async def test_compatible_server_is_offered_what_caches_ask_for(
    vendor: VendorServer, model: str, fields: Mapping[str, Any]
) -> None:
    """Mistral reads prompt_cache_key, and OpenRouter passes cache_control on to Claude."""
    await ask(CHAT, vendor, CHAT.streamed("one"), prompt=KEYED, model=model)
    [request] = vendor.requests
    offered = {"prompt_cache_key", "cache_control", "safety_identifier"}
    assert {name: value for name, value in request.body.items() if name in offered} == fields


REFUSED = {
    "a compatible server without keys": (CHAT, "prompt_cache_key", "Extra inputs are not permitted: prompt_cache_key"),
    "a compatible server without marks": (CHAT, "cache_control", "Unrecognized request argument: cache_control"),
    "a server without identifiers": (RESPONSES, "safety_identifier", "Unknown parameter: 'safety_identifier'."),
    "a place without metadata": (ANTHROPIC, "metadata", "metadata: Extra inputs are not permitted"),
}


@pytest.mark.parametrize(("api", "field", "message"), REFUSED.values(), ids=REFUSED.keys())
async def test_strict_server_refuses_a_key_once(vendor: VendorServer, api: VendorApi, field: str, message: str) -> None:
    def answer(request: VendorRequest) -> VendorResponse:
        return unsupported(message) if field in request.body else api.streamed("one")

    vendor.script(answer)
    async with connected(api, vendor, "claude") as model:
        received = [await collect(model, KEYED), await collect(model, KEYED)]
    assert [one.text for one in received] == ["one", "one"]
    assert [field in request.body for request in vendor.requests] == [True, False, False]


async def test_vendors_can_tell_askers_apart(vendor: VendorServer) -> None:
    await ask(RESPONSES, vendor, RESPONSES.streamed("one"), prompt=KEYED)
    await ask(ANTHROPIC, vendor, ANTHROPIC.streamed("one"), prompt=KEYED)
    at_openai, at_anthropic = (request.body for request in vendor.requests)
    assert at_openai["safety_identifier"] == "5afe"
    assert at_anthropic["metadata"] == {"user_id": "5afe"}


SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "a", "queries": ["a", "b", "c"], "sources": []},
}


@pytest.mark.parametrize(
    ("tool_usage", "searches"),
    [
        ({"tool_usage": {"web_search": {"num_requests": 3}}}, 3),
        ({"tool_usage": {"web_search": {"num_requests": 0}}}, 0),
        ({"tool_usage": {"web_search": {"num_requests": "many"}}}, 0),
        ({"tool_usage": None}, 1),
        ({}, 1),
    ],
    ids=["three queries", "discounted", "no number", "none", "a server that doesn't say"],
)
@pytest.mark.parametrize("is_whole", [False, True], ids=["streamed", "JSON"])
async def test_searches_are_counted_as_openai_bills_them(
    in_process: InProcessVendor, tool_usage: Mapping[str, Any], searches: int, is_whole: bool
) -> None:
    said = steps.message("It streams.")
    if is_whole:
        answer = VendorResponse([steps.responses_whole(SEARCH, said, **tool_usage)], content_type="application/json")
    else:
        whole = json.loads(steps.responses_whole(SEARCH, said, **tool_usage))
        event = {"type": "response.completed", "response": whole}
        answer = VendorResponse([*steps.responses(SEARCH, said)[:-1], *speech.events(event)])
    received = await ask(RESPONSES, in_process, answer, prompt=replace(PROMPT, web_search=WebSearch()))
    [completion] = received.completions
    assert completion.usage is not None
    assert completion.usage.web_searches == searches


def named(api: VendorApi, model: str) -> VendorResponse:
    chunks = []
    for chunk in api.speak(["one"]):
        event, _, data = chunk.decode().rpartition("data: ")
        if data.startswith("{"):
            body = json.loads(data)
            for place in (body, body.get("response"), body.get("message")):
                if isinstance(place, dict) and (place is not body or api is CHAT):
                    place["model"] = model
            data = f"{json.dumps(body)}\n\n"
        chunks.append(f"{event}data: {data}".encode())
    return VendorResponse(chunks)


@pytest.mark.parametrize("api", [RESPONSES, CHAT, ANTHROPIC], ids=str)
@pytest.mark.parametrize(
    ("asked", "answered", "is_logged"),
    [
        ("grok-3", "grok-4-fast", True),
        ("grok-3", "llama\n3 of evil", True),
        ("gpt-6-luna", "gpt-6-luna-2026-10-01", False),
        ("claude-haiku-5-5", "claude-haiku-5-5-20261007", False),
        ("us.anthropic.claude-haiku-5-5-v1:0", "claude-haiku-5-5", False),
        ("m", "", False),
    ],
)
async def test_another_model_than_the_one_asked_for_is_logged_once(
    in_process: InProcessVendor,
    caplog: pytest.LogCaptureFixture,
    api: VendorApi,
    asked: str,
    answered: str,
    is_logged: bool,
) -> None:
    in_process.script(named(api, answered))
    async with connected(api, in_process, asked) as model:
        for _ in range(2):
            assert (await collect(model)).text == "one"
    logged = [record.getMessage() for record in caplog.records if "another model answers" in record.getMessage()]
    assert len(logged) == int(is_logged)
    assert "evil" not in caplog.text
