"""Stall, Retry and Fallback, around the real SDKs over real HTTP."""

import asyncio
import json
from dataclasses import replace

import pytest

from bot.clock import SystemClock
from bot.core.texts import for_error
from bot.errors import EndReason
from bot.providers import stall
from bot.providers.fallback import Fallback
from bot.providers.retry import Retry
from bot.providers.stall import Stall
from tests.clocks import WITHIN_S
from tests.contracts.notifications import PROMPT, collect, connected
from tests.contracts.vendors import ANTHROPIC, APIS, CHAT, RESPONSES, VendorApi
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer, refusal

pytestmark = pytest.mark.skips_waits

OVERLOADED = b'data: {"error":{"code":503,"message":"busy"}}\n\n'

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


class TestStall:
    """A stream without text for a while fails with an error of its own. There is no total timeout."""

    @ALL_APIS
    @pytest.mark.parametrize("deltas", [(), ("one",)], ids=["at once", "after text"])
    async def test_pings_do_not_count_as_text(
        self, vendor: VendorServer, api: VendorApi, deltas: tuple[str, ...]
    ) -> None:
        ping = b'event: ping\ndata: {"type": "ping"}\n\n' if api is ANTHROPIC else b": ping\n\n"
        vendor.script(VendorResponse(api.unended(*deltas), ending=ResponseEnd.HANG, ping=ping))
        async with connected(api, vendor) as model:
            received = await collect(Stall(model, stall_timeout_s=5))
            assert (received.text, received.failure) == ("".join(deltas), EndReason.STALLED)
            await asyncio.wait_for(vendor.requests[0].hung_up.wait(), WITHIN_S)

    @THINKING
    async def test_thinking_counts_as_activity(self, vendor: VendorServer, api: VendorApi, name: str) -> None:
        before, thinking, after = thoughtful(name)
        vendor.script(VendorResponse([*before, *[thinking] * 12, *after], pause_s=5))
        async with connected(api, vendor) as model:
            received = await collect(Stall(model, stall_timeout_s=30))
        assert received.text == "Hello there!"
        assert received.thought >= 12

    @SILENT
    async def test_pings_count_as_activity_while_the_model_thinks(
        self, vendor: VendorServer, api: VendorApi, name: str, sign: bytes
    ) -> None:
        before, after = silent(name, sign)
        vendor.script(VendorResponse([before, *[sign] * 40, after], pause_s=7))
        async with connected(api, vendor) as model:
            received = await collect(Stall(model, stall_timeout_s=25))
        assert received.text in ("Hello there!", "Hi there! How can I assist you today?")

    @SILENT
    async def test_silent_thinking_may_take_ten_times_the_stall_timeout(
        self, vendor: VendorServer, api: VendorApi, name: str, sign: bytes
    ) -> None:
        before, after = silent(name, sign)
        vendor.script(VendorResponse([before, after], pause_s=180))
        async with connected(api, vendor) as model:
            received = await collect(Stall(model, stall_timeout_s=20))
        assert received.text in ("Hello there!", "Hi there! How can I assist you today?")

    @SILENT
    async def test_longer_silent_thinking_stalls(
        self, vendor: VendorServer, api: VendorApi, name: str, sign: bytes
    ) -> None:
        before, _ = silent(name, sign)
        vendor.script(VendorResponse([before, b""], pause_s=300))
        async with connected(api, vendor) as model:
            received = await collect(Stall(model, stall_timeout_s=10))
            await asyncio.wait_for(vendor.requests[0].hung_up.wait(), WITHIN_S)
        assert received.error is not None
        assert (received.text, received.failure, received.error.detail) == ("", EndReason.STALLED, "nothing for 100 s")

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
        self, vendor: VendorServer, api: VendorApi, name: str, end: bytes
    ) -> None:
        stream = speech.documented(name)
        at = stream.index(b"\n\n", stream.index(end)) + 2
        ping = b'event: ping\ndata: {"type": "ping"}\n\n' if api is ANTHROPIC else b": ping\n\n"
        vendor.script(VendorResponse([stream[:at]], ending=ResponseEnd.HANG, ping=ping))
        async with connected(api, vendor) as model:
            received = await collect(Stall(model, stall_timeout_s=5))
        assert received.error is not None
        assert (received.failure, received.error.detail) == (EndReason.STALLED, "nothing for 5 s")
        assert received.thought > 0

    @pytest.mark.parametrize("ping", [b"", b": ping\n\n"], ids=["silent", "pings"])
    @pytest.mark.parametrize("events_after_text", [1, 2], ids=["finish reason", "usage"])
    async def test_stream_that_does_not_end_after_the_finish_reason_is_a_whole_answer(
        self, vendor: VendorServer, events_after_text: int, ping: bytes
    ) -> None:
        events = [*CHAT.unended("one"), *CHAT.speak(["one"])[-CHAT.events_after_text :][:events_after_text]]
        vendor.script(VendorResponse(events, ending=ResponseEnd.HANG, ping=ping))
        async with connected(CHAT, vendor) as model:
            received = await collect(Stall(model, stall_timeout_s=30))
        assert (received.text, received.error) == ("one", None)
        assert (received.completions[0].usage is not None) == (events_after_text == 2)

    @pytest.mark.parametrize(
        ("stall_timeout_s", "silence_s"), [(1, 10), (30, 300), (60, 600), (120, 600), (1800, 1800)]
    )
    def test_silence_is_bounded(self, stall_timeout_s: float, silence_s: float) -> None:
        assert stall.silence_s(stall_timeout_s) == silence_s

    async def test_vendor_that_does_not_answer_stalls(self, vendor: VendorServer) -> None:
        vendor.script(VendorResponse(delay_s=60))
        async with connected(CHAT, vendor) as model:
            assert (await collect(Stall(model, stall_timeout_s=20))).failure is EndReason.STALLED

    async def test_cancelling_the_reader_cancels_the_stream(self, vendor: VendorServer) -> None:
        vendor.script(VendorResponse(ending=ResponseEnd.HANG))
        async with connected(CHAT, vendor) as model:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(collect(Stall(model, stall_timeout_s=100)), 1)

    async def test_slow_but_growing_answer_does_not_stall(self, vendor: VendorServer) -> None:
        vendor.script(replace(CHAT.streamed(*"0123456789"), pause_s=5))
        async with connected(CHAT, vendor) as model:
            assert (await collect(Stall(model, stall_timeout_s=30))).text == "0123456789"

    async def test_readers_own_delay_is_no_stall(self, vendor: VendorServer) -> None:
        vendor.script(CHAT.streamed("one", " two"))
        text = ""
        async with connected(CHAT, vendor) as model:
            async for item in Stall(model, stall_timeout_s=30).stream(PROMPT):
                await asyncio.sleep(40)
                text += item if isinstance(item, str) else "."
        assert text == "one two."


