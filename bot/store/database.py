"""Opens the database, and runs the operations of the store's classes (`Operations`).

`create_engine` creates an engine for DATABASE_URL: SQLite through aiosqlite, PostgreSQL through psycopg 3. Only
PostgreSQL has advisory locks and notifications between processes. Locks and notifications belong to a database, not to
a schema, so their names contain the schema's name.

A method decorated with `reads` or `writes` is one transaction. It receives a connection, which callers don't pass:

    class Notifications(Operations):
    @writes
    async def claim(self, connection: AsyncConnection, team_id: str, ...) -> bool: ...

    await notifications.claim("T1", ...)

A method with several transactions is decorated with `completes`, and gets its connections from `begin_read` and
`begin_write`. `writes_unsynced` doesn't wait for the disk, which takes most of a small transaction's time. Such writes
survive a killed process, but a power cut can undo them until a later transaction is synced. All operations guarantee
the following:

- **An operation continues even if its caller is canceled.** It runs in a separate task, and the caller waits for the
  task through `asyncio.shield`. Otherwise, a driver that is canceled during a statement wouldn't know what the server
  did, so SQLAlchemy would drop the connection, and an in-memory SQLite database with it. Cancellations are common: Stop
  cancels an attempt, and heartbeats time out.
- **An operation has a time limit.** On PostgreSQL, it fails after ANSWER_WITHIN_S, because a hanging server keeps its
  connections open. The server's lock_timeout and the pool's timeout are shorter, so that they can report more specific
  errors first. A SQLite file, which is on this machine, uses busy_timeout instead. Erasure has no limit
  (`completes(bounded=False)`).
- **A failure is raised as a StoreError.** `failed_at` is the time of the last failure. Events that this process missed
  since then must not be held against other workers (workers.py), and Slack calls since then must not be treated as
  never made (rate_ledger.py).
- **A failed write is remembered** until the same write succeeds for the same job, or nobody has retried it for
  FAILING_S. When the disk is full, some writes fail while others, such as a probe's, succeed. Answers don't rely on
  this: they wait for their own writes, retrying every few seconds.

The database is closed in steps (stores.py), so that nothing waits for a hanging server: `refuse_new_operations`, then
`wait_for_operations` for a limited time, `cancel_operations` for the remaining operations, and `dispose`.

Requests by many callers that arrive while a transaction is running can share the next one (`GroupCommit`).
"""

import asyncio
import logging
import math
import os
import re
import sqlite3
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from contextvars import Context
from functools import partial, wraps
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SAWarning, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from bot.clock import Clock
from bot.errors import SettingsError, StoreAway, StoreClosed, StoreError
from bot.logs import current_job
from bot.store.schema import channel_settings, metadata

if TYPE_CHECKING:
    import aiosqlite
    import psycopg

_BUSY_TIMEOUT_MS = 5_000
_MODE_RETRY_S = 0.02
_POSTGRESQL_CONNECTIONS = 5
_SQLITE_READERS = 4
"""The number of read-only connections to a SQLite file. When two hundred answers begin at once, their reads take
seconds. If there were only one connection, heartbeats and calls to Slack would have to wait for these reads."""
_POOL_TIMEOUT_S = 8.0
"""Time limit for getting a connection from the pool. When two hundred answers begin at once, their operations wait for
seconds, and retries would make the queue longer. Slack redelivers an event that waits this long, which has no
effect."""
_FIRST_ANSWER_S = 5.0
"""Time limit for a new connection's first statements. A pooler in session mode accepts more connections than it can
serve, and keeps the rest waiting for minutes."""
_DROP_AFTER_S = 1.0
_CONNECTION = {
    "connect_timeout": 5,
    # Detects a server that vanished without closing the connection within 20 s.
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    # psycopg would return bytes from a database in SQL_ASCII, which a server set up without a locale uses.
    "client_encoding": "utf8",
}
_SESSION = (
    # Limit the wait for locks. A process that is paused in a transaction loses the transaction and its locks.
    b"SET lock_timeout = '5s'",
    b"SET idle_in_transaction_session_timeout = '5s'",
)

READS = "typist_reads"
"""The execution option for read-only transactions. On SQLite, such transactions don't wait for writers."""
UNSYNCED = "typist_unsynced"
"""The execution option for transactions that don't wait for the disk, which means that a power cut can undo them."""
OWNER_ONLY = 0o600
_IDENTITY = "identity"
_SYNCHRONOUS = "synchronous"
"""The key under which a connection's `info` stores SQLite's `synchronous` setting, which outlasts a transaction."""

