"""Ends an answer that stopped growing."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Self

from bot.core.conversation import Prompt
from bot.core.stream import StreamEvent, Thinking
from bot.errors import Failure, ProviderError
from bot.ports.models import Provider

LONGEST_SILENCE_S = 600.0
"""gpt-6-astra was seen thinking for 300 s without a sign (AntigmaLabs/ante#186): twice that."""


def silence_s(stall_timeout_s: float) -> float:
    """How long a model that is known to be at work may give no sign of it."""
    return max(stall_timeout_s, min(10 * stall_timeout_s, LONGEST_SILENCE_S))


class Stall:
    """Hangs up on a model that gives no sign of work, and raises ProviderError(STALLED).

    Text and thinking are signs. The adapters yield Thinking for whatever comes while the model thinks, be it a ping;
    a ping at any other time is none. A model that thinks without any sign has ten times as long, up to ten minutes.
    """

    def __init__(self, provider: Provider, stall_timeout_s: float) -> None:
        self.model = provider.model
        self._provider = provider
        self._stall_timeout_s = stall_timeout_s

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """See Provider."""
        with _Watch(self._stall_timeout_s) as watch:
            async with aclosing(self._provider.stream(prompt)) as deltas:
                limit_s = self._stall_timeout_s
                while True:
                    watch.wait(limit_s)
                    try:
                        delta = await anext(deltas)
                    except StopAsyncIteration:
                        return
                    except asyncio.CancelledError:
                        if not watch.ended_it():
                            raise
                        detail = f"nothing for {limit_s:g} s"
                        raise ProviderError(Failure.STALLED, self.model, detail=detail) from None
                    watch.rest()
                    thinks = isinstance(delta, Thinking) and not delta.over
                    limit_s = silence_s(self._stall_timeout_s) if thinks else self._stall_timeout_s
                    yield delta


class _Watch:
    """Cancels a wait that takes too long, with one timer for all waits of an answer.

    An asyncio.timeout() around each wait costs a tenth of all the work on a token; one around the whole answer
    would count its reader's time as well, and cancel the reader.
    """

    def __init__(self, shortest_s: float) -> None:
        self._shortest_s = shortest_s
        self._limit_s = shortest_s
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Task[object] | None = None
        self._since = 0.0
        self._cancelled: asyncio.Task[object] | None = None
        self._cancelled_before = 0

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(self._shortest_s, self._look)
        return self

    def __exit__(self, *exception: object) -> None:
        self._timer.cancel()

    def wait(self, limit_s: float) -> None:
        """A wait begins that may take so long."""
        self._limit_s = limit_s
        self._waiting = asyncio.current_task()
        self._since = self._loop.time()

    def rest(self) -> None:
        """It ended well."""
        self._waiting = None

    def ended_it(self) -> bool:
        """Whether the wait was cancelled from here alone."""
        return self._cancelled is not None and self._cancelled.uncancel() <= self._cancelled_before

    def _look(self) -> None:
        now = self._loop.time()
        since = now if self._waiting is None else self._since
        if self._waiting is not None and now >= since + self._limit_s:
            self._cancelled = self._waiting
            self._cancelled_before = self._waiting.cancelling()
            self._waiting.cancel()
        else:
            # A long wait may end, and one that is shorter begin, before it would be over.
            soon = min(since + self._limit_s, now + self._shortest_s)
            self._timer = self._loop.call_at(soon, self._look)
