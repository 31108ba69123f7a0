"""What only PostgreSQL has: advisory locks, and notifications between processes.

Both belong to a database, not to a schema, so their names contain the schema's.
"""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

SAID = "said "
"""Begins a notification with a text for other processes (bot/store/process_messages.py). Others only wake."""


def on_postgresql(connection: AsyncConnection) -> bool:
    """Whether the database is a server: it can wake other processes, and has advisory locks."""
    return connection.dialect.name == "postgresql"


async def one_at_a_time(connection: AsyncConnection, name: str) -> None:
    """Lets transactions that pass this line under one name take turns, over all processes. SQLite has one writer."""
    if on_postgresql(connection):
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock_key(name))))


def lock_key(name: str | sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """Returns the number of an advisory lock."""
    return sa.func.hashtextextended(sa.func.concat("typist ", sa.func.current_schema(), " ", name), 0)


def channel() -> sa.ColumnElement[str]:
    """Returns the name of our NOTIFY channel. Names are short, so the schema's is hashed."""
    return sa.literal("typist_") + sa.func.md5(sa.func.current_schema())


def said_by(worker: str) -> str:
    """Returns how a worker's texts for other processes begin."""
    return f"{SAID}{worker} "
