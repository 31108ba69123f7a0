"""The requests to each API, and how they are authorized."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

import pytest

from bot.errors import EndReason
from bot.models import openai
from bot.models.events import THINKING_TOKENS, Opaque, TextPart, Thinking, ToolCall
from bot.models.prompt import PDF, Media, Prompt, ToolDefinition, ToolResult, Turn
from bot.models.setup import VendorSettings, uses_responses_api
from files_to_markdown.document import Document
from slack_sandbox.testing.processes import WITHIN_S
from tests.contracts.in_process import InProcessVendor
from tests.contracts.notifications import PROMPT, ask, collect, connected
from tests.contracts.vendors import ANTHROPIC, CHAT, KEY, RESPONSES, VendorApi, options, unsupported
from tests.streams import steps
from tests.streams.server import VendorRequest, VendorResponse, VendorServer, refusal

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
        "prompt_cache_key": "c0ffee",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_anthropic_requests_are_cached_and_bounded(vendor: VendorServer) -> None:
    await ask(ANTHROPIC, vendor, ANTHROPIC.streamed("one"))
    [request] = vendor.requests
    first, *others = PROMPT.turns
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "m",
        "max_tokens": 16_384 + THINKING_TOKENS,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": first.text, "cache_control": {"type": "ephemeral"}}]},
            *({"role": turn.role, "content": turn.text} for turn in others),
        ],
        "cache_control": {"type": "ephemeral"},
        "stream": True,
    }


@pytest.mark.parametrize("name", ["m", "ft:gpt-6-luna:claude-and-sons::7"])
async def test_openai_chat_requests_leave_room_to_think_and_name_the_conversation(
    vendor: VendorServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", vendor.url)
    vendor.script(CHAT.streamed("one"))
    client = openai.connect("openai", VendorSettings(KEY, "http://api.openai.com/v1", "chat"), options())
    await collect(client.model(name), CACHED)
    await client.aclose()
    [request] = vendor.requests
    assert request.body["max_completion_tokens"] == 16_384 + THINKING_TOKENS
    assert request.body["prompt_cache_key"] == "c0ffee"
    assert "cache_control" not in request.body, "OpenAI caches by itself, whatever a model's name contains"


async def test_openai_gets_a_mark_where_the_beginning_ends_that_conversations_share(
    vendor: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", vendor.url)
    field = "input[0].content[0].prompt_cache_breakpoint"
    refused = unsupported(f"Unsupported parameter: '{field}' is not supported with this model.", field)
    vendor.script(RESPONSES.streamed("one"), refused, RESPONSES.streamed("two"), RESPONSES.streamed("three"))
    client = openai.connect("openai", VendorSettings(KEY, "http://api.openai.com/v1", "responses"), options())
    newer, older = client.model("m"), client.model("older")
    for model in (newer, older, older):
        await collect(model, CACHED)
    await client.aclose()
    bodies = [request.body for request in vendor.requests]
    part = {"type": "input_text", "text": "Be brief.", "prompt_cache_breakpoint": {"mode": "explicit"}}
    assert bodies[0]["input"][0] == {"role": "developer", "content": [part]}
    assert [body.get("instructions") for body in bodies] == [None, None, "Be brief.", "Be brief."]
    assert [len(body["input"]) for body in bodies] == [4, 4, 3, 3]


def grok(request: VendorRequest) -> VendorResponse:
    """xAI's server, which calls a tool once. Its Chat Completions have no field for thoughts, and refuse nothing.

    https://docs.x.ai/developers/model-capabilities/text/comparison, and docs.x.ai/docs/guides/files/chat-with-files: a
    file is a URL or an ID (2026-11-30).
    """
    if "file_data" in str(request.body):
        return refusal(400, {"code": "400", "error": "Argument not supported: file_data"})
    has_result = any(word in str(request.body) for word in ("'function_call_output'", "'role': 'tool'"))
    if request.path == CHAT.path:
        call = steps.chat_call("{}", 0, id="c1", name="time__now")
        return CHAT.streamed("one") if has_result else VendorResponse(steps.chat(call))
    if has_result:
        return RESPONSES.streamed("one")
    return VendorResponse(steps.responses(steps.REASONING, steps.function_call("c1", "time__now", "{}")))


async def test_grok_gets_back_what_it_thought_before_its_calls_and_the_text_of_pdfs(
    vendor: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", vendor.url)
    vendor.script(grok)
    handbook = Media("handbook.pdf", PDF, "JVBERi0=", Document("What it says."))
    asked = Prompt("Be brief.", (Turn("user", "Please note it.", (handbook,)),), tools=OFFERING.tools, asker="ada")
    client = openai.connect("openai", VendorSettings(KEY, "http://api.x.ai/v1"), options())
    model = client.model("grok-4.7")
    begun = await collect(model, asked)
    parts = tuple(event for event in begun.others if isinstance(event, Opaque | ToolCall))
    result = Turn("user", "", parts=(ToolResult(begun.calls[0].call_id, "time__now", "Noted."),))
    done = await collect(model, replace(asked, turns=(*asked.turns, Turn("assistant", "", parts=parts), result)))
    await client.aclose()
    first, last = (request.body for request in vendor.requests)
    assert (done.text, done.completions[0].refused) == ("one", ())
    assert first["input"][0]["content"].endswith("What it says.")
    assert steps.REASONING in last["input"]
    assert (last["store"], "safety_identifier" in last) == (False, False)


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
    "a server that knows nothing of storing": (
        RESPONSES,
        unsupported("Unknown parameter: 'store'.", "store"),
        {"store"},
    ),
    "a server that forbids storing, by a page": (
        RESPONSES,
        VendorResponse([b"<html>Extra inputs are not permitted: store</html>"], 422, "text/html"),
        {"store"},
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
    in_process: InProcessVendor, refused: VendorResponse, field: str
) -> None:
    in_process.script(refused, CHAT.streamed("one"))
    async with connected(CHAT, in_process) as model:
        received = [await collect(model, OFFERING) for _ in range(2)]
    assert [one.text for one in received] == ["one", "one"]
    assert [field in request.body for request in in_process.requests] == [True, False, False]
    assert [one.completions[0].refused for one in received] == [("tools",) if field == "tools" else ()] * 2


VERIFY = "Your organization must be verified to stream this model. If you just verified, it can take up to 15 minutes."
NO_STREAM = {
    "an organization that isn't verified": unsupported(VERIFY, "stream", code="unsupported_value"),
    "in words alone": refusal(400, {"error": {"message": VERIFY}}),
    "a model, by its values": unsupported(
        "Unsupported value: 'stream' does not support true with this model. Supported values are: false.", "stream"
    ),
    "a server that knows no streams": unsupported("Unknown parameter: 'stream'.", "stream"),
    "a model of a gateway": refusal(400, {"error": {"message": "selected model does not support streaming"}}),
    "not yet": refusal(501, {"error": {"message": "Responses streaming is not yet supported"}}),
    "in the stream": VendorResponse([b'event: error\ndata: {"error": {"message": "Streaming is not supported"}}\n\n']),
}


def whole_only(answer: VendorResponse, error: VendorResponse) -> Callable[[VendorRequest], VendorResponse]:
    return lambda request: error if request.body["stream"] else answer


@pytest.mark.parametrize("api", [CHAT, RESPONSES], ids=str)
@pytest.mark.parametrize("error", NO_STREAM.values(), ids=NO_STREAM.keys())
async def test_answer_that_may_not_be_streamed_comes_whole_from_then_on(
    in_process: InProcessVendor, api: VendorApi, error: VendorResponse
) -> None:
    in_process.script(whole_only(api.whole("one"), error))
    async with connected(api, in_process) as model:
        received = [await collect(model, OFFERING) for _ in range(2)]
    assert [one.text for one in received] == ["one", "one"]
    assert [one.completions[0].refused for one in received] == [(), ()]
    assert all(one.thought for one in received), "silence until then is work"
    first, again, later = (request.body for request in in_process.requests)
    assert {name for name in first if again.get(name) != first[name]} <= {"stream", "stream_options"}
    assert later == again


@pytest.mark.parametrize("api", [CHAT, RESPONSES], ids=str)
async def test_model_gives_a_sign_of_work_before_its_answer_comes_whole(vendor: VendorServer, api: VendorApi) -> None:
    """Silence until then would be taken for a stall."""
    error = NO_STREAM["in words alone"]
    async with connected(api, vendor) as model:
        for _ in range(2):
            may_come = asyncio.Event()
            late = replace(api.whole("one"), gates={0: may_come.wait})
            vendor.script(whole_only(late, error))
            async with aclosing(model.stream(PROMPT)) as stream, asyncio.timeout(WITHIN_S):
                assert isinstance(await anext(stream), Thinking)
                may_come.set()
                assert await anext(stream) == "one"


@pytest.mark.parametrize(
    "words",
    [
        "stream error: stream ID 3; INTERNAL_ERROR; received from peer",
        "Could not read the stream of the upstream server",
        "The stream was not completed",
    ],
)
@pytest.mark.parametrize("status", [400, 500])
async def test_fault_of_a_stream_costs_no_stream(in_process: InProcessVendor, words: str, status: int) -> None:
    await ask(CHAT, in_process, refusal(status, {"error": {"message": words}}))
    assert all(request.body["stream"] for request in in_process.requests)


async def test_refused_system_role_becomes_the_beginning_of_the_first_message(in_process: InProcessVendor) -> None:
    in_process.script(refusal(400, {"error": {"message": "System role not supported"}}), CHAT.streamed("one"))
    async with connected(CHAT, in_process) as model:
        assert [(await collect(model)).text for _ in range(2)] == ["one", "one"]
    first, again, later = (request.body["messages"] for request in in_process.requests)
    assert first[0]["role"] == "system"
    assert again[0] == {"role": "user", "content": f"{PROMPT.system}\n\n{PROMPT.turns[0].text}"}
    assert later == again


async def test_refusal_is_remembered_only_if_the_request_without_it_succeeds(in_process: InProcessVendor) -> None:
    # It names reasoning, and means the conversation.
    orphan = "Item 'rs_1' of type 'reasoning' was provided without its required following item."
    error = refusal(400, {"error": {"message": orphan, "type": "invalid_request_error", "param": "input"}})
    in_process.script(error, error, error, RESPONSES.streamed("one"))
    async with connected(RESPONSES, in_process) as model:
        assert (await collect(model)).failure is EndReason.UNEXPECTED
        assert (await collect(model)).text == "one"
    assert ["reasoning" in request.body for request in in_process.requests] == [True, False, False, True]


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
    in_process: InProcessVendor,
) -> None:
    in_process.script(OLD_LIMIT, NO_TOOLS_HERE, RESPONSES.streamed("one"))
    client = CHAT.connect(in_process.url)
    model, other = client.model("gpt-6-luna"), client.model("m")
    received = await collect(model, OFFERING)
    assert (received.text, received.completions[0].refused) == ("one", ())
    assert (await collect(model, OFFERING)).text == "one"
    in_process.script(CHAT.streamed("two"))
    assert (await collect(other, OFFERING)).text == "two"
    await client.aclose()
    paths = [request.path for request in in_process.requests]
    assert paths == [CHAT_PATH, CHAT_PATH, RESPONSES_PATH, RESPONSES_PATH, CHAT_PATH], "remembered for this model"
    first, renamed, switched, later, others = (request.body for request in in_process.requests)
    assert (first["max_tokens"], renamed["max_completion_tokens"]) == (16_384, 16_384)
    assert "max_tokens" not in renamed
    assert switched["tools"][0]["name"] == "time__now"
    assert later == switched
    assert "max_tokens" in others


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_gateway_without_responses_is_asked_for_no_reasoning(in_process: InProcessVendor, status: int) -> None:
    in_process.script(NO_TOOLS_HERE, refusal(status, {"detail": "Not Found"}), OLD_LIMIT, CHAT.streamed("one"))
    async with connected(CHAT, in_process) as model:
        received = await collect(model, OFFERING)
        assert (received.text, received.completions[0].refused) == ("one", ())
        await collect(model, OFFERING)
        await collect(model, PROMPT)
    paths = [request.path for request in in_process.requests]
    assert paths == [CHAT_PATH, RESPONSES_PATH, CHAT_PATH, CHAT_PATH, CHAT_PATH, CHAT_PATH]
    *_, last, later, plain = (request.body for request in in_process.requests)
    assert (last["reasoning_effort"], last["max_completion_tokens"]) == ("none", 16_384)
    assert later == last
    assert "reasoning_effort" not in plain, "without tools it may reason"


ONLY_AT_RESPONSES = {
    "openai": (404, "This model is only supported in v1/responses and not in v1/chat/completions."),
    "openai, of completions": (
        404,
        "This is not a chat model and thus not supported in the v1/chat/completions endpoint. "
        "Did you mean to use v1/completions?",
    ),
    "copilot": (400, 'model "m" is not accessible via the /chat/completions endpoint'),
    "xai": (400, "Requests are not allowed on chat completions. Please use the Responses API instead."),
    "azure": (400, "The chatCompletion operation does not work with the specified model, m."),
}


@pytest.mark.parametrize("prompt", [PROMPT, OFFERING], ids=["plain", "with tools"])
@pytest.mark.parametrize(("status", "words"), ONLY_AT_RESPONSES.values(), ids=ONLY_AT_RESPONSES.keys())
async def test_model_that_is_only_at_the_other_api_is_asked_there_from_then_on(
    in_process: InProcessVendor, status: int, words: str, prompt: Prompt
) -> None:
    in_process.script(refusal(status, {"error": {"message": words, "param": "model"}}), RESPONSES.streamed("one"))
    async with connected(CHAT, in_process) as model:
        received = [await collect(model, prompt) for _ in range(2)]
    assert [(one.text, one.completions[0].refused) for one in received] == [("one", ())] * 2
    assert [request.path for request in in_process.requests] == [CHAT_PATH, RESPONSES_PATH, RESPONSES_PATH]
    assert in_process.requests[-1].body["instructions"] == prompt.system, "marks for the cache are OpenAI's own"


async def test_model_at_neither_api_is_unknown_and_asked_for_once_more(in_process: InProcessVendor) -> None:
    gone = refusal(404, {"error": {"message": ONLY_AT_RESPONSES["openai"][1]}})
    in_process.script(gone, refusal(404, {"detail": "Not Found"}), gone)
    async with connected(CHAT, in_process) as model:
        assert (await collect(model, OFFERING)).failure is EndReason.UNKNOWN_MODEL
    assert [request.path for request in in_process.requests] == [CHAT_PATH, RESPONSES_PATH, CHAT_PATH]


async def test_gateway_whose_responses_are_overloaded_keeps_reasoning(in_process: InProcessVendor) -> None:
    in_process.script(
        NO_TOOLS_HERE, refusal(503, {"error": {"message": "No."}}), NO_TOOLS_HERE, RESPONSES.streamed("one")
    )
    async with connected(CHAT, in_process) as model:
        assert (await collect(model, OFFERING)).failure is EndReason.OVERLOADED
        assert (await collect(model, OFFERING)).text == "one"
    assert [request.path for request in in_process.requests] == [CHAT_PATH, RESPONSES_PATH] * 2
    assert not [request for request in in_process.requests if "reasoning_effort" in request.body]


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


LASTING = {
    "another model": (refusal(400, {"error": {"message": "The model `m` does not exist"}}), EndReason.UNKNOWN_MODEL),
    "another model, by its number": (refusal(404, {"error": {"message": "Not found"}}), EndReason.UNKNOWN_MODEL),
    "a wrong path": (refusal(404, {"error": "Could not route to /x/v1/chat/completions"}), EndReason.UNREADABLE),
    "the words": (refusal(400, {"error": {"code": "content_filter", "message": "Tools of war."}}), EndReason.REFUSED),
    "the key": (refusal(401, {"error": {"message": "No tools for you."}}), EndReason.BAD_KEY),
    "credit": (refusal(402, {"error": {"message": "Tools cost more."}}), EndReason.OUT_OF_CREDIT),
    "the rate": (refusal(429, {"error": {"message": "Too many tools."}}), EndReason.RATE_LIMITED),
    "the load": (refusal(503, {"error": {"message": "Tools are busy."}}), EndReason.OVERLOADED),
    "a fault of the server": (refusal(500, {"error": {"message": "Oh."}}), EndReason.SERVER_ERROR),
}


@pytest.mark.parametrize(("refused", "failure"), LASTING.values(), ids=LASTING.keys())
async def test_refusal_that_is_not_of_the_requests_form_is_not_repeated(
    in_process: InProcessVendor, refused: VendorResponse, failure: EndReason
) -> None:
    assert (await ask(CHAT, in_process, refused, prompt=OFFERING)).failure is failure
    assert len(in_process.requests) == 1


IN_STREAM = b"""event: error
data: {"type": "error", "error": {"type": "invalid_request_error", "message": "Not like this."}}

