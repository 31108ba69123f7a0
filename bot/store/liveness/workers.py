"""What the workers that share a database show of themselves, and see of each other."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.ports.clock import Clock
from bot.store.database import Database
from bot.store.engine import database_file
from bot.store.liveness.failure_detector import LOCK_GRACE_S, FailureDetector, Sight
from bot.store.liveness.file_locks import FileLocks
from bot.store.rows import DOING, insert_into, lock_key, on_postgresql
from bot.store.schema import jobs, workers

if TYPE_CHECKING:
    from bot.store.liveness.pg_notify import Listener

KEPT_S = 24 * 3600.0
"""Rows of workers that ended without a word are kept for so long."""


class WorkerLiveness:
    """A worker among the others. Each has a row; a lock, where the database lets us; and beats while it holds jobs."""

    def __init__(self, database: Database, name: str, clock: Clock) -> None:
        self.name = name
        """Of this worker, among all that share the database."""
        self._database = database
        self._clock = clock
        self._changed = asyncio.Event()
        file = database_file(database.engine.url)
        self._listener = self._new_listener() if database.on_server else None
        self._locks = FileLocks(file, name) if file else None
        # The end of a process alone sets a file's lock free, so that nothing is to be waited for.
        self._detector = FailureDetector(LOCK_GRACE_S if database.on_server else 0.0)
        self._blind_at = database.failed_at
        self._beats = 0
        self._appeared = False

    def wake(self) -> None:
        """Ends the `wait` of this process: something changed."""
        self._changed.set()

    async def wait(self, timeout_s: float) -> None:
        """Returns when something changed, or after the timeout, or when a dead worker may be detected.

        SQLite wakes nobody: a file has one process, but for a moment at deployments.
        """
        try:
            async with asyncio.timeout(min(timeout_s, self._detector.next_look_s(self._clock.monotonic()))):
                await self._changed.wait()
        except TimeoutError:
            return
        finally:
            self._changed.clear()

    async def appear(self) -> None:
        """From now on others can know when our process is gone."""
        if self._listener is not None:
            await self._listener.open()
        if self._locks is not None:
            self._locks.take()
        async with self._database.begin_write() as connection:
            await self.beat(connection, {})
        self._appeared = True

    async def beat(self, connection: AsyncConnection, spent: Mapping[str, Any]) -> None:
        """Shows that we live, and what our jobs used so far."""
        lock = self._locks or self._listener
        self._beats += 1
        values = {
            "beat": self._beats,
            "has_lock": lock is not None and lock.held,
            "spent": spent,
            "seen_at": self._clock.now(),
        }
        row = insert_into(connection, workers).values(worker=self.name, **values)
        await connection.execute(row.on_conflict_do_update(index_elements=[workers.c.worker], set_=values))

    async def gone(self) -> dict[str, Sight]:
        """Those who are, if it is time to look again. Reads only."""
        if self._blind_at != self._database.failed_at:
            # What we did not see of the others must not count against them.
            self._blind_at = self._database.failed_at
            self._detector.reset()
        if not self._detector.is_due(self._clock.monotonic()):
            return {}
        async with self._database.begin_read() as connection:
            seen = await _sights(connection, self.name, self._locks)
        return self._detector.look(self._clock.monotonic(), seen)

    def break_off(self) -> None:
        """Lets go of the connection that holds our lock, where the database does not answer."""
        if self._listener is not None:
            self._listener.break_off()

    async def disappear(self) -> None:
        """What we leave behind is taken over at once: our lock is free, and our row stays until then."""
        if self._listener is not None:
            await self._listener.close()
        try:
            if self._appeared:
                async with self._database.begin_write() as connection:
                    await _strike_off(connection, self.name, self._clock.now())
        finally:
            if self._locks is not None:
                self._locks.release()

    def _new_listener(self) -> "Listener":
        # psycopg takes some ten megabytes, which a bot on SQLite is not to pay for.
        from bot.store.liveness.pg_notify import Listener

        return Listener(self._database.engine, self.name, self._clock, self.wake)


async def _sights(connection: AsyncConnection, worker: str, locks: FileLocks | None) -> dict[str, Sight]:
    """All other workers that hold jobs. Reads only."""
    at_work = (
        sa.select(jobs.c.worker, sa.func.max(jobs.c.heartbeat_at).label("heartbeat_at"))
        .where(jobs.c.status == DOING, jobs.c.worker != worker)
        .group_by(jobs.c.worker)
        .subquery()
    )
    # A try, and shared, so that two who look at once do not take each other for the owner.
    is_free = sa.func.pg_try_advisory_xact_lock_shared(lock_key(at_work.c.worker))
    free = sa.case((workers.c.has_lock, is_free), else_=False) if on_postgresql(connection) else workers.c.has_lock
    look = sa.select(at_work.c.worker, at_work.c.heartbeat_at, workers.c.beat, free.label("free")).outerjoin_from(
        at_work, workers, workers.c.worker == at_work.c.worker
    )
    return {
        row.worker: Sight(row.beat, row.heartbeat_at, bool(row.free) and (locks is None or locks.is_free(row.worker)))
        for row in await connection.execute(look)
    }


async def _strike_off(connection: AsyncConnection, worker: str, now: float) -> None:
    """A worker that ends, unless it leaves jobs behind, and those who ended without doing so."""
    at_work = sa.exists().where(jobs.c.worker == workers.c.worker, jobs.c.status == DOING)
    ended = sa.or_(workers.c.worker == worker, workers.c.seen_at < now - KEPT_S)
    await connection.execute(sa.delete(workers).where(ended, ~at_work))
