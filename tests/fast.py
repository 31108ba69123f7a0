"""An event loop that skips idle waits, so that minutes of waiting pass in seconds.

While there is work to do, a thread is running, or a database server has yet to answer, the loop's time is the
machine's. So a loaded machine causes no additional timeouts. Sockets, threads and databases are real; both ends of each
socket are in this process, but for those of PostgreSQL.

Tests marked `skips_waits` run in such a loop with their fixtures. Others start one by `run_fast`.

In any loop, SQLite runs in the loop's thread instead of aiosqlite's: handing each call over takes a fifth of the CPU
time of the store's and the scenarios' tests, and a third of that of the services' tests. Other tasks have their turn
before each statement and each read of rows, as they have beside a thread, and while another connection has a file's
lock. The store's own tests (tests/contracts) keep the threads of files.

At its end, a test's loop waits until its connections have closed. One that stays open fails the test that opened it:
collected later, it would fail whichever test runs then.
"""

import asyncio
import selectors
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

import aiosqlite
import pytest
import sqlalchemy as sa

from bot.clock import Clock

IDLE_S = 0.001
"""Data sent within this process arrives within this time."""
BUSY_S = 5.0
"""How long a statement waits for a lock on a file."""
LOOK_S = 0.002
"""The time between two tries to get a lock on a file."""
LEFT_OPEN_S = 5.0
"""How long a loop that ends waits for the other side of a connection that closes: TLS closes with a word of both."""
MAX_STEPS_AT_ONCE = 100_000
"""More steps of a loop in which it never waits, and nothing comes from a socket, are no work: something asks again and
again."""
AT_ONCE_S = 1.0
"""The most time that one step skips. A check that polls then sees errors after as many polls as in real time."""
ELSEWHERE = ("aiosqlite.core", "sqlalchemy.dialects.sqlite.aiosqlite", "psycopg.waiting")
"""Modules whose futures are completed by a thread or by a database server."""

files_in_threads = False

T = TypeVar("T")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "skips_waits: the test runs in an event loop that skips idle waits")


def pytest_runtest_setup(item: pytest.Item) -> None:
    global files_in_threads
    files_in_threads = "contracts" in item.path.parts


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Returns the loop of a test: the usual one, unless it is marked."""
    return {"fast": FastLoop} if item.get_closest_marker("skips_waits") else {"usual": UsualLoop}


class UsualLoop(asyncio.SelectorEventLoop):
    """An event loop that closes when its connections have closed. `close` raises AssertionError if one stays open."""

    def close(self) -> None:
        if self.is_closed():
            return
        try:
            left = self._left_open()
        finally:
            super().close()
        assert not left, f"connections left open: {left}"

    def _left_open(self) -> list[str]:
        give_up_s = time.monotonic() + LEFT_OPEN_S
        while (left := self._opened()) and time.monotonic() < give_up_s:
            self.run_until_complete(asyncio.sleep(IDLE_S))
        names = [str(transport.get_extra_info("socket")) for transport in left]
        for transport in left:
            transport.abort()
        if left:
            self.run_until_complete(asyncio.sleep(0))
        return names

    def _opened(self) -> list[asyncio.Transport]:
        transports: list[asyncio.Transport] = list(self._transports.values())  # type: ignore[attr-defined]
        return [transport for transport in transports if transport.get_extra_info("socket").fileno() != -1]


class _FastSelector(selectors.DefaultSelector):
    ahead_s = 0.0
    elsewhere = 0
    steps_at_once = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= IDLE_S or self.elsewhere:
            events = super().select(timeout)
            self.steps_at_once = self.steps_at_once + 1 if timeout == 0 and not events else 0
            if self.steps_at_once > MAX_STEPS_AT_ONCE:
                raise RuntimeError(f"no wait in {MAX_STEPS_AT_ONCE:,} steps: a loop asks without waiting")
            return events
        self.steps_at_once = 0
        events = super().select(IDLE_S)
        if not events:
            self.ahead_s += min(timeout - IDLE_S, AT_ONCE_S)
        return events


class FastLoop(UsualLoop):
    def __init__(self) -> None:
        self._fast = _FastSelector()
        super().__init__(self._fast)

    @property
    def ahead_s(self) -> float:
        return self._fast.ahead_s

    def time(self) -> float:
        return super().time() + self.ahead_s

    def create_future(self) -> asyncio.Future[Any]:
        future, caller = super().create_future(), sys._getframe(1)
        if caller.f_globals.get("__name__") in ELSEWHERE and not _is_for_notices(caller.f_locals.get("gen")):
            self._done_elsewhere(future)
        return future

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        return self._done_elsewhere(super().run_in_executor(executor, func, *args))

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Waits until threads have ended. Since Python 3.12 that takes at most five minutes, which would be skipped."""
        await super().shutdown_default_executor()

    def _done_elsewhere(self, future: asyncio.Future[T]) -> asyncio.Future[T]:
        self._fast.elsewhere += 1
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _: object) -> None:
        self._fast.elsewhere -= 1