GROQ_FAILED = {
    "error": {
        "message": "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
        "failed_generation": "<function=time__now>{",
    }
}


class TestRetry:
    """Retry asks the same model once more after a temporary failure."""

    @pytest.mark.parametrize(
        "failed",
        [
            refusal(400, GROQ_FAILED),
            VendorResponse([f"event: error\ndata: {json.dumps(GROQ_FAILED)}\n\n".encode()]),
        ],
        ids=["refused", "in the stream"],
    )
    async def test_tool_call_that_the_vendor_cannot_parse_is_asked_for_once_more(
        self, vendor: VendorServer, failed: VendorResponse
    ) -> None:
        vendor.script(failed, CHAT.streamed("one"))
        async with connected(CHAT, vendor) as model:
            assert (await collect(Retry(model, SystemClock()))).text == "one"
            vendor.script(failed)
            assert (await collect(Retry(model, SystemClock()))).failure is EndReason.UNEXPECTED
        assert len(vendor.requests) == 4

    @ALL_APIS
    @pytest.mark.parametrize(
        "first",
        [
            refusal(429, {"error": {"type": "rate_limit_error"}}, retry_after="0.05"),
            refusal(429, {"error": {"type": "rate_limit_error"}}, retry_after_ms="50", retry_after="60"),
            refusal(503, {"error": {"message": "busy"}}, retry_after="0"),
            refusal(502, {"error": {"message": "gone"}}),
            VendorResponse(ending=ResponseEnd.NOTHING),
        ],
        ids=["rate limited", "in milliseconds", "overloaded", "unreachable", "idle for too long"],
    )
    async def test_temporary_failure_is_retried(
        self, vendor: VendorServer, api: VendorApi, first: VendorResponse
    ) -> None:
        vendor.script(first, api.streamed("one"))
        async with connected(api, vendor) as model:
            assert (await collect(Retry(model, SystemClock()))).text == "one"
        assert len(vendor.requests) == 2

    @pytest.mark.parametrize(
        ("first", "retry_after_s", "again"),
        [
            (refusal(429, {"error": {}}), None, "in a minute"),
            (refusal(429, {"error": {}}, retry_after="6"), 6, "in a minute"),
            (refusal(429, {"error": {}}, retry_after="601"), 601, "in 11 minutes"),
            (refusal(429, {"error": {}}, retry_after="86400"), 86_400, "in 24 hours"),
            (refusal(429, {"error": {}}, retry_after="inf"), None, "in a minute"),
            (
                refusal(
                    429,
                    {"error": {}},
                    retry_after="Fri, 20 Nov 2026 10:01:00 GMT",
                    date="Fri, 20 Nov 2026 10:00:00 GMT",
                ),
                60,
                "in a minute",
            ),
            (refusal(429, {"error": {}}, retry_after="soon"), None, "in a minute"),
            (refusal(503, {"error": {}}, retry_after="30"), 30, "in a minute"),
            (refusal(401, {"error": {}}), None, "check"),
        ],
    )
    async def test_lasting_failure_is_not_retried(
        self, vendor: VendorServer, first: VendorResponse, retry_after_s: float | None, again: str
    ) -> None:
        vendor.script(first, CHAT.streamed("one"))
        async with connected(CHAT, vendor) as model:
            received = await collect(Retry(model, SystemClock()))
        assert received.error is not None
        assert received.error.retry_after_s == retry_after_s
        assert again in for_error(received.error)
        assert len(vendor.requests) == 1

    async def test_retry_happens_once(self, vendor: VendorServer) -> None:
        vendor.script(refusal(429, {"error": {}}, retry_after="0"))
        async with connected(CHAT, vendor) as model:
            assert (await collect(Retry(model, SystemClock()))).failure is EndReason.RATE_LIMITED
        assert len(vendor.requests) == 2

    async def test_retry_happens_after_thinking(self, vendor: VendorServer) -> None:
        stream = speech.documented("deepseek_chat")
        broken = [stream[: stream.index(b'"content":"Hello"')].rpartition(b"data: ")[0], OVERLOADED]
        vendor.script(VendorResponse(broken), CHAT.streamed("one"))
        async with connected(CHAT, vendor) as model:
            received = await collect(Retry(model, SystemClock()))
        assert received.text == "one"
        assert received.thought > 0

    async def test_answer_that_has_begun_is_not_retried(self, vendor: VendorServer) -> None:
        vendor.script(VendorResponse([speech.documented("gateway_chat_error")]), CHAT.streamed("one"))
        async with connected(CHAT, vendor) as model:
            received = await collect(Retry(model, SystemClock()))
        assert (received.text, received.failure) == ("Hello", EndReason.OVERLOADED)
        assert len(vendor.requests) == 1


