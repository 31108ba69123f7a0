"""Ends an answer that stopped growing."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from bot.core.completion import Completion
from bot.core.conversation import Prompt
from bot.errors import Failure, ProviderError
from bot.ports import Provider


class Stall:
    """No text for this long: hangs up and raises ProviderError(STALLED). Pings and thinking are no text."""

    def __init__(self, provider: Provider, stall_timeout_s: float) -> None:
        self.model = provider.model
        self._provider = provider
        self._stall_timeout_s = stall_timeout_s

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Completion, None]:
        """See Provider."""
        async with aclosing(self._provider.stream(prompt)) as deltas:
            while True:
                try:
                    # Never around a yield: it would cancel the reader, whose own time is no stall.
                    async with asyncio.timeout(self._stall_timeout_s):
                        delta = await anext(deltas)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    detail = f"no text for {self._stall_timeout_s:g} s"
                    raise ProviderError(Failure.STALLED, self.model, detail=detail) from None
                yield delta
