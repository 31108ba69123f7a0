"""Tool calls and web searches at each API, from streams in its documented form over real HTTP to the real SDK."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import process_time
from typing import Any

import pytest

from bot.errors import EndReason
from bot.models.events import MAX_SEARCHES, Citation, FinishReason, Opaque, Searching, ToolCall, Usage
from bot.models.failures import RequestAttempt
from bot.models.model import MAX_PAUSES
from bot.models.openai import ChatReader
from bot.models.prompt import TextPart, ToolDefinition, ToolResult, Turn, TurnPart, WebSearch
from bot.models.wrappers import Fallback, Stall
from tests.contracts.notifications import PROMPT, Received, collect, connected
from tests.contracts.vendors import ANTHROPIC, APIS, CHAT, RESPONSES, VendorApi
from tests.streams import speech, steps
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer, refusal

CLOCK = ToolDefinition("time__now", "The time", {"type": "object", "properties": {"zone": {"type": "string"}}})
CALLING = replace(PROMPT, tools=(CLOCK,))
SEARCHING = replace(PROMPT, web_search=WebSearch())
ALL_APIS = pytest.mark.parametrize("api", APIS, ids=str)

OSLO, ROME = '{"zone": "Oslo"}', '{"zone": "Róma"}'
IN_OSLO, IN_ROME = {"zone": "Oslo"}, {"zone": "Róma"}
USAGE = Usage(speech.INPUT_TOKENS, steps.OUTPUT_TOKENS)


def json_answer(body: bytes) -> VendorResponse:
    return VendorResponse([body], content_type="application/json")


@dataclass(frozen=True)
class StepCase:
    """A step that calls tools, and the calls that it stands for."""

    api: VendorApi
    answer: VendorResponse
    calls: Sequence[tuple[str, str, Mapping[str, Any] | None]]
    """(id, name, arguments) of each."""
    sent_back: Sequence[object]
    """The step as the next request repeats it, before the results."""
    text: str = ""
    usage: Usage | None = None
    """None: as all scripted streams have it, or none."""


def _responses(*items: steps.Item) -> Sequence[steps.Item]:
    return items


def _chat_back(*calls: tuple[str, str], content: str | None = None, **own: object) -> Sequence[object]:
    """Returns the assistant's message with calls to the clock, as (id, arguments)."""
    wanted = [
        {"id": call_id, "type": "function", "function": {"name": "time__now", "arguments": arguments}}
        for call_id, arguments in calls
    ]
    return [{"role": "assistant", "content": content, **own, "tool_calls": wanted}]


def chat_case(*deltas: steps.Item, ends: str = "tool_calls", calls: Any, back: Any, text: str = "") -> StepCase:
    return StepCase(CHAT, VendorResponse(steps.chat(*deltas, finish_reason=ends)), calls, back, text)


def recorded_case(api: VendorApi, name: str, calls: Any, back: Any, usage: Usage, text: str = "") -> StepCase:
    """Returns a step in a recorded form: its keys, their order, its framing."""
    events = [event + b"\n\n" for event in speech.documented(name).removesuffix(b"\n\n").split(b"\n\n")]
    return StepCase(api, VendorResponse(events), calls, back, text, usage)


BROKEN = '{"zone": "Oslo"'
ONE = [("c1", "time__now", IN_OSLO)]
TWO = [("c1", "time__now", IN_OSLO), ("c2", "time__now", IN_ROME)]
FIRST: Any = {"id": "c1", "name": "time__now"}
SECOND: Any = {"id": "c2", "name": "time__now"}

RESPONSES_ONE = (steps.REASONING, steps.function_call("c1", "time__now", OSLO))
RESPONSES_TWO = (*RESPONSES_ONE, steps.function_call("c2", "time__now", ROME))
RESPONSES_SAID = (steps.message("Let me see."), steps.function_call("c1", "time__now", OSLO))
ANTHROPIC_ONE = (steps.THINKING, steps.REDACTED, steps.tool_use("c1", "time__now", IN_OSLO))
ANTHROPIC_TWO = (steps.text("Let me see."), *ANTHROPIC_ONE, steps.tool_use("c2", "time__now", IN_ROME))
ANTHROPIC_BESIDE = (steps.SERVER_SEARCH, steps.tool_use("c1", "time__now", IN_OSLO))

