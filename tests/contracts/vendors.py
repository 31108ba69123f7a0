"""The vendors' APIs for the contract of Provider: how to connect to each, and its streams and errors as rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.errors import EndReason
from bot.models import anthropic, openai
from bot.models.events import FinishReason, Usage
from bot.models.model import Vendor
from bot.models.setup import RequestOptions, VendorSettings
from tests.streams import speech
from tests.streams.server import VendorResponse, refusal

KEY = "sk-proj-Zz0123456789abcdefghij"


@dataclass(frozen=True)
class VendorApi:
    name: str
    path: str
    connect: Callable[[str], Vendor]
    speak: Callable[[Sequence[str]], list[bytes]]
    speak_whole: Callable[[str], bytes]
    events_after_text: int

    def __str__(self) -> str:
        return self.name

    @property
    def model(self) -> str:
        """The model that is asked, as the settings name it."""
        return f"{'anthropic' if self.name == 'anthropic' else 'openai'}/m"

    def streamed(self, *deltas: str) -> VendorResponse:
        return VendorResponse(self.speak(deltas))

    def whole(self, text: str) -> VendorResponse:
        return VendorResponse([self.speak_whole(text)], content_type="application/json")

    def unended(self, *deltas: str) -> list[bytes]:
        return self.speak(deltas)[: -self.events_after_text]


def options() -> RequestOptions:
    return RequestOptions(max_output_tokens=16_384)


def _openai(api: str) -> Callable[[str], Vendor]:
    return lambda url: openai.connect("openai", VendorSettings(KEY, f"{url}/v1", api), options())


def _anthropic(url: str) -> Vendor:
    return anthropic.connect("anthropic", VendorSettings(KEY, url), options())


RESPONSES = VendorApi("responses", "/v1/responses", _openai("responses"), speech.responses, speech.responses_whole, 1)
CHAT = VendorApi("chat", "/v1/chat/completions", _openai("chat"), speech.chat, speech.chat_whole, 3)
ANTHROPIC = VendorApi("anthropic", "/v1/messages", _anthropic, speech.messages, speech.messages_whole, 3)
APIS = [RESPONSES, CHAT, ANTHROPIC]


HELLO, HI = "Hello there!", "Hi there! How can I assist you today?"


@dataclass(frozen=True)
class Documented:
    """A stream as its server documents it, in tests/streams, and what it says."""

    api: VendorApi
    name: str
    text: str = HELLO
    usage: Usage | None = None
    end: FinishReason | EndReason = FinishReason.STOP
    thinks: bool = False
    """Whether there is reasoning, which is no part of the text, or a call that is being written."""
    model: str = "m"
    sources: Sequence[tuple[str, str]] = ()

    def __str__(self) -> str:
        return f"{self.name} of {self.model}"


_THOUGHT = Usage(37, 75, cached_input_tokens=12, cache_write_tokens=8)
_VLLM_THOUGHT = Usage(70, 21, cached_input_tokens=64)
_CLAUDE_THOUGHT = Usage(1909, 42, cached_input_tokens=1800, cache_write_tokens=100)
_QWEN, _QWEN_THINKING = "Qwen/Qwen3-8B", "Qwen/Qwen3-30B-A3B-Thinking-2507"
_URLS = ("https://example.com/typist", "https://docs.slack.dev/apis", "https://example.org/untitled")
_TITLED = tuple(zip(_URLS, ("Typist", "Slack’s APIs", ""), strict=True))

DOCUMENTED = [
    Documented(RESPONSES, "openai_responses", HI, Usage(37, 11)),
    Documented(RESPONSES, "openai_responses_reasoning", HI, _THOUGHT, thinks=True),
    Documented(RESPONSES, "openai_responses_silent_reasoning", HI, _THOUGHT, thinks=True),
    Documented(RESPONSES, "openai_responses_length", "Hi there!", Usage(37, 4), FinishReason.LENGTH),
    Documented(RESPONSES, "openai_responses_incomplete", "Hi there!", Usage(37, 4), FinishReason.LENGTH),
    Documented(RESPONSES, "openai_responses_parts", f"Let me see.\n\n{HELLO}", Usage(37, 11)),
    Documented(RESPONSES, "openai_responses_filtered", "Hi there", end=EndReason.REFUSED),
    Documented(RESPONSES, "openai_responses_failed", "", end=EndReason.SERVER_ERROR),
    Documented(RESPONSES, "openai_responses_error", "Hi there", end=EndReason.RATE_LIMITED),
    Documented(RESPONSES, "llama_cpp_responses_limit", "Hello there", Usage(31, 40_960), FinishReason.LENGTH),
    Documented(RESPONSES, "vllm_responses", HELLO, _VLLM_THOUGHT, thinks=True),
    Documented(RESPONSES, "vllm_responses", HELLO, _VLLM_THOUGHT, thinks=True, model=_QWEN_THINKING),
    Documented(CHAT, "openai_chat", HELLO, Usage(19, 10, cached_input_tokens=4)),
    Documented(CHAT, "openai_chat_filtered", "Hello", end=EndReason.REFUSED),
    Documented(CHAT, "ollama_chat", HELLO, Usage(12, 41), thinks=True, model="qwen3:8b"),
    Documented(CHAT, "vllm_chat", HELLO, Usage(14, 39), thinks=True, model=_QWEN),
    Documented(CHAT, "vllm_chat", HELLO, Usage(14, 39), thinks=True, model=_QWEN_THINKING),
    Documented(CHAT, "vllm_chat_think_tags", HELLO, Usage(14, 12), thinks=True, model=_QWEN),
    Documented(CHAT, "vllm_chat_think_tags", HELLO, Usage(14, 12), thinks=True, model=_QWEN_THINKING),
    Documented(CHAT, "llama_cpp_chat", HELLO, Usage(31, 4)),
    Documented(CHAT, "llama_cpp_chat_think_tags", HELLO, Usage(31, 13), thinks=True, model="magistral-small"),
    Documented(CHAT, "mistral_chat", HELLO, Usage(9, 21), thinks=True, model="magistral-medium"),
    Documented(CHAT, "openrouter_chat", HELLO, Usage(8, 9), thinks=True, model="qwen/qwen3-32b"),
    Documented(CHAT, "openrouter_chat_citations", HELLO, Usage(1912, 4), sources=_TITLED),
    Documented(CHAT, "deepseek_chat", HELLO, Usage(8, 9), thinks=True, model="deepseek-reasoner"),
    Documented(CHAT, "deepseek_chat_keepalive", HELLO, Usage(18, 9), thinks=True),
    Documented(CHAT, "perplexity_chat", f"{HELLO}[1][2]", Usage(10, 4), sources=[(url, "") for url in _URLS[:2]]),
    Documented(CHAT, "perplexity_chat_search_results", HELLO, Usage(10, 3), sources=_TITLED[:2]),
    Documented(CHAT, "snowflake_cortex_chat", HELLO, Usage(18, 9)),
    Documented(CHAT, "gateway_chat_no_usage", HELLO, None, FinishReason.LENGTH),
    Documented(CHAT, "gateway_chat_no_finish_reason", HELLO, Usage(18, 9)),
    Documented(CHAT, "gateway_chat_parts", f"Let me see.\n\n{HELLO}", Usage(18, 9)),
    Documented(CHAT, "gateway_chat_split_pair", "Hi 😀 there", Usage(18, 9)),
    Documented(CHAT, "gateway_chat_lone_half", "Hi \ufffd there \ufffd\ufffd", Usage(18, 9)),
    Documented(CHAT, "gateway_chat_error", "Hello", end=EndReason.OVERLOADED),
    Documented(ANTHROPIC, "anthropic", HELLO, Usage(25, 15)),
    Documented(ANTHROPIC, "anthropic_thinking", HELLO, _CLAUDE_THOUGHT, thinks=True),
    Documented(ANTHROPIC, "anthropic_omitted_thinking", HELLO, Usage(25, 42), thinks=True),
    Documented(ANTHROPIC, "anthropic_redacted_thinking", HELLO, Usage(25, 15), thinks=True),
    Documented(ANTHROPIC, "anthropic_parts", f"Let me see.\n\n{HELLO}", Usage(25, 15), thinks=True),
    Documented(ANTHROPIC, "anthropic_length", "Hello there", Usage(25, 16), FinishReason.LENGTH),
    Documented(ANTHROPIC, "anthropic_refusal", "Hello", end=EndReason.REFUSED),
    Documented(ANTHROPIC, "anthropic_context_window", "Hello", end=EndReason.CONTEXT_TOO_LONG),
    Documented(ANTHROPIC, "anthropic_overloaded", "Hello", end=EndReason.OVERLOADED),
]


def unsupported(message: str, param: str | None = None, status: int = 400, code: str | None = None) -> VendorResponse:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return refusal(status, {"error": error})


@dataclass(frozen=True)
class ErrorRow:
    failure: EndReason
    status: int
    error: object

    @property
    def answer(self) -> VendorResponse:
        return refusal(self.status, self.error)


def _row(failure: EndReason, status: int, **error: object) -> ErrorRow:
    return ErrorRow(failure, status, {"error": error})


def _openai_row(failure: EndReason, status: int, kind: str, code: str | None, message: str = "No.") -> ErrorRow:
    return _row(failure, status, message=message, type=kind, param=None, code=code)


def _anthropic_row(failure: EndReason, status: int, kind: str, message: str = "No.", **details: str) -> ErrorRow:
    error = {"type": kind, "message": message} | ({"details": details} if details else {})
    return ErrorRow(failure, status, {"type": "error", "error": error, "request_id": "req_011CSHoEeqs5C35"})


_INVALID = "invalid_request_error"
_XAI = {"code": "Client specified an invalid argument"}
_VLLM = {"object": "error", "type": "BadRequestError", "param": None, "code": 400}

# https://developers.openai.com/api/docs/guides/error-codes
_OPENAI = [
    _openai_row(EndReason.BAD_KEY, 401, _INVALID, "invalid_api_key", "Incorrect API key provided: sk-proj-****ghij."),
    _openai_row(EndReason.BAD_KEY, 401, _INVALID, None, f"Incorrect API key provided: {KEY}."),
    _openai_row(EndReason.BAD_KEY, 403, "request_forbidden", "unsupported_country_region_territory"),
    _openai_row(EndReason.UNKNOWN_MODEL, 404, _INVALID, "model_not_found"),
    _openai_row(EndReason.UNKNOWN_MODEL, 403, _INVALID, "model_not_found", "Your project has no access."),
    _openai_row(EndReason.RATE_LIMITED, 429, "requests", "rate_limit_exceeded"),
    _openai_row(EndReason.OUT_OF_CREDIT, 429, "insufficient_quota", "insufficient_quota"),
    _openai_row(EndReason.OUT_OF_CREDIT, 429, "insufficient_quota", "credit_balance_exhausted"),
    _openai_row(EndReason.CONTEXT_TOO_LONG, 400, _INVALID, "context_length_exceeded", "Your input exceeds the window."),
    _openai_row(EndReason.CONTEXT_TOO_LONG, 429, "tokens", "rate_limit_exceeded", "Request too large for gpt-6-luna."),
    _openai_row(EndReason.REFUSED, 400, _INVALID, "invalid_prompt"),
    _openai_row(EndReason.REFUSED, 400, _INVALID, "content_filter", "Azure's policy."),
    _openai_row(EndReason.OVERLOADED, 503, "service_unavailable_error", "slow_down"),
    # Codes decide before words (openai 3.57.0, types/beta/session_turn_error.py, read on 2026-11-30).
    _openai_row(EndReason.OUT_OF_CREDIT, 429, "requests", "organization_usage_limit_exceeded", "Rate limit reached."),
    _openai_row(EndReason.OUT_OF_CREDIT, 429, "requests", "usage_limit_exceeded"),
    _openai_row(EndReason.OUT_OF_CREDIT, 403, _INVALID, "billing_not_active"),
    _openai_row(EndReason.OVERLOADED, 429, "requests", "flex_unavailable", "Rate limit reached."),
    _openai_row(EndReason.SERVER_ERROR, 500, "server_error", None),
    _openai_row(EndReason.UNEXPECTED, 400, _INVALID, "unsupported_parameter"),
]

GEMINIS_LIMIT = {
    "code": 429,
    "message": "You exceeded your current quota, please check your plan and billing details.",
    "status": "RESOURCE_EXHAUSTED",
    "details": [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "RequestsPerMinute"}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "44.5s"},
    ],
}

_COMPATIBLE = [
    # Ollama
    _openai_row(EndReason.UNKNOWN_MODEL, 404, "not_found_error", None, 'model "x" not found'),
    ErrorRow(EndReason.CONTEXT_TOO_LONG, 400, {"error": "prompt too long; exceeded max context length by 9000 tokens"}),
    # vLLM
    ErrorRow(
        EndReason.CONTEXT_TOO_LONG,
        400,
        _VLLM | {"message": "This model's maximum context length is 4096 tokens. However, you requested 5000."},
    ),
    # llama.cpp
    _row(
        EndReason.CONTEXT_TOO_LONG,
        400,
        code=400,
        message="request (9000 tokens) exceeds the available context size (8192 tokens)",
        type="exceed_context_size_error",
        n_ctx=8192,
    ),
    _row(EndReason.OVERLOADED, 503, code=503, message="Loading model", type="unavailable_error"),
    # xAI
    ErrorRow(
        EndReason.BAD_KEY,
        400,
        _XAI | {"error": "Incorrect API key provided: xa***ij. You can obtain an API key from https://console.x.ai."},
    ),
    ErrorRow(EndReason.BAD_KEY, 400, {"error": f"Incorrect API key provided: {KEY}."}),
    # A model that the server doesn't know: Mistral, Perplexity, OpenRouter, xAI, DeepSeek, Xiaomi, LiteLLM
    ErrorRow(
        EndReason.UNKNOWN_MODEL,
        400,
        {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "param": None, "code": "1500"},
    ),
    _row(EndReason.UNKNOWN_MODEL, 400, message="Invalid model 'x'. See docs.", type="invalid_model", code=400),
    _row(EndReason.UNKNOWN_MODEL, 400, message="x/y is not a valid model ID", code=400),
    ErrorRow(EndReason.UNKNOWN_MODEL, 400, _XAI | {"error": "Model not found: x"}),
    _openai_row(EndReason.UNKNOWN_MODEL, 400, _INVALID, _INVALID, "Model Not Exist"),
    _row(EndReason.UNKNOWN_MODEL, 400, code="400", message="Param Incorrect", param="Not supported model x"),
    _row(EndReason.UNKNOWN_MODEL, 400, message="400: {'error': 'Invalid model name passed in model=x'}", code=400),
    # About the question, not the key: OpenRouter's moderation, Cerebras
    _row(
        EndReason.REFUSED,
        403,
        code=403,
        message="m requires moderation.",
        metadata={"reasons": ["violence"], "flagged_input": "…", "provider_name": "x", "model_slug": "m"},
    ),
    ErrorRow(
        EndReason.UNEXPECTED,
        403,
        {"message": "Multimodal is not enabled.", "type": "forbidden_error", "param": "", "code": "forbidden"},
    ),
    # GitHub Models
    _row(EndReason.CONTEXT_TOO_LONG, 413, code="too_many_prompt_tokens", message="Prompt contains 90000 tokens."),
    # Gemini
    ErrorRow(EndReason.RATE_LIMITED, 429, [{"error": {"code": 429, "message": "No.", "status": "RESOURCE_EXHAUSTED"}}]),
    # OpenRouter
    _row(
        EndReason.CONTEXT_TOO_LONG,
        400,
        message="Provider returned error",
        code=400,
        metadata={
            "raw": '{"type":"error","error":{"type":"x","message":"prompt is too long: 9 > 8"}}',
            "provider_name": "Anthropic",
        },
    ),
    # LiteLLM's proxy: budgets of keys and models, a wrong key, and what the vendor behind it says in words
    _row(
        EndReason.OUT_OF_CREDIT,
        422,
        message="Budget has been exceeded! Current cost: 12.0, Max budget: 10.0",
        type="budget_exceeded",
        code="422",
    ),
    _row(EndReason.OUT_OF_CREDIT, 400, message="No.", type="budget_exceeded", code="400"),
    _row(EndReason.RATE_LIMITED, 429, message="No deployments available for selected model.", code="429"),
    _row(EndReason.OUT_OF_CREDIT, 429, message="No deployments available - crossed budget: 12.0 >= 10.0", code="429"),
    _row(EndReason.RATE_LIMITED, 429, message="No deployments available, Try again in 5 seconds.", code="429"),
    _row(EndReason.OUT_OF_CREDIT, 500, message="litellm.BudgetExceededError: over", code="500"),
    _row(EndReason.BAD_KEY, 400, message="No connected db.", type="no_db_connection", code="400"),
    _row(EndReason.REFUSED, 400, message="litellm.ContentPolicyViolationError: AzureException - No.", code="400"),
    _row(EndReason.REFUSED, 400, message="BadRequestError: Azure OpenAI's content management policy.", code="400"),
    _row(EndReason.REFUSED, 400, message='OpenAIException - {"error": {"code": "invalid_prompt"}}', code="400"),
    _row(EndReason.REFUSED, 400, message="b\"{'error': {'code': 'content_policy_violation'}}\"", code="400"),
    ErrorRow(EndReason.REFUSED, 400, {"error": "BadRequestError: Invalid prompt: violating our usage policy."}),
    _row(EndReason.CONTEXT_TOO_LONG, 400, message="litellm.ContextWindowExceededError: the input", code="400"),
    # How servers count a text that is too long: pi#4943, zhipu, volcengine, OpenAI's longest part
    *(
        _row(EndReason.CONTEXT_TOO_LONG, 400, message=message, code="400")
        for message in (
            "Input length 131393 exceeds the maximum allowed input length of 131040 tokens.",
            "Prompt 超长",
            "Total tokens of image and text exceed max message tokens.",
            "Invalid 'input[1].content[1].text': string too long. Expected a string with maximum length 10485760.",
        )
    ),
    # Not of this text: Anthropic's limit of a minute, and a tool's description.
    _row(EndReason.RATE_LIMITED, 429, message="Number of input tokens per minute has exceeded your rate limit."),
    _row(EndReason.UNEXPECTED, 400, message="Invalid 'tools[0].function.description': string too long."),
    # Gemini, which speaks of billing in each limit; Azure's front door; Bedrock; LM Studio
    ErrorRow(EndReason.RATE_LIMITED, 429, [{"error": GEMINIS_LIMIT}]),
    ErrorRow(
        EndReason.RATE_LIMITED, 403, {"statusCode": 403, "message": "Out of call volume quota. Replenished in 1 h."}
    ),
    _row(EndReason.BAD_KEY, 400, message="API Key not found. Please pass a valid API key.", code=400),
    ErrorRow(
        EndReason.UNKNOWN_MODEL, 403, {"message": "You don't have access to the model with the specified model ID."}
    ),
    ErrorRow(EndReason.UNKNOWN_MODEL, 400, {"error": "Model is not loaded."}),
    # Gateways, under a status of 200
    _row(EndReason.RATE_LIMITED, 200, code=429, message="No."),
    ErrorRow(EndReason.UNEXPECTED, 400, {"error": "no"}),
    ErrorRow(EndReason.UNEXPECTED, 418, ["no"]),
]

# https://platform.claude.com/docs/en/api/errors
_ANTHROPIC = [
    _anthropic_row(EndReason.BAD_KEY, 401, "authentication_error", f"invalid x-api-key: {KEY}"),
    _anthropic_row(EndReason.BAD_KEY, 403, "permission_error"),
    _anthropic_row(EndReason.UNKNOWN_MODEL, 404, "not_found_error", "model: claude-x"),
    _anthropic_row(EndReason.OUT_OF_CREDIT, 402, "billing_error"),
    _anthropic_row(EndReason.OUT_OF_CREDIT, 400, _INVALID, "Your credit balance is too low."),
    _anthropic_row(
        EndReason.OUT_OF_CREDIT,
        400,
        _INVALID,
        "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
    ),
    # Codes decide before words, which "can change" (anthropic 2.14.0, types/*_error_details.py, read on 2026-11-30).
    _anthropic_row(EndReason.OUT_OF_CREDIT, 429, "rate_limit_error", error_code="enforced_spend_limit_reached"),
    _anthropic_row(
        EndReason.OUT_OF_CREDIT, 400, _INVALID, "The request was blocked.", error_code="user_profile_not_billable"
    ),
    _anthropic_row(EndReason.OUT_OF_CREDIT, 400, _INVALID, error_code="linked_organization_billing_unavailable"),
    _anthropic_row(EndReason.RATE_LIMITED, 429, "rate_limit_error", "Spend limit.", error_code="ramp_limit_exceeded"),
    _anthropic_row(EndReason.BAD_KEY, 400, _INVALID, "This violates a policy.", error_code="organization_on_hold"),
    _anthropic_row(EndReason.BAD_KEY, 400, _INVALID, error_code="cmek_key_disabled"),
    _anthropic_row(EndReason.BAD_KEY, 400, _INVALID, "Request blocked.", error_code="cmek_key_network_blocked"),
    _anthropic_row(EndReason.BAD_KEY, 400, _INVALID, error_code="claude_code_key_creator_not_member"),
    _anthropic_row(EndReason.OVERLOADED, 503, "api_error", error_code="cmek_key_unreachable"),
    _anthropic_row(EndReason.CONTEXT_TOO_LONG, 413, _INVALID, error_code="request_body_too_large_after_decoding"),
    _anthropic_row(EndReason.RATE_LIMITED, 429, "rate_limit_error"),
    _anthropic_row(EndReason.CONTEXT_TOO_LONG, 400, _INVALID, "prompt is too long: 1000001 tokens > 1000000"),
    _anthropic_row(EndReason.CONTEXT_TOO_LONG, 413, "request_too_large"),
    _anthropic_row(EndReason.OVERLOADED, 529, "overloaded_error"),
    _anthropic_row(EndReason.SERVER_ERROR, 500, "api_error"),
    _anthropic_row(EndReason.UNREACHABLE, 504, "timeout_error"),
    _anthropic_row(EndReason.UNEXPECTED, 400, _INVALID, "messages: at least one message is required"),
]

REFUSED = [
    *((RESPONSES, row) for row in _OPENAI),
    *((CHAT, row) for row in (*_OPENAI, *_COMPATIBLE)),
    *((ANTHROPIC, row) for row in _ANTHROPIC),
]
