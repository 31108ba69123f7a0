"""A vendor's API key that a person pastes into the sandbox's page.

The key is kept only in memory and sent only to the vendor. Its models answer all later questions. Once the key is
removed, its connections are closed as soon as no answer uses them.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bot.errors import EndReason, ProviderError
from bot.models.events import StreamEvent
from bot.models.lookups import LookupOutcome
from bot.models.prompt import Prompt
from bot.models.registry import KEY_COMPANIES, VENDORS, open_models, vendor_settings, vendors_of_key
from bot.models.setup import VendorSettings
from bot.settings import TOKEN_KINDS, Settings, model_setup

if TYPE_CHECKING:
    from bot.models.model import Provider
    from bot.models.wrappers import Fallback

CHECK_WITHIN_S = 20.0
"""Time limit for a vendor to report whether it accepts a key."""
MAX_KEY_CHARS = 1_000

NOT_A_KEY = f"This isn't an {KEY_COMPANIES} key. Theirs begin with sk-."
NOT_A_MODELS = "This is {kind} of Slack, not a model's key."
KEY_REFUSED = "{vendor} does not accept this key ({detail}). Your keys are at {page}."
NO_ACCESS = "This key has no access to {model}. Paste another key, or set BOT_MODELS in .env."
NOT_REACHED = "{vendor} can't be asked about this key now ({detail}). Check the network, and try again."
NO_RESPONSE = "no response"


class PastedKey:
    """The key in use, if there is one. `settings`: the settings to which the key is added."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: _KeyModels | None = None

    @property
    def models(self) -> "_KeyModels | None":
        """The models that answer with the key, or None without a key."""
        return self._opened

    async def use(self, pasted: str) -> str:
        """Checks a key with its vendor. Returns "" if its models will answer now, or a sentence about why not.

        The previous key is removed only if the new one is accepted.
        """
        key = pasted.strip()
        vendor = vendors_of_key(key)[0]
        if kind := next((kind for prefix, kind in TOKEN_KINDS.items() if key.startswith(prefix)), ""):
            return NOT_A_MODELS.format(kind=kind)
        if not key.startswith("sk-") or len(key) > MAX_KEY_CHARS or not key.isascii() or not key.isprintable():
            return NOT_A_KEY
        own = [model for model in self._settings.models if model.startswith(f"{vendor}/")]
        models = tuple(own) or (VENDORS[vendor].default_model,)
        access = replace(self._settings.vendors.get(vendor, VendorSettings()), api_key=key)
        keyed = replace(self._settings, models=models).with_vendor(vendor, access)
        if problem := await _problem(vendor, keyed):
            return problem
        connections = AsyncExitStack()
        opened = _KeyModels(await connections.enter_async_context(open_models(model_setup(keyed))), connections)
        await self.remove()
        self._opened = opened
        return ""

    async def remove(self) -> None:
        """Forgets the key. Answers that are already being written with it are completed."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.is_removed = True
            await opened.close_if_unused()


@dataclass(eq=False)
class _KeyModels:
    """One key's models."""

    models: "Fallback"
    connections: AsyncExitStack
    answering: int = 0
    """Number of requests that are being answered."""
    is_removed: bool = False

    def starting_with(self, model: str | None, prompt: Prompt) -> "_KeyProvider":
        """Returns a provider for which the key's connections stay open."""
        return _KeyProvider(self, self.models.starting_with(model, prompt))

    async def close_if_unused(self) -> None:
        """Closes a removed key's connections unless an answer still needs them."""
        if self.is_removed and not self.answering:
            await self.connections.aclose()


class _KeyProvider:
    """One of a key's models, for one answer."""

    def __init__(self, key: _KeyModels, provider: "Provider") -> None:
        self.key, self.provider = key, provider
        self.model = provider.model

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the model's answer. Raises ProviderError, including when the key's connections are closed."""
        if self.key.is_removed and not self.key.answering:
            raise ProviderError(EndReason.BAD_KEY, self.model, detail="the key was removed on the page")
        self.key.answering += 1
        try:
            async with aclosing(self.provider.stream(prompt)) as events:
                async for event in events:
                    yield event
        finally:
            self.key.answering -= 1
            await self.key.close_if_unused()


async def _problem(vendor: str, keyed: Settings) -> str:
    """Looks up the key's first model at the vendor, free of charge. Returns why the key can't be used, or ""."""
    entry, model = VENDORS[vendor], keyed.models[0]
    name = model.partition("/")[2]
    try:
        async with asyncio.timeout(CHECK_WITHIN_S):
            found = await entry.look_up(
                vendor, vendor_settings(vendor, model_setup(keyed)), name, datetime.now(UTC).date()
            )
    except TimeoutError:
        return NOT_REACHED.format(vendor=VENDORS[vendor].company, detail=NO_RESPONSE)
    match found.outcome:
        case LookupOutcome.MODEL | LookupOutcome.NO_LIST:
            return ""
        case LookupOutcome.KEY_REFUSED:
            return KEY_REFUSED.format(vendor=VENDORS[vendor].company, detail=found.detail, page=entry.api_key_page)
        case LookupOutcome.NO_MODEL | LookupOutcome.RETIRED:
            return NO_ACCESS.format(model=model)
    return NOT_REACHED.format(vendor=VENDORS[vendor].company, detail=found.detail or NO_RESPONSE)