CASES = {
    # The documented form.
    "responses": StepCase(RESPONSES, VendorResponse(steps.responses(*RESPONSES_ONE)), ONE, RESPONSES_ONE),
    "responses, parallel": StepCase(RESPONSES, VendorResponse(steps.responses(*RESPONSES_TWO)), TWO, RESPONSES_TWO),
    "responses, after text": StepCase(
        RESPONSES, VendorResponse(steps.responses(*RESPONSES_SAID)), ONE, RESPONSES_SAID, "Let me see."
    ),
    "responses, JSON": StepCase(RESPONSES, json_answer(steps.responses_whole(*RESPONSES_TWO)), TWO, RESPONSES_TWO),
    "responses, items only at the end": StepCase(
        RESPONSES, VendorResponse([steps.responses(*RESPONSES_ONE)[-1]]), ONE, RESPONSES_ONE
    ),
    "responses, items that come again": StepCase(
        RESPONSES,
        VendorResponse(
            [
                event
                for event in steps.responses(*RESPONSES_TWO)
                for _ in range(2 if b"output_item.done" in event else 1)
            ]
        ),
        TWO,
        RESPONSES_TWO,
    ),
    "responses, no arguments": StepCase(
        RESPONSES,
        VendorResponse(steps.responses(steps.function_call("c1", "time__now", ""))),
        [("c1", "time__now", {})],
        [steps.function_call("c1", "time__now", "")],
    ),
    "responses, broken arguments": StepCase(
        RESPONSES,
        VendorResponse(steps.responses(steps.function_call("c1", "time__now", BROKEN))),
        [("c1", "time__now", None)],
        [steps.function_call("c1", "time__now", BROKEN)],
    ),
    "anthropic": StepCase(
        ANTHROPIC, VendorResponse(steps.messages(*ANTHROPIC_ONE, stop_reason="tool_use")), ONE, ANTHROPIC_ONE
    ),
    "anthropic, parallel, after text": StepCase(
        ANTHROPIC,
        VendorResponse(steps.messages(*ANTHROPIC_TWO, stop_reason="tool_use")),
        TWO,
        ANTHROPIC_TWO,
        "Let me see.",
    ),
    "anthropic, blocks that grow in turns": StepCase(
        ANTHROPIC,
        VendorResponse(steps.interleaved(steps.messages(*ANTHROPIC_TWO, stop_reason="tool_use"))),
        TWO,
        ANTHROPIC_TWO,
        "Let me see.",
    ),
    "anthropic, blocks without an end": StepCase(
        ANTHROPIC,
        VendorResponse(
            [
                event
                for event in steps.messages(*ANTHROPIC_TWO, stop_reason="tool_use")
                if b"content_block_stop" not in event
            ]
        ),
        TWO,
        ANTHROPIC_TWO,
        "Let me see.",
    ),
    "anthropic, JSON": StepCase(
        ANTHROPIC,
        json_answer(steps.messages_whole(*ANTHROPIC_TWO, stop_reason="tool_use")),
        TWO,
        ANTHROPIC_TWO,
        "Let me see.",
    ),
    "anthropic, no arguments": StepCase(
        ANTHROPIC,
        VendorResponse(steps.messages(steps.tool_use("c1", "time__now", {}), stop_reason="tool_use")),
        [("c1", "time__now", {})],
        [steps.tool_use("c1", "time__now", {})],
    ),
    "anthropic, broken arguments": StepCase(
        ANTHROPIC,
        VendorResponse(steps.messages(steps.tool_use("c1", "time__now", {}), stop_reason="tool_use", broken=BROKEN)),
        [("c1", "time__now", None)],
        [steps.tool_use("c1", "time__now", {})],
    ),
    "anthropic, beside a search that runs in the next request": StepCase(
        ANTHROPIC, VendorResponse(steps.messages(*ANTHROPIC_BESIDE, stop_reason="tool_use")), ONE, ANTHROPIC_BESIDE
    ),
    "anthropic, blank text": StepCase(
        ANTHROPIC,
        VendorResponse(steps.messages(steps.text("\n"), *ANTHROPIC_ONE, stop_reason="tool_use")),
        ONE,
        ANTHROPIC_ONE,
        "\n",
    ),
    "chat": chat_case(
        steps.chat_call("", 0, **FIRST), *steps.fragments(OSLO, 0), calls=ONE, back=_chat_back(("c1", OSLO))
    ),
    "chat, parallel, after text": chat_case(
        {"content": "Let me see."},
        steps.chat_call("", 0, **FIRST),
        *steps.fragments(OSLO, 0),
        steps.chat_call("", 1, **SECOND),
        *steps.fragments(ROME, 1),
        calls=TWO,
        back=_chat_back(("c1", OSLO), ("c2", ROME), content="Let me see."),
        text="Let me see.",
    ),
    "chat, JSON": StepCase(
        CHAT,
        json_answer(steps.chat_whole(**steps.chat_call(OSLO, **FIRST))),
        ONE,
        _chat_back(("c1", OSLO)),
    ),
    # Compatible servers' deviations.
    "chat, pieces in turns": chat_case(
        steps.chat_call("", 0, **FIRST),
        steps.chat_call("", 1, **SECOND),
        *(piece for pair in zip(steps.fragments(OSLO, 0), steps.fragments(ROME, 1), strict=True) for piece in pair),
        calls=TWO,
        back=_chat_back(("c1", OSLO), ("c2", ROME)),
    ),
    "ollama before 0.4.7: no index": chat_case(
        steps.chat_call(OSLO, **FIRST),
        steps.chat_call(ROME, **SECOND),
        calls=TWO,
        back=_chat_back(("c1", OSLO), ("c2", ROME)),
    ),
    "ollama: index 0 for every call": chat_case(
        steps.chat_call(OSLO, 0, **FIRST),
        steps.chat_call(ROME, 0, **SECOND),
        ends="stop",
        calls=TWO,
        back=_chat_back(("c1", OSLO), ("c2", ROME)),
    ),
    "no ids": chat_case(
        steps.chat_call(OSLO, 0, name="time__now"),
        steps.chat_call(ROME, 0, name="time__now"),
        calls=[("call_0", "time__now", IN_OSLO), ("call_1", "time__now", IN_ROME)],
        back=_chat_back(("call_0", OSLO), ("call_1", ROME)),
    ),
    "one id for all calls": chat_case(
        steps.chat_call(OSLO, 0, **FIRST),
        steps.chat_call(ROME, 1, **FIRST),
        calls=[("c1", "time__now", IN_OSLO), ("c1_0", "time__now", IN_ROME)],
        back=_chat_back(("c1", OSLO), ("c1_0", ROME)),
    ),
    "id and name in every piece": chat_case(
        steps.chat_call(OSLO[:5], 0, **FIRST),
        steps.chat_call(OSLO[5:], 0, **FIRST),
        calls=ONE,
        back=_chat_back(("c1", OSLO)),
    ),
    "the id before the name": chat_case(
        steps.chat_call(None, 0, id="c1"),
        steps.chat_call(OSLO, 0, name="time__now"),
        calls=ONE,
        back=_chat_back(("c1", OSLO)),
    ),
    "fragments without an index": chat_case(
        steps.chat_call("", 0, **FIRST),
        *(steps.chat_call(fragment) for fragment in speech.tokens(OSLO)),
        calls=ONE,
        back=_chat_back(("c1", OSLO)),
    ),
    "gemini: ends with stop, with data of its own": chat_case(
        {
            "tool_calls": [
                {**steps.chat_call(OSLO, 0, **FIRST)["tool_calls"][0], "extra_content": {"google": {"s": "x"}}}
            ]
        },
        ends="stop",
        calls=ONE,
        back=[
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "extra_content": {"google": {"s": "x"}},
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "time__now", "arguments": OSLO},
                    }
                ],
            }
        ],
    ),
    "litellm: arguments as an object": chat_case(
        steps.chat_call(IN_OSLO, 0, **FIRST), calls=ONE, back=_chat_back(("c1", OSLO))
    ),
    "litellm, JSON: arguments as an object": StepCase(
        CHAT,
        json_answer(steps.chat_whole(finish_reason="stop", **steps.chat_call(IN_OSLO, **FIRST))),
        ONE,
        _chat_back(("c1", OSLO)),
    ),
    "ollama, JSON: index 0 for every call": StepCase(
        CHAT,
        json_answer(
            steps.chat_whole(
                content="",
                tool_calls=[
                    *steps.chat_call(OSLO, 0, **FIRST)["tool_calls"],
                    *steps.chat_call(ROME, 0, **SECOND)["tool_calls"],
                ],
            )
        ),
        TWO,
        _chat_back(("c1", OSLO), ("c2", ROME)),
    ),
    "llama.cpp: no arguments": chat_case(
        steps.chat_call(None, 0, **FIRST), calls=[("c1", "time__now", {})], back=_chat_back(("c1", "{}"))
    ),
    "vllm: arguments that are not JSON": chat_case(
        steps.chat_call(BROKEN, 0, **FIRST), calls=[("c1", "time__now", None)], back=_chat_back(("c1", "{}"))
    ),
    "vllm: arguments that are no object": chat_case(
        steps.chat_call('["Oslo"]', 0, **FIRST), calls=[("c1", "time__now", None)], back=_chat_back(("c1", "{}"))
    ),
    "vllm: arguments with NaN": chat_case(
        steps.chat_call('{"zone": NaN}', 0, **FIRST), calls=[("c1", "time__now", None)], back=_chat_back(("c1", "{}"))
    ),
    "deepseek: reasoning before the call": chat_case(
        {"reasoning_content": "I need "},
        {"reasoning_content": "the time."},
        steps.chat_call(OSLO, 0, **FIRST),
        calls=ONE,
        back=_chat_back(("c1", OSLO), reasoning_content="I need the time."),
    ),
    "vllm, ollama, groq: reasoning by another name": chat_case(
        {"reasoning": "I need "},
        {"reasoning": "the time."},
        steps.chat_call(OSLO, 0, **FIRST),
        calls=ONE,
        back=_chat_back(("c1", OSLO), reasoning="I need the time."),
    ),
    "vllm before 0.15: reasoning by both names": chat_case(
        {"reasoning_content": "The time.", "reasoning": "The time."},
        steps.chat_call(OSLO, 0, **FIRST),
        calls=ONE,
        back=_chat_back(("c1", OSLO), reasoning_content="The time.", reasoning="The time."),
    ),
    "ollama, JSON: reasoning by another name": StepCase(
        CHAT,
        json_answer(steps.chat_whole(reasoning="The time.", **steps.chat_call(OSLO, 0, **FIRST))),
        ONE,
        _chat_back(("c1", OSLO), reasoning="The time."),
    ),
    # Ids.
    "responses, no ids": StepCase(
        RESPONSES,
        VendorResponse(steps.responses(*(steps.function_call("", "time__now", zone) for zone in (OSLO, ROME)))),
        [("call_0", "time__now", IN_OSLO), ("call_1", "time__now", IN_ROME)],
        [
            {**steps.function_call("", "time__now", zone), "call_id": call_id}
            for zone, call_id in ((OSLO, "call_0"), (ROME, "call_1"))
        ],
    ),
    "anthropic, one id for all calls": StepCase(
        ANTHROPIC,
        VendorResponse(
            steps.messages(
                *(steps.tool_use("c1", "time__now", zone) for zone in (IN_OSLO, IN_ROME)), stop_reason="tool_use"
            )
        ),
        [("c1", "time__now", IN_OSLO), ("c1_0", "time__now", IN_ROME)],
        [steps.tool_use("c1", "time__now", IN_OSLO), steps.tool_use("c1_0", "time__now", IN_ROME)],
    ),
}

