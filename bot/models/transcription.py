"""Transcribes recordings with a model on OpenAI's or a compatible server.

https://developers.openai.com/api/reference/resources/audio/subresources/transcriptions/methods/create
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.errors import EndReason
from bot.models.events import Usage, reported_tokens
from bot.models.failures import RequestAttempt
from bot.models.openai import open_sdk
from bot.models.prompt import MAX_TRANSCRIPT_CHARS, Sound
from bot.models.setup import VendorSettings
from slack_markdown.growing_text import join_halves


@dataclass(frozen=True, slots=True)
class TranscriptionResult:
    text: str = field(repr=False)
    usage: Usage | None


class Transcriber:
    def __init__(self, settings: VendorSettings, model: str) -> None:
        self.model = model
        self._sdk = open_sdk(settings).with_options(max_retries=2)
        self._api_key = settings.api_key

    async def transcribe(self, sound: Sound) -> TranscriptionResult:
        with RequestAttempt(self.model, self._api_key) as attempt:
            raw = await self._sdk.audio.transcriptions.with_raw_response.create(
                model=self.model.partition("/")[2],
                file=(sound.name, sound.content, sound.media_type),
                response_format="json",
            )
            body = raw.http_response.json()
            text = body.get("text") if isinstance(body, dict) else None
            if not isinstance(text, str):
                raise attempt.failure(EndReason.UNREADABLE, "the response has no text")
            return TranscriptionResult(join_halves(text[:MAX_TRANSCRIPT_CHARS]).strip(), _usage(body.get("usage")))

    async def aclose(self) -> None:
        await self._sdk.close()


def _usage(reported: Any) -> Usage | None:
    if not isinstance(reported, Mapping):
        return None
    seconds = reported.get("seconds")
    if isinstance(seconds, int | float) and 0 <= seconds < math.inf:
        return Usage(audio_s=float(seconds))
    heard, written = reported.get("input_tokens"), reported.get("output_tokens")
    if not (isinstance(heard, int) and isinstance(written, int)):
        return None
    usage = Usage(reported_tokens(heard), reported_tokens(written))
    return usage if usage.input_tokens else None
