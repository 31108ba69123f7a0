"""Measures the requests to a model: their times, tokens and failures, and a span for each (bot/telemetry.py).

It stands inside the fallback, so each request counts.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from bot.clock import Clock
from bot.errors import EndReason, ProviderError
from bot.models.model import Provider
from bot.models.prompt import Prompt
from bot.models.stream import Completion, StreamEvent
from bot.telemetry import Telemetry


class Measured:
    """A model whose requests are measured."""

    def __init__(self, provider: Provider, telemetry: Telemetry, clock: Clock) -> None:
        self.model = provider.model
        self._provider = provider
        self._telemetry = telemetry
        self._clock = clock

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the events of a request."""
        request = self._telemetry.model_request(self.model, self._clock.monotonic())
        failure: EndReason | None = None
        try:
            async with aclosing(self._provider.stream(prompt)) as events:
                async for event in events:
                    request.received(self._clock.monotonic())
                    if isinstance(event, Completion) and event.usage is not None:
                        request.used(event.usage.input_tokens, event.usage.output_tokens)
                    yield event
        except ProviderError as error:
            failure = error.reason
            raise
        finally:
            request.ended(failure, self._clock.monotonic())
