"""The room for an answer: what servers say of a limit that is too large, in whose words, and what is sent next."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from bot.errors import EndReason
from bot.models.events import THINKING_TOKENS
from bot.models.prompt import ToolDefinition, Turn
from tests.contracts.in_process import AnyVendor, InProcessVendor
from tests.contracts.notifications import PROMPT, Received, ask, collect, connected
from tests.contracts.vendors import ANTHROPIC, CHAT, RESPONSES, VendorApi, options
from tests.streams.server import VendorRequest, VendorResponse, VendorServer, refusal

WANTED = options().max_output_tokens
MORE = WANTED + THINKING_TOKENS


@dataclass(frozen=True)
class Limit:
    """A server that refuses an output limit that is too large, in its own words."""

    words: str
    takes: int
    api: VendorApi = CHAT
    status: int = 400
    window: int | None = None


# The servers' words as in the threads and sources that are named.
LIMITS = {
    "vllm, by window": Limit(
        "This model's maximum context length is 8192 tokens. However, you requested 16396 tokens (12 in the messages, "
        "16384 in the completion). Please reduce the length of the messages or completion.",
        8180,
        window=8192,
    ),
    "vllm, by parameter": Limit(
        "'max_tokens' or 'max_completion_tokens' is too large: 16384. This model's maximum context length is 8192 "
        "tokens and your request has 12 input tokens (16384 > 8192 - 12).",
        8180,
        window=8192,
    ),
    "vllm, newer": Limit(
        "This model's maximum context length is 4096 tokens. However, you requested 16384 output tokens and your "
        "prompt contains at least 12 input tokens, for a total of at least 16396 tokens.",
        4084,
        window=4096,
    ),
    "sglang": Limit(
        "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of "
        "16396 tokens: 12 tokens from the input messages and 16384 tokens for the completion.",
        4084,
        window=4096,
    ),
    "openai": Limit(
        "max_tokens is too large: 16384. This model supports at most 4096 completion tokens, whereas you provided "
        "16384.",
        4096,
    ),
    "tgi": Limit(
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 12 `inputs` tokens and "
        "16384 `max_new_tokens`",
        4085,
        status=422,
        window=4097,
    ),
    "groq": Limit("`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens`", 8192),
    "deepseek": Limit("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", 8192),
    "bedrock": Limit("The maximum tokens you requested exceeds the model limit of 4096.", 4096),
    "with separators": Limit("max_tokens must be at most 4,096", 4096, status=500),
    "too large, by no number": Limit("max_tokens is out of range", WANTED // 4, status=413),
    "too long, by no word": Limit("No. context_length_exceeded", WANTED // 4),
    "gemini": Limit("maxOutputTokens is 16384 but the range is from 1 (inclusive) to 8193 (exclusive).", 8192),
    "responses": Limit("max_output_tokens is too large: 40960. At most 16384.", 16_384, RESPONSES),
    "responses, by window": Limit(
        "This model's maximum context length is 8192 tokens. However, you requested 40972 tokens "
        "(12 in the messages, 40960 in the completion).",
        8180,
        RESPONSES,
        window=8192,
    ),
    "a limit for a minute": Limit(
        "Request too large for m on tokens per min (TPM): Limit 30000, Requested 40972. The input or output tokens "
        "must be reduced in order to run successfully.",
        29_988,
        RESPONSES,
        status=429,
        window=30_000,
    ),
    "by window, with our number": Limit("n_predict 16384 exceeds context size 4096", 4_068, window=4096),
    "an older claude": Limit(
        "max_tokens: 40960 > 32000, which is the maximum allowed number of output tokens for m", 32_000, ANTHROPIC
    ),
    "claude's window": Limit(
        "input length and `max_tokens` exceed context limit: 190000 + 40960 > 200000, decrease input length or "
        "`max_tokens` and try again",
        10_000,
        ANTHROPIC,
        window=200_000,
    ),
}
ALL_LIMITS = pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS.keys())
# A status of 413 is the response's own.
_STREAMED = {name: limit for name, limit in LIMITS.items() if limit.status != 413}
IN_STREAMS = pytest.mark.parametrize("limit", _STREAMED.values(), ids=_STREAMED.keys())


def said(limit: Limit) -> object:
    error = {"message": limit.words, "type": "invalid_request_error", "param": None, "code": None}
    code = "context_length_exceeded"
    return {"type": "error", "error": error | ({"code": code} if code in limit.words else {})}


def sent(request: VendorRequest) -> int:
    names = ("max_output_tokens", "max_tokens", "max_completion_tokens")
    return next(int(request.body[name]) for name in names if name in request.body)


def asked(vendor: AnyVendor) -> list[int]:
    return [sent(request) for request in vendor.requests if request.method == "POST"]


NO_LIST = refusal(404, {"error": {"message": "Not Found"}})


def listing(**described: int) -> VendorResponse:
    body = {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "us", **described}]}
    return VendorResponse([json.dumps(body).encode()], 200, "application/json")


def server(limit: Limit, refused: Callable[[object], VendorResponse]) -> Callable[[VendorRequest], VendorResponse]:
    def answer(request: VendorRequest) -> VendorResponse:
        if request.method == "GET":
            return NO_LIST
        return limit.api.streamed("one") if sent(request) <= limit.takes else refused(said(limit))

    return answer


def in_stream(error: object) -> VendorResponse:
    return VendorResponse([b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n"])


async def ask_twice(
    in_process: InProcessVendor, limit: Limit, refused: Callable[[object], VendorResponse]
) -> list[Received]:
    in_process.script(server(limit, refused))
    async with connected(limit.api, in_process) as model:
        return [await collect(model), await collect(model)]


@ALL_LIMITS
async def test_limit_that_is_too_large_is_learned(
    in_process: InProcessVendor, limit: Limit, caplog: pytest.LogCaptureFixture
) -> None:
    received = await ask_twice(in_process, limit, lambda error: refusal(limit.status, error))
    assert [one.text for one in received] == ["one", "one"]
    first, *_, found, later = asked(in_process)
    assert first == (WANTED if limit.api is CHAT else MORE)
    assert limit.takes // 4 <= found <= limit.takes
    assert len(asked(in_process)) <= 4
    assert later <= found, "remembered"
    assert {one.completions[0].window_tokens for one in received} <= {None, limit.window}
    warnings = [record for record in caplog.records if "BOT_MAX_OUTPUT_TOKENS" in record.getMessage()]
    assert len(warnings) == (found < WANTED), "said once, if answers may be shorter"
    assert all(record.levelno == logging.WARNING for record in warnings)


@IN_STREAMS
async def test_limit_that_is_refused_in_the_stream_is_learned(in_process: InProcessVendor, limit: Limit) -> None:
    received = await ask_twice(in_process, limit, in_stream)
    assert [one.text for one in received] == ["one", "one"]
    assert asked(in_process)[-1] <= asked(in_process)[-2] <= limit.takes


async def test_words_that_say_no_number_lead_to_a_quarter_twice(in_process: InProcessVendor) -> None:
    limit = Limit("Too many output tokens requested.", WANTED // 16)
    await ask_twice(in_process, limit, lambda error: refusal(400, error))
    assert asked(in_process) == [WANTED, WANTED // 4, WANTED // 16, WANTED // 16]


async def test_server_that_refuses_every_limit_is_asked_three_times(in_process: InProcessVendor) -> None:
    received = await ask(CHAT, in_process, refusal(400, said(Limit("max_tokens is too large", 0))))
    assert received.failure is EndReason.UNEXPECTED
    assert len(asked(in_process)) == 3


# Azure's gateway, a gateway's plugin, Anthropic. The first number is of seconds.
OF_A_MINUTE = [
    "Token limit is exceeded. Try again in 30 seconds.",
    "You have exceeded the token limit of 5000 per hour for this consumer.",
    "This request would exceed your organization's rate limit of 8,000 output tokens per minute. Please reduce the "
    "prompt length or the maximum tokens requested, or try again later.",
]


@pytest.mark.parametrize("words", OF_A_MINUTE)
async def test_limit_of_tokens_in_a_time_says_nothing_of_the_room(in_process: InProcessVendor, words: str) -> None:
    in_process.script(refusal(429, said(Limit(words, 0))), CHAT.streamed("one"))
    async with connected(CHAT, in_process) as model:
        assert (await collect(model)).failure is EndReason.RATE_LIMITED
        assert (await collect(model)).text == "one"
    assert asked(in_process) == [WANTED, WANTED]


async def test_short_question_is_not_blamed_by_a_server_that_refuses_every_limit(in_process: InProcessVendor) -> None:
    received = await ask(CHAT, in_process, refusal(400, said(Limit("This exceeds the maximum context length", 0))))
    assert received.failure is EndReason.UNEXPECTED
    longer = replace(PROMPT, turns=(*PROMPT.turns[:-1], Turn("user", "word " * 2_000)))
    in_process.script(refusal(400, said(Limit("This exceeds the maximum context length", 0))))
    async with connected(CHAT, in_process) as model:
        assert (await collect(model, longer)).failure is EndReason.CONTEXT_TOO_LONG


# The text is what is too long.
TOO_LONG = {
    "in numbers": "This model's maximum context length is 8192 tokens. However, you requested 28384 tokens (12000 in "
    "the messages, 16384 in the completion).",
    "llama.cpp": "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
    "anthropic": "prompt is too long: 208310 tokens > 200000 maximum",
}


@pytest.mark.parametrize("words", TOO_LONG.values(), ids=TOO_LONG.keys())
async def test_text_that_is_too_long_is_refused_with_the_window_that_is_named(
    in_process: InProcessVendor, words: str
) -> None:
    long = replace(PROMPT, turns=(Turn("user", "word " * 150_000),))
    received = await ask(CHAT, in_process, refusal(400, said(Limit(words, 0))), prompt=long)
    assert received.failure is EndReason.CONTEXT_TOO_LONG
    assert len(asked(in_process)) <= 2
    assert received.error is not None
    assert received.error.window_tokens in (8192, 200_000)


async def test_tools_that_fill_the_window_are_left_out_of_the_request(in_process: InProcessVendor) -> None:
    tools = tuple(ToolDefinition(f"srv__{n}", "x" * 2_000, {"type": "object"}, str(n)) for n in range(9))
    words = "Context length exceeded (n_keep: 9123>= n_ctx: 4096). Provide a shorter input."

    def answer(request: VendorRequest) -> VendorResponse:
        is_long = len(request.body.get("tools", ())) > 1
        return refusal(400, {"error": {"message": words}}) if is_long else CHAT.streamed("one")

    in_process.script(answer)
    async with connected(CHAT, in_process) as model:
        for _ in range(2):
            received = await collect(model, replace(PROMPT, tools=tools))
            assert (received.text, received.completions[0].refused) == ("one", ("tools",))
            assert 2_048 < in_process.requests[-1].body["max_tokens"] < 4_096, "as much as there is without tools"
        assert (await collect(model, replace(PROMPT, tools=tools[:1]))).completions[0].refused == (), "they fit"


@pytest.mark.parametrize("words", ["Too many tokens.", "The model's context window is exceeded: max_tokens."])
async def test_window_comes_from_the_servers_list_if_a_refusal_names_none(vendor: VendorServer, words: str) -> None:
    limit = Limit(f"context_length_exceeded {words}", 8000)
    answer = server(limit, lambda error: refusal(400, error))
    vendor.script(lambda request: listing(max_model_len=8192) if request.method == "GET" else answer(request))
    async with connected(CHAT, vendor) as model:
        received = [await collect(model) for _ in range(2)]
    assert [one.completions[0].window_tokens for one in received] == [8192] * 2
    assert [request.method for request in vendor.requests].count("GET") == 1
    assert asked(vendor)[0] == WANTED
    assert len(asked(vendor)) <= 4


async def test_long_question_leaves_a_quarter_of_the_window_or_is_too_long(in_process: InProcessVendor) -> None:
    """Of a window of 8,192 tokens: 27,000 characters that are as many as 7,000 tokens leave too little."""
    words = "This model's maximum context length is 8192 tokens. You requested {} ({} in the messages, {} in "
    tokens_of = {"fits": 6_000, "too long": 7_000}

    def answer(request: VendorRequest) -> VendorResponse:
        prompt = tokens_of["fits" if "short" in str(request.body) else "too long"]
        if prompt + sent(request) <= 8192:
            return CHAT.streamed("one")
        return refusal(
            400, said(Limit(words.format(prompt + sent(request), prompt, sent(request)) + "the completion).", 0))
        )

    in_process.script(answer)
    async with connected(CHAT, in_process) as model:
        received = await collect(model, replace(PROMPT, turns=(Turn("user", "longer text " * 2_250),)))
        assert received.error
        assert (received.failure, received.error.window_tokens) == (EndReason.CONTEXT_TOO_LONG, 8192)
        assert (await collect(model, replace(PROMPT, turns=(Turn("user", "short " * 4_000),)))).text == "one"
    assert asked(in_process) == [WANTED, 2048, 2048]


async def test_window_leaves_a_longer_prompt_less_room(in_process: InProcessVendor) -> None:
    longer = replace(PROMPT, turns=(*PROMPT.turns[:-1], Turn("user", "word " * 2_000)))
    in_process.script(server(LIMITS["vllm, by window"], lambda error: refusal(400, error)))
    async with connected(CHAT, in_process) as model:
        await collect(model)
        assert (await collect(model, longer)).text == "one"
    first, second, third, *_ = asked(in_process)
    assert (first, third) == (WANTED, second - 3_330) or third < second - 2_000
