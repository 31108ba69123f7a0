"""Tool calls and web searches at each API, from streams in its documented form."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import process_time
from typing import Any

import pytest

from bot.errors import EndReason
from bot.models.events import MAX_SEARCHES, Citation, FinishReason, Opaque, Searching, TextPart, ToolCall, Usage
from bot.models.failures import RequestAttempt
from bot.models.model import MAX_PAUSES
from bot.models.openai import ChatReader
from bot.models.parameters import MAX_REFUSED_TOOLS
from bot.models.prompt import Prompt, ToolDefinition, ToolResult, Turn, WebSearch
from bot.models.registry import VENDORS
from bot.models.setup import VendorSettings
from bot.models.streams import MAX_CALLS
from bot.models.wrappers import Fallback, StallTimeout
from tests.contracts.in_process import AnyVendor, InProcessVendor
from tests.contracts.notifications import PROMPT, Received, ask, collect, connected
from tests.contracts.vendors import ANTHROPIC, APIS, CHAT, KEY, RESPONSES, VendorApi, options
from tests.streams import speech, steps
from tests.streams.server import ResponseEnd, VendorRequest, VendorResponse, VendorServer, refusal

CLOCK = ToolDefinition("time__now", "The time", {"type": "object", "properties": {"zone": {"type": "string"}}})
CALLING = replace(PROMPT, tools=(CLOCK,))
DISPENSABLE = replace(PROMPT, tools=(replace(CLOCK, is_dispensable=True),))
SEARCHING = replace(PROMPT, web_search=WebSearch())
ALL_APIS = pytest.mark.parametrize("api", APIS, ids=str)
NESTED = "meta/llama-3"
"""A model's name that has a slash: its vendor is what stands before the first one."""

OSLO, ROME = '{"zone": "Oslo"}', '{"zone": "Róma"}'
IN_OSLO, IN_ROME = {"zone": "Oslo"}, {"zone": "Róma"}
USAGE = Usage(speech.INPUT_TOKENS, steps.OUTPUT_TOKENS)


def json_answer(body: bytes) -> VendorResponse:
    return VendorResponse([body], content_type="application/json")


Call = tuple[str, str, Mapping[str, Any] | None]


@dataclass(frozen=True)
class StepCase:
    api: VendorApi
    answer: VendorResponse
    calls: Sequence[Call]
    sent_back: Sequence[object]
    """The step as the next request repeats it, before the results."""
    text: str = ""
    usage: Usage = USAGE


def step(
    api: VendorApi,
    items: Sequence[steps.Item],
    calls: Sequence[Call],
    text: str = "",
    *,
    back: Sequence[steps.Item] | None = None,
    whole: bool = False,
    edit: Callable[[list[bytes]], list[bytes]] = list,
    **how: Any,
) -> StepCase:
    """Returns a step of OpenAI's Responses or of Anthropic. The next request repeats its items, or those in `back`."""
    how |= {"stop_reason": "tool_use"} if api is ANTHROPIC else {}
    speak_whole: Any = steps.messages_whole if api is ANTHROPIC else steps.responses_whole
    speak: Any = steps.messages if api is ANTHROPIC else steps.responses
    answer = json_answer(speak_whole(*items, **how)) if whole else VendorResponse(edit(speak(*items, **how)))
    return StepCase(api, answer, calls, items if back is None else back, text)


def chat_back(calls: Sequence[Call], text: str = "", extras: Sequence[steps.Item] = (), **own: object) -> list[object]:
    """Returns the assistant's message with these calls, and the server's own data beside them."""
    wanted = [
        {
            **extra,
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments or {}, ensure_ascii=False)},
        }
        for (call_id, name, arguments), extra in zip(calls, extras or [{}] * len(calls), strict=True)
    ]
    return [{"role": "assistant", "content": text or None, **own, "tool_calls": wanted}]


def chat_step(
    *deltas: steps.Item, calls: Sequence[Call], text: str = "", ends: str = "tool_calls", **own: Any
) -> StepCase:
    """Returns a step of Chat Completions. `own`: what its server wants back beside the calls."""
    answer = VendorResponse(steps.chat(*deltas, finish_reason=ends))
    return StepCase(CHAT, answer, calls, chat_back(calls, text, **own), text)


def chat_json_step(*deltas: steps.Item, calls: Sequence[Call], ends: str = "tool_calls", **own: Any) -> StepCase:
    asked = [call for delta in deltas for call in delta["tool_calls"]]
    answer = json_answer(steps.chat_whole(finish_reason=ends, tool_calls=asked, **own))
    return StepCase(CHAT, answer, calls, chat_back(calls, **own))


def recorded_step(api: VendorApi, name: str, calls: Any, back: Any, usage: Usage, text: str = "") -> StepCase:
    """Returns a step in a recorded form: its keys, their order, its framing."""
    events = [event + b"\n\n" for event in speech.documented(name).removesuffix(b"\n\n").split(b"\n\n")]
    return StepCase(api, VendorResponse(events), calls, back, text, usage)


def called(*arguments: Mapping[str, Any] | None, ids: Sequence[str] = ("c1", "c2")) -> list[Call]:
    return [(call_id, "time__now", wanted) for call_id, wanted in zip(ids, arguments, strict=False)]


BROKEN = '{"zone": "Oslo"'
ONE, TWO, BARE, UNREADABLE = called(IN_OSLO), called(IN_OSLO, IN_ROME), called({}), called(None)
FIRST: Any = {"id": "c1", "name": "time__now"}
SECOND: Any = {"id": "c2", "name": "time__now"}
UNNAMED: Any = {"name": "time__now"}

RESPONSES_ONE = (steps.REASONING, steps.function_call("c1", "time__now", OSLO))
RESPONSES_TWO = (*RESPONSES_ONE, steps.function_call("c2", "time__now", ROME))
RESPONSES_SAID = (steps.message("Let me see."), steps.function_call("c1", "time__now", OSLO))
ANTHROPIC_ONE = (steps.THINKING, steps.REDACTED, steps.tool_use("c1", "time__now", IN_OSLO))
ANTHROPIC_TWO = (steps.text("Let me see."), *ANTHROPIC_ONE, steps.tool_use("c2", "time__now", IN_ROME))
ANTHROPIC_BESIDE = (steps.SERVER_SEARCH, steps.tool_use("c1", "time__now", IN_OSLO))
ANTHROPIC_BARE = (steps.tool_use("c1", "time__now", {}),)


def responses_calls(*calls: tuple[str, str]) -> list[steps.Item]:
    return [{**steps.function_call("", "time__now", arguments), "call_id": call_id} for call_id, arguments in calls]


def said_again(events: list[bytes]) -> list[bytes]:
    return [event for event in events for _ in range(2 if b"output_item.done" in event else 1)]


def unended(events: list[bytes]) -> list[bytes]:
    return [event for event in events if b"content_block_stop" not in event]


COMPACT = '{"zone":"Oslo"}'
OPENAI_CALL: Any = {"call_id": "call_V8kQ2mZrT5yXnB3wLpJdHs7c", "name": "time__now"}
OPENAI_REASONING = {
    "id": "rs_0a4c7e1b93d2f856006920f1c1a2b48194c0d9e8f7a6b5c4d3",
    "type": "reasoning",
    "encrypted_content": "gAAAAABpIPHBvQw7Zc-d0ne_k3Y5mTnXr2LpVhS8uJaEfGt==",
    "summary": [],
}
OPENAI_ITEM = {
    "id": "fc_0a4c7e1b93d2f856006920f1c2f3e08194e5d4c3b2a1f0e9d8",
    "type": "function_call",
    "status": "completed",
    "arguments": COMPACT,
    **OPENAI_CALL,
}
CLAUDES_REASONING = {
    "type": "reasoning.text",
    "text": "The user asks for the time, so I need the clock in Oslo.",
    "signature": "EvABCkYIChgCKkAm1q7Tyb0Zc2XhVn9sLd4uRwKpJ5oE8iQfGa3xM6tNvSzBrWk0YlPj7HeCuD2gOmAq1FbIxT9R+w==",
    "format": "anthropic-claude-v1",
    "index": 0,
}
OPENAI_CALLED = called(IN_OSLO, ids=[OPENAI_CALL["call_id"]])
OPENROUTER_CALLED = called(IN_OSLO, ids=["toolu_vrtx_01HqWm3TzKd9Rb5XsVnYpLgQ"])
XAI_CALLED = called(IN_OSLO, ids=["call_40213976"])
GOOGLES = {"extra_content": {"google": {"s": "x"}}}


