"""Socket Mode: tickets, connections, envelopes and what is delivered again when it was not acknowledged."""

import asyncio
import json
import secrets
import time
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from sandbox.faults import Faults
from sandbox.workspace import APP_ID, PARTNERS_ID, Json

MAX_CONNECTIONS = 10
_HEARTBEAT_S = 20.0
"""Pings go out this often; a peer that does not answer is dropped after half of it."""


@dataclass
class Delivery:
    """One event on its way, for who wants to know what became of it."""

    payload: Json
    sent_at_s: list[float] = field(default_factory=list)
    """Monotonic seconds of each attempt that reached a connection."""
    acked_at_s: float | None = None

    @property
    def event_id(self) -> str:
        return str(self.payload["event_id"])


@dataclass(eq=False)
class Connection:
    """One app's WebSocket; `accepting` until it is being refreshed."""

    socket: web.WebSocketResponse
    request: web.Request
    accepting: bool = True
    waiting: dict[str, asyncio.Future[Json | None]] = field(default_factory=dict)
    """Envelope id to what it is acknowledged with; None where the connection ends first."""

    def abort(self) -> None:
        """Cuts the TCP connection without a word."""
        if self.request.transport is not None:
            self.request.transport.abort()

    def settle(self) -> None:
        for waiter in self.waiting.values():
            if not waiter.done():
                waiter.set_result(None)


@dataclass
class SocketMode:
    """All connections of the app; each event goes to one of them, in turn."""

    faults: Faults
    ack_timeout_s: float = 3.0
    redelivery_delays_s: Sequence[float] = (0.0, 60.0, 300.0)
    """After an attempt that failed, the next comes so much later; then Slack gives the event up."""
    monotonic: Callable[[], float] = time.monotonic
    changed: Callable[[], None] = lambda: None
    """Told when connections or deliveries change."""
    deliveries: deque[Delivery] = field(default_factory=lambda: deque(maxlen=5_000))

    def __post_init__(self) -> None:
        self.connections: list[Connection] = []
        self._tickets: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = 0
        self.faults.actions["drop_socket"] = self.drop
        self.faults.actions["refresh"] = self.refresh

    def ticket(self) -> str:
        """Lets one connection in, once."""
        ticket = str(uuid.uuid4())
        self._tickets.add(ticket)
        return ticket

    def send(self, payload: Json) -> Delivery:
        """Delivers an event until it is acknowledged or given up."""
        if self.faults.take("foreign_team"):
            payload = {**payload, "team_id": PARTNERS_ID, "is_ext_shared_channel": True}
        delivery = Delivery(payload)
        self.deliveries.append(delivery)
        self._start(self._deliver(delivery))
        return delivery

    async def ask(self, kind: str, payload: Json) -> Json | None:
        """Sends what a person did, once; what the app acknowledged it with, None where it did not in time."""
        connection = self._next()
        if connection is None:
            return None
        return await self._exchange(connection, {"type": kind, "payload": payload, "accepts_response_payload": True})

    def redeliver(self, delivery: Delivery) -> None:
        """Delivers an event once more, as if its acknowledgement had been lost."""
        self._start(self._again(delivery))

    def drop(self) -> None:
        """Cuts all connections, as a network does."""
        for connection in self.connections:
            connection.abort()

    def refresh(self, warning_s: float = 2.0) -> None:
        """Asks the app to connect anew, and closes what it has now `warning_s` later."""
        for connection in list(self.connections):
            self._start(self._refresh(connection, warning_s))

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """The WebSocket's handler."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            # Seen of Slack for a ticket that was used or has expired: the handshake fails with 404.
            return web.Response(status=404)
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S)
        await socket.prepare(request)
        connection = Connection(socket, request)
        if len(self.connections) >= MAX_CONNECTIONS:
            await socket.send_json(_disconnect("too_many_websockets"))
            await socket.close()
            return socket
        self.connections.append(connection)
        try:
            await socket.send_json(self._hello())
            self.changed()
            await self._receive(connection)
        finally:
            self.connections.remove(connection)
            connection.settle()
            self.changed()
        return socket

    async def close(self) -> None:
        """Ends all deliveries and connections."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self.connections):
            await connection.socket.close(code=1001)

    async def _receive(self, connection: Connection) -> None:
        async for message in connection.socket:
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                said = json.loads(message.data)
            except ValueError:
                continue
            waiter = connection.waiting.get(said.get("envelope_id", "")) if isinstance(said, dict) else None
            if waiter and not waiter.done() and not self.faults.take("unacked"):
                payload = said.get("payload") or {}
                waiter.set_result(payload if isinstance(payload, dict) else {"text": str(payload)})

    async def _deliver(self, delivery: Delivery) -> None:
        for attempt in range(len(self.redelivery_delays_s) + 1):
            if attempt:
                await asyncio.sleep(self.redelivery_delays_s[attempt - 1])
            if await self._attempt(delivery, attempt):
                break
        if delivery.acked_at_s is not None and self.faults.take("redeliver"):
            await self._again(delivery)

    async def _again(self, delivery: Delivery) -> None:
        await self._attempt(delivery, max(1, len(delivery.sent_at_s)))

    async def _attempt(self, delivery: Delivery, attempt: int) -> bool:
        connection = self._next()
        if connection is None:
            return False
        envelope = {
            "type": "events_api",
            "payload": delivery.payload,
            "accepts_response_payload": False,
            "retry_attempt": attempt,
            "retry_reason": "timeout" if attempt else "",
        }
        delivery.sent_at_s.append(self.monotonic())
        self.changed()
        if await self._exchange(connection, envelope) is None:
            return False
        delivery.acked_at_s = self.monotonic()
        self.changed()
        return True

    async def _exchange(self, connection: Connection, envelope: Json) -> Json | None:
        envelope_id = str(uuid.uuid4())
        waiter: asyncio.Future[Json | None] = asyncio.get_running_loop().create_future()
        connection.waiting[envelope_id] = waiter
        try:
            await connection.socket.send_json({"envelope_id": envelope_id, **envelope})
            async with asyncio.timeout(self.ack_timeout_s):
                return await waiter
        except (TimeoutError, ConnectionError):
            return None
        finally:
            connection.waiting.pop(envelope_id, None)

    def _next(self) -> Connection | None:
        open_now = [c for c in self.connections if c.accepting and not c.socket.closed]
        if not open_now:
            return None
        self._turn += 1
        return open_now[self._turn % len(open_now)]

    async def _refresh(self, connection: Connection, warning_s: float) -> None:
        connection.accepting = False
        try:
            await connection.socket.send_json(_disconnect("warning"))
            await asyncio.sleep(warning_s)
            await connection.socket.send_json(_disconnect("refresh_requested"))
            await connection.socket.close()
        except ConnectionError:
            # The app was quicker: it has closed this connection already.
            return

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.connections),
            "debug_info": {"host": "sandbox", "build_number": 1, "approximate_connection_time": 18_060},
            "connection_info": {"app_id": APP_ID},
        }

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _disconnect(reason: str) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": f"sandbox-{secrets.token_hex(2)}"}}
