"""Backups: all rows of a SQLite or PostgreSQL database in one SQLite file.

SQLite is backed up with its online backup API. A backup of PostgreSQL contains the rows of a single snapshot, in tables
created by our migrations. A backup of either database can be restored to the other, so backups are also the way to move
from SQLite to PostgreSQL.

The new file is written next to the target, checked, synced to disk and renamed, so even if the process fails or is
killed, the target is either the previous file or a complete new one. On PostgreSQL, a restore is a single transaction.

The age of a database or backup is that of its newest recorded Slack message, question, or audit entry.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.errors import StoreError
from bot.store.database import OWNER_ONLY, READS, connected, database_errors, database_file, sqlite_uri
from bot.store.migrate import (
    MISMATCH_FIX,
    empty_database_problem,
    is_known,
    lock_migrations,
    migrate,
    mismatch_message,
    read_revision,
    schema_mismatches,
)
from bot.store.schema import REVISION, audit_entries, jobs, listening, metadata
from bot.store.workers import has_path, living_workers

if TYPE_CHECKING:
    import psycopg

ROWS_AT_ONCE = 1_000
_TABLES_WITH_IDS = [table for table in metadata.sorted_tables if "id" in table.c]
_NEWEST_TIMES = sa.union_all(
    *(sa.select(sa.func.max(at)) for at in (listening.c.heard_at, jobs.c.created_at, audit_entries.c.at))
)


@dataclass(frozen=True, slots=True)
class Backup:
    questions: int
    newest_at: float


async def newest_at(engine: AsyncEngine) -> float:
    """Returns the newest time recorded in the database, in seconds since 1970, or 0 if it can't be read. Raises
    StoreError."""
    try:
        if await empty_database_problem(engine):
            return 0.0
        with database_errors():
            async with engine.execution_options(**{READS: True}).begin() as connection:
                return max(at or 0.0 for at in await connection.scalars(_NEWEST_TIMES))
    except StoreError:
        if database_file(engine.url) is None:
            raise
        return 0.0


async def back_up(engine: AsyncEngine, file: Path) -> Backup:
    if nothing := await empty_database_problem(engine):
        raise StoreError(nothing)
    _check_replaceable(file, database_file(engine.url), await newest_at(engine))
    source = database_file(engine.url)
    async with _replacement_file(file, source) as new:
        if source:
            _copy_file(source, new)
        else:
            await _copy_from_server(engine, new)
        return read(new, "The database")


async def restore(file: Path, engine: AsyncEngine) -> None:
    """Replaces a database's contents with a backup from this or an earlier version. Raises StoreError."""
    read(file)
    target = database_file(engine.url)
    if target is None and engine.dialect.name == "sqlite":
        raise StoreError("DATABASE_URL names a database in memory, which ends with this process.")
    await check_unused(engine)
    await engine.dispose()
    # For a server, the backup is migrated in a copy that is then discarded.
    async with _replacement_file(target or file, file, replaces=target is not None) as new:
        _copy_file(file, new)
        async with connected(_url(new)) as copy:
            await migrate(copy)
        _remove_log(new)
        read(new)
        if target is None:
            await migrate(engine)
            await _copy_to_server(new, engine)
        else:
            _remove_logs(_resolved_path(target))


async def check_unused(engine: AsyncEngine) -> None:
    """Raises StoreError if a Typist process is using the database. A damaged database is treated as unused."""
    try:
        if await empty_database_problem(engine):
            return
        with database_errors():
            async with engine.execution_options(**{READS: True}).begin() as connection:
                names = await living_workers(connection, database_file(engine.url), time.time())
    except StoreError:
        # A damaged database can be replaced. A server that can't be used fails at the next step.
        return
    if names:
        host, _, process = names[0].rpartition(":")[0].rpartition(":")
        where = f"process {process} on {host}" if host else names[0]
        raise StoreError(f"Typist is running with this database ({where}). Stop it, and try again.")