_ENCODING_HINT = "In the user and the password, write % as %25, @ as %40, / as %2F, : as %3A, # as %23 and ? as %3F."
_STRAY_AT = f"DATABASE_URL contains @ in another place than before the host. {_ENCODING_HINT}"
_URL_FORMS = "sqlite:///typist.db or postgresql://user:password@host/database"
_SEVERAL_HOSTS = re.compile(
    r"(?P<start>postgres\w*(?:\+\w+)?://(?:[^@/?#]*@)?)(?P<hosts>[\w.-]*(?::\d+)?(?:,[\w.-]*(?::\d+)?)+)"
    r"(?P<path>/[^?@]*)?(?:\?(?P<query>[^@]*))?"
)
_ERRNO = re.compile(r"\[Errno -?\d+\] ")


def create_engine(database_url: str | sa.URL) -> AsyncEngine:
    """Returns an engine that connects on first use. Raises SettingsError for an unusable URL."""
    try:
        url = sa.make_url(_with_separate_hosts(database_url) if isinstance(database_url, str) else database_url)
        if url.get_backend_name() != "sqlite" and (str(database_url).count("@") > 1 or "@" in (url.database or "")):
            # Part of the password would be parsed as the host or database, and printed.
            raise SettingsError([_STRAY_AT])
        match url.get_backend_name():
            case "sqlite":
                if isinstance(database_url, str):
                    _check_path(database_url, url)
                return _sqlite_engine(url.set(drivername="sqlite+aiosqlite"))
            # Some platforms provide URLs that begin with postgres://.
            case "postgresql" | "postgres":
                return _postgresql_engine(url.set(drivername="postgresql+psycopg"))
    except (ArgumentError, ValueError):
        # Not chained: the error might quote part of the password.
        raise SettingsError([f"DATABASE_URL is not a database's URL. Use {_URL_FORMS}. {_ENCODING_HINT}"]) from None
    raise SettingsError([f"DATABASE_URL names a database that Typist doesn't support. Use {_URL_FORMS}."])


def _with_separate_hosts(url: str) -> str:
    """Converts a URL with several hosts and ports from PostgreSQL's format to SQLAlchemy's."""
    found = _SEVERAL_HOSTS.fullmatch(url)
    if not found:
        return url
    hosts = "&".join(f"host={host}" for host in found["hosts"].split(","))
    return f"{found['start']}{found['path'] or '/'}?{hosts}{'&' if found['query'] else ''}{found['query'] or ''}"


def _check_path(database_url: str, url: sa.URL) -> None:
    """Raises SettingsError if a SQLite URL would open a different file than its path suggests."""
    if url.host:
        raise SettingsError([f"DATABASE_URL must have three slashes before the file, as in {_URL_FORMS}."])
    if database_url.partition("?")[2] and not url.query:
        raise SettingsError(["DATABASE_URL has a ? in the file's name. Write it as %3F, and % as %25."])


async def database_time(engine: AsyncEngine, clock: Clock) -> float:
    """Returns the server's time, because the clocks of processes can differ. For SQLite, returns this machine's
    time."""
    if engine.dialect.name != "postgresql":
        return clock.now()
    async with engine.connect() as connection:
        now = sa.extract("epoch", sa.func.clock_timestamp())
        return float((await connection.scalars(sa.select(now))).one())


def connection_arguments(engine: AsyncEngine) -> dict[str, Any]:
    _, arguments = engine.dialect.create_connect_args(engine.url)
    return {**_default_options(engine.url), **arguments}


class NoConnection(TimeoutError):
    """A server accepted a connection but doesn't respond, for example a pooler without a free connection."""


