"""OpenAI, Azure and every server that is compatible with OpenAI: the Responses API, or Chat Completions."""

from collections.abc import Collection, Mapping
from datetime import date
from functools import partial
from typing import Any

import httpx2
from openai import AsyncOpenAI, DefaultAioHttpClient

from bot.core.conversation import Media, Prompt
from bot.core.inbound.files import PDF
from bot.core.stream import FinishReason, Thinking, Usage
from bot.errors import Failure
from bot.providers.answer_reader import AnswerReader, TaggedAnswerReader
from bot.providers.failures import RequestAttempt
from bot.providers.hosts import speaks_responses
from bot.providers.lookup import Found, Lookup, day_of, look_up
from bot.providers.model_setup import RequestOptions, VendorSettings
from bot.providers.optional_parameters import OptionalParameter
from bot.providers.text_parts import TextParts
from bot.providers.vendor_model import LIMITS, TIMEOUT, Api, ApiVendor, content_of, tls

# 50 MB of files in one request; https://developers.openai.com/api/docs/guides/file-inputs
MAX_MEDIA_BYTES = 66_000_000


def connect(settings: VendorSettings, options: RequestOptions) -> ApiVendor:
    """Returns a server's models, which are called openai/NAME. The server's address decides which API is used."""
    at_openai = speaks_responses(settings.base_url)
    use_responses = settings.api == "responses" or (settings.api != "chat" and at_openai)
    sdk = open_sdk(settings)
    api: Api = ResponsesApi(sdk, options) if use_responses else ChatApi(sdk, options, at_openai)
    return ApiVendor("openai", api, sdk, settings.api_key)


def open_sdk(settings: VendorSettings) -> AsyncOpenAI:
    """Returns OpenAI's SDK with a connection pool for one server."""
    return AsyncOpenAI(
        # Servers that need no key get a made-up one, because an empty key makes an invalid header.
        api_key=settings.api_key or "none",
        base_url=settings.base_url,
        # The SDK would wait for a Retry-After of up to two minutes. retry.py retries instead.
        max_retries=0,
        timeout=TIMEOUT,
        http_client=DefaultAioHttpClient(timeout=TIMEOUT, limits=LIMITS, verify=tls()),
    )


async def look_up_model(settings: VendorSettings, name: str, today: date) -> Lookup:
    """Returns what the server says of a model, by https://developers.openai.com/api/reference/resources/models."""
    async with open_sdk(settings) as sdk:
        return await look_up(sdk.models, name, settings.api_key, partial(_lookup_of, today))


def _lookup_of(today: date, model: Any) -> Lookup:
    retires = day_of(getattr(model, "shutdown_date", None))
    return Lookup(Found.RETIRED if retires and retires <= today else Found.MODEL, retires=retires)


class ResponsesApi:
    """https://developers.openai.com/api/reference/resources/responses/methods/create"""

    max_media_bytes = MAX_MEDIA_BYTES
    optional_parameters = frozenset(OptionalParameter)

    def __init__(self, sdk: AsyncOpenAI, options: RequestOptions) -> None:
        self._sdk = sdk
        self._options = options

    def accepts(self, media: Media) -> bool:
        return True

    def request(self, model: str, prompt: Prompt, parameters: Collection[OptionalParameter]) -> dict[str, Any]:
        turns = [
            {"role": turn.role, "content": content_of(turn, _responses_part, "input_text")} for turn in prompt.turns
        ]
        body: dict[str, Any] = {
            "model": model,
            "input": turns,
            "max_output_tokens": self._options.output_tokens(parameters),
            "store": False,
            "stream": self._options.streaming,
            **_cache_key(prompt, parameters),
        }
        if prompt.system:
            body["instructions"] = prompt.system
        if OptionalParameter.REASONING_SUMMARIES in parameters:
            body["reasoning"] = {"summary": "auto"}
        return body

    async def post(self, body: Mapping[str, Any]) -> httpx2.Response:
        raw = await self._sdk.responses.with_raw_response.create(**body)
        response: httpx2.Response = raw.http_response
        return response

    def reader(self, attempt: RequestAttempt, parameters: Collection[OptionalParameter]) -> AnswerReader:
        return ResponsesReader(attempt, self._options.output_tokens(parameters))


