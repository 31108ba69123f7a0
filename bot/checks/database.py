"""The checks of `typist check` that concern the database, which stays as it is: what is written is removed."""

import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from functools import partial
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.checks import check_texts
from bot.checks.report import ANSWER_WITHIN_S, Check, fail, ok, skipped, warn
from bot.store.accounts import read_secrets
from bot.store.database import (
    ENCODING_FIX,
    READS,
    UNSYNCED,
    answered_within,
    create_engine,
    database_file,
    encoding_problem,
    reason_of,
    remedy_for,
    try_row,
)
from bot.store.listening import Report, read_reports
from bot.store.migrate import UNFIT_FIX, is_known, misfits, read_revision, unfit
from bot.store.schema import REVISION
from bot.store.threads import read_chosen_servers
from bot.store.workers import living
from files_to_markdown.isolation import others_may_read

T = TypeVar("T")

CONNECTION, WRITE, SCHEMA = "database.connection", "database.write", "database.schema"
CATCH_UP = "database.catch_up"
PROBED_BYTES = 32_768
"""A full disk may still have room in the pages of a table, for less."""


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
            # The first start will create it.
            folder = file.absolute().parent
            if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
                return ok(CONNECTION, check_texts.database_new_file(file.name))
            return fail(CONNECTION, check_texts.database_no_folder(file.name), check_texts.DATABASE_FILE_FIX)
        self._engine = engine
        try:
            async with self._begin(READS) as connection:
                is_sqlite = connection.dialect.name == "sqlite"
                version = (
                    sqlite3.sqlite_version if is_sqlite else await connection.scalar(sa.text("SHOW server_version"))
                )
                problem = await encoding_problem(connection)
        except (SQLAlchemyError, OSError) as error:
            return fail(CONNECTION, check_texts.database_unusable(reason_of(error)), remedy_for(error))
        if problem:
            return fail(CONNECTION, problem, ENCODING_FIX)
        if file is not None and others_may_read(file):
            return warn(CONNECTION, *check_texts.others_may_read(file.name, f"{file.name}*"))
        return ok(CONNECTION, check_texts.database(f"{'SQLite' if is_sqlite else 'PostgreSQL'} {version}"))

    async def write(self) -> Check:
        """Writes a large row and removes it, or a table where there is none yet.

        Tables that aren't this version's are another check's.
        """
        if self._engine is None:
            return skipped(WRITE, check_texts.DATABASE_NOT_WRITTEN)
        try:
            async with self._begin(UNSYNCED, commits=True) as connection:
                if await connection.run_sync(read_revision) is None:
                    await connection.execute(sa.text("CREATE TABLE typist_check (id INTEGER)"))
                    await connection.execute(sa.text("DROP TABLE typist_check"))
                else:
                    await try_row(connection, random_bytes=PROBED_BYTES)
        except (SQLAlchemyError, OSError) as error:
            return fail(WRITE, check_texts.write_refused(reason_of(error)), remedy_for(error))
        return ok(WRITE, check_texts.DATABASE_WRITE)

    async def schema(self) -> Check:
        """Compares the schema's revision with this version's."""
        revision, wrong = None, []
        if self._engine is not None:
            try:
                async with self._begin(READS) as connection:
                    revision = await connection.run_sync(read_revision)
                    if revision is not None and (revision == REVISION or not is_known(revision)):
                        wrong = await connection.run_sync(misfits)
            except (SQLAlchemyError, OSError) as error:
                return fail(SCHEMA, check_texts.database_unusable(reason_of(error)), remedy_for(error))
        if revision is None:
            return ok(SCHEMA, check_texts.SCHEMA_MISSING)
        if wrong:
            return fail(SCHEMA, unfit(revision, wrong), UNFIT_FIX)
        if revision == REVISION:
            return ok(SCHEMA, check_texts.schema(revision))
        if is_known(revision):
            return ok(SCHEMA, check_texts.schema_older(revision, REVISION))
        return warn(SCHEMA, check_texts.schema_newer(revision), check_texts.SCHEMA_FIX)

    async def chosen_servers(self) -> Mapping[str, Collection[str]]:
        """Returns the MCP servers of each channel that uses some; none if the database doesn't say."""
        with suppress(SQLAlchemyError, OSError):
            return await self._read(read_chosen_servers, {})
        return {}

    async def secrets(self) -> Sequence[str]:
        """Returns the secrets of people's accounts; none if the database doesn't say."""
        with suppress(SQLAlchemyError, OSError):
            return await self._read(read_secrets, [])
        return ()

    async def living(self) -> int | None:
        """Returns how many processes run with the database; None if it doesn't say."""
        with suppress(SQLAlchemyError, OSError):
            file = database_file(self._engine.url) if self._engine else None
            return len(await self._read(partial(living, file=file, now=time.time()), []))
        return None

    async def catch_up(self) -> Check:
        """Says what was done about the last time without Slack, if there was one."""
        try:
            reports: list[Report] = await self._read(read_reports, [])
        except (SQLAlchemyError, OSError) as error:
            return fail(CATCH_UP, check_texts.database_unusable(reason_of(error)), remedy_for(error))
        if not reports:
            return ok(CATCH_UP, check_texts.NOTHING_CAUGHT_UP)
        last = max(reports, key=lambda report: report.ends_at)
        sentence = check_texts.caught_up(last.begins_at, last.ends_at, **asdict(last.tally))
        return warn(CATCH_UP, sentence, check_texts.CATCH_UP_FIX) if last.tally.unread else ok(CATCH_UP, sentence)

    async def _read(self, read: Callable[[AsyncConnection], Awaitable[T]], nothing: T) -> T:
        """Returns what `read` finds, `nothing` if there are no tables yet. Raises SQLAlchemyError and OSError."""
        if self._engine is None:
            return nothing
        async with self._begin(READS) as connection:
            return nothing if await connection.run_sync(read_revision) is None else await read(connection)

    @asynccontextmanager
    async def _begin(self, option: str, *, commits: bool = False) -> AsyncIterator[AsyncConnection]:
        """Yields a transaction with an option, within the time of a check. It is rolled back unless it `commits`."""
        assert self._engine is not None
        engine = self._engine.execution_options(**{option: True})
        async with answered_within(ANSWER_WITHIN_S), engine.connect() as connection, connection.begin() as transaction:
            yield connection
            if not commits:
                await transaction.rollback()
