"""What holds for every Provider: each API over real HTTP and its SDK, the scripted model, and all wrapped."""

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from bot.core.completion import Completion, FinishReason, Usage
from bot.core.conversation import Prompt, Turn
from bot.errors import Failure, ProviderError
from bot.ports import Provider, SystemClock
from bot.providers.fallback import Fallback
from bot.providers.openai import speaks_responses
from bot.providers.retry import Retry
from bot.providers.scripted import Scripted, answer
from bot.providers.stall import Stall
from tests.contracts.vendors import ANTHROPIC, APIS, CHAT, KEY, REFUSED, RESPONSES, Api, Refused
from tests.streams import speech
from tests.streams.server import Answer, Ending, VendorServer, refusal

PROMPT = Prompt("Be brief.", (Turn("user", "Hi"), Turn("assistant", "Hello"), Turn("user", "Grüße, 世界 👋🏽?")))
TEXT = "Grüße, **世界** 👋🏽 — und `Code`:\n\n1. one\n2. two\n"


def plain(provider: Provider) -> Provider:
    return provider


def wrapped(provider: Provider) -> Provider:
    return Fallback([Stall(Retry(provider, SystemClock()), stall_timeout_s=10)])


WRAPS = pytest.mark.parametrize("wrap", [plain, wrapped], ids=["plain", "wrapped"])
ALL_APIS = pytest.mark.parametrize("api", APIS, ids=str)


@pytest.fixture
async def vendor() -> AsyncIterator[VendorServer]:
    async with VendorServer() as server:
        yield server


@asynccontextmanager
async def connected(api: Api, server: VendorServer, streaming: bool = True) -> AsyncIterator[Provider]:
    """The API's model m, on this server."""
    client = api.connect(server.url, streaming)
    try:
        yield client.model("m")
    finally:
        await client.aclose()


@dataclass
class Heard:
    """What a provider gave until it ended."""

    deltas: list[str]
    completions: list[Completion]
    error: ProviderError | None = None

    @property
    def text(self) -> str:
        return "".join(self.deltas)

    @property
    def failure(self) -> Failure:
        assert self.error is not None
        return self.error.failure


async def hear(provider: Provider) -> Heard:
    heard = Heard([], [])
    try:
        async with aclosing(provider.stream(PROMPT)) as stream:
            async for item in stream:
                assert not heard.completions, "a Completion is the last"
                if isinstance(item, Completion):
                    heard.completions.append(item)
                else:
                    heard.deltas.append(item)
    except ProviderError as error:
        heard.error = error
    assert "" not in heard.deltas
    assert len(heard.completions) == (heard.error is None)
    return heard


