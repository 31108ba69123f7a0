"""The clock that budgets read, which lets tests set the time."""

import asyncio
from typing import Protocol


class Clock(Protocol):
    def monotonic(self) -> float:
        """Returns seconds that never decrease."""
        ...

    async def sleep(self, delay_s: float) -> None: ...


class LoopClock:
    """The running event loop's clock."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
