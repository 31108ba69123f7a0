"""StallTimeout and Fallback around each API: silence and lost connections over real HTTP, refusals in process."""

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial

import pytest

from bot.core.texts.models import error_text
from bot.errors import EndReason
from bot.models.events import FinishReason, Retrying, Usage
from bot.models.model import Provider
from bot.models.wrappers import Fallback, StallTimeout
from slack_sandbox.testing.processes import WITHIN_S
from tests.contracts.in_process import InProcessVendor
from tests.contracts.notifications import LONG, ask, collect, connected
from tests.contracts.vendors import ANTHROPIC, APIS, CHAT, RESPONSES, VendorApi
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer, refusal

pytestmark = pytest.mark.skips_waits

ALL_APIS = pytest.mark.parametrize("api", APIS, ids=str)

THINKING = pytest.mark.parametrize(
    ("api", "name"),
    [(RESPONSES, "vllm_responses"), (CHAT, "deepseek_chat"), (ANTHROPIC, "anthropic_thinking")],
    ids=str,
)

SILENT = pytest.mark.parametrize(
    ("api", "name", "sign"),
    [
        (RESPONSES, "openai_responses_silent_reasoning", b": keepalive\n\n"),
        (
            RESPONSES,
            "openai_responses_silent_reasoning",
            b'event: keepalive\ndata: {"type":"keepalive","sequence_number":3}\n\n',
        ),
        (ANTHROPIC, "anthropic_omitted_thinking", b'event: ping\ndata: {"type": "ping"}\n\n'),
        (CHAT, "deepseek_chat_keepalive", b": keep-alive\n\n"),
    ],
    ids=["responses, comments", "responses, events", "anthropic", "chat"],
)


def silent(name: str, sign: bytes) -> tuple[bytes, bytes]:
    """Returns a documented stream split at its thinking, with the signs of thinking removed from the second part."""
    before, _, after = speech.documented(name).partition(sign)
    return before, after.replace(sign, b"")


def thoughtful(name: str) -> tuple[list[bytes], bytes, list[bytes]]:
    """Returns a documented stream in three parts: before the first thought, that thought, and the rest."""
    events = [event + b"\n\n" for event in speech.documented(name).split(b"\n\n") if event]
    at = next(at for at, event in enumerate(events) if b"A greet" in event)
    return events[:at], events[at], events[at + 1 :]


def ping_of(api: VendorApi) -> bytes:
    return b'event: ping\ndata: {"type": "ping"}\n\n' if api is ANTHROPIC else b": ping\n\n"


def events(*bodies: Mapping[str, object]) -> bytes:
    return b"".join(speech.events(*bodies))


