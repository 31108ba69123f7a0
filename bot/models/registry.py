"""The registry of vendors that Typist supports, which also builds the models in use.

To add a vendor, write a module in this package with the functions `connect` and `open_sdk` (unless it uses another
vendor's API), and add an entry to `VENDORS`. The settings, their validation and the command line get the vendor's name,
variables and default model from that entry. Prices are in bot/models/prices.py. For a cloud that serves a vendor's
models, add a client to clouds.py.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from importlib import import_module
from urllib.parse import urlsplit

from bot.clock import SystemClock
from bot.models.events import THINKING_TOKENS
from bot.models.lookups import Lookup, look_up
from bot.models.model import Provider, Vendor
from bot.models.setup import (
    OPENAI,
    ModelSetup,
    RequestOptions,
    VendorSettings,
    is_on_domain,
    known_server,
    uses_responses_api,
)
from bot.models.wrappers import PATIENCE_S, Fallback, MeasuredProvider, OnResult, StallTimeout
from bot.telemetry import OFF, Telemetry

_CLOUDS_MODULE = "bot.models.clouds"
ENTRA = "a managed identity, a service principal or az login"


@dataclass(frozen=True)
class Cloud:
    """The requirements for using a cloud. Requests use the identity of the process instead of a key."""

    extra: str
    module: str
    identity: str
    access: str
    region_variable: str = ""
    project_variable: str = ""


@dataclass(frozen=True)
class VendorEntry:
    module: str
    """The module with the vendor's API."""
    base_url_variable: str
    telemetry_name: str = ""
    base_url: str = ""
    """The default base URL. If empty, the client derives it from the region, or base_url_variable must be set."""
    default_model: str = ""
    company: str = ""
    api_key_variable: str = ""
    api_key_page: str = ""
    key_prefixes: tuple[str, ...] = ()
    """Prefixes of keys that only this vendor issues. The vendor might also issue keys with other prefixes."""
    has_other_keys: bool = False
    """Whether this vendor, or servers with its API, also use keys with other prefixes."""
    cloud: Cloud | None = None
    can_be_keyless: bool = False
    api_variable: str = ""
    apis: tuple[str, ...] = ()
    """Values of `api_variable`, with the default first."""
    can_think: Callable[[VendorSettings], bool] = lambda settings: True
    """Whether requests reserve output tokens for thinking, which is billed as output, on top of the answer's text."""
    accepts_pdfs: Callable[[VendorSettings], bool] = lambda settings: True
    """Whether the vendor's models accept PDFs. If not, they get the text."""
    can_search: Callable[[VendorSettings], bool] = lambda settings: True
    can_decide: Callable[[VendorSettings], bool] = lambda settings: False
    can_transcribe: bool = False

    def connect(self, vendor: str, settings: VendorSettings, options: RequestOptions) -> Vendor:
        """Imports the vendor's module and connects. The settings include this entry's base URL unless they override
        it."""
        module = import_module(_CLOUDS_MODULE if self.cloud else self.module)
        access = (self.cloud.access,) if self.cloud else ()
        connected: Vendor = module.connect(vendor, settings, options, *access)
        return connected

    async def look_up(self, vendor: str, settings: VendorSettings, name: str, today: date) -> Lookup:
        modules = (self.module, self.cloud.module, _CLOUDS_MODULE) if self.cloud else (self.module,)
        # In a thread, because an SDK can take seconds to import and would delay checks that are being timed.
        *_, module = [await asyncio.to_thread(import_module, module) for module in modules]
        if self.cloud:
            lookup: Lookup = await module.look_up_model(vendor, settings, name)
            return lookup
        async with module.open_sdk(settings) as sdk:
            return await look_up(sdk, name, settings.api_key, today)

    def needs_key(self, settings: VendorSettings) -> bool:
        return not self.cloud and (not self.can_be_keyless or self.is_own_server(settings))

    def is_own_server(self, settings: VendorSettings) -> bool:
        return is_on_domain(settings.base_url or self.base_url, urlsplit(self.base_url).hostname or "")

    def can_load_models(self, settings: VendorSettings) -> bool:
        """Returns whether this server isn't a vendor's and might have to load a model when a request arrives."""
        return not (self.cloud or self.is_own_server(settings) or known_server(settings.base_url))


def _has_openais_features(settings: VendorSettings) -> bool:
    server = known_server(settings.base_url)
    return server.is_openai if server else settings.api == "responses"


def _can_search(settings: VendorSettings) -> bool:
    return uses_responses_api(settings.api, settings.base_url) and _has_openais_features(settings)


