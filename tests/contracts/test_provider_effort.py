"""The effort of an answer in the vendors' terms, and what a refusal of it changes."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bot.errors import EndReason
from bot.models.events import ToolCall
from bot.models.prompt import Effort, ToolDefinition, ToolResult, Turn, WebSearch
from tests.contracts.cache_rules import beginnings, blocks_of
from tests.contracts.in_process import AnyVendor, InProcessVendor
from tests.contracts.notifications import PROMPT, ask, collect, connected
from tests.contracts.vendors import ANTHROPIC, CHAT, RESPONSES, VendorApi, unsupported
from tests.streams import speech
from tests.streams.server import VendorRequest, VendorResponse, VendorServer, refusal

FAST = Effort.FAST
NORMAL = Effort.NORMAL
THOROUGH = Effort.THOROUGH
THOROUGHLY = replace(PROMPT, effort=THOROUGH)
WITH_ALL = replace(PROMPT, tools=(ToolDefinition("time__now", "The time", {"type": "object"}),), web_search=WebSearch())


def effort_in(body: Mapping[str, Any]) -> str:
    """Returns the level of effort in a request to any API; "" if there is none."""
    nested = body.get("reasoning") or body.get("output_config") or {}
    return str(nested.get("effort", "") or body.get("reasoning_effort", ""))


def without_effort(body: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in body.items() if name not in ("reasoning_effort", "output_config")}
    if "reasoning" in rest:
        rest["reasoning"] = {name: value for name, value in rest["reasoning"].items() if name != "effort"}
    return rest


def efforts(vendor: AnyVendor) -> list[str]:
    return [effort_in(request.body) for request in vendor.requests]


@pytest.mark.parametrize(("effort", "level"), [(FAST, "low"), (NORMAL, ""), (THOROUGH, "xhigh")])
@pytest.mark.parametrize("api", [RESPONSES, CHAT, ANTHROPIC], ids=str)
async def test_effort_is_sent_in_the_terms_of_each_api(
    vendor: VendorServer, api: VendorApi, effort: Effort, level: str
) -> None:
    vendor.has_all_models = True
    received = await ask(api, vendor, api.streamed("one"), prompt=replace(PROMPT, effort=effort))
    assert efforts(vendor) == [level]
    assert received.completions[0].effort == level


# As the vendors and servers word it.
OPENAI_VALUE = "Unsupported value: '{}' is not supported with the 'gpt-6-astra' model. Supported values are: {}."
REFUSALS = {
    "OpenAI, a value above": (
        RESPONSES,
        THOROUGH,
        OPENAI_VALUE.format("xhigh", "'none', 'low', and 'medium'"),
        "medium",
    ),
    "OpenAI, the only value": (RESPONSES, FAST, OPENAI_VALUE.format("low", "'high'"), "high"),
    "OpenAI, the cheaper of two": (RESPONSES, FAST, OPENAI_VALUE.format("low", "'minimal' and 'medium'"), "minimal"),
    "OpenAI, a model named like a level": (
        RESPONSES,
        THOROUGH,
        "Unsupported value: 'xhigh' is not supported with the 'gpt-6-max' model. Supported values are: 'minimal'.",
        "minimal",
    ),
    "Claude, whose next level is max": (
        ANTHROPIC,
        THOROUGH,
        "output_config.effort: 'xhigh' is not supported. Allowed values: 'low', 'medium', 'high', 'max'.",
        "max",
    ),
    "a value, without a list": (CHAT, THOROUGH, "reasoning_effort 'xhigh' is unknown", "high"),
    "OpenAI, no reasoning": (
        RESPONSES,
        FAST,
        "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
        "",
    ),
    "OpenAI, a tool that needs more": (
        RESPONSES,
        FAST,
        "The following tools cannot be used with reasoning.effort 'low': web_search.",
        "",
    ),
    "Ollama, another value": (
        CHAT,
        FAST,
        'invalid reasoning value: "low" (must be "high", "medium", or "max")',
        "medium",
    ),
    "Ollama, no reasoning": (CHAT, THOROUGH, '"gemma3" does not support thinking', ""),
    "vLLM, a template": (CHAT, THOROUGH, "Chat template error: reasoning must be a flag", ""),
    "Anthropic, thinking is off": (
        ANTHROPIC,
        THOROUGH,
        "output_config.effort 'xhigh' is not supported when thinking is disabled on this model. "
        "Use effort 'medium' or below, or enable thinking.",
        "medium",
    ),
    "Anthropic, an older Claude": (ANTHROPIC, FAST, "This model does not support the effort parameter.", ""),
    "Bedrock, an older Claude": (ANTHROPIC, FAST, "output_config: Extra inputs are not permitted", ""),
}


@pytest.mark.parametrize(("api", "effort", "message", "level"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_refused_effort_steps_to_the_nearest_level_and_costs_nothing_else(
    in_process: InProcessVendor, api: VendorApi, effort: Effort, message: str, level: str
) -> None:
    def answer(request: VendorRequest) -> VendorResponse:
        return api.streamed("one") if effort_in(request.body) == level else unsupported(message, "reasoning.effort")

    in_process.script(answer)
    prompt = replace(WITH_ALL, effort=effort)
    async with connected(api, in_process) as model:
        received = [await collect(model, prompt), await collect(model, prompt)]
    asked = [request.body for request in in_process.requests]
    first = effort_in(asked[0])
    assert efforts(in_process) == [first, level, level], "remembered"
    assert without_effort(asked[0]) == without_effort(asked[1]) == without_effort(asked[2])
    is_missed = effort is THOROUGH and not level
    for one in received:
        assert one.text == "one"
        assert one.completions[0].effort == level
        assert one.completions[0].refused == (("thinking longer",) if is_missed else ())


async def test_third_request_leaves_the_effort_to_the_model_and_the_next_one_knows_more(
    in_process: InProcessVendor,
) -> None:
    in_process.script(
        unsupported(OPENAI_VALUE.format("xhigh", "'low' and 'medium'"), "reasoning.effort"),
        unsupported("The following tools cannot be used with reasoning.effort 'medium': web_search."),
        RESPONSES.streamed("one"),
    )
    async with connected(RESPONSES, in_process) as model:
        assert (await collect(model, replace(WITH_ALL, effort=THOROUGH))).completions[0].refused[
            -1
        ] == "thinking longer"
        for _ in range(6):
            received = await collect(model, replace(WITH_ALL, effort=THOROUGH))
    assert efforts(in_process)[:3] == ["xhigh", "medium", ""]
    assert received.completions[0].refused == (), "all else is put back"


async def test_model_without_reasoning_loses_effort_and_summaries(in_process: InProcessVendor) -> None:
    message = "Unsupported parameter: 'reasoning.effort' is not supported with this model."

    def answer(request: VendorRequest) -> VendorResponse:
        return unsupported(message, "reasoning.effort") if "reasoning" in request.body else RESPONSES.streamed("one")

    assert (await ask(RESPONSES, in_process, answer, prompt=replace(PROMPT, effort=FAST))).text == "one"
    sent = [request.body.get("reasoning") for request in in_process.requests]
    assert sent == [{"summary": "auto", "effort": "low"}, {"summary": "auto"}, None]


async def test_refused_summaries_keep_the_effort(in_process: InProcessVendor) -> None:
    message = "Your organization must be verified to generate reasoning summaries."
    refused = unsupported(message, "reasoning.summary", code="unsupported_value")
    assert (await ask(RESPONSES, in_process, refused, RESPONSES.streamed("one"), prompt=THOROUGHLY)).text == "one"
    assert [request.body["reasoning"] for request in in_process.requests][-1] == {"effort": "xhigh"}


async def test_refused_effort_is_remembered_only_if_the_request_without_it_succeeds(
    in_process: InProcessVendor,
) -> None:
    # It names the effort, and means something else.
    error = unsupported("The question 'How much effort is it?' was refused.")
    in_process.script(error, error, error, RESPONSES.streamed("one"))
    async with connected(RESPONSES, in_process) as model:
        assert (await collect(model, THOROUGHLY)).failure is EndReason.UNEXPECTED
        assert (await collect(model, THOROUGHLY)).text == "one"
    assert efforts(in_process) == ["xhigh", "", "", "xhigh"]


async def test_failure_that_is_no_bad_request_keeps_the_effort(in_process: InProcessVendor) -> None:
    scarce = refusal(503, {"error": {"message": "Reasoning effort is scarce."}})
    assert (await ask(RESPONSES, in_process, scarce, prompt=THOROUGHLY)).failure is EndReason.OVERLOADED
    assert efforts(in_process) == ["xhigh"]


async def test_gateway_that_takes_tools_only_without_reasoning_says_that_it_did_not_think_longer(
    in_process: InProcessVendor,
) -> None:
    no_tools = unsupported(
        "Function tools with reasoning_effort are not supported for gpt-6-luna in /v1/chat/completions. "
        "Please use /v1/responses or set reasoning_effort to 'none'.",
        "reasoning_effort",
    )
    in_process.script(no_tools, refusal(404, {"detail": "Not Found"}), CHAT.streamed("one"))
    async with connected(CHAT, in_process) as model:
        received = await collect(model, replace(WITH_ALL, web_search=None, effort=THOROUGH))
        assert (received.text, received.completions[0].refused) == ("one", ("thinking longer",))
        assert (await collect(model, THOROUGHLY)).completions[0].effort == "xhigh"
    assert efforts(in_process) == ["xhigh", "xhigh", "none", "xhigh"]


def described(**levels: bool) -> dict[str, Any]:
    """Returns what Anthropic says of a model: https://platform.claude.com/docs/en/api/models/retrieve."""
    named = {level: {"supported": levels.get(level, False)} for level in ("low", "medium", "high", "max", "xhigh")}
    effort = {"supported": any(levels.values()), **named}
    return {"id": "m", "type": "model", "max_tokens": 64_000, "capabilities": {"effort": effort}}


