"""The bot as a process of its own, as people run it: with no settings but those given, in a folder of its own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
KEPT = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")


@asynccontextmanager
async def bot_process(
    folder: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdin: int = asyncio.subprocess.PIPE,
    stdout: int = asyncio.subprocess.PIPE,
    stderr: int = asyncio.subprocess.PIPE,
    program: Sequence[str] = ("-m", "bot"),
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m bot ARGUMENTS`, its streams piped; ended with the block if it has not ended by then."""
    inherited = {name: os.environ[name] for name in KEPT if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *program,
        *arguments,
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(REPOSITORY), **(env or {})},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(stream: asyncio.StreamReader | None, words: str) -> str:
    """The line of a process's stream that has these words, as soon as it is there."""
    assert stream is not None
    seen = []
    async with asyncio.timeout(60):
        while line := (await stream.readline()).decode():
            seen.append(line)
            if words in line:
                return line
    raise AssertionError(f"{words!r} was not said, but: {''.join(seen)}")


async def output(process: asyncio.subprocess.Process, piped: bytes = b"") -> tuple[str, str]:
    """What a process writes to its piped stdout and stderr until it ends, given this on stdin."""
    async with asyncio.timeout(60):
        out, err = await process.communicate(piped if process.stdin else None)
    return (out or b"").decode(), err.decode()