COMPACT = '{"zone":"Oslo"}'
OPENROUTER_CALL, XAI_CALL = "toolu_vrtx_01HqWm3TzKd9Rb5XsVnYpLgQ", "call_40213976"
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

CASES |= {
    "recorded: openai": recorded_case(
        RESPONSES,
        "openai_responses_tool",
        [(OPENAI_CALL["call_id"], "time__now", IN_OSLO)],
        [OPENAI_REASONING, OPENAI_ITEM],
        Usage(61, 88),
    ),
    "recorded: openai, reasoning that is not kept": recorded_case(
        RESPONSES,
        "openai_responses_tool_bare",
        [(OPENAI_CALL["call_id"], "time__now", IN_OSLO)],
        [{"type": "function_call", **OPENAI_CALL, "arguments": OSLO}],
        Usage(61, 88),
    ),
    "recorded: openrouter with claude, signed reasoning in fragments": recorded_case(
        CHAT,
        "openrouter_chat_claude_tool",
        [(OPENROUTER_CALL, "time__now", IN_OSLO)],
        _chat_back((OPENROUTER_CALL, OSLO), content="Let me look.", reasoning_details=[CLAUDES_REASONING]),
        Usage(412, 96),
        "Let me look.",
    ),
    "recorded: xai, reasoning outside of the output's tokens": recorded_case(
        CHAT,
        "xai_chat_tool",
        [(XAI_CALL, "time__now", IN_OSLO)],
        _chat_back((XAI_CALL, OSLO), reasoning_content="The clock knows."),
        Usage(291, 222, cached_input_tokens=290),
    ),
    "gemini at openrouter: reasoning for each call": chat_case(
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "e", "id": "c1", "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "1", "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "e2", "id": "c2", "index": 0}]},
        steps.chat_call(OSLO, 0, **FIRST),
        steps.chat_call(ROME, 1, **SECOND),
        calls=TWO,
        back=_chat_back(
            ("c1", OSLO),
            ("c2", ROME),
            reasoning_details=[
                {"type": "reasoning.encrypted", "data": "e1", "id": "c1", "index": 0},
                {"type": "reasoning.encrypted", "data": "e2", "id": "c2", "index": 0},
            ],
        ),
    ),
    "openrouter, JSON: items without an index": StepCase(
        CHAT,
        json_answer(
            steps.chat_whole(
                reasoning_details=[{"type": "reasoning.summary", "summary": word} for word in ("a", "b")],
                **steps.chat_call(OSLO, 0, **FIRST),
            )
        ),
        ONE,
        _chat_back(
            ("c1", OSLO),
            reasoning_details=[
                {"type": "reasoning.summary", "summary": "a"},
                {"type": "reasoning.summary", "summary": "b"},
            ],
        ),
    ),
}

