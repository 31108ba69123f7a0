"""The lock files of workers beside a SQLite file, with real files and a real process that dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bot.store.workers import FileLocks

HOLDING = """
import sys, time
from pathlib import Path
from bot.store.workers import FileLocks
locks = FileLocks(Path(sys.argv[1]), "w2")
locks.take()
print("taken", flush=True)
time.sleep(60)
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "typist [1].db"


def test_lock_is_held_from_take_to_release(database: Path) -> None:
    ours, theirs = FileLocks(database, "w1"), FileLocks(database, "w2")
    assert (theirs.held, ours.is_free("w2")) == (False, True)
    theirs.take()
    theirs.take()
    assert (theirs.held, ours.is_free("w2")) == (True, False)
    theirs.release()
    theirs.release()
    assert (theirs.held, ours.is_free("w2")) == (False, True)


@pytest.mark.long
def test_lock_of_a_killed_process_is_free_though_its_file_stays(database: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(database)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"taken\n"
            ours = FileLocks(database, "w1")
            assert not ours.is_free("w2")
        finally:
            process.send_signal(signal.SIGKILL)
    assert os.listdir(database.parent) == [f"{database.name}-worker-w2"]
    assert ours.is_free("w2")


def test_take_removes_files_of_dead_workers_only(database: Path) -> None:
    living, ours = FileLocks(database, "w2"), FileLocks(database, "w1")
    living.take()
    (database.parent / f"{database.name}-worker-dead").touch()
    ours.take()
    assert sorted(os.listdir(database.parent)) == [f"{database.name}-worker-w1", f"{database.name}-worker-w2"]
    assert not ours.is_free("w2")
    ours.release()
    living.release()


def test_only_the_bots_account_may_read_a_lock_file(database: Path) -> None:
    locks = FileLocks(database, "w1")
    locks.take()
    [file] = database.parent.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    locks.release()


def test_lock_file_that_was_removed_meanwhile_is_no_error(database: Path) -> None:
    locks = FileLocks(database, "w1")
    locks.take()
    [file] = database.parent.iterdir()
    file.unlink()
    locks.release()
    assert not locks.held
