"""Simulated time: an event loop that skips every wait, so that tests of timers are exact and take no time.

It works for code without sockets and threads, because nothing from outside can wake this loop.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


MAX_STEPS_AT_ONCE = 10_000
"""More steps of a loop in which no time passes are no work: something asks again and again."""


class _Idle(selectors.DefaultSelector):
    """Skips each wait and adds it to the loop's time."""

    now_s = 0.0
    steps_at_once = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("all tasks wait, and no timer is set")
        self.now_s += max(0.0, timeout)
        self.steps_at_once = 0 if timeout > 0 else self.steps_at_once + 1
        if self.steps_at_once > MAX_STEPS_AT_ONCE:
            raise RuntimeError(f"no time passed in {MAX_STEPS_AT_ONCE:,} steps: a loop asks without waiting")
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop in simulated time, which starts at 0."""

    def __init__(self) -> None:
        self._idle = _Idle()
        super().__init__(self._idle)
        # Timers are due exactly at their time.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._idle.now_s

    @property
    def timers(self) -> int:
        return sum(not timer.cancelled() for timer in self._scheduled)  # type: ignore[attr-defined]

    def pause(self, seconds: float) -> None:
        """Lets time go by as if the process was paused: all timers until then are late."""
        self._idle.now_s += seconds


class SimulatedClock:
    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


def run_simulated(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` in simulated time, in a loop of its own."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(work)
