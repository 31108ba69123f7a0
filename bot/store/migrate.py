"""Brings a database to the newest schema; any number of processes may do so at once."""

import logging

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine

log = logging.getLogger(__name__)

_LOCK_KEY = 0x7479706973740001
"""Any number will do, as long as all versions use the same; it reads "typist", 1."""


async def migrate(engine: AsyncEngine) -> str:
    """Applies what is missing, in one transaction, all of it or nothing; returns the schema's revision.

    On PostgreSQL others wait at an advisory lock, which its transaction releases and poolers let through;
    on SQLite they wait at BEGIN IMMEDIATE.
    """
    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Another's migration may take as long as it takes.
            await connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
        return await connection.run_sync(_upgrade)


def _upgrade(connection: sa.Connection) -> str:
    config = Config()
    config.set_main_option("script_location", "bot.store:migrations")
    config.attributes["connection"] = connection
    current = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(config)
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        # In a rolling deployment both versions run at once; migrations only add, so that the older one can.
        log.warning("the database's schema %s is newer than this version of Typist", current)
        return current
    command.upgrade(config, "head")
    head = scripts.get_current_head()
    assert head is not None, "there is a first migration"
    return head
