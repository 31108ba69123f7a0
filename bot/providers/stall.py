"""Ends an answer that stopped growing.

Neither a read timeout nor a total timeout tells that a model has stalled: pings keep a read alive, and a long answer
that still grows is fine. So Stall limits the time between two signs of work. Text is a sign, and so is Thinking, which
the vendors' readers yield for whatever comes while a model thinks or writes a tool call, even for a ping. A ping at any
other time is none. A model that thinks in silence gets ten times as long, at most ten minutes, and so does a search.

Only waiting for the model counts. The reader's own time, such as a wait for the database, is neither limited nor
canceled. If the process was paused, a wait starts over.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Self

from bot.core.conversation import Prompt
from bot.core.stream import Searching, StreamEvent, Thinking
from bot.errors import EndReason, ProviderError
from bot.providers.models import Provider

MAX_SILENCE_S = 600.0
"""gpt-6-astra was seen thinking for 300 s without a sign (AntigmaLabs/ante#186). This is twice that."""

LATE_S = 1.0
"""A check that comes later than planned by this says nothing about the model: its events waited as well."""


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
        with _WaitTimer(self._stall_timeout_s) as timer:
            async with aclosing(self._provider.stream(prompt)) as events:
                limit_s = self._stall_timeout_s
                while True:
                    timer.start(limit_s)
                    try:
                        event = await anext(events)
                    except StopAsyncIteration:
                        return
                    except asyncio.CancelledError:
                        if not timer.expired_alone():
                            raise
                        detail = f"nothing for {limit_s:g} s"
                        raise ProviderError(EndReason.STALLED, self.model, detail=detail) from None
                    timer.stop()
                    limit_s = silence_s(self._stall_timeout_s) if _at_work(event) else self._stall_timeout_s
                    yield event


def _at_work(event: StreamEvent) -> bool:
    """Returns whether the model, or its vendor's search, may be silent for long after an event."""
    match event:
        case Thinking(ended=over) | Searching(done=over):
            return not over
    return False


class _WaitTimer:
    """Cancels a wait that takes too long, with one timer of the loop for all waits of an answer.

    An asyncio.timeout() around each wait takes a tenth of all the work on a token. One around the whole answer would
    count the reader's time as well, and cancel the reader.
    """

    def __init__(self, shortest_limit_s: float) -> None:
        self._shortest_limit_s = shortest_limit_s
        self._limit_s = shortest_limit_s
        self._loop = asyncio.get_running_loop()
        self._waiting_task: asyncio.Task[object] | None = None
        """The task whose wait is measured; None while nothing is waited for."""
        self._waiting_since_s = 0.0
        self._canceled_task: asyncio.Task[object] | None = None
        self._cancellations_before = 0

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(self._shortest_limit_s, self._check)
        return self

    def __exit__(self, *exception: object) -> None:
        self._timer.cancel()

    def start(self, limit_s: float) -> None:
        """Begins a wait of the current task, for at most this many seconds."""
        self._limit_s = limit_s
        self._waiting_task = asyncio.current_task()
        self._waiting_since_s = self._loop.time()

    def stop(self) -> None:
        """Ends the wait."""
        self._waiting_task = None

    def expired_alone(self) -> bool:
        """Returns whether only this timer canceled the wait. Takes the timer's cancellation back."""
        return self._canceled_task is not None and self._canceled_task.uncancel() <= self._cancellations_before

    def _check(self) -> None:
        now_s = self._loop.time()
        if now_s > self._timer.when() + LATE_S:
            # The process was paused, or its loop blocked: what came meanwhile has yet to be read.
            self._waiting_since_s = now_s
        since_s = now_s if self._waiting_task is None else self._waiting_since_s
        if self._waiting_task is not None and now_s >= since_s + self._limit_s:
            self._canceled_task = self._waiting_task
            self._cancellations_before = self._waiting_task.cancelling()
            self._waiting_task.cancel()
        else:
            # A long wait may end, and a shorter one begin, before the long one would be over.
            next_check_s = min(since_s + self._limit_s, now_s + self._shortest_limit_s)
            self._timer = self._loop.call_at(next_check_s, self._check)