STREAMED = {name: case for name, case in CASES.items() if "JSON" not in name.split(", ")}


def results_of(received: Received) -> Turn:
    calls = [event for event in received.others if isinstance(event, ToolCall)]
    return Turn("user", "", parts=tuple(ToolResult(call.call_id, call.name, "12:00", False) for call in calls))


def step_of(received: Received) -> Turn:
    """Returns a step's turn, as the next request must have it."""
    text_parts = (TextPart(received.text),) if received.text.strip() else ()
    parts: tuple[TurnPart, ...] = tuple(event for event in received.others if isinstance(event, ToolCall | Opaque))
    return Turn("assistant", received.text, parts=(*text_parts, *parts))


def sent_ids(sent: Sequence[Any]) -> tuple[list[str], list[str]]:
    """Returns the ids of the calls in a request of any API, and those of the results."""
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


class TestToolCalls:
    """A call comes once, whole, before the Completion; its step is sent back as it came."""

    @pytest.mark.parametrize("case", CASES.values(), ids=CASES)
    async def test_step_with_calls_goes_on_with_their_results(self, vendor: VendorServer, case: StepCase) -> None:
        vendor.script(case.answer, case.api.streamed("Noon."))
        async with connected(case.api, vendor) as model:
            received = await collect(model, CALLING)
            calls = [event for event in received.others if isinstance(event, ToolCall)]
            after = (*CALLING.turns, step_of(received), results_of(received))
            went_on = await collect(model, replace(CALLING, turns=after))
        assert [(call.call_id, call.name, call.arguments) for call in calls] == list(case.calls)
        assert [call.index for call in calls] == list(range(len(calls)))
        assert received.text == case.text
        assert [completion.finish_reason for completion in received.completions] == [FinishReason.TOOLS]
        assert received.completions[0].usage in ((case.usage,) if case.usage else (USAGE, None))
        assert went_on.text == "Noon."
        expected = [*case.sent_back, *result_bodies(case.api, case.calls)]
        assert json.dumps(sent_turns(case.api, vendor.requests[1].body)) == json.dumps(expected)

    @pytest.mark.parametrize("case", STREAMED.values(), ids=STREAMED)
    async def test_stream_cut_at_any_event_has_no_calls(self, vendor: VendorServer, case: StepCase) -> None:
        last = len(case.answer.chunks) - case.api.events_after_text
        for end in range(1, last + 1):
            vendor.script(VendorResponse(case.answer.chunks[:end]))
            async with connected(case.api, vendor) as model:
                received = await collect(model, CALLING)
            assert received.failure is EndReason.CUT
            assert not [event for event in received.others if isinstance(event, ToolCall)]

    @pytest.mark.parametrize("call_id", ["call_0", "", "call:0"])
    @ALL_APIS
    async def test_each_call_of_a_conversation_has_an_id_of_its_own(
        self, vendor: VendorServer, api: VendorApi, call_id: str
    ) -> None:
        step = {
            "responses": steps.responses(steps.function_call(call_id, "time__now", OSLO)),
            "chat": steps.chat(steps.chat_call(OSLO, 0, id=call_id, name="time__now")),
            "anthropic": steps.messages(steps.tool_use(call_id, "time__now", IN_OSLO), stop_reason="tool_use"),
        }[api.name]
        vendor.script(VendorResponse(step))
        turns = CALLING.turns
        async with connected(api, vendor) as model:
            for _ in range(3):
                received = await collect(model, replace(CALLING, turns=turns))
                turns = (*turns, step_of(received), results_of(received))
            vendor.script(ANTHROPIC.streamed("Noon."))
            async with connected(ANTHROPIC, vendor) as other:
                await collect(other, replace(CALLING, turns=turns))
        *_, last, others = vendor.requests
        for reader, request, count in ((api, last, 2), (ANTHROPIC, others, 3)):
            asked, answered = sent_ids(sent_turns(reader, request.body))
            assert asked == answered
            assert len(set(asked)) == len(asked) == count

    async def test_hostile_ids_of_calls_are_made_unique_in_linear_time(self) -> None:
        reader = ChatReader(RequestAttempt("openai/m", ""), CALLING)
        ids = [*(f"call_{number}" for number in range(30_000, 60_000)), *[""] * 30_000]
        began = process_time()
        for call_id in ids:
            reader.read_event({"choices": [{"delta": steps.chat_call(OSLO, 0, id=call_id, name="time__now")}]})
        reader.read_done()
        calls = [event for event in reader.read_end() if isinstance(event, ToolCall)]
        assert process_time() - began < 10
        assert len({call.call_id for call in calls}) == len(calls) == 60_000

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

    async def test_reasoning_of_a_million_characters_is_joined_in_linear_time(self) -> None:
        piece = {"type": "reasoning.text", "text": "x" * 10, "index": 0}
        deltas = [{"reasoning_content": "y" * 10, "reasoning_details": [piece]}] * 100_000
        reader = ChatReader(RequestAttempt("openai/m", ""), CALLING)
        began = process_time()
        for delta in (*deltas, steps.chat_call(OSLO, 0, **FIRST)):
            reader.read_event({"choices": [{"delta": delta}]})
        reader.read_done()
        *_, opaque = reader.read_end()
        assert process_time() - began < 10
        assert isinstance(opaque, Opaque)
        assert opaque.item["reasoning_content"] == "y" * 1_000_000
        assert opaque.item["reasoning_details"] == [piece | {"text": "x" * 1_000_000}]

    @ALL_APIS
    async def test_functions_are_offered_in_the_vendors_form(self, vendor: VendorServer, api: VendorApi) -> None:
        vendor.script(api.streamed("one"))
        async with connected(api, vendor) as model:
            await collect(model, CALLING)
        function = {"name": CLOCK.name, "description": CLOCK.description}
        lax = function | {"parameters": CLOCK.parameters, "strict": False}
        assert vendor.requests[0].body["tools"] == [
            {
                "responses": {"type": "function", **lax},
                "chat": {"type": "function", "function": lax},
                "anthropic": function | {"input_schema": CLOCK.parameters},
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
            (400, "`tool calling` is not supported with this model"),
            (400, "model features function calling not support"),
        ],
        ids=["ollama", "vllm", "llama.cpp", "llama.cpp, older", "openrouter", "groq", "novita"],
    )
    async def test_server_that_refuses_tools_is_asked_without_them_from_then_on(
        self, vendor: VendorServer, status: int, message: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        vendor.script(refusal(status, {"error": {"message": message, "type": "api_error"}}), CHAT.streamed("one"))
        async with connected(CHAT, vendor) as model:
            for _ in range(2):
                received = await collect(model, CALLING)
                assert (received.text, received.completions[0].refused) == ("one", ("tools",))
            assert (await collect(model, PROMPT)).completions[0].refused == (), "nothing was offered"
        assert ["tools" in request.body for request in vendor.requests] == [True, False, False, False]
        assert "asking again without tools" in caplog.text

    @pytest.mark.parametrize(
        ("status", "message"),
        [
            (400, "m does not support tools"),
            (400, "Function tools with reasoning_effort are not supported. Please use /v1/responses instead."),
            (500, "tools param requires --jinja flag"),
            (422, "extra fields not permitted"),
        ],
    )
    async def test_nothing_is_given_up_for_tools_that_nobody_misses(
        self, vendor: VendorServer, status: int, message: str
    ) -> None:
        dispensable = replace(PROMPT, tools=(replace(CLOCK, is_dispensable=True),))
        vendor.script(refusal(status, {"error": {"message": message, "type": "api_error"}}), CHAT.streamed("one"))
        async with connected(CHAT, vendor) as model:
            for _ in range(2):
                received = await collect(model, dispensable)
                assert (received.text, received.completions[0].refused) == ("one", ())
            await collect(model, CALLING)
        assert ["tools" in request.body for request in vendor.requests] == [True, False, False, True]
        assert not any("reasoning_effort" in request.body for request in vendor.requests)
        assert {request.path for request in vendor.requests} == {"/v1/chat/completions"}

    async def test_bad_request_that_was_not_about_such_tools_is_a_failure(self, vendor: VendorServer) -> None:
        dispensable = replace(PROMPT, tools=(replace(CLOCK, is_dispensable=True),))
        vendor.script(refusal(400, {"error": {"message": "Too hot."}}))
        async with connected(CHAT, vendor) as model:
            assert (await collect(model, dispensable)).failure is EndReason.UNEXPECTED
            vendor.script(CHAT.streamed("one"))
            assert (await collect(model, dispensable)).text == "one"
        assert ["tools" in request.body for request in vendor.requests] == [True, False, True]

    @pytest.mark.parametrize(("status", "message"), [(500, "The tools broke."), (400, "tools.0: bad schema")])
    async def test_other_failure_with_tools_is_a_failure(self, vendor: VendorServer, status: int, message: str) -> None:
        vendor.script(refusal(status, {"error": {"message": message, "type": "api_error"}}))
        async with connected(CHAT, vendor) as model:
            received = await collect(model, CALLING)
        assert received.failure is not None
        assert len(vendor.requests) == 1

    async def test_broken_arguments_are_kept_in_part(self, vendor: VendorServer) -> None:
        vendor.script(VendorResponse(steps.chat(steps.chat_call("{" * 10_000, 0, **FIRST))))
        async with connected(CHAT, vendor) as model:
            [call] = (await collect(model, CALLING)).others
        assert isinstance(call, ToolCall)
        assert call.raw_arguments == "{" * 2_000

    @pytest.mark.parametrize(
        ("api", "answer"),
        [
            (
                RESPONSES,
                VendorResponse(steps.responses(steps.function_call("c1", "time__now", "{"), status="incomplete")),
            ),
            (CHAT, VendorResponse(steps.chat(steps.chat_call("{", 0, **FIRST), finish_reason="length"))),
            (
                ANTHROPIC,
                VendorResponse(steps.messages(steps.tool_use("c1", "x", {}), stop_reason="max_tokens", broken="{")),
            ),
        ],
        ids=["responses", "chat", "anthropic"],
    )
    async def test_call_that_the_length_limit_cut_is_not_made(
        self, vendor: VendorServer, api: VendorApi, answer: VendorResponse
    ) -> None:
        vendor.script(answer)
        async with connected(api, vendor) as model:
            received = await collect(model, CALLING)
        assert received.failure is EndReason.ONLY_THOUGHT
        assert not received.others

    @pytest.mark.parametrize(
        ("api", "answer"),
        [
            (
                RESPONSES,
                VendorResponse(
                    steps.responses(
                        *RESPONSES_ONE, status="incomplete", incomplete_details={"reason": "content_filter"}
                    )
                ),
            ),
            (CHAT, VendorResponse(steps.chat(steps.chat_call(OSLO, 0, **FIRST), finish_reason="content_filter"))),
            (ANTHROPIC, VendorResponse(steps.messages(*ANTHROPIC_ONE, stop_reason="refusal"))),
        ],
        ids=["responses", "chat", "anthropic"],
    )
    async def test_refusal_after_a_call_makes_no_call(
        self, vendor: VendorServer, api: VendorApi, answer: VendorResponse
    ) -> None:
        vendor.script(answer)
        async with connected(api, vendor) as model:
            received = await collect(model, CALLING)
        assert received.failure is EndReason.REFUSED
        assert not [event for event in received.others if isinstance(event, ToolCall)]

    @ALL_APIS
    async def test_failed_result_and_later_message_come_in_the_vendors_form(
        self, vendor: VendorServer, api: VendorApi
    ) -> None:
        vendor.script(api.streamed("one"))
        call = ToolCall(0, "call:1", "time__now", IN_OSLO)
        failed = ToolResult("call:1", "time__now", "No such zone", is_error=True)
        turns = (Turn("assistant", "", parts=(call,)), Turn("user", "", parts=(TextPart("Stop?"), failed)))
        async with connected(api, vendor) as model:
            await collect(model, replace(CALLING, turns=(*CALLING.turns, *turns)))
        asked, *answered = sent_turns(api, vendor.requests[0].body)
        match api.name:
            case "responses":
                assert asked == {
                    "type": "function_call",
                    "call_id": "call:1",
                    "name": "time__now",
                    "arguments": OSLO,
                }
                message = {"role": "user", "content": "Stop?"}
                assert message in answered
                assert {"type": "function_call_output", "call_id": "call:1", "output": "No such zone"} in answered
            case "chat":
                assert [asked] == _chat_back(("call:1", OSLO))
                assert answered == [
                    {"role": "tool", "tool_call_id": "call:1", "content": "No such zone"},
                    {"role": "user", "content": "Stop?"},
                ]
            case _:
                assert asked == steps.tool_use("call_1", "time__now", IN_OSLO)
                assert answered == [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "No such zone", "is_error": True},
                    {"type": "text", "text": "Stop?"},
                ]

    @pytest.mark.parametrize(("writer", "reader"), [(ANTHROPIC, CHAT), (RESPONSES, ANTHROPIC), (RESPONSES, CHAT)])
    async def test_other_api_reads_a_step_without_its_opaque_items(
        self, vendor: VendorServer, writer: VendorApi, reader: VendorApi
    ) -> None:
        step = {"anthropic": CASES["anthropic, parallel, after text"], "responses": CASES["responses, after text"]}
        vendor.script(step[writer.name].answer, reader.streamed("Noon."))
        async with connected(writer, vendor) as model:
            received = await collect(model, CALLING)
        async with connected(reader, vendor) as model:
            after = (*CALLING.turns, step_of(received), results_of(received))
            assert (await collect(model, replace(CALLING, turns=after))).text == "Noon."
        sent = json.dumps(vendor.requests[1].body)
        assert "Let me see." in sent
        assert "time__now" in sent
        assert not [word for word in ("gAAAA", "EqQBC", "EmwKA", "rs_1") if word in sent]


