"""Socket Mode: the WebSocket connections that deliver events and interactive payloads to the app.

How it works:

1. apps.connections.open returns a URL with a ticket. A ticket opens one connection; using it again results in HTTP 404.
2. The server greets a connection with `hello`. An app can have up to 10 connections, and each envelope is sent to one
   of them in turn.
3. The app acknowledges an envelope by sending its envelope_id back. An attempt has failed if it isn't acknowledged
   within `ack_timeout_s` or the connection ends.
4. Events are delivered again after each of `redelivery_delays_s`, with the same event_id, a new envelope_id and a
   retry_attempt. After the last attempt, Slack gives up.
5. Interactive payloads and commands are sent once. Their acknowledgment can have a payload, which `ask` returns.
6. From time to time, Slack refreshes connections: it sends a `disconnect` warning, sends nothing else to that
   connection, and closes it a few seconds later.

Faults cut connections, refresh them, end them right after `hello`, drop acknowledgments, repeat events, and lose them,
as Slack did with its own backlog after an outage.
"""

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

from slack_sandbox.faults import Faults
from slack_sandbox.setup import DEFAULT_SETUP, Setup
from slack_sandbox.workspace import APP_ID, PARTNERS_ID, Json

MAX_CONNECTIONS = 10
_HEARTBEAT_S = 20.0
"""The interval of pings. A client that doesn't respond within half of it is disconnected."""


@dataclass
class Delivery:
    payload: Json
    sent_at_s: list[float] = field(default_factory=list)
    """When each attempt was sent on a connection, in monotonic seconds."""
    acked_at_s: float | None = None

    @property
    def event_id(self) -> str:
        return str(self.payload["event_id"])


@dataclass(eq=False)
class Connection:
    """One WebSocket of the app. `accepting` is False while the connection is being refreshed."""

    socket: web.WebSocketResponse
    request: web.Request
    accepting: bool = True
    pending_acks: dict[str, asyncio.Future[Json | None]] = field(default_factory=dict)
    """Keyed by envelope_id. The result is the acknowledgment's payload, or None if the connection ends first."""

    def abort(self) -> None:
        """Cuts the TCP connection without a closing handshake."""
        if self.request.transport is not None:
            self.request.transport.abort()

    def cancel_pending_acks(self) -> None:
        for waiter in self.pending_acks.values():
            if not waiter.done():
                waiter.set_result(None)


