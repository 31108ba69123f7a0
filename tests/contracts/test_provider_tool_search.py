"""Vendors' searches for tools: a model with a hundred tools reads the definitions that a question needs, and no others.

The stand-ins keep what OpenAI and Anthropic document (read on 2026-11-28):
https://developers.openai.com/api/docs/guides/tools-tool-search
https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool
"""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.models import anthropic, openai
from bot.models.events import Opaque, Searching, ToolCall
from bot.models.model import Provider
from bot.models.prompt import OURS, Prompt, ToolDefinition, ToolResult, Turn, deferred_tools, event_origins
from bot.models.setup import VendorSettings
from tests.contracts.in_process import InProcessVendor
from tests.contracts.notifications import PROMPT, Received, collect
from tests.contracts.vendor_rules import NAMESPACES
from tests.contracts.vendors import ANTHROPIC, KEY, RESPONSES, VendorApi, options, unsupported
from tests.streams import steps
from tests.streams.server import VendorRequest, VendorResponse, refusal

SERVERS = ("github", "notion", "jira", "sentry", "calendar")
VERBS = ("create", "delete", "list", "rename")
NOUNS = ("milestone", "branch", "page", "invoice", "meeting")
SCHEMA = {
    "type": "object",
    "properties": {f"field_{number}": {"type": "string", "description": "A text. " * 4} for number in range(14)},
}
TOOLS = tuple(
    ToolDefinition(f"{server}__{verb}_{noun}", f"{verb.title()}s a {noun} in {server}.", SCHEMA, "hash")
    for server in SERVERS
    for verb in VERBS
    for noun in NOUNS
)
OWN = ToolDefinition("remember", "Remembers something.", {"type": "object", "properties": {}}, is_dispensable=True)
ASKED = TOOLS[::2]
"""One tool for each of fifty questions."""
WITH_TOOLS = replace(PROMPT, tools=(OWN, *TOOLS))


def question_for(tool: ToolDefinition) -> str:
    server, _, name = tool.name.partition("__")
    return f"Please {name.replace('_', ' the ')} in {server}."


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower().replace("_", " ")))


def tokens(definitions: object) -> int:
    return len(json.dumps(definitions)) // 4


