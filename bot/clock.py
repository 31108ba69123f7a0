"""Clocks, background tasks, and retries.

Loops are restarted after errors, required database operations are retried, and background tasks' errors are logged.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from contextlib import suppress
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

from bot.errors import Backoff, SlackSetupError, StoreError, TypistError, trace_of


class Clock(Protocol):
    """The only source of time, so that tests can set it."""

    def now(self) -> float: ...

    def monotonic(self) -> float:
        """Returns seconds that never decrease, including the time that the machine is asleep, for pacing and
        measuring."""
        ...

    def anchored_at(self, now_s: float) -> "Clock":
        """Returns a clock that shows `now_s` now and then advances with `monotonic`."""
        ...

    async def sleep(self, delay_s: float) -> None: ...


class SystemClock:
    """The machine's clock, which people and time servers can change."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        # CLOCK_MONOTONIC stops while Linux sleeps, so a lease would still be valid after a night.
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()

    def anchored_at(self, now_s: float) -> Clock:
        return AnchoredClock(self, now_s)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


class AnchoredClock:
    """A clock that is set only once, so that deadlines don't move if the machine's clock is changed."""

    def __init__(self, clock: Clock, now_s: float) -> None:
        self._clock = clock
        self._offset_s = now_s - clock.monotonic()
        self.monotonic, self.sleep = clock.monotonic, clock.sleep

    def now(self) -> float:
        return self._offset_s + self.monotonic()

    def anchored_at(self, now_s: float) -> Clock:
        return AnchoredClock(self._clock, now_s)


def monotonic_began_at(clock: Clock) -> float:
    """Returns when the clock's monotonic time was 0, in seconds since the epoch."""
    return clock.now() - clock.monotonic()


BACKOFF = Backoff(0.5, 5.0)
T = TypeVar("T")

log = logging.getLogger(__name__)


async def keep_running(loop: Callable[[], Coroutine[None, None, None]]) -> None:
    """Runs a loop, and restarts it after any error except SlackSetupError, which only an admin can fix."""
    while True:
        try:
            return await loop()
        except SlackSetupError:
            raise
        except Exception as error:
            log.error("loop %s failed, restarting: %s", getattr(loop, "__qualname__", "a loop"), trace_of(error))
            await asyncio.sleep(1.0)


async def keep_trying(
    operation: Callable[[], Awaitable[T]], clock: Clock, problem: str, failures: type[Exception] = StoreError
) -> T:
    """Repeats an operation until it succeeds, and returns the result. `failures`: the exceptions to retry after.
    `problem`: describes a failure in the log."""
    failed = 0
    while True:
        try:
            return await operation()
        except failures as error:
            log.error("%s, retrying: %s", problem, error if isinstance(error, StoreError) else trace_of(error))
            failed += 1
        await clock.sleep(BACKOFF.wait_s(failed))


MAX_TRIES = 4


async def try_briefly(operation: Callable[[], Awaitable[T]], clock: Clock, failure: str) -> T | None:
    """Returns the operation's result, or None if the database stays unavailable for several seconds. Logs `failure`."""
    for failures in range(1, MAX_TRIES + 1):
        try:
            return await operation()
        except StoreError as error:
            log.error("%s, retrying: %s", failure, error)
            await clock.sleep(BACKOFF.wait_s(failures))
    return None


def extend_timeout(limit: asyncio.Timeout, seconds: float, until: float) -> None:
    """Extends a timeout to `seconds` from now, but not beyond `until` on the event loop's clock."""
    with suppress(RuntimeError):
        # The timeout might have expired, or the work might be done.
        limit.reschedule(min(asyncio.get_running_loop().time() + seconds, until))


class Background:
    """Background tasks that nothing awaits, such as sending an acknowledgment to Slack. Keeps references to the tasks
    until they end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None], failure: str, within_s: float | None = None) -> asyncio.Task[None]:
        """Starts a task. `failure`: tells the log what wasn't done if the task fails or takes longer than
        `within_s`."""
        task = asyncio.create_task(_log_failure(work, failure, within_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class Turns:
    """Does one thing at a time for each person, so that one person's many clicks don't delay other people."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._unfinished: set[Hashable] = set()

    def lock_of(self, person: str) -> asyncio.Lock:
        return self._locks.setdefault(person, asyncio.Lock())

    async def run_once(self, person: str, key: Hashable, work: Callable[[], Awaitable[None]]) -> None:
        """Runs work when it is the person's next, unless the same work is already waiting or running."""
        if (person, key) in self._unfinished:
            return
        self._unfinished.add((person, key))
        try:
            async with self.lock_of(person):
                await work()
        finally:
            self._unfinished.discard((person, key))


async def _log_failure(work: Coroutine[Any, Any, None], failure: str, within_s: float | None) -> None:
    try:
        async with asyncio.timeout(within_s):
            await work
    except (TypistError, TimeoutError) as error:
        log.warning("%s: %s", failure, str(error) or "it took too long")
    except Exception as error:
        log.error("%s: %s", failure, trace_of(error))
