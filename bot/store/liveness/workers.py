"""Workers that share a database: how they show that they live, observe and wake each other, and exchange messages."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import Clock
from bot.errors import StoreError
from bot.store.database import Database, Operations, writes
from bot.store.engine import channel, database_file, lock_key, on_postgresql, said_by
from bot.store.liveness.failure_detector import LOCK_GRACE_S, FailureDetector, Observation
from bot.store.liveness.file_locks import FileLocks
from bot.store.rows import has_jobs, is_running, put
from bot.store.schema import jobs, workers

if TYPE_CHECKING:
    from bot.store.liveness.pg_notify import Listener

KEPT_S = 24 * 3600.0
"""How long a dead worker's row without jobs is kept."""
MAX_BYTES = 7_900
"""PostgreSQL takes payloads below 8,000 bytes."""

log = logging.getLogger(__name__)


class WorkerLiveness:
    """One worker among the others: it has a row, a lock if the database allows one, and a heartbeat.

    It sends heartbeats only while it holds jobs: nobody watches a worker without jobs.
    """

    def __init__(self, database: Database, name: str, clock: Clock) -> None:
        self.name = name
        """The name of this worker, unique among all that share the database."""
        self.heard: Callable[[str], None] = lambda _: None
        """Called with what other processes say (ProcessMessages)."""
        self._database = database
        self._clock = clock
        self._changed = asyncio.Event()
        file = database_file(database.engine.url)
        self._listener = self._new_listener() if database.on_server else None
        self._locks = FileLocks(file, name) if file else None
        # Only a process's end releases a file's lock, so a free one needs no grace.
        self._detector = FailureDetector(LOCK_GRACE_S if database.on_server else 0.0)
        self._blind_at = database.failed_at
        self._beats = 0
        self._registered = False

    def wake(self) -> None:
        """Ends the `wait` of this process: something changed."""
        self._changed.set()

    async def wake_others(self, connection: AsyncConnection, *where: sa.ColumnElement[bool]) -> None:
        """Wakes other processes once this transaction commits; with `where`, if there is such a job."""
        if on_postgresql(connection):
            statement = sa.select(sa.func.pg_notify(channel(), self.name))
            await connection.execute(statement.select_from(jobs).where(*where).limit(1) if where else statement)

    async def wake_all(self, connection: AsyncConnection) -> None:
        """Makes every process, this one included, send a heartbeat soon: one of them may have the job."""
        await self.wake_others(connection)
        self.wake()

    async def wait(self, timeout_s: float) -> None:
        """Returns when something changed, or after the timeout, or when a dead worker may be detected.

        SQLite wakes nobody: a file has one process, except for a moment during deployments.
        """
        try:
            async with asyncio.timeout(min(timeout_s, self._detector.next_check_s(self._clock.monotonic()))):
                await self._changed.wait()
        except TimeoutError:
            return
        finally:
            self._changed.clear()

    async def register(self) -> None:
        """Takes the lock and writes the row, so that other workers can see this process die."""
        if self._listener is not None:
            await self._listener.open()
        if self._locks is not None:
            self._locks.take()
        async with self._database.begin_write() as connection:
            await self.beat(connection)
        self._registered = True

    async def beat(self, connection: AsyncConnection) -> None:
        """Sends a heartbeat."""
        lock = self._locks or self._listener
        self._beats += 1
        values = {
            "beat": self._beats,
            "has_lock": lock is not None and lock.held,
            "seen_at": self._clock.now(),
        }
        await put(connection, workers, {"worker": self.name}, values)

    async def dead_workers(self) -> dict[str, Observation]:
        """Returns the dead workers that hold jobs; none before the next observation is due. Only reads."""
        if self._blind_at != self._database.failed_at:
            # A gap in this process's observations must not count against the others.
            self._blind_at = self._database.failed_at
            self._detector.reset()
        if not self._detector.is_due(self._clock.monotonic()):
            return {}
        async with self._database.begin_read() as connection:
            observations = await _observe(connection, self.name, self._locks)
        return self._detector.dead_workers(self._clock.monotonic(), observations)

    def cancel(self) -> None:
        """Abandons the connection that holds the lock, if the database does not answer."""
        if self._listener is not None:
            self._listener.cancel()

    async def deregister(self) -> None:
        """Releases the lock, and removes the row unless jobs are left: those are taken over at once."""
        if self._listener is not None:
            await self._listener.close()
        try:
            if self._registered:
                async with self._database.begin_write() as connection:
                    await _remove_idle(connection, self.name, self._clock.now())
        finally:
            if self._locks is not None:
                self._locks.release()

    def _new_listener(self) -> "Listener":
        # psycopg takes about ten megabytes, which a bot on SQLite should not spend.
        from bot.store.liveness.pg_notify import Listener

        return Listener(self._database.engine, self.name, self._clock, self.wake, lambda text: self.heard(text))


class WorkerOperations(Operations):
    """Operations in the name of one worker."""

    def __init__(self, database: Database, worker: WorkerLiveness) -> None:
        super().__init__(database)
        self._worker = worker


class ProcessMessages(WorkerOperations):
    """Carries texts from each process to all others that run now, by PostgreSQL's NOTIFY. Nothing is stored."""

    async def send(self, text: str) -> None:
        """Sends a text to the other processes, as far as they can be reached; never raises."""
        payload = f"{said_by(self._worker.name)}{text}"
        if not self._database.on_server or len(payload.encode()) > MAX_BYTES:
            return
        try:
            await self._notify(payload)
        except StoreError as error:
            log.warning("other processes not notified: %s", error)

    def on_message(self, heard: Callable[[str], None]) -> None:
        """Has `heard` called with each text that another process sends from now on."""
        self._worker.heard = heard

    @writes
    async def _notify(self, connection: AsyncConnection, payload: str) -> None:
        await connection.execute(sa.select(sa.func.pg_notify(channel(), payload)))


async def _observe(connection: AsyncConnection, worker: str, locks: FileLocks | None) -> dict[str, Observation]:
    """Observes all other workers that hold jobs. Only reads."""
    at_work = sa.select(jobs.c.worker).distinct().where(is_running(), jobs.c.worker != worker).subquery()
    # Shared, so that two processes that try it at once don't mistake each other for the owner.
    is_free = sa.func.pg_try_advisory_xact_lock_shared(lock_key(at_work.c.worker))
    free = sa.case((workers.c.has_lock, is_free), else_=False) if on_postgresql(connection) else workers.c.has_lock
    observed = sa.select(at_work.c.worker, workers.c.beat, free.label("free")).outerjoin_from(
        at_work, workers, workers.c.worker == at_work.c.worker
    )
    return {
        row.worker: Observation(row.beat, bool(row.free) and (locks is None or locks.is_free(row.worker)))
        for row in await connection.execute(observed)
    }


async def _remove_idle(connection: AsyncConnection, worker: str, now: float) -> None:
    """Removes the rows of a worker that ends, and of those that died long ago, unless they still hold jobs."""
    ended = sa.or_(workers.c.worker == worker, workers.c.seen_at < now - KEPT_S)
    await connection.execute(sa.delete(workers).where(ended, ~has_jobs()))
