"""Workers that share a database: how they show that they are alive, and how they observe, wake and message each other.

Each worker has a row, a heartbeat, and a lock that is released when it dies. On PostgreSQL, this is a session lock
(pg_notify.py). On SQLite, it is a locked file next to the database. The failure detector, which does no I/O and gets
the time from its caller, decides which other workers are dead.

A dead worker can't report its death, and a living one might be paused, slow or cut off from the database. The detector
therefore watches all workers that have jobs, and suspects a worker for one of two reasons:

- Its lock is free. The operating system or the server releases a process's lock at its death, so this is quick. A
  PostgreSQL restart releases all locks, so a free lock counts only after a grace period, during which a living worker
  would reconnect and send a heartbeat. A free file lock is certain and needs no grace period.
- It is silent: its heartbeat hasn't changed for SILENCE_S. Silence also reveals a process that is paused or can't reach
  the database. Such a worker stops editing after half that time (core/lease.py), so two workers never edit the same
  reply.

Clocks of different machines are never compared. A worker's silence is measured on this process's monotonic clock,
starting when this process first saw the worker's current heartbeat. If the detector hasn't observed anything for
MAX_GAP_S, this process might have been paused itself, or the database might have been unavailable. The detector then
discards its observations, and gives all workers their full time again. The takeover locks each row and checks its
heartbeat once more (claim.py).
"""

import asyncio
import fcntl
import logging
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import Clock
from bot.core.job import Job
from bot.errors import StoreError
from bot.store.database import (
    OWNER_ONLY,
    Database,
    Operations,
    channel,
    database_file,
    is_postgresql,
    lock_key,
    message_prefix,
    writes,
)
from bot.store.rows import has_jobs, is_running, upsert
from bot.store.schema import jobs, listening, workers

if TYPE_CHECKING:
    from bot.store.pg_notify import Listener


SILENCE_S = 8.0
"""A worker is considered dead if its heartbeat hasn't changed for this long."""
LOCK_GRACE_S = 1.5
"""The period in which a living worker should reconnect to a restarted PostgreSQL server and send a heartbeat."""
OBSERVE_EVERY_S = 0.25
CHECK_EVERY_S = 0.5
"""The interval between checks while other workers have jobs. The sooner a death is detected, the less the worker's jobs
are delayed."""
MAX_GAP_S = 3.0
"""Maximum time between observations. A process with longer gaps might have been paused."""


@dataclass(frozen=True, slots=True)
class Observation:
    beat: int | None
    lock_is_free: bool = False


@dataclass(slots=True)
class _WatchedWorker:
    observation: Observation
    unchanged_since_s: float
    free_since_s: float


class FailureDetector:
    def __init__(self, lock_grace_s: float = LOCK_GRACE_S) -> None:
        self._lock_grace_s = lock_grace_s
        self._watched: dict[str, _WatchedWorker] = {}
        self._observed_at_s = -math.inf

    def is_due(self, now_s: float) -> bool:
        return now_s - self._observed_at_s >= OBSERVE_EVERY_S

    def reset(self) -> None:
        self._watched.clear()

    def dead_workers(self, now_s: float, observations: Mapping[str, Observation]) -> dict[str, Observation]:
        """Returns the workers that have died. A worker that isn't in `observations` has no jobs anymore."""
        if now_s - self._observed_at_s > MAX_GAP_S:
            self.reset()
        self._observed_at_s = now_s
        self._watched = {worker: self._watch(worker, seen, now_s) for worker, seen in observations.items()}
        return {
            worker: watched.observation
            for worker, watched in self._watched.items()
            if now_s - watched.unchanged_since_s >= SILENCE_S or now_s - watched.free_since_s >= self._lock_grace_s
        }

    def _watch(self, worker: str, observation: Observation, now_s: float) -> _WatchedWorker:
        known = self._watched.get(worker)
        if known is None or known.observation.beat != observation.beat:
            return _WatchedWorker(observation, now_s, now_s if observation.lock_is_free else math.inf)
        free_since_s = min(known.free_since_s, now_s) if observation.lock_is_free else math.inf
        return _WatchedWorker(observation, known.unchanged_since_s, free_since_s)

    def next_check_s(self, now_s: float) -> float:
        """Returns the time until the next useful observation, or infinity while no other worker has a job."""
        if not self._watched:
            return math.inf
        suspected_s = min(watched.free_since_s for watched in self._watched.values()) + self._lock_grace_s - now_s
        return min(CHECK_EVERY_S, max(OBSERVE_EVERY_S, suspected_s))


