"""The effort of an answer in the vendors' terms, and what a refusal of it changes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bot.errors import EndReason
from bot.models.prompt import Effort, ToolDefinition, WebSearch
from tests.contracts.in_process import AnyVendor, InProcessVendor
from tests.contracts.notifications import PROMPT, ask, collect, connected
from tests.contracts.vendors import ANTHROPIC, CHAT, RESPONSES, VendorApi, unsupported
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
    """Returns all of a request but its effort."""
    rest = {name: value for name, value in body.items() if name not in ("reasoning_effort", "output_config")}
    if "reasoning" in rest:
        rest["reasoning"] = {name: value for name, value in rest["reasoning"].items() if name != "effort"}
    return rest


def efforts(vendor: AnyVendor) -> list[str]:
    """Returns the level of effort in each request for an answer."""
    return [effort_in(request.body) for request in vendor.requests]


@pytest.mark.parametrize(("effort", "level"), [(FAST, "low"), (NORMAL, ""), (THOROUGH, "high")])
@pytest.mark.parametrize("api", [RESPONSES, CHAT, ANTHROPIC], ids=str)
async def test_effort_is_sent_in_the_terms_of_each_api(
    vendor: VendorServer, api: VendorApi, effort: Effort, level: str
) -> None:
    received = await ask(api, vendor, api.streamed("one"), prompt=replace(PROMPT, effort=effort))
    assert efforts(vendor) == [level]
    assert received.completions[0].effort == level


# As the vendors and servers word it.
OPENAI_VALUE = "Unsupported value: '{}' is not supported with the 'gpt-6-astra' model. Supported values are: {}."
REFUSALS = {
    "OpenAI, a value above": (
        RESPONSES,
        THOROUGH,
        OPENAI_VALUE.format("high", "'none', 'low', and 'medium'"),
        "medium",
    ),
    "OpenAI, the only value": (RESPONSES, FAST, OPENAI_VALUE.format("low", "'high'"), "high"),
    "OpenAI, the cheaper of two": (RESPONSES, FAST, OPENAI_VALUE.format("low", "'minimal' and 'medium'"), "minimal"),
    "OpenAI, a model named like a level": (
        RESPONSES,
        THOROUGH,
        "Unsupported value: 'high' is not supported with the 'gpt-6-max' model. Supported values are: 'minimal'.",
        "minimal",
    ),
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
        "output_config.effort 'high' is not supported when thinking is disabled on this model. "
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
        unsupported(OPENAI_VALUE.format("high", "'low' and 'medium'"), "reasoning.effort"),
        unsupported("The following tools cannot be used with reasoning.effort 'medium': web_search."),
        RESPONSES.streamed("one"),
    )
    async with connected(RESPONSES, in_process) as model:
        assert (await collect(model, replace(WITH_ALL, effort=THOROUGH))).completions[0].refused[
            -1
        ] == "thinking longer"
        for _ in range(6):
            received = await collect(model, replace(WITH_ALL, effort=THOROUGH))
    assert efforts(in_process)[:3] == ["high", "medium", ""]
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
    assert [request.body["reasoning"] for request in in_process.requests][-1] == {"effort": "high"}


async def test_refused_effort_is_remembered_only_if_the_request_without_it_succeeds(
    in_process: InProcessVendor,
) -> None:
    # It names the effort, and means something else.
    error = unsupported("The question 'How much effort is it?' was refused.")
    in_process.script(error, error, error, RESPONSES.streamed("one"))
    async with connected(RESPONSES, in_process) as model:
        assert (await collect(model, THOROUGHLY)).failure is EndReason.UNEXPECTED
        assert (await collect(model, THOROUGHLY)).text == "one"
    assert efforts(in_process) == ["high", "", "", "high"]


async def test_failure_that_is_no_bad_request_keeps_the_effort(in_process: InProcessVendor) -> None:
    scarce = refusal(503, {"error": {"message": "Reasoning effort is scarce."}})
    assert (await ask(RESPONSES, in_process, scarce, prompt=THOROUGHLY)).failure is EndReason.OVERLOADED
    assert efforts(in_process) == ["high"]


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
        assert (await collect(model, THOROUGHLY)).completions[0].effort == "high"
    assert efforts(in_process) == ["high", "high", "none", "high"]
