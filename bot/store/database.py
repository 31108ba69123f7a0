"""One database, and the one way in which all classes of the store use it: as `Operations`.

A method marked with `reads` or `writes` is one transaction. It gets the connection, its callers don't see it:

    class Notices(Operations):
        @writes
        async def claim(self, connection: AsyncConnection, team_id: str, ...) -> bool: ...

    await notices.claim("T1", ...)

A method of several transactions is marked with `completes`, and takes its connections from `begin_read` and
`begin_write`. `writes_unsynced` is for what a power cut may undo: its commit waits for no disk, which takes most of a
small transaction's time. A killed process loses nothing of it, and once a later transaction has waited, neither does a
power cut. All of them promise the same:

- **An operation goes on though its caller is canceled.** It runs in a task of its own, and the caller waits for that
  task behind `asyncio.shield`. A driver that is canceled in the middle of a statement can't say what the server did,
  so SQLAlchemy throws the connection away, and SQLite in memory would lose the database with it. Callers are canceled
  often: Stop cancels an attempt at an answer, and heartbeats time out.
- **An operation has a bound.** On PostgreSQL it is given up after ANSWER_WITHIN_S, because a server that hangs keeps
  its connections up, and the wait would never end. The bound is longer than the server's own lock_timeout
  and the pool's timeout (engine.py), so that those report first, by name. A SQLite file is on this machine and has its
  busy_timeout. Erasure is not bounded (`completes(bounded=False)`).
- **A failure is a StoreError.** `failed_at` is the time of the last one. Events that this process missed meanwhile must
  not count against other workers (workers.py), and their calls to Slack must not count as never made
  (rate_ledger.py).

The database is closed in steps (stores.py): `refuse_new`, then `ended` for a bounded time, `cancel_operations` for
those still under way, and `dispose`. Nobody waits for a server that hangs.

A transaction waits for its turn and for the disk, so what many callers ask for meanwhile may share the next one
(`GroupCommit`).
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from contextvars import Context
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.clock import Clock
from bot.errors import StoreError
from bot.store.engine import READS, UNSYNCED, answered_within, database_errors, reason_of
from bot.store.schema import metadata

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="Operations")

log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 10.0
DISPOSE_WITHIN_S = 0.3


class Database:
    """The database of one process, through one engine."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self.engine = engine
        self.on_server = engine.dialect.name == "postgresql"
        self.failed_at = -math.inf
        """When an operation last failed, by the monotonic clock."""
        self._reader = engine.execution_options(**{READS: True})
        self._unsynced = engine.execution_options(**{UNSYNCED: True})
        self.clock = clock
        self._bound_s = ANSWER_WITHIN_S if self.on_server else None
        self._under_way: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def read(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Runs a function in a read-only transaction, which on SQLite waits for no writer; returns its result."""
        return await self.complete(_transaction(self.begin_read(), work))

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]], *, synced: bool = True) -> T:
        """Runs a function in a transaction, commits it, and returns the function's result."""
        return await self.complete(_transaction(self.begin_write(synced=synced), work))

    async def complete(self, operation: Coroutine[Any, Any, T], *, bounded: bool = True) -> T:
        """Runs an operation to its end and returns its result, even if the caller is canceled before."""

        async def run() -> T:
            async with answered_within(self._bound_s if bounded else None):
                return await operation

        if self._closed:
            operation.close()
            raise StoreError("the store is closed, because this process is ending")
        task = asyncio.create_task(run())
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        try:
            with database_errors():
                return await asyncio.shield(task)
        except StoreError:
            self.failed_at = self.clock.monotonic()
            raise

    def begin_read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Begins a transaction of an operation, which only reads. Raises SQLAlchemy's errors."""
        return self._reader.begin()

    def begin_write(self, *, synced: bool = True) -> AbstractAsyncContextManager[AsyncConnection]:
        """Begins a transaction of an operation. Raises SQLAlchemy's errors.

        Without `synced`, its commit waits for no disk, and a power cut may undo it.
        """
        return (self.engine if synced else self._unsynced).begin()

    def bounded(self) -> AbstractAsyncContextManager[None]:
        """Bounds a part of an operation that is not bounded itself."""
        return answered_within(self._bound_s)

    async def ping(self) -> None:
        """Returns if the database answers. Raises StoreError."""
        await self.read(lambda connection: connection.execute(sa.select(1)))

    async def truncate_log(self) -> None:
        """Empties SQLite's log, which keeps erased texts until then. Does nothing on a server.

        Most is written before the lock is taken, so that writers wait for the rest only.
        """
        if self.on_server:
            return
        async with self.engine.connect() as connection:
            sqlite = (await connection.get_raw_connection()).driver_connection
            assert sqlite is not None
            for mode in ("PASSIVE", "TRUNCATE"):
                async with sqlite.execute(f"PRAGMA wal_checkpoint({mode})") as result:
                    is_busy, *_ = await result.fetchone()
        if is_busy:
            log.warning("erasure: SQLite's log not emptied, because it is in use; the next hour's retention does it")

    async def overwrite_deleted(self) -> None:
        """Removes what deleted rows leave behind: SQLite's log, and on PostgreSQL what VACUUM frees."""
        if not self.on_server:
            return await self.truncate_log()
        try:
            async with self.engine.connect() as connection:
                at_once = await connection.execution_options(isolation_level="AUTOCOMMIT")
                tables = ", ".join(table.name for table in metadata.sorted_tables)
                await at_once.exec_driver_sql(f"VACUUM {tables}")
        except SQLAlchemyError as error:
            log.warning("erasure: VACUUM failed, PostgreSQL does it later by itself: %s", reason_of(error))

    def refuse_new(self) -> None:
        """Makes operations that begin from now on fail."""
        self._closed = True

    async def ended(self) -> None:
        """Returns when no operation is under way."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    def cancel_operations(self) -> None:
        """Cancels operations under way, which costs them their connections."""
        for task in self._under_way:
            task.cancel()

    async def dispose(self) -> None:
        """Disconnects; a server that does not answer is left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DISPOSE_WITHIN_S if self.on_server else None):
                await self.engine.dispose()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        # The caller may be gone, and asyncio warns of exceptions that nobody retrieves.
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("database operation failed: %s", type(error).__name__)


