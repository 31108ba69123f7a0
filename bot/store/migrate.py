"""Brings a database to the newest schema; any number of processes may do so at once."""

import logging
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.store.database import READS, database_file
from bot.store.schema import REVISION

if TYPE_CHECKING:
    from alembic.config import Config

log = logging.getLogger(__name__)

_LOCK_KEY = 0x7479706973740001
"""Any number will do, as long as all versions use the same; it reads "typist", 1."""


async def migrate(engine: AsyncEngine) -> str:
    """Applies all missing migrations in one transaction; returns the schema's revision.

    On PostgreSQL others wait at an advisory lock, which its transaction releases and poolers let through;
    on SQLite they wait at BEGIN IMMEDIATE, for as long as for any writer.
    """
    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # There is no bound on another process's migration.
            await connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
        return await connection.run_sync(_upgrade)


async def nothing_recorded(engine: AsyncEngine) -> str:
    """Returns why the database has nothing of Typist's yet, as a sentence; "" if it has tables. Creates nothing."""
    file = database_file(engine.url)
    if file is not None and file.parent.is_dir() and not file.exists():
        return f"Nothing is recorded yet: there is no database at {file.absolute()}."
    async with engine.execution_options(**{READS: True}).begin() as connection:
        has_tables = await connection.run_sync(read_revision) is not None
    return "" if has_tables else "Nothing is recorded yet: the database in DATABASE_URL is empty."


def _upgrade(connection: sa.Connection) -> str:
    current = read_revision(connection)
    if current == REVISION:
        return current
    # Alembic takes 8 MB and a tenth of a second, and is needed only at the first start of a version.
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    if current is not None and not is_known(current):
        # In a rolling deployment, both versions run at once. The older one can, because migrations only add.
        log.warning("database schema %s is newer than this version of Typist", current)
        return current
    command.upgrade(config, REVISION)
    return REVISION


def is_known(revision: str) -> bool:
    """Returns whether this version of Typist has the migration to a revision; it lacks those of newer versions."""
    from alembic.script import ScriptDirectory

    return revision in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "bot.store:migrations")
    return config


def read_revision(connection: sa.Connection) -> str | None:
    """Returns the database's revision, None if there are no tables yet."""
    if not sa.inspect(connection).has_table(_versions.name):
        return None
    return connection.scalar(sa.select(_versions.c.version_num))


_versions = sa.table("alembic_version", sa.column("version_num", sa.Text))
