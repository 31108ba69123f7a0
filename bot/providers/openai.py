"""OpenAI, Azure and every server that speaks as OpenAI does: the Responses API, or Chat Completions."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import httpx2
import openai

from bot.core.conversation import Media, Prompt, Turn
from bot.core.inbound.files import PDF
from bot.core.stream import FinishReason, Thinking, Usage
from bot.errors import Failure
from bot.providers.failures import RequestAttempt
from bot.providers.hosts import speaks_responses
from bot.providers.model_setup import RequestOptions, VendorSettings
from bot.providers.optional_parameters import OptionalParameter
from bot.providers.text_parts import Parts
from bot.providers.think_tags import ThinkTags
from bot.providers.vendor_model import LIMITS, TIMEOUT, Api, Reader, VendorModel, tls

# 50 MB of files in one request; https://developers.openai.com/api/docs/guides/file-inputs
MOST_MEDIA_BYTES = 66_000_000


class OpenAIVendor:
    """One connection pool for one base URL; its models are called openai/NAME."""

    def __init__(self, settings: VendorSettings, asking: RequestOptions) -> None:
        api_key, base_url, api = settings.api_key, settings.base_url, settings.api
        client = openai.AsyncOpenAI(
            # Servers that ask for no key are sent one all the same: an empty one is no valid header.
            api_key=api_key or "none",
            base_url=base_url,
            # The SDK would wait for a Retry-After of up to two minutes; retry.py knows better.
            max_retries=0,
            timeout=TIMEOUT,
            http_client=openai.DefaultAioHttpClient(timeout=TIMEOUT, limits=LIMITS, verify=tls()),
        )
        self._client = client
        self._api: Api
        if api == "responses" or (api != "chat" and speaks_responses(base_url)):
            self._api = ResponsesApi(client, api_key, asking)
        else:
            self._api = ChatApi(client, api_key, asking)

    def model(self, name: str) -> VendorModel:
        """The Provider for a model by the server's own name for it, which may hold slashes."""
        return VendorModel("openai", name, self._api)

    async def aclose(self) -> None:
        """Closes all connections, those of live answers too."""
        await self._client.close()


class ResponsesApi:
    """https://developers.openai.com/api/reference/resources/responses/methods/create"""

    most_media_bytes = MOST_MEDIA_BYTES
    wishes = frozenset(OptionalParameter)

    def __init__(self, client: openai.AsyncOpenAI, secret: str, asking: RequestOptions) -> None:
        self.secret = secret
        self._client = client
        self._asking = asking

    def takes(self, media: Media) -> bool:
        return True

    async def ask(self, name: str, prompt: Prompt, wishes: Collection[OptionalParameter]) -> httpx2.Response:
        turns: list[Any] = [{"role": turn.role, "content": _responses_content(turn)} for turn in prompt.turns]
        raw = await self._client.responses.with_raw_response.create(
            model=name,
            instructions=prompt.system or openai.omit,
            input=turns,
            max_output_tokens=self._asking.output_tokens(wishes),
            reasoning={"summary": "auto"} if OptionalParameter.SUMMARIES in wishes else openai.omit,
            prompt_cache_key=_cache_key(prompt, wishes),
            store=False,
            stream=self._asking.streaming,
        )
        return raw.http_response

    def reader(self, attempt: RequestAttempt, wishes: Collection[OptionalParameter]) -> Reader:
        return ResponsesReader(attempt, self._asking.output_tokens(wishes))


