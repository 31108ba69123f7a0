"""Clouds that serve the vendors' models: Amazon Bedrock, Google Vertex AI, Microsoft Foundry and Azure OpenAI.

A cloud serves the same APIs with different authentication. anthropic.py or openai.py handles the conversation, using
the vendor SDK's client for the cloud. Requests use the identity of the process instead of a key. The cloud's own
library finds it (a role, a service account, a managed identity, environment variables) and renews its tokens.

AWS's and Google's libraries block their thread, for minutes if a token service hangs. The SDKs call them in threads
that the whole process shares (for DNS, for example), so a few questions would delay everything else. Typist therefore
calls the library before each request, once for all waiting requests, in its own thread, with a time limit.

Bedrock is called through bedrock-runtime, which AWS recommends over bedrock-mantle, and Azure through its v1 endpoint,
which doesn't need `api-version`. The two vendors' modules are imported only for a cloud that needs them, because their
SDKs use a lot of memory.

Clouds don't offer a free request that reports which models an account can use. `typist check` therefore sends a request
without a question. The cloud checks the identity and the model before it rejects the request, which is free.
"""

import asyncio
import os
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot.errors import EndReason, ProviderError
from bot.models.api import Api, client_arguments
from bot.models.failures import RequestAttempt, is_without_identity
from bot.models.lookups import ANSWERED_WITHIN_S, Lookup, LookupOutcome
from bot.models.model import Vendor, VendorModel
from bot.models.parameters import WEB, OptionalParameter
from bot.models.prompt import Prompt
from bot.models.setup import RequestOptions, VendorSettings, has_only_vendor_models

_QUESTION_REFUSAL = re.compile(r"4(?:00|22)\b.*(?:messages|input|prompt)", re.IGNORECASE | re.DOTALL)
# Amazon Bedrock has a separate permission for streaming.
_SMALLEST = RequestOptions(max_output_tokens=16)
_OPENAI_MODEL_IDS = re.compile(r"(?:^|[./])openai\.")
"""Matches the Bedrock IDs of OpenAI's models and their inference profiles, such as us.openai.gpt-6-luna."""
_OUTCOMES_BY_REASON = {
    EndReason.BAD_KEY: LookupOutcome.KEY_REFUSED,
    EndReason.UNKNOWN_MODEL: LookupOutcome.NO_MODEL,
    EndReason.UNREACHABLE: LookupOutcome.UNREACHABLE,
}


@dataclass(frozen=True, slots=True)
class _Client:
    api: Api
    aclose: Callable[[], Awaitable[None]]
    key: str = ""


def connect(vendor: str, settings: VendorSettings, options: RequestOptions, access: str) -> Vendor:
    """Returns a cloud's models, named VENDOR/NAME. `access`: the required permission."""
    clients: dict[_Opener, _Client] = {}

    def open_model(name: str) -> VendorModel:
        opener = _choose_opener(vendor, name)
        if opener not in clients:
            clients[opener] = opener(settings, options)
            clients[opener].api.can_leave_marks = not has_only_vendor_models(settings.base_url)
        client = clients[opener]
        return VendorModel(client.api, client.key, name, access)

    return Vendor(open_model, lambda: _close(*(client.aclose for client in clients.values())))


async def look_up_model(vendor: str, settings: VendorSettings, name: str) -> Lookup:
    client = _choose_opener(vendor, name)(settings, _SMALLEST)
    try:
        with RequestAttempt(f"{vendor}/{name}", client.key):
            try:
                body = client.api.body(name, Prompt("", ()), (OptionalParameter.LIMIT,), _SMALLEST.max_output_tokens)
                async with asyncio.timeout(ANSWERED_WITHIN_S):
                    response = await client.api.post(body)
            except Exception as error:
                if is_without_identity(error):
                    return Lookup(LookupOutcome.NO_IDENTITY, type(error).__name__)
                raise
            await response.aclose()
            return Lookup(LookupOutcome.MODEL)
    except ProviderError as error:
        if error.reason is EndReason.UNEXPECTED and _QUESTION_REFUSAL.match(error.detail):
            return Lookup(LookupOutcome.MODEL)
        return Lookup(_OUTCOMES_BY_REASON.get(error.reason, LookupOutcome.FAILED), error.detail)
    finally:
        await client.aclose()