class TestFallback:
    """Another vendor can't read the opaque items of a step."""

    async def test_step_with_opaque_items_goes_on_at_its_vendor_only(self, vendor: VendorServer) -> None:
        overloaded = refusal(529, {"type": "error", "error": {"type": "overloaded_error", "message": "No."}})
        vendor.script(overloaded)
        items = tuple(Opaque("anthropic", item) for item in ANTHROPIC_ONE)
        step = Turn("assistant", "", parts=(ToolCall(0, "c1", "time__now", IN_OSLO), *items))
        prompt = replace(CALLING, turns=(*CALLING.turns, step, Turn("user", "", parts=(ToolResult("c1", "x", "1"),))))
        async with connected(CHAT, vendor) as first, connected(ANTHROPIC, vendor) as second:
            assert (await collect(Fallback([first, second]), prompt)).failure is EndReason.OVERLOADED
            asked = len(vendor.requests)
            assert {request.path for request in vendor.requests} == {"/v1/messages"}
            await collect(Fallback([second, first]), PROMPT)
        paths = {request.path for request in vendor.requests[asked:]}
        assert paths == {"/v1/messages", "/v1/chat/completions"}

    async def test_calls_without_opaque_items_may_go_on_elsewhere(self, vendor: VendorServer) -> None:
        step = Turn("assistant", "", parts=(ToolCall(0, "c1", "time__now", IN_OSLO),))
        prompt = replace(CALLING, turns=(*CALLING.turns, step, Turn("user", "", parts=(ToolResult("c1", "x", "1"),))))
        vendor.script(refusal(503, {"error": {"message": "No."}}), CHAT.streamed("one"))
        async with connected(RESPONSES, vendor) as first, connected(CHAT, vendor) as second:
            assert (await collect(Fallback([first, second]), prompt)).text == "one"


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


