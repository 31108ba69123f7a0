"""Ends an answer that stopped growing."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Self

from bot.core.completion import Said
from bot.core.conversation import Prompt
from bot.errors import Failure, ProviderError
from bot.ports import Provider


class Stall:
    """Neither text nor thinking for this long: hangs up and raises ProviderError(STALLED). Pings are neither."""

    def __init__(self, provider: Provider, stall_timeout_s: float) -> None:
        self.model = provider.model
        self._provider = provider
        self._stall_timeout_s = stall_timeout_s

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Said, None]:
        """See Provider."""
        with _Watch(self._stall_timeout_s) as watch:
            async with aclosing(self._provider.stream(prompt)) as deltas:
                while True:
                    watch.wait()
                    try:
                        delta = await anext(deltas)
                    except StopAsyncIteration:
                        return
                    except asyncio.CancelledError:
                        if not watch.ended_it():
                            raise
                        detail = f"nothing for {self._stall_timeout_s:g} s"
                        raise ProviderError(Failure.STALLED, self.model, detail=detail) from None
                    watch.rest()
                    yield delta


class _Watch:
    """Cancels a wait that takes too long, with one timer for all waits of an answer.

    An asyncio.timeout() around each wait costs a tenth of all the work on a token; one around the whole answer
    would count its reader's time as well, and cancel the reader.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Task[object] | None = None
        self._since = 0.0
        self._cancelled: asyncio.Task[object] | None = None
        self._cancelled_before = 0

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(self._timeout_s, self._look)
        return self

    def __exit__(self, *exception: object) -> None:
        self._timer.cancel()

    def wait(self) -> None:
        """A wait begins."""
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
        if self._waiting is not None and now >= since + self._timeout_s:
            self._cancelled = self._waiting
            self._cancelled_before = self._waiting.cancelling()
            self._waiting.cancel()
        else:
            self._timer = self._loop.call_at(since + self._timeout_s, self._look)