@dataclass
class StandIn:
    """A vendor whose model calls the tool that fits its question best, among those that it has read."""

    read_tokens: list[int] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    """What a cache keeps of the tools of each request."""

    def best(self, question: str, tools: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        asked = words(question)
        found = sorted(tools, key=lambda tool: -len(asked & words(f"{tool['name']} {tool['description']}")))
        return found[:5]


class OpenAi(StandIn):
    """At first the model sees the names and descriptions of namespaces. What it finds is added at the end."""

    def answer(self, request: VendorRequest) -> VendorResponse:
        body = request.body
        spaces = [tool for tool in body["tools"] if tool["type"] == "namespace"]
        is_searchable = {"type": "tool_search"} in body["tools"]
        assert is_searchable or not spaces, "deferred tools need the search"
        loaded = [tool for tool in body["tools"] if tool["type"] == "function"]
        seen = [{key: space[key] for key in ("name", "description")} for space in spaces]
        found = [item for item in body["input"] if item.get("type") == "tool_search_output"]
        self.read_tokens.append(tokens([loaded, seen, found]))
        self.prefixes.append(json.dumps([loaded, seen]))
        if (refused := NAMESPACES.answers(body)) is not None:
            return refused
        if body["input"][-1].get("type") == "function_call_output":
            return RESPONSES.streamed("Done.")
        question = body["input"][-1]["content"]
        if not spaces:
            return VendorResponse(steps.responses(self._call(self.best(question, loaded)[0])))
        space = max(spaces, key=lambda space: len(words(question) & words(space["description"])))
        assert all(tool["defer_loading"] for tool in space["tools"])
        tools = self.best(question, space["tools"])
        search = {"type": "tool_search_call", "id": "tsc_1", "execution": "server", "status": "completed"}
        output = {"type": "tool_search_output", "id": "tso_1", "execution": "server", "status": "completed"}
        return VendorResponse(
            steps.responses(
                search | {"call_id": None, "arguments": {"paths": [space["name"]]}},
                output | {"call_id": None, "tools": [{**space, "tools": tools}]},
                self._call(tools[0], namespace=space["name"]),
            )
        )

    def _call(self, tool: Mapping[str, Any], **more: str) -> dict[str, Any]:
        call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed"}
        return call | {"name": tool["name"], "arguments": "{}", **more}


class Claude(StandIn):
    """The model sees nothing of deferred tools, and searches only for those that its instructions name.

    Observed of earlier models ("often skips the search and guesses"): dust-tt/dust#28069, mindroom-ai/mindroom#1721,
    read on 2026-11-30. The search returns references to three to five tools.
    """

    def answer(self, request: VendorRequest) -> VendorResponse:
        body = request.body
        searches = [tool for tool in body["tools"] if str(tool.get("type", "")).startswith("tool_search_tool_bm25")]
        deferred = [tool for tool in body["tools"] if tool.get("defer_loading")]
        loaded = [tool for tool in body["tools"] if not tool.get("defer_loading")]
        assert bool(searches) is bool(deferred), "deferred tools need the search, which is never deferred itself"
        assert not any("cache_control" in tool for tool in deferred), "refused"
        blocks = [block for turn in body["messages"] if isinstance(turn["content"], list) for block in turn["content"]]
        found = [block["content"]["tool_references"] for block in blocks if block["type"] == "tool_search_tool_result"]
        names = {reference["tool_name"] for references in found for reference in references}
        told = [block["text"] for block in body["system"]]
        self.read_tokens.append(tokens([loaded, told, [tool for tool in deferred if tool["name"] in names]]))
        self.prefixes.append(json.dumps([loaded, told]))
        if any(block["type"] == "tool_result" for block in blocks):
            kinds = [block["type"] for block in body["messages"][-2]["content"]]
            assert kinds[-3:] in (["server_tool_use", "tool_search_tool_result", "tool_use"], ["tool_use"])
            return ANTHROPIC.streamed("Done.")
        question = str(body["messages"][-1]["content"])
        lines = [line for text in told for line in text.splitlines()]
        known = [tool for tool in deferred if any(words(tool["name"]) <= words(line) for line in lines)]
        if deferred and not known:
            return ANTHROPIC.streamed("I don't have access to that.")
        tools = self.best(question, known or loaded)
        call = {"type": "tool_use", "id": "toolu_1", "name": tools[0]["name"], "input": {}}
        if not deferred:
            return VendorResponse(steps.messages(call))
        search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "tool_search_tool_bm25"}
        references = [{"type": "tool_reference", "tool_name": tool["name"]} for tool in tools]
        content = {"type": "tool_search_tool_search_result", "tool_references": references}
        result = {"type": "tool_search_tool_result", "tool_use_id": "srvtoolu_1", "content": content}
        return VendorResponse(steps.messages(search | {"input": {"query": question}}, result, call))


@asynccontextmanager
async def own(api: VendorApi, spoken: str = "") -> AsyncIterator[Provider]:
    """Connects to the vendor itself, as its address says: servers that resemble it are offered no search."""
    if api is not ANTHROPIC:
        client = openai.connect("openai", VendorSettings(KEY, "https://api.openai.com/v1", spoken), options())
    else:
        client = anthropic.connect("anthropic", VendorSettings(KEY, "https://api.anthropic.com"), options())
    try:
        yield client.model("m")
    finally:
        await client.aclose()


async def called(model: Provider, prompt: Prompt, text: str) -> tuple[Received, Prompt]:
    asked = replace(prompt, turns=(Turn("user", text),))
    received = await collect(model, asked)
    [call] = received.calls
    parts = tuple(event for event in received.others if isinstance(event, ToolCall | Opaque))
    result = Turn("user", "", parts=(ToolResult(call.call_id, call.name, "ok"),))
    return received, replace(asked, turns=(*asked.turns, Turn("assistant", "", parts=parts), result))


async def answered(model: Provider, prompt: Prompt, text: str) -> tuple[Received, ToolCall]:
    received, going_on = await called(model, prompt, text)
    done = await collect(model, going_on)
    assert done.text == "Done."
    return received, received.calls[0]


@pytest.mark.parametrize(("api", "kind"), [(RESPONSES, OpenAi), (ANTHROPIC, Claude)], ids=str)
@pytest.mark.long(after_row=1)
async def test_hundred_tools_cost_a_tenth_and_the_right_one_is_called(
    in_process: InProcessVendor, api: VendorApi, kind: type[OpenAi | Claude]
) -> None:
    stand_in = kind()
    in_process.script(stand_in.answer)
    right = 0
    async with own(api) as model:
        for tool in ASKED:
            received, call = await answered(model, WITH_TOOLS, question_for(tool))
            right += call.name == tool.name
            assert not [event for event in received.others if isinstance(event, Searching)], "no search of the web"
            assert all(event_origins(event) == OURS for event in received.others), "nothing but definitions was read"
    all_tokens = tokens([[tool.name, tool.description, tool.parameters] for tool in WITH_TOOLS.tools])
    firsts, seconds = stand_in.read_tokens[::2], stand_in.read_tokens[1::2]
    assert (right, len(ASKED)) == (50, 50)
    assert max(a + b for a, b in zip(firsts, seconds, strict=True)) < 2 * all_tokens / 10, (all_tokens, firsts[0])
    if api is RESPONSES:
        found = [item for item in in_process.requests[-1].body["input"] if item.get("type") == "tool_search_output"]
        assert found[0]["tools"][0]["tools"][0]["name"] == ASKED[-1].name, "sent back as it came"
    assert len(set(stand_in.prefixes)) == 1, "what a cache keeps stays the same"