class TestWebSearch:
    """The vendor searches; readers see what for, and the answer's sources."""

    @pytest.mark.parametrize(
        ("api", "answer", "text", "queries", "searches"),
        [
            (
                RESPONSES,
                VendorResponse(steps.responses(*RESPONSES_FOUND)),
                "It streams.",
                [
                    ("", False),
                    ("Typist Slack bot", True),
                    ("", False),
                    ("https://docs.slack.dev/apis", True),
                    ("", False),
                    ("a b", True),
                ],
                1,
            ),
            (
                RESPONSES,
                json_answer(steps.responses_whole(*RESPONSES_FOUND)),
                "It streams.",
                [("Typist Slack bot", True), ("https://docs.slack.dev/apis", True), ("a b", True)],
                1,
            ),
            (
                RESPONSES,
                VendorResponse([e for e in steps.responses(*RESPONSES_FOUND) if b"output_item" not in e]),
                "It streams.",
                [("Typist Slack bot", True), ("https://docs.slack.dev/apis", True), ("a b", True)],
                1,
            ),
            (
                ANTHROPIC,
                VendorResponse(steps.messages(*ANTHROPIC_FOUND, searches=2)),
                FOUND,
                [("Typist Slack bot", False), ("Typist Slack bot", True)],
                2,
            ),
            (
                ANTHROPIC,
                json_answer(steps.messages_whole(*ANTHROPIC_FOUND, searches=2)),
                FOUND,
                [("Typist Slack bot", True)],
                2,
            ),
        ],
        ids=["responses", "responses, JSON", "responses, items at the end", "anthropic", "anthropic, JSON"],
    )
    async def test_answer_has_its_searches_and_each_source_once(
        self, vendor: VendorServer, api: VendorApi, answer: VendorResponse, text: str, queries: object, searches: int
    ) -> None:
        vendor.script(answer)
        async with connected(api, vendor) as model:
            received = await collect(model, SEARCHING)
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
        self, vendor: VendorServer, more: dict[str, Any], others: Sequence[Citation | Searching]
    ) -> None:
        answer = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}
        lines = [f"data: {json.dumps(event)}\n\n" for event in (answer, more, more)]
        vendor.script(VendorResponse(["".join([*lines, "data: [DONE]\n\n"]).encode()]))
        async with connected(CHAT, vendor) as model:
            received = await collect(model)
        assert (received.text, received.others) == ("Hi", others)

    @pytest.mark.parametrize(
        ("name", "text", "titles"),
        [
            ("perplexity_chat", "Hello there![1][2]", ["", ""]),
            ("perplexity_chat_search_results", "Hello there!", ["Typist", "Slack’s APIs"]),
            ("openrouter_chat_citations", "Hello there!", ["Typist", "Slack’s APIs", ""]),
        ],
    )
    async def test_chat_answer_has_the_sources_of_its_server(
        self, vendor: VendorServer, name: str, text: str, titles: Sequence[str]
    ) -> None:
        vendor.script(VendorResponse([speech.documented(name)]))
        async with connected(CHAT, vendor) as model:
            received = await collect(model)
        urls = [*(url for url, _ in SOURCES), "https://example.org/untitled"]
        assert received.text == text
        assert received.others == [Citation(*source) for source in zip(urls, titles, strict=False)]

    async def test_search_that_failed_does_not_fail_the_answer(self, vendor: VendorServer) -> None:
        blocks = (steps.SERVER_SEARCH, steps.SEARCH_ERROR, steps.text("I can't search now."))
        vendor.script(VendorResponse(steps.messages(*blocks)))
        async with connected(ANTHROPIC, vendor) as model:
            received = await collect(model, SEARCHING)
        assert received.text == "I can't search now."
        assert [event.done for event in received.others if isinstance(event, Searching)] == [False, True]

    @pytest.mark.parametrize("domains", [(), ("example.com", "docs.slack.dev")], ids=["all", "some"])
    async def test_search_is_asked_for_within_bounds(self, vendor: VendorServer, domains: tuple[str, ...]) -> None:
        prompt = replace(CALLING, web_search=WebSearch(domains))
        vendor.script(ANTHROPIC.streamed("one"), RESPONSES.streamed("one"), CHAT.streamed("one"))
        for api in (ANTHROPIC, RESPONSES, CHAT):
            async with connected(api, vendor) as model:
                await collect(model, prompt)
        anthropic, responses, chat = (request.body for request in vendor.requests)
        limits = {"max_uses": MAX_SEARCHES} | ({"allowed_domains": list(domains)} if domains else {})
        assert anthropic["tools"][1:] == [
            {"type": "web_search_20250305", "name": "web_search", **limits},
            {"type": "web_fetch_20250910", "name": "web_fetch", "max_content_tokens": 10_000, **limits},
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
            (RESPONSES, "Hosted tool 'web_search' is not supported with gpt-6-luna.", [], ["web search"]),
            (
                ANTHROPIC,
                "tools.0: web_search is not enabled for this organization.",
                ["web_fetch"],
                ["web search"],
            ),
            (ANTHROPIC, "tools.1: Input tag 'web_fetch_20250910' found", ["web_search"], []),
        ],
    )
    async def test_answer_goes_without_what_its_model_lacks(
        self,
        vendor: VendorServer,
        api: VendorApi,
        message: str,
        left: list[str],
        told: list[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        error = {"type": "invalid_request_error", "message": message}
        vendor.script(refusal(400, {"type": "error", "error": error}), api.streamed("one"))
        async with connected(api, vendor) as model:
            for _ in range(2):
                received = await collect(model, SEARCHING)
                assert (received.text, list(received.completions[0].refused)) == ("one", told)
        assert [[tool["name"] for tool in request.body.get("tools", ())] for request in vendor.requests[1:]] == [
            left,
            left,
        ]
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
            after = (*prompt.turns, step_of(received), results_of(received))
            await collect(model, replace(prompt, turns=after))
        assert received.text == "Let me look.\n\nIt streams."
        [completion] = received.completions
        assert completion.finish_reason is FinishReason.TOOLS
        assert completion.usage == replace(USAGE + USAGE, web_searches=2)
        assert completion.usage.requests == (replace(USAGE, web_searches=1),) * 2, "each has its own price"
        first, second, third = (request.body for request in vendor.requests)
        assert second["tools"] == first["tools"]
        assert second["messages"] == [*first["messages"], {"role": "assistant", "content": list(begun)}]
        assert third["messages"][-2] == {"role": "assistant", "content": [*begun, *ended]}

    async def test_each_request_of_a_paused_answer_has_its_own_counts(self, vendor: VendorServer) -> None:
        paused = steps.messages(WITH_TEXT, stop_reason="pause_turn", searches=2)
        vendor.script(VendorResponse(paused), VendorResponse(steps.messages(steps.text("It streams."))))
        async with connected(ANTHROPIC, vendor) as model:
            [completion] = (await collect(model, SEARCHING)).completions
        assert completion.usage is not None
        assert completion.usage.requests == (replace(USAGE, web_searches=2), USAGE)

    async def test_answer_that_never_stops_pausing_ends_at_its_length_limit(self, vendor: VendorServer) -> None:
        vendor.script(VendorResponse(steps.messages(steps.text("On."), stop_reason="pause_turn")))
        async with connected(ANTHROPIC, vendor) as model:
            received = await collect(model, SEARCHING)
        assert received.completions[0].finish_reason is FinishReason.LENGTH
        assert len(vendor.requests) == 1 + MAX_PAUSES

    async def test_pause_is_followed_by_a_failure_as_any_text(self, vendor: VendorServer) -> None:
        overloaded = refusal(529, {"type": "error", "error": {"type": "overloaded_error", "message": "No."}})
        vendor.script(VendorResponse(steps.messages(WITH_TEXT, stop_reason="pause_turn")), overloaded)
        async with connected(ANTHROPIC, vendor) as model:
            received = await collect(model, SEARCHING)
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
        pause_s = 60

        def paused(request: object) -> VendorResponse:
            return VendorResponse([b"".join(chunks[:at]), b"".join(chunks[at:])], pause_s=pause_s)

        vendor.script(paused)
        async with connected(api, vendor) as model, asyncio.timeout(600):
            received = await collect(Stall(model, stall_timeout_s=30), SEARCHING)
        assert received.error is None

    @pytest.mark.parametrize(
        ("api", "chunks"),
        [
            (RESPONSES, steps.responses(steps.function_call("c1", "time__now", OSLO * 4))),
            (CHAT, steps.chat(steps.chat_call("", 0, **FIRST), *steps.fragments(OSLO * 4, 0))),
            (ANTHROPIC, steps.messages(steps.tool_use("c1", "x", {}), stop_reason="tool_use", broken=OSLO * 4)),
        ],
        ids=["responses", "chat", "anthropic"],
    )
    async def test_tool_call_that_is_being_written_is_work(
        self, vendor: VendorServer, api: VendorApi, chunks: list[bytes]
    ) -> None:
        vendor.script(VendorResponse(chunks))
        async with connected(api, vendor) as model:
            received = await collect(model, CALLING)
        assert received.thought >= len(speech.tokens(OSLO * 4))

    @pytest.mark.long
    async def test_search_that_never_ends_stalls(self, vendor: VendorServer) -> None:
        chunks = steps.messages(*ANTHROPIC_FOUND)
        at = next(number for number, chunk in enumerate(chunks) if b'"type": "web_search_tool_result"' in chunk)
        vendor.script(VendorResponse(chunks[:at], ending=ResponseEnd.HANG, ping=b""))
        async with connected(ANTHROPIC, vendor) as model, asyncio.timeout(600):
            received = await collect(Stall(model, stall_timeout_s=5), SEARCHING)
        assert received.failure is EndReason.STALLED