CASES = {
    # The documented form.
    "responses": step(RESPONSES, RESPONSES_ONE, ONE),
    "responses, parallel": step(RESPONSES, RESPONSES_TWO, TWO),
    "responses, after text": step(RESPONSES, RESPONSES_SAID, ONE, "Let me see."),
    "responses, JSON": step(RESPONSES, RESPONSES_TWO, TWO, whole=True),
    "responses, items only at the end": step(RESPONSES, RESPONSES_ONE, ONE, edit=lambda events: events[-1:]),
    "responses, items that come again": step(RESPONSES, RESPONSES_TWO, TWO, edit=said_again),
    "responses, no arguments": step(RESPONSES, [steps.function_call("c1", "time__now", "")], BARE),
    "responses, broken arguments": step(RESPONSES, [steps.function_call("c1", "time__now", BROKEN)], UNREADABLE),
    "anthropic": step(ANTHROPIC, ANTHROPIC_ONE, ONE),
    "anthropic, parallel, after text": step(ANTHROPIC, ANTHROPIC_TWO, TWO, "Let me see."),
    "anthropic, blocks that grow in turns": step(ANTHROPIC, ANTHROPIC_TWO, TWO, "Let me see.", edit=steps.interleaved),
    "anthropic, blocks without an end": step(ANTHROPIC, ANTHROPIC_TWO, TWO, "Let me see.", edit=unended),
    "anthropic, JSON": step(ANTHROPIC, ANTHROPIC_TWO, TWO, "Let me see.", whole=True),
    "anthropic, no arguments": step(ANTHROPIC, ANTHROPIC_BARE, BARE),
    "anthropic, broken arguments": step(ANTHROPIC, ANTHROPIC_BARE, UNREADABLE, broken=BROKEN),
    "anthropic, beside a search that runs in the next request": step(ANTHROPIC, ANTHROPIC_BESIDE, ONE),
    "anthropic, blank text": step(ANTHROPIC, (steps.text("\n"), *ANTHROPIC_ONE), ONE, back=ANTHROPIC_ONE),
    "chat": chat_step(steps.chat_call("", 0, **FIRST), *steps.fragments(OSLO, 0), calls=ONE),
    "chat, parallel, after text": chat_step(
        {"content": "Let me see."},
        steps.chat_call("", 0, **FIRST),
        *steps.fragments(OSLO, 0),
        steps.chat_call("", 1, **SECOND),
        *steps.fragments(ROME, 1),
        calls=TWO,
        text="Let me see.",
    ),
    "chat, JSON": chat_json_step(steps.chat_call(OSLO, **FIRST), calls=ONE),
    # Compatible servers' deviations.
    "chat, pieces in turns": chat_step(
        steps.chat_call("", 0, **FIRST),
        steps.chat_call("", 1, **SECOND),
        *(piece for pair in zip(steps.fragments(OSLO, 0), steps.fragments(ROME, 1), strict=True) for piece in pair),
        calls=TWO,
    ),
    "ollama before 0.4.7: no index": chat_step(
        steps.chat_call(OSLO, **FIRST), steps.chat_call(ROME, **SECOND), calls=TWO
    ),
    "ollama: index 0 for every call": chat_step(
        steps.chat_call(OSLO, 0, **FIRST), steps.chat_call(ROME, 0, **SECOND), ends="stop", calls=TWO
    ),
    "no ids": chat_step(
        steps.chat_call(OSLO, 0, **UNNAMED),
        steps.chat_call(ROME, 0, **UNNAMED),
        calls=called(IN_OSLO, IN_ROME, ids=("call_0", "call_1")),
    ),
    "one id for all calls": chat_step(
        steps.chat_call(OSLO, 0, **FIRST),
        steps.chat_call(ROME, 1, **FIRST),
        calls=called(IN_OSLO, IN_ROME, ids=("c1", "c1_0")),
    ),
    "id and name in every piece": chat_step(
        steps.chat_call(OSLO[:5], 0, **FIRST), steps.chat_call(OSLO[5:], 0, **FIRST), calls=ONE
    ),
    "the id before the name": chat_step(
        steps.chat_call(None, 0, id="c1"), steps.chat_call(OSLO, 0, **UNNAMED), calls=ONE
    ),
    "fragments without an index": chat_step(
        steps.chat_call("", 0, **FIRST), *map(steps.chat_call, speech.tokens(OSLO)), calls=ONE
    ),
    "gemini: ends with stop, with data of its own": chat_step(
        {"tool_calls": [steps.chat_call(OSLO, 0, **FIRST)["tool_calls"][0] | GOOGLES]},
        ends="stop",
        calls=ONE,
        extras=[GOOGLES],
    ),
    "litellm: arguments as an object": chat_step(steps.chat_call(IN_OSLO, 0, **FIRST), calls=ONE),
    "litellm, JSON: arguments as an object": chat_json_step(steps.chat_call(IN_OSLO, **FIRST), ends="stop", calls=ONE),
    "ollama, JSON: index 0 for every call": chat_json_step(
        steps.chat_call(OSLO, 0, **FIRST), steps.chat_call(ROME, 0, **SECOND), calls=TWO
    ),
    "qianfan: all arguments so far in each piece": chat_step(
        *(steps.chat_call(OSLO[:end], 0, **FIRST) for end in (5, 9, None)), calls=ONE
    ),
    "the arguments once more at the end": chat_step(
        steps.chat_call("", 0, **FIRST), *steps.fragments(OSLO, 0), steps.chat_call(OSLO, 0), calls=ONE
    ),
    "an empty object before the arguments": chat_step(
        steps.chat_call({}, 0, **FIRST), *steps.fragments(OSLO, 0), calls=ONE
    ),
    "new-api: {} before the arguments": chat_step(
        steps.chat_call("{}", 0, **FIRST), *steps.fragments(OSLO, 0), calls=ONE
    ),
    "the name in every piece": chat_step(
        steps.chat_call("", 0, **FIRST),
        *(steps.chat_call(piece, 0, **UNNAMED) for piece in (OSLO[:5], OSLO[5:])),
        calls=ONE,
    ),
    "lmdeploy: an id for each fragment": chat_step(
        steps.chat_call("", 0, **FIRST),
        *(steps.chat_call(piece, 0, id=f"x{piece}") for piece in speech.tokens(OSLO)),
        steps.chat_call("", 1, **SECOND),
        *(steps.chat_call(piece, 1, id=f"y{piece}") for piece in speech.tokens(ROME)),
        calls=TWO,
    ),
    "no object around the name": chat_step(
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "name": "time__now", "arguments": OSLO}]},
        calls=ONE,
    ),
    "the arguments by another name": chat_step(
        {"tool_calls": [{"id": "c1", "type": "tool_use", "name": "time__now", "input": IN_OSLO}]},
        {"tool_calls": [{"id": "c2", "function": {"name": "time__now", "parameters": IN_ROME}}]},
        calls=TWO,
    ),
    "the arguments as a string": chat_step(steps.chat_call(json.dumps(OSLO), 0, **FIRST), calls=ONE),
    "the older form": chat_step(
        {"function_call": {"name": "time__now", "arguments": ""}},
        {"function_call": {"arguments": OSLO}},
        ends="function_call",
        calls=called(IN_OSLO, ids=["call_0"]),
    ),
    "one call that is in no list": chat_step(
        {"tool_calls": steps.chat_call(OSLO, 0, **FIRST)["tool_calls"][0]}, calls=ONE
    ),
    "llama.cpp: no arguments": chat_step(steps.chat_call(None, 0, **FIRST), calls=BARE),
    "vllm: arguments that are not JSON": chat_step(steps.chat_call(BROKEN, 0, **FIRST), calls=UNREADABLE),
    "vllm: arguments that are no object": chat_step(steps.chat_call('["Oslo"]', 0, **FIRST), calls=UNREADABLE),
    "vllm: arguments with NaN": chat_step(steps.chat_call('{"zone": NaN}', 0, **FIRST), calls=UNREADABLE),
    "deepseek: reasoning before the call": chat_step(
        {"reasoning_content": "I need "},
        {"reasoning_content": "the time."},
        steps.chat_call(OSLO, 0, **FIRST),
        calls=ONE,
        reasoning_content="I need the time.",
    ),
    "vllm, ollama, groq: reasoning by another name": chat_step(
        {"reasoning": "I need "},
        {"reasoning": "the time."},
        steps.chat_call(OSLO, 0, **FIRST),
        calls=ONE,
        reasoning="I need the time.",
    ),
    "vllm before 0.15: reasoning by both names": chat_step(
        {"reasoning_content": "The time.", "reasoning": "The time."},
        steps.chat_call(OSLO, 0, **FIRST),
        calls=ONE,
        reasoning_content="The time.",
        reasoning="The time.",
    ),
    "ollama, JSON: reasoning by another name": chat_json_step(
        steps.chat_call(OSLO, 0, **FIRST), calls=ONE, reasoning="The time."
    ),
    "gemini at openrouter: reasoning for each call": chat_step(
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "e", "id": "c1", "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "1", "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "e2", "id": "c2", "index": 0}]},
        steps.chat_call(OSLO, 0, **FIRST),
        steps.chat_call(ROME, 1, **SECOND),
        calls=TWO,
        reasoning_details=[
            {"type": "reasoning.encrypted", "data": "e1", "id": "c1", "index": 0},
            {"type": "reasoning.encrypted", "data": "e2", "id": "c2", "index": 0},
        ],
    ),
    "openrouter, JSON: items without an index": chat_json_step(
        steps.chat_call(OSLO, 0, **FIRST),
        calls=ONE,
        reasoning_details=[{"type": "reasoning.summary", "summary": word} for word in ("a", "b")],
    ),
    # Ids.
    "responses, no ids": step(
        RESPONSES,
        responses_calls(("", OSLO), ("", ROME)),
        called(IN_OSLO, IN_ROME, ids=("call_0", "call_1")),
        back=responses_calls(("call_0", OSLO), ("call_1", ROME)),
    ),
    "anthropic, one id for all calls": step(
        ANTHROPIC,
        [steps.tool_use("c1", "time__now", IN_OSLO), steps.tool_use("c1", "time__now", IN_ROME)],
        called(IN_OSLO, IN_ROME, ids=("c1", "c1_0")),
        back=[steps.tool_use("c1", "time__now", IN_OSLO), steps.tool_use("c1_0", "time__now", IN_ROME)],
    ),
    # Recorded.
    "recorded: openai": recorded_step(
        RESPONSES, "openai_responses_tool", OPENAI_CALLED, [OPENAI_REASONING, OPENAI_ITEM], Usage(61, 88)
    ),
    "recorded: openai, reasoning that is not kept": recorded_step(
        RESPONSES,
        "openai_responses_tool_bare",
        OPENAI_CALLED,
        [{"type": "function_call", **OPENAI_CALL, "arguments": OSLO}],
        Usage(61, 88),
    ),
    "recorded: openrouter with claude, signed reasoning in fragments": recorded_step(
        CHAT,
        "openrouter_chat_claude_tool",
        OPENROUTER_CALLED,
        chat_back(OPENROUTER_CALLED, "Let me look.", reasoning_details=[CLAUDES_REASONING]),
        Usage(412, 96),
        "Let me look.",
    ),
    "recorded: xai, reasoning outside of the output's tokens": recorded_step(
        CHAT,
        "xai_chat_tool",
        XAI_CALLED,
        chat_back(XAI_CALLED, reasoning_content="The clock knows."),
        Usage(291, 222, cached_input_tokens=290),
    ),
}