def _check_replaceable(file: Path, source: Path | None, newest: float) -> None:
    """Raises StoreError if a file isn't a backup that can be replaced, or if it is newer than the database."""
    if file.is_dir():
        raise StoreError(f"{file} is a directory. Add the name of a file.")
    if file.exists() and not file.is_file():
        raise StoreError(f"{file} is a device or a pipe, which a backup would replace. Name a file.")
    if source is not None and _resolved_path(file) in _database_files(_resolved_path(source)):
        raise StoreError(f"{file} is the database itself, or a part of it. Name another file.")
    if not file.exists() or not file.stat().st_size:
        return
    if read(file).newest_at > newest:
        raise StoreError(f"{file} is newer than what is in the database. Name another file, or check DATABASE_URL.")


def _resolved_path(file: Path) -> Path:
    return Path(os.path.realpath(file))


def _database_files(database: Path) -> list[Path]:
    return [database, *(database.with_name(f"{database.name}-{kind}") for kind in ("wal", "shm", "journal"))]


@asynccontextmanager
async def _replacement_file(file: Path, source: Path | None, *, replaces: bool = True) -> AsyncIterator[Path]:
    """Yields a new file, which replaces `file` if the block succeeds. Only the owner can read the new file. Follows
    symlinks. `source`: the file that the block reads."""
    target = _resolved_path(file)
    new = target.with_name(f"{target.name}.new")
    if source is not None and _resolved_path(source) == new:
        raise StoreError(f"{source} has the name of the file that would be written first. Rename it, and try again.")
    try:
        opened = os.open(new, os.O_RDWR | os.O_CREAT, OWNER_ONLY)
        try:
            _lock_new_file(opened, new)
            _truncate_file(opened, new)
            yield new
            if replaces:
                _publish(opened, new, target)
        finally:
            # Another process might have created its own file in the meantime.
            if has_path(new, opened):
                _truncate_file(opened, new)
                new.unlink()
            os.close(opened)
    except (OSError, sqlite3.Error) as error:
        reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else error
        raise StoreError(f"{file} is not written, and is as it was: {reason}.") from error


def _truncate_file(descriptor: int, new_file: Path) -> None:
    os.truncate(descriptor, 0)
    os.chmod(descriptor, OWNER_ONLY)
    for path in _database_files(new_file)[1:]:
        path.unlink(missing_ok=True)


def _lock_new_file(descriptor: int, new_file: Path) -> None:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if has_path(new_file, descriptor):
            return
    raise StoreError(f"Another process writes {new_file}. Try again once it has ended.")


def _publish(descriptor: int, new_file: Path, file: Path) -> None:
    """Renames a complete file to its final name. When run as root, keeps the owner of the replaced file, or uses the
    folder's owner if there was no file."""
    if os.geteuid() == 0:
        owner = (file if file.exists() else file.parent).stat()
        os.chown(descriptor, owner.st_uid, owner.st_gid)
    os.fsync(descriptor)
    new_file.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _url(file: Path) -> sa.URL:
    return sa.URL.create("sqlite", database=str(file.absolute()))


def _connect(file: Path, mode: str = "rw") -> sqlite3.Connection:
    return sqlite3.connect(sqlite_uri(file, mode), uri=True)


def _copy_file(source: Path, new_file: Path) -> None:
    with closing(_connect(source)) as ours, closing(_connect(new_file)) as copy:
        # A partial file is thrown away, and the complete one is synced at the end.
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        ours.backup(copy)
    _remove_log(new_file)