def chat_event(**delta: object) -> bytes:
    return events({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


EMPTY = {
    "chat, no text": (CHAT, chat_event(content="")),
    "chat, null": (CHAT, chat_event(content=None, reasoning_content=None, tool_calls=None)),
    "chat, no thought": (CHAT, chat_event(reasoning_content="", reasoning="", reasoning_details=[])),
    "chat, no calls": (CHAT, chat_event(tool_calls=[])),
    "chat, no choice": (CHAT, events({"choices": []})),
    "chat, usage": (CHAT, events({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})),
    "responses, no text": (RESPONSES, events({"type": "response.output_text.delta", "delta": ""})),
    "responses, no thought": (RESPONSES, events({"type": "response.reasoning_text.delta", "delta": ""})),
    "responses, no summary": (RESPONSES, events({"type": "response.reasoning_summary_text.delta", "delta": ""})),
    "responses, no call": (RESPONSES, events({"type": "response.function_call_arguments.delta", "delta": ""})),
    "responses, in progress": (RESPONSES, events({"type": "response.in_progress"})),
    "anthropic, no text": (
        ANTHROPIC,
        events({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ""}}),
    ),
    "anthropic, no thought": (
        ANTHROPIC,
        events({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": ""}}),
    ),
    "anthropic, usage": (ANTHROPIC, events({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 1}})),
    "an empty event": (ANTHROPIC, events({"type": "unknown"})),
    "a comment": (RESPONSES, b": still here\n\n"),
}
EMPTY_THOUGHTS = {
    "responses": (
        RESPONSES,
        events(
            {"type": "response.output_item.added", "item": {"type": "reasoning"}},
            {"type": "response.output_item.done", "item": {"type": "reasoning"}},
        ),
    ),
    "anthropic": (
        ANTHROPIC,
        events(
            {"type": "content_block_start", "index": 1, "content_block": {"type": "thinking", "thinking": ""}},
            {"type": "content_block_stop", "index": 1},
        ),
    ),
}


def stalling(stall_timeout_s: float) -> Callable[[Provider], Provider]:
    return partial(StallTimeout, stall_timeout_s=stall_timeout_s)


def responses_item(kind: str, event: str = "added") -> bytes:
    return events({"type": f"response.output_item.{event}", "output_index": 0, "item": {"id": "x", "type": kind}})


def responses_text(text: str) -> bytes:
    return events({"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": text})


LAST_SIGNS: Mapping[str, tuple[VendorApi, bytes, bool]] = {
    "responses, reasoning": (RESPONSES, responses_item("reasoning"), True),
    "responses, a call": (RESPONSES, responses_item("function_call"), True),
    "responses, a search": (RESPONSES, responses_item("web_search_call"), True),
    "responses, a message": (RESPONSES, responses_item("message"), False),
    "responses, a part": (RESPONSES, events({"type": "response.content_part.added", "output_index": 0}), False),
    "responses, the end of reasoning": (
        RESPONSES,
        responses_item("reasoning") + responses_item("reasoning", "done"),
        False,
    ),
    "responses, text though reasoning didn't end": (
        RESPONSES,
        responses_item("reasoning") + responses_text("a"),
        False,
    ),
    "responses, reasoning within the text": (RESPONSES, responses_text("<think>Hm"), True),
    "chat, a thought": (CHAT, chat_event(reasoning_content="Hm"), True),
    "chat, a thought and an empty piece": (
        CHAT,
        chat_event(reasoning_content="Hm") + chat_event(content="", reasoning_content=None),
        True,
    ),
    "chat, text": (CHAT, chat_event(reasoning_content="Hm") + chat_event(content="a"), False),
}
"""What comes last before a silence, and whether the model is at work then."""


class TestStall:
    """A stream without text for a while fails with an error of its own. There is no total timeout."""

    @ALL_APIS
    @pytest.mark.parametrize("deltas", [(), ("one",)], ids=["at once", "after text"])
    async def test_pings_do_not_count_as_text(
        self, vendor: VendorServer, api: VendorApi, deltas: tuple[str, ...]
    ) -> None:
        hanging = VendorResponse(api.unended(*deltas), ending=ResponseEnd.HANG, ping=ping_of(api))
        received = await ask(api, vendor, hanging, wrap=stalling(5))
        assert (received.text, received.failure) == ("".join(deltas), EndReason.STALLED)
        await asyncio.wait_for(vendor.requests[0].hung_up.wait(), WITHIN_S)

    @pytest.mark.parametrize(("api", "empty"), EMPTY.values(), ids=EMPTY.keys())
    async def test_events_that_say_nothing_do_not_count_as_text(
        self, in_process: InProcessVendor, api: VendorApi, empty: bytes
    ) -> None:
        hanging = VendorResponse(api.unended("one"), ending=ResponseEnd.HANG, ping=empty)
        received = await ask(api, in_process, hanging, wrap=stalling(5))
        assert received.error is not None
        assert (received.text, received.error.detail) == ("one", "nothing for 5 s")

    @pytest.mark.parametrize(("api", "thought"), EMPTY_THOUGHTS.values(), ids=EMPTY_THOUGHTS.keys())
    async def test_thoughts_that_begin_and_end_and_say_nothing_end_after_ten_minutes(
        self, in_process: InProcessVendor, api: VendorApi, thought: bytes
    ) -> None:
        begun = VendorResponse([*api.unended("one"), *[thought] * 200], pause_s=7, ending=ResponseEnd.HANG)
        received = await ask(api, in_process, begun, wrap=stalling(25))
        assert received.error is not None
        assert received.error.detail == "only pings for 600 s"

    @pytest.mark.parametrize(("api", "last", "is_at_work"), LAST_SIGNS.values(), ids=LAST_SIGNS.keys())
    async def test_pings_are_signs_of_work_only_behind_the_beginning_of_work(
        self, in_process: InProcessVendor, api: VendorApi, last: bytes, is_at_work: bool
    ) -> None:
        silent_then = VendorResponse([last, *[b": ping\n\n"] * 90], pause_s=7, ending=ResponseEnd.HANG)
        received = await ask(api, in_process, silent_then, wrap=stalling(25))
        assert received.error is not None
        assert received.error.detail == ("only pings for 600 s" if is_at_work else "nothing for 25 s")

    @THINKING
    async def test_thinking_counts_as_activity(self, in_process: InProcessVendor, api: VendorApi, name: str) -> None:
        before, thinking, after = thoughtful(name)
        thoughts = VendorResponse([*before, *[thinking] * 12, *after], pause_s=5)
        received = await ask(api, in_process, thoughts, wrap=stalling(30))
        assert received.text == "Hello there!"
        assert received.thought >= 12

    @SILENT
    @pytest.mark.parametrize(
        ("signs", "pause_s", "stall_timeout_s", "stalls"),
        [(40, 7, 25, False), (0, 180, 20, False), (0, 300, 10, True)],
        ids=["pings", "ten times as long", "longer"],
    )
    async def test_thinking_may_give_only_pings_or_be_silent_for_ten_times_the_stall_timeout(
        self,
        in_process: InProcessVendor,
        api: VendorApi,
        name: str,
        sign: bytes,
        signs: int,
        pause_s: float,
        stall_timeout_s: float,
        stalls: bool,
    ) -> None:
        before, after = silent(name, sign)
        thinking = VendorResponse([before, *[sign] * signs, after], pause_s=pause_s)
        received = await ask(api, in_process, thinking, wrap=stalling(stall_timeout_s))
        if stalls:
            assert received.error is not None
            assert (received.failure, received.error.detail) == (EndReason.STALLED, "nothing for 100 s")
            assert received.text == ""
        else:
            assert received.text in ("Hello there!", "Hi there! How can I assist you today?")

    @SILENT
    async def test_pings_for_a_thinking_model_end_after_ten_minutes(
        self, in_process: InProcessVendor, api: VendorApi, name: str, sign: bytes
    ) -> None:
        before, _ = silent(name, sign)
        thinking = VendorResponse([before, *[sign] * 200], pause_s=7, ending=ResponseEnd.HANG, ping=sign)
        received = await ask(api, in_process, thinking, wrap=stalling(25))
        assert received.error is not None
        assert (received.failure, received.error.detail) == (EndReason.STALLED, "only pings for 600 s")

    @pytest.mark.parametrize(
        ("api", "name", "end"),
        [
            (RESPONSES, "openai_responses_silent_reasoning", b'output_item.done\ndata: {"type"'),
            (ANTHROPIC, "anthropic_omitted_thinking", b'content_block_stop\ndata: {"type"'),
            (CHAT, "deepseek_chat_keepalive", b'"content":"Hello"'),
        ],
        ids=str,
    )
    async def test_pings_do_not_count_after_thinking_has_ended(
        self, in_process: InProcessVendor, api: VendorApi, name: str, end: bytes
    ) -> None:
        stream = speech.documented(name)
        at = stream.index(b"\n\n", stream.index(end)) + 2
        hanging = VendorResponse([stream[:at]], ending=ResponseEnd.HANG, ping=ping_of(api))
        received = await ask(api, in_process, hanging, wrap=stalling(5))
        assert received.error is not None
        assert (received.failure, received.error.detail) == (EndReason.STALLED, "nothing for 5 s")
        assert received.thought > 0

    @pytest.mark.parametrize("ping", [b"", b": ping\n\n"], ids=["silent", "pings"])
    @pytest.mark.parametrize("events_after_text", [1, 2], ids=["finish reason", "usage"])
    async def test_stream_that_does_not_end_after_the_finish_reason_is_a_whole_answer(
        self, vendor: VendorServer, events_after_text: int, ping: bytes
    ) -> None:
        events = [*CHAT.unended("one"), *CHAT.speak(["one"])[-CHAT.events_after_text :][:events_after_text]]
        hanging = VendorResponse(events, ending=ResponseEnd.HANG, ping=ping)
        received = await ask(CHAT, vendor, hanging, wrap=stalling(30))
        assert (received.text, received.error) == ("one", None)
        assert (received.completions[0].usage is not None) == (events_after_text == 2)

    @pytest.mark.parametrize("ending", [ResponseEnd.END, ResponseEnd.CUT, ResponseEnd.HANG])
    async def test_stop_reason_ends_anthropics_answer_whatever_follows(
        self, vendor: VendorServer, ending: ResponseEnd
    ) -> None:
        last = VendorResponse(ANTHROPIC.speak(["one"])[:-1], ending=ending, ping=ping_of(ANTHROPIC))
        received = await ask(ANTHROPIC, vendor, last, wrap=stalling(30))
        assert (received.text, received.end) == ("one", FinishReason.STOP)
        assert received.completions[0].usage == Usage(speech.INPUT_TOKENS, 1)

    async def test_vendor_that_does_not_answer_stalls(self, vendor: VendorServer) -> None:
        assert (await ask(CHAT, vendor, VendorResponse(delay_s=60), wrap=stalling(20))).failure is EndReason.STALLED


GROQ_FAILED = {
    "error": {
        "message": "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
        "failed_generation": "<function=time__now>{",
    }
}


def asking(*models: Provider) -> Fallback:
    return Fallback(models, jitter=lambda: 0.0)


NO_TIME = {"error": {"message": "Too many requests"}}
PASSING: Mapping[str, VendorResponse] = {
    "rate limited": refusal(429, {"error": {"type": "rate_limit_error"}}, retry_after="0.05"),
    "in milliseconds": refusal(429, {"error": {"type": "rate_limit_error"}}, retry_after_ms="50", retry_after="60"),
    "rate limited without a time": refusal(429, NO_TIME),
    "Bedrock's ThrottlingException": refusal(429, {"message": "Too many requests, please wait before trying again."}),
    "Bedrock's ModelNotReadyException": refusal(429, {"message": "The model is not ready. Retry your request."}),
    "Bedrock's ModelErrorException": refusal(424, {"message": "The model failed."}),
    "server error": refusal(500, {"error": {"message": "Service unavailable.", "type": "server_error"}}),
    "api error": refusal(500, {"type": "error", "error": {"type": "api_error", "message": "Internal server error"}}),
    "HTML": VendorResponse([b"<html>"], status=500, content_type="text/html"),
    "request timeout": refusal(408, {"error": {"message": "Timeout"}}),
    "conflict": refusal(409, {"error": {"message": "Conflict"}}),
    "overloaded": refusal(503, {"error": {"message": "busy"}}, retry_after="0"),
    "overloaded for some time": refusal(503, {"error": {"message": "busy"}}, retry_after="20"),
    "unreachable": refusal(502, {"error": {"message": "gone"}}),
    "said to pass": refusal(400, {"error": {"message": "Not now."}}, x_should_retry="true"),
}
IN_STREAM: Mapping[str, tuple[VendorApi, bytes]] = {
    "server_error event": (
        RESPONSES,
        b'event: error\ndata: {"type":"error","code":"server_error","message":"The server had an error"}\n\n',
    ),
    "api_error event": (
        ANTHROPIC,
        b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"Internal server error"}}\n\n',
    ),
    "overloaded_error event": (
        ANTHROPIC,
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
    ),
    "error chunk": (CHAT, b'data: {"error":{"message":"Internal Server Error","code":500}}\n\n'),
}