class ResponsesReader(TaggedAnswerReader):
    """Failures are events here. The terminal marker is response.completed or response.incomplete."""

    def __init__(self, attempt: RequestAttempt, max_output_tokens: int | None = None) -> None:
        """`max_output_tokens` is the limit in the request; None where it is not known."""
        super().__init__(attempt)
        self._max_output_tokens = max_output_tokens
        self._place: tuple[object, object] | None = None
        """The part of the last delta: not all servers announce a part."""

    def read_event(self, event: Any) -> str | Thinking:
        match event.get("type"):
            # A refusal's text is the model's own answer.
            case "response.output_text.delta" | "response.refusal.delta":
                return self._read_text(event)
            # A summary from OpenAI, the reasoning itself from servers of open models.
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self._tags.reasoning_is_separate()
                return Thinking(len(event["delta"]))
            case "response.output_item.added":
                self.thinking = event["item"]["type"] == "reasoning"
                self._parts.start_part()
            case "response.content_part.added":
                self._parts.start_part()
            case "response.output_item.done":
                self.thinking = False
            case "response.completed" | "response.incomplete" | "response.failed":
                self._finish(event["response"])
            case "error":
                # The event's own type is "error", which adds nothing.
                error = event.get("error") or {"code": event.get("code"), "message": event.get("message")}
                raise self._attempt.reported(error)
            case _ if event.get("error"):
                raise self._attempt.reported(event)
        return ""

    def read_response(self, body: Any) -> str:
        self._finish(body)
        messages = [item for item in body["output"] if item["type"] == "message"]
        parts = [part for message in messages for part in message.get("content") or ()]
        return self._untagged(TextParts.joined(part.get("text") or part.get("refusal") or "" for part in parts))

    def _read_text(self, event: Any) -> str | Thinking:
        place = event.get("output_index"), event.get("content_index")
        if place != self._place:
            self._place = place
            self._parts.start_part()
        delta = self._tags.add(self._parts.add(str(event["delta"])))
        self.thinking = isinstance(delta, Thinking)
        return delta

    def _finish(self, response: Any) -> None:
        if response.get("error"):
            raise self._attempt.reported(response["error"])
        usage = response.get("usage")
        self.usage = usage and _usage(usage, "input", "output")
        status = response.get("status")
        if status == "completed":
            # llama.cpp says "completed" at the limit as well.
            limit, written = self._max_output_tokens, self.usage.output_tokens if self.usage else 0
            self.finish_reason = FinishReason.LENGTH if limit and written >= limit else FinishReason.STOP
        elif status == "incomplete":
            # Some servers give no details.
            if (response.get("incomplete_details") or {}).get("reason") == "content_filter":
                raise self._attempt.failed(Failure.REFUSED, "content_filter")
            self.finish_reason = FinishReason.LENGTH


class ChatApi:
    """https://developers.openai.com/api/reference/resources/chat, as compatible servers understand it."""

    max_media_bytes = MAX_MEDIA_BYTES

    def __init__(self, sdk: AsyncOpenAI, options: RequestOptions, at_openai: bool) -> None:
        self._sdk = sdk
        self._options = options
        self._at_openai = at_openai
        # The models of other servers may not think, and would use the extra tokens for text. Such servers may
        # also refuse unknown parameters in words that no pattern matches.
        known = {OptionalParameter.ROOM_TO_THINK, OptionalParameter.CACHE_KEY}
        self.optional_parameters = frozenset(known if at_openai else ())

    def accepts(self, media: Media) -> bool:
        # Compatible servers know images in OpenAI's form, where their model can see. PDFs are OpenAI's alone.
        return self._at_openai or media.media_type != PDF

    def request(self, model: str, prompt: Prompt, parameters: Collection[OptionalParameter]) -> dict[str, Any]:
        messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
        turns = [{"role": turn.role, "content": content_of(turn, _chat_part)} for turn in prompt.turns]
        # Compatible servers all know the older name of the output limit; OpenAI takes only the newer one.
        limit = "max_completion_tokens" if self._at_openai else "max_tokens"
        body: dict[str, Any] = {
            "model": model,
            "messages": [*messages, *turns],
            limit: self._options.output_tokens(parameters),
            "stream": self._options.streaming,
            **_cache_key(prompt, parameters),
        }
        if self._options.streaming:
            body["stream_options"] = {"include_usage": True}
        return body

    async def post(self, body: Mapping[str, Any]) -> httpx2.Response:
        raw = await self._sdk.chat.completions.with_raw_response.create(**body)
        response: httpx2.Response = raw.http_response
        return response

    def reader(self, attempt: RequestAttempt, parameters: Collection[OptionalParameter]) -> AnswerReader:
        return ChatReader(attempt)


