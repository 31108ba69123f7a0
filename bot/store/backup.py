"""Backups: all rows of a database in one SQLite file, whichever database they come from or go to.

A backup of SQLite is a copy by SQLite's online backup. One of PostgreSQL has the same tables, made by our migrations,
and their rows as of one snapshot. Either can be restored into either, which is also the way from SQLite to PostgreSQL.

Whatever fails, and wherever the process is killed, the file under the target's name is the one from before or a
complete new one: the new one is written beside it, checked, written to the disk and renamed. On PostgreSQL a restore is
one transaction.

How new a database or a backup is: the newest time at which Slack was heard, a question came, or an audit entry was
written.
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
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.errors import StoreError
from bot.store.database import OWNERS_ALONE, READS, connected, database_errors, database_file
from bot.store.migrate import (
    UNFIT_FIX,
    is_known,
    lock_migrations,
    migrate,
    misfits,
    nothing_recorded,
    read_revision,
    unfit,
)
from bot.store.schema import REVISION, audit_entries, jobs, listening, metadata
from bot.store.workers import is_at, living_workers

if TYPE_CHECKING:
    import psycopg

ROWS_AT_ONCE = 1_000
_NUMBERED = [table for table in metadata.sorted_tables if "id" in table.c]
_NEWEST = sa.union_all(
    *(sa.select(sa.func.max(at)) for at in (listening.c.heard_at, jobs.c.created_at, audit_entries.c.at))
)


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup has."""

    questions: int
    newest_at: float
    """How new it is, in seconds since 1970."""


async def newest_at(engine: AsyncEngine) -> float:
    """Returns how new a database is, in seconds since 1970; 0 if it has nothing, or is damaged. Raises StoreError."""
    try:
        if await nothing_recorded(engine):
            return 0.0
        with database_errors():
            async with engine.execution_options(**{READS: True}).begin() as connection:
                return max(at or 0.0 for at in await connection.scalars(_NEWEST))
    except StoreError:
        if database_file(engine.url) is None:
            raise
        return 0.0


async def back_up(engine: AsyncEngine, file: Path) -> Backup:
    """Writes a backup of a database to a file, and returns what it has. Raises StoreError."""
    if nothing := await nothing_recorded(engine):
        raise StoreError(nothing)
    _check_replaceable(file, database_file(engine.url), await newest_at(engine))
    source = database_file(engine.url)
    async with _written_beside(file, source) as new:
        if source:
            _copy(source, new)
        else:
            await _copy_from_server(engine, new)
        return read(new, "The database")


async def restore(file: Path, engine: AsyncEngine) -> None:
    """Replaces what a database has by a backup, which may be of an earlier version of Typist. Raises StoreError."""
    read(file)
    target = database_file(engine.url)
    if target is None and engine.dialect.name == "sqlite":
        raise StoreError("DATABASE_URL names a database in memory, which ends with this process.")
    await check_unused(engine)
    await engine.dispose()
    # For a server, it is migrated in a copy that is dropped then.
    async with _written_beside(target or file, file, keeps=target is not None) as new:
        _copy(file, new)
        async with connected(_url(new)) as copy:
            await migrate(copy)
        _into_one_file(new)
        read(new)
        if target is None:
            await migrate(engine)
            await _copy_to_server(new, engine)
        else:
            _close(_behind_links(target))


async def check_unused(engine: AsyncEngine) -> None:
    """Raises StoreError if a process of Typist runs with a database, as far as it can be read."""
    try:
        names = [] if await nothing_recorded(engine) else await living_workers(engine, time.time())
    except StoreError:
        # A damaged database may be replaced. A server that can't be used fails at the next step.
        return
    if names:
        raise StoreError(f"Typist runs with this database ({names[0]}). Stop it, and try again.")


