"""The checks of `typist check` that concern the database. They change nothing: what they write is rolled back."""

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.checks import check_texts
from bot.checks.report import Check, fail, ok, skipped, warn
from bot.isolation import others_may_read
from bot.store.engine import READS, answered_within, create_engine, database_file, reason_of
from bot.store.listening import Report, read_reports
from bot.store.migrate import is_known, read_revision
from bot.store.schema import REVISION

CONNECTION, WRITE, SCHEMA = "database.connection", "database.write", "database.schema"
CATCH_UP = "database.catch_up"
WITHIN_S = 8.0
"""Shorter than the bound of a check, so that a canceled driver has time to stop."""


class DatabaseChecks:
    """Checks one database. Each method is one check; the others build on `connection`."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._engine: AsyncEngine | None = None

    async def close(self) -> None:
        """Disconnects."""
        if self._engine is not None:
            await self._engine.dispose()

    async def connection(self) -> Check:
        """Connects, and asks for the server's version. Raises StoreError for a URL that can't be used."""
        engine = create_engine(self._database_url)
        file = database_file(engine.url)
        if file is not None and not file.exists():
            return _new_file(file)
        self._engine = engine
        try:
            async with self._begin(reads=True) as connection:
                version = await _version(connection)
        except (SQLAlchemyError, OSError) as error:
            return fail(CONNECTION, check_texts.database_unusable(reason_of(error)), check_texts.DATABASE_FIX)
        if file is not None and others_may_read(file):
            return warn(CONNECTION, check_texts.others_may_read(file.name), check_texts.private_fix(f"{file.name}*"))
        return ok(CONNECTION, check_texts.database(version))

    async def write(self) -> Check:
        """Writes, and rolls it back: to a row that exists, or a table where there is none yet."""
        if self._engine is None:
            return skipped(WRITE, check_texts.DATABASE_NOT_WRITTEN)
        try:
            async with self._begin() as connection:
                if await connection.run_sync(read_revision) is None:
                    await connection.execute(sa.text("CREATE TABLE typist_check (id INTEGER)"))
                else:
                    await connection.execute(sa.text("UPDATE alembic_version SET version_num = version_num"))
        except (SQLAlchemyError, OSError) as error:
            return fail(WRITE, check_texts.write_refused(reason_of(error)), check_texts.DATABASE_WRITE_FIX)
        return ok(WRITE, check_texts.DATABASE_WRITE)

    async def schema(self) -> Check:
        """Compares the schema's revision with this version's."""
        revision = None
        if self._engine is not None:
            try:
                async with self._begin(reads=True) as connection:
                    revision = await connection.run_sync(read_revision)
            except (SQLAlchemyError, OSError) as error:
                return fail(SCHEMA, check_texts.database_unusable(reason_of(error)), check_texts.DATABASE_FIX)
        if revision is None:
            return ok(SCHEMA, check_texts.SCHEMA_MISSING)
        if revision == REVISION:
            return ok(SCHEMA, check_texts.schema(revision))
        if is_known(revision):
            return ok(SCHEMA, check_texts.schema_older(revision, REVISION))
        return warn(SCHEMA, check_texts.schema_newer(revision), check_texts.SCHEMA_FIX)

    async def catch_up(self) -> Check:
        """Says what was done about the last time without Slack, if there was one."""
        reports: list[Report] = []
        if self._engine is not None:
            try:
                async with self._begin(reads=True) as connection:
                    if await connection.run_sync(read_revision) is not None:
                        reports = await read_reports(connection)
            except (SQLAlchemyError, OSError) as error:
                return fail(CATCH_UP, check_texts.database_unusable(reason_of(error)), check_texts.DATABASE_FIX)
        if not reports:
            return ok(CATCH_UP, check_texts.NOTHING_CAUGHT_UP)
        last = max(reports, key=lambda report: report.ends_at)
        sentence = check_texts.caught_up(last.begins_at, last.ends_at, **asdict(last.tally))
        return warn(CATCH_UP, sentence, check_texts.CATCH_UP_FIX) if last.tally.unread else ok(CATCH_UP, sentence)

    @asynccontextmanager
    async def _begin(self, *, reads: bool = False) -> AsyncIterator[AsyncConnection]:
        """Yields a transaction that is rolled back, within the time of a check."""
        assert self._engine is not None
        engine = self._engine.execution_options(**{READS: True}) if reads else self._engine
        async with answered_within(WITHIN_S), engine.connect() as connection:
            transaction = await connection.begin()
            try:
                yield connection
            finally:
                await transaction.rollback()


def _new_file(file: Path) -> Check:
    """Reports a SQLite file that the first start will create, without creating it."""
    folder = file.absolute().parent
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return ok(CONNECTION, check_texts.database_new_file(file.name))
    return fail(CONNECTION, check_texts.database_no_folder(file.name), check_texts.DATABASE_FILE_FIX)


async def _version(connection: AsyncConnection) -> str:
    if connection.dialect.name == "sqlite":
        return f"SQLite {sqlite3.sqlite_version}"
    version = await connection.scalar(sa.text("SHOW server_version"))
    return f"PostgreSQL {version}"
