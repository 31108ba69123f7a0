"""`typist migrate`: updates the database to the newest schema, as every start of the bot does."""

import argparse
import asyncio
from collections.abc import Mapping

from bot import logs, settings

HELP = "update the database schema (every start does this, too)"
DESCRIPTION = "Updates the database in DATABASE_URL to the newest schema and prints its revision."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds nothing: DATABASE_URL names the database."""


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Migrates the database and returns the exit code. Raises StoreError."""
    ours = settings.read(env)
    logs.set_up(ours.log_level, ours.log_format)
    revision = asyncio.run(_migrate(ours.database_url))
    print(f"The database schema is at revision {revision}.")
    return 0


async def _migrate(database_url: str) -> str | None:
    from bot.store.engine import connected
    from bot.store.migrate import migrate

    async with connected(database_url) as engine:
        return await migrate(engine)