def _check_replaceable(file: Path, source: Path | None, newest: float) -> None:
    """Raises StoreError if a file can't be replaced by a backup of a database: it isn't one, or a newer one."""
    if file.is_dir():
        raise StoreError(f"{file} is a directory. Add the name of a file.")
    if file.exists() and not file.is_file():
        raise StoreError(f"{file} is a device or a pipe, which a backup would replace. Name a file.")
    if source is not None and _behind_links(file) in _files_of(_behind_links(source)):
        raise StoreError(f"{file} is the database itself, or a part of it. Name another file.")
    if not file.exists() or not file.stat().st_size:
        return
    if read(file).newest_at > newest:
        raise StoreError(f"{file} is newer than what is in the database. Name another file, or check DATABASE_URL.")


def _behind_links(file: Path) -> Path:
    return Path(os.path.realpath(file))


def _files_of(database: Path) -> list[Path]:
    """Returns the files that SQLite uses for a database: its own, and what stands beside that."""
    return [database, *(database.with_name(f"{database.name}-{kind}") for kind in ("wal", "shm", "journal"))]


@asynccontextmanager
async def _written_beside(file: Path, source: Path | None, *, keeps: bool = True) -> AsyncIterator[Path]:
    """Yields a new file beside `file`, for its owner alone, which takes the place of `file` if the block succeeds.

    A link to `file` stays a link. `source`: the file that is read meanwhile.
    """
    target = _behind_links(file)
    new = target.with_name(f"{target.name}.new")
    if source is not None and _behind_links(source) == new:
        raise StoreError(f"{source} has the name of the file that would be written first. Rename it, and try again.")
    try:
        opened = os.open(new, os.O_RDWR | os.O_CREAT, OWNERS_ALONE)
        try:
            _lock(opened, new)
            _empty(opened, new)
            yield new
            if keeps:
                _publish(opened, new, target)
        finally:
            # Another process may write its own by now.
            if is_at(new, opened):
                _empty(opened, new)
                new.unlink()
            os.close(opened)
    except (OSError, sqlite3.Error) as error:
        reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else error
        raise StoreError(f"{file} is not written, and is as it was: {reason}.") from error


def _empty(opened: int, new: Path) -> None:
    """Removes what is in a new file, or what a killed process has left there."""
    os.truncate(opened, 0)
    os.chmod(opened, OWNERS_ALONE)
    for path in _files_of(new)[1:]:
        path.unlink(missing_ok=True)


def _lock(opened: int, new: Path) -> None:
    with suppress(BlockingIOError):
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_at(new, opened):
            return
    raise StoreError(f"Another process writes {new}. Try again once it has ended.")


def _publish(opened: int, new: Path, file: Path) -> None:
    """Gives a complete file its name. Root leaves it to the owner of the earlier one, or else of the folder."""
    if os.geteuid() == 0:
        owner = (file if file.exists() else file.parent).stat()
        os.chown(opened, owner.st_uid, owner.st_gid)
    os.fsync(opened)
    new.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _url(file: Path) -> sa.URL:
    return sa.URL.create("sqlite", database=str(file.absolute()))


def _opened(file: Path, mode: str = "rw") -> sqlite3.Connection:
    """Opens a SQLite file that is there. Raises sqlite3.Error if it isn't."""
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode={mode}", uri=True)


def _copy(source: Path, new: Path) -> None:
    with closing(_opened(source)) as ours, closing(_opened(new)) as copy:
        # What is half written is thrown away, and the whole is synced at its end.
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        ours.backup(copy)
    _into_one_file(new)