STREAMED = {name: case for name, case in CASES.items() if "JSON" not in name}


def calling(api: VendorApi, arguments: str = OSLO, call_id: str = "c1", ends: str = "tools") -> VendorResponse:
    """Returns a stream with one call of the clock, which ends because of the call, or for another reason."""
    how: Any = ENDS[ends][api.name]
    match api.name:
        case "responses":
            return VendorResponse(steps.responses(steps.function_call(call_id, "time__now", arguments), **how))
        case "chat":
            begun = steps.chat_call("", 0, id=call_id, name="time__now")
            return VendorResponse(steps.chat(begun, *steps.fragments(arguments, 0), **how))
    return VendorResponse(steps.messages(steps.tool_use(call_id, "time__now", {}), broken=arguments, **how))


FILTERED = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
ENDS: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    "tools": {"responses": {}, "chat": {}, "anthropic": {"stop_reason": "tool_use"}},
    "length": {
        "responses": {"status": "incomplete"},
        "chat": {"finish_reason": "length"},
        "anthropic": {"stop_reason": "max_tokens"},
    },
    "refusal": {
        "responses": FILTERED,
        "chat": {"finish_reason": "content_filter"},
        "anthropic": {"stop_reason": "refusal"},
    },
}


def after(prompt: Prompt, received: Received) -> Prompt:
    """Returns the prompt of the next step: it ends with the step that was received, and the results of its calls."""
    parts = tuple(event for event in received.others if isinstance(event, TextPart | ToolCall | Opaque))
    made = Turn("assistant", received.text, parts=parts)
    results = tuple(ToolResult(call.call_id, call.name, "12:00", False) for call in received.calls)
    return replace(prompt, turns=(*prompt.turns, made, Turn("user", "", parts=results)))


def read_by_chat(*deltas: steps.Item) -> Sequence[TextPart | ToolCall | Opaque]:
    """Returns what a whole answer of Chat Completions holds besides its text."""
    reader = ChatReader(RequestAttempt("openai/m", ""), CALLING, 1)
    for delta in deltas:
        reader.read_event({"choices": [{"delta": delta}]})
    reader.read_done()
    return reader.read_end()


def sent_ids(sent: Sequence[Any]) -> tuple[list[str], list[str]]:
    asked, answered = [], []
    for item in sent:
        asked += [call["id"] for call in item.get("tool_calls", ())]
        match item.get("type") or item.get("role"):
            case "function_call" | "tool_use":
                asked.append(item.get("call_id") or item["id"])
            case "function_call_output" | "tool" | "tool_result":
                answered.append(item.get("call_id") or item.get("tool_call_id") or item["tool_use_id"])
    return asked, answered


def result_bodies(api: VendorApi, calls: Sequence[tuple[str, str, object]]) -> Sequence[object]:
    match api.name:
        case "responses":
            return [{"type": "function_call_output", "call_id": call_id, "output": "12:00"} for call_id, _, _ in calls]
        case "chat":
            return [{"role": "tool", "tool_call_id": call_id, "content": "12:00"} for call_id, _, _ in calls]
    return [{"type": "tool_result", "tool_use_id": call_id, "content": "12:00"} for call_id, _, _ in calls]


def sent_turns(api: VendorApi, body: Any) -> Sequence[Any]:
    """Returns what a request has after the conversation of PROMPT: items, messages, or content blocks."""
    if api is ANTHROPIC:
        return [block for turn in body["messages"][len(PROMPT.turns) :] for block in turn["content"]]
    listed: Sequence[Any] = body["input"] if api is RESPONSES else body["messages"][1:]
    return listed[len(PROMPT.turns) :]


MARKED = {"cache_control": {"type": "ephemeral"}}
"""What Anthropic's last tool has, where the part that all threads share ends."""