class ChatReader(TaggedAnswerReader):
    """The terminal marker is a finish_reason, or [DONE] alone (Snowflake Cortex, back ends of OpenRouter).

    Usage may come with the finish_reason, in a chunk of its own after it, or never. No event begins or ends thinking:
    a model thinks from its first piece of reasoning to the next text.
    """

    is_complete = False
    """Usage may follow until [DONE]."""

    def read_done(self) -> None:
        self.finish_reason = self.finish_reason or FinishReason.STOP

    def read_event(self, event: Any) -> str | Thinking:
        delta = self._read(event)
        if delta:
            self.thinking = isinstance(delta, Thinking)
        return delta

    def read_response(self, body: Any) -> str:
        delta = self.read_event(body)
        return ("" if isinstance(delta, Thinking) else delta) + self.withheld_text()

    def _read(self, event: Any) -> str | Thinking:
        if event.get("error"):
            raise self._attempt.reported(event)
        if usage := event.get("usage"):
            self.usage = _usage(usage, "prompt", "completion")
        choices = event.get("choices")
        if not choices:
            return ""
        if reason := choices[0].get("finish_reason"):
            self._finish(reason)
        message = choices[0].get("delta") or choices[0].get("message") or {}
        if text := _text_in(message.get("content")) or message.get("refusal"):
            return self._tags.add(self._parts.add(text))
        if reasoning := _reasoning_in(message):
            self._tags.reasoning_is_separate()
            self._parts.start_part()
            return Thinking(len(reasoning))
        if message.get("tool_calls"):
            self._parts.start_part()
        return ""

    def _finish(self, reason: str) -> None:
        if reason == "content_filter":
            raise self._attempt.failed(Failure.REFUSED, reason)
        # Servers have their own words for a good end (eos_token, end_turn), and Typist offers no tools to call.
        self.finish_reason = FinishReason.LENGTH if reason == "length" else FinishReason.STOP


def _responses_part(media: Media) -> dict[str, Any]:
    if media.media_type == PDF:
        return {"type": "input_file", "filename": _pdf_name(media), "file_data": _data_url(media)}
    return {"type": "input_image", "image_url": _data_url(media), "detail": "auto"}


def _chat_part(media: Media) -> dict[str, Any]:
    if media.media_type == PDF:
        return {"type": "file", "file": {"filename": _pdf_name(media), "file_data": _data_url(media)}}
    return {"type": "image_url", "image_url": {"url": _data_url(media)}}


def _pdf_name(media: Media) -> str:
    """Returns a name that ends with .pdf, because OpenAI takes a file's type from its name."""
    return media.name if media.name.lower().endswith(".pdf") else f"{media.name}.pdf"


def _data_url(media: Media) -> str:
    return f"data:{media.media_type};base64,{media.base64}"


def _cache_key(prompt: Prompt, parameters: Collection[OptionalParameter]) -> dict[str, str]:
    if not prompt.cache_key or OptionalParameter.CACHE_KEY not in parameters:
        return {}
    return {"prompt_cache_key": prompt.cache_key}


def _text_in(content: Any) -> str:
    # Mostly a string. Parts come from servers that give their reasoning as one of them (Mistral).
    if isinstance(content, list):
        return TextParts.joined(part["text"] for part in content if part["type"] == "text")
    return content or ""


def _reasoning_in(message: Mapping[str, Any]) -> str:
    """Returns the reasoning where it has a field of its own.

    The fields are those of DeepSeek and llama.cpp, of vLLM and Ollama, and of OpenRouter, in this order.
    """
    for name in ("reasoning_content", "reasoning", "reasoning_details"):
        if reasoning := message.get(name):
            return str(reasoning)
    content = message.get("content")
    return str(content) if isinstance(content, list) and content else ""


def _usage(usage: Mapping[str, Any], input_name: str, output_name: str) -> Usage:
    details = usage.get(f"{input_name}_tokens_details") or {}
    return Usage(
        input_tokens=usage.get(f"{input_name}_tokens") or 0,
        output_tokens=usage.get(f"{output_name}_tokens") or 0,
        cached_input_tokens=details.get("cached_tokens") or 0,
        cache_write_tokens=details.get("cache_write_tokens") or 0,
    )