@pytest.mark.parametrize(
    ("levels", "effort", "level"),
    [
        ({"low": True, "medium": True, "high": True, "xhigh": True, "max": True}, THOROUGH, "xhigh"),
        ({"low": True, "medium": True, "high": True, "max": True}, THOROUGH, "max"),
        ({"low": True, "medium": True}, THOROUGH, "medium"),
        ({"medium": True, "high": True}, FAST, "medium"),
        ({}, THOROUGH, ""),
    ],
    ids=["all", "without xhigh", "up to medium", "from medium", "none"],
)
async def test_claudes_own_description_spares_the_refusal_of_a_level(
    vendor: VendorServer, levels: Mapping[str, bool], effort: Effort, level: str
) -> None:
    def answer(request: VendorRequest) -> VendorResponse:
        if request.method == "GET":
            return VendorResponse([json.dumps(described(**levels)).encode()], content_type="application/json")
        return ANTHROPIC.streamed("one")

    vendor.script(answer)
    async with connected(ANTHROPIC, vendor) as model:
        for _ in range(2):
            received = await collect(model, replace(PROMPT, effort=effort))
        assert (await collect(model)).completions[0].can_think_longer is bool(levels), "after an answer as usual, too"
    asked = [request for request in vendor.requests if request.method == "POST"]
    assert [effort_in(request.body) for request in asked] == [level, level, ""]
    assert len(vendor.requests) == len(asked) + 1, "described once"
    assert received.completions[0].effort == level


