"""A lock file for each process beside a SQLite file: the operating system releases it at the process's death."""

import fcntl
import os
from contextlib import suppress
from glob import escape
from pathlib import Path


class FileLocks:
    """The lock files of all workers on one database file. Raises OSError."""

    def __init__(self, database: Path, worker: str) -> None:
        self._database = database
        self._mine = self._path(worker)
        self._file: int | None = None

    @property
    def held(self) -> bool:
        return self._file is not None

    def take(self) -> None:
        """Takes this worker's lock, and removes the files of dead workers."""
        for path in self._database.parent.glob(f"{escape(self._database.name)}-worker-*"):
            _remove_if_free(path)
        while self._file is None:
            file = os.open(self._mine, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(self._mine, file):
                self._file = file
            else:
                # Another process mistook the file for a dead worker's and removed it before it was locked.
                os.close(file)

    def is_free(self, worker: str) -> bool:
        """Whether that worker's process is dead."""
        try:
            with self._path(worker).open("rb") as file:
                # Shared, so that two processes that try it at once don't mistake each other for the owner.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        if self._file is not None:
            self._mine.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def _path(self, worker: str) -> Path:
        return self._database.with_name(f"{self._database.name}-worker-{worker}")


def _remove_if_free(path: Path) -> None:
    """Removes the file under its lock, so that a process that is just taking it notices."""
    with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)


def _is_at(path: Path, file: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file).st_ino
    except FileNotFoundError:
        return False
