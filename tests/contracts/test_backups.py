"""Backups of both databases: they can be restored into either, and one that fails leaves the earlier one as it was."""

import os
import resource
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.errors import StoreError
from bot.store import Stores
from bot.store.backup import back_up, read, restore
from bot.store.database import connected
from bot.store.migrate import migrate
from bot.store.schema import jobs, metadata
from tests.contracts.test_store_migrations import restore as fill
from tests.processes import REPOSITORY

pytestmark = pytest.mark.empty_database

KINDS = ("sqlite", "postgresql")


async def rows(url: str) -> dict[str, Sequence[tuple[object, ...]]]:
    """Returns all rows of a database."""
    async with connected(url) as engine, engine.connect() as connection:
        return {
            table.name: sorted(map(tuple, (await connection.execute(sa.select(table))).all()), key=repr)
            for table in metadata.sorted_tables
        }


async def filled(url: str) -> str:
    """Fills a database with what a killed bot has left there."""
    async with connected(url) as engine:
        async with engine.connect():
            pass
        fill(url, "0001")
        await migrate(engine)
    return url


def left_beside(file: Path) -> list[Path]:
    return list(file.parent.glob(f"{file.name}.new*"))


def backup_with_little_room(url: str, file: Path) -> subprocess.CompletedProcess[str]:
    """Runs `typist backup` where files may have no more than 40 kB."""
    return subprocess.run(
        [sys.executable, "-m", "bot", "backup", str(file)],
        env={**os.environ, "DATABASE_URL": url, "PYTHONPATH": str(REPOSITORY)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)),
        cwd=file.parent,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
async def test_backup_of_either_database_is_restored_into_either(
    source: str, target: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url, file = await filled(request.getfixturevalue(f"{source}_url")), tmp_path / "backup"
    before = await rows(url)
    assert before["jobs"]
    async with connected(url) as engine:
        made = await back_up(engine, file)
    assert (made.questions, stat.S_IMODE(file.stat().st_mode)) == (len(before["jobs"]), 0o600)
    other = url if source == target else str(request.getfixturevalue(f"{target}_url"))
    async with connected(other) as engine:
        await migrate(engine)
        async with engine.begin() as connection:
            await connection.execute(sa.delete(jobs))
        await restore(file, engine)
        async with engine.begin() as connection:
            new_id = await connection.scalar(
                sa.insert(jobs)
                .values(team_id="T1", channel_id="C9", thread_ts="", user_id="U1", text="", created_at=0, status="done")
                .returning(jobs.c.id)
            )
            await connection.execute(sa.delete(jobs).where(jobs.c.id == new_id))
    assert new_id not in {row[0] for row in before["jobs"]}
    assert await rows(other) == before
    assert left_beside(file) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_restore_while_typist_runs_is_refused(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url, file = await filled(request.getfixturevalue(f"{kind}_url")), tmp_path / "backup"
    stores = await Stores.open(url, "w1", SystemClock())
    async with connected(url) as engine:
        await back_up(engine, file)
        with pytest.raises(StoreError, match=r"Typist runs with this database \(w1\)"):
            await restore(file, engine)
        await stores.close()
        await restore(file, engine)


@pytest.mark.parametrize("kind", KINDS)
async def test_backup_on_a_full_disk_leaves_the_earlier_one(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url, file = await filled(request.getfixturevalue(f"{kind}_url")), tmp_path / "backup"
    async with connected(url) as engine:
        await back_up(engine, file)
    before = file.read_bytes()
    ended = backup_with_little_room(url, file)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert left_beside(file) == []
    assert file.read_bytes() == before


async def test_backup_of_a_database_that_is_missing_creates_and_replaces_nothing(tmp_path: Path) -> None:
    file = tmp_path / "backup"
    async with connected(await filled(f"sqlite:///{tmp_path}/typist.db")) as engine:
        await back_up(engine, file)
    before = file.read_bytes()
    async with connected(f"sqlite:///{tmp_path}/tpyist.db") as engine:
        with pytest.raises(StoreError, match="there is no database at"):
            await back_up(engine, file)
    assert not (tmp_path / "tpyist.db").exists()
    assert file.read_bytes() == before


async def test_file_that_is_no_older_backup_is_not_replaced(tmp_path: Path) -> None:
    newer, notes = tmp_path / "newer", tmp_path / "notes.txt"
    notes.write_text("mine")
    url = await filled(f"sqlite:///{tmp_path}/typist.db")
    async with connected(url) as engine:
        await back_up(engine, newer)
        async with engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                await connection.execute(sa.delete(table))
        for file, sentence in ((newer, "is newer"), (notes, "no backup"), (tmp_path / "typist.db", "database itself")):
            with pytest.raises(StoreError, match=sentence):
                await back_up(engine, file)
    assert read(newer).questions
    assert notes.read_text() == "mine"
