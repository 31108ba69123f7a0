"""TLS before a PostgreSQL server, as a pooler or a cloud's proxy has it: the wheel's server is built without."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import trustme

from tests.contracts.pooler import WireStream

_REQUEST = (80877103).to_bytes(4, "big")
_CHUNK_BYTES = 64 * 1024
_NO_ENTRY = (
    b"SFATAL\0VFATAL\0C28000\0"
    b'Mno pg_hba.conf entry for host "127.0.0.1", user "u", database "postgres", no encryption\0\0'
)


@asynccontextmanager
async def tls(
    socket_path: str, certificate: trustme.LeafCert | None, *, is_required: bool = False
) -> AsyncIterator[int]:
    """Serves a PostgreSQL server's socket by TCP, and yields the port. None: TLS is refused. `is_required`: refuses
    clients without TLS, as a server does whose pg_hba.conf has only lines of hostssl."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate is not None:
        certificate.configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with AsyncExitStack() as stack:
            client = WireStream(reader, writer)
            stack.push_async_callback(_close, client)
            first = await client.startup()
            if first[4:8] == _REQUEST:
                writer.write(b"N" if certificate is None else b"S")
                if certificate is not None:
                    await writer.start_tls(context)
                first = await client.startup()
            elif is_required:
                writer.write(_error(_NO_ENTRY))
                return
            server = WireStream(*await asyncio.open_unix_connection(socket_path))
            stack.push_async_callback(_close, server)
            server.writer.write(first)
            both = [asyncio.create_task(_forward(*ends)) for ends in ((client, server), (server, client))]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()

    connections: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        # Of a certificate that the client refuses, it says so itself.
        with suppress(asyncio.IncompleteReadError, OSError):
            await serve(reader, writer)

    async with await asyncio.start_server(served, "127.0.0.1") as listening:
        yield listening.sockets[0].getsockname()[1]
        await asyncio.gather(*connections)


def _error(fields: bytes) -> bytes:
    return b"E" + (4 + len(fields)).to_bytes(4, "big") + fields


async def _forward(source: WireStream, target: WireStream) -> None:
    with suppress(OSError):
        while received := await source.reader.read(_CHUNK_BYTES):
            target.writer.write(received)


async def _close(stream: WireStream) -> None:
    stream.writer.close()
    with suppress(OSError):
        await stream.writer.wait_closed()
