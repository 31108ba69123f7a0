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
        """Returns seconds that never go back, for pacing and measuring."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Returns after this many seconds."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