@contextmanager
def database_errors() -> Iterator[None]:
    """Converts database, driver and network errors to StoreError. The block must only use the database."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        kind = StoreAway if _is_unreachable(error) else StoreError
        raise kind(f"The database can't be used: {reason_of(error)}. {remedy_for(error)}") from error


@asynccontextmanager
async def connected(database_url: str | sa.URL) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url)
    try:
        # Errors aren't translated here: the block might also print, and a closed stdout isn't the database's fault.
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def limit_time(limit_s: float | None, drop_after_s: float = _DROP_AFTER_S) -> AsyncIterator[None]:
    """Raises TimeoutError if the block takes longer than `limit_s`. If the block still hasn't ended `drop_after_s`
    later, drops the connection."""
    # The inner timeout makes psycopg ask the server to cancel, which takes up to ten seconds. The outer one ends that.
    async with asyncio.timeout(limit_s and limit_s + drop_after_s), asyncio.timeout(limit_s):
        yield


def database_file(url: sa.URL) -> Path | None:
    in_file = url.get_backend_name() == "sqlite" and url.database and not url.database.startswith((":memory:", "file:"))
    return Path(url.database) if in_file and url.database else None


_OMITTED_ENDINGS = (
    "\nDETAIL",
    "\nCONTEXT",
    "\nLINE ",
    "\n\tIs the server running",
    "\nEither provide the file",
    "\nMultiple connection",
)
"""Endings of PostgreSQL messages that are left out: a row, a function, the statement, a question, or advice to skip
certificate checks."""


_NEXT_ERROR = re.compile(r"\n(?:- host: .*?, hostaddr: \S+: )?(?=conn)")
"""Precedes each subsequent error if the client has tried several hosts, or has tried to connect both with and without
TLS."""


def reason_of(error: Exception) -> str:
    """Returns the message of a database, driver or network error, without values from rows."""
    if isinstance(error, PoolTimeout):
        return f"all connections were busy for {_POOL_TIMEOUT_S:.0f} s"
    if isinstance(error, NoConnection):
        return f"the server or its pooler accepted a connection, and gave none for {_FIRST_ANSWER_S:.0f} s"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    cause = error.orig if isinstance(error, DBAPIError) else error
    message = str(cause)
    if not getattr(cause, "sqlstate", None):
        message = min(_NEXT_ERROR.split(message), key=_connection_stage)
    for addition in _OMITTED_ENDINGS:
        message = message.partition(addition)[0]
    return " ".join(_ERRNO.sub("", message).split()).rstrip(".")


_CONNECTIONS_FIX = "A process of Typist takes up to six connections: allow the user, or the pooler, more."
_SILENT_FIX = f"Check the server, and a firewall or a pooler before it. {_CONNECTIONS_FIX}"
_SCHEMA_FIX = (
    "Have an administrator run this in the database, with DATABASE_URL's user for ROLE: "
    "CREATE SCHEMA typist AUTHORIZATION ROLE; ALTER ROLE ROLE SET search_path = typist;"
)
_CERTIFICATE_FIX = (
    "sslrootcert in DATABASE_URL must be a file with the certificate of the server's authority. For a public "
    "authority, use the system's file, such as /etc/ssl/certs/ca-certificates.crt."
)
_REFUSED_CERTIFICATE_FIX = f"Check that the server's certificate hasn't expired. {_CERTIFICATE_FIX}"
_HOST_FIX = (
    "Write the host in DATABASE_URL as the certificate has it. If that name doesn't resolve, add hostaddr=ADDRESS with "
    "the server's address."
)
_NO_TLS_FIX = "Turn TLS on in the server, or in the pooler before it, because DATABASE_URL's sslmode requires it."
_RULES_FIX = (
    "Check the user and the database in DATABASE_URL, or have the server's pg_hba.conf allow them. "
    "With 'no encryption' in the message, the server wants TLS: DATABASE_URL needs sslmode=require."
)
_PASSWORD_FIX = f"Check the user and the password in DATABASE_URL. {_ENCODING_HINT}"
_OPTION_FIX = (
    "Correct it in DATABASE_URL, or remove it: options of other programs, such as pgbouncer=true or schema=public, are "
    "not PostgreSQL's."
)
_LOGIN_FIX = (
    "Have an administrator allow it, with DATABASE_URL's user for ROLE and its database for NAME: "
    "ALTER ROLE ROLE LOGIN; GRANT CONNECT ON DATABASE NAME TO ROLE;"
)
_LIMIT_FIX = (
    "Have an administrator raise this limit, with DATABASE_URL's user for ROLE: "
    "ALTER ROLE ROLE SET statement_timeout = '15s'; ALTER ROLE ROLE SET transaction_timeout = 0;"
)
_READ_ONLY_DISK_FIX = (
    "If its disk is mounted read-only, back it up (typist backup FILE), and mount the disk for writing."
)
READ_ONLY = "25006"
_REMEDIES = {
    READ_ONLY: "The database is read-only: its disk might be full, or it is a standby. The server's log shows why.",
    "28P01": _PASSWORD_FIX,
    "3F000": "Create the schema in search_path, or correct search_path.",
    "42501": "Have the user in DATABASE_URL own its schema and all tables. company.md in Typist's docs shows how.",
    "53100": "Make room on the disk of the database's server, or in the tablespace of its tables.",
    "53300": _CONNECTIONS_FIX,
    "55P03": "Another session uses the table, such as a backup or an open transaction. Try again once it has ended.",
    "SQLITE_READONLY": f"Let Typist's user write to the file in DATABASE_URL and to its folder. {_READ_ONLY_DISK_FIX}",
    "SQLITE_BUSY": "Another program holds it. End that program, and try again.",
    "SQLITE_FULL": "Make room on the disk of the file in DATABASE_URL.",
    "SQLITE_CORRUPT": "Restore a backup: typist restore FILE.",
    "SQLITE_NOTADB": "Correct the file in DATABASE_URL, or restore a backup: typist restore FILE.",
}
_REMEDIES_BY_TEXT = {
    "read-only file system": _READ_ONLY_DISK_FIX,
    "denied for schema": _SCHEMA_FIX,
    "connection slots": _CONNECTIONS_FIX,
    "too many connections": _CONNECTIONS_FIX,
    "too many clients": _CONNECTIONS_FIX,
    "no more connections": _CONNECTIONS_FIX,
    "max clients": _CONNECTIONS_FIX,
    "query_wait_timeout": _CONNECTIONS_FIX,
    "authentication failed": _PASSWORD_FIX,
    "no password supplied": _PASSWORD_FIX,
    "pg_hba.conf": _RULES_FIX,
    "root certificate": _CERTIFICATE_FIX,
    "certificate verify failed": _REFUSED_CERTIFICATE_FIX,
    "does not match host name": _HOST_FIX,
    "does not support ssl": _NO_TLS_FIX,
    "not permitted to log in": _LOGIN_FIX,  # prose: PostgreSQL's words
    "permission denied for database": _LOGIN_FIX,
    "statement timeout": _LIMIT_FIX,
    "transaction timeout": _LIMIT_FIX,
    "invalid connection option": _OPTION_FIX,
    "invalid sslmode value": _OPTION_FIX,
    "invalid port number": _OPTION_FIX,
    "bad value for": _OPTION_FIX,
    "configuration parameter": _OPTION_FIX,
    "command-line argument": _OPTION_FIX,
    "already exists": "It belongs to another program or an unreleased version. Use a new database in DATABASE_URL.",
    "timeout expired": _SILENT_FIX,
    "does not answer": _SILENT_FIX,
}
"""Remedies for errors without a code, keyed by text in the error. Errors from the latest stage of connecting come
first. The client reports no codes while it is connecting, and poolers have their own codes."""
_REMEDY = "Check DATABASE_URL, and that the database runs, is reachable and has room."


def _connection_stage(error: str) -> tuple[bool, int]:
    """Returns a sort key for a connection error. If several attempts failed, the error in the latest stage is the
    actual problem."""
    text = error.lower()
    # A server that refused TLS for another reason reports the attempt without TLS as "no encryption".
    is_of_server = "fatal:" in text and "no encryption" not in text
    return not is_of_server, next(
        (at for at, words in enumerate(_REMEDIES_BY_TEXT) if words in text), len(_REMEDIES_BY_TEXT)
    )


def _is_unreachable(error: Exception) -> bool:
    """Returns whether no server responds or the server isn't ready. Excludes errors from a server that is ready."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code, text = getattr(cause, "sqlstate", None), reason_of(error).lower()
    is_by_network = type(cause).__name__ in ("OperationalError", "ConnectionTimeout") and not code
    if isinstance(cause, sqlite3.Error) or not (is_by_network or code == "57P03"):
        return False
    is_unready = "the database system is" in text
    return is_unready or ("fatal:" not in text and remedy_for(error) in (_REMEDY, _SILENT_FIX))