class TestFallback:
    """Fallback asks the next model, before the first delta."""

    async def test_fallback_asks_the_next_model_and_logs_it(
        self, vendor: VendorServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        vendor.script(refusal(401, {"error": {}}), ANTHROPIC.streamed("one"))
        async with connected(RESPONSES, vendor) as first, connected(ANTHROPIC, vendor) as second:
            both = Fallback([first, second])
            received = await collect(both)
        assert both.model == "openai/m"
        assert received.text == "one"
        assert received.completions[0].model == "anthropic/m"
        [line] = [r.getMessage() for r in caplog.records if r.name == "bot.providers.fallback"]
        assert "openai/m failed: bad_key" in line
        assert line.endswith("falling back to anthropic/m")

    @pytest.mark.parametrize(
        "first",
        [
            refusal(404, {"error": {}}),
            refusal(429, {"error": {}}),
            refusal(429, {"error": {"code": "insufficient_quota"}}),
            refusal(503, {"error": {}}),
            refusal(400, {"error": {"code": "context_length_exceeded"}}),
            refusal(500, {"error": {}}),
            CHAT.streamed(),
            VendorResponse(),
            VendorResponse(ending=ResponseEnd.HANG),
        ],
    )
    async def test_fallback_handles_any_other_failure(self, vendor: VendorServer, first: VendorResponse) -> None:
        vendor.script(first, CHAT.streamed("one"))
        async with connected(CHAT, vendor) as model:
            assert (await collect(Fallback([Stall(model, 10.0), model]))).text == "one"

    async def test_refusal_has_no_fallback(self, vendor: VendorServer) -> None:
        vendor.script(refusal(400, {"error": {"code": "content_filter"}}), CHAT.streamed("one"))
        async with connected(CHAT, vendor) as model:
            assert (await collect(Fallback([model, model]))).failure is EndReason.REFUSED

    async def test_fallback_happens_after_thinking(self, vendor: VendorServer) -> None:
        vendor.script(VendorResponse([speech.documented("llama_cpp_chat_unclosed")]), CHAT.streamed("one"))
        async with connected(CHAT, vendor) as model:
            assert (await collect(Fallback([model, model]))).text == "one"

    async def test_answer_that_has_begun_has_no_fallback(self, vendor: VendorServer) -> None:
        vendor.script(VendorResponse(CHAT.unended("one")), CHAT.streamed("two"))
        async with connected(CHAT, vendor) as model:
            received = await collect(Fallback([model, model]))
        assert (received.text, received.failure) == ("one", EndReason.CUT)

    async def test_last_models_error_is_raised(self, vendor: VendorServer) -> None:
        vendor.script(refusal(401, {"error": {}}), refusal(429, {"error": {}}))
        async with connected(CHAT, vendor) as model:
            assert (await collect(Fallback([model, model]))).failure is EndReason.RATE_LIMITED