"""
UNNAMED = {
    "a sentence": refusal(400, {"error": {"message": "Not like this."}}),
    "plain text": VendorResponse([b"Not like this."], 400, "text/plain"),
    "a page": VendorResponse([b"<html><body>Not like this.</body></html>"], 400, "text/html"),
    "in the stream": VendorResponse([IN_STREAM]),
    "nothing": VendorResponse(status=422),
}
EVERYTHING = {**UNNAMED, "a name": refusal(400, {"error": {"message": "Unknown field max_tokens: 5 fields refused."}})}


@pytest.mark.parametrize("api", [RESPONSES, CHAT, ANTHROPIC], ids=str)
@pytest.mark.parametrize("refused", EVERYTHING.values(), ids=EVERYTHING.keys())
async def test_server_that_refuses_everything_is_asked_three_times(
    in_process: InProcessVendor, api: VendorApi, refused: VendorResponse
) -> None:
    received = await ask(api, in_process, refused, prompt=OFFERING)
    assert received.failure in (EndReason.UNEXPECTED, EndReason.UNREADABLE, EndReason.SERVER_ERROR)
    assert len(in_process.requests) <= 3
    assert received.error
    said = b"".join(refused.chunks)
    assert (
        not said
        or said.startswith(b"<")
        or "Not like this" in received.error.detail
        or "fields" in received.error.detail
    )


def strict(api: VendorApi, *refused: str, error: VendorResponse) -> Callable[[VendorRequest], VendorResponse]:
    """Returns a server that refuses requests with one of these fields, or system messages, and names none."""

    def answer(request: VendorRequest) -> VendorResponse:
        roles = {message["role"] for message in request.body.get("messages", ())}
        return error if not (roles | set(request.body)).isdisjoint(refused) else api.streamed("one")

    return answer


@pytest.mark.parametrize("error", UNNAMED.values(), ids=UNNAMED.keys())
@pytest.mark.parametrize(
    ("api", "refused", "lost"),
    [
        (CHAT, ("stream_options",), ()),
        (CHAT, ("system",), ()),
        (CHAT, ("tools",), ("tools",)),
        (CHAT, ("tools", "stream_options", "system", "reasoning_effort"), ("tools",)),
        (RESPONSES, ("instructions",), ()),
        (RESPONSES, ("reasoning", "include", "prompt_cache_key"), ()),
        (RESPONSES, ("tools",), ("tools",)),
        (ANTHROPIC, ("system",), ()),
        (ANTHROPIC, ("cache_control", "tools"), ("tools",)),
        (ANTHROPIC, ("output_config",), ()),
    ],
    ids=str,
)
async def test_what_an_unnamed_refusal_is_about_is_found_and_all_else_is_put_back(
    in_process: InProcessVendor, api: VendorApi, refused: tuple[str, ...], lost: tuple[str, ...], error: VendorResponse
) -> None:
    prompt = replace(OFFERING, cache_key="c0ffee")
    in_process.script(strict(api, *refused, error=error))
    async with connected(api, in_process) as model:
        for _ in range(8):
            before = len(in_process.requests)
            received = await collect(model, prompt)
            assert received.text == "one", "each question is answered"
            assert len(in_process.requests) - before <= 3
        assert len(in_process.requests) - before == 1, "remembered"
    first, *_, last = (request.body for request in in_process.requests)
    assert received.completions[0].refused == lost
    missing = {name for name in first if name not in last}
    assert missing - {"include"} == set(refused) & set(first) - {"include"}, "which goes with tools"
    if "system" in refused and api is CHAT:
        assert last["messages"][0]["content"].startswith(PROMPT.system)


NAMED = {
    "another status": (refusal(404, {"error": {"message": "Unknown field: tools"}}), ("tools",)),
    "a fault of the server": (refusal(500, {"error": {"message": "Cannot use tools with stream"}}), ("tools",)),
    "in the stream": (
        VendorResponse([b'data: {"error": {"code": 500, "message": "tools are not supported"}}\n\n']),
        ("tools",),
    ),
    "in the stream, by an event": (
        VendorResponse([b'event: error\ndata: {"error": {"message": "Unknown parameter stream_options"}}\n\n']),
        ("stream_options",),
    ),
    "plain text": (VendorResponse([b"unknown field `stream_options`"], 422, "text/plain"), ("stream_options",)),
    "a page": (
        VendorResponse([b"<html><body>stream_options: unexpected</body></html>"], 400, "text/html"),
        ("stream_options",),
    ),
    "the limit": (unsupported("Unrecognized request argument supplied: max_tokens"), ("max_tokens",)),
    "several": (unsupported("Unknown fields: stream_options, tools"), ("stream_options", "tools")),
}


@pytest.mark.parametrize(("error", "fields"), NAMED.values(), ids=NAMED.keys())
async def test_only_what_a_refusal_names_is_left_out_wherever_it_says_so(
    in_process: InProcessVendor, error: VendorResponse, fields: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    in_process.script(strict(CHAT, *fields, error=error))
    async with connected(CHAT, in_process) as model:
        for requests in (2, 3):
            received = await collect(model, OFFERING)
            assert (received.text, len(in_process.requests)) == ("one", requests)
    first, again, later = (request.body for request in in_process.requests)
    assert {name for name in first if name not in again} == set(fields)
    assert later == again
    assert "request refused, asking again: " in caplog.text


async def test_limit_that_is_refused_by_all_names_is_left_out(in_process: InProcessVendor) -> None:
    error = unsupported("Unknown parameter: the limit is called max_new_tokens here")
    in_process.script(strict(CHAT, "max_tokens", "max_completion_tokens", error=error))
    async with connected(CHAT, in_process) as model:
        for requests in (3, 4):
            assert (await collect(model)).text == "one"
            assert len(in_process.requests) == requests


async def test_third_fault_in_a_row_is_taken_for_a_refusal(in_process: InProcessVendor) -> None:
    """A server that fails for the request's form says nothing else. One that is down gets two requests more."""
    error = refusal(500, {"error": {"message": "Internal Server Error"}})
    in_process.script(strict(CHAT, "tools", error=error))
    async with connected(CHAT, in_process) as model:
        ends = [await collect(model, OFFERING) for _ in range(4)]
    assert [end.failure for end in ends[:2]] == [EndReason.SERVER_ERROR] * 2
    assert [end.completions[0].refused for end in ends[2:]] == [("tools",)] * 2


