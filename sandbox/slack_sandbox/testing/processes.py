"""Starts programs in tests, with limits on how long a test waits for their output and their end."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

WITHIN_S = 120.0
"""The longest wait for an expected event. An operation that takes ten seconds on a busy machine can take a minute on a
slow one."""
INHERITED_VARIABLES = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")


def inherited_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}


@asynccontextmanager
async def running_process(*command: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """Starts a command. Kills it at the end of the block if it is still running.

    If the block fails, the failure includes what the process has written to stderr since it was last read.
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
    """Waits for a line that contains these words, and returns it. After WITHIN_S, fails with all lines."""
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
