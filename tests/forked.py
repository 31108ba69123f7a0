"""Starts the bot as a forked process, from a server that has already imported what `python -m bot` imports.

This takes a tenth of the time of a new interpreter. The process is run, signalled and killed like any other. Tests with
tests.processes show that a bot starts from nothing.
"""

import asyncio
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from slack_sandbox.testing.processes import WITHIN_S, inherited_environment

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.preloaded"])


@dataclass(frozen=True)
class ForkedBot:
    """A running bot process, with the part of asyncio.subprocess.Process's interface that tests use."""

    pid: int
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader
    ended: "asyncio.Future[int]"

    @property
    def returncode(self) -> int | None:
        return self.ended.result() if self.ended.done() else None

    async def wait(self) -> int:
        """Waits for the end and returns the exit code; for a killed process, the negative signal number."""
        return await asyncio.shield(self.ended)

    def send_signal(self, number: int) -> None:
        # It may have ended already, although this process has not noticed that yet.
        if not self.ended.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@asynccontextmanager
async def forked_bot(
    folder: Path,
    *arguments: str,
    env: Mapping[str, str],
    before: Callable[[], object] | None = None,
    piped: bytes = b"",
) -> AsyncIterator[ForkedBot]:
    """Starts a bot with these arguments and settings. Kills it at the end of the block if it is still running.

    `before` is called in the new process before anything else. `piped` is what it reads from stdin.
    """
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        (stdout, stdout_end), (stderr, stderr_end) = [await _pipe(stack) for _ in range(2)]
        stdin = _filled_pipe(piped)
        streams = (stdin, stdout_end, stderr_end)
        process = _FORKS.Process(
            target=_run, args=(folder, arguments, {**inherited_environment(), **env}, streams, before)
        )
        with stdin, stdout_end, stderr_end:
            # The first start waits until the fork server has imported its modules.
            await asyncio.to_thread(process.start)
        assert process.pid is not None
        forked = ForkedBot(process.pid, stdout, stderr, loop.create_future())

        def on_end() -> None:
            loop.remove_reader(process.sentinel)
            forked.ended.set_result(process.exitcode or 0)

        loop.add_reader(process.sentinel, on_end)
        try:
            yield forked
        finally:
            forked.kill()
            await forked.wait()
            process.close()


async def forked_command(
    folder: Path,
    *arguments: str,
    env: Mapping[str, str],
    before: Callable[[], object] | None = None,
    piped: bytes = b"",
) -> tuple[int, str, str]:
    """Runs a command to its end and returns its exit code and what it wrote to stdout and stderr."""
    async with (
        asyncio.timeout(WITHIN_S),
        forked_bot(folder, *arguments, env=env, before=before, piped=piped) as process,
        asyncio.TaskGroup() as tasks,
    ):
        out, err = (tasks.create_task(stream.read()) for stream in (process.stdout, process.stderr))
        code = await process.wait()
    return code, out.result().decode(), err.result().decode()


async def _pipe(stack: AsyncExitStack) -> tuple[asyncio.StreamReader, Connection]:
    """Creates a pipe and returns its reading end as a stream, and its writing end."""
    reading, writing = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", 0)
    )
    stack.enter_context(closing(transport))
    return reader, Connection(writing, readable=False)


def _filled_pipe(content: bytes) -> Connection:
    """Returns the reading end of a closed pipe with this content, which must fit into the pipe."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(writing, "wb", 0) as pipe:
        assert pipe.write(content) == len(content)
    return Connection(reading, writable=False)


def _run(
    folder: Path,
    arguments: tuple[str, ...],
    env: Mapping[str, str],
    streams: tuple[Connection, Connection, Connection],
    before: Callable[[], object] | None,
) -> None:
    """Runs `python -m bot ARGUMENTS` in the new process and that folder. `streams`: stdin, stdout, stderr."""
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    # Those that the process has are for the streams of the fork server.
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    if before is not None:
        before()
    sys.argv = ["bot", *arguments]
    runpy.run_module("bot", run_name="__main__", alter_sys=True)
