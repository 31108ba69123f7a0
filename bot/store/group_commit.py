"""Group commit: a transaction waits for its turn and for the disk, so what is asked for meanwhile shares the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_GROUP = 200


class GroupCommit(Generic[Item, Result]):
    """Collects items while a transaction runs, and writes them together in the next.

    `write`: writes at most MAX_GROUP items in one transaction, in the order in which they were added, and returns a
    result for each.
    """

    def __init__(self, write: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._write = write
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> Result:
        """Returns the item's result once it is written. Raises its transaction's exception.

        The item is written even if the caller is canceled.
        """
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._writing is None:
            # In a context of its own: it writes for other jobs, too.
            self._writing = asyncio.create_task(self._write_all(), context=Context())
        return await result

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
                await self._write_group(group)
        finally:
            self._writing = None

    async def _write_group(self, group: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._write([item for item, _ in group])
        except asyncio.CancelledError:
            # The database is being closed, so what waits wouldn't be written either.
            for _, result in (*group, *self._waiting):
                result.cancel()
            self._waiting = []
            raise
        except Exception as error:
            for _, result in group:
                if not result.done():
                    result.set_exception(error)
            return
        for (_, result), written in zip(group, results, strict=True):
            # Its caller may have been canceled.
            if not result.done():
                result.set_result(written)
