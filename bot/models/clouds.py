"""The clouds that serve the vendors' models: Amazon Bedrock, Google Vertex AI, Microsoft Foundry and Azure OpenAI.

A cloud is another way to the same APIs. The conversation is that of anthropic.py or openai.py, and the client is the
one that the vendor's SDK has for this cloud. Requests carry the identity of the process instead of a key: the cloud's
own library finds it (a role, a service account, a managed identity, variables of the process) and renews its tokens.

The modules of the two vendors are imported only for a cloud that needs them, because their SDKs take much memory.

No cloud tells for free which models it serves to whom. So `typist check` sends a request without a question: the cloud
looks at the identity and the model before it refuses that, and a refused request costs nothing.
"""

import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from bot.errors import EndReason, ProviderError
from bot.models import cloud_identity
from bot.models.failures import RequestAttempt, error_response, is_without_identity
from bot.models.lookup import Lookup, LookupOutcome
from bot.models.model import Vendor
from bot.models.model_setup import RequestOptions, VendorSettings
from bot.models.optional_parameters import WEB, OptionalParameter
from bot.models.prompt import Prompt
from bot.models.vendor_model import Api, VendorModel

_ABOUT_THE_QUESTION = re.compile(r"4(?:00|22)\b.*(?:messages|input|prompt)", re.IGNORECASE | re.DOTALL)
# Streaming is a permission of its own at Amazon Bedrock.
_SMALLEST = RequestOptions(max_output_tokens=16)
_OPENAIS = re.compile(r"(?:^|[./])openai\.")
"""In the ID of a model of OpenAI at Bedrock, or of its inference profile: us.openai.gpt-6-luna."""
_OUTCOMES = {
    EndReason.BAD_KEY: LookupOutcome.KEY_REFUSED,
    EndReason.UNKNOWN_MODEL: LookupOutcome.NO_MODEL,
    EndReason.UNREACHABLE: LookupOutcome.UNREACHABLE,
}


@dataclass(frozen=True, slots=True)
class _Client:
    """A client of an SDK, with the API that it is for."""

    api: Api
    aclose: Callable[[], Awaitable[None]]
    key: str = ""
    """Kept so that errors don't quote it."""


def connect(vendor: str, settings: VendorSettings, options: RequestOptions, access: str) -> Vendor:
    """Returns a cloud's models, which are called VENDOR/NAME; `access` is the permission that they need."""
    clients: dict[_Opener, _Client] = {}

    def model(name: str) -> VendorModel:
        opener = _opener(vendor, name)
        if opener not in clients:
            clients[opener] = opener(settings, options)
        client = clients[opener]
        return VendorModel(client.api, client.key, name, access)

    return Vendor(model, lambda: _close(*(client.aclose for client in clients.values())))


async def look_up_model(vendor: str, settings: VendorSettings, name: str) -> Lookup:
    """Returns what a cloud answers to a request without a question."""
    client = _opener(vendor, name)(settings, _SMALLEST)
    try:
        with RequestAttempt(f"{vendor}/{name}", client.key) as attempt:
            try:
                response = await client.api.post(client.api.request(name, Prompt("", ()), ()))
            except Exception as error:
                if is_without_identity(error):
                    return Lookup(LookupOutcome.NO_IDENTITY, type(error).__name__)
                if (refused := error_response(error)) is None:
                    raise
                raise attempt.reported(refused.body, refused.status, refused.headers) from None
            await response.aclose()
            return Lookup(LookupOutcome.MODEL)
    except ProviderError as error:
        return _lookup_of(error)
    finally:
        await client.aclose()


def _lookup_of(error: ProviderError) -> Lookup:
    if error.reason is EndReason.UNEXPECTED and _ABOUT_THE_QUESTION.match(error.detail):
        return Lookup(LookupOutcome.MODEL)
    return Lookup(_OUTCOMES.get(error.reason, LookupOutcome.FAILED), error.detail)


# Sizes of requests: https://platform.claude.com/docs/en/api/errors; caching of whole requests: .../prompt-caching.


