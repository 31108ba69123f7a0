"""Anthropic's Messages API: https://platform.claude.com/docs/en/build-with-claude/streaming"""

from collections.abc import Collection, Mapping
from typing import Any

import httpx2
from anthropic import AsyncAnthropic, DefaultAioHttpClient

from bot.core.conversation import Media, Prompt
from bot.core.inbound.files import PDF
from bot.core.stream import FinishReason, Thinking, Usage
from bot.errors import Failure
from bot.providers.answer_reader import AnswerReader
from bot.providers.failures import RequestAttempt
from bot.providers.lookup import Found, Lookup, day_of, look_up
from bot.providers.model_setup import RequestOptions, VendorSettings
from bot.providers.optional_parameters import OptionalParameter
from bot.providers.text_parts import TextParts
from bot.providers.vendor_model import LIMITS, TIMEOUT, ApiVendor, content_of, tls

_FAILURES = {
    "refusal": Failure.REFUSED,
    "model_context_window_exceeded": Failure.CONTEXT_TOO_LONG,
}


def connect(settings: VendorSettings, options: RequestOptions) -> ApiVendor:
    """Returns Anthropic's models, which are called anthropic/NAME."""
    sdk = open_sdk(settings)
    return ApiVendor("anthropic", MessagesApi(sdk, options), sdk, settings.api_key)


def open_sdk(settings: VendorSettings) -> AsyncAnthropic:
    """Returns Anthropic's SDK with a connection pool for one server."""
    return AsyncAnthropic(
        api_key=settings.api_key,
        base_url=settings.base_url,
        # The SDK would wait for any Retry-After, however long. retry.py retries instead.
        max_retries=0,
        timeout=TIMEOUT,
        http_client=DefaultAioHttpClient(timeout=TIMEOUT, limits=LIMITS, verify=tls()),
    )


async def look_up_model(settings: VendorSettings, name: str) -> Lookup:
    """Returns what Anthropic says of a model, by https://platform.claude.com/docs/en/api/models/retrieve."""
    async with open_sdk(settings) as sdk:
        return await look_up(sdk.models, name, settings.api_key, _lookup_of)


def _lookup_of(model: Any) -> Lookup:
    # Not its day: a deprecated model whose day is past may still answer.
    retired = getattr(model, "lifecycle", None) == "retired"
    return Lookup(Found.RETIRED if retired else Found.MODEL, retires=day_of(getattr(model, "retires_at", None)))


class MessagesApi:
    """Sends turns as they are: a Prompt keeps Anthropic's rules for them.

    Images and PDFs: https://platform.claude.com/docs/en/build-with-claude/vision and .../pdf-support; every current
    model takes them.
    """

    # A request may hold 32 MB in all.
    max_media_bytes = 30_000_000
    # Most Claude models think by default. Summaries aren't requested: that would turn thinking on in the others. Pings
    # come throughout.
    optional_parameters = frozenset({OptionalParameter.ROOM_TO_THINK})

    def __init__(self, sdk: AsyncAnthropic, options: RequestOptions) -> None:
        self._sdk = sdk
        self._options = options

    def accepts(self, media: Media) -> bool:
        return True

    def request(self, model: str, prompt: Prompt, parameters: Collection[OptionalParameter]) -> dict[str, Any]:
        # No temperature, top_p or top_k: the current models refuse them.
        body: dict[str, Any] = {
            "model": model,
            "max_tokens": self._options.output_tokens(parameters),
            "messages": [{"role": turn.role, "content": content_of(turn, _block)} for turn in prompt.turns],
            "cache_control": {"type": "ephemeral"},
            "stream": self._options.streaming,
        }
        if prompt.system:
            body["system"] = prompt.system
        return body

    async def post(self, body: Mapping[str, Any]) -> httpx2.Response:
        raw = await self._sdk.messages.with_raw_response.create(**body)
        response: httpx2.Response = raw.http_response
        return response

    def reader(self, attempt: RequestAttempt, parameters: Collection[OptionalParameter]) -> AnswerReader:
        return MessagesReader(attempt)


class MessagesReader(AnswerReader):
    """The terminal marker has two parts: message_delta gives the stop reason, message_stop ends the stream."""

    def __init__(self, attempt: RequestAttempt) -> None:
        super().__init__(attempt)
        self._stop_reason: str | None = None
        self._token_counts: dict[str, int] = {}

    def read_event(self, event: Any) -> str | Thinking:
        match event.get("type"):
            case "content_block_delta":
                return self._read_delta(event["delta"])
            case "content_block_start":
                # The only sign of thinking that is redacted, or whose display is omitted.
                self.thinking = "thinking" in event["content_block"]["type"]
                self._parts.start_part()
            case "content_block_stop":
                self.thinking = False
            case "message_start":
                self._count(event["message"].get("usage"))
            case "message_delta":
                self._stop_reason = event["delta"].get("stop_reason")
                self._count(event.get("usage"))
            case "message_stop":
                self._finish()
            case "error":
                raise self._attempt.reported(event)
        return ""

    def read_response(self, body: Any) -> str:
        if body["type"] == "error":
            raise self._attempt.reported(body)
        self._stop_reason = body.get("stop_reason")
        self._count(body.get("usage"))
        self._finish()
        return TextParts.joined(block["text"] for block in body["content"] if block["type"] == "text")

    def _read_delta(self, delta: Any) -> str | Thinking:
        match delta["type"]:
            case "text_delta":
                return self._parts.add(str(delta["text"]))
            case "thinking_delta":
                return Thinking(len(delta["thinking"]))
            case "signature_delta":
                return Thinking()
        return ""

    def _count(self, usage: Any) -> None:
        # Later counts replace earlier ones: they are cumulative.
        self._token_counts |= {name: count for name, count in (usage or {}).items() if isinstance(count, int)}

    def _finish(self) -> None:
        if self._stop_reason in _FAILURES:
            raise self._attempt.failed(_FAILURES[self._stop_reason], self._stop_reason)
        if self._stop_reason is None:
            return
        # pause_turn: the model would go on in another request, so the text is good as far as it goes.
        cut_short = self._stop_reason in ("max_tokens", "pause_turn")
        self.finish_reason = FinishReason.LENGTH if cut_short else FinishReason.STOP
        cached = self._token_counts.get("cache_read_input_tokens", 0)
        written = self._token_counts.get("cache_creation_input_tokens", 0)
        # Anthropic's input_tokens are only those past the cache.
        self.usage = Usage(
            input_tokens=self._token_counts.get("input_tokens", 0) + cached + written,
            output_tokens=self._token_counts.get("output_tokens", 0),
            cached_input_tokens=cached,
            cache_write_tokens=written,
        )


def _block(media: Media) -> dict[str, Any]:
    source = {"type": "base64", "media_type": media.media_type, "data": media.base64}
    if media.media_type == PDF:
        return {"type": "document", "source": source, "title": media.name}
    return {"type": "image", "source": source}
