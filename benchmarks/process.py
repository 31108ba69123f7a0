"""Runs bots as processes, and reads their CPU time and memory from /proc (Linux only)."""

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from slack_sandbox.server import Sandbox

READY_WITHIN_S = 60
_ROOT = Path(__file__).parent.parent
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """A running bot process."""

    pid: int
    log: Path
    """The file with its stderr."""

    def cpu_s(self) -> float:
        """Returns its CPU time since its start."""
        # The name, in brackets, may contain spaces; utime and stime are the 14th and 15th field of proc(5).
        after_name = self._read("stat").rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / _TICKS_PER_S

    def memory_bytes(self) -> int:
        """Returns its resident memory."""
        return self._status_bytes("VmRSS")

    def peak_bytes(self) -> int:
        """Returns its peak resident memory."""
        return self._status_bytes("VmHWM")

    def _status_bytes(self, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB", self._read("status"), re.MULTILINE)
        # A zombie process has no memory lines.
        return int(found[1]) * 1024 if found else self._ended()

    def _read(self, name: str) -> str:
        file = Path(f"/proc/{self.pid}/{name}")
        return file.read_text() if file.exists() else self._ended()

    def _ended(self) -> NoReturn:
        raise ChildProcessError(f"the bot's process ended unexpectedly:\n{self.log.read_text()}")


def environment(sandbox: Sandbox, model_url: str, models: str, database_url: str) -> dict[str, str]:
    """Returns the whole environment of a bot's process. Nothing of the caller's settings reaches it."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(_ROOT),
        "SLACK_BOT_TOKEN": sandbox.bot_token,
        "SLACK_APP_TOKEN": sandbox.app_token,
        "BOT_SLACK_API_URL": sandbox.api_url,
        "OPENAI_BASE_URL": model_url,
        "BOT_MODELS": models,
        # Few people in the sandbox ask as many questions as a large workspace.
        "BOT_MAX_CONCURRENT_PER_USER": "1000",
        "DATABASE_URL": database_url,
    }


async def spawn(
    folder: Path, env: Mapping[str, str], log: Path, command: Sequence[str] = (sys.executable, "-m", "bot", "run")
) -> asyncio.subprocess.Process:
    """Starts a command in a folder, with its stderr in `log`."""
    with log.open("wb") as stderr:
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )


@asynccontextmanager
async def started(
    command: Sequence[str], env: Mapping[str, str], folder: Path, log: Path
) -> AsyncIterator[tuple[Process, asyncio.StreamReader]]:
    """Runs a command as `spawn` does. Yields it with its stdout; kills it at the end."""
    process = await spawn(folder, env, log, command)
    assert process.stdout is not None
    try:
        yield Process(process.pid, log), process.stdout
    finally:
        # No state is kept, so it need not drain.
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def running(
    arguments: Sequence[str],
    sandbox: Sandbox,
    model_url: str,
    models: str = "openai/numbered",
    settings: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Process]:
    """Runs `python <arguments>` against sandbox and model. Yields after its first line, and kills it at the end.

    `settings`: further variables of its environment.
    """
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        env = {**environment(sandbox, model_url, models, f"sqlite:///{folder}/typist.db"), **settings}
        env["ANTHROPIC_API_KEY"], log = "none", folder / "log"
        # Migrated before the start, so that the migrations aren't measured.
        migrating = await spawn(folder, env, log, (sys.executable, "-m", "bot", "migrate"))
        await migrating.communicate()
        if migrating.returncode:
            raise ChildProcessError(f"python -m bot migrate failed:\n{log.read_text()}")
        async with started([sys.executable, *arguments], env, folder, log) as (process, stdout):
            line = await asyncio.wait_for(stdout.readline(), READY_WITHIN_S)
            if not line:
                raise ChildProcessError(f"{' '.join(arguments)} did not start:\n{log.read_text()}")
            yield process
