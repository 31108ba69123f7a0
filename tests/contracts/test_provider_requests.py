"""The requests to each API, and how they are authorized."""

import socket
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from bot.errors import EndReason
from bot.models import openai
from bot.models.events import THINKING_TOKENS, Opaque, ToolCall
from bot.models.prompt import Prompt, TextPart, ToolDefinition, ToolResult, Turn
from bot.models.setup import VendorSettings, speaks_responses
from tests.contracts.notifications import PROMPT, ask, collect, connected
from tests.contracts.vendors import ANTHROPIC, CHAT, KEY, RESPONSES, VendorApi, options, unsupported
from tests.streams import steps
from tests.streams.server import VendorResponse, VendorServer, refusal

CACHED = Prompt(PROMPT.system, PROMPT.turns, "c0ffee")


async def test_responses_requests_are_not_stored(vendor: VendorServer) -> None:
    await ask(RESPONSES, vendor, RESPONSES.streamed("one"), prompt=CACHED)
    [request] = vendor.requests
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "m",
        "instructions": "Be brief.",
        "input": [{"role": turn.role, "content": turn.text} for turn in PROMPT.turns],
        "max_output_tokens": 16_384 + THINKING_TOKENS,
        "reasoning": {"summary": "auto"},
        "prompt_cache_key": "c0ffee",
        "store": False,
        "stream": True,
    }


async def test_chat_requests_ask_for_usage(vendor: VendorServer) -> None:
    await ask(CHAT, vendor, CHAT.streamed("one"), prompt=CACHED)
    [request] = vendor.requests
    system = {"role": "system", "content": "Be brief."}
    assert request.body == {
        "model": "m",
        "messages": [system, *({"role": turn.role, "content": turn.text} for turn in PROMPT.turns)],
        "max_tokens": 16_384,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_anthropic_requests_are_cached_and_bounded(vendor: VendorServer) -> None:
    await ask(ANTHROPIC, vendor, ANTHROPIC.streamed("one"))
    [request] = vendor.requests
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "m",
        "max_tokens": 16_384 + THINKING_TOKENS,
        "system": "Be brief.",
        "messages": [{"role": turn.role, "content": turn.text} for turn in PROMPT.turns],
        "cache_control": {"type": "ephemeral"},
        "stream": True,
    }


