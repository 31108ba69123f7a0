"""The contract of Provider: each API plain and wrapped, over real HTTP with its SDK and in process."""

import asyncio
import json
import logging
import re
import traceback
import tracemalloc
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import Backoff, EndReason, ProviderError
from bot.models import reading, wrappers
from bot.models.anthropic import MessagesReader
from bot.models.events import Citation, Completion, FinishReason, Usage
from bot.models.failures import RequestAttempt
from bot.models.model import Provider
from bot.models.openai import ChatReader, ResponsesReader
from bot.models.prompt import ToolDefinition
from bot.models.streams import AnswerReader, parse_finish_reason
from bot.models.wire import MAX_EVENT_BYTES
from bot.models.wrappers import Fallback, StallTimeout
from slack_sandbox.testing.processes import WITHIN_S
from tests.contracts.in_process import AnyVendor, InProcessVendor
from tests.contracts.notifications import LONG, PROMPT, Received, ask, collect, connected
from tests.contracts.vendors import (
    ANTHROPIC,
    APIS,
    CHAT,
    DOCUMENTED,
    GEMINIS_LIMIT,
    KEY,
    REFUSED,
    RESPONSES,
    Documented,
    ErrorRow,
    VendorApi,
)
from tests.streams import speech, steps
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer, refusal

OFFERING = replace(PROMPT, tools=(ToolDefinition("time__now", "The time", {"type": "object"}),))
TEXT = "Grüße, **世界** 👋🏽 — und `Code`:\n\n1. one\n2. two\n"


def plain(provider: Provider) -> Provider:
    return provider


def wrapped(provider: Provider) -> Provider:
    return Fallback([StallTimeout(provider, stall_timeout_s=10)])


WRAPS = pytest.mark.parametrize("wrap", [plain, wrapped], ids=["plain", "wrapped"])
ALL_APIS = pytest.mark.parametrize("api", APIS, ids=str)


class TestAnAnswer:
    """An answer is a series of deltas and then one Completion."""

    @WRAPS
    @ALL_APIS
    @pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
    async def test_answer_is_the_vendors_text(
        self, vendor: VendorServer, api: VendorApi, wrap: Callable[[Provider], Provider], streaming: bool
    ) -> None:
        answer = api.streamed(*speech.tokens(TEXT)) if streaming else api.whole(TEXT)
        received = await ask(api, vendor, answer, wrap=wrap)
        usage = Usage(speech.INPUT_TOKENS, len(speech.tokens(TEXT)))
        assert received.text == TEXT
        assert len(received.deltas) == (len(speech.tokens(TEXT)) if streaming else 1)
        assert received.completions == [Completion(api.model, FinishReason.STOP, usage)]
        assert [request.path for request in vendor.requests] == [api.path]

    @ALL_APIS
    @pytest.mark.parametrize("size", [1, 7])
    async def test_answer_survives_any_chunk_boundary(
        self, in_process: InProcessVendor, api: VendorApi, size: int
    ) -> None:
        stream = b"".join(api.speak(["Grüße ", "世界", "👋🏽"]))
        assert (await ask(api, in_process, VendorResponse(speech.split(stream, size)))).text == "Grüße 世界👋🏽"

    @ALL_APIS
    async def test_deltas_arrive_as_they_are_sent(self, vendor: VendorServer, api: VendorApi) -> None:
        vendor.script(VendorResponse(api.unended("one", " two"), ending=ResponseEnd.HANG))
        async with connected(api, vendor) as model, aclosing(model.stream(PROMPT)) as stream:
            async with asyncio.timeout(WITHIN_S):
                assert [await anext(stream), await anext(stream)] == ["one", " two"]

    @ALL_APIS
    async def test_simultaneous_answers_are_not_mixed(self, vendor: VendorServer, api: VendorApi) -> None:
        numbers = iter(range(1000))
        vendor.script(lambda request: replace(api.streamed(*(f"{next(numbers)} ",) * 20), pause_s=0.001))
        async with connected(api, vendor) as model:
            received = await asyncio.gather(*(collect(model) for _ in range(20)))
        assert [len(set(one.deltas)) for one in received] == [1] * 20
        assert len({one.text for one in received}) == 20

    @ALL_APIS
    @pytest.mark.parametrize("size", [1, 100_000])
    @pytest.mark.parametrize("beginning", [b"", b"\n", b"\xef\xbb\xbf", b": hello\n\n"])
    @pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
    async def test_stream_is_read_whatever_it_is_called_and_begins_with(
        self, in_process: InProcessVendor, api: VendorApi, beginning: bytes, content_type: str, size: int
    ) -> None:
        stream = beginning + b"".join(api.speak(["one", " two"]))
        received = await ask(api, in_process, VendorResponse(speech.split(stream, size), content_type=content_type))
        assert received.text == "one two"

    @ALL_APIS
    async def test_json_may_follow_what_keeps_the_connection(self, in_process: InProcessVendor, api: VendorApi) -> None:
        chunks = [b" \n"] * 3_000 + [api.speak_whole("one")]
        assert (await ask(api, in_process, VendorResponse(chunks, content_type="application/json"))).text == "one"

    @ALL_APIS
    async def test_answer_is_complete_after_its_marker_even_if_the_connection_is_reset(
        self, vendor: VendorServer, api: VendorApi
    ) -> None:
        events = [event for event in api.speak(["one"]) if b"[DONE]" not in event]
        received = await ask(api, vendor, VendorResponse(events, pause_s=0.01, ending=ResponseEnd.RESET))
        assert received.text == "one"

    @pytest.mark.parametrize("delta", [{}, {"stop_reason": None, "stop_sequence": None}], ids=["without", "null"])
    async def test_usage_may_follow_the_stop_reason_in_an_event_of_its_own(
        self, in_process: InProcessVendor, delta: dict[str, object]
    ) -> None:
        *events, end = ANTHROPIC.speak(["one"])
        usage = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}}
        answer = VendorResponse([*events, *speech.events(usage), end])
        [completion] = (await ask(ANTHROPIC, in_process, answer)).completions
        assert completion == Completion(ANTHROPIC.model, FinishReason.STOP, Usage(speech.INPUT_TOKENS, 7))

    @ALL_APIS
    @pytest.mark.parametrize("count", [10**19, -1, 1e300, "7", [7]], ids=str)
    async def test_count_that_no_database_takes_is_no_usage(
        self, in_process: InProcessVendor, api: VendorApi, count: object
    ) -> None:
        stream = b"".join(api.speak(["one"]))
        for name in (b"input", b"output", b"prompt", b"completion", b"total"):
            stream = re.sub(rb'("%s_tokens": ?)\d+' % name, rb"\g<1>" + json.dumps(count).encode(), stream)
        received = await ask(api, in_process, VendorResponse([stream]))
        assert received.text == "one"
        assert received.completions == [Completion(api.model, FinishReason.STOP, Usage())]

    @ALL_APIS
    async def test_connection_is_reused_for_the_next_answer(self, vendor: VendorServer, api: VendorApi) -> None:
        vendor.script(api.streamed("one"))
        async with connected(api, vendor) as model:
            for _ in range(3):
                await collect(model)
        assert len({request.connection for request in vendor.requests}) == 1


