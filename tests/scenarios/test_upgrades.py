"""Upgrades: an older version answers while a newer one migrates the database, and after it, and takes over again.

Backups are made and restored by the documented commands. The newer version is a copy of this one with
one more migration, which waits in its transaction until a test lets it go.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.core.conversation import Question, ThreadKey
from bot.store import Stores
from bot.store.database import create_engine
from bot.store.schema import REVISION, jobs
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S, output, wait_for_line
from tests.clocks import until
from tests.processes import REPOSITORY, bot_process
from tests.scenarios.conftest import Stage, grows
from tests.scenarios.fleet import Fleet, fleet_of
from tests.streams.server import VendorServer

LONG = "".join(f"word{number} " for number in range(80))
LATER = """
import os
import time
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "later"
down_revision = "{revision}"


def upgrade() -> None:
    op.create_table("later_notes", sa.Column("note", sa.Text))
    op.add_column("jobs", sa.Column("later_note", sa.Text))
    with Path(os.environ["MIGRATIONS_BEGUN"]).open("a") as begun:
        begun.write("one\\n")
    while not Path(os.environ["MIGRATION_MAY_END"]).exists():
        # A session that is idle in a transaction would be ended.
        op.execute("SELECT 1")
        time.sleep(0.02)
"""


LATER_SCHEMA = """
sa.Table("later_notes", metadata, sa.Column("note", sa.Text))
jobs.append_column(sa.Column("later_note", sa.Text))
"""


@dataclass(frozen=True)
class NewerVersion:
    """The code of a newer version, and the files by which its migration and a test speak."""

    folder: Path
    env: dict[str, str]

    @property
    def begun(self) -> Path:
        return self.folder / "begun"

    def let_end(self) -> None:
        (self.folder / "may_end").touch()

    async def start(self, stack: AsyncExitStack) -> asyncio.subprocess.Process:
        return await stack.enter_async_context(bot_process(self.folder, "run", env=self.env))


@pytest.fixture
def make_newer(tmp_path: Path) -> Callable[[dict[str, str]], NewerVersion]:
    def make(env: dict[str, str]) -> NewerVersion:
        folder = tmp_path / "newer"
        for package in ("bot", "handlers", "files_to_markdown", "slack_markdown"):
            shutil.copytree(
                REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "tests")
            )
        store = folder / "bot" / "store"
        schema = (store / "schema.py").read_text()
        assert f'REVISION = "{REVISION}"' in schema
        (store / "schema.py").write_text(
            schema.replace(f'REVISION = "{REVISION}"', 'REVISION = "later"') + LATER_SCHEMA
        )
        (store / "migrations" / "versions" / "later.py").write_text(LATER.format(revision=REVISION))
        files = {"MIGRATIONS_BEGUN": str(folder / "begun"), "MIGRATION_MAY_END": str(folder / "may_end")}
        return NewerVersion(folder, {**env, **files, "PYTHONPATH": str(folder)})

    return make


@pytest.fixture
async def fleet(sandbox: Sandbox, vendor: VendorServer, tmp_path: Path, database_url: str) -> AsyncIterator[Fleet]:
    async with fleet_of(Stage(sandbox, vendor), tmp_path, database_url) as fleet:
        yield fleet


@pytest.fixture
def newer(fleet: Fleet, make_newer: Callable[[dict[str, str]], NewerVersion]) -> NewerVersion:
    return make_newer(fleet.env)


async def until_begun(newer: NewerVersion) -> None:
    await until(newer.begun.exists, "the beginning of the migration")


async def columns(database_url: str, table: str) -> set[str]:
    engine = create_engine(database_url)
    async with engine.connect() as connection:
        found = await connection.run_sync(lambda sync: sa.inspect(sync).get_columns(table))
    await engine.dispose()
    return {column["name"] for column in found}


async def test_older_process_goes_on_with_its_answer_after_a_migration(
    fleet: Fleet, newer: NewerVersion, database_url: str
) -> None:
    stage, migrating = fleet.stage, asyncio.Event()
    stage.vendor.script(grows(LONG, gates={100: migrating.wait}), grows("The next one."))
    await fleet.start()
    asked = await stage.mention()
    reply = await fleet.visible(asked, "word9 ")
    # Beside SQLite there is one process, and a restart for an upgrade.
    started = [await newer.start(fleet.stack) for _ in range(2 if "postgresql" in database_url else 1)]
    await until_begun(newer)
    migrating.set()
    meanwhile = await stage.mention("And meanwhile?")
    newer.let_end()
    for process in started:
        await wait_for_line(process.stdout, "is connected to Slack")
    assert newer.begun.read_text() == "one\n"
    assert "later_note" in await columns(database_url, "jobs")
    assert await stage.answers("general", asked) == [LONG.rstrip()]
    assert [message.ts for message in stage.bots("general", asked)] == [reply.ts]
    assert await stage.answers("general", meanwhile) == ["The next one."]
    for process in started:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0
    assert await stage.answers("general", await stage.mention("And after it?")) == ["The next one."]


@pytest.mark.long
async def test_going_back_to_the_older_version_continues_the_newer_ones_answer(
    fleet: Fleet, newer: NewerVersion, database_url: str
) -> None:
    fleet.stage.vendor.script(grows(LONG, gates={100: asyncio.Event().wait}), grows(LONG))
    newer.let_end()
    process = await newer.start(fleet.stack)
    await wait_for_line(process.stdout, "is connected to Slack")
    asked = await fleet.stage.mention()
    reply = await fleet.visible(asked, "word9 ")
    process.kill()
    await process.wait()
    older = await fleet.start()
    await wait_for_line(older.stderr, "database schema later is newer than this version of Typist")
    assert await fleet.stage.answers("general", asked) == [LONG.rstrip()]
    assert [message.ts for message in fleet.stage.bots("general", asked)] == [reply.ts]


@pytest.mark.empty_database
@pytest.mark.long
async def test_new_database_gets_the_migrations_of_all_versions(newer: NewerVersion, database_url: str) -> None:
    newer.let_end()
    assert await migrated(newer) == "The database schema is at revision later.\n"
    assert "later_note" in await columns(database_url, "jobs")


class Backup:
    """Runs the documented commands for one database."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self._folder = folder
        self._env = {**os.environ, "DATABASE_URL": database_url, "PYTHONPATH": str(REPOSITORY)}

    def run(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "bot", *arguments, "nightly.backup"]
        ended = subprocess.run(command, cwd=self._folder, env=self._env, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def backup(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Backup]:
    """Returns a database's URL, and what backs it up."""
    url = str(request.getfixturevalue(f"{request.param}_url"))
    return url, Backup(url, tmp_path)


async def questions(database_url: str) -> list[str]:
    engine = create_engine(database_url)
    async with engine.connect() as connection:
        texts = (await connection.scalars(sa.select(jobs.c.text).order_by(jobs.c.id))).all()
    await engine.dispose()
    return list(texts)


@pytest.mark.long
@pytest.mark.empty_database
async def test_backup_of_a_running_bot_undoes_an_upgrade(
    backup: tuple[str, Backup], make_newer: Callable[[dict[str, str]], NewerVersion]
) -> None:
    url, commands = backup
    newer = make_newer({"DATABASE_URL": url})
    newer.let_end()
    store = await Stores.open(url, "w1", SystemClock())
    for number in (1, 2):
        await store.question_queue.enqueue(
            f"Ev{number}", Question(ThreadKey("T1", "C1", "1.0"), f"{number}.0", "U1", f"q{number}")
        )
        if number == 1:
            # As each night does.
            commands.run("backup")
            commands.run("backup")
    await store.close()
    assert await migrated(newer) == "The database schema is at revision later.\n"
    assert await questions(url) == ["q1", "q2"]
    commands.run("restore", "--yes")
    assert await questions(url) == ["q1"]
    assert await migrated(newer) == "The database schema is at revision later.\n"


async def migrated(newer: NewerVersion) -> str:
    async with bot_process(newer.folder, "migrate", env=newer.env) as process:
        out, err = await output(process)
    assert err == ""
    return out