VENDORS: Mapping[str, VendorEntry] = {
    "openai": VendorEntry(
        "bot.models.openai",
        default_model="openai/gpt-6-luna",
        company="OpenAI",
        api_key_variable="OPENAI_API_KEY",
        api_key_page="platform.openai.com/api-keys",
        key_prefixes=("sk-proj-", "sk-svcacct-", "sk-admin-"),
        has_other_keys=True,
        base_url_variable="OPENAI_BASE_URL",
        base_url="https://api.openai.com/v1",
        can_be_keyless=True,
        can_transcribe=True,
        api_variable="BOT_OPENAI_API",
        apis=("auto", "responses", "chat"),
        # A server can refuse Chat Completions for a model.
        can_think=lambda settings: settings.api == "responses" or uses_responses_api("", settings.base_url),
        accepts_pdfs=_has_openais_features,
        can_search=_can_search,
        can_decide=lambda settings: _can_search(settings) and known_server(settings.base_url) in (None, OPENAI),
    ),
    "anthropic": VendorEntry(
        "bot.models.anthropic",
        default_model="anthropic/claude-haiku-5-5",
        company="Anthropic",
        api_key_variable="ANTHROPIC_API_KEY",
        api_key_page="platform.claude.com/settings/keys",
        key_prefixes=("sk-ant-",),
        base_url_variable="ANTHROPIC_BASE_URL",
        base_url="https://api.anthropic.com",
    ),
    "bedrock": VendorEntry(
        "bot.models.anthropic",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        "aws.bedrock",
        cloud=Cloud(
            "bedrock",
            "boto3",
            "an IAM role or a profile of the AWS CLI",
            "the IAM actions bedrock:InvokeModel and bedrock:InvokeModelWithResponseStream",
            region_variable="AWS_REGION",
        ),
        can_search=lambda settings: False,
    ),
    "vertex": VendorEntry(
        "bot.models.anthropic",
        "ANTHROPIC_VERTEX_BASE_URL",
        "gcp.vertex_ai",
        cloud=Cloud(
            "vertex",
            "google.auth",
            "a service account or gcloud auth application-default login",
            "the IAM permission aiplatform.endpoints.predict (it is in roles/aiplatform.user)",
            region_variable="GOOGLE_CLOUD_LOCATION",
            project_variable="GOOGLE_CLOUD_PROJECT",
        ),
    ),
    "foundry": VendorEntry(
        "bot.models.anthropic",
        "ANTHROPIC_FOUNDRY_BASE_URL",
        "azure.ai.inference",
        cloud=Cloud("azure", "azure.identity.aio", ENTRA, "the role Cognitive Services User on the Foundry resource"),
    ),
    "azure": VendorEntry(
        "bot.models.openai",
        "AZURE_OPENAI_BASE_URL",
        "azure.ai.openai",
        cloud=Cloud("azure", "azure.identity.aio", ENTRA, "the role Cognitive Services OpenAI User on the resource"),
    ),
}
KEY_COMPANIES = " or ".join(entry.company for entry in VENDORS.values() if entry.api_key_variable)


def provider_names() -> dict[str, str]:
    """Returns OpenTelemetry's names of vendors by our names, where they differ."""
    return {vendor: entry.telemetry_name for vendor, entry in VENDORS.items() if entry.telemetry_name}


def vendor_of_key(key: str) -> str:
    """Returns the vendor that issued a key, or "" if the key's prefix is unknown."""
    return next((vendor for vendor, entry in VENDORS.items() if key.startswith(entry.key_prefixes)), "")


def vendors_of_key(key: str) -> list[str]:
    """Returns the vendor that issued a key, or all possible vendors if the key's prefix is unknown."""
    issuer = vendor_of_key(key)
    return [issuer] if issuer else [vendor for vendor, entry in VENDORS.items() if entry.has_other_keys]


@asynccontextmanager
async def open_models(
    setup: ModelSetup,
    telemetry: Telemetry = OFF,
    patience_s: float = PATIENCE_S,
    on_result: OnResult = lambda model, result: None,
) -> AsyncIterator[Fallback]:
    """Opens the models in use. `patience_s`: how long after the first failure another request can start."""
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        vendors: dict[str, Vendor] = {}
        providers = []
        for model in setup.models:
            vendor, _, name = model.partition("/")
            if vendor not in vendors:
                vendors[vendor] = VENDORS[vendor].connect(vendor, vendor_settings(vendor, setup), setup.options)
                stack.push_async_callback(_close, vendors[vendor])
            provider: Provider = vendors[vendor].model(name)
            if telemetry.is_on:
                provider = MeasuredProvider(provider, telemetry, clock)
            can_load = VENDORS[vendor].can_load_models(vendor_settings(vendor, setup))
            providers.append(StallTimeout(provider, setup.stall_timeout_s, can_load=can_load))
        yield Fallback(providers, patience_s=patience_s, on_result=on_result)


def max_output_tokens(setup: ModelSetup) -> int:
    """Returns the maximum number of output tokens (including thinking) that one answer can be billed for."""
    can_think = any(entry.can_think(settings) for _, entry, settings in _vendors_in_use(setup))
    return setup.options.max_output_tokens + (THINKING_TOKENS if can_think else 0)


def all_accept_pdfs(setup: ModelSetup) -> bool:
    return all(entry.accepts_pdfs(settings) for _, entry, settings in _vendors_in_use(setup))


def models_that_search(setup: ModelSetup) -> frozenset[str]:
    return frozenset(model for model, entry, settings in _vendors_in_use(setup) if entry.can_search(settings))


def decider_settings(setup: ModelSetup) -> VendorSettings | None:
    return next((settings for _, entry, settings in _vendors_in_use(setup) if entry.can_decide(settings)), None)


def _vendors_in_use(setup: ModelSetup) -> Iterator[tuple[str, VendorEntry, VendorSettings]]:
    for model in setup.models:
        vendor = model.partition("/")[0]
        yield model, VENDORS[vendor], vendor_settings(vendor, setup)


def vendor_settings(vendor: str, setup: ModelSetup) -> VendorSettings:
    settings = setup.vendors.get(vendor, VendorSettings())
    return replace(settings, base_url=settings.base_url or VENDORS[vendor].base_url)


async def _close(vendor: Vendor) -> None:
    """Closes a vendor's connections within a time limit, because a hanging server might never close TLS."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await vendor.aclose()
