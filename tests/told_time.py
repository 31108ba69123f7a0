"""An event loop whose time moves only by what it waits for, so that a test of timers is exact and takes no time.

For code without sockets and threads: nothing from outside can wake this loop. tests/fast.py is for the rest.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Idle(selectors.DefaultSelector):
    """Skips each wait and adds it to the loop's time."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits, and no timer is set")
        self.now_s += max(0.0, timeout)
        return super().select(0)


class ToldLoop(asyncio.SelectorEventLoop):
    """See the module. Its time starts at 0."""

    def __init__(self) -> None:
        self._idle = _Idle()
        super().__init__(self._idle)
        # Timers are due exactly at their time.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._idle.now_s


class ToldClock:
    """The Clock port in the loop's time."""

    def now(self) -> float:
        return self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


def run_told(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` in a loop of its own."""
    with asyncio.Runner(loop_factory=ToldLoop) as runner:
        return runner.run(work)
