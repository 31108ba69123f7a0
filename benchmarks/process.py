"""A bot in a process of its own, and what it costs; reads /proc, so Linux only."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.server import Sandbox

READY_WITHIN_S = 60
_ROOT = Path(__file__).parent.parent
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """A bot that runs."""

    pid: int
    log: Path
    """What it wrote to stderr."""

    def cpu_s(self) -> float:
        """What it has computed since its start."""
        # The name, in brackets, may hold spaces; utime and stime are the 14th and 15th field of proc(5).
        after_name = self._read("stat").rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / _TICKS_PER_S

    def memory_bytes(self) -> int:
        """Resident now."""
        return self._status_bytes("VmRSS")

    def peak_bytes(self) -> int:
        """The most that ever was resident."""
        return self._status_bytes("VmHWM")

    def _status_bytes(self, name: str) -> int:
        for line in self._read("status").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        # A process that has ended and was not waited for has no memory.
        raise ChildProcessError(f"the bot ended:\n{self.log.read_text()}")

    def _read(self, name: str) -> str:
        try:
            return Path(f"/proc/{self.pid}/{name}").read_text()
        except FileNotFoundError:
            raise ChildProcessError(f"the bot ended:\n{self.log.read_text()}") from None


@asynccontextmanager
async def running(
    arguments: Sequence[str], sandbox: Sandbox, model_url: str, models: str = "openai/numbered"
) -> AsyncIterator[Process]:
    """`python <arguments>` against the sandbox and the model, from its first line of output to its end."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        env = _environment(sandbox, directory) | {"OPENAI_BASE_URL": model_url, "BOT_MODELS": models}
        with log.open("wb") as stderr:
            await _migrated(env, directory)
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, cwd=directory, env=env, stdout=asyncio.subprocess.PIPE, stderr=stderr
            )
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), READY_WITHIN_S)
            if not line:
                await process.wait()
                raise ChildProcessError(f"{' '.join(arguments)} did not start:\n{log.read_text()}")
            yield Process(process.pid, log)
        finally:
            # Nothing of it is kept: it need not drain.
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _migrated(env: Mapping[str, str], directory: str) -> None:
    """The database is as each start but the first finds it."""
    migrating = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "migrate", cwd=directory, env=env, stdout=asyncio.subprocess.DEVNULL
    )
    if await migrating.wait():
        raise ChildProcessError("python -m bot migrate failed")


def _environment(sandbox: Sandbox, directory: str) -> dict[str, str]:
    """All that the process knows: no setting of who runs the benchmark."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(_ROOT),
        "SLACK_BOT_TOKEN": sandbox.bot_token,
        "SLACK_APP_TOKEN": sandbox.app_token,
        "BOT_SLACK_API_URL": sandbox.api_url,
        "ANTHROPIC_API_KEY": "none",
        # A few people ask for many.
        "BOT_MAX_CONCURRENT_PER_USER": "1000",
        "DATABASE_URL": f"sqlite:///{directory}/typist.db",
    }
