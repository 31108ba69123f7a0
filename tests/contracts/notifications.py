"""Asking a Provider and writing down all it gives."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from bot.core.conversation import Prompt, Turn
from bot.core.stream import Completion, Thinking
from bot.errors import Failure, ProviderError
from bot.ports.models import Provider
from tests.contracts.vendors import Api
from tests.streams.server import VendorServer

PROMPT = Prompt("Be brief.", (Turn("user", "Hi"), Turn("assistant", "Hello"), Turn("user", "Grüße, 世界 👋🏽?")))


@asynccontextmanager
async def connected(
    api: Api, server: VendorServer, streaming: bool = True, model: str = "m"
) -> AsyncIterator[Provider]:
    """The API's model of this name, on this server."""
    client = api.connect(server.url, streaming)
    try:
        yield client.model(model)
    finally:
        await client.aclose()


@dataclass
class Heard:
    """What a provider gave until it ended."""

    deltas: list[str]
    completions: list[Completion]
    error: ProviderError | None = None
    thought: int = 0
    """How often it said that it thinks."""

    @property
    def text(self) -> str:
        return "".join(self.deltas)

    @property
    def failure(self) -> Failure:
        assert self.error is not None
        return self.error.failure


async def hear(provider: Provider, prompt: Prompt = PROMPT) -> Heard:
    heard = Heard([], [])
    try:
        async with aclosing(provider.stream(prompt)) as stream:
            async for item in stream:
                assert not heard.completions, "a Completion is the last"
                if isinstance(item, Completion):
                    heard.completions.append(item)
                elif isinstance(item, Thinking):
                    heard.thought += 1
                else:
                    heard.deltas.append(item)
    except ProviderError as error:
        heard.error = error
    assert "" not in heard.deltas
    assert len(heard.completions) == (heard.error is None)
    return heard
