"""Clocks that tests set, and waits for what runs beside a test."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from bot.clock import Clock, SystemClock
from slack_sandbox.testing.processes import WITHIN_S

T = TypeVar("T")


async def until(condition: Callable[[], T], what: object, within_s: float = WITHIN_S, look_s: float = 0.01) -> T:
    """Polls a condition in the loop's time and returns its value once it is true. Else fails and says what is missing.

    For what nothing tells of: files, other processes. Sandbox.wait_for is for what Slack shows.
    """

    async def value() -> T:
        return condition()

    return await until_read(value, what, within_s, look_s)


async def until_read(
    read: Callable[[], Awaitable[T]], what: object, within_s: float = WITHIN_S, look_s: float = 0.01
) -> T:
    """Reads until the value is true and returns it, as `until` does: for rows of a database."""
    try:
        async with asyncio.timeout(within_s):
            while not (value := await read()):  # noqa: ASYNC110 nothing tells of it
                await asyncio.sleep(look_s)
            return value
    except TimeoutError:
        raise AssertionError(f"waited {within_s:g} s for {what}") from None


async def turns(count: int = 500) -> None:
    """Lets everything go on that waits for nothing but its turn, and statements of a database in memory."""
    for _ in range(count):
        await asyncio.sleep(0)


async def idle() -> None:
    """Returns once nothing runs in the background. Raises TimeoutError."""
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        async with asyncio.timeout(WITHIN_S):
            await asyncio.wait(others)


@dataclass
class ManualClock(SystemClock):
    now_s: float = 1_700_000_000.0

    def now(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s

    def anchored_at(self, now_s: float) -> Clock:
        return self


@dataclass
class InstantClock(ManualClock):
    """A clock whose sleeps advance its time and return at once."""

    sleeps: list[float] = field(default_factory=list)

    async def sleep(self, delay_s: float) -> None:
        self.sleeps.append(delay_s)
        self.now_s += delay_s
        await asyncio.sleep(0)


@dataclass
class SteppedClock(ManualClock):
    """A clock whose sleeps end when a test advances it."""

    slept: "asyncio.Queue[float]" = field(default_factory=asyncio.Queue)
    _advanced: asyncio.Event = field(default_factory=asyncio.Event)

    async def sleep(self, delay_s: float) -> None:
        self.slept.put_nowait(delay_s)
        await self._advanced.wait()
        self._advanced.clear()

    def advance(self, delay_s: float) -> None:
        self.now_s += delay_s
        self._advanced.set()


class LateClock(SystemClock):
    """Shows the machine's time, or a later one."""

    ahead_s = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_s

    def anchored_at(self, now_s: float) -> Clock:
        return self


class HurriedClock(SystemClock):
    """Shows the machine's time. Its monotonic time can be set forward."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s

    def anchored_at(self, now_s: float) -> Clock:
        return self
