"""The subcommands `typist backup` and `typist restore`."""

import argparse
import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from bot import logs, settings
from bot.cli import EXIT_FAILED, Subcommand
from bot.cli.terminal import confirm
from bot.errors import StoreError
from bot.settings import Settings


def _back_up(env: Mapping[str, str], options: argparse.Namespace) -> int:
    ours = settings.read(env)
    logs.set_up(ours.log_level, ours.log_format)
    asyncio.run(_write_backup(ours, Path(options.file)))
    return 0


async def _write_backup(ours: Settings, file: Path) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    from bot.store.backup import back_up
    from bot.store.database import connected
    from bot.store.notifications import BACKUP_KEY, claim

    async with connected(ours.database_url) as engine:
        backup = await back_up(engine, file)
        # Admins get a report of its age. A database on a read-only disk can still be backed up.
        with suppress(SQLAlchemyError, StoreError):
            async with engine.begin() as connection:
                await claim(connection, "", "", BACKUP_KEY, time.time(), 0.0)
    print(f"Backed up {_questions(backup.questions)} to {file}.")


def _restore(env: Mapping[str, str], options: argparse.Namespace) -> int:
    ours = settings.read(env)
    logs.set_up(ours.log_level, ours.log_format)
    return asyncio.run(_restore_backup(ours, Path(options.file), is_agreed=options.yes))


async def _restore_backup(ours: Settings, file: Path, *, is_agreed: bool) -> int:
    from bot.store import backup
    from bot.store.database import connected

    async with connected(ours.database_url) as engine:
        found = backup.read(file)
        await backup.check_unused(engine)
        newest_at = await backup.newest_at(engine)
        if newest_at > found.newest_at and not is_agreed:
            newer = f"The database ({_utc(newest_at)}) is newer than the backup ({_utc(found.newest_at)})."
            if not confirm(f"{newer} Everything since then will be deleted permanently. Continue?", "delete it"):
                print("Nothing was changed.")
                return EXIT_FAILED
        await backup.restore(file, engine)
    as_of = f" as of {_utc(found.newest_at)}" if found.newest_at else ""
    lost = f" Everything from then until {_utc(newest_at)} was deleted." if newest_at > found.newest_at else ""
    print(f"Restored {_questions(found.questions)}{as_of}.{lost}")
    return 0


def _utc(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC" if at else "empty"


def _questions(count: int) -> str:
    return f"{count:,} {'question' if count == 1 else 'questions'}"


def _add_backup_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        metavar="FILE",
        help=("where to write the backup; an existing file is replaced once the new backup is complete"),
    )


def _add_restore_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a backup made by `typist backup`, from SQLite or PostgreSQL")
    parser.add_argument("--yes", action="store_true", help="don't ask before deleting newer data")


BACKUP = Subcommand(
    "back up the database to a file",
    "Writes the whole database to a file. Typist can keep running. Only the file's owner can read it. The backup can "
    "be restored into SQLite or PostgreSQL.",
    _back_up,
    _add_backup_arguments,
)
RESTORE = Subcommand(
    "replace the database with a backup",
    "Replaces the whole database at DATABASE_URL with a backup, and migrates it. Stop Typist first.",
    _restore,
    _add_restore_arguments,
)