class FileLocks:
    """Lock files of all workers on one database file. Raises OSError."""

    def __init__(self, database: Path, worker: str) -> None:
        # Resolved as SQLite does with its own files, because processes might use different names for one database.
        self._database = database.resolve()
        self._own_path = self._path(worker)
        self._file: int | None = None

    @property
    def is_held(self) -> bool:
        return self._file is not None

    def lock(self) -> None:
        for path in self._database.parent.glob(f"{escape(self._database.name)}-worker-*"):
            # A process that is just acquiring the file notices, because it is removed under its lock.
            with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as other:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
        while self._file is None:
            file = os.open(self._own_path, os.O_CREAT | os.O_RDWR, OWNER_ONLY)
            fcntl.flock(file, fcntl.LOCK_EX)
            if has_path(self._own_path, file):
                self._file = file
            else:
                # Another process mistook the file for a dead worker's and removed it before it was locked.
                os.close(file)

    def is_free(self, worker: str) -> bool:
        try:
            with self._path(worker).open("rb") as file:
                # Shared, so that two processes that try it at once don't mistake each other for the owner.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        if self._file is not None:
            self._own_path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def _path(self, worker: str) -> Path:
        return self._database.with_name(f"{self._database.name}-worker-{worker}")


def has_path(path: Path, file: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file).st_ino
    except FileNotFoundError:
        return False


HEARD_WITHIN_S = 60.0
"""Maximum time between two messages from Slack to a running process."""
ROWS_KEPT_S = 24 * 3600.0
"""The period for which a dead worker's row is kept if it has no jobs."""
MAX_PAYLOAD_BYTES = 7_900
"""Maximum size of a payload. PostgreSQL accepts less than 8,000 bytes."""

log = logging.getLogger(__name__)


