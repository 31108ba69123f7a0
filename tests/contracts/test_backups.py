"""Backups of both databases: they can be restored into either, and one that fails leaves the earlier one as it was."""

import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.core.job import Piece
from bot.errors import StoreError
from bot.store import Stores, backup
from bot.store.backup import back_up, read, restore
from bot.store.database import connected
from bot.store.migrate import migrate
from bot.store.schema import jobs, metadata
from tests.contracts.databases import PostgresqlServer, create_role, needs_mount
from tests.contracts.stores import DONE, YES, apart, enqueued
from tests.processes import REPOSITORY

pytestmark = pytest.mark.empty_database

KINDS = ("sqlite", "postgresql")


async def rows(url: str) -> dict[str, Sequence[tuple[object, ...]]]:
    async with connected(url) as engine, engine.connect() as connection:
        return {
            table.name: sorted(map(tuple, (await connection.execute(sa.select(table))).all()), key=repr)
            for table in metadata.sorted_tables
        }


async def filled(url: str) -> str:
    stores = await Stores.open(url, "w1", SystemClock())
    for number in range(3):
        await enqueued(stores, apart(number))
    ended, growing = await stores.worker_queue.claim(2)
    assert await stores.worker_queue.finish(ended, DONE, YES)
    assert await stores.worker_queue.checkpoint({growing: Piece(0, "Yes, ")})
    await stores.close()
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
@pytest.mark.long(after_row=2)
async def test_backup_of_either_database_is_restored_into_either(
    source: str, target: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url, file = await filled(request.getfixturevalue(f"{source}_url")), tmp_path / "backup"
    before = await rows(url)
    assert before["jobs"]
    async with connected(url) as engine:
        made = await back_up(engine, file)
    assert (made.questions, stat.S_IMODE(file.stat().st_mode)) == (len(before["jobs"]), 0o600)
    written = file.stat()
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
    assert (left_beside(file), os.path.samestat(file.stat(), written)) == ([], True), "the backup is what it was"


async def test_backup_of_a_server_is_as_of_one_moment(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, names = await filled(postgresql_url), backup._column_names
    before = await rows(url)

    def meanwhile(table: sa.Table) -> str:
        """Has somebody ask once the backup has begun, and before each table is read."""
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE jobs SET text = text || '?'")
        return names(table)

    monkeypatch.setattr(backup, "_column_names", meanwhile)
    async with connected(url) as engine:
        await back_up(engine, tmp_path / "backup")
    assert (await rows(f"sqlite:///{tmp_path}/backup"))["jobs"] == before["jobs"]
    assert (await rows(url))["jobs"] != before["jobs"]


@pytest.mark.parametrize(("worker", "where"), [("web-1:4711:0f2b", "process 4711 on web-1"), ("w1", "w1")])
@pytest.mark.parametrize("kind", KINDS)
async def test_restore_while_typist_runs_is_refused(
    kind: str, worker: str, where: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url, file = await filled(request.getfixturevalue(f"{kind}_url")), tmp_path / "backup"
    stores = await Stores.open(url, worker, SystemClock())
    async with connected(url) as engine:
        await back_up(engine, file)
        with pytest.raises(StoreError, match=rf"Typist is running with this database \({where}\)"):
            await restore(file, engine)
        await stores.close()
        await restore(file, engine)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
@pytest.mark.long
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


def on_a_read_only_disk(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of Typist with the database in a folder that is mounted read-only."""
    mounted = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted, str(folder), sys.executable, "-m", "bot", *arguments],
        env={**os.environ, "DATABASE_URL": f"sqlite:///{folder}/typist.db", "PYTHONPATH": str(REPOSITORY)},
        cwd=folder.parent,
        capture_output=True,
        text=True,
    )


def delete_and_die(database: Path) -> None:
    """Deletes a question in a process that ends at once, so that SQLite's log stays."""
    statements = "c.execute('PRAGMA journal_mode = WAL'); c.execute('DELETE FROM jobs WHERE id = 3'); c.commit()"
    code = f"import os, sqlite3; c = sqlite3.connect({str(database)!r}); {statements}; os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True)


@needs_mount
@pytest.mark.wide
@pytest.mark.parametrize("is_killed", [True, False], ids=["a process was killed", "the last process ended"])
async def test_database_on_a_read_only_disk_is_read_and_backed_up(tmp_path: Path, is_killed: bool) -> None:
    database, other = tmp_path / "disk" / "typist.db", f"sqlite:///{tmp_path}/other.db"
    database.parent.mkdir()
    await filled(f"sqlite:///{database}")
    if is_killed:
        delete_and_die(database)
    assert database.with_name("typist.db-wal").exists() == is_killed
    kept = f"Backed up {2 if is_killed else 3} questions to nightly.\n"
    ended = on_a_read_only_disk(database.parent, "backup", "nightly")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, kept, "")
    async with connected(other) as engine:
        await restore(tmp_path / "nightly", engine)
    assert on_a_read_only_disk(database.parent, "usage").stdout.startswith("Since ")
    refused = on_a_read_only_disk(database.parent, "forget", "--user", "U0ADA", "--yes")
    assert refused.returncode == 1
    assert "If its disk is mounted read-only, back it up (typist backup FILE)" in refused.stderr
    assert await rows(other) == await rows(f"sqlite:///{database}")


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


async def test_file_that_is_no_older_backup_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    newer, notes = tmp_path / "newer", tmp_path / "notes.txt"
    notes.write_text("mine")
    url = await filled(f"sqlite:///{tmp_path}/typist.db")
    async with connected(url) as engine:
        await back_up(engine, newer)
        async with engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                await connection.execute(sa.delete(table))
        ours, link = tmp_path / "typist.db", tmp_path / "link"
        link.symlink_to(ours)
        itself = ((file, "database itself") for file in (ours, link, Path("typist.db")))
        for file, sentence in ((newer, "is newer"), (notes, "no backup"), *itself):
            with pytest.raises(StoreError, match=sentence):
                await back_up(engine, file)
    assert read(newer).questions
    assert notes.read_text() == "mine"


async def test_what_a_backup_would_destroy_is_never_written(tmp_path: Path) -> None:
    """A device, for all programs; what SQLite keeps beside the database; what is read meanwhile."""
    os.mkfifo(tmp_path / "pipe")
    url = await filled(f"sqlite:///{tmp_path}/typist.new")
    before = await rows(url)
    parts = {f"typist.new-{kind}": "a part of it" for kind in ("wal", "shm", "journal")}
    async with connected(url) as engine:
        for name, sentence in {"pipe": "a device or a pipe", **parts, "typist": "Rename it"}.items():
            with pytest.raises(StoreError, match=sentence):
                await back_up(engine, tmp_path / name)
        await back_up(engine, tmp_path / "other.new")
    async with connected(f"sqlite:///{tmp_path}/other") as engine:
        with pytest.raises(StoreError, match="Rename it"):
            await restore(tmp_path / "other.new", engine)
        for name in ("pipe", "."):
            with pytest.raises(StoreError, match="isn't a file"):
                await restore(tmp_path / name, engine)
    assert read(tmp_path / "other.new").questions
    assert (tmp_path / "pipe").is_fifo()
    assert await rows(url) == before


async def test_links_to_a_database_and_to_its_backup_stay(tmp_path: Path) -> None:
    """A link often leads to another disk, where the file belongs."""
    disk = tmp_path / "what? a #disk"
    disk.mkdir()
    for name in ("typist.db", "backup"):
        (tmp_path / name).symlink_to(disk / name)
    url = await filled(f"sqlite:///{tmp_path}/typist.db")
    before = await rows(url)
    async with connected(url) as engine:
        await back_up(engine, tmp_path / "backup")
        async with engine.begin() as connection:
            await connection.execute(sa.delete(jobs))
        await restore(tmp_path / "backup", engine)
    assert await rows(url) == before
    assert all((tmp_path / name).is_symlink() for name in ("typist.db", "backup"))
    assert sorted(os.listdir(disk)) == ["backup", "typist.db"]


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from bot.store import backup
from bot.store.database import connected

async def run(command, url, file):
    async with connected(url) as engine:
        await (backup.back_up(engine, Path(file)) if command == "backup" else backup.restore(Path(file), engine))

setattr(backup, sys.argv[1], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
asyncio.run(run(*sys.argv[2:]))
"""


def kill_in(function: str, command: str, url: str, file: Path) -> int:
    """Runs a command whose process is killed where it calls a function, and returns the exit code."""
    arguments = [sys.executable, "-c", KILLED, function, command, url, str(file)]
    return subprocess.run(arguments, cwd=REPOSITORY, timeout=15).returncode


@pytest.mark.long
async def test_backup_that_is_reached_by_a_link_is_not_emptied_while_it_is_read(tmp_path: Path) -> None:
    """In a process of its own: reading what is written at the same time has no end."""
    async with connected(await filled(f"sqlite:///{tmp_path}/typist.db")) as engine:
        await back_up(engine, tmp_path / "other.new")
    (tmp_path / "link").symlink_to(tmp_path / "other.new")
    assert kill_in("_publish", "restore", f"sqlite:///{tmp_path}/other", tmp_path / "link") == 1
    assert read(tmp_path / "other.new").questions


@pytest.mark.parametrize(
    ("kind", "killed_in"),
    [("sqlite", "_publish"), pytest.param("postgresql", "_sequence_name", marks=pytest.mark.long)],
)
@pytest.mark.long
async def test_process_that_is_killed_midway_leaves_backup_and_database_as_they_were(
    kind: str, killed_in: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What it leaves beside them is no obstacle to the next one."""
    url, file = await filled(request.getfixturevalue(f"{kind}_url")), tmp_path / "backup"
    async with connected(url) as engine:
        await back_up(engine, file)
    backup, before = file.read_bytes(), await rows(url)
    for command in ("backup", "restore"):
        assert kill_in(killed_in, command, url, file) == -signal.SIGKILL
        assert left_beside(file) != []
        assert (file.read_bytes(), await rows(url)) == (backup, before)
    async with connected(url) as engine:
        await back_up(engine, file)
        await restore(file, engine)
    assert await rows(url) == before
    assert left_beside(file) == []


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda whole: whole[: len(whole) // 2], "damaged|malformed"),
        (lambda whole: whole[:8_192] + bytes(len(whole) - 8_192), "damaged|malformed|no backup"),
        (lambda whole: b"x" * 100 + whole[100:], "no backup"),
        (lambda _: b"", "no backup"),
        (lambda _: b"-- PostgreSQL database dump\n" * 100, "no backup"),
    ],
    ids=["cut", "zeros", "no head", "empty", "of another program"],
)
@pytest.mark.long(after_row=2)
async def test_damaged_backup_is_not_restored(tmp_path: Path, damage: Callable[[bytes], bytes], sentence: str) -> None:
    url, file = await filled(f"sqlite:///{tmp_path}/typist.db"), tmp_path / "backup"
    before = await rows(url)
    async with connected(url) as engine:
        await back_up(engine, file)
        file.write_bytes(damage(file.read_bytes()))
        with pytest.raises(StoreError, match=f"{file} is .*({sentence})"):
            await restore(file, engine)
    assert await rows(url) == before
    assert left_beside(tmp_path / "typist.db") == []


@pytest.mark.long
async def test_tables_of_another_program_are_neither_read_nor_changed(
    own_server: PostgresqlServer, tmp_path: Path
) -> None:
    url, file = create_role(own_server.url, "typist", "secret-5"), tmp_path / "backup"
    theirs = "SELECT id FROM public.jobs UNION ALL SELECT count(*) FROM public.users"
    with psycopg.connect(own_server.url, autocommit=True) as connection:
        for statement in (
            "CREATE TABLE public.jobs AS SELECT generate_series(7, 9) AS id",
            "CREATE TABLE public.alembic_version AS SELECT 'theirs' AS version_num",
            "CREATE TABLE public.users AS SELECT 1 AS id",
            "REVOKE ALL ON SCHEMA public FROM PUBLIC",
            "CREATE SCHEMA typist AUTHORIZATION typist",
            "ALTER ROLE typist SET search_path = typist",
        ):
            connection.execute(statement.encode())
        before, _ = connection.execute(theirs.encode()).fetchall(), await filled(url)
        ours = await rows(url)
        async with connected(url) as engine:
            await back_up(engine, file)
            async with engine.begin() as changing:
                await changing.execute(sa.delete(jobs))
            await restore(file, engine)
        assert connection.execute(theirs.encode()).fetchall() == before
        assert connection.execute(b"SELECT version_num FROM public.alembic_version").fetchall() == [("theirs",)]
    assert ours["jobs"]
    assert await rows(url) == ours