class TestFurtherTries:
    """A request that failed before the first word is made again, if its failure may pass."""

    @pytest.mark.parametrize(
        "failed",
        [
            refusal(400, GROQ_FAILED),
            VendorResponse([f"event: error\ndata: {json.dumps(GROQ_FAILED)}\n\n".encode()]),
        ],
        ids=["refused", "in the stream"],
    )
    async def test_tool_call_that_the_vendor_cannot_parse_is_asked_for_again(
        self, in_process: InProcessVendor, failed: VendorResponse
    ) -> None:
        assert (await ask(CHAT, in_process, failed, CHAT.streamed("one"), wrap=asking)).text == "one"

    @ALL_APIS
    @pytest.mark.parametrize("name", PASSING)
    async def test_passing_failure_is_tried_again_twice(
        self, in_process: InProcessVendor, api: VendorApi, name: str
    ) -> None:
        received = await ask(api, in_process, PASSING[name], PASSING[name], api.streamed("one"), wrap=asking)
        assert (received.text, received.error, len(in_process.requests)) == ("one", None, 3)
        assert len(received.retries) == 2

    @ALL_APIS
    async def test_connection_that_was_idle_for_too_long_is_tried_again_twice(
        self, vendor: VendorServer, api: VendorApi
    ) -> None:
        lost = VendorResponse(ending=ResponseEnd.NOTHING)
        received = await ask(api, vendor, lost, lost, api.streamed("one"), wrap=asking)
        assert (received.text, received.error, len(vendor.requests)) == ("one", None, 3)
        assert len(received.retries) == 2

    @pytest.mark.parametrize("name", IN_STREAM)
    async def test_failure_in_the_stream_before_the_first_word_is_tried_again(
        self, in_process: InProcessVendor, name: str
    ) -> None:
        api, event = IN_STREAM[name]
        failed = VendorResponse([*api.unended(), event])
        assert (await ask(api, in_process, failed, failed, api.streamed("one"), wrap=asking)).text == "one"
        assert len(in_process.requests) == 3

    @ALL_APIS
    @pytest.mark.parametrize("ending", [ResponseEnd.CUT, ResponseEnd.HANG])
    async def test_stream_that_breaks_or_stalls_before_the_first_word_is_tried_again_and_charged(
        self, vendor: VendorServer, api: VendorApi, ending: ResponseEnd
    ) -> None:
        broken = VendorResponse(api.unended(), ending=ending)
        received = await ask(
            api, vendor, broken, api.streamed("one"), wrap=lambda model: asking(StallTimeout(model, 5))
        )
        assert (received.text, received.retries) == ("one", [Retrying(0.5, is_charged=True)])

    @pytest.mark.parametrize(
        ("first", "retry_after_s", "again"),
        [
            (refusal(429, {"error": {}}, retry_after="61"), 61, "in 2 minutes"),
            (refusal(429, {"error": {}}, retry_after="601"), 601, "in 11 minutes"),
            (refusal(429, {"error": {}}, retry_after="86400"), 86_400, "in 24 hours"),
            (
                refusal(
                    429,
                    {"error": {}},
                    retry_after="Fri, 20 Nov 2026 10:02:00 GMT",
                    date="Fri, 20 Nov 2026 10:00:00 GMT",
                ),
                120,
                "in 2 minutes",
            ),
            (refusal(503, {"error": {}}, retry_after="90"), 90, "in 2 minutes"),
            (refusal(429, {"error": {}}, x_ratelimit_reset="1800"), 1800, "in 30 minutes"),
            (refusal(401, {"error": {}}), None, "check"),
            (refusal(500, {"error": {"code": "insufficient_quota"}}), None, "billing"),
            (refusal(503, {"error": {}}, x_should_retry="false"), None, "in a minute"),
        ],
    )
    async def test_failure_that_lasts_is_raised_at_once(
        self, in_process: InProcessVendor, first: VendorResponse, retry_after_s: float | None, again: str
    ) -> None:
        received = await ask(CHAT, in_process, first, CHAT.streamed("one"), wrap=asking)
        assert received.error is not None
        assert received.error.retry_after_s == retry_after_s
        assert again in error_text(received.error)
        assert len(in_process.requests) == 1

    @pytest.mark.parametrize("value", ["inf", "soon", ""])
    async def test_time_that_is_none_is_no_time(self, in_process: InProcessVendor, value: str) -> None:
        limited = refusal(429, {"error": {}}, retry_after=value)
        assert (await ask(CHAT, in_process, limited, CHAT.streamed("one"), wrap=asking)).retries == [Retrying(0.5)]


