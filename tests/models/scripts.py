"""A model that follows a script in simulated time, and a reader that records what it yields."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from bot.errors import EndReason, ProviderError
from bot.models.events import Completion, FinishReason, StreamEvent, Thinking
from bot.models.model import Provider
from bot.models.prompt import Prompt, Turn

PROMPT = Prompt("Be brief.", (Turn("user", "Hi"),))
THINKING = Thinking(5)
END = Completion("openai/m", FinishReason.STOP, None)

Step = StreamEvent | float | Exception
"""An event to yield, seconds to wait, or an error to raise."""


def failed(failure: EndReason, retry_after_s: float | None = None, model: str = "openai/m") -> ProviderError:
    return ProviderError(failure, model, retry_after_s=retry_after_s, detail="as scripted")


class ScriptedProvider:
    """Follows one script per request, in order."""

    def __init__(self, *scripts: Sequence[Step], model: str = "openai/m") -> None:
        self.model = model
        self.prompts: list[Prompt] = []
        self.closed = 0
        """The number of streams that ended or were closed."""
        self._scripts = list(scripts)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        self.prompts.append(prompt)
        try:
            for step in self._scripts.pop(0):
                match step:
                    case float():
                        await asyncio.sleep(step)
                    case Exception():
                        raise step
                    case _:
                        yield step
        finally:
            self.closed += 1


@dataclass
class TimedEvents:
    events: list[tuple[float, StreamEvent]] = field(default_factory=list)
    error: ProviderError | None = None
    ended_s: float = 0.0

    @property
    def items(self) -> list[StreamEvent]:
        return [item for _, item in self.events]

    @property
    def failure(self) -> EndReason | None:
        return self.error.reason if self.error else None


async def receive(provider: Provider, reader_s: float = 0.0) -> TimedEvents:
    """Reads a whole stream; the reader takes `reader_s` for each event."""
    loop, received = asyncio.get_running_loop(), TimedEvents()
    try:
        async with aclosing(provider.stream(PROMPT)) as stream:
            async for item in stream:
                received.events.append((loop.time(), item))
                await asyncio.sleep(reader_s)
    except ProviderError as error:
        received.error = error
    received.ended_s = loop.time()
    return received