FEW = replace(PROMPT, tools=(OWN, *TOOLS[:20]))
"""So few that their definitions are read at once."""
MOVES = {
    "as before": lambda tools: tools,
    "others are added, and all are searched for": lambda tools: (OWN, *TOOLS),
    "few are left, and all are read": lambda tools: tools[:21],
    "its tool is gone": lambda tools: tools[2:],
    "its tool is gone, and few are left": lambda tools: tools[2:21],
    "all are gone": lambda tools: (),
    "its tool has another name": lambda tools: (tools[0], replace(tools[1], name="github__new_milestone"), *tools[2:]),
}
"""What happens to the tools of a step until its answer goes on."""


REFUSALS = {
    "OpenAI, an older model": (RESPONSES, "Tool 'tool_search' is not supported with gpt-5-mini."),
    "Anthropic, an older model": (ANTHROPIC, "tools.101: tool_search_tool_bm25_20251119 is not supported by m."),
    "a strict place": (ANTHROPIC, "tools.1.defer_loading: Extra inputs are not permitted"),
}


@pytest.mark.parametrize(("api", "message"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_refused_search_is_left_out_once_and_all_tools_stay(
    in_process: InProcessVendor, api: VendorApi, message: str
) -> None:
    def answer(request: VendorRequest) -> VendorResponse:
        return unsupported(message) if "tool_search" in str(request.body["tools"]) else api.streamed("one")

    in_process.script(answer)
    async with own(api) as model:
        received = [await collect(model, WITH_TOOLS), await collect(model, WITH_TOOLS)]
    assert [one.completions[0].refused for one in received] == [(), ()]
    assert len(in_process.requests) == 3, "remembered"
    assert len(in_process.requests[-1].body["tools"]) == 101


@pytest.mark.parametrize("api", [RESPONSES, ANTHROPIC], ids=str)
async def test_servers_that_resemble_the_vendor_get_all_definitions(
    in_process: InProcessVendor, api: VendorApi
) -> None:
    """They may ignore what they don't know, and the model would have no tools."""
    in_process.script(api.streamed("one"))
    client = api.connect(in_process.url)
    await collect(client.model("m"), WITH_TOOLS)
    await client.aclose()
    [request] = in_process.requests
    assert len(request.body["tools"]) == 101
    assert "defer_loading" not in str(request.body)


def test_short_definitions_and_small_servers_are_read_at_once() -> None:
    assert deferred_tools(TOOLS[:20]) == {}
    small = ToolDefinition("time__now", "The time.", {"type": "object"}, "hash")
    assert set(deferred_tools((OWN, small, *TOOLS))) == set(SERVERS)


async def test_found_tools_that_claude_no_longer_knows_are_left_out_by_the_code_of_its_refusal(
    in_process: InProcessVendor,
) -> None:
    # anthropic 2.14.0, types/tool_reference_unresolved_error_details.py, read on 2026-11-30.
    error = {"type": "invalid_request_error", "message": "No.", "details": {"error_code": "tool_reference_unresolved"}}

    def answer(request: VendorRequest) -> VendorResponse:
        is_found = "tool_search_tool_result" in str(request.body)
        return refusal(400, {"type": "error", "error": error}) if is_found else ANTHROPIC.streamed("Done.")

    content = {"type": "tool_search_tool_search_result", "tool_references": []}
    found = Opaque("anthropic", {"type": "tool_search_tool_result", "tool_use_id": "s1", "content": content})
    call = ToolCall(0, "c1", TOOLS[0].name, {})
    steps_made = Turn("assistant", "", parts=(found, call)), Turn("user", "", parts=(ToolResult("c1", call.name, "1"),))
    in_process.script(answer)
    async with own(ANTHROPIC) as model:
        received = await collect(model, replace(WITH_TOOLS, turns=(*PROMPT.turns, *steps_made)))
    assert (received.text, received.completions[0].refused, len(in_process.requests)) == ("Done.", (), 2)