async def test_anthropics_cache_ends_before_the_line_that_says_when_it_is(vendor: VendorServer) -> None:
    *earlier, last = PROMPT.turns
    await ask(
        ANTHROPIC,
        vendor,
        ANTHROPIC.streamed("one"),
        prompt=replace(PROMPT, turns=(*earlier, replace(last, now="(It is Monday.)"))),
    )
    [request] = vendor.requests
    assert request.body["messages"][-1]["content"] == [
        {"type": "text", "text": last.text, "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "(It is Monday.)"},
    ]


async def test_openai_chat_requests_leave_room_to_think_and_name_the_conversation(
    vendor: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup, port = socket.getaddrinfo, urlsplit(vendor.url).port
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: lookup("127.0.0.1", *rest, **more))
    vendor.script(CHAT.streamed("one"))
    client = openai.connect(VendorSettings(KEY, f"http://api.openai.com:{port}/v1", "chat"), options())
    await collect(client.model("m"), CACHED)
    await client.aclose()
    [request] = vendor.requests
    assert request.body["max_completion_tokens"] == 16_384 + THINKING_TOKENS
    assert request.body["prompt_cache_key"] == "c0ffee"


# Errors as OpenAI, vLLM and Anthropic word them.
REFUSALS = {
    "a model that does not reason": (
        RESPONSES,
        unsupported("Unsupported parameter: 'reasoning.effort' is not supported with this model.", "reasoning.effort"),
        {"reasoning"},
    ),
    "an organization without summaries": (
        RESPONSES,
        unsupported("Your organization must be verified to generate reasoning summaries.", "reasoning.summary"),
        {"reasoning"},
    ),
    "a server without the cache key": (
        RESPONSES,
        unsupported("Unknown parameter: 'prompt_cache_key'.", "prompt_cache_key", 422),
        {"prompt_cache_key"},
    ),
}


@pytest.mark.parametrize(("api", "refused", "names"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_refused_parameters_are_left_out_and_remembered(
    vendor: VendorServer, api: VendorApi, refused: VendorResponse, names: set[str]
) -> None:
    vendor.script(refused, api.streamed("one"))
    async with connected(api, vendor) as model:
        assert (await collect(model, CACHED)).text == "one"
        assert (await collect(model, CACHED)).text == "one"
    first, again, later = (request.body for request in vendor.requests)
    assert {name for name in first if again.get(name) != first[name]} == names
    assert later == again


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        (refusal(400, {"error": {"message": "property 'stream_options' is unsupported"}}), "stream_options"),
        (
            refusal(422, {"message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]}}),
            "stream_options",
        ),
        (refusal(500, {"error": {"message": "Cannot use tools with stream"}}), "tools"),
    ],
    ids=["by words", "by its place", "tools with a stream"],
)
async def test_field_that_a_server_refuses_is_left_out_from_then_on(
    vendor: VendorServer, refused: VendorResponse, field: str
) -> None:
    vendor.script(refused, CHAT.streamed("one"))
    async with connected(CHAT, vendor) as model:
        received = [await collect(model, OFFERING) for _ in range(2)]
    assert [one.text for one in received] == ["one", "one"]
    assert [field in request.body for request in vendor.requests] == [True, False, False]
    assert [one.completions[0].refused for one in received] == [("tools",) if field == "tools" else ()] * 2


async def test_refused_system_role_becomes_the_beginning_of_the_first_message(vendor: VendorServer) -> None:
    vendor.script(refusal(400, {"error": {"message": "System role not supported"}}), CHAT.streamed("one"))
    async with connected(CHAT, vendor) as model:
        assert [(await collect(model)).text for _ in range(2)] == ["one", "one"]
    first, again, later = (request.body["messages"] for request in vendor.requests)
    assert first[0]["role"] == "system"
    assert again[0] == {"role": "user", "content": f"{PROMPT.system}\n\n{PROMPT.turns[0].text}"}
    assert later == again


async def test_refusal_is_remembered_only_if_the_request_without_it_succeeds(vendor: VendorServer) -> None:
    # It names reasoning, and means the conversation.
    orphan = "Item 'rs_1' of type 'reasoning' was provided without its required following item."
    error = refusal(400, {"error": {"message": orphan, "type": "invalid_request_error", "param": "input"}})
    vendor.script(error, error, RESPONSES.streamed("one"))
    async with connected(RESPONSES, vendor) as model:
        assert (await collect(model)).failure is EndReason.UNEXPECTED
        assert (await collect(model)).text == "one"
    assert ["reasoning" in request.body for request in vendor.requests] == [True, False, True]


# As gateways pass on what OpenAI says of its models that reason.
OLD_LIMIT = unsupported(
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "max_tokens",
)
NO_TOOLS_HERE = unsupported(
    "Function tools with reasoning_effort are not supported for gpt-6-luna in /v1/chat/completions. "
    "Please use /v1/responses or set reasoning_effort to 'none'.",
    "reasoning_effort",
)
CHAT_PATH, RESPONSES_PATH = CHAT.path, RESPONSES.path
OFFERING = replace(PROMPT, tools=(ToolDefinition("time__now", "The time", {"type": "object"}),))


async def test_gateways_model_that_refuses_tools_at_chat_completions_is_asked_by_responses(
    vendor: VendorServer,
) -> None:
    vendor.script(OLD_LIMIT, NO_TOOLS_HERE, RESPONSES.streamed("one"))
    client = CHAT.connect(vendor.url)
    model, other = client.model("gpt-6-luna"), client.model("m")
    received = await collect(model, OFFERING)
    assert (received.text, received.completions[0].refused) == ("one", ())
    assert (await collect(model, OFFERING)).text == "one"
    vendor.script(CHAT.streamed("two"))
    assert (await collect(other, OFFERING)).text == "two"
    await client.aclose()
    paths = [request.path for request in vendor.requests]
    assert paths == [CHAT_PATH, CHAT_PATH, RESPONSES_PATH, RESPONSES_PATH, CHAT_PATH], "remembered for this model"
    first, renamed, switched, later, others = (request.body for request in vendor.requests)
    assert (first["max_tokens"], renamed["max_completion_tokens"]) == (16_384, 16_384)
    assert "max_tokens" not in renamed
    assert switched["tools"][0]["name"] == "time__now"
    assert later == switched
    assert "max_tokens" in others


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_gateway_without_responses_is_asked_for_no_reasoning(vendor: VendorServer, status: int) -> None:
    vendor.script(NO_TOOLS_HERE, refusal(status, {"detail": "Not Found"}), OLD_LIMIT, CHAT.streamed("one"))
    async with connected(CHAT, vendor) as model:
        received = await collect(model, OFFERING)
        assert (received.text, received.completions[0].refused) == ("one", ())
        await collect(model, OFFERING)
        await collect(model, PROMPT)
    paths = [request.path for request in vendor.requests]
    assert paths == [CHAT_PATH, RESPONSES_PATH, CHAT_PATH, CHAT_PATH, CHAT_PATH, CHAT_PATH]
    *_, last, later, plain = (request.body for request in vendor.requests)
    assert (last["reasoning_effort"], last["max_completion_tokens"]) == ("none", 16_384)
    assert later == last
    assert "reasoning_effort" not in plain, "without tools it may reason"


async def test_gateway_whose_responses_are_overloaded_keeps_reasoning(vendor: VendorServer) -> None:
    vendor.script(NO_TOOLS_HERE, refusal(503, {"error": {"message": "No."}}), NO_TOOLS_HERE, RESPONSES.streamed("one"))
    async with connected(CHAT, vendor) as model:
        assert (await collect(model, OFFERING)).failure is EndReason.OVERLOADED
        assert (await collect(model, OFFERING)).text == "one"
    assert [request.path for request in vendor.requests] == [CHAT_PATH, RESPONSES_PATH] * 2
    assert not [request for request in vendor.requests if "reasoning_effort" in request.body]


async def test_step_of_responses_can_go_on_at_chat_completions(vendor: VendorServer) -> None:
    items = (steps.REASONING, steps.message("Let me see."), steps.function_call("c1", "time__now", "{}"))
    call, opaque = ToolCall(0, "c1", "time__now", {}), [Opaque("openai", item) for item in items]
    step = Turn("assistant", "Let me see.", parts=(TextPart("Let me see."), call, *opaque))
    result = Turn("user", "", parts=(ToolResult("c1", "time__now", "12:00", False),))
    received = await ask(
        CHAT, vendor, CHAT.streamed("Noon."), prompt=replace(OFFERING, turns=(*PROMPT.turns, step, result))
    )
    assert received.text == "Noon."
    called = {"id": "c1", "type": "function", "function": {"name": "time__now", "arguments": "{}"}}
    assert vendor.requests[0].body["messages"][-2:] == [
        {"role": "assistant", "content": "Let me see.", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c1", "content": "12:00"},
    ]


async def test_requests_refused_for_other_reasons_are_not_repeated(vendor: VendorServer) -> None:
    received = await ask(RESPONSES, vendor, unsupported("Invalid value: 'input'.", "input"), prompt=CACHED)
    assert received.failure is EndReason.UNEXPECTED
    assert len(vendor.requests) == 1


async def test_model_name_may_contain_slashes(vendor: VendorServer) -> None:
    vendor.script(CHAT.streamed("one"))
    client = CHAT.connect(vendor.url)
    model = client.model("meta/llama-3")
    await collect(model)
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
        ("https://team.openai.azure.us/openai/v1/", True),
        ("http://127.0.0.1:11434/v1", False),
        ("https://gateway.example.com/api.openai.com/v1", False),
        ("https://notopenai.com/v1", False),
        ("https://notazure.com/openai/v1", False),
        ("https://notazure.us/openai/v1", False),
        ("https://api.openai.com.example.com/v1", False),
    ],
)
def test_responses_api_is_used_only_where_it_is_known_to_exist(base_url: str, responses: bool) -> None:
    assert speaks_responses(base_url) is responses


@pytest.mark.parametrize(
    ("api", "headers"),
    [(RESPONSES, {}), (CHAT, {}), (ANTHROPIC, {"anthropic-version": "2026-10-21"})],
    ids=["responses", "chat", "anthropic"],
)
async def test_requests_are_json_with_key_and_api_version(
    vendor: VendorServer, api: VendorApi, headers: dict[str, str]
) -> None:
    await ask(api, vendor, api.streamed("one"), prompt=CACHED)
    [request] = vendor.requests
    assert request.path == api.path
    expected = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}", **headers}
    assert {name: request.headers.get(name) for name in expected} == expected


@pytest.mark.parametrize("slash", ["", "/"])
async def test_base_url_may_have_a_path(vendor: VendorServer, slash: str) -> None:
    vendor.script(CHAT.streamed("one"))
    client = openai.connect(VendorSettings("", f"{vendor.url}/openai/v1{slash}", "chat"), options())
    await collect(client.model("m"))
    await client.aclose()
    [request] = vendor.requests
    assert (request.path, request.headers["Authorization"]) == ("/openai/v1/chat/completions", "Bearer none")