def remedy_for(error: Exception) -> str:
    if isinstance(error, NoConnection):
        return _CONNECTIONS_FIX
    cause = error.orig if isinstance(error, DBAPIError) else error
    # The third word of a code such as SQLITE_BUSY_SNAPSHOT only shows where SQLite detected the error.
    code = "_".join(str(getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", "")).split("_")[:2])
    text = reason_of(error).lower()
    return next((fix for words, fix in _REMEDIES_BY_TEXT.items() if words in text), "") or _REMEDIES.get(code, _REMEDY)


async def encoding_problem(connection: AsyncConnection) -> str:
    encoding = await connection.scalar(sa.text("SHOW server_encoding")) if is_postgresql(connection) else "UTF8"
    # SQL_ASCII stores bytes unchanged, and we send UTF-8.
    if encoding in ("UTF8", "SQL_ASCII"):
        return ""
    return f"The database's encoding is {encoding}, which can't hold all text."


ENCODING_FIX = "Create one in UTF-8: CREATE DATABASE typist ENCODING 'UTF8' TEMPLATE template0."


def _sqlite_engine(url: sa.URL, connections: int = 1) -> AsyncEngine:
    """Returns an engine with a single connection, because SQLite has only one writer and each in-memory connection
    opens a new database."""
    try:
        with warnings.catch_warnings():
            # For options that the driver doesn't know. A value that it can't parse is a ValueError.
            warnings.simplefilter("error", SAWarning)
            engine = create_async_engine(
                url,
                poolclass=AsyncAdaptedQueuePool,
                pool_size=connections,
                max_overflow=0,
                pool_timeout=_POOL_TIMEOUT_S,
                connect_args={"isolation_level": None},
                hide_parameters=True,
            )
    except (SAWarning, ValueError) as error:
        names = ", ".join(sorted(url.query))
        problem = f"DATABASE_URL has options, or values of them, that SQLite doesn't take: {names}."
        raise SettingsError([f"{problem} Correct or remove them."]) from error
    except FileNotFoundError as error:
        raise StoreError("The current directory doesn't exist anymore. Change to another one.") from error
    file = database_file(url)
    if file is not None:
        sa.event.listen(engine.sync_engine, "do_connect", partial(_prepare_file, file))
        sa.event.listen(engine.sync_engine, "connect", partial(_record_identity, file))
        sa.event.listen(engine.sync_engine, "begin", partial(_check_identity, file))
    sa.event.listen(engine.sync_engine, "connect", lambda connection, _: connection.run_async(_configure_sqlite))
    sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _reader_of(engine: AsyncEngine) -> AsyncEngine:
    if engine.dialect.name != "sqlite" or database_file(engine.url) is None:
        return engine
    reader = _sqlite_engine(engine.url, _SQLITE_READERS)
    sa.event.listen(engine.sync_engine, "engine_disposed", lambda _: reader.sync_engine.dispose())
    return reader


def _prepare_file(file: Path, _dialect: object, _record: object, arguments: list[Any], named: dict[str, Any]) -> None:
    """Creates a file that only its owner can access. If that fails, raises StoreError with the reason, which SQLite
    doesn't report."""
    file = file.absolute()
    arguments[0], named["uri"] = sqlite_uri(file), True
    if file.is_dir():
        raise StoreError(f"DATABASE_URL names the directory {file}. Add the name of a file, such as typist.db.")
    if file.exists() and not file.is_file():
        raise StoreError(f"DATABASE_URL points to {file}, which is a device or a pipe. Use a file.")
    if not file.parent.is_dir():
        raise StoreError(f"The directory {file.parent} in DATABASE_URL doesn't exist. Create it, or name another one.")
    # SQLite and Typist create further files next to the database, but reading must work on a read-only disk.
    needed = os.R_OK if _is_on_read_only_disk(file) else os.R_OK | os.W_OK
    for path in (file.parent, file):
        if path.exists() and not os.access(path, needed):
            raise StoreError(f"{path} can't be written to. Change its permissions, or DATABASE_URL.")
    # Closing the file would release the locks of the process's other connections to it, and another process would take
    # the database for unused: https://sqlite.org/howtocorrupt.html, 2.2.
    if not file.exists():
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, OWNER_ONLY))