class TestAnAnswer:
    """Deltas, then one Completion."""

    @WRAPS
    @ALL_APIS
    @pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
    async def test_is_the_vendors_text(
        self, vendor: VendorServer, api: Api, wrap: Callable[[Provider], Provider], streaming: bool
    ) -> None:
        vendor.script(api.streamed(*speech.tokens(TEXT)) if streaming else api.whole(TEXT))
        async with connected(api, vendor, streaming) as model:
            provider = wrap(model)
            heard = await hear(provider)
        vendors_name = "anthropic" if api is ANTHROPIC else "openai"
        usage = Usage(speech.INPUT_TOKENS, len(speech.tokens(TEXT)))
        assert provider.model == f"{vendors_name}/m"
        assert heard.text == TEXT
        assert len(heard.deltas) == (len(speech.tokens(TEXT)) if streaming else 1)
        assert heard.completions == [Completion(f"{vendors_name}/m", FinishReason.STOP, usage)]
        assert [seen.path for seen in vendor.requests] == [api.path]

    @WRAPS
    async def test_of_the_scripted_model_is_its_script(self, wrap: Callable[[Provider], Provider]) -> None:
        provider = wrap(Scripted(SystemClock(), tokens_per_s=10_000))
        heard = await hear(provider)
        assert heard.text == answer(PROMPT)
        assert "scripted" in heard.text
        assert "Grüße, 世界 👋🏽?" in heard.text
        [completion] = heard.completions
        assert completion == Completion("scripted/demo", FinishReason.STOP, completion.usage)
        assert completion.usage == Usage(input_tokens=7, output_tokens=len(heard.deltas))

    async def test_of_the_scripted_model_keeps_its_pace(self) -> None:
        began = time.monotonic()
        heard = await hear(Scripted(SystemClock(), tokens_per_s=500))
        assert len(heard.deltas) / 500 <= time.monotonic() - began < 2 * len(heard.deltas) / 500

    @ALL_APIS
    @pytest.mark.parametrize("size", [1, 7])
    async def test_survives_any_chunk_boundary(self, vendor: VendorServer, api: Api, size: int) -> None:
        stream = b"".join(api.speak(["Grüße ", "世界", "👋🏽"]))
        vendor.script(Answer(speech.split(stream, size)))
        async with connected(api, vendor) as model:
            assert (await hear(model)).text == "Grüße 世界👋🏽"

    @ALL_APIS
    async def test_arrives_as_it_is_made(self, vendor: VendorServer, api: Api) -> None:
        vendor.script(Answer(api.unended("one", " two"), ending=Ending.HANG))
        async with connected(api, vendor) as model, aclosing(model.stream(PROMPT)) as stream:
            async with asyncio.timeout(5):
                assert [await anext(stream), await anext(stream)] == ["one", " two"]

    @ALL_APIS
    async def test_is_not_mixed_with_others(self, vendor: VendorServer, api: Api) -> None:
        numbers = iter(range(1000))
        vendor.script(lambda seen: replace(api.streamed(*(f"{next(numbers)} ",) * 20), pause_s=0.001))
        async with connected(api, vendor) as model:
            heard = await asyncio.gather(*(hear(model) for _ in range(20)))
        assert [len(set(one.deltas)) for one in heard] == [1] * 20
        assert len({one.text for one in heard}) == 20

    @ALL_APIS
    async def test_comes_from_a_server_that_cannot_stream(self, vendor: VendorServer, api: Api) -> None:
        vendor.script(api.whole(TEXT))
        async with connected(api, vendor) as model:
            heard = await hear(model)
        assert heard.deltas == [TEXT]

    @ALL_APIS
    async def test_is_whole_after_its_marker_however_the_vendor_hangs_up(self, vendor: VendorServer, api: Api) -> None:
        events = [event for event in api.speak(["one"]) if b"[DONE]" not in event]
        vendor.script(Answer(events, pause_s=0.01, ending=Ending.RESET))
        async with connected(api, vendor) as model:
            heard = await hear(model)
        assert heard.text == "one"

    @ALL_APIS
    async def test_keeps_the_connection_for_the_next(self, vendor: VendorServer, api: Api) -> None:
        vendor.script(api.streamed("one"))
        async with connected(api, vendor) as model:
            for _ in range(3):
                await hear(model)
        assert len({seen.connection for seen in vendor.requests}) == 1


