"""Repeats what must happen in the database, however long the database is away."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.clock import Clock
from bot.core.backoff import Backoff
from bot.errors import StoreError, trace_of

BACKOFF = Backoff(0.5, 5.0)

T = TypeVar("T")

log = logging.getLogger(__name__)


async def insist(
    operation: Callable[[], Awaitable[T]], clock: Clock, what: str, failures: type[Exception] = StoreError
) -> T:
    """Returns the operation's result, and repeats the operation until it has one.

    `what`: what has failed, for the log. `failures`: the errors after which the operation is repeated.
    """
    failed = 0
    while True:
        try:
            return await operation()
        except failures as error:
            log.error("%s, retrying: %s", what, error if isinstance(error, StoreError) else trace_of(error))
            failed += 1
        await clock.sleep(BACKOFF.wait_s(failed))
