"""Starts the bot as a process, as people run it: in its own folder, with only the given settings."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from slack_sandbox.server import find_port
from slack_sandbox.testing.processes import inherited_environment, running_process

REPOSITORY = Path(__file__).parent.parent


def own_port() -> int:
    """Returns a free port. No other process of the tests looks for one there, so it stays free until a bot takes it."""
    return find_port(21_000 + os.getpid() % 100 * 100)


@asynccontextmanager
async def bot_process(
    folder: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdin: int = asyncio.subprocess.PIPE,
    stdout: int = asyncio.subprocess.PIPE,
    stderr: int = asyncio.subprocess.PIPE,
    program: Sequence[str] = ("-m", "bot"),
    python: str = sys.executable,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Starts `python -m bot ARGUMENTS` with piped streams. Kills it at the end of the block if it is still running."""
    env = {**inherited_environment(), "PYTHONPATH": str(REPOSITORY), **(env or {})}
    options = {"cwd": folder, "stdin": stdin, "stdout": stdout, "stderr": stderr}
    async with running_process(python, *program, *arguments, env=env, **options) as process:
        yield process