# Request sizes: https://platform.claude.com/docs/en/api/errors; caching of whole requests: .../prompt-caching.


def _bedrock(settings: VendorSettings, options: RequestOptions) -> _Client:
    """Returns a client for Claude through InvokeModel.
    https://docs.aws.amazon.com/bedrock/latest/userguide/inference-messages-api.html"""
    from anthropic import AsyncAnthropicBedrock

    from bot.models import anthropic

    identity = aws_identity(settings.region)
    sdk = AsyncAnthropicBedrock(
        aws_region=settings.region,
        base_url=settings.base_url or None,
        **anthropic.connection(settings.base_url or _bedrock_url(settings)),
    )
    api = anthropic.MessagesApi(sdk, options, "bedrock")
    api.max_media_bytes = 18_000_000
    api.caches_requests = False
    api.optional_parameters -= WEB
    # A Bedrock API key, in the variable that the SDK reads, doesn't need an identity.
    if sdk.api_key is None:
        api.prepare = identity.find
    return _Client(api, sdk.close, sdk.api_key or "")


def _bedrock_openai(settings: VendorSettings, options: RequestOptions) -> _Client:
    """Returns a client for OpenAI's models.
    https://docs.aws.amazon.com/bedrock/latest/userguide/inference-responses-api.html"""
    from openai import AsyncOpenAI, DefaultAioHttpClient
    from openai.providers import bedrock

    from bot.models import openai

    base_url = f"{settings.base_url.rstrip('/')}/openai/v1" if settings.base_url else None
    provider = bedrock(endpoint="runtime", region=settings.region, base_url=base_url)
    url = base_url or _bedrock_url(settings)
    sdk = AsyncOpenAI(provider=provider, **client_arguments(DefaultAioHttpClient, url))
    api = openai.ResponsesApi(sdk, options, "bedrock")
    api.max_media_bytes = 18_000_000
    api.optional_parameters -= WEB
    # The same applies here, but this SDK doesn't expose the key that it has read.
    key = os.environ.get("AWS_BEARER_TOKEN_BEDROCK", "")
    if not key:
        api.prepare = aws_identity(settings.region).find
    return _Client(api, sdk.close, key)


def _bedrock_url(settings: VendorSettings) -> str:
    return f"https://bedrock-runtime.{settings.region}.amazonaws.com"


def _vertex(settings: VendorSettings, options: RequestOptions) -> _Client:
    """Returns a client for Claude through rawPredict.
    https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai"""
    from anthropic import AsyncAnthropicVertex

    from bot.models import anthropic

    identity = google_identity()
    sdk = AsyncAnthropicVertex(
        region=settings.region,
        project_id=settings.project,
        base_url=settings.base_url or None,
        **anthropic.connection(settings.base_url or f"https://{settings.region}-aiplatform.googleapis.com"),
    )

    async def prepare() -> None:
        sdk.credentials = await identity.find()

    api = anthropic.MessagesApi(sdk, options, "vertex")
    api.max_media_bytes = 28_000_000
    api.caches_requests = False
    api.optional_parameters -= {OptionalParameter.WEB_FETCH}
    api.prepare = prepare
    return _Client(api, sdk.close)


def _foundry(settings: VendorSettings, options: RequestOptions) -> _Client:
    """Returns a client for Claude. https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry"""
    from anthropic import AsyncAnthropicFoundry

    from bot.models import anthropic

    entra = Entra()
    sdk = AsyncAnthropicFoundry(
        base_url=settings.base_url, azure_ad_token_provider=entra.token, **anthropic.connection(settings.base_url)
    )
    return _Client(anthropic.MessagesApi(sdk, options, "foundry"), partial(_close, sdk.close, entra.aclose))