OWN_LEVELS = {
    "none": "low",
    "medium": "high",
    "high": "xhigh",
    "xhigh": "",
}


@pytest.mark.parametrize(("own", "next_level"), OWN_LEVELS.items(), ids=OWN_LEVELS.keys())
async def test_thinking_longer_is_the_next_level_above_the_models_own(
    in_process: InProcessVendor, own: str, next_level: str
) -> None:
    """OpenAI's responses name the level that the model took."""
    event = {"type": "response.completed", "response": {"status": "completed", "reasoning": {"effort": own}}}
    answer = [*RESPONSES.unended("one"), *speech.events(event)]
    in_process.script(VendorResponse(answer))
    async with connected(RESPONSES, in_process) as model:
        usual = (await collect(model)).completions[0]
        await collect(model, THOROUGHLY)
    assert usual.can_think_longer is bool(next_level), "else there is no button"
    assert efforts(in_process) == ["", next_level]


@pytest.mark.parametrize("api", [RESPONSES, ANTHROPIC], ids=str)
async def test_answer_that_is_thought_about_longer_has_room_for_that(
    in_process: InProcessVendor, api: VendorApi
) -> None:
    """Anthropic: "set a large max_tokens", from 64,000 on: https://platform.claude.com/docs/en/build-with-claude/effort"""
    await ask(api, in_process, api.streamed("one"), prompt=THOROUGHLY)
    [request] = in_process.requests
    assert (request.body.get("max_tokens") or request.body.get("max_output_tokens")) >= 64_000


# The effort as a message. Read on 2026-11-30:
# - OpenAI: openai 3.57 (ResponseConfigurationUpdateItemParam: "for subsequent responses until another configuration
#   update replaces it"; GPT-6 and later), vercel/ai#20390, langchain-ai/langchainjs#11560 (adjacent ones are a 400).
# - Anthropic: anthropic 2.14 (BetaSystemMessageParam: "a message with neither content nor output_config fields is
#   rejected"), header mid-conversation-output-config-2026-07-01; a system message follows a user's and comes last or
#   before an assistant's (mid-conversation system messages, August 2026).
UPDATES_HEADER = "mid-conversation-output-config-2026-07-01"


