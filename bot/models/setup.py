"""Model settings: bot.settings creates a ModelSetup, and the registry builds the models from it.

This module and the registry don't import vendors' modules or SDKs, so that reading the settings stays cheap.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class VendorSettings:
    api_key: str = field(default="", repr=False)
    base_url: str = ""
    api: str = ""
    """The name of the vendor's API in the registry. If empty, the vendor's module decides."""
    region: str = ""
    """The cloud's region. `region` and `project` are only for vendors that need them."""
    project: str = ""


@dataclass(frozen=True, slots=True)
class RequestOptions:
    max_output_tokens: int


@dataclass(frozen=True, slots=True)
class ModelSetup:
    models: tuple[str, ...]
    """Models as vendor/name, in the order in which they are tried."""
    vendors: Mapping[str, VendorSettings]
    """Settings by vendor. A missing vendor has no key and uses its default base URL."""
    options: RequestOptions
    stall_timeout_s: float


def speaks_responses(base_url: str) -> bool:
    """Returns whether a server is OpenAI or Azure's v1 endpoint. Others reliably support only Chat Completions."""
    return (urlsplit(base_url).hostname or "").endswith(".openai.com") or is_azure(base_url)


_VENDORS_OWN = (".openai.com", ".anthropic.com", ".generativelanguage.googleapis.com")
"""Vendors' domains. Clouds also serve open models with reasoning in the text (CherryHQ/cherry-studio#10225)."""


def is_vendors_own(base_url: str) -> bool:
    """Returns whether only the vendor's own models answer. An empty URL is the SDK's default, or Claude in a cloud."""
    return not base_url or f".{urlsplit(base_url).hostname or ''}".endswith(_VENDORS_OWN)


def is_azure(base_url: str) -> bool:
    """Returns whether a server is Azure's v1 endpoint, including Azure Government (.azure.us)."""
    return (urlsplit(base_url).hostname or "").endswith((".azure.com", ".azure.us"))


def speaks_responses_api(api: str, base_url: str) -> bool:
    return api == "responses" or (api != "chat" and speaks_responses(base_url))
