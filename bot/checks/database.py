"""Checks of the database. They remove their test data."""

import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from tempfile import TemporaryFile
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.checks.machine import exposure_of
from bot.checks.report import ANSWER_WITHIN_S, Finding, fail, ok, skipped, warn
from bot.store.database import (
    ENCODING_FIX,
    READS,
    UNSYNCED,
    create_engine,
    database_file,
    encoding_problem,
    limit_time,
    reason_of,
    remedy_for,
    write_test_row,
)
from bot.store.listening import Report, read_reports
from bot.store.migrate import MISMATCH_FIX, is_known, mismatch_message, read_revision, schema_mismatches
from bot.store.schema import REVISION
from bot.store.workers import living_workers
from files_to_markdown.isolation import others_can_read

T = TypeVar("T")

PROBED_BYTES = 32_768
"""Number of bytes that a check writes. Fewer bytes might fit into a table's existing pages even if the disk is full."""


class DatabaseChecks:
    """Checks one database. Call `check_connection` before the other methods. Values that can't be read are None."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._engine: AsyncEngine | None = None

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()

    async def check_connection(self) -> Finding:
        engine = create_engine(self._database_url)
        file = database_file(engine.url)
        if file is not None and not file.exists():
            # The first start will create it.
            try:
                with TemporaryFile(dir=file.absolute().parent, buffering=0) as tried:
                    tried.write(bytes(PROBED_BYTES))
                    os.fsync(tried.fileno())
            except OSError as error:
                problem = f"The database file {file.name} can't be created: {os.strerror(error.errno or 0)}."
                return fail(problem, "Typist's user must be able to write to the folder, and the disk needs room.")
            return ok(f"The database file {file.name} doesn't exist yet. It will be created at the first start.")
        self._engine = engine
        try:
            async with self._begin(READS) as connection:
                is_sqlite = connection.dialect.name == "sqlite"
                version = (
                    sqlite3.sqlite_version if is_sqlite else await connection.scalar(sa.text("SHOW server_version"))
                )
                problem = await encoding_problem(connection)
        except (SQLAlchemyError, OSError) as error:
            return _unusable_finding(error)
        if problem:
            return fail(problem, ENCODING_FIX)
        if is_sqlite and engine.url.database in (None, "", ":memory:"):
            problem = "The database is in memory: when Typist ends, all questions and settings will be lost."
            return warn(problem, "Set DATABASE_URL to a file, such as sqlite:///typist.db, or to a PostgreSQL server.")
        if file is not None and others_can_read(file):
            return warn(*exposure_of(file.name, f"{file.name}*"))
        return ok(f"The database is reachable: {'SQLite' if is_sqlite else 'PostgreSQL'} {version}.")

    async def check_write(self) -> Finding:
        """Writes and removes a large row, or a table if no tables exist. `check_schema` reports mismatched tables."""
        if self._engine is None:
            return skipped("Writing wasn't tested because the database doesn't exist yet.")
        try:
            async with self._begin(UNSYNCED, commits=True) as connection:
                if await connection.run_sync(read_revision) is None:
                    await connection.execute(sa.text("CREATE TABLE typist_check (id INTEGER)"))
                    await connection.execute(sa.text("DROP TABLE typist_check"))
                else:
                    await write_test_row(connection, random_bytes=PROBED_BYTES)
        except (SQLAlchemyError, OSError) as error:
            return fail(f"The database can't be written to ({reason_of(error)}).", remedy_for(error))
        return ok("The database can be written to.")

    async def check_schema(self) -> Finding:
        revision, wrong = None, []
        if self._engine is not None:
            try:
                async with self._begin(READS) as connection:
                    revision = await connection.run_sync(read_revision)
                    if revision is not None and (revision == REVISION or not is_known(revision)):
                        wrong = await connection.run_sync(schema_mismatches)
            except (SQLAlchemyError, OSError) as error:
                return _unusable_finding(error)
        if revision is None:
            return ok("The database has no tables yet. They will be created at the first start.")
        if wrong:
            return fail(mismatch_message(revision, wrong), MISMATCH_FIX)
        at = f"The database schema is at revision {revision}"
        if revision == REVISION:
            return ok(f"{at}, which this version of Typist needs.")
        if is_known(revision):
            return ok(f"{at}. It will be migrated to {REVISION} at the next start.")
        fix = (
            "This version works with it because migrations only add to the schema. Go back to the newer version when "
            "you can."
        )
        return warn(f"{at}, which is newer than this version of Typist.", fix)

    async def read(self, read: Callable[[AsyncConnection], Awaitable[T]]) -> T | None:
        """Returns the result of `read`, or None if no tables exist or they can't be read."""
        with suppress(SQLAlchemyError, OSError):
            return await self._read(read)
        return None

    async def count_live_processes(self) -> int | None:
        with suppress(SQLAlchemyError, OSError):
            file = database_file(self._engine.url) if self._engine else None
            return len(await self._read(partial(living_workers, file=file, now=time.time())) or ())
        return None

    async def check_catch_up(self) -> Finding:
        try:
            reports = await self._read(read_reports)
        except (SQLAlchemyError, OSError) as error:
            return _unusable_finding(error)
        if not reports:
            return ok("Typist hasn't been disconnected from Slack long enough to miss questions.")
        last = max(reports, key=lambda report: report.ends_at)
        fix = "Ask in these conversations whether a question was missed. The log lists them."
        return warn(gap_sentence(last), fix) if last.tally.unread else ok(gap_sentence(last))

    async def _read(self, read: Callable[[AsyncConnection], Awaitable[T]]) -> T | None:
        """Returns the result of `read`, or None if no tables exist. Raises SQLAlchemyError and OSError."""
        if self._engine is None:
            return None
        async with self._begin(READS) as connection:
            return None if await connection.run_sync(read_revision) is None else await read(connection)

    @asynccontextmanager
    async def _begin(self, option: str, *, commits: bool = False) -> AsyncIterator[AsyncConnection]:
        """Opens a transaction with an option, within a check's time limit. Rolls the transaction back unless `commits`
        is true."""
        assert self._engine is not None
        engine = self._engine.execution_options(**{option: True})
        async with limit_time(ANSWER_WITHIN_S), engine.connect() as connection, connection.begin() as transaction:
            yield connection
            if not commits:
                await transaction.rollback()


