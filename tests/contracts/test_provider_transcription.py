"""A model that transcribes, through OpenAI's SDK: what it is sent, and what its responses say."""

import json
from contextlib import aclosing

import pytest

from bot.errors import EndReason, ProviderError
from bot.models.events import Usage
from bot.models.prompt import MAX_TRANSCRIPT_CHARS, Sound
from bot.models.setup import VendorSettings
from bot.models.transcription import Transcriber, TranscriptionResult
from tests.contracts.vendors import KEY
from tests.streams.server import VendorResponse, VendorServer, refusal

SOUND = Sound("clip.ogg", "audio/ogg", b"OggS")
TOKENS = {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59}


async def heard(vendor: VendorServer, key: str = KEY) -> TranscriptionResult:
    settings = VendorSettings(key, f"{vendor.url}/v1")
    async with aclosing(Transcriber(settings, "openai/ours/gpt-transcribe")) as transcriber:
        return await transcriber.transcribe(SOUND)


def says(body: object) -> VendorResponse:
    return VendorResponse([json.dumps(body).encode()], content_type="application/json")


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        pytest.param({"type": "duration", "seconds": 5.7}, Usage(audio_s=5.7), id="seconds"),
        pytest.param(TOKENS, Usage(14, 45), id="tokens"),
        pytest.param(None, None, id="nothing"),
        pytest.param({"type": "duration", "seconds": float("inf")}, None, id="infinity"),
        pytest.param({"type": "duration", "seconds": -1}, None, id="a negative number"),
        pytest.param({"type": "duration", "seconds": "5"}, None, id="text"),
        pytest.param([], None, id="a list"),
        pytest.param({**TOKENS, "input_tokens": -1}, None, id="less than no tokens"),
        pytest.param({**TOKENS, "input_tokens": 10**19}, None, id="too many tokens"),
    ],
)
async def test_usage_is_in_seconds_or_tokens(vendor: VendorServer, reported: object, usage: Usage | None) -> None:
    vendor.script(says({"text": " Hello. ", "usage": reported}))
    assert await heard(vendor) == TranscriptionResult("Hello.", usage)


async def test_request_names_the_format_and_the_model(vendor: VendorServer) -> None:
    vendor.script(says({"text": ""}))
    await heard(vendor, key="")
    [request] = vendor.requests
    assert (request.method, request.path) == ("POST", "/v1/audio/transcriptions")
    for part in (
        b'name="file"; filename="clip.ogg"',
        b"Content-Type: audio/ogg",
        b"\r\nours/gpt-transcribe\r\n",
        b"OggS",
    ):
        assert part in request.content


async def test_transcript_without_end_is_cut(vendor: VendorServer) -> None:
    vendor.script(says({"text": "a" * (MAX_TRANSCRIPT_CHARS + 1)}))
    assert len((await heard(vendor)).text) == MAX_TRANSCRIPT_CHARS


async def test_half_of_a_character_is_replaced_so_that_later_prompts_can_be_sent(vendor: VendorServer) -> None:
    vendor.script(says({"text": "Hello \ud83d"}))
    assert (await heard(vendor)).text == "Hello \N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        pytest.param(refusal(401, {"error": {"message": f"wrong key {KEY}"}}), EndReason.BAD_KEY, id="key"),
        pytest.param(refusal(404, {"error": {"code": "model_not_found"}}), EndReason.UNKNOWN_MODEL, id="model"),
        pytest.param(refusal(429, {"error": {"code": "rate_limit_exceeded"}}), EndReason.RATE_LIMITED, id="rate"),
        pytest.param(says({"text": None}), EndReason.UNREADABLE, id="no text"),
        pytest.param(says(["Hello."]), EndReason.UNREADABLE, id="a list"),
        pytest.param(VendorResponse([b"Hello."], content_type="text/plain"), EndReason.UNREADABLE, id="no JSON"),
    ],
)
async def test_failure_is_told_without_the_key(
    vendor: VendorServer, response: VendorResponse, reason: EndReason
) -> None:
    vendor.script(response)
    with pytest.raises(ProviderError) as caught:
        await heard(vendor)
    assert caught.value.reason is reason
    assert KEY not in f"{caught.value} {caught.value.detail}"
    assert len(vendor.requests) == (3 if response.status == 429 else 1), "the SDK repeats what may pass"