@dataclass
class SocketMode:
    faults: Faults
    setup: Setup = DEFAULT_SETUP
    ack_timeout_s: float = 3.0
    redelivery_delays_s: Sequence[float] = (0.0, 60.0, 300.0)
    """The delays between a failed attempt and the next. After the last one, delivery is given up."""
    monotonic: Callable[[], float] = time.monotonic
    on_changed: Callable[[], None] = lambda: None
    acknowledged: Callable[[str], None] = lambda event_type: None
    not_acknowledged: Callable[[str], None] = lambda what: None
    """Called with the name of an event or payload that the app didn't acknowledge."""
    deliveries: deque[Delivery] = field(default_factory=lambda: deque(maxlen=5_000))

    def __post_init__(self) -> None:
        self.connections: list[Connection] = []
        self._tickets: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = 0
        self.faults.actions["drop_socket"] = self.drop
        self.faults.actions["refresh"] = self.refresh

    def issue_ticket(self) -> str:
        ticket = str(uuid.uuid4())
        self._tickets.add(ticket)
        return ticket

    def send(self, payload: Json) -> Delivery:
        """Starts delivering an event, until it is acknowledged or given up."""
        if self.faults.take("foreign_team"):
            payload = {**payload, "team_id": PARTNERS_ID, "is_ext_shared_channel": True}
        delivery = Delivery(payload)
        self.deliveries.append(delivery)
        if self.faults.take("silent"):
            return delivery
        self._start_task(self._deliver(delivery))
        return delivery

    async def ask(self, kind: str, payload: Json) -> Json | None:
        """Sends a payload once and returns the acknowledgment's payload, or None after the timeout."""
        connection = self._next_connection()
        if connection is None:
            return None
        envelope = {"type": kind, "payload": payload, "accepts_response_payload": True}
        acknowledged = await self._exchange(connection, envelope)
        if acknowledged is None:
            self.not_acknowledged(str(payload.get("type", kind)))
        return acknowledged

    def redeliver(self, delivery: Delivery) -> None:
        self._start_task(self._deliver_again(delivery))

    def drop(self) -> None:
        """Cuts all connections, as a network failure does."""
        for connection in self.connections:
            connection.abort()

    def refresh(self, warning_s: float = 2.0) -> None:
        """Asks the app to reconnect, and closes its current connections after `warning_s`."""
        for connection in list(self.connections):
            self._start_task(self._refresh(connection, warning_s))

    async def connect(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            # Observed: Slack responds to the handshake with 404 if the ticket was used or has expired.
            return web.Response(status=404)
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S)
        await socket.prepare(request)
        connection = Connection(socket, request, accepting=self.setup.app_token_app_id == APP_ID)
        too_many = len(self.connections) >= MAX_CONNECTIONS
        if too_many or not self.setup.socket_mode:
            await socket.send_json(_disconnect("too_many_websockets" if too_many else "link_disabled"))
            await socket.close()
            return socket
        self.connections.append(connection)
        try:
            if self.setup.sends_hello:
                await socket.send_json(self._hello())
            if fault := self.faults.take("end_after_hello"):
                connection.accepting = False
                await socket.send_json(_disconnect(fault.error))
                await socket.close()
                return socket
            self.on_changed()
            await self._receive(connection)
        finally:
            self.connections.remove(connection)
            connection.cancel_pending_acks()
            self.on_changed()
        return socket

    async def close(self) -> None:
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
                data = json.loads(message.data)
            except ValueError:
                continue
            waiter = connection.pending_acks.get(data.get("envelope_id", "")) if isinstance(data, dict) else None
            if waiter and not waiter.done() and not self.faults.take("unacked"):
                payload = data.get("payload") or {}
                waiter.set_result(payload if isinstance(payload, dict) else {"text": str(payload)})

    async def _deliver(self, delivery: Delivery) -> None:
        for attempt in range(len(self.redelivery_delays_s) + 1):
            if attempt:
                await asyncio.sleep(self.redelivery_delays_s[attempt - 1])
            if await self._attempt(delivery, attempt):
                break
        if delivery.acked_at_s is not None and self.faults.take("redeliver"):
            await self._deliver_again(delivery)

    async def _deliver_again(self, delivery: Delivery) -> None:
        await self._attempt(delivery, max(1, len(delivery.sent_at_s)))

    async def _attempt(self, delivery: Delivery, attempt: int) -> bool:
        connection = self._next_connection()
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
        self.on_changed()
        if await self._exchange(connection, envelope) is None:
            self.not_acknowledged(f"the event {delivery.payload['event']['type']}")
            return False
        delivery.acked_at_s = self.monotonic()
        self.acknowledged(str(delivery.payload["event"]["type"]))
        self.on_changed()
        return True

    async def _exchange(self, connection: Connection, envelope: Json) -> Json | None:
        envelope_id = str(uuid.uuid4())
        waiter: asyncio.Future[Json | None] = asyncio.get_running_loop().create_future()
        connection.pending_acks[envelope_id] = waiter
        try:
            await connection.socket.send_json({"envelope_id": envelope_id, **envelope})
            async with asyncio.timeout(self.ack_timeout_s):
                return await waiter
        except (TimeoutError, ConnectionError):
            return None
        finally:
            connection.pending_acks.pop(envelope_id, None)

    def _next_connection(self) -> Connection | None:
        open_connections = [c for c in self.connections if c.accepting and not c.socket.closed]
        if not open_connections:
            return None
        self._turn += 1
        return open_connections[self._turn % len(open_connections)]

    async def _refresh(self, connection: Connection, warning_s: float) -> None:
        connection.accepting = False
        try:
            await connection.socket.send_json(_disconnect("warning"))
            await asyncio.sleep(warning_s)
            await connection.socket.send_json(_disconnect("refresh_requested"))
            await connection.socket.close()
        except ConnectionError:
            # The app has already closed this connection.
            return

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.connections),
            "debug_info": {"host": "sandbox", "build_number": 1, "approximate_connection_time": 18_060},
            "connection_info": {"app_id": self.setup.app_token_app_id},
        }

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _disconnect(reason: str) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": f"sandbox-{secrets.token_hex(2)}"}}