def _is_on_read_only_disk(file: Path) -> bool:
    return file.parent.is_dir() and bool(os.statvfs(file.parent).f_flag & os.ST_RDONLY)


def sqlite_uri(file: Path, mode: str = "rw") -> str:
    """Returns a file's URI. On a read-only disk, SQLite opens a file without a log only if the URI is immutable."""
    file = file.resolve()
    has_log = file.with_name(f"{file.name}-wal").exists()
    return f"file:{quote(str(file))}?mode={mode}{'&immutable=1' if _is_on_read_only_disk(file) and not has_log else ''}"


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _record_identity(file: Path, _connection: object, record: Any) -> None:
    record.info[_IDENTITY] = _identity(file)


def _check_identity(file: Path, connection: sa.Connection) -> None:
    """Raises StoreError before a write if the database file was moved, because no later process would find the data."""
    is_reading = connection.get_execution_options().get(READS)
    if not is_reading and connection.info[_IDENTITY] != _identity(file):
        raise StoreError(
            f"{file.absolute()} is not the file that this process opened: it was moved, deleted or replaced since. "
            "Put it back with the files beside it, or restart Typist."
        )


async def _configure_sqlite(connection: "aiosqlite.Connection") -> None:
    await connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    await _turn_on_write_ahead_log(connection)
    await connection.execute("PRAGMA foreign_keys = ON")
    # Overwrite deleted content, so that erased text can't be found in free pages.
    await connection.execute("PRAGMA secure_delete = ON")


