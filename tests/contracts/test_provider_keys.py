"""No key of a vendor is in what Typist says of its refusal, whichever way the request went.

What looks like a key is hidden anyway (tests/models/test_failure_details.py). This key doesn't.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import date
from pathlib import Path

import pytest

from bot import settings
from bot.errors import ProviderError
from bot.models.openai import Decider
from bot.models.prompt import Sound
from bot.models.registry import VENDORS, open_models, vendor_settings
from bot.models.setup import ModelSetup, VendorSettings
from bot.models.transcription import Transcriber
from bot.settings import model_setup
from tests.contracts.notifications import collect
from tests.streams.clouds import BEDROCK, BEDROCK_OPENAI, no_identity
from tests.streams.server import VendorRequest, VendorResponse, VendorServer, refusal

KEY = "a-key-of-no-form-0123456789"
OPENAI = {"BOT_MODELS": "openai/m", "OPENAI_API_KEY": KEY}
ANTHROPIC = {"BOT_MODELS": "anthropic/m", "ANTHROPIC_API_KEY": KEY}
VENDORS_AT: Mapping[str, Callable[[str], dict[str, str]]] = {
    "responses": lambda url: {**OPENAI, "OPENAI_BASE_URL": f"{url}/v1", "BOT_OPENAI_API": "responses"},
    "chat": lambda url: {**OPENAI, "OPENAI_BASE_URL": f"{url}/v1", "BOT_OPENAI_API": "chat"},
    "anthropic": lambda url: {**ANTHROPIC, "ANTHROPIC_BASE_URL": url},
    # From the variable AWS_BEARER_TOKEN_BEDROCK.
    "bedrock, Claude": BEDROCK.env,
    "bedrock, OpenAI": BEDROCK_OPENAI.env,
}


async def answer(setup: ModelSetup) -> str:
    async with open_models(setup) as models:
        error = (await collect(models)).error
        assert error is not None
        return error.detail


async def look_up(setup: ModelSetup) -> str:
    vendor, _, name = setup.models[0].partition("/")
    return (await VENDORS[vendor].look_up(vendor, vendor_settings(vendor, setup), name, date(2026, 11, 25))).detail


def quoting(request: VendorRequest) -> VendorResponse:
    return refusal(400, {"error": {"message": f"You sent {request.headers['Authorization']}."}})


@pytest.mark.parametrize("way", [answer, look_up])
@pytest.mark.parametrize("env_at", VENDORS_AT.values(), ids=VENDORS_AT)
async def test_key_that_a_vendor_quotes_is_hidden(
    vendor: VendorServer,
    tmp_path: Path,
    env_at: Callable[[str], dict[str, str]],
    way: Callable[[ModelSetup], Awaitable[str]],
) -> None:
    vendor.script(quoting)
    with no_identity(tmp_path) as environment:
        environment.setenv("AWS_BEARER_TOKEN_BEDROCK", KEY)
        said = await way(model_setup(settings.read(env_at(vendor.url))))
    assert "You sent Bearer [key]" in said


async def decide(of_vendor: VendorSettings) -> None:
    async with aclosing(Decider(of_vendor)) as decider:
        await decider.decide("Shall we?", "It is a question.")


async def transcribe(of_vendor: VendorSettings) -> None:
    async with aclosing(Transcriber(of_vendor, "openai/m")) as transcriber:
        await transcriber.transcribe(Sound("clip.ogg", "audio/ogg", b"OggS"))


@pytest.mark.parametrize("way", [decide, transcribe])
async def test_key_that_is_quoted_to_another_request_is_hidden(
    vendor: VendorServer, way: Callable[[VendorSettings], Awaitable[None]]
) -> None:
    vendor.script(quoting)
    with pytest.raises(ProviderError) as raised:
        await way(VendorSettings(KEY, f"{vendor.url}/v1"))
    assert "You sent Bearer [key]" in raised.value.detail