def _is_for_notices(generator: object) -> bool:
    """Whether psycopg waits for notifications, which may never come."""
    return getattr(generator, "__name__", "") == "notifies"


class _Calls:
    """Has the interface of aiosqlite's queue of calls and runs each of them in the loop's next step.

    A cursor is made and closed at once. That reads and changes nothing, and is half of all calls.
    """

    def put_nowait(self, call: tuple[asyncio.Future[T] | None, Callable[[], T]]) -> None:
        if _is_about_a_cursor(call[1]):
            _run(*call)
        else:
            asyncio.get_running_loop().call_soon(_run, *call, time.monotonic() + BUSY_S)


def _is_about_a_cursor(function: Callable[[], object]) -> bool:
    method = getattr(function, "func", None)
    owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
    return name == "cursor" or (name == "close" and isinstance(owner, sqlite3.Cursor))


def _run(future: asyncio.Future[T] | None, function: Callable[[], T], busy_until_s: float = 0.0) -> None:
    try:
        result = function()
    except Exception as error:
        if future is None or future.done():
            return
        is_locked = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
        if is_locked and time.monotonic() < busy_until_s:
            asyncio.get_running_loop().call_later(LOOK_S, _run, future, function, busy_until_s)
        else:
            future.set_exception(error)
    else:
        if future and not future.done():
            future.set_result(result)


@sa.event.listens_for(sa.Engine, "do_connect")
def _connect(dialect: sa.Dialect, _record: object, arguments: Sequence[Any], options: dict[str, Any]) -> None:
    if dialect.driver == "aiosqlite" and (arguments[0] == ":memory:" or not files_in_threads):
        options["async_creator_fn"] = _connection


@sa.event.listens_for(sa.Engine, "engine_connect")
def _never_wait_in_the_loop(connection: sa.Connection) -> None:
    """Leaves the wait for a lock to `_run`: SQLite's own would stop the loop, in which the lock's holder may be."""
    if connection.dialect.driver == "aiosqlite" and connection.info.setdefault("waits", True):
        aiosqlite_connection: Any = connection.connection.driver_connection
        if isinstance(aiosqlite_connection._tx, _Calls):
            aiosqlite_connection._conn.execute("PRAGMA busy_timeout = 0")
        connection.info["waits"] = False


def _connection(*args: Any, **kwargs: Any) -> aiosqlite.Connection:
    """Returns a connection to SQLite whose calls run in the loop's thread."""
    connection = aiosqlite.connect(*args, **kwargs)
    connection._tx = _Calls()  # type: ignore[assignment]
    connection._thread = threading.Thread(target=bool)
    return connection


class FastClock:
    """A Clock in the loop's time. All clocks of a loop show the same."""

    def now(self) -> float:
        return time.time() + getattr(asyncio.get_running_loop(), "ahead_s", 0.0)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def anchored_at(self, now_s: float) -> Clock:
        return self

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


def run_fast(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine in a new FastLoop and returns its result."""
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        return runner.run(work)
