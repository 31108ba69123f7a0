"""Transactions under way: each goes on though its caller is cancelled, for else its connection would be lost."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from bot.errors import StoreError
from bot.store.engine import answered_within, database_errors

T = TypeVar("T")

log = logging.getLogger(__name__)


class UnderWay:
    """Those of one store."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def see_to(self, transaction: Coroutine[Any, Any, T], limit_s: float | None) -> T:
        """What it returns; raises StoreError where the database fails, or does not answer within the limit."""
        if self._closed:
            transaction.close()
            raise StoreError("the store is closed, for this process ends")
        task = asyncio.create_task(_within(limit_s, transaction))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        with database_errors():
            return await asyncio.shield(task)

    def close(self) -> None:
        """None is begun any more."""
        self._closed = True

    async def end(self) -> None:
        """Returns when all have ended."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def break_off(self) -> None:
        """Their connections go with them."""
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """A failure that nobody waits for any more: whoever asked was cancelled, and asks again."""
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("a transaction failed: %s", type(task.exception()).__name__)


async def _within(limit_s: float | None, transaction: Coroutine[Any, Any, T]) -> T:
    async with answered_within(limit_s):
        return await transaction