class TestFallback:
    """Fallback asks the next model, before the first delta."""

    async def test_fallback_asks_the_next_model_and_logs_it(
        self, in_process: InProcessVendor, caplog: pytest.LogCaptureFixture
    ) -> None:
        in_process.script(refusal(401, {"error": {}}), ANTHROPIC.streamed("one"))
        async with connected(RESPONSES, in_process) as first, connected(ANTHROPIC, in_process) as second:
            both = asking(first, second)
            received = await collect(both)
        assert both.model == "openai/m"
        assert received.text == "one"
        assert received.completions[0].model == "anthropic/m"
        [line] = [r.getMessage() for r in caplog.records if r.name == "bot.models.wrappers"]
        assert "openai/m failed: bad_key" in line
        assert line.endswith("asking anthropic/m in 0.0 s")

    @pytest.mark.parametrize(
        "first",
        [
            refusal(404, {"error": {}}),
            refusal(429, {"error": {}}, retry_after="9"),
            refusal(429, {"error": {"code": "insufficient_quota"}}),
            refusal(400, {"error": {"code": "context_length_exceeded", "message": "The input is too long."}}),
            CHAT.streamed(),
        ],
    )
    async def test_next_model_is_asked_at_once(self, in_process: InProcessVendor, first: VendorResponse) -> None:
        received = await ask(
            CHAT, in_process, first, CHAT.streamed("one"), prompt=LONG, wrap=lambda model: asking(model, model)
        )
        assert (received.text, [request.method for request in in_process.requests].count("POST")) == ("one", 2)
        assert received.retries == [Retrying(0.0, is_charged=first.status == 200)]
