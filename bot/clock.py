"""The time."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """The only source of the time, so that tests can set it."""

    def now(self) -> float:
        """Returns seconds since the epoch, for stored times."""
        ...

    def monotonic(self) -> float:
        """Returns seconds that never go back and that count while the machine sleeps, for pacing and measuring."""
        ...

    def anchored(self, now_s: float) -> "Clock":
        """Returns a clock that shows `now_s` at this moment, and then grows with `monotonic`."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Returns after this many seconds."""
        ...


class SystemClock:
    """The clock of this machine, which people and time servers may set."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        # CLOCK_MONOTONIC stands still while Linux sleeps: a lease would be valid after a night.
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()

    def anchored(self, now_s: float) -> Clock:
        return AnchoredClock(self, now_s)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


class AnchoredClock:
    """A clock that was set once. What is due in a minute is due in a minute, whatever the machine's clock shows."""

    def __init__(self, clock: Clock, now_s: float) -> None:
        self._clock = clock
        self._offset_s = now_s - clock.monotonic()

    def now(self) -> float:
        return self._offset_s + self._clock.monotonic()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def anchored(self, now_s: float) -> Clock:
        return AnchoredClock(self._clock, now_s)

    async def sleep(self, delay_s: float) -> None:
        await self._clock.sleep(delay_s)