ENDS = {
    FinishReason.STOP: (
        # earendil-works/pi#2107, vespa#33327, dify#7559
        *("stop", "STOP", "eos_token", "eos", "end", "End", "COMPLETE", "endTurn", "stop_sequence", "normal"),
        *("word", "something_new", "OTHER", "finish", "done"),
    ),
    FinishReason.LENGTH: (
        "length",
        "LENGTH",
        "MAX_TOKENS",
        "maxTokens",
        "model_length",
        "max_output_tokens",
        "token_limit",
    ),
    EndReason.CUT: (
        *("error", "ERROR", "network_error", "abort", "aborted", "cancelled", "USER_CANCEL", "canceled", "timeout"),
        *("failed", "interrupted", "MALFORMED_FUNCTION_CALL", "not_finished", "rate_limit"),
        *("function_call_filter: MALFORMED_FUNCTION_CALL", "function_call_filter: UNEXPECTED_TOOL_CALL"),
    ),
    EndReason.OVERLOADED: ("insufficient_system_resource", "overloaded"),
    EndReason.REFUSED: (
        *("content_filter", "content_filtered", "refusal", "sensitive", "SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST"),
        *(
            "RECITATION",
            "SPII",
            "IMAGE_SAFETY",
            "guardrail_intervened",
            "ERROR_TOXIC",
            "MODEL_ARMOR",
            "contentFiltered",
        ),
    ),
}
NAMED_ENDS = [(reason, end) for end, reasons in ENDS.items() for reason in reasons]


def ended(api: VendorApi, reason: str, *words: str) -> VendorResponse:
    match api.name:
        case "responses":
            status = "incomplete" if parse_finish_reason(reason) is FinishReason.LENGTH else "completed"
            details = {"incomplete_details": {"reason": reason}} if status == "incomplete" else {}
            stream = steps.responses(*map(steps.message, words), status=status, **details)
            status_in = b'"status": "completed", "error"'
            named = status_in.replace(b"completed", reason.encode())
            return VendorResponse([event.replace(status_in, named) for event in stream])
        case "chat":
            return VendorResponse(steps.chat(*({"content": word} for word in words), finish_reason=reason))
        case _:
            return VendorResponse(steps.messages(*map(steps.text, words), stop_reason=reason))


class TestFinishReasons:
    """Text and a proper last event end an answer, whatever the reason is called, unless it is an error or a refusal."""

    @ALL_APIS
    @pytest.mark.parametrize(("reason", "end"), NAMED_ENDS)
    async def test_ends_are_known_by_the_form_of_their_names(
        self, in_process: InProcessVendor, api: VendorApi, reason: str, end: FinishReason | EndReason
    ) -> None:
        received = await ask(api, in_process, ended(api, reason, "one"))
        assert (received.text, received.end) == ("one", end)
        assert received.error is None or reason in received.error.detail

    @ALL_APIS
    async def test_unknown_end_is_logged_once(
        self, in_process: InProcessVendor, api: VendorApi, caplog: pytest.LogCaptureFixture
    ) -> None:
        in_process.script(ended(api, "something_new", "one"))
        async with connected(api, in_process) as model:
            for _ in range(3):
                assert (await collect(model)).text == "one"
        assert caplog.text.count("something_new") == 1

    @ALL_APIS
    async def test_unknown_end_without_text_is_no_answer(self, in_process: InProcessVendor, api: VendorApi) -> None:
        assert (await ask(api, in_process, ended(api, "something_new"))).failure is EndReason.CUT

    async def test_empty_reason_is_an_end_where_others_were_null(self, in_process: InProcessVendor) -> None:
        stream = [event for event in steps.chat({"content": "one"}, finish_reason="") if b"[DONE]" not in event]
        assert (await ask(CHAT, in_process, VendorResponse(stream))).text == "one"
        each = [event.replace(b'"finish_reason": null', b'"finish_reason": ""') for event in stream]
        assert (await ask(CHAT, in_process, VendorResponse(each))).failure is EndReason.CUT, "it says nothing"
        each = [
            event.replace(b'"finish_reason": null', b'"finish_reason": "null"')
            for event in steps.chat({"content": "one"}, finish_reason="stop")
        ]
        assert (await ask(CHAT, in_process, VendorResponse(each))).text == "one"

    async def test_last_event_of_anthropic_ends_without_a_reason(self, in_process: InProcessVendor) -> None:
        stream = [
            event.replace(b'"stop_reason": "end_turn"', b'"stop_reason": null') for event in ANTHROPIC.speak(["one"])
        ]
        received = await ask(ANTHROPIC, in_process, VendorResponse(stream))
        assert (received.text, received.end) == ("one", FinishReason.STOP)


@pytest.mark.parametrize("size", [100_000, 1], ids=["whole", "by the byte"])
@pytest.mark.parametrize("stream", DOCUMENTED, ids=str)
async def test_documented_stream_is_read_byte_for_byte(
    in_process: InProcessVendor, stream: Documented, size: int
) -> None:
    answer = VendorResponse(speech.split(speech.documented(stream.name), size))
    received = await ask(stream.api, in_process, answer, model=stream.model)
    assert (received.text, received.end) == (stream.text, stream.end)
    assert len(received.deltas) > 1 or isinstance(stream.end, EndReason), "text that may be shown is not withheld"
    usages = [stream.usage] if isinstance(stream.end, FinishReason) else []
    assert [completion.usage for completion in received.completions] == usages
    assert (received.thought > 0) is stream.thinks
    assert received.others == [Citation(*source) for source in stream.sources]


def chat_json(choice: Mapping[str, object], **usage: object) -> VendorResponse:
    body = {"choices": [{"index": 0, **choice}], "usage": {"prompt_tokens": 12, "completion_tokens": 3, **usage}}
    return VendorResponse([json.dumps(body).encode()], content_type="application/json")


SAID = {"role": "assistant", "content": "Hello there!"}


