"""What the settings say about models. bot.settings creates a ModelSetup, and the registry builds models from it.

This module and the registry import no vendor's module and no SDK, so that reading the settings stays cheap.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class VendorSettings:
    """How to reach one vendor, or a server that is compatible with it."""

    api_key: str = field(default="", repr=False)
    base_url: str = ""
    """Empty: the vendor's own."""
    api: str = ""
    """Which of the vendor's APIs to use, by its name in the registry. Empty: the vendor's module decides."""
    region: str = ""
    """The cloud's region, and in project its project, for a vendor that needs them."""
    project: str = ""


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """The options of every request to a model."""

    max_output_tokens: int
    """For the answer's text."""


@dataclass(frozen=True, slots=True)
class ModelSetup:
    """The models in use and all that is needed to build them."""

    models: tuple[str, ...]
    """In the order in which they are asked; each is written vendor/name."""
    vendors: Mapping[str, VendorSettings]
    """By the vendor's name. A vendor that is not in here has no key and its own base URL."""
    options: RequestOptions
    stall_timeout_s: float


def speaks_responses(base_url: str) -> bool:
    """Returns whether a server is OpenAI or Azure's v1 endpoint. Others reliably support only Chat Completions."""
    return (urlsplit(base_url).hostname or "").endswith(".openai.com") or is_azure(base_url)


_VENDORS_OWN = (".openai.com", ".anthropic.com", ".generativelanguage.googleapis.com")
"""No other cloud's: they serve open models, too, with their reasoning in the text (CherryHQ/cherry-studio#10225)."""


def is_vendors_own(base_url: str) -> bool:
    """Returns whether only the vendor's own models answer; an empty URL is the SDK's, also for Claude in a cloud."""
    return not base_url or f".{urlsplit(base_url).hostname or ''}".endswith(_VENDORS_OWN)


def is_azure(base_url: str) -> bool:
    """Returns whether a server is Azure's v1 endpoint, also in Azure Government (.azure.us)."""
    return (urlsplit(base_url).hostname or "").endswith((".azure.com", ".azure.us"))


def speaks_responses_api(api: str, base_url: str) -> bool:
    """Returns whether requests go to the Responses API: by the setting of the API, or else by the server."""
    return api == "responses" or (api != "chat" and speaks_responses(base_url))