class ResponsesReader:
    """Failures are events here; the marker is response.completed or response.incomplete."""

    def __init__(self, attempt: RequestAttempt, limit_tokens: int | None = None) -> None:
        self.finish_reason: FinishReason | None = None
        self.usage: Usage | None = None
        self.thinking = False
        self._attempt = attempt
        self._limit_tokens = limit_tokens
        """Of the output, as it was asked for; None: it is not known."""
        self._tags = ThinkTags(attempt.model)
        self._parts = Parts()
        self._place: tuple[object, object] | None = None
        """Of the part that the last delta belongs to: not all servers tell of its beginning."""

    @property
    def ended(self) -> bool:
        return self.finish_reason is not None

    def read(self, event: Any) -> str | Thinking:
        match event.get("type"):
            # A refusal's text is the model's own answer.
            case "response.output_text.delta" | "response.refusal.delta":
                return self._text(event)
            # A summary from OpenAI, the reasoning itself from servers of open models.
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self._tags.separated()
                return Thinking(len(event["delta"]))
            case "response.output_item.added":
                self.thinking = event["item"]["type"] == "reasoning"
                self._parts.begin()
            case "response.content_part.added":
                self._parts.begin()
            case "response.output_item.done":
                self.thinking = False
            case "response.completed" | "response.incomplete" | "response.failed":
                self._end(event["response"])
            case "error":
                # Its own type is "error", which says nothing.
                told = event.get("error") or {"code": event.get("code"), "message": event.get("message")}
                raise self._attempt.reported(told)
            case _ if event.get("error"):
                raise self._attempt.reported(event)
        return ""

    def _text(self, event: Any) -> str | Thinking:
        place = event.get("output_index"), event.get("content_index")
        if place != self._place:
            self._place = place
            self._parts.begin()
        said = self._tags.take(self._parts.add(str(event["delta"])))
        self.thinking = isinstance(said, Thinking)
        return said

    def done(self) -> None:
        """Nothing is known by it here: the marker is an event."""

    def read_whole(self, body: Any) -> str:
        self._end(body)
        said = [item for item in body["output"] if item["type"] == "message"]
        parts = [part for item in said for part in item.get("content") or ()]
        text = self._tags.take(_joined(part.get("text") or part.get("refusal") or "" for part in parts))
        return ("" if isinstance(text, Thinking) else text) + self.held()

    def held(self) -> str:
        return self._tags.end(whole=self.finish_reason is FinishReason.STOP)

    def _end(self, response: Any) -> None:
        if response.get("error"):
            raise self._attempt.reported(response["error"])
        usage = response.get("usage")
        self.usage = usage and _usage(usage, "input", "output")
        status = response.get("status")
        if status == "completed":
            # llama.cpp says so at the limit as well.
            limit, written = self._limit_tokens, self.usage.output_tokens if self.usage else 0
            self.finish_reason = FinishReason.LENGTH if limit and written >= limit else FinishReason.STOP
        elif status == "incomplete":
            # Some servers give no details.
            if (response.get("incomplete_details") or {}).get("reason") == "content_filter":
                raise self._attempt.failed(Failure.REFUSED, "content_filter")
            self.finish_reason = FinishReason.LENGTH


class ChatApi:
    """https://developers.openai.com/api/reference/resources/chat, as compatible servers understand it."""

    most_media_bytes = MOST_MEDIA_BYTES

    def __init__(self, client: openai.AsyncOpenAI, secret: str, asking: RequestOptions) -> None:
        self.secret = secret
        self._client = client
        self._asking = asking
        # Compatible servers all know the older name of the output limit; OpenAI itself takes only the newer one.
        self._is_openai = speaks_responses(str(client.base_url))
        # Other servers may run models that do not think, and that would fill the room with text; and what they do not
        # know, they may refuse in words that nobody foresees.
        self.wishes = frozenset(
            {OptionalParameter.ROOM_TO_THINK, OptionalParameter.CACHE_KEY} if self._is_openai else ()
        )

    def takes(self, media: Media) -> bool:
        # Compatible servers know images in OpenAI's form, where their model can see; PDFs are OpenAI's alone.
        return self._is_openai or media.media_type != PDF

    async def ask(self, name: str, prompt: Prompt, wishes: Collection[OptionalParameter]) -> httpx2.Response:
        limit = self._asking.output_tokens(wishes)
        messages: list[Any] = [{"role": "system", "content": prompt.system}] if prompt.system else []
        messages += [{"role": turn.role, "content": _chat_content(turn)} for turn in prompt.turns]
        raw = await self._client.chat.completions.with_raw_response.create(
            model=name,
            messages=messages,
            max_tokens=openai.omit if self._is_openai else limit,
            max_completion_tokens=limit if self._is_openai else openai.omit,
            prompt_cache_key=_cache_key(prompt, wishes),
            stream=self._asking.streaming,
            stream_options={"include_usage": True} if self._asking.streaming else openai.omit,
        )
        return raw.http_response

    def reader(self, attempt: RequestAttempt, wishes: Collection[OptionalParameter]) -> Reader:
        return ChatReader(attempt)