class TestJsonOfCompatibleServers:
    """A JSON answer of Chat Completions has come whole, whatever its server adds or leaves out."""

    @pytest.mark.parametrize(
        "choice",
        [
            {"message": SAID, "finish_reason": "stop"},
            {"message": SAID, "delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"},
            {"message": SAID},
            {"message": SAID, "finish_reason": None},
            {"message": "Hello there!"},
            {"text": "Hello there!", "finish_reason": "stop"},
        ],
        ids=["documented", "perplexity: an empty delta", "snowflake: no finish reason", "null", "a string", "older"],
    )
    async def test_message_is_the_answer(self, in_process: InProcessVendor, choice: Mapping[str, object]) -> None:
        received = await ask(CHAT, in_process, chat_json(choice))
        assert received.text == "Hello there!"
        assert received.completions == [Completion(CHAT.model, FinishReason.STOP, Usage(12, 3))]

    @pytest.mark.parametrize("content_type", ["text/event-stream", "text/plain", "application/octet-stream"])
    async def test_json_is_read_whatever_it_is_called(self, in_process: InProcessVendor, content_type: str) -> None:
        answer = replace(chat_json({"message": SAID, "finish_reason": "stop"}), content_type=content_type)
        assert (await ask(CHAT, in_process, answer)).text == "Hello there!"
        error = {"error": {"message": "Upstream is busy", "code": 429}}
        answer = VendorResponse([json.dumps(error, indent=2).encode()], content_type=content_type)
        assert (await ask(CHAT, in_process, answer)).failure is EndReason.RATE_LIMITED

    @pytest.mark.parametrize("content", ["$.", [{"type": "text", "text": "$."}]])
    async def test_last_event_may_have_the_whole_answer_once_more(
        self, in_process: InProcessVendor, content: object
    ) -> None:
        *stream, _usage, done = CHAT.speak(["$", "."])
        last = {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]}
        answer = VendorResponse([*stream, *speech.events(last), done])
        assert (await ask(CHAT, in_process, answer)).text == "$."

    @pytest.mark.parametrize("api", [CHAT, RESPONSES], ids=str)
    async def test_last_delta_may_have_the_whole_answer_once_more(
        self, in_process: InProcessVendor, api: VendorApi
    ) -> None:
        # ragflow#15286
        answer = await ask(api, in_process, api.streamed(*speech.tokens(TEXT * 2), TEXT * 2))
        assert (answer.text, answer.end) == (TEXT * 2, FinishReason.STOP)

    @pytest.mark.parametrize(
        "said", [["2", "2"], ["La la la.\n", "La la la.\n"], [TEXT * 2, TEXT * 2], [TEXT, "\n", TEXT]], ids=str
    )
    async def test_what_a_model_says_twice_stays(self, in_process: InProcessVendor, said: list[str]) -> None:
        assert (await ask(CHAT, in_process, CHAT.streamed(*said))).text == "".join(said)

    @pytest.mark.parametrize(
        "delta",
        [
            {"reasoning_text": "Hm"},
            {"reasoning_opaque": "x9"},
            {"thinking": "Hm"},
            {"thinking_blocks": [{"type": "thinking", "thinking": "Hm"}]},
            {"thoughts": "Hm"},
        ],
        ids=str,
    )
    async def test_reasoning_by_any_name_is_a_sign_of_work(
        self, in_process: InProcessVendor, delta: dict[str, object]
    ) -> None:
        received = await ask(
            CHAT, in_process, VendorResponse(steps.chat(delta, {"content": "one"}, finish_reason="stop"))
        )
        assert (received.text, received.thought) == ("one", 1)

    @pytest.mark.parametrize("name", ["reasoning", "reasoning_summary", "custom_tool_call_input", "something_new"])
    async def test_delta_of_what_is_no_text_is_a_sign_of_work(self, in_process: InProcessVendor, name: str) -> None:
        event = {"type": f"response.{name}.delta", "delta": "Hm"}
        received = await ask(RESPONSES, in_process, VendorResponse([*speech.events(event), *RESPONSES.speak(["one"])]))
        assert (received.text, received.thought) == ("one", 1)

    @pytest.mark.parametrize(
        ("event", "text"),
        [
            # cloudflare/ai#651
            ({"choices": [{"delta": {"content": 5}}]}, "$5."),
            ({"choices": [{"delta": {"content": 0}}]}, "$0."),
            ({"choices": [{"delta": {"content": True}}]}, "$true."),
            ({"choices": [{"delta": {"content": ["1", {"type": "text", "text": None}]}}]}, "$1."),
            ({"choices": [{"delta": {"content": {"type": "output_text", "text": "1"}}}]}, "$1."),
            ({"choices": [{"delta": {"content": [{"text": "1"}]}}]}, "$1."),
            ({"choices": [{"delta": None}]}, "$."),
            ({"choices": [None]}, "$."),
            ({"choices": [{"delta": "1"}]}, "$1."),
            ({"choices": [{"text": "1"}]}, "$1."),
            ({"choices": [{"delta": None, "message": {"content": "1"}}]}, "$1."),
            ({"choices": [{"delta": {}, "message": {"content": "$"}}]}, "$."),
            (
                {"choices": [{"delta": {"annotations": ["x", None, {"type": "url_citation", "url_citation": "x"}]}}]},
                "$.",
            ),
            ({"choices": [{"delta": {"tool_calls": [None]}}]}, "$."),
            ({"choices": [{"delta": {"reasoning_details": ["x"]}}]}, "$\n\n."),
            ({"search_results": ["x"], "citations": {"a": "b"}}, "$."),
            ({"usage": "none"}, "$."),
            ({"usage": {"prompt_tokens": 1, "prompt_tokens_details": 5}}, "$."),
            (None, "$."),
            ("ping", "$."),
            ([], "$."),
        ],
    )
    async def test_part_in_another_form_costs_no_answer(
        self, in_process: InProcessVendor, event: object, text: str
    ) -> None:
        _, before, after, *ends = CHAT.speak(["$", "."])
        answer = VendorResponse([before, *speech.events(event), after, *ends])
        received = await ask(CHAT, in_process, answer, prompt=OFFERING)
        assert (received.text, received.end) == (text, FinishReason.STOP)

    @pytest.mark.parametrize(
        ("api", "event", "text"),
        [
            (RESPONSES, {"type": "response.output_text.delta", "delta": None}, "$."),
            (RESPONSES, {"type": "response.output_text.delta"}, "$."),
            (RESPONSES, {"type": "response.refusal.delta"}, "$."),
            (RESPONSES, {"type": "response.output_item.done"}, "$."),
            (RESPONSES, {"type": "response.output_item.done", "item": None}, "$."),
            (RESPONSES, {"type": "response.output_item.done", "item": {"id": "x"}}, "$."),
            (RESPONSES, {"type": "response.reasoning_text.delta"}, "$."),
            (RESPONSES, {"type": "response.output_item.added", "item": {"id": "x"}}, "$."),
            (RESPONSES, {"type": "response.function_call_arguments.delta", "delta": None}, "$."),
            (RESPONSES, {"type": "response.output_text.annotation.added", "annotation": "x"}, "$."),
            (ANTHROPIC, {"type": "content_block_delta", "delta": {"type": "text_delta", "text": None}}, "$."),
            (ANTHROPIC, {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": None}}, "$."),
            (ANTHROPIC, {"type": "content_block_delta", "delta": {"type": "citations_delta", "citation": None}}, "$."),
            (ANTHROPIC, {"type": "content_block_start", "content_block": {"type": "text", "text": "1"}}, "$1."),
            (ANTHROPIC, {"type": "content_block_start", "index": 7}, "$."),
            (ANTHROPIC, {"type": "content_block_start", "content_block": {"text": "1"}}, "$1."),
            (ANTHROPIC, {"type": "content_block_delta", "delta": {"text": "1"}}, "$1."),
            (ANTHROPIC, {"type": "content_block_delta", "delta": {}}, "$."),
            (ANTHROPIC, {"type": "content_block_delta", "delta": {"type": "text_delta"}}, "$."),
            (ANTHROPIC, {"type": "content_block_delta", "delta": {"type": "signature_delta"}}, "$."),
            (ANTHROPIC, {"type": "content_block_delta", "delta": {"type": "citations_delta"}}, "$."),
            (ANTHROPIC, {"type": "message_start", "message": None}, "$."),
            (ANTHROPIC, {"type": "message_delta", "delta": None, "usage": None}, "$."),
        ],
    )
    async def test_event_in_another_form_costs_no_answer(
        self, in_process: InProcessVendor, api: VendorApi, event: object, text: str
    ) -> None:
        stream = api.speak(["$", "."])
        at = len(stream) - api.events_after_text - 1
        answer = VendorResponse([*stream[:at], *speech.events(event), *stream[at:]])
        received = await ask(api, in_process, answer)
        assert (received.text.replace("\n", ""), received.end) == (text, FinishReason.STOP)

    @pytest.mark.parametrize(
        ("api", "body"),
        [
            (ANTHROPIC, {"content": "Hi", "stop_reason": "end_turn"}),
            (RESPONSES, {"status": "completed", "output": [{"type": "message", "content": "Hi"}]}),
        ],
        ids=str,
    )
    async def test_content_may_be_a_string(self, in_process: InProcessVendor, api: VendorApi, body: object) -> None:
        answer = VendorResponse([json.dumps(body).encode()], content_type="application/json")
        assert (await ask(api, in_process, answer)).text == "Hi"

    async def test_done_after_a_stop_reason_ends_anthropics_stream(self, in_process: InProcessVendor) -> None:
        stream = [*ANTHROPIC.speak(["one"])[:-1], b"data: [DONE]\n\n"]
        received = await ask(ANTHROPIC, in_process, VendorResponse(stream))
        assert (received.text, received.end) == ("one", FinishReason.STOP)

    @pytest.mark.parametrize(("api", "other"), [(CHAT, ANTHROPIC), (ANTHROPIC, CHAT), (RESPONSES, CHAT)], ids=str)
    async def test_events_of_another_api_are_no_answer(
        self, in_process: InProcessVendor, api: VendorApi, other: VendorApi
    ) -> None:
        assert (await ask(api, in_process, other.streamed("one"))).failure is EndReason.UNREADABLE

    async def test_event_that_calls_itself_an_error_is_one(self, in_process: InProcessVendor) -> None:
        event = {"object": "error", "message": "EngineDeadError", "type": "InternalServerError", "code": 500}
        answer = VendorResponse([*speech.events(event), b"data: [DONE]\n\n"])
        assert (await ask(CHAT, in_process, answer)).failure is EndReason.SERVER_ERROR

    @pytest.mark.parametrize("named", [b'event: error\ndata: {"code": 503}\n\n', b'error: {"code": 503}\n\n'])
    @ALL_APIS
    async def test_event_that_is_called_an_error_is_one(
        self, in_process: InProcessVendor, api: VendorApi, named: bytes
    ) -> None:
        received = await ask(api, in_process, VendorResponse([*api.unended("one"), named]))
        assert (received.text, received.failure) == ("one", EndReason.OVERLOADED)

    async def test_error_of_an_item_is_not_that_of_the_response(self, in_process: InProcessVendor) -> None:
        failed = {"type": "response.mcp_call.failed", "item_id": "mcp_1", "error": {"code": 503, "message": "No."}}
        answer = VendorResponse([*speech.events(failed), *RESPONSES.speak(["one"])])
        assert (await ask(RESPONSES, in_process, answer)).text == "one"

    async def test_what_groq_tells_in_an_object_of_its_own_counts(self, in_process: InProcessVendor) -> None:
        counts = {"prompt_tokens": 3, "completion_tokens": 2}
        said = {"choices": [{"delta": {"content": "one"}, "finish_reason": "stop"}], "x_groq": {"usage": counts}}
        stopped = {"choices": [], "x_groq": {"error": "over capacity"}}
        events = speech.events(said, stopped)
        received = await ask(CHAT, in_process, VendorResponse(events[:1]))
        assert received.completions[0].usage == Usage(3, 2)
        received = await ask(CHAT, in_process, VendorResponse([*CHAT.unended("one"), events[1], b"data: [DONE]\n\n"]))
        assert (received.text, received.failure) == ("one", EndReason.OVERLOADED)

    @ALL_APIS
    async def test_error_of_a_gateway_is_known_in_each_apis_stream(
        self, in_process: InProcessVendor, api: VendorApi
    ) -> None:
        error = b'data: {"error": {"message": "The model is overloaded", "code": 503}}\n\n'
        received = await ask(api, in_process, VendorResponse([*api.unended("one"), error]))
        assert (received.text, received.failure) == ("one", EndReason.OVERLOADED)

    async def test_sources_have_their_titles_in_any_list(self, in_process: InProcessVendor) -> None:
        sources = [{"url": "https://a.example", "title": "A"}, "https://b.example"]
        event = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}], "citations": sources}
        answer = VendorResponse([*speech.events(event), b"data: [DONE]\n\n"])
        cited = (await ask(CHAT, in_process, answer)).others
        assert cited == [Citation("https://a.example", "A"), Citation("https://b.example")]

    async def test_text_that_comes_in_no_delta_is_in_the_whole_items(self, in_process: InProcessVendor) -> None:
        events = steps.responses(steps.message("one", ("https://a.example", "A")), steps.message("two"))
        for some in (events[-1:], [one for one in events if b".delta" not in one and b"annotation.added" not in one]):
            received = await ask(RESPONSES, in_process, VendorResponse(some))
            assert (received.text, received.others) == ("one\n\ntwo", [Citation("https://a.example", "A")])

    async def test_text_and_sources_may_come_only_with_the_end_of_their_part(self, in_process: InProcessVendor) -> None:
        events = steps.responses(steps.message("one", ("https://a.example", "A")), steps.message("two"))
        for left_out in (b"annotation.added", b"output_text.done"):
            some = [event for event in events if left_out not in event]
            received = await ask(RESPONSES, in_process, VendorResponse(some))
            assert (received.text, received.others) == ("one\n\ntwo", [Citation("https://a.example", "A")])
        places = [{"output_index": place, "content_index": 0} for place in range(2)]
        texts = [
            {"type": "response.output_text.done", **place, "text": text}
            for place, text in zip(places, ("one", "two"), strict=True)
        ]
        last = {"type": "response.completed", "response": {"status": "completed", "output": []}}
        received = await ask(RESPONSES, in_process, VendorResponse(speech.events(*texts, last)))
        assert received.text == "one\n\ntwo"

    async def test_error_of_a_choice_tells_the_reason(self, in_process: InProcessVendor) -> None:
        error = {"code": 429, "message": "Upstream is busy", "metadata": {"provider_name": "x"}}
        choice = {"message": SAID | {"content": ""}, "finish_reason": "error", "error": error}
        received = await ask(CHAT, in_process, chat_json(choice))
        assert received.failure is EndReason.RATE_LIMITED
        assert received.error is not None
        assert received.error.detail == "429 Upstream is busy"

    @pytest.mark.parametrize(
        "usage",
        [
            {"prompt_tokens_details": {"cached_tokens": 5}},
            {"num_cached_tokens": 5},
            {"prompt_tokens_details": {"cached_tokens": 0}, "num_cached_tokens": 5},
            {"prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 7},
        ],
        ids=["openai", "mistral", "mistral, both", "deepseek, older"],
    )
    async def test_tokens_of_the_cache_are_counted(
        self, in_process: InProcessVendor, usage: Mapping[str, object]
    ) -> None:
        answer = chat_json({"message": SAID, "finish_reason": "stop"}, **usage)
        [completion] = (await ask(CHAT, in_process, answer)).completions
        assert completion.usage == Usage(12, 3, cached_input_tokens=5)


NO_SEED = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Not permitted", "input": "secret"}
MISSING = {"type": "missing", "loc": ["body", 0], "msg": "Field required", "input": {"content": "secret"}}
RETURNED = {"message": "Provider returned error"}
OPENROUTERS_LIMIT = {
    "message": "Rate limit exceeded: free-models-per-day. Add 10 credits.",
    "metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795870800000"}},
}
QUOTING_KEYS = [(api, row) for api, row in REFUSED if KEY in str(row.error)]
DEEP = json.loads('{"detail":' * 500 + '{"msg": "No"}' + "}" * 500)
SIGNATURE_REFUSED = '{"error":{"message":"Invalid signature","code":"bad"},"input":"secret"}'