class WorkerLiveness:
    """Represents this process as a worker. Only workers that have jobs send heartbeats, because idle workers aren't
    watched."""

    def __init__(self, database: Database, name: str, clock: Clock) -> None:
        self.name = name
        self.on_message: Callable[[str], None] = lambda _: None
        self._database = database
        self._clock = clock
        self._change = asyncio.Event()
        file = database_file(database.engine.url)
        self._listener = self._new_listener() if database.on_server else None
        self._locks = FileLocks(file, name) if file else None
        # A file lock is released only when its process ends, so a free one needs no grace period.
        self._detector = FailureDetector(LOCK_GRACE_S if database.on_server else 0.0)
        self._last_failure_at = database.failed_at
        self._beats = 0
        self._is_registered = False

    def wake(self) -> None:
        self._change.set()

    async def wake_others(self, connection: AsyncConnection, *where: sa.ColumnElement[bool]) -> None:
        if is_postgresql(connection):
            statement = sa.select(sa.func.pg_notify(channel(), self.name))
            await connection.execute(statement.select_from(jobs).where(*where).limit(1) if where else statement)

    async def wake_all(self, connection: AsyncConnection) -> None:
        """Makes every process, including this one, send a heartbeat soon, because any of them might have the job."""
        await self.wake_others(connection)
        self.wake()

    async def wait(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(min(timeout_s, self._detector.next_check_s(self._clock.monotonic()))):
                await self._change.wait()
        except TimeoutError:
            return
        finally:
            self._change.clear()

    async def register(self) -> None:
        """Acquires the lock and writes the row, so that other workers can detect this process's death."""
        if self._listener is not None:
            await self._listener.open()
        if self._locks is not None:
            self._locks.lock()
        async with self._database.begin_write() as connection:
            await self.send_heartbeat(connection)
        self._is_registered = True

    async def send_heartbeat(self, connection: AsyncConnection) -> None:
        lock = self._locks or self._listener
        self._beats += 1
        values = {
            "beat": self._beats,
            "has_lock": lock is not None and lock.is_held,
            "seen_at": self._clock.now(),
        }
        await upsert(connection, workers, {"worker": self.name}, values)

    async def dead_workers(self) -> dict[str, Observation]:
        """Returns the dead workers with jobs, or none if the next observation isn't due yet. Only reads."""
        if self._last_failure_at != self._database.failed_at:
            # A gap in this process's observations must not count against the others.
            self._last_failure_at = self._database.failed_at
            self._detector.reset()
        if not self._detector.is_due(self._clock.monotonic()):
            return {}
        async with self._database.begin_read() as connection:
            others = (await connection.execute(_OTHER_WORKERS[is_postgresql(connection)], {"me": self.name})).all()
            locks = self._locks
            observations = {
                row.worker: Observation(row.beat, bool(row.free) and (locks is None or locks.is_free(row.worker)))
                for row in others
            }
        return self._detector.dead_workers(self._clock.monotonic(), observations)

    def cancel(self) -> None:
        if self._listener is not None:
            self._listener.cancel()

    async def deregister(self) -> None:
        """Releases the lock, and deletes the row unless this worker still has jobs, which other workers will take
        over."""
        if self._listener is not None:
            await self._listener.close()
        try:
            if self._is_registered:
                # Also removes workers that died long ago. Rows with jobs are needed to take those over.
                ended = sa.or_(workers.c.worker == self.name, workers.c.seen_at < self._clock.now() - ROWS_KEPT_S)
                async with self._database.begin_write() as connection:
                    await connection.execute(sa.delete(workers).where(ended, ~has_jobs()))
        finally:
            if self._locks is not None:
                self._locks.release()

    def _new_listener(self) -> "Listener":
        # psycopg takes about ten megabytes, which a bot on SQLite shouldn't spend.
        from bot.store.pg_notify import Listener

        return Listener(self._database.engine, self.name, self._clock, self.wake, lambda text: self.on_message(text))


class WorkerOperations(Operations):
    def __init__(self, database: Database, worker: WorkerLiveness) -> None:
        super().__init__(database)
        self._worker = worker

    def _is_held(self, job: Job) -> sa.ColumnElement[bool]:
        """Returns whether this worker still has a job that it claimed. Fences the worker's writes to the job."""
        this = jobs.c.id == job.id, jobs.c.attempts == job.attempts, jobs.c.worker == self._worker.name
        return sa.and_(*this, is_running())


class ProcessMessages(WorkerOperations):
    """Sends messages from each process to all other running processes, through PostgreSQL's NOTIFY. Nothing is
    stored."""

    async def send(self, text: str) -> None:
        """Sends a message to all other reachable processes. Never raises."""
        payload = f"{message_prefix(self._worker.name)}{text}"
        if not self._database.on_server or len(payload.encode()) > MAX_PAYLOAD_BYTES:
            return
        try:
            await self._notify(payload)
        except StoreError as error:
            log.warning("other processes not notified: %s", error)

    def on_message(self, handler: Callable[[str], None]) -> None:
        self._worker.on_message = handler

    @writes
    async def _notify(self, connection: AsyncConnection, payload: str) -> None:
        await connection.execute(sa.select(sa.func.pg_notify(channel(), payload)))


async def living_workers(connection: AsyncConnection, file: Path | None, now: float) -> list[str]:
    """Returns the names of the running workers that use a database. If a pooler doesn't support locks, a worker is
    considered running if it received something from Slack within HEARD_WITHIN_S. An in-memory database is used only by
    workers of this process. `file`: the database's path, or None if the database isn't a file."""
    if not is_postgresql(connection):
        locks = FileLocks(file, "") if file else None
        names = await connection.scalars(sa.select(workers.c.worker))
        return [name for name in names if locks is None or not locks.is_free(name)]
    is_held = ~sa.func.pg_try_advisory_xact_lock_shared(lock_key(workers.c.worker))
    is_heard = sa.exists().where(listening.c.heard_at > now - HEARD_WITHIN_S)
    lives = sa.case((workers.c.has_lock, is_held), else_=is_heard)
    return list(await connection.scalars(sa.select(workers.c.worker).where(lives)))


def _other_workers_query(*, on_server: bool) -> sa.Select[tuple[str, int, bool]]:
    at_work = sa.select(jobs.c.worker).distinct().where(is_running(), jobs.c.worker != sa.bindparam("me")).subquery()
    # Shared, so that two processes that try it at once don't mistake each other for the owner.
    is_free = sa.func.pg_try_advisory_xact_lock_shared(lock_key(at_work.c.worker))
    free = sa.case((workers.c.has_lock, is_free), else_=False) if on_server else workers.c.has_lock
    return sa.select(at_work.c.worker, workers.c.beat, free.label("free")).outerjoin_from(
        at_work, workers, workers.c.worker == at_work.c.worker
    )


_OTHER_WORKERS = {on_server: _other_workers_query(on_server=on_server) for on_server in (False, True)}
"""Built only once, because one of these statements is executed about once a second."""
