"""The transport for MCP servers that run as child processes. Messages are lines on stdin and stdout.

Unlike the SDK's transport, it limits the length of lines and how long a process can take to exit (Typist has less time
than the SDK allows). It also reports when a process closes its stdout, so that the next call goes to a new process
instead of being lost.
"""

import asyncio
import logging
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage

from bot.mcp.config import MAX_MESSAGE_BYTES, StdioTransport
from bot.mcp.messages import message_in

log = logging.getLogger(__name__)

EXIT_WITHIN_S = 0.7
"""Limit for a process to exit after its stdin is closed, and again after SIGTERM. Typist has 5 s to exit."""
KILLED_WITHIN_S = 0.5

Incoming = SessionMessage | Exception
"""The type that SDK sessions read. This transport sends only messages."""


@asynccontextmanager
async def stdio_transport(
    server: StdioTransport, ended: Callable[[bool], None]
) -> AsyncIterator[tuple[MemoryObjectReceiveStream[Incoming], MemoryObjectSendStream[SessionMessage]]]:
    """Starts a server, yields its message streams, and stops it on exit.

    `ended` is called when no more messages will arrive, with whether the process sent a line that is too long.
    """
    process = await asyncio.create_subprocess_exec(
        server.command,
        *server.args,
        env=get_default_environment() | dict(server.env),
        stdin=PIPE,
        stdout=PIPE,
        # A server's stderr can quote its arguments.
        stderr=DEVNULL,
        cwd=server.cwd,
        start_new_session=True,
        limit=MAX_MESSAGE_BYTES,
    )
    to_session, incoming = anyio.create_memory_object_stream[Incoming]()
    outgoing, from_session = anyio.create_memory_object_stream[SessionMessage]()
    pipes = _Pipes(process, to_session, from_session, ended)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipes.read)
        tasks.start_soon(pipes.write)
        try:
            yield incoming, outgoing
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                incoming.close()
                outgoing.close()
                await _end(process)


class _Pipes:
    def __init__(
        self,
        process: Process,
        to_session: MemoryObjectSendStream[Incoming],
        from_session: MemoryObjectReceiveStream[SessionMessage],
        ended: Callable[[bool], None],
    ) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        self._to_session = to_session
        self._from_session = from_session
        self._ended = ended

    async def read(self) -> None:
        is_too_long = False
        with self._to_session, suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
            while True:
                try:
                    line = await self._stdout.readline()
                except ValueError:
                    is_too_long = True
                    break
                if not line:
                    break
                message = message_in(line)
                if message is None:
                    log.debug("MCP server: line ignored, not a message")
                    continue
                await self._to_session.send(SessionMessage(message))
        self._ended(is_too_long)

    async def write(self) -> None:
        with self._from_session:
            try:
                async for outgoing in self._from_session:
                    line = outgoing.message.model_dump_json(by_alias=True, exclude_unset=True)
                    self._stdin.write(line.encode() + b"\n")
                    await self._stdin.drain()
            except ConnectionError:
                # The process might still be running without responding to anything.
                self._to_session.close()
                self._ended(False)


async def _end(process: Process) -> None:
    """Closes a process's stdin, sends SIGTERM if it is still running, and finally kills it and its children."""
    assert process.stdin is not None
    try:
        process.stdin.close()
        if not await _has_ended(process, EXIT_WITHIN_S):
            _signal(process, signal.SIGTERM)
            await _has_ended(process, EXIT_WITHIN_S)
    finally:
        # A process that has exited can leave children. A second signal to Typist doesn't wait for them.
        _signal(process, signal.SIGKILL)
    if not await _has_ended(process, KILLED_WITHIN_S):
        log.warning("MCP server: process not killed: pid=%d", process.pid)
    # A child outside the group might hold the pipes open, and there is no public way to close this end.
    process._transport.close()  # type: ignore[attr-defined]
    # Unread output would stay in memory until the next full garbage collection.
    assert process.stdout is not None
    with anyio.move_on_after(KILLED_WITHIN_S):
        while await process.stdout.read(MAX_MESSAGE_BYTES):
            pass


async def _has_ended(process: Process, within_s: float) -> bool:
    # Not process.wait(), because it also waits until the pipes are closed.
    with anyio.move_on_after(within_s):
        while process.returncode is None:  # noqa: ASYNC110
            await anyio.sleep(0.01)
    return process.returncode is not None


def _signal(process: Process, number: signal.Signals) -> None:
    """Sends a signal to the process and its children, which are in the same process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