async def _transaction(
    begun: AbstractAsyncContextManager[AsyncConnection], work: Callable[[AsyncConnection], Awaitable[T]]
) -> T:
    async with begun as connection:
        return await work(connection)


class Operations:
    """The base of the store's classes, whose methods are operations. All of them raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _now(self) -> float:
        """Returns the time for stored times."""
        return self._database.clock.now()


Operation = Callable[Concatenate[S, P], Coroutine[Any, Any, T]]
"""A method as its callers see it."""
Transaction = Callable[Concatenate[S, AsyncConnection, P], Awaitable[T]]
"""A method that is one transaction, as it is written."""


def reads(method: Transaction[S, P, T]) -> Operation[S, P, T]:
    """Makes a method one transaction that only reads."""

    @wraps(method)
    async def operation(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._database.read(lambda connection: method(self, connection, *args, **kwargs))

    return operation


def writes(method: Transaction[S, P, T]) -> Operation[S, P, T]:
    """Makes a method one transaction, which is committed when it returns."""

    @wraps(method)
    async def operation(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._database.write(lambda connection: method(self, connection, *args, **kwargs))

    return operation


def writes_unsynced(method: Transaction[S, P, T]) -> Operation[S, P, T]:
    """Like `writes`, but the commit may be lost in a power cut."""

    @wraps(method)
    async def operation(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._database.write(lambda connection: method(self, connection, *args, **kwargs), synced=False)

    return operation


def completes(*, bounded: bool = True) -> Callable[[Operation[S, P, T]], Operation[S, P, T]]:
    """Makes a method one operation of any number of transactions."""

    def decorated(method: Operation[S, P, T]) -> Operation[S, P, T]:
        @wraps(method)
        async def operation(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return await self._database.complete(method(self, *args, **kwargs), bounded=bounded)

        return operation

    return decorated


Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_GROUP = 200


class GroupCommit(Generic[Item, Result]):
    """Collects items while a transaction runs, and writes them together in the next.

    `write`: writes at most MAX_GROUP items in one transaction, in the order in which they were added, and returns a
    result for each.
    """

    def __init__(self, write: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._write = write
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> Result:
        """Returns the item's result once it is written. Raises its transaction's exception.

        The item is written even if the caller is canceled.
        """
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._writing is None:
            # In a context of its own: it writes for other jobs, too.
            self._writing = asyncio.create_task(self._write_all(), context=Context())
        return await result

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
                await self._write_group(group)
        finally:
            self._writing = None

    async def _write_group(self, group: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._write([item for item, _ in group])
        except asyncio.CancelledError:
            # The database is being closed, so what waits wouldn't be written either.
            for _, result in (*group, *self._waiting):
                result.cancel()
            self._waiting = []
            raise
        except Exception as error:
            for _, result in group:
                if not result.done():
                    result.set_exception(error)
            return
        for (_, result), written in zip(group, results, strict=True):
            # Its caller may have been canceled.
            if not result.done():
                result.set_result(written)