def _bedrock(settings: VendorSettings, options: RequestOptions) -> _Client:
    """Claude by InvokeModel: https://docs.aws.amazon.com/bedrock/latest/userguide/inference-messages-api.html"""
    from anthropic import AsyncAnthropicBedrock

    from bot.models import anthropic

    host = anthropic.Host("bedrock", max_media_bytes=18_000_000, caches_requests=False, web=frozenset())
    identity = cloud_identity.aws(settings.region)
    sdk = AsyncAnthropicBedrock(
        aws_region=settings.region, base_url=settings.base_url or None, **anthropic.connection()
    )
    api = anthropic.MessagesApi(sdk, options, host)
    # A key of Bedrock's own, in the variable that the SDK reads, needs no identity.
    if sdk.api_key is None:
        api.prepare = identity.find
    return _Client(api, sdk.close, sdk.api_key or "")


def _bedrock_openai(settings: VendorSettings, options: RequestOptions) -> _Client:
    """OpenAI's models: https://docs.aws.amazon.com/bedrock/latest/userguide/inference-responses-api.html"""
    from openai import AsyncOpenAI
    from openai.providers import bedrock

    from bot.models import openai

    base_url = f"{settings.base_url.rstrip('/')}/openai/v1" if settings.base_url else None
    provider = bedrock(endpoint="runtime", region=settings.region, base_url=base_url)
    sdk = AsyncOpenAI(provider=provider, **openai.connection())
    api = openai.ResponsesApi(sdk, options, "bedrock")
    api.max_media_bytes = 18_000_000
    api.optional_parameters -= WEB
    # As above; this SDK doesn't tell the key that it has read.
    key = os.environ.get("AWS_BEARER_TOKEN_BEDROCK", "")
    if not key:
        api.prepare = cloud_identity.aws(settings.region).find
    return _Client(api, sdk.close, key)


def _vertex(settings: VendorSettings, options: RequestOptions) -> _Client:
    """Claude by rawPredict: https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai"""
    from anthropic import AsyncAnthropicVertex

    from bot.models import anthropic

    identity = cloud_identity.google()
    web = frozenset({OptionalParameter.WEB_SEARCH})
    host = anthropic.Host("vertex", max_media_bytes=28_000_000, caches_requests=False, web=web)
    sdk = AsyncAnthropicVertex(
        region=settings.region,
        project_id=settings.project,
        base_url=settings.base_url or None,
        **anthropic.connection(),
    )

    async def prepare() -> None:
        sdk.credentials = await identity.find()

    api = anthropic.MessagesApi(sdk, options, host)
    api.prepare = prepare
    return _Client(api, sdk.close)


def _foundry(settings: VendorSettings, options: RequestOptions) -> _Client:
    """Claude: https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry"""
    from anthropic import AsyncAnthropicFoundry

    from bot.models import anthropic

    host = anthropic.Host("foundry", max_media_bytes=30_000_000, caches_requests=True, web=WEB)
    entra = cloud_identity.Entra()
    sdk = AsyncAnthropicFoundry(
        base_url=settings.base_url, azure_ad_token_provider=entra.token, **anthropic.connection()
    )
    return _Client(anthropic.MessagesApi(sdk, options, host), partial(_close, sdk.close, entra.aclose))


def _azure(settings: VendorSettings, options: RequestOptions) -> _Client:
    """OpenAI's models: https://learn.microsoft.com/en-us/azure/foundry/openai/api-version-lifecycle"""
    from openai import AsyncOpenAI

    from bot.models import openai

    entra = cloud_identity.Entra()
    sdk = AsyncOpenAI(api_key=entra.token, base_url=settings.base_url, **openai.connection())
    return _Client(openai.ResponsesApi(sdk, options, "azure"), partial(_close, sdk.close, entra.aclose))


_Opener = Callable[[VendorSettings, RequestOptions], _Client]
_OPENERS: Mapping[str, _Opener] = {
    "bedrock": _bedrock,
    "vertex": _vertex,
    "foundry": _foundry,
    "azure": _azure,
}


def _opener(vendor: str, name: str) -> _Opener:
    """Returns what opens the client for a model."""
    return _bedrock_openai if vendor == "bedrock" and _OPENAIS.search(name) else _OPENERS[vendor]


async def _close(*closing: Callable[[], Awaitable[None]]) -> None:
    for close in closing:
        await close()