class ChatReader:
    """The marker is a finish_reason, or [DONE] alone (Snowflake Cortex, back ends of OpenRouter).

    Usage may come with it, in a chunk of its own after it, or never. Nothing tells that the model begins or ends to
    reason: it does from its first thought to the next text.
    """

    ended = False
    """Nobody says so before [DONE]."""

    def __init__(self, attempt: RequestAttempt) -> None:
        self.finish_reason: FinishReason | None = None
        self.usage: Usage | None = None
        self.thinking = False
        self._attempt = attempt
        self._tags = ThinkTags(attempt.model)
        self._parts = Parts()

    def done(self) -> None:
        self.finish_reason = self.finish_reason or FinishReason.STOP

    def read(self, event: Any) -> str | Thinking:
        said = self._read(event)
        if said:
            self.thinking = isinstance(said, Thinking)
        return said

    def _read(self, event: Any) -> str | Thinking:
        if event.get("error"):
            raise self._attempt.reported(event)
        if usage := event.get("usage"):
            self.usage = _usage(usage, "prompt", "completion")
        choices = event.get("choices")
        if not choices:
            return ""
        if reason := choices[0].get("finish_reason"):
            self._end(reason)
        said = choices[0].get("delta") or choices[0].get("message") or {}
        if text := _text(said.get("content")) or said.get("refusal"):
            return self._tags.take(self._parts.add(text))
        if thought := _thought(said):
            self._tags.separated()
            self._parts.begin()
            return Thinking(len(thought))
        if said.get("tool_calls"):
            self._parts.begin()
        return ""

    def read_whole(self, body: Any) -> str:
        said = self.read(body)
        return ("" if isinstance(said, Thinking) else said) + self.held()

    def held(self) -> str:
        return self._tags.end(whole=self.finish_reason is FinishReason.STOP)

    def _end(self, reason: str) -> None:
        if reason == "content_filter":
            raise self._attempt.failed(Failure.REFUSED, reason)
        # Servers have their own words for a good end (eos_token, end_turn); we offer no tools to call.
        self.finish_reason = FinishReason.LENGTH if reason == "length" else FinishReason.STOP


def _responses_content(turn: Turn) -> str | list[dict[str, Any]]:
    if not turn.media:
        return turn.text
    return [*(_responses_part(media) for media in turn.media), {"type": "input_text", "text": turn.text}]


def _responses_part(media: Media) -> dict[str, Any]:
    if media.media_type == PDF:
        return {"type": "input_file", "filename": _pdf_name(media), "file_data": _data_url(media)}
    return {"type": "input_image", "image_url": _data_url(media), "detail": "auto"}


def _chat_content(turn: Turn) -> str | list[dict[str, Any]]:
    if not turn.media:
        return turn.text
    return [*(_chat_part(media) for media in turn.media), {"type": "text", "text": turn.text}]


def _chat_part(media: Media) -> dict[str, Any]:
    if media.media_type == PDF:
        return {"type": "file", "file": {"filename": _pdf_name(media), "file_data": _data_url(media)}}
    return {"type": "image_url", "image_url": {"url": _data_url(media)}}


def _pdf_name(media: Media) -> str:
    """OpenAI tells by its name what a file is."""
    return media.name if media.name.lower().endswith(".pdf") else f"{media.name}.pdf"


def _data_url(media: Media) -> str:
    return f"data:{media.media_type};base64,{media.base64}"


def _text(content: Any) -> str:
    # Mostly a string; parts come from servers that show their thinking as one (Mistral).
    if isinstance(content, list):
        return _joined(part["text"] for part in content if part["type"] == "text")
    return content or ""


def _joined(texts: Iterable[str]) -> str:
    """The text parts of one answer that came as a whole."""
    parts, joined = Parts(), ""
    for text in texts:
        parts.begin()
        joined += parts.add(text)
    return joined


def _cache_key(prompt: Prompt, wishes: Collection[OptionalParameter]) -> str | openai.Omit:
    return prompt.cache_key if prompt.cache_key and OptionalParameter.CACHE_KEY in wishes else openai.omit


def _thought(said: Mapping[str, Any]) -> str:
    """The reasoning, where it has a field of its own: DeepSeek's and llama.cpp's; vLLM's and Ollama's; OpenRouter's."""
    for name in ("reasoning_content", "reasoning", "reasoning_details"):
        if thought := said.get(name):
            return str(thought)
    content = said.get("content")
    return str(content) if isinstance(content, list) and content else ""


def _usage(usage: Mapping[str, Any], given: str, made: str) -> Usage:
    details = usage.get(f"{given}_tokens_details") or {}
    return Usage(
        input_tokens=usage.get(f"{given}_tokens") or 0,
        output_tokens=usage.get(f"{made}_tokens") or 0,
        cached_input_tokens=details.get("cached_tokens") or 0,
        cache_write_tokens=details.get("cache_write_tokens") or 0,
    )