class TestToolCalls:
    """A call comes once, whole, before the Completion; its step is sent back as it came."""

    @pytest.mark.parametrize("name", ["responses, parallel", "chat, parallel, after text", "anthropic, JSON"])
    async def test_results_reach_the_vendor(self, vendor: VendorServer, name: str) -> None:
        await self.goes_on(vendor, CASES[name])

    @pytest.mark.parametrize("case", CASES.values(), ids=CASES)
    async def test_step_with_calls_goes_on_with_their_results(
        self, in_process: InProcessVendor, case: StepCase
    ) -> None:
        await self.goes_on(in_process, case)

    async def goes_on(self, vendor: AnyVendor, case: StepCase) -> None:
        """Asserts that a step has its calls, and that the next request repeats it with their results."""
        vendor.script(case.answer, case.api.streamed("Noon."))
        async with connected(case.api, vendor, NESTED) as model:
            received = await collect(model, CALLING)
            went_on = await collect(model, after(CALLING, received))
        assert [(call.call_id, call.name, call.arguments) for call in received.calls] == list(case.calls)
        assert [call.index for call in received.calls] == list(range(len(case.calls)))
        assert received.text == case.text
        assert [event.text for event in received.others if isinstance(event, TextPart)] == [case.text] * bool(case.text)
        assert [completion.finish_reason for completion in received.completions] == [FinishReason.TOOLS]
        assert received.completions[0].usage == case.usage
        assert went_on.text == "Noon."
        expected = [*case.sent_back, *result_bodies(case.api, case.calls)]
        assert json.dumps(sent_turns(case.api, vendor.requests[1].body)) == json.dumps(expected)

    @pytest.mark.parametrize(
        "name",
        ["responses, after text", "deepseek: reasoning before the call", "anthropic, parallel, after text"],
    )
    async def test_vendor_with_the_api_of_another_gets_its_own_items_back(
        self, vendor: VendorServer, name: str
    ) -> None:
        case = CASES[name]
        owner, path = ("anthropic", "") if case.api is ANTHROPIC else ("openai", "/v1")
        vendor.script(case.answer, case.api.streamed("Noon."))
        settings = VendorSettings(KEY, vendor.url + path, case.api.name)
        client = VENDORS[owner].connect("echo", settings, options())
        received = await collect(client.model("m"), CALLING)
        assert (await collect(client.model("m"), after(CALLING, received))).text == "Noon."
        await client.aclose()
        assert received.completions[0].model == "echo/m"
        expected = [*case.sent_back, *result_bodies(case.api, case.calls)]
        assert sent_turns(case.api, vendor.requests[1].body) == expected

    async def test_message_beside_empty_deltas_is_the_answer(self, in_process: InProcessVendor) -> None:
        said = {"role": "assistant", "content": "Noon."}
        for message in (steps.chat_call(OSLO, 0, **FIRST), said):
            choices = {"delta": {}, "message": message}, {"delta": {}, "finish_reason": "stop"}
            events = speech.events(*({"choices": [choice]} for choice in choices))
            received = await ask(CHAT, in_process, VendorResponse([*events, b"data: [DONE]\n\n"]), prompt=CALLING)
            assert (received.text, len(received.calls)) == (("Noon.", 0) if message is said else ("", 1))

    @pytest.mark.parametrize("name", ["functions.time__now", "time__now\n", "time__now<|channel|>commentary"])
    @ALL_APIS
    async def test_tool_is_known_by_its_name_among_marks(
        self, in_process: InProcessVendor, api: VendorApi, name: str
    ) -> None:
        case = calling(api)
        written = json.dumps(name).encode()
        in_process.script(
            replace(case, chunks=[chunk.replace(b'"time__now"', written) for chunk in case.chunks]),
            api.streamed("Noon."),
        )
        async with connected(api, in_process) as model:
            received = await collect(model, CALLING)
            await collect(model, after(CALLING, received))
        assert [call.name for call in received.calls] == ["time__now"]
        assert json.dumps(name) not in json.dumps(in_process.requests[1].body)

    async def test_name_of_no_tool_goes_back_in_characters_that_all_apis_take(self) -> None:
        written = steps.chat_call(OSLO, 0, id="c1", name="run it! " * 20)
        [call] = [item for item in read_by_chat(written) if isinstance(item, ToolCall)]
        assert re.fullmatch(r"run_it__[\w-]{1,56}", call.name)

    async def test_parts_of_one_answer_may_be_choices(self, in_process: InProcessVendor) -> None:
        said = {"message": {"role": "assistant", "content": "Let me see."}, "finish_reason": "tool_calls"}
        asked = {"message": steps.chat_call(OSLO, 0, **FIRST), "finish_reason": "tool_calls"}
        body = json.dumps({"choices": [said, asked]}).encode()
        received = await ask(CHAT, in_process, json_answer(body), prompt=CALLING)
        assert (received.text, [call.arguments for call in received.calls]) == ("Let me see.", [IN_OSLO])

    async def test_call_that_the_limit_has_cut_is_no_call(self, in_process: InProcessVendor) -> None:
        def cut(request: VendorRequest) -> VendorResponse:
            usage = {"prompt_tokens": 9, "completion_tokens": request.body["max_tokens"]}
            *events, done = steps.chat(steps.chat_call("", 0, **FIRST))
            return VendorResponse([*events, *speech.events({"choices": [], "usage": usage}), done])

        received = await ask(CHAT, in_process, cut, prompt=CALLING)
        assert (received.failure, received.calls) == (EndReason.ONLY_THOUGHT, [])

    async def test_item_that_comes_again_with_another_status_is_one_call(self, in_process: InProcessVendor) -> None:
        item = steps.function_call("c1", "time__now", OSLO)
        done = [
            {"type": "response.output_item.done", "item": {**item, "status": status}}
            for status in ("in_progress", "completed")
        ]
        last = {"type": "response.completed", "response": {"status": "completed", "output": []}}
        answer = VendorResponse(speech.events(*done, last))
        assert len((await ask(RESPONSES, in_process, answer, prompt=CALLING)).calls) == 1

    async def test_blocks_that_are_all_counted_as_the_first_are_kept(self, in_process: InProcessVendor) -> None:
        chunks = steps.messages(*ANTHROPIC_TWO, stop_reason="tool_use")
        events = [re.sub(rb'"index": \d', b'"index": 0', chunk) for chunk in chunks if b"block_stop" not in chunk]
        in_process.script(VendorResponse(events), ANTHROPIC.streamed("Noon."))
        async with connected(ANTHROPIC, in_process) as model:
            received = await collect(model, CALLING)
            await collect(model, after(CALLING, received))
        assert [call.arguments for call in received.calls] == [IN_OSLO, IN_ROME]
        assert sent_turns(ANTHROPIC, in_process.requests[1].body)[: len(ANTHROPIC_TWO)] == list(ANTHROPIC_TWO)

    async def test_input_of_a_call_may_be_one_object(self, in_process: InProcessVendor) -> None:
        begun, *_, ended, stopped, last = steps.messages(steps.tool_use("c1", "time__now", {}), stop_reason="tool_use")
        start = {"type": "content_block_start", "index": 0, "content_block": steps.tool_use("c1", "time__now", {})}
        delta = {"type": "content_block_delta", "index": 0, "delta": {"partial_json": IN_OSLO}}
        answer = VendorResponse([begun, *speech.events(start, delta), ended, stopped, last])
        received = await ask(ANTHROPIC, in_process, answer, prompt=CALLING)
        assert [call.arguments for call in received.calls] == [IN_OSLO]

    @pytest.mark.parametrize("case", STREAMED.values(), ids=STREAMED)
    async def test_stream_cut_at_any_event_has_no_calls(self, in_process: InProcessVendor, case: StepCase) -> None:
        last = len(case.answer.chunks) - case.api.events_after_text
        for end in range(1, last + 1):
            received = await ask(case.api, in_process, VendorResponse(case.answer.chunks[:end]), prompt=CALLING)
            assert (received.failure, received.calls) == (EndReason.CUT, [])

    @pytest.mark.parametrize("call_id", ["call_0", "", "call:0"])
    @ALL_APIS
    async def test_each_call_of_a_conversation_has_an_id_of_its_own(
        self, in_process: InProcessVendor, api: VendorApi, call_id: str
    ) -> None:
        in_process.script(calling(api, call_id=call_id))
        prompt = CALLING
        async with connected(api, in_process) as model:
            for _ in range(3):
                prompt = after(prompt, await collect(model, prompt))
        await ask(ANTHROPIC, in_process, ANTHROPIC.streamed("Noon."), prompt=prompt)
        *_, last, others = in_process.requests
        for reader, request, count in ((api, last, 2), (ANTHROPIC, others, 3)):
            asked, answered = sent_ids(sent_turns(reader, request.body))
            assert asked == answered
            assert len(set(asked)) == len(asked) == count

    async def test_hostile_ids_of_calls_are_made_unique(self) -> None:
        half = MAX_CALLS // 2
        ids = [*(f"call_{number}" for number in range(half, 2 * half)), *[""] * half]
        items = read_by_chat(*(steps.chat_call(OSLO, 0, id=call_id, name="time__now") for call_id in ids))
        calls = [item for item in items if isinstance(item, ToolCall)]
        assert len({call.call_id for call in calls}) == len(calls) == MAX_CALLS

    async def test_reasoning_is_asked_for_in_a_form_that_can_be_sent_back(self, vendor: VendorServer) -> None:
        message = "Encrypted content is not supported with this model."
        error = {"message": message, "type": "invalid_request_error", "param": "include", "code": None}
        vendor.script(RESPONSES.streamed("one"), refusal(400, {"error": error}), RESPONSES.streamed("one"))
        async with connected(RESPONSES, vendor) as model:
            await collect(model, PROMPT)
            assert (await collect(model, CALLING)).text == "one"
            await collect(model, CALLING)
        wanted = ["reasoning.encrypted_content"]
        assert [request.body.get("include") for request in vendor.requests] == [None, wanted, None, None]

    @pytest.mark.long
    async def test_reasoning_of_a_million_characters_is_joined_in_linear_time(self) -> None:
        piece = {"type": "reasoning.text", "text": "x" * 10, "index": 0}
        deltas = [{"reasoning_content": "y" * 10, "reasoning_details": [piece]}] * 100_000
        began = process_time()
        *_, opaque = read_by_chat(*deltas, steps.chat_call(OSLO, 0, **FIRST))
        assert process_time() - began < 10
        assert isinstance(opaque, Opaque)
        assert opaque.item["reasoning_content"] == "y" * 1_000_000
        assert opaque.item["reasoning_details"] == [piece | {"text": "x" * 1_000_000}]

    @ALL_APIS
    async def test_functions_are_offered_in_the_vendors_form(self, vendor: VendorServer, api: VendorApi) -> None:
        await ask(api, vendor, api.streamed("one"), prompt=CALLING)
        function = {"name": CLOCK.name, "description": CLOCK.description}
        lax = function | {"parameters": CLOCK.parameters, "strict": False}
        assert vendor.requests[0].body["tools"] == [
            {
                "responses": {"type": "function", **lax},
                "chat": {"type": "function", "function": lax},
                "anthropic": function | {"input_schema": CLOCK.parameters, **MARKED},
            }[api.name]
        ]

    @pytest.mark.parametrize(
        ("status", "message"),
        [
            (400, "registry.ollama.ai/library/gemma3:4b does not support tools"),
            (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
            (500, "tools param requires --jinja flag"),
            (500, "Unsupported param: tools"),
            (404, 'No endpoints found that support tool use. Try disabling "time__now".'),
            (404, "No endpoints found that support tool use. To learn more about provider routing, visit …"),
            (400, "`tool calling` is not supported with this model"),
            (400, "model features function calling not support"),
        ],
        ids=["ollama", "vllm", "llama.cpp", "llama.cpp, older", "openrouter", "openrouter, older", "groq", "novita"],
    )
    async def test_server_that_refuses_tools_is_asked_without_them_from_then_on(
        self, in_process: InProcessVendor, status: int, message: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        error = {"message": message, "type": "api_error", "code": status}
        in_process.script(refusal(status, {"error": error}), CHAT.streamed("one"))
        async with connected(CHAT, in_process) as model:
            for _ in range(2):
                received = await collect(model, CALLING)
                assert (received.text, received.completions[0].refused) == ("one", ("tools",))
            assert (await collect(model, PROMPT)).completions[0].refused == (), "nothing was offered"
        assert ["tools" in request.body for request in in_process.requests] == [True, False, False, False]
        assert "asking again without tools" in caplog.text

    @pytest.mark.parametrize(
        ("api", "message", "left"),
        [
            (ANTHROPIC, "tools.1.custom.input_schema: JSON schema is invalid.", [0, 2]),
            (RESPONSES, "Invalid schema for function 'srv__b': In context=('properties', 'x'), 'oneOf'.", [0, 2]),
            (CHAT, "Invalid 'tools[2].function.parameters': object schema missing properties.", [0, 1]),
            (
                CHAT,
                "* GenerateContentRequest.tools[0].function_declarations[1].parameters.properties[x].items: missing\n"
                "* GenerateContentRequest.tools[0].function_declarations[2].parameters.required[0]: not defined",
                [0],
            ),
            (CHAT, "* tools[1].function_declarations[0].parameters: missing field.", [0, 2]),
            (CHAT, "Invalid schema for function 'srv__b': In context=('properties', 'tools[0]'), 'oneOf'.", [0, 2]),
        ],
        ids=[
            "anthropic",
            "openai",
            "openai, by its place",
            "gemini",
            "gemini, each in a list of its own",
            "by its name, beside what looks like a place",
        ],
    )
    async def test_tool_that_a_refusal_names_costs_no_other_tool(
        self, in_process: InProcessVendor, api: VendorApi, message: str, left: list[int]
    ) -> None:
        tools = tuple(replace(CLOCK, name=f"srv__{letter}", definition_hash=letter) for letter in "abc")
        offering = replace(PROMPT, tools=tools)
        in_process.script(
            refusal(400, {"error": {"message": message, "type": "invalid_request_error"}}), api.streamed("one")
        )
        async with connected(api, in_process) as model:
            for _ in range(2):
                received = await collect(model, offering)
                assert (received.text, received.completions[0].refused) == ("one", ("some tools",))
            again = replace(offering, tools=tuple(replace(tool, definition_hash="new") for tool in tools))
            assert (await collect(model, again)).completions[0].refused == (), "definitions have changed"
        sent = [
            [tool.get("name") or tool["function"]["name"] for tool in one.body["tools"]] for one in in_process.requests
        ]
        assert sent == [
            [tool.name for tool in some] for some in (tools, [tools[n] for n in left], [tools[n] for n in left], tools)
        ]

    @pytest.mark.parametrize("status", [500, 200], ids=["litellm", "vllm: in the stream"])
    async def test_tool_is_named_by_servers_that_have_no_status_for_it(
        self, in_process: InProcessVendor, status: int
    ) -> None:
        tools = tuple(replace(CLOCK, name=f"srv__{letter}", definition_hash=letter) for letter in "ab")
        error = {"error": {"message": "BadRequestError: Invalid schema for function 'srv__a'", "code": 400}}
        refused = refusal(status, error) if status == 500 else VendorResponse(speech.events(error))
        received = await ask(CHAT, in_process, refused, CHAT.streamed("one"), prompt=replace(PROMPT, tools=tools))
        assert (received.text, received.completions[0].refused) == ("one", ("some tools",))

    @pytest.mark.skips_waits
    @pytest.mark.parametrize("status", [200, 400, 500], ids=["in the stream", "400", "500"])
    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("Failed to call a function. See 'failed_generation' for more details.", "tool_use_failed"),
            ("Parsing failed. The model generated tool calls that could not be parsed.", "output_parse_failed"),
            ("error parsing tool call: raw='{\"zone\"', err=unexpected end of JSON input", None),
            ("XML syntax error on line 5: element <parameter> closed by </function>", None),
            ("Failed to parse input at pos 136: <tool_call><function=time__now>", "server_error"),
            ("Failed to parse tool call arguments as JSON: parse error at line 1", "server_error"),
        ],
        ids=["groq", "groq, by another code", "ollama", "ollama, xml", "llama.cpp", "llama.cpp, arguments"],
    )
    async def test_call_that_a_server_cannot_read_costs_no_tools(
        self, in_process: InProcessVendor, message: str, code: str | None, status: int
    ) -> None:
        body = {"error": {"message": message, "code": code}}
        failed = VendorResponse(speech.events(body)) if status == 200 else refusal(status, body)
        answers = failed, failed, CHAT.streamed("one")
        received = await ask(CHAT, in_process, *answers, prompt=CALLING, wrap=lambda model: Fallback([model]))
        assert (received.text, received.completions[0].refused) == ("one", ())

    @pytest.mark.skips_waits
    async def test_model_whose_calls_are_never_read_answers_without_tools_for_now(
        self, in_process: InProcessVendor
    ) -> None:
        failed = refusal(500, {"error": {"message": "error parsing tool call: raw='{'", "type": "api_error"}})
        in_process.script(failed, failed, failed, CHAT.streamed("one"))
        async with connected(CHAT, in_process) as model:
            received = await collect(Fallback([model]), CALLING)
            assert (received.text, received.completions[0].refused) == ("one", ("tools",))
            assert (await collect(model, CALLING)).completions[0].refused == ()

    @pytest.mark.parametrize(
        ("error", "most"),
        [
            ("Invalid 'tools': array too long. Expected an array with maximum length 4, but got length 9 instead.", 4),
            ("The number of function declarations exceeds the maximum of 4.", 4),
            ("You may provide at most 4 tools.", 4),
            ("Too many tools.", 4),
            ("Too many tools: more than the limit were sent, 9. The maximum is 4.", 4),
            ({"message": "No.", "details": {"error_code": "available_tools_limit_exceeded"}}, 4),
        ],
        ids=[
            "openai",
            "gemini",
            "at most",
            "no number: half",
            "as many as were sent, and the most",
            "anthropic's code",
        ],
    )
    async def test_tools_that_are_too_many_are_the_first_ones_that_may_be_sent(
        self, in_process: InProcessVendor, error: str | dict[str, object], most: int
    ) -> None:
        tools = tuple(replace(CLOCK, name=f"srv__{n}", definition_hash=str(n)) for n in range(9))
        body = (
            {"message": error, "type": "invalid_request_error", "param": "tools"} if isinstance(error, str) else error
        )
        in_process.script(refusal(400, {"error": body}), CHAT.streamed("one"))
        async with connected(CHAT, in_process) as model:
            for _ in range(2):
                received = await collect(model, replace(PROMPT, tools=tools))
                assert (received.text, received.completions[0].refused) == ("one", ("some tools",))
            assert (await collect(model, CALLING)).completions[0].refused == ()
        assert [len(request.body["tools"]) for request in in_process.requests] == [9, most, most, 1]

    @pytest.mark.parametrize("api", [RESPONSES, CHAT], ids=str)
    @pytest.mark.parametrize(
        "message",
        [
            "Extra inputs are not permitted, field: 'tools[0].function.strict', value: False",
            'Bad request: json: unknown field "strict"',
        ],
        ids=["fireworks", "databricks"],
    )
    async def test_server_that_knows_nothing_of_strict_schemas_gets_all_tools(
        self, in_process: InProcessVendor, api: VendorApi, message: str
    ) -> None:
        in_process.script(refusal(400, {"error": {"message": message}}), api.streamed("one"))
        async with connected(api, in_process) as model:
            for _ in range(2):
                received = await collect(model, CALLING)
                assert (received.text, received.completions[0].refused) == ("one", ())
        sent = [request.body["tools"][0] for request in in_process.requests]
        assert ["strict" in tool.get("function", tool) for tool in sent] == [True, False, False]

    @ALL_APIS
    async def test_many_tools_that_are_refused_one_by_one_are_all_left_out(
        self, in_process: InProcessVendor, api: VendorApi
    ) -> None:
        tools = tuple(replace(CLOCK, name=f"srv__{n}", definition_hash=str(n)) for n in range(20))
        refused = refusal(400, {"error": {"message": "tools.0: invalid schema", "type": "invalid_request_error"}})
        in_process.script(*[refused] * (MAX_REFUSED_TOOLS + 1), api.streamed("one"))
        async with connected(api, in_process) as model:
            received = await collect(model, replace(PROMPT, tools=tools))
        assert (received.text, received.completions[0].refused) == ("one", ("tools",))
        assert len(in_process.requests) == MAX_REFUSED_TOOLS + 2

    @pytest.mark.parametrize("api", [RESPONSES, CHAT], ids=str)
    @pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
    async def test_call_that_is_written_to_a_server_that_refuses_tools_is_not_made(
        self, in_process: InProcessVendor, api: VendorApi, streaming: bool
    ) -> None:
        written = f'I look. <tool_call>{{"name": "{CLOCK.name}", "arguments": {OSLO}}}</tool_call>'
        answer = api.streamed(written) if streaming else api.whole(written)
        in_process.script(refusal(400, {"error": {"message": "m does not support tools"}}), answer)
        async with connected(api, in_process) as model:
            received = await collect(model, CALLING)
        assert (received.text, received.calls, received.error) == (written, [], None)

    @pytest.mark.parametrize(
        ("status", "message"),
        [
            (400, "m does not support tools"),
            (400, "Function tools with reasoning_effort are not supported. Please use /v1/responses instead."),
            (500, "tools param requires --jinja flag"),
        ],
    )
    async def test_nothing_is_given_up_for_tools_that_nobody_misses(
        self, in_process: InProcessVendor, status: int, message: str
    ) -> None:
        in_process.script(refusal(status, {"error": {"message": message, "type": "api_error"}}), CHAT.streamed("one"))
        async with connected(CHAT, in_process) as model:
            for _ in range(2):
                received = await collect(model, DISPENSABLE)
                assert (received.text, received.completions[0].refused) == ("one", ())
            await collect(model, CALLING)
        assert ["tools" in request.body for request in in_process.requests] == [True, False, False, True]
        assert not any("reasoning_effort" in request.body for request in in_process.requests)
        assert {request.path for request in in_process.requests} == {"/v1/chat/completions"}

    async def test_bad_request_that_was_not_about_such_tools_is_a_failure(self, in_process: InProcessVendor) -> None:
        in_process.script(refusal(400, {"error": {"message": "Too hot."}}))
        async with connected(CHAT, in_process) as model:
            assert (await collect(model, DISPENSABLE)).failure is EndReason.UNEXPECTED
            in_process.script(CHAT.streamed("one"))
            assert (await collect(model, DISPENSABLE)).text == "one"
        assert ["tools" in request.body for request in in_process.requests] == [True, False, False, True]

    async def test_broken_arguments_are_kept_in_part(self, in_process: InProcessVendor) -> None:
        [call] = (await ask(CHAT, in_process, calling(CHAT, "{" * 10_000), prompt=CALLING)).others
        assert isinstance(call, ToolCall)
        assert call.raw_arguments == "{" * 2_000

    @ALL_APIS
    @pytest.mark.parametrize(
        ("arguments", "ends", "failure"),
        [("{", "length", EndReason.ONLY_THOUGHT), (OSLO, "refusal", EndReason.REFUSED)],
        ids=["cut by the length limit", "refused after the call"],
    )
    async def test_call_in_an_answer_that_did_not_end_by_it_is_not_made(
        self, in_process: InProcessVendor, api: VendorApi, arguments: str, ends: str, failure: EndReason
    ) -> None:
        received = await ask(api, in_process, calling(api, arguments, ends=ends), prompt=CALLING)
        assert (received.others, received.failure) == ([], failure)

    @ALL_APIS
    async def test_failed_result_and_later_message_come_in_the_vendors_form(
        self, vendor: VendorServer, api: VendorApi
    ) -> None:
        call = ToolCall(0, "call:1", "time__now", IN_OSLO)
        failed = ToolResult("call:1", "time__now", "No such zone", is_error=True)
        turns = (Turn("assistant", "", parts=(call,)), Turn("user", "", parts=(TextPart("Stop?"), failed)))
        await ask(api, vendor, api.streamed("one"), prompt=replace(CALLING, turns=(*CALLING.turns, *turns)))
        assert (
            sent_turns(api, vendor.requests[0].body)
            == {
                "responses": [
                    {"type": "function_call", "call_id": "call:1", "name": "time__now", "arguments": OSLO},
                    {"role": "user", "content": "Stop?"},
                    {"type": "function_call_output", "call_id": "call:1", "output": "No such zone"},
                ],
                "chat": [
                    *chat_back(called(IN_OSLO, ids=["call:1"])),
                    {"role": "tool", "tool_call_id": "call:1", "content": "No such zone"},
                    {"role": "user", "content": "Stop?"},
                ],
                "anthropic": [
                    steps.tool_use("call_1", "time__now", IN_OSLO),
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "No such zone", "is_error": True},
                    {"type": "text", "text": "Stop?"},
                ],
            }[api.name]
        )

    @pytest.mark.parametrize(("writer", "reader"), [(ANTHROPIC, CHAT), (RESPONSES, ANTHROPIC), (RESPONSES, CHAT)])
    async def test_other_api_reads_a_step_without_its_opaque_items(
        self, in_process: InProcessVendor, writer: VendorApi, reader: VendorApi
    ) -> None:
        step = {"anthropic": CASES["anthropic, parallel, after text"], "responses": CASES["responses, after text"]}
        received = await ask(writer, in_process, step[writer.name].answer, prompt=CALLING)
        answer = reader.streamed("Noon.")
        assert (await ask(reader, in_process, answer, prompt=after(CALLING, received))).text == "Noon."
        sent = json.dumps(in_process.requests[1].body)
        assert "Let me see." in sent
        assert "time__now" in sent
        assert not [word for word in ("gAAAA", "EqQBC", "EmwKA", "rs_1") if word in sent]