def _azure(settings: VendorSettings, options: RequestOptions) -> _Client:
    """Returns a client for OpenAI's models.
    https://learn.microsoft.com/en-us/azure/foundry/openai/api-version-lifecycle"""
    from openai import AsyncOpenAI, DefaultAioHttpClient

    from bot.models import openai

    entra = Entra()
    connection = client_arguments(DefaultAioHttpClient, settings.base_url)
    sdk = AsyncOpenAI(api_key=entra.token, base_url=settings.base_url, **connection)
    return _Client(openai.ResponsesApi(sdk, options, "azure"), partial(_close, sdk.close, entra.aclose))


_Opener = Callable[[VendorSettings, RequestOptions], _Client]
_OPENERS: Mapping[str, _Opener] = {"bedrock": _bedrock, "vertex": _vertex, "foundry": _foundry, "azure": _azure}


def _choose_opener(vendor: str, name: str) -> _Opener:
    return _bedrock_openai if vendor == "bedrock" and _OPENAI_MODEL_IDS.search(name) else _OPENERS[vendor]


async def _close(*close_functions: Callable[[], Awaitable[None]]) -> None:
    for close in close_functions:
        await close()


CREDENTIALS_WITHIN_S = 20.0
"""Maximum wait for credentials. Finding them usually takes milliseconds, if they aren't already available."""
ENTRA_SCOPE = "https://ai.azure.com/.default"
GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class CredentialLookup:
    def __init__(self, find: Callable[[], Any]) -> None:
        self._find_credentials = find
        self._pending: asyncio.Future[Any] | None = None

    async def find(self) -> Any:
        if self._pending is None or self._pending.done():
            self._pending = _run_in_daemon_thread(self._find_credentials)
        async with asyncio.timeout(CREDENTIALS_WITHIN_S):
            return await asyncio.shield(self._pending)


class Entra:
    def __init__(self) -> None:
        # From the extra azure.
        from azure.identity.aio import DefaultAzureCredential, get_bearer_token_provider

        self._credential = DefaultAzureCredential()
        self._provide_token = get_bearer_token_provider(self._credential, ENTRA_SCOPE)

    async def token(self) -> str:
        """Returns a token, which the library caches until it expires. Raises the library's errors, and TimeoutError."""
        async with asyncio.timeout(CREDENTIALS_WITHIN_S):
            return await self._provide_token()

    async def aclose(self) -> None:
        await self._credential.close()


def aws_identity(region: str) -> CredentialLookup:
    session: Any = None
    is_absent = False

    def find() -> None:
        nonlocal session, is_absent
        # From the extra bedrock.
        import boto3

        session = session or boto3.Session(region_name=region)
        # One search is enough, because it can take seconds. If it finds nothing, the SDK reports that or uses a Bedrock
        # API key. The SDK has a session of its own, which finds the credentials that were found here.
        credentials = None if is_absent else session.get_credentials()
        is_absent = credentials is None
        if credentials is not None:
            credentials.get_frozen_credentials()

    return CredentialLookup(find)


def google_identity() -> CredentialLookup:
    found: list[Any] = []

    def find() -> Any:
        # From the extra vertex.
        import google.auth
        from google.auth.transport.requests import Request

        if not found:
            credentials, _ = google.auth.default(scopes=[GOOGLE_SCOPE])
            found.append(credentials)
        if not found[0].valid:
            found[0].refresh(Request())
        return found[0]

    return CredentialLookup(find)


def _run_in_daemon_thread(function: Callable[[], Any]) -> asyncio.Future[Any]:
    """Calls a function in a daemon thread, which can't keep the process from exiting. Returns a future for the
    result."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    # Retrieves an error even if nothing is waiting for it anymore.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())

    def run() -> None:
        try:
            set_outcome = partial(future.set_result, function())
        except Exception as error:
            set_outcome = partial(future.set_exception, error)
        # The loop might be closed already.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(set_outcome)

    threading.Thread(target=run, name="credentials", daemon=True).start()
    return future
