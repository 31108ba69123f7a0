"""Gives new databases of a test process their tables without creating them again.

That would take 50 ms for each of 2,000 databases, so tables are created once per process and kind of database. The
result is copied into each new SQLite file and each database in memory when the process connects to it, and into each
schema of tests.contracts.databases. Tests that need an empty database are marked `empty_database`. Processes that tests
start always create their own.
"""

import functools
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection

from bot.store.migrate import upgrade

_fill_new_databases = True


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "empty_database: the databases of this test are empty until it migrates them")


def pytest_runtest_setup(item: pytest.Item) -> None:
    global _fill_new_databases
    _fill_new_databases = item.get_closest_marker("empty_database") is None


@sa.event.listens_for(sa.Engine, "do_connect")
def _fill_new_file(dialect: sa.Dialect, _record: object, arguments: Sequence[Any], _options: object) -> None:
    if not _fill_new_databases or dialect.driver != "aiosqlite":
        return
    path = Path(arguments[0])
    if str(path).startswith((":memory:", "file:")) or path.exists() or not path.parent.is_dir():
        return
    with tempfile.NamedTemporaryFile(dir=path.parent) as file:
        file.write(_sqlite_file())
        file.flush()
        # Several connections may create the file at once. The first one's file stays.
        with suppress(FileExistsError):
            os.link(file.name, path)


@sa.event.listens_for(sa.Engine, "connect")
def _fill_memory(connection: Any, _record: object) -> None:
    if _fill_new_databases and isinstance(connection, AsyncAdapt_aiosqlite_connection):
        cursor = connection.cursor()
        cursor.execute("SELECT file FROM pragma_database_list WHERE name = 'main'")
        row = cursor.fetchone()
        cursor.close()
        if row == ("",):
            connection.run_async(lambda aio: aio._execute(aio._conn.deserialize, _sqlite_file()))


def fill_schema(connection: psycopg.Connection, name: str, server_url: str) -> None:
    if _fill_new_databases:
        connection.execute(f"SET search_path = {name}".encode())
        connection.execute(_postgresql_script(server_url))


@functools.cache
def _sqlite_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "migrated.db"
        with sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool).begin() as connection:
            upgrade(connection)
        return path.read_bytes()


@functools.cache
def _postgresql_script(server_url: str) -> bytes:
    """Returns all statements that create the tables, recorded in a separate schema."""
    statements: list[str] = []
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA migrated")
    url = sa.make_url(server_url).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"options": "-c search_path=migrated"})

    @sa.event.listens_for(engine, "before_cursor_execute")
    def keep(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().startswith("CREATE"):
            statements.append(statement)

    with engine.begin() as migrating:
        revision = upgrade(migrating)
    return ";\n".join([*statements, f"INSERT INTO alembic_version VALUES ('{revision}')"]).encode()
