"""Anthropic's Messages API: https://platform.claude.com/docs/en/build-with-claude/streaming"""

from collections.abc import Collection
from typing import Any

import anthropic
import httpx2

from bot.core.conversation import Media, Prompt, Turn
from bot.core.inbound.files import PDF
from bot.core.stream import FinishReason, Thinking, Usage
from bot.errors import Failure
from bot.providers.failures import RequestAttempt
from bot.providers.model_setup import RequestOptions, VendorSettings
from bot.providers.optional_parameters import OptionalParameter
from bot.providers.text_parts import Parts
from bot.providers.vendor_model import LIMITS, TIMEOUT, Reader, VendorModel, tls

_FAILURES = {
    "refusal": Failure.REFUSED,
    "model_context_window_exceeded": Failure.CONTEXT_TOO_LONG,
}


class AnthropicVendor:
    """One connection pool for one base URL; its models are called anthropic/NAME."""

    def __init__(self, settings: VendorSettings, asking: RequestOptions) -> None:
        self._client = anthropic.AsyncAnthropic(
            api_key=settings.api_key,
            base_url=settings.base_url,
            # The SDK would wait for any Retry-After, however long; retry.py knows better.
            max_retries=0,
            timeout=TIMEOUT,
            http_client=anthropic.DefaultAioHttpClient(timeout=TIMEOUT, limits=LIMITS, verify=tls()),
        )
        self._api = MessagesApi(self._client, settings.api_key, asking)

    def model(self, name: str) -> VendorModel:
        """The Provider for a model by Anthropic's name for it."""
        return VendorModel("anthropic", name, self._api)

    async def aclose(self) -> None:
        """Closes all connections, those of live answers too."""
        await self._client.close()


class MessagesApi:
    """Sends turns as they are: a Prompt keeps Anthropic's rules for them.

    Images and PDFs: https://platform.claude.com/docs/en/build-with-claude/vision and .../pdf-support; every current
    model takes them.
    """

    # A request may hold 32 MB in all.
    most_media_bytes = 30_000_000
    # Claude thinks unless told otherwise. No summaries are wished for: asking would turn thinking on in models that
    # do not by themselves, and pings come throughout.
    wishes = frozenset({OptionalParameter.ROOM_TO_THINK})

    def __init__(self, client: anthropic.AsyncAnthropic, secret: str, asking: RequestOptions) -> None:
        self.secret = secret
        self._client = client
        self._asking = asking

    def takes(self, media: Media) -> bool:
        return True

    async def ask(self, name: str, prompt: Prompt, wishes: Collection[OptionalParameter]) -> httpx2.Response:
        messages: list[Any] = [{"role": turn.role, "content": _content(turn)} for turn in prompt.turns]
        # No temperature, top_p or top_k: the current models refuse them.
        raw = await self._client.messages.with_raw_response.create(
            model=name,
            max_tokens=self._asking.output_tokens(wishes),
            system=prompt.system or anthropic.omit,
            messages=messages,
            cache_control={"type": "ephemeral"},
            stream=self._asking.streaming,
        )
        response: httpx2.Response = raw.http_response
        return response

    def reader(self, attempt: RequestAttempt, wishes: Collection[OptionalParameter]) -> Reader:
        return MessagesReader(attempt)


class MessagesReader:
    """The marker is in two parts: message_delta tells the stop reason, message_stop that this was all."""

    def __init__(self, attempt: RequestAttempt) -> None:
        self.finish_reason: FinishReason | None = None
        self.usage: Usage | None = None
        self.thinking = False
        self._attempt = attempt
        self._stop_reason: str | None = None
        self._counts: dict[str, int] = {}
        self._parts = Parts()

    @property
    def ended(self) -> bool:
        return self.finish_reason is not None

    def read(self, event: Any) -> str | Thinking:
        match event.get("type"):
            case "content_block_delta":
                said = _said(event["delta"])
                return said if isinstance(said, Thinking) else self._parts.add(said)
            case "content_block_start":
                # The only sign of thinking that is redacted, or whose display is omitted.
                self.thinking = "thinking" in event["content_block"]["type"]
                self._parts.begin()
            case "content_block_stop":
                self.thinking = False
            case "message_start":
                self._count(event["message"].get("usage"))
            case "message_delta":
                self._stop_reason = event["delta"].get("stop_reason")
                self._count(event.get("usage"))
            case "message_stop":
                self._end()
            case "error":
                raise self._attempt.reported(event)
        return ""

    def done(self) -> None:
        """Anthropic has an event of its own for it."""

    def read_whole(self, body: Any) -> str:
        if body["type"] == "error":
            raise self._attempt.reported(body)
        self._stop_reason = body.get("stop_reason")
        self._count(body.get("usage"))
        self._end()
        text = ""
        for block in body["content"]:
            if block["type"] == "text":
                self._parts.begin()
                text += self._parts.add(block["text"])
        return text

    def held(self) -> str:
        return ""

    def _count(self, usage: Any) -> None:
        # Later counts take the place of earlier ones: they are cumulative.
        self._counts |= {key: n for key, n in (usage or {}).items() if isinstance(n, int)}

    def _end(self) -> None:
        if self._stop_reason in _FAILURES:
            raise self._attempt.failed(_FAILURES[self._stop_reason], self._stop_reason)
        if self._stop_reason is None:
            return
        # pause_turn: the model would go on if it were asked to, so what came is good as far as it goes.
        cut_short = self._stop_reason in ("max_tokens", "pause_turn")
        self.finish_reason = FinishReason.LENGTH if cut_short else FinishReason.STOP
        cached = self._counts.get("cache_read_input_tokens", 0)
        written = self._counts.get("cache_creation_input_tokens", 0)
        # Anthropic's input_tokens are only those past the cache.
        self.usage = Usage(
            input_tokens=self._counts.get("input_tokens", 0) + cached + written,
            output_tokens=self._counts.get("output_tokens", 0),
            cached_input_tokens=cached,
            cache_write_tokens=written,
        )


def _content(turn: Turn) -> str | list[dict[str, Any]]:
    """What is to be looked at comes before the words."""
    if not turn.media:
        return turn.text
    return [*(_block(media) for media in turn.media), {"type": "text", "text": turn.text}]


def _block(media: Media) -> dict[str, Any]:
    source = {"type": "base64", "media_type": media.media_type, "data": media.base64}
    if media.media_type == PDF:
        return {"type": "document", "source": source, "title": media.name}
    return {"type": "image", "source": source}


def _said(delta: Any) -> str | Thinking:
    match delta["type"]:
        case "text_delta":
            return str(delta["text"])
        case "thinking_delta":
            return Thinking(len(delta["thinking"]))
        case "signature_delta":
            return Thinking()
    return ""