async def test_faults_with_answers_between_them_are_no_refusal(in_process: InProcessVendor) -> None:
    error = refusal(500, {"error": {"message": "Internal Server Error"}})
    in_process.script(*[error, CHAT.streamed("one")] * 3)
    async with connected(CHAT, in_process) as model:
        ends = [await collect(model, OFFERING) for _ in range(6)]
    assert [end.text for end in ends] == ["", "one"] * 3


async def test_server_that_is_down_loses_nothing(in_process: InProcessVendor) -> None:
    error = refusal(500, {"error": {"message": "Internal Server Error"}})
    in_process.script(error, error, error, CHAT.streamed("one"))
    async with connected(CHAT, in_process) as model:
        ends = [await collect(model, OFFERING) for _ in range(8)]
    assert ends[-1].completions[0].refused == ()
    assert in_process.requests[-1].body == in_process.requests[0].body


async def test_model_name_may_contain_slashes(in_process: InProcessVendor) -> None:
    in_process.script(CHAT.streamed("one"))
    client = CHAT.connect(in_process.url)
    model = client.model("meta/llama-3")
    await collect(model)
    await client.aclose()
    assert model.model == "openai/meta/llama-3"
    assert in_process.requests[0].body["model"] == "meta/llama-3"


@pytest.mark.parametrize(
    ("base_url", "responses"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://team.openai.azure.com/openai/v1/", True),
        ("https://team.services.ai.azure.com/openai/v1/", True),
        ("https://team.openai.azure.us/openai/v1/", True),
        ("https://api.x.ai/v1", True),
        ("https://notx.ai/v1", False),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", False),
        ("http://127.0.0.1:11434/v1", False),
        ("https://gateway.example.com/api.openai.com/v1", False),
        ("https://notopenai.com/v1", False),
        ("https://notazure.com/openai/v1", False),
        ("https://notazure.us/openai/v1", False),
        ("https://api.openai.com.example.com/v1", False),
    ],
)
def test_responses_api_is_used_only_where_it_is_known_to_exist(base_url: str, responses: bool) -> None:
    assert uses_responses_api("auto", base_url) is responses
    assert uses_responses_api("chat", base_url) is False


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
    client = openai.connect("openai", VendorSettings("", f"{vendor.url}/openai/v1{slash}", "chat"), options())
    await collect(client.model("m"))
    await client.aclose()
    [request] = vendor.requests
    assert (request.path, request.headers["Authorization"]) == ("/openai/v1/chat/completions", "Bearer none")
