"""The models that write answers."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from bot.models.prompt import Prompt
from bot.models.stream import StreamEvent


class Provider(Protocol):
    """One model of one vendor."""

    model: str
    """As the settings name it: openai/gpt-6-luna."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the answer's deltas (never empty), signs of work and citations, and one Completion at the end.

        If the model calls tools, the calls and the opaque items to send back with their results come before it.

        Raises ProviderError, at any time, if the answer can't be completed.
        Close the generator (contextlib.aclosing) to hang up: only that reaches the vendor and stops the billing.
        """
        ...


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor's connections."""

    model: Callable[[str], Provider]
    """Returns the model that the vendor calls by this name, which may hold slashes."""
    aclose: Callable[[], Awaitable[None]]
    """Closes all connections, those of live answers too."""


class Models(Protocol):
    """The models in use."""

    names: tuple[str, ...]

    def led_by(self, model: str | None, prompt: Prompt) -> Provider:
        """Returns a provider for this prompt that tries `model` first and falls back to the others.

        If `model` is None or not in use, the usual order applies.
        """
        ...