class TestTheDocumentedStreams:
    """Byte for byte as each server documents them."""

    @pytest.mark.parametrize(
        ("api", "name", "text", "reason", "usage"),
        [
            (RESPONSES, "openai_responses", "Hi there! How can I assist you today?", "stop", Usage(37, 11)),
            (
                RESPONSES,
                "openai_responses_reasoning",
                "Hi there! How can I assist you today?",
                "stop",
                Usage(37, 75, cached_input_tokens=12, cache_write_tokens=8),
            ),
            (RESPONSES, "openai_responses_length", "Hi there!", "length", Usage(37, 4)),
            (CHAT, "openai_chat", "Hello there!", "stop", Usage(19, 10, cached_input_tokens=4)),
            (CHAT, "ollama_chat", "Hello there!", "stop", Usage(12, 41)),
            (CHAT, "vllm_chat", "Hello there!", "stop", Usage(14, 39)),
            (CHAT, "llama_cpp_chat", "Hello there!", "stop", Usage(31, 4)),
            (CHAT, "gateway_chat_no_usage", "Hello there!", "length", None),
            (ANTHROPIC, "anthropic", "Hello there!", "stop", Usage(25, 15)),
            (
                ANTHROPIC,
                "anthropic_thinking",
                "Hello there!",
                "stop",
                Usage(1909, 42, cached_input_tokens=1800, cache_write_tokens=100),
            ),
            (ANTHROPIC, "anthropic_length", "Hello there", "length", Usage(25, 16)),
        ],
        ids=lambda value: value if isinstance(value, str) else None,
    )
    async def test_end_well(
        self, vendor: VendorServer, api: Api, name: str, text: str, reason: str, usage: Usage | None
    ) -> None:
        vendor.script(Answer([speech.documented(name)]))
        async with connected(api, vendor) as model:
            heard = await hear(model)
        assert heard.text == text
        assert heard.completions == [Completion(model.model, FinishReason(reason), usage)]

    @pytest.mark.parametrize(
        ("api", "name", "text", "failure"),
        [
            (RESPONSES, "openai_responses_filtered", "Hi there", Failure.REFUSED),
            (RESPONSES, "openai_responses_failed", "", Failure.UNEXPECTED),
            (RESPONSES, "openai_responses_error", "Hi there", Failure.RATE_LIMITED),
            (CHAT, "openai_chat_filtered", "Hello", Failure.REFUSED),
            (CHAT, "gateway_chat_error", "Hello", Failure.OVERLOADED),
            (ANTHROPIC, "anthropic_refusal", "Hello", Failure.REFUSED),
            (ANTHROPIC, "anthropic_context_window", "Hello", Failure.CONTEXT_TOO_LONG),
            (ANTHROPIC, "anthropic_overloaded", "Hello", Failure.OVERLOADED),
        ],
        ids=lambda value: value if isinstance(value, str) else None,
    )
    async def test_report_failures(
        self, vendor: VendorServer, api: Api, name: str, text: str, failure: Failure
    ) -> None:
        vendor.script(Answer([speech.documented(name)]))
        async with connected(api, vendor) as model:
            heard = await hear(model)
        assert (heard.text, heard.failure) == (text, failure)


