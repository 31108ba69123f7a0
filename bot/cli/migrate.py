"""`typist migrate`: updates the database schema."""

import argparse
import asyncio
from collections.abc import Mapping

from bot import logs, settings
from bot.cli import Subcommand


def _migrate_database(env: Mapping[str, str], options: argparse.Namespace) -> int:
    ours = settings.read(env)
    logs.set_up(ours.log_level, ours.log_format)
    revision = asyncio.run(_migrate(ours.database_url))
    print(f"The database schema is at revision {revision}.")
    return 0


async def _migrate(database_url: str) -> str | None:
    from bot.store.database import connected
    from bot.store.migrate import migrate

    async with connected(database_url) as engine:
        return await migrate(engine)


MIGRATE = Subcommand(
    "update the database schema (every start also does this)",
    "Updates the database at DATABASE_URL to the latest schema and prints its revision.",
    _migrate_database,
)