async def _turn_on_write_ahead_log(connection: "aiosqlite.Connection") -> None:
    """Turns on SQLite's write-ahead log, even if several processes open a new file at once."""
    given_up_at_s = monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            await connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # Two processes that change the mode would wait for each other forever, so SQLite refuses one immediately.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > given_up_at_s:
                raise
            await asyncio.sleep(_MODE_RETRY_S)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that takes the write lock at once waits for it. One that began as a reader would fail instead.
    options = connection.get_execution_options()
    if options.get(READS):
        connection.exec_driver_sql("BEGIN")
        return
    # FULL waits for the disk at each commit (0.3 to 2.7 ms), so that an acknowledged event survives a power cut.
    synchronous = "NORMAL" if options.get(UNSYNCED) else "FULL"
    if connection.info.get(_SYNCHRONOUS) != synchronous:
        connection.exec_driver_sql(f"PRAGMA synchronous = {synchronous}")
        connection.info[_SYNCHRONOUS] = synchronous
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_postgresql(connection: sa.Connection) -> None:
    if connection.get_execution_options().get(UNSYNCED):
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")


def _postgresql_engine(url: sa.URL) -> AsyncEngine:
    # A pooler in transaction mode gives each transaction another connection, which lacks the prepared statements.
    connect_args = {"prepare_threshold": None} | _default_options(url)
    engine = create_async_engine(
        url,
        pool_size=_POSTGRESQL_CONNECTIONS,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_S,
        pool_pre_ping=True,
        # Set explicitly, because a stricter server default would refuse concurrent transactions.
        isolation_level="READ COMMITTED",
        connect_args=connect_args,
        use_native_hstore=False,
        hide_parameters=True,
    )
    # Raises ArgumentError for options that no connection accepts.
    connection_arguments(engine)
    sa.event.listen(engine.sync_engine, "do_connect", _connect_postgresql)
    sa.event.listen(engine.sync_engine, "begin", _begin_postgresql)
    sa.event.listen(engine.sync_engine, "handle_error", _drop_standby_connections)
    return engine


def _drop_standby_connections(context: sa.ExceptionContext) -> None:
    """Drops all connections if one of them is read-only. After a failover, new connections can reach the writable
    server."""
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True


def _default_options(url: sa.URL) -> dict[str, Any]:
    return {name: value for name, value in _CONNECTION.items() if name not in url.query}


def _connect_postgresql(dialect: sa.Dialect, _record: object, arguments: list[Any], named: dict[str, Any]) -> Any:
    # Runs before SQLAlchemy's own first statements, whose wait has no limit.
    connection: Any = dialect.connect(*arguments, **named)
    connection.run_async(_prepare_postgresql)
    return connection


async def _prepare_postgresql(connection: "psycopg.AsyncConnection[Any]") -> None:
    """Sets up a session. Raises NoConnection if the server doesn't respond."""
    try:
        async with limit_time(_FIRST_ANSWER_S):
            for statement in _SESSION:
                await connection.execute(statement)
            await connection.commit()
    except BaseException as error:
        await connection.close()
        if isinstance(error, TimeoutError):
            raise NoConnection from error
        raise
    # With a pooler, a connection can receive notifications that another client listens for, and would store them.
    connection.add_notify_handler(lambda _notify: None)


MESSAGE_PREFIX = "said "
"""The prefix of a notification that contains a message to other processes (ProcessMessages). Any other notification
only wakes them."""


def is_postgresql(connection: AsyncConnection) -> bool:
    return connection.dialect.name == "postgresql"


async def acquire_lock(connection: AsyncConnection, name: str) -> None:
    """Makes transactions that lock the same name run one at a time across all processes. Does nothing on SQLite, which
    has only one writer."""
    if is_postgresql(connection):
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock_key(name))))