def _into_one_file(new: Path) -> None:
    """Leaves no write-ahead log beside a file that nobody else uses."""
    with closing(_opened(new)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")


def read(file: Path, name: str = "") -> Backup:
    """Returns what a backup has. Raises StoreError unless it is whole, and of this or an earlier version.

    `name`: what an error calls the file.
    """
    name = name or str(file)
    if not file.is_file():
        raise StoreError(f"{file} isn't a file." if file.exists() else f"There is no file {file}.")
    try:
        with closing(_opened(file, "ro")) as backup:
            if (found := backup.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                raise StoreError(f"{name} is damaged: {found.splitlines()[0]}.")
            (revision,) = backup.execute("SELECT version_num FROM alembic_version").fetchone() or ("none",)
            newest = [at or 0.0 for (at,) in backup.execute(str(_NEWEST))]
            (questions,) = backup.execute("SELECT count(*) FROM jobs").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{name} is no backup of Typist: {error}.") from error
    if not is_known(revision):
        raise StoreError(f"{name} is of another version of Typist (revision {revision}). Use that version.")
    return Backup(questions, max(newest))


def _close(target: Path) -> None:
    """Leaves no write-ahead log beside a database that is replaced: SQLite would apply it to the new one."""
    if not target.exists():
        return
    try:
        _into_one_file(target)
    except sqlite3.OperationalError as error:
        raise StoreError(f"{target} is in use, or can't be written: {error}. Stop Typist, and try again.") from error
    except sqlite3.DatabaseError:
        # It is damaged, and replaced for that.
        pass
    for path in _files_of(target)[1:]:
        path.unlink(missing_ok=True)


async def _copy_from_server(engine: AsyncEngine, new: Path) -> None:
    """Writes the rows of a PostgreSQL database, as of one snapshot, to a new file."""
    async with connected(_url(new)) as copy:
        await migrate(copy)
    with closing(_opened(new)) as backup, database_errors():
        backup.execute("PRAGMA synchronous = OFF")
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            await _check_revision(connection)
            for table in metadata.sorted_tables:
                names = _names(table)
                marks = ", ".join("?" * len(table.columns))
                insert = f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})'  # noqa: S608
                rows = await connection.stream(sa.select(*map(_plain, table.columns)))
                async for some in rows.partitions(ROWS_AT_ONCE):
                    backup.executemany(insert, map(tuple, some))
            for table in _NUMBERED:
                last_value = f"SELECT last_value FROM {await _sequence(connection, table)}"  # noqa: S608
                last = await connection.scalar(sa.text(last_value))
                backup.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
                backup.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table.name, last))
        backup.commit()
    _into_one_file(new)


async def _check_revision(connection: AsyncConnection) -> None:
    """Raises StoreError if a database lacks what this version's tables have. A newer one has only more."""
    revision = str(await connection.run_sync(read_revision))
    if revision != REVISION and is_known(revision):
        raise StoreError(
            f"The database is of an earlier version (revision {revision}). Back it up with that version of Typist, or "
            "run typist migrate first."
        )
    if wrong := await connection.run_sync(misfits):
        raise StoreError(f"{unfit(revision, wrong)} {UNFIT_FIX}")


def _plain(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Returns a column as SQLite stores it: JSON as its text, so that null in JSON isn't mistaken for none."""
    if isinstance(column.type, sa.JSON):
        return sa.cast(column, sa.Text)
    return sa.cast(column, sa.Integer) if isinstance(column.type, sa.Boolean) else column


async def _copy_to_server(new: Path, engine: AsyncEngine) -> None:
    """Replaces all rows of a PostgreSQL database by those of a file, in one transaction."""
    with closing(_opened(new)) as backup, database_errors():
        async with engine.begin() as connection:
            # A process that starts meanwhile waits.
            await lock_migrations(connection)
            tables = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
            await connection.exec_driver_sql(f"TRUNCATE {tables}")
            driver = (await connection.get_raw_connection()).driver_connection
            for table in metadata.sorted_tables:
                names = _names(table)
                cursor = cast("psycopg.AsyncConnection[Any]", driver).cursor()
                async with cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN'.encode()) as copying:
                    for row in backup.execute(f'SELECT {names} FROM "{table.name}"'):  # noqa: S608
                        await copying.write_row(row)
            for table in _NUMBERED:
                of_rows = f'SELECT max(id) FROM "{table.name}"'  # noqa: S608
                given = f"SELECT seq FROM sqlite_sequence WHERE name = ? UNION ALL {of_rows}"  # noqa: S608
                # Ids that were given before are never given again.
                if last := max(id_ or 0 for (id_,) in backup.execute(given, (table.name,))):
                    set_to = sa.text("SELECT setval(CAST(:sequence AS regclass), :last)")
                    await connection.execute(set_to, {"sequence": await _sequence(connection, table), "last": last})


def _names(table: sa.Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


async def _sequence(connection: AsyncConnection, table: sa.Table) -> str:
    named = sa.func.pg_get_serial_sequence(f'"{table.name}"', "id")
    return str(await connection.scalar(sa.select(named)))