def effort_of_answer(request: VendorRequest, *, is_supported: bool) -> str | VendorResponse:
    """Returns the level at which a model answers this request, or the vendor's refusal of the request."""
    items = request.body.get("input") or request.body["messages"]
    level = effort_in(request.body)
    for place, item in enumerate(items):
        behind = items[place + 1] if place + 1 < len(items) else {}
        if item.get("type") == "configuration_update":
            if not is_supported:
                return unsupported(f"Invalid value: 'configuration_update' at input[{place}].type.")
            if behind.get("role") != "user":
                return unsupported(f"input[{place}]: a configuration_update must directly precede a user message.")
            level = item["reasoning"]["effort"]
        if item.get("role") == "system" and "messages" in request.body:
            has_effort = "output_config" in item
            if has_effort and not (is_supported and UPDATES_HEADER in request.headers.get("anthropic-beta", "")):
                return unsupported(f"messages.{place}.output_config: Extra inputs are not permitted")
            if items[place - 1]["role"] != "user" or behind.get("role", "assistant") != "assistant":
                return unsupported(f"messages.{place}.role: a system message must follow a user message.")
            if not (item["content"] or has_effort):
                return unsupported(f"messages.{place}: content must not be empty")
            level = item["output_config"]["effort"] if has_effort else level
        elif "messages" in request.body and item["role"] == "user":
            # It holds for a turn.
            level = effort_in(request.body)
    return level


CALLED = (
    Turn("assistant", "", parts=(ToolCall(0, "c0", "time__now", {}),)),
    Turn("user", "", parts=(ToolResult("c0", "time__now", "Noon."),)),
)
WITH_TOOL = replace(WITH_ALL, web_search=None)
INSTRUCTED = replace(WITH_TOOL, turns=(Turn("user", "Hi", instruction="Answer in a word."),))
IN_STEPS = replace(WITH_TOOL, turns=(*WITH_TOOL.turns, *CALLED))


@pytest.mark.parametrize("is_supported", [True, False], ids=["takes it", "refuses it"])
async def test_openai_gets_the_effort_as_a_message_that_leaves_the_cached_beginning_as_it_is(
    in_process: InProcessVendor, monkeypatch: pytest.MonkeyPatch, is_supported: bool
) -> None:
    monkeypatch.setattr(InProcessVendor, "url", "https://api.openai.com")
    await check_message_efforts(RESPONSES, in_process, is_supported=is_supported)


@pytest.mark.parametrize("is_supported", [True, False], ids=["takes it", "refuses it"])
async def test_claude_gets_the_effort_as_a_message_that_leaves_the_cached_beginning_as_it_is(
    vendor: VendorServer, monkeypatch: pytest.MonkeyPatch, is_supported: bool
) -> None:
    monkeypatch.setattr("bot.models.anthropic.has_only_vendor_models", lambda url: True)
    await check_message_efforts(ANTHROPIC, vendor, is_supported=is_supported)


async def check_message_efforts(api: VendorApi, server: AnyVendor, *, is_supported: bool) -> None:
    levels: list[str] = []

    def answer(request: VendorRequest) -> VendorResponse:
        if request.method == "GET":
            body = json.dumps(described(low=True, medium=True, high=True, xhigh=True)).encode()
            return VendorResponse([body], content_type="application/json")
        level = effort_of_answer(request, is_supported=is_supported)
        if isinstance(level, VendorResponse):
            return level
        levels.append(level)
        return api.streamed("one")

    server.script(answer)
    async with connected(api, server) as model:
        for prompt in (WITH_TOOL, IN_STEPS, INSTRUCTED):
            for effort in (NORMAL, THOROUGH, FAST):
                received = await collect(model, replace(prompt, effort=effort))
                assert received.completions[0].effort == {NORMAL: "", THOROUGH: "xhigh", FAST: "low"}[effort]
        await collect(model)
    assert levels == ["", "xhigh", "low"] * 3 + [""]
    asked = [request.body for request in server.requests if request.method == "POST"]
    assert len(asked) == len(levels) + (not is_supported), "a refusal is remembered"
    assert any(map(effort_in, asked)) is not is_supported
    if is_supported:
        usual, thorough = (
            beginnings([block for block in blocks_of(body) if "xhigh" not in block.text]) for body in asked[:2]
        )
        assert thorough[-1] == usual[-1]
        assert sum('"cache_control"' in json.dumps(one) for one in asked[1].get("messages", ())) in (0, 2)


@pytest.mark.parametrize("api", [RESPONSES, CHAT, ANTHROPIC], ids=str)
async def test_server_that_only_resembles_a_vendor_gets_the_effort_in_the_request(
    vendor: VendorServer, api: VendorApi
) -> None:
    """It might ignore a message of an unknown type, and nobody would notice."""
    vendor.has_all_models = True
    await ask(api, vendor, api.streamed("one"), prompt=THOROUGHLY)
    [level] = efforts(vendor)
    assert level == "xhigh"
