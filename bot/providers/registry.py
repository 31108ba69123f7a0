"""Builds the models in use, and imports no more than they need."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Protocol

from bot.core.stream import THINKING_TOKENS
from bot.ports.clock import SystemClock
from bot.ports.models import Provider
from bot.providers.fallback import Fallback
from bot.providers.hosts import speaks_responses
from bot.providers.retry import Retry
from bot.providers.scripted import Scripted
from bot.providers.stall import Stall, silence_s
from bot.providers.vendor_model import RequestOptions
from bot.settings import Settings, models_in_use

CLOSE_WITHIN_S = 0.5


class Vendor(Protocol):
    """A vendor's connections."""

    def model(self, name: str) -> Provider:
        """One of its models."""
        ...

    async def aclose(self) -> None: ...


@asynccontextmanager
async def models_of(settings: Settings) -> AsyncIterator[Fallback]:
    """The models in use, one behind the other, each watched for stalls."""
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        vendors: dict[str, Vendor] = {}
        providers: list[Provider] = []
        for name in models_in_use(settings):
            vendor, _, model = name.partition("/")
            if vendor == "scripted":
                providers.append(Scripted(clock))
                continue
            if vendor not in vendors:
                vendors[vendor] = _vendor(vendor, settings)
                stack.push_async_callback(_close, vendors[vendor])
            providers.append(Stall(Retry(vendors[vendor].model(model), clock), _stall_timeout_s(settings)))
        yield Fallback(providers)


def most_output_tokens(settings: Settings) -> int:
    """The most that an answer of any of the models in use can be billed for, what it thinks included."""
    own = settings.openai_api == "responses" or speaks_responses(settings.openai_base_url)
    thinks = {"anthropic": True, "openai": own}
    room = any(thinks.get(name.partition("/")[0], False) for name in models_in_use(settings))
    return settings.max_output_tokens + (THINKING_TOKENS if room else 0)


def _stall_timeout_s(settings: Settings) -> float:
    """An answer that comes as one comes after a silence."""
    return settings.stall_timeout_s if settings.streaming else silence_s(settings.stall_timeout_s)


async def _close(vendor: Vendor) -> None:
    """A vendor that stands still may leave the end of its TLS connections unanswered."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_WITHIN_S):
            await vendor.aclose()


def _vendor(vendor: str, settings: Settings) -> Vendor:
    asking = RequestOptions(settings.streaming, settings.max_output_tokens)
    # A vendor's SDK takes tens of megabytes: only those in use are imported.
    if vendor == "openai":
        from bot.providers.openai import OpenAIVendor

        return OpenAIVendor(
            api_key=settings.openai_api_key,
            base_url=settings.openai_base_url,
            api=settings.openai_api,
            asking=asking,
        )
    from bot.providers.anthropic import AnthropicVendor

    return AnthropicVendor(
        api_key=settings.anthropic_api_key,
        base_url=settings.anthropic_base_url,
        asking=asking,
    )
