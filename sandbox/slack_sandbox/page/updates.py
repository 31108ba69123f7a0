"""Sends live updates as server-sent events to all open pages."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from slack_sandbox.workspace import (
    Change,
    Changed,
    Deleted,
    Joined,
    Json,
    Message,
    Posted,
    StatusSet,
    TombstoneRemoved,
    Workspace,
)

_FLUSH_INTERVAL_S = 0.05
"""Changes of one message within this time are sent as one event."""
_POLL_INTERVAL_S = 1.0
_BACKLOG = 500
"""The maximum number of events queued for a page. A slower page is disconnected, and loads the state again."""


class PageUpdates:
    """Collects changes and sends them to open pages. A changed message is rendered once for all pages.

    `polled`: functions by event. Each is called every second, and its data is sent if it has changed.
    """

    def __init__(
        self,
        workspace: Workspace,
        message_json: Callable[[Message], Json],
        polled: Mapping[str, Callable[[], list[Json]]],
    ) -> None:
        self._workspace = workspace
        self._message_json = message_json
        self._polled = polled
        self._pages: set[asyncio.Queue[bytes | None]] = set()
        self._changed: dict[tuple[str, str], Message] = {}
        self._last_sent: dict[str, Any] = {}
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        workspace.listeners.append(self._on_change)

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._flush()), asyncio.create_task(self._tick())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for page in self._pages:
            _disconnect(page)

    def send(self, event: str, data: Any) -> None:
        if not self._pages:
            return
        line = f"event: {event}\ndata: {json.dumps(data)}\n\n".encode()
        for page in list(self._pages):
            try:
                page.put_nowait(line)
            except asyncio.QueueFull:
                self._pages.discard(page)
                _disconnect(page)

    def refresh(self, message: Message) -> None:
        """Sends a message again because something other than its text has changed."""
        if self._pages:
            self._queue(message)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serves one page's stream of events until the page or the sandbox closes."""
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        page: asyncio.Queue[bytes | None] = asyncio.Queue(_BACKLOG)
        self._pages.add(page)
        try:
            await response.write(b"retry: 500\n\n")
            while (line := await page.get()) is not None:
                await response.write(line)
        except ConnectionError:
            # The person closed the page.
            return response
        finally:
            self._pages.discard(page)
        return response

    def _on_change(self, change: Change) -> None:
        if not self._pages:
            return
        match change:
            case Posted(message):
                self._queue(message)
                self._queue_root(message)
            case Changed(message):
                self._queue(message)
            case Deleted(message) | TombstoneRemoved(message):
                self._changed.pop((message.channel, message.ts), None)
                self.send("deleted", {"channel": message.channel, "ts": message.ts})
                self._queue_root(message)
            case Joined(channel):
                self.send("members", {"channel": channel, "members": self._workspace.channel(channel).members})
            case StatusSet(channel, thread_ts, text, loading):
                status = {"channel": channel, "thread_ts": thread_ts, "text": text}
                self.send("status", status | ({"loading": loading} if loading else {}))

    def _queue(self, message: Message) -> None:
        self._changed[message.channel, message.ts] = message
        self._wake.set()

    def _queue_root(self, message: Message) -> None:
        # A posted or deleted reply changes the count at its root.
        if message.thread_ts is not None and message.ephemeral_to is None:
            self._queue(self._workspace.message(message.channel, message.thread_ts))

    async def _flush(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = self._changed, {}
            for message in changed.values():
                self.send("message", self._message_json(message))
            await asyncio.sleep(_FLUSH_INTERVAL_S)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_POLL_INTERVAL_S)
            if not self._pages:
                continue
            self._workspace.expire_statuses()
            for event, poll in self._polled.items():
                data = poll()
                if data != self._last_sent.get(event):
                    self._last_sent[event] = data
                    self.send(event, data)


def _disconnect(page: "asyncio.Queue[bytes | None]") -> None:
    while page.full():
        with contextlib.suppress(asyncio.QueueEmpty):
            page.get_nowait()
    page.put_nowait(None)
