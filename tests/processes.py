"""Starts the bot as a process, as people run it: in its own folder, with only the given settings."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.clocks import WITHIN_S

REPOSITORY = Path(__file__).parent.parent
INHERITED_VARIABLES = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")


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
    env = {**inherited(), "PYTHONPATH": str(REPOSITORY), **(env or {})}
    options = {"cwd": folder, "stdin": stdin, "stdout": stdout, "stderr": stderr}
    async with started(python, *program, *arguments, env=env, **options) as process:
        yield process


def inherited() -> dict[str, str]:
    """Returns the variables of our environment that any program needs."""
    return {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}


@asynccontextmanager
async def started(*command: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """Starts a command. Kills it at the end of the block if it is still running.

    If the block fails, the failure tells what the process has written to stderr since it was last read.
    """
    process = await asyncio.create_subprocess_exec(*command, **options)
    failure: AssertionError | None = None
    try:
        yield process
    except AssertionError as error:
        failure = error
        raise
    finally:
        if process.returncode is None:
            process.kill()
        _, err = await process.communicate()
        if failure is not None and err:
            failure.add_note(f"stderr:\n{err.decode(errors='replace')}")


async def wait_for_line(stream: asyncio.StreamReader | None, words: str) -> str:
    """Waits for a line with these words in a process's stream and returns it. After WITHIN_S, fails with all lines."""
    assert stream is not None
    seen: list[str] = []
    reason = "the stream ended"
    try:
        async with asyncio.timeout(WITHIN_S):
            while line := (await stream.readline()).decode():
                seen.append(line)
                if words in line:
                    return line
    except TimeoutError:
        reason = f"waited {WITHIN_S:g} s"
    raise AssertionError(f"{reason} without a line with {words!r}; lines so far:\n{''.join(seen)}")


async def output(process: asyncio.subprocess.Process, piped: bytes = b"") -> tuple[str, str]:
    """Sends `piped` to stdin and returns what the process writes to stdout and stderr until it ends."""
    try:
        async with asyncio.timeout(WITHIN_S):
            out, err = await process.communicate(piped if process.stdin else None)
    except TimeoutError:
        raise AssertionError(f"waited {WITHIN_S:g} s for process {process.pid} to end") from None
    return (out or b"").decode(), err.decode()
