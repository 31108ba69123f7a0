"""Runs a bot as a process and reads its CPU and memory from /proc, so Linux only."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sandbox.server import Sandbox

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
        for line in self._read("status").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        # A zombie process has no memory lines.
        raise ChildProcessError(f"the bot's process ended unexpectedly:\n{self.log.read_text()}")

    def _read(self, name: str) -> str:
        try:
            return Path(f"/proc/{self.pid}/{name}").read_text()
        except FileNotFoundError:
            raise ChildProcessError(f"the bot's process ended unexpectedly:\n{self.log.read_text()}") from None


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
        env = _environment(sandbox, directory) | {"OPENAI_BASE_URL": model_url, "BOT_MODELS": models, **settings}
        await _migrate(env, directory)
        log = Path(directory) / "log"
        async with started([sys.executable, *arguments], env, Path(directory), log) as (process, stdout):
            line = await asyncio.wait_for(stdout.readline(), READY_WITHIN_S)
            if not line:
                raise ChildProcessError(f"{' '.join(arguments)} did not start:\n{process.log.read_text()}")
            yield process


@asynccontextmanager
async def started(
    command: Sequence[str], env: Mapping[str, str], directory: Path, log: Path
) -> AsyncIterator[tuple[Process, asyncio.StreamReader]]:
    """Runs a command in a folder, with its stderr in `log`. Yields it with its stdout; kills it at the end."""
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=directory, env=env, stdout=asyncio.subprocess.PIPE, stderr=stderr
        )
    assert process.stdout is not None
    try:
        yield Process(process.pid, log), process.stdout
    finally:
        # No state is kept, so it need not drain.
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _migrate(env: Mapping[str, str], directory: str) -> None:
    """Migrates the database before the start, so that the migrations aren't measured."""
    migrating = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "migrate", cwd=directory, env=env, stdout=asyncio.subprocess.DEVNULL
    )
    if await migrating.wait():
        raise ChildProcessError("python -m bot migrate failed")


def connected_to(sandbox: Sandbox) -> dict[str, str]:
    """Returns the settings that connect a bot to the sandbox."""
    return {
        "SLACK_BOT_TOKEN": sandbox.bot_token,
        "SLACK_APP_TOKEN": sandbox.app_token,
        "BOT_SLACK_API_URL": sandbox.api_url,
    }


def _environment(sandbox: Sandbox, directory: str) -> dict[str, str]:
    """Returns the whole environment of the process. Nothing of the caller's settings reaches it."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(_ROOT),
        **connected_to(sandbox),
        "ANTHROPIC_API_KEY": "none",
        # Few people in the sandbox ask as many questions as a large workspace.
        "BOT_MAX_CONCURRENT_PER_USER": "1000",
        "DATABASE_URL": f"sqlite:///{directory}/typist.db",
    }
