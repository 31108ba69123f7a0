"""A refused history costs its own answer a request, and changes no other request: it isn't a property of the model."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from bot.models import anthropic, openai
from bot.models.events import Opaque, ToolCall
from bot.models.model import Vendor
from bot.models.parameters import OptionalParameter
from bot.models.prompt import Effort, Prompt, ToolResult, Turn, WebSearch
from bot.models.setup import VendorSettings
from tests.contracts.in_process import InProcessVendor
from tests.contracts.notifications import collect
from tests.contracts.test_provider_files import drawn
from tests.contracts.test_provider_tool_search import OWN, TOOLS
from tests.contracts.vendors import ANTHROPIC, CHAT, KEY, RESPONSES, VendorApi, options, unsupported
from tests.streams.server import VendorRequest, VendorResponse

UNRELATED = Prompt(
    "Be brief.",
    (Turn("user", "What is in this picture?", (drawn("theirs.png", 1_500, 40),)),),
    "c0ffee",
    (OWN, *TOOLS),
    WebSearch(),
    Effort.THOROUGH,
    asker="ada",
)
CALL = ToolCall(0, "c0", TOOLS[0].name, {})
ITEMS: Mapping[VendorApi, Mapping[str, Any]] = {
    RESPONSES: {"type": "function_call", "id": "fc_0", "call_id": "c0", "name": CALL.name, "arguments": "{}"},
    CHAT: {
        "role": "assistant",
        "tool_calls": [{"id": "c0", "type": "function", "function": {"name": CALL.name, "arguments": "{}"}}],
    },
    ANTHROPIC: {"type": "tool_use", "id": "c0", "name": CALL.name, "input": {}},
}
"""The call as an item of the model's own."""


def steps(*parts: Opaque) -> tuple[Turn, ...]:
    result = ToolResult("c0", CALL.name, "Created.")
    asked = Turn("user", "Please create a milestone.")
    return asked, Turn("assistant", "", parts=(CALL, *parts)), Turn("user", "", parts=(result,))


OURS = drawn("ours.png", 1_200, 30)
HISTORIES: Mapping[str, Callable[[VendorApi], tuple[Turn, ...]]] = {
    "steps": lambda api: steps(),
    "its own items": lambda api: steps(Opaque(api.model.partition("/")[0], ITEMS[api])),
    "messages": lambda api: (
        Turn("user", "A milestone?", (OURS,)),
        Turn("assistant", "Created."),
        Turn("user", "And now?"),
    ),
}

NAMED: Mapping[OptionalParameter, str] = {
    OptionalParameter.TOOLS: "`tool_use` ids were found without `tool_result` blocks immediately after",
    OptionalParameter.DISPENSABLE_TOOLS: "functions don't match",
    OptionalParameter.TOOL_SEARCH: f"Missing namespace for function_call '{CALL.name}'. It does not exist in the "
    "default namespace. Round-trip the model's function_call item with its namespace field included.",
    OptionalParameter.WEB_SEARCH: "web_search results are incomplete",
    OptionalParameter.WEB_FETCH: "web_fetch results are incomplete",
    OptionalParameter.SYSTEM_ROLE: "Conversation roles must alternate user/assistant roles",
    OptionalParameter.USAGE: "stream_options isn't possible here",
    OptionalParameter.EFFORT: "effort 'high' isn't possible here",
    OptionalParameter.REASONING_SUMMARIES: "reasoning summary isn't possible here",
    OptionalParameter.ENCRYPTED_REASONING: "include isn't possible here",
    OptionalParameter.STRICT: "strict isn't possible here",
    OptionalParameter.SAFETY_ID: "metadata isn't possible here",
    OptionalParameter.CACHE_KEY: "prompt_cache_key isn't possible here",
    OptionalParameter.CACHE_BREAKPOINT: "prompt_cache_breakpoint isn't possible here",
    OptionalParameter.PHASE: "phase isn't possible here",
    OptionalParameter.TOOLS_WITH_REASONING: "calls need /v1/responses",
    OptionalParameter.OLD_LIMIT: "max_tokens is unsupported",
    OptionalParameter.LIMIT: "max_output_tokens and max_completion_tokens are unsupported",
    OptionalParameter.STORE: "store isn't possible here",
    OptionalParameter.BARE_ANSWERS: "the reasoning_content must be passed back",
    OptionalParameter.UNSIGNED_CALLS: "missing a thought_signature",
    OptionalParameter.STREAM: "stream is not supported",
}
OTHERS = {
    "nothing": "Bad request.",
    "a tool": f"tool {CALL.name} is unknown",
    "many tools": "too many tools, at most 64 tools",
    "a level": "reasoning effort: supported values are low, medium",
    "room": "max_tokens is too large",
    "files": "Could not process image",
    "pixels": "Image size exceeds the maximum of 1024x1024",
    "another API": "This is only supported in v1/responses",
}


def connect(api: VendorApi, in_process: InProcessVendor) -> Vendor:
    """Connects to the vendor itself, whose tools can be searched for, or to a server with Chat Completions."""
    if api is RESPONSES:
        return openai.connect("openai", VendorSettings(KEY, "https://api.openai.com/v1"), options())
    if api is ANTHROPIC:
        return anthropic.connect("anthropic", VendorSettings(KEY, "https://api.anthropic.com"), options())
    return api.connect(in_process.url)


ROWS = {**{parameter.name: NAMED[parameter] for parameter in OptionalParameter}, **OTHERS}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES.keys())
@pytest.mark.parametrize("words", ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize("api", [RESPONSES, CHAT, ANTHROPIC], ids=str)
@pytest.mark.long(after_row=1)
async def test_unrelated_question_is_sent_as_if_no_history_had_been_refused(
    in_process: InProcessVendor, api: VendorApi, words: str, history: Callable[[VendorApi], tuple[Turn, ...]]
) -> None:
    refused: list[bytes] = []

    def answer(request: VendorRequest) -> VendorResponse:
        at = next(one for one in (RESPONSES, CHAT, ANTHROPIC) if one.path == request.path)
        items = request.body.get("input") or request.body["messages"]
        theirs = [place for place, item in enumerate(items) if item.get("role", "assistant") == "assistant"]
        if theirs and (not refused or request.content == refused[0]):
            refused.append(request.content)
            place = f"{'input' if at is RESPONSES else 'messages'}[{theirs[0]}]"
            return unsupported(words, param=place)
        return at.streamed("Done.") if request.body.get("stream") else at.whole("Done.")

    in_process.script(answer)
    vendors = [connect(api, in_process) for _ in range(2)]
    model, fresh = (vendor.model("m") for vendor in vendors)
    received = await collect(model, replace(UNRELATED, turns=history(api)))
    assert (received.text, bool(refused)) == ("Done.", True)
    for one in (model, fresh):
        assert (await collect(one, UNRELATED)).text == "Done."
    for vendor in vendors:
        await vendor.aclose()
    after, expected = in_process.requests[-2:]
    assert (after.path, after.content) == (expected.path, expected.content)