def after_call(*items: Opaque) -> Prompt:
    call = Turn("assistant", "", parts=(ToolCall(0, "c1", "time__now", IN_OSLO), *items))
    return replace(CALLING, turns=(*CALLING.turns, call, Turn("user", "", parts=(ToolResult("c1", "x", "1"),))))


@pytest.mark.skips_waits
class TestFallback:
    """Another vendor can't read the opaque items of a step."""

    async def test_step_with_opaque_items_goes_on_at_its_vendor_only(self, in_process: InProcessVendor) -> None:
        overloaded = refusal(529, {"type": "error", "error": {"type": "overloaded_error", "message": "No."}})
        in_process.script(overloaded)
        prompt = after_call(*(Opaque("anthropic", item) for item in ANTHROPIC_ONE))
        async with connected(CHAT, in_process, NESTED) as first, connected(ANTHROPIC, in_process, NESTED) as second:
            assert (await collect(Fallback([first, second]), prompt)).failure is EndReason.OVERLOADED
            asked = len(in_process.requests)
            assert {request.path for request in in_process.requests} == {"/v1/messages"}
            await collect(Fallback([second, first]), PROMPT)
        paths = {request.path for request in in_process.requests[asked:]}
        assert paths == {"/v1/messages", "/v1/chat/completions"}

    async def test_calls_without_opaque_items_may_go_on_elsewhere(self, in_process: InProcessVendor) -> None:
        in_process.script(refusal(503, {"error": {"message": "No."}}), CHAT.streamed("one"))
        async with connected(RESPONSES, in_process) as first, connected(CHAT, in_process) as second:
            assert (await collect(Fallback([first, second]), after_call())).text == "one"


