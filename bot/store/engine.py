"""From DATABASE_URL to an engine: SQLite through aiosqlite, PostgreSQL through psycopg 3."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from bot.errors import StoreError

_BUSY_TIMEOUT_MS = 5_000
_CONNECT_TIMEOUT_S = 10
_POSTGRESQL_CONNECTIONS = 5

_FORMS = "sqlite:///typist.db or postgresql://user:password@host/database"


def create_engine(database_url: str) -> AsyncEngine:
    """An engine that has not connected yet. Raises StoreError for a URL that it can't use."""
    url = _parsed(database_url)
    match url.get_backend_name():
        case "sqlite":
            return _sqlite_engine(url.set(drivername="sqlite+aiosqlite"))
        # postgres:// is what platforms hand out.
        case "postgresql" | "postgres":
            return _postgresql_engine(url.set(drivername="postgresql+psycopg"))
    raise StoreError(f"DATABASE_URL names a database that Typist does not know. Use {_FORMS}.")


@contextmanager
def database_errors() -> Iterator[None]:
    """What goes wrong in the database or on the way to it comes out as StoreError."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise StoreError(
            f"The database can't be used: {_reason(error)}. "
            "Check DATABASE_URL, and that the database runs, is reachable and has room."
        ) from error


def _parsed(database_url: str) -> sa.URL:
    try:
        url = sa.make_url(database_url)
    except (ArgumentError, ValueError):
        # The error is not chained: it may quote a part of the password.
        raise StoreError(f"DATABASE_URL is not a database's URL. Use {_FORMS}.") from None
    if "@" in (url.host or ""):
        # Half of the password would be taken for the host, and be printed as such.
        raise StoreError("The password in DATABASE_URL has an @ in it: write %40 for it.")
    return url


def _reason(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    # What PostgreSQL adds as DETAIL may be a row's content.
    return " ".join(str(cause).partition("\nDETAIL")[0].split()).rstrip(".")


def _sqlite_engine(url: sa.URL) -> AsyncEngine:
    """One connection: SQLite has one writer anyway, and a database in memory is its connection's own."""
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"isolation_level": None},
        hide_parameters=True,
    )
    sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # FULL syncs at each commit: what Slack was told we have is there after a power cut, too.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # Others wait for a write lock that is taken at once; a reader who becomes a writer fails instead.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgresql_engine(url: sa.URL) -> AsyncEngine:
    # A pooler in transaction mode hands each transaction another connection: nothing is prepared on one.
    connect_args: dict[str, Any] = {"prepare_threshold": None}
    if "connect_timeout" not in url.query:
        connect_args["connect_timeout"] = _CONNECT_TIMEOUT_S
    return create_async_engine(
        url,
        pool_size=_POSTGRESQL_CONNECTIONS,
        max_overflow=0,
        connect_args=connect_args,
        use_native_hstore=False,
        hide_parameters=True,
    )