class TestAFailure:
    """Whatever goes wrong is a ProviderError that says what to do, and holds no key."""

    @pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
    @pytest.mark.parametrize(("api", "row"), REFUSED, ids=[f"{api}-{row.status}-{row.failure}" for api, row in REFUSED])
    async def test_that_the_vendor_reports(
        self,
        vendor: VendorServer,
        api: Api,
        row: Refused,
        streaming: bool,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        vendor.script(row.answer)
        async with connected(api, vendor, streaming) as model:
            heard = await hear(model)
        assert heard.failure is row.failure
        assert heard.error is not None
        assert str(heard.error) == str(ProviderError(row.failure, model.model))
        assert model.model in str(heard.error)
        assert len(vendor.requests) == 1, "the SDK asks once"
        shown = "".join(traceback.format_exception(heard.error))
        for text in (shown, heard.error.detail, repr(heard.error), repr(vars(heard.error)), caplog.text):
            assert KEY not in text
            assert "ghij" not in text

    @ALL_APIS
    @pytest.mark.parametrize("ending", [Ending.END, Ending.CUT, Ending.RESET])
    async def test_a_stream_without_its_marker_is_a_cut(self, vendor: VendorServer, api: Api, ending: Ending) -> None:
        vendor.script(Answer(api.unended("one", " two"), pause_s=0.01, ending=ending))
        async with connected(api, vendor) as model:
            heard = await hear(model)
        assert (heard.text, heard.failure) == ("one two", Failure.CUT)

    @ALL_APIS
    async def test_a_whole_answer_that_breaks_off_is_a_failure(self, vendor: VendorServer, api: Api) -> None:
        body = api.speak_whole(TEXT)
        vendor.script(Answer([body[:40]], content_type="application/json", pause_s=0.01, ending=Ending.CUT))
        async with connected(api, vendor, streaming=False) as model:
            heard = await hear(model)
        assert heard.failure is Failure.CUT

    @ALL_APIS
    @pytest.mark.parametrize(
        ("body", "content_type", "failure"),
        [
            (b"<html>Please log in</html>", "text/html", Failure.UNEXPECTED),
            (b"", "application/octet-stream", Failure.UNEXPECTED),
            (b"", "text/event-stream", Failure.CUT),
            (b": ping\n\n", "text/event-stream", Failure.CUT),
            (b'{"half a', "application/json", Failure.UNEXPECTED),
            (b'"a word"', "application/json", Failure.UNEXPECTED),
            (b'event: message_start\ndata: {"type": "mess\n\n', "text/event-stream", Failure.UNEXPECTED),
            (b"event: message_start\ndata: [1]\n\n", "text/event-stream", Failure.UNEXPECTED),
            (b'event: message_start\ndata: {"type": "\xff"}\n\n', "text/event-stream", Failure.UNEXPECTED),
        ],
    )
    async def test_what_is_no_answer_at_all(
        self, vendor: VendorServer, api: Api, body: bytes, content_type: str, failure: Failure
    ) -> None:
        vendor.script(Answer([body], content_type=content_type))
        async with connected(api, vendor) as model:
            heard = await hear(model)
        assert (heard.deltas, heard.failure) == ([], failure)

    @ALL_APIS
    @pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
    async def test_an_answer_without_a_word(self, vendor: VendorServer, api: Api, streaming: bool) -> None:
        vendor.script(api.streamed() if streaming else api.whole(""))
        async with connected(api, vendor, streaming) as model:
            assert (await hear(model)).failure is Failure.EMPTY

    @ALL_APIS
    async def test_a_vendor_that_is_not_there(self, api: Api) -> None:
        async with VendorServer() as gone:
            pass
        async with connected(api, gone) as model:
            assert (await hear(model)).failure is Failure.UNREACHABLE

    @ALL_APIS
    async def test_a_connection_that_closes_before_any_answer(self, vendor: VendorServer, api: Api) -> None:
        vendor.script(Answer(ending=Ending.NOTHING))
        async with connected(api, vendor) as model:
            assert (await hear(model)).failure is Failure.UNREACHABLE


class TestHangingUp:
    """Only closing the stream reaches the vendor and stops the billing."""

    @WRAPS
    @ALL_APIS
    async def test_reaches_the_vendor_within_a_second(
        self, vendor: VendorServer, api: Api, wrap: Callable[[Provider], Provider]
    ) -> None:
        vendor.script(Answer(api.unended("one"), ending=Ending.HANG))
        async with connected(api, vendor) as model:
            async with aclosing(wrap(model).stream(PROMPT)) as stream:
                assert await anext(stream) == "one"
            await asyncio.wait_for(vendor.requests[0].hung_up.wait(), 1)

    @ALL_APIS
    async def test_by_cancelling_works_before_the_first_delta(self, vendor: VendorServer, api: Api) -> None:
        vendor.script(Answer(ending=Ending.HANG))
        async with connected(api, vendor) as model:
            listening = asyncio.create_task(hear(model))
            seen = await asyncio.wait_for(vendor.request(0), 5)
            listening.cancel()
            await asyncio.wait([listening])
            assert listening.cancelled()
            await asyncio.wait_for(seen.hung_up.wait(), 1)


class TestRequests:
    """What is sent, and how it is paid for."""

    async def test_to_responses_are_not_stored(self, vendor: VendorServer) -> None:
        vendor.script(RESPONSES.streamed("one"))
        async with connected(RESPONSES, vendor) as model:
            await hear(model)
        [seen] = vendor.requests
        assert seen.headers["Authorization"] == f"Bearer {KEY}"
        assert seen.body == {
            "model": "m",
            "instructions": "Be brief.",
            "input": [{"role": turn.role, "content": turn.text} for turn in PROMPT.turns],
            "store": False,
            "stream": True,
        }

    async def test_to_chat_ask_for_usage(self, vendor: VendorServer) -> None:
        vendor.script(CHAT.streamed("one"))
        async with connected(CHAT, vendor) as model:
            await hear(model)
        [seen] = vendor.requests
        system = {"role": "system", "content": "Be brief."}
        assert seen.body == {
            "model": "m",
            "messages": [system, *({"role": turn.role, "content": turn.text} for turn in PROMPT.turns)],
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    async def test_to_anthropic_are_cached_and_bounded(self, vendor: VendorServer) -> None:
        vendor.script(ANTHROPIC.streamed("one"))
        async with connected(ANTHROPIC, vendor) as model:
            await hear(model)
        [seen] = vendor.requests
        assert seen.headers["Authorization"] == f"Bearer {KEY}"
        assert seen.body == {
            "model": "m",
            "max_tokens": 16_384,
            "system": "Be brief.",
            "messages": [{"role": turn.role, "content": turn.text} for turn in PROMPT.turns],
            "cache_control": {"type": "ephemeral"},
            "stream": True,
        }

    async def test_take_a_models_name_with_slashes(self, vendor: VendorServer) -> None:
        vendor.script(CHAT.streamed("one"))
        client = CHAT.connect(vendor.url, True)
        model = client.model("meta/llama-3")
        await hear(model)
        await client.aclose()
        assert model.model == "openai/meta/llama-3"
        assert vendor.requests[0].body["model"] == "meta/llama-3"

    @pytest.mark.parametrize(
        ("base_url", "responses"),
        [
            ("https://api.openai.com/v1", True),
            ("https://eu.api.openai.com/v1", True),
            ("https://team.openai.azure.com/openai/v1/", True),
            ("https://team.services.ai.azure.com/openai/v1/", True),
            ("http://127.0.0.1:11434/v1", False),
            ("https://gateway.example.com/api.openai.com/v1", False),
            ("https://notopenai.com/v1", False),
        ],
    )
    def test_go_to_responses_where_it_is_sure_to_be(self, base_url: str, responses: bool) -> None:
        assert speaks_responses(base_url) is responses


class TestStall:
    """No text for a while is an error of its own; there is no total timeout."""

    @ALL_APIS
    @pytest.mark.parametrize("said", [(), ("one",)], ids=["at once", "after text"])
    async def test_pings_do_not_count_as_text(self, vendor: VendorServer, api: Api, said: tuple[str, ...]) -> None:
        ping = b'event: ping\ndata: {"type": "ping"}\n\n' if api is ANTHROPIC else b": ping\n\n"
        vendor.script(Answer(api.unended(*said), ending=Ending.HANG, ping=ping))
        async with connected(api, vendor) as model:
            heard = await hear(Stall(model, stall_timeout_s=0.2))
            assert (heard.text, heard.failure) == ("".join(said), Failure.STALLED)
            await asyncio.wait_for(vendor.requests[0].hung_up.wait(), 1)

    async def test_a_vendor_that_does_not_answer_stalls(self, vendor: VendorServer) -> None:
        vendor.script(Answer(delay_s=60))
        async with connected(CHAT, vendor) as model:
            assert (await hear(Stall(model, stall_timeout_s=0.2))).failure is Failure.STALLED

    async def test_whoever_cancels_the_reader_cancels_it(self, vendor: VendorServer) -> None:
        vendor.script(Answer(ending=Ending.HANG))
        async with connected(CHAT, vendor) as model:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(hear(Stall(model, stall_timeout_s=10)), 0.1)

    async def test_a_slow_answer_that_grows_is_fine(self, vendor: VendorServer) -> None:
        vendor.script(replace(CHAT.streamed(*"0123456789"), pause_s=0.05))
        async with connected(CHAT, vendor) as model:
            assert (await hear(Stall(model, stall_timeout_s=0.3))).text == "0123456789"

    async def test_the_readers_own_time_is_no_stall(self, vendor: VendorServer) -> None:
        vendor.script(CHAT.streamed("one", " two"))
        text = ""
        async with connected(CHAT, vendor) as model:
            async for item in Stall(model, stall_timeout_s=0.1).stream(PROMPT):
                await asyncio.sleep(0.2)
                text += item if isinstance(item, str) else "."
        assert text == "one two."


class TestRetry:
    """Once more, where a moment may mend it."""

    @ALL_APIS
    @pytest.mark.parametrize(
        "first",
        [
            refusal(429, {"error": {"type": "rate_limit_error"}}, retry_after="0.05"),
            refusal(429, {"error": {"type": "rate_limit_error"}}, retry_after_ms="50", retry_after="60"),
            refusal(503, {"error": {"message": "busy"}}, retry_after="0"),
            refusal(502, {"error": {"message": "gone"}}),
            Answer(ending=Ending.NOTHING),
        ],
        ids=["rate limited", "in milliseconds", "overloaded", "unreachable", "idle for too long"],
    )
    async def test_mends_what_passes(self, vendor: VendorServer, api: Api, first: Answer) -> None:
        vendor.script(first, api.streamed("one"))
        async with connected(api, vendor) as model:
            assert (await hear(Retry(model, SystemClock()))).text == "one"
        assert len(vendor.requests) == 2

    @pytest.mark.parametrize(
        ("first", "retry_after_s"),
        [
            (refusal(429, {"error": {}}), None),
            (refusal(429, {"error": {}}, retry_after="6"), 6),
            (refusal(429, {"error": {}}, retry_after="3600"), 3600),
            (
                refusal(
                    429,
                    {"error": {}},
                    retry_after="Fri, 20 Nov 2026 10:01:00 GMT",
                    date="Fri, 20 Nov 2026 10:00:00 GMT",
                ),
                60,
            ),
            (refusal(429, {"error": {}}, retry_after="soon"), None),
            (refusal(503, {"error": {}}, retry_after="30"), 30),
            (refusal(401, {"error": {}}), None),
        ],
    )
    async def test_is_not_for_what_lasts(
        self, vendor: VendorServer, first: Answer, retry_after_s: float | None
    ) -> None:
        vendor.script(first, CHAT.streamed("one"))
        async with connected(CHAT, vendor) as model:
            heard = await hear(Retry(model, SystemClock()))
        assert heard.error is not None
        assert heard.error.retry_after_s == retry_after_s
        assert len(vendor.requests) == 1

    async def test_happens_once(self, vendor: VendorServer) -> None:
        vendor.script(refusal(429, {"error": {}}, retry_after="0"))
        async with connected(CHAT, vendor) as model:
            assert (await hear(Retry(model, SystemClock()))).failure is Failure.RATE_LIMITED
        assert len(vendor.requests) == 2

    async def test_never_says_a_word_twice(self, vendor: VendorServer) -> None:
        vendor.script(Answer([speech.documented("gateway_chat_error")]), CHAT.streamed("one"))
        async with connected(CHAT, vendor) as model:
            heard = await hear(Retry(model, SystemClock()))
        assert (heard.text, heard.failure) == ("Hello", Failure.OVERLOADED)
        assert len(vendor.requests) == 1


class TestFallback:
    """The next model, before the first delta."""

    async def test_asks_the_next_and_says_so(self, vendor: VendorServer, caplog: pytest.LogCaptureFixture) -> None:
        vendor.script(refusal(401, {"error": {}}), ANTHROPIC.streamed("one"))
        async with connected(RESPONSES, vendor) as first, connected(ANTHROPIC, vendor) as second:
            both = Fallback([first, second])
            heard = await hear(both)
        assert both.model == "openai/m"
        assert heard.text == "one"
        assert heard.completions[0].model == "anthropic/m"
        [line] = [r.getMessage() for r in caplog.records if r.name == "bot.providers.fallback"]
        assert "openai/m: bad_key" in line
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
            Answer(),
            Answer(ending=Ending.HANG),
        ],
    )
    async def test_helps_whatever_failed_but(self, vendor: VendorServer, first: Answer) -> None:
        vendor.script(first, CHAT.streamed("one"))
        async with connected(CHAT, vendor) as model:
            assert (await hear(Fallback([Stall(model, 0.2), model]))).text == "one"

    async def test_not_a_refusal(self, vendor: VendorServer) -> None:
        vendor.script(refusal(400, {"error": {"code": "content_filter"}}), CHAT.streamed("one"))
        async with connected(CHAT, vendor) as model:
            assert (await hear(Fallback([model, model]))).failure is Failure.REFUSED

    async def test_not_an_answer_that_has_begun(self, vendor: VendorServer) -> None:
        vendor.script(Answer(CHAT.unended("one")), CHAT.streamed("two"))
        async with connected(CHAT, vendor) as model:
            heard = await hear(Fallback([model, model]))
        assert (heard.text, heard.failure) == ("one", Failure.CUT)

    async def test_ends_with_the_last_ones_error(self, vendor: VendorServer) -> None:
        vendor.script(refusal(401, {"error": {}}), refusal(429, {"error": {}}))
        async with connected(CHAT, vendor) as model:
            assert (await hear(Fallback([model, model]))).failure is Failure.RATE_LIMITED
