"""Model settings: bot.settings creates a ModelSetup, and the registry builds the models from it.

This module and the registry don't import vendors' modules or SDKs, so that reading the settings stays cheap.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bot.models.prices import ModelPrices


@dataclass(frozen=True, slots=True)
class VendorSettings:
    api_key: str = field(default="", repr=False)
    base_url: str = ""
    api: str = ""
    """The name of the API in the vendor's registry entry, or "" if the vendor's module chooses the API."""
    region: str = ""
    project: str = ""


@dataclass(frozen=True, slots=True)
class RequestOptions:
    max_output_tokens: int
    prices: ModelPrices = field(default_factory=ModelPrices)
    """Prices of models, used to recognize that another model has answered and to see whether it has a price."""


@dataclass(frozen=True, slots=True)
class ModelSetup:
    models: tuple[str, ...]
    """Models as vendor/name, in the order in which they are tried."""
    vendors: Mapping[str, VendorSettings]
    """Settings by vendor. A vendor without settings has no key and uses the default base URL."""
    options: RequestOptions
    stall_timeout_s: float


@dataclass(frozen=True, slots=True)
class KnownServer:
    """A vendor's server. Other servers reliably support only Chat Completions."""

    domain: str
    source: str
    """The page that recommends an API for this server, and the date when the page was read."""
    has_responses_api: bool = True
    is_openai: bool = False
    """Whether this is OpenAI's own API, which supports PDFs, web search, cache marks and safety identifiers."""
    has_open_models: bool = False
    """Whether the server also serves open models, whose reasoning can be in the text (CherryHQ/cherry-studio#10225)."""


_MICROSOFT_PAGE = "https://learn.microsoft.com/azure/ai-foundry/openai/how-to/responses, 2026-11-28"
_OPENAI_PAGE = "https://developers.openai.com/api/docs/guides/migrate-to-responses, 2026-11-28"
OPENAI = KnownServer("openai.com", _OPENAI_PAGE, is_openai=True)
SERVERS = (
    OPENAI,
    KnownServer("azure.com", _MICROSOFT_PAGE, is_openai=True, has_open_models=True),
    KnownServer("azure.us", _MICROSOFT_PAGE, is_openai=True, has_open_models=True),
    # Its Chat Completions are deprecated and lose the model's reasoning. It accepts PDFs only as URLs.
    KnownServer("x.ai", "https://docs.x.ai/developers/model-capabilities/text/comparison, 2026-11-30"),
    KnownServer("generativelanguage.googleapis.com", "https://ai.google.dev/gemini-api/docs/openai, 2026-11-30", False),
    KnownServer("anthropic.com", "https://platform.claude.com/docs/en/api/messages, 2026-11-30", False),
)


def is_on_domain(url: str, domain: str) -> bool:
    return f".{urlsplit(url).hostname or ''}".endswith(f".{domain}")


def known_server(base_url: str) -> KnownServer | None:
    return next((server for server in SERVERS if is_on_domain(base_url, server.domain)), None)


def has_only_vendor_models(base_url: str) -> bool:
    """Returns whether a server has only the vendor's own models. "" means the SDK's default, or Claude in a cloud."""
    server = known_server(base_url)
    return not base_url or (server is not None and not server.has_open_models)


def uses_responses_api(api: str, base_url: str) -> bool:
    server = known_server(base_url)
    return api == "responses" or (api != "chat" and server is not None and server.has_responses_api)
