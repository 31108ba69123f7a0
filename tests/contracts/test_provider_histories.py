"""Histories: an answer continues wherever its calls were made, and a refused one changes no other request."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from bot.core.beginnings import without_thoughts
from bot.models import anthropic, openai
from bot.models.events import Opaque, ToolCall
from bot.models.model import Vendor
from bot.models.parameters import OptionalParameter
from bot.models.prompt import Effort, Prompt, ToolDefinition, ToolResult, Turn, WebSearch
from bot.models.setup import VendorSettings
from tests.contracts.in_process import InProcessVendor
from tests.contracts.notifications import collect
from tests.contracts.test_provider_files import drawn
from tests.contracts.test_provider_tool_search import MOVES, OWN, TOOLS
from tests.contracts.vendor_rules import HISTORIES, NAMESPACES
from tests.contracts.vendors import ANTHROPIC, CHAT, KEY, RESPONSES, VendorApi, options, unsupported
from tests.streams.server import VendorRequest, VendorResponse
from tests.streams.steps import (
    REASONING,
    REDACTED,
    THINKING,
    chat,
    chat_call,
    function_call,
    messages,
    responses,
    tool_use,
)

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


def messages_before(_: VendorApi) -> tuple[Turn, ...]:
    return Turn("user", "A milestone?", (OURS,)), Turn("assistant", "Created."), Turn("user", "And now?")


CONVERSATIONS: Mapping[str, Callable[[VendorApi], tuple[Turn, ...]]] = {
    "steps": lambda api: steps(),
    "its own items": lambda api: steps(Opaque(api.model.partition("/")[0], ITEMS[api])),
    "messages": messages_before,
    "messages, whose place isn't stated": messages_before,
}

NAMED: Mapping[OptionalParameter, str] = {
    OptionalParameter.TOOLS: "`tool_use` ids were found without `tool_result` blocks immediately after",
    OptionalParameter.DISPENSABLE_TOOLS: "functions don't match",
    OptionalParameter.TOOL_SEARCH: f"Missing namespace for function_call '{CALL.name}'. It does not exist in the "
    "default namespace. Round-trip the model's function_call item with its namespace field included.",
    OptionalParameter.WEB_SEARCH: "web_search results are incomplete",
    OptionalParameter.WEB_FETCH: "web_fetch results are incomplete",
    OptionalParameter.SYSTEM_ROLE: "Conversation roles must alternate user/assistant roles",
    OptionalParameter.OUR_ROLE: "role 'system' is not supported on this model",
    OptionalParameter.USAGE: "stream_options isn't possible here",
    OptionalParameter.PROGRESS: "thinking.adaptive.display isn't possible here",
    OptionalParameter.EFFORT: "effort 'high' isn't possible here",
    OptionalParameter.MESSAGE_EFFORT: "configuration_update and mid-conversation efforts aren't possible here",
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


@pytest.mark.parametrize("history", CONVERSATIONS)
@pytest.mark.parametrize("words", ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize("api", [RESPONSES, CHAT, ANTHROPIC], ids=str)
@pytest.mark.long(after_row=1)
async def test_unrelated_question_is_sent_as_if_no_history_had_been_refused(
    in_process: InProcessVendor, api: VendorApi, words: str, history: str
) -> None:
    refused: list[bytes] = []

    def answer(request: VendorRequest) -> VendorResponse:
        at = next(one for one in (RESPONSES, CHAT, ANTHROPIC) if one.path == request.path)
        items = request.body.get("input") or request.body["messages"]
        theirs = [place for place, item in enumerate(items) if item.get("role", "assistant") == "assistant"]
        if theirs and (not refused or request.content == refused[0]):
            refused.append(request.content)
            place = f"{'input' if at is RESPONSES else 'messages'}[{theirs[0]}]"
            return unsupported(words, param=place if history != "messages, whose place isn't stated" else None)
        return at.streamed("Done.") if request.body.get("stream") else at.whole("Done.")

    in_process.script(answer)
    vendors = [connect(api, in_process) for _ in range(2)]
    model, fresh = (vendor.model("m") for vendor in vendors)
    received = await collect(model, replace(UNRELATED, turns=CONVERSATIONS[history](api)))
    assert (received.text, bool(refused)) == ("Done.", True)
    for one in (model, fresh):
        assert (await collect(one, UNRELATED)).text == "Done."
    for vendor in vendors:
        await vendor.aclose()
    after, expected = in_process.requests[-2:]
    assert (after.path, after.content) == (expected.path, expected.content)


STATED = {
    "a parameter": (RESPONSES, "safety_identifier", "Unknown parameter.", "safety_identifier"),
    "a member of a parameter": (RESPONSES, "include", "Invalid include.", "include[0]"),
    "before the sentence": (ANTHROPIC, "metadata", "metadata.user_id: Extra inputs are not permitted", None),
    "another API's parameter": (CHAT, "prompt_cache_key", "Unknown.", "prompt_cache_key"),
}
"""Refusals of a follow-up question that state which field they are about: the API, the field, the words, the place."""


@pytest.mark.parametrize(("api", "field", "words", "param"), STATED.values(), ids=STATED.keys())
async def test_refusal_that_states_a_field_of_the_request_is_remembered_for_other_conversations(
    in_process: InProcessVendor, api: VendorApi, field: str, words: str, param: str | None
) -> None:
    in_process.script(
        lambda request: unsupported(words, param=param) if field in request.body else api.streamed("Done.")
    )
    vendor = connect(api, in_process)
    model = vendor.model("m")
    for turns in (messages_before(api), UNRELATED.turns):
        assert (await collect(model, replace(UNRELATED, turns=turns))).text == "Done."
    await vendor.aclose()
    assert len(in_process.requests) == 3


async def test_refusal_about_a_history_is_remembered_for_its_conversation(in_process: InProcessVendor) -> None:
    def answer(request: VendorRequest) -> VendorResponse:
        is_refused = "assistant" in str(request.body["messages"]) and "tools" in request.body
        return unsupported("m does not support tools") if is_refused else CHAT.streamed("Done.")

    in_process.script(answer)
    vendor = connect(CHAT, in_process)
    model, asked = vendor.model("m"), replace(UNRELATED, turns=messages_before(CHAT))
    for turns in (asked.turns, UNRELATED.turns, (*asked.turns, Turn("assistant", "Now."), Turn("user", "And then?"))):
        requests = len(in_process.requests)
        assert (await collect(model, replace(asked, turns=turns))).text == "Done."
    await vendor.aclose()
    assert len(in_process.requests) == requests + 1


def thoughts(api: VendorApi) -> Mapping[str, Mapping[str, Any] | None]:
    """Returns what a model can have thought before a call, by its name in the table."""
    if api is RESPONSES:
        bare = {name: value for name, value in REASONING.items() if name != "encrypted_content"}
        return {"thought": REASONING, "thought in vain": bare, "no thought": None}
    if api is ANTHROPIC:
        return {"thought": THINKING, "redacted thought": REDACTED, "no thought": None}
    return {"thought": {"reasoning_content": "Hm."}, "no thought": None}


MADE = {
    f"{api}, {name}": (api, thought) for api in (RESPONSES, ANTHROPIC, CHAT) for name, thought in thoughts(api).items()
}
"""Where a call was made, and after which thought."""


def calling(api: VendorApi, thought: Mapping[str, Any] | None) -> Callable[[VendorRequest], VendorResponse]:
    """Returns a model that calls the first tool, after it has found it if it is deferred."""

    def call(request: VendorRequest) -> VendorResponse:
        before: list[Mapping[str, Any]] = [] if thought is None else [thought]
        if api is CHAT:
            return VendorResponse(chat(*before, chat_call("{}", 0, id="call:1", name=TOOLS[0].name)))
        if api is RESPONSES:
            space = next((tool for tool in request.body["tools"] if tool["type"] == "namespace"), None)
            search: dict[str, Any] = {"id": "ts_1", "call_id": None, "execution": "server", "status": "completed"}
            if space:
                before.append({"type": "tool_search_call", "arguments": {}, **search})
                before.append(
                    {"type": "tool_search_output", **search, "tools": [{**space, "tools": space["tools"][:3]}]}
                )
            named = {"namespace": space["name"]} if space else {}
            return VendorResponse(responses(*before, {**function_call("call_1", CALL.name, "{}"), **named}))
        if "tool_search" in str(request.body["tools"]):
            references = [{"type": "tool_reference", "tool_name": tool.name} for tool in TOOLS[:3]]
            content = {"type": "tool_search_tool_search_result", "tool_references": references}
            search = {"id": "srvtoolu_1", "name": "tool_search_tool_bm25", "input": {"query": "milestones"}}
            before.append({"type": "server_tool_use", **search})
            before.append({"type": "tool_search_tool_result", "tool_use_id": "srvtoolu_1", "content": content})
        return VendorResponse(messages(*before, tool_use("toolu_1", CALL.name, {}), stop_reason="tool_use"))

    return call


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
@pytest.mark.parametrize("before", [(OWN, *TOOLS), (OWN, *TOOLS[:20])], ids=["searched for", "read"])
@pytest.mark.parametrize(("made_at", "thought"), MADE.values(), ids=MADE.keys())
@pytest.mark.parametrize("api", [RESPONSES, ANTHROPIC, CHAT], ids=str)
@pytest.mark.long(after_row=20)
async def test_answer_continues_without_a_refusal_wherever_and_however_its_calls_were_made(
    in_process: InProcessVendor,
    api: VendorApi,
    made_at: VendorApi,
    thought: Mapping[str, Any] | None,
    before: tuple[ToolDefinition, ...],
    move: Callable[[tuple[ToolDefinition, ...]], tuple[ToolDefinition, ...]],
) -> None:
    asked = replace(UNRELATED, turns=(Turn("user", "Please create a milestone."),), tools=before)
    vendor, other = connect(made_at, in_process), connect(api, in_process)
    in_process.script(calling(made_at, thought))
    begun = await collect(vendor.model("m"), asked)
    parts = tuple(event for event in begun.others if isinstance(event, ToolCall | Opaque))
    result = Turn("user", "", parts=(ToolResult(begun.calls[0].call_id, CALL.name, "Created."),))
    tools = move(before)
    later = replace(asked, tools=tools, web_search=asked.web_search if tools else None)
    # As services do, whose prompts are compared by their hash.
    kept = parts if tools == before else without_thoughts(parts)
    refused: list[str] = []

    def answer(request: VendorRequest) -> VendorResponse:
        rules = [rule for rule in (*HISTORIES, NAMESPACES) if rule.api is api]
        refusals = [refusal for rule in rules if (refusal := rule.answers(request.body))]
        refused.extend(b"".join(refusal.chunks).decode() for refusal in refusals)
        return refusals[0] if refusals else api.streamed("Done.")

    in_process.script(answer)
    received = await collect(
        other.model("m"), replace(later, turns=(*asked.turns, Turn("assistant", "", parts=kept), result))
    )
    await vendor.aclose()
    await other.aclose()
    assert (refused, received.text, received.completions[0].refused) == ([], "Done.", ())
    assert len(in_process.requests) == 2