class TestAFailure:
    """Every failure is a ProviderError that says what to do and contains no key."""

    @pytest.mark.parametrize(("api", "row"), REFUSED, ids=[f"{api}-{row.status}-{row.failure}" for api, row in REFUSED])
    async def test_vendors_error_has_its_failure_and_no_key(
        self, in_process: InProcessVendor, api: VendorApi, row: ErrorRow, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        await self.is_known(in_process, api, row, caplog)

    @pytest.mark.parametrize(("api", "row"), QUOTING_KEYS, ids=[f"{api}-{row.status}" for api, row in QUOTING_KEYS])
    async def test_error_of_the_sdk_leaves_no_key(
        self, vendor: VendorServer, api: VendorApi, row: ErrorRow, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        await self.is_known(vendor, api, row, caplog)

    async def is_known(
        self,
        vendor: AnyVendor,
        api: VendorApi,
        row: ErrorRow,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Asserts that a vendor's error is taken for what it is, after few requests, and leaves no key."""
        received = await ask(api, vendor, row.answer, prompt=LONG)
        assert received.failure is row.failure
        assert received.error is not None
        assert str(received.error) == str(ProviderError(row.failure, api.model))
        assert api.model in str(received.error)
        asked = [request for request in vendor.requests if request.method == "POST"]
        assert len(asked) <= (3 if row.failure is EndReason.UNEXPECTED else 1), "the SDK asks once"
        shown = "".join(traceback.format_exception(received.error))
        for text in (shown, received.error.detail, repr(received.error), repr(vars(received.error)), caplog.text):
            assert KEY not in text
            assert "ghij" not in text

    @pytest.mark.parametrize(
        ("headers", "error", "wait_s"),
        [
            ({"retry-after": "7"}, {"message": "Please try again in 8s."}, 7.0),
            ({}, {"message": "Rate limit reached. Please try again in 7m12s. Visit the console."}, 432.0),
            ({}, {"message": "Please try again in 250ms."}, 0.25),
            ({}, {"message": "Token quota is exceeded. Try again in 20 days."}, 20 * 86_400.0),
            ({}, {"message": "Rate limit of 50 exceeded. Please wait 40000 seconds before retrying."}, 40_000.0),
            ({}, {"message": "exceeded token rate limit. Please retry after 17 seconds."}, 17.0),
            ({}, {"message": "Rate limit exceeded: free-models-per-day. Add 10 credits."}, 86_400.0),
            ({}, {"message": "Too many tokens per day, please wait before trying again."}, 86_400.0),
            ({}, {"message": "You are using a Trial key, which is limited to 1000 API calls / month."}, 2_592_000.0),
            ({}, {"message": "You've reached your weekly usage limit."}, 604_800.0),
            ({}, {"message": "Usage limit reached for 5 hour. Your limit will reset at 2026-11-28 01:20:00"}, 18_000.0),
            ({}, {"message": "At most 20 requests per minute, and 50 per day."}, None),
            ({}, GEMINIS_LIMIT, 44.5),
            ({}, {"message": "Please try again in a moment."}, None),
            ({}, {"message": "You can't try again in 2."}, None),
            ({}, {"message": "Your quota will reset after 32m56s."}, 1_976.0),
            ({}, {"message": "Out of call volume quota. Quota will be replenished in 02:21:13."}, 8_473.0),
            ({}, {"message": "Too many requests", "retry_after": 17}, 17.0),
            ({}, {"message": "The usage limit has been reached", "resets_in_seconds": 9_000}, 9_000.0),
            ({}, {"message": "Slow down.", "retry_after": 0, "retry_after_seconds": 8}, 8.0),
            ({}, {"message": "Model m is currently loading", "estimated_time": 20.2}, 21.0),
            ({"date": "Fri, 27 Nov 2026 22:00:00 GMT"}, OPENROUTERS_LIMIT, 54_000.0),
            ({}, {"message": "No.", "retry_after": True, "estimated_time": -1}, None),
            ({"retry-after": "soon"}, {"message": "No."}, None),
        ],
    )
    def test_vendor_says_when_to_come_back_in_a_header_or_in_words(
        self, headers: Mapping[str, str], error: Mapping[str, object], wait_s: float | None
    ) -> None:
        assert RequestAttempt("openai/m", KEY).reported_failure({"error": error}, 429, headers).retry_after_s == wait_s

    @pytest.mark.parametrize(
        ("status", "told", "is_temporary"),
        [(400, "true", True), (400, "", False), (503, "false", False), (503, "", True), (503, "no", True)],
    )
    def test_vendor_says_whether_the_same_request_may_succeed(self, status: int, told: str, is_temporary: bool) -> None:
        headers = {"x-should-retry": told} if told else {}
        error = RequestAttempt("openai/m", KEY).reported_failure({"error": {"message": "No."}}, status, headers)
        assert error.is_temporary is is_temporary

    @pytest.mark.parametrize(
        "message",
        [
            "length of prompt_tokens (40000) must be less than max_seq_len (32768).",
            "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens",
            "number of input tokens (9000) has exceeded max_seq_len 8192 limit",
        ],
        ids=["siliconflow", "tgi", "triton"],
    )
    def test_text_that_is_too_long_for_a_window_is_known_by_its_count(self, message: str) -> None:
        # The request is made with less room first, as test_provider_room.py shows.
        error = RequestAttempt("openai/m", KEY).reported_failure({"error": message}, 400)
        assert error.reason is EndReason.CONTEXT_TOO_LONG

    def test_answer_is_kept_in_little_more_memory_than_its_characters(self) -> None:
        attempt = RequestAttempt("openai/m", KEY)
        tracemalloc.start()
        try:
            for number in range(1_000):
                attempt.record(f"word {number:03} ")
            held_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held_bytes < 2 * 1_000 * len("word 000 ")

    @pytest.mark.parametrize("deltas", [["An elephant"], ["An ele", "phant"]], ids=["whole", "in two deltas"])
    def test_error_quotes_no_word_of_question_or_answer(self, deltas: list[str]) -> None:
        attempt = RequestAttempt("openai/m", KEY, ["Which animal?"])
        for delta in deltas:
            attempt.record(delta)
        error = attempt.reported_failure({"error": {"message": "invalid token elephant after Animal"}})
        assert error.detail == "invalid token … after …"

    @pytest.mark.parametrize(
        ("status", "body", "detail"),
        [
            (422, {"detail": [NO_SEED, MISSING]}, "422 body.seed Not permitted; body.0 Field required"),
            (
                422,
                {"object": "error", "message": {"detail": [NO_SEED]}, "type": "invalid_request_error", "code": None},
                "422 invalid_request_error body.seed Not permitted",
            ),
            (401, {"detail": "Unauthorized"}, "401 Unauthorized"),
            (500, {"error": {"message": "500 Internal Server Error", "code": "500"}}, "500 Internal Server Error"),
            (
                502,
                {
                    "error": RETURNED
                    | {"code": 502, "metadata": {"raw": "upstream connect error", "provider_name": "x"}}
                },
                "502 Provider returned error: upstream connect error",
            ),
            (
                400,
                {"error": RETURNED | {"code": 400, "metadata": {"raw": SIGNATURE_REFUSED}}},
                "400 bad Provider returned error: Invalid signature",
            ),
            (400, {"error": {"message": "No", "metadata": {"raw": '{"input": "secret"}'}}}, "400 No"),
            (400, {"error": {"message": "No", "metadata": {"raw": "[" * 60_000}}}, f"400 No: {'[' * 292}"),
            (500, {"detail": {"error": "Out of memory"}}, "500 Out of memory"),
            (500, {"statusCode": 500, "error": "Server Error", "message": "No"}, "500 Server Error: No"),
            (400, {"error": {"error": {"error": {"detail": {"message": {"msg": "No"}}}}}}, "400 No"),
            (400, DEEP, "400"),
        ],
        ids=[
            "mistral",
            "mistral, in the message",
            "a string",
            "a status three times",
            "openrouter, text",
            "openrouter",
            "no reason",
            "deep",
            "fastapi",
            "nestjs",
            "errors within errors",
            "too many of them",
        ],
    )
    async def test_operator_reads_the_reason_and_no_text_of_a_user(
        self, in_process: InProcessVendor, status: int, body: object, detail: str
    ) -> None:
        error = (await ask(CHAT, in_process, refusal(status, body))).error
        assert error is not None
        assert error.detail == detail

    @ALL_APIS
    @pytest.mark.parametrize("ending", [ResponseEnd.END, ResponseEnd.CUT, ResponseEnd.RESET])
    async def test_stream_without_its_marker_is_cut(
        self, vendor: VendorServer, api: VendorApi, ending: ResponseEnd
    ) -> None:
        received = await ask(api, vendor, VendorResponse(api.unended("one", " two"), pause_s=0.01, ending=ending))
        assert (received.text, received.failure) == ("one two", EndReason.CUT)

    @ALL_APIS
    async def test_truncated_response_without_streaming_is_cut(self, vendor: VendorServer, api: VendorApi) -> None:
        body = api.speak_whole(TEXT)
        vendor.script(
            VendorResponse([body[:40]], content_type="application/json", pause_s=0.01, ending=ResponseEnd.CUT)
        )
        async with connected(api, vendor) as model:
            received = await collect(model)
        assert received.failure is EndReason.CUT

    @ALL_APIS
    @pytest.mark.parametrize(
        ("body", "content_type", "failure"),
        [
            (b"<html>Please log in</html>", "text/html", EndReason.UNREADABLE),
            (b"", "application/octet-stream", EndReason.UNREADABLE),
            (b"", "text/event-stream", EndReason.CUT),
            (b": ping\n\n", "text/event-stream", EndReason.CUT),
            # What breaks off is lost, and may be charged, as a stream is.
            (b'{"half a', "application/json", EndReason.CUT),
            (b" \n", "application/json", EndReason.CUT),
            (b"", "application/json", EndReason.CUT),
            (b"<html>Please log in</html>", "application/json", EndReason.UNREADABLE),
            (b'"a word"', "application/json", EndReason.UNREADABLE),
            (b"[1, 2", "application/json", EndReason.UNREADABLE),
            (b"null", "application/json", EndReason.UNREADABLE),
            (b'{"status": "ok"}', "application/json", EndReason.UNREADABLE),
            (b'{"message": "Welcome!"}', "application/json", EndReason.UNREADABLE),
            (
                b'{"model": "m", "message": {"role": "assistant"}, "done": true}',
                "application/json",
                EndReason.UNREADABLE,
            ),
            # In the form of one-api, and of a list.
            (b'{"code": 401, "msg": "No."}', "application/json", EndReason.BAD_KEY),
            (b'[{"error": {"code": 503, "message": "No."}}]', "application/json", EndReason.OVERLOADED),
            (b"\x89PNG\r\n\x1a\n\0\0", "image/png", EndReason.UNREADABLE),
            (b'event: message_start\ndata: {"type": "mess\n\n', "text/event-stream", EndReason.CUT),
            (b"event: message_start\ndata: [1]\n\n", "text/event-stream", EndReason.CUT),
            (b'event: message_start\ndata: {"type": "\xff"}\n\n', "text/event-stream", EndReason.CUT),
        ],
    )
    async def test_response_that_is_no_answer_is_a_failure(
        self, in_process: InProcessVendor, api: VendorApi, body: bytes, content_type: str, failure: EndReason
    ) -> None:
        received = await ask(api, in_process, VendorResponse([body], content_type=content_type))
        assert (received.deltas, received.failure) == ([], failure)

    @ALL_APIS
    @pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
    @pytest.mark.parametrize("blank", ["", "\n \n"], ids=["nothing", "blank"])
    async def test_answer_without_text_is_empty(
        self, in_process: InProcessVendor, api: VendorApi, streaming: bool, blank: str
    ) -> None:
        received = await ask(api, in_process, api.streamed(blank) if streaming else api.whole(blank))
        assert received.failure is EndReason.EMPTY

    @ALL_APIS
    @pytest.mark.parametrize("status", [302, 307, 308])
    async def test_redirect_is_a_failure_and_is_not_followed(
        self, vendor: VendorServer, api: VendorApi, status: int
    ) -> None:
        elsewhere = {"Location": f"{vendor.url}/elsewhere"}
        received = await ask(api, vendor, VendorResponse(status=status, headers=elsewhere), api.streamed("one"))
        assert (received.deltas, received.failure) == ([], EndReason.UNREADABLE)
        assert received.error is not None
        assert str(status) in received.error.detail
        assert len(vendor.requests) == 1

    @ALL_APIS
    async def test_unavailable_vendor_is_unreachable(self, api: VendorApi) -> None:
        async with VendorServer() as gone:
            pass
        async with connected(api, gone) as model:
            assert (await collect(model)).failure is EndReason.UNREACHABLE

    @ALL_APIS
    async def test_connection_closed_before_any_answer_is_unreachable(
        self, vendor: VendorServer, api: VendorApi
    ) -> None:
        assert (await ask(api, vendor, VendorResponse(ending=ResponseEnd.NOTHING))).failure is EndReason.UNREACHABLE


LASTING_CODES = {
    "image_content_policy_violation": EndReason.REFUSED,
    **dict.fromkeys(
        (
            *("data_residency_mismatch", "invalid_image", "invalid_image_format", "invalid_base64_image"),
            *("invalid_image_url", "image_too_large", "image_too_small", "image_parse_error", "invalid_image_mode"),
            *("image_file_too_large", "unsupported_image_media_type", "empty_image_file"),
            *("failed_to_download_image", "image_file_not_found", "unsupported_region"),
        ),
        EndReason.UNEXPECTED,
    ),
}


@pytest.mark.parametrize(("code", "failure"), LASTING_CODES.items())
async def test_request_that_is_refused_in_the_stream_is_not_sent_again_as_it_was(
    in_process: InProcessVendor, code: str, failure: EndReason
) -> None:
    failed = {"type": "response.failed", "response": {"status": "failed", "error": {"code": code, "message": "No."}}}
    answer = VendorResponse(speech.events(failed))
    received = await ask(RESPONSES, in_process, answer, wrap=wrapped)
    assert received.failure is failure
    assert len(in_process.requests) <= 3, "and not as it was"


FAILED = {"type": "response.failed", "response": {"status": "failed", "error": None}}
ENDS_BEFORE_THE_REASON = [
    [FAILED, {"type": "error", "error": {"code": "content_filter", "message": "It was filtered."}}],
    [FAILED | {"response": None}, {"type": "error", "code": "content_filter", "message": "It was filtered."}],
    # Beside the response, or in place of it.
    [FAILED | {"error": {"code": "content_filter", "message": "It was filtered."}}],
    [{"type": "response.failed", "error": {"code": "content_filter", "message": "It was filtered."}}],
]


@pytest.mark.parametrize("text", ["", "one two"])
@pytest.mark.parametrize("events", ENDS_BEFORE_THE_REASON)
async def test_failed_response_has_the_reason_that_stands_elsewhere(
    in_process: InProcessVendor, events: list[dict[str, object]], text: str
) -> None:
    """Azure's content filter sends it in a further event, and gateways send it without the response."""
    stream = VendorResponse([*RESPONSES.unended(text), *speech.events(*events)])
    received = await ask(RESPONSES, in_process, stream, wrap=wrapped)
    assert (received.text, received.failure) == (text, EndReason.REFUSED)
    assert len(in_process.requests) == 1


def assert_failed_without_a_reason(received: Received) -> None:
    assert (received.text, received.failure) == ("one", EndReason.CUT)
    assert received.error is not None
    assert "finish reason" in received.error.detail


@pytest.mark.parametrize("event", [FAILED, {"type": "response.failed"}, {"type": "response.cancelled", "response": {}}])
async def test_failed_response_without_a_reason_is_cut(in_process: InProcessVendor, event: dict[str, object]) -> None:
    stream = VendorResponse([*RESPONSES.unended("one"), *speech.events(event)])
    assert_failed_without_a_reason(await ask(RESPONSES, in_process, stream))


@pytest.mark.parametrize("ending", [ResponseEnd.CUT, ResponseEnd.HANG])
async def test_failed_response_whose_reason_never_comes_is_cut(
    vendor: VendorServer, ending: ResponseEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "REST_S", 0.05)
    stream = VendorResponse([*RESPONSES.unended("one"), *speech.events(FAILED)], ending=ending)
    assert_failed_without_a_reason(await ask(RESPONSES, vendor, stream))


@ALL_APIS
@pytest.mark.parametrize("status", [400, 404, 405])
async def test_page_of_another_server_is_no_answer(in_process: InProcessVendor, api: VendorApi, status: int) -> None:
    page = VendorResponse([b"\n<!DOCTYPE html><title>Sign in</title>"], status=status, content_type="text/html")
    assert (await ask(api, in_process, page)).failure is EndReason.UNREADABLE


@ALL_APIS
@pytest.mark.parametrize("event", [b'data: {"half a\n\n', b"data: [1]\n\n", b"data: \xff\n\n"])
async def test_malformed_first_event_is_asked_for_again_as_after_a_cut(
    in_process: InProcessVendor, api: VendorApi, event: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrappers, "BACKOFF", Backoff(0.01, 0.01))
    broken = VendorResponse([event])
    assert (await ask(api, in_process, broken, api.streamed("one"), wrap=wrapped)).text == "one"
    received = await ask(api, in_process, broken, wrap=wrapped)
    assert received.failure is EndReason.CUT
    assert len(received.retries) == wrappers.MAX_RETRIES


@ALL_APIS
async def test_malformed_event_among_others_cuts_the_answer(in_process: InProcessVendor, api: VendorApi) -> None:
    answer = VendorResponse([*api.unended("one", " two"), b'data: {"half a\n\n', *api.speak(["three"])])
    received = await ask(api, in_process, answer)
    assert (received.text, received.failure) == ("one two", EndReason.CUT)
    assert received.error is not None
    assert received.error.is_temporary


class TestWhatIsCut:
    """[DONE] without a finish reason is a complete answer; a closed connection never is."""

    @pytest.mark.parametrize("name", ["gateway_chat_no_finish_reason", "snowflake_cortex_chat"])
    @pytest.mark.parametrize("ending", [ResponseEnd.END, ResponseEnd.CUT])
    async def test_stream_without_finish_reason_and_done_is_cut(
        self, vendor: VendorServer, name: str, ending: ResponseEnd
    ) -> None:
        stream = speech.documented(name).replace(b"data: [DONE]\n\n", b"")
        received = await ask(CHAT, vendor, VendorResponse([stream], ending=ending))
        assert (received.text, received.failure) == ("Hello there!", EndReason.CUT)

    @pytest.mark.parametrize("api", [RESPONSES, ANTHROPIC], ids=str)
    async def test_done_does_not_replace_the_marker_of_other_apis(
        self, in_process: InProcessVendor, api: VendorApi
    ) -> None:
        received = await ask(api, in_process, VendorResponse([*api.unended("one"), b"data: [DONE]\n\n"]))
        assert received.failure is EndReason.CUT

    @pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b"data:[DONE]\n", b"data: [DONE]", b"data: [DONE]\r\n\r\n"])
    async def test_done_is_recognized_with_any_line_ending(self, in_process: InProcessVendor, end: bytes) -> None:
        stream = speech.documented("gateway_chat_no_finish_reason").replace(b"data: [DONE]\n\n", end)
        assert (await ask(CHAT, in_process, VendorResponse([stream]))).completions[0].finish_reason is FinishReason.STOP

    @ALL_APIS
    async def test_last_event_counts_without_its_empty_line(self, in_process: InProcessVendor, api: VendorApi) -> None:
        # Chat Completions: neither usage nor [DONE] follows.
        events = api.speak(["one"])[: -2 if api is CHAT else None]
        received = await ask(api, in_process, VendorResponse([b"".join(events).rstrip(b"\n")]))
        assert (received.text, received.error) == ("one", None)

    @pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
    async def test_event_without_end_is_a_failure_that_costs_little(
        self, vendor: VendorServer, content_type: str
    ) -> None:
        chunks = [b'{"a": "', *[b"x" * 2**16] * (MAX_EVENT_BYTES // 2**16 + 1)]
        received = await ask(CHAT, vendor, VendorResponse(chunks, content_type=content_type, ending=ResponseEnd.HANG))
        assert received.failure is EndReason.CUT

    @ALL_APIS
    @pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
    @pytest.mark.parametrize("beginning", [b"data: ", b'{"a": "'])
    async def test_event_that_is_too_long_is_a_failure(
        self, in_process: InProcessVendor, api: VendorApi, content_type: str, beginning: bytes
    ) -> None:
        chunks = [beginning, *[b"x" * 2**16] * (MAX_EVENT_BYTES // 2**16 + 1)]
        received = await ask(api, in_process, VendorResponse(chunks, content_type=content_type))
        assert received.failure is EndReason.CUT
        assert received.error is not None
        assert received.error.detail == f"EventTooLongError: more than {MAX_EVENT_BYTES} bytes"

    @ALL_APIS
    async def test_event_that_is_too_long_cuts_the_answer_after_all_that_came_before(
        self, in_process: InProcessVendor, api: VendorApi
    ) -> None:
        long = b'data: {"type": "keep", "x": "' + b"x" * MAX_EVENT_BYTES + b'"}\n\n'
        received = await ask(api, in_process, VendorResponse([b"".join(api.unended("one", " two")) + long]))
        assert (received.text, received.failure) == ("one two", EndReason.CUT)

    @ALL_APIS
    async def test_answer_is_complete_even_if_the_vendor_keeps_the_connection(
        self, vendor: VendorServer, api: VendorApi
    ) -> None:
        vendor.script(VendorResponse(api.speak(["one"]), ending=ResponseEnd.HANG))
        async with connected(api, vendor) as model, asyncio.timeout(WITHIN_S):
            assert (await collect(model)).text == "one"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "error", "code", "message", "details", "choices", "delta", "content"])
            | st.sampled_from(["finish_reason", "usage", "response", "output", "status", "stop_reason"]),
            inner | st.sampled_from(["error", "response.completed", "content_block_delta", "message_stop"]),
            max_size=5,
        )
    ),
    max_leaves=12,
)