async def check_workspace(read_times: Callable[[], Awaitable[Mapping[str, float] | None]], team_id: str) -> Finding:
    """Warns if the database has data from other workspaces. `read_times`: returns when Slack last sent a message from
    each workspace, in seconds since 1970."""
    teams = await read_times() or {}
    days = {id_: f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}" for id_, at in teams.items() if id_ != team_id}
    if not days:
        return ok("The database has no other workspace's data.")
    others = ", ".join(f"{id_} (last used on {day})" for id_, day in days.items())
    fix = "Use one database for each workspace: correct the Slack tokens, or set another DATABASE_URL."
    return warn(f"The Slack tokens are for workspace {team_id}, but the database has data from {others}.", fix)


def _unusable_finding(error: Exception) -> Finding:
    return fail(f"The database can't be used ({reason_of(error)}).", remedy_for(error))


def gap_sentence(report: Report) -> str:
    began, tally = datetime.fromtimestamp(report.begins_at, UTC), report.tally
    away_s = report.ends_at - report.begins_at
    away = f"Typist received nothing from Slack for {away_s / 60:,.0f} minutes, starting at {began:%Y-%m-%d %H:%M} UTC."
    found = f"Of the missed questions, it answered {tally.answered:,} and offered to answer {tally.offered:,}."
    places = "1 conversation or thread" if tally.looked_at == 1 else f"{tally.looked_at:,} conversations and threads"
    unread = f", and couldn't read {tally.unread:,} of them completely." if tally.unread else "."
    blind = "It can't find mentions in older threads where nobody had asked it anything before."
    return f"{away} {found} It checked {places}{unread} {blind}"