SOURCES = (("https://example.com/typist", "Typist"), ("https://docs.slack.dev/apis", "Slack's APIs"))
CITED = [Citation(*source) for source in SOURCES]
WITH_TEXT = steps.text("Let me look.")
ANTHROPIC_FOUND = (
    WITH_TEXT,
    steps.SERVER_SEARCH,
    steps.SEARCH_RESULT,
    steps.text("It streams "),
    steps.text("into Slack", SOURCES[0]),
    steps.text(", paced", SOURCES[1], SOURCES[0]),
    steps.text("."),
)
FOUND = "Let me look.\n\nIt streams into Slack, paced."
RESPONSES_FOUND = (
    steps.REASONING,
    steps.SEARCH_CALL,
    steps.OPEN_PAGE,
    steps.FAILED_SEARCH,
    steps.message("It streams.", *SOURCES, SOURCES[0]),
)
SOUGHT = ("Typist Slack bot", "https://docs.slack.dev/apis", "a b")
ALL_DONE = [(sought, True) for sought in SOUGHT]
BEGUN_AND_DONE = [event for done in ALL_DONE for event in (("", False), done)]


class TestWebSearch:
    """The vendor searches; readers see what for, and the answer's sources."""

    @pytest.mark.parametrize(
        ("api", "answer", "text", "queries", "searches"),
        [
            (RESPONSES, VendorResponse(steps.responses(*RESPONSES_FOUND)), "It streams.", BEGUN_AND_DONE, 1),
            (RESPONSES, json_answer(steps.responses_whole(*RESPONSES_FOUND)), "It streams.", ALL_DONE, 1),
            (
                RESPONSES,
                VendorResponse([e for e in steps.responses(*RESPONSES_FOUND) if b"output_item" not in e]),
                "It streams.",
                ALL_DONE,
                1,
            ),
            (
                ANTHROPIC,
                VendorResponse(steps.messages(*ANTHROPIC_FOUND, searches=2)),
                FOUND,
                [(SOUGHT[0], False), (SOUGHT[0], True)],
                2,
            ),
            (ANTHROPIC, json_answer(steps.messages_whole(*ANTHROPIC_FOUND, searches=2)), FOUND, ALL_DONE[:1], 2),
        ],
        ids=["responses", "responses, JSON", "responses, items at the end", "anthropic", "anthropic, JSON"],
    )
    async def test_answer_has_its_searches_and_each_source_once(
        self,
        in_process: InProcessVendor,
        api: VendorApi,
        answer: VendorResponse,
        text: str,
        queries: object,
        searches: int,
    ) -> None:
        received = await ask(api, in_process, answer, prompt=SEARCHING)
        search_events = [(event.query, event.done) for event in received.others if isinstance(event, Searching)]
        assert received.text == text
        assert search_events == queries
        assert [event for event in received.others if isinstance(event, Citation)] == CITED
        [completion] = received.completions
        assert completion.finish_reason is FinishReason.STOP
        assert completion.usage == replace(USAGE, web_searches=searches)

    @pytest.mark.parametrize(
        ("more", "others"),
        [
            ({"choices": [], "citations": ["https://x.example/"]}, [Citation("https://x.example/")]),
            (
                {"choices": [{"delta": {"annotations": [{"type": "url_citation", "url": "https://x.example/"}]}}]},
                [Citation("https://x.example/")],
            ),
            ({"choices": [], "search_results": [{"title": "Untold"}]}, [Searching(done=True)]),
            ({"choices": [], "usage": {"num_search_queries": 1}}, [Searching(done=True)]),
            ({"choices": [], "usage": {"num_sources_used": 3}}, [Searching(done=True)]),
            ({"choices": [], "usage": {"server_tool_use": {"web_search_requests": 1}}}, [Searching(done=True)]),
            ({"choices": [{"delta": {"executed_tools": [{"type": "search"}]}}]}, [Searching(done=True)]),
            ({"choices": [{"delta": {"annotations": [{"type": "file_citation"}]}}]}, [Searching(done=True)]),
            ({"choices": [], "usage": {"server_tool_use": {"web_search_requests": 0}}}, []),
            ({"choices": [{"delta": {"annotations": []}}], "citations": None}, []),
        ],
        ids=str,
    )
    async def test_chat_answer_says_that_its_server_searched_whatever_it_cites(
        self, in_process: InProcessVendor, more: dict[str, Any], others: Sequence[Citation | Searching]
    ) -> None:
        answer = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}
        stream = [*speech.events(answer, more, more), b"data: [DONE]\n\n"]
        received = await ask(CHAT, in_process, VendorResponse([b"".join(stream)]))
        assert (received.text, received.others) == ("Hi", others)

    async def test_search_that_failed_does_not_fail_the_answer(self, in_process: InProcessVendor) -> None:
        blocks = (steps.SERVER_SEARCH, steps.SEARCH_ERROR, steps.text("I can't search now."))
        received = await ask(ANTHROPIC, in_process, VendorResponse(steps.messages(*blocks)), prompt=SEARCHING)
        assert received.text == "I can't search now."
        assert [event.done for event in received.others if isinstance(event, Searching)] == [False, True]

    @pytest.mark.parametrize("domains", [(), ("example.com", "docs.slack.dev")], ids=["all", "some"])
    async def test_search_is_asked_for_within_bounds(self, vendor: VendorServer, domains: tuple[str, ...]) -> None:
        prompt = replace(CALLING, web_search=WebSearch(domains))
        for api in APIS:
            await ask(api, vendor, api.streamed("one"), prompt=prompt)
        responses, chat, anthropic = (request.body for request in vendor.requests)
        limits = {"max_uses": MAX_SEARCHES} | ({"allowed_domains": list(domains)} if domains else {})
        assert anthropic["tools"][1:] == [
            {"type": "web_search_20250305", "name": "web_search", **limits},
            {"type": "web_fetch_20250910", "name": "web_fetch", "max_content_tokens": 10_000, **limits, **MARKED},
        ]
        filters = {"filters": {"allowed_domains": list(domains)}} if domains else {}
        assert responses["tools"][1:] == [
            {"type": "web_search", "user_location": {"type": "approximate"}, **filters},
        ]
        assert responses["max_tool_calls"] == MAX_SEARCHES
        assert len(chat["tools"]) == 1

    @pytest.mark.parametrize(
        ("api", "message", "left", "told"),
        [
            (RESPONSES, "Hosted tool 'web_search' is not supported with gpt-6-luna.", ["time__now"], ["web search"]),
            (
                ANTHROPIC,
                "tools.0: web_search is not enabled for this organization.",
                ["time__now", "web_fetch"],
                ["web search"],
            ),
            (ANTHROPIC, "tools.1: Input tag 'web_fetch_20250910' found", ["time__now", "web_search"], []),
        ],
    )
    async def test_answer_goes_without_what_its_model_lacks(
        self,
        in_process: InProcessVendor,
        api: VendorApi,
        message: str,
        left: list[str],
        told: list[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        error = {"type": "invalid_request_error", "message": message}
        in_process.script(refusal(400, {"type": "error", "error": error}), api.streamed("one"))
        async with connected(api, in_process) as model:
            for _ in range(2):
                received = await collect(model, replace(SEARCHING, tools=DISPENSABLE.tools))
                assert (received.text, list(received.completions[0].refused)) == ("one", told)
        sent = [[tool["name"] for tool in request.body.get("tools", ())] for request in in_process.requests[1:]]
        assert sent == [left, left]
        assert "asking again without web_" in caplog.text


class TestPauses:
    """Anthropic pauses a long step. It goes on with the same items, as one answer."""

    async def test_paused_answer_goes_on_as_one_answer(self, vendor: VendorServer) -> None:
        begun = (steps.THINKING, WITH_TEXT, steps.SERVER_SEARCH, steps.SEARCH_RESULT)
        ended = (steps.text("It streams.", SOURCES[0]), steps.tool_use("c1", "time__now", IN_OSLO))
        vendor.script(
            VendorResponse(steps.messages(*begun, stop_reason="pause_turn", searches=1)),
            VendorResponse(steps.messages(*ended, stop_reason="tool_use", searches=1)),
            ANTHROPIC.streamed("Noon."),
        )
        prompt = replace(SEARCHING, tools=(CLOCK,))
        async with connected(ANTHROPIC, vendor) as model:
            received = await collect(model, prompt)
            await collect(model, after(prompt, received))
        assert received.text == "Let me look.\n\nIt streams."
        [completion] = received.completions
        assert completion.finish_reason is FinishReason.TOOLS
        assert completion.usage == replace(USAGE + USAGE, web_searches=2)
        assert completion.usage.requests == (replace(USAGE, web_searches=1),) * 2, "each has its own price"
        first, second, third = (request.body for request in vendor.requests)
        assert second["tools"] == first["tools"]
        assert second["messages"] == [*first["messages"], {"role": "assistant", "content": list(begun)}]
        assert third["messages"][-2] == {"role": "assistant", "content": [*begun, *ended]}

    async def test_each_request_of_a_paused_answer_has_its_own_counts(self, in_process: InProcessVendor) -> None:
        paused = steps.messages(WITH_TEXT, stop_reason="pause_turn", searches=2)
        streams = VendorResponse(paused), VendorResponse(steps.messages(steps.text("It streams.")))
        [completion] = (await ask(ANTHROPIC, in_process, *streams, prompt=SEARCHING)).completions
        assert completion.usage is not None
        assert completion.usage.requests == (replace(USAGE, web_searches=2), USAGE)

    async def test_answer_that_never_stops_pausing_ends_at_its_length_limit(self, in_process: InProcessVendor) -> None:
        paused = VendorResponse(steps.messages(steps.text("On."), stop_reason="pause_turn"))
        received = await ask(ANTHROPIC, in_process, paused, prompt=SEARCHING)
        assert received.completions[0].finish_reason is FinishReason.LENGTH
        assert len(in_process.requests) == 1 + MAX_PAUSES

    async def test_pause_is_followed_by_a_failure_as_any_text(self, in_process: InProcessVendor) -> None:
        overloaded = refusal(529, {"type": "error", "error": {"type": "overloaded_error", "message": "No."}})
        paused = VendorResponse(steps.messages(WITH_TEXT, stop_reason="pause_turn"))
        received = await ask(ANTHROPIC, in_process, paused, overloaded, prompt=SEARCHING)
        assert (received.text, received.failure) == ("Let me look.", EndReason.OVERLOADED)


@pytest.mark.skips_waits
class TestSilence:
    """A running search is not silence, and neither is a tool call that is being written."""

    @pytest.mark.parametrize(
        ("api", "chunks", "mark"),
        [
            (RESPONSES, steps.responses(*RESPONSES_FOUND), b"web_search_call.in_progress"),
            (ANTHROPIC, steps.messages(*ANTHROPIC_FOUND), b'"type": "web_search_tool_result"'),
        ],
        ids=["responses", "anthropic"],
    )
    async def test_silent_search_gets_more_time(
        self, vendor: VendorServer, api: VendorApi, chunks: list[bytes], mark: bytes
    ) -> None:
        at = next(number for number, chunk in enumerate(chunks) if mark in chunk)
        paused = VendorResponse([b"".join(chunks[:at]), b"".join(chunks[at:])], pause_s=60)
        async with asyncio.timeout(600):
            received = await ask(api, vendor, paused, prompt=SEARCHING, wrap=partial(StallTimeout, stall_timeout_s=30))
        assert received.error is None

    @ALL_APIS
    async def test_tool_call_that_is_being_written_is_work(self, in_process: InProcessVendor, api: VendorApi) -> None:
        received = await ask(api, in_process, calling(api, OSLO * 4), prompt=CALLING)
        assert received.thought >= len(speech.tokens(OSLO * 4))

    async def test_search_that_never_ends_stalls(self, vendor: VendorServer) -> None:
        chunks = steps.messages(*ANTHROPIC_FOUND)
        at = next(number for number, chunk in enumerate(chunks) if b'"type": "web_search_tool_result"' in chunk)
        hanging = VendorResponse(chunks[:at], ending=ResponseEnd.HANG, ping=b"")
        async with asyncio.timeout(600):
            received = await ask(
                ANTHROPIC, vendor, hanging, prompt=SEARCHING, wrap=partial(StallTimeout, stall_timeout_s=5)
            )
        assert received.failure is EndReason.STALLED
