"""The transport for MCP servers that run as child processes. Messages are lines on stdin and stdout.

Unlike the SDK's transport, this one limits the length of lines and the time that a process can take to exit, because
Typist has less time than the SDK allows. It also reports a process that closes its stdout, so that the next call goes
to a new process instead of being lost.
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
from bot.mcp.messages import parse_message

log = logging.getLogger(__name__)

EXIT_WITHIN_S = 0.7
"""Time limit for a process to exit after its stdin is closed, and again after SIGTERM. Typist itself has 5 s to
exit."""
KILLED_WITHIN_S = 0.5

Incoming = SessionMessage | Exception
"""The type of messages that SDK sessions read. This transport never sends errors."""


@asynccontextmanager
async def stdio_transport(
    server: StdioTransport, on_end: Callable[[bool], None]
) -> AsyncIterator[tuple[MemoryObjectReceiveStream[Incoming], MemoryObjectSendStream[SessionMessage]]]:
    """Starts a server, yields its message streams, and stops it on exit. `on_end`: called after the last message. Its
    argument states whether the process sent a line that is too long."""
    process = await _start_process(server)
    to_session, incoming = anyio.create_memory_object_stream[Incoming]()
    outgoing, from_session = anyio.create_memory_object_stream[SessionMessage]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_read_stdout, process, to_session, on_end)
        tasks.start_soon(_write_stdin, process, from_session, to_session, on_end)
        try:
            yield incoming, outgoing
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                incoming.close()
                outgoing.close()
                await _stop_process(process)


async def _read_stdout(
    process: Process, to_session: MemoryObjectSendStream[Incoming], on_end: Callable[[bool], None]
) -> None:
    assert process.stdout is not None
    is_too_long = False
    with to_session, suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                is_too_long = True
                break
            if not line:
                break
            message = parse_message(line)
            if message is None:
                log.debug("MCP server: line ignored, not a message")
                continue
            await to_session.send(SessionMessage(message))
    on_end(is_too_long)


async def _write_stdin(
    process: Process,
    from_session: MemoryObjectReceiveStream[SessionMessage],
    to_session: MemoryObjectSendStream[Incoming],
    on_end: Callable[[bool], None],
) -> None:
    assert process.stdin is not None
    with from_session:
        try:
            async for outgoing in from_session:
                line = outgoing.message.model_dump_json(by_alias=True, exclude_unset=True)
                process.stdin.write(line.encode() + b"\n")
                await process.stdin.drain()
        except ConnectionError:
            # The process might still be running without responding to anything.
            to_session.close()
            on_end(False)


async def _start_process(server: StdioTransport) -> Process:
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
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
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # If asyncio's call were cancelled, it would kill the process, but not its children.
        with suppress(OSError):
            await _stop_process(await starting)
        raise


async def _stop_process(process: Process) -> None:
    assert process.stdin is not None
    try:
        process.stdin.close()
        if not await _has_exited(process, EXIT_WITHIN_S):
            _signal_group(process, signal.SIGTERM)
            await _has_exited(process, EXIT_WITHIN_S)
    finally:
        # A process that has exited can leave children. A second signal to Typist doesn't wait for them.
        _signal_group(process, signal.SIGKILL)
    if not await _has_exited(process, KILLED_WITHIN_S):
        log.warning("MCP server: process not killed: pid=%d", process.pid)
    # A child outside the group might hold the pipes open, and there is no public way to close this end.
    process._transport.close()  # type: ignore[attr-defined]
    # Unread output would stay in memory until the next full garbage collection.
    assert process.stdout is not None
    with anyio.move_on_after(KILLED_WITHIN_S):
        while await process.stdout.read(MAX_MESSAGE_BYTES):
            pass


async def _has_exited(process: Process, within_s: float) -> bool:
    # Not process.wait(), because it also waits until the pipes are closed.
    with anyio.move_on_after(within_s):
        while process.returncode is None:  # noqa: ASYNC110
            await anyio.sleep(0.01)
    return process.returncode is not None


def _signal_group(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