class TestNonsense:
    """Whatever JSON a vendor sends, an attempt raises ProviderError or nothing."""

    @given(body=JSON)
    @pytest.mark.parametrize(
        "reader", [ResponsesReader, ChatReader, MessagesReader], ids=["responses", "chat", "anthropic"]
    )
    def test_any_json_in_an_answer_is_handled(self, reader: type[AnswerReader], body: object) -> None:
        for read in ("read_event", "read_response"):
            attempt = RequestAttempt("openai/m", KEY)
            reading = reader(attempt, OFFERING, 9)
            with suppress(ProviderError), attempt:
                getattr(reading, read)(body)
                reading.read_end()

    @given(body=JSON, status=st.integers(200, 599), wait=st.text(max_size=12))
    def test_any_json_in_an_error_is_handled(self, body: object, status: int, wait: str) -> None:
        headers = {"retry-after": wait, "x-ratelimit-reset": wait, "date": "Fri, 27 Nov 2026 22:00:00 GMT"}
        error = RequestAttempt("openai/m", KEY).reported_failure({"error": body}, status, headers)
        assert error.retry_after_s is None or error.retry_after_s >= 0


class TestHangingUp:
    """Only closing the stream reaches the vendor and stops the billing."""

    @WRAPS
    @ALL_APIS
    async def test_closing_the_stream_reaches_the_vendor(
        self, vendor: VendorServer, api: VendorApi, wrap: Callable[[Provider], Provider]
    ) -> None:
        vendor.script(VendorResponse(api.unended("one"), ending=ResponseEnd.HANG))
        async with connected(api, vendor) as model:
            async with aclosing(wrap(model).stream(PROMPT)) as stream:
                assert await anext(stream) == "one"
            await asyncio.wait_for(vendor.requests[0].hung_up.wait(), 10)

    @ALL_APIS
    async def test_cancelling_before_the_first_delta_reaches_the_vendor(
        self, vendor: VendorServer, api: VendorApi
    ) -> None:
        vendor.script(VendorResponse(ending=ResponseEnd.HANG))
        async with connected(api, vendor) as model:
            listening = asyncio.create_task(collect(model))
            request = await asyncio.wait_for(vendor.request(0), WITHIN_S)
            listening.cancel()
            await asyncio.wait([listening])
            assert listening.cancelled()
            await asyncio.wait_for(request.hung_up.wait(), 10)
