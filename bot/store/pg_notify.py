"""Runs PostgreSQL's LISTEN on a separate connection. Notifications wake this process, and the connection's lock shows
that the process is alive."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.clock import Clock
from bot.errors import Backoff
from bot.store.database import MESSAGE_PREFIX, channel, connection_arguments, limit_time, lock_key, message_prefix

SELF_TEST_S = 2.0
READY_WITHIN_S = 15.0
"""The time to wait for the lock before polling instead. A server that lost our last connection can hold the lock for
hours."""
CHECK_S = 5.0
"""The interval at which the connection is checked, and the time limit for a response. A hanging server keeps its
connections open but might have lost our lock."""
BACKOFF = Backoff(0.5, 5.0)
DEAF_PAUSE_S = 60.0
"""The pause before trying again if LISTEN receives nothing, for example because of a pooler in transaction mode. An
admin might remove the pooler later."""

log = logging.getLogger(__name__)


class Listener:
    def __init__(
        self,
        engine: AsyncEngine,
        worker: str,
        clock: Clock,
        wake: Callable[[], None],
        on_message: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._worker = worker
        self._clock = clock
        self._wake = wake
        self._on_message = on_message
        self._task: asyncio.Task[None] | None = None
        self._has_tried = asyncio.Event()
        self.is_held = False
        """Whether our lock is held. Losing the connection releases it."""

    async def open(self) -> None:
        """Starts to listen, and waits until it is known whether that works."""
        self._task = asyncio.create_task(self._keep_listening())
        await self._has_tried.wait()

    async def close(self) -> None:
        self.cancel()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def cancel(self) -> None:
        """Cancels listening without waiting for the end. psycopg asks the server to cancel the statement, and a second
        cancellation would interrupt that request."""
        if self._task is not None:
            self._task.cancel()

    async def _keep_listening(self) -> None:
        failures = 0
        while True:
            try:
                await self._listen()
                failures = 0
                pause_s = DEAF_PAUSE_S
            except (psycopg.Error, SQLAlchemyError, OSError) as error:
                log.warning("LISTEN connection to the database lost, reconnecting: %s", type(error).__name__)
                failures = 1 if self.is_held else failures + 1
                pause_s = BACKOFF.wait_s(failures)
            finally:
                self.is_held = False
                self._has_tried.set()
            await self._clock.sleep(pause_s)

    async def _listen(self) -> None:
        """Listens until the connection is lost. Returns if the connection doesn't deliver notifications."""
        connection = await psycopg.AsyncConnection.connect(**connection_arguments(self._engine), autocommit=True)
        try:
            async with limit_time(READY_WITHIN_S):
                if not await self._prepare(connection):
                    log.info("LISTEN doesn't work (behind a pooler?), polling for other processes' changes")
                    return
            self.is_held = True
            self._has_tried.set()
            # Earlier notifications were lost.
            self._wake()
            while True:
                async for notify in connection.notifies(timeout=CHECK_S):
                    self._on_notification(notify.payload)
                async with limit_time(CHECK_S):
                    await connection.execute("SELECT 1")
        finally:
            await connection.close()

    async def _prepare(self, connection: psycopg.AsyncConnection[Any]) -> bool:
        """Listens and acquires the lock. Returns False if notifications don't arrive."""
        ours = await self._evaluate(connection, channel())
        await connection.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(ours)))
        if not await self._can_receive(connection):
            return False
        key = await self._evaluate(connection, sa.cast(lock_key(self._worker), sa.Text))
        # A session lock, acquired only once LISTEN works, because a pooler would keep it after our death.
        await connection.execute("SELECT pg_advisory_lock(%s::bigint)", [key])
        return True

    def _on_notification(self, payload: str) -> None:
        if payload.startswith(MESSAGE_PREFIX):
            if not payload.startswith(message_prefix(self._worker)):
                self._on_message(payload.removeprefix(MESSAGE_PREFIX).partition(" ")[2])
        elif payload != self._worker:
            self._wake()

    async def _evaluate(self, connection: psycopg.AsyncConnection[Any], value: sa.ColumnElement[Any]) -> str:
        statement = sa.select(value).compile(self._engine.sync_engine, compile_kwargs={"literal_binds": True})
        row = await (await connection.execute(str(statement).encode())).fetchone()
        assert row is not None
        return str(row[0])

    async def _can_receive(self, connection: psycopg.AsyncConnection[Any]) -> bool:
        """Returns whether notifications from another connection arrive. A pooler might return our own notifications."""
        async with self._engine.begin() as other:
            await other.execute(sa.select(sa.func.pg_notify(channel(), f"test {self._worker}")))
        async for notify in connection.notifies(timeout=SELF_TEST_S):
            if notify.payload == f"test {self._worker}":
                return True
        return False
