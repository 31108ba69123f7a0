"""A connection pooler: each transaction of a client may use another server connection, or each client keeps one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import sqlalchemy as sa

SSL_OR_GSS = {(80877103).to_bytes(4, "big"), (80877104).to_bytes(4, "big")}
AUTHENTICATED = b"R" + (8).to_bytes(4, "big") + bytes(4)
IDLE = b"Z" + (5).to_bytes(4, "big") + b"I"


@dataclass
class WireStream:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def startup(self) -> bytes:
        """Reads a client's startup message, which has no type."""
        length = await self.reader.readexactly(4)
        return length + await self.reader.readexactly(int.from_bytes(length, "big") - 4)

    async def message(self) -> bytes:
        head = await self.reader.readexactly(5)
        return head + await self.reader.readexactly(int.from_bytes(head[1:], "big") - 4)


class Pooler:
    """A pooler whose clients take turns on `size` server connections: by transaction, or by session."""

    def __init__(self, socket_path: str, size: int, *, by_session: bool) -> None:
        self._socket_path = socket_path
        self._size = size
        self._by_session = by_session
        self._free: asyncio.Queue[WireStream] = asyncio.Queue()
        self._parameters = b""
        self._opening = asyncio.Lock()
        self._clients: set[asyncio.Task[None]] = set()
        self._servers: list[WireStream] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._serve(WireStream(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, client: WireStream) -> None:
        startup = await client.startup()
        while startup[4:8] in SSL_OR_GSS:
            client.writer.write(b"N")
            startup = await client.startup()
        async with self._opening:
            while len(self._servers) < self._size:
                self._free.put_nowait(await self._connected(startup))
        client.writer.write(AUTHENTICATED + self._parameters + IDLE)
        kept: WireStream | None = None
        while not (first := await client.message()).startswith(b"X"):
            server = kept or await self._free.get()
            try:
                await Transaction(client, server).run(first)
            except BaseException:
                # The client left in the middle. The server rolls back when its connection closes.
                self._servers.remove(server)
                server.writer.close()
                raise
            if self._by_session:
                kept = server
            else:
                self._free.put_nowait(server)
        if kept is not None:
            self._free.put_nowait(kept)

    async def _connected(self, startup: bytes) -> WireStream:
        server = WireStream(*await asyncio.open_unix_connection(self._socket_path))
        self._servers.append(server)
        server.writer.write(startup)
        parameters = b""
        while not (message := await server.message()).startswith(b"Z"):
            parameters += message if message.startswith(b"S") else b""
        self._parameters = parameters
        return server

    async def close(self) -> None:
        for task in list(self._clients):
            task.cancel()
        for server in self._servers:
            server.writer.close()


class Transaction:
    def __init__(self, client: WireStream, server: WireStream) -> None:
        self._client = client
        self._server = server
        self._answers_due = 0

    async def run(self, first: bytes) -> None:
        self._ask(first)
        asking = asyncio.create_task(self._client.message())
        answering = asyncio.create_task(self._server.message())
        try:
            while True:
                await asyncio.wait((asking, answering), return_when=asyncio.FIRST_COMPLETED)
                if answering.done():
                    if self._answer(answering.result()):
                        return
                    answering = asyncio.create_task(self._server.message())
                if asking.done():
                    self._ask(asking.result())
                    asking = asyncio.create_task(self._client.message())
        finally:
            asking.cancel()
            answering.cancel()
            await asyncio.gather(asking, answering, return_exceptions=True)

    def _ask(self, message: bytes) -> None:
        self._server.writer.write(message)
        self._answers_due += message[:1] in (b"Q", b"S")

    def _answer(self, message: bytes) -> bool:
        """Forwards a message to the client and returns whether it was the transaction's last."""
        self._client.writer.write(message)
        self._answers_due -= message.startswith(b"Z")
        return message == IDLE and self._answers_due == 0


@asynccontextmanager
async def pooler(server_url: str, size: int = 3, *, by_session: bool = False) -> AsyncIterator[str]:
    """Runs a pooler in front of a server and yields its URL. The servers get the client's startup message."""
    url = sa.make_url(server_url)
    socket_path = f"{url.query['host']}/.s.PGSQL.5432"
    pool = Pooler(socket_path, size, by_session=by_session)
    listening = await asyncio.start_server(pool.serve, "127.0.0.1")
    host, port = listening.sockets[0].getsockname()
    pooled = url.difference_update_query(["host"]).set(host=host, port=port).update_query_dict({"sslmode": "disable"})
    try:
        yield pooled.render_as_string(hide_password=False)
    finally:
        listening.close()
        await pool.close()
