"""Migrates a database to the newest schema. Any number of processes can migrate a database at once.

The tables of a new database are created from the schema, and older databases are upgraded through migrations. A
migration never changes after its release. The revision alone doesn't prove what a database contains: it might come from
an unreleased version, a restored backup might be incomplete, and another program might use the same table for its own
revision. The tables are therefore compared with the schema at each start (`schema_mismatches`).
"""

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.errors import StoreError
from bot.store.database import (
    ENCODING_FIX,
    READS,
    database_errors,
    database_file,
    encoding_problem,
    reason_of,
    remedy_for,
)
from bot.store.schema import REVISION, metadata

if TYPE_CHECKING:
    from alembic.config import Config

log = logging.getLogger(__name__)

MISMATCH_FIX = "Name a new database in DATABASE_URL, or restore a backup."
SCRIPTS = "bot.store:migrations"
TABLE_WITHIN_S = 4
"""Time limit for waiting until a table isn't locked. The statements of other processes give up after 5 s."""
_LOCK_KEY = 0x7479706973740001
"""An arbitrary number that is the same in all versions. It spells "typist", followed by 1."""


async def migrate(engine: AsyncEngine) -> str:
    """Applies all missing migrations in one transaction. Returns the schema's revision. Raises StoreError. On
    PostgreSQL, other processes wait for an advisory lock, which is released at the end of the transaction and works
    through poolers. On SQLite, they wait at BEGIN IMMEDIATE, just as they wait for any writer."""
    with database_errors():
        async with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                await lock_migrations(connection)
            if problem := await encoding_problem(connection):
                raise StoreError(f"{problem} {ENCODING_FIX}")
            return await connection.run_sync(upgrade)


async def lock_migrations(connection: AsyncConnection) -> None:
    # There is no limit for another process's migration.
    await connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
    # Tables have a limit: a session that waits for a table blocks all others that want to read it.
    await connection.execute(sa.text(f"SET LOCAL lock_timeout = '{TABLE_WITHIN_S}s'"))


async def empty_database_problem(engine: AsyncEngine) -> str:
    """Returns a sentence about the problem if the database has no Typist tables, or "" if it has them. Raises
    StoreError."""
    file = database_file(engine.url)
    if file is not None and file.parent.is_dir() and not file.exists():
        return f"Nothing is recorded yet: there is no database at {file.absolute()}."
    with database_errors():
        async with engine.execution_options(**{READS: True}).begin() as connection:
            has_tables = await connection.run_sync(read_revision) is not None
    return "" if has_tables else "Nothing is recorded yet: the database in DATABASE_URL is empty."


def upgrade(connection: sa.Connection) -> str:
    """Migrates a database unless its schema is newer. Returns the database's revision. Raises StoreError."""
    current = read_revision(connection)
    if current is None or (current != REVISION and is_known(current)):
        _create_or_migrate(connection, current)
        current = REVISION
    if wrong := schema_mismatches(connection):
        raise StoreError(f"{mismatch_message(current, wrong)} {MISMATCH_FIX}")
    if current != REVISION:
        # During a rolling deployment, both versions run at once. The older one still works, because migrations only
        # add.
        log.warning("database schema %s is newer than this version of Typist, which runs with it", current)
    return current


def _create_or_migrate(connection: sa.Connection, revision: str | None) -> None:
    try:
        if revision is None:
            metadata.create_all(connection, checkfirst=False)
            _version_table.create(connection, checkfirst=True)
            connection.execute(sa.insert(_version_table).values(version_num=REVISION))
        else:
            _run_migrations(connection)
    except DBAPIError as error:
        raise StoreError(
            f"The database is not migrated from revision {revision or 'none'} to {REVISION}, and nothing was changed: "
            f"{reason_of(error)}. {remedy_for(error)}"
        ) from error


def _run_migrations(connection: sa.Connection) -> None:
    # Alembic takes 8 MB and a tenth of a second, and is needed only at the first start of a version.
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, REVISION)


def schema_mismatches(connection: sa.Connection) -> list[str]:
    query = _POSTGRESQL_CATALOG if connection.dialect.name == "postgresql" else _SQLITE_CATALOG
    found = {
        (table, name): (kind.upper(), required) for table, name, kind, required in connection.exec_driver_sql(query)
    }
    needed = _expected_schema(connection.dialect)
    tables = {table for table, _ in found}
    missing = sorted({table for table, _ in needed} - tables)
    changed = [key for key, kind in needed.items() if key[0] in tables and found.get(key, (None, False))[0] != kind]
    # Unknown columns belong to a newer version, unless they require a value, because then each insert would fail.
    unknown = [
        key for key, (_, required) in found.items() if key not in needed and key[0] in metadata.tables and required
    ]
    return [*missing, *(f"{table}.{name}" for table, name in sorted({*changed, *unknown}))]


def mismatch_message(revision: str, schema_mismatches: Sequence[str]) -> str:
    named = ", ".join(schema_mismatches[:_MAX_LISTED]) + (", …" if len(schema_mismatches) > _MAX_LISTED else "")
    return (
        f"The tables of the database are not those that this version of Typist needs ({named}): an unreleased version "
        f"made them (revision {revision}), or they were changed since."
    )


@functools.cache
def _expected_schema(dialect: sa.Dialect) -> Mapping[tuple[str, str], str]:
    columns = {
        (table.name, column.name): column.type.compile(dialect).upper()
        for table in metadata.sorted_tables
        for column in table.columns
    }
    return columns | {(table.name, str(index.name)): "" for table in metadata.sorted_tables for index in table.indexes}


def is_known(revision: str) -> bool:
    """Returns whether this version includes the migration to a revision. Newer versions include more migrations."""
    from alembic.script import ScriptDirectory

    return revision in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    return config


def read_revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(_version_table.name):
        return None
    return connection.scalar(sa.select(_version_table.c.version_num))


_version_table = sa.Table(
    "alembic_version",
    # Not part of the schema: Alembic writes it, and backups have their own.
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

_MAX_LISTED = 3
# For each column and index: its table, name, type, and whether an insert must include it.
_SQLITE_CATALOG = """
SELECT m.name, c.name, c.type, c."notnull" AND c.dflt_value IS NULL AND NOT c.pk
FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'
UNION ALL SELECT tbl_name, name, '', 0 FROM sqlite_master WHERE type = 'index'
"""
_POSTGRESQL_CATALOG = """
SELECT t.relname, c.attname, replace(format_type(c.atttypid, c.atttypmod), '"', ''), c.attnotnull AND NOT c.atthasdef
FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped
WHERE t.relkind IN ('r', 'p') AND t.relnamespace = quote_ident(current_schema())::regnamespace
UNION ALL SELECT tablename, indexname, '', false FROM pg_indexes WHERE schemaname = current_schema()
"""
