"""Ends an answer that stopped growing.

Neither a read timeout nor a total timeout tells that a model has stalled: pings keep a read alive, and a long answer
that still grows is fine. So Stall limits the time between two signs of work. Text is a sign, and so is Thinking, which
the vendors' readers yield for whatever comes while a model thinks or writes a tool call, even for a ping. A ping at any
other time is none. A model that thinks in silence gets ten times as long, at most ten minutes, and so does a search.

Only waiting for the model counts. The reader's own time, such as a wait for the database, is neither limited nor
canceled. Nor does a pause of the process count: what came meanwhile waits to be read, and the time begins again.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Self

from bot.errors import EndReason, ProviderError
from bot.models.model import Provider
from bot.models.prompt import Prompt
from bot.models.stream import Searching, StreamEvent, Thinking

MAX_SILENCE_S = 600.0
"""gpt-6-astra was seen thinking for 300 s without a sign (AntigmaLabs/ante#186). This is twice that."""
PAUSED_S = 1.0
"""A timer that is so late was held up by a pause: of the process, of its machine, of all other work."""


def silence_s(stall_timeout_s: float) -> float:
    """Returns how long a model that is known to think may give no sign of work."""
    return max(stall_timeout_s, min(10 * stall_timeout_s, MAX_SILENCE_S))


class Stall:
    """A model whose stream is closed, and fails as STALLED, when no sign of work comes in time."""

    def __init__(self, provider: Provider, stall_timeout_s: float) -> None:
        self.model = provider.model
        self._provider = provider
        self._stall_timeout_s = stall_timeout_s

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the model's events. Raises ProviderError(STALLED) instead of waiting on."""
        async with aclosing(self._provider.stream(prompt)) as events:
            limit_s = float(self._stall_timeout_s)
            while True:
                try:
                    async with _Wait(limit_s) as wait:
                        event = await anext(events)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    if not wait.expired:
                        raise
                    detail = f"nothing for {limit_s:g} s"
                    raise ProviderError(EndReason.STALLED, self.model, detail=detail) from None
                limit_s = silence_s(self._stall_timeout_s) if _at_work(event) else self._stall_timeout_s
                yield event


class _Wait:
    """The context of one wait for the model, with a limit that begins again after a pause. Raises TimeoutError."""

    __slots__ = ("_limit_s", "_timeout", "_timer")

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._timeout = asyncio.timeout(None)

    @property
    def expired(self) -> bool:
        """Whether the wait was too long."""
        return self._timeout.expired()

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _begin(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._limit_s, self._end)

    def _end(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._timer.when() > PAUSED_S:
            self._begin()
        else:
            self._timeout.reschedule(now_s)


def _at_work(event: StreamEvent) -> bool:
    """Returns whether the model, or its vendor's search, may be silent for long after an event."""
    match event:
        case Thinking(ended=over) | Searching(done=over):
            return not over
    return False
