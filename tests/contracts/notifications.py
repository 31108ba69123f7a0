"""Asks a Provider and records everything that it yields."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from bot.errors import EndReason, ProviderError
from bot.models.events import (
    Answering,
    Citation,
    Completion,
    FinishReason,
    Loading,
    Opaque,
    Retrying,
    Searching,
    TextPart,
    Thinking,
    ToolCall,
)
from bot.models.model import Provider
from bot.models.prompt import Prompt, Turn
from tests.contracts.in_process import AnyVendor
from tests.contracts.vendors import VendorApi
from tests.streams.server import Script

PROMPT = Prompt("Be brief.", (Turn("user", "Hi"), Turn("assistant", "Hello"), Turn("user", "Grüße, 世界 👋🏽?")))

LONG = Prompt("", (Turn("user", "word " * 3_000),))
"""A question that may be too long: a short one isn't blamed for that."""


@asynccontextmanager
async def connected(api: VendorApi, server: AnyVendor, model: str = "m") -> AsyncIterator[Provider]:
    client = api.connect(server.url)
    try:
        yield client.model(model)
    finally:
        await client.aclose()


@dataclass
class Received:
    deltas: list[str]
    completions: list[Completion]
    error: ProviderError | None = None
    thought: int = 0
    """How often the provider reported thinking."""
    retries: list[Retrying] = field(default_factory=list)
    answering: list[str] = field(default_factory=list)
    """The other models that were reported before the first word."""
    others: list[Searching | Loading | Citation | TextPart | ToolCall | Opaque] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.deltas)

    @property
    def calls(self) -> list[ToolCall]:
        return [event for event in self.others if isinstance(event, ToolCall)]

    @property
    def end(self) -> FinishReason | EndReason:
        """Why the model stopped, or what failed."""
        return self.error.reason if self.error else self.completions[0].finish_reason

    @property
    def failure(self) -> EndReason:
        assert self.error is not None
        return self.error.reason


async def collect(provider: Provider, prompt: Prompt = PROMPT) -> Received:
    received = Received([], [])
    try:
        async with aclosing(provider.stream(prompt)) as stream:
            async for item in stream:
                assert not received.completions, "a Completion is the last"
                if isinstance(item, Completion):
                    received.completions.append(item)
                elif isinstance(item, Thinking):
                    received.thought += 1
                elif isinstance(item, Answering):
                    received.answering += [] if received.deltas else [item.model]
                elif isinstance(item, Retrying):
                    received.retries.append(item)
                elif isinstance(item, str):
                    received.deltas.append(item)
                else:
                    received.others.append(item)
    except ProviderError as error:
        received.error = error
    assert "" not in received.deltas
    assert len(received.completions) == (received.error is None)
    return received


async def ask(
    api: VendorApi,
    server: AnyVendor,
    *answers: Script,
    prompt: Prompt = PROMPT,
    model: str = "m",
    wrap: Callable[[Provider], Provider] = lambda provider: provider,
) -> Received:
    server.script(*answers)
    async with connected(api, server, model) as provider:
        return await collect(wrap(provider), prompt)