def lock_key(name: str | sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    return sa.func.hashtextextended(sa.func.concat("typist ", sa.func.current_schema(), " ", name), 0)


def channel() -> sa.ColumnElement[str]:
    """Returns the name of our NOTIFY channel. The schema's name is hashed because channel names are short."""
    return sa.literal("typist_") + sa.func.md5(sa.func.current_schema())


def message_prefix(worker: str) -> str:
    return f"{MESSAGE_PREFIX}{worker} "


P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="Operations")

log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 10.0
_VALUE_ERRORS = DataError, IntegrityError
FAILING_S = 60.0
"""The period in which a failed write is remembered. It is longer than an operation plus the delay before a retry."""
DISPOSE_WITHIN_S = 0.3


class Database:
    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self.engine = engine
        self.on_server = engine.dialect.name == "postgresql"
        self.failed_at = -math.inf
        """When an operation last failed, on the monotonic clock."""
        self._reader = _reader_of(engine).execution_options(**{READS: True})
        self._unsynced = engine.execution_options(**{UNSYNCED: True})
        self.clock = clock
        self.limit_s = ANSWER_WITHIN_S if self.on_server else None
        self._operations: set[asyncio.Task[Any]] = set()
        self._failing: dict[tuple[str, int | None], tuple[float, StoreError]] = {}
        self._is_closed = False

    async def read(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Returns the result of `work` in a read-only transaction, which doesn't wait for writers on SQLite."""
        return await self.complete(_run_in_transaction(self.begin_read(), work))

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]], *, synced: bool = True, name: str = "") -> T:
        return await self.complete(_run_in_transaction(self.begin_write(synced=synced), work), name=name)

    async def complete(self, operation: Coroutine[Any, Any, T], *, bounded: bool = True, name: str = "") -> T:
        """Runs an operation to completion even if the caller is canceled. `name`: identifies the operation in `check`
        if it fails."""
        key = name, current_job.get()

        async def run() -> T:
            try:
                with database_errors():
                    async with limit_time(self.limit_s if bounded else None):
                        result = await operation
            except StoreError as error:
                self.failed_at = self.clock.monotonic()
                if name and not isinstance(error.__cause__, _VALUE_ERRORS):
                    self._failing[key] = self.failed_at, error
                raise
            self._failing.pop(key, None)
            return result

        if self._is_closed:
            operation.close()
            raise StoreClosed("the store is closed, because this process is ending")
        task = asyncio.create_task(run())
        self._operations.add(task)
        task.add_done_callback(self._on_operation_end)
        return await asyncio.shield(task)

    def begin_read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._reader.begin()

    def begin_write(self, *, synced: bool = True) -> AbstractAsyncContextManager[AsyncConnection]:
        """Begins a transaction. Raises SQLAlchemy's errors. `synced`: whether the commit waits for the disk."""
        return (self.engine if synced else self._unsynced).begin()

    async def check(self) -> None:
        """Raises StoreError if a table or column is missing, a row can't be written, or a recent write is failing. The
        row is committed, because only then does SQLite notice a full disk. Recent failures count too, because even a
        full disk might have room for one row."""
        await self.write(_check_tables, synced=False)
        since = self.clock.monotonic() - FAILING_S
        self._failing = {key: failed for key, failed in self._failing.items() if failed[0] > since}
        for _, error in self._failing.values():
            raise StoreError(str(error))

    async def truncate_log(self) -> None:
        """Empties SQLite's log, which would keep erased text. Does nothing on a server."""
        if self.on_server:
            return
        async with self.engine.connect() as connection:
            sqlite = (await connection.get_raw_connection()).driver_connection
            assert sqlite is not None
            # Most of it is written before the lock is taken, so writers only wait for the rest.
            for mode in ("PASSIVE", "TRUNCATE"):
                async with sqlite.execute(f"PRAGMA wal_checkpoint({mode})") as result:
                    is_busy, *_ = await result.fetchone()
        if is_busy:
            log.warning("erasure: SQLite's log not emptied, because it is in use; the next hour's retention does it")

    async def overwrite_deleted_rows(self) -> None:
        """Overwrites the data of deleted rows, including copies in SQLite's log and in pages from which rows were
        moved."""
        try:
            async with self.engine.connect() as connection:
                if self.on_server:
                    at_once = await connection.execution_options(isolation_level="AUTOCOMMIT")
                    tables = ", ".join(table.name for table in metadata.sorted_tables)
                    await at_once.exec_driver_sql(f"VACUUM {tables}")
                else:
                    sqlite = (await connection.get_raw_connection()).driver_connection
                    assert sqlite is not None
                    await (await sqlite.execute("VACUUM")).close()
        except (SQLAlchemyError, sqlite3.Error) as error:
            log.warning("erasure: VACUUM failed, the database overwrites the rest later: %s", reason_of(error))
        await self.truncate_log()

    def refuse_new_operations(self) -> None:
        self._is_closed = True

    async def wait_for_operations(self) -> None:
        if self._operations:
            await asyncio.wait(self._operations)

    def cancel_operations(self) -> None:
        for task in self._operations:
            task.cancel()

    async def dispose(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(DISPOSE_WITHIN_S if self.on_server else None):
                await self.engine.dispose()

    def _on_operation_end(self, task: asyncio.Task[Any]) -> None:
        self._operations.discard(task)
        # The caller might be gone, and asyncio warns about exceptions that nobody retrieves.
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("database operation failed: %s", type(error).__name__)


async def _run_in_transaction(
    transaction: AbstractAsyncContextManager[AsyncConnection], work: Callable[[AsyncConnection], Awaitable[T]]
) -> T:
    async with transaction as connection:
        return await work(connection)


async def _check_tables(connection: AsyncConnection) -> None:
    await connection.execute(_ALL_COLUMNS)
    await write_test_row(connection)


async def write_test_row(connection: AsyncConnection, random_bytes: int = 0) -> None:
    """Writes and deletes a row. A row with random bytes needs additional disk space."""
    row = {"team_id": "", "channel_id": token_hex(8)}
    await connection.execute(sa.insert(channel_settings).values(**row, system_prompt=token_hex(random_bytes)))
    await connection.execute(sa.delete(channel_settings).filter_by(**row))


_ALL_COLUMNS = sa.select(*(sa.exists(sa.select(*table.c).where(sa.false())) for table in metadata.sorted_tables))


class Operations:
    def __init__(self, database: Database) -> None:
        self._database = database

    def _now(self) -> float:
        return self._database.clock.now()


Operation = Callable[Concatenate[S, P], Coroutine[Any, Any, T]]
Transaction = Callable[Concatenate[S, AsyncConnection, P], Awaitable[T]]


def reads(method: Transaction[S, P, T]) -> Operation[S, P, T]:
    return _in_transaction(method, Database.read)


def writes(method: Transaction[S, P, T]) -> Operation[S, P, T]:
    return _in_transaction(method, partial(Database.write, name=method.__qualname__))


def writes_unsynced(method: Transaction[S, P, T]) -> Operation[S, P, T]:
    """Makes a method one transaction, like `writes`, except that a power cut can undo the transaction."""
    return _in_transaction(method, partial(Database.write, synced=False, name=method.__qualname__))


def _in_transaction(
    method: Transaction[S, P, T],
    run: Callable[[Database, Callable[[AsyncConnection], Awaitable[T]]], Awaitable[T]],
) -> Operation[S, P, T]:
    @wraps(method)
    async def operation(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await run(self._database, lambda connection: method(self, connection, *args, **kwargs))

    return operation


def completes(*, bounded: bool = True) -> Callable[[Operation[S, P, T]], Operation[S, P, T]]:
    def decorated(method: Operation[S, P, T]) -> Operation[S, P, T]:
        @wraps(method)
        async def operation(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            called = method(self, *args, **kwargs)
            return await self._database.complete(called, bounded=bounded, name=method.__qualname__)

        return operation

    return decorated


ItemT = TypeVar("ItemT")
Result = TypeVar("Result")

MAX_GROUP = 200


class GroupCommit(Generic[ItemT, Result]):
    """Collects items while a transaction runs, and writes them together in the next transaction. `write` is called with
    up to MAX_GROUP items in the order in which they were added. It writes them in one transaction and returns a result
    for each."""

    def __init__(self, write: Callable[[Sequence[ItemT]], Awaitable[Sequence[Result]]]) -> None:
        self._write = write
        self._waiting: list[tuple[ItemT, asyncio.Future[Result]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, item: ItemT) -> Result:
        """Writes an item even if the caller is canceled, and returns its result. Raises the transaction's exception."""
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._writing is None:
            # In a separate context, because it writes for other jobs too.
            self._writing = asyncio.create_task(self._write_all(), context=Context())
        return await result

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
                await self._write_group(group)
        finally:
            self._writing = None

    async def _write_group(self, group: Sequence[tuple[ItemT, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._write([item for item, _ in group])
        except asyncio.CancelledError:
            # The database is being closed, so waiting items wouldn't be written either.
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
            # Its caller might have been canceled.
            if not result.done():
                result.set_result(written)