def _remove_log(database: Path) -> None:
    with closing(_connect(database)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")


def read(file: Path, name: str = "") -> Backup:
    """Returns a backup's contents. Raises StoreError, which refers to the backup as `name`, if it is damaged or from a
    later version."""
    name = name or str(file)
    if not file.is_file():
        raise StoreError(f"{file} isn't a file." if file.exists() else f"There is no file {file}.")
    try:
        with closing(_connect(file, "ro")) as backup:
            if (found := backup.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                raise StoreError(f"{name} is damaged: {found.splitlines()[0]}.")
            (revision,) = backup.execute("SELECT version_num FROM alembic_version").fetchone() or ("none",)
            newest = [at or 0.0 for (at,) in backup.execute(str(_NEWEST_TIMES))]
            (questions,) = backup.execute("SELECT count(*) FROM jobs").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{name} is no backup of Typist: {error}.") from error
    if not is_known(revision):
        raise StoreError(f"{name} is of another version of Typist (revision {revision}). Use that version.")
    return Backup(questions, max(newest))


def _remove_logs(target: Path) -> None:
    """Removes the write-ahead log of a replaced database, because SQLite would apply it to the new one."""
    if not target.exists():
        return
    try:
        _remove_log(target)
    except sqlite3.OperationalError as error:
        raise StoreError(f"{target} is in use, or can't be written: {error}. Stop Typist, and try again.") from error
    except sqlite3.DatabaseError:
        # It is damaged, which is why it is being replaced.
        pass
    for path in _database_files(target)[1:]:
        path.unlink(missing_ok=True)


async def _copy_from_server(engine: AsyncEngine, new_file: Path) -> None:
    async with connected(_url(new_file)) as copy:
        await migrate(copy)
    with closing(_connect(new_file)) as backup, database_errors():
        backup.execute("PRAGMA synchronous = OFF")
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            await _check_revision(connection)
            for table in metadata.sorted_tables:
                names = _column_names(table)
                marks = ", ".join("?" * len(table.columns))
                insert = f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})'  # noqa: S608
                rows = await connection.stream(sa.select(*map(_sqlite_column, table.columns)))
                async for some in rows.partitions(ROWS_AT_ONCE):
                    backup.executemany(insert, map(tuple, some))
            for table in _TABLES_WITH_IDS:
                last_value = f"SELECT last_value FROM {await _sequence_name(connection, table)}"  # noqa: S608
                last = await connection.scalar(sa.text(last_value))
                backup.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
                backup.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table.name, last))
        backup.commit()
    _remove_log(new_file)


async def _check_revision(connection: AsyncConnection) -> None:
    """Raises StoreError if a database lacks tables or columns that this version needs. Newer versions only add tables
    and columns."""
    revision = str(await connection.run_sync(read_revision))
    if revision != REVISION and is_known(revision):
        raise StoreError(
            f"The database is of an earlier version (revision {revision}). Back it up with that version of Typist, or "
            "run typist migrate first."
        )
    if wrong := await connection.run_sync(schema_mismatches):
        raise StoreError(f"{mismatch_message(revision, wrong)} {MISMATCH_FIX}")


def _sqlite_column(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Returns a column in the type that SQLite stores. A JSON column becomes text, because a JSON null could be
    mistaken for NULL."""
    if isinstance(column.type, sa.JSON):
        return sa.cast(column, sa.Text)
    return sa.cast(column, sa.Integer) if isinstance(column.type, sa.Boolean) else column


async def _copy_to_server(new_file: Path, engine: AsyncEngine) -> None:
    with closing(_connect(new_file)) as backup, database_errors():
        async with engine.begin() as connection:
            # A process that starts now waits.
            await lock_migrations(connection)
            tables = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
            await connection.exec_driver_sql(f"TRUNCATE {tables}")
            driver = (await connection.get_raw_connection()).driver_connection
            for table in metadata.sorted_tables:
                names = _column_names(table)
                cursor = cast("psycopg.AsyncConnection[Any]", driver).cursor()
                async with cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN'.encode()) as copying:
                    for row in backup.execute(f'SELECT {names} FROM "{table.name}"'):  # noqa: S608
                        await copying.write_row(row)
            for table in _TABLES_WITH_IDS:
                of_rows = f'SELECT max(id) FROM "{table.name}"'  # noqa: S608
                given = f"SELECT seq FROM sqlite_sequence WHERE name = ? UNION ALL {of_rows}"  # noqa: S608
                # IDs that were assigned before are never assigned again.
                if last := max(id_ or 0 for (id_,) in backup.execute(given, (table.name,))):
                    set_to = sa.text("SELECT setval(CAST(:sequence AS regclass), :last)")
                    await connection.execute(
                        set_to, {"sequence": await _sequence_name(connection, table), "last": last}
                    )


def _column_names(table: sa.Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


async def _sequence_name(connection: AsyncConnection, table: sa.Table) -> str:
    named = sa.func.pg_get_serial_sequence(f'"{table.name}"', "id")
    return str(await connection.scalar(sa.select(named)))
