"""The bot as a process of its own that costs little: forked from one that has imported what `python -m bot run` does.

It is run, signalled and killed as any other. That a bot starts from nothing is proven by those of tests.processes.
"""

import asyncio
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.processes import KEPT

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["bot.app", "bot.providers.openai", "tests.forked"])


@dataclass(frozen=True)
class Forked:
    """A running bot; as an asyncio.subprocess.Process, but for what nobody uses."""

    pid: int
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader
    ended: "asyncio.Future[int]"

    async def wait(self) -> int:
        """Its exit code; of one that was killed, the signal's number below zero."""
        return await asyncio.shield(self.ended)

    def send_signal(self, number: int) -> None:
        if not self.ended.done():
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@asynccontextmanager
async def forked_bot(
    folder: Path, *arguments: str, env: Mapping[str, str], before: Callable[[], object] | None = None
) -> AsyncIterator[Forked]:
    """A bot that is given these arguments and settings; killed with the block if it has not ended by then.

    `before` is called in the new process ahead of all else.
    """
    inherited = {name: os.environ[name] for name in KEPT if name in os.environ}
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        (stdout, said), (stderr, logged) = [await _pipe(stack) for _ in range(2)]
        process = _FORKS.Process(target=_run, args=(folder, arguments, {**inherited, **env}, said, logged, before))
        with said, logged:
            # The first waits for all that is imported.
            await asyncio.to_thread(process.start)
        assert process.pid is not None
        forked = Forked(process.pid, stdout, stderr, loop.create_future())

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


async def _pipe(stack: AsyncExitStack) -> tuple[asyncio.StreamReader, Connection]:
    """What is written at its other end is read here."""
    reading, writing = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", 0)
    )
    stack.enter_context(closing(transport))
    return reader, Connection(writing, readable=False)


def _run(
    folder: Path,
    arguments: tuple[str, ...],
    env: Mapping[str, str],
    stdout: Connection,
    stderr: Connection,
    before: Callable[[], object] | None,
) -> None:
    """In the new process: as `python -m bot ARGUMENTS` in that folder."""
    for stream, number in ((stdout, 1), (stderr, 2)):
        os.dup2(stream.fileno(), number)
        stream.close()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    if before is not None:
        before()
    sys.argv = ["bot", *arguments]
    runpy.run_module("bot", run_name="__main__", alter_sys=True)
