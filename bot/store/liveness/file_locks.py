"""A lock for each process beside a SQLite file: its death, however it comes, sets it free."""

import fcntl
import os
from contextlib import suppress
from glob import escape
from pathlib import Path


class FileLocks:
    """Those of all workers on one database file. Raises OSError."""

    def __init__(self, database: Path, worker: str) -> None:
        self._database = database
        self._mine = self._path(worker)
        self._file: int | None = None

    @property
    def held(self) -> bool:
        return self._file is not None

    def take(self) -> None:
        """Takes our own, and removes those that the dead left."""
        for path in self._database.parent.glob(f"{escape(self._database.name)}-worker-*"):
            _remove_if_free(path)
        while self._file is None:
            file = os.open(self._mine, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(self._mine, file):
                self._file = file
            else:
                # Somebody took it for a dead one's before it was locked.
                os.close(file)

    def is_free(self, worker: str) -> bool:
        """Whether that worker's process is gone."""
        try:
            with self._path(worker).open("rb") as file:
                # Shared, so that two who look at once do not take each other for the owner.
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
    """Under its lock, so that a process which is just beginning sees that it was removed."""
    with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)


def _is_at(path: Path, file: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file).st_ino
    except FileNotFoundError:
        return False
