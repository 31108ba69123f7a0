"""Runs SQLite databases in memory on the event loop's thread.

aiosqlite hands each call to a thread, and the handover takes longer than the call: a fifth of a scenario's CPU time.
A database in memory waits for no disk and no lock, so its calls can't block the loop. Databases in files keep their
thread.
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from typing import Any

import aiosqlite
import sqlalchemy as sa


class _Connection(aiosqlite.Connection):
    def __await__(self) -> Generator[Any, None, aiosqlite.Connection]:
        self._connection = self._connector()
        return self._let_others_run(self).__await__()

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._connection is None:
            raise ValueError("Connection closed")
        return await self._let_others_run(fn(*args, **kwargs))

    async def _let_others_run(self, result: Any) -> Any:
        """Returns the result after the other tasks had their turn, as while a thread is at work."""
        await asyncio.sleep(0)
        return result

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _connect(*args: Any, **options: Any) -> aiosqlite.Connection:
    connection = aiosqlite.connect(*args, **options)
    connection.__class__ = _Connection
    return connection


@sa.event.listens_for(sa.Engine, "do_connect")
def _connect_without_thread(
    dialect: sa.Dialect, _record: object, arguments: Sequence[Any], options: dict[str, Any]
) -> None:
    if dialect.driver == "aiosqlite" and arguments[0] == ":memory:":
        options["async_creator_fn"] = _connect
